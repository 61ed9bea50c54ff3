/*-------------------------------------------------------------------------
 *
 * stream_info.c
 *	  What streams are and how far they have come, for clients.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "errors.h"
#include "fmgr.h"
#include "json_build.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "plans.h"
#include "retention.h"
#include "srf.h"
#include "store.h"
#include "stream.h"
#include "tags.h"
#include "time_downsampler.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/jsonpath.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(ds_get_tags);
PG_FUNCTION_INFO_V1(ds_find_streams);

/* Streams that ds_find_streams() fetches at a time */
#define INFO_BATCH	200

/* What is known of a stream: the columns of ds_find_streams() */
typedef enum StreamInfo
{
	INFO_STREAM_ID,
	INFO_TAGS,
	INFO_VALUE_TYPE,
	INFO_VALUE_TYPE_OPTIONS,
	INFO_VALUE_DOWNSAMPLERS,
	INFO_HIGHEST_GRANULARITY,
	INFO_PENDING_BACKPROCESS,
	INFO_EARLIEST_DATAPOINT,
	INFO_LATEST_DATAPOINT,
	INFO_DOWNSAMPLED_UNTIL,
	INFO_DERIVED_FROM,
	INFO_CONTRIBUTES_TO
} StreamInfo;

#define INFO_COUNT	(INFO_CONTRIBUTES_TO + 1)

typedef struct StreamInfoRow
{
	StreamDef	def;
	Datum		values[INFO_COUNT];
	bool		nulls[INFO_COUNT];
} StreamInfoRow;

/*
 * The query behind both functions.  Its first columns are STREAM_DEF_COLUMNS;
 * the others are numbered here.  Of a stream that row security hides from the
 * caller it shows nothing, nor its identifier.
 */
#define QUERY_TAGS					(STREAM_DEF_NCOLUMNS + 1)
#define QUERY_LATEST				(STREAM_DEF_NCOLUMNS + 2)
#define QUERY_PENDING_BACKPROCESS	(STREAM_DEF_NCOLUMNS + 3)
#define QUERY_DOWNSAMPLED_UNTIL		(STREAM_DEF_NCOLUMNS + 4)
#define QUERY_DERIVED_FROM			(STREAM_DEF_NCOLUMNS + 5)
#define QUERY_CONTRIBUTES_TO		(STREAM_DEF_NCOLUMNS + 6)

#define INFO_QUERY \
	"SELECT " STREAM_DEF_COLUMNS ", s.tags, h.latest," \
	" coalesce(p.pending_backprocess, false), p.downsampled_until," \
	" CASE WHEN s.derive_op IS NOT NULL THEN (" \
	"SELECT pg_catalog.jsonb_build_object(" \
	"'stream_ids', coalesce(pg_catalog.jsonb_agg(d.source_id ORDER BY d.\"position\"), '[]')," \
	" 'op', s.derive_op, 'args', coalesce(s.derive_args, '{}'))" \
	" FROM datastream.sources d JOIN datastream.streams t" \
	" ON t.stream_id OPERATOR(pg_catalog.=) d.source_id" \
	" WHERE d.stream_id OPERATOR(pg_catalog.=) s.stream_id) END," \
	" CASE WHEN h.contributes THEN (" \
	"SELECT pg_catalog.jsonb_object_agg(t.stream_id, pg_catalog.jsonb_build_object(" \
	"'op', t.derive_op, 'args', coalesce(t.derive_args, '{}')))" \
	" FROM datastream.sources d JOIN datastream.streams t" \
	" ON t.stream_id OPERATOR(pg_catalog.=) d.stream_id" \
	" WHERE d.source_id OPERATOR(pg_catalog.=) s.stream_id) END" \
	" FROM datastream.streams s" \
	" LEFT JOIN datastream.heads h ON h.stream_id OPERATOR(pg_catalog.=) s.stream_id" \
	" LEFT JOIN datastream.progress p ON p.stream_id OPERATOR(pg_catalog.=) s.stream_id"

/*
 * An object with the time until which each granularity below the highest has
 * been downsampled, or null.
 */
