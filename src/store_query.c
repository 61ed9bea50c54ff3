/*-------------------------------------------------------------------------
 *
 * store_query.c
 *	  Queries on the tables of blocks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "errors.h"
#include "plans.h"
#include "store_block.h"
#include "store_query.h"
#include "store_snapshot.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

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
		"SELECT start, seq, block" FROM_TABLE IN_RANGE
		"AND " KEY " OPERATOR(pg_catalog.>) ROW($4, $5) " BLOCK_ORDER " LIMIT $6",
		6, {UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID}
	},
	[QUERY_SCAN_REVERSE] = {
		"SELECT start, seq, block" FROM_TABLE IN_RANGE
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
 * The time of an attribute of a fetched row.
 */
static StreamTime
TimeAttribute(HeapTuple tuple, TupleDesc desc, int attribute)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, attribute, &isnull);

	Assert(!isnull);
	return StreamTimeFromTimestampClamped(DatumGetTimestampTz(value));
}

/*
 * Checks that a block has certain columns.
 */
void
CheckBlockColumns(const DataBlock *block, uint32 columns)
{
	if ((BlockColumnMask(block) & columns) != columns)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("datastream block is damaged"),
				 errdetail("It lacks columns that blocks in its place have.")));
}

/*
 * Decodes the block in an attribute of a fetched row.
 */
static DataBlock *
BlockAttribute(HeapTuple tuple, TupleDesc desc, int attribute)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, attribute, &isnull);
	struct varlena *encoded;
	DataBlock  *block;

	Assert(!isnull);
	encoded = PG_DETOAST_DATUM(value);
	block = DecodeBlock(encoded, COLUMN_ALL);
	if ((Pointer) encoded != DatumGetPointer(value))
		pfree(encoded);

	return block;
}

/*
 * Runs a query that reads BLOCK_COLUMNS_BRIEF or BLOCK_COLUMNS_FULL with the
 * active snapshot; returns what it finds in the current memory context.
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
		bool		isnull;

		blocks[i].key.start = TimeAttribute(tuple, desc, 1);
		blocks[i].key.seq = DatumGetInt64(SPI_getbinval(tuple, desc, 2, &isnull));
		blocks[i].until = TimeAttribute(tuple, desc, 3);
		blocks[i].count = DatumGetInt32(SPI_getbinval(tuple, desc, 4, &isnull));
		blocks[i].bytes = DatumGetInt64(SPI_getbinval(tuple, desc, 5, &isnull));
		if (desc->natts >= 6)
			blocks[i].rows = BlockAttribute(tuple, desc, 6);
	}
	SPI_freetuptable(SPI_tuptable);

	return blocks;
}

/*
 * The same with the latest snapshot, for those who hold the stream's lock and
 * are about to write.
 */
StoredBlock *
FetchBlocks(Granularity level, BlockQuery which, Datum *values, int *nblocks)
{
	StoredBlock *blocks;

	PushActiveSnapshot(LatestSnapshotOf(TABLE_OF_LEVEL(level)));
	blocks = FetchBlocksActive(level, which, values, nblocks);
	PopActiveSnapshot();

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
