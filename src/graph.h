/*-------------------------------------------------------------------------
 *
 * graph.h
 *	  Values of graph streams.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_GRAPH_H
#define DS_GRAPH_H

#include "utils/jsonb.h"

extern void CheckGraph(Jsonb *json);

#endif							/* DS_GRAPH_H */
