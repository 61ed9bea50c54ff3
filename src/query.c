/*-------------------------------------------------------------------------
 *
 * query.c
 *	  Reading: ds_get_data and ds_get_series.
 *
 * Rows go into a tuplestore, which spills to disk; beside it no more than a
 * few blocks are in memory, however long the range.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "decimal.h"
#include "errors.h"
#include "fmgr.h"
#include "query.h"
#include "query_scan.h"
#include "srf.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(ds_get_data);
PG_FUNCTION_INFO_V1(ds_get_series);

/* Columns of ds_get_series */
enum
{
	SERIES_T,
	SERIES_VALUE,
	SERIES_COUNT,
	SERIES_MEAN,
	SERIES_SUM,
	SERIES_MIN,
	SERIES_MAX,
	SERIES_SUM_SQUARES,
	SERIES_STD_DEV,
	SERIES_FIRST,
	SERIES_LAST,
	SERIES_MIDDLE,
	SERIES_NCOLUMNS
};

/* Which of them hold an output of a value downsampler as a number */
typedef struct SeriesNumber
{
	int			column;
	ValueDownsampler downsampler;
} SeriesNumber;

static const SeriesNumber SeriesNumbers[] = {
	{SERIES_MEAN, VALUE_MEAN},
	{SERIES_SUM, VALUE_SUM},
	{SERIES_MIN, VALUE_MIN},
	{SERIES_MAX, VALUE_MAX},
	{SERIES_SUM_SQUARES, VALUE_SUM_SQUARES},
	{SERIES_STD_DEV, VALUE_STD_DEV}
};

/* A call of one of the functions, checked */
typedef struct Request
{
	StreamDef	def;
	Granularity level;			/* what answers: never finer than def.highest */
	TimeBound	start;
	TimeBound	end;
	bool		reverse;
} Request;

/* Rows that end with t, v and times; the columns before those stay the same */
typedef struct JsonRows
{
	ReturnSetInfo *rsinfo;
	int			t;				/* where the column t is */
	Datum		values[5];
	bool		nulls[5];
} JsonRows;

/*
 * Arguments
 */

/*
 * The bound that a pair of arguments gives: one that includes it and one that
 * excludes it, of which only one may be given.
 */
static TimeBound
BoundArgument(FunctionCallInfo fcinfo, int inclusive, int exclusive, const char *name)
{
	TimeBound	bound = {BOUND_NONE, 0};

	if (!PG_ARGISNULL(inclusive) && !PG_ARGISNULL(exclusive))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" and \"%s_exclusive\" cannot be used together", name, name)));

	if (!PG_ARGISNULL(inclusive))
	{
		bound.kind = BOUND_INCLUSIVE;
		bound.ts = PG_GETARG_TIMESTAMPTZ(inclusive);
	}
	else if (!PG_ARGISNULL(exclusive))
	{
		bound.kind = BOUND_EXCLUSIVE;
		bound.ts = PG_GETARG_TIMESTAMPTZ(exclusive);
	}

	return bound;
}

static void
RefuseNullArgument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

/*
 * Reads the arguments that both functions have, and the definition of the
 * stream.  Errors: null_value_not_allowed, invalid_parameter_value,
 * unsupported_granularity, stream_not_found.
 */
static void
ReadRequest(FunctionCallInfo fcinfo, Request *request)
{
	Granularity wanted;

	RefuseNullArgument(fcinfo, QUERY_ARG_STREAM_ID, "stream_id");
	RefuseNullArgument(fcinfo, QUERY_ARG_GRANULARITY, "granularity");

	wanted = ParseGranularity(text_to_cstring(PG_GETARG_TEXT_PP(QUERY_ARG_GRANULARITY)));
	request->start = BoundArgument(fcinfo, QUERY_ARG_START, QUERY_ARG_START_EXCLUSIVE, "start");
	request->end = BoundArgument(fcinfo, QUERY_ARG_END, QUERY_ARG_END_EXCLUSIVE, "end");
	request->reverse = !PG_ARGISNULL(QUERY_ARG_REVERSE) && PG_GETARG_BOOL(QUERY_ARG_REVERSE);

	LoadStream(PG_GETARG_UUID_P(QUERY_ARG_STREAM_ID), &request->def, false, CurrentMemoryContext);
	request->level = Max(wanted, request->def.highest);
}

/*
 * The set of downsamplers that an argument selects; null selects all that the
 * stream has.  Errors: unsupported_downsampler.
 */
