/*-------------------------------------------------------------------------
 *
 * decimal.c
 *	  Decimal fractions as whole units of a power of ten, and the conversions
 *	  between them, doubles and PostgreSQL's numeric.
 *
 * Wherever a double stands for a decimal here, it stands for its shortest
 * decimal form: the fewest digits that give back the same double.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "decimal.h"
#include "lib/stringinfo.h"
#include "port/pg_bswap.h"
#include "utils/fmgrprotos.h"

/* A shortest decimal form has no more digits than this. */
#define DOUBLE_DIGITS_MAX	17

/* A decimal of no more digits than this gives a double that gives it back. */
#define DOUBLE_DIGITS_SAFE	15

/* The most digits that always fit an int128 */
#define INT128_DIGITS		37

/*
 * The binary form of numeric, all in words of 16 bits: number of groups, weight of
 * the first one as a power of NUMERIC_GROUP, sign, decimals, groups
 */
#define NUMERIC_GROUP			10000
#define NUMERIC_GROUP_DIGITS	4
#define NUMERIC_NEGATIVE		0x4000
#define NUMERIC_HEADER_WORDS	4
#define NUMERIC_GROUPS_MAX		11	/* of 39 digits, and one that is not full */

/* numeric_div() and numeric_sqrt() make no more decimals than this. */
#define NUMERIC_DECIMALS_MAX	1000

const double DoublePowers[DOUBLE_POWER_MAX + 1] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

/*
 * A decimal taken apart: its digits without leading and trailing zeros, and
 * the power of ten by which they, read as an integer, have to be multiplied.
 */
typedef struct Digits
{
	bool		negative;
	bool		too_long;		/* more digits than a double ever needs */
	int			count;			/* 0 for zero */
	int			exponent;
	char		digits[DOUBLE_DIGITS_MAX];
} Digits;

/*
 * Returns a power of ten, of at most INT128_POWER_MAX.
 */
int128
Int128Power(int exponent)
{
	static const int64 powers[] = {
		INT64CONST(1), INT64CONST(10), INT64CONST(100), INT64CONST(1000),
		INT64CONST(10000), INT64CONST(100000), INT64CONST(1000000),
		INT64CONST(10000000), INT64CONST(100000000), INT64CONST(1000000000),
		INT64CONST(10000000000), INT64CONST(100000000000),
		INT64CONST(1000000000000), INT64CONST(10000000000000),
		INT64CONST(100000000000000), INT64CONST(1000000000000000),
		INT64CONST(10000000000000000), INT64CONST(100000000000000000),
		INT64CONST(1000000000000000000)
	};
	int128		result = 1;

	Assert(exponent >= 0 && exponent <= INT128_POWER_MAX);

	while (exponent >= lengthof(powers))
	{
		result *= powers[lengthof(powers) - 1];
		exponent -= lengthof(powers) - 1;
	}
	return result * powers[exponent];
}

/*
 * Takes a decimal apart: [+-] digits [. digits] [e [+-] digits], with at least
 * one digit.  Returns false if the text is of another form.
 */
static bool
ParseDigits(const char *str, int len, Digits *result)
{
	const char *end = str + len;
	bool		any = false;
	bool		fraction = false;
	int			zeros = 0;		/* not yet known to be trailing ones */

	memset(result, 0, offsetof(Digits, digits));

	if (str < end && (*str == '-' || *str == '+'))
		result->negative = (*str++ == '-');

	for (; str < end; str++)
	{
		if (*str == '.' && !fraction)
		{
			fraction = true;
			continue;
		}
		if (*str < '0' || *str > '9')
			break;

		any = true;
		if (fraction)
			result->exponent--;
		if (*str == '0')
		{
			zeros++;
			continue;
		}

		/* zeros inside the number are digits, leading ones are not */
		if (result->count == 0)
			zeros = 0;
		if (zeros + 1 > DOUBLE_DIGITS_MAX - result->count)
			result->too_long = true;
		else
		{
			while (zeros > 0)
			{
				result->digits[result->count++] = '0';
				zeros--;
			}
			result->digits[result->count++] = *str;
		}
		zeros = 0;
	}
	if (!any)
		return false;
	if (result->count > 0)
		result->exponent += zeros;
	else
		result->exponent = 0;

	if (str < end && (*str == 'e' || *str == 'E'))
	{
		bool		negative = false;
		int			exponent = 0;

		str++;
		if (str < end && (*str == '-' || *str == '+'))
			negative = (*str++ == '-');
		if (str == end)
			return false;
		for (; str < end && *str >= '0' && *str <= '9'; str++)
		{
			if (exponent > 100000000)
			{
				result->too_long = true;
				continue;
			}
			exponent = exponent * 10 + (*str - '0');
		}
		if (result->count > 0)
			result->exponent += negative ? -exponent : exponent;
	}
	return str == end;
}

