/*-------------------------------------------------------------------------
 *
 * derivation.h
 *	  Bringing one derived stream up to date with its sources, for derive.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_DERIVATION_H
#define DS_DERIVATION_H

#include "derive.h"

/* A growing list of changes */
typedef struct ChangeList
{
	int			count;
	int			max;
	SourceChange *changes;
} ChangeList;

extern void AddChange(ChangeList *list, const pg_uuid_t *source, Granularity level);
extern DeriveOutcome BringUpToDate(const pg_uuid_t *id, ChangeList *list, bool backprocess,
								   int max_blocks, bool mend, int64 *datapoints);

#endif							/* DS_DERIVATION_H */
