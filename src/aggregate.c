/*-------------------------------------------------------------------------
 *
 * aggregate.c
 *	  The value downsamplers of numbers as aggregates over double precision.
 *
 * Nulls are ignored; without any input the result is null, and the count 0.
 * NaN and infinity count as they do in PostgreSQL's own aggregates: they carry
 * over to sums, means and deviations, and NaN is greater than every number.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "aggregate.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "value_downsampler.h"

/* Numbers that are added at once */
#define BUFFER_SIZE		128

/* What the aggregates compute of all numbers, as downsamplers */
#define SUM_DOWNSAMPLERS \
	(VALUE_DOWNSAMPLER_BIT(VALUE_MEAN) | VALUE_DOWNSAMPLER_BIT(VALUE_SUM) | \
	 VALUE_DOWNSAMPLER_BIT(VALUE_MIN) | VALUE_DOWNSAMPLER_BIT(VALUE_MAX) | \
	 VALUE_DOWNSAMPLER_BIT(VALUE_SUM_SQUARES) | VALUE_DOWNSAMPLER_BIT(VALUE_STD_DEV) | \
	 VALUE_DOWNSAMPLER_BIT(VALUE_COUNT))

/* The inputs that are no finite numbers, and finite ones not added yet */
typedef struct InputBuffer
{
	int64		nans;
	int64		infinities;
	int64		negative_infinities;
	int			length;
	double		numbers[BUFFER_SIZE];
} InputBuffer;

/* The state of all aggregates but the median; they share it in a query. */
typedef struct SumState
{
	InputBuffer input;
	ValueState	values;
} SumState;

typedef struct MedianState
{
	InputBuffer input;
	Median	   *median;
} MedianState;

PG_FUNCTION_INFO_V1(ds_value_transfn);
PG_FUNCTION_INFO_V1(ds_value_combinefn);
PG_FUNCTION_INFO_V1(ds_value_serialfn);
PG_FUNCTION_INFO_V1(ds_value_deserialfn);
PG_FUNCTION_INFO_V1(ds_mean_finalfn);
PG_FUNCTION_INFO_V1(ds_sum_finalfn);
PG_FUNCTION_INFO_V1(ds_min_finalfn);
PG_FUNCTION_INFO_V1(ds_max_finalfn);
PG_FUNCTION_INFO_V1(ds_sum_squares_finalfn);
PG_FUNCTION_INFO_V1(ds_std_dev_finalfn);
PG_FUNCTION_INFO_V1(ds_count_finalfn);
PG_FUNCTION_INFO_V1(ds_median_transfn);
PG_FUNCTION_INFO_V1(ds_median_combinefn);
PG_FUNCTION_INFO_V1(ds_median_serialfn);
PG_FUNCTION_INFO_V1(ds_median_deserialfn);
PG_FUNCTION_INFO_V1(ds_median_finalfn);

/*
 * Common to all aggregates
 */

/*
 * Returns the memory context in which the state of an aggregate lives.
 */
MemoryContext
AggregateContext(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called in non-aggregate context");
	return context;
}

/*
 * Begins the serialized form of a state.
 */
void
BeginSerialState(StringInfo buf)
{
	pq_begintypsend(buf);
}

bytea *
EndSerialState(StringInfo buf)
{
	return pq_endtypsend(buf);
}

/*
 * Begins to read the serialized form of a state.  Reading beyond its end is an
 * error, as is not reading all of it by pq_getmsgend().
 */
void
ReadSerialState(bytea *state, StringInfo buf)
{
	initStringInfo(buf);
	appendBinaryStringInfo(buf, VARDATA_ANY(state), VARSIZE_ANY_EXHDR(state));
}

/*
 * Inputs
 */

/*
 * Takes an input.  Returns whether the buffer is full then, and has to be
 * emptied.
 */
static inline bool
TakeInput(InputBuffer *input, double number)
{
	if (likely(isfinite(number)))
	{
		/* there is no negative zero */
		input->numbers[input->length++] = number == 0 ? 0 : number;
		return input->length == BUFFER_SIZE;
	}

	if (isnan(number))
		input->nans++;
	else if (number > 0)
		input->infinities++;
	else
		input->negative_infinities++;
	return false;
}

