/*-------------------------------------------------------------------------
 *
 * store_head.c
 *	  Direct access to the rows of heads.
 *
 * Most of what an append costs is to lock and to write its stream's head.
 * Where datastream.heads is what CREATE EXTENSION has made, and nothing but the
 * table itself has a say in it, that is done by the table's access method,
 * without a query.  Everywhere else, as with row security, triggers or a
 * distributed table, store.c's queries do the same.
 *
 * What a stream is never changes, so a backend keeps the definitions of those
 * that it has met.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "errors.h"
#include "miscadmin.h"
#include "plain_table.h"
#include "plans.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "store_head.h"
#include "store_snapshot.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Streams that a backend keeps at most; then it forgets them all. */
#define KNOWN_STREAMS_MAX	131072

StaticAssertDecl(HEAD_BATCH_MAX < KNOWN_STREAMS_MAX, "the streams of a batch must be known all at once");

/* Attributes of datastream.heads */
enum
{
	HEAD_STREAM_ID,
	HEAD_LATEST,
	HEAD_CLOSE_AT,
	HEAD_CHECK_AT,
	HEAD_DUE,
	HEAD_UNDELIVERED,
	HEAD_CONTRIBUTES,
	HEAD_HEAD,
	HEAD_DUE_SINCE,
	HEAD_NATTS
};

static PlainTable heads_table = {
	.name = "heads", .natts = HEAD_NATTS, .rights = ACL_SELECT | ACL_UPDATE,
	.also_read = "streams"
};

/*
 * A page with less free space, or one that a head had no room in, is pruned
 * before a head in it is looked for.  The table's fillfactor would have that done
 * each time.
 */
#define PRUNED_SPACE		(BLCKSZ / 8)

/* A stream that the backend has met */
typedef struct KnownStream
{
	pg_uuid_t	id;				/* hash key */
	StreamDef	def;

	/* Where the chain of versions begins that has had its head last, and the
	 * buffer that has held that page */
	ItemPointerData root;
	Buffer		buffer;
} KnownStream;

/* Definitions that are read at once */
#define MEET_STREAMS		1000

/* What it takes to access heads; for many of them, a batch */
typedef struct HeadBatch
{
	Relation	heads;
	Relation	index;			/* or NULL, as */
	IndexScanDesc scan;			/* they are opened when they are needed */
	KnownStream **expected;		/* streams that will be accessed in this order, */
	int			nexpected;
	int			next_expected;	/* from here on, */
	uint64		resets;			/* unless all have been forgotten since */
	Snapshot	snapshot;
	CommandId	command;		/* what came before it has been seen */
	BlockNumber nblocks;		/* of the table, or 0: not looked at yet */
	TupleTableSlot *slot;		/* for the row in work */
	TupleTableSlot *new_slot;	/* for what is to be written */
} HeadAccess;

static HTAB *known_streams = NULL;
static MemoryContext known_context = NULL;
static Oid	known_heads = InvalidOid;
static uint64 known_resets = 0;

/*
 * Forgets all known streams, and begins anew for the extension whose heads are
 * in a table.
 */
