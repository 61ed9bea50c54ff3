/*-------------------------------------------------------------------------
 *
 * benchmark.c
 *	  How small blocks become, and how long that takes, column by column.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "block.h"
#include "codec.h"

/*
 * Runs a statement a few times, and sets "ns" to the nanoseconds a row of the
 * fastest run, which is the one that was disturbed least.
 */
#define MEASURE(ns, statement) \
do { \
	ns = get_float8_infinity(); \
	for (int repeat = 0; repeat < repeats; repeat++) \
	{ \
		instr_time	start; \
		instr_time	elapsed; \
		\
		CHECK_FOR_INTERRUPTS(); \
		INSTR_TIME_SET_CURRENT(start); \
		statement; \
		INSTR_TIME_SET_CURRENT(elapsed); \
		INSTR_TIME_SUBTRACT(elapsed, start); \
		ns = Min(ns, INSTR_TIME_GET_DOUBLE(elapsed) * 1e9 / count); \
	} \
} while (0)

/* A series as it is stored: in blocks, of which each has a second form with
 * nothing but the times */
typedef struct Series
{
	int			count;			/* rows of all blocks */
	int			nblocks;
	DataBlock **blocks;
	DataBlock **time_blocks;
	struct varlena **encoded;
} Series;

/* What is found out about one column */
typedef struct ColumnResult
{
	int64		bytes;
	double		encode_ns;		/* a row */
	double		decode_ns;		/* a row */
	StringInfoData encodings;	/* the different ones among all blocks */
} ColumnResult;

static void
EncodeAll(DataBlock **blocks, int nblocks)
{
	for (int b = 0; b < nblocks; b++)
	{
		(void) EncodeBlock(blocks[b]);
		MemoryContextReset(CurrentMemoryContext);
	}
}

static void
DecodeAll(struct varlena **encoded, int nblocks, uint32 columns)
{
	for (int b = 0; b < nblocks; b++)
	{
		(void) DecodeBlock(encoded[b], columns);
		MemoryContextReset(CurrentMemoryContext);
	}
}

/* An element of an array of doubles or of JSON */
static Value
ValueOfElement(Datum element, bool isnull, Oid type)
{
	Value		value = {VALUE_NULL, 0, NULL};

	if (!isnull && type == FLOAT8OID)
		value = (Value) {VALUE_DOUBLE, DatumGetFloat8(element), NULL};
	else if (!isnull)
		value = (Value) {VALUE_JSON, 0, DatumGetJsonbP(element)};

	return value;
}

/*
 * Cuts a series into blocks of "block_rows", and encodes them.  Values are
 * doubles or JSON, and may be null.
 */
