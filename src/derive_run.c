/*-------------------------------------------------------------------------
 *
 * derive_run.c
 *	  The derive operators at work.
 *
 * Operators keep no state: what they need of the past they look up in their
 * sources.  So it makes no difference whether datapoints are derived one by
 * one as they are appended, in batches, all at once afterwards, or again after
 * something has changed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "datapoint.h"
#include "decimal.h"
#include "derive_run.h"
#include "errors.h"
#include "miscadmin.h"
#include "number_sum.h"
#include "operator.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Significant digits of quotients: of exact decimals, and enough for a double */
#define EXACT_DIGITS	80
#define DOUBLE_DIGITS	20

/* The datapoint before the one in hand, of a source whose changes are derived */
typedef struct Previous
{
	const Source *source;
	bool		skip_nulls;
	bool		known;			/* else it is still to be looked up */
	bool		exists;
	StreamTime	t;
	Value		value;
} Previous;

static void
WarnInvalid(const DeriveRun *run, StreamTime t, const char *problem)
{
	if (run->quiet)
		return;
	ereport(WARNING,
			(errcode(ERRCODE_DS_INVALID_VALUE),
			 errmsg("stream \"%s\" has no derived datapoint at \"%s\": %s",
					StreamIdToString(&run->def->id),
					pstrdup(timestamptz_to_str(TimestampFromStreamTime(t))), problem)));
}

/*
 * A difference of two numbers by an interval in ms, per second.  Returns
 * false if that is beyond what a number can be.
 */
static bool
ChangePerSecond(const Value *from, const Value *to, const Value *offset, int64 interval,
				bool high_accuracy, Value *result)
{
	Numeric		change;

	if (from->kind == VALUE_DOUBLE && to->kind == VALUE_DOUBLE && offset == NULL && !high_accuracy)
	{
		*result = DoubleValue((to->number - from->number) / (interval / 1000.0));
		if (isfinite(result->number))
			return true;

		/* their difference may be beyond doubles, and the result not */
	}

	change = SubtractNumeric(NumericFromValue(to), NumericFromValue(from));
	if (change != NULL && offset != NULL)
		change = AddNumeric(change, NumericFromValue(offset));
	if (change != NULL)
		change = MultiplyNumeric(change, NumericFromDouble(1000));
	if (change == NULL)
		return false;

	*result = DivideNumber(change, interval, high_accuracy ? EXACT_DIGITS : DOUBLE_DIGITS,
						   high_accuracy);
	return true;
}

/*
 * Whether a number is smaller than another.
 */
static bool
NumberIsLess(const Value *a, const Value *b)
{
	if (a->kind == VALUE_DOUBLE && b->kind == VALUE_DOUBLE)
		return a->number < b->number;

	return CompareNumeric(NumericFromValue(a), NumericFromValue(b)) < 0;
}

/*
 * Makes a datapoint the previous one.
 */
static void
SetPrevious(Previous *previous, StreamTime t, const Value *value)
{
	if (previous->skip_nulls && value->kind == VALUE_NULL)
		return;
	if (previous->exists && previous->value.kind == VALUE_JSON)
		pfree(previous->value.json);

	previous->known = true;
	previous->exists = true;
	previous->t = t;
	previous->value = CopyValue(value);
}

/*
 * Whether there is a datapoint with a value before the one at t.
 */
static bool
HasPrevious(Previous *previous, StreamTime from)
{
	if (!previous->known)
	{
		previous->exists = LookBack(previous->source, from, previous->skip_nulls,
									&previous->t, &previous->value);
		previous->known = true;
	}

	return previous->exists && previous->value.kind != VALUE_NULL;
}

/*
 * Runs over the datapoints of one source, calling "derive" for each that is
 * new with the one before.  What "derive" allocates is freed.
 */