static void
ResetKnownStreams(Oid heads)
{
	HASHCTL		control = {0};

	if (known_context != NULL)
		MemoryContextDelete(known_context);
	known_context = NULL;
	known_heads = InvalidOid;
	known_resets++;

	known_context = AllocSetContextCreate(TopMemoryContext, "datastream known streams",
										  ALLOCSET_DEFAULT_SIZES);
	control.keysize = sizeof(pg_uuid_t);
	control.entrysize = sizeof(KnownStream);
	control.hcxt = known_context;
	known_streams = hash_create("datastream known streams", 256, &control,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	known_heads = heads;
}

/*
 * Keeps the definition of a stream, which has been read from its table.
 */
void
RememberStream(const StreamDef *def)
{
	Oid			heads = HeadsRelation();
	KnownStream *known;

	if (heads != known_heads || hash_get_num_entries(known_streams) >= KNOWN_STREAMS_MAX)
		ResetKnownStreams(heads);

	known = hash_search(known_streams, &def->id, HASH_ENTER, NULL);
	known->def = *def;
	known->def.derive_args = NULL;
	ItemPointerSetInvalid(&known->root);
	known->buffer = InvalidBuffer;
	if (def->derive_args != NULL)
	{
		known->def.derive_args = MemoryContextAlloc(known_context, VARSIZE(def->derive_args));
		memcpy(known->def.derive_args, def->derive_args, VARSIZE(def->derive_args));
	}
}

/*
 * Opens datastream.heads for direct access by the current role, in the current
 * memory context; NULL if that is not possible.
 */
static HeadAccess *
OpenHeads(void)
{
	HeadAccess *access;
	Relation	heads;
	Snapshot	snapshot;

	if (PlainTableOid(&heads_table) != known_heads)
		return NULL;
	heads = OpenPlainTable(&heads_table, RowExclusiveLock);
	if (heads == NULL)
		return NULL;
	snapshot = GetTransactionSnapshot();
	if (IsolationUsesXactSnapshot())
		CheckTableSnapshot(RelationGetRelid(heads), snapshot);

	access = palloc(sizeof(HeadAccess));
	access->heads = heads;
	access->index = NULL;
	access->scan = NULL;
	access->nblocks = 0;
	access->expected = NULL;
	access->nexpected = 0;
	access->next_expected = 0;
	access->resets = known_resets;
	access->snapshot = RegisterSnapshot(snapshot);
	access->command = GetCurrentCommandId(false);
	access->slot = table_slot_create(heads, NULL);
	access->new_slot = MakeSingleTupleTableSlot(RelationGetDescr(heads), &TTSOpsVirtual);

	return access;
}

/*
 * Whether heads can be written directly; they stay locked for that.
 */
bool
HeadsArePlain(void)
{
	Relation	heads = PlainTableOid(&heads_table) == known_heads ?
		OpenPlainTable(&heads_table, RowExclusiveLock) : NULL;

	if (heads == NULL)
		return false;
	table_close(heads, NoLock);

	return true;
}

/*
 * Ends what OpenHeads() began.
 */
static void
CloseHeads(HeadAccess *access)
{
	ExecDropSingleTupleTableSlot(access->new_slot);
	ExecDropSingleTupleTableSlot(access->slot);
	if (access->scan != NULL)
		index_endscan(access->scan);
	if (access->index != NULL)
		index_close(access->index, NoLock);
	UnregisterSnapshot(access->snapshot);
	table_close(access->heads, NoLock);
	if (access->expected != NULL)
		pfree(access->expected);
	pfree(access);
}

/*
 * Reads the definitions of those streams that the backend has not met.
 */
static void
MeetStreams(const pg_uuid_t *ids, int nids)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDARRAYOID};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "datastream meet streams",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	Datum	   *unknown = palloc(sizeof(Datum) * MEET_STREAMS);
	int			next = 0;

	while (next < nids)
	{
		Datum		values[1];
		int			count = 0;

		for (; next < nids && count < MEET_STREAMS; next++)
		{
			if (known_streams == NULL || hash_search(known_streams, &ids[next], HASH_FIND, NULL) == NULL)
				unknown[count++] = UUIDPGetDatum(&ids[next]);
		}
		if (count == 0)
			break;

		values[0] = PointerGetDatum(construct_array(unknown, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
		count = (int) RunSavedQuery(&slot,
									"SELECT " STREAM_DEF_COLUMNS " FROM datastream.streams s"
									" WHERE s.stream_id OPERATOR(pg_catalog.=) ANY ($1)",
									1, argtypes, values, NULL, false);
		for (int i = 0; i < count; i++)
		{
			StreamDef	def;

			StreamDefFromTuple(&def, SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, context);
			RememberStream(&def);
		}
		SPI_freetuptable(SPI_tuptable);
	}

	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}

/*
 * Prepares for access to many heads, up to HEAD_BATCH_MAX, each once and in the order
 * of "ids"; NULL if each is to be accessed by itself.  It is for the caller alone: what
 * triggers do meanwhile has nothing to do with it.
 */
HeadBatch *
BeginHeadBatch(const pg_uuid_t *ids, int nids)
{
	HeadBatch  *batch;

	Assert(nids <= HEAD_BATCH_MAX);

	if (nids > 1)
	{
		/* rather than in the middle */
		if (known_streams != NULL && hash_get_num_entries(known_streams) + nids > KNOWN_STREAMS_MAX)
			ResetKnownStreams(known_heads);
		MeetStreams(ids, nids);
	}
	if (known_streams == NULL || (batch = OpenHeads()) == NULL)
		return NULL;

	batch->expected = palloc(sizeof(KnownStream *) * nids);
	for (int i = 0; i < nids; i++)
	{
		KnownStream *known = hash_search(known_streams, &ids[i], HASH_FIND, NULL);

		if (known != NULL)
			batch->expected[batch->nexpected++] = known;
	}

	return batch;
}

/*
 * Ends a batch, which may be NULL.
 */
void
EndHeadBatch(HeadBatch *batch)
{
	if (batch != NULL)
		CloseHeads(batch);
}

/*
 * Access to heads for one of them: that of a batch, if it is not NULL, or one to be
 * given back with FinishAccess().
 */
static HeadAccess *
StartAccess(HeadBatch *batch)
{
	if (batch == NULL)
		return OpenHeads();

	/* Others may have written meanwhile, as a trigger does. */
	if (batch->command != GetCurrentCommandId(false))
	{
		if (batch->scan != NULL)
			index_endscan(batch->scan);
		batch->scan = NULL;
		UnregisterSnapshot(batch->snapshot);
		batch->snapshot = RegisterSnapshot(GetTransactionSnapshot());
		batch->command = GetCurrentCommandId(false);
	}

	return batch;
}

static void
FinishAccess(HeadAccess *access, HeadBatch *batch)
{
	ExecClearTuple(access->slot);
	ExecClearTuple(access->new_slot);
	if (access != batch)
		CloseHeads(access);
}

/*
 * What is known of a stream, or NULL.
 */
static KnownStream *
FindKnown(HeadAccess *access, const pg_uuid_t *id)
{
	if (access->resets == known_resets)
	{
		int			next = access->next_expected;

		/* the next one, or once more the last one */
		if (next < access->nexpected && CompareStreamIds(&access->expected[next]->id, id) == 0)
		{
			access->next_expected++;
			return access->expected[next];
		}
		if (next > 0 && CompareStreamIds(&access->expected[next - 1]->id, id) == 0)
			return access->expected[next - 1];
	}

	return hash_search(known_streams, id, HASH_FIND, NULL);
}

/*
 * Pins the page where a stream's chain of versions begins; InvalidBuffer if the
 * table has been truncated before it.
 */
static Buffer
PinChain(HeadAccess *access, KnownStream *known)
{
	BlockNumber block = ItemPointerGetBlockNumber(&known->root);

	if (BufferIsValid(known->buffer) &&
		ReadRecentBuffer(RelationLocator(access->heads), MAIN_FORKNUM, block, known->buffer))
		return known->buffer;

	/* While the table is open, it does not get shorter. */
	if (access->nblocks == 0)
		access->nblocks = RelationGetNumberOfBlocks(access->heads);
	known->buffer = block < access->nblocks ? ReadBuffer(access->heads, block) : InvalidBuffer;

	return known->buffer;
}

/*
 * Finds the version of a stream's head that the snapshot shows in the chain of
 * versions where the last one was found; false if it is not there.
 *
 * A row of another stream may have come to that place.  A row of the stream that
 * the snapshot shows is the right one, wherever it is.
 */
static bool
FindHeadInChain(HeadAccess *access, KnownStream *known)
{
	BufferHeapTupleTableSlot *slot = (BufferHeapTupleTableSlot *) access->slot;
	ItemPointerData place = known->root;
	HeapTuple	tuple = &slot->base.tupdata;
	Buffer		buffer;
	bool		found;

	if (!ItemPointerIsValid(&place))
		return false;
	buffer = PinChain(access, known);
	if (!BufferIsValid(buffer))
		return false;

	if (PageIsFull(BufferGetPage(buffer)) ||
		PageGetHeapFreeSpace(BufferGetPage(buffer)) < PRUNED_SPACE)
		heap_page_prune_opt(access->heads, buffer);

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	found = heap_hot_search_buffer(&place, access->heads, buffer, access->snapshot, tuple, NULL, true);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);

	if (found)
	{
		bool		isnull;

		ExecStorePinnedBufferHeapTuple(tuple, access->slot, buffer);
		if (CompareStreamIds(DatumGetUUIDP(slot_getattr(access->slot, HEAD_STREAM_ID + 1, &isnull)),
							 &known->id) == 0)
			return true;
		ExecClearTuple(access->slot);
	}
	else
		ReleaseBuffer(buffer);

	return false;
}

