/*-------------------------------------------------------------------------
 *
 * dependants.h
 *	  Finding the streams that derive from others.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_DEPENDANTS_H
#define DS_DEPENDANTS_H

#include "derive.h"

extern pg_uuid_t *FindDependants(const SourceChange *changes, int nchanges, bool direct_only,
								 int *ndependants);

#endif							/* DS_DEPENDANTS_H */
