/*-------------------------------------------------------------------------
 *
 * query_rows.c
 *	  The rows of ds_get_data and ds_get_series, one by one.
 *
 * However long the range, no more than a few blocks are in memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "decimal.h"
#include "errors.h"
#include "executor/spi.h"
#include "query_rows.h"
#include "query_scan.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define WANTS(rows, columns)	(((rows)->wanted & (columns)) != 0)

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

/* Rows of datapoints, or of buckets */
typedef struct Rows
{
	RowReader	reader;
	MemoryContext context;		/* of all this */
	StreamDef	def;
	uint32		wanted;			/* ROW_COLUMN_BIT()s */
	void		(*end) (struct Rows *rows);
	union
	{
		struct
		{
			DatapointScan scan;
			int			next;	/* datapoint of the block in hand */
		}			datapoints;
		struct
		{
			BucketScan	scan;
			uint32		value_mask;
			uint32		time_mask;
			Jsonb	   *empty;	/* values of a bucket without datapoints */
		}			buckets;
	}			u;
} Rows;

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

	BeginReadSnapshot(TABLE_STREAMS);
	LoadStream(PG_GETARG_UUID_P(QUERY_ARG_STREAM_ID), &request->def, false, CurrentMemoryContext);
	EndReadSnapshot();
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
 * Reading
 */

static void
EndDatapoints(Rows *rows)
{
	EndDatapointScan(&rows->u.datapoints.scan);
}

static void
EndBuckets(Rows *rows)
{
	EndBucketScan(&rows->u.buckets.scan);
}

static bool
NoRow(RowReader *reader)
{
	return false;
}

static void
EndNothing(Rows *rows)
{
}

/*
 * A reader of a stream's rows, in a memory context of its own, which is then
 * the current one; so far it has no rows.
 */
static Rows *
CreateRows(const StreamDef *def, uint32 wanted, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "datastream rows", ALLOCSET_DEFAULT_SIZES);
	Rows	   *rows;

	MemoryContextSwitchTo(context);
	rows = palloc0(sizeof(Rows));
	rows->reader.next = NoRow;
	rows->end = EndNothing;
	rows->context = context;
	rows->def = *def;
	rows->wanted = wanted;

	return rows;
}

static void
BeginDatapoints(Rows *rows, const Request *request, bool (*next) (RowReader *reader))
{
	TimeRange	range = RequestedRange(&request->def, request->level, request->start, request->end);

	BeginDatapointScan(&rows->u.datapoints.scan, &rows->def, range, request->reverse);
	rows->reader.next = next;
	rows->end = EndDatapoints;
}

static void
BeginBuckets(Rows *rows, Granularity level, TimeRange range, bool reverse,
			 uint32 value_mask, uint32 time_mask, bool (*next) (RowReader *reader))
{
	rows->u.buckets.value_mask = value_mask;
	rows->u.buckets.time_mask = time_mask;
	BeginBucketScan(&rows->u.buckets.scan, &rows->def, level, range, reverse,
					ColumnsFor(&rows->def, value_mask, time_mask));
	rows->reader.next = next;
	rows->end = EndBuckets;
}

/*
 * Ends reading.
 */
void
EndRows(RowReader *reader)
{
	Rows	   *rows = (Rows *) reader;

	rows->end(rows);
	MemoryContextDelete(rows->context);
}

/*
 * Goes to the next datapoint, whose row in the block in hand is *row; false at
 * the end.
 */
static inline bool
NextDatapoint(Rows *rows, int *row)
{
	DatapointScan *scan = &rows->u.datapoints.scan;

	while (rows->u.datapoints.next >= scan->count)
	{
		if (!NextDatapoints(scan))
			return false;
		rows->u.datapoints.next = 0;
	}
	*row = DatapointRow(scan, rows->u.datapoints.next++);

	return true;
}

/*
 * Rows with JSON
 */

