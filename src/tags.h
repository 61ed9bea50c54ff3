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
#include "utils/uuid.h"

extern void CheckTagsObject(Jsonb *tags, const char *parameter);
extern void CheckReservedTags(Jsonb *tags);
extern bool TagsMatch(Jsonb *tags, Jsonb *query_tags);
extern Jsonb *ConcatTags(Jsonb *tags, Jsonb *more);
extern Jsonb *MergeTags(Jsonb *tags, Jsonb *changes);

/* Sets tags of a stream, as MergeTags() does; false if it does not exist. */
extern bool SetTags(const pg_uuid_t *id, Jsonb *tags);

#endif							/* DS_TAGS_H */
