/*-------------------------------------------------------------------------
 *
 * source.c
 *	  Reading the sources of a derived stream.
 *
 * At its highest granularity a source gives its datapoints; at a lower one the
 * mean of each closed bucket at the time of its last datapoint, and a null in
 * the middle of an empty one.
 *
 * All is read with the active snapshot, which the caller keeps while it derives
 * a stream, so that what it reads fits together.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bucket.h"
#include "catalog/pg_type.h"
#include "datapoint.h"
#include "miscadmin.h"
#include "operator.h"
#include "plans.h"
#include "source.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

struct SourceReader
{
	const Source *source;
	StreamTime	from;
	StreamTime	to;
	MemoryContext context;
	DataBlock  *head_rows;		/* highest granularity only */
	BlockScan  *scan;
	DataBlock  *block;			/* in hand; NULL at the end */
	int			row;
	int			last;
	int			skip_at_origin; /* datapoints at the origin still to skip */

	/* Lower granularities: buckets from "bucket" to "bucket_end" are to come */
	BucketState state;
	StreamTime	bucket;
	StreamTime	bucket_end;
	StreamTime	closed_until;	/* or STREAM_TIME_NONE */
};

/*
 * Whether a source is read at a lower granularity.
 */
bool
ReadsBuckets(const Source *source)
{
	return source->granularity != source->def.highest;
}

/*
 * Notes that a source has been read up to the datapoint at "t", which comes
 * behind all that had been read before.
 */
void
NoteRead(Source *source, StreamTime t)
{
	if (ReadsBuckets(source))
	{
		source->read_until = BucketEnd(source->granularity, t);
		source->read_count = 0;
	}
	else if (source->read_until == t)
		source->read_count++;
	else
	{
		source->read_until = t;
		source->read_count = 1;
	}
}

/*
 * Notes that all of a source before a time, and so many datapoints at it, have been
 * read, unless more has been.
 */
void
AdvanceSource(Source *source, StreamTime t, int count)
{
	if (t < source->read_until || (t == source->read_until && count <= source->read_count))
		return;
	source->read_until = t;
	source->read_count = count;
}

/*
 * Whether a change of a source at a time concerns what has been read of it.
 */
bool
HasRead(const Source *source, StreamTime t)
{
	return source->read_until != STREAM_TIME_NONE &&
		(source->read_count > 0 ? t <= source->read_until : t < source->read_until);
}

/*
 * The columns that reading a source needs.
 */
static uint32
SourceColumns(const Source *source)
{
	if (!ReadsBuckets(source))
		return COLUMN_BIT(COLUMN_DATAPOINT);

	return ColumnsFor(&source->def, VALUE_DOWNSAMPLER_BIT(VALUE_MEAN), TIME_DOWNSAMPLER_BIT(TIME_LAST));
}

/*
 * Makes the next block of a reader the one in hand.
 */
static void
FetchSourceBlock(SourceReader *reader)
{
	reader->block = NextBlock(reader->scan, &reader->row, &reader->last);
}

/*
 * Starts to scan blocks from a time on.
 */
static void
ScanSource(SourceReader *reader, StreamTime from)
{
	const Source *source = reader->source;
	StreamTime	scan_from = ReadsBuckets(source) ? BucketStart(source->granularity, from) : from;
	MemoryContext old_context = MemoryContextSwitchTo(reader->context);

	if (reader->scan != NULL)
		EndBlockScan(reader->scan);

	reader->scan = BeginBlockScan(&source->def.id, source->granularity, reader->head_rows,
								  scan_from, reader->to, false, SourceColumns(source));
	MemoryContextSwitchTo(old_context);

	FetchSourceBlock(reader);
}

/*
 * The closed buckets of a source, [*first, *until); false if there are none.
 */
static bool
ClosedBucketRange(const Source *source, StreamTime *first, StreamTime *until)
{
	StreamProgress progress;

	if (!ReadProgress(&source->def.id, &progress) ||
		!FirstBlockStart(&source->def.id, source->granularity, first))
		return false;

	*first = BucketStart(source->granularity, *first);
	*until = progress.until[source->granularity];

	return *first < *until;
}

/*
 * Begins to read the datapoints of a source in [from, to] that lie behind its
 * origin.
 */
