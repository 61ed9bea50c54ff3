/*-------------------------------------------------------------------------
 *
 * store.c
 *	  Heads and progress of streams in tables, and the way of datapoints from
 *	  heads into blocks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "errors.h"
#include "miscadmin.h"
#include "plans.h"
#include "store.h"
#include "store_head.h"
#include "store_pending.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "wakeup.h"

/* Attributes of the query of LockStream(), behind STREAM_DEF_COLUMNS */
#define LOCK_LATEST			8
#define LOCK_CLOSE_AT		9
#define LOCK_CHECK_AT		10
#define LOCK_DUE			11
#define LOCK_UNDELIVERED	12
#define LOCK_CONTRIBUTES	13
#define LOCK_HEAD			14
#define LOCK_DUE_SINCE		15
#define LOCK_VERSION		16

#define LOCK_QUERY \
	"SELECT " STREAM_DEF_COLUMNS ", h.latest, h.close_at, h.check_at, h.due, h.undelivered, h.contributes, h.head, h.due_since, h.ctid" \
	" FROM datastream.heads h JOIN datastream.streams s ON s.stream_id OPERATOR(pg_catalog.=) h.stream_id" \
	" WHERE h.stream_id OPERATOR(pg_catalog.=) $1 FOR UPDATE OF h"

/*
 * Runs a statement whose only parameter, $1, is a stream.
 */
static void
RunStreamQuery(PlanSlot *slot, const char *query, const pg_uuid_t *id, bool read_only)
{
	static const Oid argtypes[] = {UUIDOID};
	Datum		values[1];

	values[0] = UUIDPGetDatum(id);
	RunSavedQuery(slot, query, 1, argtypes, values, NULL, read_only);
}

/*
 * A time that may be null, from the only row of a result.
 */
static StreamTime
ResultTime(int row, int attribute)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, attribute, &isnull);

	return isnull ? STREAM_TIME_NONE : StreamTimeFromTimestampClamped(DatumGetTimestampTz(value));
}

static bool
ResultBool(int row, int attribute)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, attribute, &isnull);

	return !isnull && DatumGetBool(value);
}

/*
 * The datapoints in a column with the head of a stream of a result; null is none.
 */
static DataBlock *
ResultRows(const pg_uuid_t *id, int row, int attribute, MemoryContext context)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, attribute, &isnull);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	DataBlock  *rows;

	if (isnull)
		rows = CreateBlock(HEAD_ROWS, COLUMN_BIT(COLUMN_DATAPOINT));
	else
		rows = DecodeHead(id, value);
	MemoryContextSwitchTo(old_context);

	return rows;
}

/*
 * Checks that what a head holds is what is recorded of it.
 */
void
CheckHead(const StreamHead *head)
{
	const DataBlock *rows = head->rows;

	if (rows->count > 0 && rows->times[rows->count - 1] != head->latest)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("head of stream \"%s\" is damaged", StreamIdToString(&head->def.id)),
				 errdetail("Its last datapoint is not at the time that is recorded as the latest.")));
}

static Datum
TimeDatum(StreamTime t)
{
	return TimestampTzGetDatum(TimestampFromStreamTime(t));
}

/*
 * Makes the rows that a new stream needs beside its definition.
 */
void
CreateStreamStorage(const pg_uuid_t *id, bool pending_backprocess)
{
	static PlanSlot head_slot;
	static PlanSlot progress_slot;
	static const Oid argtypes[] = {UUIDOID, BOOLOID};
	Datum		values[2];

	RunStreamQuery(&head_slot, "INSERT INTO datastream.heads (stream_id) VALUES ($1)",
				   id, false);

	values[0] = UUIDPGetDatum(id);
	values[1] = BoolGetDatum(pending_backprocess);
	RunSavedQuery(&progress_slot,
				  "INSERT INTO datastream.progress (stream_id, pending_backprocess, behind)"
				  " VALUES ($1, $2, $2)",
				  2, argtypes, values, NULL, false);
	if (pending_backprocess)
		NoteWork();
}

