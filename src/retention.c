/*-------------------------------------------------------------------------
 *
 * retention.c
 *	  Keeping datapoints for a limited time.
 *
 * What a stream keeps is said for each granularity by itself.  A block expires
 * as a whole, when the last of its rows has become older than that.  A stream's
 * latest datapoint never does, nor does what is in one bucket with it.
 * Nothing is deleted before the next coarser granularity, and the streams that
 * derive from it, have made of it what they make.
 *
 * A bucket can only be made again as long as all that it was made of is there.
 * So deleting moves on the time before which late datapoints are refused, and
 * nothing is derived again: expired_until in datastream.progress.
 *
 * Each limit has a time at which somebody should look at it next.  That is when
 * the oldest block expires.  Where that could not be deleted, or there is none,
 * it is after a pause as long as the time that has been waited for it.
 *
 * Time is that of UTC, as it is for buckets: a day has 24 hours, and a month
 * begins when it does there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "errors.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "operator.h"
#include "plans.h"
#include "read_only.h"
#include "retention.h"
#include "source.h"
#include "store.h"
#include "upstream.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "wakeup.h"

PG_FUNCTION_INFO_V1(ds_set_retention);

/* The longest time to keep datapoints */
#define KEEP_MAX_YEARS	1000

/* Pauses between two looks at a granularity, at least and, while waiting, at most */
#define PAUSE_MIN	USECS_PER_MINUTE
#define PAUSE_MAX	USECS_PER_DAY

/* Rows of datastream.retention that are fetched at a time */
#define FETCH_BATCH	500

/*
 * Whether a time to keep datapoints is positive, and not too long to be computed
 * with.  An infinite interval has parts that are too large.
 */
static bool
KeepIsPossible(const Interval *keep)
{
	double		years = keep->month / 12.0 + keep->day / 365.25 +
		keep->time / ((double) USECS_PER_DAY * 365.25);

	return keep->month >= 0 && keep->day >= 0 && keep->time >= 0 && years > 0 && years <= KEEP_MAX_YEARS;
}

/*
 * Refuses any other.
 */
static void
CheckKeep(const Interval *keep)
{
	if (!KeepIsPossible(keep))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("keep must be a positive interval of at most %d years", KEEP_MAX_YEARS),
				 errhint("Use NULL to keep datapoints without a limit.")));
}

/*
 * A time that lies "keep" before or behind another one, in UTC.
 */
static TimestampTz
Before(TimestampTz t, const Interval *keep)
{
	return DatumGetTimestamp(DirectFunctionCall2(timestamp_mi_interval, TimestampGetDatum(t),
												 IntervalPGetDatum(keep)));
}

static TimestampTz
After(TimestampTz t, const Interval *keep)
{
	return DatumGetTimestamp(DirectFunctionCall2(timestamp_pl_interval, TimestampGetDatum(t),
												 IntervalPGetDatum(keep)));
}

/*
 * Stream identifiers as an SQL array.
 */
