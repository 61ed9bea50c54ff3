/*-------------------------------------------------------------------------
 *
 * derivation.c
 *	  Bringing one derived stream up to date with its sources.
 *
 * A derived stream pulls: it reads what is new in its sources since it last
 * did.  What changes behind that, as by a late datapoint, is derived again: the
 * derived datapoints that it can have an influence on are deleted and made
 * anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "datapoint.h"
#include "derivation.h"
#include "derivation_work.h"
#include "errors.h"
#include "operator.h"
#include "upstream.h"
#include "utils/memutils.h"

/*
 * Notes that a derived stream's datapoints in a range have changed.
 */
static void
NoteRedone(Derivation *derivation, StreamTime from, StreamTime to)
{
	/* The current context may be one that an operator resets. */
	MemoryContext old_context = MemoryContextSwitchTo(GetMemoryChunkContext(derivation));

	AddToRangeSet(&derivation->redone, from, to);
	derivation->changed = true;
	MemoryContextSwitchTo(old_context);
}

/*
 * Writes what has changed of a derived stream.  Its own downsampling, where it has
 * come that far, must be done again; it is due as far as all sources have been read.
 */
void
SaveDerivation(Derivation *derivation)
{
	StreamHead *head = &derivation->head;
	RangeSet   *redone = &derivation->redone;
	StreamTime	frozen_until = derivation->progress.until[head->def.highest + 1];
	bool		schedule = false;

	if (derivation->passed)
		schedule = AdvanceDerived(head, DerivedReadUntil(&head->def.id));
	else if (derivation->advanced)
		schedule = AdvanceDerived(head, SourcesReadUntil(&head->def, derivation->sources, derivation->nsources));
	if (!derivation->changed && !schedule)
		return;

	SortRangeSet(redone);
	while (redone->count > 0 && redone->ranges[redone->count - 1].from >= frozen_until)
		redone->count--;
	if (redone->count > 0)
	{
		AddLateRanges(&head->def.id, redone->ranges, redone->count);
		MarkDue(head);
		redone->count = 0;
	}
	SaveHead(head);
}

/*
 * Moves derived datapoints into the head, and from there into blocks.
 */
