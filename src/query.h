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

extern void ReturnBuckets(const StreamDef *def, Granularity level, StreamTime from, StreamTime to,
						  ReturnSetInfo *rsinfo);

#endif							/* DS_QUERY_H */