static bool
NextDatapointData(RowReader *reader)
{
	Rows	   *rows = (Rows *) reader;
	const DatapointScan *scan = &rows->u.datapoints.scan;
	int			row;

	if (!NextDatapoint(rows, &row))
		return false;

	reader->values[DATA_T] = TimestampTzGetDatum(TimestampFromStreamTime(scan->block->times[row]));
	reader->nulls[DATA_TIMES] = true;
	if (WANTS(rows, ROW_COLUMN_BIT(DATA_V)))
	{
		MemoryContext old_context = MemoryContextSwitchTo(scan->context);
		Value		value = GetColumnValue(scan->column, row);
		Jsonb	   *v = ValueToJsonb(&value);

		reader->values[DATA_V] = PointerGetDatum(v);
		reader->nulls[DATA_V] = (v == NULL);
		MemoryContextSwitchTo(old_context);
	}

	return true;
}

/*
 * The values of the bucket in hand; those of one without datapoints are made
 * once.
 */
static Jsonb *
BucketData(Rows *rows)
{
	const BucketScan *scan = &rows->u.buckets.scan;

	if (scan->stored)
		return BucketValues(&scan->state, rows->u.buckets.value_mask);

	if (rows->u.buckets.empty == NULL)
	{
		MemoryContext old_context = MemoryContextSwitchTo(rows->context);

		rows->u.buckets.empty = BucketValues(&scan->state, rows->u.buckets.value_mask);
		MemoryContextSwitchTo(old_context);
	}

	return rows->u.buckets.empty;
}

static bool
NextBucketData(RowReader *reader)
{
	Rows	   *rows = (Rows *) reader;
	BucketScan *scan = &rows->u.buckets.scan;
	MemoryContext old_context;

	if (!NextBucket(scan))
		return false;

	reader->values[DATA_T] = TimestampTzGetDatum(TimestampFromStreamTime(scan->state.start));
	old_context = MemoryContextSwitchTo(scan->context);
	if (WANTS(rows, ROW_COLUMN_BIT(DATA_V)))
	{
		Jsonb	   *v = BucketData(rows);

		reader->values[DATA_V] = PointerGetDatum(v);
		reader->nulls[DATA_V] = (v == NULL);
	}
	if (WANTS(rows, ROW_COLUMN_BIT(DATA_TIMES)))
	{
		Jsonb	   *times = BucketTimes(&scan->state, rows->u.buckets.time_mask,
										BucketEnd(scan->level, scan->state.start));

		reader->values[DATA_TIMES] = PointerGetDatum(times);
		reader->nulls[DATA_TIMES] = (times == NULL);
	}
	MemoryContextSwitchTo(old_context);

	return true;
}

/*
 * Begins to read the rows of a call of ds_get_data(), with the active snapshot,
 * in a child of the current memory context.  "wanted" are the columns that the
 * caller looks at.
 */
RowReader *
BeginDataRows(FunctionCallInfo fcinfo, uint32 wanted)
{
	MemoryContext parent = CurrentMemoryContext;
	Request		request;
	Rows	   *rows;

	SPI_connect();
	ReadRequest(fcinfo, &request);
	rows = CreateRows(&request.def, wanted, parent);
	BeginReadSnapshot(TABLE_HEADS | TABLE_PROGRESS | TABLE_OF_LEVEL(request.level));

	if (request.level == request.def.highest)
		BeginDatapoints(rows, &request, NextDatapointData);
	else
	{
		uint32		value_mask = ValueSelection(fcinfo, &request.def);
		uint32		time_mask = TimeSelection(fcinfo);
		TimeRange	range;

		if (!WANTS(rows, ROW_COLUMN_BIT(DATA_V)))
			value_mask = 0;
		if (!WANTS(rows, ROW_COLUMN_BIT(DATA_TIMES)))
			time_mask = 0;
		if (RequestedBuckets(&request.def, request.level, request.start, request.end, &range))
			BeginBuckets(rows, request.level, range, request.reverse, value_mask, time_mask,
						 NextBucketData);
	}
	EndReadSnapshot();
	SPI_finish();

	return &rows->reader;
}

/*
 * The same for all buckets of a stream in [from, to), which are bucket
 * boundaries of that level.  SPI must be connected.
 */
