/*-------------------------------------------------------------------------
 *
 * downsample.c
 *	  Closing the buckets of streams at all lower granularities.
 *
 * One pass over what is new at the highest granularity feeds all levels: a
 * bucket that is closed at one level is stored there and merged into the open
 * bucket of the next.  What the open buckets of coarser levels hold already is
 * read from the level above them, so that nothing but closed buckets is ever
 * stored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bucket.h"
#include "closing.h"
#include "derive.h"
#include "downsample.h"
#include "errors.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Buckets that are made again at once */
#define REDO_BUCKETS	500

/* Room for buckets, at first */
#define MADE_BUCKETS	8

/* Late ranges that are downsampled again at once, where that is limited */
#define REDO_RANGES		8

/* Late ranges with fewer buckets of the finest level between them are one. */
#define REDO_GAP		BLOCK_ROWS

/* A level in a pass */
typedef struct Level
{
	Granularity granularity;
	StreamTime	close_until;	/* buckets that end here or before are closed */
	int			room;			/* for so many of them at once, at most */
	bool		open;			/* state has a bucket in work, */
	StreamTime	end;			/* which ends here */
	BucketState state;
	DataBlock  *closed;			/* buckets that wait to be stored, or NULL */
	MemoryContext closed_context;
} Level;

typedef struct Pass
{
	const StreamDef *def;
	MemoryContext context;
	int64		datapoints;		/* fed to the finest level */
	int			nlevels;
	Level		levels[GRANULARITY_COUNT];	/* from fine to coarse */
} Pass;

/* The changes that a stream's downsampling makes for streams derived from it */
typedef struct LevelChanges
{
	int			count;
	SourceChange changes[GRANULARITY_COUNT];
} LevelChanges;

/*
 * Stores the closed buckets of a level that wait for it.
 */
static void
StoreClosed(Pass *pass, Level *level)
{
	DataBlock  *closed = level->closed;

	if (closed == NULL)
		return;

	AppendBlocks(&pass->def->id, level->granularity, closed, 0, closed->count);
	if (BlockHasPointers(closed))
	{
		level->closed = NULL;
		MemoryContextReset(level->closed_context);
	}
	else
		closed->count = 0;
}

/*
 * Opens the bucket of a level that holds t.
 */
static void
OpenBucket(Level *level, StreamTime t)
{
	StreamTime	start = BucketStart(level->granularity, t);

	ResetBucket(&level->state, start);
	level->open = true;
	level->end = BucketEnd(level->granularity, start);
}

/*
 * Checks that what is fed to a level does not lie before its open bucket.
 */
static inline void
CheckFed(const Pass *pass, const Level *level, StreamTime t)
{
	if (level->open && t < level->state.start)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("what is stored of stream \"%s\" below granularity \"%s\" is not in order",
						StreamIdToString(&pass->def->id), GranularityName(level->granularity))));
}

static void FeedBucket(Pass *pass, int index, const BucketState *finer);

/*
 * Closes the open bucket of a level: keeps it for storing and merges it into
 * the next level.
 */
static void
CloseBucket(Pass *pass, int index)
{
	Level	   *level = &pass->levels[index];
	MemoryContext old_context = MemoryContextSwitchTo(level->closed_context);

	if (level->closed == NULL)
		level->closed = CreateBlock(level->room, BucketColumns(pass->def));
	StoreBucket(&level->state, level->closed);
	MemoryContextSwitchTo(old_context);
	level->open = false;

	if (index + 1 < pass->nlevels)
		FeedBucket(pass, index + 1, &level->state);

	if (level->closed->count >= BLOCK_ROWS)
		StoreClosed(pass, level);
}

/*
 * Begins a scan with the newest snapshot.
 */
static BlockScan *
BeginMaintenanceScan(const StreamDef *def, Granularity level, const DataBlock *head_rows,
					 StreamTime from, StreamTime to)
{
	uint32		columns = level == def->highest ? COLUMN_BIT(COLUMN_DATAPOINT) : BucketColumns(def);
	BlockScan  *scan;

	BeginLatestSnapshot();
	scan = BeginBlockScan(&def->id, level, head_rows, from, to, false, columns);
	EndLatestSnapshot();

	return scan;
}

/*
 * Feeds a bucket of the level above to a level.
 */
