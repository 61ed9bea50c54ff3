/*-------------------------------------------------------------------------
 *
 * datapoint.h
 *	  Single datapoints in and out of blocks of the highest granularity.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_DATAPOINT_H
#define DS_DATAPOINT_H

#include "block.h"

extern Block *CreateDatapoints(int capacity);
extern void AddDatapoint(Block *rows, StreamTime t, const Value *value);
extern Value CopyValue(const Value *value);
extern Value DatapointValue(const Block *rows, int row);

#endif							/* DS_DATAPOINT_H */
