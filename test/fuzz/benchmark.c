/*-------------------------------------------------------------------------
 *
 * benchmark.c
 *	  How small blocks become, and how long that takes.
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

static void
EncodeAll(DataBlock **blocks, int nblocks)
{
	for (int b = 0; b < nblocks; b++)
		pfree(EncodeBlock(blocks[b]));
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

/* The elements of an array without nulls */
static int
ArrayElements(ArrayType *array, Oid type, Datum **elements)
{
	bool	   *nulls;
	int			count;

	deconstruct_array(array, type, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, elements, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a series must not have nulls")));
	}

	return count;
}

PG_FUNCTION_INFO_V1(ds_codec_benchmark);

/* ds_codec_benchmark(ts, value, block_rows, repeats): see ds_codec_test--1.sql */
Datum
ds_codec_benchmark(PG_FUNCTION_ARGS)
{
	Datum	   *times;
	Datum	   *numbers;
	int			count = ArrayElements(PG_GETARG_ARRAYTYPE_P(0), TIMESTAMPTZOID, &times);
	int			nnumbers = ArrayElements(PG_GETARG_ARRAYTYPE_P(1), FLOAT8OID, &numbers);
	int			block_rows = PG_GETARG_INT32(2);
	int			repeats = PG_GETARG_INT32(3);
	int			nblocks;
	DataBlock	  **blocks;
	struct varlena **encoded;
	EncodedColumn columns[ENCODED_COLUMNS_MAX] = {0};
	int64		bytes = 0;
	int64		time_bytes = 0;
	int64		value_bytes = 0;
	StringInfoData encodings;
	double		encode_ns;
	double		decode_ns;
	double		decode_times_ns;
	MemoryContext context;
	MemoryContext old_context;
	TupleDesc	tupdesc;
	Datum		values[9];
	bool		nulls[9] = {false};

	if (count != nnumbers || count == 0 || repeats < 1 || block_rows < 1 || block_rows > BLOCK_MAX_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a series needs as many values as timestamps")));

	nblocks = (count + block_rows - 1) / block_rows;
	blocks = palloc(nblocks * sizeof(DataBlock *));
	encoded = palloc(nblocks * sizeof(struct varlena *));
	for (int b = 0; b < nblocks; b++)
	{
		DataBlock  *block = CreateBlock(block_rows, COLUMN_BIT(COLUMN_DATAPOINT));

		block->count = Min(block_rows, count - b * block_rows);
		for (int i = 0; i < block->count; i++)
		{
			TimestampTz t = DatumGetTimestampTz(times[b * block_rows + i]);
			Value		value = {VALUE_DOUBLE, DatumGetFloat8(numbers[b * block_rows + i]), NULL};

			block->times[i] = t / 1000 +
				(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * INT64CONST(1000);
			SetColumnValue(block, &block->columns[0], i, &value);
		}
		blocks[b] = block;
	}

	initStringInfo(&encodings);
	for (int b = 0; b < nblocks; b++)
	{
		encoded[b] = EncodeBlock(blocks[b]);
		bytes += VARSIZE(encoded[b]) - VARHDRSZ;
		(void) DescribeEncodedBlock(encoded[b], columns);
		time_bytes += columns[0].size;
		value_bytes += columns[1].size;
		if (strstr(encodings.data, columns[1].encoding) == NULL)
			appendStringInfo(&encodings, "%s%s", encodings.len > 0 ? "; " : "", columns[1].encoding);
	}

	context = AllocSetContextCreate(CurrentMemoryContext, "codec benchmark", ALLOCSET_DEFAULT_SIZES);
	old_context = MemoryContextSwitchTo(context);

	MEASURE(encode_ns, EncodeAll(blocks, nblocks));
	MEASURE(decode_ns, DecodeAll(encoded, nblocks, COLUMN_ALL));
	MEASURE(decode_times_ns, DecodeAll(encoded, nblocks, 0));

	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);

	values[0] = Int32GetDatum(nblocks);
	values[1] = Int64GetDatum(bytes);
	values[2] = Float8GetDatum((double) bytes / count);
	values[3] = Float8GetDatum((double) time_bytes * 8 / count);
	values[4] = Float8GetDatum((double) value_bytes * 8 / count);
	values[5] = Float8GetDatum(encode_ns);
	values[6] = Float8GetDatum(decode_ns);
	values[7] = Float8GetDatum(decode_times_ns);
	values[8] = CStringGetTextDatum(encodings.data);

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