static void
FeedBucket(Pass *pass, int index, const BucketState *finer)
{
	Level	   *level = &pass->levels[index];

	CheckFed(pass, level, finer->start);
	if (level->open && finer->start >= level->end)
		CloseBucket(pass, index);
	if (!level->open)
		OpenBucket(level, finer->start);
	MergeIntoBucket(&level->state, finer);
}

/*
 * Feeds a level with what is stored at the level above and not yet part of a
 * closed bucket.
 */
static void
FeedStoredBuckets(Pass *pass, int index, const StreamProgress *progress)
{
	const StreamDef *def = pass->def;
	Level	   *level = &pass->levels[index];
	Level	   *above = &pass->levels[index - 1];
	StreamTime	from = Max(progress->until[level->granularity], STREAM_TIME_MIN);
	StreamTime	to = Min(progress->until[above->granularity], above->close_until);
	BucketState finer;
	BlockScan  *scan;
	DataBlock  *block;
	int			first;
	int			last;

	if (from >= to)
		return;

	InitBucket(&finer, def, pass->context);
	scan = BeginMaintenanceScan(def, above->granularity, NULL, from, to - 1);
	while ((block = NextBlock(scan, &first, &last)) != NULL)
	{
		for (int row = first; row < last; row++)
		{
			LoadBucket(&finer, block, row);
			FeedBucket(pass, index, &finer);
		}
	}
	EndBlockScan(scan);
}

/*
 * Begins a pass over the levels down to "coarsest", whose buckets can be closed
 * "from" a time until "close_until", with the open buckets of the coarser ones filled from the
 * stored levels.
 */
static Pass *
BeginPass(const StreamDef *def, const StreamProgress *progress, const StreamTime *from,
		  const StreamTime *close_until, int coarsest)
{
	Pass	   *pass = palloc0(sizeof(Pass));

	pass->def = def;
	pass->context = AllocSetContextCreate(CurrentMemoryContext, "datastream downsampling",
										  ALLOCSET_DEFAULT_SIZES);

	for (int granularity = def->highest + 1; granularity <= coarsest; granularity++)
	{
		Level	   *level = &pass->levels[pass->nlevels++];

		level->granularity = (Granularity) granularity;
		level->close_until = close_until[granularity];
		level->room = (int) Min(Max(BucketsBetween(level->granularity, from[granularity],
												   close_until[granularity]), 1), BLOCK_ROWS);
		level->closed_context = AllocSetContextCreate(pass->context, "datastream closed buckets",
													  ALLOCSET_DEFAULT_SIZES);
		InitBucket(&level->state, def, pass->context);
	}

	/* Coarse to fine, as what a level closes is fed to the next. */
	for (int i = pass->nlevels - 1; i > 0; i--)
		FeedStoredBuckets(pass, i, progress);

	return pass;
}

/*
 * Feeds rows [first, last) of datapoints to the finest level of a pass.
 */
static void
FeedDatapoints(Pass *pass, const DataBlock *block, int first, int last)
{
	Level	   *finest = &pass->levels[0];

	pass->datapoints += Max(last - first, 0);
	while (first < last)
	{
		StreamTime	t = block->times[first];
		int			next = first + 1;

		CheckFed(pass, finest, t);
		if (finest->open && t >= finest->end)
			CloseBucket(pass, 0);
		if (!finest->open)
			OpenBucket(finest, t);
		while (next < last && block->times[next] < finest->end)
			next++;
		AddToBucket(&finest->state, block, first, next);
		first = next;
	}
}

/*
 * Feeds the datapoints from "from" to "to" to the finest level of a pass.
 */
static void
FeedNewDatapoints(Pass *pass, const DataBlock *head_rows, StreamTime from, StreamTime to)
{
	BlockScan  *scan;
	DataBlock  *block;
	int			first;
	int			last;

	/* Most often all that is new is still in the head. */
	if (head_rows->count > 0 && head_rows->times[0] < from)
	{
		FeedDatapoints(pass, head_rows, BlockLowerBound(head_rows, from), BlockUpperBound(head_rows, to));
		return;
	}

	scan = BeginMaintenanceScan(pass->def, pass->def->highest, head_rows, from, to);
	while ((block = NextBlock(scan, &first, &last)) != NULL)
		FeedDatapoints(pass, block, first, last);
	EndBlockScan(scan);
}

/*
 * Ends a pass: closes the buckets that can be closed, forgets the others and
 * stores what is left to be stored.
 */