SourceReader *
BeginSource(const Source *source, StreamTime from, StreamTime to)
{
	SourceReader *reader = palloc0(sizeof(SourceReader));

	from = Max(from, Max(source->origin, STREAM_TIME_MIN));
	to = Min(to, STREAM_TIME_MAX);

	reader->source = source;
	reader->from = from;
	reader->to = to;
	reader->skip_at_origin = source->origin == from ? source->origin_count : 0;
	reader->context = AllocSetContextCreate(CurrentMemoryContext, "datastream source",
											ALLOCSET_DEFAULT_SIZES);

	if (ReadsBuckets(source))
	{
		InitBucket(&reader->state, &source->def, reader->context);
		reader->closed_until = STREAM_TIME_NONE;
		if (!ClosedBucketRange(source, &reader->bucket, &reader->bucket_end))
			reader->bucket = reader->bucket_end = STREAM_TIME_MAX;
		else
		{
			reader->bucket = Max(reader->bucket, BucketStart(source->granularity, from));
			reader->closed_until = reader->bucket_end;
		}
		reader->bucket_end = Min(reader->bucket_end, to + 1);
	}
	else
	{
		reader->head_rows = ReadHeadRows(&source->def.id, reader->context);
	}

	ScanSource(reader, from);

	return reader;
}

/*
 * The datapoint that a bucket, or an empty one, stands for.
 */
static void
BucketDatapoint(const BucketState *state, Granularity granularity, StreamTime *t, Value *value)
{
	StreamTime	end = BucketEnd(granularity, state->start);

	*t = StreamTimeFromTimestampClamped(BucketTime(state, TIME_LAST, end));
	*value = BucketValue(state, VALUE_MEAN);
}

/*
 * Reads the next datapoint of a lower granularity.
 */
static bool
ReadBucket(SourceReader *reader, StreamTime *t, Value *value)
{
	Granularity granularity = reader->source->granularity;

	while (reader->bucket < reader->bucket_end)
	{
		if (reader->block != NULL && reader->row >= reader->last)
			FetchSourceBlock(reader);
		if (reader->block != NULL && reader->block->times[reader->row] == reader->bucket)
			LoadBucket(&reader->state, reader->block, reader->row++);
		else
			ResetBucket(&reader->state, reader->bucket);

		reader->bucket = BucketEnd(granularity, reader->bucket);
		BucketDatapoint(&reader->state, granularity, t, value);
		if (*t >= reader->from && *t <= reader->to)
			return true;

		CHECK_FOR_INTERRUPTS();
	}

	return false;
}

/*
 * Reads the next datapoint of a source; false at the end.  A numeric source
 * gives numbers, also where an already downsampled value has been appended.
 * What the value points to is valid until the next call.
 */
bool
ReadSource(SourceReader *reader, StreamTime *t, Value *value)
{
	const Source *source = reader->source;

	if (ReadsBuckets(source))
		return ReadBucket(reader, t, value);

	for (;;)
	{
		if (reader->block != NULL && reader->row >= reader->last)
			FetchSourceBlock(reader);
		if (reader->block == NULL)
			return false;

		*t = reader->block->times[reader->row];
		*value = DatapointValue(reader->block, reader->row);
		reader->row++;

		if (reader->skip_at_origin > 0 && *t == source->origin)
		{
			reader->skip_at_origin--;
			continue;
		}

		if (source->def.value_type == VALUE_TYPE_NUMERIC)
			*value = ValueMean(value, source->def.high_accuracy);
		return true;
	}
}

/*
 * Reads the next datapoint that is not older than "until", without reading all
 * that lies between; false at the end.
 */
bool
SkipSource(SourceReader *reader, StreamTime until, StreamTime *t, Value *value)
{
	const DataBlock *block = reader->block;

	if (ReadsBuckets(reader->source))
	{
		StreamTime	bucket = BucketStart(reader->source->granularity, until);

		if (bucket > reader->bucket)
		{
			reader->bucket = bucket;
			ScanSource(reader, bucket);
		}
	}
	else if (block != NULL && block->times[reader->last - 1] >= until)
		reader->row = Max(reader->row, BlockLowerBound(block, until));
	else if (block != NULL)
		ScanSource(reader, until);

	while (ReadSource(reader, t, value))
	{
		if (*t >= until)
			return true;
	}

	return false;
}

/*
 * Notes that a source has been read to its end, as far as a reader of it without
 * a limit shows that; for those who do not mind how many datapoints there are at
 * its latest time.
 */
void
NoteReadToEnd(Source *source, const SourceReader *reader)
{
	StreamTime	latest = STREAM_TIME_NONE;

	if (ReadsBuckets(source))
		latest = reader->closed_until;
	else if (reader->head_rows->count > 0)
		latest = reader->head_rows->times[reader->head_rows->count - 1];
	else if (!LastBlockUntil(&source->def.id, source->def.highest, &latest))
		latest = STREAM_TIME_NONE;

	/* Nobody knows here whether there is anything at the origin. */
	AdvanceSource(source, Max(latest, source->origin),
				  !ReadsBuckets(source) && latest > source->origin ? 1 : 0);
}

/*
 * Ends reading a source.
 */
