/*-------------------------------------------------------------------------
 *
 * store_table.c
 *	  Direct access to the tables of blocks.
 *
 * What nearly every append to the blocks of a level does, to look at the last of
 * them and to insert one, and what every reader does, to fetch those of a range,
 * is done without queries where that is possible (see plain_table.c).  The queries
 * that do the same are in store_query.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "plain_table.h"
#include "store_snapshot.h"
#include "store_table.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Attributes of the tables of blocks */
enum
{
	BLOCK_STREAM_ID,
	BLOCK_START,
	BLOCK_SEQ,
	BLOCK_UNTIL,
	BLOCK_COUNT,
	BLOCK_BLOCK,
	BLOCK_NATTS
};

/* The columns of the primary key: stream_id, start, seq */
#define KEY_COLUMNS		3

/* A scan of blocks by the primary key */
typedef struct TableScan
{
	Relation	relation;
	Relation	index;
	Snapshot	snapshot;
	IndexScanDesc scan;
	ScanKeyData place[2];		/* start and seq, while the scan compares both */
	TupleTableSlot *slot;
} TableScan;

/*
 * The table of a level, open for direct access; NULL if that is not possible.
 */
static Relation
OpenBlocks(Granularity level, bool write)
{
	static PlainTable tables[GRANULARITY_COUNT][2];
	PlainTable *table = &tables[level][write];

	if (table->name == NULL)
	{
		char	   *name = psprintf("datapoints_%s", GranularityName(level));

		table->natts = BLOCK_NATTS;
		table->rights = write ? ACL_SELECT | ACL_INSERT : ACL_SELECT;
		table->name = MemoryContextStrdup(TopMemoryContext, name);
		pfree(name);
	}

	return OpenPlainTable(table, write ? RowExclusiveLock : AccessShareLock);
}

/*
 * Whether the blocks of a level can be written directly; they stay locked for that.
 */
bool
BlocksArePlain(Granularity level)
{
	Relation	relation = OpenBlocks(level, true);

	if (relation == NULL)
		return false;
	table_close(relation, NoLock);

	return true;
}

/*
 * Opens the table of a level for scans with a snapshot, or with the newest one if
 * that is NULL; false if that is not possible.
 */
static bool
BeginTableScan(TableScan *scan, Granularity level, bool write, Snapshot snapshot)
{
	scan->relation = OpenBlocks(level, write);
	if (scan->relation == NULL)
		return false;

	scan->index = OpenPrimaryKey(scan->relation, KEY_COLUMNS, AccessShareLock);
	if (scan->index == NULL)
	{
		table_close(scan->relation, NoLock);
		return false;
	}

	if (snapshot == NULL)
		snapshot = GetLatestSnapshot();
	else
		CheckTableSnapshot(RelationGetRelid(scan->relation), snapshot);
	scan->snapshot = RegisterSnapshot(snapshot);
	scan->scan = NULL;
	scan->slot = table_slot_create(scan->relation, NULL);

	return true;
}

/*
 * Begins with the blocks of a stream that a second key of the index, if it is not
 * NULL, lets through.
 */
static void
SeekBlocks(TableScan *scan, const pg_uuid_t *id, const ScanKeyData *key)
{
	ScanKeyData keys[2];
	int			nkeys = 1;

	ScanKeyInit(&keys[0], BLOCK_STREAM_ID + 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(id));
	if (key != NULL)
		keys[nkeys++] = *key;

	if (scan->scan != NULL)
		index_endscan(scan->scan);
	scan->scan = BeginPlainScan(scan->relation, scan->index, scan->snapshot, nkeys);
	index_rescan(scan->scan, keys, nkeys, NULL, 0);
}

/*
 * Begins with those blocks whose start compares to a time as the operator (a
 * strategy of btree, and its function) says.
 */
static void
SeekStart(TableScan *scan, const pg_uuid_t *id, StrategyNumber strategy, RegProcedure function,
		  StreamTime start)
{
	ScanKeyData key;

	ScanKeyInit(&key, BLOCK_START + 1, strategy, function,
				TimestampTzGetDatum(TimestampFromStreamTime(start)));
	SeekBlocks(scan, id, &key);
}

/*
 * Begins with those blocks that come behind a place, or before it: those for which
 * ROW(start, seq) compares to it as the strategy of btree says.
 */
static void
SeekPlace(TableScan *scan, const pg_uuid_t *id, StrategyNumber strategy, const BlockKey *place)
{
	ScanKeyData key = {0};

	ScanKeyEntryInitialize(&scan->place[0], SK_ROW_MEMBER, BLOCK_START + 1, strategy, TIMESTAMPTZOID,
						   InvalidOid, F_TIMESTAMPTZ_CMP, KeyStart(place));
	ScanKeyEntryInitialize(&scan->place[1], SK_ROW_MEMBER | SK_ROW_END, BLOCK_SEQ + 1, strategy, INT8OID,
						   InvalidOid, F_BTINT8CMP, Int64GetDatum(place->seq));
	key.sk_flags = SK_ROW_HEADER;
	key.sk_attno = BLOCK_START + 1;
	key.sk_strategy = strategy;
	key.sk_argument = PointerGetDatum(scan->place);
	SeekBlocks(scan, id, &key);
}

