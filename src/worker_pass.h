/*-------------------------------------------------------------------------
 *
 * worker_pass.h
 *	  A worker's pass over what is due in its database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_WORKER_PASS_H
#define DS_WORKER_PASS_H

#include "datatype/timestamp.h"
#include "trust.h"

/* What a pass has done */
typedef struct PassCounts
{
	int64		streams;
	int64		datapoints;
	int64		visits;			/* of streams with something to do */
	int			unfinished;		/* visits that have left something to do at once */
} PassCounts;

typedef struct WorkerPass
{
	Oid			extension;
	Oid			owner;			/* of the extension, as whom the worker works */
	Oid			heads;			/* datastream.heads */
	int			slot;
	bool		helper;
	bool		leave;			/* somebody wants the database or the extension,
								 * or the pass has failed */

	const TrustReport *trust;	/* what would run code of others */
	bool		distrusted;		/* that the worker leaves for them */
	bool		distrust_logged;	/* in this pass */

	/* While it works as the owner: who it was before */
	Oid			saved_user;
	int			saved_security;

	/* The pass in work */
	TimestampTz started;
	int64		streams_due;
	PassCounts	done;
	int64		errors;
	TimestampTz status_saved;
} WorkerPass;

extern bool FindExtension(WorkerPass *pass);
extern bool BeginWork(WorkerPass *pass);
extern void EndWork(WorkerPass *pass);
extern bool RunPass(WorkerPass *pass);
extern TimestampTz NextWork(WorkerPass *pass);

#endif							/* DS_WORKER_PASS_H */
