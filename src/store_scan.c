/*-------------------------------------------------------------------------
 *
 * store_scan.c
 *	  Reading the rows of a stream at a level, from blocks and head.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "store_block.h"
#include "store_query.h"
#include "store_table.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Blocks at the end of a level that tell how dense it is */
#define ESTIMATE_BLOCKS	16

/* Blocks that a scan fetches at once, at most */
#define SCAN_BATCH		16

/*
 * Blocks are fetched batch by batch, each time behind the block before.  So
 * nothing is open between two calls, and a scan can be continued in another
 * subtransaction than the one that it was begun in.
 */
struct BlockScan
{
	pg_uuid_t	id;
	Granularity level;
	StreamTime	from;
	StreamTime	to;
	bool		reverse;
	uint32		columns;
	const DataBlock *head_rows;	/* NULL when there are none, or done */

	Snapshot	snapshot;
	ResourceOwner owner;		/* of the snapshot */
	bool		begun;			/* a block has been fetched; the last one is */
	BlockKey	last;
	bool		fetched_all;
	MemoryContext batch_context;
	StoredBlock batch[SCAN_BATCH];
	int			batch_limit;	/* how many to fetch next */
	int			batch_count;
	int			batch_next;
	MemoryContext context;		/* of the block in hand */
	StreamTime	bound;			/* the rows to come are not older, or in
								 * reverse not newer, than this */
};

/*
 * The start or the end ("until") of the first block or the last one, with the
 * active snapshot.
 */
static bool
BlockBound(const pg_uuid_t *id, Granularity level, BlockQuery which, bool until, bool damage_ok,
		   StreamTime *bound)
{
	Datum		values[1];
	StoredBlock *block;
	int			nblocks;

	values[0] = UUIDPGetDatum(id);
	block = FetchBlocksActive(level, which, values, &nblocks);
	if (nblocks > 0 && !damage_ok)
		CheckStoredBlock(id, level, block);
	if (nblocks > 0)
		*bound = until ? block->until : block->key.start;
	pfree(block);

	return nblocks > 0;
}

/*
 * The time of the first row stored in blocks of a stream at a level.
 */
bool
FirstBlockStart(const pg_uuid_t *id, Granularity level, StreamTime *start)
{
	return BlockBound(id, level, QUERY_FIRST, false, false, start);
}

/*
 * The time of the last row in the first block of a stream at a level.  With
 * "damage_ok" it may be any time, if the block is damaged.
 */
bool
FirstBlockUntil(const pg_uuid_t *id, Granularity level, bool damage_ok, StreamTime *until)
{
	return BlockBound(id, level, QUERY_FIRST, true, damage_ok, until);
}

/*
 * The time of the last row stored in blocks of a stream at a level.
 */
bool
LastBlockUntil(const pg_uuid_t *id, Granularity level, StreamTime *until)
{
	return BlockBound(id, level, QUERY_LAST, true, false, until);
}

/*
 * The time of the last row in the n-th block, from 1, of those that have rows
 * from a time on, with the active snapshot; false if there are fewer.
 */
bool
NthBlockUntil(const pg_uuid_t *id, Granularity level, StreamTime from, int n, StreamTime *until)
{
	Datum		values[4];
	StoredBlock *block;
	int			nblocks;

	values[0] = UUIDPGetDatum(id);
	values[1] = TimestampTzGetDatum(TimestampFromStreamTime(from));
	values[2] = TimestampTzGetDatum(TimestampFromStreamTime(STREAM_TIME_MAX));
	values[3] = Int64GetDatum(n - 1);
	block = FetchBlocksActive(level, QUERY_NTH, values, &nblocks);
	if (nblocks > 0)
	{
		CheckStoredBlock(id, level, block);
		*until = block->until;
	}
	pfree(block);

	return nblocks > 0;
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

	scan->id = *id;
	scan->level = level;
	scan->from = Max(from, STREAM_TIME_MIN);
	scan->to = Min(to, STREAM_TIME_MAX);
	scan->reverse = reverse;
	scan->columns = columns;
	scan->head_rows = head_rows;

	scan->owner = CurrentResourceOwner;
	scan->snapshot = RegisterSnapshotOnOwner(GetActiveSnapshot(), scan->owner);
	scan->batch_limit = 1;
	scan->bound = reverse ? STREAM_TIME_MAX : STREAM_TIME_MIN;
	scan->batch_context = AllocSetContextCreate(CurrentMemoryContext, "datastream scan batch",
												ALLOCSET_DEFAULT_SIZES);
	scan->context = AllocSetContextCreate(CurrentMemoryContext, "datastream scan",
										  ALLOCSET_DEFAULT_SIZES);

	return scan;
}

/*
 * The rows of the next block that lie in the scan's range: [*first, *last).  The
 * block must not overlap with the one before.
 */
