/*-------------------------------------------------------------------------
 *
 * plain_table.h
 *	  Access to the extension's tables without queries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_PLAIN_TABLE_H
#define DS_PLAIN_TABLE_H

#include "access/genam.h"
#include "access/relscan.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "nodes/parsenodes.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

/*
 * A table of the extension: a static variable in which the first fields are
 * set and the others are zeros.
 */
typedef struct PlainTable
{
	const char *name;			/* in the schema datastream */
	int			natts;			/* as CREATE EXTENSION has made it */
	AclMode		rights;			/* that the role must have; ACL_SELECT is for
								 * reading only */
	const char *also_read;		/* another table to be read entirely, or NULL */

	/* What is known of it for a role */
	uint64		generation;
	Oid			role;
	Oid			relation;		/* InvalidOid if it cannot be accessed so */
} PlainTable;

extern Oid	PlainTableOid(PlainTable *table);
extern Relation OpenPlainTable(PlainTable *table, LOCKMODE lock_mode);
extern Relation OpenPrimaryKey(Relation relation, int ncolumns, LOCKMODE lock_mode);
extern IndexScanDesc BeginPlainScan(Relation relation, Relation index, Snapshot snapshot, int nkeys);
extern void InsertPlainRow(Relation relation, TupleTableSlot *slot);
extern TM_Result UpdatePlainRow(Relation relation, ItemPointer place, TupleTableSlot *slot,
								bool *new_entries);

#endif							/* DS_PLAIN_TABLE_H */