static void
RunOverChanges(DeriveRun *run, Source *source, bool skip_nulls,
			   void (*derive) (DeriveRun *run, Previous *previous, StreamTime t, const Value *value, void *state),
			   void *state)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "datastream operator",
												  ALLOCSET_SMALL_SIZES);
	SourceReader *reader = BeginSource(source, run->from, run->to);
	Previous	previous = {source, skip_nulls};
	StreamTime	t;
	Value		value;
	int			skipped = 0;

	for (;;)
	{
		MemoryContext old_context = MemoryContextSwitchTo(context);
		bool		more = ReadSource(reader, &t, &value);

		if (more && t == run->from && skipped < run->skip)
			skipped++;
		else if (more)
		{
			derive(run, &previous, t, &value, state);
			if (run->forward)
				NoteRead(source, t);
		}

		MemoryContextSwitchTo(old_context);
		if (!more)
			break;
		SetPrevious(&previous, t, &value);
		MemoryContextReset(context);
	}

	EndSource(reader);
	MemoryContextDelete(context);
}

/*
 * The change per second since the datapoint before; a null makes a null.
 */
static void
DeriveChange(DeriveRun *run, Previous *previous, StreamTime t, const Value *value, void *state)
{
	Value		change;

	if (value->kind == VALUE_NULL)
		run->emit(run, t, value);
	else if (!HasPrevious(previous, run->from))
		return;
	else if (previous->t == t)
		WarnInvalid(run, t, "two datapoints of its source have the same timestamp");
	else if (!ChangePerSecond(&previous->value, value, NULL, t - previous->t,
							  run->def->high_accuracy, &change))
		WarnInvalid(run, t, "the change is out of range");
	else
		run->emit(run, t, &change);
}

/*
 * derivative
 */
void
RunDerivative(DeriveRun *run)
{
	RunOverChanges(run, &run->sources[0], false, DeriveChange, NULL);
}

/*
 * 1 where a value is smaller than the one before.
 */
static void
DeriveReset(DeriveRun *run, Previous *previous, StreamTime t, const Value *value, void *state)
{
	if (value->kind != VALUE_NULL && HasPrevious(previous, run->from) &&
		NumberIsLess(value, &previous->value))
	{
		Value		reset = {VALUE_JSON, 0, JsonbFromDouble(1)};

		run->emit(run, t, &reset);
	}
}

/*
 * counter_reset
 */
void
RunCounterReset(DeriveRun *run)
{
	RunOverChanges(run, &run->sources[0], true, DeriveReset, NULL);
}

/* What counter_derivative keeps while it runs */
typedef struct CounterState
{
	SourceReader *resets;		/* NULL before the first look */
	bool		has_next;
	StreamTime	next;			/* time of the next reset, if there is one */
	bool		has_max_value;
	Value		max_value;
} CounterState;

/*
 * Moves on to the next true value of the reset stream.
 */
static void
ReadReset(CounterState *counter)
{
	Value		value;

	while ((counter->has_next = ReadSource(counter->resets, &counter->next, &value)))
	{
		if (ValueIsTrue(&value))
			break;
	}
}

/*
 * Whether the counter was reset after "from" and until "to".
 */
static bool
WasReset(DeriveRun *run, CounterState *counter, StreamTime from, StreamTime to)
{
	if (counter->resets == NULL)
	{
		const Source *source = &run->sources[0];
		MemoryContext old_context = MemoryContextSwitchTo(GetMemoryChunkContext(counter));

		counter->resets = BeginSource(source, from + 1, STREAM_TIME_MAX);
		MemoryContextSwitchTo(old_context);
		ReadReset(counter);
	}

	while (counter->has_next && counter->next <= from)
		ReadReset(counter);

	return counter->has_next && counter->next <= to;
}

/*
 * The change per second of a counter.
 */
static void
DeriveCounterChange(DeriveRun *run, Previous *previous, StreamTime t, const Value *value, void *state)
{
	CounterState *counter = state;
	Value		change;
	bool		fell;

	if (value->kind == VALUE_NULL)
	{
		run->emit(run, t, value);
		return;
	}
	if (!HasPrevious(previous, run->from))
		return;
	if (previous->t == t)
	{
		WarnInvalid(run, t, "two datapoints of its source have the same timestamp");
		return;
	}
	if (WasReset(run, counter, previous->t, t))
		return;

	fell = NumberIsLess(value, &previous->value);
	if (fell && !counter->has_max_value)
		WarnInvalid(run, t, "the counter fell without a reset, and there is no max_value");
	else if (fell && NumberIsLess(&counter->max_value, &previous->value))
		WarnInvalid(run, t, "the counter was above its max_value");
	else if (!ChangePerSecond(&previous->value, value, fell ? &counter->max_value : NULL,
							  t - previous->t, run->def->high_accuracy, &change))
		WarnInvalid(run, t, "the change is out of range");
	else
		run->emit(run, t, &change);
}

