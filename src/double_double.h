/*-------------------------------------------------------------------------
 *
 * double_double.h
 *	  Numbers of some 106 bits, as the sum of two doubles.
 *
 * The algorithms are those of Knuth (TAOCP 2, 4.2.2), Dekker (Numerische
 * Mathematik 18, 1971) and Neumaier (ZAMM 54, 1974).  They rely on doubles
 * being rounded once in each operation, for which the Makefile sees.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_DOUBLE_DOUBLE_H
#define DS_DOUBLE_DOUBLE_H

#include <math.h>

typedef struct DoubleDouble
{
	double		high;
	double		low;
} DoubleDouble;

/* The rounded sum of two doubles; *error is what rounding left. */
static inline double
TwoSum(double a, double b, double *error)
{
	double		sum = a + b;
	double		b_in_sum = sum - a;

	*error = (a - (sum - b_in_sum)) + (b - b_in_sum);
	return sum;
}

/* The rounded product of two doubles; *error is what rounding left. */
static inline double
TwoProduct(double a, double b, double *error)
{
	double		product = a * b;

#ifdef FP_FAST_FMA
	*error = fma(a, b, -product);
#else
	const double split = 134217729.0;	/* 2^27 + 1 */
	double		a_split = split * a;
	double		b_split = split * b;
	double		a_high = a_split - (a_split - a);
	double		b_high = b_split - (b_split - b);
	double		a_low = a - a_high;
	double		b_low = b - b_high;

	*error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) +
		a_low * b_low;
#endif
	return product;
}

/* The same number, its high part being the double nearest to it */
static inline DoubleDouble
Renormalize(double high, double low)
{
	DoubleDouble result;

	result.high = TwoSum(high, low, &result.low);
	return result;
}

static inline DoubleDouble
DoubleDoubleOf(double number)
{
	DoubleDouble result = {number, 0};

	return result;
}

static inline DoubleDouble
AddDoubleDouble(DoubleDouble a, DoubleDouble b)
{
	double		error;
	double		sum = TwoSum(a.high, b.high, &error);

	return Renormalize(sum, error + (a.low + b.low));
}

static inline DoubleDouble
SubtractDoubleDouble(DoubleDouble a, DoubleDouble b)
{
	b.high = -b.high;
	b.low = -b.low;
	return AddDoubleDouble(a, b);
}

static inline DoubleDouble
MultiplyDoubleDouble(DoubleDouble a, DoubleDouble b)
{
	double		error;
	double		product = TwoProduct(a.high, b.high, &error);

	return Renormalize(product, error + (a.high * b.low + a.low * b.high));
}

static inline DoubleDouble
DivideDoubleDouble(DoubleDouble a, double divisor)
{
	double		quotient = a.high / divisor;
	double		error;
	double		product = TwoProduct(quotient, divisor, &error);

	return Renormalize(quotient, ((a.high - product) - error + a.low) / divisor);
}

#endif							/* DS_DOUBLE_DOUBLE_H */
