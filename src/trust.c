/*-------------------------------------------------------------------------
 *
 * trust.c
 *	  Whether work on the extension's tables would run code of others.
 *
 * Background workers work as the extension's owner, who is a superuser.  Whatever
 * a query on a table runs beside itself then has all rights, whoever has put it
 * there.  So before it reads or writes, a worker locks its tables against such
 * changes, and looks what there is:
 *
 *	triggers		of whoever has the right TRIGGER, which GRANT ALL contains.  Their
 *					function, and what their condition calls, must belong to
 *					superusers.  A condition with functions that are not immutable, or
 *					arguments for a function in C, may be a trap that somebody else has
 *					laid with functions of superusers, such as query_to_xml(), which
 *					runs any query: triggers have no owner.
 *	foreign keys	of whoever has the right REFERENCES, in either direction: they
 *					change and read tables of others, with triggers of others.
 *	owners			of a table can do anything with it: defaults, constraints,
 *					generated columns, indexes, domains as types of columns, rules.
 *					An owner must be a superuser now.  For what an earlier one has
 *					left behind, no rules are accepted, only built-in types, and only
 *					immutable functions of superusers in expressions.
 *	children		that inherit from a table are read and updated with it.
 *	other tables	(or views, or foreign tables) under the names of the extension's
 *
 * These need no look:
 *
 *	policies		do not apply to superusers.
 *	event triggers	are those of superusers, and so are operator classes, access
 *					methods and casts between built-in types.
 *	names			are all qualified, with their schema; temporary objects of the
 *					worker's own session cannot be made by others.
 *	settings		of the database or a role cannot make a worker run code: it
 *					preloads no libraries for its session, and has its own search_path.
 *	publications	have row filters, which run where changes are sent.
 *	statistics		have expressions, which ANALYZE runs, as the table's owner.
 *	views			of the extension, ds_stats(), and the input and output functions
 *					of its type are not used by workers; nor are functions of users,
 *					such as those that ds_downsample_streams() takes.
 *
 * What is found is kept until one of the tables, a function, or a role changes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_language.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/nodes.h"
#include "optimizer/optimizer.h"
#include "storage/lmgr.h"
#include "trust.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* Objects that use others are followed so far. */
#define USES_DEPTH	8

typedef enum TableUse
{
	USE_READ,					/* is only read */
	USE_DATA,					/* streams and their datapoints */
	USE_FAILURES,
	USE_RUNS,
	USE_STATUS
} TableUse;

/* The tables that workers use, in the schema datastream */
static const struct
{
	const char *name;
	TableUse	use;
} work_tables[] = {
	{"heads", USE_DATA},		/* whose lock is that of the worker */
	{"streams", USE_READ},
	{"sources", USE_DATA},
	{"changes", USE_DATA},
	{"progress", USE_DATA},
	{"retention", USE_DATA},
	{"datapoints_milliseconds", USE_DATA},
	{"datapoints_seconds", USE_DATA},
	{"datapoints_10seconds", USE_DATA},
	{"datapoints_minutes", USE_DATA},
	{"datapoints_10minutes", USE_DATA},
	{"datapoints_hours", USE_DATA},
	{"datapoints_6hours", USE_DATA},
	{"datapoints_days", USE_DATA},
	{"datapoints_months", USE_DATA},
	{"datapoints_years", USE_DATA},
	{"failures", USE_FAILURES},
	{"runs", USE_RUNS},
	{"worker_slots", USE_STATUS}
};

/* The tables that have been locked, and whether what is known of them holds */
static Oid	locked[lengthof(work_tables)];
static bool report_is_valid = false;

static void
ForgetOnSyscache(Datum arg, int cache, uint32 hash)
{
	report_is_valid = false;
}

static void
ForgetOnRelcache(Datum arg, Oid relation)
{
	for (int i = 0; i < lengthof(locked) && report_is_valid; i++)
		report_is_valid = OidIsValid(relation) && relation != locked[i];
}