static Datum
IdArray(const pg_uuid_t *ids, int nids)
{
	Datum	   *elements = palloc(sizeof(Datum) * (nids + 1));

	for (int i = 0; i < nids; i++)
		elements[i] = UUIDPGetDatum(&ids[i]);

	return PointerGetDatum(construct_array(elements, nids, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}

/*
 * The names of the granularities finer than one, as an SQL array.
 */
static Datum
FinerGranularities(Granularity level)
{
	Datum		elements[GRANULARITY_COUNT];

	for (int i = 0; i < level; i++)
		elements[i] = CStringGetTextDatum(GranularityName((Granularity) i));

	return PointerGetDatum(construct_array(elements, level, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * Sets how long those of the given streams that have a granularity keep it, and
 * returns how many these are.
 */
static int64
SetRetention(const pg_uuid_t *ids, int nids, Granularity level, const Interval *keep)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDARRAYOID, TEXTOID, INTERVALOID, TIMESTAMPTZOID, TEXTARRAYOID};
	Datum		values[5];
	int64		count;

	values[0] = IdArray(ids, nids);
	values[1] = CStringGetTextDatum(GranularityName(level));
	values[2] = IntervalPGetDatum(keep);
	values[3] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[4] = FinerGranularities(level);
	count = (int64)
		RunSavedQuery(&slot,
					  "INSERT INTO datastream.retention (stream_id, granularity, keep, check_at)"
					  " SELECT s.stream_id, $2, $3, $4 FROM datastream.streams s"
					  " WHERE s.stream_id OPERATOR(pg_catalog.=) ANY ($1)"
					  " AND (s.highest_granularity OPERATOR(pg_catalog.=) $2"
					  " OR (s.highest_granularity OPERATOR(pg_catalog.=) ANY ($5)"
					  " AND s.value_downsamplers OPERATOR(pg_catalog.<>) '{}'))"
					  " ON CONFLICT (stream_id, granularity) DO UPDATE"
					  " SET keep = EXCLUDED.keep, check_at = EXCLUDED.check_at, waiting_since = NULL",
					  5, argtypes, values, NULL, false);
	if (count > 0)
		NoteWork();

	return count;
}

/*
 * Lets the given streams keep a granularity without a limit, and returns how
 * many had one.
 */
static int64
RemoveRetention(const pg_uuid_t *ids, int nids, Granularity level)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDARRAYOID, TEXTOID};
	Datum		values[2];

	values[0] = IdArray(ids, nids);
	values[1] = CStringGetTextDatum(GranularityName(level));

	return (int64)
		RunSavedQuery(&slot,
					  "DELETE FROM datastream.retention"
					  " WHERE stream_id OPERATOR(pg_catalog.=) ANY ($1)"
					  " AND granularity OPERATOR(pg_catalog.=) $2",
					  2, argtypes, values, NULL, false);
}

/*
 * ds_set_retention(query_tags jsonb, granularity text, keep interval)
 * returns bigint
 *
 * Sets how long the matching streams keep their datapoints of a granularity;
 * NULL is for ever.  Streams that have not got that granularity are left out.
 * Returns how many streams have been given a limit, or have lost one.
 *
 * Errors: unsupported_granularity, also if all matching streams are left out;
 * invalid_parameter_value for a "keep" that is not positive, or too long;
 * stream_append_contended.
 */
Datum
ds_set_retention(PG_FUNCTION_ARGS)
{
	Granularity level;
	pg_uuid_t  *ids;
	int			nids;
	int64		count;

	RefuseReadOnly("ds_set_retention()");
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("granularity must not be null")));

	level = ParseGranularity(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (!PG_ARGISNULL(2))
		CheckKeep(PG_GETARG_INTERVAL_P(2));

	SPI_connect();
	FindStreamIds(PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0), true, &ids, &nids);

	/* While they are locked, none of them is deleted. */
	LockStreams(ids, nids, false);
	if (PG_ARGISNULL(2))
		count = RemoveRetention(ids, nids, level);
	else
	{
		count = SetRetention(ids, nids, level, PG_GETARG_INTERVAL_P(2));
		if (count == 0 && nids > 0)
			ereport(ERROR,
					(errcode(ERRCODE_DS_UNSUPPORTED_GRANULARITY),
					 errmsg("none of the matching streams has granularity \"%s\"", GranularityName(level)),
					 errdetail("A stream has its highest granularity and, if it is downsampled, all that are coarser.")));
	}
	SPI_finish();

	PG_RETURN_INT64(count);
}

/* The columns that make a Retention, of datastream.retention under the alias r */
#define RETENTION_COLUMNS	"r.granularity, r.keep, r.check_at, r.waiting_since"

/*
 * Reads a limit in a row of a result, which has RETENTION_COLUMNS from "attribute"
 * on; false if it is damaged.
 */
