/*-------------------------------------------------------------------------
 *
 * bucket.h
 *	  The state of a bucket: what all its downsamplers know of its datapoints.
 *	  States can be merged, stored as a row of a block, and finished to what
 *	  clients see.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BUCKET_H
#define DS_BUCKET_H

#include "block.h"
#include "stream.h"
#include "time_downsampler.h"
#include "value_downsampler.h"

typedef struct BucketState
{
	StreamTime	start;			/* of the bucket */
	TimeState	time;
	ValueState	value;
	MemoryContext context;		/* of what does not fit in here */
	MemoryContext scratch;		/* of intermediate results; or NULL */
} BucketState;

/*
 * Makes an empty state for a bucket of a stream.  What the state needs beyond
 * the struct is allocated in "context"; ResetBucket() empties it again
 * (for a bucket that starts at "start"), keeping memory for reuse.
 */
extern void InitBucket(BucketState *state, const StreamDef *def, MemoryContext context);
extern void ResetBucket(BucketState *state, StreamTime start);

/* Adds rows [from, to) of a block with COLUMN_DATAPOINT, in order of time. */
extern void AddToBucket(BucketState *state, const DataBlock *block, int from, int to);

/* Adds a finer bucket of the same stream that lies inside, later than all so far. */
extern void MergeIntoBucket(BucketState *state, const BucketState *finer);

/* The columns that a level of this stream stores, as COLUMN_BITs */
extern uint32 BucketColumns(const StreamDef *def);

/* Appends the state as a row to a block made with BucketColumns(def); pointers
 * that the block takes (JSON, bytes) are allocated in the current memory context. */
extern void StoreBucket(const BucketState *state, DataBlock *block);

/* Sets the state from row "row" of a block (state must have been Init'ed). */
extern void LoadBucket(BucketState *state, const DataBlock *block, int row);

/*
 * The columns that are needed to show these downsamplers (masks of
 * VALUE_DOWNSAMPLER_BIT, TIME_DOWNSAMPLER_BIT).
 */
extern uint32 ColumnsFor(const StreamDef *def, uint32 value_mask, uint32 time_mask);

/*
 * The outputs: objects with a key for each downsampler of the mask, NULL for an
 * empty mask.  The state may have been loaded from a block that has only
 * ColumnsFor(def, value_mask, time_mask).  "end" is the end of the bucket: an
 * empty bucket has every time in the middle, count 0 and null for all else.
 */
extern Jsonb *BucketValues(const BucketState *state, uint32 value_mask);
extern Jsonb *BucketTimes(const BucketState *state, uint32 time_mask, StreamTime end);

/* One output of a numeric stream, VALUE_NULL if there is none */
extern Value BucketValue(const BucketState *state, ValueDownsampler which);

/* TIME_MEAN, TIME_FIRST or TIME_LAST of a bucket that ends at "end" */
extern TimestampTz BucketTime(const BucketState *state, TimeDownsampler which, StreamTime end);

#endif							/* DS_BUCKET_H */
