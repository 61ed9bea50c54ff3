/*-------------------------------------------------------------------------
 *
 * store_pending.c
 *	  Datapoints that a statement has appended and not written yet.
 *
 * Each version of a head that a transaction writes stays until its end.  So what a
 * statement appends to one stream is kept in memory from the third datapoint on, and
 * written at once: when the statement ends, and before anybody can look.
 *
 * What is read must be what would be there if each datapoint had been written when it
 * was appended.  These rules see to that:
 *
 * - The first two datapoints of a stream are written at once, which locks the stream
 *   and finds errors.  Only streams are kept in memory whose tables nothing else has a
 *   say in, as triggers, row security and rules (they are locked, so that it stays so),
 *   that no stream derives from, and whose values are numbers.
 * - All is written before a query starts, or a command, other than a query that does
 *   nothing but append (statement.c), before the store's own functions look or write
 *   (store.c, store_snapshot.c), and before the statement or the transaction ends.  So
 *   errors come in the statement that has appended.
 * - Each datapoint is a command of its own, as if it had been written.  For any
 *   snapshot that is still in use, all that is pending has come before it, or all has
 *   come after it.  An append whose query would break this has it written first.
 *   Writing is a range of commands that begins with the one after the last datapoint:
 *   a snapshot from there, that was taken before, is moved to the end of the range when
 *   it is used (FlushPendingFor()).  To look with a snapshot that lies between is an
 *   error, so that nothing wrong can be read, whoever has taken it.
 * - It would be one that is taken without a hook being called, as plpgsql does for an
 *   expression.  That is why a query in a function that an expression may have called
 *   counts as one that looks, even if it does nothing but append; so plpgsql never gets
 *   that error.
 * - A subtransaction that appends to a stream, or writes what is pending, keeps what
 *   was pending before, for the case that it is rolled back.
 * - It is written with the rights of the role that has appended it, and appends of
 *   another role have it written first.
 * - The number of streams and of datapoints is bounded; blocks are written as they fill.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "append.h"
#include "datapoint.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "statement.h"
#include "store_head.h"
#include "store_pending.h"
#include "store_table.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

/* At most so many streams, and datapoints of all of them, are pending. */
#define PENDING_STREAMS_MAX		4096
#define PENDING_ROWS_MAX		131072

/* Rows that are written at once, as full blocks, but for the last */
#define PENDING_CHUNK			(BLOCK_ROWS + 1)

/* Late rows that a subtransaction copies to be able to go back; more are written. */
#define PENDING_LATE_COPIED		4096

/* What is pending for a stream */
typedef struct PendingState
{
	StreamHead	head;			/* as it is in its table, but for the latest time */
	DataBlock  *rows;			/* to be appended */
	DataBlock  *late;			/* to be inserted, in any order */
	bool		written;		/* nothing is pending any more */
	Oid			role;			/* who appends */
	CommandId	first;			/* that the first append counts as, or InvalidCommandId */
	CommandId	command;		/* that the last append counts as */
	bool		progress_locked;
	StreamTime	expired_until;	/* as it is then */
	StreamTime	frozen_until;
	SubTransactionId subid;		/* that has changed it last */
	struct PendingState *before;	/* what it was before that, or NULL */
} PendingState;

struct PendingStream
{
	pg_uuid_t	id;				/* hash key */
	PendingState *state;
};

static HTAB *pending_streams = NULL;
static MemoryContext pending_context = NULL;
static int64 pending_rows = 0;
static int	nunwritten = 0;		/* streams that are not written */

/* A state that a subtransaction has made */
typedef struct Change
{
	SubTransactionId subid;
	pg_uuid_t	id;
} Change;

static Change *changes = NULL;	/* those of inner subtransactions last */
static int	nchanges = 0;
static int	max_changes = 0;

/* The commands of a flush */
typedef struct FlushRange
{
	CommandId	first;			/* the first append's */
	CommandId	appended;		/* the one after the last append */
	CommandId	from;			/* the first one of the flush, most often that too */
	CommandId	to;				/* the one after the last */
	SubTransactionId subid;
} FlushRange;

