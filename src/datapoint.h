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

extern DataBlock *CreateDatapoints(int capacity);
extern void AddDatapoint(DataBlock *rows, StreamTime t, const Value *value);
extern Value CopyValue(const Value *value);
extern Value DatapointValue(const DataBlock *rows, int row);

#endif							/* DS_DATAPOINT_H */
