/*-------------------------------------------------------------------------
 *
 * granularity.h
 *	  The steps of time at which streams are kept, and their buckets.
 *
 * Inside the extension every timestamp is a StreamTime: whole milliseconds
 * since 1970-01-01 00:00:00 UTC.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_GRANULARITY_H
#define DS_GRANULARITY_H

#include "datatype/timestamp.h"

typedef int64 StreamTime;

/* From fine to coarse; the order is what "finer" and "coarser" mean. */
typedef enum Granularity
{
	GRANULARITY_MILLISECONDS,
	GRANULARITY_SECONDS,
	GRANULARITY_10SECONDS,
	GRANULARITY_MINUTES,
	GRANULARITY_10MINUTES,
	GRANULARITY_HOURS,
	GRANULARITY_6HOURS,
	GRANULARITY_DAYS,
	GRANULARITY_MONTHS,
	GRANULARITY_YEARS
} Granularity;

#define GRANULARITY_COUNT	(GRANULARITY_YEARS + 1)

/* The coarsest granularity at which a stream can be appended to */
#define GRANULARITY_HIGHEST_MAX	GRANULARITY_DAYS

/* 1970-01-01 00:00:00 UTC and 9999-12-31 23:59:59 UTC */
#define STREAM_TIME_MIN		INT64CONST(0)
#define STREAM_TIME_MAX		INT64CONST(253402300799000)

extern const char *GranularityName(Granularity granularity);
extern Granularity ParseGranularity(const char *name);
extern bool FindGranularity(const char *name, Granularity *granularity);
extern Granularity ParseHighestGranularity(const char *name);
extern char *GranularityNames(Granularity last);

extern StreamTime GranularityUnit(Granularity granularity);
extern StreamTime BucketStart(Granularity granularity, StreamTime t);
extern StreamTime BucketEnd(Granularity granularity, StreamTime t);
extern int64 BucketsBetween(Granularity granularity, StreamTime from, StreamTime to);

extern StreamTime StreamTimeFromTimestamp(TimestampTz ts, Granularity highest);
extern bool StreamTimesFromTimestamps(const char *timestamps, int count, Granularity highest,
									  StreamTime *times);
extern StreamTime StreamTimeFromTimestampClamped(TimestampTz ts);
extern TimestampTz TimestampFromStreamTime(StreamTime t);

#endif							/* DS_GRANULARITY_H */
