/*-------------------------------------------------------------------------
 *
 * maintenance.c
 *	  Downsampling and backprocessing of many streams, and deleting what they
 *	  keep no longer.
 *
 * Each stream is a subtransaction: an error in one is reported as a warning
 * and leaves the others alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "closing.h"
#include "compat.h"
#include "derive.h"
#include "downsample.h"
#include "errors.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "plans.h"
#include "query.h"
#include "read_only.h"
#include "retention.h"
#include "srf.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(ds_downsample_streams);
PG_FUNCTION_INFO_V1(ds_backprocess_streams);
PG_FUNCTION_INFO_V1(ds_apply_retention);

/* Blocks of a granularity that are deleted at once */
#define DELETED_BLOCKS	1000

/* Work on one stream; returns whether there was anything to do. */
typedef bool (*StreamWork) (const pg_uuid_t *id, void *state);

/* What ds_downsample_streams() has been asked for */
typedef struct DownsampleRequest
{
	DownsampleLimits limits;
	bool		due_only;		/* what is not due has nothing to be closed */
	ReturnSetInfo *result;		/* for the new datapoints, or NULL */
	FmgrInfo   *filter;			/* or NULL */
	int			skipped;		/* streams that others work on */
} DownsampleRequest;

/* The derived streams that ds_backprocess_streams() has been asked for */
typedef struct BackprocessRequest
{
	pg_uuid_t  *ids;			/* sorted */
	bool	   *done;
	int			nids;
	int64		count;
} BackprocessRequest;

/*
 * Whether an error must end the statement, and not just the work on one
 * stream: it was cancelled, the server stops, the transaction must be tried
 * again or may not write, or resources have run out.
 */
static bool
ErrorEndsStatement(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return category == ERRCODE_OPERATOR_INTERVENTION ||
		category == ERRCODE_TRANSACTION_ROLLBACK ||
		category == ERRCODE_INVALID_TRANSACTION_STATE ||
		category == ERRCODE_INSUFFICIENT_RESOURCES;
}

/*
 * Does work on a stream in a subtransaction with an SPI connection of its own.
 * An error is reported as a warning, that the stream could not be "verb"ed.
 */
static bool
WorkOnStream(const pg_uuid_t *id, StreamWork work, void *state, const char *verb)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool done = false;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		SPI_connect();
		done = work(id, state);
		SPI_finish();

		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();

		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;

		if (ErrorEndsStatement(error->sqlerrcode))
			ReThrowError(error);

		done = false;
		ereport(WARNING,
				(errcode(ERRCODE_DS_WARNING),
				 errmsg("could not %s stream \"%s\": %s", verb, StreamIdToString(id), error->message),
				 error->detail ? errdetail("%s", error->detail) : 0,
				 error->hint ? errhint("%s", error->hint) : 0));
		FreeErrorData(error);
	}
	PG_END_TRY();

	return done;
}

/*
 * Looks up the function that chooses streams: of a uuid, giving a boolean, and
 * one that the caller may execute.
 */
static FmgrInfo *
LookUpFilter(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	FmgrInfo   *filter;
	AclResult	acl;
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function with OID %u does not exist", function)));
	form = (Form_pg_proc) GETSTRUCT(tuple);
	name = pstrdup(NameStr(form->proname));

	if (form->prokind != PROKIND_FUNCTION || form->proretset || form->prorettype != BOOLOID ||
		form->pronargs != 1 || form->proargtypes.values[0] != UUIDOID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("function \"%s\" cannot filter streams", name),
				 errdetail("It must take a uuid and return a boolean.")));
	ReleaseSysCache(tuple);

	acl = FunctionAclCheck(function, GetUserId(), ACL_EXECUTE);
	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_FUNCTION, name);
	InvokeFunctionExecuteHook(function);

	filter = palloc(sizeof(FmgrInfo));
	fmgr_info(function, filter);

	return filter;
}

/*
 * Returns the closed buckets of a level.
 */
static void
ReturnClosed(const StreamDef *def, Granularity level, const BucketRange *range, ReturnSetInfo *result)
{
	if (range->from != STREAM_TIME_NONE)
		ReturnBuckets(def, level, range->from, range->to, result);
}

