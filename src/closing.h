/*-------------------------------------------------------------------------
 *
 * closing.h
 *	  How far the buckets of a stream can be closed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_CLOSING_H
#define DS_CLOSING_H

#include "downsample.h"

extern StreamTime BlocksUntil(const StreamDef *def, Granularity level, StreamTime from,
							  int max_blocks);
extern StreamTime LimitPass(const StreamHead *head, const StreamProgress *progress,
							StreamTime until, int max_blocks);
extern StreamTime CompleteUntil(const StreamHead *head);
extern bool StreamIsDue(const pg_uuid_t *id);
extern bool HasBeenFilled(const StreamHead *head, const StreamProgress *progress,
						  StreamTime complete_until);
extern StreamTime SilentUntil(const StreamDef *def, const StreamProgress *progress,
							  StreamTime complete_until, StreamTime now);
extern StreamTime NextCheck(const StreamDef *def, const StreamProgress *progress,
							StreamTime complete_until);
extern StreamTime AskedUntil(const StreamDef *def, const DownsampleLimits *limits,
							 StreamTime complete_until, StreamTime now);
extern void FindOpenFrom(const StreamDef *def, const StreamProgress *progress, StreamTime *from);
extern Granularity FindCloseUntil(const StreamDef *def, const StreamProgress *progress,
								  const StreamTime *from, StreamTime limit, int max_blocks,
								  StreamTime *close_until);
extern StreamTime NextClose(const StreamDef *def, const StreamTime *from,
							StreamTime complete_until);

#endif							/* DS_CLOSING_H */
