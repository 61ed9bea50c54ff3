/*-------------------------------------------------------------------------
 *
 * tags.c
 *	  Tags of streams: a JSON object that says what a stream is about, by
 *	  which it is found.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "errors.h"
#include "fmgr.h"
#include "json_build.h"
#include "miscadmin.h"
#include "plans.h"
#include "read_only.h"
#include "stream.h"
#include "tags.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(ds_update_tags);
PG_FUNCTION_INFO_V1(ds_remove_tag);
PG_FUNCTION_INFO_V1(ds_clear_tags);

/* What ds_get_tags() shows beside the tags */
static const char *const ReservedNames[] = {
	"stream_id", "value_downsamplers", "time_downsamplers", "highest_granularity",
	"pending_backprocess", "earliest_datapoint", "latest_datapoint", "downsampled_until",
	"value_type", "value_type_options", "derived_from", "contributes_to", "retention"
};

/*
 * Steps to the next key and value of an object; false at its end.
 */
static bool
NextPair(JsonbIterator **it, JsonbValue *key, JsonbValue *value)
{
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(it, key, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			(void) JsonbIteratorNext(it, value, true);
			return true;
		}
	}

	return false;
}

static JsonbValue *
FindKey(JsonbContainer *object, const JsonbValue *key, JsonbValue *value)
{
	return getKeyJsonValueFromContainer(object, key->val.string.val, key->val.string.len, value);
}

static bool
IsObject(const JsonbValue *value)
{
	return value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data);
}

/*
 * Refuses tags that are not a JSON object; "parameter" names them to the user.
 */
void
CheckTagsObject(Jsonb *tags, const char *parameter)
{
	if (!JB_ROOT_IS_OBJECT(tags))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a JSON object, not %s", parameter, JsonbForMessage(tags))));
}

/*
 * Refuses names that ds_get_tags() uses itself.  Below the top level they are
 * as good as any.
 */
void
CheckReservedTags(Jsonb *tags)
{
	for (int i = 0; i < lengthof(ReservedNames); i++)
	{
		const char *name = ReservedNames[i];
		JsonbValue	value;

		if (getKeyJsonValueFromContainer(&tags->root, name, strlen(name), &value) != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DS_RESERVED_TAG_NAME),
					 errmsg("tag name \"%s\" is reserved", name),
					 errhint("It is used by ds_get_tags for what the stream is.")));
	}
}

static bool
ValuesEqual(JsonbValue *a, JsonbValue *b)
{
	return a->type == b->type && JsonbEqual(JsonbValueToJsonb(a), JsonbValueToJsonb(b));
}

/*
 * Tells whether an object has all keys of a query with values that match.
 */
static bool
ObjectMatches(JsonbContainer *object, JsonbContainer *query)
{
	JsonbIterator *it = JsonbIteratorInit(query);
	JsonbValue	key;
	JsonbValue	wanted;
	JsonbValue	have;

	check_stack_depth();

	while (NextPair(&it, &key, &wanted))
	{
		if (FindKey(object, &key, &have) == NULL)
			return false;

		if (IsObject(&wanted))
		{
			if (!IsObject(&have) || !ObjectMatches(have.val.binary.data, wanted.val.binary.data))
				return false;
		}
		else if (!ValuesEqual(&have, &wanted))
			return false;
	}

	return true;
}

/*
 * Tells whether tags match query tags: nested objects key by key (so that an
 * empty one matches every object), all other values, arrays included, by
 * equality.  What matches is also contained in the sense of "@>", so an index
 * finds all candidates.
 */
bool
TagsMatch(Jsonb *tags, Jsonb *query_tags)
{
	return ObjectMatches(&tags->root, &query_tags->root);
}

/*
 * Returns tags || more: of names in both, those of "more".
 */
Jsonb *
ConcatTags(Jsonb *tags, Jsonb *more)
{
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(tags), JsonbPGetDatum(more)));
}

/*
 * Adds to the JSON in work an object with the keys of both; where both have an
 * object they are merged in turn, otherwise the changed value counts.
 */
static JsonbValue *
PushMerged(JsonbParseState **state, JsonbContainer *object, JsonbContainer *changes)
{
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	old;
	JsonbValue	new;

	check_stack_depth();

	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);

	it = JsonbIteratorInit(object);
	while (NextPair(&it, &key, &old))
	{
		if (FindKey(changes, &key, &new) == NULL)
		{
			pushJsonbValue(state, WJB_KEY, &key);
			pushJsonbValue(state, WJB_VALUE, &old);
		}
	}

	it = JsonbIteratorInit(changes);
	while (NextPair(&it, &key, &new))
	{
		pushJsonbValue(state, WJB_KEY, &key);
		if (IsObject(&new) && FindKey(object, &key, &old) != NULL && IsObject(&old))
			PushMerged(state, old.val.binary.data, new.val.binary.data);
		else
			pushJsonbValue(state, WJB_VALUE, &new);
	}

	return pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/*
 * Returns tags with some of them set; nested objects are merged.
 */
Jsonb *
MergeTags(Jsonb *tags, Jsonb *changes)
{
	JsonbParseState *state = NULL;

	return JsonbValueToJsonb(PushMerged(&state, &tags->root, &changes->root));
}

/*
 * Adds to the JSON in work an object without the keys named by another one,
 * whose nested objects name nested keys.
 */
