/*-------------------------------------------------------------------------
 *
 * granularity.c
 *	  The steps of time at which streams are kept, and their buckets.
 *
 * Buckets are the same for every stream: full seconds, full tens of seconds
 * and so on up to days, months and years of UTC.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "errors.h"
#include "fmgr.h"
#include "granularity.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(ds_round);

typedef struct GranularityInfo
{
	const char *name;
	int64		width;			/* of a bucket, in ms; 0 if it varies */
} GranularityInfo;

static const GranularityInfo Granularities[GRANULARITY_COUNT] = {
	[GRANULARITY_MILLISECONDS] = {"milliseconds", 1},
	[GRANULARITY_SECONDS] = {"seconds", 1000},
	[GRANULARITY_10SECONDS] = {"10seconds", 10 * 1000},
	[GRANULARITY_MINUTES] = {"minutes", 60 * 1000},
	[GRANULARITY_10MINUTES] = {"10minutes", 10 * 60 * 1000},
	[GRANULARITY_HOURS] = {"hours", 60 * 60 * 1000},
	[GRANULARITY_6HOURS] = {"6hours", 6 * 60 * 60 * 1000},
	[GRANULARITY_DAYS] = {"days", 24 * 60 * 60 * 1000},
	[GRANULARITY_MONTHS] = {"months", 0},
	[GRANULARITY_YEARS] = {"years", 0}
};

#define MS_PER_DAY	INT64CONST(86400000)

/* Microseconds from 1970-01-01, where StreamTime begins, to PostgreSQL's 2000-01-01 */
#define UNIX_EPOCH_OFFSET \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/*
 * The name of a granularity, as users write it.
 */
const char *
GranularityName(Granularity granularity)
{
	return Granularities[granularity].name;
}

/*
 * All names from the finest granularity to "last", separated by commas.
 */
char *
GranularityNames(Granularity last)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i <= last; i++)
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", Granularities[i].name);

	return names.data;
}

/*
 * The granularity of that name; another name is unsupported_granularity.
 */
Granularity
ParseGranularity(const char *name)
{
	for (int i = 0; i < GRANULARITY_COUNT; i++)
	{
		if (strcmp(name, Granularities[i].name) == 0)
			return (Granularity) i;
	}

	ereport(ERROR,
			(errcode(ERRCODE_DS_UNSUPPORTED_GRANULARITY),
			 errmsg("granularity \"%s\" does not exist", name),
			 errhint("Granularities are %s.", GranularityNames(GRANULARITY_YEARS))));
	pg_unreachable();
}

/*
 * Finds a granularity by its name; false if there is none, or if the name is NULL.
 */
bool
FindGranularity(const char *name, Granularity *granularity)
{
	for (int i = 0; i < GRANULARITY_COUNT && name != NULL; i++)
	{
		if (strcmp(Granularities[i].name, name) == 0)
		{
			*granularity = (Granularity) i;
			return true;
		}
	}

	return false;
}

/*
 * The same as ParseGranularity() for the highest granularity of a stream, which
 * cannot be months or years.
 */
Granularity
ParseHighestGranularity(const char *name)
{
	Granularity granularity = ParseGranularity(name);

	if (granularity > GRANULARITY_HIGHEST_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_DS_UNSUPPORTED_GRANULARITY),
				 errmsg("granularity \"%s\" cannot be the highest granularity of a stream", name),
				 errdetail("It exists only as a downsampled level."),
				 errhint("Highest granularities are %s.", GranularityNames(GRANULARITY_HIGHEST_MAX))));

	return granularity;
}

/*
 * The precision, in ms, of timestamps in streams of that highest granularity.
 */
StreamTime
GranularityUnit(Granularity granularity)
{
	return granularity == GRANULARITY_MILLISECONDS ? 1 : 1000;
}

/*
 * Splits a time into year and month (1 to 12) of UTC.
 */
static void
YearAndMonth(StreamTime t, int *year, int *month)
{
	int64		day = t / MS_PER_DAY;
	int			mday;

	if (t < 0 && t % MS_PER_DAY != 0)
		day--;
	j2date((int) day + UNIX_EPOCH_JDATE, year, month, &mday);
}

/*
 * The first moment of a month; a month of 13 is January of the next year.
 */
static StreamTime
MonthStart(int year, int month)
{
	if (month > 12)
	{
		year++;
		month = 1;
	}

	return (StreamTime) (date2j(year, month, 1) - UNIX_EPOCH_JDATE) * MS_PER_DAY;
}

/*
 * The start of the bucket that holds t.
 */
StreamTime
BucketStart(Granularity granularity, StreamTime t)
{
	int64		width = Granularities[granularity].width;
	int			year;
	int			month;

	if (width > 0)
	{
		StreamTime	rest = t % width;

		return t - rest - (rest < 0 ? width : 0);
	}

	YearAndMonth(t, &year, &month);

	return MonthStart(year, granularity == GRANULARITY_YEARS ? 1 : month);
}

