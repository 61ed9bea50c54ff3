/*-------------------------------------------------------------------------
 *
 * closing.c
 *	  How far the buckets of a stream can be closed.
 *
 * Each level by itself is closed "until" a time, in order.  A level that is
 * behind what its stream has come to is still to be closed from there; one that
 * has no closed bucket yet, from the first thing that it is made of.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "closing.h"
#include "plans.h"
#include "source.h"
#include "upstream.h"
#include "utils/timestamp.h"

int			close_after = 3600;

/*
 * The end of the first "max_blocks" blocks of a level from a time on, or
 * STREAM_TIME_MAX if there are not so many, or if there is no limit.
 */
StreamTime
BlocksUntil(const StreamDef *def, Granularity level, StreamTime from, int max_blocks)
{
	StreamTime	until = STREAM_TIME_MAX;

	if (max_blocks > 0)
	{
		BeginLatestSnapshot();
		if (!NthBlockUntil(&def->id, level, from, max_blocks, &until))
			until = STREAM_TIME_MAX;
		EndLatestSnapshot();
	}

	return until;
}

/*
 * Until when a stream can be downsampled at once, so that about "max_blocks"
 * blocks are read; at most "until".
 */
StreamTime
LimitPass(const StreamHead *head, const StreamProgress *progress, StreamTime until, int max_blocks)
{
	Granularity finest = head->def.highest + 1;
	StreamTime	from = Max(progress->until[finest], STREAM_TIME_MIN);

	if (head->rows->count > 0 && head->rows->times[0] < from)
		return until;

	return Min(until, BucketEnd(finest, BlocksUntil(&head->def, head->def.highest, from, max_blocks)));
}

/*
 * Checks, where a head is empty, that its stream's latest datapoint is the last one
 * that is stored, which never expires: buckets are closed until there.
 */
static void
CheckLatest(const StreamHead *head)
{
	StreamTime	latest;
	bool		found;

	if (head->rows->count > 0 || head->latest == STREAM_TIME_NONE)
		return;

	BeginLatestSnapshot();
	found = LastBlockUntil(&head->def.id, head->def.highest, &latest);
	EndLatestSnapshot();

	if (!found || latest != head->latest)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("head of stream \"%s\" is damaged", StreamIdToString(&head->def.id)),
				 errdetail("The last datapoint that is stored is not at the time that is recorded as the latest.")));
}

/*
 * Until when a stream is complete, as far as is known: its latest datapoint, or
 * for a derived one, of rare events perhaps, what its sources have been read
 * until.  STREAM_TIME_NONE if it has no datapoints.
 */
StreamTime
CompleteUntil(const StreamHead *head)
{
	CheckLatest(head);
	if (head->def.derive_op < 0 || head->latest == STREAM_TIME_NONE)
		return head->latest;

	return Max(head->latest, CheckedReadUntil(&head->def, head->latest));
}

/*
 * Whether there may be something for maintenance to do with a stream; false too
 * if it is not there.
 */
bool
StreamIsDue(const pg_uuid_t *id)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID};
	StreamTime	close_at = STREAM_TIME_MAX;
	bool		due = false;
	Datum		values[1];

	values[0] = UUIDPGetDatum(id);
	if (RunSavedQuery(&slot,
					  "SELECT h.due OR h.latest OPERATOR(pg_catalog.>=) h.close_at,"
					  " CASE WHEN s.derive_op IS NOT NULL THEN h.close_at END"
					  " FROM datastream.heads h JOIN datastream.streams s"
					  " ON s.stream_id OPERATOR(pg_catalog.=) h.stream_id"
					  " WHERE h.stream_id OPERATOR(pg_catalog.=) $1",
					  1, argtypes, values, NULL, false) > 0)
	{
		bool		isnull;
		Datum		result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);

		due = !isnull && DatumGetBool(result);
		result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull);
		if (!isnull)
			close_at = StreamTimeFromTimestampClamped(DatumGetTimestampTz(result));
	}
	SPI_freetuptable(SPI_tuptable);

	/* Where all is read of sources that have nothing new, nobody has noted that. */
	return due || (close_at < STREAM_TIME_MAX && DerivedReadUntil(id) >= close_at);
}

/*
 * Whether datapoints have come to a stream since it was last looked that are
 * older than that: nobody knows when, so that it is not silent yet.
 */
bool
HasBeenFilled(const StreamHead *head, const StreamProgress *progress, StreamTime complete_until)
{
	return complete_until != progress->seen_latest &&
		BucketEnd(head->def.highest + 1, complete_until) < head->check_at;
}

/*
 * The end of a stream's coarsest bucket with a time in it that ends at or before
 * "limit"; STREAM_TIME_NONE if there is none.
 */