/*
 * counter_derivative; sources are the reset stream and the counter.
 */
void
RunCounterDerivative(DeriveRun *run)
{
	CounterState *counter = palloc0(sizeof(CounterState));
	Numeric		max_value = CounterMaxValue(run->def->derive_args);

	if (max_value != NULL)
	{
		counter->has_max_value = true;
		counter->max_value = NumberFromNumeric(max_value, true);
	}

	RunOverChanges(run, &run->sources[1], false, DeriveCounterChange, counter);

	if (counter->resets != NULL)
		EndSource(counter->resets);
	pfree(counter);
}

/* A source of a sum */
typedef struct Summand
{
	SourceReader *reader;
	StreamTime	t;				/* of the datapoint in hand, rounded */
	StreamTime	unrounded;		/* or STREAM_TIME_NONE: there has been none */
	bool		settled;		/* it has been compared with all others */
	Value		value;
	MemoryContext context;		/* of the value */
} Summand;

/*
 * Moves a source of a sum on to its first datapoint not older than "until",
 * which is the start of a bucket; false at the end.
 */
static bool
AdvanceSummand(DeriveRun *run, Summand *summand, StreamTime until, bool skip)
{
	MemoryContext old_context;
	StreamTime	t;
	Value		value;
	bool		found;

	MemoryContextReset(summand->context);
	old_context = MemoryContextSwitchTo(summand->context);

	found = skip ? SkipSource(summand->reader, until, &t, &value) : ReadSource(summand->reader, &t, &value);
	while (found && t < until)
		found = ReadSource(summand->reader, &t, &value);
	if (found)
	{
		summand->t = BucketStart(run->def->highest, t);
		summand->unrounded = t;
		summand->settled = false;
		summand->value = CopyValue(&value);
	}
	MemoryContextSwitchTo(old_context);

	return found;
}

/*
 * The sum of integers, if none on the way to it, in any order, can be one that a
 * double does not hold; of the values that are not null.
 */
static bool
SumSmallIntegers(const Summand *summands, int nsummands, double *sum)
{
	double		magnitude = 0;

	*sum = 0;
	for (int i = 0; i < nsummands; i++)
	{
		const Value *value = &summands[i].value;

		if (value->kind == VALUE_NULL)
			continue;
		if (value->kind != VALUE_DOUBLE || value->number != rint(value->number))
			return false;
		magnitude += fabs(value->number);
		*sum += value->number;
	}
	return magnitude < DOUBLE_INTEGER_MAX;
}

/*
 * The sum of the values that are not null, or null if all are: whatever the order
 * of the sources, of integers and decimals with all digits, then rounded once
 * where the stream asks for it.  Returns false if it is beyond what a number can
 * be.
 */
static bool
SumValues(const Summand *summands, int nsummands, bool high_accuracy, Value *result)
{
	NumberSum	sum;
	double		small;
	bool		any = false;

	for (int i = 0; i < nsummands; i++)
		any = any || summands[i].value.kind != VALUE_NULL;
	if (!any || (!high_accuracy && SumSmallIntegers(summands, nsummands, &small)))
	{
		result->kind = any ? VALUE_DOUBLE : VALUE_NULL;
		result->number = any ? small : 0;
		result->json = NULL;
		return true;
	}

	InitSum(&sum, CurrentMemoryContext);
	for (int i = 0; i < nsummands; i++)
	{
		if (summands[i].value.kind != VALUE_NULL)
			AddNumber(&sum, &summands[i].value);
	}
	if (high_accuracy)
	{
		Numeric		exact = SumToNumeric(&sum);

		if (exact != NULL)
			*result = NumberFromNumeric(exact, true);
		return exact != NULL;
	}
	(void) SumToValue(&sum, result);
	return result->kind != VALUE_NULL;
}

/*
 * Advances the sources of a sum that are behind the others until all stand at
 * one time, which is returned; STREAM_TIME_NONE when one of them, *exhausted,
 * has ended.
 */
