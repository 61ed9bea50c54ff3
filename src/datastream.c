/*-------------------------------------------------------------------------
 *
 * datastream.c
 *	  Entry of the library: its settings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "derive.h"
#include "downsample.h"
#include "fmgr.h"
#include "launcher.h"
#include "miscadmin.h"
#include "query_node.h"
#include "statement.h"
#include "utils/guc.h"
#include "wakeup.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static const struct config_enum_entry derive_modes[] = {
	{"immediate", DERIVE_IMMEDIATE, false},
	{"background", DERIVE_BACKGROUND, false},
	{NULL, 0, false}
};

/*
 * Defines the settings and, if the library is preloaded, sees to it that a
 * launcher is started with the server.
 */
void
_PG_init(void)
{
	DefineCustomEnumVariable("datastream.derive",
							 "Sets when derived streams are brought up to date.",
							 "With \"immediate\", in the statement that appends to their sources; "
							 "with \"background\", later, by a background worker or ds_backprocess_streams().",
							 &derive_mode,
							 DERIVE_IMMEDIATE,
							 derive_modes,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);
	DefineCustomBoolVariable("datastream.enabled",
							 "Enables background workers.",
							 "Without them, ds_downsample_streams(), ds_backprocess_streams() and "
							 "ds_apply_retention() do their work.",
							 &workers_enabled,
							 true,
							 PGC_SUSET,
							 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("datastream.naptime",
							"Sets the least time between two passes of background workers over a database.",
							NULL,
							&worker_naptime,
							10, 1, 86400,
							PGC_SIGHUP,
							GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomIntVariable("datastream.max_workers",
							"Sets how many background workers serve one database at most.",
							"They count towards \"max_worker_processes\".",
							&max_workers,
							2, 1, 64,
							PGC_SIGHUP,
							0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("datastream.close_delay",
							"Sets how long background workers let a stream gather before they close its buckets.",
							"0 closes them at once.  ds_downsample_streams() never waits.",
							&close_delay,
							60, 0, 86400,
							PGC_SIGHUP,
							GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomIntVariable("datastream.close_after",
							"Sets how long after its end the last bucket of a silent stream is closed.",
							"What is appended there afterwards is late.",
							&close_after,
							3600, 1, INT_MAX,
							PGC_SIGHUP,
							GUC_UNIT_S,
							NULL, NULL, NULL);
	MarkGUCPrefixReserved("datastream");
	InitQueryNodes();
	InitStatements();

	InitWakeup();
	if (process_shared_preload_libraries_in_progress && !IsBinaryUpgrade)
		RegisterLauncher();
}
