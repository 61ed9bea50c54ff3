/*-------------------------------------------------------------------------
 *
 * statement.c
 *	  The statement that a client has sent, and the queries that run in it.
 *
 * What a statement has appended may be kept in memory (store_pending.c) as long as
 * nobody can look: it is written when the statement ends, and before anything else
 * runs in it than a query that does nothing but append.  The server's hooks tell of
 * both.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "append.h"
#include "commands/copy.h"
#include "executor/executor.h"
#include "statement.h"
#include "store_pending.h"
#include "tcop/utility.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* The arguments of the hooks that differ between versions */
#if PG_VERSION_NUM >= 180000
#define RUN_PARAMETERS	QueryDesc *query, ScanDirection direction, uint64 count
#define RUN_ARGUMENTS	query, direction, count
#else
#define RUN_PARAMETERS	QueryDesc *query, ScanDirection direction, uint64 count, bool execute_once
#define RUN_ARGUMENTS	query, direction, count, execute_once
#endif

static ExecutorStart_hook_type previous_start = NULL;
static ExecutorRun_hook_type previous_run = NULL;
static ExecutorFinish_hook_type previous_finish = NULL;
static ProcessUtility_hook_type previous_utility = NULL;

/* How many queries and commands run, one in the other */
static int	depth = 0;

/*
 * When the statement began that the library was loaded in the middle of, which counts
 * as one of them, or 0.  Its end is noticed when the transaction ends, or the next
 * statement begins.
 */
static TimestampTz half_seen = 0;

/* The number of the statement in work, or of the last one */
static uint64 statement = 0;

/* The error contexts of the query or command that runs, and of what it runs in */
static ErrorContextCallback *outer_contexts = NULL;

/* The snapshot of the query in work that does nothing but append, or NULL */
static Snapshot appending_snapshot = NULL;

/* The functions that append, as plans name them: by hash values of their OIDs */
#define APPEND_FUNCTIONS	32
static uint32 append_functions[APPEND_FUNCTIONS];
static int	nappend_functions = 0;

/*
 * The number of the statement that runs, or 0 if none runs whose end will be noticed.
 */
uint64
CurrentStatement(void)
{
	return depth > 0 ? statement : 0;
}

/*
 * Whether the active snapshot is that of a query that does nothing but append.
 */
bool
InAppendingQuery(void)
{
	return appending_snapshot != NULL && GetActiveSnapshot() == appending_snapshot;
}

/*
 * To be called by each function that appends, with its OID.
 */
void
NoteAppendFunction(Oid function)
{
	static Oid	last = InvalidOid;
	uint32		hash;

	if (function == last)
		return;

	last = function;
	hash = GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(function));
	for (int i = 0; i < Min(nappend_functions, APPEND_FUNCTIONS); i++)
	{
		if (append_functions[i] == hash)
			return;
	}
	append_functions[nappend_functions++ % APPEND_FUNCTIONS] = hash;
}

static bool
IsAppendFunction(const PlanInvalItem *item)
{
	for (int i = 0; i < Min(nappend_functions, APPEND_FUNCTIONS); i++)
	{
		if (append_functions[i] == item->hashValue)
			return item->cacheId == PROCOID;
	}

	return false;
}

/*
 * Whether a query reads one of the tables that appends write to, itself.
 */
static bool
ReadsStore(const PlannedStmt *plan)
{
	ListCell   *cell;

	foreach(cell, plan->relationOids)
	{
		if (IsStoreTable(lfirst_oid(cell)))
			return true;
	}

	return false;
}

/*
 * Whether a query reads none of the tables that appends write to, and calls no
 * functions but those that append and the server's own.
 */
static bool
OnlyAppends(const PlannedStmt *plan)
{
	ListCell   *cell;

	if (plan->commandType != CMD_SELECT || plan->hasModifyingCTE)
		return false;

	foreach(cell, plan->invalItems)
	{
		if (!IsAppendFunction(lfirst(cell)))
			return false;
	}

	return !ReadsStore(plan);
}

/*
 * Whether a query may run in a function that an expression of plpgsql has called, for
 * which there may be a snapshot that the function's caller has still to read with.
 *
 * Functions show in the stack of error contexts, and so does a query that they run by
 * SPI.  If there is more between a query and the one that it runs in than the function
 * that it is in, then one function has called the other without a query.
 */
static bool
MayBeInExpression(const QueryDesc *query)
{
	int			nexpected = query->dest->mydest == DestSPI ? 2 : 1;
	int			ncontexts = 0;

	for (ErrorContextCallback *context = error_context_stack;
		 context != NULL && context != outer_contexts; context = context->previous)
	{
		if (context->callback != CopyFromErrorCallback)
			ncontexts++;
	}

	return ncontexts > nexpected;
}

