/*-------------------------------------------------------------------------
 *
 * store_table.c
 *	  Direct access to the tables of blocks.
 *
 * What nearly every append to the blocks of a level does, to look at the last of
 * them and to insert one, is done without queries where that is possible (see
 * plain_table.c).  The queries that do the same are in store_query.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "plain_table.h"
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

/*
 * The table of a level, open for direct access; NULL if that is not possible.
 */
static Relation
OpenBlocks(Granularity level)
{
	static PlainTable tables[GRANULARITY_COUNT];
	PlainTable *table = &tables[level];

	if (table->name == NULL)
	{
		char	   *name = psprintf("datapoints_%s", GranularityName(level));

		table->natts = BLOCK_NATTS;
		table->rights = ACL_SELECT | ACL_INSERT;
		table->name = MemoryContextStrdup(TopMemoryContext, name);
		pfree(name);
	}

	return OpenPlainTable(table, RowExclusiveLock);
}

/*
 * Sets a stored block from its row, but for its datapoints.
 */
static void
SetStoredBlock(StoredBlock *block, TupleTableSlot *slot)
{
	Datum	   *values = slot->tts_values;

	slot_getallattrs(slot);

	block->key.start = StreamTimeFromTimestampClamped(DatumGetTimestampTz(values[BLOCK_START]));
	block->key.seq = DatumGetInt64(values[BLOCK_SEQ]);
	block->until = StreamTimeFromTimestampClamped(DatumGetTimestampTz(values[BLOCK_UNTIL]));
	block->count = DatumGetInt32(values[BLOCK_COUNT]);
	block->bytes = toast_datum_size(values[BLOCK_BLOCK]);
	block->rows = NULL;
}

/*
 * The last blocks of a stream at a level, up to "limit", the very last first, as
 * QUERY_TAIL finds them with the latest snapshot; NULL if it takes that query.
 */
StoredBlock *
FetchTailDirectly(const pg_uuid_t *id, Granularity level, int limit, int *nblocks)
{
	Relation	relation = OpenBlocks(level);
	Relation	index;
	Snapshot	snapshot;
	IndexScanDesc scan;
	TupleTableSlot *slot;
	ScanKeyData key;
	StoredBlock *blocks = NULL;

	if (relation == NULL)
		return NULL;

	index = OpenPrimaryKey(relation, AccessShareLock);
	if (index != NULL)
	{
		blocks = palloc(sizeof(StoredBlock) * limit);
		*nblocks = 0;
		slot = table_slot_create(relation, NULL);
		snapshot = RegisterSnapshot(GetLatestSnapshot());
		scan = BeginPlainScan(relation, index, snapshot);
		ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(id));
		index_rescan(scan, &key, 1, NULL, 0);
		while (*nblocks < limit && index_getnext_slot(scan, BackwardScanDirection, slot))
			SetStoredBlock(&blocks[(*nblocks)++], slot);

		index_endscan(scan);
		UnregisterSnapshot(snapshot);
		ExecDropSingleTupleTableSlot(slot);
		index_close(index, NoLock);
	}
	table_close(relation, NoLock);

	return blocks;
}

/*
 * Inserts a row with the values of QUERY_INSERT; false if it takes that query.
 */
bool
InsertBlockDirectly(Granularity level, const Datum *values)
{
	Relation	relation = OpenBlocks(level);
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