static void
EndPass(Pass *pass)
{
	for (int i = 0; i < pass->nlevels; i++)
	{
		Level	   *level = &pass->levels[i];

		if (level->open && level->end <= level->close_until)
			CloseBucket(pass, i);
	}

	for (int i = 0; i < pass->nlevels; i++)
		StoreClosed(pass, &pass->levels[i]);

	MemoryContextDelete(pass->context);
	pfree(pass);
}

/*
 * The buckets of a level in [from, to) that hold something, made from what is
 * stored at the level above, as rows in the current memory context.
 */
static DataBlock *
MakeBuckets(const StreamHead *head, Granularity level, StreamTime from, StreamTime to)
{
	const StreamDef *def = &head->def;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "datastream buckets",
												  ALLOCSET_DEFAULT_SIZES);
	DataBlock  *buckets = CreateBlock(MADE_BUCKETS, BucketColumns(def));
	bool		from_datapoints = level == def->highest + 1;
	BucketState state;
	BucketState finer;
	bool		open = false;
	BlockScan  *scan;
	DataBlock  *block;
	int			first;
	int			last;

	InitBucket(&state, def, context);
	InitBucket(&finer, def, context);

	scan = BeginMaintenanceScan(def, (Granularity) (level - 1), from_datapoints ? head->rows : NULL,
								from, to - 1);
	while ((block = NextBlock(scan, &first, &last)) != NULL)
	{
		while (first < last)
		{
			StreamTime	start = BucketStart(level, block->times[first]);
			StreamTime	end = BucketEnd(level, start);
			int			next = first + 1;

			while (next < last && block->times[next] < end)
				next++;

			if (open && state.start != start)
			{
				StoreBucket(&state, buckets);
				open = false;
			}
			if (!open)
				ResetBucket(&state, start);
			open = true;

			if (from_datapoints)
				AddToBucket(&state, block, first, next);
			for (int row = first; row < next && !from_datapoints; row++)
			{
				LoadBucket(&finer, block, row);
				MergeIntoBucket(&state, &finer);
			}
			first = next;
		}
	}
	EndBlockScan(scan);

	if (open)
		StoreBucket(&state, buckets);

	/* What the rows point to was allocated in our caller's context. */
	MemoryContextDelete(context);

	return buckets;
}

/*
 * Adds a level that has new buckets, or other ones than before, to the changes.
 */
static void
NoteChange(LevelChanges *changes, const StreamDef *def, Granularity level)
{
	for (int i = 0; i < changes->count; i++)
	{
		if (changes->changes[i].level == level)
			return;
	}
	changes->changes[changes->count].source = def->id;
	changes->changes[changes->count++].level = level;
}

/*
 * The first time in [from, to) at which a level, or the highest granularity,
 * has something stored; "to" if it has nothing.
 */
static StreamTime
NextStored(const StreamHead *head, Granularity level, StreamTime from, StreamTime to)
{
	const StreamDef *def = &head->def;
	BlockScan  *scan = BeginMaintenanceScan(def, level, level == def->highest ? head->rows : NULL,
											from, to - 1);
	int			first;
	int			last;
	DataBlock  *block = NextBlock(scan, &first, &last);
	StreamTime	t = block != NULL ? block->times[first] : to;

	EndBlockScan(scan);

	return t;
}

/*
 * Makes all closed buckets again that hold a time of a range.
 */
static void
RedoRange(const StreamHead *head, const StreamProgress *progress, TimeRange range,
		  LevelChanges *changes)
{
	const StreamDef *def = &head->def;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "datastream late datapoints",
												  ALLOCSET_DEFAULT_SIZES);

	for (int i = def->highest + 1; i < GRANULARITY_COUNT; i++)
	{
		Granularity level = (Granularity) i;
		StreamTime	from = BucketStart(level, range.from);
		StreamTime	to = Min(BucketEnd(level, range.to), progress->until[level]);
		StreamTime	position = from;

		if (from >= to)
			break;

		while (position < to)
		{
			MemoryContext old_context = MemoryContextSwitchTo(context);
			StreamTime	next = Min(NextStored(head, level, position, to),
								   NextStored(head, (Granularity) (level - 1), position, to));
			StreamTime	end = to;

			CHECK_FOR_INTERRUPTS();

			/* Nothing is to be done in empty time, which may be long. */
			if (next < to)
			{
				DataBlock  *buckets;

				position = end = BucketStart(level, next);
				for (int n = 0; n < REDO_BUCKETS && end < to; n++)
					end = BucketEnd(level, end);
				buckets = MakeBuckets(head, level, position, end);
				ReplaceBuckets(head, level, position, end, buckets);
			}

			MemoryContextSwitchTo(old_context);
			MemoryContextReset(context);
			position = end;
		}
		NoteChange(changes, def, level);
	}

	MemoryContextDelete(context);
}

