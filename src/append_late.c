/*-------------------------------------------------------------------------
 *
 * append_late.c
 *	  Appending datapoints that are older than a stream's latest one.
 *
 * Many are inserted at once, sorted, so that each block that they belong in is
 * written once.  Those that lie where the stream has been downsampled are counted,
 * and a statement warns once of each stream.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "append.h"
#include "datapoint.h"
#include "errors.h"
#include "miscadmin.h"
#include "statement.h"
#include "store_pending.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Ranges of late datapoints that are noted apart from each other, at most */
#define LATE_RANGES		64

/* What a subtransaction of a statement has put where a stream has been downsampled */
typedef struct FrozenKey
{
	pg_uuid_t	id;
	SubTransactionId subid;
} FrozenKey;

typedef struct FrozenStream
{
	FrozenKey	key;
	int64		number;			/* in the order in which they have come */
	int64		count;
	StreamTime	from;
	StreamTime	to;
} FrozenStream;

/* More streams are warned of before the end of the statement. */
#define FROZEN_STREAMS_MAX	10000

static HTAB *frozen_streams = NULL;
static MemoryContext frozen_context = NULL;
static SubTransactionId last_frozen;	/* the last subtransaction among them */
static int64 next_number = 0;

/*
 * Refuses a datapoint where what its buckets would be made of has expired.
 */
void
RefuseExpired(const StreamDef *def, StreamTime expired_until, StreamTime t)
{
	if (t < expired_until)
		ereport(ERROR,
				(errcode(ERRCODE_DS_INVALID_TIMESTAMP),
				 errmsg("timestamp \"%s\" is older than what stream \"%s\" has kept",
						pstrdup(timestamptz_to_str(TimestampFromStreamTime(t))),
						StreamIdToString(&def->id)),
				 errdetail("Its datapoints before \"%s\" have been deleted, as ds_set_retention() asks for.",
						   timestamptz_to_str(TimestampFromStreamTime(expired_until)))));
}

/*
 * Warns that datapoints lie where their stream has been downsampled.
 */
static void
WarnFrozen(const FrozenStream *frozen)
{
	char	   *id = StreamIdToString(&frozen->key.id);
	char	   *from = pstrdup(timestamptz_to_str(TimestampFromStreamTime(frozen->from)));

	ereport(WARNING,
			(errcode(ERRCODE_DS_DOWNSAMPLE_CONSISTENCY),
			 frozen->count == 1 ?
			 errmsg("datapoint at \"%s\" lies in a range of stream \"%s\" that has been downsampled", from, id) :
			 errmsg("%lld datapoints from \"%s\" to \"%s\" lie in ranges of stream \"%s\" that have been downsampled",
					(long long) frozen->count, from,
					timestamptz_to_str(TimestampFromStreamTime(frozen->to)), id),
			 errdetail("Downsampled datapoints do not contain %s until the next downsampling.",
					   frozen->count == 1 ? "it" : "them")));
}

/*
 * Forgets what there was to warn of.
 */
void
ForgetFrozen(void)
{
	if (frozen_context != NULL)
		MemoryContextDelete(frozen_context);
	frozen_context = NULL;
	frozen_streams = NULL;
}

static int
CompareFrozen(const ListCell *a, const ListCell *b)
{
	int64		first = ((const FrozenStream *) lfirst(a))->number;
	int64		second = ((const FrozenStream *) lfirst(b))->number;

	return first < second ? -1 : first > second;
}

/*
 * Warns of each stream where the statement has put datapoints into what has been
 * downsampled.
 */
void
WarnOfFrozen(void)
{
	HASH_SEQ_STATUS sequence;
	FrozenStream *frozen;
	List	   *streams = NIL;
	ListCell   *cell;

	if (frozen_streams == NULL)
		return;

	hash_seq_init(&sequence, frozen_streams);
	while ((frozen = hash_seq_search(&sequence)) != NULL)
		streams = lappend(streams, frozen);
	list_sort(streams, CompareFrozen);
	foreach(cell, streams)
		WarnFrozen(lfirst(cell));
	list_free(streams);
	ForgetFrozen();
}

/*
 * Adds to what a subtransaction has put there.
 */
