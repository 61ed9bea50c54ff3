/*-------------------------------------------------------------------------
 *
 * value_state.h
 *	  What is known of the values of a bucket.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_VALUE_STATE_H
#define DS_VALUE_STATE_H

#include <math.h>

#include "block.h"
#include "frequencies.h"
#include "median.h"
#include "number_sum.h"
#include "value.h"

typedef struct ValueSums
{
	int64		count;			/* of the datapoints in the sums */
	NumberSum	sum;
	NumberSum	squares;
} ValueSums;

/*
 * The state of a bucket's values.
 *
 * The datapoints are in two groups.  For those whose sums are exact the sums
 * are enough, as the second central moment follows from them.  For the others,
 * the rounded ones, where it would be lost to cancellation, squares are summed
 * about a number near them as well.
 */
typedef struct ValueState
{
	/* set when the state is made */
	bool		numeric;		/* of a numeric stream */
	bool		high_accuracy;
	uint32		downsamplers;	/* of the stream */
	bool		binary_integers;	/* integers of 54 to 80 bits are added as
									 * binary fractions */
	MemoryContext context;		/* for what does not fit in here */

	int64		count;			/* datapoints with a value */
	uint32		unknown;		/* VALUE_DOWNSAMPLER_BITs that are not known
								 * (sum and sum_squares know it themselves) */
	Value		min;
	Value		max;
	ValueSums	exact;
	ValueSums	rounded;
	double		shift;			/* a number near the rounded ones */
	DoubleDouble deviations;	/* sum of (number - shift)^2 over them */
	bool		moment_known;	/* BucketMoment() has been computed: */
	double		moment;
	Frequencies *frequencies;	/* NULL unless the stream has them */
	Median	   *median;			/* NULL unless the stream has it */

	int			decimals;		/* that recent numbers had: only a hint */
} ValueState;

/*
 * The values of a bucket in the form in which they are stored, or come in as
 * an already downsampled value.  Null stands for what is not known.
 */
typedef struct ValueParts
{
	int64		count;
	Value		sum;
	Value		min;
	Value		max;
	Value		sum_squares;
	bool		exact;			/* the second central moment follows from sum
								 * and sum_squares */
	double		squares_rest;	/* then: to be added to sum_squares; at most 0 */
	double		moment;			/* otherwise: the moment, or MOMENT_UNKNOWN */
	JsonbContainer *frequencies;	/* only of an already downsampled value */
	Value		median;			/* likewise */
} ValueParts;

#define MOMENT_UNKNOWN		(-HUGE_VAL)

/* Doubles beyond these would leave the range of double when squared. */
#define BINARY_MAX			1e100
#define BINARY_MIN			1e-100

/*
 * Integers up to this may be added as binary fractions: of millions of them no
 * digit is lost.
 */
#define BINARY_INTEGER_MAX	0x1p80

/* Whether the stream has a downsampler */
#define HAS(state, d) \
	(((state)->downsamplers & VALUE_DOWNSAMPLER_BIT(d)) != 0)

extern void InitValueState(ValueState *state, ValueType type, bool high_accuracy,
						   uint32 downsamplers, MemoryContext context);
extern void ResetValueState(ValueState *state);

extern void AddDoublesToState(ValueState *state, const double *numbers, int n);
extern int64 AddValueToState(ValueState *state, const Value *value);
extern void MergeValueState(ValueState *state, const ValueState *finer);

extern void StoreValueState(const ValueState *state, DataBlock *block, int row);
extern void LoadValueState(ValueState *state, const DataBlock *block, int row);

/* For the files that make the state, value_*.c */
extern void AddCount(ValueState *state, int64 count);
extern void ReplaceExtreme(const ValueState *state, Value *extreme, const Value *number,
						   int direction);
extern int64 AddDownsampledValue(ValueState *state, Jsonb *json);
extern bool UsesNumeric(const ValueState *state);
extern bool TotalOf(const ValueState *state, const NumberSum *exact, const NumberSum *rounded,
					Value *result);
extern void NumericSums(const ValueState *state, Numeric *sum, Numeric *squares);
extern DoubleDouble MeanOfSums(const ValueSums *sums);
extern DoubleDouble RoundedMoment(const ValueState *state);
extern double BucketMoment(const ValueState *state);
extern void AddDeviations(ValueState *state, int64 count, DoubleDouble mean,
						  DoubleDouble moment);
extern Value NumberOrNull(Numeric number, bool high_accuracy);
extern void SetPartsMoment(ValueParts *parts, uint32 downsamplers, const Value *std_dev,
						   bool high_accuracy);

/* For aggregates: states with all their digits */
extern void CombineValueState(ValueState *state, const ValueState *other);
extern void SerializeValueState(const ValueState *state, StringInfo buf);
extern void DeserializeValueState(ValueState *state, StringInfo buf);

/* Results; null where there is none */
extern Value StateMean(const ValueState *state);
extern Value StateSum(const ValueState *state);
extern Value StateMin(const ValueState *state);
extern Value StateMax(const ValueState *state);
extern Value StateSumSquares(const ValueState *state);
extern Value StateStdDev(const ValueState *state);
extern Value StateCount(const ValueState *state);
extern Value StateMostOften(const ValueState *state);
extern Value StateLeastOften(const ValueState *state);
extern Value StateFrequencies(const ValueState *state);
extern Value StateMedian(const ValueState *state);

/*
 * Replaces an extreme if a number lies beyond it: direction is -1 for the
 * smallest, 1 for the largest.
 */
static inline void
MergeExtreme(const ValueState *state, Value *extreme, const Value *number, int direction)
{
	if (likely(number->kind == VALUE_DOUBLE && extreme->kind == VALUE_DOUBLE))
	{
		if ((number->number - extreme->number) * direction > 0)
			extreme->number = number->number;
	}
	else
		ReplaceExtreme(state, extreme, number, direction);
}

/*
 * Returns the number between two extremes, null for one that is not known, that
 * is nearest to a number.
 */
static inline Value
WithinExtremes(Value number, Value min, Value max)
{
	if (min.kind != VALUE_NULL && CompareNumbers(&number, &min) < 0)
		return min;
	if (max.kind != VALUE_NULL && CompareNumbers(&number, &max) > 0)
		return max;
	return number;
}

#endif							/* DS_VALUE_STATE_H */
