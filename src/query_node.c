/*-------------------------------------------------------------------------
 *
 * query_node.c
 *	  ds_get_data and ds_get_series as nodes of a plan.
 *
 * A function in FROM puts all of its rows into a tuplestore before the first
 * one is looked at, with all of their columns.  So the planner is offered a
 * custom scan in its place, which reads rows as they are asked for, makes only
 * the columns that the query uses, and tells that they are ordered by t.  It
 * reads with the query's snapshot, as the function, which is stable, does.
 *
 * Whatever needs the function itself still gets it: WITH ORDINALITY, ROWS FROM
 * several functions, the row as a whole (also for FOR UPDATE), a function that
 * ALTER FUNCTION has given settings or another owner's rights.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/explain.h"
#include "compat.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "query_node.h"
#include "query_rows.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#endif

/* What a row costs, of what one costs that goes through a tuplestore */
#define ROW_COST_SHARE	0.5

/* Running one of the functions */
typedef struct RowsScanState
{
	CustomScanState css;
	List	   *args;			/* ExprStates of the arguments */
	bool		is_series;
	uint32		wanted;			/* ROW_COLUMN_BIT()s */
	int			ncolumns;
	int			columns[SERIES_NCOLUMNS];	/* what each column of a row is */
	MemoryContext context;		/* of the reader */
	RowReader  *reader;			/* NULL until the first row is asked for */
} RowsScanState;

Oid			rows_support_function = InvalidOid;

static set_rel_pathlist_hook_type previous_pathlist_hook = NULL;

static Plan *PlanRows(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
					  List *clauses, List *custom_plans);
static Node *CreateDataScan(CustomScan *plan);
static Node *CreateSeriesScan(CustomScan *plan);
static void BeginRowsScan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *ExecRowsScan(CustomScanState *node);
static void EndRowsScan(CustomScanState *node);
static void ReScanRows(CustomScanState *node);
static void ExplainRows(CustomScanState *node, List *ancestors, ExplainState *es);

static const CustomPathMethods path_methods = {
	.CustomName = "datastream rows",
	.PlanCustomPath = PlanRows
};

static const CustomScanMethods data_methods = {
	.CustomName = "ds_get_data",
	.CreateCustomScanState = CreateDataScan
};

static const CustomScanMethods series_methods = {
	.CustomName = "ds_get_series",
	.CreateCustomScanState = CreateSeriesScan
};

static const CustomExecMethods data_exec_methods = {
	.CustomName = "ds_get_data",
	.BeginCustomScan = BeginRowsScan,
	.ExecCustomScan = ExecRowsScan,
	.EndCustomScan = EndRowsScan,
	.ReScanCustomScan = ReScanRows,
	.ExplainCustomScan = ExplainRows
};

static const CustomExecMethods series_exec_methods = {
	.CustomName = "ds_get_series",
	.BeginCustomScan = BeginRowsScan,
	.ExecCustomScan = ExecRowsScan,
	.EndCustomScan = EndRowsScan,
	.ReScanCustomScan = ReScanRows,
	.ExplainCustomScan = ExplainRows
};

/*
 * Planning
 */

/*
 * Whether a call of one of the functions does no more than to run its C code.
 */
static bool
FunctionIsPlain(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		plain;

	if (!HeapTupleIsValid(tuple))
		return false;

	plain = !((Form_pg_proc) GETSTRUCT(tuple))->prosecdef &&
		heap_attisnull(tuple, Anum_pg_proc_proconfig, NULL) && !FmgrHookIsNeeded(function);
	ReleaseSysCache(tuple);

	return plain;
}

/*
 * The call of ds_get_data or ds_get_series that is all of a range table entry,
 * or NULL.
 */
static FuncExpr *
RowsCall(const RangeTblEntry *rte)
{
	RangeTblFunction *function;
	FuncExpr   *call;

	if (rte->rtekind != RTE_FUNCTION || rte->funcordinality || list_length(rte->functions) != 1)
		return NULL;

	function = linitial_node(RangeTblFunction, rte->functions);
	call = (FuncExpr *) function->funcexpr;
	if (!IsA(call, FuncExpr) || !OidIsValid(rows_support_function) ||
		get_func_support(call->funcid) != rows_support_function || !FunctionIsPlain(call->funcid))
		return NULL;
	if (list_length(call->args) <= QUERY_ARG_REVERSE ||
		list_length(call->args) > QUERY_ARG_TIME_DOWNSAMPLERS + 1)
		return NULL;

	return call;
}

/*
 * Only the arguments tell which function it is.
 */
static bool
CallIsSeries(const FuncExpr *call)
{
	return list_length(call->args) <= QUERY_ARG_VALUE_DOWNSAMPLERS;
}

/*
 * The attributes of a relation that are used in clauses or above its scan, less
 * FirstLowInvalidHeapAttributeNumber.
 */