static int64
NonFiniteCount(const InputBuffer *input)
{
	return input->nans + input->infinities + input->negative_infinities;
}

static void
CombineInput(InputBuffer *input, const InputBuffer *other)
{
	input->nans += other->nans;
	input->infinities += other->infinities;
	input->negative_infinities += other->negative_infinities;
}

static void
SerializeInput(const InputBuffer *input, StringInfo buf)
{
	pq_sendint64(buf, input->nans);
	pq_sendint64(buf, input->infinities);
	pq_sendint64(buf, input->negative_infinities);
}

static void
DeserializeInput(InputBuffer *input, StringInfo buf)
{
	input->nans = pq_getmsgint64(buf);
	input->infinities = pq_getmsgint64(buf);
	input->negative_infinities = pq_getmsgint64(buf);
}

/*
 * Returns the result of a sum as a double, with PostgreSQL's own error if it is
 * beyond them.
 */
static Datum
DoubleDatum(Value value)
{
	double		number = ValueToDouble(&value);

	if (isinf(number))
		float_overflow_error();
	return Float8GetDatum(number);
}

/*
 * Sums and extremes
 */

static SumState *
CreateSumState(MemoryContext context)
{
	SumState   *state = MemoryContextAllocZero(context, sizeof(SumState));

	InitValueState(&state->values, VALUE_TYPE_NUMERIC, false, SUM_DOWNSAMPLERS, context);
	state->values.binary_integers = true;
	return state;
}

static void
EmptySumBuffer(SumState *state)
{
	AddDoublesToState(&state->values, state->input.numbers, state->input.length);
	state->input.length = 0;
}

/*
 * ds_value_transfn(state internal, value double precision) returns internal
 */
Datum
ds_value_transfn(PG_FUNCTION_ARGS)
{
	SumState   *state = PG_GETARG_STATE(SumState, 0);

	if (state == NULL)
	{
		MemoryContext context = AggregateContext(fcinfo);

		if (PG_ARGISNULL(1))
			PG_RETURN_NULL();
		state = CreateSumState(context);
	}
	if (!PG_ARGISNULL(1) && TakeInput(&state->input, PG_GETARG_FLOAT8(1)))
		EmptySumBuffer(state);
	PG_RETURN_POINTER(state);
}

/*
 * ds_value_combinefn(state internal, other internal) returns internal
 */