/*
 * The end of the bucket that holds t, which is the start of the next one.
 */
StreamTime
BucketEnd(Granularity granularity, StreamTime t)
{
	int64		width = Granularities[granularity].width;
	int			year;
	int			month;

	if (width > 0)
		return BucketStart(granularity, t) + width;

	YearAndMonth(t, &year, &month);
	if (granularity == GRANULARITY_YEARS)
		return MonthStart(year + 1, 1);

	return MonthStart(year, month + 1);
}

/*
 * The number of buckets between two bucket boundaries.
 */
int64
BucketsBetween(Granularity granularity, StreamTime from, StreamTime to)
{
	int64		width = Granularities[granularity].width;
	int			from_year;
	int			from_month;
	int			to_year;
	int			to_month;

	if (width > 0)
		return (to - from) / width;

	YearAndMonth(from, &from_year, &from_month);
	YearAndMonth(to, &to_year, &to_month);
	if (granularity == GRANULARITY_YEARS)
		return to_year - from_year;

	return (to_year - from_year) * 12 + (to_month - from_month);
}

/*
 * A client's timestamp at the precision of a stream of that highest
 * granularity, truncated towards the past.  Outside the supported years it is
 * invalid_timestamp.
 */
StreamTime
StreamTimeFromTimestamp(TimestampTz ts, Granularity highest)
{
	StreamTime	t = StreamTimeFromTimestampClamped(ts);
	StreamTime	unit = GranularityUnit(highest);

	if (t < STREAM_TIME_MIN || t - t % unit > STREAM_TIME_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_DS_INVALID_TIMESTAMP),
				 errmsg("timestamp \"%s\" is out of range", timestamptz_to_str(ts)),
				 errdetail("Timestamps lie between 1970-01-01 00:00:00 and 9999-12-31 23:59:59 UTC.")));

	return t - t % unit;
}

/*
 * As StreamTimeFromTimestamp() for "count" timestamps, aligned or not, into "times";
 * false if one of them is out of range.
 */
bool
StreamTimesFromTimestamps(const char *timestamps, int count, Granularity highest, StreamTime *times)
{
	const uint64 longest = STREAM_TIME_MAX * 1000 + 999999;
	bool		in_range = true;

	/* Loops of their own, as divisions by a constant are quick. */
#define CONVERT_ALL(divisor, factor) \
	for (int i = 0; i < count; i++) \
	{ \
		TimestampTz ts; \
		uint64		usecs; \
		\
		memcpy(&ts, timestamps + i * sizeof(ts), sizeof(ts)); \
		usecs = (uint64) ts + UNIX_EPOCH_OFFSET; \
		in_range &= usecs <= longest; \
		times[i] = (StreamTime) (usecs / (divisor) * (factor)); \
	}

	if (highest == GRANULARITY_MILLISECONDS)
	{
		/* the last millisecond is not the last microsecond */
		CONVERT_ALL(1000, 1)
		for (int i = 0; i < count; i++)
			in_range &= times[i] <= STREAM_TIME_MAX;
	}
	else
		CONVERT_ALL(1000000, 1000)
#undef CONVERT_ALL

	return in_range;
}

/*
 * A client's timestamp as a bound of a range: whole milliseconds, rounded down;
 * what lies outside the supported years, also an infinite one, becomes some
 * time outside them on the same side.
 */
StreamTime
StreamTimeFromTimestampClamped(TimestampTz ts)
{
	int64		usecs;

	if (ts < -UNIX_EPOCH_OFFSET)
		return STREAM_TIME_MIN - 1;
	if (ts > STREAM_TIME_MAX * 1000 + 999999 - UNIX_EPOCH_OFFSET)
		return STREAM_TIME_MAX + 1000;

	usecs = ts + UNIX_EPOCH_OFFSET;

	return usecs / 1000;
}

/*
 * A time as PostgreSQL's timestamptz.
 */
TimestampTz
TimestampFromStreamTime(StreamTime t)
{
	return t * 1000 - UNIX_EPOCH_OFFSET;
}

/*
 * ds_round(granularity text, ts timestamptz) returns timestamptz
 *
 * The start of the bucket that holds ts.  Errors: unsupported_granularity,
 * invalid_timestamp.
 */
Datum
ds_round(PG_FUNCTION_ARGS)
{
	Granularity granularity = ParseGranularity(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	StreamTime	t = StreamTimeFromTimestamp(PG_GETARG_TIMESTAMPTZ(1), GRANULARITY_MILLISECONDS);

	PG_RETURN_TIMESTAMPTZ(TimestampFromStreamTime(BucketStart(granularity, t)));
}
