/*-------------------------------------------------------------------------
 *
 * upstream.h
 *	  What a derived stream derives from, directly or through others.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_UPSTREAM_H
#define DS_UPSTREAM_H

#include "stream.h"

extern StreamTime DerivedReadUntil(const pg_uuid_t *id);
extern StreamTime CheckedReadUntil(const StreamDef *def, StreamTime latest);
extern StreamTime UnsettledFrom(const pg_uuid_t *derived);

#endif							/* DS_UPSTREAM_H */
