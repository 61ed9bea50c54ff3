/*-------------------------------------------------------------------------
 *
 * store_block.c
 *	  Blocks in tables: appending, inserting, deleting and scanning rows.
 *
 * Blocks of a stream and level never overlap; at most the last rows of one
 * bear the same time as the first rows of the next.  Blocks that begin at the
 * same time are told apart by seq.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "errors.h"
#include "miscadmin.h"
#include "plans.h"
#include "store_block.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/*
 * Small blocks at the end of a level are merged in tiers, so that a row is
 * written some three times in all, however few come at once: blocks below the
 * first size grow in place, several of them become one of the second size, and
 * several of those a full one.
 */
#define TIER_SMALL		32
#define TIER_MEDIUM		256

/* Blocks at the end of a level that are looked at for merging */
#define TIER_LOOKBACK	16

/* A block is full, too, when it takes so many bytes. */
#define BLOCK_BYTES			(64 * 1024)

/* New blocks after which a session makes its plans anew for the first time */
#define BLOCKS_PER_PLAN	64

/* Blocks that a scan fetches at once */
#define SCAN_BATCH		8

/* The place of a block among the blocks of its stream and level */
typedef struct BlockKey
{
	StreamTime	start;
	int64		seq;
} BlockKey;

/* A block that is stored */
typedef struct StoredBlock
{
	BlockKey	key;
	StreamTime	until;
	int			count;
	int64		bytes;
	DataBlock  *rows;			/* NULL unless asked for */
} StoredBlock;

struct BlockScan
{
	Portal		portal;
	SPITupleTable *tuples;
	uint64		ntuples;
	uint64		next;
	const DataBlock *head_rows;		/* NULL when there are none, or done */
	StreamTime	from;
	StreamTime	to;
	bool		reverse;
	bool		blocks_done;
	uint32		columns;
	MemoryContext context;		/* of the block in hand */
};

/* Columns that FetchBlocks() reads, in this order */
#define BLOCK_COLUMNS_BRIEF	"start, seq, until, count, pg_catalog.pg_column_size(block)::pg_catalog.int8"
#define BLOCK_COLUMNS_FULL	BLOCK_COLUMNS_BRIEF ", block"

/* Blocks are ordered by this pair, which the primary key supports. */
#define BLOCK_ORDER			"ORDER BY start, seq"
#define BLOCK_ORDER_REVERSE	"ORDER BY start DESC, seq DESC"

typedef enum BlockQuery
{
	QUERY_TAIL,
	QUERY_FROM_KEY,
	QUERY_LAST_AT,
	QUERY_FIRST_AFTER,
	QUERY_NEXT_KEY,
	QUERY_KEY,
	QUERY_OVERLAP,
	QUERY_FIRST,
	QUERY_LAST,
	QUERY_INSERT,
	QUERY_UPDATE,
	QUERY_DELETE_KEYS,
	QUERY_DELETE_STREAM,
	QUERY_SCAN,
	QUERY_SCAN_REVERSE,
	QUERY_COUNT
} BlockQuery;

typedef struct BlockQueryInfo
{
	const char *text;			/* %1$s: the table */
	int			nargs;
	Oid			argtypes[6];	/* ANYOID: ds_block */
} BlockQueryInfo;

#define STREAM		"stream_id OPERATOR(pg_catalog.=) $1"
#define KEY			"ROW(start, seq)"
#define FROM_TABLE	" FROM datastream.%1$s WHERE " STREAM

