/*-------------------------------------------------------------------------
 *
 * value_state.c
 *	  What is known of the values of a bucket.
 *
 * A state is made of datapoints, of the states of finer buckets, or of a
 * stored row.  A finer bucket is merged as it would be read back from storage,
 * rounded where storing rounds.  So every level comes out the same, whether it
 * is made in one pass or from what has been stored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/int.h"
#include "datapoint.h"
#include "utils/memutils.h"
#include "value_downsampler.h"
#include "value_state.h"

/* The most decimals that a datapoint is added with as a decimal */
#define DATAPOINT_SCALE_MAX		(SUM_SCALE_MAX / 2)

/* So many units of at most DECIMAL_UNITS_MAX can be added in 63 bits. */
#define RUN_MAX					4096

/* Binary fractions beyond this would leave the range of double when squared. */
#define BINARY_MAX				1e100

/* Digits of intermediate results of numbers with high accuracy */
#define WORKING_DIGITS			(2 * HIGH_ACCURACY_DIGITS)

static const Value NullValue = {VALUE_NULL};

#define HAS(state, d)	(((state)->downsamplers & VALUE_DOWNSAMPLER_BIT(d)) != 0)

static inline Value
DoubleResult(double number)
{
	Value		result = {VALUE_DOUBLE, number, NULL};

	return result;
}

/*
 * Makes the state of a bucket without datapoints.  What does not fit into the
 * struct is allocated in "context", now or later.
 */
void
InitValueState(ValueState *state, ValueType type, bool high_accuracy,
			   uint32 downsamplers, MemoryContext context)
{
	memset(state, 0, sizeof(ValueState));
	state->numeric = (type == VALUE_TYPE_NUMERIC);
	state->downsamplers = downsamplers;
	state->high_accuracy = high_accuracy;
	state->context = context;
	InitSum(&state->exact.sum, context);
	InitSum(&state->exact.squares, context);
	InitSum(&state->rounded.sum, context);
	InitSum(&state->rounded.squares, context);
	if (HAS(state, VALUE_FREQUENCIES))
		state->frequencies = CreateFrequencies(context, state->numeric && !high_accuracy);
	if (HAS(state, VALUE_MEDIAN))
		state->median = CreateMedian(context, high_accuracy);
}

static void
ResetSums(ValueSums *sums)
{
	sums->count = 0;
	ResetSum(&sums->sum);
	ResetSum(&sums->squares);
}

static void
ResetExtreme(Value *extreme)
{
	if (extreme->kind == VALUE_JSON)
		pfree(extreme->json);
	memset(extreme, 0, sizeof(Value));
}

/*
 * Makes the state one of a bucket without datapoints again.
 */
void
ResetValueState(ValueState *state)
{
	state->count = 0;
	state->unknown = 0;
	ResetExtreme(&state->min);
	ResetExtreme(&state->max);
	ResetSums(&state->exact);
	ResetSums(&state->rounded);
	state->shift = 0;
	state->deviations = DoubleDoubleOf(0);
	if (state->frequencies != NULL)
		ResetFrequencies(state->frequencies);
	if (state->median != NULL)
		ResetMedian(state->median);
}

/*
 * Adding datapoints
 */

static void
AddCount(ValueState *state, int64 count)
{
	if (pg_add_s64_overflow(state->count, count, &state->count))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("bucket has too many datapoints to count")));
}

/*
 * Replaces an extreme if a number lies beyond it: direction is -1 for the
 * smallest, 1 for the largest.
 */
static inline void
MergeExtreme(const ValueState *state, Value *extreme, const Value *number, int direction)
{
	if (likely(number->kind == VALUE_DOUBLE && extreme->kind == VALUE_DOUBLE))
	{
		if ((direction < 0 && number->number < extreme->number) ||
			(direction > 0 && number->number > extreme->number))
			extreme->number = number->number;
		return;
	}
	if (extreme->kind != VALUE_NULL &&
		CompareNumbers(number, extreme) * direction <= 0)
		return;

	ResetExtreme(extreme);
	*extreme = *number;
	if (number->kind == VALUE_JSON)
	{
		extreme->json = MemoryContextAlloc(state->context, VARSIZE(number->json));
		memcpy(extreme->json, number->json, VARSIZE(number->json));
	}
}

