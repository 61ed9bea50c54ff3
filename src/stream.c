/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  Definitions of streams: reading and finding them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "errors.h"
#include "json_build.h"
#include "miscadmin.h"
#include "operator.h"
#include "plans.h"
#include "stream.h"
#include "tags.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "value_downsampler.h"

/* Streams that are fetched at a time while looking for matches */
#define FIND_BATCH	1000

/* A set of downsamplers that is longer than this in its table is not remembered. */
#define REMEMBERED_SET_SIZE	512

/*
 * Returns the text form of an identifier.
 */
char *
StreamIdToString(const pg_uuid_t *id)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(id)));
}

/*
 * The order of identifiers, for qsort() and bsearch(); the same as that of
 * the type uuid.
 */
int
CompareStreamIds(const void *a, const void *b)
{
	return memcmp(a, b, UUID_LEN);
}

/*
 * Reports stream_not_found.
 */
void
StreamNotFound(const pg_uuid_t *id)
{
	ereport(ERROR,
			(errcode(ERRCODE_DS_STREAM_NOT_FOUND),
			 errmsg("stream \"%s\" does not exist", StreamIdToString(id))));
}

/*
 * Reports that what is stored about a stream, NULL where it is not known which,
 * cannot be; detail says what, as a sentence.
 */
void
ReportDamagedStream(const pg_uuid_t *id, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 id != NULL ? errmsg("what is stored about stream \"%s\" is damaged", StreamIdToString(id))
			 : errmsg("what is stored about a stream is damaged"),
			 errdetail_internal("%s", detail)));
}

/*
 * The granularity in an attribute of a fetched row of a table about a stream.
 */
Granularity
StoredGranularity(const pg_uuid_t *id, HeapTuple tuple, TupleDesc desc, int attribute)
{
	char	   *name = SPI_getvalue(tuple, desc, attribute);
	Granularity granularity;

	if (!FindGranularity(name, &granularity))
		ReportDamagedStream(id, name == NULL ? "It has no granularity." :
							psprintf("It has the unknown granularity \"%s\".", name));

	return granularity;
}

/*
 * An attribute that is never null.
 */
static Datum
RequiredAttribute(HeapTuple tuple, TupleDesc desc, int attribute)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attribute, desc, &isnull);

	if (isnull)
		ReportDamagedStream(NULL, psprintf("It has no %s.",
										   NameStr(TupleDescAttr(desc, attribute - 1)->attname)));

	return value;
}

static bool
TextEquals(const text *t, const char *str)
{
	return strlen(str) == VARSIZE_ANY_EXHDR(t) && memcmp(VARDATA_ANY(t), str, strlen(str)) == 0;
}

static ValueType
ValueTypeFromText(const pg_uuid_t *id, const text *name)
{
	for (int i = 0; i < VALUE_TYPE_COUNT; i++)
	{
		if (TextEquals(name, ValueTypeName((ValueType) i)))
			return (ValueType) i;
	}

	ReportDamagedStream(id, psprintf("It has the unknown value type \"%s\".", text_to_cstring(name)));
}

static Granularity
HighestFromText(const pg_uuid_t *id, const text *name)
{
	for (int i = 0; i <= GRANULARITY_HIGHEST_MAX; i++)
	{
		if (TextEquals(name, GranularityName((Granularity) i)))
			return (Granularity) i;
	}

	ReportDamagedStream(id, psprintf("It has the impossible highest granularity \"%s\".",
									 text_to_cstring(name)));
}

/*
 * The set of downsamplers in an array of their names.  Most streams of a
 * database have the same one, so the last is remembered.
 */
static uint32
DownsamplersFromArray(ArrayType *names, ValueType type)
{
	static char last_names[REMEMBERED_SET_SIZE];
	static Size last_size = 0;
	static ValueType last_type;
	static uint32 last_set;
	Size		size = VARSIZE(names);

	if (size != last_size || type != last_type || memcmp(names, last_names, size) != 0)
	{
		last_size = 0;
		last_set = ParseValueDownsamplers(names, type);
		if (size <= REMEMBERED_SET_SIZE)
		{
			memcpy(last_names, names, size);
			last_size = size;
			last_type = type;
		}
	}

	return last_set;
}