RowReader *
BeginBucketRows(const StreamDef *def, Granularity level, StreamTime from, StreamTime to)
{
	MemoryContext old_context = CurrentMemoryContext;
	Rows	   *rows = CreateRows(def, ROW_COLUMNS_ALL, CurrentMemoryContext);

	if (from < to)
	{
		TimeRange	range = {from, BucketStart(level, to - 1)};

		BeginBuckets(rows, level, range, false, def->value_downsamplers, TIME_DOWNSAMPLERS_ALL,
					 NextBucketData);
	}
	MemoryContextSwitchTo(old_context);

	return &rows->reader;
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

	if (!JB_ROOT_IS_OBJECT(value->json))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored value is neither a number nor an object")));
	if (getKeyJsonValueFromContainer(&value->json->root, key, strlen(key), &found) == NULL ||
		found.type != jbvNumeric)
		return false;

	*number = NumericToDouble(found.val.numeric);

	return true;
}

/*
 * Raises an error if a wanted column of the row in hand is beyond doubles, as
 * long integers, exact decimals and sums of squares may be.
 */
static void
CheckDouble(const Rows *rows, int column, const char *name)
{
	const Datum *values = rows->reader.values;

	if (WANTS(rows, ROW_COLUMN_BIT(column)) && !rows->reader.nulls[column] &&
		isinf(DatumGetFloat8(values[column])))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s of stream \"%s\" at \"%s\" is out of range for type double precision",
						name, StreamIdToString(&rows->def.id),
						timestamptz_to_str(DatumGetTimestampTz(values[SERIES_T]))),
				 errhint("ds_get_data returns numbers of any size.")));
}

