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
#include "fmgr.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static const struct config_enum_entry derive_modes[] = {
	{"immediate", DERIVE_IMMEDIATE, false},
	{"background", DERIVE_BACKGROUND, false},
	{NULL, 0, false}
};

/*
 * Defines the settings.
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

	MarkGUCPrefixReserved("datastream");
}
