/*-------------------------------------------------------------------------
 *
 * value_parts.c
 *	  What is known of the values of a bucket: merging, storing and loading.
 *
 * Finer buckets, stored ones and already downsampled values all are added as
 * parts: their counts, extremes, sums, and what the second central moment needs
 * beside them.  A finer bucket is merged as it would be read back from storage,
 * rounded where storing rounds.  So every level comes out the same, whether it
 * is made in one pass or from what has been stored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "datapoint.h"
#include "value_downsampler.h"
#include "value_state.h"

/* How near, relatively, standard deviations of equal datapoints come out */
#define DEVIATION_TOLERANCE		1e-14

static const Value NullValue = {VALUE_NULL};

/*
 * Adds the second central moment of datapoints with this mean to the rounded
 * group.  Must come before they are added to its count.
 */
void
AddDeviations(ValueState *state, int64 count, DoubleDouble mean, DoubleDouble moment)
{
	DoubleDouble offset;
	DoubleDouble square;

	if (state->rounded.count == 0)
		state->shift = mean.high;

	/* sum (x - shift)^2 = sum (x - mean)^2 + count * (mean - shift)^2 */
	offset = SubtractDoubleDouble(mean, DoubleDoubleOf(state->shift));
	square = MultiplyDoubleDouble(MultiplyDoubleDouble(offset, offset),
								  DoubleDoubleOf((double) count));
	state->deviations = AddDoubleDouble(state->deviations,
										AddDoubleDouble(square, moment));
}

/*
 * Returns the mean that parts have.  If their sum is a decimal, that is nearer
 * to the truth than its double.
 */
static DoubleDouble
MeanOfParts(const ValueParts *parts)
{
	ValueSums	sums;

	sums.count = parts->count;
	InitSum(&sums.sum, CurrentMemoryContext);
	AddStoredNumber(&sums.sum, &parts->sum);
	return MeanOfSums(&sums);
}

/*
 * Adds an extreme of parts; null if it is not known.
 */
static void
AddExtreme(ValueState *state, Value *extreme, const Value *number, int direction,
		   ValueDownsampler which)
{
	if (number->kind == VALUE_NULL)
		state->unknown |= VALUE_DOWNSAMPLER_BIT(which);
	else
		MergeExtreme(state, extreme, number, direction);
}

/*
 * Adds the extremes and sums of the datapoints that parts stand for.
 */
static void
AddParts(ValueState *state, const ValueParts *parts)
{
	ValueSums  *group = parts->exact ? &state->exact : &state->rounded;

	AddCount(state, parts->count);

	if (HAS(state, VALUE_MIN))
		AddExtreme(state, &state->min, &parts->min, -1, VALUE_MIN);
	if (HAS(state, VALUE_MAX))
		AddExtreme(state, &state->max, &parts->max, 1, VALUE_MAX);

	if (!parts->exact)
	{
		if (parts->moment == MOMENT_UNKNOWN || parts->sum.kind == VALUE_NULL)
			state->unknown |= VALUE_DOWNSAMPLER_BIT(VALUE_STD_DEV);
		else
			AddDeviations(state, parts->count, MeanOfParts(parts),
						  DoubleDoubleOf(parts->moment));
	}
	group->count += parts->count;
	if (HAS(state, VALUE_SUM))
		AddStoredNumber(&group->sum, &parts->sum);
	if (HAS(state, VALUE_SUM_SQUARES) &&
		!(parts->exact && parts->squares_rest < 0 &&
		  AddPair(&group->squares, parts->sum_squares.number, parts->squares_rest)))
		AddStoredNumber(&group->squares, &parts->sum_squares);
}

/*
 * What a client must not send must not be stored either: gives the error of a value
 * that is not valid the code of damage.
 */
static void
CallItDamage(void *arg)
{
	if (geterrcode() == ERRCODE_INVALID_PARAMETER_VALUE)
		errcode(ERRCODE_DATA_CORRUPTED);
	errcontext("stored value");
}

/*
 * Adds the datapoints that an already downsampled value stands for, and
 * returns how many they are.
 */
