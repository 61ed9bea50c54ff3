/*-------------------------------------------------------------------------
 *
 * store_snapshot.h
 *	  Locks on the extension's tables, and the snapshots that are taken under
 *	  them.
 *
 * A table is locked first, and the snapshot is taken then.  Rows that ALTER TABLE
 * or TRUNCATE writes anew are not visible to a snapshot that is older than that:
 * to it the table looks empty.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_STORE_SNAPSHOT_H
#define DS_STORE_SNAPSHOT_H

#include "granularity.h"
#include "utils/snapshot.h"

/* A set of the extension's tables: bits */
#define TABLE_OF_LEVEL(level)	(1U << (level))
#define TABLE_STREAMS			(1U << GRANULARITY_COUNT)
#define TABLE_HEADS				(1U << (GRANULARITY_COUNT + 1))
#define TABLE_PROGRESS			(1U << (GRANULARITY_COUNT + 2))
#define TABLE_SOURCES			(1U << (GRANULARITY_COUNT + 3))
#define TABLE_CHANGES			(1U << (GRANULARITY_COUNT + 4))
#define TABLE_COUNT				(GRANULARITY_COUNT + 5)
#define TABLES_ALL				((1U << TABLE_COUNT) - 1)

/*
 * What maintenance reads, it reads with the newest snapshot, whatever the
 * isolation level: the locks that it holds order it with others.
 */
extern void BeginLatestSnapshot(void);
extern void EndLatestSnapshot(void);
extern Snapshot LatestSnapshotOf(uint32 tables);

/* What clients read */
extern void BeginReadSnapshot(uint32 tables);
extern void EndReadSnapshot(void);

extern bool IsStoreTable(Oid relation);
extern bool ProgressIsPlain(void);
extern void CheckTableSnapshot(Oid relation, Snapshot snapshot);

#endif							/* DS_STORE_SNAPSHOT_H */