/*
 * Ends a statement that a client has sent, or a part of it; not a query in one.
 */
static void
EndStatement(void)
{
	if (depth > 1)
		return;
	FlushPending();
	WarnOfFrozen();
}

static void
BeginStatement(void)
{
	appending_snapshot = NULL;
	statement++;
	BeginPendingStatement();
	ForgetFrozen();
}

/*
 * The snapshot of a query that fails is not kept.
 */
static void
EndSubtransaction(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		appending_snapshot = NULL;
}

/*
 * Ends the statement that the library has been loaded in if another one has begun, or
 * if it shows that nothing of that has been missed: what runs in a function has error
 * contexts, and a client's messages have times of their own.
 */
static void
EndHalfSeen(void)
{
	if (half_seen == 0 ||
		(error_context_stack != NULL && GetCurrentStatementStartTimestamp() == half_seen))
		return;

	half_seen = 0;
	depth--;
	EndStatement();
}

/*
 * Ends it with the transaction.
 */
static void
EndTransaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT && half_seen != 0)
		WarnOfFrozen();
}

static void
StartQuery(QueryDesc *query, int flags)
{
	EndHalfSeen();
	if (HasPending() && (flags & EXEC_FLAG_EXPLAIN_ONLY) == 0 &&
		OnlyAppends(query->plannedstmt) && !MayBeInExpression(query))
		appending_snapshot = query->snapshot;
	else if (!FlushPendingFor(query->snapshot) && ReadsStore(query->plannedstmt))
		FlushPendingToRead(query->snapshot);

	if (previous_start != NULL)
		previous_start(query, flags);
	else
		standard_ExecutorStart(query, flags);
}

/*
 * Begins a query or a command.  Returns what EndQuery() wants.
 */
static ErrorContextCallback *
BeginQuery(bool begins_statement)
{
	ErrorContextCallback *old_contexts = outer_contexts;

	EndHalfSeen();
	if (depth == 0 && begins_statement)
		BeginStatement();
	outer_contexts = error_context_stack;
	depth++;

	return old_contexts;
}

static void
EndQuery(ErrorContextCallback *old_contexts)
{
	depth--;
	outer_contexts = old_contexts;
}

static void
RunQuery(RUN_PARAMETERS)
{
	ErrorContextCallback *old_contexts = BeginQuery(true);

	PG_TRY();
	{
		if (previous_run != NULL)
			previous_run(RUN_ARGUMENTS);
		else
			standard_ExecutorRun(RUN_ARGUMENTS);
		EndStatement();
	}
	PG_FINALLY();
	{
		EndQuery(old_contexts);
	}
	PG_END_TRY();
}

static void
FinishQuery(QueryDesc *query)
{
	ErrorContextCallback *old_contexts = BeginQuery(false);

	PG_TRY();
	{
		if (previous_finish != NULL)
			previous_finish(query);
		else
			standard_ExecutorFinish(query);
		EndStatement();
	}
	PG_FINALLY();
	{
		EndQuery(old_contexts);
		if (query->snapshot == appending_snapshot)
			appending_snapshot = NULL;
	}
	PG_END_TRY();
}

static void
RunUtility(PlannedStmt *plan, const char *text, bool read_only_tree, ProcessUtilityContext context,
		   ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	ErrorContextCallback *old_contexts = BeginQuery(true);

	PG_TRY();
	{
		if (depth > 1)
			FlushPendingToRead(ActiveSnapshotSet() ? GetActiveSnapshot() : NULL);
		if (previous_utility != NULL)
			previous_utility(plan, text, read_only_tree, context, params, environment, dest, completion);
		else
			standard_ProcessUtility(plan, text, read_only_tree, context, params, environment, dest, completion);
		EndStatement();
	}
	PG_FINALLY();
	{
		EndQuery(old_contexts);
	}
	PG_END_TRY();
}

/*
 * Sees to it that statements are noticed.
 */
void
InitStatements(void)
{
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = StartQuery;
	previous_run = ExecutorRun_hook;
	ExecutorRun_hook = RunQuery;
	previous_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = FinishQuery;
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = RunUtility;
	RegisterXactCallback(EndTransaction, NULL);
	RegisterSubXactCallback(EndSubtransaction, NULL);
	InitPending();
	InitLate();

	if (IsTransactionState())
	{
		half_seen = GetCurrentStatementStartTimestamp();
		statement = 1;
		depth = 1;
	}
}
