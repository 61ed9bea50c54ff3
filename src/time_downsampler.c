/*-------------------------------------------------------------------------
 *
 * time_downsampler.c
 *	  What is kept of the timestamps of a bucket, and what clients see of it.
 *
 * All of it is kept in integers and so is exact, however buckets are merged.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "double_double.h"
#include "errors.h"
#include "json_build.h"
#include "lib/stringinfo.h"
#include "time_downsampler.h"
#include "value_downsampler.h"

#define BIT(d)		TIME_DOWNSAMPLER_BIT(d)

/* Decimals of a second in the timestamps of streams */
#define MILLISECONDS_SCALE	3

/* No bucket is longer than a year. */
#define BUCKET_LENGTH_MAX	(INT64CONST(366) * 24 * 60 * 60 * 1000)

#define SPAN_COLUMNS \
	(COLUMN_BIT(COLUMN_FIRST) | COLUMN_BIT(COLUMN_LAST))
#define SQUARES_COLUMNS \
	(COLUMN_BIT(COLUMN_INTERVAL_SQUARES_HIGH) | COLUMN_BIT(COLUMN_INTERVAL_SQUARES_LOW))

/* Every time downsampler, in the order of the enum */
static const struct
{
	const char *name;
	const char *key;			/* of its result */
	bool		is_time;		/* the result is a timestamp, not seconds */
	uint32		columns;		/* from which it is shown */
}			Downsamplers[TIME_DOWNSAMPLER_COUNT] =

{
	[TIME_MEAN] = {
		"mean", "m", true,
		COLUMN_BIT(COLUMN_COUNT) | COLUMN_BIT(COLUMN_MEAN_TIME) | COLUMN_BIT(COLUMN_MEAN_TIME_REST)
	},
	[TIME_FIRST] = {"first", "a", true, COLUMN_BIT(COLUMN_FIRST)},
	[TIME_LAST] = {"last", "z", true, COLUMN_BIT(COLUMN_LAST)},
	[TIME_INTERVALS_MEAN] = {"intervals_mean", "i", false, SPAN_COLUMNS},
	[TIME_INTERVALS_MIN] = {"intervals_min", "l", false, COLUMN_BIT(COLUMN_INTERVAL_MIN)},
	[TIME_INTERVALS_MAX] = {"intervals_max", "u", false, COLUMN_BIT(COLUMN_INTERVAL_MAX)},
	[TIME_INTERVALS_SUM_SQUARES] = {"intervals_sum_squares", "q", false, SQUARES_COLUMNS},
	[TIME_INTERVALS_STD_DEV] = {"intervals_std_dev", "d", false, SPAN_COLUMNS | SQUARES_COLUMNS},
};

/*
 * The downsamplers that a query asks for; NULL asks for all.
 */
uint32
ParseTimeDownsamplerSelection(ArrayType *array)
{
	char	  **names;
	int			count;
	uint32		mask = 0;

	if (array == NULL)
		return TIME_DOWNSAMPLERS_ALL;

	count = NamesFromArray(array, &names);
	for (int i = 0; i < count; i++)
	{
		int			found = 0;

		while (found < TIME_DOWNSAMPLER_COUNT && strcmp(names[i], Downsamplers[found].name) != 0)
			found++;
		if (found == TIME_DOWNSAMPLER_COUNT)
		{
			StringInfoData list;

			initStringInfo(&list);
			for (int j = 0; j < TIME_DOWNSAMPLER_COUNT; j++)
				appendStringInfo(&list, "%s%s", j > 0 ? ", " : "", Downsamplers[j].name);
			ereport(ERROR,
					(errcode(ERRCODE_DS_UNSUPPORTED_DOWNSAMPLER),
					 errmsg("time downsampler \"%s\" is not supported", names[i]),
					 errhint("Time downsamplers are %s.", list.data)));
		}
		mask |= BIT(found);
	}
	return mask;
}