static bool
RetentionFromTuple(HeapTuple tuple, TupleDesc desc, int attribute, Retention *limit)
{
	bool		isnull;
	Datum		keep = SPI_getbinval(tuple, desc, attribute + 1, &isnull);

	if (isnull || !KeepIsPossible(DatumGetIntervalP(keep)) ||
		!FindGranularity(SPI_getvalue(tuple, desc, attribute), &limit->level))
		return false;

	limit->keep = *DatumGetIntervalP(keep);
	limit->check_at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, attribute + 2, &isnull));
	limit->waiting_since = DatumGetTimestampTz(SPI_getbinval(tuple, desc, attribute + 3, &isnull));
	if (isnull)
		limit->waiting_since = DT_NOBEGIN;

	return true;
}

/*
 * How long a stream keeps what: its limits, in the current memory context.
 * With "read_only" they are those that the active snapshot shows.
 */
Retention *
LoadRetention(const pg_uuid_t *id, bool read_only, int *count)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID};
	Datum		values[1];
	Retention  *limits;

	values[0] = UUIDPGetDatum(id);
	*count = (int) RunSavedQuery(&slot,
								 "SELECT " RETENTION_COLUMNS " FROM datastream.retention r"
								 " WHERE r.stream_id OPERATOR(pg_catalog.=) $1",
								 1, argtypes, values, NULL, read_only);
	limits = palloc(sizeof(Retention) * (*count + 1));
	for (int i = 0; i < *count; i++)
	{
		if (!RetentionFromTuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &limits[i]))
			ReportDamagedStream(id, "It has a limit of time that cannot be.");
	}
	SPI_freetuptable(SPI_tuptable);

	return limits;
}

/*
 * Writes when to look at a stream's limit next.
 */
static void
SaveCheckAt(const pg_uuid_t *id, const Retention *limit)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[4];

	values[0] = UUIDPGetDatum(id);
	values[1] = CStringGetTextDatum(GranularityName(limit->level));
	values[2] = TimestampTzGetDatum(limit->check_at);
	values[3] = TimestampTzGetDatum(limit->waiting_since);
	RunSavedQuery(&slot,
				  "UPDATE datastream.retention SET check_at = $3, waiting_since = $4"
				  " WHERE stream_id OPERATOR(pg_catalog.=) $1"
				  " AND granularity OPERATOR(pg_catalog.=) $2",
				  4, argtypes, values, limit->waiting_since == DT_NOBEGIN ? "   n" : NULL, false);
}

/*
 * When the oldest block of a level expires, with the newest snapshot; false if
 * there is none.
 */
static bool
FirstExpiry(const pg_uuid_t *id, bool highest, const Retention *limit, bool damage_ok,
			TimestampTz *expiry)
{
	StreamTime	until;
	bool		found;

	BeginLatestSnapshot();
	found = FirstBlockUntil(id, limit->level, damage_ok, &until);
	EndLatestSnapshot();

	if (found)
		*expiry = After(TimestampFromStreamTime(highest ? until + 1 : BucketEnd(limit->level, until)),
						&limit->keep);

	return found;
}

/*
 * The streams of which something has expired, whether it can be deleted now or
 * not, in the current memory context.
 */
