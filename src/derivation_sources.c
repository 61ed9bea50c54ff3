/*-------------------------------------------------------------------------
 *
 * derivation_sources.c
 *	  The sources of a derived stream that is being brought up to date: how far
 *	  they have been read, and what has changed in that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "derivation_work.h"
#include "errors.h"
#include "plans.h"
#include "utils/timestamp.h"

/* Notes of changes that are taken at once */
#define CHANGES_BATCH	1000

/* Attributes of the query of LoadSources() */
#define SOURCE_POSITION		1
#define SOURCE_NAME			2
#define SOURCE_GRANULARITY	3
#define SOURCE_ORIGIN		4
#define SOURCE_ORIGIN_COUNT	5
#define SOURCE_READ_UNTIL	6
#define SOURCE_READ_COUNT	7
#define SOURCE_HAS_CHANGES	8
#define SOURCE_DEF			9

static StreamTime
NullableTime(HeapTuple tuple, TupleDesc desc, int attribute)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, attribute, &isnull);

	return isnull ? STREAM_TIME_NONE : StreamTimeFromTimestampClamped(DatumGetTimestampTz(value));
}

/*
 * Reads the sources of a derived stream, and whether anything has been noted for
 * it.  One that row security hides from the caller is
 * stream_not_found, as nothing right can be derived without it.
 */
void
LoadSources(Derivation *derivation)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID};
	const pg_uuid_t *id = &derivation->head.def.id;
	MemoryContext context = CurrentMemoryContext;
	TupleDesc	desc;
	Datum		values[1];

	values[0] = UUIDPGetDatum(id);
	RunSavedQuery(&slot,
				  "SELECT d.\"position\", d.name, d.granularity, d.origin, d.origin_count,"
				  " d.read_until, d.read_count,"
				  " EXISTS (SELECT FROM datastream.changes c WHERE c.stream_id OPERATOR(pg_catalog.=) $1),"
				  " " STREAM_DEF_COLUMNS
				  " FROM datastream.sources d LEFT JOIN datastream.streams s"
				  " ON s.stream_id OPERATOR(pg_catalog.=) d.source_id"
				  " WHERE d.stream_id OPERATOR(pg_catalog.=) $1 ORDER BY d.\"position\"",
				  1, argtypes, values, NULL, false);

	derivation->nsources = (int) SPI_processed;
	derivation->sources = palloc0(sizeof(Source) * (derivation->nsources + 1));
	derivation->changes = palloc0(sizeof(RangeSet) * (derivation->nsources + 1));
	desc = SPI_tuptable->tupdesc;
	for (int i = 0; i < derivation->nsources; i++)
	{
		Source	   *source = &derivation->sources[i];
		HeapTuple	tuple = SPI_tuptable->vals[i];
		bool		isnull;

		SPI_getbinval(tuple, desc, SOURCE_DEF, &isnull);
		if (isnull)
			ereport(ERROR,
					(errcode(ERRCODE_DS_STREAM_NOT_FOUND),
					 errmsg("a source of derived stream \"%s\" does not exist", StreamIdToString(id))));

		source->position = DatumGetInt32(SPI_getbinval(tuple, desc, SOURCE_POSITION, &isnull));
		source->name = SPI_getvalue(tuple, desc, SOURCE_NAME);
		source->granularity = StoredGranularity(id, tuple, desc, SOURCE_GRANULARITY);
		source->origin = NullableTime(tuple, desc, SOURCE_ORIGIN);
		source->origin_count = DatumGetInt32(SPI_getbinval(tuple, desc, SOURCE_ORIGIN_COUNT, &isnull));
		source->read_until = NullableTime(tuple, desc, SOURCE_READ_UNTIL);
		source->read_count = DatumGetInt32(SPI_getbinval(tuple, desc, SOURCE_READ_COUNT, &isnull));
		derivation->has_changes = DatumGetBool(SPI_getbinval(tuple, desc, SOURCE_HAS_CHANGES, &isnull));
		StreamDefFromTuple(&source->def, tuple, desc, SOURCE_DEF, context);
		if (source->granularity < source->def.highest)
			ReportDamagedStream(id, "It reads a source at a granularity that the source has not.");
	}
	SPI_freetuptable(SPI_tuptable);

	if (derivation->nsources == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DS_EXCEPTION),
				 errmsg("derived stream \"%s\" has no sources", StreamIdToString(id))));
}

/*
 * Writes how far a source has been read.
 */