/*
 * Checks that no level claims to be further than the one that it is made from.
 * A level that does goes back to where it can be.
 */
static void
CheckProgress(const StreamDef *def, StreamProgress *progress)
{
	for (int i = def->highest + 2; i < GRANULARITY_COUNT; i++)
	{
		Granularity level = (Granularity) i;
		StreamTime	finer = progress->until[level - 1];
		StreamTime	possible = finer == STREAM_TIME_NONE ? STREAM_TIME_NONE : BucketStart(level, finer);
		TimeRange	gone;

		if (progress->until[level] <= possible)
			continue;

		ereport(WARNING,
				(errcode(ERRCODE_DS_INTERNAL_INCONSISTENCY),
				 errmsg("stream \"%s\" is recorded as downsampled further at granularity \"%s\" than at \"%s\"",
						StreamIdToString(&def->id), GranularityName(level),
						GranularityName((Granularity) (level - 1))),
				 errdetail("The coarser granularity is downsampled again from where the finer one ends.")));
		gone.from = Max(possible, STREAM_TIME_MIN);
		gone.to = STREAM_TIME_MAX;
		DeleteFromBlocks(&def->id, level, gone.from, gone.to);
		NoteChanges(&def->id, level, &gone, 1);
		progress->until[level] = possible;
	}
}

/*
 * Makes one range of those that lie close to each other: to make what lies between
 * them again costs less than to begin once more, at every level.  Returns how many
 * are left.
 */
static int
JoinRanges(const StreamDef *def, TimeRange *ranges, int nranges)
{
	StreamTime	bucket = BucketEnd(def->highest + 1, STREAM_TIME_MIN) -
		BucketStart(def->highest + 1, STREAM_TIME_MIN);
	int			njoined = 0;

	for (int i = 0; i < nranges; i++)
	{
		if (njoined > 0 && ranges[i].from - ranges[njoined - 1].to <= REDO_GAP * bucket)
			ranges[njoined - 1].to = Max(ranges[njoined - 1].to, ranges[i].to);
		else
			ranges[njoined++] = ranges[i];
	}

	return njoined;
}

/*
 * Makes those closed buckets of a locked stream again that late datapoints have
 * touched, at once so many as "max_blocks" blocks of datapoints make.  Returns
 * whether there are more.
 */
static bool
RedoLate(StreamHead *head, StreamProgress *progress, int max_blocks, LevelChanges *changes)
{
	const StreamDef *def = &head->def;
	TimeRange  *late = progress->late;
	int			nlate = progress->nlate;
	int			ndone = 0;

	if (nlate == 0)
		return false;
	nlate = JoinRanges(def, late, nlate);

	while (ndone < nlate && (max_blocks == 0 || ndone < REDO_RANGES))
	{
		TimeRange	range = {late[ndone].from, late[ndone].to};
		StreamTime	limit = BlocksUntil(def, def->highest, range.from, max_blocks);
		bool		whole = limit >= range.to;

		range.to = Min(range.to, limit);
		RedoRange(head, progress, range, changes);
		for (int level = def->highest; level < GRANULARITY_COUNT; level++)
			MergeSmallBlocks(&def->id, (Granularity) level, range.from, range.to);

		if (!whole)
		{
			late[ndone].from = limit + 1;
			break;
		}
		ndone++;
	}

	ClearLateRanges(&def->id);
	AddLateRanges(&def->id, late + ndone, nlate - ndone);

	return ndone < nlate;
}

/*
 * Closes the buckets of each level down to "coarsest" in [from, close_until).
 */
static void
CloseLevels(const StreamHead *head, StreamProgress *progress, StreamTime *from,
			const StreamTime *close_until, Granularity coarsest, ClosedBuckets *closed,
			LevelChanges *changes)
{
	const StreamDef *def = &head->def;
	Granularity finest = def->highest + 1;
	Pass	   *pass = BeginPass(def, progress, from, close_until, coarsest);

	if (from[finest] < close_until[finest])
		FeedNewDatapoints(pass, head->rows, from[finest], close_until[finest] - 1);
	closed->datapoints = pass->datapoints;
	EndPass(pass);

	for (int level = finest; level < GRANULARITY_COUNT; level++)
	{
		if (from[level] >= close_until[level])
			continue;
		closed->next[level].from = from[level];
		closed->next[level].to = close_until[level];
		NoteChange(changes, def, (Granularity) level);
		from[level] = progress->until[level] = close_until[level];
	}
}