/* Blocks that may have rows in [$2, $3]: from the last that starts before $2 */
#define IN_RANGE \
	" AND start OPERATOR(pg_catalog.>=) COALESCE(" \
	"(SELECT b.start FROM datastream.%1$s b WHERE b.stream_id OPERATOR(pg_catalog.=) $1" \
	" AND b.start OPERATOR(pg_catalog.<) $2 ORDER BY b.start DESC LIMIT 1), $2)" \
	" AND start OPERATOR(pg_catalog.<=) $3 "

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
	[QUERY_SCAN] = {
		"SELECT block" FROM_TABLE IN_RANGE BLOCK_ORDER,
		3, {UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
	},
	[QUERY_SCAN_REVERSE] = {
		"SELECT block" FROM_TABLE IN_RANGE BLOCK_ORDER_REVERSE,
		3, {UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
	}
};

/*
 * The saved plan of a query on the blocks of a level.
 */
static SPIPlanPtr
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
static void
RunBlockQuery(Granularity level, BlockQuery which, Datum *values, bool read_only, int expected)
{
	int			result = SPI_execute_plan(BlockPlan(level, which), values, NULL, read_only, 0);

	if (result != expected)
		elog(ERROR, "unexpected result %s of a query on blocks", SPI_result_code_string(result));
}

static Datum
KeyStart(const BlockKey *key)
{
	return TimestampTzGetDatum(TimestampFromStreamTime(key->start));
}

static int
CompareKeys(const BlockKey *a, const BlockKey *b)
{
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->seq != b->seq)
		return a->seq < b->seq ? -1 : 1;
	return 0;
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
 * Decodes the block in an attribute of a fetched row, which must have the
 * columns that are asked for, unless that is all it has.
 */
static DataBlock *
BlockAttribute(HeapTuple tuple, TupleDesc desc, int attribute, uint32 columns)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, attribute, &isnull);
	struct varlena *encoded;
	DataBlock  *block;

	Assert(!isnull);
	encoded = PG_DETOAST_DATUM(value);
	block = DecodeBlock(encoded, columns);
	if ((Pointer) encoded != DatumGetPointer(value))
		pfree(encoded);
	if (columns != COLUMN_ALL)
		CheckBlockColumns(block, columns);

	return block;
}

/*
 * Runs a query that reads BLOCK_COLUMNS_BRIEF or BLOCK_COLUMNS_FULL with the
 * active snapshot; returns what it finds in the current memory context.
 */
static StoredBlock *
FetchBlocksActive(Granularity level, BlockQuery which, Datum *values, int *nblocks)
{
	StoredBlock *blocks;

	RunBlockQuery(level, which, values, true, SPI_OK_SELECT);

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
			blocks[i].rows = BlockAttribute(tuple, desc, 6, COLUMN_ALL);
	}
	SPI_freetuptable(SPI_tuptable);

	return blocks;
}

/*
 * The same with the latest snapshot, for those who hold the stream's lock and
 * are about to write.
 */
static StoredBlock *
FetchBlocks(Granularity level, BlockQuery which, Datum *values, int *nblocks)
{
	StoredBlock *blocks;

	PushActiveSnapshot(GetLatestSnapshot());
	blocks = FetchBlocksActive(level, which, values, nblocks);
	PopActiveSnapshot();

	return blocks;
}

/*
 * The one block that a query finds with the latest snapshot, or NULL.
 */
static StoredBlock *
FetchBlock(Granularity level, BlockQuery which, Datum *values)
{
	int			nblocks;
	StoredBlock *blocks = FetchBlocks(level, which, values, &nblocks);

	return nblocks > 0 ? &blocks[0] : NULL;
}

/*
 * The start of the first block or the end of the last one, with the active
 * snapshot.
 */
static bool
BlockBound(const pg_uuid_t *id, Granularity level, BlockQuery which, StreamTime *bound)
{
	Datum		values[1];
	StoredBlock *block;
	int			nblocks;

	values[0] = UUIDPGetDatum(id);
	block = FetchBlocksActive(level, which, values, &nblocks);
	if (nblocks > 0)
		*bound = which == QUERY_FIRST ? block->key.start : block->until;
	pfree(block);

	return nblocks > 0;
}

/*
 * Bytes that a row takes beyond its fixed columns.
 */
