/*-------------------------------------------------------------------------
 *
 * worker_pass.c
 *	  A worker's pass over what is due in its database.
 *
 * Each kind of work has a query that finds the streams that are due by an
 * index, and a function that does the work on one of them.  Streams are worked
 * on in small batches, a transaction each, so that nobody waits long for the
 * locks.  Workers side by side skip what others have locked.
 *
 * An error undoes its batch.  The streams of that batch are then worked on one
 * by one, and the one that fails is recorded in datastream.failures and left
 * alone for a while that doubles each time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "derive.h"
#include "downsample.h"
#include "errors.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "plans.h"
#include "portability/instr_time.h"
#include "retention.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "wakeup.h"
#include "worker_pass.h"

/* A batch ends after so many streams, */
#define BATCH_STREAMS		64

/* or after about this time. */
#define BATCH_TIME			5000	/* µs */

/* Blocks of datapoints of one stream that are downsampled, or derived from, at once */
#define DOWNSAMPLE_BLOCKS	64
#define DERIVE_BLOCKS		16

/* Blocks of one granularity of a stream that are deleted at once */
#define RETENTION_BLOCKS	500

/* A pass with more streams than that gets helpers. */
#define HELPED_STREAMS		200

/* Streams that are due are counted up to this. */
#define COUNTED_STREAMS		100000

/* A pass ends after this time, at least. */
#define PASS_TIME			10000	/* ms */

/* What is being done is written down that often. */
#define STATUS_INTERVAL		250		/* ms */

/* Passes that are kept in datastream.runs */
#define KEPT_RUNS			"1000"

/* A stream that failed is tried again after an hour at the latest. */
#define RETRY_PAUSE_MAX		3600	/* s */

/* A stream that is due, and its place in the order in which the query finds them */
typedef struct DueStream
{
	TimestampTz at;
	pg_uuid_t	id;
	bool		failed;			/* when it was tried last */
} DueStream;

typedef struct Batch
{
	TimestampTz now;			/* when the sweep began: what becomes due
								 * meanwhile is for the next one */
	DueStream	last;			/* the last one that is done with */
	int			limit;
	int			count;
	int			current;		/* the one in work */
	DueStream	streams[BATCH_STREAMS];
} Batch;

typedef struct WorkKind
{
	const char *phase;			/* what datastream.workers shows */
	const char *verb;
	const char *query;			/* the next streams behind ($1, $2), $3 at most,
								 * at the time $4, when those are silent to
								 * which nothing has come since $5, and those
								 * have gathered enough that have been due since
								 * $6: their place, id, and whether they failed
								 * before */
	int			batch;			/* streams to a transaction at most */
	void		(*work) (WorkerPass *pass, const pg_uuid_t *id);
	PlanSlot	slot;
} WorkKind;

/* The stream in work, for the context of an error */
typedef struct WorkContext
{
	const WorkKind *kind;
	const pg_uuid_t *id;
} WorkContext;

#define FAILED(alias) \
	"EXISTS (SELECT 1 FROM datastream.failures f WHERE f.stream_id OPERATOR(pg_catalog.=) " alias ".stream_id)"
#define NOT_NOW(alias) \
	"EXISTS (SELECT 1 FROM datastream.failures f WHERE f.stream_id OPERATOR(pg_catalog.=) " alias ".stream_id" \
	" AND f.retry_at OPERATOR(pg_catalog.>) $4)"

/*
 * Writes what the worker is doing, if it has been a while.
 */
static void
SaveStatus(WorkerPass *pass, const char *phase, bool at_once)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {INT4OID, INT4OID, TEXTOID, INT8OID, INT8OID, TIMESTAMPTZOID};
	TimestampTz now = GetCurrentTimestamp();
	Datum		values[6];

	if (pass->trust->no_status != NULL ||
		(!at_once && !TimestampDifferenceExceeds(pass->status_saved, now, STATUS_INTERVAL)))
		return;

	values[0] = Int32GetDatum(pass->slot);
	values[1] = Int32GetDatum(MyProcPid);
	values[2] = CStringGetTextDatum(phase);
	values[3] = Int64GetDatum(pass->streams_due);
	values[4] = Int64GetDatum(pass->done.streams);
	values[5] = TimestampTzGetDatum(pass->started);
	RunSavedQuery(&slot,
				  "INSERT INTO datastream.worker_slots AS w"
				  " (slot, pid, phase, streams_due, streams_done, started) VALUES ($1, $2, $3, $4, $5, $6)"
				  " ON CONFLICT (slot) DO UPDATE SET pid = $2, phase = $3, streams_due = $4,"
				  " streams_done = $5, started = $6",
				  6, argtypes, values, NULL, false);
	pass->status_saved = now;
}

