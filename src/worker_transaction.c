/*-------------------------------------------------------------------------
 *
 * worker_transaction.c
 *	  A worker's transactions: whether it may work, and as whom.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/trigger.h"
#include "errors.h"
#include "executor/spi.h"
#include "extension.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "worker_pass.h"

/*
 * Finds the extension in the current database, in a version that this library
 * serves; false if it is not there, or not whole.
 */
bool
FindExtension(WorkerPass *pass)
{
	ExtensionInfo info;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());

	if (ReadExtension(&info))
	{
		Oid			namespace = get_namespace_oid("datastream", true);

		pass->extension = info.oid;
		pass->owner = info.owner;
		if (!info.is_current)
			ereport(LOG,
					(errcode(ERRCODE_DS_EXCEPTION),
					 errmsg("datastream worker leaves database \"%s\" alone: the extension there has version %s, this library needs %s or later",
							get_database_name(MyDatabaseId), info.version, SCHEMA_VERSION),
					 errhint("Run ALTER EXTENSION datastream UPDATE in that database.")));
		else if (OidIsValid(namespace))
			pass->heads = get_relname_relid("heads", namespace);
	}

	PopActiveSnapshot();
	CommitTransactionCommand();

	return OidIsValid(pass->heads);
}

/*
 * Whether the worker may work now, or else somebody waits for it to be gone:
 * to drop or copy the database, or to change or drop the extension.  Takes the
 * locks that keep them waiting until the end of the transaction.
 */
static bool
MayWork(WorkerPass *pass)
{
	LOCKTAG		database;
	LOCKTAG		extension;

	SET_LOCKTAG_OBJECT(database, InvalidOid, DatabaseRelationId, MyDatabaseId, 0);
	SET_LOCKTAG_OBJECT(extension, MyDatabaseId, ExtensionRelationId, pass->extension, 0);

	return LockAcquire(&database, RowExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL &&
		LockAcquire(&extension, AccessShareLock, false, true) != LOCKACQUIRE_NOT_AVAIL &&
		LockWorkTables() &&
		get_relname_relid("heads", get_namespace_oid("datastream", true)) == pass->heads;
}

/*
 * Whether the worker may read its tables, and record failures, without running
 * code of others.  If not, it can only be said in the server's log.
 */
static bool
TablesAreTrusted(WorkerPass *pass)
{
	const char *obstacle;

	pass->trust = CheckWorkTables(pass->extension, pass->owner);
	obstacle = pass->trust->no_reading ? pass->trust->no_reading : pass->trust->no_failures;
	if (obstacle == NULL)
		return true;

	ereport(LOG,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("datastream worker leaves database \"%s\" alone: %s", get_database_name(MyDatabaseId), obstacle),
			 errdetail("Workers run no code of roles that are not superusers.")));
	return false;
}

/*
 * Has deferred triggers run at the end of each statement, as the worker's own
 * user is another one at the end of the transaction.
 */
static void
RunDeferredTriggersAtOnce(void)
{
	ConstraintsSetStmt *all = makeNode(ConstraintsSetStmt);

	all->constraints = NIL;
	all->deferred = false;
	AfterTriggerSetState(all);
	pfree(all);
}

/*
 * Begins a transaction of a worker, with an SPI connection and a snapshot;
 * returns false, without one, if the worker is to leave.
 */
bool
BeginWork(WorkerPass *pass)
{
	CHECK_FOR_INTERRUPTS();

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	AcceptInvalidationMessages();
	if (!MayWork(pass))
	{
		pass->leave = true;
		AbortCurrentTransaction();
		return false;
	}

	GetUserIdAndSecContext(&pass->saved_user, &pass->saved_security);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (!TablesAreTrusted(pass))
	{
		pass->distrusted = pass->leave = true;
		PopActiveSnapshot();
		AbortCurrentTransaction();
		return false;
	}

	SetUserIdAndSecContext(pass->owner, pass->saved_security | SECURITY_RESTRICTED_OPERATION);
	SPI_connect();
	RunDeferredTriggersAtOnce();

	return true;
}

/*
 * Ends a transaction of a worker.
 */
void
EndWork(WorkerPass *pass)
{
	PopActiveSnapshot();
	SPI_finish();
	SetUserIdAndSecContext(pass->saved_user, pass->saved_security);
	CommitTransactionCommand();
	pgstat_report_stat(false);
}
