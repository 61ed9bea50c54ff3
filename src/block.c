/*-------------------------------------------------------------------------
 *
 * block.c
 *	  Blocks: up to a thousand datapoints or buckets of one stream, column by
 *	  column, as one compressed value of type ds_block.
 *
 * Here are blocks in memory and the SQL functions of the type; codec_block.c
 * has its format.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "block.h"
#include "codec.h"

/* What is known of each column */
static const struct
{
	const char *name;
	ColumnType	type;
}			ColumnInfo[COLUMN_ID_MAX + 1] =
{
	[COLUMN_DATAPOINT] = {"datapoint", COLUMN_TYPE_VALUE},
	[COLUMN_COUNT] = {"count", COLUMN_TYPE_INT},
	[COLUMN_ENTRIES] = {"entries", COLUMN_TYPE_INT},
	[COLUMN_FIRST] = {"first", COLUMN_TYPE_INT},
	[COLUMN_LAST] = {"last", COLUMN_TYPE_INT},
	[COLUMN_MEAN_TIME] = {"mean_time", COLUMN_TYPE_INT},
	[COLUMN_MEAN_TIME_REST] = {"mean_time_rest", COLUMN_TYPE_INT},
	[COLUMN_INTERVAL_MIN] = {"interval_min", COLUMN_TYPE_INT},
	[COLUMN_INTERVAL_MAX] = {"interval_max", COLUMN_TYPE_INT},
	[COLUMN_INTERVAL_SQUARES_HIGH] = {"interval_squares_high", COLUMN_TYPE_INT},
	[COLUMN_INTERVAL_SQUARES_LOW] = {"interval_squares_low", COLUMN_TYPE_INT},
	[COLUMN_SUM] = {"sum", COLUMN_TYPE_VALUE},
	[COLUMN_MIN] = {"min", COLUMN_TYPE_VALUE},
	[COLUMN_MAX] = {"max", COLUMN_TYPE_VALUE},
	[COLUMN_SUM_SQUARES] = {"sum_squares", COLUMN_TYPE_VALUE},
	[COLUMN_MOMENT] = {"moment", COLUMN_TYPE_VALUE},
	[COLUMN_FREQUENCIES] = {"frequencies", COLUMN_TYPE_VALUE},
	[COLUMN_MEDIAN] = {"median", COLUMN_TYPE_BYTES}
};

/* What a column holds */
ColumnType
ColumnTypeOf(ColumnId id)
{
	Assert(id >= 1 && id <= COLUMN_ID_MAX);

	return ColumnInfo[id].type;
}

/* ----- Blocks in memory ----- */

/*
 * Adds a column to a block without rows, with room for the capacity of the
 * block, in the current memory context.
 */
Column *
AddBlockColumn(DataBlock *block, ColumnId id)
{
	Column	   *column = &block->columns[block->ncolumns++];

	Assert(block->ncolumns <= COLUMN_ID_MAX);

	memset(column, 0, sizeof(Column));
	column->id = id;
	column->type = ColumnTypeOf(id);
	switch ((ColumnType) column->type)
	{
		case COLUMN_TYPE_INT:
			column->ints = palloc(block->capacity * sizeof(int64));
			break;
		case COLUMN_TYPE_VALUE:
			column->kinds = palloc(block->capacity * sizeof(uint8));
			column->numbers = palloc(block->capacity * sizeof(double));
			break;
		case COLUMN_TYPE_BYTES:
			column->bytes = palloc0(block->capacity * sizeof(struct varlena *));
			break;
	}

	return column;
}

/*
 * Creates an empty block in the current memory context, with the columns whose
 * COLUMN_BIT is in "columns" and room for "capacity" rows.
 */
DataBlock *
CreateBlock(int capacity, uint32 columns)
{
	DataBlock  *block = palloc(sizeof(DataBlock));

	block->count = 0;
	block->capacity = Max(capacity, 1);
	block->times = palloc(block->capacity * sizeof(StreamTime));
	block->ncolumns = 0;
	for (ColumnId id = 1; id <= COLUMN_ID_MAX; id++)
	{
		if (columns & COLUMN_BIT(id))
			AddBlockColumn(block, id);
	}

	return block;
}

/* Frees a block, but not what its rows point to */
void
FreeBlock(DataBlock *block)
{
	for (int i = 0; i < block->ncolumns; i++)
	{
		Column	   *column = &block->columns[i];
		void	   *arrays[] = {column->ints, column->kinds, column->numbers, column->json, column->bytes};

		for (int j = 0; j < lengthof(arrays); j++)
		{
			if (arrays[j] != NULL)
				pfree(arrays[j]);
		}
	}
	pfree(block->times);
	pfree(block);
}

/* The column of a block that has the given id, or NULL */
Column *
BlockColumn(const DataBlock *block, ColumnId id)
{
	for (int i = 0; i < block->ncolumns; i++)
	{
		if (block->columns[i].id == id)
			return unconstify(Column *, &block->columns[i]);
	}

	return NULL;
}