static uint32
ValueSelection(FunctionCallInfo fcinfo, const StreamDef *def)
{
	if (PG_ARGISNULL(QUERY_ARG_VALUE_DOWNSAMPLERS))
		return def->value_downsamplers;

	return ParseValueDownsamplerSelection(PG_GETARG_ARRAYTYPE_P(QUERY_ARG_VALUE_DOWNSAMPLERS),
										  def->value_downsamplers);
}

static uint32
TimeSelection(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(QUERY_ARG_TIME_DOWNSAMPLERS))
		return TIME_DOWNSAMPLERS_ALL;

	return ParseTimeDownsamplerSelection(PG_GETARG_ARRAYTYPE_P(QUERY_ARG_TIME_DOWNSAMPLERS));
}

/*
 * Rows with JSON
 */

/*
 * Puts a row into the result; NULL stands for null.
 */
static void
PutJsonRow(JsonRows *rows, StreamTime t, const Jsonb *v, const Jsonb *times)
{
	Datum	   *values = &rows->values[rows->t];
	bool	   *nulls = &rows->nulls[rows->t];

	values[0] = TimestampTzGetDatum(TimestampFromStreamTime(t));
	values[1] = PointerGetDatum(v);
	nulls[1] = (v == NULL);
	values[2] = PointerGetDatum(times);
	nulls[2] = (times == NULL);
	tuplestore_putvalues(rows->rsinfo->setResult, rows->rsinfo->setDesc, rows->values, rows->nulls);
}

/*
 * Puts the datapoints that a request asks for into the result.
 */
static void
PutDatapoints(const Request *request, JsonRows *rows)
{
	TimeRange	range = RequestedRange(&request->def, request->level, request->start, request->end);
	DatapointScan scan;

	BeginDatapointScan(&scan, &request->def, range, request->reverse);
	while (NextDatapoints(&scan))
	{
		for (int i = 0; i < scan.count; i++)
		{
			int			row = DatapointRow(&scan, i);
			Value		value = GetColumnValue(scan.column, row);

			PutJsonRow(rows, scan.block->times[row], ValueToJsonb(&value), NULL);
		}
	}
	EndDatapointScan(&scan);
}

/*
 * Puts all buckets of a range into the result.
 */
static void
PutBuckets(const StreamDef *def, Granularity level, TimeRange range, bool reverse,
		   uint32 value_mask, uint32 time_mask, JsonRows *rows)
{
	Jsonb	   *empty = NULL;	/* the values of a bucket without datapoints */
	BucketScan	scan;

	BeginBucketScan(&scan, def, level, range, reverse, ColumnsFor(def, value_mask, time_mask));
	while (NextBucket(&scan))
	{
		StreamTime	start = scan.state.start;
		StreamTime	end = BucketEnd(level, start);
		Jsonb	   *values;

		if (scan.stored)
			values = BucketValues(&scan.state, value_mask);
		else
		{
			if (empty == NULL)
			{
				MemoryContextSwitchTo(scan.old_context);
				empty = BucketValues(&scan.state, value_mask);
				MemoryContextSwitchTo(scan.context);
			}
			values = empty;
		}
		PutJsonRow(rows, start, values, BucketTimes(&scan.state, time_mask, end));
	}
	EndBucketScan(&scan);
}

/*
 * Puts all buckets of a stream in [from, to), which are bucket boundaries of
 * that level, into a result with the columns of ds_downsample_streams:
 * stream_id, granularity, t, v, times.
 */
void
ReturnBuckets(const StreamDef *def, Granularity level, StreamTime from, StreamTime to,
			  ReturnSetInfo *rsinfo)
{
	JsonRows	rows = {.rsinfo = rsinfo,.t = 2};
	TimeRange	range;

	if (from >= to)
		return;

	rows.values[0] = UUIDPGetDatum(&def->id);
	rows.values[1] = CStringGetTextDatum(GranularityName(level));
	range.from = from;
	range.to = BucketStart(level, to - 1);
	PutBuckets(def, level, range, false, def->value_downsamplers, TIME_DOWNSAMPLERS_ALL, &rows);
}

/*
 * ds_get_data(stream_id uuid, granularity text, start timestamptz, "end" timestamptz,
 *			   start_exclusive timestamptz, end_exclusive timestamptz, reverse boolean,
 *			   value_downsamplers text[], time_downsamplers text[])
 *		returns rows (t timestamptz, v jsonb, times jsonb)
 *
 * The datapoints of a stream in a range, at any granularity.  Errors:
 * null_value_not_allowed, invalid_parameter_value, unsupported_granularity,
 * stream_not_found, unsupported_downsampler.
 */