static int64
RowBytes(const DataBlock *rows, int row)
{
	int64		bytes = 0;

	for (int i = 0; i < rows->ncolumns; i++)
	{
		const Column *column = &rows->columns[i];

		if (column->json != NULL && column->json[row] != NULL)
			bytes += VARSIZE(column->json[row]);
		if (column->bytes != NULL && column->bytes[row] != NULL)
			bytes += VARSIZE(column->bytes[row]);
	}

	return bytes;
}

/*
 * The rows of the next chunk that begins at "from": at most "most" rows, and
 * not many more bytes than a block should have.
 */
static int
ChunkEnd(const DataBlock *rows, int from, int most)
{
	int			end = Min(rows->count, from + most);
	int64		bytes = 0;

	for (int i = from; i < end; i++)
	{
		bytes += RowBytes(rows, i);
		if (bytes > BLOCK_BYTES)
			return i + 1;
	}

	return end;
}

/*
 * Sees to it that a session which stores many blocks does not go on with plans
 * for the few that there were at first: each time that it has stored twice as
 * many as the last time, plans are made anew.
 */
static void
CountNewBlock(Granularity level)
{
	static int64 stored[GRANULARITY_COUNT];

	stored[level]++;
	if (stored[level] >= BLOCKS_PER_PLAN && (stored[level] & (stored[level] - 1)) == 0)
	{
		char	   *table = psprintf("datapoints_%s", GranularityName(level));

		ForgetPlans(table);
		pfree(table);
	}
}

/*
 * Writes one chunk, [from, to) of rows, as a block: into the place of an old
 * one ("update") or as a new one.
 */
static void
WriteBlock(const pg_uuid_t *id, Granularity level, const DataBlock *rows, int from, int to,
		   BlockKey key, bool update)
{
	DataBlock	slice = BlockSlice(rows, from, to);
	struct varlena *encoded = EncodeBlock(&slice);
	Datum		values[6];

	values[0] = UUIDPGetDatum(id);
	values[1] = KeyStart(&key);
	values[2] = Int64GetDatum(key.seq);
	values[3] = TimestampTzGetDatum(TimestampFromStreamTime(rows->times[to - 1]));
	values[4] = Int32GetDatum(to - from);
	values[5] = PointerGetDatum(encoded);

	if (update)
		RunBlockQuery(level, QUERY_UPDATE, values, false, SPI_OK_UPDATE);
	else
		RunBlockQuery(level, QUERY_INSERT, values, false, SPI_OK_INSERT);
	if (SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DS_STREAM_APPEND_FAILED),
				 errmsg("could not store a block of stream \"%s\"", StreamIdToString(id)),
				 errdetail("A trigger, a rule or a row security policy kept the row from being written.")));

	pfree(encoded);
	if (!update)
		CountNewBlock(level);
}

static void
DeleteKeys(const pg_uuid_t *id, Granularity level, BlockKey first, BlockKey last)
{
	Datum		values[5];

	values[0] = UUIDPGetDatum(id);
	values[1] = KeyStart(&first);
	values[2] = Int64GetDatum(first.seq);
	values[3] = KeyStart(&last);
	values[4] = Int64GetDatum(last.seq);
	RunBlockQuery(level, QUERY_DELETE_KEYS, values, false, SPI_OK_DELETE);
}

/*
 * Writes rows as blocks in the place of the old blocks from "first" to "last"
 * (NULL: there are none), between the blocks "before" and "after" (NULL: there
 * is none).  "most" is the number of rows to a block.  No rows: the old blocks
 * are deleted.  Returns the place of the last block written, if there is one.
 */