/*
 * Finds the version of a stream's head that the snapshot shows, in access->slot;
 * false if there is none.
 */
static bool
FindHead(HeadAccess *access, KnownStream *known)
{
	ScanKeyData key;
	MemoryContext old_context;
	ItemPointer place;
	bool		found = false;

	if (FindHeadInChain(access, known))
		return true;

	/* A scan keeps what it allocates. */
	old_context = MemoryContextSwitchTo(GetMemoryChunkContext(access));
	if (access->index == NULL)
		access->index = OpenPrimaryKey(access->heads, 1, RowExclusiveLock);
	if (access->index == NULL)
	{
		MemoryContextSwitchTo(old_context);
		return false;
	}
	if (access->scan == NULL)
		access->scan = BeginPlainScan(access->heads, access->index, access->snapshot, 1);
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(&known->id));
	index_rescan(access->scan, &key, 1, NULL, 0);
	while (!found && (place = index_getnext_tid(access->scan, ForwardScanDirection)) != NULL)
	{
		known->root = *place;
		known->buffer = InvalidBuffer;
		found = index_fetch_heap(access->scan, access->slot);
	}
	MemoryContextSwitchTo(old_context);

	return found;
}

/*
 * A time that may be null.
 */
static StreamTime
SlotTime(TupleTableSlot *slot, int attribute)
{
	return slot->tts_isnull[attribute] ? STREAM_TIME_NONE
		: StreamTimeFromTimestampClamped(DatumGetTimestampTz(slot->tts_values[attribute]));
}