/*
 * Whether a derived stream still has something to derive.
 */
static bool
StreamIsBehind(const pg_uuid_t *id)
{
	StreamProgress progress;
	bool		behind;

	BeginLatestSnapshot();
	behind = ReadProgress(id, &progress) && progress.behind;
	EndLatestSnapshot();

	return behind;
}

static void
Downsample(WorkerPass *pass, const pg_uuid_t *id, bool check_silent)
{
	DownsampleLimits limits = {
		.until = StreamTimeFromTimestampClamped(GetCurrentTimestamp()),
		.max_blocks = DOWNSAMPLE_BLOCKS,
		.due_only = !check_silent,
		.check_silent = check_silent
	};
	StreamDef	def;
	ClosedBuckets closed;

	if (DownsampleStream(id, &limits, &def, &closed) != DOWNSAMPLE_DONE)
		return;
	pass->done.visits++;
	pass->done.datapoints += closed.datapoints;
	if (closed.more)
		pass->done.unfinished++;
	else
		pass->done.streams++;
}

static void
DownsampleDue(WorkerPass *pass, const pg_uuid_t *id)
{
	Downsample(pass, id, false);
}

static void
CloseSilent(WorkerPass *pass, const pg_uuid_t *id)
{
	Downsample(pass, id, true);
}

static void
DeriveBehind(WorkerPass *pass, const pg_uuid_t *id)
{
	DeriveOutcome outcome;

	if (!LockDerivedStreams(id, 1, true) || !StreamIsBehind(id))
		return;

	outcome = DeriveStream(id, DERIVE_BLOCKS, false, &pass->done.datapoints);
	pass->done.visits++;
	if (outcome != DERIVE_MORE)
		pass->done.streams++;

	/* What has been derived is to be downsampled, and other streams may wait for it. */
	if (outcome != DERIVE_NOTHING)
		pass->done.unfinished++;
}

static void
DeleteExpired(WorkerPass *pass, const pg_uuid_t *id)
{
	RetentionOutcome outcome = ApplyRetention(id, false, RETENTION_BLOCKS, &pass->done.datapoints);

	if (outcome == RETENTION_NOTHING)
		return;
	pass->done.visits++;
	if (outcome == RETENTION_MORE)
		pass->done.unfinished++;
	else
		pass->done.streams++;
}

static WorkKind work_kinds[] = {
	{
		"downsampling", "downsample",
		"SELECT h.due_since, h.stream_id, " FAILED("h") " FROM datastream.heads h"
		" WHERE h.due AND h.due_since OPERATOR(pg_catalog.<=) $6"
		" AND ROW(h.due_since, h.stream_id) OPERATOR(pg_catalog.>) ROW($1, $2) AND NOT " NOT_NOW("h")
		" ORDER BY h.due_since, h.stream_id LIMIT $3",
		BATCH_STREAMS, DownsampleDue
	},
	{
		"deriving", "derive",
		"SELECT NULL::pg_catalog.timestamptz, p.stream_id, " FAILED("p") " FROM datastream.progress p"
		" WHERE p.behind AND p.stream_id OPERATOR(pg_catalog.>) $2 AND NOT " NOT_NOW("p")
		" AND NOT EXISTS (SELECT 1 FROM datastream.sources d JOIN datastream.progress q"
		" ON q.stream_id OPERATOR(pg_catalog.=) d.source_id"
		" WHERE d.stream_id OPERATOR(pg_catalog.=) p.stream_id AND q.pending_backprocess)"
		" ORDER BY p.stream_id LIMIT $3",
		1, DeriveBehind
	},
	{
		"closing silent streams", "close the last buckets of",
		"SELECT h.check_at, h.stream_id, " FAILED("h") " FROM datastream.heads h"
		" WHERE h.check_at IS NOT NULL AND NOT h.due"
		" AND h.check_at OPERATOR(pg_catalog.<=) $5"
		" AND ROW(h.check_at, h.stream_id) OPERATOR(pg_catalog.>) ROW($1, $2) AND NOT " NOT_NOW("h")
		" ORDER BY h.check_at, h.stream_id LIMIT $3",
		BATCH_STREAMS, CloseSilent
	},
	{
		"retention", "delete expired datapoints of",
		"SELECT r.check_at, r.stream_id, " FAILED("r") " FROM datastream.retention r"
		" WHERE r.check_at OPERATOR(pg_catalog.<=) $4"
		" AND ROW(r.check_at, r.stream_id) OPERATOR(pg_catalog.>) ROW($1, $2) AND NOT " NOT_NOW("r")
		" ORDER BY r.check_at, r.stream_id LIMIT $3 FOR UPDATE OF r SKIP LOCKED",
		BATCH_STREAMS, DeleteExpired
	}
};