/*
 * Makes a double of digits that are few and near enough to the decimal point
 * for one correctly rounded operation (Clinger, PLDI 1990), so that they are
 * its shortest decimal form; otherwise false.
 */
static bool
DigitsToDouble(const Digits *digits, double *result)
{
	int64		units = 0;
	double		number;

	if (digits->too_long || digits->count > DOUBLE_DIGITS_SAFE ||
		abs(digits->exponent) > DOUBLE_POWER_MAX)
		return false;

	for (int i = 0; i < digits->count; i++)
		units = units * 10 + (digits->digits[i] - '0');

	number = (double) units;
	if (digits->exponent < 0)
		number /= DoublePowers[-digits->exponent];
	else
	{
		/*
		 * Beyond 53 bits the decimal may lie halfway between two doubles, and
		 * then it is not the shortest form of either.
		 */
		number *= DoublePowers[digits->exponent];
		if (number > DOUBLE_INTEGER_MAX)
			return false;
	}
	*result = (digits->negative && units != 0) ? -number : number;
	return true;
}

/*
 * Reads a decimal in the form that ParseDigits() takes, if it is short enough
 * for a double to give it back.  Returns false for every other text: it may
 * still be a number, only one that needs more care.
 */
bool
ScanDecimal(const char *str, int len, double *result)
{
	Digits		digits;

	return ParseDigits(str, len, &digits) && DigitsToDouble(&digits, result);
}

/*
 * Returns whether a text is a decimal in the form that ParseDigits() takes.
 */
bool
IsDecimalText(const char *str, int len)
{
	Digits		digits;

	return ParseDigits(str, len, &digits);
}

/*
 * Finds the decimal that a double stands for, as units of 10^-scale, if it has
 * no more than max_scale decimals and DECIMAL_UNITS_MAX units.  Whether there
 * is one depends on the number and max_scale alone; "hint" is the scale to try
 * first, and no smaller one than needed, or "hint", is returned.  Integers are
 * found up to DOUBLE_INTEGER_MAX.
 */
bool
DoubleToUnits(double number, int hint, int max_scale, int64 *units, int *scale)
{
	double		magnitude = fabs(number);
	int			top = max_scale;

	if (!(magnitude <= DOUBLE_INTEGER_MAX))
		return false;

	/* as an integer, it has the same units whatever the digits */
	if (hint == 0 || magnitude > DECIMAL_UNITS_MAX)
	{
		int64		integer = (int64) number;

		if ((double) integer == number)
		{
			*units = integer;
			*scale = 0;
			return true;
		}
	}

	/* at the largest scale that the digits allow, it is found if at all */
	while (magnitude * DoublePowers[top] > DECIMAL_UNITS_MAX)
	{
		if (--top < 0)
			return false;
	}

	if (hint <= top)
	{
		*units = RoundUnits(number * DoublePowers[hint]);
		*scale = hint;
		if ((double) *units / DoublePowers[hint] == number)
			return true;
	}
	else
		hint = -1;

	*units = RoundUnits(number * DoublePowers[top]);
	*scale = top;
	if ((double) *units / DoublePowers[top] != number)
		return false;

	for (int smaller = hint + 1; smaller < top; smaller++)
	{
		int64		candidate = RoundUnits(number * DoublePowers[smaller]);

		if ((double) candidate / DoublePowers[smaller] == number)
		{
			*units = candidate;
			*scale = smaller;
			break;
		}
	}
	return true;
}

/*
 * Returns the double nearest to units * 10^-scale.  Beyond 53 bits of units it
 * may be the second nearest, with an error of hardly more than half a unit in
 * its last place.
 */
double
UnitsToDouble(int128 units, int scale)
{
	/* from 64 bits where that is enough, which is quicker */
	double		high = units == (int64) units ? (double) (int64) units : (double) units;
	double		power;
	double		quotient;
	double		rest;

	Assert(scale >= 0 && scale <= DOUBLE_POWER_MAX);

	if (scale == 0)
		return high;
	power = DoublePowers[scale];
	if (fabs(high) <= DOUBLE_INTEGER_MAX)
		return high / power;

	/* correct the quotient by what the first two roundings left */
	quotient = high / power;
	rest = (double) (units - (int128) high) - fma(quotient, power, -high);
	return quotient + rest / power;
}

