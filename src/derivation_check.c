/*-------------------------------------------------------------------------
 *
 * derivation_check.c
 *	  Finding where a derived stream differs from what its sources give, and
 *	  putting that right.
 *
 * Everything is derived once more, block by block, but compared with what is
 * there instead of stored.  Only what differs is written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "datapoint.h"
#include "derivation_work.h"
#include "miscadmin.h"
#include "operator.h"
#include "utils/memutils.h"

/* A derived stream that is compared */
typedef struct Comparison
{
	BlockScan  *scan;			/* of what is there */
	DataBlock  *block;			/* in hand; NULL at the end */
	int			row;
	int			last;
	RangeSet	different;		/* times at which something else should be */
	bool		was_different;	/* the datapoint compared last */
	MemoryContext context;		/* of these */
	MemoryContext scratch;		/* of one datapoint */
} Comparison;

/*
 * Goes on to the next datapoint that is there.
 */
static void
NextDerived(Comparison *comparison)
{
	if (comparison->block != NULL && ++comparison->row < comparison->last)
		return;
	comparison->block = NextBlock(comparison->scan, &comparison->row, &comparison->last);
}

/*
 * Notes that there is something else at a time than should be.  From one such
 * datapoint to the next, with none between that is right, is one range.
 */
static void
NoteDifferent(Comparison *comparison, StreamTime t)
{
	RangeSet   *different = &comparison->different;

	if (comparison->was_different)
		different->ranges[different->count - 1].to = t;
	else
		AddToRangeSet(different, t, t);
	comparison->was_different = true;
}

/*
 * Whether what is stored of a value is that value.
 */
static bool
SameValue(const Value *stored, const Value *value)
{
	Jsonb	   *a;
	Jsonb	   *b;

	if (stored->kind == VALUE_NULL || value->kind == VALUE_NULL)
		return stored->kind == value->kind;
	if (stored->kind == VALUE_DOUBLE && value->kind == VALUE_DOUBLE)
		return stored->number == value->number;

	a = ValueToJsonb(stored);
	b = ValueToJsonb(value);

	return compareJsonbContainers(&a->root, &b->root) == 0;
}

/*
 * Takes a datapoint from an operator, and compares it with what is there.
 */
static void
CompareDerived(DeriveRun *run, StreamTime t, const Value *value)
{
	Comparison *comparison = run->emit_state;
	MemoryContext old_context = MemoryContextSwitchTo(comparison->context);
	bool		same = false;

	t -= t % GranularityUnit(run->def->highest);
	while (comparison->block != NULL && comparison->block->times[comparison->row] < t)
	{
		NoteDifferent(comparison, comparison->block->times[comparison->row]);
		NextDerived(comparison);
	}

	if (comparison->block != NULL && comparison->block->times[comparison->row] == t)
	{
		Value		stored;

		MemoryContextSwitchTo(comparison->scratch);
		stored = DatapointValue(comparison->block, comparison->row);
		same = SameValue(&stored, value);
		MemoryContextSwitchTo(comparison->context);
		MemoryContextReset(comparison->scratch);
		NextDerived(comparison);
	}
	if (same)
		comparison->was_different = false;
	else
		NoteDifferent(comparison, t);
	MemoryContextSwitchTo(old_context);
}

/*
 * Sets what the head of a derived stream says is its latest datapoint to what
 * that is.
 */
static void
MendLatest(Derivation *derivation)
{
	StreamHead *head = &derivation->head;
	StreamTime	latest;

	if (head->rows->count > 0)
		latest = head->rows->times[head->rows->count - 1];
	else if (!LastBlockUntil(&head->def.id, head->def.highest, &latest))
		latest = STREAM_TIME_NONE;
	if (latest == head->latest)
		return;

	if (latest < head->latest)
		NoteDeleted(head, latest + 1, STREAM_TIME_MAX, head->latest);
	head->latest = latest;
	derivation->changed = true;
}

/*
 * Derives a stream once more from a time on, and returns where it differs.  How far
 * its sources have been read is found out again, too.
 */
static RangeSet
FindDifferences(Derivation *derivation, StreamTime from)
{
	Comparison *comparison = palloc0(sizeof(Comparison));
	StreamHead *head = &derivation->head;
	DeriveRun	run;

	comparison->context = CurrentMemoryContext;
	comparison->scratch = AllocSetContextCreate(CurrentMemoryContext, "datastream comparison",
												ALLOCSET_SMALL_SIZES);
	comparison->scan = BeginBlockScan(&head->def.id, head->def.highest, head->rows, from,
									  STREAM_TIME_MAX, false, COLUMN_BIT(COLUMN_DATAPOINT));
	NextDerived(comparison);

	for (int i = 0; i < derivation->nsources; i++)
	{
		Source	   *source = &derivation->sources[i];

		source->read_until = Max(from > STREAM_TIME_MIN ? from : STREAM_TIME_NONE, source->origin);
		source->read_count = 0;
	}
	if (!JoinsSources(derivation))
		SkipSideSources(derivation);

	InitRun(&run, derivation, from, STREAM_TIME_MAX);
	run.forward = true;
	run.quiet = true;
	run.emit = CompareDerived;
	run.emit_state = comparison;
	DeriveOperators[run.def->derive_op].run(&run);

	if (comparison->block != NULL)
		AddToRangeSet(&comparison->different, comparison->block->times[comparison->row], STREAM_TIME_MAX);
	EndBlockScan(comparison->scan);
	MemoryContextDelete(comparison->scratch);
	SortRangeSet(&comparison->different);

	return comparison->different;
}

/*
 * Compares a locked derived stream with what its sources give, and puts right what
 * differs.  What cannot be derived any more, as it has expired, stays as it is.
 */
void
MendDerived(Derivation *derivation)
{
	Source	   *old = palloc(sizeof(Source) * derivation->nsources);
	StreamTime	from;
	RangeSet	different;

	memcpy(old, derivation->sources, sizeof(Source) * derivation->nsources);

	BeginLatestSnapshot();
	MendLatest(derivation);
	from = RederivableFrom(derivation);
	different = FindDifferences(derivation, from);
	for (int i = 0; i < different.count; i++)
	{
		TimeRange	range = different.ranges[i];

		CHECK_FOR_INTERRUPTS();
		AlignRange(derivation, &range.from, &range.to);
		RemakeDerived(derivation, range.from, range.to);
	}
	EndLatestSnapshot();

	(void) SaveSources(derivation, old);
	SaveDerivation(derivation);
}
