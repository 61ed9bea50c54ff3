/*-------------------------------------------------------------------------
 *
 * store_snapshot.c
 *	  Locks on the extension's tables, and the snapshots that are taken under
 *	  them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "plans.h"
#include "storage/lmgr.h"
#include "store_pending.h"
#include "store_snapshot.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/*
 * The OIDs of the tables, by their bits.
 */
static const Oid *
TableOids(void)
{
	static Oid	oids[TABLE_COUNT];
	static Oid	known_heads = InvalidOid;
	static const char *const names[] = {"streams", "heads", "progress", "sources", "changes"};
	Oid			heads = HeadsRelation();
	Oid			namespace;

	if (heads == known_heads)
		return oids;

	known_heads = InvalidOid;
	namespace = get_namespace_oid("datastream", false);
	for (int level = 0; level < GRANULARITY_COUNT; level++)
	{
		char	   *name = psprintf("datapoints_%s", GranularityName((Granularity) level));

		/* The finest ones may not have a table. */
		oids[level] = get_relname_relid(name, namespace);
		pfree(name);
	}
	for (int i = 0; i < lengthof(names); i++)
		oids[GRANULARITY_COUNT + i] = get_relname_relid(names[i], namespace);
	known_heads = heads;

	return oids;
}

/*
 * Whether a table is one of those.
 */
bool
IsStoreTable(Oid relation)
{
	const Oid  *oids = TableOids();

	for (int i = 0; i < TABLE_COUNT; i++)
	{
		if (oids[i] == relation)
			return true;
	}

	return false;
}

/*
 * Whether nothing but the table itself has a say in what the current role writes to
 * datastream.progress; it stays locked for that.
 */
bool
ProgressIsPlain(void)
{
	Oid			oid = TableOids()[GRANULARITY_COUNT + 2];
	Relation	progress = try_relation_open(oid, RowExclusiveLock);
	bool		plain;

	if (progress == NULL)
		return false;
	plain = progress->rd_rules == NULL && progress->trigdesc == NULL &&
		check_enable_rls(oid, InvalidOid, true) != RLS_ENABLED;
	relation_close(progress, NoLock);

	return plain;
}

/*
 * Locks tables for reading until the end of the transaction.
 */
static void
LockTables(uint32 tables)
{
	const Oid  *oids = TableOids();

	for (int i = 0; i < TABLE_COUNT; i++)
	{
		if ((tables & (1U << i)) != 0 && OidIsValid(oids[i]))
			LockRelationOid(oids[i], AccessShareLock);
	}
}

/*
 * The file of a table as a snapshot shows it, or InvalidOid if it does not show
 * the table.
 */
static Oid
FileInSnapshot(Oid relation, Snapshot snapshot)
{
	Relation	pg_class = table_open(RelationRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			file = InvalidOid;

	ScanKeyInit(&key, Anum_pg_class_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relation));
	scan = systable_beginscan(pg_class, ClassOidIndexId, true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		file = ((Form_pg_class) GETSTRUCT(tuple))->relfilenode;
	systable_endscan(scan);
	table_close(pg_class, AccessShareLock);

	return file;
}

/*
 * Whether a locked table has got another file since a snapshot was taken, so that
 * the snapshot may not show what is in it.
 */
static bool
TableReplacedSince(Oid relation, Snapshot snapshot)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	TransactionId changed_by;
	Oid			file;

	if (!HeapTupleIsValid(tuple))
		return false;
	changed_by = HeapTupleHeaderGetXmin(tuple->t_data);
	file = ((Form_pg_class) GETSTRUCT(tuple))->relfilenode;
	ReleaseSysCache(tuple);

	/* What has been changed before the snapshot was taken, or here, is all right. */
	if (snapshot->snapshot_type != SNAPSHOT_MVCC || !TransactionIdIsNormal(changed_by) ||
		TransactionIdPrecedes(changed_by, snapshot->xmin) ||
		TransactionIdIsCurrentTransactionId(changed_by))
		return false;

	return FileInSnapshot(relation, snapshot) != file;
}

/*
 * Refuses to look at a locked table with a snapshot from before it got another
 * file.
 */
void
CheckTableSnapshot(Oid relation, Snapshot snapshot)
{
	if (TableReplacedSince(relation, snapshot))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent rewrite of table \"%s\"",
						get_rel_name(relation))));
}

/*
 * Makes the newest snapshot the active one, until EndLatestSnapshot().  All tables
 * are locked before.
 */
void
BeginLatestSnapshot(void)
{
	PushActiveSnapshot(LatestSnapshotOf(TABLES_ALL));
}

void
EndLatestSnapshot(void)
{
	PopActiveSnapshot();
}

/*
 * The newest snapshot, after tables have been locked.
 */
Snapshot
LatestSnapshotOf(uint32 tables)
{
	FlushPending();
	LockTables(tables);

	return GetLatestSnapshot();
}

/*
 * Locks tables and makes the snapshot the active one, until EndReadSnapshot(),
 * that a client is to see of them: the active one, unless a table has got another
 * file since.  Then it is the newest one, as if the statement had begun after that,
 * or in REPEATABLE READ a serialization failure.
 */
void
BeginReadSnapshot(uint32 tables)
{
	Snapshot	snapshot = GetActiveSnapshot();
	const Oid  *oids = TableOids();

	FlushPendingToRead(snapshot);
	LockTables(tables);
	for (int i = 0; i < TABLE_COUNT; i++)
	{
		if ((tables & (1U << i)) == 0 || !OidIsValid(oids[i]))
			continue;
		if (IsolationUsesXactSnapshot())
			CheckTableSnapshot(oids[i], snapshot);
		else if (TableReplacedSince(oids[i], snapshot))
		{
			PushActiveSnapshot(GetLatestSnapshot());
			return;
		}
	}
	PushActiveSnapshot(snapshot);
}

void
EndReadSnapshot(void)
{
	PopActiveSnapshot();
}