/*
 * Returns units * 10^-scale, shown with "scale" decimals.
 *
 * It goes through the binary form of numeric, groups of four decimal digits,
 * which every version reads alike.  The function that PostgreSQL has for this,
 * int64_div_fast_to_numeric(), is wrong in 15.0 and 15.1.
 */
Numeric
UnitsToNumeric(int128 units, int scale)
{
	int16		words[NUMERIC_HEADER_WORDS + NUMERIC_GROUPS_MAX];
	int16	   *end = words + lengthof(words);
	int16	   *next = end;
	uint128		rest = units < 0 ? -(uint128) units : (uint128) units;
	int			partial = scale % NUMERIC_GROUP_DIGITS;
	int			fraction = scale / NUMERIC_GROUP_DIGITS + (partial > 0);
	StringInfoData buf;
	int			groups;

	Assert(scale >= 0 && scale <= UNITS_SCALE_MAX);

	if (scale == 0 && units >= PG_INT64_MIN && units <= PG_INT64_MAX)
		return int64_to_numeric((int64) units);

	/* from the last group on, which may have fewer decimals than it has room for */
	if (partial > 0)
	{
		int			power = (int) Int128Power(partial);

		*--next = pg_hton16((int) (rest % power) * (NUMERIC_GROUP / power));
		rest /= power;
	}
	for (; rest > PG_UINT64_MAX; rest /= NUMERIC_GROUP)
		*--next = pg_hton16((int) (rest % NUMERIC_GROUP));
	for (uint64 small = (uint64) rest; small > 0; small /= NUMERIC_GROUP)
		*--next = pg_hton16((int) (small % NUMERIC_GROUP));

	groups = end - next;
	*--next = pg_hton16(scale);
	*--next = pg_hton16(units < 0 ? NUMERIC_NEGATIVE : 0);
	*--next = pg_hton16(groups - fraction - 1);
	*--next = pg_hton16(groups);

	buf.data = (char *) next;
	buf.len = buf.maxlen = (end - next) * sizeof(int16);
	buf.cursor = 0;
	return DatumGetNumeric(DirectFunctionCall3(numeric_recv, PointerGetDatum(&buf),
											   ObjectIdGetDatum(InvalidOid),
											   Int32GetDatum(-1)));
}

/*
 * Returns a number as units of 10^-scale, where scale is the number of its
 * decimals as shown; false if it is too long for that, NaN or infinite.
 */
bool
NumericToUnits(Numeric number, int128 *units, int *scale)
{
	char	   *str = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
	const char *p = str;
	bool		negative = (*p == '-');
	int			count = 0;
	uint128		result = 0;
	bool		fraction = false;

	*scale = 0;
	if (negative)
		p++;
	for (; *p != '\0'; p++)
	{
		if (*p == '.' && !fraction)
		{
			fraction = true;
			continue;
		}
		if (*p < '0' || *p > '9' || count == INT128_DIGITS)
			break;
		result = result * 10 + (*p - '0');
		if (result != 0)
			count++;
		if (fraction)
			(*scale)++;
	}
	*units = negative ? -(int128) result : (int128) result;
	if (*p != '\0' || *scale > UNITS_SCALE_MAX)
	{
		pfree(str);
		return false;
	}
	pfree(str);
	return true;
}

/*
 * Reads a number in any form that the type numeric takes, with its errors.
 */
Numeric
NumericFromText(const char *str)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in,
											   CStringGetDatum(str),
											   ObjectIdGetDatum(InvalidOid),
											   Int32GetDatum(-1)));
}

/*
 * Returns the shortest decimal form of a finite double.
 */
Numeric
NumericFromDouble(double number)
{
	char		buffer[DOUBLE_SHORTEST_DECIMAL_LEN];
	int64		units;
	int			scale;

	if (DoubleToUnits(number, 0, 12, &units, &scale))
		return UnitsToNumeric(units, scale);

	double_to_shortest_decimal_buf(number, buffer);
	return NumericFromText(buffer);
}

/*
 * Returns the value of a finite double as a binary number, to 40 digits.
 */
Numeric
NumericFromDoubleExactly(double number)
{
	char		buffer[64];

	snprintf(buffer, sizeof(buffer), "%.39e", number);
	return NumericFromText(buffer);
}