static FlushRange *flushes = NULL;	/* of the statement in work, and of those before
									 * that have left cursors open; ascending */
static int	nflushes = 0;
static int	max_flushes = 0;

/*
 * Where a flush has begun that has been undone, so that what it has written is pending
 * again, or InvalidCommandId.  All commands since have been undone, too.
 */
static CommandId undone_from = InvalidCommandId;

/* The commands that the first and the last append count as of what is pending */
static CommandId first_append = InvalidCommandId;
static CommandId last_append = FirstCommandId;

/* The store writes what is pending, or appends otherwise: that needs nothing else. */
static bool own_writes = false;

/*
 * Streams that have been appended to of late, by their ids: those that are here with
 * the statement in work are likely to be appended to again.
 */
#define RECENT_STREAMS		4096

typedef struct RecentStream
{
	uint64		key;
	uint64		statement;
} RecentStream;

static RecentStream recent_streams[RECENT_STREAMS];

/*
 * Whether there is something that others in the transaction do not see yet.
 */
bool
HasPending(void)
{
	return nunwritten > 0 && !own_writes;
}

static void
ForgetAll(void)
{
	if (pending_context != NULL)
		MemoryContextDelete(pending_context);
	pending_context = NULL;
	pending_streams = NULL;
	changes = NULL;
	nchanges = max_changes = 0;
	pending_rows = 0;
	nunwritten = 0;
	first_append = InvalidCommandId;
	undone_from = InvalidCommandId;
}