/*
 * Adds the stream in work to the context of an error.
 */
static void
AddErrorContext(void *arg)
{
	WorkContext *context = arg;

	if (context->id != NULL)
		errcontext("datastream worker trying to %s stream \"%s\"", context->kind->verb,
				   StreamIdToString(context->id));
}

/*
 * Finds the next streams that are due.
 */
static void
FindDue(WorkKind *kind, Batch *batch)
{
	static const Oid argtypes[] = {TIMESTAMPTZOID, UUIDOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[6];

	values[0] = TimestampTzGetDatum(batch->last.at);
	values[1] = UUIDPGetDatum(&batch->last.id);
	values[2] = Int64GetDatum(Min(batch->limit, kind->batch));
	values[3] = TimestampTzGetDatum(batch->now);
	values[4] = TimestampTzGetDatum(TimestampTzPlusMilliseconds(batch->now, -close_after * INT64CONST(1000)));
	values[5] = TimestampTzGetDatum(TimestampTzPlusMilliseconds(batch->now, -close_delay * INT64CONST(1000)));
	batch->count = (int) RunSavedQuery(&kind->slot, kind->query, 6, argtypes, values, NULL, false);
	for (int i = 0; i < batch->count; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		DueStream  *stream = &batch->streams[i];
		bool		isnull;

		stream->at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 1, &isnull));
		if (isnull)
			stream->at = DT_NOBEGIN;
		stream->id = *DatumGetUUIDP(SPI_getbinval(tuple, desc, 2, &isnull));
		stream->failed = DatumGetBool(SPI_getbinval(tuple, desc, 3, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
}

/*
 * Forgets that a kind of work on a stream has failed.
 */
static void
ForgetFailure(const WorkKind *kind, const pg_uuid_t *id)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID, TEXTOID};
	Datum		values[2];

	values[0] = UUIDPGetDatum(id);
	values[1] = CStringGetTextDatum(kind->phase);
	RunSavedQuery(&slot,
				  "DELETE FROM datastream.failures"
				  " WHERE stream_id OPERATOR(pg_catalog.=) $1 AND phase OPERATOR(pg_catalog.=) $2",
				  2, argtypes, values, NULL, false);
}

/*
 * Forgets the failures of streams that should have been tried again in this
 * pass, and were not: somebody else has done the work.
 */
static void
ForgetOldFailures(const WorkerPass *pass)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {TIMESTAMPTZOID};
	Datum		values[1];

	values[0] = TimestampTzGetDatum(pass->started);
	RunSavedQuery(&slot,
				  "DELETE FROM datastream.failures f WHERE f.stream_id OPERATOR(pg_catalog.=) ANY (ARRAY("
				  "SELECT g.stream_id FROM datastream.failures g WHERE g.retry_at OPERATOR(pg_catalog.<=) $1"
				  " FOR UPDATE SKIP LOCKED))",
				  1, argtypes, values, NULL, false);
}

/*
 * Works on the next batch of streams, in a transaction.  Returns false if there
 * are none, or if the worker is to leave.
 */