static BlockKey
ReplaceBlocks(const pg_uuid_t *id, Granularity level, const DataBlock *rows, int most,
			  const BlockKey *first, const BlockKey *last,
			  const BlockKey *before, const BlockKey *after)
{
	int			nchunks = 0;
	int		   *starts = palloc(sizeof(int) * (rows->count + 1));
	BlockKey   *keys;
	BlockKey	last_key = {0};
	bool		update;

	for (int row = 0; row < rows->count; row = ChunkEnd(rows, row, most))
		starts[nchunks++] = row;
	starts[nchunks] = rows->count;

	/*
	 * Give each block its key.  One that begins with its predecessor comes
	 * after it; one that begins with the first block behind comes before
	 * that.
	 */
	keys = palloc(sizeof(BlockKey) * (nchunks + 1));
	for (int i = 0; i < nchunks; i++)
	{
		const BlockKey *previous = i > 0 ? &keys[i - 1] : before;

		keys[i].start = rows->times[starts[i]];
		if (i == 0 && first != NULL && first->start == keys[i].start)
			keys[i].seq = first->seq;
		else if (previous != NULL && previous->start == keys[i].start)
			keys[i].seq = previous->seq + 1;
		else
			keys[i].seq = 0;
	}
	if (after != NULL)
	{
		int64		seq = after->seq;

		for (int i = nchunks - 1; i >= 0 && keys[i].start == after->start; i--)
			keys[i].seq = --seq;
	}

	/* The first block is updated if its key remains, so that indexes do not grow. */
	update = first != NULL && nchunks > 0 && CompareKeys(first, &keys[0]) == 0;
	if (first != NULL && !(update && CompareKeys(first, last) == 0))
	{
		BlockKey	from = *first;

		if (update)
			from.seq++;
		DeleteKeys(id, level, from, *last);
	}

	for (int i = 0; i < nchunks; i++)
	{
		CHECK_FOR_INTERRUPTS();
		WriteBlock(id, level, rows, starts[i], starts[i + 1], keys[i], update && i == 0);
		last_key = keys[i];
	}

	pfree(starts);
	pfree(keys);

	return last_key;
}

/*
 * How many of the last blocks are to be merged with "count" new rows.  "tail"
 * has the last blocks, the very last first.
 */
static int
BlocksToMerge(const StoredBlock *tail, int ntail, int count)
{
	static const int tiers[] = {BLOCK_ROWS, TIER_MEDIUM};

	for (int i = 0; i < lengthof(tiers); i++)
	{
		int			run = 0;
		int64		sum = count;

		while (run < ntail && tail[run].count < tiers[i] && tail[run].bytes < BLOCK_BYTES)
			sum += tail[run++].count;
		if (sum >= tiers[i])
			return run;
	}

	if (ntail > 0 && tail[0].count + count <= TIER_SMALL && tail[0].bytes < BLOCK_BYTES)
		return 1;

	return 0;
}

/*
 * Appends rows [from, to), none of which is older than what is stored, to the
 * blocks of a stream at a level.
 */
void
AppendBlocks(const pg_uuid_t *id, Granularity level, const DataBlock *rows, int from, int to)
{
	MemoryContext context;
	MemoryContext old_context;
	Datum		values[3];
	StoredBlock *tail;
	int			ntail;
	int			nmerge;
	const BlockKey *before = NULL;
	BlockKey	last;

	if (from >= to)
		return;

	context = AllocSetContextCreate(CurrentMemoryContext, "datastream append", ALLOCSET_DEFAULT_SIZES);
	old_context = MemoryContextSwitchTo(context);

	values[0] = UUIDPGetDatum(id);
	values[1] = Int64GetDatum(TIER_LOOKBACK);
	tail = FetchBlocks(level, QUERY_TAIL, values, &ntail);

	if (ntail > 0 && tail[0].until > rows->times[from])
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("blocks of stream \"%s\" at granularity \"%s\" reach beyond what has been recorded",
						StreamIdToString(id), GranularityName(level))));

	nmerge = BlocksToMerge(tail, ntail, to - from);
	if (nmerge < ntail)
		before = &tail[nmerge].key;

	/* The old blocks and so many of the rows as make full blocks with them */
	if (nmerge > 0)
	{
		StoredBlock *blocks;
		DataBlock  *merged = CreateBlock(BLOCK_ROWS, BlockColumnMask(rows));
		int			nblocks;
		int			end = to;

		values[1] = KeyStart(&tail[nmerge - 1].key);
		values[2] = Int64GetDatum(tail[nmerge - 1].key.seq);
		blocks = FetchBlocks(level, QUERY_FROM_KEY, values, &nblocks);
		for (int i = 0; i < nblocks; i++)
			AppendBlockRows(merged, blocks[i].rows, 0, blocks[i].rows->count);
		if (to - from > BLOCK_ROWS)
			end = from + BLOCK_ROWS - merged->count % BLOCK_ROWS;
		AppendBlockRows(merged, rows, from, end);

		last = ReplaceBlocks(id, level, merged, BLOCK_ROWS, &tail[nmerge - 1].key, &tail[0].key, before, NULL);
		before = &last;
		from = end;
	}

	if (from < to)
	{
		DataBlock	slice = BlockSlice(rows, from, to);

		ReplaceBlocks(id, level, &slice, BLOCK_ROWS, NULL, NULL, before, NULL);
	}

	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}

