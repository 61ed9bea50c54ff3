/*-------------------------------------------------------------------------
 *
 * value_result.c
 *	  What is known of the values of a bucket: the results.
 *
 * Of n datapoints with the sum s and the sum of squares q the second central
 * moment is q - s^2 / n = (n * q - s^2) / n.  From exact sums it is computed
 * that way, in integers or decimals; otherwise it has been kept on its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "value_downsampler.h"
#include "value_state.h"

/* Digits of intermediate results of numbers with high accuracy */
#define WORKING_DIGITS			(2 * HIGH_ACCURACY_DIGITS)

static const Value NullValue = {VALUE_NULL};

/*
 * Returns whether the sums of the bucket are beyond doubles and integers, or
 * kept with high accuracy, so that results are computed in numeric.
 */
bool
UsesNumeric(const ValueState *state)
{
	return state->high_accuracy ||
		state->exact.sum.big != NULL || state->exact.squares.big != NULL ||
		state->rounded.sum.big != NULL || state->rounded.squares.big != NULL;
}

/*
 * Computes n * q - s^2 in integers; *scale is set to the decimals of s, without
 * zeros at the end, so that it does not depend on how the sums came about.
 * Returns false if they are too large for that.
 */
static bool
ScaledMoment(const ValueSums *sums, double *moment, int *scale)
{
	int128		sum = sums->sum.units;
	int128		squares = sums->squares.units;
	int			sum_scale = sums->sum.scale;
	int			squares_scale = sums->squares.scale;
	int128		result;

	StripZeros(&sum, &sum_scale);
	if (squares_scale > 2 * sum_scale)
		StripZeros(&squares, &squares_scale);
	*scale = Max(sum_scale, (squares_scale + 1) / 2);
	if (!ScaleUnits(&sum, *scale - sum_scale) ||
		!ScaleUnits(&squares, 2 * *scale - squares_scale) ||
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

/*
 * Returns the mean of a group that is not empty.
 */
DoubleDouble
MeanOfSums(const ValueSums *sums)
{
	return DivideDoubleDouble(SumToDoubleDouble(&sums->sum), (double) sums->count);
}

/*
 * Returns the second central moment of the rounded group, which is not empty.
 */
DoubleDouble
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
	return result.high > 0 ? result : DoubleDoubleOf(0);
}

/*
 * Computes the second central moment of all datapoints, in double.  Those of
 * two groups are added as Chan, Golub and LeVeque do (COMPSTAT 1982).
 */
static double
ComputeMoment(const ValueState *state)
{
	double		exact_count = (double) state->exact.count;
	double		rounded_count = (double) state->rounded.count;
	DoubleDouble distance;

	if (state->rounded.count == 0)
		return ExactMoment(state);
	if (state->exact.count == 0)
		return RoundedMoment(state).high;

	distance = SubtractDoubleDouble(MeanOfSums(&state->exact), MeanOfSums(&state->rounded));
	return ExactMoment(state) + RoundedMoment(state).high +
		distance.high * distance.high * (exact_count * rounded_count / (exact_count + rounded_count));
}

/*
 * Returns the second central moment of all datapoints, in double.  It is kept,
 * as a bucket is stored and then merged into the next one.
 */
double
BucketMoment(const ValueState *state)
{
	if (!state->moment_known)
	{
		ValueState *cache = unconstify(ValueState *, state);

		cache->moment = ComputeMoment(state);
		cache->moment_known = true;
	}
	return state->moment;
}

/*
 * Returns the sum and the sum of squares of all datapoints in numeric; NULL
 * for one that is not known.
 */
void
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
		AddDecimal(&total, NumericFromDoubleExactly(RoundedMoment(state).high));
	}
	else
		AddSum(&total, &state->rounded.squares);
	*squares = SumToNumeric(&total);
	ResetSum(&total);
}

/*
 * Gives a number, null for NULL.
 */
Value
NumberOrNull(Numeric number, bool high_accuracy)
{
	return number == NULL ? NullValue : NumberFromNumeric(number, high_accuracy);
}

/*
 * Gives a sum over both groups as it is stored, and returns whether that loses
 * nothing.
 */
bool
TotalOf(const ValueState *state, const NumberSum *exact, const NumberSum *rounded, Value *result)
{
	NumberSum	total;

	if (state->rounded.count == 0)
		return SumToValue(exact, result);
	if (state->exact.count == 0)
	{
		(void) SumToValue(rounded, result);
		return false;
	}

	InitSum(&total, CurrentMemoryContext);
	AddSum(&total, exact);
	AddSum(&total, rounded);
	(void) SumToValue(&total, result);
	return false;
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
	int128		divisor;

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
		return DivideNumber(sum, state->count, HIGH_ACCURACY_DIGITS, state->high_accuracy);
	}

	divisor = (int128) state->count * Int128Power(total.scale);
	if (!total.inexact)
	{
		if (fabs((double) total.units) < DOUBLE_INTEGER_MAX &&
			divisor < (int128) DOUBLE_INTEGER_MAX)
			return DoubleValue((double) total.units / (double) divisor);

		/* a long integer keeps its digits */
		if (total.units % divisor == 0)
			return NumberFromNumeric(UnitsToNumeric(total.units / divisor, 0), false);
	}
	return DoubleValue(DivideDoubleDouble(SumToDoubleDouble(&total),
										  (double) state->count).high);
}

/*
 * A sum over both groups, as clients see it.
 */
static Value
TotalResult(const ValueState *state, const NumberSum *exact, const NumberSum *rounded)
{
	Value		result;

	if (UsesNumeric(state))
	{
		NumberSum	total;

		InitSum(&total, CurrentMemoryContext);
		AddSum(&total, exact);
		AddSum(&total, rounded);
		return NumberOrNull(SumToNumeric(&total), state->high_accuracy);
	}
	(void) TotalOf(state, exact, rounded, &result);
	return result;
}

Value
StateSum(const ValueState *state)
{
	if (SumIsUnknown(state))
		return NullValue;
	return TotalResult(state, &state->exact.sum, &state->rounded.sum);
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
	if (SquaresAreUnknown(state))
		return NullValue;
	return TotalResult(state, &state->exact.squares, &state->rounded.squares);
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
		return RoundedNumber(numeric, state->high_accuracy);
	}

	if (state->rounded.count == 0 && ScaledMoment(&state->exact, &moment, &scale))
		return DoubleValue(sqrt(moment) / (count * DoublePowers[scale]));
	return DoubleValue(sqrt(BucketMoment(state) / count));
}

/*
 * The datapoints with a value; never null.
 */
Value
StateCount(const ValueState *state)
{
	if (state->count <= (int64) DOUBLE_INTEGER_MAX)
		return DoubleValue((double) state->count);
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

/*
 * The median.  What version 0.1.0 kept of many numbers does not know their
 * extremes, so those of the bucket are looked at as well.
 */
Value
StateMedian(const ValueState *state)
{
	return IsUnknown(state, VALUE_MEDIAN) ? NullValue :
		WithinExtremes(MedianValue(state->median), StateMin(state), StateMax(state));
}
