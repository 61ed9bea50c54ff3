/*-------------------------------------------------------------------------
 *
 * query_scan.h
 *	  Ranges of streams, and walks over them.
 *
 * Everything here acts with the rights of the caller.  It needs an open SPI
 * connection and reads with the active snapshot, but for what goes on with a scan
 * or ends it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_QUERY_SCAN_H
#define DS_QUERY_SCAN_H

#include "bucket.h"
#include "store.h"

/* One end of a range, as a client gives it */
typedef enum BoundKind
{
	BOUND_NONE,
	BOUND_INCLUSIVE,
	BOUND_EXCLUSIVE
} BoundKind;

typedef struct TimeBound
{
	BoundKind	kind;
	TimestampTz ts;				/* any timestamp, infinite ones too */
} TimeBound;

/* A walk over the datapoints of a range, block by block */
typedef struct DatapointScan
{
	BlockScan  *blocks;
	bool		reverse;
	const DataBlock *block;		/* the block in hand, */
	const Column *column;		/* the values in it, */
	int			first;			/* its first row in range, */
	int			count;			/* and how many are */
	MemoryContext context;		/* for what is made of the block in hand */
} DatapointScan;

/* A walk over all buckets of a range, bucket by bucket */
typedef struct BucketScan
{
	Granularity level;
	TimeRange	range;
	bool		reverse;
	StreamTime	next;			/* the bucket to come */
	BucketState state;			/* the bucket in hand */
	bool		stored;			/* whether it has datapoints */
	BlockScan  *blocks;
	const DataBlock *block;		/* has the next stored bucket, or NULL; */
	int			row;			/* in this row, */
	int			left;			/* with so many to come from it on */
	MemoryContext context;		/* for what is made of the bucket in hand */
} BucketScan;

/* A range of buckets goes from the start of the first to the start of the last. */
extern TimeRange RequestedRange(const StreamDef *def, Granularity level,
								TimeBound start, TimeBound end);
extern bool ExistingBuckets(const StreamDef *def, Granularity level, TimeRange *buckets);
extern bool RequestedBuckets(const StreamDef *def, Granularity level,
							 TimeBound start, TimeBound end, TimeRange *buckets);

extern void BeginDatapointScan(DatapointScan *scan, const StreamDef *def, TimeRange range,
							   bool reverse);
extern bool NextDatapoints(DatapointScan *scan);
extern void EndDatapointScan(DatapointScan *scan);

extern void BeginBucketScan(BucketScan *scan, const StreamDef *def, Granularity level,
							TimeRange range, bool reverse, uint32 columns);
extern bool NextBucket(BucketScan *scan);
extern void EndBucketScan(BucketScan *scan);

/*
 * The row that comes at place i among those of the block in hand.
 */
static inline int
DatapointRow(const DatapointScan *scan, int i)
{
	return scan->first + (scan->reverse ? scan->count - 1 - i : i);
}

#endif							/* DS_QUERY_SCAN_H */
