/*-------------------------------------------------------------------------
 *
 * store_query.c
 *	  Queries on the tables of blocks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "codec.h"
#include "compat.h"
#include "errors.h"
#include "plans.h"
#include "store_block.h"
#include "store_query.h"
#include "store_snapshot.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* No block has a higher seq, so that there is always a next one. */
#define SEQ_MAX		(PG_INT64_MAX / 2)

/* Columns that FetchBlocks() reads, in this order */
#define BLOCK_COLUMNS_BRIEF	"start, seq, until, count, pg_catalog.pg_column_size(block)::pg_catalog.int8"
#define BLOCK_COLUMNS_FULL	BLOCK_COLUMNS_BRIEF ", block"

/* Blocks are ordered by this pair, which the primary key supports. */
#define BLOCK_ORDER			"ORDER BY start, seq"
#define BLOCK_ORDER_REVERSE	"ORDER BY start DESC, seq DESC"

typedef struct BlockQueryInfo
{
	const char *text;			/* %1$s: the table */
	int			nargs;
	Oid			argtypes[6];	/* ANYOID: ds_block */
} BlockQueryInfo;

#define STREAM		"stream_id OPERATOR(pg_catalog.=) $1"
#define KEY			"ROW(start, seq)"
#define FROM_TABLE	" FROM datastream.%1$s WHERE " STREAM

/*
 * Blocks that may have rows in [$2, $3]: from the last that starts before $2,
 * unless it ends before that
 */
#define IN_RANGE \
	" AND start OPERATOR(pg_catalog.>=) COALESCE(" \
	"(SELECT b.start FROM datastream.%1$s b WHERE b.stream_id OPERATOR(pg_catalog.=) $1" \
	" AND b.start OPERATOR(pg_catalog.<) $2 ORDER BY b.start DESC LIMIT 1), $2)" \
	" AND start OPERATOR(pg_catalog.<=) $3 AND until OPERATOR(pg_catalog.>=) $2 "

