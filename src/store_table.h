/*-------------------------------------------------------------------------
 *
 * store_table.h
 *	  Direct access to the tables of blocks, for store_block.c and store_scan.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_STORE_TABLE_H
#define DS_STORE_TABLE_H

#include "store_query.h"
#include "utils/snapshot.h"

extern StoredBlock *FetchTailDirectly(const pg_uuid_t *id, Granularity level, int limit, int *nblocks);
extern int	FetchRangeDirectly(const pg_uuid_t *id, Granularity level, StreamTime from, StreamTime to,
							   bool reverse, Snapshot snapshot, bool *begun, BlockKey *last, int limit,
							   StoredBlock *blocks);
extern bool BlocksArePlain(Granularity level);
extern bool InsertBlockDirectly(Granularity level, const Datum *values);

#endif							/* DS_STORE_TABLE_H */
