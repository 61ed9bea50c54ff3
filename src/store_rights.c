/*-------------------------------------------------------------------------
 *
 * store_rights.c
 *	  What a role may do with the tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "compat.h"
#include "miscadmin.h"
#include "store.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

/*
 * Whether the current role may read a table, and all of its rows.
 */
static bool
TableIsReadable(Oid namespace, const char *table)
{
	Oid			relation = get_relname_relid(table, namespace);

	return OidIsValid(relation) &&
		pg_class_aclcheck(relation, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
		check_enable_rls(relation, InvalidOid, true) != RLS_ENABLED;
}

/*
 * Whether the current role may read all streams and their rows at a level,
 * without row security in the way.  For those who must not fail.
 */
bool
StoreIsReadable(Granularity level)
{
	Oid			namespace = get_namespace_oid("datastream", true);

	return OidIsValid(namespace) &&
		SchemaAclCheck(namespace, GetUserId(), ACL_USAGE) == ACLCHECK_OK &&
		TableIsReadable(namespace, "streams") &&
		TableIsReadable(namespace, "heads") &&
		TableIsReadable(namespace, "progress") &&
		TableIsReadable(namespace, psprintf("datapoints_%s", GranularityName(level)));
}

/*
 * Whether the current role may read what all derived streams derive from, likewise.
 */
bool
SourcesAreReadable(void)
{
	Oid			namespace = get_namespace_oid("datastream", true);

	return OidIsValid(namespace) &&
		SchemaAclCheck(namespace, GetUserId(), ACL_USAGE) == ACLCHECK_OK &&
		TableIsReadable(namespace, "sources");
}