/*
 * Deletes all that is stored of a stream beside its definition.
 */
void
DeleteStreamStorage(const pg_uuid_t *id)
{
	static PlanSlot head_slot;
	static PlanSlot progress_slot;
	static PlanSlot failures_slot;
	static PlanSlot retention_slot;
	static PlanSlot changes_slot;

	for (int level = 0; level < GRANULARITY_COUNT; level++)
		DeleteBlocks(id, (Granularity) level);

	RunStreamQuery(&changes_slot,
				   "DELETE FROM datastream.changes WHERE stream_id OPERATOR(pg_catalog.=) $1",
				   id, false);
	RunStreamQuery(&retention_slot,
				   "DELETE FROM datastream.retention WHERE stream_id OPERATOR(pg_catalog.=) $1",
				   id, false);
	RunStreamQuery(&failures_slot,
				   "DELETE FROM datastream.failures WHERE stream_id OPERATOR(pg_catalog.=) $1",
				   id, false);
	RunStreamQuery(&progress_slot,
				   "DELETE FROM datastream.progress WHERE stream_id OPERATOR(pg_catalog.=) $1",
				   id, false);
	RunStreamQuery(&head_slot,
				   "DELETE FROM datastream.heads WHERE stream_id OPERATOR(pg_catalog.=) $1",
				   id, false);
}

/*
 * Notes that other streams derive from a stream, and locks it until the end of
 * the transaction: an append either came before, or sees the note.
 */
void
MarkContributes(const pg_uuid_t *source)
{
	static PlanSlot slot;

	RunStreamQuery(&slot,
				   "UPDATE datastream.heads SET contributes = true WHERE stream_id OPERATOR(pg_catalog.=) $1",
				   source, false);
	if (SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DS_STREAM_NOT_FOUND),
				 errmsg("stream \"%s\" does not exist", StreamIdToString(source))));
}

/*
 * Notes that no stream derives from a stream any more.
 */
void
ClearContributes(const pg_uuid_t *source)
{
	static PlanSlot slot;

	RunStreamQuery(&slot,
				   "UPDATE datastream.heads SET contributes = false WHERE stream_id OPERATOR(pg_catalog.=) $1",
				   source, false);
}

/*
 * Throws the error in hand again, and gives lock_timeout this extension's own
 * error; "id" is the stream, or NULL for one of several.  For use in
 * PG_CATCH().
 */
static void
RethrowLockError(MemoryContext context, const pg_uuid_t *id)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
	{
		error->sqlerrcode = ERRCODE_DS_STREAM_APPEND_CONTENDED;
		error->message = id == NULL ? "a stream is locked by another transaction" :
			psprintf("stream \"%s\" is locked by another transaction", StreamIdToString(id));
		error->detail = pstrdup("It stayed locked for longer than lock_timeout.");
	}
	FlushErrorState();
	ReThrowError(error);
}

/*
 * Runs a query that may wait for a lock.
 */
static void
RunLockQuery(PlanSlot *slot, const char *query, Oid argtype, Datum argument)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		RunSavedQuery(slot, query, 1, &argtype, &argument, NULL, false);
	}
	PG_CATCH();
	{
		RethrowLockError(context, argtype == UUIDOID ? DatumGetUUIDP(argument) : NULL);
	}
	PG_END_TRY();
}

/*
 * Locks a head by direct access, if that is possible.
 */
static HeadOutcome
LockHead(HeadBatch *batch, const pg_uuid_t *id, bool skip_locked, StreamHead *head,
		 MemoryContext result_context)
{
	MemoryContext context = CurrentMemoryContext;
	volatile HeadOutcome outcome = HEAD_BY_QUERY;

	PG_TRY();
	{
		outcome = ReadHeadDirectly(batch, id, true, skip_locked, head, result_context);
	}
	PG_CATCH();
	{
		RethrowLockError(context, id);
	}
	PG_END_TRY();

	return outcome;
}