/*
 * Sets a head from its row.
 */
static void
SetHead(StreamHead *head, const KnownStream *known, TupleTableSlot *slot, MemoryContext context)
{
	MemoryContext old_context = MemoryContextSwitchTo(context);

	slot_getallattrs(slot);

	head->def = known->def;
	if (known->def.derive_args != NULL)
	{
		head->def.derive_args = palloc(VARSIZE(known->def.derive_args));
		memcpy(head->def.derive_args, known->def.derive_args, VARSIZE(known->def.derive_args));
	}
	head->latest = SlotTime(slot, HEAD_LATEST);
	head->close_at = SlotTime(slot, HEAD_CLOSE_AT);
	head->check_at = SlotTime(slot, HEAD_CHECK_AT);
	head->due = DatumGetBool(slot->tts_values[HEAD_DUE]);
	head->due_since = SlotTime(slot, HEAD_DUE_SINCE);
	head->undelivered = DatumGetBool(slot->tts_values[HEAD_UNDELIVERED]);
	head->contributes = DatumGetBool(slot->tts_values[HEAD_CONTRIBUTES]);
	head->wake = false;
	head->place = slot->tts_tid;
	head->command = GetCurrentCommandId(false);

	if (slot->tts_isnull[HEAD_HEAD])
		head->rows = CreateBlock(HEAD_ROWS, COLUMN_BIT(COLUMN_DATAPOINT));
	else
		head->rows = DecodeHead(&known->id, slot->tts_values[HEAD_HEAD]);
	CheckHead(head);

	MemoryContextSwitchTo(old_context);
}

/*
 * Locks the newest version of the head in access->slot, as SELECT ... FOR UPDATE
 * does.  With "skip_locked" this never waits, which SKIP LOCKED does when the
 * row has been updated by one transaction and is being updated by the next: it
 * wants to lock that one's version as well.
 */
static HeadOutcome
LockRow(HeadAccess *access, bool skip_locked)
{
	ItemPointerData place = access->slot->tts_tid;
	uint8		flags = skip_locked ? 0 : TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS;
	TM_FailureData failure;

	if (!IsolationUsesXactSnapshot())
		flags |= TUPLE_LOCK_FLAG_FIND_LAST_VERSION;

	switch (table_tuple_lock(access->heads, &place, access->snapshot, access->slot,
							 GetCurrentCommandId(false), LockTupleExclusive,
							 skip_locked ? LockWaitSkip : LockWaitBlock, flags, &failure))
	{
		case TM_Ok:
			return HEAD_DONE;
		case TM_WouldBlock:
			return HEAD_SKIPPED;
		case TM_Updated:
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to concurrent update")));
			break;
		case TM_Deleted:
			if (IsolationUsesXactSnapshot())
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("could not serialize access due to concurrent delete")));
			break;
		default:
			break;
	}

	return HEAD_BY_QUERY;
}

/*
 * Reads a stream's definition and its head into "context", and with "lock"
 * locks it first until the end of the transaction.  See LockStream() and
 * PeekStream().
 */
HeadOutcome
ReadHeadDirectly(HeadBatch *batch, const pg_uuid_t *id, bool lock, bool skip_locked,
				 StreamHead *head, MemoryContext context)
{
	HeadOutcome outcome = HEAD_BY_QUERY;
	HeadAccess *access;
	KnownStream *known;

	ItemPointerSetInvalid(&head->place);
	ItemPointerSetInvalid(&head->version);
	head->batch = batch;
	if (skip_locked)
		MeetStreams(id, 1);
	if (known_streams == NULL || (access = StartAccess(batch)) == NULL)
		return HEAD_BY_QUERY;

	known = FindKnown(access, id);
	if (known != NULL && FindHead(access, known))
		outcome = lock ? LockRow(access, skip_locked) : HEAD_DONE;
	if (outcome == HEAD_DONE)
		SetHead(head, known, access->slot, context);
	FinishAccess(access, batch);

	return outcome;
}