static void
SaveSource(const pg_uuid_t *id, const Source *source)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID, INT4OID, TIMESTAMPTZOID, INT4OID};
	Datum		values[4];

	values[0] = UUIDPGetDatum(id);
	values[1] = Int32GetDatum(source->position);
	values[2] = TimestampTzGetDatum(TimestampFromStreamTime(Max(source->read_until, STREAM_TIME_MIN)));
	values[3] = Int32GetDatum(source->read_count);
	if (RunSavedQuery(&slot,
					  "UPDATE datastream.sources SET read_until = $3, read_count = $4"
					  " WHERE stream_id OPERATOR(pg_catalog.=) $1"
					  " AND \"position\" OPERATOR(pg_catalog.=) $2",
					  4, argtypes, values, source->read_until == STREAM_TIME_NONE ? "  n " : NULL, false) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DS_MAINTENANCE_INTERRUPTED),
				 errmsg("stream \"%s\" was lost while it was derived", StreamIdToString(id)),
				 errdetail("Its rows in datastream.sources could not be written.")));
}

/*
 * Writes how far the sources have been read, where that is not as it was, and
 * returns whether it was not.
 */
bool
SaveSources(Derivation *derivation, const Source *old)
{
	bool		saved = false;

	for (int i = 0; i < derivation->nsources; i++)
	{
		const Source *source = &derivation->sources[i];

		if (source->read_until == old[i].read_until && source->read_count == old[i].read_count)
			continue;
		SaveSource(&derivation->head.def.id, source);
		saved = true;
	}

	return saved;
}

/*
 * Takes notes of what has changed in the sources, at most so many at once, and
 * returns how many these are.  They are still to be deleted.
 */
int
TakeChanges(Derivation *derivation, NotedChange **noted)
{
	int			count = ReadChanges(&derivation->head.def.id, CHANGES_BATCH, noted);

	derivation->has_changes = count >= CHANGES_BATCH;
	for (int i = 0; i < count; i++)
	{
		const NotedChange *change = &(*noted)[i];

		for (int j = 0; j < derivation->nsources; j++)
		{
			if (derivation->sources[j].position == change->position)
				AddToRangeSet(&derivation->changes[j], change->range.from, change->range.to);
		}
	}

	return count;
}

/*
 * Notes again what has changed in the sources from a time on.
 */
void
KeepChanges(Derivation *derivation, StreamTime from)
{
	for (int i = 0; i < derivation->nsources; i++)
	{
		const RangeSet *changes = &derivation->changes[i];

		for (int j = 0; j < changes->count; j++)
		{
			TimeRange	range = {Max(changes->ranges[j].from, from), changes->ranges[j].to};

			if (range.from <= range.to)
				NoteChangeFor(&derivation->head.def.id, derivation->sources[i].position, range);
		}
	}
}

/*
 * Notes that all of a source has been read.
 */
static void
SkipSourceToEnd(Source *source)
{
	StreamTime	latest;
	int			count;

	if (!StreamLatest(&source->def, &latest, &count) || latest < source->origin)
	{
		latest = source->origin;
		count = 0;
	}
	else if (latest == source->origin)
		count = Max(count - source->origin_count, 0);
	source->read_until = latest;
	source->read_count = count;
}

/*
 * Reads what is new in a source that an operator does not follow.  Where that can
 * change what has been derived from the followed source, it is a change of it.
 */
static void
ReadSideSource(Derivation *derivation, Source *source, RangeSet *changes)
{
	const Source *followed = FollowedSource(derivation);
	StreamTime	from = Max(source->read_until, STREAM_TIME_MIN);
	int			skip = source->read_count;
	SourceReader *reader;
	StreamTime	t;
	Value		value;

	/* What had been read and has changed is read again. */
	for (int i = 0; i < changes->count; i++)
	{
		if (changes->ranges[i].to < from || changes->ranges[i].from > from)
			continue;
		from = changes->ranges[i].from;
		skip = 0;
	}
	if (followed->read_until == STREAM_TIME_NONE)
	{
		SkipSourceToEnd(source);
		return;
	}

	source->read_until = source->read_until == STREAM_TIME_NONE ? STREAM_TIME_NONE : from;
	source->read_count = skip;
	reader = BeginSource(source, from, STREAM_TIME_MAX);
	while (ReadSource(reader, &t, &value))
	{
		if (t == from && skip > 0)
		{
			skip--;
			continue;
		}
		NoteRead(source, t);
		if (HasRead(followed, t) && ValueIsTrue(&value))
			AddToRangeSet(changes, t, t);
	}
	EndSource(reader);
}

/*
 * Notes that all of the sources has been read that an operator does not follow.
 */
void
SkipSideSources(Derivation *derivation)
{
	for (int i = 0; i < derivation->nsources - 1; i++)
		SkipSourceToEnd(&derivation->sources[i]);
}

/*
 * Reads what is new in the sources that an operator does not follow.
 */
void
ReadSideSources(Derivation *derivation)
{
	for (int i = 0; i < derivation->nsources - 1; i++)
		ReadSideSource(derivation, &derivation->sources[i], &derivation->changes[i]);
}