/*
 * Locks streams until the end of the transaction, in the order in which all do
 * that; those that are not there are ignored.  With "skip_locked", returns
 * false if others have locked one of them.
 */
bool
LockStreams(const pg_uuid_t *ids, int nids, bool skip_locked)
{
	static PlanSlot wait_slot;
	static PlanSlot skip_slot;
	static PlanSlot count_slot;
	Datum	   *elements;
	Datum		array;
	uint64		nlocked;

	FlushPending();
	if (skip_locked)
	{
		HeadOutcome outcome = LockHeadsDirectly(ids, nids);

		if (outcome != HEAD_BY_QUERY)
			return outcome == HEAD_DONE;
	}

	elements = palloc(sizeof(Datum) * Max(nids, 1));
	for (int i = 0; i < nids; i++)
		elements[i] = UUIDPGetDatum(&ids[i]);
	array = PointerGetDatum(construct_array(elements, nids, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
	pfree(elements);

#define LOCK_STREAMS_QUERY \
	"SELECT 1 FROM datastream.heads h LEFT JOIN datastream.streams s" \
	" ON s.stream_id OPERATOR(pg_catalog.=) h.stream_id" \
	" WHERE h.stream_id OPERATOR(pg_catalog.=) ANY ($1)" \
	" ORDER BY (s.derive_op IS NOT NULL), h.stream_id FOR UPDATE OF h"

	if (!skip_locked)
	{
		RunLockQuery(&wait_slot, LOCK_STREAMS_QUERY, UUIDARRAYOID, array);
		SPI_freetuptable(SPI_tuptable);
		return true;
	}

	RunLockQuery(&skip_slot, LOCK_STREAMS_QUERY " SKIP LOCKED", UUIDARRAYOID, array);
	nlocked = SPI_processed;
	SPI_freetuptable(SPI_tuptable);
	RunLockQuery(&count_slot,
				 "SELECT 1 FROM datastream.heads h WHERE h.stream_id OPERATOR(pg_catalog.=) ANY ($1)",
				 UUIDARRAYOID, array);
	SPI_freetuptable(SPI_tuptable);

	return SPI_processed == nlocked;
}

/*
 * Does what LockStream() does, with the access of a batch where that is not NULL.
 */
static bool
LockStreamWith(HeadBatch *batch, const pg_uuid_t *id, bool skip_locked, bool missing_ok,
			   StreamHead *head, MemoryContext context)
{
	static PlanSlot wait_slot;
	static PlanSlot skip_slot;
	bool		isnull;

	switch (LockHead(batch, id, skip_locked, head, context))
	{
		case HEAD_DONE:
			return true;
		case HEAD_SKIPPED:
			return false;
		case HEAD_BY_QUERY:
			break;
	}

	if (skip_locked)
		RunLockQuery(&skip_slot, LOCK_QUERY " SKIP LOCKED", UUIDOID, UUIDPGetDatum(id));
	else
		RunLockQuery(&wait_slot, LOCK_QUERY, UUIDOID, UUIDPGetDatum(id));

	if (SPI_processed == 0)
	{
		SPI_freetuptable(SPI_tuptable);
		if (!missing_ok && !skip_locked)
			ereport(ERROR,
					(errcode(ERRCODE_DS_STREAM_NOT_FOUND),
					 errmsg("stream \"%s\" does not exist", StreamIdToString(id))));
		return false;
	}

	StreamDefFromTuple(&head->def, SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, context);
	head->latest = ResultTime(0, LOCK_LATEST);
	head->close_at = ResultTime(0, LOCK_CLOSE_AT);
	head->check_at = ResultTime(0, LOCK_CHECK_AT);
	head->due = ResultBool(0, LOCK_DUE);
	head->due_since = ResultTime(0, LOCK_DUE_SINCE);
	head->undelivered = ResultBool(0, LOCK_UNDELIVERED);
	head->contributes = ResultBool(0, LOCK_CONTRIBUTES);
	head->wake = false;
	head->rows = ResultRows(id, 0, LOCK_HEAD, context);
	CheckHead(head);
	ItemPointerSetInvalid(&head->place);
	head->version = *(ItemPointer) DatumGetPointer(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
																 LOCK_VERSION, &isnull));
	SPI_freetuptable(SPI_tuptable);
	RememberStream(&head->def);

	return true;
}

/*
 * Locks a stream until the end of the transaction and reads its definition and
 * its head into "context".
 *
 * A stream that is not there, or that row security hides, is stream_not_found,
 * or false with "missing_ok".  With "skip_locked" a stream that others have
 * locked gives false too.  A stream that stays locked for longer than
 * lock_timeout is stream_append_contended.
 */
bool
LockStream(const pg_uuid_t *id, bool skip_locked, bool missing_ok, StreamHead *head,
		   MemoryContext context)
{
	FlushPending();

	return LockStreamWith(NULL, id, skip_locked, missing_ok, head, context);
}

/*
 * The same for a stream of a batch, which may be NULL, to append to it: what is pending
 * for other streams is left so.
 */
void
LockBatchStream(HeadBatch *batch, const pg_uuid_t *id, StreamHead *head, MemoryContext context)
{
	(void) LockStreamWith(batch, id, false, false, head, context);
}

/*
 * Writes the head of a locked stream by a query.
 */
static void
SaveHeadByQuery(StreamHead *head)
{
	static PlanSlot slot;
	Oid			argtypes[] = {UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
	BOOLOID, BOOLOID, BlockTypeOid(), TIDOID, TIMESTAMPTZOID};
	const StreamTime times[] = {head->latest, head->close_at, head->check_at};
	Datum		values[9];
	char		nulls[] = "         ";
	struct varlena *encoded = NULL;

	values[0] = UUIDPGetDatum(&head->def.id);
	for (int i = 0; i < lengthof(times); i++)
	{
		values[1 + i] = TimeDatum(Max(times[i], STREAM_TIME_MIN));
		if (times[i] == STREAM_TIME_NONE)
			nulls[1 + i] = 'n';
	}
	values[4] = BoolGetDatum(head->due);
	values[5] = BoolGetDatum(head->undelivered);
	if (head->rows->count > 0)
		encoded = EncodeBlock(head->rows);
	else
		nulls[6] = 'n';
	values[6] = PointerGetDatum(encoded);

	/* What a trigger has written since the row was locked must not be lost. */
	if (ItemPointerIsValid(&head->place))
		head->version = head->place;
	values[7] = PointerGetDatum(&head->version);
	if (!ItemPointerIsValid(&head->version))
		nulls[7] = 'n';
	values[8] = TimeDatum(Max(head->due_since, STREAM_TIME_MIN));

	RunSavedQuery(&slot,
				  "UPDATE datastream.heads SET latest = $2, close_at = $3, check_at = $4,"
				  " due = $5, undelivered = $6, head = $7, due_since = $9"
				  " WHERE stream_id OPERATOR(pg_catalog.=) $1"
				  " AND ($8 IS NULL OR ctid OPERATOR(pg_catalog.=) $8)",
				  9, argtypes, values, nulls, false);
	if (SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DS_STREAM_APPEND_FAILED),
				 errmsg("could not store datapoints of stream \"%s\"", StreamIdToString(&head->def.id)),
				 errdetail("A trigger, a rule or a row security policy kept the row from being written.")));
	ItemPointerSetInvalid(&head->version);
	ItemPointerSetInvalid(&head->place);

	if (encoded != NULL)
		pfree(encoded);
}