static void
AddDoublesToExtremes(ValueState *state, const double *numbers, int n)
{
	Value		min = {VALUE_DOUBLE, numbers[0], NULL};
	Value		max = {VALUE_DOUBLE, numbers[0], NULL};

	for (int i = 1; i < n; i++)
	{
		min.number = numbers[i] < min.number ? numbers[i] : min.number;
		max.number = numbers[i] > max.number ? numbers[i] : max.number;
	}
	MergeExtreme(state, &state->min, &min, -1);
	MergeExtreme(state, &state->max, &max, 1);
}

/*
 * Adds the longest run of numbers at the front that are decimals of no more
 * decimals than recent ones had, and returns how many they are.
 */
static int
AddDecimalRun(ValueState *state, const double *numbers, int n)
{
	const int	scale = state->decimals;
	const double power = DoublePowers[scale];
	int64		sum = 0;
	uint128		squares = 0;
	int			i;

	n = Min(n, RUN_MAX);
	for (i = 0; i < n; i++)
	{
		double		scaled = numbers[i] * power;
		int64		units;

		if (!(fabs(scaled) <= DECIMAL_UNITS_MAX))
			break;
		units = RoundUnits(scaled);
		if ((double) units / power != numbers[i])
			break;
		sum += units;
		squares += (uint128) ((int128) units * units);
	}

	if (i > 0)
	{
		state->exact.count += i;
		AddUnits(&state->exact.sum, sum, scale);
		if (HAS(state, VALUE_SUM_SQUARES))
			AddUnits(&state->exact.squares, (int128) squares, 2 * scale);
	}
	return i;
}

/*
 * Returns whether a number is added as a binary fraction: not as a decimal and
 * not, from "limit" on, as a long integer.
 */
static inline bool
IsBinaryFraction(double number, double limit)
{
	int64		units;
	int			scale;

	if (fabs(number) <= DECIMAL_UNITS_MAX / 1e6)
		return !IsDecimal(number, DATAPOINT_SCALE_MAX);
	return fabs(number) < limit &&
		!DoubleToUnits(number, 0, DATAPOINT_SCALE_MAX, &units, &scale);
}

/*
 * Adds the longest run of numbers at the front that are binary fractions, and
 * returns how many they are.
 */
static int
AddBinaryRun(ValueState *state, const double *numbers, int n)
{
	const double limit = state->binary_integers ? BINARY_MAX : DOUBLE_INTEGER_MAX;
	DoubleDouble sum = {0, 0};
	DoubleDouble squares = {0, 0};
	DoubleDouble deviations = state->deviations;
	double		shift;
	int			i;

	if (state->rounded.count == 0)
		state->shift = numbers[0];
	shift = state->shift;

	for (i = 0; i < n; i++)
	{
		double		number = numbers[i];
		double		deviation = number - shift;
		double		product_error;
		double		square;
		double		error;

		if (!IsBinaryFraction(number, limit))
			break;

		sum.high = TwoSum(sum.high, number, &error);
		sum.low += error;
		square = TwoProduct(number, number, &product_error);
		squares.high = TwoSum(squares.high, square, &error);
		squares.low += error + product_error;
		deviations.high = TwoSum(deviations.high, deviation * deviation, &error);
		deviations.low += error;
	}

	if (i > 0)
	{
		state->rounded.count += i;
		AddBinary(&state->rounded.sum, sum);
		AddBinary(&state->rounded.squares, squares);
		state->deviations = deviations;
	}
	return i;
}

/*
 * Adds a number that belongs to neither run: a decimal with more decimals than
 * the recent ones, or a long integer.
 */
