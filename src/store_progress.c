/*-------------------------------------------------------------------------
 *
 * store_progress.c
 *	  How far downsampling and deriving have come, in tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "errors.h"
#include "plans.h"
#include "store.h"
#include "utils/array.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "wakeup.h"

/* Late ranges that get more than this become one. */
#define LATE_RANGES_MAX	"64"

/* Attributes of PROGRESS_QUERY */
#define PROGRESS_UNTIL			1
#define PROGRESS_ACTIVE_AT		2
#define PROGRESS_SEEN_LATEST	3
#define PROGRESS_EXPIRED_UNTIL	4
#define PROGRESS_PENDING		5
#define PROGRESS_BEHIND			6
#define PROGRESS_LATE_FROM		7
#define PROGRESS_LATE_TO		8

#define PROGRESS_QUERY \
	"SELECT downsampled_until, active_at, seen_latest, expired_until, pending_backprocess, behind, " \
	"ARRAY(SELECT pg_catalog.lower(r) FROM pg_catalog.unnest(late) r)," \
	"ARRAY(SELECT pg_catalog.upper(r) FROM pg_catalog.unnest(late) r)" \
	" FROM datastream.progress WHERE stream_id OPERATOR(pg_catalog.=) $1"

/*
 * A time that may be null, of a result's only row.
 */
static StreamTime
ResultTime(int attribute)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, attribute, &isnull);

	return isnull ? STREAM_TIME_NONE : StreamTimeFromTimestampClamped(DatumGetTimestampTz(value));
}

/*
 * The times in an array of a result's only row; *n is their number.
 */
static StreamTime *
ResultTimes(int attribute, int *n)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, attribute, &isnull);
	Datum	   *elements;
	bool	   *nulls;
	StreamTime *times;

	*n = 0;
	if (isnull)
		return NULL;

	deconstruct_array(DatumGetArrayTypeP(value), TIMESTAMPTZOID, sizeof(TimestampTz),
					  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &elements, &nulls, n);
	times = palloc(sizeof(StreamTime) * (*n + 1));
	for (int i = 0; i < *n; i++)
		times[i] = nulls[i] ? STREAM_TIME_NONE
			: StreamTimeFromTimestampClamped(DatumGetTimestampTz(elements[i]));

	return times;
}

/*
 * Checks that a stream's levels are not recorded as downsampled further than the
 * stream and the clock have come, which would make as many empty buckets.  A
 * derived stream has come to where its sources have been read, for those to see
 * who may read that.
 */
static void
CheckDownsampledUntil(const pg_uuid_t *id, StreamTime until)
{
	static PlanSlot slots[2];
	static const char *queries[] = {
		"SELECT h.latest FROM datastream.heads h JOIN datastream.streams s"
		" ON s.stream_id OPERATOR(pg_catalog.=) h.stream_id"
		" WHERE h.stream_id OPERATOR(pg_catalog.=) $1 AND s.derive_op IS NULL",
		"SELECT GREATEST(h.latest, (SELECT pg_catalog.max(d.read_until) FROM datastream.sources d"
		" WHERE d.stream_id OPERATOR(pg_catalog.=) h.stream_id))"
		" FROM datastream.heads h WHERE h.stream_id OPERATOR(pg_catalog.=) $1"
	};
	static const Oid argtypes[] = {UUIDOID};
	StreamTime	now = StreamTimeFromTimestampClamped(GetCurrentTimestamp());
	Datum		values[1];
	int			which;

	if (until <= BucketEnd(GRANULARITY_YEARS, now))
		return;

	which = SourcesAreReadable() ? 1 : 0;
	values[0] = UUIDPGetDatum(id);
	if (RunSavedQuery(&slots[which], queries[which], 1, argtypes, values, NULL, true) > 0)
	{
		StreamTime	latest = ResultTime(1);

		if (latest == STREAM_TIME_NONE || until > BucketEnd(GRANULARITY_YEARS, latest))
			ReportDamagedStream(id, "It is recorded as downsampled further than it has come.");
	}
	SPI_freetuptable(SPI_tuptable);
}

/*
 * Runs PROGRESS_QUERY or its locking form and reads what it finds into
 * "progress"; false if the stream has no progress row.
 */
