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
#include "lib/stringinfo.h"
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

extern bool ScaleUnits(int128 *units, int exponent);
extern void StripZeros(int128 *units, int *scale);
extern void AddScaledUnits(NumberSum *sum, int128 units, int scale);
extern void SpillUnits(NumberSum *sum);
extern void AddDouble(NumberSum *sum, double number);
extern void AddDecimal(NumberSum *sum, Numeric number);
extern void AddDecimalSquare(NumberSum *sum, Numeric number);
extern void AddNumber(NumberSum *sum, const Value *number);
extern void AddStoredNumber(NumberSum *sum, const Value *number);
extern void AddSum(NumberSum *sum, const NumberSum *other);

extern bool SumIsLossless(const NumberSum *sum);
extern DoubleDouble SumToDoubleDouble(const NumberSum *sum);
extern Numeric SumToNumeric(const NumberSum *sum);
extern bool SumToValue(const NumberSum *sum, Value *result);
extern bool SumToPair(const NumberSum *sum, double *above, double *rest);
extern bool AddPair(NumberSum *sum, double above, double rest);

extern void SerializeSum(const NumberSum *sum, StringInfo buf);
extern void AddSerializedSum(NumberSum *sum, StringInfo buf);

/*
 * Makes a sum of nothing.  What does not fit the struct is allocated in
 * "context".
 */
static inline void
InitSum(NumberSum *sum, MemoryContext context)
{
	/* one by one, which is quicker than memset() of so few bytes */
	sum->units = 0;
	sum->scale = 0;
	sum->inexact = false;
	sum->unknown = false;
	sum->binary.high = 0;
	sum->binary.low = 0;
	sum->big = NULL;
	sum->big_size = 0;
	sum->context = context;
}

/*
 * Makes the sum one of nothing again.
 */
static inline void
ResetSum(NumberSum *sum)
{
	if (unlikely(sum->big != NULL))
		pfree(sum->big);
	InitSum(sum, sum->context);
}

/*
 * Adds units * 10^-scale; the units are at most SUM_UNITS_MAX.
 */
static inline void
AddUnits(NumberSum *sum, int128 units, int scale)
{
	if (unlikely(scale != sum->scale))
	{
		AddScaledUnits(sum, units, scale);
		return;
	}
	sum->units += units;
	if (unlikely(sum->units > SUM_UNITS_MAX || sum->units < -SUM_UNITS_MAX))
		SpillUnits(sum);
}

/*
 * Adds a number that is a binary fraction, or the sum of such.
 */
static inline void
AddBinary(NumberSum *sum, DoubleDouble number)
{
	double		error;

	sum->inexact = true;
	sum->binary.high = TwoSum(sum->binary.high, number.high, &error);
	sum->binary.low += error + number.low;
}

#endif							/* DS_NUMBER_SUM_H */