/*
 * Downsamples one stream as requested.
 */
static bool
DownsampleOne(const pg_uuid_t *id, void *state)
{
	DownsampleRequest *request = state;
	StreamDef	def;
	ClosedBuckets closed;

	if (request->filter != NULL)
	{
		LOCAL_FCINFO(fcinfo, 1);
		bool		chosen;

		InitFunctionCallInfoData(*fcinfo, request->filter, 1, InvalidOid, NULL, NULL);
		fcinfo->args[0].value = UUIDPGetDatum(id);
		fcinfo->args[0].isnull = false;
		chosen = DatumGetBool(FunctionCallInvoke(fcinfo));
		if (fcinfo->isnull || !chosen)
			return false;
	}

	if (request->due_only && !StreamIsDue(id))
		return false;

	switch (DownsampleStream(id, &request->limits, &def, &closed))
	{
		case DOWNSAMPLE_NOTHING:
			return false;
		case DOWNSAMPLE_SKIPPED:
			/* The others may be done with it by now, or have deleted it. */
			if (!request->due_only || StreamIsDue(id))
				request->skipped++;
			return false;
		case DOWNSAMPLE_DONE:
			break;
	}

	if (request->result != NULL)
	{
		BeginLatestSnapshot();
		for (int level = def.highest + 1; level < GRANULARITY_COUNT; level++)
		{
			ReturnClosed(&def, (Granularity) level, &closed.front[level], request->result);
			ReturnClosed(&def, (Granularity) level, &closed.next[level], request->result);
		}
		EndLatestSnapshot();
	}

	return true;
}

/*
 * ds_downsample_streams(query_tags jsonb, until timestamptz,
 * return_datapoints boolean, filter_stream regprocedure, close_last boolean)
 * returns setof (stream_id uuid, granularity text, t timestamptz, v jsonb,
 * times jsonb)
 *
 * Closes the buckets of the matching streams that end at or before "until"
 * (null: now), at all lower granularities, and returns them if asked to.  With
 * "close_last" also those that nothing has come after.  Streams that others work
 * on are skipped, with a notice that says how many.
 */
Datum
ds_downsample_streams(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = InitMaterializedResult(fcinfo);
	DownsampleRequest request = {0};
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz until = PG_ARGISNULL(1) ? now : PG_GETARG_TIMESTAMPTZ(1);
	MemoryContext context;
	pg_uuid_t  *ids;
	int			nids;

	RefuseReadOnly("ds_downsample_streams()");

	/* What will be due in time to come is closed if that is asked for; version 0.1.0 has four arguments. */
	request.limits.until = StreamTimeFromTimestampClamped(until);
	request.limits.close_last = PG_NARGS() > 4 && !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	request.due_only = !request.limits.close_last && until <= now;
	if (!PG_ARGISNULL(2) && PG_GETARG_BOOL(2))
		request.result = result;
	if (!PG_ARGISNULL(3))
		request.filter = LookUpFilter(PG_GETARG_OID(3));

	SPI_connect();
	FindStreamIds(PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0), true, &ids, &nids);

	context = AllocSetContextCreate(CurrentMemoryContext, "datastream maintenance",
									ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < nids; i++)
	{
		MemoryContext old_context = MemoryContextSwitchTo(context);

		CHECK_FOR_INTERRUPTS();
		WorkOnStream(&ids[i], DownsampleOne, &request, "downsample");
		MemoryContextSwitchTo(old_context);
		MemoryContextReset(context);
	}
	SPI_finish();

	if (request.skipped > 0)
		ereport(NOTICE,
				(errmsg_plural("skipped %d stream that others are working on",
							   "skipped %d streams that others are working on",
							   request.skipped, request.skipped)));

	PG_RETURN_VOID();
}

static bool
BackprocessOne(const pg_uuid_t *id, void *state)
{
	return DeriveStream(id, 0, true, NULL) != DERIVE_NOTHING;
}

/*
 * The ids of the streams that a stream derives from.
 */
