/*-------------------------------------------------------------------------
 *
 * random_block.h
 *	  Random blocks, of all that a block can hold.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RANDOM_BLOCK_H
#define RANDOM_BLOCK_H

#include "block.h"

/* A source of random numbers that are the same for the same seed */
typedef struct Random
{
	uint64		state;
} Random;

extern uint64 RandomUInt64(Random *random);
extern int	RandomBelow(Random *random, int limit);

extern DataBlock *RandomBlock(Random *random);
extern bool SameBlock(const DataBlock *a, const DataBlock *b, uint32 columns);

#endif							/* RANDOM_BLOCK_H */