/*
 * Sees to it that somebody comes for what a head that has been written leaves
 * for maintenance.
 */
static void
NoteHeadWork(const StreamHead *head)
{
	if (head->wake)
		NoteWork();
	else if (head->due)
		RemindOfWork();
}

/*
 * Writes the head of a locked stream.
 */
void
SaveHead(StreamHead *head)
{
	if (SaveHeadDirectly(head, true) != HEAD_DONE)
		SaveHeadByQuery(head);
	NoteHeadWork(head);
}

/*
 * Reads a stream's definition and its head into "context" without locking it,
 * for TrySaveHead(); false where it must be locked, or is not there.  "batch" may
 * be NULL.
 */
bool
PeekStream(HeadBatch *batch, const pg_uuid_t *id, StreamHead *head, MemoryContext context)
{
	return ReadHeadDirectly(batch, id, false, false, head, context) == HEAD_DONE;
}

/*
 * Whether rows can be appended to a stream by changing its head alone.
 */
bool
FitsHead(const StreamHead *head, const DataBlock *rows)
{
	return head->def.derive_op < 0 && !head->contributes &&
		head->rows->count + rows->count < HEAD_ROWS &&
		BlockColumn(head->rows, COLUMN_DATAPOINT)->json == NULL &&
		BlockColumn(rows, COLUMN_DATAPOINT)->json == NULL &&
		rows->times[0] >= Max(head->latest, FrozenUntil(head));
}

