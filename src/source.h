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
 * A source, and how far its derived stream has read it: all before "read_until",
 * and the first "read_count" of the datapoints at it.  At a lower granularity
 * whole buckets are read, so that "read_until" is where one ends.  What lies
 * before the origin does not exist for the derived stream, nor do the first
 * "origin_count" of the datapoints at the origin.
 */
typedef struct Source
{
	int			position;
	StreamDef	def;
	char	   *name;			/* or NULL */
	Granularity granularity;
	StreamTime	origin;			/* or STREAM_TIME_NONE */
	int			origin_count;
	StreamTime	read_until;		/* or STREAM_TIME_NONE: nothing */
	int			read_count;
} Source;

typedef struct SourceReader SourceReader;

extern SourceReader *BeginSource(const Source *source, StreamTime from, StreamTime to);
extern bool ReadSource(SourceReader *reader, StreamTime *t, Value *value);
extern bool SkipSource(SourceReader *reader, StreamTime until, StreamTime *t, Value *value);
extern void EndSource(SourceReader *reader);

extern StreamTime SourcesReadUntil(const StreamDef *def, const Source *sources, int nsources);
extern bool ReadsBuckets(const Source *source);
extern void NoteRead(Source *source, StreamTime t);
extern void AdvanceSource(Source *source, StreamTime t, int count);
extern void NoteReadToEnd(Source *source, const SourceReader *reader);
extern bool HasRead(const Source *source, StreamTime t);

extern bool LookBack(const Source *source, StreamTime before, bool skip_nulls,
					 StreamTime *t, Value *value);

#endif							/* DS_SOURCE_H */