/*
 * The first bucket that is stored of each level that has closed ones;
 * STREAM_TIME_NONE for none.
 */
static void
FindFirstBuckets(const StreamDef *def, const StreamProgress *progress, StreamTime *first)
{
	BeginLatestSnapshot();
	for (int level = def->highest + 1; level < GRANULARITY_COUNT; level++)
	{
		first[level] = STREAM_TIME_NONE;
		if (progress->until[level] != STREAM_TIME_NONE &&
			!FirstBlockStart(&def->id, (Granularity) level, &first[level]))
			first[level] = STREAM_TIME_NONE;
	}
	EndLatestSnapshot();
}

/*
 * Whether what lies at a time or later may be in a stream's first bucket, or
 * before it.
 */
static bool
TouchesFirstBucket(const StreamDef *def, StreamTime from)
{
	Granularity finest = def->highest + 1;
	StreamTime	first;
	bool		found;

	BeginLatestSnapshot();
	found = FirstBlockStart(&def->id, finest, &first);
	EndLatestSnapshot();

	return !found || from < BucketEnd(finest, first);
}

/*
 * Makes those closed buckets again that late datapoints have touched: see
 * RedoLate().  Where a stream begins earlier than it did, or later, there are
 * buckets, empty ones among them, that there were not, or are no more.
 */
static bool
RedoLateBuckets(StreamHead *head, StreamProgress *progress, int max_blocks, ClosedBuckets *closed,
				LevelChanges *changes)
{
	const StreamDef *def = &head->def;
	StreamTime	old_first[GRANULARITY_COUNT];
	StreamTime	new_first[GRANULARITY_COUNT];
	bool		more;

	if (progress->nlate == 0)
		return false;
	if (!TouchesFirstBucket(def, progress->late[0].from))
		return RedoLate(head, progress, max_blocks, changes);

	FindFirstBuckets(def, progress, old_first);
	more = RedoLate(head, progress, max_blocks, changes);
	FindFirstBuckets(def, progress, new_first);

	for (int i = def->highest + 1; i < GRANULARITY_COUNT; i++)
	{
		Granularity level = (Granularity) i;
		StreamTime	old = old_first[level] == STREAM_TIME_NONE ? progress->until[level] : old_first[level];
		StreamTime	new = new_first[level] == STREAM_TIME_NONE ? progress->until[level] : new_first[level];

		if (old == new)
			continue;
		NoteChange(changes, def, level);
		if (new < old)
		{
			closed->front[level].from = new;
			closed->front[level].to = old;
		}
	}

	return more;
}

/*
 * Moves what little is left of a stream that has gone silent into as few blocks
 * as possible.
 */
static void
CompactSilent(StreamHead *head)
{
	const StreamDef *def = &head->def;

	if (head->rows->count > 0)
		MoveHeadIntoBlock(head);
	for (int level = def->highest; level < GRANULARITY_COUNT; level++)
		MergeSmallBlocks(&def->id, (Granularity) level, STREAM_TIME_NONE, STREAM_TIME_MAX);
}

/*
 * Closes the buckets of a locked stream within the limits, and makes those
 * again that late datapoints have touched.
 */
