/*-------------------------------------------------------------------------
 *
 * query_scan.c
 *	  Ranges of streams, and walks over them.
 *
 * At its highest granularity a stream has datapoints, in blocks and head.
 * Below it it has closed buckets: all of them from the first to the last, of
 * which only those with datapoints are stored; the others are made up here.
 * However long the range, no more than a few blocks are in memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "query_scan.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/*
 * The times t that lie between two bounds: those of datapoints at a stream's
 * highest granularity, starts of buckets below it.  Times outside the
 * supported years may come out, and a range without any time.
 */
TimeRange
RequestedRange(const StreamDef *def, Granularity level, TimeBound start, TimeBound end)
{
	TimeRange	range = {STREAM_TIME_MIN, STREAM_TIME_MAX};

	if (start.kind != BOUND_NONE)
	{
		StreamTime	t = StreamTimeFromTimestampClamped(start.ts);

		if (start.kind == BOUND_INCLUSIVE)
			range.from = BucketStart(level, t);
		else if (level == def->highest)
			range.from = t + 1;
		else
			range.from = BucketEnd(level, t);
	}

	if (end.kind != BOUND_NONE)
	{
		range.to = StreamTimeFromTimestampClamped(end.ts);

		/*
		 * The millisecond that an exclusive end lies in is excluded only if
		 * it lies at its very start.
		 */
		if (end.kind == BOUND_EXCLUSIVE && TimestampFromStreamTime(range.to) >= end.ts)
			range.to--;
	}

	return range;
}

/*
 * The closed buckets of a stream at a lower granularity, with and without
 * datapoints, from the first one with datapoints on; false if there are none.
 * That is the stream's first, or the first that has not expired at this level.
 */
bool
ExistingBuckets(const StreamDef *def, Granularity level, TimeRange *buckets)
{
	StreamProgress progress;
	StreamTime	first;

	if (!ReadProgress(&def->id, &progress) || progress.until[level] == STREAM_TIME_NONE ||
		!FirstBlockStart(&def->id, level, &first))
		return false;

	buckets->from = BucketStart(level, first);
	buckets->to = BucketStart(level, progress.until[level] - 1);

	return buckets->from <= buckets->to;
}

/*
 * The closed buckets between two bounds; false if there are none.
 */
bool
RequestedBuckets(const StreamDef *def, Granularity level, TimeBound start, TimeBound end,
				 TimeRange *buckets)
{
	TimeRange	range = RequestedRange(def, level, start, end);

	if (!ExistingBuckets(def, level, buckets))
		return false;

	buckets->from = Max(buckets->from, range.from);
	buckets->to = Min(buckets->to, BucketStart(level, range.to));

	return buckets->from <= buckets->to;
}

/*
 * Begins to read the datapoints of a stream in a range, the last first in
 * reverse.
 */
void
BeginDatapointScan(DatapointScan *scan, const StreamDef *def, TimeRange range, bool reverse)
{
	DataBlock  *head_rows = ReadHeadRows(&def->id, CurrentMemoryContext);

	scan->reverse = reverse;
	scan->context = AllocSetContextCreate(CurrentMemoryContext, "datastream datapoints",
										  ALLOCSET_DEFAULT_SIZES);
	scan->blocks = BeginBlockScan(&def->id, def->highest, head_rows, range.from, range.to,
								  reverse, COLUMN_BIT(COLUMN_DATAPOINT));
}

/*
 * Goes to the next block, and resets scan->context; false at the end.
 */
bool
NextDatapoints(DatapointScan *scan)
{
	int			last;

	MemoryContextReset(scan->context);
	scan->block = NextBlock(scan->blocks, &scan->first, &last);
	if (scan->block == NULL)
		return false;

	scan->count = last - scan->first;
	scan->column = BlockColumn(scan->block, COLUMN_DATAPOINT);

	return true;
}

/*
 * Ends a scan.  A scan of either kind that an error interrupts is cleaned up
 * with the transaction.
 */
void
EndDatapointScan(DatapointScan *scan)
{
	EndBlockScan(scan->blocks);
	MemoryContextDelete(scan->context);
}

/*
 * Moves a scan to its next stored bucket.
 */
static void
AdvanceStoredBucket(BucketScan *scan)
{
	int			first;
	int			last;

	if (--scan->left > 0)
	{
		scan->row += scan->reverse ? -1 : 1;
		return;
	}

	scan->block = NextBlock(scan->blocks, &first, &last);
	if (scan->block != NULL)
	{
		scan->row = scan->reverse ? last - 1 : first;
		scan->left = last - first;
	}
}

/*
 * Begins to read all buckets of a level in a range, the last first in reverse,
 * with those columns of their states.
 */
void
BeginBucketScan(BucketScan *scan, const StreamDef *def, Granularity level, TimeRange range,
				bool reverse, uint32 columns)
{
	scan->level = level;
	scan->range = range;
	scan->reverse = reverse;
	scan->next = reverse ? range.to : range.from;
	scan->stored = false;
	scan->context = AllocSetContextCreate(CurrentMemoryContext, "datastream bucket",
										  ALLOCSET_DEFAULT_SIZES);
	InitBucket(&scan->state, def, CurrentMemoryContext);
	scan->blocks = BeginBlockScan(&def->id, level, NULL, range.from, range.to, reverse, columns);
	scan->left = 1;
	AdvanceStoredBucket(scan);
}

/*
 * Goes to the next bucket, whose state is then in scan->state, and resets
 * scan->context; false at the end.
 */
bool
NextBucket(BucketScan *scan)
{
	StreamTime	start = scan->next;
	MemoryContext old_context;

	CHECK_FOR_INTERRUPTS();

	if (scan->reverse ? start < scan->range.from : start > scan->range.to)
		return false;
	scan->next = scan->reverse ? BucketStart(scan->level, start - 1) : BucketEnd(scan->level, start);

	/* What the state has from the last row is no longer needed. */
	if (scan->stored)
		AdvanceStoredBucket(scan);
	MemoryContextReset(scan->context);
	old_context = MemoryContextSwitchTo(scan->context);

	scan->stored = false;
	if (scan->block != NULL)
	{
		StreamTime	stored = scan->block->times[scan->row];

		/* One that the scan has passed is not at a boundary, or double. */
		if (scan->reverse ? stored > start : stored < start)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("stored bucket of granularity \"%s\" at \"%s\" is not in its place",
							GranularityName(scan->level),
							timestamptz_to_str(TimestampFromStreamTime(stored)))));
		scan->stored = (stored == start);
	}

	if (scan->stored)
		LoadBucket(&scan->state, scan->block, scan->row);
	else
		ResetBucket(&scan->state, start);
	MemoryContextSwitchTo(old_context);

	return true;
}

/*
 * Ends a scan.
 */
void
EndBucketScan(BucketScan *scan)
{
	EndBlockScan(scan->blocks);
	MemoryContextDelete(scan->context);
}
