/*-------------------------------------------------------------------------
 *
 * query_estimate.c
 *	  How many rows ds_get_data and ds_get_series will return, for the planner.
 *
 * The planner asks before it knows whether the query will ever run, so nothing
 * here may fail: what a role may not read, what does not exist and what the
 * functions would refuse gives no estimate, and the planner goes by the ROWS
 * of the function.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "query_node.h"
#include "query_rows.h"
#include "query_scan.h"
#include "utils/builtins.h"
#include "utils/selfuncs.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(ds_rows_support);

/* What is known of an argument when a query is planned */
typedef enum Knowledge
{
	KNOWN_NULL,
	KNOWN_VALUE,
	UNKNOWN
} Knowledge;

/*
 * The value of an argument as far as it is known; stable functions such as
 * now() and parameters count with the value that they have now.
 */
static Knowledge
KnownArgument(SupportRequestRows *request, int argument, Oid type, Datum *value)
{
	List	   *args = ((FuncExpr *) request->node)->args;
	Const	   *constant;

	constant = (Const *) estimate_expression_value(request->root, list_nth(args, argument));
	if (!IsA(constant, Const) || constant->consttype != type)
		return UNKNOWN;

	*value = constant->constvalue;

	return constant->constisnull ? KNOWN_NULL : KNOWN_VALUE;
}

/*
 * The bound that a pair of arguments gives; *unknown is set if there is one
 * whose time is not known yet.  False if both are given, which is an error
 * when the query runs.
 */
static bool
KnownBound(SupportRequestRows *request, int inclusive, int exclusive,
		   TimeBound *bound, bool *unknown)
{
	Datum		inclusive_value = 0;
	Datum		exclusive_value = 0;
	Knowledge	included = KnownArgument(request, inclusive, TIMESTAMPTZOID, &inclusive_value);
	Knowledge	excluded = KnownArgument(request, exclusive, TIMESTAMPTZOID, &exclusive_value);

	bound->kind = BOUND_NONE;
	bound->ts = 0;
	*unknown = false;

	if (included != KNOWN_NULL && excluded != KNOWN_NULL)
		return false;

	if (included == KNOWN_VALUE)
	{
		bound->kind = BOUND_INCLUSIVE;
		bound->ts = DatumGetTimestampTz(inclusive_value);
	}
	else if (excluded == KNOWN_VALUE)
	{
		bound->kind = BOUND_EXCLUSIVE;
		bound->ts = DatumGetTimestampTz(exclusive_value);
	}
	else
		*unknown = (included == UNKNOWN || excluded == UNKNOWN);

	return true;
}

/*
 * The number of datapoints of a stream between two bounds: a guess for those
 * in blocks, and those in the head.
 */
static double
EstimateDatapoints(const StreamDef *def, TimeBound start, TimeBound end)
{
	TimeRange	range = RequestedRange(def, def->highest, start, end);
	DataBlock  *head_rows = ReadHeadRows(&def->id, CurrentMemoryContext);
	int			in_head = BlockUpperBound(head_rows, range.to) - BlockLowerBound(head_rows, range.from);

	return EstimateBlockRows(&def->id, def->highest, range.from, range.to) + Max(in_head, 0);
}

/*
 * The number of rows of a stream at a granularity between two bounds; false if
 * the stream is not there for the current role.
 */
static bool
EstimateRange(const pg_uuid_t *id, Granularity wanted, TimeBound start, TimeBound end, double *rows)
{
	StreamDef	def;
	Granularity level;
	TimeRange	buckets;
	bool		found;

	BeginReadSnapshot(TABLE_STREAMS);
	found = LoadStream(id, &def, true, CurrentMemoryContext);
	EndReadSnapshot();
	if (!found)
		return false;

	level = Max(wanted, def.highest);
	if (!StoreIsReadable(level))
		return false;

	BeginReadSnapshot(TABLE_HEADS | TABLE_PROGRESS | TABLE_OF_LEVEL(level));
	if (level == def.highest)
		*rows = EstimateDatapoints(&def, start, end);
	else if (RequestedBuckets(&def, level, start, end, &buckets))
		*rows = (double) BucketsBetween(level, buckets.from, buckets.to) + 1;
	else
		*rows = 0;
	EndReadSnapshot();

	return true;
}

/*
 * Sets the number of rows of a call, if stream and granularity are known.
 */
static bool
EstimateRows(SupportRequestRows *request)
{
	Datum		stream_id;
	Datum		granularity;
	Granularity wanted;
	TimeBound	start;
	TimeBound	end;
	bool		start_unknown;
	bool		end_unknown;
	double		rows;
	bool		found;

	if (request->node == NULL || !IsA(request->node, FuncExpr) ||
		list_length(((FuncExpr *) request->node)->args) <= QUERY_ARG_END_EXCLUSIVE)
		return false;

	if (KnownArgument(request, QUERY_ARG_STREAM_ID, UUIDOID, &stream_id) != KNOWN_VALUE ||
		KnownArgument(request, QUERY_ARG_GRANULARITY, TEXTOID, &granularity) != KNOWN_VALUE ||
		!FindGranularity(TextDatumGetCString(granularity), &wanted) ||
		!KnownBound(request, QUERY_ARG_START, QUERY_ARG_START_EXCLUSIVE, &start, &start_unknown) ||
		!KnownBound(request, QUERY_ARG_END, QUERY_ARG_END_EXCLUSIVE, &end, &end_unknown))
		return false;

	if (!IsTransactionState() || !ActiveSnapshotSet() || IsParallelWorker() ||
		!StoreIsReadable(wanted))
		return false;

	SPI_connect();
	found = EstimateRange(DatumGetUUIDP(stream_id), wanted, start, end, &rows);
	SPI_finish();
	if (!found)
		return false;

	/* Bounds to come select as much as the planner supposes everywhere. */
	if (start_unknown && end_unknown)
		rows *= DEFAULT_RANGE_INEQ_SEL;
	else if (start_unknown || end_unknown)
		rows *= DEFAULT_INEQ_SEL;
	request->rows = rows;

	return true;
}

/*
 * ds_rows_support(internal) returns internal
 *
 * Planner support function of ds_get_data and ds_get_series.
 */
Datum
ds_rows_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	Node	   *answer = NULL;

	rows_support_function = fcinfo->flinfo->fn_oid;
	if (IsA(request, SupportRequestRows) && EstimateRows((SupportRequestRows *) request))
		answer = request;

	PG_RETURN_POINTER(answer);
}
