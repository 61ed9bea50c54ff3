/*-------------------------------------------------------------------------
 *
 * store_changes.c
 *	  What has changed in streams for those that derive from them.
 *
 * A derived stream reads its sources from where it last ended, so whatever comes
 * behind a source's latest datapoint, or its last closed bucket, it finds by
 * itself.  Everything else that is inserted, deleted or made again is noted here,
 * in the source's own time, for each stream that derives from it; and nothing but
 * the functions that write datapoints and buckets (store.c) does that.
 *
 * Notes are rows that are only inserted by those who change a source, and only
 * deleted by those who have locked the derived stream, so that neither waits for
 * the other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "plans.h"
#include "store.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* More ranges than this are noted as one. */
#define NOTED_RANGES	32

/* Attributes of the query of ReadChanges() */
#define CHANGE_ID			1
#define CHANGE_POSITION		2
#define CHANGE_FROM			3
#define CHANGE_TO			4

static Datum
TimeArray(const TimeRange *ranges, int nranges, bool ends)
{
	Datum	   *elements = palloc(sizeof(Datum) * nranges);

	for (int i = 0; i < nranges; i++)
		elements[i] = TimestampTzGetDatum(TimestampFromStreamTime(ends ? ranges[i].to : ranges[i].from));

	return PointerGetDatum(construct_array(elements, nranges, TIMESTAMPTZOID, sizeof(TimestampTz),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * Notes that ranges of a locked stream's level have changed, for all streams that
 * derive from it.
 *
 * For all of them: who has not read so far knows that for himself when he comes
 * to it, while what is recorded of it here may be about to change.
 */
void
NoteChanges(const pg_uuid_t *source, Granularity level, const TimeRange *ranges, int nranges)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID, TEXTOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID};
	Datum		values[4];

	if (nranges == 0)
		return;

	values[0] = UUIDPGetDatum(source);
	values[1] = CStringGetTextDatum(GranularityName(level));
	values[2] = TimeArray(ranges, nranges, false);
	values[3] = TimeArray(ranges, nranges, true);
	RunSavedQuery(&slot,
				  "INSERT INTO datastream.changes (stream_id, change_id, \"position\", \"from\", \"to\")"
				  " SELECT d.stream_id, pg_catalog.gen_random_uuid(), d.\"position\", x.f, x.t"
				  " FROM datastream.sources d"
				  " CROSS JOIN ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4)) x(f, t)"
				  " WHERE d.source_id OPERATOR(pg_catalog.=) $1"
				  " AND d.granularity OPERATOR(pg_catalog.=) $2",
				  4, argtypes, values, NULL, false);
}

/*
 * Notes of rows [from, to) that are inserted into a locked stream those that do
 * not come behind its latest datapoint.
 */
void
NoteInserted(const StreamHead *head, const DataBlock *rows, int from, int to)
{
	TimeRange	ranges[NOTED_RANGES];
	int			nranges = 0;
	int			late = from;

	if (!head->contributes)
		return;

	while (late < to && rows->times[late] < head->latest)
		late++;
	for (int i = from; i < late && nranges <= NOTED_RANGES; i++)
	{
		if (nranges > 0 && ranges[nranges - 1].to == rows->times[i])
			continue;
		if (nranges < NOTED_RANGES)
			ranges[nranges].from = ranges[nranges].to = rows->times[i];
		nranges++;
	}
	if (nranges > NOTED_RANGES)
	{
		ranges[0].to = rows->times[late - 1];
		nranges = 1;
	}
	NoteChanges(&head->def.id, head->def.highest, ranges, nranges);
}

/*
 * Notes that what a locked stream had in a range has been deleted.  Where that
 * was its end, others may have read beyond what is its latest datapoint now, and
 * what is appended there comes behind that.
 */
void
NoteDeleted(const StreamHead *head, StreamTime from, StreamTime to, StreamTime old_latest)
{
	TimeRange	range = {from, to};

	if (!head->contributes || from > old_latest)
		return;
	if (head->latest < old_latest)
		range.from = Max(Min(from, head->latest), STREAM_TIME_MIN);
	range.to = Min(to, old_latest);
	NoteChanges(&head->def.id, head->def.highest, &range, 1);
}

/*
 * Notes what has changed in the source at a position of a derived stream for this
 * one stream.
 */
void
NoteChangeFor(const pg_uuid_t *derived, int position, TimeRange range)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[4];

	values[0] = UUIDPGetDatum(derived);
	values[1] = Int32GetDatum(position);
	values[2] = TimestampTzGetDatum(TimestampFromStreamTime(range.from));
	values[3] = TimestampTzGetDatum(TimestampFromStreamTime(range.to));
	RunSavedQuery(&slot,
				  "INSERT INTO datastream.changes (stream_id, change_id, \"position\", \"from\", \"to\")"
				  " VALUES ($1, pg_catalog.gen_random_uuid(), $2, $3, $4)",
				  4, argtypes, values, NULL, false);
}

