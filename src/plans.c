/*-------------------------------------------------------------------------
 *
 * plans.c
 *	  Saved plans of the extension's own queries.
 *
 * A plan is made once in a backend and kept.  An extension that is dropped and
 * created again gets new tables and a new block type, which the OID of
 * datastream.heads tells.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/attnum.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "extension.h"
#include "plans.h"
#include "storage/lmgr.h"
#include "store_snapshot.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

/*
 * Returns the OID of a table of the extension, or InvalidOid.
 */
static Oid
ExtensionTable(const char *name)
{
	Oid			namespace = get_namespace_oid("datastream", true);

	return OidIsValid(namespace) ? get_relname_relid(name, namespace) : InvalidOid;
}

/*
 * Returns the OID of datastream.heads, or an error if the extension is not
 * there, or too old.
 */
Oid
HeadsRelation(void)
{
	Oid			relation = ExtensionTable("heads");

	if (!OidIsValid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"datastream\" is not installed in this database"),
				 errhint("Use CREATE EXTENSION datastream.")));
	CheckExtensionIsCurrent(relation);

	return relation;
}

/*
 * Prepares a query in a slot, when the slot is empty or when the extension has
 * been created anew since; returns the slot.  SPI must be connected.
 */
PlanSlot *
PreparedPlan(PlanSlot *slot, const char *query, int nargs, const Oid *argtypes)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			relation = HeadsRelation();
	SPIPlanPtr	plan;

	if (slot->plan != NULL && slot->relation == relation)
		return slot;

	if (slot->plan != NULL)
	{
		SPIPlanPtr	stale = slot->plan;

		slot->plan = NULL;
		SPI_freeplan(stale);
	}

	/* Parameters never make another plan the better one. */
	plan = SPI_prepare_cursor(query, nargs, (Oid *) argtypes, CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", query, SPI_result_code_string(SPI_result));
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "could not keep the plan of \"%s\"", query);
	MemoryContextSwitchTo(context);

	slot->plan = plan;
	slot->relation = relation;
	slot->planned = false;

	return slot;
}

static void
TurnOff(const char *setting)
{
	(void) set_config_option(setting, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * To be called before a plan is run.  If it is about to be made, or made again, it
 * must go by indexes: a plan that reads all of a table because that is small would
 * be kept while the table grows, at the latest until the end of the transaction.
 * It is made here, so that what runs in it, such as a trigger, has its settings as
 * they are.
 */
static void
MakePlan(PlanSlot *slot)
{
	CachedPlan *plan;
	int			nest_level;

	if (slot->planned && SPI_plan_is_valid(slot->plan))
		return;

	/* What is turned off looks so costly that it would call for JIT. */
	nest_level = NewGUCNestLevel();
	TurnOff("jit");
	TurnOff("enable_seqscan");
	if (!slot->needs_bitmap)
	{
		TurnOff("enable_bitmapscan");
		TurnOff("enable_sort");
	}
	plan = SPI_plan_get_cached_plan(slot->plan);
	if (plan != NULL)
		ReleaseCachedPlan(plan, CurrentResourceOwner);
	AtEOXact_GUC(true, nest_level);
	slot->planned = true;
}

/*
 * Locks the tables that a plan reads, and sees to it that none of them has got
 * another file since the snapshot was taken that it is going to be read with.  One
 * that is taken when the plan is run is taken after the locks.
 */
static void
CheckPlanSnapshot(PlanSlot *slot, bool read_only)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(slot->plan));
	Snapshot	snapshot;
	ListCell   *cell;

	if (read_only && ActiveSnapshotSet())
		snapshot = GetActiveSnapshot();
	else if (IsolationUsesXactSnapshot())
		snapshot = GetTransactionSnapshot();
	else
		return;

	foreach(cell, source->relationOids)
	{
		LockRelationOid(lfirst_oid(cell), AccessShareLock);
		CheckTableSnapshot(lfirst_oid(cell), snapshot);
	}
}

/*
 * Runs a query through its saved plan and returns the number of its rows, which
 * are in SPI_tuptable.  With "read_only" it sees what the active snapshot shows,
 * otherwise the newest state that the isolation level allows.
 */
uint64
RunSavedQuery(PlanSlot *slot, const char *query, int nargs, const Oid *argtypes,
			  Datum *values, const char *nulls, bool read_only)
{
	return RunPlan(PreparedPlan(slot, query, nargs, argtypes), values, nulls, read_only);
}

/*
 * The same with a plan in hand.  Unlike SPI's own functions these leave the
 * current memory context as it is.
 */
uint64
RunPlan(PlanSlot *slot, Datum *values, const char *nulls, bool read_only)
{
	MemoryContext context = CurrentMemoryContext;
	int			result;

	CheckPlanSnapshot(slot, read_only);
	MakePlan(slot);
	result = SPI_execute_plan(slot->plan, values, nulls, read_only, 0);
	MemoryContextSwitchTo(context);
	if (result < 0)
		elog(ERROR, "could not run a query: %s", SPI_result_code_string(result));

	return SPI_processed;
}

/*
 * Opens a cursor on the rows of a query.
 */
Portal
OpenPlan(PlanSlot *slot, Datum *values, bool read_only)
{
	MemoryContext context = CurrentMemoryContext;
	Portal		portal;

	CheckPlanSnapshot(slot, read_only);
	MakePlan(slot);
	portal = SPI_cursor_open(NULL, slot->plan, values, NULL, read_only);
	MemoryContextSwitchTo(context);

	return portal;
}

/*
 * Fetches the next rows of a cursor, at most "count", into SPI_tuptable, and
 * returns their number.
 */
uint64
FetchRows(Portal portal, long count)
{
	MemoryContext context = CurrentMemoryContext;

	SPI_cursor_fetch(portal, true, count);
	MemoryContextSwitchTo(context);

	return SPI_processed;
}

/*
 * Returns the OID of the type ds_block, wherever CREATE EXTENSION has put it.
 */
Oid
BlockTypeOid(void)
{
	static Oid	known_relation = InvalidOid;
	static Oid	known_type = InvalidOid;
	Oid			relation = HeadsRelation();

	if (relation != known_relation)
	{
		AttrNumber	attribute = get_attnum(relation, "head");

		if (attribute == InvalidAttrNumber)
			elog(ERROR, "column \"head\" of table datastream.heads is missing");

		known_type = get_atttype(relation, attribute);
		known_relation = relation;
	}

	return known_type;
}