static void
AddFrozen(const FrozenStream *added)
{
	bool		found;
	FrozenStream *frozen = hash_search(frozen_streams, &added->key, HASH_ENTER, &found);

	frozen->number = found ? Min(frozen->number, added->number) : added->number;
	frozen->from = found ? Min(frozen->from, added->from) : added->from;
	frozen->to = found ? Max(frozen->to, added->to) : added->to;
	frozen->count = (found ? frozen->count : 0) + added->count;
}

/*
 * Notes that datapoints lie where their stream has been downsampled, to warn of that
 * at the end of the statement.
 */
void
NoteFrozen(const StreamDef *def, int64 count, StreamTime from, StreamTime to)
{
	FrozenStream added = {{def->id, GetCurrentSubTransactionId()}, next_number++, count, from, to};

	if (CurrentStatement() == 0)
	{
		WarnFrozen(&added);
		return;
	}

	if (frozen_streams != NULL && hash_get_num_entries(frozen_streams) >= FROZEN_STREAMS_MAX)
		WarnOfFrozen();
	if (frozen_streams == NULL)
	{
		HASHCTL		control = {0};

		frozen_context = AllocSetContextCreate(TopMemoryContext, "datastream frozen streams",
											   ALLOCSET_SMALL_SIZES);
		control.keysize = sizeof(FrozenKey);
		control.entrysize = sizeof(FrozenStream);
		control.hcxt = frozen_context;
		frozen_streams = hash_create("datastream frozen streams", 64, &control,
									 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	AddFrozen(&added);
	last_frozen = added.key.subid;
}

/*
 * Ends a subtransaction: what it has put there is its parent's, or not there any more.
 */
static void
EndSubtransaction(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	HASH_SEQ_STATUS sequence;
	FrozenStream *frozen;
	List	   *ended = NIL;
	ListCell   *cell;

	if ((event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB) ||
		frozen_streams == NULL || last_frozen < subid)
		return;

	hash_seq_init(&sequence, frozen_streams);
	while ((frozen = hash_seq_search(&sequence)) != NULL)
	{
		if (frozen->key.subid == subid)
			ended = lappend(ended, frozen);
	}
	foreach(cell, ended)
	{
		FrozenStream moved = *(FrozenStream *) lfirst(cell);

		hash_search(frozen_streams, &moved.key, HASH_REMOVE, NULL);
		moved.key.subid = parent;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			AddFrozen(&moved);
	}
	list_free(ended);
	last_frozen = parent;
}

/*
 * The same for a transaction, which may not be the statement's last.
 */
static void
EndTransaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		ForgetFrozen();
}

/*
 * Sees to it that what is undone is not warned of.
 */
void
InitLate(void)
{
	RegisterXactCallback(EndTransaction, NULL);
	RegisterSubXactCallback(EndSubtransaction, NULL);
}

/* A row and its place among those that are to be sorted */
typedef struct LateRow
{
	StreamTime	t;
	int			row;
} LateRow;

static inline int
CompareLateRows(const LateRow *a, const LateRow *b)
{
	if (a->t != b->t)
		return a->t < b->t ? -1 : 1;
	return a->row - b->row;
}

#define ST_SORT SortLateRows
#define ST_ELEMENT_TYPE LateRow
#define ST_COMPARE(a, b) CompareLateRows(a, b)
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * Rows in the order of time, and those of equal times as they are.
 */
static DataBlock *
SortRows(const DataBlock *rows)
{
	LateRow    *order = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(LateRow) * Max(rows->count, 1));
	DataBlock  *sorted = CreateDatapoints(rows->count);

	for (int i = 0; i < rows->count; i++)
	{
		order[i].t = rows->times[i];
		order[i].row = i;
	}
	SortLateRows(order, rows->count);
	for (int i = 0; i < rows->count; i++)
	{
		Value		value = DatapointValue(rows, order[i].row);

		AddDatapoint(sorted, order[i].t, &value);
	}
	pfree(order);

	return sorted;
}

/*
 * The ranges that sorted rows before a time make, each some buckets long: at most
 * LATE_RANGES, the last one with what is left.
 */
static int
LateRanges(const StreamDef *def, const DataBlock *sorted, StreamTime frozen_until, TimeRange *ranges)
{
	Granularity finest = def->highest + 1;
	int			nranges = 0;

	for (int i = 0; i < sorted->count && sorted->times[i] < frozen_until; i++)
	{
		StreamTime	t = sorted->times[i];

		if (nranges > 0 &&
			(nranges == LATE_RANGES || t < BucketEnd(finest, ranges[nranges - 1].to)))
			ranges[nranges - 1].to = t;
		else
			ranges[nranges++] = (TimeRange) {t, t};
	}

	return nranges;
}