static void
CreatePendingStreams(void)
{
	HASHCTL		control = {0};

	pending_context = AllocSetContextCreate(TopMemoryContext, "datastream pending streams",
											ALLOCSET_DEFAULT_SIZES);
	control.keysize = sizeof(pg_uuid_t);
	control.entrysize = sizeof(PendingStream);
	control.hcxt = pending_context;
	pending_streams = hash_create("datastream pending streams", 64, &control,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static DataBlock *
CopyRows(const DataBlock *rows)
{
	DataBlock  *copy = CreateDatapoints(Max(rows->count, HEAD_ROWS));

	AppendBlockRows(copy, rows, 0, rows->count);

	return copy;
}

static void
FreeState(PendingState *state)
{
	FreeBlock(state->head.rows);
	FreeBlock(state->rows);
	FreeBlock(state->late);
	pfree(state);
}

/*
 * Counts what is pending by a state, or not any more.
 */
static void
CountState(const PendingState *state, int sign)
{
	if (state->written)
		return;
	nunwritten += sign;
	pending_rows += sign * ((int64) state->rows->count + state->late->count);
}

/*
 * Notes that a subtransaction has made a state of a stream.  Nothing goes back before
 * the transaction itself.
 */
static void
NoteChange(SubTransactionId subid, const pg_uuid_t *id)
{
	if (subid == TopSubTransactionId)
		return;

	if (nchanges >= max_changes)
	{
		int			capacity = Max(max_changes * 2, 64);

		changes = changes == NULL ?
			MemoryContextAlloc(pending_context, sizeof(Change) * capacity) :
			repalloc_huge(changes, sizeof(Change) * capacity);
		max_changes = capacity;
	}
	changes[nchanges++] = (Change) {subid, *id};
}

/*
 * The stream's state, to be changed: what it was before the current subtransaction
 * is kept.
 */
static PendingState *
ChangeState(PendingStream *stream)
{
	SubTransactionId subid = GetCurrentSubTransactionId();
	PendingState *before = stream->state;
	PendingState *state;
	MemoryContext old_context;

	if (before->subid == subid)
		return before;

	NoteChange(subid, &stream->id);
	old_context = MemoryContextSwitchTo(pending_context);
	state = palloc(sizeof(PendingState));
	*state = *before;
	state->head.rows = CopyRows(before->head.rows);
	state->rows = CopyRows(before->rows);
	state->late = CopyRows(before->late);
	state->subid = subid;
	state->before = before;
	stream->state = state;
	MemoryContextSwitchTo(old_context);

	return state;
}

/*
 * Goes back to a stream's state before the last one, or forgets it.
 */
static void
RevertState(PendingStream *stream)
{
	PendingState *state = stream->state;

	CountState(state, -1);
	stream->state = state->before;
	if (stream->state != NULL)
		CountState(stream->state, 1);
	else
		hash_search(pending_streams, &stream->id, HASH_REMOVE, NULL);
	FreeState(state);
}

/*
 * Makes what a subtransaction has changed its parent's.  Returns whether the parent
 * has had no state of its own.
 */
static bool
HandOver(PendingState *state, SubTransactionId parent)
{
	PendingState *before = state->before;

	state->subid = parent;
	if (before == NULL || before->subid != parent)
		return true;
	state->before = before->before;
	FreeState(before);

	return false;
}

/*
 * Forgets flushes that have been undone, after what they have written is pending again.
 */
static void
UndoFlushes(SubTransactionId subid)
{
	HASH_SEQ_STATUS sequence;
	PendingStream *stream;

	/* Subtransactions within one have begun later. */
	while (nflushes > 0 && flushes[nflushes - 1].subid >= subid)
		undone_from = flushes[--nflushes].appended;

	first_append = InvalidCommandId;
	last_append = FirstCommandId;
	if (pending_rows == 0)
	{
		undone_from = InvalidCommandId;
		return;
	}
	hash_seq_init(&sequence, pending_streams);
	while ((stream = hash_seq_search(&sequence)) != NULL)
	{
		const PendingState *state = stream->state;

		if (state->written || state->rows->count + state->late->count == 0)
			continue;
		first_append = Min(first_append, state->first);
		last_append = Max(last_append, state->command);
	}
}

/*
 * Ends a subtransaction: what it has changed is the parent's, or undone.
 */
static void
EndSubtransaction(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	int			first = nchanges;
	int			last = nchanges;

	if (event == SUBXACT_EVENT_ABORT_SUB)
		own_writes = false;
	else if (event != SUBXACT_EVENT_COMMIT_SUB)
		return;

	while (first > 0 && changes[first - 1].subid == subid)
		first--;
	nchanges = first;
	for (int i = first; i < last; i++)
	{
		pg_uuid_t	id = changes[i].id;
		PendingStream *stream = hash_search(pending_streams, &id, HASH_FIND, NULL);

		/* One that has been written is not kept if there is nothing to go back to. */
		if (stream == NULL || stream->state->subid != subid)
			continue;
		if (event == SUBXACT_EVENT_ABORT_SUB)
			RevertState(stream);
		else if (HandOver(stream->state, parent))
			NoteChange(parent, &id);
	}
	if (event == SUBXACT_EVENT_ABORT_SUB && first < last)
		UndoFlushes(subid);
}

/*
 * Forgets which commands have written what was pending.
 */
static void
ForgetFlushes(void)
{
	if (flushes != NULL)
		pfree(flushes);
	flushes = NULL;
	nflushes = max_flushes = 0;
}

static void
EndTransaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			FlushPending();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			ForgetAll();
			ForgetFlushes();
			own_writes = false;
			break;
		default:
			break;
	}
}

/*
 * To be called when a statement begins.  Only a cursor may still read with a snapshot
 * of one before.
 */
void
BeginPendingStatement(void)
{
	if (flushes != NULL && ThereAreNoReadyPortals())
		ForgetFlushes();
}

void
InitPending(void)
{
	RegisterXactCallback(EndTransaction, NULL);
	RegisterSubXactCallback(EndSubtransaction, NULL);
}

/*
 * Whether nothing but the tables themselves has a say in what is written to a stream,
 * so that no code of others runs then.  They are locked, so that it stays so.
 */
static bool
StreamIsPlain(const StreamHead *head)
{
	return HeadsArePlain() && BlocksArePlain(head->def.highest) && ProgressIsPlain();
}

