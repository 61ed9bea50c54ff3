/*-------------------------------------------------------------------------
 *
 * store_block.c
 *	  Blocks in tables: appending, inserting and deleting rows.
 *
 * Blocks of a stream and level never overlap; at most the last rows of one
 * bear the same time as the first rows of the next.  Blocks that begin at the
 * same time are told apart by seq.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "errors.h"
#include "miscadmin.h"
#include "plans.h"
#include "store_block.h"
#include "store_query.h"
#include "store_table.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
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

	if (!BlockHasPointers(rows))
		return end;

	for (int i = from; i < end; i++)
	{
		bytes += RowBytes(rows, i);
		if (bytes > BLOCK_BYTES)
			return i + 1;
	}

	return end;
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

	if (!update && InsertBlockDirectly(level, values))
	{
		pfree(encoded);
		return;
	}

	RunBlockQuery(level, update ? QUERY_UPDATE : QUERY_INSERT, values, false);
	if (SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DS_STREAM_APPEND_FAILED),
				 errmsg("could not store a block of stream \"%s\"", StreamIdToString(id)),
				 errdetail("A trigger, a rule or a row security policy kept the row from being written.")));

	pfree(encoded);
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
	RunBlockQuery(level, QUERY_DELETE_KEYS, values, false);
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
	update = first != NULL && nchunks > 0 && CompareBlockKeys(first, &keys[0]) == 0;
	if (first != NULL && !(update && CompareBlockKeys(first, last) == 0))
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
	tail = FetchTailDirectly(id, level, TIER_LOOKBACK, &ntail);
	if (tail == NULL)
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
		DataBlock  *merged;
		int			nblocks;
		int			count = 0;
		int			end = to;

		values[1] = KeyStart(&tail[nmerge - 1].key);
		values[2] = Int64GetDatum(tail[nmerge - 1].key.seq);
		blocks = FetchBlocks(level, QUERY_FROM_KEY, values, &nblocks);
		for (int i = 0; i < nblocks; i++)
			count += blocks[i].rows->count;
		merged = CreateBlock(count + Min(to - from, BLOCK_ROWS), BlockColumnMask(rows));
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
 * How many blocks from the first one on can become one; more than one only if
 * that is worth the writing: the others must be a good part of the largest.
 */
static int
MergeableBlocks(const StoredBlock *blocks, int nblocks)
{
	int64		count = 0;
	int64		bytes = 0;
	int			largest = 0;
	int			worth = 1;

	for (int i = 0; i < nblocks; i++)
	{
		count += blocks[i].count;
		bytes += blocks[i].bytes;
		largest = Max(largest, blocks[i].count);
		if (count > BLOCK_ROWS || bytes > BLOCK_BYTES)
			break;
		if ((count - largest) * 4 >= largest)
			worth = i + 1;
	}

	return worth;
}

/*
 * Merges small neighbours among the blocks that have rows in [from, to].  With
 * STREAM_TIME_NONE as "from" those are the last blocks.
 */
void
MergeSmallBlocks(const pg_uuid_t *id, Granularity level, StreamTime from, StreamTime to)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "datastream merge",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	Datum		values[3];
	StoredBlock *blocks;
	int			nblocks;

	values[0] = UUIDPGetDatum(id);
	if (from < STREAM_TIME_MIN)
	{
		values[1] = Int64GetDatum(TIER_LOOKBACK);
		blocks = FetchBlocks(level, QUERY_TAIL, values, &nblocks);
		for (int i = 0; i < nblocks / 2; i++)
		{
			StoredBlock swap = blocks[i];

			blocks[i] = blocks[nblocks - 1 - i];
			blocks[nblocks - 1 - i] = swap;
		}
	}
	else
	{
		values[1] = TimestampTzGetDatum(TimestampFromStreamTime(from));
		values[2] = TimestampTzGetDatum(TimestampFromStreamTime(to));
		blocks = FetchBlocks(level, QUERY_OVERLAP, values, &nblocks);
	}

	for (int i = 0; i < nblocks;)
	{
		int			n = MergeableBlocks(&blocks[i], nblocks - i);

		CHECK_FOR_INTERRUPTS();
		if (n > 1)
		{
			DataBlock  *merged = NULL;

			for (int j = i; j < i + n; j++)
			{
				StoredBlock *block;

				values[1] = KeyStart(&blocks[j].key);
				values[2] = Int64GetDatum(blocks[j].key.seq);
				block = FetchBlock(level, QUERY_KEY, values);
				if (block == NULL)
					elog(ERROR, "block of stream \"%s\" has vanished", StreamIdToString(id));
				if (merged == NULL)
					merged = CreateBlock(BLOCK_ROWS, BlockColumnMask(block->rows));
				AppendBlockRows(merged, block->rows, 0, block->rows->count);
			}
			ReplaceBlocks(id, level, merged, BLOCK_ROWS, &blocks[i].key, &blocks[i + n - 1].key,
						  NULL, NULL);
		}
		i += n;
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
	RunBlockQuery(level, QUERY_DELETE_STREAM, values, false);
}

/*
 * Deletes whole blocks all of whose rows lie before a time: the first
 * "max_blocks" of them, and those that begin with the last of these.
 */
DeletedBlocks
DeleteOldBlocks(const pg_uuid_t *id, Granularity level, StreamTime before, int max_blocks)
{
	DeletedBlocks deleted = {0};
	Datum		values[3];
	HeapTuple	tuple;
	TupleDesc	desc;
	Datum		until;
	bool		isnull;

	if (before <= STREAM_TIME_MIN)
		return deleted;

	values[0] = UUIDPGetDatum(id);
	values[1] = TimestampTzGetDatum(TimestampFromStreamTime(Min(before, STREAM_TIME_MAX)));
	values[2] = Int64GetDatum(max_blocks - 1);
	RunBlockQuery(level, QUERY_DELETE_OLD, values, false);

	tuple = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	deleted.blocks = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
	deleted.rows = DatumGetInt64(SPI_getbinval(tuple, desc, 2, &isnull));
	until = SPI_getbinval(tuple, desc, 3, &isnull);
	if (!isnull)
		deleted.until = StreamTimeFromTimestampClamped(DatumGetTimestampTz(until));
	SPI_freetuptable(SPI_tuptable);

	return deleted;
}
