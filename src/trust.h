/*-------------------------------------------------------------------------
 *
 * trust.h
 *	  Whether work on the extension's tables would run code of others.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_TRUST_H
#define DS_TRUST_H

/*
 * What stands in the way of work on the extension's tables: text for people, or
 * NULL.
 */
typedef struct TrustReport
{
	const char *no_reading;		/* of any table that workers read */
	const char *no_writing;		/* to any table with streams' data, */
	const char *no_failures;	/* to datastream.failures, */
	const char *no_runs;		/* to datastream.runs, */
	const char *no_status;		/* to datastream.worker_slots */
} TrustReport;

extern bool LockWorkTables(void);
extern const TrustReport *CheckWorkTables(Oid extension, Oid owner);

#endif							/* DS_TRUST_H */