ArrayType *
TimeDownsamplerNames(uint32 mask)
{
	const char *names[TIME_DOWNSAMPLER_COUNT];
	int			count = 0;

	for (int i = 0; i < TIME_DOWNSAMPLER_COUNT; i++)
	{
		if (mask & BIT(i))
			names[count++] = Downsamplers[i].name;
	}
	return ArrayFromNames(names, count);
}

/*
 * The columns of a block from which a set of downsamplers is shown.
 */
uint32
TimeDownsamplerColumns(uint32 mask)
{
	uint32		columns = mask != 0 ? COLUMN_BIT(COLUMN_ENTRIES) : 0;

	for (int i = 0; i < TIME_DOWNSAMPLER_COUNT; i++)
	{
		if (mask & BIT(i))
			columns |= Downsamplers[i].columns;
	}
	return columns;
}

/*
 * The state
 */

/*
 * Makes the state one of no timestamps.
 */
void
ResetTimeState(TimeState *state)
{
	memset(state, 0, sizeof(TimeState));
}

static void
AddInterval(TimeState *state, int64 interval)
{
	if (state->entries == 1 || interval < state->interval_min)
		state->interval_min = interval;
	if (state->entries == 1 || interval > state->interval_max)
		state->interval_max = interval;
	state->interval_squares += (uint128) ((int128) interval * interval);
}

/*
 * Adds the timestamps of datapoints, with or without value: in order, and
 * later than all before.
 */
void
AddTimes(TimeState *state, const StreamTime *times, int n)
{
	int64		min;
	int64		max;
	uint64		squares = 0;

	if (n <= 0)
		return;

	if (state->entries == 0)
		state->first = times[0];
	else
		AddInterval(state, times[0] - state->last);
	state->entries++;
	state->last = times[n - 1];
	if (n == 1)
		return;

	/* up to 49 days, the square of an interval is one of 32-bit integers */
	min = max = times[1] - times[0];
	if (times[n - 1] - times[0] <= PG_UINT32_MAX)
	{
		for (int i = 1; i < n; i++)
		{
			int64		interval = times[i] - times[i - 1];

			min = Min(min, interval);
			max = Max(max, interval);
			squares += (uint64) (uint32) interval * (uint32) interval;
		}
		state->interval_squares += squares;
	}
	else
	{
		for (int i = 1; i < n; i++)
		{
			int64		interval = times[i] - times[i - 1];

			min = Min(min, interval);
			max = Max(max, interval);
			state->interval_squares += (uint128) ((int128) interval * interval);
		}
	}

	state->interval_min = state->entries == 1 ? min : Min(min, state->interval_min);
	state->interval_max = state->entries == 1 ? max : Max(max, state->interval_max);
	state->entries += n - 1;
}

/*
 * Adds the time since the start of the bucket of a datapoint that counts for
 * "weight" datapoints with a value.
 */
void
AddValueTime(TimeState *state, int64 offset, int64 weight)
{
	state->sum += (int128) offset * weight;
}

/*
 * Returns the sum of the times since the start of the bucket.
 */
int64
SumOffsets(const StreamTime *times, int n, StreamTime start)
{
	int64		sum = 0;

	Assert(n <= BLOCK_MAX_ROWS);
	for (int i = 0; i < n; i++)
		sum += times[i] - start;
	return sum;
}

/*
 * Adds the state of a bucket that begins "offset" ms later, with "count"
 * datapoints that have a value.
 */
void
MergeTimeState(TimeState *state, const TimeState *finer, int64 offset, int64 count)
{
	if (finer->entries == 0)
		return;

	if (state->entries == 0)
		state->first = finer->first;
	else
		AddInterval(state, finer->first - state->last);
	state->last = finer->last;

	if (finer->entries > 1)
	{
		/* the interval between the two buckets has set the extremes */
		if (state->entries == 0 || finer->interval_min < state->interval_min)
			state->interval_min = finer->interval_min;
		if (state->entries == 0 || finer->interval_max > state->interval_max)
			state->interval_max = finer->interval_max;
		state->interval_squares += finer->interval_squares;
	}
	state->entries += finer->entries;
	state->sum += finer->sum + (int128) offset * count;
}

