/*-------------------------------------------------------------------------
 *
 * range_set.c
 *	  Sets of times, as a list of ranges.
 *
 * However many ranges are added, a set holds few: where there are too many, those
 * that are next to each other become one range with the little that lies between.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "range_set.h"

/* Room for ranges, at first and at most */
#define RANGES_MIN	8
#define RANGES_MAX	64

static int
CompareRanges(const void *a, const void *b)
{
	const TimeRange *x = a;
	const TimeRange *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

/*
 * Puts the ranges of a set in order, with none touching the next.
 */
void
SortRangeSet(RangeSet *set)
{
	int			kept = 0;

	if (set->count == 0)
		return;

	qsort(set->ranges, set->count, sizeof(TimeRange), CompareRanges);
	for (int i = 1; i < set->count; i++)
	{
		TimeRange  *last = &set->ranges[kept];

		if (set->ranges[i].from <= last->to + 1)
			last->to = Max(last->to, set->ranges[i].to);
		else
			set->ranges[++kept] = set->ranges[i];
	}
	set->count = kept + 1;
}

static int
CompareTimes(const void *a, const void *b)
{
	StreamTime	x = *(const StreamTime *) a;
	StreamTime	y = *(const StreamTime *) b;

	return x < y ? -1 : x > y;
}

/*
 * Closes the smaller half of the gaps between the ranges of a sorted set.
 */
static void
CloseGaps(RangeSet *set)
{
	StreamTime	gaps[RANGES_MAX];
	StreamTime	largest;

	for (int i = 1; i < set->count; i++)
		gaps[i - 1] = set->ranges[i].from - set->ranges[i - 1].to;
	qsort(gaps, set->count - 1, sizeof(StreamTime), CompareTimes);
	largest = gaps[set->count / 2];

	for (int i = 1; i < set->count; i++)
	{
		if (set->ranges[i].from - set->ranges[i - 1].to <= largest)
			set->ranges[i - 1].to = set->ranges[i].from - 1;
	}
	SortRangeSet(set);
}

/*
 * Makes room in a full set.
 */
static void
MakeRoom(RangeSet *set)
{
	SortRangeSet(set);
	if (set->count <= set->max / 2)
		return;

	if (set->max < RANGES_MAX)
	{
		set->max *= 2;
		set->ranges = repalloc(set->ranges, sizeof(TimeRange) * set->max);
	}
	else
		CloseGaps(set);
}

/*
 * Adds the times from "from" to "to", both included, to a set.
 */
void
AddToRangeSet(RangeSet *set, StreamTime from, StreamTime to)
{
	if (set->ranges == NULL)
	{
		set->max = RANGES_MIN;
		set->ranges = palloc(sizeof(TimeRange) * set->max);
	}
	if (set->count >= set->max)
		MakeRoom(set);
	set->ranges[set->count].from = from;
	set->ranges[set->count++].to = to;
}