void
FindExpired(pg_uuid_t **ids, int *nids)
{
	static PlanSlot slot;
	MemoryContext result_context = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "datastream retention",
												  ALLOCSET_DEFAULT_SIZES);
	TimestampTz now = GetCurrentTimestamp();
	int			capacity = 16;
	uint64		fetched;
	Portal		portal;

	*ids = palloc(capacity * sizeof(pg_uuid_t));
	*nids = 0;

	portal = OpenPlan(PreparedPlan(&slot,
								   "SELECT r.stream_id, s.highest_granularity, " RETENTION_COLUMNS
								   " FROM datastream.retention r JOIN datastream.streams s"
								   " ON s.stream_id OPERATOR(pg_catalog.=) r.stream_id"
								   " ORDER BY r.stream_id",
								   0, NULL), NULL, false);
	do
	{
		SPITupleTable *batch;

		fetched = FetchRows(portal, FETCH_BATCH);
		batch = SPI_tuptable;
		MemoryContextSwitchTo(context);
		for (uint64 i = 0; i < fetched; i++)
		{
			HeapTuple	tuple = batch->vals[i];
			TupleDesc	desc = batch->tupdesc;
			bool		isnull;
			const pg_uuid_t *id = DatumGetUUIDP(SPI_getbinval(tuple, desc, 1, &isnull));
			char	   *highest = SPI_getvalue(tuple, desc, 2);
			Retention	limit;
			TimestampTz expiry;

			CHECK_FOR_INTERRUPTS();

			if (*nids > 0 && CompareStreamIds(id, &(*ids)[*nids - 1]) == 0)
				continue;

			/* Of one that is damaged the error is left to those who work on it. */
			if (RetentionFromTuple(tuple, desc, 3, &limit) &&
				(!FirstExpiry(id, highest != NULL && strcmp(highest, GranularityName(limit.level)) == 0,
							  &limit, true, &expiry) || expiry > now))
				continue;

			if (*nids == capacity)
			{
				capacity *= 2;
				*ids = repalloc_huge(*ids, (Size) capacity * sizeof(pg_uuid_t));
			}
			(*ids)[(*nids)++] = *id;
		}
		MemoryContextSwitchTo(result_context);
		MemoryContextReset(context);
		SPI_freetuptable(batch);
	} while (fetched > 0);

	SPI_cursor_close(portal);
	MemoryContextDelete(context);
}

/*
 * Whether there is a granularity that is made from this one.
 */
static bool
HasCoarser(const StreamDef *def, Granularity level)
{
	return def->value_downsamplers != 0 && level < GRANULARITY_YEARS;
}

/*
 * The time of the last datapoint, or the start of the last bucket, with a value
 * that a stream has at a level until a time; that time itself if it has none.
 */
static StreamTime
LastValue(const StreamDef *def, Granularity level, StreamTime until)
{
	Source		source = {0};
	StreamTime	end = level > def->highest ? BucketEnd(level, until) : until + 1;
	StreamTime	t;
	Value		value;

	source.def = *def;
	source.granularity = level;
	source.origin = STREAM_TIME_NONE;
	if (!LookBack(&source, end, true, &t, &value))
		return until;

	return t;
}

/* The time of the last datapoint, or in the last bucket, that has been read of a source */
#define LAST_READ \
	"CASE WHEN read_count OPERATOR(pg_catalog.>) 0 THEN read_until" \
	" ELSE read_until OPERATOR(pg_catalog.-) '1 ms'::pg_catalog.interval END"

/* Attributes of the query of NeededFrom() */
#define NEEDED_STREAM		1
#define NEEDED_DERIVE_OP	2
#define NEEDED_FOLLOWED		3
#define NEEDED_LAST_READ	4
#define NEEDED_FOLLOWED_READ	5

/*
 * The time from which on a derived stream, in a row of the query of
 * NeededFrom(), still needs its source; STREAM_TIME_MAX if it needs nothing.
 */
static StreamTime
NeededByDerived(const StreamHead *head, Granularity level, HeapTuple tuple, TupleDesc desc)
{
	const StreamDef *def = &head->def;
	char	   *name = SPI_getvalue(tuple, desc, NEEDED_DERIVE_OP);
	int			derive_op = name != NULL ? FindDeriveOperator(name, strlen(name)) : -1;
	bool		joins = derive_op >= 0 && DeriveOperators[derive_op].joins_sources;
	bool		isnull;
	Datum		read_until = SPI_getbinval(tuple, desc, NEEDED_LAST_READ, &isnull);
	bool		unread = isnull;
	Datum		follows_until = SPI_getbinval(tuple, desc, NEEDED_FOLLOWED_READ, &isnull);
	bool		unfollowed = isnull;
	StreamTime	unsettled_from =
		UnsettledFrom(DatumGetUUIDP(SPI_getbinval(tuple, desc, NEEDED_STREAM, &isnull)));
	StreamTime	from;

	if (joins && unsettled_from == STREAM_TIME_MAX)
		return STREAM_TIME_MAX;
	if (unread || (!joins && unfollowed))
		return STREAM_TIME_MIN;

	from = Min(unsettled_from, StreamTimeFromTimestampClamped(DatumGetTimestampTz(read_until)));
	if (!joins)
		from = Min(from, StreamTimeFromTimestampClamped(DatumGetTimestampTz(follows_until)));
	if (!joins && DatumGetBool(SPI_getbinval(tuple, desc, NEEDED_FOLLOWED, &isnull)))
		from = LastValue(def, level, from);

	/* A bucket is read at the time of its last datapoint. */
	return level > def->highest ? BucketStart(level, from) : from;
}