static bool
IsTrue(Jsonb *options, const char *name)
{
	JsonbValue	value;

	return JB_ROOT_IS_OBJECT(options) &&
		getKeyJsonValueFromContainer(&options->root, name, strlen(name), &value) != NULL &&
		value.type == jbvBool && value.val.boolean;
}

/*
 * Sets a definition from a row that has the columns STREAM_DEF_COLUMNS from
 * attribute "first_attribute" (from 1) on.  What it points to is allocated in
 * "context".
 */
void
StreamDefFromTuple(StreamDef *def, HeapTuple tuple, TupleDesc desc,
				   int first_attribute, MemoryContext context)
{
	Datum		options_datum = RequiredAttribute(tuple, desc, first_attribute + 2);
	Datum		names_datum = RequiredAttribute(tuple, desc, first_attribute + 3);
	Datum		derive_op;
	Datum		derive_args;
	Jsonb	   *options;
	ArrayType  *names;
	bool		isnull;

	def->id = *DatumGetUUIDP(RequiredAttribute(tuple, desc, first_attribute));
	def->value_type = ValueTypeFromText(&def->id, DatumGetTextPP(RequiredAttribute(tuple, desc, first_attribute + 1)));

	options = DatumGetJsonbP(options_datum);
	def->high_accuracy = IsTrue(options, "high_accuracy");
	if ((Pointer) options != DatumGetPointer(options_datum))
		pfree(options);

	names = DatumGetArrayTypeP(names_datum);
	def->value_downsamplers = DownsamplersFromArray(names, def->value_type);
	if ((Pointer) names != DatumGetPointer(names_datum))
		pfree(names);

	def->highest = HighestFromText(&def->id, DatumGetTextPP(RequiredAttribute(tuple, desc, first_attribute + 4)));

	def->derive_op = -1;
	derive_op = heap_getattr(tuple, first_attribute + 5, desc, &isnull);
	if (!isnull)
	{
		text	   *name = DatumGetTextPP(derive_op);

		def->derive_op = FindDeriveOperator(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
		if (def->derive_op < 0)
			ReportDamagedStream(&def->id, psprintf("It has the unknown derive operator \"%s\".",
												   text_to_cstring(name)));
	}

	def->derive_args = NULL;
	derive_args = heap_getattr(tuple, first_attribute + 6, desc, &isnull);
	if (!isnull)
	{
		MemoryContext old_context = MemoryContextSwitchTo(context);

		def->derive_args = DatumGetJsonbPCopy(derive_args);
		MemoryContextSwitchTo(old_context);
	}
}

/*
 * Reads what a stream is, with the active snapshot.  Where there is none of
 * that identifier the result is false, or stream_not_found unless
 * "missing_ok".  What the definition points to is allocated in "context".
 */
bool
LoadStream(const pg_uuid_t *id, StreamDef *def, bool missing_ok, MemoryContext context)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID};
	Datum		values[1];

	values[0] = UUIDPGetDatum(id);
	if (RunSavedQuery(&slot,
					  "SELECT " STREAM_DEF_COLUMNS " FROM datastream.streams s"
					  " WHERE s.stream_id OPERATOR(pg_catalog.=) $1",
					  1, argtypes, values, NULL, true) == 0)
	{
		if (!missing_ok)
			StreamNotFound(id);
		return false;
	}

	StreamDefFromTuple(def, SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, context);
	SPI_freetuptable(SPI_tuptable);

	return true;
}

/*
 * Opens a cursor on the candidates for query tags (NULL for all streams), or on
 * the one stream of an identifier that is not NULL, in the order of creation.
 * Columns: stream_id, tags; without tags to match, only the first.
 */
static Portal
OpenCandidates(Jsonb *query_tags, const pg_uuid_t *id, bool read_only)
{
	static PlanSlot all_slot;
	static PlanSlot tags_slot = {.needs_bitmap = true};
	static PlanSlot id_slot;
	static const Oid tags_argtypes[] = {JSONBOID};
	static const Oid id_argtypes[] = {UUIDOID};
	Datum		values[1];
	PlanSlot   *plan;

	if (id != NULL)
	{
		values[0] = UUIDPGetDatum(id);
		plan = PreparedPlan(&id_slot,
							"SELECT s.stream_id, s.tags FROM datastream.streams s"
							" WHERE s.stream_id OPERATOR(pg_catalog.=) $1",
							1, id_argtypes);
	}
	else if (query_tags != NULL)
	{
		values[0] = JsonbPGetDatum(query_tags);
		plan = PreparedPlan(&tags_slot,
							"SELECT s.stream_id, s.tags FROM datastream.streams s"
							" WHERE s.tags OPERATOR(pg_catalog.@>) $1"
							" ORDER BY s.created, s.stream_id",
							1, tags_argtypes);
	}
	else
		plan = PreparedPlan(&all_slot,
							"SELECT s.stream_id FROM datastream.streams s"
							" ORDER BY s.created, s.stream_id",
							0, NULL);

	return OpenPlan(plan, values, read_only);
}

