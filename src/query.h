/*-------------------------------------------------------------------------
 *
 * query.h
 *	  Reading: rows of ranges of streams.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_QUERY_H
#define DS_QUERY_H

#include "nodes/execnodes.h"
#include "stream.h"

/* Arguments of ds_get_data and ds_get_series; the last two are only the former's */
enum
{
	QUERY_ARG_STREAM_ID,
	QUERY_ARG_GRANULARITY,
	QUERY_ARG_START,
	QUERY_ARG_END,
	QUERY_ARG_START_EXCLUSIVE,
	QUERY_ARG_END_EXCLUSIVE,
	QUERY_ARG_REVERSE,
	QUERY_ARG_VALUE_DOWNSAMPLERS,
	QUERY_ARG_TIME_DOWNSAMPLERS
};

extern void ReturnBuckets(const StreamDef *def, Granularity level, StreamTime from, StreamTime to,
						  ReturnSetInfo *rsinfo);

#endif							/* DS_QUERY_H */