static StreamTime
NextCommonTime(DeriveRun *run, Summand *summands, Summand **exhausted)
{
	for (;;)
	{
		StreamTime	t = STREAM_TIME_NONE;
		bool		all = true;

		CHECK_FOR_INTERRUPTS();

		for (int i = 0; i < run->nsources; i++)
			t = Max(t, summands[i].t);
		for (int i = 0; i < run->nsources; i++)
		{
			if (summands[i].t == t)
				continue;
			all = false;
			if (!AdvanceSummand(run, &summands[i], t, true))
			{
				*exhausted = &summands[i];
				return STREAM_TIME_NONE;
			}
		}
		if (all)
			return t;
	}
}

/*
 * Moves all sources of a sum on to their first datapoints not older than
 * "until"; the one that has none is returned, or NULL.
 */
static Summand *
AdvanceAll(DeriveRun *run, Summand *summands, StreamTime until)
{
	for (int i = 0; i < run->nsources; i++)
	{
		if (!AdvanceSummand(run, &summands[i], until, false))
			return &summands[i];
	}

	return NULL;
}

/*
 * Notes how far a join has read its sources: the one that ended, to its end; of
 * the others what lies before the datapoint in hand, and that itself if it has
 * been compared with all others.  Those behind it that round to the same time
 * change nothing.
 */
static void
NoteJoined(DeriveRun *run, const Summand *summands, const Summand *exhausted)
{
	for (int i = 0; i < run->nsources; i++)
	{
		const Summand *summand = &summands[i];
		Source	   *source = &run->sources[i];

		if (summand == exhausted)
			NoteReadToEnd(source, summand->reader);
		if (summand->unrounded == STREAM_TIME_NONE || (summand == exhausted && !summand->settled))
			continue;
		if (ReadsBuckets(source))
			AdvanceSource(source, summand->settled ? BucketEnd(source->granularity, summand->t) : summand->t, 0);
		else if (!summand->settled)
			AdvanceSource(source, summand->unrounded, 0);
		else if (BucketStart(run->def->highest, source->read_until) == summand->t)
			AdvanceSource(source, Max(source->read_until, summand->unrounded), 1);
		else
			AdvanceSource(source, summand->unrounded, 1);
	}
}

/*
 * sum: a merge join of all sources on the rounded timestamp.  Of several
 * datapoints of a source that round to one time the first one counts, so that
 * the sum is settled as soon as every source has one.
 */
void
RunSum(DeriveRun *run)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "datastream operator",
												  ALLOCSET_SMALL_SIZES);
	Granularity granularity = run->def->highest;
	MemoryContext sum_context = AllocSetContextCreate(context, "datastream sum",
													  ALLOCSET_SMALL_SIZES);
	Summand    *summands = palloc0(sizeof(Summand) * run->nsources);
	Summand    *exhausted;
	StreamTime	from = run->from;
	StreamTime	t;

	for (int i = 0; i < run->nsources; i++)
	{
		summands[i].reader = BeginSource(&run->sources[i], from, run->to);
		summands[i].unrounded = STREAM_TIME_NONE;
		summands[i].context = AllocSetContextCreate(context, "datastream summand", ALLOCSET_SMALL_SIZES);
	}

	exhausted = AdvanceAll(run, summands, from);
	while (exhausted == NULL &&
		   (t = NextCommonTime(run, summands, &exhausted)) != STREAM_TIME_NONE)
	{
		MemoryContext old_context = MemoryContextSwitchTo(sum_context);
		Value		sum;

		if (SumValues(summands, run->nsources, run->def->high_accuracy, &sum))
			run->emit(run, t, &sum);
		else
			WarnInvalid(run, t, "the sum is out of range");
		MemoryContextSwitchTo(old_context);
		MemoryContextReset(sum_context);
		for (int i = 0; i < run->nsources; i++)
			summands[i].settled = true;

		exhausted = AdvanceAll(run, summands, BucketEnd(granularity, t));
	}

	if (run->forward && run->to == STREAM_TIME_MAX)
		NoteJoined(run, summands, exhausted);

	for (int i = 0; i < run->nsources; i++)
		EndSource(summands[i].reader);
	pfree(summands);
	MemoryContextDelete(context);
}