static Bitmapset *
UsedAttributes(RelOptInfo *rel, List *clauses)
{
	Bitmapset  *used = NULL;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &used);
	pull_varattnos((Node *) clauses, rel->relid, &used);

	return used;
}

static bool
UsesWholeRow(RelOptInfo *rel)
{
	List	   *clauses = extract_actual_clauses(rel->baserestrictinfo, false);

	return bms_is_member(InvalidAttrNumber - FirstLowInvalidHeapAttributeNumber,
						 UsedAttributes(rel, clauses));
}

/*
 * The order of the rows of a call, if it is known, and of use to the query.
 */
static List *
RowsOrder(PlannerInfo *root, RelOptInfo *rel, const FuncExpr *call)
{
	Node	   *reverse = list_nth(call->args, QUERY_ARG_REVERSE);
	TypeCacheEntry *type = lookup_type_cache(TIMESTAMPTZOID, TYPECACHE_LT_OPR | TYPECACHE_GT_OPR);
	Const	   *known = (Const *) reverse;
	Var		   *t = makeVar(rel->relid, SERIES_T + 1, TIMESTAMPTZOID, -1, InvalidOid, 0);
	bool		descending;

	if (!IsA(reverse, Const))
		return NIL;
	descending = !known->constisnull && DatumGetBool(known->constvalue);

	return BuildExpressionPathkey(root, (Expr *) t, descending ? type->gt_opr : type->lt_opr,
								  rel->relids);
}

/*
 * The planner's own path for a function in FROM.
 */
static Path *
FunctionPath(RelOptInfo *rel)
{
	ListCell   *cell;

	foreach(cell, rel->pathlist)
	{
		Path	   *path = lfirst(cell);

		if (path->pathtype == T_FunctionScan)
			return path;
	}

	return NULL;
}

/*
 * Offers a scan in place of a function.
 */
static void
OfferRowsScan(PlannerInfo *root, RelOptInfo *rel, Index relid, RangeTblEntry *rte)
{
	FuncExpr   *call;
	Path	   *function;
	CustomPath *path;

	if (previous_pathlist_hook != NULL)
		previous_pathlist_hook(root, rel, relid, rte);

	call = RowsCall(rte);
	if (call == NULL || UsesWholeRow(rel) || (function = FunctionPath(rel)) == NULL)
		return;

	path = makeNode(CustomPath);
	path->path = *function;
	path->path.type = T_CustomPath;
	path->path.pathtype = T_CustomScan;
	path->path.startup_cost = function->startup_cost * ROW_COST_SHARE;
	path->path.total_cost = path->path.startup_cost +
		(function->total_cost - function->startup_cost) * ROW_COST_SHARE;
	if (path->path.param_info == NULL)
		path->path.pathkeys = RowsOrder(root, rel, call);
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_private = list_make1(call);
	path->methods = &path_methods;
	add_path(rel, &path->path);
}

/*
 * Makes the plan: its only expression is the call, its rows have the columns
 * that the query uses.
 */
static Plan *
PlanRows(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
		 List *clauses, List *custom_plans)
{
	static const Oid data_types[] = {TIMESTAMPTZOID, JSONBOID, JSONBOID};
	FuncExpr   *call = linitial_node(FuncExpr, path->custom_private);
	CustomScan *plan = makeNode(CustomScan);
	Bitmapset  *used;
	uint32		wanted = 0;
	int			attribute = -1;

	clauses = extract_actual_clauses(clauses, false);
	used = UsedAttributes(rel, clauses);
	while ((attribute = bms_next_member(used, attribute)) >= 0)
	{
		AttrNumber	number = attribute + FirstLowInvalidHeapAttributeNumber;
		Oid			type = FLOAT8OID;
		Var		   *column;

		if (!CallIsSeries(call))
			type = data_types[number - 1];
		else if (ROW_COLUMN_BIT(number - 1) & SERIES_TIMES)
			type = TIMESTAMPTZOID;
		else if (number - 1 == SERIES_COUNT)
			type = INT8OID;
		column = makeVar(rel->relid, number, type, -1, InvalidOid, 0);
		plan->custom_scan_tlist = lappend(plan->custom_scan_tlist,
										  makeTargetEntry((Expr *) column,
														  list_length(plan->custom_scan_tlist) + 1,
														  NULL, false));
		wanted |= ROW_COLUMN_BIT(number - 1);
	}

	plan->flags = path->flags;
	plan->custom_exprs = list_make1(call);

	/* A list of Nodes: other extensions look at the first one, to find their own. */
	plan->custom_private = list_make1(makeInteger((int) wanted));
	plan->methods = CallIsSeries(call) ? &series_methods : &data_methods;
	plan->scan.plan.targetlist = tlist;
	plan->scan.plan.qual = clauses;
	plan->scan.scanrelid = 0;

	return &plan->scan.plan;
}

/*
 * Running
 */

