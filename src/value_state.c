/*-------------------------------------------------------------------------
 *
 * value_state.c
 *	  What is known of the values of a bucket: adding datapoints.
 *
 * How a number is added depends on the number alone, not on those before it.
 * So a bucket is the same, however its datapoints come in blocks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/int.h"
#include "value_downsampler.h"
#include "value_state.h"

/* The most decimals that a datapoint is added with as a decimal */
#define DATAPOINT_SCALE_MAX		(SUM_SCALE_MAX / 2)

/*
 * So many numbers, of less units than that, are added at once if all of them are
 * decimals.  Units below DECIMAL_UNITS_MAX are rounded right by any way.
 */
#define EXACT_RUN_MAX			64
#define EXACT_UNITS_MAX			(UINT64CONST(1) << 49)

/* So many units of at most DECIMAL_UNITS_MAX can be added in 63 bits. */
#define RUN_MAX					4096

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
	state->moment_known = false;
	if (state->frequencies != NULL)
		ResetFrequencies(state->frequencies);
	if (state->median != NULL)
		ResetMedian(state->median);
}

/*
 * Adding datapoints
 */

/*
 * Counts datapoints with a value.
 */
void
AddCount(ValueState *state, int64 count)
{
	state->moment_known = false;
	if (pg_add_s64_overflow(state->count, count, &state->count))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("bucket has too many datapoints to count")));
}

/*
 * Replaces an extreme if a number lies beyond it.
 */
void
ReplaceExtreme(const ValueState *state, Value *extreme, const Value *number, int direction)
{
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
 * Returns whether a number is added as a binary fraction: not as a decimal, as
 * very small ones are too, and not, from "limit" on, as a long integer.
 */
static inline bool
IsBinaryFraction(double number, double limit)
{
	int64		units;
	int			scale;

	if (fabs(number) <= DECIMAL_UNITS_MAX / 1e6)
		return fabs(number) >= BINARY_MIN && !IsDecimal(number, DATAPOINT_SCALE_MAX);
	return fabs(number) < limit &&
		!DoubleToUnits(number, 0, DATAPOINT_SCALE_MAX, &units, &scale);
}

/*
 * Adds up to RUN_MAX numbers, as far as one that needs more care: a decimal with
 * more decimals than the recent ones had, or a long integer.  Returns how many
 * were added.
 */
static int
AddRun(ValueState *state, const double *numbers, int n)
{
	const int	scale = state->decimals;
	const double power = DoublePowers[scale];
	const double limit = state->binary_integers ? BINARY_INTEGER_MAX : DOUBLE_INTEGER_MAX;
	int64		units_sum = 0;
	uint128		units_squares = 0;
	int			binary_count = 0;
	DoubleDouble sum = {0, 0};
	DoubleDouble squares = {0, 0};
	DoubleDouble deviations = state->deviations;
	double		shift = state->shift;
	int			i;

	for (i = 0; i < n; i++)
	{
		double		number = numbers[i];
		double		scaled = number * power;
		double		square;
		double		deviation;
		double		deviation_error;
		double		square_error;
		double		error;

		if (fabs(scaled) <= DECIMAL_UNITS_MAX)
		{
			int64		units = RoundUnits(scaled);

			if ((double) units / power == number)
			{
				units_sum += units;
				units_squares += (uint128) ((int128) units * units);
				continue;
			}
		}
		if (!IsBinaryFraction(number, limit))
			break;

		if (binary_count++ == 0 && state->rounded.count == 0)
			shift = number;

		sum.high = TwoSum(sum.high, number, &error);
		sum.low += error;
		squares.high = TwoSum(squares.high, number * number, &error);
		squares.low += error;

		/* without any rounding, as another shift must give the same moment */
		deviation = TwoSum(number, -shift, &deviation_error);
		square = TwoProduct(deviation, deviation, &square_error);
		deviations.high = TwoSum(deviations.high, square, &error);
		deviations.low += error + square_error + 2 * deviation * deviation_error;
	}

	if (i > binary_count)
	{
		state->exact.count += i - binary_count;
		AddUnits(&state->exact.sum, units_sum, scale);
		if (HAS(state, VALUE_SUM_SQUARES))
			AddUnits(&state->exact.squares, (int128) units_squares, 2 * scale);
	}
	if (binary_count > 0)
	{
		state->rounded.count += binary_count;
		AddBinary(&state->rounded.sum, sum);
		AddBinary(&state->rounded.squares, squares);
		state->shift = shift;
		state->deviations = deviations;
	}
	return i;
}

/*
 * Adds a decimal with more decimals than the recent ones, a very small number, or
 * a long integer.
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

/*
 * Adds up to EXACT_RUN_MAX numbers, as AddRun() would, if all of them are decimals
 * with no more decimals than the recent ones had, as most are; else returns false.
 */
static bool
AddExactRun(ValueState *state, const double *numbers, int n)
{
	const int	scale = state->decimals;
	const double power = DoublePowers[scale];
	const double rounding = 6755399441055744.0; /* 1.5 * 2^52, see RoundUnits() */
	int64		units[EXACT_RUN_MAX];
	uint64		rounding_bits;
	uint64		difference = 0;
	uint64		magnitudes = 0;
	int64		sum = 0;
	uint128		squares = 0;

	memcpy(&rounding_bits, &rounding, sizeof(rounding_bits));
	for (int i = 0; i < n; i++)
	{
		double		rounded = numbers[i] * power + rounding;
		double		number = (rounded - rounding) / power;
		uint64		rounded_bits;
		uint64		number_bits;
		uint64		expected_bits;

		memcpy(&rounded_bits, &rounded, sizeof(rounded_bits));
		memcpy(&number_bits, &number, sizeof(number_bits));
		memcpy(&expected_bits, &numbers[i], sizeof(expected_bits));
		units[i] = (int64) (rounded_bits - rounding_bits);
		difference |= number_bits ^ expected_bits;
		magnitudes |= (uint64) (units[i] ^ (units[i] >> 63));
	}
	if (difference != 0 || magnitudes >= EXACT_UNITS_MAX)
		return false;

	for (int i = 0; i < n; i++)
		sum += units[i];
	if (magnitudes <= PG_INT32_MAX / EXACT_RUN_MAX)
	{
		uint64		small_squares = 0;

		for (int i = 0; i < n; i++)
			small_squares += (uint64) (units[i] * units[i]);
		squares = small_squares;
	}
	else
	{
		for (int i = 0; i < n; i++)
			squares += (uint128) ((int128) units[i] * units[i]);
	}

	state->exact.count += n;
	AddUnits(&state->exact.sum, sum, scale);
	if (HAS(state, VALUE_SUM_SQUARES))
		AddUnits(&state->exact.squares, (int128) squares, 2 * scale);

	return true;
}

static void
AddDoublesToSums(ValueState *state, const double *numbers, int n)
{
	int			done = 0;

	while (n - done > 0 && AddExactRun(state, numbers + done, Min(n - done, EXACT_RUN_MAX)))
		done += Min(n - done, EXACT_RUN_MAX);

	while (done < n)
	{
		int			wanted = Min(n - done, RUN_MAX);
		int			added = AddRun(state, numbers + done, wanted);

		done += added;
		if (added < wanted)
			AddOtherNumber(state, numbers[done++]);
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