/*
 * Locks all tables that workers use as one that writes to them does, until the
 * end of the transaction, so that nothing is put on them meanwhile.  Returns
 * false if one is not there, or others have locked it.
 */
bool
LockWorkTables(void)
{
	Oid			namespace = get_namespace_oid("datastream", true);

	for (int i = 0; i < lengthof(work_tables); i++)
	{
		Oid			relation = OidIsValid(namespace) ? get_relname_relid(work_tables[i].name, namespace) : InvalidOid;

		if (!OidIsValid(relation) || !ConditionalLockRelationOid(relation, RowExclusiveLock) ||
			get_relname_relid(work_tables[i].name, get_namespace_oid("datastream", true)) != relation)
			return false;
		if (locked[i] != relation)
			report_is_valid = false;
		locked[i] = relation;
	}

	return true;
}

/*
 * Says that an object belongs to a role, if that is not a superuser; else NULL.
 */
static const char *
BelongsToOther(const char *object, Oid role)
{
	if (superuser_arg(role))
		return NULL;
	return psprintf("%s belongs to role \"%s\", which is not a superuser", object,
					GetUserNameFromId(role, true));
}

/*
 * The owner of an object of a kind that may run code; InvalidOid for others.
 */
static Oid
OwnerOfCode(Oid classid, Oid objid)
{
	static const Oid kinds[] = {
		ProcedureRelationId, OperatorRelationId, OperatorClassRelationId, OperatorFamilyRelationId,
		TypeRelationId, CollationRelationId, LanguageRelationId
	};
	Oid			owner = InvalidOid;

	for (int i = 0; i < lengthof(kinds); i++)
	{
		Relation	catalog;
		HeapTuple	tuple;
		bool		isnull;

		if (kinds[i] != classid)
			continue;
		catalog = table_open(classid, AccessShareLock);
		tuple = get_catalog_object_by_oid(catalog, get_object_attnum_oid(classid), objid);
		if (HeapTupleIsValid(tuple))
			owner = DatumGetObjectId(heap_getattr(tuple, get_object_attnum_owner(classid),
												  RelationGetDescr(catalog), &isnull));
		table_close(catalog, AccessShareLock);
	}

	return owner;
}

/*
 * Looks for what an object uses, directly or not, and a role that is not a
 * superuser owns.  Built-in objects are not recorded as being used.
 */
static const char *
UsesOfOthers(Oid classid, Oid objid, int depth)
{
	const char *found = NULL;
	Relation	depend;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	if (depth > USES_DEPTH)
		return NULL;

	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(classid));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(objid));
	scan = systable_beginscan(depend, DependDependerIndexId, true, NULL, 2, keys);
	while (found == NULL && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		Oid			owner = OwnerOfCode(form->refclassid, form->refobjid);

		if (!OidIsValid(owner))
			continue;
		found = BelongsToOther(getObjectDescriptionOids(form->refclassid, form->refobjid), owner);
		if (found == NULL)
			found = UsesOfOthers(form->refclassid, form->refobjid, depth + 1);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);

	return found;
}

/*
 * Looks for code of others in an object with an expression (or NULL).
 */
static const char *
ExpressionOfOthers(Oid classid, Oid objid, const char *expression)
{
	const char *found = UsesOfOthers(classid, objid, 0);

	if (found != NULL)
		found = psprintf("%s uses what others own: %s", getObjectDescriptionOids(classid, objid), found);
	else if (expression != NULL && contain_mutable_functions(stringToNode(expression)))
		found = psprintf("%s calls functions that are not immutable, maybe for a role that is not a superuser",
						 getObjectDescriptionOids(classid, objid));

	return found;
}

/*
 * Whether a function's language takes the function's source for code of the
 * server itself.
 */
static bool
FunctionIsCompiled(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		compiled = true;

	if (HeapTupleIsValid(tuple))
	{
		Oid			language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;

		compiled = language == INTERNALlanguageId || language == ClanguageId;
		ReleaseSysCache(tuple);
	}

	return compiled;
}

