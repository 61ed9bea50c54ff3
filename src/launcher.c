/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The process that starts workers where they are needed.
 *
 * The launcher is connected to no database.  It waits until somebody notes that
 * a database has work, or until a time comes at which a worker has said that
 * there will be some, and starts a worker there, never sooner than
 * datastream.naptime after the last one.  A database that it knows nothing of,
 * as all are when the server has started, gets a worker once, to find out
 * whether it has the extension.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "compat.h"
#include "launcher.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "wakeup.h"

/* Workers that are started side by side, each for another database */
#define LAUNCHED_MAX		4

/* Databases are listed again after this time at the latest. */
#define LIST_INTERVAL		60000	/* ms */

/*
 * A database that has the extension gets a worker after this time at the
 * latest, should something have been missed.
 */
#define VISIT_INTERVAL		600000	/* ms */

/* The longest pause after workers that did not come to their end */
#define FAILURE_PAUSE_MAX	300000	/* ms */

/* A database */
typedef struct Database
{
	Oid			oid;			/* hash key */
	bool		listed;			/* seen in the list of databases that is being made */
	bool		known;			/* a worker has been there */
	bool		has_extension;
	bool		has_work;
	TimestampTz next_work;		/* when there is work again */
	TimestampTz last_start;		/* of a worker, or 0 */
	int			failures;		/* workers in a row that did not come to their end */
	bool		running;		/* has a worker of ours, */
	bool		reported;		/* which has reported, */
	BackgroundWorkerHandle *handle; /* and this is it */
} Database;

PGDLLEXPORT pg_noreturn void DatastreamLauncherMain(Datum argument);

static HTAB *databases;
static TimestampTz last_listed = 0;

/*
 * Has the server start the launcher.
 */
