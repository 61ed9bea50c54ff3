/*-------------------------------------------------------------------------
 *
 * retention.h
 *	  Keeping datapoints for a limited time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_RETENTION_H
#define DS_RETENTION_H

#include "datatype/timestamp.h"
#include "stream.h"

/* How long a stream keeps a granularity */
typedef struct Retention
{
	Granularity level;
	Interval	keep;
	TimestampTz check_at;		/* when to look next what has expired */
	TimestampTz waiting_since;	/* for what has expired to become deletable,
								 * or for datapoints; DT_NOBEGIN: not */
} Retention;

/* How far ApplyRetention() has come */
typedef enum RetentionOutcome
{
	RETENTION_NOTHING,			/* nothing could be deleted */
	RETENTION_DONE,
	RETENTION_MORE				/* there is more to delete */
} RetentionOutcome;

/*
 * These need an open SPI connection and act with the rights of the caller.
 */
extern Retention *LoadRetention(const pg_uuid_t *id, bool read_only, int *count);
extern void FindExpired(pg_uuid_t **ids, int *nids);
extern RetentionOutcome ApplyRetention(const pg_uuid_t *id, bool at_once, int max_blocks,
									   int64 *datapoints);

#endif							/* DS_RETENTION_H */
