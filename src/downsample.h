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

/* The buckets that became closed at each level: [from, to) */
typedef struct ClosedBuckets
{
	int64		datapoints;		/* that were read for them */
	bool		more;			/* there is more to do than the limits allow */
	StreamTime	from[GRANULARITY_COUNT];	/* STREAM_TIME_NONE: none */
	StreamTime	to[GRANULARITY_COUNT];
} ClosedBuckets;

/* What is to be done at once */
typedef struct DownsampleLimits
{
	StreamTime	until;			/* buckets that end here or before are closed */
	int			max_blocks;		/* of datapoints, about; 0: any number */
	bool		due_only;		/* nothing if the stream is not due any more */
	bool		check_silent;	/* also close buckets of a stream that has gone
								 * silent */
} DownsampleLimits;

/* datastream.close_after, in seconds */
extern int	close_after;

extern bool DownsampleStream(const pg_uuid_t *id, const DownsampleLimits *limits, StreamDef *def,
							 ClosedBuckets *closed);

#endif							/* DS_DOWNSAMPLE_H */