int64
AddDownsampledValue(ValueState *state, Jsonb *json)
{
	ErrorContextCallback error_context = {error_context_stack, CallItDamage, NULL};
	ValueParts	parts;

	error_context_stack = &error_context;
	ReadDownsampledValue(state->downsamplers, state->high_accuracy, json, &parts);
	error_context_stack = error_context.previous;
	if (parts.count == 0)
		return 0;

	AddParts(state, &parts);

	if (state->frequencies != NULL)
	{
		if (parts.frequencies == NULL)
			state->unknown |= VALUE_DOWNSAMPLER_BIT(VALUE_FREQUENCIES);
		else
			(void) AddFrequenciesFromJsonb(state->frequencies, parts.frequencies);
	}
	if (state->median != NULL)
	{
		if (parts.median.kind == VALUE_NULL)
			state->unknown |= VALUE_DOWNSAMPLER_BIT(VALUE_MEDIAN);
		else
		{
			/* one that was made by version 0.1.0 may be a little outside */
			Value		median = WithinExtremes(parts.median, parts.min, parts.max);

			AddToMedian(state->median, &median, parts.count);
		}
	}
	return parts.count;
}

/*
 * Gives the sums of a bucket, and the moment if it does not follow from them,
 * as they are stored.
 */
static void
GetSums(const ValueState *state, ValueParts *parts)
{
	bool		has_rounded = state->rounded.count > 0;

	parts->count = state->count;
	parts->exact = true;
	parts->squares_rest = 0;
	parts->moment = 0;
	parts->sum.kind = VALUE_NULL;
	parts->sum_squares.kind = VALUE_NULL;

	if (UsesNumeric(state))
	{
		Numeric		sum;
		Numeric		squares;

		NumericSums(state, &sum, &squares);
		parts->sum = NumberOrNull(sum, true);
		parts->sum_squares = NumberOrNull(squares, true);
	}
	else
	{
		if (HAS(state, VALUE_SUM))
			parts->exact = TotalOf(state, &state->exact.sum, &state->rounded.sum, &parts->sum);
		if (HAS(state, VALUE_SUM_SQUARES) &&
			!TotalOf(state, &state->exact.squares, &state->rounded.squares,
					 &parts->sum_squares))
			parts->exact = parts->exact && !has_rounded &&
				SumToPair(&state->exact.squares, &parts->sum_squares.number,
						  &parts->squares_rest);
	}

	if (!HAS(state, VALUE_STD_DEV))
		parts->exact = true;
	else if (state->unknown & VALUE_DOWNSAMPLER_BIT(VALUE_STD_DEV))
	{
		parts->exact = false;
		parts->moment = MOMENT_UNKNOWN;
	}
	else if (!parts->exact)
		parts->moment = parts->sum.kind == VALUE_NULL || parts->sum_squares.kind == VALUE_NULL ?
			MOMENT_UNKNOWN : BucketMoment(state);
}

/*
 * Merges the extremes and sums of a finer bucket.
 */
static void
MergeSums(ValueState *state, const ValueState *finer)
{
	ValueParts	parts;

	/* what storing would give back may be added as it is */
	if (finer->rounded.count == 0 && finer->unknown == 0 &&
		(!HAS(state, VALUE_SUM) || SumIsLossless(&finer->exact.sum)) &&
		(!HAS(state, VALUE_SUM_SQUARES) || SumIsLossless(&finer->exact.squares)))
	{
		AddCount(state, finer->count);
		if (HAS(state, VALUE_MIN))
			MergeExtreme(state, &state->min, &finer->min, -1);
		if (HAS(state, VALUE_MAX))
			MergeExtreme(state, &state->max, &finer->max, 1);
		state->exact.count += finer->exact.count;
		if (HAS(state, VALUE_SUM))
			AddUnits(&state->exact.sum, finer->exact.sum.units, finer->exact.sum.scale);
		if (HAS(state, VALUE_SUM_SQUARES))
			AddUnits(&state->exact.squares, finer->exact.squares.units,
					 finer->exact.squares.scale);
		return;
	}

	GetSums(finer, &parts);
	parts.min = StateMin(finer);
	parts.max = StateMax(finer);
	AddParts(state, &parts);
}

/*
 * Adds a finer bucket of the same stream.
 */
void
MergeValueState(ValueState *state, const ValueState *finer)
{
	if (finer->count == 0)
		return;

	MergeSums(state, finer);
	state->unknown |= finer->unknown;
	if (state->frequencies != NULL)
		MergeFrequencies(state->frequencies, finer->frequencies);
	if (state->median != NULL)
		MergeMedian(state->median, finer->median);
}

/*
 * Writes a number into a row; the column takes its JSON as it is.
 */