static Jsonb *
DownsampledUntil(Granularity highest, Datum array, bool isnull)
{
	JsonbParseState *state = NULL;
	Datum	   *times = NULL;
	bool	   *nulls = NULL;
	int			ntimes = 0;

	if (!isnull)
		deconstruct_array(DatumGetArrayTypeP(array), TIMESTAMPTZOID, sizeof(TimestampTz),
						  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &times, &nulls, &ntimes);

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int level = highest + 1; level < GRANULARITY_COUNT; level++)
	{
		PushKey(&state, GranularityName((Granularity) level));
		if (level < ntimes && !nulls[level])
			PushTimestamp(&state, WJB_VALUE, DatumGetTimestampTz(times[level]));
		else
			PushNull(&state, WJB_VALUE);
	}

	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * Fills a row from a result of INFO_QUERY.  The row lives as long as that
 * result and the current memory context.
 */
static void
ReadInfo(StreamInfoRow *row, HeapTuple tuple, TupleDesc desc)
{
	/* Columns that are taken over as they are */
	static const struct
	{
		StreamInfo	info;
		int			attribute;
	}			columns[] = {
		{INFO_STREAM_ID, 1},
		{INFO_TAGS, QUERY_TAGS},
		{INFO_VALUE_TYPE, 2},
		{INFO_VALUE_TYPE_OPTIONS, 3},
		{INFO_VALUE_DOWNSAMPLERS, 4},
		{INFO_HIGHEST_GRANULARITY, 5},
		{INFO_PENDING_BACKPROCESS, QUERY_PENDING_BACKPROCESS},
		{INFO_LATEST_DATAPOINT, QUERY_LATEST},
		{INFO_DERIVED_FROM, QUERY_DERIVED_FROM},
		{INFO_CONTRIBUTES_TO, QUERY_CONTRIBUTES_TO}
	};
	StreamTime	earliest;
	Datum		until;
	bool		isnull;

	for (int i = 0; i < lengthof(columns); i++)
		row->values[columns[i].info] = SPI_getbinval(tuple, desc, columns[i].attribute,
													 &row->nulls[columns[i].info]);

	StreamDefFromTuple(&row->def, tuple, desc, 1, CurrentMemoryContext);

	until = SPI_getbinval(tuple, desc, QUERY_DOWNSAMPLED_UNTIL, &isnull);
	row->values[INFO_DOWNSAMPLED_UNTIL] = JsonbPGetDatum(DownsampledUntil(row->def.highest, until, isnull));
	row->nulls[INFO_DOWNSAMPLED_UNTIL] = false;

	row->nulls[INFO_EARLIEST_DATAPOINT] = true;
	if (!row->nulls[INFO_LATEST_DATAPOINT])
	{
		/* A connection of its own gives back what the look-up needs in memory. */
		SPI_connect();
		if (StreamEarliest(&row->def, &earliest))
		{
			row->values[INFO_EARLIEST_DATAPOINT] = TimestampTzGetDatum(TimestampFromStreamTime(earliest));
			row->nulls[INFO_EARLIEST_DATAPOINT] = false;
		}
		SPI_finish();
	}
}

/*
 * Adds a key with a part of the row that is text, or a timestamp, or JSON, or
 * an array of names.
 */
static void
PushText(JsonbParseState **state, const char *key, Datum value)
{
	PushKey(state, key);
	PushString(state, WJB_VALUE, TextDatumGetCString(value));
}

static void
PushOptionalTimestamp(JsonbParseState **state, const char *key, const StreamInfoRow *row, StreamInfo info)
{
	PushKey(state, key);
	if (row->nulls[info])
		PushNull(state, WJB_VALUE);
	else
		PushTimestamp(state, WJB_VALUE, DatumGetTimestampTz(row->values[info]));
}

static void
PushOptionalObject(JsonbParseState **state, const char *key, const StreamInfoRow *row, StreamInfo info)
{
	if (row->nulls[info])
		return;

	PushKey(state, key);
	PushObject(state, WJB_VALUE, DatumGetJsonbP(row->values[info]));
}

