/*-------------------------------------------------------------------------
 *
 * derivation.c
 *	  Bringing one derived stream up to date with its sources.
 *
 * A derived stream pulls: it reads what is new in its sources since it last
 * did.  What changes behind that, as by a late datapoint, is derived again: the
 * derived datapoints that it can have an influence on are deleted and made
 * anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "datapoint.h"
#include "derivation.h"
#include "derive_run.h"
#include "errors.h"
#include "miscadmin.h"
#include "operator.h"
#include "plans.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Attributes of the query of LoadSources() */
#define SOURCE_POSITION		1
#define SOURCE_NAME			2
#define SOURCE_GRANULARITY	3
#define SOURCE_ORIGIN		4
#define SOURCE_ORIGIN_COUNT	5
#define SOURCE_READ_UNTIL	6
#define SOURCE_READ_COUNT	7
#define SOURCE_ID			8
#define SOURCE_DEF			9

/* A derived stream that is being brought up to date */
typedef struct Derivation
{
	StreamHead	head;
	StreamProgress progress;
	int			nsources;
	Source	   *sources;

	/* Derived datapoints on their way to the head */
	DataBlock  *rows;
	MemoryContext rows_context;
	MemoryContext head_context;
	bool		changed;		/* some are new or have changed */
	bool		advanced;		/* sources have been read further */
	int64		datapoints;		/* derived */
	bool		more;			/* there is more to derive than was allowed at once */

	/* What has changed behind its latest datapoint */
	TimeRange  *redone;
	int			nredone;
} Derivation;

static StreamTime
NullableTime(HeapTuple tuple, TupleDesc desc, int attribute)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, attribute, &isnull);

	return isnull ? STREAM_TIME_NONE : StreamTimeFromTimestampClamped(DatumGetTimestampTz(value));
}

/*
 * Reads the sources of a derived stream.  One that row security hides from the
 * caller is stream_not_found, as nothing right can be derived without it.
 */
static void
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
				  " d.read_until, d.read_count, d.source_id, " STREAM_DEF_COLUMNS
				  " FROM datastream.sources d LEFT JOIN datastream.streams s"
				  " ON s.stream_id OPERATOR(pg_catalog.=) d.source_id"
				  " WHERE d.stream_id OPERATOR(pg_catalog.=) $1 ORDER BY d.\"position\"",
				  1, argtypes, values, NULL, false);

	derivation->nsources = (int) SPI_processed;
	derivation->sources = palloc0(sizeof(Source) * (derivation->nsources + 1));
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
	values[2] = TimestampTzGetDatum(TimestampFromStreamTime(source->read_until));
	values[3] = Int32GetDatum(source->read_count);
	if (RunSavedQuery(&slot,
				  "UPDATE datastream.sources SET read_until = $3, read_count = $4"
				  " WHERE stream_id OPERATOR(pg_catalog.=) $1"
				  " AND \"position\" OPERATOR(pg_catalog.=) $2",
				  4, argtypes, values, NULL, false) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DS_MAINTENANCE_INTERRUPTED),
				 errmsg("stream \"%s\" was lost while it was derived", StreamIdToString(id)),
				 errdetail("Its rows in datastream.sources could not be written.")));
}

/*
 * Notes that a derived stream's datapoints in a range have changed: its own
 * downsampling, where it has come that far, must be done again, and so must
 * what derives from it.
 */
static void
NoteRedone(Derivation *derivation, StreamTime from, StreamTime to)
{
	StreamHead *head = &derivation->head;
	TimeRange	range = {from, to};
	StreamTime	frozen_until = derivation->progress.until[head->def.highest + 1];

	if (frozen_until != STREAM_TIME_NONE && from < frozen_until)
	{
		AddRanges(&head->def.id, RANGES_LATE, &range, 1);
		MarkDue(head);
	}

	/* The current context may be one that an operator resets. */
	derivation->redone = derivation->redone == NULL ?
		MemoryContextAlloc(GetMemoryChunkContext(derivation), sizeof(TimeRange)) :
		repalloc(derivation->redone, sizeof(TimeRange) * (derivation->nredone + 1));
	derivation->redone[derivation->nredone++] = range;
	derivation->changed = true;
}

/*
 * Moves derived datapoints into the head, and from there into blocks.
 */