static void
FlushDerived(Derivation *derivation)
{
	StreamHead *head = &derivation->head;
	DataBlock  *rows = derivation->rows;
	StreamTime	first;
	StreamTime	last;
	bool		late;
	MemoryContext context;
	MemoryContext old_context;

	if (rows->count == 0)
		return;

	first = rows->times[0];
	last = rows->times[rows->count - 1];
	late = first < head->latest;
	old_context = MemoryContextSwitchTo(derivation->rows_context);
	if (late)
		InsertDatapoints(head, rows, 0, rows->count);
	else
		AppendDatapoints(head, rows, 0, rows->count);
	derivation->changed = true;
	derivation->datapoints += rows->count;

	/* Keep what is in the head now, and let go of all else. */
	context = AllocSetContextCreate(GetMemoryChunkContext(derivation), "datastream derived head",
									ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(context);
	head->rows = head->rows->count > 0 ? DecodeBlock(EncodeBlock(head->rows), COLUMN_ALL)
		: CreateDatapoints(HEAD_ROWS);
	MemoryContextDelete(derivation->head_context);
	derivation->head_context = context;

	MemoryContextReset(derivation->rows_context);
	MemoryContextSwitchTo(derivation->rows_context);
	derivation->rows = CreateDatapoints(HEAD_ROWS);
	MemoryContextSwitchTo(old_context);

	if (late)
		NoteRedone(derivation, first, last);
}

/*
 * Takes a derived datapoint from an operator.
 */
static void
EmitDerived(DeriveRun *run, StreamTime t, const Value *value)
{
	Derivation *derivation = run->emit_state;
	MemoryContext old_context = MemoryContextSwitchTo(derivation->rows_context);
	Value		copy = CopyValue(value);

	AddDatapoint(derivation->rows, t - t % GranularityUnit(run->def->highest), &copy);
	MemoryContextSwitchTo(old_context);

	if (derivation->rows->count >= BLOCK_ROWS)
		FlushDerived(derivation);
}

/*
 * The source whose datapoints an operator follows that does not join its
 * sources: the last one.
 */
Source *
FollowedSource(const Derivation *derivation)
{
	return &derivation->sources[derivation->nsources - 1];
}

/*
 * Whether a derived stream has datapoints where all of its sources have one.
 */
bool
JoinsSources(const Derivation *derivation)
{
	return DeriveOperators[derivation->head.def.derive_op].joins_sources;
}

/*
 * Widens a range of what is derived, or of a source, to what can be derived by
 * itself: whole buckets, where it is these that are joined or read.
 */
void
AlignRange(const Derivation *derivation, StreamTime *from, StreamTime *to)
{
	Granularity highest = derivation->head.def.highest;

	if (!JoinsSources(derivation) && !ReadsBuckets(FollowedSource(derivation)))
		return;
	*from = BucketStart(highest, *from);
	*to = Min(BucketEnd(highest, *to) - 1, STREAM_TIME_MAX);
}

/*
 * Prepares a run of the operator over its sources.
 */
void
InitRun(DeriveRun *run, Derivation *derivation, StreamTime from, StreamTime to)
{
	memset(run, 0, sizeof(*run));
	run->def = &derivation->head.def;
	run->nsources = derivation->nsources;
	run->sources = derivation->sources;
	run->from = from;
	run->to = to;
	run->emit = EmitDerived;
	run->emit_state = derivation;
}

/*
 * Does a run, and stores what it makes.
 */
static void
DoRun(Derivation *derivation, DeriveRun *run)
{
	DeriveOperators[run->def->derive_op].run(run);
	FlushDerived(derivation);
}

/*
 * Deletes what has been derived in a range, and derives it again.
 */
void
RemakeDerived(Derivation *derivation, StreamTime from, StreamTime to)
{
	DeriveRun	run;

	DeleteDatapoints(&derivation->head, from, to);
	InitRun(&run, derivation, from, to);
	DoRun(derivation, &run);
	NoteRedone(derivation, from, to);
}

/*
 * The end of the first "max_blocks" blocks of a source that have anything behind a
 * time, so that what is read until there is more than what bears that time;
 * STREAM_TIME_MAX if it has not that many, or if there is no limit.
 */
StreamTime
SourceLimit(const Source *source, StreamTime from, int max_blocks)
{
	StreamTime	limit;

	if (max_blocks == 0 ||
		!NthBlockUntil(&source->def.id, source->granularity, Max(from, STREAM_TIME_MIN) + 1, max_blocks, &limit))
		return STREAM_TIME_MAX;

	return ReadsBuckets(source) ? BucketEnd(source->granularity, limit) - 1 : limit;
}

/*
 * Until when a run that goes on from a time can go at once, so that about
 * "max_blocks" blocks of each source are read; STREAM_TIME_MAX: to the end.
 *
 * A join can be interrupted at the end of a bucket behind which all sources have
 * something.  One that has not so many blocks limits the run by itself.
 */
static StreamTime
ForwardLimit(const Derivation *derivation, StreamTime from, int max_blocks)
{
	bool		joins = JoinsSources(derivation);
	StreamTime	to = STREAM_TIME_MAX;

	if (max_blocks == 0)
		return to;

	for (int i = joins ? 0 : derivation->nsources - 1; i < derivation->nsources; i++)
		to = Min(to, SourceLimit(&derivation->sources[i], from, max_blocks));
	if (!joins || to == STREAM_TIME_MAX)
		return to;

	to = BucketEnd(derivation->head.def.highest, to) - 1;
	for (int i = 0; i < derivation->nsources; i++)
	{
		const Source *source = &derivation->sources[i];
		StreamTime	latest;
		int			count;

		if (ReadsBuckets(source) ? !LastBlockUntil(&source->def.id, source->granularity, &latest) :
			!StreamLatest(&source->def, &latest, &count))
			latest = STREAM_TIME_NONE;
		if (latest <= to)
			return STREAM_TIME_MAX;
	}

	return to;
}

/*
 * Where a derived stream goes on: at the datapoint of the followed source that was
 * read last, or with the first bucket that is not settled.
 */
static StreamTime
ForwardFrom(const Derivation *derivation)
{
	const Source *followed = FollowedSource(derivation);

	if (JoinsSources(derivation))
		return JoinFrom(derivation);

	return Max(Max(followed->read_until, followed->origin), STREAM_TIME_MIN);
}

/*
 * Derives what is new in the sources, or as much of it as is allowed at once.
 * What the stream has there already is from before something changed.
 */
static void
DeriveForward(Derivation *derivation, int max_blocks)
{
	StreamHead *head = &derivation->head;
	StreamTime	old_latest = head->latest;
	StreamTime	from = ForwardFrom(derivation);
	int			skip = JoinsSources(derivation) ? 0 : FollowedSource(derivation)->read_count;
	bool		again = skip == 0 && old_latest >= from;
	DeriveRun	run;

	if (again)
	{
		from = Max(from, RederivableFrom(derivation));
		again = old_latest >= from;
	}
	if (again)
		DeleteDatapoints(head, from, STREAM_TIME_MAX);

	InitRun(&run, derivation, from, ForwardLimit(derivation, from, max_blocks));
	run.forward = true;
	run.skip = skip;
	DoRun(derivation, &run);
	if (again)
		NoteRedone(derivation, from, old_latest);

	if (run.to == STREAM_TIME_MAX)
		return;
	derivation->more = true;
	for (int i = 0; i < derivation->nsources && JoinsSources(derivation); i++)
	{
		derivation->sources[i].read_until = run.to + 1;
		derivation->sources[i].read_count = 0;
	}
}

/*
 * Derives again what noted changes have an influence on, and what is new.
 */
static void
DeriveChanges(Derivation *derivation, int max_blocks)
{
	NotedChange *noted = NULL;
	int			nnoted = 0;

	for (int i = 0; i < derivation->nsources; i++)
		derivation->changes[i].count = 0;
	if (derivation->has_changes)
		nnoted = TakeChanges(derivation, &noted);

	if (!JoinsSources(derivation))
		ReadSideSources(derivation);
	RedoChanges(derivation, max_blocks);
	if (!derivation->more)
		DeriveForward(derivation, max_blocks);
	DeleteChanges(&derivation->head.def.id, noted, nnoted);
}

/*
 * Whether a derived stream has come to another bucket with nothing made: by its
 * cursors, or by those of a source that has told it so.
 */
static bool
HasPassed(const Derivation *derivation, const Source *old, bool told)
{
	const StreamDef *def = &derivation->head.def;
	Granularity finest = def->highest + 1;
	StreamTime	from = SourcesReadUntil(def, old, derivation->nsources);
	StreamTime	until = SourcesReadUntil(def, derivation->sources, derivation->nsources);

	if (derivation->changed || until == STREAM_TIME_NONE)
		return false;
	if (from == until)
		return told;

	return from == STREAM_TIME_NONE || BucketStart(finest, from) < BucketStart(finest, until);
}

/*
 * Brings a locked derived stream up to date.  With "max_blocks", not 0, that is
 * how many blocks of a source are read at most.  "told" says that this is because
 * of its sources, not to look for something to do.
 */
static void
DeriveLocked(Derivation *derivation, int max_blocks, bool told)
{
	Source	   *old = palloc(sizeof(Source) * derivation->nsources);

	memcpy(old, derivation->sources, sizeof(Source) * derivation->nsources);

	BeginLatestSnapshot();
	do
	{
		DeriveChanges(derivation, max_blocks);
	} while (derivation->has_changes && max_blocks == 0);
	EndLatestSnapshot();
	derivation->more = derivation->more || derivation->has_changes;

	derivation->advanced = SaveSources(derivation, old);
	derivation->passed = HasPassed(derivation, old, told);
	SaveDerivation(derivation);
}

/*
 * Adds a change to a list.
 */
void
AddChange(ChangeList *list, const pg_uuid_t *source, Granularity level)
{
	SourceChange *change;

	if (list->count >= list->max)
	{
		list->max = Max(16, list->max * 2);
		list->changes = list->changes == NULL ? palloc(sizeof(SourceChange) * list->max) :
			repalloc(list->changes, sizeof(SourceChange) * list->max);
	}
	change = &list->changes[list->count++];
	change->source = *source;
	change->level = level;
}

/*
 * Whether one of the sources of a derived stream is among changes.
 */
static bool
HasChangedSource(const Derivation *derivation, const ChangeList *list)
{
	for (int i = 0; i < list->count; i++)
	{
		const SourceChange *change = &list->changes[i];

		for (int j = 0; j < derivation->nsources; j++)
		{
			const Source *source = &derivation->sources[j];

			if (source->granularity == change->level &&
				memcmp(&source->def.id, &change->source, UUID_LEN) == 0)
				return true;
		}
	}

	return false;
}

/*
 * Locks a derived stream and brings it up to date.  Without "backprocess", that is
 * only done if one of its sources is among the changes of "list", and not with a
 * stream that waits to be backprocessed.  Of a source at most "max_blocks" blocks
 * are read, if that is not 0.  With "mend", what the stream has been derived to
 * before is compared with what its sources give, and put right.
 *
 * If it changes itself, or comes to another bucket, that is added to "list", and the
 * datapoints derived to "datapoints", which may be NULL.
 */
DeriveOutcome
BringUpToDate(const pg_uuid_t *id, ChangeList *list, bool backprocess, int max_blocks, bool mend,
			  int64 *datapoints)
{
	Derivation *derivation = palloc0(sizeof(Derivation));
	bool		was_pending;

	/* One that is hidden from the caller is caught up with by the next one who sees it. */
	if (!LockStream(id, false, true, &derivation->head, CurrentMemoryContext))
		return DERIVE_NOTHING;
	if (derivation->head.def.derive_op < 0)
		return DERIVE_NOTHING;
	LockProgress(id, &derivation->progress);
	was_pending = derivation->progress.pending_backprocess;
	if (was_pending && !backprocess)
		return DERIVE_NOTHING;

	LoadSources(derivation);
	if (!backprocess && !HasChangedSource(derivation, list))
		return DERIVE_NOTHING;

	derivation->head_context = AllocSetContextCreate(CurrentMemoryContext, "datastream derived head",
													 ALLOCSET_SMALL_SIZES);
	derivation->rows_context = AllocSetContextCreate(CurrentMemoryContext, "datastream derived rows",
													 ALLOCSET_DEFAULT_SIZES);
	derivation->rows = CreateDatapoints(HEAD_ROWS);

	DeriveLocked(derivation, max_blocks, !backprocess);
	if (mend && !was_pending && !derivation->more)
		MendDerived(derivation);
	if ((was_pending || derivation->progress.behind) && !derivation->more)
		SaveDerived(id);

	/* Streams of rare events have those that derive from them know how far they are. */
	if ((derivation->changed || derivation->passed) && derivation->head.contributes)
		AddChange(list, id, derivation->head.def.highest);

	if (datapoints != NULL)
		*datapoints += derivation->datapoints;
	if (derivation->more)
		return DERIVE_MORE;

	return was_pending || derivation->advanced || derivation->changed ? DERIVE_DONE : DERIVE_NOTHING;
}