static StreamTime
CoarsestEnd(const StreamDef *def, StreamTime t, StreamTime limit)
{
	StreamTime	coarsest = STREAM_TIME_NONE;

	for (int i = def->highest + 1; i < GRANULARITY_COUNT; i++)
	{
		StreamTime	end = BucketEnd((Granularity) i, t);

		if (end <= limit)
			coarsest = end;
	}

	return coarsest;
}

/*
 * Until when buckets of a stream can be closed that has gone silent: the end of
 * the coarsest bucket with the time that it has come to that has been over for
 * so long by the clock; STREAM_TIME_NONE if it has not gone silent.
 */
StreamTime
SilentUntil(const StreamDef *def, const StreamProgress *progress, StreamTime complete_until,
			StreamTime now)
{
	StreamTime	over_until = now - close_after * INT64CONST(1000);

	if (progress->active_at != STREAM_TIME_NONE && progress->active_at > over_until)
		return STREAM_TIME_NONE;

	return CoarsestEnd(def, complete_until, over_until);
}

/*
 * When to look next whether a stream has gone silent.
 */
StreamTime
NextCheck(const StreamDef *def, const StreamProgress *progress, StreamTime complete_until)
{
	for (int i = def->highest + 1; i < GRANULARITY_COUNT; i++)
	{
		if (progress->until[i] <= complete_until)
			return Max(BucketEnd((Granularity) i, complete_until), progress->active_at);
	}

	return STREAM_TIME_NONE;
}

/*
 * Until when buckets are to be closed by what has been asked for.  Where that
 * is also those that nothing has come after, a time that has not come yet
 * counts only for those with what the stream has.
 */
StreamTime
AskedUntil(const StreamDef *def, const DownsampleLimits *limits, StreamTime complete_until,
		   StreamTime now)
{
	if (!limits->close_last)
		return Min(limits->until, complete_until);

	return Min(limits->until, Max(CoarsestEnd(def, complete_until, limits->until),
								  Max(complete_until, now)));
}

/*
 * The time of the first thing that a level is made of which has no closed
 * bucket yet, of a stream that has datapoints.
 */
static StreamTime
FirstToClose(const StreamDef *def, const StreamProgress *progress, Granularity level)
{
	Granularity above = (Granularity) (level - 1);
	StreamTime	first;
	bool		found;

	BeginLatestSnapshot();
	found = above == def->highest ? StreamEarliest(def, &first) : FirstBlockStart(&def->id, above, &first);
	EndLatestSnapshot();

	return found ? first : Max(progress->until[above], STREAM_TIME_MIN);
}

/*
 * Finds from when on the buckets of each level are still to be closed, of a
 * stream that has datapoints.
 */
void
FindOpenFrom(const StreamDef *def, const StreamProgress *progress, StreamTime *from)
{
	StreamTime	first = STREAM_TIME_NONE;

	for (int i = def->highest + 1; i < GRANULARITY_COUNT; i++)
	{
		Granularity level = (Granularity) i;

		from[level] = progress->until[level];
		if (from[level] != STREAM_TIME_NONE)
			continue;

		/* No level is further than the one above. */
		if (first == STREAM_TIME_NONE)
			first = FirstToClose(def, progress, level);
		from[level] = BucketStart(level, first);
	}
}

/*
 * Finds until when the buckets of each level can be closed at once, and returns
 * the coarsest level that has some; the highest granularity if none has.
 */
Granularity
FindCloseUntil(const StreamDef *def, const StreamProgress *progress, const StreamTime *from,
			   StreamTime limit, int max_blocks, StreamTime *close_until)
{
	Granularity coarsest = def->highest;

	for (int i = def->highest + 1; i < GRANULARITY_COUNT; i++)
	{
		Granularity level = (Granularity) i;
		Granularity above = (Granularity) (level - 1);

		/* One that was left behind is made of what is stored, which may be much. */
		if (above != def->highest && from[level] < BucketStart(level, Max(progress->until[above], STREAM_TIME_MIN)))
			limit = Min(limit, BucketEnd(level, BlocksUntil(def, above, from[level], max_blocks)));

		close_until[level] = limit = BucketStart(level, limit);
		if (from[level] < close_until[level])
			coarsest = level;
	}

	return coarsest;
}

/*
 * When the next bucket of a stream that is complete until a time can be closed;
 * STREAM_TIME_NONE if none can.
 */
StreamTime
NextClose(const StreamDef *def, const StreamTime *from, StreamTime complete_until)
{
	StreamTime	next = STREAM_TIME_MAX;

	for (int i = def->highest + 1; i < GRANULARITY_COUNT; i++)
	{
		Granularity level = (Granularity) i;

		if (from[level] < BucketStart(level, complete_until))
			next = Min(next, BucketEnd(level, from[level]));
	}

	return next < STREAM_TIME_MAX ? next : STREAM_TIME_NONE;
}