static void
FlushDerived(Derivation *derivation)
{
	StreamHead *head = &derivation->head;
	DataBlock  *rows = derivation->rows;
	StreamTime	first;
	StreamTime	last;
	bool		late;
	MemoryContext context;
	MemoryContext old_context;

	if (rows->count == 0)
		return;

	first = rows->times[0];
	last = rows->times[rows->count - 1];
	late = first < head->latest;
	old_context = MemoryContextSwitchTo(derivation->rows_context);
	if (late)
		InsertDatapoints(head, rows, 0, rows->count);
	else
		AppendDatapoints(head, rows, 0, rows->count);
	derivation->changed = true;
	derivation->datapoints += rows->count;

	/* Keep what is in the head now, and let go of all else. */
	context = AllocSetContextCreate(GetMemoryChunkContext(derivation), "datastream derived head",
									ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(context);
	head->rows = head->rows->count > 0 ? DecodeBlock(EncodeBlock(head->rows), COLUMN_ALL)
		: CreateDatapoints(HEAD_ROWS);
	MemoryContextDelete(derivation->head_context);
	derivation->head_context = context;

	MemoryContextReset(derivation->rows_context);
	MemoryContextSwitchTo(derivation->rows_context);
	derivation->rows = CreateDatapoints(HEAD_ROWS);
	MemoryContextSwitchTo(old_context);

	if (late)
		NoteRedone(derivation, first, last);
}

/*
 * Takes a derived datapoint from an operator.
 */
static void
EmitDerived(DeriveRun *run, StreamTime t, const Value *value)
{
	Derivation *derivation = run->emit_state;
	MemoryContext old_context = MemoryContextSwitchTo(derivation->rows_context);
	Value		copy = CopyValue(value);

	AddDatapoint(derivation->rows, t - t % GranularityUnit(run->def->highest), &copy);
	MemoryContextSwitchTo(old_context);

	if (derivation->rows->count >= BLOCK_ROWS)
		FlushDerived(derivation);
}

/*
 * Runs the operator of a derived stream over its sources.
 */
static void
RunOperator(Derivation *derivation, StreamTime from, StreamTime to, bool forward, int skip)
{
	DeriveRun	run = {0};

	run.def = &derivation->head.def;
	run.nsources = derivation->nsources;
	run.sources = derivation->sources;
	run.from = from;
	run.to = to;
	run.forward = forward;
	run.skip = skip;
	run.emit = EmitDerived;
	run.emit_state = derivation;

	DeriveOperators[run.def->derive_op].run(&run);
	FlushDerived(derivation);
}

/*
 * The source whose datapoints an operator follows that does not join its
 * sources: the last one.
 */
static Source *
FollowedSource(Derivation *derivation)
{
	return &derivation->sources[derivation->nsources - 1];
}

/*
 * The end of the first datapoint with a value that is left of a source.
 */
static StreamTime
FirstValueEnd(const Source *source)
{
	SourceReader *reader = BeginSource(source, STREAM_TIME_MIN, STREAM_TIME_MAX);
	StreamTime	t = STREAM_TIME_NONE;
	Value		value;

	while (ReadSource(reader, &t, &value))
	{
		if (value.kind != VALUE_NULL)
			break;
	}
	EndSource(reader);

	return source->granularity == source->def.highest || t == STREAM_TIME_NONE ? t + 1
		: BucketEnd(source->granularity, t);
}

/*
 * From when on a derived stream can be derived again: what has expired of it,
 * or of a source, is not made anew.
 */
static StreamTime
RederivableFrom(const Derivation *derivation)
{
	bool		looks_back = !DeriveOperators[derivation->head.def.derive_op].joins_sources;
	StreamTime	from = derivation->progress.expired_until;

	for (int i = 0; i < derivation->nsources; i++)
	{
		const Source *source = &derivation->sources[i];
		StreamProgress progress;
		StreamTime	complete;
		StreamTime	earliest;

		if (!ReadProgress(&source->def.id, &progress) || progress.expired_until == STREAM_TIME_NONE)
			continue;

		complete = progress.expired_until;
		if (source->granularity == source->def.highest ? StreamEarliest(&source->def, &earliest) :
			FirstBlockStart(&source->def.id, source->granularity, &earliest))
			complete = Min(complete, earliest);
		from = Max(from, complete);

		/* The first one that is left has lost the one before it. */
		if (looks_back && i == derivation->nsources - 1)
			from = Max(from, FirstValueEnd(source));
	}

	return from;
}

/*
 * Derives again what a change of a source in a range has an influence on: the
 * derived datapoints of that range, and for an operator that looks back those
 * until the next datapoint with a value.
 */
static void
Rederive(Derivation *derivation, TimeRange range)
{
	const StreamDef *def = &derivation->head.def;
	const DeriveOperator *operator = &DeriveOperators[def->derive_op];
	Source	   *source = FollowedSource(derivation);
	StreamTime	from = Max(range.from, RederivableFrom(derivation));
	StreamTime	to = Min(range.to, source->read_until);

	if (source->read_until == STREAM_TIME_NONE)
		return;

	if (operator->joins_sources)
	{
		/* A bucket of which something has expired stays as it is. */
		if (from > range.from && BucketStart(def->highest, from) < from)
			from = BucketEnd(def->highest, from);
		from = BucketStart(def->highest, from);
		to = BucketEnd(def->highest, to) - 1;
	}
	else
	{
		SourceReader *reader;
		Value		value;
		StreamTime	t;

		from = Max(from, source->origin);
		reader = BeginSource(source, to + 1, source->read_until);
		while (ReadSource(reader, &t, &value))
		{
			to = t;
			if (value.kind != VALUE_NULL)
				break;
		}
		EndSource(reader);
	}
	if (from > to)
		return;

	DeleteDatapoints(&derivation->head, from, to);
	RunOperator(derivation, from, to, false, 0);
	NoteRedone(derivation, from, to);
}

/*
 * The end of the first "max_blocks" blocks of a source from a time on;
 * STREAM_TIME_MAX if it has not that many, or if there is no limit.
 */
static StreamTime
SourceLimit(const Source *source, StreamTime from, int max_blocks)
{
	StreamTime	limit;

	if (max_blocks > 0 &&
		NthBlockUntil(&source->def.id, source->granularity, Max(from, STREAM_TIME_MIN), max_blocks, &limit))
		return limit;

	return STREAM_TIME_MAX;
}

/*
 * Derives the given ranges again that lie in what had been derived before; of
 * a long one only as much as is allowed at once, the rest is noted.
 */
static void
RederiveRanges(Derivation *derivation, const TimeRange *ranges, int nranges,
			   StreamTime derived_until, int max_blocks)
{
	const StreamDef *def = &derivation->head.def;
	TimeRange  *rest = palloc(sizeof(TimeRange) * (nranges + 1));
	int			nrest = 0;

	for (int i = 0; i < nranges; i++)
	{
		TimeRange	range = ranges[i];
		StreamTime	limit;

		/* What lies beyond what had been derived has just been derived. */
		if (derived_until == STREAM_TIME_NONE || range.from > derived_until)
			continue;
		if (derivation->more)
		{
			rest[nrest++] = range;
			continue;
		}

		limit = SourceLimit(FollowedSource(derivation), range.from, max_blocks);
		limit = Max(limit, BucketEnd(def->highest, range.from) - 1);
		if (limit < Min(range.to, derived_until))
		{
			limit = BucketEnd(def->highest, limit) - 1;
			rest[nrest].from = limit + 1;
			rest[nrest++].to = Max(range.to, limit + 1);
			range.to = Min(range.to, limit);
			derivation->more = true;
		}
		Rederive(derivation, range);
	}

	if (derivation->progress.nranges[RANGES_REDERIVE] > 0)
		ClearRanges(&def->id, RANGES_REDERIVE);
	AddRanges(&def->id, RANGES_REDERIVE, rest, nrest);
}

/*
 * Runs the operator of a derived stream over what is new in its sources, or
 * over so many blocks of each.
 */
static void
DeriveForward(Derivation *derivation, StreamTime from, int skip, int max_blocks)
{
	const StreamDef *def = &derivation->head.def;
	bool		joins = DeriveOperators[def->derive_op].joins_sources;
	StreamTime	to = STREAM_TIME_MAX;

	for (int i = joins ? 0 : derivation->nsources - 1; i < derivation->nsources; i++)
		to = Min(to, SourceLimit(&derivation->sources[i], from, max_blocks));

	/*
	 * A join is settled until the end of a bucket that all sources have
	 * reached.  One that has not so many blocks limits the run by itself, as
	 * its end is the end of the join.
	 */
	if (joins && to < STREAM_TIME_MAX)
	{
		for (int i = 0; i < derivation->nsources; i++)
		{
			const Source *source = &derivation->sources[i];
			StreamTime	latest;
			int			count;

			if (source->granularity == source->def.highest ?
				!StreamLatest(&source->def, &latest, &count) :
				!LastBlockUntil(&source->def.id, source->granularity, &latest))
				latest = STREAM_TIME_NONE;
			if (latest <= to)
				to = STREAM_TIME_MAX;
		}
	}
	if (joins && to < STREAM_TIME_MAX)
		to = BucketEnd(def->highest, to) - 1;

	RunOperator(derivation, Max(from, STREAM_TIME_MIN), to, true, skip);

	if (to == STREAM_TIME_MAX)
		return;
	derivation->more = true;
	for (int i = 0; i < derivation->nsources && joins; i++)
	{
		if (derivation->sources[i].read_until < to)
		{
			derivation->sources[i].read_until = to;
			derivation->sources[i].read_count = 1;
		}
	}
}

/*
 * Reads what is new in the sources that an operator does not follow.  Where
 * that lies behind what has been derived, it is derived again.
 */
static void
ReadSideSources(Derivation *derivation, StreamTime derived_until, TimeRange **ranges, int *nranges)
{
	for (int i = 0; i < derivation->nsources - 1; i++)
	{
		Source	   *source = &derivation->sources[i];
		StreamTime	from = Max(source->read_until, STREAM_TIME_MIN);
		int			skip = source->read_count;
		SourceReader *reader;
		StreamTime	t;
		Value		value;

		if (source->read_until != STREAM_TIME_NONE && source->read_until == source->origin)
			skip -= source->origin_count;
		reader = BeginSource(source, from, STREAM_TIME_MAX);
		while (ReadSource(reader, &t, &value))
		{
			if (t == from && skip > 0)
			{
				skip--;
				continue;
			}
			if (source->read_until == t)
				source->read_count++;
			else
			{
				source->read_until = t;
				source->read_count = 1;
			}
			if (t <= derived_until)
			{
				*ranges = repalloc(*ranges, sizeof(TimeRange) * (*nranges + 1));
				(*ranges)[*nranges].from = (*ranges)[*nranges].to = t;
				(*nranges)++;
			}
		}
		EndSource(reader);
	}
}

/*
 * Brings a locked derived stream up to date, and derives the given ranges
 * again.  With "max_blocks", not 0, that is how many blocks of a source are
 * read at most.
 */
static void
DeriveLocked(Derivation *derivation, const TimeRange *changed, int nchanged, int max_blocks)
{
	const StreamDef *def = &derivation->head.def;
	const DeriveOperator *operator = &DeriveOperators[def->derive_op];
	Source	   *source = FollowedSource(derivation);
	StreamTime	derived_until = source->read_until;
	int			nranges = nchanged + derivation->progress.nranges[RANGES_REDERIVE];
	TimeRange  *ranges = palloc(sizeof(TimeRange) * (nranges + 1));
	StreamTime *old_until = palloc(sizeof(StreamTime) * derivation->nsources);
	int		   *old_count = palloc(sizeof(int) * derivation->nsources);
	int			skip = source->read_count;

	for (int i = 0; i < derivation->nsources; i++)
	{
		old_until[i] = derivation->sources[i].read_until;
		old_count[i] = derivation->sources[i].read_count;
	}
	if (nchanged > 0)
		memcpy(ranges, changed, sizeof(TimeRange) * nchanged);
	if (nranges > nchanged)
		memcpy(ranges + nchanged, derivation->progress.ranges[RANGES_REDERIVE],
			   sizeof(TimeRange) * (nranges - nchanged));

	if (!operator->joins_sources)
	{
		ReadSideSources(derivation, derived_until, &ranges, &nranges);
		if (derived_until != STREAM_TIME_NONE && derived_until == source->origin)
			skip -= source->origin_count;
	}

	DeriveForward(derivation, derived_until, skip, max_blocks);
	RederiveRanges(derivation, ranges, nranges, derived_until, max_blocks);

	for (int i = 0; i < derivation->nsources; i++)
	{
		if (derivation->sources[i].read_until != old_until[i] ||
			derivation->sources[i].read_count != old_count[i])
		{
			SaveSource(&def->id, &derivation->sources[i]);
			derivation->advanced = true;
		}
	}
	if ((derivation->advanced &&
		 AdvanceDerived(&derivation->head, SourcesReadUntil(def, derivation->sources, derivation->nsources))) ||
		derivation->changed)
		SaveHead(&derivation->head);
}

/*
 * Adds a change to a list.
 */
SourceChange *
AddChange(ChangeList *list, const pg_uuid_t *source, Granularity level)
{
	SourceChange *change;

	if (list->count >= list->max)
	{
		list->max = Max(16, list->max * 2);
		list->changes = list->changes == NULL ? palloc(sizeof(SourceChange) * list->max) :
			repalloc(list->changes, sizeof(SourceChange) * list->max);
	}
	change = &list->changes[list->count++];
	memset(change, 0, sizeof(*change));
	change->source = *source;
	change->level = level;

	return change;
}

/*
 * The ranges among changes that concern the sources of a derived stream;
 * returns false if none of its sources is among the changes.
 */
static bool
ChangesOfSources(const Derivation *derivation, const ChangeList *list, TimeRange **ranges, int *nranges)
{
	bool		found = false;

	*nranges = 0;
	*ranges = NULL;
	for (int i = 0; i < list->count; i++)
	{
		const SourceChange *change = &list->changes[i];

		for (int j = 0; j < derivation->nsources; j++)
		{
			const Source *source = &derivation->sources[j];

			if (source->granularity != change->level ||
				memcmp(&source->def.id, &change->source, UUID_LEN) != 0)
				continue;
			found = true;
			if (change->nranges > 0)
			{
				*ranges = *ranges == NULL ? palloc(sizeof(TimeRange) * change->nranges) :
					repalloc(*ranges, sizeof(TimeRange) * (*nranges + change->nranges));
				memcpy(*ranges + *nranges, change->ranges, sizeof(TimeRange) * change->nranges);
				*nranges += change->nranges;
			}
			break;
		}
	}

	return found;
}

/*
 * Locks a derived stream and brings it up to date.  With "list", that is only
 * done if one of its sources is among the changes there; changes of the
 * derived stream itself are added.  A stream that waits to be backprocessed is
 * left alone, unless this is it ("backprocess"), of which at most "max_blocks"
 * blocks of a source are read, if that is not 0.  The datapoints derived are
 * added to "datapoints", which may be NULL.
 */
DeriveOutcome
BringUpToDate(const pg_uuid_t *id, ChangeList *list, bool backprocess, int max_blocks,
			  int64 *datapoints)
{
	Derivation *derivation = palloc0(sizeof(Derivation));
	TimeRange  *ranges = NULL;
	int			nranges = 0;
	bool		was_pending;

	/* One that is hidden from the caller is caught up with by the next one who sees it. */
	if (!LockStream(id, false, true, &derivation->head, CurrentMemoryContext))
		return DERIVE_NOTHING;
	if (derivation->head.def.derive_op < 0)
		return DERIVE_NOTHING;
	LockProgress(id, &derivation->progress);
	was_pending = derivation->progress.pending_backprocess;
	if (was_pending && !backprocess)
		return DERIVE_NOTHING;

	LoadSources(derivation);
	if (!backprocess && !ChangesOfSources(derivation, list, &ranges, &nranges))
		return DERIVE_NOTHING;

	derivation->head_context = AllocSetContextCreate(CurrentMemoryContext, "datastream derived head",
													 ALLOCSET_SMALL_SIZES);
	derivation->rows_context = AllocSetContextCreate(CurrentMemoryContext, "datastream derived rows",
													 ALLOCSET_DEFAULT_SIZES);
	derivation->rows = CreateDatapoints(HEAD_ROWS);

	BeginLatestSnapshot();
	DeriveLocked(derivation, ranges, nranges, max_blocks);
	EndLatestSnapshot();
	if (derivation->progress.behind && !derivation->more)
		SaveDerived(id);

	if (derivation->changed && derivation->head.contributes)
	{
		SourceChange *change = AddChange(list, id, derivation->head.def.highest);

		change->ranges = derivation->redone;
		change->nranges = derivation->nredone;
	}

	if (datapoints != NULL)
		*datapoints += derivation->datapoints;
	if (derivation->more)
		return DERIVE_MORE;

	return was_pending || derivation->advanced || derivation->changed ? DERIVE_DONE : DERIVE_NOTHING;
}