static void
EndTableScan(TableScan *scan)
{
	if (scan->scan != NULL)
		index_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
	UnregisterSnapshot(scan->snapshot);
	index_close(scan->index, NoLock);
	table_close(scan->relation, NoLock);
}

/*
 * Sets a stored block from its row, but for its datapoints.
 */
static void
ReadStoredBlock(StoredBlock *block, TupleTableSlot *slot)
{
	slot_getallattrs(slot);
	SetStoredBlock(block, &slot->tts_values[BLOCK_START], &slot->tts_isnull[BLOCK_START]);
	block->bytes = 0;
	if (slot->tts_isnull[BLOCK_BLOCK])
		block->damage = "A column is null.";
	else
		block->bytes = toast_datum_size(slot->tts_values[BLOCK_BLOCK]);
}

/*
 * The last blocks of a stream at a level, up to "limit", the very last first, as
 * QUERY_TAIL finds them with the latest snapshot; NULL if it takes that query.
 */
StoredBlock *
FetchTailDirectly(const pg_uuid_t *id, Granularity level, int limit, int *nblocks)
{
	TableScan	scan;
	StoredBlock *blocks;

	if (!BeginTableScan(&scan, level, true, NULL))
		return NULL;

	blocks = palloc(sizeof(StoredBlock) * limit);
	*nblocks = 0;
	SeekBlocks(&scan, id, NULL);
	while (*nblocks < limit && index_getnext_slot(scan.scan, BackwardScanDirection, scan.slot))
	{
		StoredBlock *block = &blocks[(*nblocks)++];

		ReadStoredBlock(block, scan.slot);
		CheckStoredBlock(id, level, block);
		if (*nblocks > 1)
			CheckBlockOrder(id, level, block->until, block[-1].key.start);
	}
	EndTableScan(&scan);

	return blocks;
}

/*
 * The start of the last block of a stream that begins before a time, or else that
 * time.
 */
static StreamTime
LastStartBefore(TableScan *scan, const pg_uuid_t *id, StreamTime t)
{
	StoredBlock block;

	SeekStart(scan, id, BTLessStrategyNumber, F_TIMESTAMPTZ_LT, t);
	if (!index_getnext_slot(scan->scan, BackwardScanDirection, scan->slot))
		return t;
	ReadStoredBlock(&block, scan->slot);

	return block.key.start;
}

/*
 * Fetches the next encoded blocks of a stream at a level that may have rows in
 * [from, to], up to "limit", as QUERY_SCAN and QUERY_SCAN_REVERSE do.  "last" is the
 * place of the last one fetched before, and of the last one after; *begun tells if
 * there is one.  Returns how many were fetched, or -1 if it takes a query.
 */
int
FetchRangeDirectly(const pg_uuid_t *id, Granularity level, StreamTime from, StreamTime to,
				   bool reverse, Snapshot snapshot, bool *begun, BlockKey *last, int limit,
				   StoredBlock *blocks)
{
	ScanDirection direction = reverse ? BackwardScanDirection : ForwardScanDirection;
	TableScan	scan;
	StreamTime	lowest = STREAM_TIME_MIN;	/* start of the first block in range, */
	bool		lowest_known = false;	/* in reverse, once it is known */
	int			nblocks = 0;

	if (!BeginTableScan(&scan, level, false, snapshot))
		return -1;

	if (*begun)
		SeekPlace(&scan, id, reverse ? BTLessStrategyNumber : BTGreaterStrategyNumber, last);
	else if (reverse)
		SeekStart(&scan, id, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE, to);
	else
		SeekStart(&scan, id, BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE,
				  LastStartBefore(&scan, id, from));

	if (reverse && *begun && last->start < from)
	{
		lowest = last->start;
		lowest_known = true;
	}

	while (nblocks < limit && index_getnext_slot(scan.scan, direction, scan.slot))
	{
		StoredBlock block;

		CHECK_FOR_INTERRUPTS();
		ReadStoredBlock(&block, scan.slot);
		CheckStoredBlock(id, level, &block);

		/* In reverse, the first one that begins before the range is the last. */
		if (reverse && block.key.start < from)
		{
			if (!lowest_known)
				lowest = block.key.start;
			lowest_known = true;
			if (block.key.start < lowest)
				break;
		}
		if (block.key.start > to)
			break;
		if (block.until < from)
			continue;

		block.encoded = PG_DETOAST_DATUM_COPY(scan.slot->tts_values[BLOCK_BLOCK]);
		blocks[nblocks++] = block;
		*last = block.key;
		*begun = true;
	}
	EndTableScan(&scan);

	return nblocks;
}

/*
 * Inserts a row with the values of QUERY_INSERT; false if it takes that query.
 */
bool
InsertBlockDirectly(Granularity level, const Datum *values)
{
	Relation	relation = OpenBlocks(level, true);
	TupleTableSlot *slot;

	if (relation == NULL)
		return false;

	slot = MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsVirtual);
	memcpy(slot->tts_values, values, sizeof(Datum) * BLOCK_NATTS);
	memset(slot->tts_isnull, 0, sizeof(bool) * BLOCK_NATTS);
	ExecStoreVirtualTuple(slot);
	InsertPlainRow(relation, slot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(relation, NoLock);
	CommandCounterIncrement();

	return true;
}
