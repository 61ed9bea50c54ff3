/*-------------------------------------------------------------------------
 *
 * derivation_redo.c
 *	  Deriving again what changes of the sources have an influence on.
 *
 * A change is a range of a source's own time.  What it has an influence on is
 * derived again as a whole: for a join its buckets, for an operator that looks
 * back all until the next datapoint with a value.  Where that reaches the end of
 * what has been read, the sources are taken to have been read only until the
 * change, and all behind it is derived as if it were new.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "derivation_work.h"
#include "miscadmin.h"

/*
 * The end of the first datapoint with a value that is left of a source.
 */
static StreamTime
FirstValueEnd(const Source *source)
{
	SourceReader *reader = BeginSource(source, STREAM_TIME_MIN, STREAM_TIME_MAX);
	StreamTime	t = STREAM_TIME_NONE;
	Value		value;

	while (ReadSource(reader, &t, &value))
	{
		if (value.kind != VALUE_NULL)
			break;
	}
	EndSource(reader);

	return ReadsBuckets(source) && t != STREAM_TIME_NONE ? BucketEnd(source->granularity, t) : t + 1;
}

/*
 * From when on a derived stream can be derived again: what has expired of it,
 * or of a source, is not made anew.
 */
StreamTime
RederivableFrom(const Derivation *derivation)
{
	bool		looks_back = !JoinsSources(derivation);
	Granularity highest = derivation->head.def.highest;
	StreamTime	from = derivation->progress.expired_until;

	for (int i = 0; i < derivation->nsources; i++)
	{
		const Source *source = &derivation->sources[i];
		StreamProgress progress;
		StreamTime	complete;
		StreamTime	earliest;

		if (!ReadProgress(&source->def.id, &progress) || progress.expired_until == STREAM_TIME_NONE)
			continue;

		/*
		 * Empty buckets before the first one may have been there, and other
		 * datapoints at the time of the first one.
		 */
		complete = progress.expired_until;
		if (ReadsBuckets(source))
		{
			if (FirstBlockStart(&source->def.id, source->granularity, &earliest))
				complete = BucketStart(source->granularity, earliest);
		}
		else if (StreamEarliest(&source->def, &earliest))
			complete = Min(complete, earliest + 1);
		from = Max(from, complete);

		/* The first one that is left has lost the one before it. */
		if (looks_back && i == derivation->nsources - 1)
			from = Max(from, FirstValueEnd(source));
	}

	/* A bucket of which something has expired stays as it is. */
	if (from > STREAM_TIME_MIN && BucketStart(highest, from) < from &&
		(JoinsSources(derivation) || ReadsBuckets(FollowedSource(derivation))))
		from = BucketEnd(highest, from);

	return Max(from, STREAM_TIME_MIN);
}

/*
 * The next datapoint with a value behind a time, of what has been read of a
 * source; STREAM_TIME_MAX if there is none.
 */
static StreamTime
NextValue(const Source *source, StreamTime behind)
{
	SourceReader *reader = BeginSource(source, behind + 1, STREAM_TIME_MAX);
	StreamTime	next = STREAM_TIME_MAX;
	StreamTime	t;
	Value		value;

	while (ReadSource(reader, &t, &value) && t < source->read_until)
	{
		if (value.kind == VALUE_NULL)
			continue;
		next = t;
		break;
	}
	EndSource(reader);

	return next;
}

/*
 * From when on a join has something new to do: the start of the first bucket that
 * it has not compared, or of which a source may have its first datapoint yet.
 */
StreamTime
JoinFrom(const Derivation *derivation)
{
	Granularity highest = derivation->head.def.highest;
	StreamTime	from = STREAM_TIME_MAX;

	for (int i = 0; i < derivation->nsources; i++)
	{
		const Source *source = &derivation->sources[i];

		if (source->read_until == STREAM_TIME_NONE)
			return STREAM_TIME_MIN;
		from = Min(from, source->read_count > 0 ? BucketEnd(highest, source->read_until) :
				   BucketStart(highest, source->read_until));
	}

	return from;
}

/*
 * Takes the sources that an operator follows to have been read only until a time,
 * of what there is of them for the derived stream.
 */
static void
GoBackTo(Derivation *derivation, StreamTime t)
{
	for (int i = JoinsSources(derivation) ? 0 : derivation->nsources - 1; i < derivation->nsources; i++)
	{
		Source	   *source = &derivation->sources[i];

		if (source->read_until == STREAM_TIME_NONE || source->read_until < t)
			continue;
		source->read_until = Max(t, source->origin);
		source->read_count = 0;
	}
}

/*
 * What changes of a source are in the time of what is derived, for those that
 * concern what has been read.  One that reaches the end of that has no end.
 */
static void
AddRedo(Derivation *derivation, int number, RangeSet *redo)
{
	const Source *source = &derivation->sources[number];
	const Source *followed = FollowedSource(derivation);
	const RangeSet *changes = &derivation->changes[number];
	const Source *read = JoinsSources(derivation) ? source : followed;

	for (int i = 0; i < changes->count; i++)
	{
		StreamTime	from = changes->ranges[i].from;
		StreamTime	to = changes->ranges[i].to;

		if (!HasRead(read, from))
			continue;
		AlignRange(derivation, &from, &to);
		AddToRangeSet(redo, from, changes->ranges[i].to >= read->read_until ? STREAM_TIME_MAX : to);
	}
}

/*
 * Derives a range again, or as much of it as is allowed at once.  Returns false
 * when nothing is left to do of all that comes behind it.
 */
static bool
RedoRange(Derivation *derivation, TimeRange range, int max_blocks)
{
	const Source *followed = FollowedSource(derivation);
	bool		joins = JoinsSources(derivation);
	StreamTime	end = joins ? JoinFrom(derivation) : followed->read_until;
	StreamTime	from = Max(range.from, RederivableFrom(derivation));
	StreamTime	to = range.to;
	StreamTime	limit;

	/* What is new is derived anyway. */
	if (from >= end)
	{
		if (range.to == STREAM_TIME_MAX)
			GoBackTo(derivation, range.from);
		return false;
	}

	limit = SourceLimit(followed, from, max_blocks);
	if (limit < STREAM_TIME_MAX)
	{
		limit = Max(limit, BucketEnd(derivation->head.def.highest, from) - 1);
		AlignRange(derivation, &from, &limit);
	}
	if (limit < Min(to, end - 1))
	{
		to = limit;
		derivation->more = true;
	}

	if (joins)
		to = to == STREAM_TIME_MAX ? to : Min(to, end - 1);
	else if (to < STREAM_TIME_MAX && from <= to)
		to = NextValue(followed, to);

	if (from > to)
		return true;
	if (to == STREAM_TIME_MAX)
	{
		derivation->more = false;
		GoBackTo(derivation, range.from);
		return false;
	}
	RemakeDerived(derivation, from, to);
	if (derivation->more)
		KeepChanges(derivation, limit + 1);

	return !derivation->more;
}

/*
 * Derives again what the changes of the sources have an influence on.
 */
void
RedoChanges(Derivation *derivation, int max_blocks)
{
	RangeSet	redo = {0};

	for (int i = 0; i < derivation->nsources; i++)
		AddRedo(derivation, i, &redo);
	SortRangeSet(&redo);

	for (int i = 0; i < redo.count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!RedoRange(derivation, redo.ranges[i], max_blocks))
			break;
	}
}