Datum
ds_get_data(PG_FUNCTION_ARGS)
{
	JsonRows	rows = {.rsinfo = InitMaterializedResult(fcinfo)};
	Request		request;

	SPI_connect();
	ReadRequest(fcinfo, &request);

	if (request.level == request.def.highest)
		PutDatapoints(&request, &rows);
	else
	{
		uint32		value_mask = ValueSelection(fcinfo, &request.def);
		uint32		time_mask = TimeSelection(fcinfo);
		TimeRange	range;

		if (RequestedBuckets(&request.def, request.level, request.start, request.end, &range))
			PutBuckets(&request.def, request.level, range, request.reverse,
					   value_mask, time_mask, &rows);
	}
	SPI_finish();

	return (Datum) 0;
}

/*
 * Rows of numbers
 */

/*
 * A number of an already downsampled value, by the downsampler that made it;
 * false if it is null or not there.
 */
static bool
DownsampledNumber(const Value *value, ValueDownsampler downsampler, double *number)
{
	const char *key = ValueDownsamplerKey(downsampler);
	JsonbValue	found;

	if (getKeyJsonValueFromContainer(&value->json->root, key, strlen(key), &found) == NULL ||
		found.type != jbvNumeric)
		return false;

	*number = NumericToDouble(found.val.numeric);

	return true;
}

/*
 * Fills the columns from value to std_dev for an already downsampled value.
 */
static void
FillDownsampledValue(const StreamDef *def, const Value *value, Datum *values, bool *nulls)
{
	Value		mean = ValueMean(value, def->high_accuracy);
	double		count = 0;

	DownsampledNumber(value, VALUE_COUNT, &count);
	values[SERIES_COUNT] = Int64GetDatum((int64) count);

	nulls[SERIES_VALUE] = (mean.kind == VALUE_NULL);
	if (!nulls[SERIES_VALUE])
		values[SERIES_VALUE] = Float8GetDatum(ValueToDouble(&mean));

	for (int i = 0; i < lengthof(SeriesNumbers); i++)
	{
		int			column = SeriesNumbers[i].column;
		double		number = 0;

		nulls[column] = !DownsampledNumber(value, SeriesNumbers[i].downsampler, &number);
		values[column] = Float8GetDatum(number);
	}
}

/*
 * The same for a datapoint without value.
 */
static void
FillNull(Datum *values, bool *nulls)
{
	values[SERIES_COUNT] = Int64GetDatum(0);
	nulls[SERIES_VALUE] = true;
	for (int i = 0; i < lengthof(SeriesNumbers); i++)
		nulls[SeriesNumbers[i].column] = true;
}

/*
 * The same for a number.
 */
static inline void
FillNumber(double number, Datum *values, bool *nulls)
{
	Datum		datum = Float8GetDatum(number);

	values[SERIES_VALUE] = datum;
	values[SERIES_COUNT] = Int64GetDatum(1);
	values[SERIES_MEAN] = datum;
	values[SERIES_SUM] = datum;
	values[SERIES_MIN] = datum;
	values[SERIES_MAX] = datum;
	values[SERIES_SUM_SQUARES] = Float8GetDatum(number * number);
	values[SERIES_STD_DEV] = Float8GetDatum(0);
	memset(nulls, false, sizeof(bool) * SERIES_NCOLUMNS);
}

/*
 * Puts the datapoints that a request asks for into the result.
 */
