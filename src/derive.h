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
	int			nranges;		/* ranges that changed behind the latest */
	const TimeRange *ranges;
} SourceChange;

/* datastream.derive */
typedef enum DeriveMode
{
	DERIVE_IMMEDIATE,
	DERIVE_BACKGROUND
} DeriveMode;

extern int	derive_mode;

extern void DeriveFromChanges(const SourceChange *changes, int nchanges);
extern bool DeriveStream(const pg_uuid_t *id);
extern bool LockLevelDependants(const StreamDef *def);
extern void LockDerivedStreams(const pg_uuid_t *ids, int nids);

#endif							/* DS_DERIVE_H */
