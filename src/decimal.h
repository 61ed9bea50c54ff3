/*-------------------------------------------------------------------------
 *
 * decimal.h
 *	  Decimal fractions as whole units of a power of ten, and the conversions
 *	  between them, doubles and PostgreSQL's numeric.
 *
 * Most measurements are decimals of a few digits, of which a double is only
 * the nearest binary fraction.  As units of 10^-scale they can be added and
 * squared exactly, whatever the order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_DECIMAL_H
#define DS_DECIMAL_H

#include <math.h>

#include "utils/numeric.h"

#ifndef HAVE_INT128
#error "datastream needs a compiler with 128-bit integers"
#endif

/*
 * A double whose units do not exceed this is the only one nearest to its
 * decimal, and its shortest decimal form gives the same units.
 */
#define DECIMAL_UNITS_MAX	1e15

/* Up to here every integer is a double. */
#define DOUBLE_INTEGER_MAX	9007199254740992.0

/* The most decimals of numbers that are held as units */
#define UNITS_SCALE_MAX		18

/* Powers of ten that are exact as double and as int128 */
#define DOUBLE_POWER_MAX	22
#define INT128_POWER_MAX	38

/*
 * Rounds a double of at most DECIMAL_UNITS_MAX to the nearest integer: in
 * doubles of this size the last bit counts ones.
 */
static inline int64
RoundUnits(double number)
{
	const double shift = 6755399441055744.0;	/* 1.5 * 2^52 */

	return (int64) ((number + shift) - shift);
}

extern const double DoublePowers[DOUBLE_POWER_MAX + 1];
extern int128 Int128Power(int exponent);

extern bool DoubleToUnits(double number, int hint, int max_scale, int64 *units, int *scale);
extern double UnitsToDouble(int128 units, int scale);
extern Numeric UnitsToNumeric(int128 units, int scale);
extern bool NumericToUnits(Numeric number, int128 *units, int *scale);

/*
 * Returns whether DoubleToUnits() finds a decimal of at most so many decimals,
 * where the number is small enough for all of them.
 */
static inline bool
IsDecimal(double number, int scale)
{
	double		scaled = number * DoublePowers[scale];

	return fabs(scaled) <= DECIMAL_UNITS_MAX &&
		(double) RoundUnits(scaled) / DoublePowers[scale] == number;
}

extern Numeric NumericFromText(const char *str);
extern Numeric NumericFromDouble(double number);
extern Numeric NumericFromDoubleExactly(double number);
extern double NumericToDouble(Numeric number);
extern bool NumericToDoubleExactly(Numeric number, double *result);
extern bool NumericIsInteger(Numeric number);
extern bool ScanDecimal(const char *str, int len, double *result);
extern bool IsDecimalText(const char *str, int len);

/* Arithmetic; NULL where the result is beyond the range of numeric */
extern Numeric AddNumeric(Numeric a, Numeric b);
extern Numeric SubtractNumeric(Numeric a, Numeric b);
extern Numeric MultiplyNumeric(Numeric a, Numeric b);
extern Numeric DivideNumeric(Numeric a, int64 divisor, int digits);
extern Numeric SquareRootNumeric(Numeric a, int digits);
extern int	CompareNumeric(Numeric a, Numeric b);

#endif							/* DS_DECIMAL_H */