static const BlockQueryInfo BlockQueries[QUERY_COUNT] = {
	[QUERY_TAIL] = {
		"SELECT " BLOCK_COLUMNS_BRIEF FROM_TABLE " " BLOCK_ORDER_REVERSE " LIMIT $2",
		2, {UUIDOID, INT8OID}
	},
	[QUERY_FROM_KEY] = {
		"SELECT " BLOCK_COLUMNS_FULL FROM_TABLE
		" AND " KEY " OPERATOR(pg_catalog.>=) ROW($2, $3) " BLOCK_ORDER,
		3, {UUIDOID, TIMESTAMPTZOID, INT8OID}
	},
	[QUERY_LAST_AT] = {
		"SELECT " BLOCK_COLUMNS_FULL FROM_TABLE
		" AND start OPERATOR(pg_catalog.<=) $2 " BLOCK_ORDER_REVERSE " LIMIT 1",
		2, {UUIDOID, TIMESTAMPTZOID}
	},
	[QUERY_FIRST_AFTER] = {
		"SELECT " BLOCK_COLUMNS_FULL FROM_TABLE
		" AND start OPERATOR(pg_catalog.>) $2 " BLOCK_ORDER " LIMIT 1",
		2, {UUIDOID, TIMESTAMPTZOID}
	},
	[QUERY_NEXT_KEY] = {
		"SELECT " BLOCK_COLUMNS_BRIEF FROM_TABLE
		" AND " KEY " OPERATOR(pg_catalog.>) ROW($2, $3) " BLOCK_ORDER " LIMIT 1",
		3, {UUIDOID, TIMESTAMPTZOID, INT8OID}
	},
	[QUERY_FIRST] = {
		"SELECT " BLOCK_COLUMNS_BRIEF FROM_TABLE " " BLOCK_ORDER " LIMIT 1",
		1, {UUIDOID}
	},
	[QUERY_LAST] = {
		"SELECT " BLOCK_COLUMNS_BRIEF FROM_TABLE " " BLOCK_ORDER_REVERSE " LIMIT 1",
		1, {UUIDOID}
	},
	[QUERY_KEY] = {
		"SELECT " BLOCK_COLUMNS_FULL FROM_TABLE
		" AND start OPERATOR(pg_catalog.=) $2 AND seq OPERATOR(pg_catalog.=) $3",
		3, {UUIDOID, TIMESTAMPTZOID, INT8OID}
	},
	[QUERY_OVERLAP] = {
		"SELECT " BLOCK_COLUMNS_BRIEF FROM_TABLE IN_RANGE BLOCK_ORDER,
		3, {UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
	},
	[QUERY_NTH] = {
		"SELECT " BLOCK_COLUMNS_BRIEF FROM_TABLE IN_RANGE BLOCK_ORDER " OFFSET $4 LIMIT 1",
		4, {UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID}
	},
	[QUERY_INSERT] = {
		"INSERT INTO datastream.%1$s (stream_id, start, seq, until, count, block)"
		" VALUES ($1, $2, $3, $4, $5, $6)",
		6, {UUIDOID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, INT4OID, ANYOID}
	},
	[QUERY_UPDATE] = {
		"UPDATE datastream.%1$s SET until = $4, count = $5, block = $6 WHERE " STREAM
		" AND start OPERATOR(pg_catalog.=) $2 AND seq OPERATOR(pg_catalog.=) $3",
		6, {UUIDOID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, INT4OID, ANYOID}
	},
	[QUERY_DELETE_KEYS] = {
		"DELETE" FROM_TABLE " AND " KEY " OPERATOR(pg_catalog.>=) ROW($2, $3)"
		" AND " KEY " OPERATOR(pg_catalog.<=) ROW($4, $5)",
		5, {UUIDOID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, INT8OID}
	},
	[QUERY_DELETE_STREAM] = {
		"DELETE" FROM_TABLE,
		1, {UUIDOID}
	},
	[QUERY_DELETE_OLD] = {
		"WITH deleted AS (DELETE" FROM_TABLE
		" AND start OPERATOR(pg_catalog.<) $2 AND until OPERATOR(pg_catalog.<) $2"
		" AND start OPERATOR(pg_catalog.<=) COALESCE("
		"(SELECT b.start FROM datastream.%1$s b WHERE b.stream_id OPERATOR(pg_catalog.=) $1"
		" AND b.start OPERATOR(pg_catalog.<) $2 ORDER BY b.start, b.seq OFFSET $3 LIMIT 1), $2)"
		" RETURNING count, until)"
		" SELECT pg_catalog.count(*), COALESCE(pg_catalog.sum(count), 0)::pg_catalog.int8,"
		" pg_catalog.max(until) FROM deleted",
		3, {UUIDOID, TIMESTAMPTZOID, INT8OID}
	},
	[QUERY_SCAN] = {
		"SELECT start, seq, until, count, block" FROM_TABLE IN_RANGE
		"AND " KEY " OPERATOR(pg_catalog.>) ROW($4, $5) " BLOCK_ORDER " LIMIT $6",
		6, {UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID}
	},
	[QUERY_SCAN_REVERSE] = {
		"SELECT start, seq, until, count, block" FROM_TABLE IN_RANGE
		"AND " KEY " OPERATOR(pg_catalog.<) ROW($4, $5) " BLOCK_ORDER_REVERSE " LIMIT $6",
		6, {UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID}
	}
};

/*
 * The saved plan of a query on the blocks of a level.
 */
PlanSlot *
BlockPlan(Granularity level, BlockQuery which)
{
	static PlanSlot slots[GRANULARITY_COUNT][QUERY_COUNT];
	static char *texts[GRANULARITY_COUNT][QUERY_COUNT];
	const BlockQueryInfo *query = &BlockQueries[which];
	Oid			argtypes[lengthof(query->argtypes)];

	if (texts[level][which] == NULL)
	{
		char	   *table = psprintf("\"datapoints_%s\"", GranularityName(level));
		char	   *text = psprintf(query->text, table);

		texts[level][which] = MemoryContextStrdup(TopMemoryContext, text);
		pfree(text);
		pfree(table);
	}

	for (int i = 0; i < query->nargs; i++)
		argtypes[i] = query->argtypes[i] == ANYOID ? BlockTypeOid() : query->argtypes[i];

	return PreparedPlan(&slots[level][which], texts[level][which], query->nargs, argtypes);
}

/*
 * Runs a query on the blocks of a level.
 */
void
RunBlockQuery(Granularity level, BlockQuery which, Datum *values, bool read_only)
{
	RunPlan(BlockPlan(level, which), values, NULL, read_only);
}

/*
 * The start of a block as an argument of a query.
 */
Datum
KeyStart(const BlockKey *key)
{
	return TimestampTzGetDatum(TimestampFromStreamTime(key->start));
}

/*
 * Damage
 *
 * Whatever is stored can be damaged, and anybody who may write to the tables can
 * do it.  Nothing that is read is taken for right without a look; what cannot be is
 * ERRCODE_DATA_CORRUPTED.
 */

/*
 * The error of a stream whose blocks are damaged; detail says as a sentence what
 * is wrong.
 */
pg_noreturn static void
ReportDamagedBlocks(const pg_uuid_t *id, Granularity level, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("blocks of stream \"%s\" at granularity \"%s\" are damaged",
					StreamIdToString(id), GranularityName(level)),
			 errdetail_internal("%s", detail)));
}

