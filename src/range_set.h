/*-------------------------------------------------------------------------
 *
 * range_set.h
 *	  Sets of times, as a list of ranges.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_RANGE_SET_H
#define DS_RANGE_SET_H

#include "store.h"

/* Starts as zeros, and grows in the memory context that it got its first range in. */
typedef struct RangeSet
{
	int			count;
	int			max;
	TimeRange  *ranges;
} RangeSet;

extern void AddToRangeSet(RangeSet *set, StreamTime from, StreamTime to);
extern void SortRangeSet(RangeSet *set);

#endif							/* DS_RANGE_SET_H */