/*
 * Locks the heads of streams, unless others have locked one of them: then the
 * result is HEAD_SKIPPED, and some may be locked.
 */
HeadOutcome
LockHeadsDirectly(const pg_uuid_t *ids, int nids)
{
	HeadOutcome outcome = HEAD_DONE;
	HeadAccess *access;

	MeetStreams(ids, nids);
	if (known_streams == NULL || (access = OpenHeads()) == NULL)
		return HEAD_BY_QUERY;

	for (int i = 0; i < nids && outcome == HEAD_DONE; i++)
	{
		KnownStream *known = hash_search(known_streams, &ids[i], HASH_FIND, NULL);

		outcome = HEAD_BY_QUERY;
		if (known != NULL && FindHead(access, known))
			outcome = LockRow(access, true);
	}
	FinishAccess(access, NULL);

	return outcome;
}

/*
 * Refuses to write a locked head over what this transaction has written there since.
 */
static void
RefuseChanged(const pg_uuid_t *id)
{
	ereport(ERROR,
			(errcode(ERRCODE_DS_STREAM_APPEND_FAILED),
			 errmsg("stream \"%s\" was changed by an operation that writing to it has triggered",
					StreamIdToString(id)),
			 errhint("A trigger on the extension's tables must not write to the stream that it was fired for.")));
}

/*
 * Writes the head of a stream that ReadHeadDirectly() has read.  If it was not
 * locked then, and others have changed it since, nothing is written and the
 * result is HEAD_SKIPPED.
 */
HeadOutcome
SaveHeadDirectly(StreamHead *head, bool locked)
{
	const StreamTime times[] = {head->latest, head->close_at, head->check_at};
	HeadAccess *access;
	TupleTableSlot *slot;
	bool		new_entries;
	TM_Result	result;
	struct varlena *encoded = NULL;

	if (!ItemPointerIsValid(&head->place) || (access = StartAccess(head->batch)) == NULL)
		return HEAD_BY_QUERY;

	/* Blocks may have been written meanwhile, and what that has triggered. */
	if (locked && head->command != GetCurrentCommandId(false) &&
		!table_tuple_fetch_row_version(access->heads, &head->place, access->snapshot, access->slot))
		RefuseChanged(&head->def.id);

	slot = access->new_slot;
	memset(slot->tts_isnull, 0, sizeof(bool) * HEAD_NATTS);
	slot->tts_values[HEAD_STREAM_ID] = UUIDPGetDatum(&head->def.id);
	for (int i = 0; i < lengthof(times); i++)
	{
		slot->tts_isnull[HEAD_LATEST + i] = times[i] == STREAM_TIME_NONE;
		slot->tts_values[HEAD_LATEST + i] = TimestampTzGetDatum(TimestampFromStreamTime(Max(times[i], STREAM_TIME_MIN)));
	}
	slot->tts_values[HEAD_DUE] = BoolGetDatum(head->due);
	slot->tts_values[HEAD_UNDELIVERED] = BoolGetDatum(head->undelivered);
	slot->tts_values[HEAD_CONTRIBUTES] = BoolGetDatum(head->contributes);
	if (head->rows->count > 0)
		encoded = EncodeBlock(head->rows);
	else
		slot->tts_isnull[HEAD_HEAD] = true;
	slot->tts_values[HEAD_HEAD] = PointerGetDatum(encoded);
	slot->tts_values[HEAD_DUE_SINCE] =
		TimestampTzGetDatum(TimestampFromStreamTime(Max(head->due_since, STREAM_TIME_MIN)));
	ExecStoreVirtualTuple(slot);

	result = UpdatePlainRow(access->heads, &head->place, slot, &new_entries);
	if (result == TM_Ok)
	{
		head->place = slot->tts_tid;
		if (new_entries)
		{
			KnownStream *known = FindKnown(access, &head->def.id);

			if (known != NULL)
			{
				known->root = slot->tts_tid;
				known->buffer = InvalidBuffer;
			}
		}
	}
	else if (locked && result == TM_SelfModified)
		RefuseChanged(&head->def.id);
	else if (locked)
		elog(ERROR, "locked head of stream \"%s\" could not be updated: %d",
			 StreamIdToString(&head->def.id), result);

	/* What comes next is to see it; what comes next in a batch is other streams. */
	if (result == TM_Ok)
	{
		CommandCounterIncrement();
		access->command = head->command = GetCurrentCommandId(false);
	}
	FinishAccess(access, head->batch);
	if (encoded != NULL)
		pfree(encoded);
	if (result != TM_Ok)
		return HEAD_SKIPPED;

	return HEAD_DONE;
}