/*
 * Returns the double nearest to a number; infinity if it is beyond all of them.
 */
double
NumericToDouble(Numeric number)
{
	char	   *str = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
	double		result;

	if (!ScanDecimal(str, strlen(str), &result))
		result = strtod(str, NULL);
	pfree(str);
	return result;
}

/*
 * Finds the double whose shortest decimal form is the number; returns false,
 * and the nearest double, if there is none.  Where the nearest one is beyond
 * all doubles it is infinite.
 */
bool
NumericToDoubleExactly(Numeric number, double *result)
{
	char	   *str = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
	char		shortest[DOUBLE_SHORTEST_DECIMAL_LEN];
	Digits		given;
	Digits		back;
	bool		parsed;

	parsed = ParseDigits(str, strlen(str), &given);
	if (parsed && DigitsToDouble(&given, result))
	{
		pfree(str);
		return true;
	}

	*result = strtod(str, NULL);
	pfree(str);
	if (!parsed || given.too_long || !isfinite(*result))
		return false;

	double_to_shortest_decimal_buf(*result, shortest);
	return ParseDigits(shortest, strlen(shortest), &back) &&
		given.negative == back.negative &&
		given.exponent == back.exponent &&
		given.count == back.count &&
		memcmp(given.digits, back.digits, given.count) == 0;
}

/*
 * Returns whether a finite number is an integer.
 */
bool
NumericIsInteger(Numeric number)
{
	Datum		whole = DirectFunctionCall2(numeric_trunc, NumericGetDatum(number),
											Int32GetDatum(0));
	bool		result;

	result = CompareNumeric(DatumGetNumeric(whole), number) == 0;
	pfree(DatumGetPointer(whole));
	return result;
}

/*
 * Returns the position of the first digit that is not zero, counted from the
 * decimal point: 0 for 1 to 9, -1 for 0.1 to 0.9; 0 for zero.
 */
static int
DecimalExponent(Numeric number)
{
	char	   *str = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
	char	   *point = strchr(str, '.');
	char	   *digit = strpbrk(str, "123456789");
	int			result = 0;

	if (point == NULL)
		point = str + strlen(str);
	if (digit != NULL)
		result = digit < point ? point - digit - 1 : point - digit;
	pfree(str);
	return result;
}

Numeric
AddNumeric(Numeric a, Numeric b)
{
	bool		error = false;
	Numeric		result = numeric_add_opt_error(a, b, &error);

	return error ? NULL : result;
}

Numeric
SubtractNumeric(Numeric a, Numeric b)
{
	bool		error = false;
	Numeric		result = numeric_sub_opt_error(a, b, &error);

	return error ? NULL : result;
}

Numeric
MultiplyNumeric(Numeric a, Numeric b)
{
	bool		error = false;
	Numeric		result = numeric_mul_opt_error(a, b, &error);

	return error ? NULL : result;
}

/*
 * Returns a number with at least so many decimals, as far as numeric_div() and
 * numeric_sqrt() use them: they take the digits of their result from there.
 */
static Datum
WidenNumeric(Numeric number, int decimals)
{
	int			scale = DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(number)));

	decimals = Min(decimals, NUMERIC_DECIMALS_MAX);
	if (decimals <= scale)
		return NumericGetDatum(number);
	return DirectFunctionCall2(numeric_round, NumericGetDatum(number),
							   Int32GetDatum(decimals));
}

/*
 * Divides a number by a positive integer.  The result has at least so many
 * significant digits (but no more than 1,000 decimals) and no trailing zeros.
 */
Numeric
DivideNumeric(Numeric number, int64 divisor, int digits)
{
	Numeric		by = int64_to_numeric(divisor);
	int			exponent = DecimalExponent(number) - DecimalExponent(by) - 1;
	Datum		result;

	result = DirectFunctionCall2(numeric_div, WidenNumeric(number, digits - exponent),
								 NumericGetDatum(by));
	return DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale, result));
}

/*
 * Returns the square root of a number that is not negative, with digits as
 * DivideNumeric() makes them.
 */
Numeric
SquareRootNumeric(Numeric number, int digits)
{
	int			exponent = DecimalExponent(number) / 2 - 1;
	Datum		result;

	result = DirectFunctionCall1(numeric_sqrt, WidenNumeric(number, digits - exponent));
	return DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale, result));
}

int
CompareNumeric(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a),
											 NumericGetDatum(b)));
}
