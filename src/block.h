/*-------------------------------------------------------------------------
 *
 * block.h
 *	  Blocks: up to a thousand datapoints or buckets of one stream, column by
 *	  column, as one compressed value of type ds_block.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_BLOCK_H
#define DS_BLOCK_H

#include "fmgr.h"
#include "granularity.h"
#include "value.h"

/* What a column holds.  Numbers are part of the format on disk. */
typedef enum ColumnId
{
	/* the value of a datapoint at the highest granularity */
	COLUMN_DATAPOINT = 1,

	/*
	 * The stored parts of a bucket (COLUMN_INT, unless said otherwise).
	 * Times are in milliseconds from the start of the bucket.
	 */
	COLUMN_COUNT = 2,			/* datapoints with a value */
	COLUMN_ENTRIES = 3,			/* all datapoints, those without value too */
	COLUMN_FIRST = 4,			/* time of the first datapoint */
	COLUMN_LAST = 5,			/* time of the last datapoint */
	COLUMN_MEAN_TIME = 6,		/* sum of times of datapoints with a value,
								 * divided by COLUMN_COUNT, rounded down */
	COLUMN_MEAN_TIME_REST = 7,	/* the remainder of that division */
	COLUMN_INTERVAL_MIN = 8,	/* shortest interval, ms */
	COLUMN_INTERVAL_MAX = 9,	/* longest interval, ms */
	COLUMN_INTERVAL_SQUARES_HIGH = 10,	/* sum of squared intervals, ms^2: */
	COLUMN_INTERVAL_SQUARES_LOW = 11,	/* the halves of a 128-bit integer */
	COLUMN_SUM = 12,			/* COLUMN_VALUE */
	COLUMN_MIN = 13,			/* COLUMN_VALUE */
	COLUMN_MAX = 14,			/* COLUMN_VALUE */
	COLUMN_SUM_SQUARES = 15,	/* COLUMN_VALUE */
	COLUMN_MOMENT = 16,			/* COLUMN_VALUE: what the second central moment
								 * needs beside the sums, see value_parts.c */
	COLUMN_FREQUENCIES = 17,	/* COLUMN_VALUE */
	COLUMN_MEDIAN = 18			/* COLUMN_BYTES: state of the median */
} ColumnId;

#define COLUMN_ID_MAX	COLUMN_MEDIAN
#define COLUMN_BIT(id)	(((uint32) 1) << (id))
#define COLUMN_ALL		(~(uint32) 0)

typedef enum ColumnType
{
	COLUMN_TYPE_INT,			/* int64, every one set */
	COLUMN_TYPE_VALUE,			/* null, double or JSON, mixed freely */
	COLUMN_TYPE_BYTES			/* byte strings, or NULL */
} ColumnType;

/* One column of "count" rows; only the arrays of its type are set. */
typedef struct Column
{
	uint8		id;				/* ColumnId */
	uint8		type;			/* ColumnType */
	int64	   *ints;
	uint8	   *kinds;			/* ValueKind of each row */
	double	   *numbers;		/* where the kind is VALUE_DOUBLE, else 0 */
	Jsonb	  **json;			/* where the kind is VALUE_JSON, else NULL; the
								 * array is NULL if no row is */
	struct varlena **bytes;		/* full-header varlenas, or NULL */
} Column;

typedef struct DataBlock
{
	int			count;			/* rows; 1 .. BLOCK_MAX_ROWS on disk */
	int			capacity;		/* rows for which the arrays have room */
	StreamTime *times;			/* ascending; equal ones allowed */
	int			ncolumns;
	Column		columns[COLUMN_ID_MAX];
} DataBlock;

/* Rows that a full block holds, and the most that is accepted on disk */
#define BLOCK_ROWS		1000
#define BLOCK_MAX_ROWS	4096

extern ColumnType ColumnTypeOf(ColumnId id);

/* An empty block in the current memory context with room for "capacity" rows */
extern DataBlock *CreateBlock(int capacity, uint32 columns);
extern void FreeBlock(DataBlock *block);
extern Column *AddBlockColumn(DataBlock *block, ColumnId id);	/* to an empty block */
extern Column *BlockColumn(const DataBlock *block, ColumnId id);	/* NULL if absent */

/* Makes room for at least "capacity" rows. */
extern void ReserveBlock(DataBlock *block, int capacity);

/*
 * Sets and gets a row of a COLUMN_TYPE_VALUE column.  Setting allocates the
 * column's array of JSON, in the block's memory context, when it is needed
 * first; the JSON itself is shared, not copied.
 */
extern void SetColumnValue(const DataBlock *block, Column *column, int row, const Value *value);
extern Value GetColumnValue(const Column *column, int row);

/* Appends rows [from, to) of src to dst, which has the same columns;
 * JSON and byte strings are shared, not copied. */
extern void AppendBlockRows(DataBlock *dst, const DataBlock *src, int from, int to);

/*
 * The encoded form: a ds_block varlena in the current memory context.  count
 * must be 1 .. BLOCK_MAX_ROWS.
 */
extern struct varlena *EncodeBlock(const DataBlock *block);

/*
 * Decodes a ds_block (detoasted, full header) into the current memory
 * context.  Only the columns whose COLUMN_BIT is in "columns" are decoded;
 * times always are.  Damaged input is ERRCODE_DATA_CORRUPTED.
 */
extern DataBlock *DecodeBlock(const struct varlena *encoded, uint32 columns);

/* Index of the first row with times >= t (or > t), by bisection */
extern int BlockLowerBound(const DataBlock *block, StreamTime t);
extern int BlockUpperBound(const DataBlock *block, StreamTime t);

/*
 * The columns that a block has, as COLUMN_BITs.
 */
static inline uint32
BlockColumnMask(const DataBlock *block)
{
	uint32		mask = 0;

	for (int i = 0; i < block->ncolumns; i++)
		mask |= COLUMN_BIT(block->columns[i].id);

	return mask;
}

/*
 * Whether rows may have JSON or byte strings, apart from the block's arrays.
 */
static inline bool
BlockHasPointers(const DataBlock *block)
{
	for (int i = 0; i < block->ncolumns; i++)
	{
		if (block->columns[i].json != NULL || block->columns[i].bytes != NULL)
			return true;
	}

	return false;
}

/*
 * Rows [from, to) of a block as a block that shares its arrays.
 */
static inline DataBlock
BlockSlice(const DataBlock *block, int from, int to)
{
	DataBlock	slice = *block;

	slice.count = to - from;
	slice.capacity = to - from;
	slice.times += from;
	for (int i = 0; i < slice.ncolumns; i++)
	{
		Column	   *column = &slice.columns[i];

		if (column->ints != NULL)
			column->ints += from;
		if (column->kinds != NULL)
			column->kinds += from;
		if (column->numbers != NULL)
			column->numbers += from;
		if (column->json != NULL)
			column->json += from;
		if (column->bytes != NULL)
			column->bytes += from;
	}

	return slice;
}

/* Datum access as for any varlena */
#define PG_GETARG_DS_BLOCK(n)	((struct varlena *) PG_DETOAST_DATUM(PG_GETARG_DATUM(n)))

#endif							/* DS_BLOCK_H */
