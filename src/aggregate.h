/*-------------------------------------------------------------------------
 *
 * aggregate.h
 *	  What the aggregates have in common.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_AGGREGATE_H
#define DS_AGGREGATE_H

#include "fmgr.h"
#include "lib/stringinfo.h"

/* The state of an aggregate that is argument n of a function; NULL for null */
#define PG_GETARG_STATE(type, n) \
	(PG_ARGISNULL(n) ? NULL : (type *) PG_GETARG_POINTER(n))

extern MemoryContext AggregateContext(FunctionCallInfo fcinfo);
extern void BeginSerialState(StringInfo buf);
extern bytea *EndSerialState(StringInfo buf);
extern void ReadSerialState(bytea *state, StringInfo buf);

#endif							/* DS_AGGREGATE_H */