static void
DownsampleLocked(StreamHead *head, StreamProgress *progress, const DownsampleLimits *limits,
				 ClosedBuckets *closed)
{
	const StreamDef *def = &head->def;
	Granularity finest = def->highest + 1;
	StreamTime	now = StreamTimeFromTimestampClamped(GetCurrentTimestamp());
	StreamTime	complete_until = CompleteUntil(head);
	bool		has_datapoints = complete_until != STREAM_TIME_NONE;
	StreamTime	silent_until = STREAM_TIME_NONE;
	StreamTime	next_close = STREAM_TIME_NONE;
	bool		was_due = head->due;
	bool		more_late;
	LevelChanges changes = {0};

	CheckProgress(def, progress);
	more_late = RedoLateBuckets(head, progress, limits->max_blocks, closed, &changes);

	if (has_datapoints)
	{
		StreamTime	limit = AskedUntil(def, limits, complete_until, now);
		StreamTime	from[GRANULARITY_COUNT];
		StreamTime	close_until[GRANULARITY_COUNT];
		Granularity coarsest;

		limit = LimitPass(head, progress, limit, limits->max_blocks);
		if (limits->check_silent && limit == complete_until)
		{
			if (HasBeenFilled(head, progress, complete_until))
				progress->active_at = now;
			silent_until = SilentUntil(def, progress, complete_until, now);
		}

		FindOpenFrom(def, progress, from);
		coarsest = FindCloseUntil(def, progress, from, Max(Max(limit, silent_until), STREAM_TIME_MIN),
								  limits->max_blocks, close_until);
		if (coarsest > def->highest)
		{
			CloseLevels(head, progress, from, close_until, coarsest, closed, &changes);
			if (silent_until == STREAM_TIME_NONE)
				progress->active_at = now;
		}

		head->close_at = BucketEnd(finest, from[finest]);
		next_close = NextClose(def, from, complete_until);
	}
	progress->seen_latest = complete_until;

	/* What has been appended with a time to come is to be closed then. */
	head->due = more_late || (next_close != STREAM_TIME_NONE && next_close <= now);
	if (head->due && !was_due)
		head->due_since = STREAM_TIME_MIN;
	closed->more = head->due;
	if (limits->check_silent && !head->due)
		head->check_at = has_datapoints ? NextCheck(def, progress, complete_until) : STREAM_TIME_NONE;
	if (!head->due && next_close != STREAM_TIME_NONE)
	{
		head->check_at = Max(next_close - close_after * INT64CONST(1000), STREAM_TIME_MIN);
		head->wake = true;
	}

	if (silent_until != STREAM_TIME_NONE &&
		BucketEnd(Max(SILENT_LEVEL, finest), head->latest) <= silent_until)
		CompactSilent(head);

	SaveDownsampledUntil(&def->id, progress);
	SaveHead(head);

	if (head->contributes && changes.count > 0)
		DeriveFromChanges(changes.changes, changes.count, false);
}

/*
 * Does what is to be done with a locked stream that is not downsampled.
 */
static void
CheckSilent(StreamHead *head)
{
	StreamTime	now = StreamTimeFromTimestampClamped(GetCurrentTimestamp());
	StreamTime	end = BucketEnd(SILENT_LEVEL, Max(head->latest, STREAM_TIME_MIN));

	if (head->latest == STREAM_TIME_NONE)
		head->check_at = STREAM_TIME_NONE;
	else if (end <= now - close_after * INT64CONST(1000))
	{
		CompactSilent(head);
		head->check_at = STREAM_TIME_NONE;
	}
	else
		head->check_at = end;
}

/*
 * Does with a stream what there is to be done: closes the buckets, at all its
 * lower granularities, that end at or before a time, and brings the streams up
 * to date that derive from these, or notes that they have something to read.
 * Unless the result is DOWNSAMPLE_DONE, nothing has been done.
 *
 * SPI must be connected.  The stream stays locked until the end of the
 * transaction.  "def" and "closed" tell what has been done.
 */
DownsampleOutcome
DownsampleStream(const pg_uuid_t *id, const DownsampleLimits *limits, StreamDef *def,
				 ClosedBuckets *closed)
{
	StreamHead	head;
	StreamProgress progress;

	for (int level = 0; level < GRANULARITY_COUNT; level++)
		closed->front[level].from = closed->next[level].from = STREAM_TIME_NONE;
	closed->datapoints = 0;
	closed->more = false;

	if (!LockStream(id, true, true, &head, CurrentMemoryContext))
		return DOWNSAMPLE_SKIPPED;
	*def = head.def;
	if (limits->due_only && !head.due)
		return DOWNSAMPLE_NOTHING;
	if (!LockToldStreams(&head))
		return DOWNSAMPLE_SKIPPED;

	if (head.def.value_downsamplers == 0)
	{
		DeliverHead(&head);
		head.due = false;
		if (limits->check_silent)
			CheckSilent(&head);
		SaveHead(&head);
		return DOWNSAMPLE_DONE;
	}

	LockProgress(id, &progress);
	DeliverHead(&head);
	DownsampleLocked(&head, &progress, limits, closed);

	return DOWNSAMPLE_DONE;
}
