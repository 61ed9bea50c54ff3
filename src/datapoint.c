/*-------------------------------------------------------------------------
 *
 * datapoint.c
 *	  Single datapoints in and out of blocks of the highest granularity.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "datapoint.h"

/*
 * An empty block for datapoints, with room for "capacity" of them.
 */
DataBlock *
CreateDatapoints(int capacity)
{
	return CreateBlock(capacity, COLUMN_BIT(COLUMN_DATAPOINT));
}

/*
 * Adds a datapoint behind the last one; its JSON is shared, not copied.
 */
void
AddDatapoint(DataBlock *rows, StreamTime t, const Value *value)
{
	int			row = rows->count;

	if (row >= rows->capacity)
		ReserveBlock(rows, Max(row + 1, rows->capacity * 2));

	rows->times[row] = t;
	SetColumnValue(rows, BlockColumn(rows, COLUMN_DATAPOINT), row, value);
	rows->count++;
}

/*
 * The value of the datapoint in a row.
 */
Value
DatapointValue(const DataBlock *rows, int row)
{
	return GetColumnValue(BlockColumn(rows, COLUMN_DATAPOINT), row);
}

/*
 * A value with a copy of its JSON in the current memory context.
 */
Value
CopyValue(const Value *value)
{
	Value		copy = *value;

	if (value->kind == VALUE_JSON)
	{
		copy.json = palloc(VARSIZE(value->json));
		memcpy(copy.json, value->json, VARSIZE(value->json));
	}

	return copy;
}
