/*-------------------------------------------------------------------------
 *
 * wakeup.c
 *	  Telling background workers that there is work.
 *
 * A transaction that leaves work for maintenance notes that (NoteWork) and,
 * when it has committed, wakes somebody up: the launcher, if the library has
 * been preloaded, or else a new worker for its database, unless one is there.
 * Should nobody have come, transactions that see the work remind of it.  One that
 * has been prepared wakes somebody up, too, who sees that it can be committed at
 * any time.
 *
 * A worker of a database holds one of its slots, 1 to datastream.max_workers,
 * for as long as it lives.  A slot is a lock on the extension that conflicts
 * with nothing but itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"
#include "wakeup.h"

#define SHARED_NAME			"datastream"

/* A session does not look more often than that whether a worker is there, */
#define REQUEST_INTERVAL	1000	/* ms */

/* nor does it log more often that none could be started. */
#define LOG_INTERVAL		60000	/* ms */

/* A session does not remind of old work more often than that. */
#define REMINDER_INTERVAL	60000	/* ms */

typedef struct WakeupShared
{
	LWLock	   *lock;
	Latch	   *launcher;		/* NULL while there is none */
	LauncherNotes notes;
} WakeupShared;

bool		workers_enabled = true;
int			worker_naptime = 10;
int			close_delay = 60;
int			max_workers = 2;

static WakeupShared *shared = NULL;
static shmem_startup_hook_type next_shmem_startup_hook = NULL;
static shmem_request_hook_type next_shmem_request_hook = NULL;

/* In the current transaction */
static bool work_noted = false;
static bool start_at_commit = false;

/* Whether this process need not tell anybody */
static bool notes_ignored = false;

static void
RequestSharedMemory(void)
{
	if (next_shmem_request_hook != NULL)
		next_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(WakeupShared)));
	RequestNamedLWLockTranche(SHARED_NAME, 1);
}

static void
InitSharedMemory(void)
{
	bool		found;

	if (next_shmem_startup_hook != NULL)
		next_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct(SHARED_NAME, sizeof(WakeupShared), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(WakeupShared));
		shared->lock = &GetNamedLWLockTranche(SHARED_NAME)->lock;
	}
	LWLockRelease(AddinShmemInitLock);
}

/*
 * Starts a background worker.  Returns false, having logged why, if the server
 * has no room for one; "handle" may be NULL.
 */
bool
StartWorker(const WorkerArguments *arguments, BackgroundWorkerHandle **handle)
{
	static TimestampTz last_logged = 0;
	BackgroundWorker worker = {0};

	StaticAssertStmt(sizeof(WorkerArguments) <= BGW_EXTRALEN, "arguments of a worker are too large");

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "datastream", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "DatastreamWorkerMain", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "datastream worker", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "datastream worker", BGW_MAXLEN);
	memcpy(worker.bgw_extra, arguments, sizeof(WorkerArguments));
	worker.bgw_notify_pid = handle != NULL ? MyProcPid : 0;

	if (RegisterDynamicBackgroundWorker(&worker, handle))
		return true;

	if (IsUnderPostmaster && !arguments->helper &&
		TimestampDifferenceExceeds(last_logged, GetCurrentTimestamp(), LOG_INTERVAL))
	{
		last_logged = GetCurrentTimestamp();
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not start a datastream worker for the database with OID %u",
						arguments->database),
				 errdetail("All slots for background workers are in use.  The work waits."),
				 errhint("Consider increasing \"max_worker_processes\".")));
	}

	return false;
}

/*
 * The lock that is a worker's slot in the current database.  It is of the
 * method of advisory locks, which are kept when a transaction is aborted, and
 * released when the process ends.
 */
static LOCKTAG
WorkerSlotTag(Oid extension, int slot)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, extension, slot);
	tag.locktag_lockmethodid = USER_LOCKMETHOD;

	return tag;
}

/*
 * Takes a worker's slot until FreeWorkerSlot() or the end of the process;
 * false if it is in use.
 */
