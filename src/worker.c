/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The process that does maintenance in one database.
 *
 * A worker makes a pass over what is due (worker_pass.c) and ends.  The first
 * worker of a database holds slot 1; when it finds much to do, it has helpers
 * started for the other slots.
 *
 * A worker that the launcher has started tells it when there will be work
 * again.  One that a session has started, since there is no launcher, stays
 * until there has been nothing to do for datastream.naptime, so that sessions
 * need not start another one meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
#include "wakeup.h"
#include "worker_pass.h"

/* A worker that waits looks so often whether it is in somebody's way. */
#define POLL_INTERVAL		1000	/* ms */

PGDLLEXPORT pg_noreturn void DatastreamWorkerMain(Datum argument);

/* Settings of the server, the database or the role that are not for workers */
static const char *const worker_settings[][2] = {
	{"search_path", ""},
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"default_transaction_deferrable", "off"},
	{"statement_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
#if PG_VERSION_NUM >= 170000
	{"transaction_timeout", "0"},
#endif

	/* A worker would rather come back than wait, since others may wait for it. */
	{"lock_timeout", "500"},

	/* What is lost in a crash is done again. */
	{"synchronous_commit", "off"},
	{"zero_damaged_pages", "off"},
	{"row_security", "on"}
};

/*
 * Waits, for so many milliseconds at most, as long as the worker is in nobody's
 * way.  Returns false if it is, or if workers have been turned off.
 */
static bool
Nap(WorkerPass *pass, int64 duration)
{
	static uint32 wait_event = 0;
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), duration);

	for (;;)
	{
		long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (!workers_enabled || !BeginWork(pass))
			return false;
		EndWork(pass);
		if (left <= 0)
			return true;

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(left, POLL_INTERVAL), NamedWaitEvent(wait_event, "DatastreamWorkerNap"));
		ResetLatch(MyLatch);
	}
}

/*
 * Whether there will be something to do before long, as where streams gather
 * datapoints.
 */
static bool
WorkComesSoon(WorkerPass *pass)
{
	int64		soon = (worker_naptime + close_delay) * INT64CONST(1000);

	return NextWork(pass) <= TimestampTzPlusMilliseconds(GetCurrentTimestamp(), soon);
}

/*
 * Makes passes until there has been nothing to do for a nap, nor will be soon.
 * When it ends, a session that has work and still finds the worker is not
 * overlooked: the worker looks once more after it has given its slot back.
 */
static void
ServeSessions(WorkerPass *pass)
{
	for (;;)
	{
		if (!Nap(pass, worker_naptime * INT64CONST(1000)))
			return;
		if (RunPass(pass) || (!pass->leave && WorkComesSoon(pass)))
			continue;
		if (pass->leave)
			return;

		FreeWorkerSlot(pass->extension, pass->slot);
		if (!Nap(pass, POLL_INTERVAL) || NextWork(pass) > GetCurrentTimestamp() ||
			!TryWorkerSlot(pass->extension, pass->slot))
			return;
	}
}

/*
 * Takes the first free slot among those that the worker may have; false if
 * there is none.
 */
static bool
TakeSlot(WorkerPass *pass, bool helper)
{
	int			first = helper ? 2 : 1;
	int			last = helper ? max_workers : 1;

	for (pass->slot = first; pass->slot <= last; pass->slot++)
	{
		if (TryWorkerSlot(pass->extension, pass->slot))
			return true;
	}

	return false;
}

/*
 * The main function of a worker.
 */
void
DatastreamWorkerMain(Datum argument)
{
	WorkerArguments arguments;
	WorkerPass	pass = {0};
	WorkerReport report = {0};
	bool		found;

	memcpy(&arguments, MyBgworkerEntry->bgw_extra, sizeof(arguments));

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	for (int i = 0; i < lengthof(worker_settings); i++)
		SetConfigOption(worker_settings[i][0], worker_settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	BackgroundWorkerInitializeConnectionByOid(arguments.database, InvalidOid, 0);
	pgstat_report_appname("datastream worker");
	if (!arguments.helper)
		IgnoreNotes();

	report.database = MyDatabaseId;
	report.next_work = DT_NOEND;
	found = FindExtension(&pass);
	report.has_extension = OidIsValid(pass.extension);
	if (found && workers_enabled)
	{
		pass.helper = arguments.helper;
		if (TakeSlot(&pass, arguments.helper))
		{
			RunPass(&pass);
			if (!arguments.helper && !arguments.launched && !pass.leave)
				ServeSessions(&pass);
		}
		/* What keeps it from work may stay for long. */
		if (pass.leave && !pass.distrusted)
			report.next_work = GetCurrentTimestamp();
		else if (!pass.leave)
			report.next_work = NextWork(&pass);
	}

	if (!arguments.helper)
		ReportToLauncher(&report);
	proc_exit(0);
}
