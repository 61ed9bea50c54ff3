/*-------------------------------------------------------------------------
 *
 * plain_table.c
 *	  Access to the extension's tables without queries.
 *
 * A query costs more than what it does to one row.  Where a table is what CREATE
 * EXTENSION has made, and nothing but the table itself has a say in what is read
 * from it and written to it, its rows can be read and written by its access
 * method instead.  Everywhere else, as with row security, triggers or a
 * distributed table, there are queries that do the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "executor/executor.h"
#include "extension.h"
#include "miscadmin.h"
#include "plain_table.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* Updating a table by its access method, and its indexes */
#if PG_VERSION_NUM >= 160000
typedef TU_UpdateIndexes IndexUpdates;

#define NO_INDEX_UPDATES			TU_None
#define OnlySummarizing(indexes)	((indexes) == TU_Summarizing)
#define ExecInsertIndexEntries(result, slot, estate, update, summarizing) \
	((void) ExecInsertIndexTuples((result), (slot), (estate), (update), false, NULL, NIL, (summarizing)))
#else
typedef bool IndexUpdates;

#define NO_INDEX_UPDATES			false
#define OnlySummarizing(indexes)	false
#define ExecInsertIndexEntries(result, slot, estate, update, summarizing) \
	((void) ExecInsertIndexTuples((result), (slot), (estate), (update), false, NULL, NIL))
#endif

#if PG_VERSION_NUM >= 180000
#define PrimaryKeyIndex(relation)	RelationGetPrimaryKeyIndex((relation), false)
#define BeginIndexScan(heap, index, snapshot, nkeys) \
	index_beginscan((heap), (index), (snapshot), NULL, (nkeys), 0)
#else
#define PrimaryKeyIndex(relation)	RelationGetPrimaryKeyIndex(relation)
#define BeginIndexScan(heap, index, snapshot, nkeys) \
	index_beginscan((heap), (index), (snapshot), (nkeys), 0)
#endif

/* Changes with everything that what is known of tables depends on */
static uint64 generation = 0;

static void
ForgetOnSyscache(Datum arg, int cache, uint32 hash)
{
	generation++;
}

static void
ForgetOnRelcache(Datum arg, Oid relation)
{
	generation++;
}

/*
 * Sees to it that the generation is changed.
 */
static void
WatchCatalogs(void)
{
	/* what becomes of a schema, of a table's name, and of who has which rights */
	static const int caches[] = {NAMESPACEOID, NAMESPACENAME, RELNAMENSP, AUTHOID, AUTHMEMMEMROLE, DATABASEOID};

	if (generation != 0)
		return;

	for (int i = 0; i < lengthof(caches); i++)
		CacheRegisterSyscacheCallback(caches[i], ForgetOnSyscache, (Datum) 0);
	CacheRegisterRelcacheCallback(ForgetOnRelcache, (Datum) 0);
	generation = 1;
}

/*
 * Whether Citus knows a table: its rows may then be in shards, which only queries
 * find, on any node.  A table of this name that is not as Citus makes it could
 * mean the same.
 */
static bool
IsDistributed(Oid relation)
{
	Oid			catalog = get_relname_relid("pg_dist_partition", PG_CATALOG_NAMESPACE);
	AttrNumber	attribute;
	Oid			index;
	Relation	partitions;
	ScanKeyData key;
	SysScanDesc scan;
	bool		found;

	if (!OidIsValid(catalog))
		return false;
	attribute = get_attnum(catalog, "logicalrelid");
	if (get_rel_relkind(catalog) != RELKIND_RELATION || attribute == InvalidAttrNumber ||
		get_atttype(catalog, attribute) != REGCLASSOID)
		return true;

	partitions = table_open(catalog, AccessShareLock);
	index = get_relname_relid("pg_dist_partition_logical_relid_index", PG_CATALOG_NAMESPACE);
	ScanKeyInit(&key, attribute, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relation));
	scan = systable_beginscan(partitions, index, OidIsValid(index), NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(partitions, AccessShareLock);

	return found;
}

/*
 * Whether a role has all of some rights on a table, and nothing but the table
 * itself decides there about rows: no row security, and no distribution.
 */
static bool
RightsSuffice(Oid relation, Oid role, AclMode rights)
{
	return OidIsValid(relation) &&
		pg_class_aclmask(relation, role, rights, ACLMASK_ALL) == rights &&
		check_enable_rls(relation, InvalidOid, true) != RLS_ENABLED &&
		!IsDistributed(relation);
}

/*
 * The OID of a table that the current role may access without queries, as far
 * as that can be told without opening it; else InvalidOid.
 */
Oid
PlainTableOid(PlainTable *table)
{
	Oid			role = GetUserId();
	uint64		current;
	Oid			namespace;

	WatchCatalogs();
	if (table->generation == generation && table->role == role)
		return table->relation;

	/* What changes meanwhile makes it out of date at once. */
	current = generation;
	table->generation = 0;
	table->relation = InvalidOid;
	namespace = get_namespace_oid("datastream", true);
	if (OidIsValid(namespace) &&
		SchemaAclCheck(namespace, role, ACL_USAGE) == ACLCHECK_OK &&
		ExtensionIsCurrent(get_relname_relid("heads", namespace)))
	{
		Oid			relation = get_relname_relid(table->name, namespace);

		if (RightsSuffice(relation, role, table->rights) &&
			(table->also_read == NULL ||
			 RightsSuffice(get_relname_relid(table->also_read, namespace), role, ACL_SELECT)))
			table->relation = relation;
	}
	table->role = role;
	table->generation = current;

	return table->relation;
}

/*
 * Whether an open table is what CREATE EXTENSION has made, and nothing else has a
 * say in what is read from it and written to it.
 */