static bool
FetchProgress(PlanSlot *slot, const char *query, const pg_uuid_t *id, bool read_only,
			  StreamProgress *progress)
{
	static const Oid argtypes[] = {UUIDOID};
	Datum		values[1];
	StreamTime *until;
	StreamTime *from;
	StreamTime *to;
	StreamTime	furthest;
	int			nuntil;
	int			nfrom;
	int			nto;
	bool		isnull;

	values[0] = UUIDPGetDatum(id);
	if (RunSavedQuery(slot, query, 1, argtypes, values, NULL, read_only) == 0)
	{
		SPI_freetuptable(SPI_tuptable);
		return false;
	}

	/* None has been downsampled until it has been for the first time. */
	until = ResultTimes(PROGRESS_UNTIL, &nuntil);
	if (nuntil != 0 && nuntil != GRANULARITY_COUNT)
		ReportDamagedStream(id, psprintf("It is recorded as downsampled at %d granularities.", nuntil));
	for (int level = 0; level < GRANULARITY_COUNT; level++)
	{
		progress->until[level] = nuntil > 0 ? until[level] : STREAM_TIME_NONE;
		if (progress->until[level] != STREAM_TIME_NONE &&
			progress->until[level] != BucketStart((Granularity) level, progress->until[level]))
			ReportDamagedStream(id, psprintf("It is recorded as downsampled into the middle of a bucket of granularity \"%s\".",
											 GranularityName((Granularity) level)));
	}

	progress->active_at = ResultTime(PROGRESS_ACTIVE_AT);
	progress->seen_latest = ResultTime(PROGRESS_SEEN_LATEST);
	progress->expired_until = ResultTime(PROGRESS_EXPIRED_UNTIL);
	progress->pending_backprocess =
		DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
								   PROGRESS_PENDING, &isnull));
	progress->behind =
		DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
								   PROGRESS_BEHIND, &isnull));

	from = ResultTimes(PROGRESS_LATE_FROM, &nfrom);
	to = ResultTimes(PROGRESS_LATE_TO, &nto);
	progress->nlate = Min(nfrom, nto);
	progress->late = palloc(sizeof(TimeRange) * (progress->nlate + 1));
	for (int i = 0; i < progress->nlate; i++)
	{
		/* A bound that is missing is one that somebody set to infinity. */
		progress->late[i].from = Max(from[i], STREAM_TIME_MIN);
		progress->late[i].to = to[i] == STREAM_TIME_NONE ? STREAM_TIME_MAX : to[i];
	}
	SPI_freetuptable(SPI_tuptable);

	furthest = STREAM_TIME_NONE;
	for (int level = 0; level < GRANULARITY_COUNT; level++)
		furthest = Max(furthest, progress->until[level]);
	CheckDownsampledUntil(id, furthest);

	return true;
}

/*
 * Reads how far maintenance has come with a stream, with the active snapshot,
 * into the current memory context; false if the stream is not there.
 */
bool
ReadProgress(const pg_uuid_t *id, StreamProgress *progress)
{
	static PlanSlot slot;

	return FetchProgress(&slot, PROGRESS_QUERY, id, true, progress);
}

/*
 * The same, of a stream whose head is locked, and locks the row: in
 * REPEATABLE READ that is a serialization failure if another transaction has
 * come further since.  A row that is not there is maintenance_interrupted.
 */
void
LockProgress(const pg_uuid_t *id, StreamProgress *progress)
{
	static PlanSlot slot;

	if (!FetchProgress(&slot, PROGRESS_QUERY " FOR UPDATE", id, false, progress))
		ereport(ERROR,
				(errcode(ERRCODE_DS_MAINTENANCE_INTERRUPTED),
				 errmsg("stream \"%s\" was lost while it was maintained", StreamIdToString(id)),
				 errdetail("Its row in datastream.progress is missing.")));
}

/*
 * Runs an update of a stream's progress, which must find its row.
 */
static void
UpdateProgress(PlanSlot *slot, const char *query, int nargs, const Oid *argtypes, Datum *values,
			   const char *nulls)
{
	if (RunSavedQuery(slot, query, nargs, argtypes, values, nulls, false) != 1)
	{
		const pg_uuid_t *id = DatumGetUUIDP(values[0]);
		StreamDef	def;
		bool		visible = LoadStream(id, &def, true, CurrentMemoryContext);

		ereport(ERROR,
				(errcode(ERRCODE_DS_MAINTENANCE_INTERRUPTED),
				 visible ?
				 errmsg("stream \"%s\" was lost while it was maintained", StreamIdToString(id)) :
				 errmsg("a stream that you cannot see was lost while it was maintained"),
				 errdetail("Its row in datastream.progress could not be written.")));
	}
}

/*
 * Writes until when each level has been downsampled, and what is known of the
 * stream's activity.
 */
