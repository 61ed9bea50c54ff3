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
	Column	   *column;
	int			row = rows->count;

	if (row >= rows->capacity)
		ReserveBlock(rows, Max(row + 1, rows->capacity * 2));

	column = BlockColumn(rows, COLUMN_DATAPOINT);
	rows->times[row] = t;
	column->kinds[row] = value->kind;
	column->numbers[row] = value->kind == VALUE_DOUBLE ? value->number : 0;
	if (value->kind == VALUE_JSON && column->json == NULL)
		column->json = palloc0(sizeof(Jsonb *) * rows->capacity);
	if (column->json != NULL)
		column->json[row] = value->kind == VALUE_JSON ? value->json : NULL;
	rows->count++;
}

/*
 * The value of the datapoint in a row.
 */
Value
DatapointValue(const DataBlock *rows, int row)
{
	const Column *column = BlockColumn(rows, COLUMN_DATAPOINT);
	Value		value;

	value.kind = column->kinds[row];
	value.number = column->numbers[row];
	value.json = value.kind == VALUE_JSON ? column->json[row] : NULL;

	return value;
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