static void
AddOtherNumber(ValueState *state, double number)
{
	int64		units;
	int			scale;

	state->exact.count++;
	if (DoubleToUnits(number, state->decimals, DATAPOINT_SCALE_MAX, &units, &scale))
	{
		state->decimals = Max(state->decimals, scale);
		AddUnits(&state->exact.sum, units, scale);
		if (HAS(state, VALUE_SUM_SQUARES))
			AddUnits(&state->exact.squares, (int128) units * units, 2 * scale);
	}
	else
	{
		Numeric		decimal = NumericFromDouble(number);

		AddDecimal(&state->exact.sum, decimal);
		if (HAS(state, VALUE_SUM_SQUARES))
			AddDecimalSquare(&state->exact.squares, decimal);
		pfree(decimal);
	}
}

static void
AddDoublesToSums(ValueState *state, const double *numbers, int n)
{
	int			done = 0;

	while (done < n)
	{
		done += AddDecimalRun(state, numbers + done, n - done);
		if (done < n)
		{
			int			binary = AddBinaryRun(state, numbers + done, n - done);

			done += binary;
			if (binary == 0)
				AddOtherNumber(state, numbers[done++]);
		}
	}
}

/*
 * Adds finite doubles.
 */
void
AddDoublesToState(ValueState *state, const double *numbers, int n)
{
	if (n <= 0)
		return;

	AddCount(state, n);
	if (HAS(state, VALUE_MIN) || HAS(state, VALUE_MAX))
		AddDoublesToExtremes(state, numbers, n);
	if (HAS(state, VALUE_SUM) || HAS(state, VALUE_SUM_SQUARES))
		AddDoublesToSums(state, numbers, n);
	if (state->frequencies != NULL)
		CountDoubles(state->frequencies, numbers, n);
	if (state->median != NULL)
		AddDoublesToMedian(state->median, numbers, n);
}

/*
 * Adds a number that is no double.
 */
static void
AddJsonNumber(ValueState *state, const Value *number)
{
	if (HAS(state, VALUE_MIN))
		MergeExtreme(state, &state->min, number, -1);
	if (HAS(state, VALUE_MAX))
		MergeExtreme(state, &state->max, number, 1);
	if (HAS(state, VALUE_SUM) || HAS(state, VALUE_SUM_SQUARES))
	{
		Numeric		decimal = NumericFromValue(number);

		state->exact.count++;
		AddDecimal(&state->exact.sum, decimal);
		if (HAS(state, VALUE_SUM_SQUARES))
			AddDecimalSquare(&state->exact.squares, decimal);
	}
	if (state->median != NULL)
		AddToMedian(state->median, number, 1);
}

/*
 * Parts
 */

/*
 * Adds squares of deviations from the mean, of datapoints with this sum, to
 * the rounded group.  Must come before they are added to its count.
 */
static void
AddDeviations(ValueState *state, int64 count, const Value *sum, double moment)
{
	NumberSum	decimal;
	DoubleDouble mean;
	DoubleDouble offset;
	DoubleDouble square;

	/* a decimal is nearer to the true sum than its double */
	InitSum(&decimal, CurrentMemoryContext);
	AddStoredNumber(&decimal, sum);
	mean = DivideDoubleDouble(SumToDoubleDouble(&decimal), (double) count);
	if (state->rounded.count == 0)
		state->shift = mean.high;

	/* sum (x - shift)^2 = sum (x - mean)^2 + count * (mean - shift)^2 */
	offset = SubtractDoubleDouble(mean, DoubleDoubleOf(state->shift));
	square = MultiplyDoubleDouble(MultiplyDoubleDouble(offset, offset),
								  DoubleDoubleOf((double) count));
	state->deviations = AddDoubleDouble(state->deviations,
										AddDoubleDouble(square, DoubleDoubleOf(moment)));
}

/*
 * Adds the extremes and sums of the datapoints that parts stand for.
 */
