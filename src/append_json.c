/*-------------------------------------------------------------------------
 *
 * append_json.c
 *	  Reading the datapoints of the list that ds_append_multiple() takes as JSON.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "append_json.h"
#include "decimal.h"
#include "errors.h"
#include "json_build.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

/* More seconds than any timestamp is away from 1970, and few enough to count in microseconds */
#define SECONDS_LIMIT	INT64CONST(1000000000000)

/*
 * Refuses an element of the list for its shape.
 */
static void
RefuseShape(const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", problem),
			 errhint("A datapoint is an object {\"stream_id\": …, \"value\": …, \"timestamp\": …}.")));
}

/*
 * The characters of a string or a key, as a C string.
 */
static char *
StringOf(const JsonbValue *string)
{
	return pnstrdup(string->val.string.val, string->val.string.len);
}

static pg_uuid_t
ReadStreamId(const JsonbValue *value)
{
	if (value->type != jbvString)
		RefuseShape("\"stream_id\" must be a string");

	return *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(StringOf(value))));
}

/*
 * The timestamp that lies so many seconds after 1970-01-01 00:00:00 UTC, to the
 * microsecond, truncated towards the past.  Where no timestamp does, the error is
 * invalid_timestamp.
 */
static TimestampTz
TimestampFromSeconds(Numeric seconds)
{
	const int64 epoch = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

	if (CompareNumeric(seconds, int64_to_numeric(-SECONDS_LIMIT)) > 0 &&
		CompareNumeric(seconds, int64_to_numeric(SECONDS_LIMIT)) < 0)
	{
		Numeric		micros = MultiplyNumeric(seconds, int64_to_numeric(USECS_PER_SEC));
		Datum		whole = DirectFunctionCall1(numeric_floor, NumericGetDatum(micros));
		TimestampTz timestamp = DatumGetInt64(DirectFunctionCall1(numeric_int8, whole)) - epoch;

		if (IS_VALID_TIMESTAMP(timestamp))
			return timestamp;
	}

	ereport(ERROR,
			(errcode(ERRCODE_DS_INVALID_TIMESTAMP),
			 errmsg("timestamp %s is out of range",
					ClipForMessage(DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(seconds))))),
			 errdetail("A number is a timestamp in seconds since 1970-01-01 00:00:00 UTC.")));
	pg_unreachable();
}

/*
 * Reads a timestamp that is not null: seconds since 1970, or a text as the type
 * timestamptz reads it.
 */
static TimestampTz
ReadTimestamp(const JsonbValue *value)
{
	if (value->type == jbvNumeric)
		return TimestampFromSeconds(value->val.numeric);
	if (value->type != jbvString)
		RefuseShape("\"timestamp\" must be a string, or a number of seconds since 1970");

	return DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(StringOf(value)),
												   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/*
 * Reads an element of the list.  Errors: 22023 if it has another shape, those of
 * the types uuid and timestamptz, and invalid_timestamp.
 */
JsonDatapoint
ReadJsonDatapoint(const JsonbValue *element)
{
	JsonDatapoint datapoint = {0};
	JsonbIterator *it;
	JsonbValue	key;
	bool		has_stream = false;
	bool		has_value = false;

	if (element->type != jbvBinary || !JsonContainerIsObject(element->val.binary.data))
		RefuseShape("it must be an object");

	it = JsonbIteratorInit(element->val.binary.data);
	JsonbIteratorNext(&it, &key, true);
	while (JsonbIteratorNext(&it, &key, true) == WJB_KEY)
	{
		char	   *name = StringOf(&key);
		JsonbValue	value;

		JsonbIteratorNext(&it, &value, true);
		if (strcmp(name, "stream_id") == 0)
		{
			datapoint.stream_id = ReadStreamId(&value);
			has_stream = true;
		}
		else if (strcmp(name, "value") == 0)
		{
			datapoint.value = value.type == jbvNull ? NULL : JsonbValueToJsonb(&value);
			has_value = true;
		}
		else if (strcmp(name, "timestamp") == 0)
		{
			datapoint.has_timestamp = value.type != jbvNull;
			if (datapoint.has_timestamp)
				datapoint.timestamp = ReadTimestamp(&value);
		}
		else
			RefuseShape(psprintf("unknown key \"%s\"", name));
		pfree(name);
	}

	if (!has_stream)
		RefuseShape("\"stream_id\" is missing");
	if (!has_value)
		RefuseShape("\"value\" is missing");

	return datapoint;
}
