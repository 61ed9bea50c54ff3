/*-------------------------------------------------------------------------
 *
 * number_sum.c
 *	  Sums of numbers that do not depend on the order or grouping of what is
 *	  added: decimals exactly, other doubles to some 106 bits.
 *
 * Whether a number is added as a decimal or as a binary fraction depends on
 * the number alone.  So a sum is the same however its numbers are divided into
 * blocks and buckets before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq/pqformat.h"
#include "number_sum.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* So many units are well within the 106 bits of two doubles. */
#define PAIR_UNITS_MAX	0x1p100

/*
 * Adds to the numeric part.  A sum beyond the range of numeric is unknown.
 */
static void
AddBig(NumberSum *sum, Numeric number)
{
	Numeric		result = number;

	if (sum->big != NULL)
		result = AddNumeric(sum->big, number);

	if (result == NULL)
	{
		sum->unknown = true;
		return;
	}

	/* the memory grows geometrically, as the number of digits may each time */
	if (sum->big == NULL || VARSIZE(result) > sum->big_size)
	{
		if (sum->big != NULL)
			pfree(sum->big);
		sum->big_size = 2 * VARSIZE(result);
		sum->big = MemoryContextAlloc(sum->context, sum->big_size);
	}
	memcpy(sum->big, result, VARSIZE(result));

	if (result != number)
		pfree(result);
}

/*
 * Adds units * 10^-scale to the numeric part.
 */
static void
AddBigUnits(NumberSum *sum, int128 units, int scale)
{
	Numeric		number = UnitsToNumeric(units, scale);

	AddBig(sum, number);
	pfree(number);
}

/*
 * Multiplies units by a power of ten; false if that would leave their range.
 */
bool
ScaleUnits(int128 *units, int exponent)
{
	int128		power = Int128Power(exponent);
	int128		limit = SUM_UNITS_MAX / power;

	if (*units > limit || *units < -limit)
		return false;
	*units *= power;
	return true;
}

/*
 * Divides units by a power of ten if that leaves no rest.  In 64 bits, where that
 * is enough, it takes a fraction of the time.
 */
static inline bool
DivideUnits(int128 *units, int64 power)
{
	if (likely(*units == (int64) *units))
	{
		if ((int64) *units % power != 0)
			return false;
		*units = (int64) *units / power;
	}
	else
	{
		if (*units % power != 0)
			return false;
		*units /= power;
	}
	return true;
}

/*
 * Removes zeros at the end of the decimals; of 0, all of them.
 */
void
StripZeros(int128 *units, int *scale)
{
	if (*units == 0)
		*scale = 0;
	while (*scale >= 4 && DivideUnits(units, 10000))
		*scale -= 4;
	while (*scale > 0 && DivideUnits(units, 10))
		*scale -= 1;
}

/*
 * Moves the units to the numeric part.
 */
void
SpillUnits(NumberSum *sum)
{
	AddBigUnits(sum, sum->units, sum->scale);
	sum->units = 0;
}

/*
 * Adds units * 10^-scale with another scale than that of the sum.
 */
void
AddScaledUnits(NumberSum *sum, int128 units, int scale)
{
	Assert(scale >= 0 && scale <= UNITS_SCALE_MAX);

	if (scale > sum->scale)
	{
		if (sum->units != 0 && !ScaleUnits(&sum->units, scale - sum->scale))
			SpillUnits(sum);
		sum->scale = scale;
	}
	else if (units != 0 && !ScaleUnits(&units, sum->scale - scale))
	{
		AddBigUnits(sum, units, scale);
		return;
	}
	AddUnits(sum, units, sum->scale);
}

/*
 * Adds a double that is the result of an earlier sum: as the decimal that it
 * stands for if it is a short one, otherwise as a binary fraction.
 */
void
AddDouble(NumberSum *sum, double number)
{
	int64		units;
	int			scale;

	if (fabs(number) < DOUBLE_INTEGER_MAX &&
		DoubleToUnits(number, sum->scale, SUM_SCALE_MAX, &units, &scale))
		AddUnits(sum, units, scale);
	else
		AddBinary(sum, DoubleDoubleOf(number));
}

/*
 * Adds a decimal of any length.
 */
void
AddDecimal(NumberSum *sum, Numeric number)
{
	int128		units;
	int			scale;

	if (NumericToUnits(number, &units, &scale))
		AddUnits(sum, units, scale);
	else
		AddBig(sum, number);
}

