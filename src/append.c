/*-------------------------------------------------------------------------
 *
 * append.c
 *	  Appending one datapoint.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "append.h"
#include "datapoint.h"
#include "derive.h"
#include "errors.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "json_build.h"
#include "miscadmin.h"
#include "read_only.h"
#include "statement.h"
#include "store.h"
#include "store_pending.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(ds_append_bigint);
PG_FUNCTION_INFO_V1(ds_append_double);
PG_FUNCTION_INFO_V1(ds_append_numeric);
PG_FUNCTION_INFO_V1(ds_append_boolean);
PG_FUNCTION_INFO_V1(ds_append_jsonb);
PG_FUNCTION_INFO_V1(ds_append_json);
PG_FUNCTION_INFO_V1(ds_append_text);

/* Makes the value that a stream keeps of an argument that is not null */
typedef Value (*ValueReader) (const StreamDef *def, Datum argument);

static Value
ReadBigint(const StreamDef *def, Datum argument)
{
	return ValueFromInt64(def, DatumGetInt64(argument));
}

static Value
ReadDouble(const StreamDef *def, Datum argument)
{
	return ValueFromDouble(def, DatumGetFloat8(argument));
}

static Value
ReadNumeric(const StreamDef *def, Datum argument)
{
	return ValueFromNumeric(def, DatumGetNumeric(argument));
}

static Value
ReadBoolean(const StreamDef *def, Datum argument)
{
	return ValueFromBoolean(def, DatumGetBool(argument));
}

static Value
ReadJsonb(const StreamDef *def, Datum argument)
{
	return ValueFromJsonb(def, DatumGetJsonbP(argument));
}

static Value
ReadJson(const StreamDef *def, Datum argument)
{
	return ValueFromJsonb(def, JsonbFromJson(argument));
}

static Value
ReadText(const StreamDef *def, Datum argument)
{
	return ValueFromText(def, TextDatumGetCString(argument));
}

/*
 * Refuses to append to a derived stream.
 */
void
RefuseDerived(const StreamDef *def)
{
	if (def->derive_op >= 0)
		ereport(ERROR,
				(errcode(ERRCODE_DS_APPEND_TO_DERIVED_STREAM),
				 errmsg("cannot append to derived stream \"%s\"", StreamIdToString(&def->id)),
				 errhint("Append to the streams that it derives from.")));
}

/*
 * Refuses a datapoint that is older than the latest one of a stream.
 */
void
RefuseOld(const StreamHead *head, StreamTime t)
{
	if (t < head->latest)
		ereport(ERROR,
				(errcode(ERRCODE_DS_INVALID_TIMESTAMP),
				 errmsg("timestamp \"%s\" is older than the latest datapoint of stream \"%s\"",
						pstrdup(timestamptz_to_str(TimestampFromStreamTime(t))),
						StreamIdToString(&head->def.id)),
				 errdetail("The latest datapoint is at \"%s\".",
						   timestamptz_to_str(TimestampFromStreamTime(head->latest))),
				 errhint("Use check_timestamp => false to append it nevertheless.")));
}

/*
 * Appends rows to a stream that is not locked, if that takes no more than to
 * write its head and nobody else does so meanwhile.  Returns whether it did.
 */
bool
TryAppend(StreamHead *head, const DataBlock *rows)
{
	if (!FitsHead(head, rows))
		return false;
	AppendDatapoints(head, rows, 0, rows->count);

	return TrySaveHead(head);
}

/*
 * The type of the row that ds_append() returns: kept, as looking it up costs as
 * much as finding the stream.  A function keeps its type as long as its OID.
 */
static TupleDesc
AppendedDesc(FunctionCallInfo fcinfo)
{
	static Oid	function = InvalidOid;
	static TupleDesc kept = NULL;

	if (kept == NULL || function != fcinfo->flinfo->fn_oid)
	{
		TupleDesc	desc;
		MemoryContext old_context;

		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		desc = BlessTupleDesc(desc);

		if (kept != NULL)
			FreeTupleDesc(kept);
		kept = NULL;
		old_context = MemoryContextSwitchTo(TopMemoryContext);
		kept = CreateTupleDescCopy(desc);
		MemoryContextSwitchTo(old_context);
		function = fcinfo->flinfo->fn_oid;
	}

	return kept;
}

/*
 * The row that ds_append() returns.
 */
static Datum
AppendedRow(FunctionCallInfo fcinfo, const StreamDef *def, StreamTime t, Jsonb *v)
{
	Datum		values[4];
	bool		nulls[4] = {false, false, false, v == NULL};

	values[0] = UUIDPGetDatum(&def->id);
	values[1] = CStringGetTextDatum(GranularityName(def->highest));
	values[2] = TimestampTzGetDatum(TimestampFromStreamTime(t));
	values[3] = PointerGetDatum(v);

	return HeapTupleGetDatum(heap_form_tuple(AppendedDesc(fcinfo), values, nulls));
}

/*
 * The datapoint that ds_append() has been given, as a row for a stream.
 */
static DataBlock *
RowFromArguments(FunctionCallInfo fcinfo, ValueReader read_value, const StreamDef *def, Value *value)
{
	TimestampTz ts = PG_ARGISNULL(2) ? GetCurrentTimestamp() : PG_GETARG_TIMESTAMPTZ(2);
	StreamTime	t = StreamTimeFromTimestamp(ts, def->highest);
	DataBlock  *rows = CreateDatapoints(1);

	value->kind = VALUE_NULL;
	if (!PG_ARGISNULL(1))
		*value = read_value(def, PG_GETARG_DATUM(1));
	AddDatapoint(rows, t, value);

	return rows;
}

