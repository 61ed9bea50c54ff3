/*-------------------------------------------------------------------------
 *
 * json_build.h
 *	  Small tools to build, compare and show JSON.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_JSON_BUILD_H
#define DS_JSON_BUILD_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

extern void PushKey(JsonbParseState **state, const char *key);
extern void PushString(JsonbParseState **state, JsonbIteratorToken token, const char *str);
extern void PushBool(JsonbParseState **state, JsonbIteratorToken token, bool value);
extern void PushNull(JsonbParseState **state, JsonbIteratorToken token);
extern void PushTimestamp(JsonbParseState **state, JsonbIteratorToken token, TimestampTz ts);
extern void PushObject(JsonbParseState **state, JsonbIteratorToken token, Jsonb *json);

extern Jsonb *EmptyObject(void);
extern Jsonb *JsonbFromJson(Datum json);
extern bool JsonbEqual(Jsonb *a, Jsonb *b);
extern bool JsonbIdentical(Jsonb *a, Jsonb *b);
extern char *JsonbForMessage(Jsonb *json);
extern char *ClipForMessage(char *str);

#endif							/* DS_JSON_BUILD_H */