void
EndSource(SourceReader *reader)
{
	EndBlockScan(reader->scan);
	MemoryContextDelete(reader->context);
	pfree(reader);
}

/*
 * The last bucket of a source before the one that holds "before".
 */
static bool
LookBackAtBuckets(const Source *source, StreamTime before, bool skip_nulls, StreamTime *t, Value *value)
{
	Granularity granularity = source->granularity;
	MemoryContext context;
	BucketState state;
	StreamTime	first_bucket;
	StreamTime	until;
	StreamTime	bucket = BucketStart(granularity, BucketStart(granularity, before) - 1);
	BlockScan  *scan;
	DataBlock  *block;
	int			first;
	int			last;
	bool		found = false;

	if (!ClosedBucketRange(source, &first_bucket, &until))
		return false;
	if (source->origin != STREAM_TIME_NONE)
		first_bucket = Max(first_bucket, source->origin);
	if (bucket < first_bucket)
		return false;

	context = AllocSetContextCreate(CurrentMemoryContext, "datastream source", ALLOCSET_DEFAULT_SIZES);
	InitBucket(&state, &source->def, context);

	scan = BeginBlockScan(&source->def.id, granularity, NULL, skip_nulls ? first_bucket : bucket, bucket,
						  true, SourceColumns(source));
	while (!found && (block = NextBlock(scan, &first, &last)) != NULL)
	{
		for (int row = last - 1; row >= first && !found; row--)
		{
			LoadBucket(&state, block, row);
			BucketDatapoint(&state, granularity, t, value);
			found = !skip_nulls || value->kind != VALUE_NULL;
		}
	}
	if (found)
		*value = CopyValue(value);
	EndBlockScan(scan);

	/* Nothing is stored of an empty bucket, which is a null. */
	if (!found && !skip_nulls)
	{
		ResetBucket(&state, bucket);
		BucketDatapoint(&state, granularity, t, value);
		found = true;
	}
	MemoryContextDelete(context);

	return found;
}

/*
 * Finds the last datapoint of a source that is older than "before" and behind
 * the origin, and not null with "skip_nulls".  The value is allocated in the
 * current memory context.
 */
bool
LookBack(const Source *source, StreamTime before, bool skip_nulls, StreamTime *t, Value *value)
{
	StreamTime	from = Max(source->origin, STREAM_TIME_MIN);
	int			skip_at_origin = source->origin == STREAM_TIME_NONE ? 0 : source->origin_count;
	MemoryContext context;
	DataBlock  *head_rows;
	BlockScan  *scan;
	DataBlock  *block;
	int			first;
	int			last;
	int			at_origin = 0;
	bool		found = false;

	if (before <= from)
		return false;
	if (ReadsBuckets(source))
		return LookBackAtBuckets(source, before, skip_nulls, t, value);

	context = AllocSetContextCreate(CurrentMemoryContext, "datastream source", ALLOCSET_DEFAULT_SIZES);

	head_rows = ReadHeadRows(&source->def.id, context);

	/* Of the datapoints at the origin, the first ones do not count. */
	if (skip_at_origin > 0)
	{
		scan = BeginBlockScan(&source->def.id, source->granularity, head_rows, from, from, false, 0);
		while ((block = NextBlock(scan, &first, &last)) != NULL)
			at_origin += last - first;
		EndBlockScan(scan);
	}

	scan = BeginBlockScan(&source->def.id, source->granularity, head_rows, from, before - 1, true,
						  SourceColumns(source));

	while (!found && (block = NextBlock(scan, &first, &last)) != NULL)
	{
		for (int row = last - 1; row >= first && !found; row--)
		{
			if (skip_at_origin > 0 && block->times[row] == from && at_origin-- <= skip_at_origin)
				break;
			*t = block->times[row];
			*value = DatapointValue(block, row);
			if (source->def.value_type == VALUE_TYPE_NUMERIC)
				*value = ValueMean(value, source->def.high_accuracy);
			found = !skip_nulls || value->kind != VALUE_NULL;
		}
	}
	if (found)
		*value = CopyValue(value);
	EndBlockScan(scan);
	MemoryContextDelete(context);

	return found;
}

/*
 * Until when all of a derived stream's sources have been read, by the cursors
 * in "sources"; STREAM_TIME_NONE if one has not been read yet.  An operator that
 * follows one source has read those beside it, which may be silent for long,
 * as far as that one.
 */
StreamTime
SourcesReadUntil(const StreamDef *def, const Source *sources, int nsources)
{
	int			first = DeriveOperators[def->derive_op].joins_sources ? 0 : nsources - 1;
	StreamTime	until = STREAM_TIME_MAX;

	if (nsources == 0)
		return STREAM_TIME_NONE;
	for (int i = first; i < nsources; i++)
		until = Min(until, sources[i].read_until);

	return until;
}