static inline void
StoreNumber(DataBlock *block, Column *column, int row, const Value *number)
{
	if (likely(number->kind == VALUE_DOUBLE && column->json == NULL))
	{
		column->kinds[row] = VALUE_DOUBLE;
		column->numbers[row] = number->number;
	}
	else
		SetColumnValue(block, column, row, number);
}

/*
 * Writes an extreme into a row, unless it is not known.  Its JSON belongs to
 * the state.
 */
static inline void
StoreExtreme(const ValueState *state, DataBlock *block, Column *column, int row,
			 const Value *extreme, ValueDownsampler which)
{
	if (likely(extreme->kind == VALUE_DOUBLE && state->unknown == 0))
		StoreNumber(block, column, row, extreme);
	else
	{
		Value		copy = CopyValue(extreme);

		if (state->unknown & VALUE_DOWNSAMPLER_BIT(which))
			copy = NullValue;
		SetColumnValue(block, column, row, &copy);
	}
}

/*
 * Writes what the second central moment needs beside the sums into a row, in
 * the form that SetStoredMoment() reads.
 */
static inline void
StoreMoment(DataBlock *block, Column *column, int row, const ValueParts *parts)
{
	Value		moment = NullValue;

	if (!parts->exact)
		moment = DoubleValue(parts->moment);
	else if (parts->squares_rest < 0)
		moment = DoubleValue(parts->squares_rest);
	StoreNumber(block, column, row, &moment);
}

/*
 * Writes the state into a row of a block, as far as the block has columns for
 * it.  What the block points to is allocated in the current memory context.
 */
void
StoreValueState(const ValueState *state, DataBlock *block, int row)
{
	ValueParts	parts;
	Value		frequencies;

	GetSums(state, &parts);
	if (state->count == 0)
		parts.sum = parts.sum_squares = NullValue;

	Assert(block->columns[0].id == COLUMN_COUNT);
	block->columns[0].ints[row] = parts.count;

	/* From the end on come the columns of values, and first is the count. */
	for (int i = block->ncolumns - 1; i > 0 && block->columns[i].id > COLUMN_INTERVAL_SQUARES_LOW; i--)
	{
		Column	   *column = &block->columns[i];

		switch ((ColumnId) column->id)
		{
			case COLUMN_SUM:
				StoreNumber(block, column, row, &parts.sum);
				break;
			case COLUMN_MIN:
				StoreExtreme(state, block, column, row, &state->min, VALUE_MIN);
				break;
			case COLUMN_MAX:
				StoreExtreme(state, block, column, row, &state->max, VALUE_MAX);
				break;
			case COLUMN_SUM_SQUARES:
				StoreNumber(block, column, row, &parts.sum_squares);
				break;
			case COLUMN_MOMENT:
				StoreMoment(block, column, row, &parts);
				break;
			case COLUMN_FREQUENCIES:
				frequencies = StateFrequencies(state);
				SetColumnValue(block, column, row, &frequencies);
				break;
			case COLUMN_MEDIAN:
				column->bytes[row] = NULL;
				if (state->count > 0 &&
					(state->unknown & VALUE_DOWNSAMPLER_BIT(VALUE_MEDIAN)) == 0)
					column->bytes[row] = MedianToBytes(state->median);
				break;
			default:
				break;
		}
	}
}

/*
 * Returns whether a value can be a stored number; null can.
 */
static bool
IsStoredNumber(const Value *value)
{
	if (value->kind == VALUE_DOUBLE)
		return isfinite(value->number);
	return value->kind == VALUE_NULL || ValueIsNumber(value);
}

/*
 * Loads the frequencies of a bucket with datapoints.
 */
static void
LoadFrequencies(ValueState *state, const Value *stored)
{
	if (stored->kind == VALUE_NULL)
		state->unknown |= VALUE_DOWNSAMPLER_BIT(VALUE_FREQUENCIES);
	else if (stored->kind != VALUE_JSON || !JB_ROOT_IS_ARRAY(stored->json) ||
			 !AddFrequenciesFromJsonb(state->frequencies, &stored->json->root))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored frequencies are damaged")));
}

/*
 * Loads the median of a bucket with datapoints.
 */
static void
LoadMedian(ValueState *state, const struct varlena *stored)
{
	if (stored == NULL)
		state->unknown |= VALUE_DOWNSAMPLER_BIT(VALUE_MEDIAN);
	else
		AddMedianFromBytes(state->median, stored);
}

