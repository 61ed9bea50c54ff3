/*-------------------------------------------------------------------------
 *
 * value_combine.c
 *	  What is known of the values of a bucket: states of parallel aggregates.
 *
 * Unlike those of buckets, these states are never stored, so nothing is
 * rounded when they are combined.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq/pqformat.h"
#include "value_downsampler.h"
#include "value_state.h"

/*
 * Adds the datapoints of another state of doubles.
 */
void
CombineValueState(ValueState *state, const ValueState *other)
{
	if (other->count == 0)
		return;

	AddCount(state, other->count);
	state->unknown |= other->unknown;
	MergeExtreme(state, &state->min, &other->min, -1);
	MergeExtreme(state, &state->max, &other->max, 1);

	state->exact.count += other->exact.count;
	AddSum(&state->exact.sum, &other->exact.sum);
	AddSum(&state->exact.squares, &other->exact.squares);

	if (other->rounded.count > 0)
	{
		AddDeviations(state, other->rounded.count, MeanOfSums(&other->rounded),
					  RoundedMoment(other));
		state->rounded.count += other->rounded.count;
		AddSum(&state->rounded.sum, &other->rounded.sum);
		AddSum(&state->rounded.squares, &other->rounded.squares);
	}
}

static void
SerializeSums(const ValueSums *sums, StringInfo buf)
{
	pq_sendint64(buf, sums->count);
	SerializeSum(&sums->sum, buf);
	SerializeSum(&sums->squares, buf);
}

static void
DeserializeSums(ValueSums *sums, StringInfo buf)
{
	sums->count = pq_getmsgint64(buf);
	AddSerializedSum(&sums->sum, buf);
	AddSerializedSum(&sums->squares, buf);
}

/*
 * Writes a state of doubles, for another process of this server.
 */
void
SerializeValueState(const ValueState *state, StringInfo buf)
{
	pq_sendint64(buf, state->count);
	pq_sendfloat8(buf, state->min.number);
	pq_sendfloat8(buf, state->max.number);
	SerializeSums(&state->exact, buf);
	SerializeSums(&state->rounded, buf);
	pq_sendfloat8(buf, state->shift);
	pq_sendfloat8(buf, state->deviations.high);
	pq_sendfloat8(buf, state->deviations.low);
}

/*
 * Sets an empty state from what SerializeValueState() has written.
 */
void
DeserializeValueState(ValueState *state, StringInfo buf)
{
	state->count = pq_getmsgint64(buf);
	state->min = DoubleValue(pq_getmsgfloat8(buf));
	state->max = DoubleValue(pq_getmsgfloat8(buf));
	DeserializeSums(&state->exact, buf);
	DeserializeSums(&state->rounded, buf);
	state->shift = pq_getmsgfloat8(buf);
	state->deviations.high = pq_getmsgfloat8(buf);
	state->deviations.low = pq_getmsgfloat8(buf);

	if (state->count < 0 || state->exact.count < 0 || state->rounded.count < 0 ||
		state->exact.count > state->count ||
		state->rounded.count != state->count - state->exact.count)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid state of an aggregate of numbers")));

	if (state->count == 0)
		state->min.kind = state->max.kind = VALUE_NULL;
}
