/*-------------------------------------------------------------------------
 *
 * store_pending.h
 *	  Datapoints that a statement has appended and not written yet.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_STORE_PENDING_H
#define DS_STORE_PENDING_H

#include "store.h"

/* A stream with such datapoints */
typedef struct PendingStream PendingStream;

extern void InitPending(void);
extern void BeginPendingStatement(void);
extern bool HasPending(void);
extern void FlushPending(void);
extern bool FlushPendingFor(Snapshot snapshot);
extern void FlushPendingToRead(Snapshot snapshot);
extern bool BeginOwnWrites(const StreamHead *head);
extern void EndOwnWrites(bool begun);

extern PendingStream *FindPending(const pg_uuid_t *id);
extern const StreamHead *PendingHead(const PendingStream *stream);
extern bool AddPending(PendingStream *stream, const DataBlock *row);
extern bool AddPendingLate(PendingStream *stream, const DataBlock *row);
extern void NoteAppended(const StreamHead *head);

#endif							/* DS_STORE_PENDING_H */
