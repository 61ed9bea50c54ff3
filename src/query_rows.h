/*-------------------------------------------------------------------------
 *
 * query_rows.h
 *	  The rows of ds_get_data and ds_get_series, one by one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_QUERY_ROWS_H
#define DS_QUERY_ROWS_H

#include "fmgr.h"
#include "stream.h"

/* Arguments of ds_get_data and ds_get_series; the last two are only the former's */
enum
{
	QUERY_ARG_STREAM_ID,
	QUERY_ARG_GRANULARITY,
	QUERY_ARG_START,
	QUERY_ARG_END,
	QUERY_ARG_START_EXCLUSIVE,
	QUERY_ARG_END_EXCLUSIVE,
	QUERY_ARG_REVERSE,
	QUERY_ARG_VALUE_DOWNSAMPLERS,
	QUERY_ARG_TIME_DOWNSAMPLERS
};

/* Columns of ds_get_data */
enum
{
	DATA_T,
	DATA_V,
	DATA_TIMES,
	DATA_NCOLUMNS
};

/* Columns of ds_get_series */
enum
{
	SERIES_T,
	SERIES_VALUE,
	SERIES_COUNT,
	SERIES_MEAN,
	SERIES_SUM,
	SERIES_MIN,
	SERIES_MAX,
	SERIES_SUM_SQUARES,
	SERIES_STD_DEV,
	SERIES_FIRST,
	SERIES_LAST,
	SERIES_MIDDLE,
	SERIES_NCOLUMNS
};

/* Sets of columns */
#define ROW_COLUMN_BIT(column)	((uint32) 1 << (column))
#define ROW_COLUMNS_ALL			(ROW_COLUMN_BIT(SERIES_NCOLUMNS) - 1)
#define SERIES_TIMES \
	(ROW_COLUMN_BIT(SERIES_T) | ROW_COLUMN_BIT(SERIES_FIRST) | \
	 ROW_COLUMN_BIT(SERIES_LAST) | ROW_COLUMN_BIT(SERIES_MIDDLE))
#define SERIES_NUMBERS			(ROW_COLUMNS_ALL & ~SERIES_TIMES)

/*
 * Reads rows.  NextRow() puts the next one into "values" and "nulls", of which
 * only the wanted columns mean anything; what they point to is valid until the
 * next call.  A reader needs nothing open between two calls; one that an error
 * interrupts is cleaned up with the transaction and its memory context.
 */
typedef struct RowReader RowReader;
struct RowReader
{
	bool		(*next) (RowReader *reader);
	Datum		values[SERIES_NCOLUMNS];
	bool		nulls[SERIES_NCOLUMNS];
};

extern RowReader *BeginDataRows(FunctionCallInfo fcinfo, uint32 wanted);
extern RowReader *BeginSeriesRows(FunctionCallInfo fcinfo, uint32 wanted);
extern RowReader *BeginBucketRows(const StreamDef *def, Granularity level,
								  StreamTime from, StreamTime to);
extern void EndRows(RowReader *reader);

static inline bool
NextRow(RowReader *reader)
{
	return reader->next(reader);
}

#endif							/* DS_QUERY_ROWS_H */
