/*-------------------------------------------------------------------------
 *
 * store.h
 *	  Heads and blocks in tables.
 *
 * A stream's head row is its lock: whoever writes to a stream holds that row
 * until the end of the transaction, and whoever writes to its datapoints at
 * the highest granularity updates that row.  Levels below are written by the
 * one who holds the progress row too.
 *
 * So that nobody waits in a circle, streams are locked in one order: those
 * that clients append to first, then derived ones, each by id.  Maintenance of
 * many streams in one transaction skips what is locked instead of waiting.
 *
 * Everything here needs an open SPI connection, and acts with the rights of
 * the caller.  Results are allocated in the memory context that is given, or
 * else in the current one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_STORE_H
#define DS_STORE_H

#include "storage/itemptr.h"
#include "store_block.h"
#include "store_snapshot.h"
#include "stream.h"

/* A head that reaches this many datapoints, or bytes, is moved into a block. */
#define HEAD_ROWS		32
#define HEAD_BYTES		400

/*
 * A stream that is silent until such a bucket is over has its head moved into
 * a block, and small blocks merged.
 */
#define SILENT_LEVEL	GRANULARITY_DAYS

/* No time: before every timestamp */
#define STREAM_TIME_NONE	(-INT64CONST(1))

/* A locked stream and its newest datapoints */
typedef struct StreamHead
{
	StreamDef	def;
	StreamTime	latest;			/* or STREAM_TIME_NONE */
	StreamTime	close_at;		/* end of the bucket in work at the finest
								 * lower level, or STREAM_TIME_NONE */
	StreamTime	check_at;		/* by the clock: when to look whether it has
								 * gone silent, or STREAM_TIME_NONE */
	bool		due;			/* there is something for maintenance to do, */
	StreamTime	due_since;		/* by the clock, since then; STREAM_TIME_MIN if
								 * it is not to wait */
	bool		undelivered;	/* its dependants are to be told of new datapoints */
	bool		contributes;	/* other streams derive from it */
	bool		wake;			/* there is work that workers do not know of yet */
	DataBlock  *rows;			/* newest datapoints; count may be 0 */
	ItemPointerData place;		/* of its row, if that was locked directly */
	CommandId	command;		/* that came then */
	ItemPointerData version;	/* of its row, if that was locked by a query */
	struct HeadBatch *batch;	/* that it belongs to, or NULL */
} StreamHead;

/* A closed range of time */
typedef struct TimeRange
{
	StreamTime	from;
	StreamTime	to;
} TimeRange;

/* How far maintenance has come */
typedef struct StreamProgress
{
	StreamTime	until[GRANULARITY_COUNT];	/* end of the last closed bucket, or
											 * STREAM_TIME_NONE */
	TimeRange  *late;			/* to be downsampled again, ascending, apart
								 * from each other */
	int			nlate;
	StreamTime	active_at;		/* by the clock: when something new was found
								 * last, or STREAM_TIME_NONE */
	StreamTime	seen_latest;	/* the latest datapoint then, or
								 * STREAM_TIME_NONE */
	StreamTime	expired_until;	/* what lies before cannot be downsampled
								 * again, or STREAM_TIME_NONE */
	bool		pending_backprocess;
	bool		behind;			/* there is something to derive */
} StreamProgress;

/* Streams */
extern void CreateStreamStorage(const pg_uuid_t *id, bool pending_backprocess);
extern void DeleteStreamStorage(const pg_uuid_t *id);
extern bool LockStreams(const pg_uuid_t *ids, int nids, bool skip_locked);
extern void MarkContributes(const pg_uuid_t *source);
extern void ClearContributes(const pg_uuid_t *source);
extern bool StreamLatest(const StreamDef *def, StreamTime *latest, int *count_at_latest);
extern bool StreamEarliest(const StreamDef *def, StreamTime *earliest);

/* Heads */
typedef struct HeadBatch HeadBatch;

extern bool LockStream(const pg_uuid_t *id, bool skip_locked, bool missing_ok,
					   StreamHead *head, MemoryContext context);
extern void SaveHead(StreamHead *head);
extern bool PeekStream(HeadBatch *batch, const pg_uuid_t *id, StreamHead *head, MemoryContext context);
extern bool FitsHead(const StreamHead *head, const DataBlock *rows);
extern bool TrySaveHead(StreamHead *head);
#define HEAD_BATCH_MAX		50000
extern HeadBatch *BeginHeadBatch(const pg_uuid_t *ids, int nids);
extern void EndHeadBatch(HeadBatch *batch);
extern void LockBatchStream(HeadBatch *batch, const pg_uuid_t *id, StreamHead *head, MemoryContext context);
extern DataBlock *ReadHeadRows(const pg_uuid_t *id, MemoryContext context);

/* Datapoints at the highest granularity; the head must be locked, and saved after */
extern StreamTime FrozenUntil(const StreamHead *head);
extern void MarkDue(StreamHead *head);
extern void MarkUndelivered(StreamHead *head);
extern bool AdvanceDerived(StreamHead *head, StreamTime read_until);
extern void AppendDatapoints(StreamHead *head, const DataBlock *rows, int from, int to);
extern void InsertDatapoints(StreamHead *head, const DataBlock *rows, int from, int to);
extern void DeleteDatapoints(StreamHead *head, StreamTime from, StreamTime to);
extern void MoveHeadIntoBlock(StreamHead *head);

/* Progress */
extern bool ReadProgress(const pg_uuid_t *id, StreamProgress *progress);
extern void LockProgress(const pg_uuid_t *id, StreamProgress *progress);
extern void SaveDownsampledUntil(const pg_uuid_t *id, const StreamProgress *progress);
extern void SaveExpiredUntil(const pg_uuid_t *id, StreamTime expired_until);
extern void SaveDerived(const pg_uuid_t *id);
extern void MarkBehind(const pg_uuid_t *ids, int nids);
extern void AddLateRanges(const pg_uuid_t *id, const TimeRange *ranges, int nranges);
extern void ClearLateRanges(const pg_uuid_t *id);

/*
 * What has changed in a stream that others derive from.  Those who write
 * datapoints and buckets have that noted by these, and nobody else.
 */
extern void NoteChanges(const pg_uuid_t *source, Granularity level, const TimeRange *ranges, int nranges);
extern void NoteInserted(const StreamHead *head, const DataBlock *rows, int from, int to);
extern void NoteDeleted(const StreamHead *head, StreamTime from, StreamTime to, StreamTime old_latest);
extern void ReplaceBuckets(const StreamHead *head, Granularity level, StreamTime from, StreamTime to,
						   const DataBlock *buckets);

/* What is noted for a derived stream: of the source at a position, in its time */
typedef struct NotedChange
{
	pg_uuid_t	id;
	int			position;
	TimeRange	range;
} NotedChange;

extern void NoteChangeFor(const pg_uuid_t *derived, int position, TimeRange range);
extern int	ReadChanges(const pg_uuid_t *derived, int limit, NotedChange **changes);
extern void DeleteChanges(const pg_uuid_t *derived, const NotedChange *changes, int nchanges);

/* Rights */
extern bool StoreIsReadable(Granularity level);
extern bool SourcesAreReadable(void);

#endif							/* DS_STORE_H */
