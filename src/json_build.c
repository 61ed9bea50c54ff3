/*-------------------------------------------------------------------------
 *
 * json_build.c
 *	  Small tools to build, compare and show JSON.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "json_build.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/timestamp.h"

/* What of a JSON value is shown in a message, in bytes */
#define MESSAGE_LENGTH	200

/*
 * Adds a key to the object in work.
 */
void
PushKey(JsonbParseState **state, const char *key)
{
	PushString(state, WJB_KEY, key);
}

/*
 * Adds a string; token is WJB_KEY, WJB_VALUE or WJB_ELEM.  The string must
 * outlive the building.
 */
void
PushString(JsonbParseState **state, JsonbIteratorToken token, const char *str)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = (char *) str;
	value.val.string.len = strlen(str);
	pushJsonbValue(state, token, &value);
}

void
PushBool(JsonbParseState **state, JsonbIteratorToken token, bool boolean)
{
	JsonbValue	value;

	value.type = jbvBool;
	value.val.boolean = boolean;
	pushJsonbValue(state, token, &value);
}

void
PushNull(JsonbParseState **state, JsonbIteratorToken token)
{
	JsonbValue	value;

	value.type = jbvNull;
	pushJsonbValue(state, token, &value);
}

/*
 * Adds a timestamp as a string in ISO 8601, always in UTC, whatever the time
 * zone of the session.
 */
void
PushTimestamp(JsonbParseState **state, JsonbIteratorToken token, TimestampTz ts)
{
	int			utc = 0;
	char	   *str = palloc(MAXDATELEN + 1);

	JsonEncodeDateTime(str, TimestampTzGetDatum(ts), TIMESTAMPTZOID, &utc);
	PushString(state, token, str);
}

/*
 * Adds an object or an array; token is WJB_VALUE or WJB_ELEM.
 */
void
PushObject(JsonbParseState **state, JsonbIteratorToken token, Jsonb *json)
{
	JsonbValue	value;

	JsonbToJsonbValue(json, &value);
	pushJsonbValue(state, token, &value);
}

/*
 * Returns a new object without keys.
 */
Jsonb *
EmptyObject(void)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);

	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * Returns a datum of type json, or any text, as jsonb, or raises jsonb's own error.
 */
Jsonb *
JsonbFromJson(Datum json)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(TextDatumGetCString(json))));
}

/*
 * Tells whether two values are equal as jsonb; NULL equals only NULL.
 */
bool
JsonbEqual(Jsonb *a, Jsonb *b)
{
	if (a == NULL || b == NULL)
		return a == b;

	return compareJsonbContainers(&a->root, &b->root) == 0;
}

/*
 * Tells whether two values are the same to the last digit (1.0 equals 1, but is
 * not the same).
 */
bool
JsonbIdentical(Jsonb *a, Jsonb *b)
{
	return VARSIZE(a) == VARSIZE(b) && memcmp(a, b, VARSIZE(a)) == 0;
}

/*
 * Returns the text of a value as a message shows it: cut off when it is long.
 */
char *
JsonbForMessage(Jsonb *json)
{
	return ClipForMessage(JsonbToCString(NULL, &json->root, VARSIZE(json)));
}

/*
 * Returns a text as a message shows it: cut off when it is long.
 */
char *
ClipForMessage(char *str)
{
	int			length = strlen(str);

	if (length <= MESSAGE_LENGTH)
		return str;

	return psprintf("%.*s...", pg_mbcliplen(str, length, MESSAGE_LENGTH), str);
}
