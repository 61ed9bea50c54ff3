/*-------------------------------------------------------------------------
 *
 * bucket.c
 *	  The state of a bucket: what all its downsamplers know of its datapoints.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bucket.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* The columns that every bucket has */
#define TIME_COLUMNS \
	(COLUMN_BIT(COLUMN_ENTRIES) | COLUMN_BIT(COLUMN_FIRST) | COLUMN_BIT(COLUMN_LAST) | \
	 COLUMN_BIT(COLUMN_MEAN_TIME) | COLUMN_BIT(COLUMN_MEAN_TIME_REST) | \
	 COLUMN_BIT(COLUMN_INTERVAL_MIN) | COLUMN_BIT(COLUMN_INTERVAL_MAX) | \
	 COLUMN_BIT(COLUMN_INTERVAL_SQUARES_HIGH) | COLUMN_BIT(COLUMN_INTERVAL_SQUARES_LOW))

/* Room for rows when the few that were expected are not all */
#define FEW_ROWS	64

/*
 * Makes an empty state for a bucket of a stream.  What the state needs beyond
 * the struct is allocated in "context".
 */
void
InitBucket(BucketState *state, const StreamDef *def, MemoryContext context)
{
	state->start = 0;
	state->scratch = NULL;
	state->context = context;
	ResetTimeState(&state->time);
	InitValueState(&state->value, def->value_type, def->high_accuracy,
				   def->value_downsamplers, context);
}

/*
 * Empties the state, for a bucket that starts at "start".
 */
void
ResetBucket(BucketState *state, StreamTime start)
{
	state->start = start;
	ResetTimeState(&state->time);
	ResetValueState(&state->value);
}

/*
 * Enters the context for intermediate results, which exist only where values
 * are no doubles.
 */
static MemoryContext
EnterScratch(BucketState *state)
{
	if (state->scratch == NULL)
		state->scratch = AllocSetContextCreate(state->context, "datastream bucket scratch",
											   ALLOCSET_SMALL_SIZES);
	return MemoryContextSwitchTo(state->scratch);
}

static void
LeaveScratch(BucketState *state, MemoryContext old_context)
{
	MemoryContextSwitchTo(old_context);
	MemoryContextReset(state->scratch);
}

/*
 * Returns whether all rows [from, to) of a column are doubles.
 */
static bool
AllDoubles(const Column *column, int from, int to)
{
	uint8		difference = 0;

	for (int i = from; i < to; i++)
		difference |= column->kinds[i] ^ VALUE_DOUBLE;
	return difference == 0;
}

/*
 * Adds rows of which some are null or no doubles, one after the other.
 */
static void
AddMixedRows(BucketState *state, const DataBlock *block, const Column *column, int from, int to)
{
	for (int i = from; i < to; i++)
	{
		Value		value = GetColumnValue(column, i);
		int64		weight;

		CHECK_FOR_INTERRUPTS();
		weight = AddValueToState(&state->value, &value);
		AddValueTime(&state->time, block->times[i] - state->start, weight);
	}
}

/*
 * Adds rows [from, to) of a block of datapoints, in order of time.
 */
void
AddToBucket(BucketState *state, const DataBlock *block, int from, int to)
{
	const Column *column = BlockColumn(block, COLUMN_DATAPOINT);
	MemoryContext old_context = EnterScratch(state);

	while (from < to)
	{
		int			next = Min(to, from + BLOCK_MAX_ROWS);

		AddTimes(&state->time, block->times + from, next - from);
		if (AllDoubles(column, from, next))
		{
			AddDoublesToState(&state->value, column->numbers + from, next - from);
			AddValueTime(&state->time,
						 SumOffsets(block->times + from, next - from, state->start), 1);
		}
		else
			AddMixedRows(state, block, column, from, next);
		from = next;
	}

	LeaveScratch(state, old_context);
}

/*
 * Adds a finer bucket of the same stream that lies inside, later than all so
 * far.
 */
void
MergeIntoBucket(BucketState *state, const BucketState *finer)
{
	MemoryContext old_context = EnterScratch(state);

	MergeTimeState(&state->time, &finer->time, finer->start - state->start, finer->value.count);
	MergeValueState(&state->value, &finer->value);
	LeaveScratch(state, old_context);
}

/*
 * The columns that a lower granularity of a stream stores
 */
uint32
BucketColumns(const StreamDef *def)
{
	return TIME_COLUMNS | COLUMN_BIT(COLUMN_COUNT) |
		ValueDownsamplerColumns(def->value_downsamplers);
}

/*
 * The columns from which these downsamplers are shown
 */
uint32
ColumnsFor(const StreamDef *def, uint32 value_mask, uint32 time_mask)
{
	/* extremes hold a median that version 0.1.0 has stored */
	if (value_mask & VALUE_DOWNSAMPLER_BIT(VALUE_MEDIAN))
		value_mask |= VALUE_DOWNSAMPLER_BIT(VALUE_MIN) | VALUE_DOWNSAMPLER_BIT(VALUE_MAX);

	return (ValueDownsamplerColumns(value_mask) | TimeDownsamplerColumns(time_mask)) &
		BucketColumns(def);
}

/*
 * Appends the state as a row to a block made with BucketColumns().  What the
 * block points to is allocated in the current memory context.
 */
void
StoreBucket(const BucketState *state, DataBlock *block)
{
	int			row = block->count;

	/* From a few rows on there are often as many as make a block. */
	if (row >= block->capacity)
		ReserveBlock(block, row < FEW_ROWS ? FEW_ROWS : Max(row + 1, BLOCK_ROWS));
	block->times[row] = state->start;
	StoreTimeState(&state->time, state->start, state->value.count, block, row);
	StoreValueState(&state->value, block, row);
	block->count = row + 1;
}

/*
 * Sets the state from a row of a block, which may have only the columns that
 * are needed of it.
 */
void
LoadBucket(BucketState *state, const DataBlock *block, int row)
{
	MemoryContext old_context = EnterScratch(state);

	state->start = block->times[row];
	LoadTimeState(&state->time, state->start, block, row);
	LoadValueState(&state->value, block, row);
	LeaveScratch(state, old_context);
}

/*
 * The results of the value downsamplers of a set as an object; NULL if the set
 * is empty.
 */
Jsonb *
BucketValues(const BucketState *state, uint32 value_mask)
{
	return value_mask == 0 ? NULL : ValueStateToJsonb(&state->value, value_mask);
}

/*
 * The results of the time downsamplers of a set as an object; NULL if the set
 * is empty.  "end" is the end of the bucket: an empty one has every time in its
 * middle.
 */
Jsonb *
BucketTimes(const BucketState *state, uint32 time_mask, StreamTime end)
{
	return time_mask == 0 ? NULL :
		TimeStateToJsonb(&state->time, time_mask, state->start, end, state->value.count);
}

/*
 * One result; null if there is none.
 */
Value
BucketValue(const BucketState *state, ValueDownsampler which)
{
	return ValueStateResult(&state->value, which);
}

/*
 * TIME_MEAN, TIME_FIRST or TIME_LAST of a bucket that ends at "end"
 */
TimestampTz
BucketTime(const BucketState *state, TimeDownsampler which, StreamTime end)
{
	return TimeStateTime(&state->time, which, state->start, end, state->value.count);
}
