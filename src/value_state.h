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
	bool		binary_integers;	/* integers beyond 53 bits are added as
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

extern void InitValueState(ValueState *state, ValueType type, bool high_accuracy,
						   uint32 downsamplers, MemoryContext context);
extern void ResetValueState(ValueState *state);

extern void AddDoublesToState(ValueState *state, const double *numbers, int n);
extern int64 AddValueToState(ValueState *state, const Value *value);
extern void MergeValueState(ValueState *state, const ValueState *finer);

extern void StoreValueState(const ValueState *state, DataBlock *block, int row);
extern void LoadValueState(ValueState *state, const DataBlock *block, int row);

extern void SetPartsMoment(ValueParts *parts, uint32 downsamplers, const Value *std_dev,
						   bool high_accuracy);

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

#endif							/* DS_VALUE_STATE_H */