static void
PushNames(JsonbParseState **state, const char *key, ArrayType *names)
{
	Datum	   *elements;
	int			count;

	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &count);

	PushKey(state, key);
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < count; i++)
		PushString(state, WJB_ELEM, TextDatumGetCString(elements[i]));
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/*
 * Adds for how long each granularity is kept that has a limit, if one has.
 */
static void
PushRetention(JsonbParseState **state, const Retention *limits, int nlimits)
{
	if (nlimits == 0)
		return;

	PushKey(state, "retention");
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < nlimits; i++)
	{
		char		buffer[MAXDATELEN + 1];

		EncodeIntervalISO(&limits[i].keep, buffer);
		PushKey(state, GranularityName(limits[i].level));
		PushString(state, WJB_VALUE, pstrdup(buffer));
	}
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/*
 * Returns a stream's tags together with what it is.
 */
static Jsonb *
TagsWithInfo(const StreamInfoRow *row, const Retention *limits, int nlimits)
{
	uint32		time_downsamplers = row->def.value_downsamplers != 0 ? TIME_DOWNSAMPLERS_ALL : 0;
	JsonbParseState *state = NULL;
	Jsonb	   *info;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);

	PushKey(&state, "stream_id");
	PushString(&state, WJB_VALUE, StreamIdToString(&row->def.id));
	PushNames(&state, "value_downsamplers", DatumGetArrayTypeP(row->values[INFO_VALUE_DOWNSAMPLERS]));
	PushNames(&state, "time_downsamplers", TimeDownsamplerNames(time_downsamplers));
	PushText(&state, "highest_granularity", row->values[INFO_HIGHEST_GRANULARITY]);
	PushKey(&state, "pending_backprocess");
	PushBool(&state, WJB_VALUE, DatumGetBool(row->values[INFO_PENDING_BACKPROCESS]));
	PushOptionalTimestamp(&state, "earliest_datapoint", row, INFO_EARLIEST_DATAPOINT);
	PushOptionalTimestamp(&state, "latest_datapoint", row, INFO_LATEST_DATAPOINT);
	PushOptionalObject(&state, "downsampled_until", row, INFO_DOWNSAMPLED_UNTIL);
	PushText(&state, "value_type", row->values[INFO_VALUE_TYPE]);
	PushOptionalObject(&state, "value_type_options", row, INFO_VALUE_TYPE_OPTIONS);
	PushOptionalObject(&state, "derived_from", row, INFO_DERIVED_FROM);
	PushOptionalObject(&state, "contributes_to", row, INFO_CONTRIBUTES_TO);
	PushRetention(&state, limits, nlimits);

	info = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));

	return ConcatTags(DatumGetJsonbP(row->values[INFO_TAGS]), info);
}

/*
 * ds_get_tags(stream_id uuid) returns jsonb
 *
 * The tags of a stream and, beside them, what it is and how far it has come.
 * Timestamps are in UTC, and they and intervals in the form of ISO 8601.
 * Errors: stream_not_found.
 */
Datum
ds_get_tags(PG_FUNCTION_ARGS)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID};
	MemoryContext result_context = CurrentMemoryContext;
	MemoryContext old_context;
	StreamInfoRow row;
	Retention  *limits;
	int			nlimits;
	Datum		values[1];
	Jsonb	   *result;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("stream_id must not be null")));

	SPI_connect();
	BeginReadSnapshot(TABLES_ALL);

	values[0] = PG_GETARG_DATUM(0);
	if (RunSavedQuery(&slot, INFO_QUERY " WHERE s.stream_id OPERATOR(pg_catalog.=) $1",
					  1, argtypes, values, NULL, true) == 0)
		StreamNotFound(PG_GETARG_UUID_P(0));
	ReadInfo(&row, SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
	limits = LoadRetention(PG_GETARG_UUID_P(0), true, &nlimits);

	old_context = MemoryContextSwitchTo(result_context);
	result = TagsWithInfo(&row, limits, nlimits);
	MemoryContextSwitchTo(old_context);

	EndReadSnapshot();
	SPI_finish();

	PG_RETURN_JSONB_P(result);
}