/*
 * The time from which on streams that derive from a locked stream's level still
 * need what is there, with the newest snapshot.
 *
 * What is to be derived again may need anything.  A stream that has fallen
 * behind, or is about to be told so, needs what it has not read, and what comes
 * with that of other sources, which may be behind themselves.  Operators
 * that do not join their sources look back: at the last value of the source
 * that they follow, and at all that the others have had since.  A join does not
 * wait for a source that sends nothing, as it may never do so again.
 */
static StreamTime
NeededFrom(const StreamHead *head, Granularity level)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID, TEXTOID};
	StreamTime	needed = STREAM_TIME_MAX;
	SPITupleTable *derived;
	Datum		values[2];
	uint64		nderived;

	values[0] = UUIDPGetDatum(&head->def.id);
	values[1] = CStringGetTextDatum(GranularityName(level));
	BeginLatestSnapshot();
	nderived = RunSavedQuery(&slot,
							 "SELECT d.stream_id, s.derive_op,"
							 " f.\"position\" OPERATOR(pg_catalog.=) d.\"position\", d.last_read, f.last_read"
							 " FROM (SELECT *, " LAST_READ " AS last_read FROM datastream.sources) d"
							 " LEFT JOIN datastream.streams s ON s.stream_id OPERATOR(pg_catalog.=) d.stream_id"
							 " CROSS JOIN LATERAL (SELECT l.\"position\", " LAST_READ " AS last_read FROM datastream.sources l"
							 " WHERE l.stream_id OPERATOR(pg_catalog.=) d.stream_id"
							 " ORDER BY l.\"position\" DESC LIMIT 1) f"
							 " WHERE d.source_id OPERATOR(pg_catalog.=) $1"
							 " AND d.granularity OPERATOR(pg_catalog.=) $2",
							 2, argtypes, values, NULL, true);
	derived = SPI_tuptable;
	for (uint64 i = 0; i < nderived; i++)
		needed = Min(needed, NeededByDerived(head, level, derived->vals[i], derived->tupdesc));
	SPI_freetuptable(derived);
	EndLatestSnapshot();

	return needed;
}

/*
 * Before which time the blocks of a locked stream's level can be deleted now.
 */
static StreamTime
DeletableBefore(const StreamHead *head, const StreamProgress *progress, Granularity level,
				StreamTime cutoff)
{
	const StreamDef *def = &head->def;

	/* What is to be derived is done first, as that may change any datapoint. */
	if (progress->behind)
		return STREAM_TIME_MIN;

	/* A bucket has expired when its end has; the latest datapoint never does. */
	if (level > def->highest)
		cutoff = BucketStart(level, cutoff);
	else
		cutoff = Min(cutoff, Max(head->latest, STREAM_TIME_MIN));

	if (HasCoarser(def, level))
	{
		/*
		 * A stream that has gone silent has been closed beyond its latest
		 * datapoint.  What is appended behind that, or derived, must not be
		 * refused, so its bucket must stay one that can be made again.
		 */
		cutoff = Min(cutoff, progress->until[level + 1]);
		cutoff = Min(cutoff, BucketStart(level + 1, Max(head->latest, STREAM_TIME_MIN)));

		/* Of late datapoints that wait, the buckets are to be made again. */
		if (progress->nlate > 0)
			cutoff = Min(cutoff, BucketStart(level + 1, progress->late[0].from));
	}
	if (head->contributes)
		cutoff = Min(cutoff, NeededFrom(head, level));

	return cutoff;
}

