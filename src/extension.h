/*-------------------------------------------------------------------------
 *
 * extension.h
 *	  The extension in the current database, and its version.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_EXTENSION_H
#define DS_EXTENSION_H

/*
 * The version since which the tables and functions are what this library works
 * with.  A version that changes them sets this.
 */
#define SCHEMA_VERSION	"0.2.0"

typedef struct ExtensionInfo
{
	Oid			oid;
	Oid			owner;
	const char *version;
	bool		is_current;		/* the version is SCHEMA_VERSION or later, */
	bool		is_settled;		/* and this transaction has not made it so */
} ExtensionInfo;

extern bool ReadExtension(ExtensionInfo *info);
extern bool ExtensionIsCurrent(Oid heads);
extern void CheckExtensionIsCurrent(Oid heads);

#endif							/* DS_EXTENSION_H */