static bool
TableIsPlain(Relation relation, int natts)
{
	TupleDesc	desc = RelationGetDescr(relation);

	return relation->rd_rel->relkind == RELKIND_RELATION &&
		!relation->rd_rel->relispartition && !relation->rd_rel->relhassubclass &&
		relation->rd_tableam == GetHeapamTableAmRoutine() &&
		relation->rd_rules == NULL && relation->trigdesc == NULL &&
		desc->natts == natts &&
		(desc->constr == NULL ||
		 (desc->constr->num_check == 0 && !desc->constr->has_generated_stored));
}

/*
 * Opens a table for what its rights are for without queries; NULL if the current
 * role and transaction cannot do that.
 */
Relation
OpenPlainTable(PlainTable *table, LOCKMODE lock_mode)
{
	Oid			oid;
	Relation	relation;

	if (ExecutorCheckPerms_hook != NULL ||
		(table->rights != ACL_SELECT && (XactReadOnly || IsInParallelMode())))
		return NULL;

	oid = PlainTableOid(table);
	relation = OidIsValid(oid) ? try_relation_open(oid, lock_mode) : NULL;
	if (relation == NULL)
		return NULL;

	/* Locking it may have shown that something has changed. */
	if (PlainTableOid(table) != oid || !TableIsPlain(relation, table->natts))
	{
		relation_close(relation, NoLock);
		return NULL;
	}

	return relation;
}

/*
 * Opens the index of a table's primary key, which consists of the table's first
 * columns; NULL if it is not as CREATE EXTENSION has made it.
 */
Relation
OpenPrimaryKey(Relation relation, int ncolumns, LOCKMODE lock_mode)
{
	Oid			oid = PrimaryKeyIndex(relation);
	Relation	index = OidIsValid(oid) ? index_open(oid, lock_mode) : NULL;
	bool		as_made;

	if (index == NULL)
		return NULL;

	as_made = index->rd_rel->relam == BTREE_AM_OID && index->rd_index->indnkeyatts == ncolumns;
	for (int i = 0; i < ncolumns && as_made; i++)
		as_made = index->rd_index->indkey.values[i] == i + 1;
	if (as_made)
		return index;

	index_close(index, NoLock);
	return NULL;
}

/*
 * Begins a scan of a table by an index, with so many keys, which index_rescan()
 * is to set.
 */
IndexScanDesc
BeginPlainScan(Relation relation, Relation index, Snapshot snapshot, int nkeys)
{
	return BeginIndexScan(relation, index, snapshot, nkeys);
}

/*
 * Adds the entry of a new version of a row to the index of the primary key, whose
 * columns are as they were.  So it is unique, and is not compared with those of the
 * versions before, of which a long transaction has many.
 */
static void
InsertKeyEntry(Relation relation, Relation index, IndexInfo *info, TupleTableSlot *slot)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];

	FormIndexDatum(info, slot, NULL, values, isnull);
	index_insert(index, values, isnull, &slot->tts_tid, relation, UNIQUE_CHECK_NO, true, info);
}

/*
 * Adds the index entries of a row, or of a new version of one.
 */
static void
InsertIndexEntries(Relation relation, TupleTableSlot *slot, bool update, IndexUpdates indexes)
{
	EState	   *estate = CreateExecutorState();
	ResultRelInfo *result = makeNode(ResultRelInfo);
	Oid			key = PrimaryKeyIndex(relation);
	Relation	key_index = NULL;
	int			nkey = 0;

	InitResultRelInfo(result, relation, 0, NULL, 0);
	ExecOpenIndices(result, false);

	for (int i = 0; i < result->ri_NumIndices && update && !OnlySummarizing(indexes); i++)
	{
		Relation	index = result->ri_IndexRelationDescs[i];

		if (RelationGetRelid(index) != key || index->rd_rel->relam != BTREE_AM_OID)
			continue;
		InsertKeyEntry(relation, index, result->ri_IndexRelationInfo[i], slot);
		key_index = index;
		nkey = i;
		result->ri_IndexRelationDescs[i] = NULL;
	}
	ExecInsertIndexEntries(result, slot, estate, update, OnlySummarizing(indexes));
	if (key_index != NULL)
		result->ri_IndexRelationDescs[nkey] = key_index;

	ExecCloseIndices(result);
	FreeExecutorState(estate);
}

/*
 * Inserts a row.  Others of the transaction see it after the next
 * CommandCounterIncrement().
 */
void
InsertPlainRow(Relation relation, TupleTableSlot *slot)
{
	CheckCmdReplicaIdentity(relation, CMD_INSERT);
	table_tuple_insert(relation, slot, GetCurrentCommandId(true), 0, NULL);
	InsertIndexEntries(relation, slot, false, NO_INDEX_UPDATES);
}

/*
 * Replaces the row at a place by the one in a slot, which has the same primary
 * key, and tells in *new_entries whether that has got entries of its own in
 * indexes.  Waits for those who are about to change it.  Unless the result is
 * TM_Ok it has been changed or deleted, and nothing is written.
 */
TM_Result
UpdatePlainRow(Relation relation, ItemPointer place, TupleTableSlot *slot, bool *new_entries)
{
	IndexUpdates indexes = NO_INDEX_UPDATES;
	LockTupleMode lock_mode;
	TM_FailureData data;
	TM_Result	result;

	CheckCmdReplicaIdentity(relation, CMD_UPDATE);
	result = table_tuple_update(relation, place, slot, GetCurrentCommandId(true), InvalidSnapshot,
								InvalidSnapshot, true, &data, &lock_mode, &indexes);
	*new_entries = result == TM_Ok && indexes != NO_INDEX_UPDATES;
	if (*new_entries)
		InsertIndexEntries(relation, slot, true, indexes);

	return result;
}