static RowsScanState *
CreateRowsScan(CustomScan *plan)
{
	RowsScanState *state = (RowsScanState *) newNode(sizeof(RowsScanState), T_CustomScanState);

	/* in the order of custom_scan_tlist */
	state->wanted = (uint32) intVal(linitial(plan->custom_private));
	for (int column = 0; column < SERIES_NCOLUMNS; column++)
	{
		if (state->wanted & ROW_COLUMN_BIT(column))
			state->columns[state->ncolumns++] = column;
	}

	return state;
}

static Node *
CreateDataScan(CustomScan *plan)
{
	RowsScanState *state = CreateRowsScan(plan);

	state->css.methods = &data_exec_methods;

	return (Node *) state;
}

static Node *
CreateSeriesScan(CustomScan *plan)
{
	RowsScanState *state = CreateRowsScan(plan);

	state->is_series = true;
	state->css.methods = &series_exec_methods;

	return (Node *) state;
}

static FuncExpr *
PlannedCall(const CustomScanState *node)
{
	return linitial_node(FuncExpr, castNode(CustomScan, node->ss.ps.plan)->custom_exprs);
}

/*
 * Prepares to call the function, which the role must be allowed to.
 */
static void
BeginRowsScan(CustomScanState *node, EState *estate, int eflags)
{
	RowsScanState *state = (RowsScanState *) node;
	FuncExpr   *call = PlannedCall(node);
	AclResult	acl = FunctionAclCheck(call->funcid, GetUserId(), ACL_EXECUTE);

	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_FUNCTION, get_func_name(call->funcid));
	InvokeFunctionExecuteHook(call->funcid);

	state->args = ExecInitExprList(call->args, &node->ss.ps);
	state->context = AllocSetContextCreate(estate->es_query_cxt, "datastream query",
										   ALLOCSET_DEFAULT_SIZES);
}

/*
 * Begins to read the rows: what the function does when it is called.
 */
static void
BeginReading(RowsScanState *state)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	LOCAL_FCINFO(fcinfo, QUERY_ARG_TIME_DOWNSAMPLERS + 1);
	MemoryContext old_context;
	ListCell   *cell;

	InitFunctionCallInfoData(*fcinfo, NULL, list_length(state->args), InvalidOid, NULL, NULL);
	foreach(cell, state->args)
	{
		NullableDatum *arg = &fcinfo->args[foreach_current_index(cell)];

		arg->value = ExecEvalExprSwitchContext(lfirst(cell), econtext, &arg->isnull);
	}

	old_context = MemoryContextSwitchTo(state->context);
	PushActiveSnapshot(state->css.ss.ps.state->es_snapshot);
	state->reader = state->is_series ? BeginSeriesRows(fcinfo, state->wanted)
		: BeginDataRows(fcinfo, state->wanted);
	PopActiveSnapshot();
	MemoryContextSwitchTo(old_context);
}

/*
 * Returns the next row.
 */
static TupleTableSlot *
FetchRow(ScanState *node)
{
	RowsScanState *state = (RowsScanState *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;
	const RowReader *reader;

	if (state->reader == NULL)
		BeginReading(state);
	reader = state->reader;

	ExecClearTuple(slot);
	if (!NextRow(state->reader))
		return slot;

	for (int i = 0; i < state->ncolumns; i++)
	{
		slot->tts_values[i] = reader->values[state->columns[i]];
		slot->tts_isnull[i] = reader->nulls[state->columns[i]];
	}

	return ExecStoreVirtualTuple(slot);
}

/*
 * Checks a row again that has been locked, which never happens: what locks rows
 * of functions needs them as a whole.
 */
static bool
RecheckRow(ScanState *node, TupleTableSlot *slot)
{
	elog(ERROR, "rows of %s cannot be checked again", ((CustomScanState *) node)->methods->CustomName);
	return false;
}

static TupleTableSlot *
ExecRowsScan(CustomScanState *node)
{
	return ExecScan(&node->ss, FetchRow, RecheckRow);
}

static void
EndReading(RowsScanState *state)
{
	if (state->reader != NULL)
		EndRows(state->reader);
	state->reader = NULL;
}

static void
EndRowsScan(CustomScanState *node)
{
	EndReading((RowsScanState *) node);
}

/*
 * Begins anew, maybe with other arguments.
 */
static void
ReScanRows(CustomScanState *node)
{
	EndReading((RowsScanState *) node);
	ExecScanReScan(&node->ss);
}

/*
 * Shows the call, as EXPLAIN VERBOSE does for functions.
 */
static void
ExplainRows(CustomScanState *node, List *ancestors, ExplainState *es)
{
	List	   *context;

	if (!es->verbose)
		return;

	context = set_deparse_context_plan(es->deparse_cxt, node->ss.ps.plan, ancestors);
	ExplainPropertyText("Function Call",
						deparse_expression((Node *) PlannedCall(node), context, true, false), es);
}

/*
 * To be called when the library is loaded.
 */
void
InitQueryNodes(void)
{
	RegisterCustomScanMethods(&data_methods);
	RegisterCustomScanMethods(&series_methods);
	previous_pathlist_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = OfferRowsScan;
}
