/*-------------------------------------------------------------------------
 *
 * source.h
 *	  Reading the sources of a derived stream.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_SOURCE_H
#define DS_SOURCE_H

#include "store.h"

/*
 * A source, and how far its derived stream has read it: the first "read_count"
 * of the datapoints at "read_until", and all before.  What is not behind the
 * origin does not exist for the derived stream.
 */
typedef struct Source
{
	int			position;
	StreamDef	def;
	char	   *name;			/* or NULL */
	Granularity granularity;
	StreamTime	origin;			/* or STREAM_TIME_NONE */
	int			origin_count;
	StreamTime	read_until;		/* or STREAM_TIME_NONE */
	int			read_count;
} Source;

typedef struct SourceReader SourceReader;

extern SourceReader *BeginSource(const Source *source, StreamTime from, StreamTime to);
extern bool ReadSource(SourceReader *reader, StreamTime *t, Value *value);
extern bool SkipSource(SourceReader *reader, StreamTime until, StreamTime *t, Value *value);
extern void EndSource(SourceReader *reader);

extern StreamTime SourcesReadUntil(const StreamDef *def, const Source *sources, int nsources);
extern StreamTime DerivedReadUntil(const StreamDef *def);

extern bool LookBack(const Source *source, StreamTime before, bool skip_nulls,
					 StreamTime *t, Value *value);

#endif							/* DS_SOURCE_H */
