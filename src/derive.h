/*-------------------------------------------------------------------------
 *
 * derive.h
 *	  Derived streams.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_DERIVE_H
#define DS_DERIVE_H

#include "store.h"

/* Something new in a stream at a level */
typedef struct SourceChange
{
	pg_uuid_t	source;
	Granularity level;
} SourceChange;

/* datastream.derive */
typedef enum DeriveMode
{
	DERIVE_IMMEDIATE,
	DERIVE_BACKGROUND
} DeriveMode;

extern int	derive_mode;

/* How far DeriveStream() has come */
typedef enum DeriveOutcome
{
	DERIVE_NOTHING,				/* there was nothing to do */
	DERIVE_DONE,
	DERIVE_MORE					/* there is more to do */
} DeriveOutcome;

extern void DeliverLater(StreamHead *head);
extern void DeliverHead(StreamHead *head);
extern void DeriveFromChanges(const SourceChange *changes, int nchanges, bool appended);
extern DeriveOutcome DeriveStream(const pg_uuid_t *id, int max_blocks, bool mend, int64 *datapoints);
extern bool LockToldStreams(const StreamHead *head);
extern bool LockDerivedStreams(const pg_uuid_t *ids, int nids, bool skip_locked);

#endif							/* DS_DERIVE_H */
