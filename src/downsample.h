/*-------------------------------------------------------------------------
 *
 * downsample.h
 *	  Closing the buckets of streams at all lower granularities.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_DOWNSAMPLE_H
#define DS_DOWNSAMPLE_H

#include "store.h"

/* What has become of DownsampleStream() */
typedef enum DownsampleOutcome
{
	DOWNSAMPLE_NOTHING,			/* there was nothing to do */
	DOWNSAMPLE_SKIPPED,			/* others work on the stream, or it is gone */
	DOWNSAMPLE_DONE
} DownsampleOutcome;

/* Buckets of a level: [from, to) */
typedef struct BucketRange
{
	StreamTime	from;			/* STREAM_TIME_NONE: none */
	StreamTime	to;
} BucketRange;

/* The buckets that became closed at each level */
typedef struct ClosedBuckets
{
	int64		datapoints;		/* that were read for them */
	bool		more;			/* there is more to do than the limits allow */
	BucketRange front[GRANULARITY_COUNT];	/* before the first one that there was */
	BucketRange next[GRANULARITY_COUNT];	/* after the last one */
} ClosedBuckets;

/* What is to be done at once */
typedef struct DownsampleLimits
{
	StreamTime	until;			/* buckets that end here or before are closed */
	int			max_blocks;		/* of datapoints, about; 0: any number */
	bool		close_last;		/* also if nothing has come after them */
	bool		due_only;		/* nothing if the stream is not due any more */
	bool		check_silent;	/* also close buckets of a stream that has gone
								 * silent */
} DownsampleLimits;

/* datastream.close_after, in seconds */
extern int	close_after;

extern DownsampleOutcome DownsampleStream(const pg_uuid_t *id, const DownsampleLimits *limits,
										  StreamDef *def, ClosedBuckets *closed);

#endif							/* DS_DOWNSAMPLE_H */