/*
 * Locks the stream of ds_append() and appends the datapoint, wherever it
 * belongs; returns its row.
 */
static DataBlock *
AppendLocked(FunctionCallInfo fcinfo, ValueReader read_value, StreamHead *head, Value *value)
{
	bool		check_timestamp = PG_ARGISNULL(3) || PG_GETARG_BOOL(3);
	DataBlock  *rows;
	bool		is_late;
	bool		own_writes;

	LockBatchStream(NULL, PG_GETARG_UUID_P(0), head, CurrentMemoryContext);
	RefuseDerived(&head->def);

	/* The clock is read under the lock, so that it does not go back. */
	rows = RowFromArguments(fcinfo, read_value, &head->def, value);
	is_late = rows->times[0] < head->latest;
	if (is_late && check_timestamp)
		RefuseOld(head, rows->times[0]);

	own_writes = BeginOwnWrites(head);
	if (is_late)
		InsertLate(head, rows);
	else
		AppendInOrder(head, rows);
	DeliverLater(head);
	SaveHead(head);
	EndOwnWrites(own_writes);
	NoteAppended(head);

	if (head->contributes)
	{
		SourceChange change = {head->def.id, head->def.highest};

		DeriveFromChanges(&change, 1, true);
	}

	return rows;
}

/*
 * Adds the datapoint of ds_append() to those of its stream that are in memory, if there
 * are some; false, with nothing done, if not.  Sets the function's result.
 */
static bool
AppendInMemory(FunctionCallInfo fcinfo, ValueReader read_value, Datum *result)
{
	const pg_uuid_t *id = PG_GETARG_UUID_P(0);
	bool		check_timestamp = PG_ARGISNULL(3) || PG_GETARG_BOOL(3);
	PendingStream *stream = FindPending(id);
	const StreamHead *head;
	DataBlock  *rows;
	Value		value;
	bool		is_late;

	if (stream == NULL)
		return false;

	head = PendingHead(stream);
	rows = RowFromArguments(fcinfo, read_value, &head->def, &value);
	is_late = rows->times[0] < head->latest;
	if (is_late && check_timestamp)
		RefuseOld(head, rows->times[0]);
	if (!(is_late ? AddPendingLate(stream, rows) : AddPending(stream, rows)))
	{
		FlushPending();
		return false;
	}
	*result = AppendedRow(fcinfo, &head->def, rows->times[0], ValueToJsonb(&value));

	return true;
}

/*
 * ds_append(stream_id uuid, value, ts timestamptz, check_timestamp boolean)
 * returns (stream_id uuid, granularity text, t timestamptz, v jsonb)
 *
 * Appends one datapoint and brings the streams that derive from the stream up
 * to date.  Errors: stream_not_found, append_to_derived_stream_not_allowed,
 * invalid_timestamp, stream_append_contended, stream_append_failed, and those
 * of values (value.c).
 */
static Datum
AppendOne(FunctionCallInfo fcinfo, ValueReader read_value)
{
	MemoryContext caller_context = CurrentMemoryContext;
	MemoryContext old_context;
	StreamHead	head;
	DataBlock  *rows;
	Value		value;
	StreamTime	t;
	Datum		result;

	RefuseReadOnly("ds_append()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("stream_id must not be null")));

	NoteAppendFunction(fcinfo->flinfo->fn_oid);
	if (AppendInMemory(fcinfo, read_value, &result))
		return result;

	/* Most datapoints just go into the head. */
	if (PeekStream(NULL, PG_GETARG_UUID_P(0), &head, CurrentMemoryContext))
	{
		rows = RowFromArguments(fcinfo, read_value, &head.def, &value);
		t = rows->times[0];
		if (TryAppend(&head, rows))
		{
			NoteAppended(&head);
			return AppendedRow(fcinfo, &head.def, t, ValueToJsonb(&value));
		}
	}

	SPI_connect();
	rows = AppendLocked(fcinfo, read_value, &head, &value);
	t = rows->times[0];

	/* What is returned must outlive the SPI connection. */
	old_context = MemoryContextSwitchTo(caller_context);
	value = CopyValue(&value);
	MemoryContextSwitchTo(old_context);
	SPI_finish();

	return AppendedRow(fcinfo, &head.def, t, ValueToJsonb(&value));
}

Datum
ds_append_bigint(PG_FUNCTION_ARGS)
{
	return AppendOne(fcinfo, ReadBigint);
}

Datum
ds_append_double(PG_FUNCTION_ARGS)
{
	return AppendOne(fcinfo, ReadDouble);
}

Datum
ds_append_numeric(PG_FUNCTION_ARGS)
{
	return AppendOne(fcinfo, ReadNumeric);
}

Datum
ds_append_boolean(PG_FUNCTION_ARGS)
{
	return AppendOne(fcinfo, ReadBoolean);
}

Datum
ds_append_jsonb(PG_FUNCTION_ARGS)
{
	return AppendOne(fcinfo, ReadJsonb);
}

Datum
ds_append_json(PG_FUNCTION_ARGS)
{
	return AppendOne(fcinfo, ReadJson);
}

Datum
ds_append_text(PG_FUNCTION_ARGS)
{
	return AppendOne(fcinfo, ReadText);
}