/*
 * Until when nothing can be made again if the rows of a level until "until"
 * are gone: the end of their last bucket at the next level.
 */
static StreamTime
ExpiredUntil(const StreamDef *def, Granularity level, StreamTime until)
{
	if (HasCoarser(def, level))
		return BucketEnd(level + 1, until);

	return level == def->highest ? until + 1 : STREAM_TIME_NONE;
}

/*
 * Sets when to look next at a limit, now that what could be deleted has been;
 * "deleted" tells whether that was anything.
 */
static void
ScheduleCheck(const StreamDef *def, Retention *limit, TimestampTz now, bool deleted)
{
	TimestampTz longest = Min(After(now, &limit->keep), now + PAUSE_MAX);
	TimestampTz expiry;

	if (FirstExpiry(&def->id, limit->level == def->highest, limit, false, &expiry) && expiry > now)
	{
		limit->waiting_since = DT_NOBEGIN;
		limit->check_at = expiry;
	}
	else
	{
		if (deleted || limit->waiting_since == DT_NOBEGIN)
			limit->waiting_since = now;
		limit->check_at = Min(now + (now - limit->waiting_since), longest);
	}
	limit->check_at = Max(limit->check_at, now + PAUSE_MIN);
}

/*
 * Deletes what a stream keeps no longer: of each granularity so many blocks at
 * most.  With "at_once" it does not matter if it is time to look at them, and
 * the stream is waited for; otherwise nothing is done if others have locked it.
 * The number of rows that have been deleted is added to "datapoints".
 *
 * SPI must be connected.  The stream stays locked until the end of the
 * transaction.
 */
RetentionOutcome
ApplyRetention(const pg_uuid_t *id, bool at_once, int max_blocks, int64 *datapoints)
{
	RetentionOutcome outcome = RETENTION_NOTHING;
	TimestampTz now = GetCurrentTimestamp();
	StreamHead	head;
	StreamProgress progress;
	StreamTime	expired_until;
	Retention  *limits;
	int			nlimits;
	int			ndue = 0;

	if (!LockStream(id, !at_once, true, &head, CurrentMemoryContext))
		return RETENTION_NOTHING;

	limits = LoadRetention(id, false, &nlimits);
	for (int i = 0; i < nlimits; i++)
	{
		if (limits[i].level < head.def.highest)
			ReportDamagedStream(id, "It keeps a granularity that it has not.");
		if (at_once || limits[i].check_at <= now)
			limits[ndue++] = limits[i];
	}
	if (ndue == 0)
		return RETENTION_NOTHING;

	LockProgress(id, &progress);
	expired_until = progress.expired_until;

	for (int i = 0; i < ndue; i++)
	{
		Retention  *limit = &limits[i];
		StreamTime	cutoff = StreamTimeFromTimestampClamped(Before(now, &limit->keep));
		StreamTime	before = DeletableBefore(&head, &progress, limit->level, cutoff);
		DeletedBlocks deleted = DeleteOldBlocks(id, limit->level, before, max_blocks);

		if (deleted.blocks > 0)
		{
			*datapoints += deleted.rows;
			expired_until = Max(expired_until, ExpiredUntil(&head.def, limit->level, deleted.until));
			outcome = Max(outcome, RETENTION_DONE);
			if (limit->level == head.def.highest)
				SaveHead(&head);
		}

		if (deleted.blocks >= max_blocks)
			outcome = RETENTION_MORE;
		else
		{
			ScheduleCheck(&head.def, limit, now, deleted.blocks > 0);
			SaveCheckAt(id, limit);
		}
	}

	if (expired_until != progress.expired_until)
		SaveExpiredUntil(id, expired_until);

	return outcome;
}