static void
MakeSeries(Series *series, ArrayType *ts, ArrayType *value, int block_rows)
{
	Oid			type = ARR_ELEMTYPE(value);
	Datum	   *times;
	Datum	   *values;
	bool	   *nulls;
	int			nvalues;

	deconstruct_array(ts, TIMESTAMPTZOID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &times, NULL, &series->count);
	if (type == FLOAT8OID)
		deconstruct_array(value, type, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values, &nulls, &nvalues);
	else
		deconstruct_array(value, type, -1, false, TYPALIGN_INT, &values, &nulls, &nvalues);

	if (series->count != nvalues || series->count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a series needs as many values as timestamps")));

	series->nblocks = (series->count + block_rows - 1) / block_rows;
	series->blocks = palloc(series->nblocks * sizeof(DataBlock *));
	series->time_blocks = palloc(series->nblocks * sizeof(DataBlock *));
	series->encoded = palloc(series->nblocks * sizeof(struct varlena *));
	for (int b = 0; b < series->nblocks; b++)
	{
		DataBlock  *block = CreateBlock(block_rows, COLUMN_BIT(COLUMN_DATAPOINT));
		DataBlock  *time_block = palloc(sizeof(DataBlock));

		block->count = Min(block_rows, series->count - b * block_rows);
		for (int i = 0; i < block->count; i++)
		{
			int			row = b * block_rows + i;
			Value		row_value = ValueOfElement(values[row], nulls[row], type);

			block->times[i] = DatumGetTimestampTz(times[row]) / 1000 +
				(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * INT64CONST(1000);
			SetColumnValue(block, &block->columns[0], i, &row_value);
		}

		*time_block = *block;
		time_block->ncolumns = 0;

		series->blocks[b] = block;
		series->time_blocks[b] = time_block;
		series->encoded[b] = EncodeBlock(block);
	}
}

/* Adds the size and the encoding of a column of one block. */
static void
AddEncodedColumn(ColumnResult *result, const EncodedColumn *column)
{
	result->bytes += column->size;
	if (strstr(result->encodings.data, column->encoding) == NULL)
		appendStringInfo(&result->encodings, "%s%s",
						 result->encodings.len > 0 ? "; " : "", column->encoding);
}

/*
 * Measures how long a series takes.  A column of values is never without its
 * times, so its own time is what it takes longer with it than without.
 */
static void
MeasureSeries(const Series *series, int repeats, ColumnResult *times, ColumnResult *values)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "codec benchmark",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	int			count = series->count;

	MEASURE(times->encode_ns, EncodeAll(series->time_blocks, series->nblocks));
	MEASURE(values->encode_ns, EncodeAll(series->blocks, series->nblocks));
	MEASURE(times->decode_ns, DecodeAll(series->encoded, series->nblocks, 0));
	MEASURE(values->decode_ns, DecodeAll(series->encoded, series->nblocks, COLUMN_ALL));
	values->encode_ns -= times->encode_ns;
	values->decode_ns -= times->decode_ns;

	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}

PG_FUNCTION_INFO_V1(ds_codec_benchmark);

/* ds_codec_benchmark(ts, value, block_rows, repeats): see ds_codec_test--1.sql */
Datum
ds_codec_benchmark(PG_FUNCTION_ARGS)
{
	int			block_rows = PG_GETARG_INT32(2);
	int			repeats = PG_GETARG_INT32(3);
	Series		series;
	ColumnResult results[2] = {0};	/* of times and of values */
	int64		bytes = 0;
	TupleDesc	tupdesc;
	Datum		values[11];
	bool		nulls[11] = {false};
	int			nvalues = 0;

	if (repeats < 1 || block_rows < 1 || block_rows > BLOCK_MAX_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a benchmark needs one repeat or more, and blocks of 1 to %d rows",
						BLOCK_MAX_ROWS)));

	MakeSeries(&series, PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_ARRAYTYPE_P(1), block_rows);

	for (int i = 0; i < lengthof(results); i++)
		initStringInfo(&results[i].encodings);
	for (int b = 0; b < series.nblocks; b++)
	{
		EncodedColumn columns[ENCODED_COLUMNS_MAX] = {0};

		(void) DescribeEncodedBlock(series.encoded[b], columns);
		for (int i = 0; i < lengthof(results); i++)
			AddEncodedColumn(&results[i], &columns[i]);
		bytes += VARSIZE(series.encoded[b]) - VARHDRSZ;
	}
	MeasureSeries(&series, repeats, &results[0], &results[1]);

	values[nvalues++] = Int32GetDatum(series.nblocks);
	values[nvalues++] = Int64GetDatum(bytes);
	values[nvalues++] = Float8GetDatum((double) bytes / series.count);
	for (int i = 0; i < lengthof(results); i++)
	{
		values[nvalues++] = Float8GetDatum((double) results[i].bytes * 8 / series.count);
		values[nvalues++] = Float8GetDatum(results[i].encode_ns);
		values[nvalues++] = Float8GetDatum(results[i].decode_ns);
		values[nvalues++] = CStringGetTextDatum(results[i].encodings.data);
	}

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