/*
 * Reads a time beside a block; false if it is not one that blocks have.
 */
static bool
ReadBlockTime(Datum value, StreamTime *t)
{
	TimestampTz ts = DatumGetTimestampTz(value);

	*t = StreamTimeFromTimestampClamped(ts);
	if (*t >= STREAM_TIME_MIN && *t <= STREAM_TIME_MAX && TimestampFromStreamTime(*t) == ts)
		return true;

	*t = Min(Max(*t, STREAM_TIME_MIN), STREAM_TIME_MAX);
	return false;
}

/*
 * Sets what is stored beside a block, from the columns start, seq, until and
 * count.
 */
void
SetStoredBlock(StoredBlock *block, const Datum *values, const bool *nulls)
{
	bool		times_possible;

	block->damage = NULL;
	block->encoded = NULL;
	block->rows = NULL;
	if (nulls[0] || nulls[1] || nulls[2] || nulls[3])
	{
		block->key.start = block->until = STREAM_TIME_MIN;
		block->key.seq = 0;
		block->count = 1;
		block->damage = "A column is null.";
		return;
	}

	times_possible = ReadBlockTime(values[0], &block->key.start);
	times_possible = ReadBlockTime(values[2], &block->until) && times_possible;
	block->key.seq = DatumGetInt64(values[1]);
	block->count = DatumGetInt32(values[3]);
	if (!times_possible || block->key.start > block->until)
		block->damage = "A block has an impossible range of time.";
	else if (block->count < 1 || block->count > BLOCK_MAX_ROWS)
		block->damage = "A block has an impossible number of rows.";
	else if (block->key.seq > SEQ_MAX || block->key.seq < -SEQ_MAX)
		block->damage = "A block has an impossible place.";
}

/*
 * Checks what is stored beside a block.
 */
void
CheckStoredBlock(const pg_uuid_t *id, Granularity level, const StoredBlock *block)
{
	if (block->damage != NULL)
		ReportDamagedBlocks(id, level, block->damage);
}

/*
 * Checks that a block that begins at "start" does not overlap with the one before
 * it, which ends at "until".
 */
void
CheckBlockOrder(const pg_uuid_t *id, Granularity level, StreamTime until, StreamTime start)
{
	if (until > start)
		ReportDamagedBlocks(id, level,
							psprintf("A block ends at \"%s\", beyond the start of the next one.",
									 timestamptz_to_str(TimestampFromStreamTime(until))));
}

/* What is being decoded, for the context of an error */
typedef struct DecodeContext
{
	const pg_uuid_t *id;
	Granularity level;
	StreamTime	start;			/* STREAM_TIME_MAX + 1: the head */
} DecodeContext;

static void
AddDecodeContext(void *arg)
{
	const DecodeContext *context = arg;

	if (context->start > STREAM_TIME_MAX)
		errcontext("head of stream \"%s\"", StreamIdToString(context->id));
	else
		errcontext("block of stream \"%s\" at granularity \"%s\" from \"%s\" on",
				   StreamIdToString(context->id), GranularityName(context->level),
				   timestamptz_to_str(TimestampFromStreamTime(context->start)));
}

/*
 * Checks the columns of a block, and that numbers of datapoints are finite.
 */
static void
CheckDecoded(const DataBlock *rows, uint32 columns)
{
	const Column *datapoints = BlockColumn(rows, COLUMN_DATAPOINT);

	if ((BlockColumnMask(rows) & columns) != columns)
		ReportDamagedBlock("It lacks columns that blocks in its place have.");
	if (datapoints != NULL && !DoublesAreFinite(datapoints->numbers, rows->count))
		ReportDamagedBlock("It has a number that is not finite.");
}

/*
 * Decodes the datapoints of a head that is stored in the current memory context.
 */
DataBlock *
DecodeHead(const pg_uuid_t *id, Datum head)
{
	DecodeContext decoding = {id, 0, STREAM_TIME_MAX + 1};
	ErrorContextCallback error_context = {error_context_stack, AddDecodeContext, &decoding};
	DataBlock  *rows;

	error_context_stack = &error_context;
	rows = DecodeBlock(PG_DETOAST_DATUM(head), COLUMN_ALL);
	CheckDecoded(rows, COLUMN_BIT(COLUMN_DATAPOINT));
	if (rows->ncolumns != 1)
		ReportDamagedBlock("It has columns that heads do not have.");
	error_context_stack = error_context.previous;

	return rows;
}