/*
 * Writes the state into a row of a block.  "count" is the number of datapoints
 * with a value, "start" that of the bucket.
 */
void
StoreTimeState(const TimeState *state, StreamTime start, int64 count, DataBlock *block, int row)
{
	const Column *column;
	int64		mean = 0;
	int64		rest = 0;

	if (count > 0)
	{
		/* which takes a fraction of the time */
		if (likely(state->sum == (int64) state->sum))
		{
			mean = (int64) state->sum / count;
			rest = (int64) state->sum % count;
		}
		else
		{
			mean = (int64) (state->sum / count);
			rest = (int64) (state->sum % count);
		}
	}

	/* Every block of buckets has these columns, in the order of their ids. */
	column = BlockColumn(block, COLUMN_ENTRIES);
	Assert(column[COLUMN_INTERVAL_SQUARES_LOW - COLUMN_ENTRIES].id == COLUMN_INTERVAL_SQUARES_LOW);
	column[0].ints[row] = state->entries;
	column[COLUMN_FIRST - COLUMN_ENTRIES].ints[row] = state->first - start;
	column[COLUMN_LAST - COLUMN_ENTRIES].ints[row] = state->last - start;
	column[COLUMN_MEAN_TIME - COLUMN_ENTRIES].ints[row] = mean;
	column[COLUMN_MEAN_TIME_REST - COLUMN_ENTRIES].ints[row] = rest;
	column[COLUMN_INTERVAL_MIN - COLUMN_ENTRIES].ints[row] = state->interval_min;
	column[COLUMN_INTERVAL_MAX - COLUMN_ENTRIES].ints[row] = state->interval_max;
	column[COLUMN_INTERVAL_SQUARES_HIGH - COLUMN_ENTRIES].ints[row] =
		(int64) (uint64) (state->interval_squares >> 64);
	column[COLUMN_INTERVAL_SQUARES_LOW - COLUMN_ENTRIES].ints[row] =
		(int64) (uint64) state->interval_squares;
}

/*
 * Sets the state from a row of a block.  Results for which the block has no
 * columns are not to be asked for then.
 */
void
LoadTimeState(TimeState *state, StreamTime start, const DataBlock *block, int row)
{
	int64		count = 0;
	int64		mean = 0;
	int64		rest = 0;

	ResetTimeState(state);
	state->entries = 1;			/* the column may have been left out */
	state->first = state->last = start;

	for (int i = 0; i < block->ncolumns; i++)
	{
		const int64 *ints = block->columns[i].ints;

		switch ((ColumnId) block->columns[i].id)
		{
			case COLUMN_COUNT:
				count = ints[row];
				break;
			case COLUMN_ENTRIES:
				state->entries = ints[row];
				break;
			case COLUMN_FIRST:
				state->first = start + ints[row];
				break;
			case COLUMN_LAST:
				state->last = start + ints[row];
				break;
			case COLUMN_MEAN_TIME:
				mean = ints[row];
				break;
			case COLUMN_MEAN_TIME_REST:
				rest = ints[row];
				break;
			case COLUMN_INTERVAL_MIN:
				state->interval_min = ints[row];
				break;
			case COLUMN_INTERVAL_MAX:
				state->interval_max = ints[row];
				break;
			case COLUMN_INTERVAL_SQUARES_HIGH:
				state->interval_squares += (uint128) (uint64) ints[row] << 64;
				break;
			case COLUMN_INTERVAL_SQUARES_LOW:
				state->interval_squares += (uint64) ints[row];
				break;
			default:
				break;
		}
	}

	if (state->entries < 1 || state->interval_min < 0 || state->interval_max < 0 ||
		state->first < start || state->first > start + BUCKET_LENGTH_MAX ||
		state->last < start || state->last > start + BUCKET_LENGTH_MAX ||
		mean < 0 || mean > BUCKET_LENGTH_MAX ||
		(count > 0 ? (rest < 0 || rest >= count) : rest != 0))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored times of a bucket are damaged")));
	state->sum = (int128) mean * count + rest;
}