static bool
RowsInRange(BlockScan *scan, const DataBlock *block, int *first, int *last)
{
	if (block->count > 0)
	{
		StreamTime	start = block->times[0];
		StreamTime	until = block->times[block->count - 1];

		if (scan->reverse)
			CheckBlockOrder(&scan->id, scan->level, until, scan->bound);
		else
			CheckBlockOrder(&scan->id, scan->level, scan->bound, start);
		scan->bound = scan->reverse ? start : until;
	}

	*first = BlockLowerBound(block, scan->from);
	*last = BlockUpperBound(block, scan->to);

	return *first < *last;
}

/*
 * Fetches the next blocks by a query.
 */
static void
FetchBatchByQuery(BlockScan *scan)
{
	Datum		values[6];
	MemoryContext old_context;

	values[0] = UUIDPGetDatum(&scan->id);
	values[1] = TimestampTzGetDatum(TimestampFromStreamTime(scan->from));
	values[2] = TimestampTzGetDatum(TimestampFromStreamTime(scan->to));
	values[3] = scan->begun ? KeyStart(&scan->last)
		: TimestampTzGetDatum(scan->reverse ? DT_NOEND : DT_NOBEGIN);
	values[4] = Int64GetDatum(scan->last.seq);
	values[5] = Int64GetDatum(scan->batch_limit);

	SPI_connect();
	PushActiveSnapshot(scan->snapshot);
	RunBlockQuery(scan->level, scan->reverse ? QUERY_SCAN_REVERSE : QUERY_SCAN, values, true);
	scan->batch_count = (int) SPI_processed;

	old_context = MemoryContextSwitchTo(scan->batch_context);
	for (int i = 0; i < scan->batch_count; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		StoredBlock *block = &scan->batch[i];
		Datum		columns[STORED_BLOCK_NCOLUMNS + 1];
		bool		nulls[STORED_BLOCK_NCOLUMNS + 1];

		for (int j = 0; j <= STORED_BLOCK_NCOLUMNS; j++)
			columns[j] = SPI_getbinval(tuple, desc, j + 1, &nulls[j]);
		SetStoredBlock(block, columns, nulls);
		if (nulls[STORED_BLOCK_NCOLUMNS])
			block->damage = "A column is null.";
		CheckStoredBlock(&scan->id, scan->level, block);
		block->encoded = PG_DETOAST_DATUM_COPY(columns[STORED_BLOCK_NCOLUMNS]);
		scan->last = block->key;
		scan->begun = true;
	}
	MemoryContextSwitchTo(old_context);
	PopActiveSnapshot();
	SPI_finish();
}

/*
 * Fetches the next blocks: few at first, since a reader may want no more.
 */
static void
FetchBatch(BlockScan *scan)
{
	MemoryContext old_context;

	MemoryContextReset(scan->batch_context);
	scan->batch_next = 0;

	old_context = MemoryContextSwitchTo(scan->batch_context);
	scan->batch_count = FetchRangeDirectly(&scan->id, scan->level, scan->from, scan->to, scan->reverse,
										   scan->snapshot, &scan->begun, &scan->last,
										   scan->batch_limit, scan->batch);
	MemoryContextSwitchTo(old_context);
	if (scan->batch_count < 0)
		FetchBatchByQuery(scan);

	scan->fetched_all = scan->batch_count < scan->batch_limit;
	scan->batch_limit = Min(scan->batch_limit * 2, SCAN_BATCH);
}

/*
 * The scan's next block from the table, or NULL when there is none.
 */
static DataBlock *
FetchNextBlock(BlockScan *scan)
{
	const StoredBlock *stored;
	DataBlock  *block;
	MemoryContext old_context;

	if (scan->batch_next >= scan->batch_count && !scan->fetched_all)
		FetchBatch(scan);
	if (scan->batch_next >= scan->batch_count)
		return NULL;

	MemoryContextReset(scan->context);
	old_context = MemoryContextSwitchTo(scan->context);
	stored = &scan->batch[scan->batch_next++];
	block = DecodeStoredBlock(&scan->id, scan->level, stored, stored->encoded, scan->columns);
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
	UnregisterSnapshotFromOwner(scan->snapshot, scan->owner);
	MemoryContextDelete(scan->batch_context);
	MemoryContextDelete(scan->context);
	pfree(scan);
}

/*
 * A guess of the rows of a stream at a level in [from, to], for the planner:
 * as dense everywhere as in its last blocks.
 */
double
EstimateBlockRows(const pg_uuid_t *id, Granularity level, StreamTime from, StreamTime to)
{
	Datum		values[2];
	StoredBlock *first;
	StoredBlock *tail;
	int			nfirst;
	int			ntail;
	double		rows = 0;

	values[0] = UUIDPGetDatum(id);
	values[1] = Int64GetDatum(ESTIMATE_BLOCKS);
	first = FetchBlocksActive(level, QUERY_FIRST, values, &nfirst);
	tail = FetchBlocksActive(level, QUERY_TAIL, values, &ntail);
	if (nfirst == 0 || ntail == 0)
		return 0;

	from = Max(from, first->key.start);
	to = Min(to, tail[0].until);
	if (from > to)
		return 0;

	for (int i = 0; i < ntail; i++)
		rows += tail[i].count;

	return rows * ((double) (to - from) + 1) / ((double) (tail[0].until - tail[ntail - 1].key.start) + 1);
}