/*
 * Decodes "columns", or COLUMN_ALL, of a stored block (detoasted, full header) into
 * the current memory context, and checks that it holds what is stored beside it.
 */
DataBlock *
DecodeStoredBlock(const pg_uuid_t *id, Granularity level, const StoredBlock *block,
				  const struct varlena *encoded, uint32 columns)
{
	DecodeContext decoding = {id, level, block->key.start};
	ErrorContextCallback error_context = {error_context_stack, AddDecodeContext, &decoding};
	DataBlock  *rows;

	error_context_stack = &error_context;
	CheckStoredBlock(id, level, block);
	rows = DecodeBlock(encoded, columns);
	CheckDecoded(rows, columns == COLUMN_ALL ? 0 : columns);
	if (rows->count != block->count || rows->times[0] != block->key.start ||
		rows->times[rows->count - 1] != block->until)
		ReportDamagedBlock("It does not hold what is recorded of it.");
	error_context_stack = error_context.previous;

	return rows;
}

/*
 * Decodes the block in an attribute of a fetched row.
 */
static DataBlock *
BlockAttribute(const pg_uuid_t *id, Granularity level, const StoredBlock *block,
			   HeapTuple tuple, TupleDesc desc, int attribute)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, attribute, &isnull);
	struct varlena *encoded;
	DataBlock  *rows;

	if (isnull)
		ReportDamagedBlocks(id, level, "A column is null.");
	encoded = PG_DETOAST_DATUM(value);
	rows = DecodeStoredBlock(id, level, block, encoded, COLUMN_ALL);
	if ((Pointer) encoded != DatumGetPointer(value))
		pfree(encoded);

	return rows;
}

/*
 * Runs a query that reads BLOCK_COLUMNS_BRIEF or BLOCK_COLUMNS_FULL with the
 * active snapshot; returns what it finds in the current memory context.  The first
 * parameter is the stream.  Whether the columns beside a block can be is left to the
 * caller, unless blocks are read too.
 */
StoredBlock *
FetchBlocksActive(Granularity level, BlockQuery which, Datum *values, int *nblocks)
{
	StoredBlock *blocks;

	RunBlockQuery(level, which, values, true);

	*nblocks = (int) SPI_processed;
	blocks = palloc0(sizeof(StoredBlock) * (*nblocks + 1));
	for (int i = 0; i < *nblocks; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		Datum		columns[STORED_BLOCK_NCOLUMNS];
		bool		nulls[STORED_BLOCK_NCOLUMNS];
		bool		isnull;

		for (int j = 0; j < STORED_BLOCK_NCOLUMNS; j++)
			columns[j] = SPI_getbinval(tuple, desc, j + 1, &nulls[j]);
		SetStoredBlock(&blocks[i], columns, nulls);
		blocks[i].bytes = DatumGetInt64(SPI_getbinval(tuple, desc, 5, &isnull));
		if (desc->natts >= 6)
			blocks[i].rows = BlockAttribute(DatumGetUUIDP(values[0]), level, &blocks[i], tuple, desc, 6);
	}
	SPI_freetuptable(SPI_tuptable);

	return blocks;
}

/*
 * The same with the latest snapshot, for those who hold the stream's lock and
 * are about to write; with all checks.
 */
StoredBlock *
FetchBlocks(Granularity level, BlockQuery which, Datum *values, int *nblocks)
{
	const pg_uuid_t *id = DatumGetUUIDP(values[0]);
	StoredBlock *blocks;

	PushActiveSnapshot(LatestSnapshotOf(TABLE_OF_LEVEL(level)));
	blocks = FetchBlocksActive(level, which, values, nblocks);
	PopActiveSnapshot();

	for (int i = 0; i < *nblocks; i++)
	{
		CheckStoredBlock(id, level, &blocks[i]);
		if (i > 0 && CompareBlockKeys(&blocks[i - 1].key, &blocks[i].key) < 0)
			CheckBlockOrder(id, level, blocks[i - 1].until, blocks[i].key.start);
		else if (i > 0)
			CheckBlockOrder(id, level, blocks[i].until, blocks[i - 1].key.start);
	}

	return blocks;
}

/*
 * The one block that a query finds with the latest snapshot, or NULL.
 */
StoredBlock *
FetchBlock(Granularity level, BlockQuery which, Datum *values)
{
	int			nblocks;
	StoredBlock *blocks = FetchBlocks(level, which, values, &nblocks);

	return nblocks > 0 ? &blocks[0] : NULL;
}
