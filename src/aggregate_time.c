/*-------------------------------------------------------------------------
 *
 * aggregate_time.c
 *	  The time downsamplers as aggregates over timestamps.
 *
 * An aggregate cannot rely on the order of its input.  So the first timestamp
 * is the smallest one, and intervals are those between neighbours when sorted.
 * Nulls are ignored; without any input the result is null, as are intervals
 * below two timestamps.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "aggregate.h"
#include "codec.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "time_downsampler.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Decimals of a second in timestamps */
#define MICROSECONDS_SCALE	6

/* The state of the mean, first and last timestamp; they share it in a query. */
typedef struct TimesState
{
	int64		count;			/* of finite timestamps */
	int128		sum;			/* of them */
	bool		infinity;
	bool		negative_infinity;
	TimestampTz first;
	TimestampTz last;
} TimesState;

/*
 * The state of the intervals: all timestamps.  Sorting waits until they are
 * needed.
 */
typedef struct IntervalsState
{
	MemoryContext context;
	Size		length;
	Size		capacity;
	bool		sorted;
	TimestampTz *times;
} IntervalsState;

#define ST_SORT				SortTimestamps
#define ST_ELEMENT_TYPE		TimestampTz
#define ST_COMPARE(a, b)	(*(a) < *(b) ? -1 : *(a) > *(b))
#define ST_CHECK_FOR_INTERRUPTS
#define ST_SCOPE			static
#define ST_DECLARE
#define ST_DEFINE
#include "lib/sort_template.h"

PG_FUNCTION_INFO_V1(ds_time_transfn);
PG_FUNCTION_INFO_V1(ds_time_combinefn);
PG_FUNCTION_INFO_V1(ds_time_serialfn);
PG_FUNCTION_INFO_V1(ds_time_deserialfn);
PG_FUNCTION_INFO_V1(ds_time_mean_finalfn);
PG_FUNCTION_INFO_V1(ds_time_first_finalfn);
PG_FUNCTION_INFO_V1(ds_time_last_finalfn);
PG_FUNCTION_INFO_V1(ds_intervals_transfn);
PG_FUNCTION_INFO_V1(ds_intervals_combinefn);
PG_FUNCTION_INFO_V1(ds_intervals_serialfn);
PG_FUNCTION_INFO_V1(ds_intervals_deserialfn);
PG_FUNCTION_INFO_V1(ds_intervals_mean_finalfn);
PG_FUNCTION_INFO_V1(ds_intervals_min_finalfn);
PG_FUNCTION_INFO_V1(ds_intervals_max_finalfn);
PG_FUNCTION_INFO_V1(ds_intervals_sum_squares_finalfn);
PG_FUNCTION_INFO_V1(ds_intervals_std_dev_finalfn);

/*
 * Mean, first and last
 */

static TimesState *
CreateTimesState(MemoryContext context)
{
	TimesState *state = MemoryContextAllocZero(context, sizeof(TimesState));

	state->first = DT_NOEND;
	state->last = DT_NOBEGIN;
	return state;
}

/*
 * ds_time_transfn(state internal, ts timestamptz) returns internal
 */
Datum
ds_time_transfn(PG_FUNCTION_ARGS)
{
	TimesState *state = PG_GETARG_STATE(TimesState, 0);
	TimestampTz ts;

	if (state == NULL)
	{
		MemoryContext context = AggregateContext(fcinfo);

		if (PG_ARGISNULL(1))
			PG_RETURN_NULL();
		state = CreateTimesState(context);
	}
	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(state);

	ts = PG_GETARG_TIMESTAMPTZ(1);
	state->first = Min(state->first, ts);
	state->last = Max(state->last, ts);
	if (TIMESTAMP_IS_NOBEGIN(ts))
		state->negative_infinity = true;
	else if (TIMESTAMP_IS_NOEND(ts))
		state->infinity = true;
	else
	{
		state->count++;
		state->sum += ts;
	}
	PG_RETURN_POINTER(state);
}

/*
 * ds_time_combinefn(state internal, other internal) returns internal
 */