/*
 * Says what a trigger that belongs to a foreign key has to do with which table.
 */
static const char *
ReferenceToOthers(const Trigger *trigger)
{
	Oid			classid = OidIsValid(trigger->tgconstraint) ? ConstraintRelationId : TriggerRelationId;
	Oid			objid = OidIsValid(trigger->tgconstraint) ? trigger->tgconstraint : trigger->tgoid;
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(trigger->tgconstrrelid));
	Oid			owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
	}

	return psprintf("%s has to do with %s of role \"%s\"", getObjectDescriptionOids(classid, objid),
					getObjectDescriptionOids(RelationRelationId, trigger->tgconstrrelid),
					GetUserNameFromId(owner, true));
}

/*
 * Looks for code of others in a trigger.
 */
static const char *
TriggerOfOthers(const Trigger *trigger)
{
	const char *found;

	if (trigger->tgenabled == TRIGGER_DISABLED)
		return NULL;
	if (OidIsValid(trigger->tgconstrrelid))
		return ReferenceToOthers(trigger);

	found = BelongsToOther(getObjectDescriptionOids(ProcedureRelationId, trigger->tgfoid),
						   OwnerOfCode(ProcedureRelationId, trigger->tgfoid));
	if (found != NULL)
		return psprintf("%s uses what others own: %s",
						getObjectDescriptionOids(TriggerRelationId, trigger->tgoid), found);
	if (trigger->tgnargs > 0 && !trigger->tgisinternal && FunctionIsCompiled(trigger->tgfoid))
		return psprintf("%s has arguments, maybe of a role that is not a superuser",
						getObjectDescriptionOids(TriggerRelationId, trigger->tgoid));

	return ExpressionOfOthers(TriggerRelationId, trigger->tgoid, trigger->tgqual);
}

/*
 * Looks for code of others in defaults, generated columns, constraints and
 * types of columns.
 */
static const char *
ColumnsOfOthers(Relation relation)
{
	TupleDesc	desc = RelationGetDescr(relation);
	TupleConstr *constr = desc->constr;
	const char *found = NULL;

	for (int i = 0; i < desc->natts && found == NULL; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (column->attisdropped || column->atttypid < FirstNormalObjectId)
			continue;
		found = BelongsToOther(getObjectDescriptionOids(TypeRelationId, column->atttypid),
							   OwnerOfCode(TypeRelationId, column->atttypid));
		if (found == NULL && getExtensionOfObject(TypeRelationId, column->atttypid) !=
			getExtensionOfObject(RelationRelationId, RelationGetRelid(relation)))
			found = psprintf("column \"%s\" of %s has a type that is not built in", NameStr(column->attname),
							 getObjectDescriptionOids(RelationRelationId, RelationGetRelid(relation)));
	}
	if (constr == NULL)
		return found;

	for (int i = 0; i < constr->num_defval && found == NULL; i++)
		found = ExpressionOfOthers(AttrDefaultRelationId,
								   GetAttrDefaultOid(RelationGetRelid(relation), constr->defval[i].adnum),
								   constr->defval[i].adbin);
	for (int i = 0; i < constr->num_check && found == NULL; i++)
		found = ExpressionOfOthers(ConstraintRelationId,
								   get_relation_constraint_oid(RelationGetRelid(relation), constr->check[i].ccname, false),
								   constr->check[i].ccbin);

	return found;
}

/*
 * Says which table inherits from a table, if there is one; else NULL.
 */
static const char *
ChildOfTable(Relation relation)
{
	List	   *children = relation->rd_rel->relhassubclass ?
		find_inheritance_children(RelationGetRelid(relation), NoLock) : NIL;
	HeapTuple	tuple;
	Oid			owner = InvalidOid;

	if (children == NIL)
		return NULL;

	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(linitial_oid(children)));
	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
	}

	return psprintf("%s of role \"%s\" inherits from %s",
					getObjectDescriptionOids(RelationRelationId, linitial_oid(children)),
					GetUserNameFromId(owner, true),
					getObjectDescriptionOids(RelationRelationId, RelationGetRelid(relation)));
}