/*
 * Reads what has been noted for a locked derived stream, with the active
 * snapshot: at most so many notes, in the current memory context.  Returns how
 * many these are.
 */
int
ReadChanges(const pg_uuid_t *derived, int limit, NotedChange **changes)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID, INT8OID};
	Datum		values[2];
	int			count;

	values[0] = UUIDPGetDatum(derived);
	values[1] = Int64GetDatum(limit);
	count = (int) RunSavedQuery(&slot,
								"SELECT change_id, \"position\", \"from\", \"to\" FROM datastream.changes"
								" WHERE stream_id OPERATOR(pg_catalog.=) $1 LIMIT $2",
								2, argtypes, values, NULL, true);
	*changes = palloc(sizeof(NotedChange) * (count + 1));
	for (int i = 0; i < count; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		NotedChange *change = &(*changes)[i];
		bool		isnull;

		change->id = *DatumGetUUIDP(SPI_getbinval(tuple, desc, CHANGE_ID, &isnull));
		change->position = DatumGetInt32(SPI_getbinval(tuple, desc, CHANGE_POSITION, &isnull));
		change->range.from = StreamTimeFromTimestampClamped(DatumGetTimestampTz(SPI_getbinval(tuple, desc, CHANGE_FROM, &isnull)));
		change->range.to = StreamTimeFromTimestampClamped(DatumGetTimestampTz(SPI_getbinval(tuple, desc, CHANGE_TO, &isnull)));
	}
	SPI_freetuptable(SPI_tuptable);

	return count;
}

/*
 * Deletes notes of a locked derived stream that it has done with.
 */
void
DeleteChanges(const pg_uuid_t *derived, const NotedChange *changes, int nchanges)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID, UUIDARRAYOID};
	Datum	   *elements;
	Datum		values[2];

	if (nchanges == 0)
		return;

	elements = palloc(sizeof(Datum) * nchanges);
	for (int i = 0; i < nchanges; i++)
		elements[i] = UUIDPGetDatum(&changes[i].id);
	values[0] = UUIDPGetDatum(derived);
	values[1] = PointerGetDatum(construct_array(elements, nchanges, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
	RunSavedQuery(&slot,
				  "DELETE FROM datastream.changes WHERE stream_id OPERATOR(pg_catalog.=) $1"
				  " AND change_id OPERATOR(pg_catalog.=) ANY ($2)",
				  2, argtypes, values, NULL, false);
}

/*
 * The start of the first bucket that a level has; STREAM_TIME_MAX if it has none.
 */
static StreamTime
FirstBucket(const pg_uuid_t *id, Granularity level)
{
	StreamTime	start;
	bool		found;

	BeginLatestSnapshot();
	found = FirstBlockStart(id, level, &start);
	EndLatestSnapshot();

	return found ? start : STREAM_TIME_MAX;
}

/*
 * Puts buckets in the place of those that a locked stream's level has in
 * [from, to), and notes that for the streams that derive from it.  Empty buckets
 * are not stored, but there from the first one on: with another first bucket they
 * change, too.
 */
void
ReplaceBuckets(const StreamHead *head, Granularity level, StreamTime from, StreamTime to,
			   const DataBlock *buckets)
{
	const pg_uuid_t *id = &head->def.id;
	StreamTime	old_first = head->contributes ? FirstBucket(id, level) : 0;
	StreamTime	new_first;
	TimeRange	range = {from, to - 1};

	DeleteFromBlocks(id, level, from, to - 1);
	InsertIntoBlocks(id, level, buckets, 0, buckets->count);
	if (!head->contributes)
		return;

	new_first = FirstBucket(id, level);
	if (new_first != old_first)
	{
		range.from = Min(range.from, Min(old_first, new_first));
		range.to = Max(range.to, Max(old_first, new_first) - 1);
	}
	NoteChanges(id, level, &range, 1);
}
