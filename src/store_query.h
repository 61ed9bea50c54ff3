/*-------------------------------------------------------------------------
 *
 * store_query.h
 *	  Queries on the tables of blocks, for the files that store and scan them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_STORE_QUERY_H
#define DS_STORE_QUERY_H

#include "block.h"
#include "plans.h"
#include "stream.h"

/* The place of a block among the blocks of its stream and level */
typedef struct BlockKey
{
	StreamTime	start;
	int64		seq;
} BlockKey;

/* A block that is stored */
typedef struct StoredBlock
{
	BlockKey	key;
	StreamTime	until;
	int			count;
	int64		bytes;
	const char *damage;			/* what cannot be in the above, as a sentence;
								 * NULL if all is well */
	struct varlena *encoded;	/* NULL unless asked for */
	DataBlock  *rows;			/* NULL unless asked for */
} StoredBlock;

/* The columns beside a block that SetStoredBlock() reads, in this order */
#define STORED_BLOCK_NCOLUMNS	4

/* The queries; see store_query.c */
typedef enum BlockQuery
{
	QUERY_TAIL,
	QUERY_FROM_KEY,
	QUERY_LAST_AT,
	QUERY_FIRST_AFTER,
	QUERY_NEXT_KEY,
	QUERY_KEY,
	QUERY_OVERLAP,
	QUERY_NTH,
	QUERY_FIRST,
	QUERY_LAST,
	QUERY_INSERT,
	QUERY_UPDATE,
	QUERY_DELETE_KEYS,
	QUERY_DELETE_STREAM,
	QUERY_DELETE_OLD,
	QUERY_SCAN,
	QUERY_SCAN_REVERSE,
	QUERY_COUNT
} BlockQuery;

/*
 * The order of blocks among those of their stream and level
 */
static inline int
CompareBlockKeys(const BlockKey *a, const BlockKey *b)
{
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->seq != b->seq)
		return a->seq < b->seq ? -1 : 1;
	return 0;
}

extern PlanSlot *BlockPlan(Granularity level, BlockQuery which);
extern void RunBlockQuery(Granularity level, BlockQuery which, Datum *values, bool read_only);
extern StoredBlock *FetchBlocksActive(Granularity level, BlockQuery which, Datum *values, int *nblocks);
extern StoredBlock *FetchBlocks(Granularity level, BlockQuery which, Datum *values, int *nblocks);
extern StoredBlock *FetchBlock(Granularity level, BlockQuery which, Datum *values);
extern void SetStoredBlock(StoredBlock *block, const Datum *values, const bool *nulls);
extern void CheckStoredBlock(const pg_uuid_t *id, Granularity level, const StoredBlock *block);
extern void CheckBlockOrder(const pg_uuid_t *id, Granularity level, StreamTime until, StreamTime start);
extern DataBlock *DecodeStoredBlock(const pg_uuid_t *id, Granularity level, const StoredBlock *block,
									const struct varlena *encoded, uint32 columns);
extern Datum KeyStart(const BlockKey *key);

#endif							/* DS_STORE_QUERY_H */