/*
 * Looks for code of others that a table runs when it is written to.
 */
static const char *
CodeOfOthers(Oid relid)
{
	Relation	relation = table_open(relid, NoLock);
	TriggerDesc *triggers = relation->trigdesc;
	const char *description = getObjectDescriptionOids(RelationRelationId, relid);
	const char *found = BelongsToOther(description, relation->rd_rel->relowner);
	ListCell   *lc;

	if (found == NULL && relation->rd_rules != NULL)
		found = psprintf("%s has rules", description);
	for (int i = 0; triggers != NULL && i < triggers->numtriggers && found == NULL; i++)
		found = TriggerOfOthers(&triggers->triggers[i]);
	if (found == NULL)
		found = ColumnsOfOthers(relation);
	foreach(lc, RelationGetIndexList(relation))
	{
		if (found == NULL)
			found = ExpressionOfOthers(RelationRelationId, lfirst_oid(lc), NULL);
	}
	table_close(relation, NoLock);

	return found;
}

/*
 * Looks for what keeps a table from being read: it is another one than that of
 * the extension, or others are read with it.
 */
static const char *
UnreadableTable(Oid extension, Oid relid)
{
	Relation	relation = table_open(relid, NoLock);
	const char *description = getObjectDescriptionOids(RelationRelationId, relid);
	const char *found = NULL;

	if (getExtensionOfObject(RelationRelationId, relid) != extension)
		found = psprintf("%s belongs to role \"%s\", and is not the extension's own", description,
						 GetUserNameFromId(relation->rd_rel->relowner, true));
	else if (relation->rd_rel->relkind != RELKIND_RELATION)
		found = psprintf("%s is not an ordinary table", description);
	else
		found = ChildOfTable(relation);
	table_close(relation, NoLock);

	return found;
}

/*
 * Sets a text of the report, in memory that stays, unless there is one already.
 */
static void
Report(const char **place, const char *found)
{
	if (found != NULL && *place == NULL)
		*place = MemoryContextStrdup(TopMemoryContext, found);
}

static void
ForgetText(const char **place)
{
	if (*place != NULL)
		pfree(unconstify(char *, *place));
	*place = NULL;
}

/*
 * What keeps a worker from work, if it is to run no code of others.  The tables
 * must be locked by LockWorkTables(); the worker works as the extension's owner.
 */
const TrustReport *
CheckWorkTables(Oid extension, Oid owner)
{
	static bool watching = false;
	static TrustReport report;
	const char **places[] = {
		[USE_READ] = &report.no_reading,
		[USE_DATA] = &report.no_writing,
		[USE_FAILURES] = &report.no_failures,
		[USE_RUNS] = &report.no_runs,
		[USE_STATUS] = &report.no_status
	};
	MemoryContext context;
	MemoryContext old_context;

	if (!watching)
	{
		CacheRegisterRelcacheCallback(ForgetOnRelcache, (Datum) 0);
		CacheRegisterSyscacheCallback(PROCOID, ForgetOnSyscache, (Datum) 0);
		CacheRegisterSyscacheCallback(AUTHOID, ForgetOnSyscache, (Datum) 0);
		watching = true;
	}
	if (report_is_valid)
		return &report;

	/* What changes meanwhile makes it out of date at once. */
	report_is_valid = true;
	for (int i = 0; i < lengthof(places); i++)
		ForgetText(places[i]);

	context = AllocSetContextCreate(CurrentMemoryContext, "datastream trust", ALLOCSET_DEFAULT_SIZES);
	old_context = MemoryContextSwitchTo(context);
	Report(&report.no_reading, BelongsToOther("extension datastream", owner));
	for (int i = 0; i < lengthof(work_tables); i++)
	{
		Report(&report.no_reading, UnreadableTable(extension, locked[i]));
		if (work_tables[i].use != USE_READ)
			Report(places[work_tables[i].use], CodeOfOthers(locked[i]));
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);

	return &report;
}