/*
 * To be called before the store's own queries write to a locked stream, which need
 * not see what is pending of others.  Where triggers may run in them, nothing is
 * left pending.  Returns what EndOwnWrites() wants.
 */
bool
BeginOwnWrites(const StreamHead *head)
{
	if (!HasPending())
		return false;
	if (!StreamIsPlain(head))
	{
		FlushPending();
		return false;
	}
	own_writes = true;

	return true;
}

void
EndOwnWrites(bool begun)
{
	if (begun)
		own_writes = false;
}

/*
 * Writes what is pending for a stream.
 */
static void
WriteState(const PendingState *state)
{
	StreamHead	head = state->head;

	head.rows = CopyRows(head.rows);
	AppendDatapoints(&head, state->rows, 0, state->rows->count);
	if (state->late->count > 0)
	{
		StreamProgress progress;

		LockProgress(&head.def.id, &progress);
		InsertLateRows(&head, state->late, &progress);
	}
	SaveHead(&head);
}

/*
 * Writes what is pending for a stream, as the role that has appended it.  Then it is
 * forgotten, unless the end of a subtransaction may bring it back.
 */
static void
WriteStream(PendingStream *stream)
{
	PendingState *state;
	Oid			role;
	int			security_context;

	if (stream->state->written)
		return;

	state = ChangeState(stream);
	if (state->rows->count > 0 || state->late->count > 0)
	{
		GetUserIdAndSecContext(&role, &security_context);
		if (role != state->role)
			SetUserIdAndSecContext(state->role, security_context | SECURITY_LOCAL_USERID_CHANGE);
		WriteState(state);
		if (role != state->role)
			SetUserIdAndSecContext(role, security_context);
	}

	CountState(state, -1);
	state->written = true;
	if (state->before == NULL)
		RevertState(stream);
}

/*
 * Notes that what was pending has been written by the commands from one on.
 */
static void
NoteFlush(CommandId from)
{
	if (nflushes >= max_flushes)
	{
		int			capacity = Max(max_flushes * 2, 64);

		flushes = flushes == NULL ?
			MemoryContextAlloc(TopMemoryContext, sizeof(FlushRange) * capacity) :
			repalloc_huge(flushes, sizeof(FlushRange) * capacity);
		max_flushes = capacity;
	}
	flushes[nflushes++] = (FlushRange) {
		first_append, undone_from == InvalidCommandId ? from : undone_from, from,
		GetCurrentCommandId(false), GetCurrentSubTransactionId()
	};
	first_append = InvalidCommandId;
	undone_from = InvalidCommandId;
}

/*
 * Writes what is pending, so that all in the transaction see it from then on.
 */
void
FlushPending(void)
{
	CommandId	from = GetCurrentCommandId(false);
	bool		empty = pending_rows == 0;
	bool		has_snapshot = ActiveSnapshotSet();
	MemoryContext context;
	MemoryContext old_context;
	HASH_SEQ_STATUS sequence;
	PendingStream *stream;

	if (!HasPending())
		return;

	context = AllocSetContextCreate(CurrentMemoryContext, "datastream pending", ALLOCSET_DEFAULT_SIZES);
	if (!has_snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	own_writes = true;
	old_context = MemoryContextSwitchTo(context);
	hash_seq_init(&sequence, pending_streams);
	while ((stream = hash_seq_search(&sequence)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		WriteStream(stream);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
	CommandCounterIncrement();
	own_writes = false;
	SPI_finish();
	if (!has_snapshot)
		PopActiveSnapshot();

	if (!empty)
		NoteFlush(from);
	if (hash_get_num_entries(pending_streams) == 0)
		ForgetAll();
}

/*
 * Where a snapshot is moved to that has been taken before what was pending was written,
 * and after it had been appended; InvalidCommandId if it has been taken in the middle.
 */
static CommandId
AfterFlushes(CommandId command)
{
	int			low = 0;
	int			high = nflushes;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (flushes[middle].from < command)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < nflushes && flushes[low].appended <= command; low++)
		command = flushes[low].to;

	return low < nflushes && flushes[low].first < command ? InvalidCommandId : command;
}

/*
 * The same before a query runs with a snapshot, which may be NULL.  It shows then what
 * has been appended before it was taken; false if that cannot be.
 */
bool
FlushPendingFor(Snapshot snapshot)
{
	CommandId	command;

	if (own_writes)
		return true;

	FlushPending();
	if (nflushes == 0 || snapshot == NULL || snapshot->snapshot_type != SNAPSHOT_MVCC)
		return true;

	command = AfterFlushes(snapshot->curcid);
	if (command == InvalidCommandId)
		return false;
	snapshot->curcid = command;

	return true;
}

/*
 * The same before the store's tables are read with a snapshot.
 */
void
FlushPendingToRead(Snapshot snapshot)
{
	if (!FlushPendingFor(snapshot))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot read streams as they were between two appends of the statement"),
				 errhint("Read them in a query of its own.")));
}

