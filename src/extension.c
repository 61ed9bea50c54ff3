/*-------------------------------------------------------------------------
 *
 * extension.c
 *	  The extension in the current database, and its version.
 *
 * When a new version has been installed, databases go on with the tables and
 * functions of the old one until ALTER EXTENSION UPDATE.  The new library does
 * not touch these: what it would write there, it could not tell from what the
 * old one has written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "errors.h"
#include "extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

/* The OID of datastream.heads in an extension that is known to be current */
static Oid	current_heads = InvalidOid;

/*
 * Whether a version is not older than SCHEMA_VERSION; one that does not consist
 * of three numbers counts as newer.
 */
static bool
VersionIsCurrent(const char *version)
{
	int			needed[3];
	int			given[3];

	if (sscanf(version, "%d.%d.%d", &given[0], &given[1], &given[2]) != 3 ||
		sscanf(SCHEMA_VERSION, "%d.%d.%d", &needed[0], &needed[1], &needed[2]) != 3)
		return true;
	for (int i = 0; i < 3; i++)
	{
		if (given[i] != needed[i])
			return given[i] > needed[i];
	}

	return true;
}

/*
 * Reads what the catalogs have of the extension; false if it is not there.
 */
bool
ReadExtension(ExtensionInfo *info)
{
	Relation	relation = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("datastream"));
	scan = systable_beginscan(relation, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		Form_pg_extension form = (Form_pg_extension) GETSTRUCT(tuple);
		bool		isnull;
		Datum		version = heap_getattr(tuple, Anum_pg_extension_extversion,
										   RelationGetDescr(relation), &isnull);

		info->oid = form->oid;
		info->owner = form->extowner;
		info->version = isnull ? "" : TextDatumGetCString(version);
		info->is_current = VersionIsCurrent(info->version);
		info->is_settled = !TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);

	return found;
}

/*
 * Whether the extension whose table datastream.heads is has a version that this
 * library works with.
 */
bool
ExtensionIsCurrent(Oid heads)
{
	ExtensionInfo info;

	if (heads == current_heads)
		return true;
	if (!ReadExtension(&info))
		return true;
	if (info.is_current && info.is_settled)
		current_heads = heads;

	return info.is_current;
}

/*
 * Raises an error if it has not.
 */
void
CheckExtensionIsCurrent(Oid heads)
{
	ExtensionInfo info;

	if (!ExtensionIsCurrent(heads) && ReadExtension(&info))
		ereport(ERROR,
				(errcode(ERRCODE_DS_EXCEPTION),
				 errmsg("the extension \"datastream\" has version %s in this database, but the library that is installed needs %s or later",
						info.version, SCHEMA_VERSION),
				 errhint("Run ALTER EXTENSION datastream UPDATE.")));
}
