/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  What differs between the versions of PostgreSQL that are supported.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_COMPAT_H
#define DS_COMPAT_H

/* A context for pg_parse_json() that only checks the syntax */
#if PG_VERSION_NUM >= 170000
#define MakeJsonCheckContext(str, len) \
	makeJsonLexContextCstringLen(NULL, (str), (len), GetDatabaseEncoding(), false)
#else
#define MakeJsonCheckContext(str, len) \
	makeJsonLexContextCstringLen((char *) (str), (len), GetDatabaseEncoding(), false)
#endif

/* What a role may do with a schema */
#if PG_VERSION_NUM >= 160000
#define SchemaAclCheck(schema, role, mode) \
	object_aclcheck(NamespaceRelationId, (schema), (role), (mode))
#else
#define SchemaAclCheck(schema, role, mode) \
	pg_namespace_aclcheck((schema), (role), (mode))
#endif

/* What a role may do with a function */
#if PG_VERSION_NUM >= 160000
#define FunctionAclCheck(function, role, mode) \
	object_aclcheck(ProcedureRelationId, (function), (role), (mode))
#else
#define FunctionAclCheck(function, role, mode) \
	pg_proc_aclcheck((function), (role), (mode))
#endif

/* Where the files of a relation are */
#if PG_VERSION_NUM >= 160000
#define RelationLocator(relation)	((relation)->rd_locator)
#else
#define RelationLocator(relation)	((relation)->rd_node)
#endif

/* How a path is ordered by an expression, if the query has a use for that */
#if PG_VERSION_NUM >= 160000
#define BuildExpressionPathkey(root, expr, opno, relids) \
	build_expression_pathkey((root), (expr), (opno), (relids), false)
#else
#define BuildExpressionPathkey(root, expr, opno, relids) \
	build_expression_pathkey((root), (expr), NULL, (opno), (relids), false)
#endif

/* An interval in the form of ISO 8601, in a buffer of MAXDATELEN + 1 */
#define EncodeIntervalISO(interval, buffer) \
	do { \
		struct pg_itm parts_; \
		interval2itm(*(interval), &parts_); \
		EncodeInterval(&parts_, INTSTYLE_ISO_8601, (buffer)); \
	} while (0)

/*
 * What a process of the extension waits for, as pg_stat_activity shows it;
 * "event" is a static variable that starts as 0.
 */
#if PG_VERSION_NUM >= 170000
#define NamedWaitEvent(event, name) \
	((event) != 0 ? (event) : ((event) = WaitEventExtensionNew(name)))
#else
#define NamedWaitEvent(event, name)		((event) = PG_WAIT_EXTENSION)
#endif

/* In front of the declaration of a function that does not return */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

#endif							/* DS_COMPAT_H */