bool
TryWorkerSlot(Oid extension, int slot)
{
	LOCKTAG		tag = WorkerSlotTag(extension, slot);

	return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
FreeWorkerSlot(Oid extension, int slot)
{
	LOCKTAG		tag = WorkerSlotTag(extension, slot);

	LockRelease(&tag, ExclusiveLock, true);
}

/*
 * Whether the current database has a worker.
 */
static bool
WorkerExists(void)
{
	Oid			extension = get_extension_oid("datastream", true);
	LOCKTAG		tag = WorkerSlotTag(extension, 1);

	if (!OidIsValid(extension))
		return true;
	if (LockAcquire(&tag, ShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&tag, ShareLock, false);

	return false;
}

/*
 * Whether there is a launcher.
 */
bool
LauncherExists(void)
{
	return shared != NULL && shared->launcher != NULL;
}

/*
 * Notes for the launcher that the current database has work.
 */
static void
WakeLauncher(void)
{
	LauncherNotes *notes = &shared->notes;
	Latch	   *latch = NULL;
	int			i = 0;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	while (i < notes->nworking && notes->working[i] != MyDatabaseId)
		i++;

	/* What is noted already, the launcher knows. */
	if (i == notes->nworking && !notes->overflow)
	{
		if (i < NOTED_DATABASES)
			notes->working[notes->nworking++] = MyDatabaseId;
		else
			notes->overflow = true;
		latch = shared->launcher;
	}
	LWLockRelease(shared->lock);

	if (latch != NULL)
		SetLatch(latch);
}

/*
 * At the end of a transaction that has left work, wakes somebody up.
 */
static void
WakeAtCommit(XactEvent event, void *arg)
{
	static TimestampTz last_request = 0;

	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			if (work_noted && workers_enabled && !LauncherExists() && !IsBinaryUpgrade &&
				TimestampDifferenceExceeds(last_request, GetCurrentTimestamp(), REQUEST_INTERVAL) &&
				!WorkerExists())
				start_at_commit = true;
			break;

		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			if (work_noted && LauncherExists())
				WakeLauncher();
			else if (start_at_commit)
			{
				WorkerArguments arguments = {MyDatabaseId, false, false};

				last_request = GetCurrentTimestamp();
				StartWorker(&arguments, NULL);
			}
			work_noted = start_at_commit = false;
			break;

		case XACT_EVENT_ABORT:
			work_noted = start_at_commit = false;
			break;

		default:
			break;
	}
}

/*
 * Prepares for NoteWork(); when the library is preloaded, for the launcher,
 * too.
 */
void
InitWakeup(void)
{
	RegisterXactCallback(WakeAtCommit, NULL);

	if (!process_shared_preload_libraries_in_progress)
		return;

	next_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = RequestSharedMemory;
	next_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = InitSharedMemory;
}

/*
 * Notes that the current transaction leaves work for maintenance.
 */
void
NoteWork(void)
{
	work_noted = !notes_ignored;
}

/*
 * Notes, once in a while, that the current transaction has seen work that was
 * there before: whoever was told of it may not have come.
 */
void
RemindOfWork(void)
{
	static TimestampTz last_reminder = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (TimestampDifferenceExceeds(last_reminder, now, REMINDER_INTERVAL))
	{
		last_reminder = now;
		NoteWork();
	}
}

/*
 * To be called by a process that looks itself, before it ends, whether there is
 * work, and tells the launcher.
 */
void
IgnoreNotes(void)
{
	notes_ignored = true;
}

static void
DetachLauncher(int code, Datum arg)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->launcher = NULL;
	LWLockRelease(shared->lock);
}

/*
 * Makes this process the launcher, that others wake up.
 */
void
AttachLauncher(void)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->launcher = MyLatch;
	LWLockRelease(shared->lock);

	before_shmem_exit(DetachLauncher, (Datum) 0);
}

/*
 * Reads what has been noted for the launcher.  Reports are taken away.
 * Databases with work stay until ForgetWork(), so that nobody wakes the
 * launcher up for what it knows.
 */
void
ReadNotes(LauncherNotes *notes)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	*notes = shared->notes;
	shared->notes.nreports = 0;
	if (shared->notes.overflow)
	{
		shared->notes.overflow = false;
		shared->notes.nworking = 0;
	}
	LWLockRelease(shared->lock);
}

/*
 * To be called before a worker is started for a database: what is noted for it
 * from now on is new.
 */
void
ForgetWork(Oid database)
{
	LauncherNotes *notes = &shared->notes;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < notes->nworking; i++)
	{
		if (notes->working[i] == database)
			notes->working[i--] = notes->working[--notes->nworking];
	}
	LWLockRelease(shared->lock);
}

/*
 * Tells the launcher, if there is one, how a worker has left a database.
 */
void
ReportToLauncher(const WorkerReport *report)
{
	LauncherNotes *notes;
	Latch	   *latch;
	int			i = 0;

	if (!LauncherExists())
		return;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	notes = &shared->notes;
	while (i < notes->nreports && notes->reports[i].database != report->database)
		i++;
	if (i < NOTED_DATABASES)
	{
		notes->reports[i] = *report;
		notes->nreports = Max(notes->nreports, i + 1);
	}
	else
		notes->overflow = true;
	latch = shared->launcher;
	LWLockRelease(shared->lock);

	if (latch != NULL)
		SetLatch(latch);
}