/*
 * Whether all of the ranges are part of those that are to be downsampled again already.
 */
static bool
AreNoted(const StreamProgress *progress, const TimeRange *ranges, int nranges)
{
	const TimeRange *noted = progress->late;
	int			nnoted = progress->nlate;

	for (int i = 0; i < nranges; i++)
	{
		int			n = 0;

		while (n < nnoted && (ranges[i].from < noted[n].from || ranges[i].to > noted[n].to))
			n++;
		if (n == nnoted)
			return false;
	}

	return true;
}

/*
 * Inserts rows in any order, all of them older than the latest datapoint of a locked
 * stream.  Those that lie where it has been downsampled are noted for that to be done
 * again; not twice, since each note is one more version of the stream's progress, and
 * a long transaction walks over all of them.  Save the head after.
 */
void
InsertLateRows(StreamHead *head, const DataBlock *rows, const StreamProgress *progress)
{
	StreamTime	frozen_until = progress->until[head->def.highest + 1];
	DataBlock  *sorted = SortRows(rows);
	TimeRange	ranges[LATE_RANGES];
	int			nranges;

	nranges = frozen_until == STREAM_TIME_NONE ? 0
		: LateRanges(&head->def, sorted, frozen_until, ranges);
	if (nranges > 0)
	{
		if (!AreNoted(progress, ranges, nranges))
			AddLateRanges(&head->def.id, ranges, nranges);
		MarkDue(head);
	}
	InsertDatapoints(head, sorted, 0, sorted->count);
	FreeBlock(sorted);
}

/*
 * Inserts rows in any order that are older than the latest datapoint.  In a frozen
 * range that is a warning, and the range is noted for downsampling again.
 */
void
InsertLate(StreamHead *head, const DataBlock *rows)
{
	StreamDef  *def = &head->def;
	StreamProgress progress;
	StreamTime	frozen_until;
	StreamTime	from = STREAM_TIME_NONE;
	StreamTime	to = STREAM_TIME_NONE;
	int64		nfrozen = 0;

	if (rows->count == 0)
		return;

	LockProgress(&def->id, &progress);
	frozen_until = progress.until[def->highest + 1];
	for (int i = 0; i < rows->count; i++)
	{
		StreamTime	t = rows->times[i];

		RefuseExpired(def, progress.expired_until, t);
		if (t >= frozen_until)
			continue;
		from = nfrozen > 0 ? Min(from, t) : t;
		to = nfrozen > 0 ? Max(to, t) : t;
		nfrozen++;
	}
	if (nfrozen > 0)
		NoteFrozen(def, nfrozen, from, to);

	InsertLateRows(head, rows, &progress);
}

/*
 * Appends rows that are not older than the latest datapoint.  A stream that
 * had gone silent may have been downsampled beyond that, so that the first
 * rows are late nevertheless.
 */
void
AppendInOrder(StreamHead *head, const DataBlock *rows)
{
	StreamTime	frozen_until = FrozenUntil(head);

	if (rows->count > 0 && rows->times[0] < frozen_until)
	{
		StreamProgress progress;
		int			nfrozen = BlockLowerBound(rows, frozen_until);

		LockProgress(&head->def.id, &progress);
		RefuseExpired(&head->def, progress.expired_until, rows->times[0]);
		NoteFrozen(&head->def, nfrozen, rows->times[0], rows->times[nfrozen - 1]);
	}

	AppendDatapoints(head, rows, 0, rows->count);
}

/*
 * Appends rows of any order, each behind those that are not later.
 */
void
AppendInAnyOrder(StreamHead *head, const DataBlock *rows)
{
	DataBlock  *in_order = CreateDatapoints(rows->count);
	DataBlock  *late = CreateDatapoints(HEAD_ROWS);
	StreamTime	latest = head->latest;

	for (int i = 0; i < rows->count; i++)
	{
		StreamTime	t = rows->times[i];
		Value		value = DatapointValue(rows, i);

		AddDatapoint(t >= latest ? in_order : late, t, &value);
		latest = Max(latest, t);
	}

	/* What is late is older than what comes after it in order. */
	AppendInOrder(head, in_order);
	InsertLate(head, late);
	FreeBlock(in_order);
	FreeBlock(late);
}