static JsonbValue *
PushRemaining(JsonbParseState **state, JsonbContainer *object, JsonbContainer *names)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbValue	key;
	JsonbValue	value;
	JsonbValue	name;

	check_stack_depth();

	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);

	while (NextPair(&it, &key, &value))
	{
		bool		named = (FindKey(names, &key, &name) != NULL);
		bool		nested = (named && IsObject(&name) &&
							  JsonContainerSize(name.val.binary.data) > 0);

		if (named && !nested)
			continue;

		pushJsonbValue(state, WJB_KEY, &key);
		if (nested && IsObject(&value))
			PushRemaining(state, value.val.binary.data, name.val.binary.data);
		else
			pushJsonbValue(state, WJB_VALUE, &value);
	}

	return pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/*
 * Returns tags without those named by an object.  An empty object as a value,
 * like any other value, names the whole tag; names that are not there are
 * ignored.
 */
static Jsonb *
RemoveTags(Jsonb *tags, Jsonb *names)
{
	JsonbParseState *state = NULL;

	return JsonbValueToJsonb(PushRemaining(&state, &tags->root, &names->root));
}

static Jsonb *
ClearTags(Jsonb *tags, Jsonb *unused)
{
	return EmptyObject();
}

/*
 * Replaces the tags of a stream by what "change" makes of them, keeping others
 * from changing them in between.  Returns false if the stream does not exist.
 */
static bool
TryChangeTags(const pg_uuid_t *id, Jsonb *(*change) (Jsonb *tags, Jsonb *argument), Jsonb *argument)
{
	static PlanSlot select_slot;
	static PlanSlot update_slot;
	static const Oid argtypes[] = {UUIDOID, JSONBOID};
	Datum		values[2];
	Datum		tags;
	Jsonb	   *old;
	Jsonb	   *new;
	bool		isnull;

	values[0] = UUIDPGetDatum(id);
	if (RunSavedQuery(&select_slot,
					  "SELECT tags FROM datastream.streams"
					  " WHERE stream_id OPERATOR(pg_catalog.=) $1 FOR NO KEY UPDATE",
					  1, argtypes, values, NULL, false) == 0)
		return false;

	tags = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	old = DatumGetJsonbP(tags);
	new = change(old, argument);

	if (!JsonbIdentical(old, new))
	{
		values[1] = JsonbPGetDatum(new);
		RunSavedQuery(&update_slot,
					  "UPDATE datastream.streams SET tags = $2"
					  " WHERE stream_id OPERATOR(pg_catalog.=) $1",
					  2, argtypes, values, NULL, false);
	}

	return true;
}

bool
SetTags(const pg_uuid_t *id, Jsonb *tags)
{
	return TryChangeTags(id, MergeTags, tags);
}

/*
 * The same for a stream that must exist, or else is stream_not_found.
 */
static void
ChangeTags(const pg_uuid_t *id, Jsonb *(*change) (Jsonb *tags, Jsonb *argument), Jsonb *argument)
{
	SPI_connect();
	if (!TryChangeTags(id, change, argument))
		StreamNotFound(id);
	SPI_finish();
}

/*
 * Refuses a NULL argument.
 */
static void
RequireArgument(FunctionCallInfo fcinfo, int n, const char *parameter)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", parameter)));
}

/*
 * ds_update_tags(stream_id uuid, tags jsonb) returns void
 *
 * Sets tags, merging nested objects.  Errors: stream_not_found,
 * reserved_tag_name.
 */
Datum
ds_update_tags(PG_FUNCTION_ARGS)
{
	Jsonb	   *tags;

	RefuseReadOnly("ds_update_tags()");
	RequireArgument(fcinfo, 0, "stream_id");
	RequireArgument(fcinfo, 1, "tags");

	tags = PG_GETARG_JSONB_P(1);
	CheckTagsObject(tags, "tags");
	CheckReservedTags(tags);
	ChangeTags(PG_GETARG_UUID_P(0), MergeTags, tags);

	PG_RETURN_VOID();
}

/*
 * ds_remove_tag(stream_id uuid, tag jsonb) returns void
 *
 * Removes the tags that the keys of an object name; nested objects name nested
 * tags, all other values are ignored.  Errors: stream_not_found,
 * reserved_tag_name.
 */
Datum
ds_remove_tag(PG_FUNCTION_ARGS)
{
	Jsonb	   *names;

	RefuseReadOnly("ds_remove_tag()");
	RequireArgument(fcinfo, 0, "stream_id");
	RequireArgument(fcinfo, 1, "tag");

	names = PG_GETARG_JSONB_P(1);
	CheckTagsObject(names, "tag");
	CheckReservedTags(names);
	ChangeTags(PG_GETARG_UUID_P(0), RemoveTags, names);

	PG_RETURN_VOID();
}

/*
 * ds_clear_tags(stream_id uuid) returns void
 *
 * Removes all tags of a stream.  Errors: stream_not_found.
 */
Datum
ds_clear_tags(PG_FUNCTION_ARGS)
{
	RefuseReadOnly("ds_clear_tags()");
	RequireArgument(fcinfo, 0, "stream_id");
	ChangeTags(PG_GETARG_UUID_P(0), ClearTags, NULL);

	PG_RETURN_VOID();
}
