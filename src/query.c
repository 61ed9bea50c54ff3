/*-------------------------------------------------------------------------
 *
 * query.c
 *	  Reading: ds_get_data and ds_get_series.
 *
 * In most queries the functions themselves are not called: query_node.c reads
 * their rows as the executor asks for them.  Where they are called, rows go into
 * a tuplestore, which spills to disk.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "query.h"
#include "query_rows.h"
#include "srf.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(ds_get_data);
PG_FUNCTION_INFO_V1(ds_get_series);

/*
 * Puts all buckets of a stream in [from, to), which are bucket boundaries of
 * that level, into a result with the columns of ds_downsample_streams:
 * stream_id, granularity, t, v, times.
 */
void
ReturnBuckets(const StreamDef *def, Granularity level, StreamTime from, StreamTime to,
			  ReturnSetInfo *rsinfo)
{
	RowReader  *reader = BeginBucketRows(def, level, from, to);
	Datum		values[2 + DATA_NCOLUMNS];
	bool		nulls[2 + DATA_NCOLUMNS] = {false};

	values[0] = UUIDPGetDatum(&def->id);
	values[1] = CStringGetTextDatum(GranularityName(level));
	while (NextRow(reader))
	{
		memcpy(&values[2], reader->values, sizeof(Datum) * DATA_NCOLUMNS);
		memcpy(&nulls[2], reader->nulls, sizeof(bool) * DATA_NCOLUMNS);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	EndRows(reader);
}

/*
 * Puts all rows into the result of a function.
 */
static void
ReturnRows(RowReader *reader, ReturnSetInfo *rsinfo)
{
	while (NextRow(reader))
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, reader->values, reader->nulls);
	EndRows(reader);
}

/*
 * ds_get_data(stream_id uuid, granularity text, start timestamptz, "end" timestamptz,
 *			   start_exclusive timestamptz, end_exclusive timestamptz, reverse boolean,
 *			   value_downsamplers text[], time_downsamplers text[])
 *		returns rows (t timestamptz, v jsonb, times jsonb)
 *
 * The datapoints of a stream in a range, at any granularity.  Errors:
 * null_value_not_allowed, invalid_parameter_value, unsupported_granularity,
 * stream_not_found, unsupported_downsampler.
 */
Datum
ds_get_data(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = InitMaterializedResult(fcinfo);

	ReturnRows(BeginDataRows(fcinfo, ROW_COLUMNS_ALL), rsinfo);

	return (Datum) 0;
}

/*
 * ds_get_series(stream_id uuid, granularity text, start timestamptz, "end" timestamptz,
 *				 start_exclusive timestamptz, end_exclusive timestamptz, reverse boolean)
 *		returns rows (t timestamptz, value float8, count bigint, mean, sum, min,
 *					  max, sum_squares, std_dev float8, first, last, middle timestamptz)
 *
 * The same for numeric streams, as typed columns.  Errors:
 * null_value_not_allowed, invalid_parameter_value, unsupported_granularity,
 * stream_not_found, incompatible_types.
 */
Datum
ds_get_series(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = InitMaterializedResult(fcinfo);

	ReturnRows(BeginSeriesRows(fcinfo, ROW_COLUMNS_ALL), rsinfo);

	return (Datum) 0;
}