/*
 * Writes the head of a stream that has been peeked at, and is then locked until
 * the end of the transaction.  Returns false if others have changed it since;
 * waits for those that are about to.
 */
bool
TrySaveHead(StreamHead *head)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = false;

	PG_TRY();
	{
		done = SaveHeadDirectly(head, false) == HEAD_DONE;
	}
	PG_CATCH();
	{
		RethrowLockError(context, &head->def.id);
	}
	PG_END_TRY();

	if (done)
		NoteHeadWork(head);

	return done;
}

/*
 * The datapoints in the head of a stream, with the active snapshot and without
 * a lock.
 */
DataBlock *
ReadHeadRows(const pg_uuid_t *id, MemoryContext context)
{
	static PlanSlot slot;
	DataBlock  *rows = NULL;

	RunStreamQuery(&slot,
				   "SELECT head FROM datastream.heads WHERE stream_id OPERATOR(pg_catalog.=) $1",
				   id, true);
	if (SPI_processed > 0)
		rows = ResultRows(id, 0, 1, context);
	SPI_freetuptable(SPI_tuptable);

	if (rows == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DS_STREAM_NOT_FOUND),
				 errmsg("stream \"%s\" does not exist", StreamIdToString(id))));

	return rows;
}

/*
 * The time of a stream's latest datapoint, and how many datapoints bear it,
 * with the active snapshot; false if it has none.
 */
bool
StreamLatest(const StreamDef *def, StreamTime *latest, int *count_at_latest)
{
	DataBlock  *head_rows = ReadHeadRows(&def->id, CurrentMemoryContext);
	BlockScan  *scan;
	int			first;
	int			last;

	*count_at_latest = 0;
	if (head_rows->count > 0)
		*latest = head_rows->times[head_rows->count - 1];
	else if (!LastBlockUntil(&def->id, def->highest, latest))
		return false;

	scan = BeginBlockScan(&def->id, def->highest, head_rows, *latest, *latest, false, 0);
	while (NextBlock(scan, &first, &last) != NULL)
		*count_at_latest += last - first;
	EndBlockScan(scan);

	return true;
}

/*
 * The time of a stream's first datapoint, with the active snapshot; false if
 * it has none.
 */
bool
StreamEarliest(const StreamDef *def, StreamTime *earliest)
{
	DataBlock  *head_rows;

	if (FirstBlockStart(&def->id, def->highest, earliest))
		return true;

	head_rows = ReadHeadRows(&def->id, CurrentMemoryContext);
	if (head_rows->count == 0)
		return false;
	*earliest = head_rows->times[0];

	return true;
}

/*
 * Whether the datapoints of a head are too many, or too large, for a head.
 */
static bool
HeadIsFull(const DataBlock *rows)
{
	const Column *column = BlockColumn(rows, COLUMN_DATAPOINT);
	Size		bytes = 0;

	if (rows->count >= HEAD_ROWS)
		return true;

	if (column->json != NULL)
	{
		for (int i = 0; i < rows->count; i++)
		{
			if (column->json[i] != NULL)
				bytes += VARSIZE(column->json[i]);
		}
	}

	return bytes > HEAD_BYTES;
}