/*
 * To be called before a datapoint is appended.  A stream to which that can be added in
 * memory, or NULL: nothing is pending for it then.
 *
 * It must be the same role that appends.  And the query that does so must not have
 * to see, in whatever else it calls, the datapoints before this one, but not this
 * one: its snapshot is older, or it does nothing but append.
 */
PendingStream *
FindPending(const pg_uuid_t *id)
{
	PendingStream *stream;
	Snapshot	snapshot;

	if (!HasPending())
		return NULL;

	stream = hash_search(pending_streams, id, HASH_FIND, NULL);
	if (stream != NULL && stream->state->written)
		stream = NULL;
	snapshot = ActiveSnapshotSet() ? GetActiveSnapshot() : NULL;
	if (snapshot != NULL && (stream == NULL || stream->state->role == GetUserId()) &&
		(pending_rows == 0 || snapshot->curcid <= last_append || InAppendingQuery()))
		return stream;

	(void) FlushPendingFor(snapshot);

	return NULL;
}

/*
 * The head of such a stream: what it is, and its latest datapoint.
 */
const StreamHead *
PendingHead(const PendingStream *stream)
{
	return &stream->state->head;
}

/*
 * Adds a row to those of a state.
 */
static void
AddRow(PendingState *state, DataBlock *rows, const DataBlock *row)
{
	MemoryContext old_context = MemoryContextSwitchTo(pending_context);
	Value		value = DatapointValue(row, 0);

	AddDatapoint(rows, row->times[0], &value);
	MemoryContextSwitchTo(old_context);
	pending_rows++;

	/* It counts as a command of its own, which what is older does not see. */
	state->command = last_append = GetCurrentCommandId(true);
	state->first = Min(state->first, last_append);
	first_append = Min(first_append, last_append);
	undone_from = InvalidCommandId;
	CommandCounterIncrement();
}

/*
 * Writes full blocks of what is to be appended, but not the head.
 */
static void
WriteChunk(PendingState *state)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "datastream pending chunk",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	StreamHead	head = state->head;

	SPI_connect();
	own_writes = true;
	head.rows = CopyRows(head.rows);
	AppendDatapoints(&head, state->rows, 0, state->rows->count);
	own_writes = false;
	SPI_finish();

	pending_rows -= state->rows->count;
	state->rows->count = 0;
	MemoryContextSwitchTo(pending_context);
	FreeBlock(state->head.rows);
	state->head = head;
	state->head.rows = CopyRows(head.rows);
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}

/*
 * Whether a row can be added to those of a stream.
 */
static bool
HasRoom(const PendingState *state, const DataBlock *row)
{
	return BlockColumn(row, COLUMN_DATAPOINT)->json == NULL && pending_rows < PENDING_ROWS_MAX &&
		(state->late->count < PENDING_LATE_COPIED || state->subid == GetCurrentSubTransactionId());
}