/*
 * Merges two runs of rows by time; of equal times, those of "a" come first.
 */
DataBlock *
MergeBlockRows(const DataBlock *a, const DataBlock *b, int from, int to)
{
	DataBlock  *merged = CreateBlock(a->count + to - from, BlockColumnMask(a));
	int			i = 0;

	for (int j = from; j < to;)
	{
		int			until = BlockUpperBound(a, b->times[j]);
		int			end = j + 1;

		while (end < to && (until >= a->count || b->times[end] < a->times[until]))
			end++;
		AppendBlockRows(merged, a, i, Max(i, until));
		AppendBlockRows(merged, b, j, end);
		i = Max(i, until);
		j = end;
	}
	AppendBlockRows(merged, a, i, a->count);

	return merged;
}

/*
 * Inserts rows, in order of time, anywhere among the blocks of a stream at a
 * level; behind rows of the same time.
 */
void
InsertIntoBlocks(const pg_uuid_t *id, Granularity level, const DataBlock *rows, int from, int to)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "datastream insert",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);

	while (from < to)
	{
		Datum		values[3];
		StoredBlock *target;
		StoredBlock *after;
		DataBlock  *merged;
		int			end = to;
		int			nblocks;

		CHECK_FOR_INTERRUPTS();

		/* The block in which the first row belongs, or else the first one */
		values[0] = UUIDPGetDatum(id);
		values[1] = TimestampTzGetDatum(TimestampFromStreamTime(rows->times[from]));
		target = FetchBlock(level, QUERY_LAST_AT, values);
		if (target == NULL)
			target = FetchBlock(level, QUERY_FIRST_AFTER, values);
		if (target == NULL)
		{
			DataBlock	slice = BlockSlice(rows, from, to);

			ReplaceBlocks(id, level, &slice, BLOCK_ROWS, NULL, NULL, NULL, NULL);
			break;
		}

		/* All rows before the block behind it go there too. */
		values[1] = KeyStart(&target->key);
		values[2] = Int64GetDatum(target->key.seq);
		after = FetchBlock(level, QUERY_NEXT_KEY, values);
		if (after != NULL)
		{
			end = from + 1;
			while (end < to && rows->times[end] < after->key.start)
				end++;
		}

		/*
		 * Behind a full block that ends before the new rows, begin a new one
		 * rather than split it.
		 */
		if (target->until <= rows->times[from] && target->count >= BLOCK_ROWS)
		{
			DataBlock	slice = BlockSlice(rows, from, end);

			ReplaceBlocks(id, level, &slice, BLOCK_ROWS, NULL, NULL,
						  &target->key, after ? &after->key : NULL);
		}
		else
		{
			merged = MergeBlockRows(target->rows, rows, from, end);
			nblocks = (merged->count + BLOCK_ROWS - 1) / BLOCK_ROWS;
			ReplaceBlocks(id, level, merged, (merged->count + nblocks - 1) / nblocks,
						  &target->key, &target->key, NULL, after ? &after->key : NULL);
		}

		from = end;
		MemoryContextReset(context);
	}

	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}