Datum
ds_value_combinefn(PG_FUNCTION_ARGS)
{
	MemoryContext context = AggregateContext(fcinfo);
	SumState   *state = PG_GETARG_STATE(SumState, 0);
	SumState   *other = PG_GETARG_STATE(SumState, 1);

	if (other == NULL)
	{
		if (state == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(state);
	}

	if (state == NULL)
		state = CreateSumState(context);
	EmptySumBuffer(state);
	EmptySumBuffer(other);
	CombineInput(&state->input, &other->input);
	CombineValueState(&state->values, &other->values);
	PG_RETURN_POINTER(state);
}

/*
 * ds_value_serialfn(state internal) returns bytea
 */
Datum
ds_value_serialfn(PG_FUNCTION_ARGS)
{
	SumState   *state = (SumState *) PG_GETARG_POINTER(0);
	StringInfoData buf;

	(void) AggregateContext(fcinfo);
	EmptySumBuffer(state);
	BeginSerialState(&buf);
	SerializeInput(&state->input, &buf);
	SerializeValueState(&state->values, &buf);
	PG_RETURN_BYTEA_P(EndSerialState(&buf));
}

/*
 * ds_value_deserialfn(state bytea, internal) returns internal
 */
Datum
ds_value_deserialfn(PG_FUNCTION_ARGS)
{
	StringInfoData buf;
	SumState   *state;

	(void) AggregateContext(fcinfo);
	ReadSerialState(PG_GETARG_BYTEA_PP(0), &buf);
	state = CreateSumState(CurrentMemoryContext);
	DeserializeInput(&state->input, &buf);
	DeserializeValueState(&state->values, &buf);
	pq_getmsgend(&buf);
	PG_RETURN_POINTER(state);
}

/*
 * Returns the state of a final function with all inputs added; NULL if there
 * are none.
 */
static SumState *
FinalSumState(FunctionCallInfo fcinfo)
{
	SumState   *state = PG_GETARG_STATE(SumState, 0);

	(void) AggregateContext(fcinfo);
	if (state != NULL)
		EmptySumBuffer(state);
	return state;
}

/*
 * Gives what infinite inputs make of a sum.  Returns false if there are none.
 */
static bool
NonFiniteSum(const InputBuffer *input, double *result)
{
	if (NonFiniteCount(input) == 0)
		return false;

	if (input->nans > 0 || (input->infinities > 0 && input->negative_infinities > 0))
		*result = get_float8_nan();
	else
		*result = input->infinities > 0 ? get_float8_infinity() : -get_float8_infinity();
	return true;
}

Datum
ds_mean_finalfn(PG_FUNCTION_ARGS)
{
	SumState   *state = FinalSumState(fcinfo);
	double		result;

	if (state == NULL)
		PG_RETURN_NULL();
	if (NonFiniteSum(&state->input, &result))
		PG_RETURN_FLOAT8(result);
	return DoubleDatum(StateMean(&state->values));
}

Datum
ds_sum_finalfn(PG_FUNCTION_ARGS)
{
	SumState   *state = FinalSumState(fcinfo);
	double		result;

	if (state == NULL)
		PG_RETURN_NULL();
	if (NonFiniteSum(&state->input, &result))
		PG_RETURN_FLOAT8(result);
	return DoubleDatum(StateSum(&state->values));
}

Datum
ds_min_finalfn(PG_FUNCTION_ARGS)
{
	SumState   *state = FinalSumState(fcinfo);

	if (state == NULL)
		PG_RETURN_NULL();
	if (state->input.negative_infinities > 0)
		PG_RETURN_FLOAT8(-get_float8_infinity());
	if (state->values.count > 0)
		return DoubleDatum(StateMin(&state->values));
	if (state->input.infinities > 0)
		PG_RETURN_FLOAT8(get_float8_infinity());
	PG_RETURN_FLOAT8(get_float8_nan());
}

Datum
ds_max_finalfn(PG_FUNCTION_ARGS)
{
	SumState   *state = FinalSumState(fcinfo);

	if (state == NULL)
		PG_RETURN_NULL();
	if (state->input.nans > 0)
		PG_RETURN_FLOAT8(get_float8_nan());
	if (state->input.infinities > 0)
		PG_RETURN_FLOAT8(get_float8_infinity());
	if (state->values.count > 0)
		return DoubleDatum(StateMax(&state->values));
	PG_RETURN_FLOAT8(-get_float8_infinity());
}

Datum
ds_sum_squares_finalfn(PG_FUNCTION_ARGS)
{
	SumState   *state = FinalSumState(fcinfo);

	if (state == NULL)
		PG_RETURN_NULL();
	if (state->input.nans > 0)
		PG_RETURN_FLOAT8(get_float8_nan());
	if (NonFiniteCount(&state->input) > 0)
		PG_RETURN_FLOAT8(get_float8_infinity());
	return DoubleDatum(StateSumSquares(&state->values));
}

Datum
ds_std_dev_finalfn(PG_FUNCTION_ARGS)
{
	SumState   *state = FinalSumState(fcinfo);

	if (state == NULL)
		PG_RETURN_NULL();
	if (NonFiniteCount(&state->input) > 0)
		PG_RETURN_FLOAT8(get_float8_nan());
	return DoubleDatum(StateStdDev(&state->values));
}

Datum
ds_count_finalfn(PG_FUNCTION_ARGS)
{
	SumState   *state = FinalSumState(fcinfo);

	if (state == NULL)
		PG_RETURN_INT64(0);
	PG_RETURN_INT64(state->values.count + NonFiniteCount(&state->input));
}

/*
 * The median
 */

static MedianState *
CreateMedianState(MemoryContext context)
{
	MedianState *state = MemoryContextAllocZero(context, sizeof(MedianState));

	state->median = CreateMedian(context, false);
	return state;
}

static void
EmptyMedianBuffer(MedianState *state)
{
	AddDoublesToMedian(state->median, state->input.numbers, state->input.length);
	state->input.length = 0;
}

/*
 * ds_median_transfn(state internal, value double precision) returns internal
 */
Datum
ds_median_transfn(PG_FUNCTION_ARGS)
{
	MedianState *state = PG_GETARG_STATE(MedianState, 0);

	if (state == NULL)
	{
		MemoryContext context = AggregateContext(fcinfo);

		if (PG_ARGISNULL(1))
			PG_RETURN_NULL();
		state = CreateMedianState(context);
	}
	if (!PG_ARGISNULL(1) && TakeInput(&state->input, PG_GETARG_FLOAT8(1)))
		EmptyMedianBuffer(state);
	PG_RETURN_POINTER(state);
}

/*
 * ds_median_combinefn(state internal, other internal) returns internal
 */
Datum
ds_median_combinefn(PG_FUNCTION_ARGS)
{
	MemoryContext context = AggregateContext(fcinfo);
	MedianState *state = PG_GETARG_STATE(MedianState, 0);
	MedianState *other = PG_GETARG_STATE(MedianState, 1);

	if (other == NULL)
	{
		if (state == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(state);
	}

	if (state == NULL)
		state = CreateMedianState(context);
	EmptyMedianBuffer(state);
	EmptyMedianBuffer(other);
	CombineInput(&state->input, &other->input);
	MergeMedian(state->median, other->median);
	PG_RETURN_POINTER(state);
}

/*
 * ds_median_serialfn(state internal) returns bytea
 */
Datum
ds_median_serialfn(PG_FUNCTION_ARGS)
{
	MedianState *state = (MedianState *) PG_GETARG_POINTER(0);
	StringInfoData buf;
	bytea	   *median;

	(void) AggregateContext(fcinfo);
	EmptyMedianBuffer(state);
	median = MedianToBytes(state->median);
	BeginSerialState(&buf);
	SerializeInput(&state->input, &buf);
	pq_sendint32(&buf, VARSIZE(median));
	pq_sendbytes(&buf, (const char *) median, VARSIZE(median));
	PG_RETURN_BYTEA_P(EndSerialState(&buf));
}

/*
 * ds_median_deserialfn(state bytea, internal) returns internal
 */
Datum
ds_median_deserialfn(PG_FUNCTION_ARGS)
{
	StringInfoData buf;
	MedianState *state;
	bytea	   *median;
	int			size;

	(void) AggregateContext(fcinfo);
	ReadSerialState(PG_GETARG_BYTEA_PP(0), &buf);
	state = CreateMedianState(CurrentMemoryContext);
	DeserializeInput(&state->input, &buf);

	size = pq_getmsgint(&buf, sizeof(int32));
	if (size < VARHDRSZ)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid state of a median")));
	median = palloc(size);
	memcpy(median, pq_getmsgbytes(&buf, size), size);
	SET_VARSIZE(median, size);
	AddMedianFromBytes(state->median, median);
	pq_getmsgend(&buf);
	PG_RETURN_POINTER(state);
}

/*
 * Returns the input of a rank, counted from 0 for the smallest.
 */
static double
InputRank(MedianState *state, int64 rank)
{
	if (rank < state->input.negative_infinities)
		return -get_float8_infinity();
	rank -= state->input.negative_infinities;
	if (rank < MedianCount(state->median))
		return MedianRank(state->median, rank);
	rank -= MedianCount(state->median);
	return rank < state->input.infinities ? get_float8_infinity() : get_float8_nan();
}

Datum
ds_median_finalfn(PG_FUNCTION_ARGS)
{
	MedianState *state = PG_GETARG_STATE(MedianState, 0);
	int64		count;
	double		lower;
	double		upper;

	(void) AggregateContext(fcinfo);
	if (state == NULL)
		PG_RETURN_NULL();

	EmptyMedianBuffer(state);
	if (NonFiniteCount(&state->input) == 0)
		return DoubleDatum(MedianValue(state->median));

	count = MedianCount(state->median) + NonFiniteCount(&state->input);
	lower = InputRank(state, (count - 1) / 2);
	upper = InputRank(state, count / 2);
	PG_RETURN_FLOAT8(lower == upper ? lower : lower / 2 + upper / 2);
}