/*
 * Adds the square of a decimal of any length.
 */
void
AddDecimalSquare(NumberSum *sum, Numeric number)
{
	int128		units;
	int			scale;
	Numeric		square;

	if (NumericToUnits(number, &units, &scale) &&
		units >= PG_INT64_MIN / 2 && units <= PG_INT64_MAX / 2 &&
		2 * scale <= UNITS_SCALE_MAX)
	{
		AddUnits(sum, units * units, 2 * scale);
		return;
	}

	square = MultiplyNumeric(number, number);
	if (square == NULL)
	{
		sum->unknown = true;
		return;
	}
	AddDecimal(sum, square);
	pfree(square);
}

/*
 * Adds a number as it was measured: of integers all digits, whatever their size.
 */
void
AddNumber(NumberSum *sum, const Value *number)
{
	if (number->kind == VALUE_DOUBLE && fabs(number->number) < DOUBLE_INTEGER_MAX)
		AddDouble(sum, number->number);
	else
		AddDecimal(sum, NumericFromValue(number));
}

/*
 * Adds the result of an earlier sum; null is one that is not known.
 */
void
AddStoredNumber(NumberSum *sum, const Value *number)
{
	switch ((ValueKind) number->kind)
	{
		case VALUE_NULL:
			sum->unknown = true;
			break;
		case VALUE_DOUBLE:
			AddDouble(sum, number->number);
			break;
		case VALUE_JSON:
			AddDecimal(sum, NumericFromValue(number));
			break;
	}
}

/*
 * Adds another sum.
 */
void
AddSum(NumberSum *sum, const NumberSum *other)
{
	if (other->unknown)
		sum->unknown = true;
	if (other->units != 0 || other->scale > sum->scale)
		AddUnits(sum, other->units, other->scale);
	if (other->inexact)
		AddBinary(sum, other->binary);
	if (other->big != NULL)
		AddBig(sum, other->big);
}

/*
 * Returns whether SumToValue() gives all digits of the sum, as far as that can
 * be told at a glance.
 */
bool
SumIsLossless(const NumberSum *sum)
{
	if (sum->inexact || sum->unknown || sum->big != NULL)
		return false;
	return sum->scale == 0 ||
		(sum->units <= (int64) DECIMAL_UNITS_MAX &&
		 sum->units >= -(int64) DECIMAL_UNITS_MAX);
}

/*
 * Returns the sum to some 106 bits, as far as it is in the range of double.
 */
DoubleDouble
SumToDoubleDouble(const NumberSum *sum)
{
	DoubleDouble result = {0, 0};

	if (sum->inexact)
		result = Renormalize(sum->binary.high, sum->binary.low);
	if (sum->units != 0)
	{
		DoubleDouble units;

		units.high = (double) sum->units;
		units.low = (double) (sum->units - (int128) units.high);
		result = AddDoubleDouble(result, DivideDoubleDouble(units, DoublePowers[sum->scale]));
	}
	if (sum->big != NULL)
		result = AddDoubleDouble(result, DoubleDoubleOf(NumericToDouble(sum->big)));
	return result;
}

/*
 * Returns the sum with all its digits (binary fractions to some 40).  NULL if
 * it is not known.
 */
Numeric
SumToNumeric(const NumberSum *sum)
{
	Numeric		result = UnitsToNumeric(sum->units, sum->scale);

	if (sum->unknown)
		return NULL;
	if (sum->big != NULL)
		result = AddNumeric(result, sum->big);
	if (sum->inexact && result != NULL)
	{
		DoubleDouble binary = Renormalize(sum->binary.high, sum->binary.low);

		result = AddNumeric(result, NumericFromDoubleExactly(binary.high));
		if (result != NULL && binary.low != 0)
			result = AddNumeric(result, NumericFromDoubleExactly(binary.low));
	}
	return result;
}

/*
 * Gives the sum as a number of a stream without high accuracy: integers with
 * all their digits, others as the nearest double.  Null if it is not known.
 * Returns whether that is the sum exactly, so that AddStoredNumber() gives it
 * back.
 */