static pg_uuid_t *
SourceIds(const pg_uuid_t *id, int *nids)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID};
	Datum		values[1];
	pg_uuid_t  *ids;

	values[0] = UUIDPGetDatum(id);
	RunSavedQuery(&slot,
				  "SELECT source_id FROM datastream.sources"
				  " WHERE stream_id OPERATOR(pg_catalog.=) $1 ORDER BY \"position\"",
				  1, argtypes, values, NULL, false);

	*nids = (int) SPI_processed;
	ids = palloc(sizeof(pg_uuid_t) * (*nids + 1));
	for (int i = 0; i < *nids; i++)
	{
		bool		isnull;

		ids[i] = *DatumGetUUIDP(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);

	return ids;
}

/*
 * Whether a stream is a derived one.
 */
static bool
IsDerived(const pg_uuid_t *id)
{
	StreamDef	def;

	return LoadStream(id, &def, true, CurrentMemoryContext) && def.derive_op >= 0;
}

/*
 * Backprocesses a stream of the request, its sources among them first.
 */
static void
BackprocessWithSources(BackprocessRequest *request, const pg_uuid_t *id)
{
	pg_uuid_t  *found = bsearch(id, request->ids, request->nids, sizeof(pg_uuid_t), CompareStreamIds);
	pg_uuid_t  *sources;
	int			nsources;

	if (found == NULL || request->done[found - request->ids])
		return;
	request->done[found - request->ids] = true;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();

	sources = SourceIds(id, &nsources);
	for (int i = 0; i < nsources; i++)
		BackprocessWithSources(request, &sources[i]);

	if (WorkOnStream(id, BackprocessOne, NULL, "backprocess"))
		request->count++;
	pfree(sources);
}

/*
 * ds_backprocess_streams(query_tags jsonb) returns bigint
 *
 * Brings the matching derived streams up to date with their sources, puts right
 * what differs from what these give, and returns how many streams were not as they
 * should be.
 */
Datum
ds_backprocess_streams(PG_FUNCTION_ARGS)
{
	BackprocessRequest request = {0};
	pg_uuid_t  *ids;
	int			nids;

	RefuseReadOnly("ds_backprocess_streams()");

	SPI_connect();
	FindStreamIds(PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0), true, &ids, &nids);

	request.ids = palloc(sizeof(pg_uuid_t) * (nids + 1));
	for (int i = 0; i < nids; i++)
	{
		if (IsDerived(&ids[i]))
			request.ids[request.nids++] = ids[i];
	}
	request.done = palloc0(sizeof(bool) * (request.nids + 1));
	qsort(request.ids, request.nids, sizeof(pg_uuid_t), CompareStreamIds);
	LockDerivedStreams(request.ids, request.nids, false);

	for (int i = 0; i < request.nids; i++)
		BackprocessWithSources(&request, &request.ids[i]);
	SPI_finish();

	PG_RETURN_INT64(request.count);
}

/*
 * Deletes all that a stream keeps no longer.
 */
static bool
ApplyRetentionOne(const pg_uuid_t *id, void *state)
{
	int64	   *datapoints = state;
	RetentionOutcome outcome;
	int64		deleted = 0;

	do
	{
		CHECK_FOR_INTERRUPTS();
		outcome = ApplyRetention(id, true, DELETED_BLOCKS, &deleted);
	} while (outcome == RETENTION_MORE);
	*datapoints += deleted;

	return deleted > 0;
}

/*
 * ds_apply_retention() returns bigint
 *
 * Deletes what has expired in all streams, and returns how many datapoints
 * that were, at whatever granularity.
 */
Datum
ds_apply_retention(PG_FUNCTION_ARGS)
{
	int64		datapoints = 0;
	MemoryContext context;
	pg_uuid_t  *ids;
	int			nids;

	RefuseReadOnly("ds_apply_retention()");

	SPI_connect();
	FindExpired(&ids, &nids);
	LockStreams(ids, nids, false);

	context = AllocSetContextCreate(CurrentMemoryContext, "datastream maintenance",
									ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < nids; i++)
	{
		MemoryContext old_context = MemoryContextSwitchTo(context);

		WorkOnStream(&ids[i], ApplyRetentionOne, &datapoints, "delete expired datapoints of");
		MemoryContextSwitchTo(old_context);
		MemoryContextReset(context);
	}
	SPI_finish();

	PG_RETURN_INT64(datapoints);
}