/*
 * Moves a full head into a block.  The newest datapoint stays, as derived
 * streams look back at it.
 */
static void
FlushHead(StreamHead *head)
{
	DataBlock  *rows = head->rows;
	DataBlock  *kept;

	if (rows->count < 2 || !HeadIsFull(rows))
		return;

	AppendBlocks(&head->def.id, head->def.highest, rows, 0, rows->count - 1);
	kept = CreateBlock(HEAD_ROWS, BlockColumnMask(rows));
	AppendBlockRows(kept, rows, rows->count - 1, rows->count);
	head->rows = kept;
}

/*
 * Moves all that is in a head into a block, and small blocks together: of a
 * stream that has gone silent.  Save the head after.
 */
void
MoveHeadIntoBlock(StreamHead *head)
{
	DataBlock  *rows = head->rows;

	AppendBlocks(&head->def.id, head->def.highest, rows, 0, rows->count);
	head->rows = CreateBlock(HEAD_ROWS, BlockColumnMask(rows));
}

/*
 * Until when the datapoints of a locked stream have been downsampled: what
 * lies before is late.
 */
StreamTime
FrozenUntil(const StreamHead *head)
{
	if (head->close_at == STREAM_TIME_NONE)
		return STREAM_TIME_NONE;

	return BucketStart(head->def.highest + 1, head->close_at - 1);
}

/*
 * Notes that there has been something for maintenance to do since a time.
 */
static void
MarkDueSince(StreamHead *head, StreamTime since)
{
	if (head->due && head->due_since <= since)
		return;

	head->due = true;
	head->due_since = since;
	head->wake = true;
}

/*
 * Notes that there is something for maintenance to do, which may let more come
 * first.  Save the head after.
 */
void
MarkDue(StreamHead *head)
{
	MarkDueSince(head, StreamTimeFromTimestampClamped(GetCurrentTimestamp()));
}

/*
 * Notes that maintenance is to tell the streams that derive from this one of
 * what is new in it, without waiting for more.  Save the head after.
 */
void
MarkUndelivered(StreamHead *head)
{
	head->undelivered = true;
	MarkDueSince(head, STREAM_TIME_MIN);
}

/*
 * Notes that a stream has come to a time: that maintenance is due if it lies
 * beyond the bucket in work, and from when on the stream may have gone silent.
 */
static void
ScheduleMaintenance(StreamHead *head, StreamTime t)
{
	bool		downsampled = head->def.value_downsamplers != 0;

	if (downsampled && t >= head->close_at)
		MarkDue(head);

	if (head->check_at == STREAM_TIME_NONE)
	{
		StreamTime	end = downsampled ? head->close_at : BucketEnd(SILENT_LEVEL, t);

		head->check_at = Max(end, StreamTimeFromTimestampClamped(GetCurrentTimestamp()));
		head->wake = true;
	}
}

/*
 * Notes a new latest datapoint.
 */
static void
AdvanceLatest(StreamHead *head, StreamTime first, StreamTime latest)
{
	head->latest = latest;
	if (head->def.value_downsamplers != 0 && head->close_at == STREAM_TIME_NONE)
		head->close_at = BucketEnd(head->def.highest + 1, first);
	ScheduleMaintenance(head, latest);
}

/*
 * Notes that a derived stream has all that its sources had until a time, which
 * may lie beyond its latest datapoint.  Returns whether that makes a difference
 * for maintenance, so that the head is to be saved after.
 */
bool
AdvanceDerived(StreamHead *head, StreamTime read_until)
{
	bool		was_due = head->due;
	StreamTime	check_at = head->check_at;

	if (head->def.value_downsamplers == 0 || head->latest == STREAM_TIME_NONE ||
		read_until < FrozenUntil(head))
		return false;
	ScheduleMaintenance(head, read_until);

	return head->due != was_due || head->check_at != check_at;
}