void
RegisterLauncher(void)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	strlcpy(worker.bgw_library_name, "datastream", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "DatastreamLauncherMain", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "datastream launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "datastream launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

/*
 * The entry of a database, made if it is not there.
 */
static Database *
FindDatabase(Oid oid)
{
	bool		found;
	Database   *database = hash_search(databases, &oid, HASH_ENTER, &found);

	if (!found)
	{
		memset(database, 0, sizeof(Database));
		database->oid = oid;
	}

	return database;
}

/*
 * Lists the databases that can be connected to, and forgets those that are not
 * there any more.
 */
static void
ListDatabases(TimestampTz now)
{
	HASH_SEQ_STATUS status;
	Database   *database;
	Relation	relation;
	TableScanDesc scan;
	HeapTuple	tuple;

	hash_seq_init(&status, databases);
	while ((database = hash_seq_search(&status)) != NULL)
		database->listed = false;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		/* A negative limit other than -1 is that of a database half dropped. */
		if (form->datallowconn && form->datconnlimit >= -1)
			FindDatabase(form->oid)->listed = true;
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	pgstat_report_stat(false);

	hash_seq_init(&status, databases);
	while ((database = hash_seq_search(&status)) != NULL)
	{
		if (!database->listed && !database->running)
		{
			ForgetWork(database->oid);
			hash_search(databases, &database->oid, HASH_REMOVE, NULL);
		}
	}
	last_listed = now;
}

/*
 * Takes up what others have noted.
 */
static void
TakeNotes(void)
{
	LauncherNotes notes;

	ReadNotes(&notes);

	for (int i = 0; i < notes.nworking; i++)
	{
		Database   *database = FindDatabase(notes.working[i]);

		database->known = true;
		database->has_extension = true;
		database->has_work = true;
	}
	for (int i = 0; i < notes.nreports; i++)
	{
		WorkerReport *report = &notes.reports[i];
		Database   *database = FindDatabase(report->database);

		database->known = true;
		database->has_extension = report->has_extension;
		database->next_work = report->next_work;
		database->reported = true;
		database->failures = 0;
	}
	if (notes.overflow)
	{
		HASH_SEQ_STATUS status;
		Database   *database;

		hash_seq_init(&status, databases);
		while ((database = hash_seq_search(&status)) != NULL)
			database->has_work = true;
	}
}

/*
 * Looks whether the worker of a database has ended.
 */
static void
CheckWorker(Database *database)
{
	pid_t		pid;

	if (!database->running || GetBackgroundWorkerPid(database->handle, &pid) != BGWH_STOPPED)
		return;

	database->running = false;
	pfree(database->handle);
	database->handle = NULL;
	if (!database->reported)
		TakeNotes();
	if (!database->reported)
	{
		/* The server's log has the reason. */
		database->failures++;
		database->has_work = true;
	}
}

/*
 * When a database gets its next worker; DT_NOEND if there is nothing to do.
 */
static TimestampTz
NextStart(const Database *database)
{
	int64		pause = worker_naptime * INT64CONST(1000);
	TimestampTz earliest = 0;

	if (database->running || (database->known && !database->has_extension))
		return DT_NOEND;

	if (database->failures > 0)
		pause = Max(pause, Min(pause << Min(database->failures, 10), FAILURE_PAUSE_MAX));
	if (database->last_start != 0)
		earliest = TimestampTzPlusMilliseconds(database->last_start, pause);
	if (!database->known || database->has_work)
		return earliest;

	return Max(earliest, Min(database->next_work,
							 TimestampTzPlusMilliseconds(database->last_start, VISIT_INTERVAL)));
}

/*
 * Starts a worker for a database; false if the server has no room for it.
 */
static bool
LaunchWorker(Database *database, TimestampTz now)
{
	WorkerArguments arguments = {database->oid, false, true};

	ForgetWork(database->oid);
	database->has_work = false;
	database->last_start = now;
	database->reported = false;
	database->running = StartWorker(&arguments, &database->handle);
	if (!database->running)
		database->has_work = true;

	return database->running;
}

/*
 * Starts the workers that are due.  Returns when the next one is.
 */
static TimestampTz
LaunchWorkers(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = TimestampTzPlusMilliseconds(last_listed, LIST_INTERVAL);
	HASH_SEQ_STATUS status;
	Database   *database;
	int			nrunning = 0;
	bool		due = last_listed == 0 || next <= now;

	hash_seq_init(&status, databases);
	while ((database = hash_seq_search(&status)) != NULL)
	{
		CheckWorker(database);
		nrunning += database->running;
		due = due || NextStart(database) <= now;
	}

	if (due)
	{
		ListDatabases(now);
		next = TimestampTzPlusMilliseconds(last_listed, LIST_INTERVAL);
	}

	while (nrunning < LAUNCHED_MAX)
	{
		Database   *first = NULL;

		/* Whose turn it is longest comes first. */
		hash_seq_init(&status, databases);
		while ((database = hash_seq_search(&status)) != NULL)
		{
			if (first == NULL || NextStart(database) < NextStart(first))
				first = database;
		}
		if (first == NULL || NextStart(first) > now)
		{
			next = first == NULL ? next : Min(next, NextStart(first));
			break;
		}
		if (!LaunchWorker(first, now))
		{
			next = Min(next, NextStart(first));
			break;
		}
		nrunning++;
	}

	return next;
}

/*
 * The launcher's main loop.
 */
void
DatastreamLauncherMain(Datum argument)
{
	static uint32 wait_event = 0;
	HASHCTL		control = {0};

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();

	SetConfigOption("search_path", "", PGC_SUSET, PGC_S_OVERRIDE);
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("datastream launcher");

	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(Database);
	control.hcxt = TopMemoryContext;
	databases = hash_create("datastream databases", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	MemoryContextSwitchTo(TopMemoryContext);
	AttachLauncher();

	for (;;)
	{
		long		timeout = LIST_INTERVAL;

		/* Not 0, so that the server starts the launcher again if it goes on itself. */
		if (ShutdownRequestPending)
			proc_exit(1);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			HASH_SEQ_STATUS status;
			Database   *database;

			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);

			/* With other settings there may be work. */
			hash_seq_init(&status, databases);
			while ((database = hash_seq_search(&status)) != NULL)
				database->has_work = true;
		}

		TakeNotes();
		if (workers_enabled)
		{
			TimestampTz next = LaunchWorkers();

			timeout = Min(timeout, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next));
		}

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, Max(timeout, 10),
						 NamedWaitEvent(wait_event, "DatastreamLauncherMain"));
		ResetLatch(MyLatch);
	}
}