/* Enlarges an array of pointers; the new ones are NULL. */
static void *
EnlargePointers(void *pointers, int capacity, int new_capacity)
{
	pointers = repalloc(pointers, new_capacity * sizeof(void *));
	memset((char *) pointers + capacity * sizeof(void *), 0,
		   (new_capacity - capacity) * sizeof(void *));

	return pointers;
}

/*
 * Makes room for at least "capacity" rows in a block.  What the block has in
 * its arrays stays there, but the arrays may move.
 */
void
ReserveBlock(DataBlock *block, int capacity)
{
	int			old_capacity = block->capacity;

	if (capacity <= old_capacity)
		return;
	capacity = Max(capacity, Min(old_capacity, PG_INT32_MAX / 2) * 2);

	block->times = repalloc(block->times, capacity * sizeof(StreamTime));
	for (int i = 0; i < block->ncolumns; i++)
	{
		Column	   *column = &block->columns[i];

		if (column->ints)
			column->ints = repalloc(column->ints, capacity * sizeof(int64));
		if (column->kinds)
			column->kinds = repalloc(column->kinds, capacity * sizeof(uint8));
		if (column->numbers)
			column->numbers = repalloc(column->numbers, capacity * sizeof(double));
		if (column->json)
			column->json = EnlargePointers(column->json, old_capacity, capacity);
		if (column->bytes)
			column->bytes = EnlargePointers(column->bytes, old_capacity, capacity);
	}
	block->capacity = capacity;
}

/* Gives a column its array of JSON if it has none yet. */
static void
NeedJson(const DataBlock *block, Column *column)
{
	if (column->json == NULL)
		column->json = MemoryContextAllocZero(GetMemoryChunkContext(unconstify(DataBlock *, block)),
											  block->capacity * sizeof(Jsonb *));
}

/*
 * Sets a row of a COLUMN_TYPE_VALUE column, for which the block has room.  The
 * column takes JSON as it is, without a copy.
 */
void
SetColumnValue(const DataBlock *block, Column *column, int row, const Value *value)
{
	Assert(row < block->capacity);

	column->kinds[row] = value->kind;
	column->numbers[row] = value->kind == VALUE_DOUBLE ? value->number : 0;
	if (value->kind == VALUE_JSON)
	{
		NeedJson(block, column);
		column->json[row] = value->json;
	}
	else if (column->json)
		column->json[row] = NULL;
}

/* A row of a COLUMN_TYPE_VALUE column; JSON is shared with the column. */
Value
GetColumnValue(const Column *column, int row)
{
	Value		value;

	value.kind = column->kinds[row];
	value.number = column->numbers[row];
	value.json = value.kind == VALUE_JSON ? column->json[row] : NULL;

	return value;
}

/*
 * Appends rows [from, to) of src to dst, which has the same columns.  JSON and
 * byte strings are shared, not copied.
 */
void
AppendBlockRows(DataBlock *dst, const DataBlock *src, int from, int to)
{
	int			at = dst->count;
	int			count = to - from;

	Assert(from >= 0 && to <= src->count);
	if (count <= 0)
		return;

	/* One of the two is stored, and has not the columns that it should have. */
	if (BlockColumnMask(dst) != BlockColumnMask(src))
		ReportDamagedBlock("Its columns are not those of the blocks beside it.");

	ReserveBlock(dst, at + count);
	memcpy(dst->times + at, src->times + from, count * sizeof(StreamTime));
	for (int i = 0; i < dst->ncolumns; i++)
	{
		Column	   *to_column = &dst->columns[i];
		const Column *from_column = BlockColumn(src, to_column->id);

		switch ((ColumnType) to_column->type)
		{
			case COLUMN_TYPE_INT:
				memcpy(to_column->ints + at, from_column->ints + from, count * sizeof(int64));
				break;
			case COLUMN_TYPE_VALUE:
				memcpy(to_column->kinds + at, from_column->kinds + from, count * sizeof(uint8));
				memcpy(to_column->numbers + at, from_column->numbers + from,
					   count * sizeof(double));
				if (from_column->json)
				{
					NeedJson(dst, to_column);
					memcpy(to_column->json + at, from_column->json + from,
						   count * sizeof(Jsonb *));
				}
				else if (to_column->json)
					memset(to_column->json + at, 0, count * sizeof(Jsonb *));
				break;
			case COLUMN_TYPE_BYTES:
				memcpy(to_column->bytes + at, from_column->bytes + from,
					   count * sizeof(struct varlena *));
				break;
		}
	}
	dst->count += count;
}

/* The index of the first row at or after t; the count of rows if there is none */
int
BlockLowerBound(const DataBlock *block, StreamTime t)
{
	int			low = 0;
	int			high = block->count;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (block->times[middle] < t)
			low = middle + 1;
		else
			high = middle;
	}

	return low;
}