static bool
WorkOnBatch(WorkerPass *pass, WorkKind *kind, Batch *batch)
{
	WorkContext work = {kind, NULL};
	ErrorContextCallback error_context = {error_context_stack, AddErrorContext, &work};
	MemoryContext context;
	instr_time	start;

	batch->count = batch->current = 0;
	if (!BeginWork(pass))
		return false;

	error_context_stack = &error_context;
	FindDue(kind, batch);
	context = AllocSetContextCreate(CurrentMemoryContext, "datastream worker", ALLOCSET_DEFAULT_SIZES);
	INSTR_TIME_SET_CURRENT(start);
	while (batch->current < batch->count)
	{
		DueStream  *stream = &batch->streams[batch->current];
		MemoryContext old_context = MemoryContextSwitchTo(context);
		instr_time	now;

		CHECK_FOR_INTERRUPTS();
		work.id = &stream->id;
		if (pass->trust->no_writing != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("%s", pass->trust->no_writing),
					 errdetail("Workers run no code of roles that are not superusers.")));
		kind->work(pass, &stream->id);
		if (stream->failed)
			ForgetFailure(kind, &stream->id);
		work.id = NULL;

		MemoryContextSwitchTo(old_context);
		MemoryContextReset(context);
		batch->current++;

		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, start);
		if (INSTR_TIME_GET_MICROSEC(now) > BATCH_TIME)
			break;
	}
	SaveStatus(pass, kind->phase, false);
	error_context_stack = error_context.previous;
	EndWork(pass);

	if (batch->current == 0)
		return false;

	/* The next batch is to take as long as this one should have. */
	batch->limit = batch->current < batch->count ? batch->current : Min(batch->limit * 2, BATCH_STREAMS);
	batch->last = batch->streams[batch->current - 1];

	return true;
}

/*
 * Records that the work on a stream has failed.
 */
static void
RecordFailure(WorkerPass *pass, const WorkKind *kind, const pg_uuid_t *id, const ErrorData *error)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID, TEXTOID, TIMESTAMPTZOID, FLOAT8OID, FLOAT8OID, TEXTOID, TEXTOID};
	Datum		values[7];

	if (!BeginWork(pass))
		return;

	values[0] = UUIDPGetDatum(id);
	values[1] = CStringGetTextDatum(kind->phase);
	values[2] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[3] = Float8GetDatum(worker_naptime);
	values[4] = Float8GetDatum(RETRY_PAUSE_MAX);
	values[5] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
	values[6] = CStringGetTextDatum(error->message);

#define PAUSE(failures) \
	"$3 OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => LEAST($5, $4" \
	" OPERATOR(pg_catalog.*) pg_catalog.power(2, " failures ")))"

	RunSavedQuery(&slot,
				  "INSERT INTO datastream.failures AS f"
				  " (stream_id, phase, failures, failed_at, retry_at, sqlstate, message)"
				  " SELECT h.stream_id, $2, 1, $3, " PAUSE("1") ", $6, $7 FROM datastream.heads h"
				  " WHERE h.stream_id OPERATOR(pg_catalog.=) $1"
				  " ON CONFLICT (stream_id) DO UPDATE SET phase = $2, failures = f.failures OPERATOR(pg_catalog.+) 1,"
				  " failed_at = $3, retry_at = " PAUSE("LEAST(f.failures, 20) OPERATOR(pg_catalog.+) 1")
				  ", sqlstate = $6, message = $7",
				  7, argtypes, values, NULL, false);
	EndWork(pass);
}

/*
 * Whether an error says that somebody wants the worker to stop.
 */
static bool
ErrorIsIntervention(int sqlerrcode)
{
	return ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION;
}

/*
 * Whether an error may not be that of a stream alone: resources have run out,
 * or the system fails.
 */
static bool
ErrorIsGeneral(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return category == ERRCODE_INSUFFICIENT_RESOURCES || category == ERRCODE_SYSTEM_ERROR;
}

/*
 * Whether an error says that others were in the way, so that the stream is
 * tried again in the next pass.
 */
static bool
ErrorIsContention(int sqlerrcode)
{
	return ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_TRANSACTION_ROLLBACK ||
		sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE || sqlerrcode == ERRCODE_DS_STREAM_APPEND_CONTENDED;
}

/*
 * Whether the streams of a batch are to be tried again one by one after an
 * error: which of them has failed must be seen without the others, which must
 * not suffer.
 */
static bool
BatchIsRepeated(const Batch *batch, int sqlerrcode)
{
	return batch->current > 0 && batch->current < batch->count &&
		!ErrorIsIntervention(sqlerrcode) && !ErrorIsGeneral(sqlerrcode);
}

/*
 * Whether an error belongs into the server's log.  One that all streams share
 * is there once in a pass.
 */
static bool
ErrorIsReported(WorkerPass *pass, const Batch *batch, const ErrorData *error)
{
	bool		logged = pass->distrust_logged;

	if (ErrorIsContention(error->sqlerrcode) || BatchIsRepeated(batch, error->sqlerrcode))
		return false;
	if (pass->trust->no_writing == NULL || strcmp(error->message, pass->trust->no_writing) != 0)
		return true;
	pass->distrust_logged = true;

	return !logged;
}

