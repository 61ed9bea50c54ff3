/*-------------------------------------------------------------------------
 *
 * median.h
 *	  The median of a bucket: from all its numbers as long as they are few,
 *	  then from a sketch.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_MEDIAN_H
#define DS_MEDIAN_H

#include "value.h"

/* Up to so many datapoints the median is exact. */
#define MEDIAN_EXACT_MAX	1000

typedef struct Median Median;

extern Median *CreateMedian(MemoryContext context, bool high_accuracy);
extern void ResetMedian(Median *median);

extern void AddDoublesToMedian(Median *median, const double *numbers, int n);
extern void AddToMedian(Median *median, const Value *number, int64 count);
extern void MergeMedian(Median *median, const Median *other);

extern int64 MedianCount(const Median *median);
extern Value MedianValue(Median *median);
extern double MedianRank(Median *median, int64 rank);

/* The stored form; reading a damaged one is ERRCODE_DATA_CORRUPTED */
extern bytea *MedianToBytes(Median *median);
extern void AddMedianFromBytes(Median *median, const struct varlena *bytes);

#endif							/* DS_MEDIAN_H */