/*
 * Appends a row, which is not older than the latest datapoint, in memory; false, with
 * nothing done, if that cannot be.
 */
bool
AddPending(PendingStream *stream, const DataBlock *row)
{
	PendingState *state = stream->state;
	StreamTime	t = row->times[0];

	if (!HasRoom(state, row) || t < FrozenUntil(&state->head))
		return false;

	state = ChangeState(stream);
	if (state->rows->count >= PENDING_CHUNK)
		WriteChunk(state);
	AddRow(state, state->rows, row);
	state->head.latest = t;

	return true;
}

/*
 * Reads how far maintenance has come with a stream, and holds it there.
 */
static void
LockPendingProgress(PendingState *state)
{
	StreamProgress progress;

	SPI_connect();
	own_writes = true;
	LockProgress(&state->head.def.id, &progress);
	own_writes = false;
	SPI_finish();

	state->expired_until = progress.expired_until;
	state->frozen_until = progress.until[state->head.def.highest + 1];
	state->progress_locked = true;
}

/*
 * Inserts a row that is older than the latest datapoint, in memory; false, with
 * nothing done, if that cannot be.
 */
bool
AddPendingLate(PendingStream *stream, const DataBlock *row)
{
	PendingState *state = stream->state;
	StreamTime	t = row->times[0];

	if (!HasRoom(state, row))
		return false;

	state = ChangeState(stream);
	if (!state->progress_locked)
		LockPendingProgress(state);
	RefuseExpired(&state->head.def, state->expired_until, t);
	if (t < state->frozen_until)
		NoteFrozen(&state->head.def, 1, t, t);
	AddRow(state, state->late, row);

	return true;
}

/*
 * Begins to keep in memory what is appended to a stream, whose head has been written
 * just now.
 */
static void
BeginPending(const StreamHead *head)
{
	SubTransactionId subid = GetCurrentSubTransactionId();
	PendingStream *stream;
	PendingState *state;
	MemoryContext old_context;

	if (nunwritten >= PENDING_STREAMS_MAX)
		FlushPending();
	if (!StreamIsPlain(head))
		return;
	if (pending_streams == NULL)
		CreatePendingStreams();

	old_context = MemoryContextSwitchTo(pending_context);
	state = palloc0(sizeof(PendingState));
	state->head = *head;
	state->head.batch = NULL;
	state->head.wake = false;
	state->head.rows = CopyRows(head->rows);
	state->rows = CreateDatapoints(HEAD_ROWS);
	state->late = CreateDatapoints(HEAD_ROWS);
	state->role = GetUserId();
	state->first = InvalidCommandId;
	state->command = GetCurrentCommandId(false);
	state->subid = subid;
	MemoryContextSwitchTo(old_context);

	stream = hash_search(pending_streams, &head->def.id, HASH_FIND, NULL);
	if (stream != NULL && stream->state->subid == subid)
	{
		state->before = stream->state->before;
		FreeState(stream->state);
	}
	else
	{
		NoteChange(subid, &head->def.id);
		if (stream == NULL)
			stream = hash_search(pending_streams, &head->def.id, HASH_ENTER, NULL);
		else
			state->before = stream->state;
	}
	stream->state = state;
	CountState(state, 1);
}

/*
 * To be called when a datapoint has been appended to a stream and its head has been
 * written: if that was not the first time in this statement, what comes next is kept
 * in memory.
 */
void
NoteAppended(const StreamHead *head)
{
	uint64		statement = CurrentStatement();
	RecentStream *recent;
	uint64		key;

	if (statement == 0 || head->contributes || !ItemPointerIsValid(&head->place) ||
		BlockColumn(head->rows, COLUMN_DATAPOINT)->json != NULL)
		return;

	memcpy(&key, head->def.id.data, sizeof(key));
	recent = &recent_streams[key % RECENT_STREAMS];
	if (recent->key == key && recent->statement == statement)
		BeginPending(head);
	recent->key = key;
	recent->statement = statement;
}