static void
PutDatapointNumbers(const Request *request, ReturnSetInfo *rsinfo)
{
	Datum		values[SERIES_NCOLUMNS] = {0};
	bool		nulls[SERIES_NCOLUMNS] = {false};
	TimeRange	range = RequestedRange(&request->def, request->level, request->start, request->end);
	DatapointScan scan;

	BeginDatapointScan(&scan, &request->def, range, request->reverse);
	while (NextDatapoints(&scan))
	{
		for (int i = 0; i < scan.count; i++)
		{
			int			row = DatapointRow(&scan, i);
			Datum		t = TimestampTzGetDatum(TimestampFromStreamTime(scan.block->times[row]));

			if (scan.column->kinds[row] == VALUE_DOUBLE)
				FillNumber(scan.column->numbers[row], values, nulls);
			else if (scan.column->kinds[row] == VALUE_NULL)
				FillNull(values, nulls);
			else
			{
				Value		value = GetColumnValue(scan.column, row);

				if (ValueIsNumber(&value))
					FillNumber(ValueToDouble(&value), values, nulls);
				else
					FillDownsampledValue(&request->def, &value, values, nulls);
			}

			values[SERIES_T] = t;
			values[SERIES_FIRST] = t;
			values[SERIES_LAST] = t;
			values[SERIES_MIDDLE] = t;
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
	}
	EndDatapointScan(&scan);
}

/*
 * Puts all buckets of a range into the result.
 */
static void
PutBucketNumbers(const StreamDef *def, Granularity level, TimeRange range, bool reverse,
				 ReturnSetInfo *rsinfo)
{
	uint32		value_mask = VALUE_DOWNSAMPLER_BIT(VALUE_COUNT);
	uint32		time_mask = TIME_DOWNSAMPLER_BIT(TIME_FIRST) | TIME_DOWNSAMPLER_BIT(TIME_LAST) |
		TIME_DOWNSAMPLER_BIT(TIME_MEAN);
	Datum		values[SERIES_NCOLUMNS] = {0};
	bool		nulls[SERIES_NCOLUMNS] = {false};
	BucketScan	scan;

	for (int i = 0; i < lengthof(SeriesNumbers); i++)
		value_mask |= VALUE_DOWNSAMPLER_BIT(SeriesNumbers[i].downsampler);
	value_mask &= def->value_downsamplers;

	BeginBucketScan(&scan, def, level, range, reverse, ColumnsFor(def, value_mask, time_mask));
	while (NextBucket(&scan))
	{
		StreamTime	start = scan.state.start;
		StreamTime	end = BucketEnd(level, start);
		Value		count = BucketValue(&scan.state, VALUE_COUNT);

		values[SERIES_T] = TimestampTzGetDatum(TimestampFromStreamTime(start));
		values[SERIES_COUNT] = Int64GetDatum((int64) ValueToDouble(&count));
		for (int i = 0; i < lengthof(SeriesNumbers); i++)
		{
			const SeriesNumber *number = &SeriesNumbers[i];

			nulls[number->column] = true;
			if (value_mask & VALUE_DOWNSAMPLER_BIT(number->downsampler))
			{
				Value		value = BucketValue(&scan.state, number->downsampler);

				nulls[number->column] = (value.kind == VALUE_NULL);
				if (value.kind != VALUE_NULL)
					values[number->column] = Float8GetDatum(ValueToDouble(&value));
			}
		}
		values[SERIES_VALUE] = values[SERIES_MEAN];
		nulls[SERIES_VALUE] = nulls[SERIES_MEAN];
		values[SERIES_FIRST] = TimestampTzGetDatum(BucketTime(&scan.state, TIME_FIRST, end));
		values[SERIES_LAST] = TimestampTzGetDatum(BucketTime(&scan.state, TIME_LAST, end));
		values[SERIES_MIDDLE] = TimestampTzGetDatum(BucketTime(&scan.state, TIME_MEAN, end));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	EndBucketScan(&scan);
}

/*
 * ds_get_series(stream_id uuid, granularity text, start timestamptz, "end" timestamptz,
 *				 start_exclusive timestamptz, end_exclusive timestamptz, reverse boolean)
 *		returns rows (t timestamptz, value float8, count bigint, mean, sum, min,
 *					  max, sum_squares, std_dev float8, first, last, middle timestamptz)
 *
 * The same for numeric streams, as typed columns.  Errors:
 * null_value_not_allowed, invalid_parameter_value, unsupported_granularity,
 * stream_not_found, incompatible_types.
 */
Datum
ds_get_series(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = InitMaterializedResult(fcinfo);
	Request		request;
	TimeRange	range;

	SPI_connect();
	ReadRequest(fcinfo, &request);

	if (request.def.value_type != VALUE_TYPE_NUMERIC)
		ereport(ERROR,
				(errcode(ERRCODE_DS_INCOMPATIBLE_TYPES),
				 errmsg("stream \"%s\" is not numeric", StreamIdToString(&request.def.id)),
				 errdetail("Its value type is \"%s\".", ValueTypeName(request.def.value_type)),
				 errhint("Use ds_get_data for streams of other value types.")));

	if (request.level == request.def.highest)
		PutDatapointNumbers(&request, rsinfo);
	else if (RequestedBuckets(&request.def, request.level, request.start, request.end, &range))
		PutBucketNumbers(&request.def, request.level, range, request.reverse, rsinfo);
	SPI_finish();

	return (Datum) 0;
}