/*
 * Deletes the rows from "from" to "to", both included.
 */
void
DeleteFromBlocks(const pg_uuid_t *id, Granularity level, StreamTime from, StreamTime to)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "datastream delete",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext block_context = AllocSetContextCreate(context, "datastream delete block",
														ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	Datum		values[3];
	StoredBlock *blocks;
	int			nblocks;

	values[0] = UUIDPGetDatum(id);
	values[1] = TimestampTzGetDatum(TimestampFromStreamTime(from));
	values[2] = TimestampTzGetDatum(TimestampFromStreamTime(to));
	blocks = FetchBlocks(level, QUERY_OVERLAP, values, &nblocks);

	MemoryContextSwitchTo(block_context);
	for (int i = 0; i < nblocks; i++)
	{
		StoredBlock *block;
		StoredBlock *after;
		DataBlock  *kept;

		CHECK_FOR_INTERRUPTS();

		if (blocks[i].until < from)
			continue;

		values[1] = KeyStart(&blocks[i].key);
		values[2] = Int64GetDatum(blocks[i].key.seq);
		block = FetchBlock(level, QUERY_KEY, values);
		after = FetchBlock(level, QUERY_NEXT_KEY, values);
		if (block == NULL)
			elog(ERROR, "block of stream \"%s\" has vanished", StreamIdToString(id));

		kept = CreateBlock(block->rows->count, BlockColumnMask(block->rows));
		AppendBlockRows(kept, block->rows, 0, BlockLowerBound(block->rows, from));
		AppendBlockRows(kept, block->rows, BlockUpperBound(block->rows, to), block->rows->count);
		if (kept->count < block->rows->count)
			ReplaceBlocks(id, level, kept, BLOCK_ROWS, &block->key, &block->key,
						  NULL, after ? &after->key : NULL);

		MemoryContextReset(block_context);
	}

	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}

/*
 * Deletes all blocks of a stream at a level.
 */
void
DeleteBlocks(const pg_uuid_t *id, Granularity level)
{
	Datum		values[1];

	values[0] = UUIDPGetDatum(id);
	RunBlockQuery(level, QUERY_DELETE_STREAM, values, false, SPI_OK_DELETE);
}

/*
 * The time of the first row stored in blocks of a stream at a level.
 */
bool
FirstBlockStart(const pg_uuid_t *id, Granularity level, StreamTime *start)
{
	return BlockBound(id, level, QUERY_FIRST, start);
}

/*
 * The time of the last row stored in blocks of a stream at a level.
 */
bool
LastBlockUntil(const pg_uuid_t *id, Granularity level, StreamTime *until)
{
	return BlockBound(id, level, QUERY_LAST, until);
}

/*
 * Begins to read the rows of a stream at a level in [from, to], with the
 * active snapshot.  "head_rows" (may be NULL) are read behind those in blocks,
 * and belong to the caller.  Only "columns" are decoded.
 */
BlockScan *
BeginBlockScan(const pg_uuid_t *id, Granularity level, const DataBlock *head_rows,
			   StreamTime from, StreamTime to, bool reverse, uint32 columns)
{
	BlockScan  *scan = palloc0(sizeof(BlockScan));
	Datum		values[3];

	from = Max(from, STREAM_TIME_MIN);
	to = Min(to, STREAM_TIME_MAX);

	scan->head_rows = head_rows;
	scan->from = from;
	scan->to = to;
	scan->reverse = reverse;
	scan->columns = columns;
	scan->context = AllocSetContextCreate(CurrentMemoryContext, "datastream scan",
										  ALLOCSET_DEFAULT_SIZES);

	values[0] = UUIDPGetDatum(id);
	values[1] = TimestampTzGetDatum(TimestampFromStreamTime(from));
	values[2] = TimestampTzGetDatum(TimestampFromStreamTime(to));
	scan->portal = SPI_cursor_open(NULL, BlockPlan(level, reverse ? QUERY_SCAN_REVERSE : QUERY_SCAN),
								   values, NULL, true);

	return scan;
}

