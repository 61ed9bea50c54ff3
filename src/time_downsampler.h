/*-------------------------------------------------------------------------
 *
 * time_downsampler.h
 *	  What is kept of the timestamps of a bucket, and what clients see of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_TIME_DOWNSAMPLER_H
#define DS_TIME_DOWNSAMPLER_H

#include "block.h"
#include "decimal.h"
#include "utils/array.h"

/* In the order in which they are listed everywhere */
typedef enum TimeDownsampler
{
	TIME_MEAN,
	TIME_FIRST,
	TIME_LAST,
	TIME_INTERVALS_MEAN,
	TIME_INTERVALS_MIN,
	TIME_INTERVALS_MAX,
	TIME_INTERVALS_SUM_SQUARES,
	TIME_INTERVALS_STD_DEV
} TimeDownsampler;

#define TIME_DOWNSAMPLER_COUNT		(TIME_INTERVALS_STD_DEV + 1)
#define TIME_DOWNSAMPLER_BIT(d)		(((uint32) 1) << (d))
#define TIME_DOWNSAMPLERS_ALL		(TIME_DOWNSAMPLER_BIT(TIME_DOWNSAMPLER_COUNT) - 1)

/* NULL asks for all. */
extern uint32 ParseTimeDownsamplerSelection(ArrayType *names);
extern ArrayType *TimeDownsamplerNames(uint32 mask);

/* The columns from which these downsamplers are shown */
extern uint32 TimeDownsamplerColumns(uint32 mask);

/*
 * The lengths of intervals between neighbouring timestamps, in units of 10^-3
 * or 10^-6 seconds.  The squares are at most the square of the sum, so they
 * fit.
 */
typedef struct Intervals
{
	int64		count;
	uint64		sum;
	uint64		min;
	uint64		max;
	uint128		squares;
} Intervals;

extern double IntervalsResult(const Intervals *intervals, TimeDownsampler which, int scale);

/*
 * The state of a bucket's timestamps.
 */
typedef struct TimeState
{
	int64		entries;		/* all datapoints, those without value too */
	StreamTime	first;
	StreamTime	last;
	int64		interval_min;	/* ms; these of entries > 1 */
	int64		interval_max;
	uint128		interval_squares;
	int128		sum;			/* of the times since the start of the bucket
								 * of datapoints with a value */
} TimeState;

extern void ResetTimeState(TimeState *state);
extern void AddTimes(TimeState *state, const StreamTime *times, int n);
extern void AddValueTime(TimeState *state, int64 offset, int64 weight);
extern int64 SumOffsets(const StreamTime *times, int n, StreamTime start);
extern void MergeTimeState(TimeState *state, const TimeState *finer,
						   int64 offset, int64 finer_count);
extern void StoreTimeState(const TimeState *state, StreamTime start, int64 count,
						   DataBlock *block, int row);
extern void LoadTimeState(TimeState *state, StreamTime start, const DataBlock *block, int row);

/*
 * Results of a bucket [start, end) with "count" datapoints that have a value.
 */
extern TimestampTz TimeStateTime(const TimeState *state, TimeDownsampler which,
								 StreamTime start, StreamTime end, int64 count);
extern Jsonb *TimeStateToJsonb(const TimeState *state, uint32 mask,
							   StreamTime start, StreamTime end, int64 count);

#endif							/* DS_TIME_DOWNSAMPLER_H */