Datum
ds_time_combinefn(PG_FUNCTION_ARGS)
{
	MemoryContext context = AggregateContext(fcinfo);
	TimesState *state = PG_GETARG_STATE(TimesState, 0);
	TimesState *other = PG_GETARG_STATE(TimesState, 1);

	if (other == NULL)
	{
		if (state == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(state);
	}

	if (state == NULL)
		state = CreateTimesState(context);
	state->count += other->count;
	state->sum += other->sum;
	state->infinity |= other->infinity;
	state->negative_infinity |= other->negative_infinity;
	state->first = Min(state->first, other->first);
	state->last = Max(state->last, other->last);
	PG_RETURN_POINTER(state);
}

/*
 * ds_time_serialfn(state internal) returns bytea
 */
Datum
ds_time_serialfn(PG_FUNCTION_ARGS)
{
	TimesState *state = (TimesState *) PG_GETARG_POINTER(0);
	StringInfoData buf;

	(void) AggregateContext(fcinfo);
	BeginSerialState(&buf);
	pq_sendint64(&buf, state->count);
	pq_sendint64(&buf, (int64) (state->sum >> 64));
	pq_sendint64(&buf, (int64) (uint64) state->sum);
	pq_sendbyte(&buf, state->infinity);
	pq_sendbyte(&buf, state->negative_infinity);
	pq_sendint64(&buf, state->first);
	pq_sendint64(&buf, state->last);
	PG_RETURN_BYTEA_P(EndSerialState(&buf));
}

/*
 * ds_time_deserialfn(state bytea, internal) returns internal
 */
Datum
ds_time_deserialfn(PG_FUNCTION_ARGS)
{
	StringInfoData buf;
	TimesState *state;

	(void) AggregateContext(fcinfo);
	ReadSerialState(PG_GETARG_BYTEA_PP(0), &buf);
	state = CreateTimesState(CurrentMemoryContext);
	state->count = pq_getmsgint64(&buf);
	state->sum = (int128) pq_getmsgint64(&buf) << 64;
	state->sum |= (uint64) pq_getmsgint64(&buf);
	state->infinity = pq_getmsgbyte(&buf) != 0;
	state->negative_infinity = pq_getmsgbyte(&buf) != 0;
	state->first = pq_getmsgint64(&buf);
	state->last = pq_getmsgint64(&buf);
	pq_getmsgend(&buf);
	PG_RETURN_POINTER(state);
}

/*
 * ds_time_mean_finalfn(state internal) returns timestamptz
 *
 * Rounded to the nearest microsecond.
 */
Datum
ds_time_mean_finalfn(PG_FUNCTION_ARGS)
{
	TimesState *state = PG_GETARG_STATE(TimesState, 0);
	int128		quotient;
	int128		rest;

	(void) AggregateContext(fcinfo);
	if (state == NULL)
		PG_RETURN_NULL();

	if (state->infinity && state->negative_infinity)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamps infinity and -infinity have no mean")));
	if (state->infinity)
		PG_RETURN_TIMESTAMPTZ(DT_NOEND);
	if (state->negative_infinity)
		PG_RETURN_TIMESTAMPTZ(DT_NOBEGIN);

	quotient = state->sum / state->count;
	rest = state->sum % state->count;
	if (rest < 0)
	{
		rest += state->count;
		quotient--;
	}
	if (rest >= state->count - rest)
		quotient++;
	PG_RETURN_TIMESTAMPTZ((TimestampTz) quotient);
}

Datum
ds_time_first_finalfn(PG_FUNCTION_ARGS)
{
	TimesState *state = PG_GETARG_STATE(TimesState, 0);

	(void) AggregateContext(fcinfo);
	if (state == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(state->first);
}

Datum
ds_time_last_finalfn(PG_FUNCTION_ARGS)
{
	TimesState *state = PG_GETARG_STATE(TimesState, 0);

	(void) AggregateContext(fcinfo);
	if (state == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(state->last);
}

/*
 * Intervals
 */

static IntervalsState *
CreateIntervalsState(MemoryContext context)
{
	IntervalsState *state = MemoryContextAllocZero(context, sizeof(IntervalsState));

	state->context = context;
	state->sorted = true;
	return state;
}

/*
 * Makes room for so many more timestamps.
 */
static void
ReserveTimes(IntervalsState *state, Size more)
{
	Size		needed = state->length + more;

	if (needed <= state->capacity)
		return;
	if (needed > MaxAllocHugeSize / sizeof(TimestampTz) / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many timestamps for intervals between them")));

	state->capacity = Max(needed, Max(64, 2 * state->capacity));
	if (state->times == NULL)
		state->times = MemoryContextAllocHuge(state->context,
											  sizeof(TimestampTz) * state->capacity);
	else
		state->times = repalloc_huge(state->times, sizeof(TimestampTz) * state->capacity);
}

static void
SortTimes(IntervalsState *state)
{
	if (!state->sorted)
		SortTimestamps(state->times, state->length);
	state->sorted = true;
}

/*
 * ds_intervals_transfn(state internal, ts timestamptz) returns internal
 */
Datum
ds_intervals_transfn(PG_FUNCTION_ARGS)
{
	IntervalsState *state = PG_GETARG_STATE(IntervalsState, 0);
	TimestampTz ts;

	if (state == NULL)
	{
		MemoryContext context = AggregateContext(fcinfo);

		if (PG_ARGISNULL(1))
			PG_RETURN_NULL();
		state = CreateIntervalsState(context);
	}
	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(state);

	ts = PG_GETARG_TIMESTAMPTZ(1);
	if (TIMESTAMP_NOT_FINITE(ts))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("intervals are only between finite timestamps")));

	ReserveTimes(state, 1);
	if (state->length > 0 && ts < state->times[state->length - 1])
		state->sorted = false;
	state->times[state->length++] = ts;
	PG_RETURN_POINTER(state);
}

/*
 * ds_intervals_combinefn(state internal, other internal) returns internal
 */
Datum
ds_intervals_combinefn(PG_FUNCTION_ARGS)
{
	MemoryContext context = AggregateContext(fcinfo);
	IntervalsState *state = PG_GETARG_STATE(IntervalsState, 0);
	IntervalsState *other = PG_GETARG_STATE(IntervalsState, 1);

	if (other == NULL)
	{
		if (state == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(state);
	}

	if (state == NULL)
		state = CreateIntervalsState(context);
	if (other->length > 0)
	{
		ReserveTimes(state, other->length);
		memcpy(state->times + state->length, other->times, sizeof(TimestampTz) * other->length);
		state->sorted = other->sorted &&
			(state->length == 0 ||
			 (state->sorted && state->times[state->length - 1] <= other->times[0]));
		state->length += other->length;
	}
	PG_RETURN_POINTER(state);
}

/*
 * ds_intervals_serialfn(state internal) returns bytea
 *
 * The timestamps in order, as varints of their differences.
 */
Datum
ds_intervals_serialfn(PG_FUNCTION_ARGS)
{
	IntervalsState *state = (IntervalsState *) PG_GETARG_POINTER(0);
	StringInfoData buf;
	TimestampTz previous = 0;

	(void) AggregateContext(fcinfo);
	SortTimes(state);
	BeginSerialState(&buf);
	WriteVarint(&buf, state->length);
	for (Size i = 0; i < state->length; i++)
	{
		if (i % 65536 == 0)
			CHECK_FOR_INTERRUPTS();

		/* from the first on, differences are not negative, up to 64 bits */
		WriteVarint(&buf, i == 0 ? ZigZag(state->times[i]) :
					(uint64) state->times[i] - (uint64) previous);
		previous = state->times[i];
	}
	PG_RETURN_BYTEA_P(EndSerialState(&buf));
}

/*
 * ds_intervals_deserialfn(state bytea, internal) returns internal
 */
Datum
ds_intervals_deserialfn(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	Reader		reader;
	IntervalsState *state;
	uint64		length;
	TimestampTz ts = 0;

	(void) AggregateContext(fcinfo);
	reader.next = (const uint8 *) VARDATA_ANY(bytes);
	reader.end = reader.next + VARSIZE_ANY_EXHDR(bytes);

	/* each takes a byte at least */
	length = ReadVarint(&reader);
	if (length > (uint64) BytesLeft(&reader))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid state of intervals")));

	state = CreateIntervalsState(CurrentMemoryContext);
	ReserveTimes(state, length);
	for (uint64 i = 0; i < length; i++)
	{
		if (i % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
		if (i == 0)
			ts = ReadZigZag(&reader);
		else
			ts = (TimestampTz) ((uint64) ts + ReadVarint(&reader));
		state->times[state->length++] = ts;
	}
	PG_RETURN_POINTER(state);
}

/*
 * Gives one of TIME_INTERVALS_* of the state of a final function, in seconds.
 */
static Datum
IntervalsFinal(FunctionCallInfo fcinfo, TimeDownsampler which)
{
	IntervalsState *state = PG_GETARG_STATE(IntervalsState, 0);
	Intervals	intervals = {0};

	(void) AggregateContext(fcinfo);
	if (state == NULL || state->length < 2)
		PG_RETURN_NULL();

	SortTimes(state);
	intervals.count = (int64) state->length - 1;
	intervals.sum = (uint64) state->times[state->length - 1] - (uint64) state->times[0];
	intervals.min = PG_UINT64_MAX;
	for (Size i = 1; i < state->length; i++)
	{
		uint64		interval = (uint64) state->times[i] - (uint64) state->times[i - 1];

		if (i % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
		intervals.min = Min(intervals.min, interval);
		intervals.max = Max(intervals.max, interval);
		intervals.squares += (uint128) interval * interval;
	}
	PG_RETURN_FLOAT8(IntervalsResult(&intervals, which, MICROSECONDS_SCALE));
}

Datum
ds_intervals_mean_finalfn(PG_FUNCTION_ARGS)
{
	return IntervalsFinal(fcinfo, TIME_INTERVALS_MEAN);
}

Datum
ds_intervals_min_finalfn(PG_FUNCTION_ARGS)
{
	return IntervalsFinal(fcinfo, TIME_INTERVALS_MIN);
}

Datum
ds_intervals_max_finalfn(PG_FUNCTION_ARGS)
{
	return IntervalsFinal(fcinfo, TIME_INTERVALS_MAX);
}

Datum
ds_intervals_sum_squares_finalfn(PG_FUNCTION_ARGS)
{
	return IntervalsFinal(fcinfo, TIME_INTERVALS_SUM_SQUARES);
}

Datum
ds_intervals_std_dev_finalfn(PG_FUNCTION_ARGS)
{
	return IntervalsFinal(fcinfo, TIME_INTERVALS_STD_DEV);
}