bool
SumToValue(const NumberSum *sum, Value *result)
{
	int128		units = sum->units;
	int			scale = sum->scale;

	result->kind = VALUE_NULL;
	result->number = 0;
	result->json = NULL;
	if (sum->unknown)
		return false;

	if (sum->big != NULL)
	{
		Numeric		number = SumToNumeric(sum);

		if (number != NULL)
			*result = NumberFromNumeric(number, false);
		return false;
	}

	result->kind = VALUE_DOUBLE;
	if (sum->inexact)
	{
		result->number = SumToDoubleDouble(sum).high;
		return false;
	}

	/* with too many units, the decimals may be zeros */
	if (!SumIsLossless(sum))
		StripZeros(&units, &scale);

	if (scale == 0 && (units >= (int64) DOUBLE_INTEGER_MAX ||
					   units <= -(int64) DOUBLE_INTEGER_MAX))
	{
		result->kind = VALUE_JSON;
		result->json = JsonbFromNumeric(UnitsToNumeric(units, 0));
		return true;
	}
	result->number = UnitsToDouble(units, scale);
	return scale == 0 || (units <= (int64) DECIMAL_UNITS_MAX &&
						  units >= -(int64) DECIMAL_UNITS_MAX);
}

/*
 * Gives an exact sum as two doubles: one above it, and the negative rest.
 * Returns false if AddPair() would not give it back.
 */
bool
SumToPair(const NumberSum *sum, double *above, double *rest)
{
	DoubleDouble number;
	NumberSum	back;
	double		bound;
	double		difference;

	if (sum->inexact || sum->unknown || sum->big != NULL)
		return false;

	number = SumToDoubleDouble(sum);
	bound = number.low < 0 ? number.high : nextafter(number.high, HUGE_VAL);
	difference = (number.high - bound) + number.low;

	InitSum(&back, CurrentMemoryContext);
	AddUnits(&back, -sum->units, sum->scale);
	if (!AddPair(&back, bound, difference) || back.big != NULL || back.units != 0)
		return false;

	*above = bound;
	*rest = difference;
	return true;
}

/*
 * Adds a sum that SumToPair() has given.  Returns false if the doubles are too
 * large for one.
 */
bool
AddPair(NumberSum *sum, double above, double rest)
{
	int			scale = SUM_SCALE_MAX;
	DoubleDouble units;
	double		whole;

	/* larger sums can have only so many decimals */
	if (fabs(above) * DoublePowers[scale] >= PAIR_UNITS_MAX)
		scale /= 2;

	units = MultiplyDoubleDouble(Renormalize(above, rest), DoubleDoubleOf(DoublePowers[scale]));
	if (!(fabs(units.high) < PAIR_UNITS_MAX))
		return false;

	whole = rint(units.high);
	AddUnits(sum, (int128) whole + (int128) rint((units.high - whole) + units.low), scale);
	return true;
}

/*
 * Writes the whole state of a sum, for another process of this server.
 */
void
SerializeSum(const NumberSum *sum, StringInfo buf)
{
	pq_sendint64(buf, (int64) (sum->units >> 64));
	pq_sendint64(buf, (int64) (uint64) sum->units);
	pq_sendbyte(buf, sum->scale);
	pq_sendbyte(buf, sum->inexact);
	pq_sendbyte(buf, sum->unknown);
	pq_sendfloat8(buf, sum->binary.high);
	pq_sendfloat8(buf, sum->binary.low);
	pq_sendbyte(buf, sum->big != NULL);
	if (sum->big != NULL)
		pq_sendstring(buf, DatumGetCString(DirectFunctionCall1(numeric_out,
															   NumericGetDatum(sum->big))));
}

/*
 * Adds a sum that SerializeSum() has written.
 */
void
AddSerializedSum(NumberSum *sum, StringInfo buf)
{
	NumberSum	other;

	InitSum(&other, CurrentMemoryContext);
	other.units = (int128) pq_getmsgint64(buf) << 64;
	other.units |= (uint64) pq_getmsgint64(buf);
	other.scale = pq_getmsgbyte(buf);
	other.inexact = pq_getmsgbyte(buf) != 0;
	other.unknown = pq_getmsgbyte(buf) != 0;
	other.binary.high = pq_getmsgfloat8(buf);
	other.binary.low = pq_getmsgfloat8(buf);
	if (pq_getmsgbyte(buf) != 0)
		other.big = NumericFromText(pq_getmsgstring(buf));

	if (other.scale > UNITS_SCALE_MAX ||
		other.units > SUM_UNITS_MAX || other.units < -SUM_UNITS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid state of a sum")));
	AddSum(sum, &other);
	ResetSum(&other);
}
