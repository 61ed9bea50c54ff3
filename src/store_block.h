/*-------------------------------------------------------------------------
 *
 * store_block.h
 *	  Blocks in tables, for store.c and the readers.
 *
 * Everything here needs an open SPI connection, and acts with the rights of
 * the caller.  Writing to the blocks of a stream is for those who hold its
 * lock (see store.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_STORE_BLOCK_H
#define DS_STORE_BLOCK_H

#include "block.h"
#include "executor/spi.h"
#include "stream.h"

/* Writing */
extern void AppendBlocks(const pg_uuid_t *id, Granularity level, const DataBlock *rows, int from, int to);
extern void InsertIntoBlocks(const pg_uuid_t *id, Granularity level, const DataBlock *rows, int from, int to);
extern void DeleteFromBlocks(const pg_uuid_t *id, Granularity level, StreamTime from, StreamTime to);
extern void MergeSmallBlocks(const pg_uuid_t *id, Granularity level, StreamTime from, StreamTime to);
extern DataBlock *MergeBlockRows(const DataBlock *a, const DataBlock *b, int from, int to);
extern void DeleteBlocks(const pg_uuid_t *id, Granularity level);

/* What DeleteOldBlocks() has deleted */
typedef struct DeletedBlocks
{
	int64		blocks;
	int64		rows;
	StreamTime	until;			/* the time of the last row, if there is one */
} DeletedBlocks;

extern DeletedBlocks DeleteOldBlocks(const pg_uuid_t *id, Granularity level, StreamTime before,
									 int max_blocks);

/*
 * Reading, with the active snapshot.  Of a scan only its beginning is bound to
 * that: to go on it needs neither the snapshot to be active nor SPI.
 */
typedef struct BlockScan BlockScan;

extern BlockScan *BeginBlockScan(const pg_uuid_t *id, Granularity level, const DataBlock *head_rows,
								 StreamTime from, StreamTime to, bool reverse, uint32 columns);
extern DataBlock *NextBlock(BlockScan *scan, int *first, int *last);
extern void EndBlockScan(BlockScan *scan);

extern DataBlock *DecodeHead(const pg_uuid_t *id, Datum head);
extern bool FirstBlockStart(const pg_uuid_t *id, Granularity level, StreamTime *start);
extern bool FirstBlockUntil(const pg_uuid_t *id, Granularity level, bool damage_ok, StreamTime *until);
extern bool LastBlockUntil(const pg_uuid_t *id, Granularity level, StreamTime *until);
extern bool NthBlockUntil(const pg_uuid_t *id, Granularity level, StreamTime from, int n,
						  StreamTime *until);
extern double EstimateBlockRows(const pg_uuid_t *id, Granularity level, StreamTime from, StreamTime to);

#endif							/* DS_STORE_BLOCK_H */
