/*-------------------------------------------------------------------------
 *
 * store_head.h
 *	  Direct access to the rows of heads, for store.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_STORE_HEAD_H
#define DS_STORE_HEAD_H

#include "store.h"

/* What has become of an attempt */
typedef enum HeadOutcome
{
	HEAD_DONE,
	HEAD_SKIPPED,				/* others have locked it, or changed it */
	HEAD_BY_QUERY				/* it takes a query to do that, or to know why not */
} HeadOutcome;

extern HeadOutcome ReadHeadDirectly(HeadBatch *batch, const pg_uuid_t *id, bool lock,
									bool skip_locked, StreamHead *head, MemoryContext context);
extern HeadOutcome LockHeadsDirectly(const pg_uuid_t *ids, int nids);
extern HeadOutcome SaveHeadDirectly(StreamHead *head, bool locked);
extern bool HeadsArePlain(void);
extern void CheckHead(const StreamHead *head);
extern void RememberStream(const StreamDef *def);

#endif							/* DS_STORE_HEAD_H */