/*
 * The rows of a block that lie in the scan's range: [*first, *last).
 */
static bool
RowsInRange(const BlockScan *scan, const DataBlock *block, int *first, int *last)
{
	*first = BlockLowerBound(block, scan->from);
	*last = BlockUpperBound(block, scan->to);

	return *first < *last;
}

/*
 * The scan's next block from the table, or NULL when there is none.
 */
static DataBlock *
FetchNextBlock(BlockScan *scan)
{
	DataBlock  *block;
	MemoryContext old_context;

	if (scan->blocks_done)
		return NULL;

	if (scan->next >= scan->ntuples)
	{
		if (scan->tuples != NULL)
			SPI_freetuptable(scan->tuples);
		SPI_cursor_fetch(scan->portal, true, SCAN_BATCH);
		scan->tuples = SPI_tuptable;
		scan->ntuples = SPI_processed;
		scan->next = 0;
		if (scan->ntuples == 0)
		{
			scan->blocks_done = true;
			return NULL;
		}
	}

	MemoryContextReset(scan->context);
	old_context = MemoryContextSwitchTo(scan->context);
	block = BlockAttribute(scan->tuples->vals[scan->next++], scan->tuples->tupdesc, 1, scan->columns);
	MemoryContextSwitchTo(old_context);

	return block;
}

/*
 * The next block of a scan that has rows in range, which are [*first, *last),
 * or NULL at the end.  It is valid until the next call.
 */
DataBlock *
NextBlock(BlockScan *scan, int *first, int *last)
{
	const DataBlock *head_rows = scan->head_rows;
	DataBlock  *block;

	CHECK_FOR_INTERRUPTS();

	/* The head is the newest, so it is last, or first in reverse. */
	if (scan->reverse && head_rows != NULL)
	{
		scan->head_rows = NULL;
		if (RowsInRange(scan, head_rows, first, last))
			return unconstify(DataBlock *, head_rows);
	}

	while ((block = FetchNextBlock(scan)) != NULL)
	{
		if (RowsInRange(scan, block, first, last))
			return block;
	}

	if (!scan->reverse && head_rows != NULL)
	{
		scan->head_rows = NULL;
		if (RowsInRange(scan, head_rows, first, last))
			return unconstify(DataBlock *, head_rows);
	}

	return NULL;
}

/*
 * Ends a scan.  One that an error interrupts is cleaned up with the
 * transaction.
 */
void
EndBlockScan(BlockScan *scan)
{
	if (scan->tuples != NULL)
		SPI_freetuptable(scan->tuples);
	SPI_cursor_close(scan->portal);
	MemoryContextDelete(scan->context);
	pfree(scan);
}

/*
 * A guess of the rows of a stream at a level in [from, to], for the planner:
 * as dense everywhere as in its last block.
 */
double
EstimateBlockRows(const pg_uuid_t *id, Granularity level, StreamTime from, StreamTime to)
{
	Datum		values[1];
	StoredBlock *first;
	StoredBlock *last;
	int			nblocks;

	values[0] = UUIDPGetDatum(id);
	first = FetchBlocksActive(level, QUERY_FIRST, values, &nblocks);
	last = FetchBlocksActive(level, QUERY_LAST, values, &nblocks);
	if (nblocks == 0)
		return 0;

	from = Max(from, first->key.start);
	to = Min(to, last->until);
	if (from > to)
		return 0;

	return last->count * ((double) (to - from) + 1) / ((double) (last->until - last->key.start) + 1);
}