/*
 * Reads COLUMN_MOMENT: null if the second central moment follows from the sums
 * as they are stored, negative but not MOMENT_UNKNOWN if it does after adding
 * that to the sum of squares, otherwise the moment.
 */
static void
SetStoredMoment(ValueParts *parts, const Value *moment)
{
	parts->exact = true;
	if (moment->kind == VALUE_NULL)
		return;
	if (moment->number < 0 && moment->number != MOMENT_UNKNOWN &&
		parts->sum_squares.kind == VALUE_DOUBLE)
		parts->squares_rest = moment->number;
	else
	{
		parts->exact = false;
		parts->moment = moment->number;
	}
}

/*
 * Sets the state from a row of a block.  Results for which the block has no
 * columns are not to be asked for then.
 */
void
LoadValueState(ValueState *state, const DataBlock *block, int row)
{
	ValueParts	parts;
	Value		moment = NullValue;
	Value		frequencies = NullValue;
	const struct varlena *median = NULL;

	ResetValueState(state);
	memset(&parts, 0, sizeof(parts));
	parts.count = 1;			/* the column may have been left out */

	for (int i = 0; i < block->ncolumns; i++)
	{
		const Column *column = &block->columns[i];

		switch ((ColumnId) column->id)
		{
			case COLUMN_COUNT:
				parts.count = column->ints[row];
				break;
			case COLUMN_SUM:
				parts.sum = GetColumnValue(column, row);
				break;
			case COLUMN_MIN:
				parts.min = GetColumnValue(column, row);
				break;
			case COLUMN_MAX:
				parts.max = GetColumnValue(column, row);
				break;
			case COLUMN_SUM_SQUARES:
				parts.sum_squares = GetColumnValue(column, row);
				break;
			case COLUMN_MOMENT:
				moment = GetColumnValue(column, row);
				break;
			case COLUMN_FREQUENCIES:
				frequencies = GetColumnValue(column, row);
				break;
			case COLUMN_MEDIAN:
				median = column->bytes[row];
				break;
			default:
				break;
		}
	}

	if (parts.count < 0 || !IsStoredNumber(&parts.sum) || !IsStoredNumber(&parts.min) ||
		!IsStoredNumber(&parts.max) || !IsStoredNumber(&parts.sum_squares) ||
		moment.kind == VALUE_JSON || isnan(moment.number))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored bucket is damaged")));

	if (parts.count == 0)
		return;
	SetStoredMoment(&parts, &moment);
	AddParts(state, &parts);
	if (state->frequencies != NULL)
		LoadFrequencies(state, &frequencies);
	if (state->median != NULL)
		LoadMedian(state, median);
}

/*
 * Sets the second central moment of an already downsampled value with a known
 * count.  Where its sums are decimals that give the same standard deviation,
 * it follows from them, more exactly than from the rounded one.
 */
void
SetPartsMoment(ValueParts *parts, uint32 downsamplers, const Value *std_dev,
			   bool high_accuracy)
{
	ValueState	state;
	Value		derived;
	double		deviation;

	parts->exact = true;
	if ((downsamplers & VALUE_DOWNSAMPLER_BIT(VALUE_STD_DEV)) == 0 || parts->count == 0)
		return;

	if (std_dev->kind == VALUE_NULL || parts->sum.kind == VALUE_NULL ||
		parts->sum_squares.kind == VALUE_NULL)
	{
		parts->exact = false;
		parts->moment = MOMENT_UNKNOWN;
		return;
	}

	deviation = ValueToDouble(std_dev);
	if (high_accuracy || fabs(ValueToDouble(&parts->sum)) > BINARY_MAX ||
		ValueToDouble(&parts->sum_squares) > BINARY_MAX || deviation > BINARY_MAX)
		return;

	InitValueState(&state, VALUE_TYPE_NUMERIC, false, DefaultValueDownsamplers(VALUE_TYPE_NUMERIC),
				   CurrentMemoryContext);
	AddParts(&state, parts);
	if (!state.exact.sum.inexact && !state.exact.squares.inexact)
	{
		derived = StateStdDev(&state);
		if (derived.kind != VALUE_NULL &&
			fabs(ValueToDouble(&derived) - deviation) <= DEVIATION_TOLERANCE * deviation)
			return;
	}
	parts->exact = false;
	parts->moment = deviation * deviation * (double) parts->count;
}