/*
 * Deals with an error, after its transaction has been aborted: sees to it that
 * the stream that has failed is left alone.  After one that others may share,
 * the pass ends; the next one begins with another stream.
 */
static void
HandleFailure(WorkerPass *pass, WorkKind *kind, Batch *batch, ErrorData *error)
{
	batch->limit = 1;
	if (BatchIsRepeated(batch, error->sqlerrcode))
		return;

	if (batch->current >= batch->count || ErrorIsIntervention(error->sqlerrcode))
	{
		pass->errors++;
		pass->leave = true;
		return;
	}

	batch->last = batch->streams[batch->current];
	if (ErrorIsContention(error->sqlerrcode))
		return;
	pass->errors++;
	RecordFailure(pass, kind, &batch->last.id, error);
	if (ErrorIsGeneral(error->sqlerrcode))
		pass->leave = true;
}

/*
 * Works on all streams that are due for a kind of work, in small batches.
 */
static void
Sweep(WorkerPass *pass, WorkKind *kind)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "datastream sweep",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	Batch	   *batch = palloc0(sizeof(Batch));
	volatile bool more = true;

	batch->now = GetCurrentTimestamp();
	batch->last.at = DT_NOBEGIN;
	batch->limit = 8;
	pgstat_report_activity(STATE_RUNNING, psprintf("datastream: %s", kind->phase));

	while (more && !pass->leave && workers_enabled)
	{
		ErrorContextCallback *previous = error_context_stack;
		PassCounts	before = pass->done;

		PG_TRY();
		{
			more = WorkOnBatch(pass, kind, batch);
		}
		PG_CATCH();
		{
			ErrorData  *error;

			HOLD_INTERRUPTS();
			error_context_stack = previous;
			MemoryContextSwitchTo(context);
			error = CopyErrorData();
			if (ErrorIsReported(pass, batch, error))
				EmitErrorReport();
			AbortOutOfAnyTransaction();
			FlushErrorState();
			RESUME_INTERRUPTS();

			/* What the batch has done is undone. */
			MemoryContextSwitchTo(context);
			pass->done = before;
			HandleFailure(pass, kind, batch, error);
			FreeErrorData(error);
		}
		PG_END_TRY();
		MemoryContextSwitchTo(context);
	}

	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}

/*
 * Counts the streams that are due, up to COUNTED_STREAMS.
 */
static int64
CountDue(void)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {INT8OID, TIMESTAMPTZOID};
	Datum		values[2];
	bool		isnull;
	int64		count;

	values[0] = Int64GetDatum(COUNTED_STREAMS);
	values[1] = TimestampTzGetDatum(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), -close_delay * INT64CONST(1000)));
	RunSavedQuery(&slot,
				  "SELECT pg_catalog.count(*) FROM"
				  " ((SELECT h.stream_id FROM datastream.heads h WHERE h.due AND h.due_since OPERATOR(pg_catalog.<=) $2 LIMIT $1)"
				  " UNION ALL (SELECT p.stream_id FROM datastream.progress p WHERE p.behind LIMIT $1)) d",
				  2, argtypes, values, NULL, false);
	count = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);

	return count;
}

/*
 * Records a pass that had something to do, and forgets old ones.
 */
static void
RecordRun(WorkerPass *pass)
{
	static PlanSlot insert_slot;
	static PlanSlot delete_slot;
	static const Oid argtypes[] = {INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID};
	Datum		values[6];
	bool		isnull;

	if (pass->trust->no_runs != NULL || (pass->done.visits == 0 && pass->errors == 0))
		return;

	values[0] = Int32GetDatum(MyProcPid);
	values[1] = TimestampTzGetDatum(pass->started);
	values[2] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[3] = Int64GetDatum(pass->done.streams);
	values[4] = Int64GetDatum(pass->done.datapoints);
	values[5] = Int64GetDatum(pass->errors);
	RunSavedQuery(&insert_slot,
				  "INSERT INTO datastream.runs (pid, started, duration, streams, datapoints, errors)"
				  " VALUES ($1, $2, $3 OPERATOR(pg_catalog.-) $2, $4, $5, $6) RETURNING run_id",
				  6, argtypes, values, NULL, false);
	values[0] = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	RunSavedQuery(&delete_slot,
				  "DELETE FROM datastream.runs WHERE run_id OPERATOR(pg_catalog.<=) ($1 OPERATOR(pg_catalog.-) " KEPT_RUNS ")",
				  1, (Oid[]) {INT8OID}, values, NULL, false);
	elog(DEBUG1, "datastream worker has done " INT64_FORMAT " streams, " INT64_FORMAT " datapoints, " INT64_FORMAT " errors",
		 pass->done.streams, pass->done.datapoints, pass->errors);
}