/*
 * Results
 */

/*
 * Gives one of TIME_INTERVALS_* in seconds, for intervals in units of 10^-scale
 * seconds.  There must be an interval.
 */
double
IntervalsResult(const Intervals *intervals, TimeDownsampler which, int scale)
{
	double		count = (double) intervals->count;
	double		unit = DoublePowers[scale];

	switch (which)
	{
		case TIME_INTERVALS_MEAN:
			return (double) intervals->sum / (count * unit);

		case TIME_INTERVALS_MIN:
			return (double) intervals->min / unit;

		case TIME_INTERVALS_MAX:
			return (double) intervals->max / unit;

		case TIME_INTERVALS_SUM_SQUARES:
			return (double) intervals->squares / (unit * unit);

		case TIME_INTERVALS_STD_DEV:
			{
				/* of k intervals: the root of (k * squares - sum^2) / k^2 */
				DoubleDouble sum;
				DoubleDouble squares;
				DoubleDouble result;
				uint128		square = (uint128) intervals->sum * intervals->sum;

				if (count * (double) intervals->squares < 0x1p127)
				{
					uint128		product = (uint128) intervals->count * intervals->squares;

					return product <= square ? 0 :
						sqrt((double) (product - square)) / (count * unit);
				}

				sum.high = (double) square;
				sum.low = (double) (int128) (square - (uint128) sum.high);
				squares.high = (double) intervals->squares;
				squares.low = (double) (int128) (intervals->squares - (uint128) squares.high);
				result = SubtractDoubleDouble(MultiplyDoubleDouble(squares, DoubleDoubleOf(count)), sum);
				return result.high <= 0 ? 0 : sqrt(result.high) / (count * unit);
			}

		default:
			elog(ERROR, "time downsampler %d is not one of intervals", (int) which);
	}
}

/*
 * Returns one of TIME_MEAN, TIME_FIRST and TIME_LAST.  Each is the middle of
 * the bucket if it is empty; so is the mean if no datapoint has a value.
 */
TimestampTz
TimeStateTime(const TimeState *state, TimeDownsampler which,
			  StreamTime start, StreamTime end, int64 count)
{
	if (state->entries == 0 || (which == TIME_MEAN && count == 0))
		return TimestampFromStreamTime(start) + (end - start) * 1000 / 2;

	switch (which)
	{
		case TIME_MEAN:
			return TimestampFromStreamTime(start) +
				(int64) ((state->sum * 2000 + count) / ((int128) count * 2));
		case TIME_FIRST:
			return TimestampFromStreamTime(state->first);
		case TIME_LAST:
			return TimestampFromStreamTime(state->last);
		default:
			elog(ERROR, "time downsampler %d does not give a time", (int) which);
	}
}

/*
 * The results of a bucket as an object with a key for each downsampler of a
 * set.  Below two datapoints there are no intervals.
 */
Jsonb *
TimeStateToJsonb(const TimeState *state, uint32 mask,
				 StreamTime start, StreamTime end, int64 count)
{
	JsonbParseState *parse_state = NULL;
	Intervals	intervals;

	intervals.count = state->entries - 1;
	intervals.sum = state->last - state->first;
	intervals.min = state->interval_min;
	intervals.max = state->interval_max;
	intervals.squares = state->interval_squares;

	pushJsonbValue(&parse_state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < TIME_DOWNSAMPLER_COUNT; i++)
	{
		if (!(mask & BIT(i)))
			continue;

		PushKey(&parse_state, Downsamplers[i].key);
		if (Downsamplers[i].is_time)
			PushTimestamp(&parse_state, WJB_VALUE, TimeStateTime(state, i, start, end, count));
		else if (intervals.count > 0)
			PushDouble(&parse_state, WJB_VALUE,
					   IntervalsResult(&intervals, i, MILLISECONDS_SCALE));
		else
			PushNull(&parse_state, WJB_VALUE);
	}
	return JsonbValueToJsonb(pushJsonbValue(&parse_state, WJB_END_OBJECT, NULL));
}