/*
 * Finds streams in the order of creation, at most "limit": those whose tags
 * match query_tags, which may be NULL or empty for all.  With "id" only that
 * stream is looked at.
 *
 * With "read_only" it looks at what the active snapshot shows, otherwise at
 * the newest state that the isolation level allows.
 *
 * The identifiers are allocated in the current memory context.
 */
void
FindMatchingStreams(Jsonb *query_tags, const pg_uuid_t *id, int limit, bool read_only,
					pg_uuid_t **ids, int *nids)
{
	MemoryContext result_context = CurrentMemoryContext;
	MemoryContext batch_context = AllocSetContextCreate(CurrentMemoryContext,
														"datastream candidates",
														ALLOCSET_DEFAULT_SIZES);
	int			capacity = 16;
	Portal		portal;

	if (query_tags != NULL && JB_ROOT_COUNT(query_tags) == 0)
		query_tags = NULL;

	*ids = palloc(capacity * sizeof(pg_uuid_t));
	*nids = 0;

	portal = OpenCandidates(query_tags, id, read_only);
	while (*nids < limit)
	{
		uint64		fetched;

		fetched = FetchRows(portal, Min(limit, FIND_BATCH));
		if (fetched == 0)
			break;

		MemoryContextSwitchTo(batch_context);
		for (uint64 i = 0; i < fetched && *nids < limit; i++)
		{
			HeapTuple	tuple = SPI_tuptable->vals[i];
			TupleDesc	desc = SPI_tuptable->tupdesc;

			CHECK_FOR_INTERRUPTS();

			if (query_tags != NULL &&
				!TagsMatch(DatumGetJsonbP(RequiredAttribute(tuple, desc, 2)), query_tags))
				continue;

			if (*nids == capacity)
			{
				capacity *= 2;
				*ids = repalloc_huge(*ids, (Size) capacity * sizeof(pg_uuid_t));
			}
			(*ids)[(*nids)++] = *DatumGetUUIDP(RequiredAttribute(tuple, desc, 1));
		}
		MemoryContextSwitchTo(result_context);
		MemoryContextReset(batch_context);
		SPI_freetuptable(SPI_tuptable);
	}

	SPI_cursor_close(portal);
	MemoryContextSwitchTo(result_context);
	MemoryContextDelete(batch_context);
}

/*
 * Finds the streams that query tags name, in the order of creation: NULL and an
 * empty object name all.  With "stream_id_key", the key "stream_id" names one
 * stream by its identifier.
 *
 * Sees the newest state that the isolation level allows.  The identifiers are
 * allocated in the current memory context.  Query tags that are not an object
 * are an invalid_parameter_value; an identifier that is no uuid is an
 * invalid_text_representation.
 */
void
FindStreamIds(Jsonb *query_tags, bool stream_id_key, pg_uuid_t **ids, int *nids)
{
	JsonbValue	value;
	pg_uuid_t  *id = NULL;

	if (query_tags != NULL)
		CheckTagsObject(query_tags, "query_tags");

	if (query_tags != NULL && stream_id_key &&
		getKeyJsonValueFromContainer(&query_tags->root, "stream_id", strlen("stream_id"), &value) != NULL)
	{
		char	   *str;

		if (value.type == jbvString)
			str = pnstrdup(value.val.string.val, value.val.string.len);
		else
			str = JsonbForMessage(JsonbValueToJsonb(&value));

		id = DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(str)));
		query_tags = DatumGetJsonbP(DirectFunctionCall2(jsonb_delete, JsonbPGetDatum(query_tags),
														CStringGetTextDatum("stream_id")));
	}

	FindMatchingStreams(query_tags, id, INT_MAX, false, ids, nids);
}