/*
 * Has other workers started for the free slots.
 */
static void
StartHelpers(WorkerPass *pass)
{
	WorkerArguments arguments = {MyDatabaseId, true, false};

	for (int slot = 2; slot <= max_workers; slot++)
	{
		if (!TryWorkerSlot(pass->extension, slot))
			continue;
		FreeWorkerSlot(pass->extension, slot);
		if (!StartWorker(&arguments, NULL))
			break;
	}
}

/*
 * Makes a pass over all that is due.  Returns whether there was anything to do.
 * With "leave" set, it has ended before it was through.
 */
bool
RunPass(WorkerPass *pass)
{
	bool		helped = pass->helper;

	pass->started = GetCurrentTimestamp();
	pass->done = (PassCounts) {0};
	pass->errors = 0;
	pass->distrust_logged = false;
	if (!BeginWork(pass))
		return false;
	pass->streams_due = CountDue();
	SaveStatus(pass, "starting", true);
	EndWork(pass);

	if (!helped && pass->streams_due > HELPED_STREAMS)
	{
		StartHelpers(pass);
		helped = true;
	}

	/* What could not be done at once comes again, as long as there is time. */
	do
	{
		pass->done.unfinished = 0;
		for (int i = 0; i < lengthof(work_kinds) && !pass->leave; i++)
			Sweep(pass, &work_kinds[i]);

		if (!helped && pass->done.unfinished > 1)
		{
			StartHelpers(pass);
			helped = true;
		}
	} while (pass->done.unfinished > 0 && !pass->leave && workers_enabled &&
			 !TimestampDifferenceExceeds(pass->started, GetCurrentTimestamp(), PASS_TIME));

	if (!BeginWork(pass))
		return pass->done.visits > 0;
	SaveStatus(pass, "idle", true);
	if (!pass->leave && !pass->helper && workers_enabled)
		ForgetOldFailures(pass);
	RecordRun(pass);
	EndWork(pass);

	return pass->done.visits > 0;
}

/*
 * When there will be something to do, as far as is known; DT_NOEND for never.
 */
TimestampTz
NextWork(WorkerPass *pass)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {FLOAT8OID, TIMESTAMPTZOID, FLOAT8OID};
	TimestampTz next = DT_NOEND;
	Datum		values[3];
	Datum		result;
	bool		isnull;

	if (!BeginWork(pass))
		return GetCurrentTimestamp();

	values[0] = Float8GetDatum(close_after);
	values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[2] = Float8GetDatum(close_delay);
#define READY(alias) \
	"NOT EXISTS (SELECT 1 FROM datastream.failures f WHERE f.stream_id OPERATOR(pg_catalog.=) " alias ".stream_id)"
	RunSavedQuery(&slot,
				  "SELECT LEAST("
				  "(SELECT h.due_since OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $3)"
				  " FROM datastream.heads h WHERE h.due AND " READY("h")
				  " ORDER BY h.due_since, h.stream_id LIMIT 1),"
				  "(SELECT $2 FROM datastream.progress p WHERE p.behind AND " READY("p") " LIMIT 1),"
				  "(SELECT h.check_at OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => $1)"
				  " FROM datastream.heads h WHERE h.check_at IS NOT NULL AND NOT h.due AND " READY("h")
				  " ORDER BY h.check_at, h.stream_id LIMIT 1),"
				  /* which can be committed at any time */
				  "(SELECT $2 FROM pg_catalog.pg_prepared_xacts x"
				  " WHERE x.database OPERATOR(pg_catalog.=) pg_catalog.current_database() LIMIT 1),"
				  "(SELECT r.check_at FROM datastream.retention r WHERE " READY("r")
				  " ORDER BY r.check_at, r.stream_id LIMIT 1),"
				  "(SELECT f.retry_at FROM datastream.failures f ORDER BY f.retry_at LIMIT 1))",
				  3, argtypes, values, NULL, false);
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
		next = DatumGetTimestampTz(result);
	EndWork(pass);

	return next;
}