/*
 * Tells whether a jsonpath is a predicate, which is true or false of tags;
 * any other finds something in them or does not.
 */
static bool
IsPredicate(JsonPath *path)
{
	JsonPathItem item;

	jspInit(&item, path);
	if (jspHasNext(&item))
		return false;

	switch (item.type)
	{
		case jpiAnd:
		case jpiOr:
		case jpiNot:
		case jpiIsUnknown:
		case jpiEqual:
		case jpiNotEqual:
		case jpiLess:
		case jpiGreater:
		case jpiLessOrEqual:
		case jpiGreaterOrEqual:
		case jpiExists:
		case jpiStartsWith:
		case jpiLikeRegex:
			return true;
		default:
			return false;
	}
}

/*
 * Opens a cursor on INFO_QUERY for the streams that may match query tags and
 * that a filter selects, in the order of creation; both may be NULL.
 */
static Portal
OpenInfo(Jsonb *query_tags, JsonPath *filter)
{
	Oid			argtypes[] = {JSONBOID, JSONPATHOID};
	Datum		values[2];
	char		nulls[2];
	StringInfoData query;

	values[0] = PointerGetDatum(query_tags);
	values[1] = PointerGetDatum(filter);
	nulls[0] = query_tags != NULL ? ' ' : 'n';
	nulls[1] = filter != NULL ? ' ' : 'n';

	initStringInfo(&query);
	appendStringInfoString(&query, INFO_QUERY " WHERE true");
	if (query_tags != NULL)
		appendStringInfoString(&query, " AND s.tags OPERATOR(pg_catalog.@>) $1");
	if (filter != NULL)
		appendStringInfo(&query, " AND pg_catalog.%s(s.tags, $2, '{}', true)",
						 IsPredicate(filter) ? "jsonb_path_match" : "jsonb_path_exists");
	appendStringInfoString(&query, " ORDER BY s.created, s.stream_id");

	return SPI_cursor_open_with_args(NULL, query.data, lengthof(argtypes), argtypes,
									 values, nulls, true, 0);
}

/*
 * ds_find_streams(query_tags jsonb, filter jsonpath) returns setof record
 *
 * The streams whose tags match query_tags and for whose tags the filter is
 * true or, if it is no predicate, finds something.  NULL lets pass all.  An
 * error in evaluating the filter, as of a number compared with a string, lets
 * a stream not pass.
 */
Datum
ds_find_streams(PG_FUNCTION_ARGS)
{
	Jsonb	   *query_tags = PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0);
	JsonPath   *filter = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONPATH_P(1);
	ReturnSetInfo *result = InitMaterializedResult(fcinfo);
	MemoryContext row_context;
	Portal		portal;
	uint64		fetched;

	if (query_tags != NULL)
		CheckTagsObject(query_tags, "query_tags");

	SPI_connect();
	BeginReadSnapshot(TABLES_ALL);

	row_context = AllocSetContextCreate(CurrentMemoryContext, "datastream stream", ALLOCSET_DEFAULT_SIZES);
	portal = OpenInfo(query_tags, filter);

	do
	{
		SPITupleTable *batch;

		fetched = FetchRows(portal, INFO_BATCH);
		batch = SPI_tuptable;

		for (uint64 i = 0; i < fetched; i++)
		{
			MemoryContext old_context = MemoryContextSwitchTo(row_context);
			StreamInfoRow row;

			CHECK_FOR_INTERRUPTS();

			ReadInfo(&row, batch->vals[i], batch->tupdesc);
			if (query_tags == NULL || TagsMatch(DatumGetJsonbP(row.values[INFO_TAGS]), query_tags))
				tuplestore_putvalues(result->setResult, result->setDesc, row.values, row.nulls);

			MemoryContextSwitchTo(old_context);
			MemoryContextReset(row_context);
		}

		SPI_freetuptable(batch);
	} while (fetched > 0);

	SPI_cursor_close(portal);
	EndReadSnapshot();
	SPI_finish();

	return (Datum) 0;
}