/* The index of the first row after t; the count of rows if there is none */
int
BlockUpperBound(const DataBlock *block, StreamTime t)
{
	int			low = 0;
	int			high = block->count;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (block->times[middle] <= t)
			low = middle + 1;
		else
			high = middle;
	}

	return low;
}

/* ----- The SQL type ----- */

/* Raises an error unless every column of an encoded block can be decoded. */
static void
CheckEncodedBlock(const struct varlena *encoded)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "datastream block check",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);

	(void) DecodeBlock(encoded, COLUMN_ALL);

	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}

PG_FUNCTION_INFO_V1(ds_block_in);

/*
 * The input function of ds_block: the encoded block in hexadecimal after "\x",
 * as bytea has it.  It is decoded for a check.
 */
Datum
ds_block_in(PG_FUNCTION_ARGS)
{
	const char *text = PG_GETARG_CSTRING(0);
	size_t		length;
	struct varlena *encoded;

	if (text[0] != '\\' || text[1] != 'x')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type %s", "ds_block"),
				 errdetail("A block is written in hexadecimal after \"\\x\".")));

	text += 2;
	length = strlen(text);
	encoded = palloc(VARHDRSZ + length / 2 + 1);
	SET_VARSIZE(encoded, VARHDRSZ + hex_decode(text, length, VARDATA(encoded)));
	CheckEncodedBlock(encoded);

	PG_RETURN_POINTER(encoded);
}

PG_FUNCTION_INFO_V1(ds_block_out);

/* The output function of ds_block: what ds_block_in reads */
Datum
ds_block_out(PG_FUNCTION_ARGS)
{
	struct varlena *encoded = PG_GETARG_DS_BLOCK(0);
	size_t		size = VARSIZE(encoded) - VARHDRSZ;
	char	   *text = palloc(2 + size * 2 + 1);
	char	   *end = text;

	*end++ = '\\';
	*end++ = 'x';
	end += hex_encode(VARDATA(encoded), size, end);
	*end = '\0';

	PG_RETURN_CSTRING(text);
}

PG_FUNCTION_INFO_V1(ds_block_recv);

/* The binary input function of ds_block: the encoded block, which is checked */
Datum
ds_block_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			size = buf->len - buf->cursor;
	struct varlena *encoded = palloc(VARHDRSZ + size);

	SET_VARSIZE(encoded, VARHDRSZ + size);
	pq_copymsgbytes(buf, VARDATA(encoded), size);
	CheckEncodedBlock(encoded);

	PG_RETURN_POINTER(encoded);
}

PG_FUNCTION_INFO_V1(ds_block_send);

/* The binary output function of ds_block */
Datum
ds_block_send(PG_FUNCTION_ARGS)
{
	struct varlena *encoded = PG_GETARG_DS_BLOCK(0);
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendbytes(&buf, VARDATA(encoded), VARSIZE(encoded) - VARHDRSZ);

	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/* Appends a time as a JSON string, in UTC. */
static void
AppendTime(StringInfo buf, StreamTime time)
{
	char		text[MAXDATELEN + 1];
	int			utc = 0;

	JsonEncodeDateTime(text, TimestampTzGetDatum(TimestampFromStreamTime(time)),
					   TIMESTAMPTZOID, &utc);
	appendStringInfo(buf, "\"%s\"", text);
}

PG_FUNCTION_INFO_V1(ds_block_summary);

/*
 * ds_block_summary(block) returns jsonb: what is in a block, and how it is
 * stored, for people.
 */
Datum
ds_block_summary(PG_FUNCTION_ARGS)
{
	struct varlena *encoded = PG_GETARG_DS_BLOCK(0);
	int			size = VARSIZE(encoded) - VARHDRSZ;
	DataBlock  *block = DecodeBlock(encoded, 0);
	EncodedColumn columns[ENCODED_COLUMNS_MAX];
	int			ncolumns = DescribeEncodedBlock(encoded, columns);
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "{\"version\": %d, \"rows\": %d, \"from\": ",
					 *(uint8 *) VARDATA(encoded), block->count);
	AppendTime(&buf, block->times[0]);
	appendStringInfoString(&buf, ", \"to\": ");
	AppendTime(&buf, block->times[block->count - 1]);
	appendStringInfo(&buf, ", \"bytes\": %d, \"bytes_per_row\": %.2f, \"columns\": [",
					 size, (double) size / block->count);
	for (int i = 0; i < ncolumns; i++)
		appendStringInfo(&buf, "%s{\"name\": \"%s\", \"encoding\": \"%s\", \"bytes\": %d}",
						 i > 0 ? ", " : "",
						 columns[i].id == 0 ? "times" : ColumnInfo[columns[i].id].name,
						 columns[i].encoding, columns[i].size);
	appendStringInfoString(&buf, "]}");

	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data)));
}