static void
AddParts(ValueState *state, const ValueParts *parts)
{
	ValueSums  *group = parts->exact ? &state->exact : &state->rounded;

	AddCount(state, parts->count);

	if (parts->min.kind == VALUE_NULL)
		state->unknown |= VALUE_DOWNSAMPLER_BIT(VALUE_MIN);
	else
		MergeExtreme(state, &state->min, &parts->min, -1);

	if (parts->max.kind == VALUE_NULL)
		state->unknown |= VALUE_DOWNSAMPLER_BIT(VALUE_MAX);
	else
		MergeExtreme(state, &state->max, &parts->max, 1);

	if (!parts->exact)
	{
		if (parts->moment == MOMENT_UNKNOWN || parts->sum.kind == VALUE_NULL)
			state->unknown |= VALUE_DOWNSAMPLER_BIT(VALUE_STD_DEV);
		else
			AddDeviations(state, parts->count, &parts->sum, parts->moment);
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
 * Adds the datapoints that an already downsampled value stands for, and
 * returns how many they are.
 */
static int64
AddDownsampledValue(ValueState *state, Jsonb *json)
{
	ValueParts	parts;

	ReadDownsampledValue(state->downsamplers, state->high_accuracy, json, &parts);
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
			AddToMedian(state->median, &parts.median, parts.count);
	}
	return parts.count;
}

/*
 * Adds a datapoint of any kind.  Returns how many datapoints it counts for:
 * none if it is null, several if it is downsampled already.
 */
int64
AddValueToState(ValueState *state, const Value *value)
{
	if (value->kind == VALUE_NULL)
		return 0;
	if (value->kind == VALUE_DOUBLE)
	{
		AddDoublesToState(state, &value->number, 1);
		return 1;
	}
	if (state->numeric && JB_ROOT_IS_OBJECT(value->json))
		return AddDownsampledValue(state, value->json);

	AddCount(state, 1);
	if (state->numeric)
		AddJsonNumber(state, value);
	if (state->frequencies != NULL)
		CountValue(state->frequencies, value, 1);
	return 1;
}

/*
 * The second central moment
 *
 * Of n datapoints with the sum s and the sum of squares q it is
 * q - s^2 / n = (n * q - s^2) / n.
 */

/*
 * Returns whether the sums of the bucket are beyond doubles and integers, or
 * kept with high accuracy, so that results are computed in numeric.
 */
static bool
UsesNumeric(const ValueState *state)
{
	return state->high_accuracy ||
		state->exact.sum.big != NULL || state->exact.squares.big != NULL ||
		state->rounded.sum.big != NULL || state->rounded.squares.big != NULL;
}

/*
 * Computes n * q - s^2 in integers; *scale is set to the decimals of s.
 * Returns false if they are too large for that.
 */
static bool
ScaledMoment(const ValueSums *sums, double *moment, int *scale)
{
	int128		sum = sums->sum.units;
	int128		squares = sums->squares.units;
	int128		result;

	*scale = Max(sums->sum.scale, (sums->squares.scale + 1) / 2);
	if (!ScaleUnits(&sum, *scale - sums->sum.scale) ||
		!ScaleUnits(&squares, 2 * *scale - sums->squares.scale) ||
		fabs((double) sum) > 0x1p62 ||
		fabs((double) squares) * (double) sums->count > 0x1p124)
		return false;

	/* inputs that contradict each other can make it negative */
	result = sums->count * squares - sum * sum;
	*moment = result > 0 ? (double) result : 0;
	return true;
}

/*
 * Computes n * q - s^2 in numeric; NULL if a sum is not known, or the result
 * out of range.
 */
static Numeric
NumericMoment(int64 count, Numeric sum, Numeric squares)
{
	Numeric		zero = int64_to_numeric(0);
	Numeric		left;
	Numeric		right;
	Numeric		result;

	if (sum == NULL || squares == NULL)
		return NULL;
	left = MultiplyNumeric(int64_to_numeric(count), squares);
	right = MultiplyNumeric(sum, sum);
	if (left == NULL || right == NULL)
		return NULL;
	result = SubtractNumeric(left, right);
	return result != NULL && CompareNumeric(result, zero) < 0 ? zero : result;
}

/*
 * Returns the second central moment of the exact group.
 */
static double
ExactMoment(const ValueState *state)
{
	const ValueSums *sums = &state->exact;
	double		count = (double) sums->count;
	double		moment;
	int			scale;
	Numeric		numeric;

	if (ScaledMoment(sums, &moment, &scale))
		return moment / (count * DoublePowers[scale] * DoublePowers[scale]);

	numeric = NumericMoment(sums->count, SumToNumeric(&sums->sum), SumToNumeric(&sums->squares));
	return numeric == NULL ? 0 : NumericToDouble(numeric) / count;
}

static DoubleDouble
MeanOfSums(const ValueSums *sums)
{
	return DivideDoubleDouble(SumToDoubleDouble(&sums->sum), (double) sums->count);
}

/*
 * Returns the second central moment of the rounded group.
 */
static double
RoundedMoment(const ValueState *state)
{
	const ValueSums *sums = &state->rounded;
	DoubleDouble offset;
	DoubleDouble square;
	DoubleDouble result;

	offset = SubtractDoubleDouble(MeanOfSums(sums), DoubleDoubleOf(state->shift));
	square = MultiplyDoubleDouble(MultiplyDoubleDouble(offset, offset),
								  DoubleDoubleOf((double) sums->count));
	result = SubtractDoubleDouble(Renormalize(state->deviations.high, state->deviations.low), square);
	return Max(result.high, 0);
}

/*
 * Returns the second central moment of all datapoints, in double.  Those of
 * two groups are added as Chan, Golub and LeVeque do (COMPSTAT 1982).
 */
static double
BucketMoment(const ValueState *state)
{
	double		exact_count = (double) state->exact.count;
	double		rounded_count = (double) state->rounded.count;
	DoubleDouble distance;

	if (state->rounded.count == 0)
		return ExactMoment(state);
	if (state->exact.count == 0)
		return RoundedMoment(state);

	distance = SubtractDoubleDouble(MeanOfSums(&state->exact), MeanOfSums(&state->rounded));
	return ExactMoment(state) + RoundedMoment(state) +
		distance.high * distance.high * (exact_count * rounded_count / (exact_count + rounded_count));
}

/*
 * Returns the sum and the sum of squares of all datapoints in numeric; NULL
 * for one that is not known.
 */
static void
NumericSums(const ValueState *state, Numeric *sum, Numeric *squares)
{
	NumberSum	total;

	InitSum(&total, CurrentMemoryContext);
	AddSum(&total, &state->exact.sum);
	AddSum(&total, &state->rounded.sum);
	*sum = SumToNumeric(&total);

	ResetSum(&total);
	AddSum(&total, &state->exact.squares);
	if (state->rounded.count > 0 && HAS(state, VALUE_STD_DEV) &&
		!state->rounded.sum.unknown && !state->rounded.squares.unknown &&
		(state->unknown & VALUE_DOWNSAMPLER_BIT(VALUE_STD_DEV)) == 0)
	{
		/* from the moment, so that it follows from the sums again */
		Numeric		rounded_sum = SumToNumeric(&state->rounded.sum);
		Numeric		square = rounded_sum ? MultiplyNumeric(rounded_sum, rounded_sum) : NULL;

		if (square == NULL)
			total.unknown = true;
		else
			AddDecimal(&total, DivideNumeric(square, state->rounded.count, WORKING_DIGITS));
		AddDecimal(&total, NumericFromDoubleExactly(RoundedMoment(state)));
	}
	else
		AddSum(&total, &state->rounded.squares);
	*squares = SumToNumeric(&total);
	ResetSum(&total);
}

/*
 * Storing, loading and merging
 */

/*
 * Gives a number, null for NULL.
 */
static Value
NumberOrNull(Numeric number, bool high_accuracy)
{
	return number == NULL ? NullValue : NumberFromNumeric(number, high_accuracy);
}

/*
 * Gives the sum over both groups as it is stored, and returns whether that
 * loses nothing.
 */
static bool
TotalOf(const NumberSum *exact, const NumberSum *rounded, bool has_rounded, Value *result)
{
	NumberSum	total;

	if (!has_rounded)
		return SumToValue(exact, result);

	InitSum(&total, CurrentMemoryContext);
	AddSum(&total, exact);
	AddSum(&total, rounded);
	(void) SumToValue(&total, result);
	return false;
}

/*
 * Gives the sums of a bucket, and the moment if it does not follow from them,
 * as they are stored.
 */
static void
GetParts(const ValueState *state, ValueParts *parts)
{
	bool		has_rounded = state->rounded.count > 0;

	memset(parts, 0, sizeof(ValueParts));
	parts->count = state->count;
	parts->exact = true;
	if ((state->unknown & VALUE_DOWNSAMPLER_BIT(VALUE_MIN)) == 0)
		parts->min = state->min;
	if ((state->unknown & VALUE_DOWNSAMPLER_BIT(VALUE_MAX)) == 0)
		parts->max = state->max;

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
			parts->exact &= TotalOf(&state->exact.sum, &state->rounded.sum,
									has_rounded, &parts->sum);
		if (HAS(state, VALUE_SUM_SQUARES) &&
			!TotalOf(&state->exact.squares, &state->rounded.squares,
					 has_rounded, &parts->sum_squares))
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
		AddUnits(&state->exact.sum, finer->exact.sum.units, finer->exact.sum.scale);
		AddUnits(&state->exact.squares, finer->exact.squares.units, finer->exact.squares.scale);
		return;
	}

	GetParts(finer, &parts);
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
 * Writes the state into a row of a block, as far as the block has columns for
 * it.  What the block points to is allocated in the current memory context.
 */
void
StoreValueState(const ValueState *state, DataBlock *block, int row)
{
	ValueParts	parts;
	Value		value;

	if (state->count > 0)
		GetParts(state, &parts);
	else
	{
		memset(&parts, 0, sizeof(parts));
		parts.exact = true;
	}

	for (int i = 0; i < block->ncolumns; i++)
	{
		Column	   *column = &block->columns[i];

		switch ((ColumnId) column->id)
		{
			case COLUMN_COUNT:
				column->ints[row] = parts.count;
				break;
			case COLUMN_SUM:
				SetColumnValue(block, column, row, &parts.sum);
				break;
			case COLUMN_MIN:
				value = CopyValue(&parts.min);	/* the state's own */
				SetColumnValue(block, column, row, &value);
				break;
			case COLUMN_MAX:
				value = CopyValue(&parts.max);
				SetColumnValue(block, column, row, &value);
				break;
			case COLUMN_SUM_SQUARES:
				SetColumnValue(block, column, row, &parts.sum_squares);
				break;
			case COLUMN_MOMENT:
				value = NullValue;
				if (!parts.exact)
					value = DoubleResult(parts.moment);
				else if (parts.squares_rest < 0)
					value = DoubleResult(parts.squares_rest);
				SetColumnValue(block, column, row, &value);
				break;
			case COLUMN_FREQUENCIES:
				value = StateFrequencies(state);
				SetColumnValue(block, column, row, &value);
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
 * Results
 */

static bool
IsUnknown(const ValueState *state, ValueDownsampler which)
{
	return state->count == 0 || (state->unknown & VALUE_DOWNSAMPLER_BIT(which)) != 0;
}

static bool
SumIsUnknown(const ValueState *state)
{
	return state->count == 0 || state->exact.sum.unknown || state->rounded.sum.unknown;
}

static bool
SquaresAreUnknown(const ValueState *state)
{
	return state->count == 0 || state->exact.squares.unknown || state->rounded.squares.unknown;
}

/*
 * The mean, rounded once where the sum is exact.
 */
Value
StateMean(const ValueState *state)
{
	NumberSum	total;
	double		divisor;

	if (SumIsUnknown(state))
		return NullValue;

	InitSum(&total, CurrentMemoryContext);
	AddSum(&total, &state->exact.sum);
	AddSum(&total, &state->rounded.sum);
	if (UsesNumeric(state) || total.big != NULL)
	{
		Numeric		sum = SumToNumeric(&total);

		if (sum == NULL)
			return NullValue;
		return NumberFromNumeric(DivideNumeric(sum, state->count, HIGH_ACCURACY_DIGITS),
								 state->high_accuracy);
	}

	divisor = (double) state->count * DoublePowers[total.scale];
	if (!total.inexact && fabs((double) total.units) < DOUBLE_INTEGER_MAX &&
		divisor < DOUBLE_INTEGER_MAX)
		return DoubleResult((double) total.units / divisor);
	return DoubleResult(DivideDoubleDouble(SumToDoubleDouble(&total),
										   (double) state->count).high);
}

Value
StateSum(const ValueState *state)
{
	Value		result;

	if (SumIsUnknown(state))
		return NullValue;
	if (UsesNumeric(state))
	{
		Numeric		sum;
		Numeric		squares;

		NumericSums(state, &sum, &squares);
		return NumberOrNull(sum, state->high_accuracy);
	}
	(void) TotalOf(&state->exact.sum, &state->rounded.sum, state->rounded.count > 0, &result);
	return result;
}

Value
StateMin(const ValueState *state)
{
	return IsUnknown(state, VALUE_MIN) ? NullValue : state->min;
}

Value
StateMax(const ValueState *state)
{
	return IsUnknown(state, VALUE_MAX) ? NullValue : state->max;
}

Value
StateSumSquares(const ValueState *state)
{
	Value		result;

	if (SquaresAreUnknown(state))
		return NullValue;
	if (UsesNumeric(state))
	{
		Numeric		sum;
		Numeric		squares;

		NumericSums(state, &sum, &squares);
		return NumberOrNull(squares, state->high_accuracy);
	}
	(void) TotalOf(&state->exact.squares, &state->rounded.squares,
				   state->rounded.count > 0, &result);
	return result;
}

/*
 * The population standard deviation: the root of the second central moment
 * per datapoint.
 */
Value
StateStdDev(const ValueState *state)
{
	double		count = (double) state->count;
	double		moment;
	int			scale;

	if (IsUnknown(state, VALUE_STD_DEV) || SumIsUnknown(state) || SquaresAreUnknown(state))
		return NullValue;

	if (UsesNumeric(state))
	{
		Numeric		sum;
		Numeric		squares;
		Numeric		numeric;

		NumericSums(state, &sum, &squares);
		numeric = NumericMoment(state->count, sum, squares);
		if (numeric == NULL)
			return NullValue;
		numeric = DivideNumeric(SquareRootNumeric(numeric, HIGH_ACCURACY_DIGITS),
								state->count, HIGH_ACCURACY_DIGITS);
		return NumberFromNumeric(numeric, state->high_accuracy);
	}

	if (state->rounded.count == 0 && ScaledMoment(&state->exact, &moment, &scale))
		return DoubleResult(sqrt(moment) / (count * DoublePowers[scale]));
	return DoubleResult(sqrt(BucketMoment(state) / count));
}

/*
 * The datapoints with a value; never null.
 */
Value
StateCount(const ValueState *state)
{
	if (state->count <= (int64) DOUBLE_INTEGER_MAX)
		return DoubleResult((double) state->count);
	return NumberFromNumeric(int64_to_numeric(state->count), false);
}

Value
StateMostOften(const ValueState *state)
{
	return IsUnknown(state, VALUE_FREQUENCIES) ? NullValue : MostOften(state->frequencies);
}

Value
StateLeastOften(const ValueState *state)
{
	return IsUnknown(state, VALUE_FREQUENCIES) ? NullValue : LeastOften(state->frequencies);
}

Value
StateFrequencies(const ValueState *state)
{
	Value		result = {VALUE_JSON};

	if (IsUnknown(state, VALUE_FREQUENCIES))
		return NullValue;
	result.json = FrequenciesToJsonb(state->frequencies);
	return result;
}

Value
StateMedian(const ValueState *state)
{
	return IsUnknown(state, VALUE_MEDIAN) ? NullValue : MedianValue(state->median);
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
	if (SumIsLossless(&state.exact.sum) && SumIsLossless(&state.exact.squares))
	{
		derived = StateStdDev(&state);
		if (derived.kind == VALUE_DOUBLE && derived.number == deviation)
			return;
	}
	parts->exact = false;
	parts->moment = deviation * deviation * (double) parts->count;
}
