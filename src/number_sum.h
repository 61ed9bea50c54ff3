/*-------------------------------------------------------------------------
 *
 * number_sum.h
 *	  Sums of numbers that do not depend on the order or grouping of what is
 *	  added: decimals exactly, other doubles to some 106 bits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_NUMBER_SUM_H
#define DS_NUMBER_SUM_H

#include "decimal.h"
#include "double_double.h"
#include "value.h"

/* The most decimals of a double that is added as a decimal */
#define SUM_SCALE_MAX	12

/* Units of a sum stay below this: two such can still be added. */
#define SUM_UNITS_MAX	(((int128) 1) << 125)

/* The sum is units * 10^-scale + binary + big. */
typedef struct NumberSum
{
	int128		units;
	int			scale;
	bool		inexact;		/* binary is in use */
	bool		unknown;		/* something was added that is not known */
	DoubleDouble binary;		/* doubles that are no short decimals */
	Numeric		big;			/* decimals that are too long for units, or
								 * NULL; allocated in context */
	Size		big_size;		/* bytes allocated for big */
	MemoryContext context;
} NumberSum;

extern void InitSum(NumberSum *sum, MemoryContext context);
extern void ResetSum(NumberSum *sum);

extern bool ScaleUnits(int128 *units, int exponent);
extern void AddUnits(NumberSum *sum, int128 units, int scale);
extern void AddBinary(NumberSum *sum, DoubleDouble number);
extern void AddDouble(NumberSum *sum, double number);
extern void AddDecimal(NumberSum *sum, Numeric number);
extern void AddDecimalSquare(NumberSum *sum, Numeric number);
extern void AddStoredNumber(NumberSum *sum, const Value *number);
extern void AddSum(NumberSum *sum, const NumberSum *other);

extern bool SumIsLossless(const NumberSum *sum);
extern DoubleDouble SumToDoubleDouble(const NumberSum *sum);
extern Numeric SumToNumeric(const NumberSum *sum);
extern bool SumToValue(const NumberSum *sum, Value *result);

#endif							/* DS_NUMBER_SUM_H */
