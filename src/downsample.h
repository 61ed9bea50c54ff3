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
	StreamTime	from[GRANULARITY_COUNT];	/* STREAM_TIME_NONE: none */
	StreamTime	to[GRANULARITY_COUNT];
} ClosedBuckets;

extern bool DownsampleStream(const pg_uuid_t *id, StreamTime until, StreamDef *def,
							 ClosedBuckets *closed);

#endif							/* DS_DOWNSAMPLE_H */
