/*-------------------------------------------------------------------------
 *
 * tags.h
 *	  Tags of streams: a JSON object.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_TAGS_H
#define DS_TAGS_H

#include "utils/jsonb.h"

extern void CheckTagsObject(Jsonb *tags, const char *parameter);
extern void CheckReservedTags(Jsonb *tags);
extern bool TagsMatch(Jsonb *tags, Jsonb *query_tags);
extern Jsonb *ConcatTags(Jsonb *tags, Jsonb *more);

#endif							/* DS_TAGS_H */
