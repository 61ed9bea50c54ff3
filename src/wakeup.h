/*-------------------------------------------------------------------------
 *
 * wakeup.h
 *	  Telling background workers that there is work.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_WAKEUP_H
#define DS_WAKEUP_H

#include "datatype/timestamp.h"
#include "postmaster/bgworker.h"

/* datastream.enabled, datastream.naptime (in seconds) and datastream.max_workers */
extern bool workers_enabled;
extern int	worker_naptime;
extern int	close_delay;
extern int	max_workers;

/* What a worker is told when it is started */
typedef struct WorkerArguments
{
	Oid			database;
	bool		helper;			/* another worker has asked for it */
	bool		launched;		/* by the launcher, which starts the next one too */
} WorkerArguments;

/* What a worker tells the launcher when it is done with a database */
typedef struct WorkerReport
{
	Oid			database;
	bool		has_extension;
	TimestampTz next_work;		/* when there is something to do again, as far as
								 * is known; DT_NOEND for never */
} WorkerReport;

/* Of either kind of note, so many databases fit into shared memory at once. */
#define NOTED_DATABASES		64

/* What the launcher takes from shared memory */
typedef struct LauncherNotes
{
	int			nworking;
	Oid			working[NOTED_DATABASES];	/* databases with work */
	int			nreports;
	WorkerReport reports[NOTED_DATABASES];
	bool		overflow;		/* there were more */
} LauncherNotes;

extern void InitWakeup(void);
extern void NoteWork(void);
extern void RemindOfWork(void);
extern void IgnoreNotes(void);

extern bool StartWorker(const WorkerArguments *arguments, BackgroundWorkerHandle **handle);
extern bool LauncherExists(void);
extern void AttachLauncher(void);
extern void ReadNotes(LauncherNotes *notes);
extern void ForgetWork(Oid database);
extern void ReportToLauncher(const WorkerReport *report);
extern bool TryWorkerSlot(Oid extension, int slot);
extern void FreeWorkerSlot(Oid extension, int slot);

#endif							/* DS_WAKEUP_H */