/*
 * Appends rows [from, to), none of which is older than the stream's latest
 * datapoint, to a locked stream.  Those that lie where the stream has been
 * downsampled, since it had gone silent, are noted as late.  Save the head
 * after.
 */
void
AppendDatapoints(StreamHead *head, const DataBlock *rows, int from, int to)
{
	StreamTime	frozen_until = FrozenUntil(head);

	if (from >= to)
		return;

	if (rows->times[from] < frozen_until)
	{
		TimeRange	late = {rows->times[from], Min(rows->times[to - 1], frozen_until - 1)};

		AddLateRanges(&head->def.id, &late, 1);
		MarkDue(head);
	}

	/*
	 * Few rows go into the head, many straight into blocks, behind what is in
	 * the head.  The last one always stays.
	 */
	if (to - from <= BLOCK_ROWS)
	{
		AppendBlockRows(head->rows, rows, from, to);
		FlushHead(head);
	}
	else
	{
		DataBlock  *in_head = head->rows;

		if (in_head->count == 0)
			AppendBlocks(&head->def.id, head->def.highest, rows, from, to - 1);
		else
		{
			DataBlock  *all = CreateBlock(in_head->count + to - 1 - from, BlockColumnMask(rows));

			AppendBlockRows(all, in_head, 0, in_head->count);
			AppendBlockRows(all, rows, from, to - 1);
			AppendBlocks(&head->def.id, head->def.highest, all, 0, all->count);
			FreeBlock(all);
		}
		in_head->count = 0;
		AppendBlockRows(in_head, rows, to - 1, to);
	}
	AdvanceLatest(head, rows->times[from], rows->times[to - 1]);
}

/*
 * Inserts rows, in order of time, into a locked stream, each behind the
 * datapoints of the same time.  Save the head after.
 *
 * Rows before the bucket in work make maintenance due: their buckets have been
 * closed, or can be since the stream has gone on.
 */
void
InsertDatapoints(StreamHead *head, const DataBlock *rows, int from, int to)
{
	int			split = to;
	DataBlock  *in_head = head->rows;

	if (from >= to)
		return;
	NoteInserted(head, rows, from, to);

	/* What is not older than the head's first datapoint goes into the head. */
	if (in_head->count > 0)
	{
		split = from;
		while (split < to && rows->times[split] < in_head->times[0])
			split++;
	}
	InsertIntoBlocks(&head->def.id, head->def.highest, rows, from, split);
	if (head->def.value_downsamplers != 0 && rows->times[from] < FrozenUntil(head))
		MarkDue(head);

	if (split < to)
	{
		head->rows = MergeBlockRows(in_head, rows, split, to);
		FlushHead(head);
	}

	if (head->latest == STREAM_TIME_NONE || rows->times[to - 1] > head->latest)
		AdvanceLatest(head, rows->times[from], rows->times[to - 1]);
}

/*
 * Deletes the datapoints of a locked stream from "from" to "to", both
 * included.  Save the head after.
 */
void
DeleteDatapoints(StreamHead *head, StreamTime from, StreamTime to)
{
	StreamTime	old_latest = head->latest;
	DataBlock  *rows = head->rows;
	DataBlock  *kept = CreateBlock(HEAD_ROWS, BlockColumnMask(rows));

	AppendBlockRows(kept, rows, 0, BlockLowerBound(rows, from));
	AppendBlockRows(kept, rows, BlockUpperBound(rows, to), rows->count);
	head->rows = kept;
	DeleteFromBlocks(&head->def.id, head->def.highest, from, to);

	if (kept->count > 0)
		head->latest = kept->times[kept->count - 1];
	else
	{
		StreamTime	latest;

		BeginLatestSnapshot();
		head->latest = LastBlockUntil(&head->def.id, head->def.highest, &latest)
			? latest : STREAM_TIME_NONE;
		EndLatestSnapshot();
	}
	NoteDeleted(head, from, to, old_latest);
}