void
SaveDownsampledUntil(const pg_uuid_t *id, const StreamProgress *progress)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	const StreamTime times[] = {progress->active_at, progress->seen_latest};
	Datum		values[4];
	char		value_nulls[] = "    ";
	Datum		elements[GRANULARITY_COUNT];
	bool		nulls[GRANULARITY_COUNT];
	int			dims[] = {GRANULARITY_COUNT};
	int			lower_bounds[] = {1};

	for (int level = 0; level < GRANULARITY_COUNT; level++)
	{
		nulls[level] = progress->until[level] == STREAM_TIME_NONE;
		elements[level] = TimestampTzGetDatum(TimestampFromStreamTime(Max(progress->until[level], STREAM_TIME_MIN)));
	}

	values[0] = UUIDPGetDatum(id);
	values[1] = PointerGetDatum(construct_md_array(elements, nulls, 1, dims, lower_bounds, TIMESTAMPTZOID,
												   sizeof(TimestampTz), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	for (int i = 0; i < lengthof(times); i++)
	{
		values[2 + i] = TimestampTzGetDatum(TimestampFromStreamTime(Max(times[i], STREAM_TIME_MIN)));
		if (times[i] == STREAM_TIME_NONE)
			value_nulls[2 + i] = 'n';
	}
	UpdateProgress(&slot,
				   "UPDATE datastream.progress SET downsampled_until = $2, active_at = $3, seen_latest = $4"
				   " WHERE stream_id OPERATOR(pg_catalog.=) $1",
				   4, argtypes, values, value_nulls);
}

/*
 * Writes until when nothing can be downsampled again, as it has expired.
 */
void
SaveExpiredUntil(const pg_uuid_t *id, StreamTime expired_until)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID, TIMESTAMPTZOID};
	Datum		values[2];

	values[0] = UUIDPGetDatum(id);
	values[1] = TimestampTzGetDatum(TimestampFromStreamTime(expired_until));
	UpdateProgress(&slot,
				   "UPDATE datastream.progress SET expired_until = $2"
				   " WHERE stream_id OPERATOR(pg_catalog.=) $1",
				   2, argtypes, values, NULL);
}

/*
 * Writes that a derived stream has read all that its sources have.
 */
void
SaveDerived(const pg_uuid_t *id)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID};
	Datum		values[1];

	values[0] = UUIDPGetDatum(id);
	UpdateProgress(&slot,
				   "UPDATE datastream.progress SET pending_backprocess = false, behind = false"
				   " WHERE stream_id OPERATOR(pg_catalog.=) $1",
				   1, argtypes, values, NULL);
}

/*
 * Notes that derived streams have something to read in their sources.
 */
void
MarkBehind(const pg_uuid_t *ids, int nids)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDARRAYOID};
	Datum	   *elements;
	Datum		values[1];

	if (nids == 0)
		return;

	elements = palloc(sizeof(Datum) * nids);
	for (int i = 0; i < nids; i++)
		elements[i] = UUIDPGetDatum(&ids[i]);
	values[0] = PointerGetDatum(construct_array(elements, nids, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
	RunSavedQuery(&slot,
				  "UPDATE datastream.progress SET behind = true"
				  " WHERE stream_id OPERATOR(pg_catalog.=) ANY ($1) AND NOT behind",
				  1, argtypes, values, NULL, false);
	NoteWork();
}

/*
 * Adds closed ranges to those that are to be downsampled again.  Where they get too
 * many, they become one.
 */
void
AddLateRanges(const pg_uuid_t *id, const TimeRange *ranges, int nranges)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID};
	Datum		values[3];
	Datum	   *from;
	Datum	   *to;

	if (nranges == 0)
		return;

	from = palloc(sizeof(Datum) * nranges);
	to = palloc(sizeof(Datum) * nranges);
	for (int i = 0; i < nranges; i++)
	{
		from[i] = TimestampTzGetDatum(TimestampFromStreamTime(ranges[i].from));
		to[i] = TimestampTzGetDatum(TimestampFromStreamTime(ranges[i].to));
	}

	values[0] = UUIDPGetDatum(id);
	values[1] = PointerGetDatum(construct_array(from, nranges, TIMESTAMPTZOID, sizeof(TimestampTz),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[2] = PointerGetDatum(construct_array(to, nranges, TIMESTAMPTZOID, sizeof(TimestampTz),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	UpdateProgress(&slot,
				   "UPDATE datastream.progress p SET late = CASE"
				   " WHEN (SELECT pg_catalog.count(*) FROM pg_catalog.unnest(n.ranges)) OPERATOR(pg_catalog.<=) " LATE_RANGES_MAX
				   " THEN n.ranges ELSE pg_catalog.tstzmultirange(pg_catalog.range_merge(n.ranges)) END"
				   " FROM (SELECT q.stream_id, q.late OPERATOR(pg_catalog.+)"
				   " (SELECT pg_catalog.range_agg(pg_catalog.tstzrange(x.f, x.t, '[]'))"
				   " FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3)) x(f, t)) AS ranges"
				   " FROM datastream.progress q WHERE q.stream_id OPERATOR(pg_catalog.=) $1) n"
				   " WHERE p.stream_id OPERATOR(pg_catalog.=) n.stream_id",
				   3, argtypes, values, NULL);
}

/*
 * Notes that nothing is to be downsampled again.
 */
void
ClearLateRanges(const pg_uuid_t *id)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID};
	Datum		values[1];

	values[0] = UUIDPGetDatum(id);
	UpdateProgress(&slot,
				   "UPDATE datastream.progress SET late = '{}' WHERE stream_id OPERATOR(pg_catalog.=) $1",
				   1, argtypes, values, NULL);
}