static void
CheckDoubles(const Rows *rows)
{
	CheckDouble(rows, SERIES_VALUE, "value");
	for (int i = 0; i < lengthof(SeriesNumbers); i++)
		CheckDouble(rows, SeriesNumbers[i].column,
					ValueDownsamplerName(SeriesNumbers[i].downsampler));
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
 * The same for any value.
 */
static void
FillValue(Rows *rows, int row)
{
	const DatapointScan *scan = &rows->u.datapoints.scan;
	MemoryContext old_context = MemoryContextSwitchTo(scan->context);
	Value		value = GetColumnValue(scan->column, row);

	if (ValueIsNumber(&value))
		FillNumber(ValueToDouble(&value), rows->reader.values, rows->reader.nulls);
	else
		FillDownsampledValue(&rows->def, &value, rows->reader.values, rows->reader.nulls);
	CheckDoubles(rows);
	MemoryContextSwitchTo(old_context);
}

static bool
NextDatapointNumbers(RowReader *reader)
{
	Rows	   *rows = (Rows *) reader;
	const DatapointScan *scan = &rows->u.datapoints.scan;
	Datum	   *values = reader->values;
	int			row;

	if (!NextDatapoint(rows, &row))
		return false;

	values[SERIES_T] = values[SERIES_FIRST] = values[SERIES_LAST] = values[SERIES_MIDDLE] =
		TimestampTzGetDatum(TimestampFromStreamTime(scan->block->times[row]));
	if (WANTS(rows, SERIES_NUMBERS))
	{
		if (scan->column->kinds[row] == VALUE_DOUBLE)
		{
			FillNumber(scan->column->numbers[row], values, reader->nulls);
			if (unlikely(isinf(DatumGetFloat8(values[SERIES_SUM_SQUARES]))))
				CheckDoubles(rows);
		}
		else if (scan->column->kinds[row] == VALUE_NULL)
			FillNull(values, reader->nulls);
		else
			FillValue(rows, row);
	}

	return true;
}

static void
FillBucketTime(Rows *rows, int column, TimeDownsampler downsampler)
{
	const BucketScan *scan = &rows->u.buckets.scan;

	if (WANTS(rows, ROW_COLUMN_BIT(column)))
		rows->reader.values[column] =
			TimestampTzGetDatum(BucketTime(&scan->state, downsampler,
										   BucketEnd(scan->level, scan->state.start)));
}

static bool
NextBucketNumbers(RowReader *reader)
{
	Rows	   *rows = (Rows *) reader;
	BucketScan *scan = &rows->u.buckets.scan;
	Datum	   *values = reader->values;
	bool	   *nulls = reader->nulls;
	MemoryContext old_context;

	if (!NextBucket(scan))
		return false;

	old_context = MemoryContextSwitchTo(scan->context);
	values[SERIES_T] = TimestampTzGetDatum(TimestampFromStreamTime(scan->state.start));
	if (WANTS(rows, ROW_COLUMN_BIT(SERIES_COUNT)))
		values[SERIES_COUNT] = Int64GetDatum(scan->state.value.count);
	for (int i = 0; i < lengthof(SeriesNumbers); i++)
	{
		const SeriesNumber *number = &SeriesNumbers[i];

		nulls[number->column] = true;
		if (rows->u.buckets.value_mask & VALUE_DOWNSAMPLER_BIT(number->downsampler))
		{
			Value		value = BucketValue(&scan->state, number->downsampler);

			nulls[number->column] = (value.kind == VALUE_NULL);
			if (value.kind != VALUE_NULL)
				values[number->column] = Float8GetDatum(ValueToDouble(&value));
		}
	}
	values[SERIES_VALUE] = values[SERIES_MEAN];
	nulls[SERIES_VALUE] = nulls[SERIES_MEAN];
	CheckDoubles(rows);
	FillBucketTime(rows, SERIES_FIRST, TIME_FIRST);
	FillBucketTime(rows, SERIES_LAST, TIME_LAST);
	FillBucketTime(rows, SERIES_MIDDLE, TIME_MEAN);
	MemoryContextSwitchTo(old_context);

	return true;
}

/*
 * The value downsamplers that the wanted columns of a level are made of.
 */
static uint32
SeriesValueMask(const Rows *rows)
{
	uint32		mask = 0;

	if (WANTS(rows, ROW_COLUMN_BIT(SERIES_COUNT)))
		mask |= VALUE_DOWNSAMPLER_BIT(VALUE_COUNT);
	if (WANTS(rows, ROW_COLUMN_BIT(SERIES_VALUE)))
		mask |= VALUE_DOWNSAMPLER_BIT(VALUE_MEAN);
	for (int i = 0; i < lengthof(SeriesNumbers); i++)
	{
		if (WANTS(rows, ROW_COLUMN_BIT(SeriesNumbers[i].column)))
			mask |= VALUE_DOWNSAMPLER_BIT(SeriesNumbers[i].downsampler);
	}

	return mask & rows->def.value_downsamplers;
}

static uint32
SeriesTimeMask(const Rows *rows)
{
	uint32		mask = 0;

	if (WANTS(rows, ROW_COLUMN_BIT(SERIES_FIRST)))
		mask |= TIME_DOWNSAMPLER_BIT(TIME_FIRST);
	if (WANTS(rows, ROW_COLUMN_BIT(SERIES_LAST)))
		mask |= TIME_DOWNSAMPLER_BIT(TIME_LAST);
	if (WANTS(rows, ROW_COLUMN_BIT(SERIES_MIDDLE)))
		mask |= TIME_DOWNSAMPLER_BIT(TIME_MEAN);

	return mask;
}

/*
 * Like BeginDataRows(), for a call of ds_get_series().  Another error is
 * incompatible_types.
 */
RowReader *
BeginSeriesRows(FunctionCallInfo fcinfo, uint32 wanted)
{
	MemoryContext parent = CurrentMemoryContext;
	Request		request;
	TimeRange	range;
	Rows	   *rows;

	SPI_connect();
	ReadRequest(fcinfo, &request);
	if (request.def.value_type != VALUE_TYPE_NUMERIC)
		ereport(ERROR,
				(errcode(ERRCODE_DS_INCOMPATIBLE_TYPES),
				 errmsg("stream \"%s\" is not numeric", StreamIdToString(&request.def.id)),
				 errdetail("Its value type is \"%s\".", ValueTypeName(request.def.value_type)),
				 errhint("Use ds_get_data for streams of other value types.")));

	rows = CreateRows(&request.def, wanted, parent);
	BeginReadSnapshot(TABLE_HEADS | TABLE_PROGRESS | TABLE_OF_LEVEL(request.level));
	if (request.level == request.def.highest)
		BeginDatapoints(rows, &request, NextDatapointNumbers);
	else if (RequestedBuckets(&request.def, request.level, request.start, request.end, &range))
		BeginBuckets(rows, request.level, range, request.reverse,
					 SeriesValueMask(rows), SeriesTimeMask(rows), NextBucketNumbers);
	EndReadSnapshot();
	SPI_finish();

	return &rows->reader;
}
