/*-------------------------------------------------------------------------
 *
 * read_only.h
 *	  What all functions that write begin with.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_READ_ONLY_H
#define DS_READ_ONLY_H

#include "miscadmin.h"
#include "tcop/utility.h"

/*
 * Refuses to write in a read-only transaction, as all are on a standby, and in
 * parallel workers.  The error names the function, such as "ds_append()", and not
 * the statement inside it that would fail.
 */
static inline void
RefuseReadOnly(const char *function)
{
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
}

#endif							/* DS_READ_ONLY_H */
