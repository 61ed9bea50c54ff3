/*-------------------------------------------------------------------------
 *
 * store_table.h
 *	  Direct access to the tables of blocks, for store_block.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_STORE_TABLE_H
#define DS_STORE_TABLE_H

#include "store_query.h"

extern StoredBlock *FetchTailDirectly(const pg_uuid_t *id, Granularity level, int limit, int *nblocks);
extern bool InsertBlockDirectly(Granularity level, const Datum *values);

#endif							/* DS_STORE_TABLE_H */
