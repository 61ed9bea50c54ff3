/*-------------------------------------------------------------------------
 *
 * random_block.c
 *	  Random blocks, of all that a block can hold: every kind of array that an
 *	  encoding is made for, and what none is made for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "codec.h"
#include "random_block.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

/* SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number
 * Generators", OOPSLA 2014) */
uint64
RandomUInt64(Random *random)
{
	uint64		z = (random->state += UINT64CONST(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64CONST(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94D049BB133111EB);

	return z ^ (z >> 31);
}

/* 0 .. limit - 1 */
int
RandomBelow(Random *random, int limit)
{
	return (int) (RandomUInt64(random) % (uint64) limit);
}

static bool
OneIn(Random *random, int times)
{
	return RandomBelow(random, times) == 0;
}

/* A number of random width, so that small and large ones are as frequent */
static uint64
RandomOfAnyWidth(Random *random)
{
	int			width = RandomBelow(random, 65);

	return width == 0 ? 0 : RandomUInt64(random) >> (64 - width);
}

/* 0 .. 1 */
static double
RandomFraction(Random *random)
{
	return (double) (RandomUInt64(random) >> 11) / (double) (UINT64CONST(1) << 53);
}

static const int64 ExtremeInts[] = {
	PG_INT64_MIN, PG_INT64_MIN + 1, -1, 0, 1, PG_INT64_MAX - 1, PG_INT64_MAX,
	INT64CONST(1) << 53, (INT64CONST(1) << 53) + 1, (INT64CONST(1) << 53) - 1,
	-(INT64CONST(1) << 53), INT64CONST(1) << 56, INT64CONST(1) << 57, INT64CONST(1) << 62
};

static void
RandomInts(Random *random, int64 *values, int count)
{
	int			style = RandomBelow(random, 11);
	uint64		start = RandomUInt64(random);
	uint64		step = RandomOfAnyWidth(random);
	uint64		curve = RandomOfAnyWidth(random);
	int			width = RandomBelow(random, 65);
	uint64		mask = width == 0 ? 0 : PG_UINT64_MAX >> (64 - width);
	int			rarely = 1 + RandomBelow(random, 200);
	uint64		last = start;

	if (OneIn(random, 2))
		start = RandomOfAnyWidth(random) >> 40;

	for (int i = 0; i < count; i++)
	{
		uint64		noise = RandomUInt64(random) & mask;

		switch (style)
		{
			case 0:				/* constant */
				values[i] = start;
				break;
			case 1:				/* a narrow range */
				values[i] = start + noise;
				break;
			case 2:				/* a line */
				values[i] = start + i * step;
				break;
			case 3:				/* a line with gaps and repeats */
				if (OneIn(random, rarely))
					last += noise;
				else if (!OneIn(random, rarely))
					last += step;
				values[i] = last;
				break;
			case 4:				/* a random walk */
				last += noise - (mask >> 1);
				values[i] = last;
				break;
			case 5:				/* a curve */
				values[i] = start + i * step + (uint64) i * i * curve;
				break;
			case 6:				/* extremes */
				values[i] = ExtremeInts[RandomBelow(random, lengthof(ExtremeInts))];
				break;
			case 7:				/* alternating signs */
				values[i] = i % 2 == 0 ? noise : 0 - noise;
				break;
			case 8:				/* mostly constant */
				values[i] = OneIn(random, rarely) ? start + noise : start;
				break;
			case 9:				/* anything */
				values[i] = RandomOfAnyWidth(random);
				break;
			case 10:			/* outliers on both sides */
				values[i] = start + (noise & 0xFF);
				if (OneIn(random, rarely))
					values[i] = start + noise;
				if (OneIn(random, rarely))
					values[i] = start - noise;
				break;
		}
	}
}

static const double ExtremeNumbers[] = {
	0.0, -0.0, 1.0, -1.0, 0.1, -0.1, 5e-324, -5e-324, DBL_MIN, DBL_MAX, -DBL_MAX,
	DBL_EPSILON, INFINITY, -INFINITY, NAN, 9007199254740991.0, 9007199254740992.0,
	9007199254740994.0, 1e15, 1e16, 1e22, 1e23, 123456789.123456789, 1e-5, 1e-22, 1e-300,
	9.2e18, 9223372036854775807.0, -9223372036854775808.0, 1e19, 2.2250738585072011e-308
};

static void
RandomNumbers(Random *random, double *values, int count)
{
	int			style = RandomBelow(random, 14);
	double		power = pow(10, RandomBelow(random, 18));
	uint64		mask = RandomOfAnyWidth(random);
	double		start = RandomFraction(random) * 1000;
	double		last = start;
	int			rarely = 1 + RandomBelow(random, 200);

	for (int i = 0; i < count; i++)
	{
		double		fraction = RandomFraction(random);
		double		decimal = (double) (int64) (RandomUInt64(random) & mask) / power;

		switch (style)
		{
			case 0:				/* constant */
				values[i] = start;
				break;
			case 1:				/* decimals */
				values[i] = decimal;
				break;
			case 2:				/* decimals with rounding errors */
				last += round(fraction * 1000) / 100;
				values[i] = last;
				break;
			case 3:				/* integers around 2^53 */
				values[i] = (double) ((INT64CONST(1) << 53) - 500 + RandomBelow(random, 1000));
				break;
			case 4:				/* any bits */
				values[i] = BitsToDouble(RandomUInt64(random));
				break;
			case 5:				/* any size */
				values[i] = (fraction - 0.5) * pow(2, RandomBelow(random, 2000) - 1000);
				break;
			case 6:				/* single precision */
				values[i] = (float) (fraction - 0.5);
				break;
			case 7:				/* denormals */
				values[i] = BitsToDouble(RandomUInt64(random) >> 12);
				break;
			case 8:				/* extremes */
				values[i] = ExtremeNumbers[RandomBelow(random, lengthof(ExtremeNumbers))];
				break;
			case 9:				/* repeats of arbitrary numbers */
				if (OneIn(random, 1 + rarely / 10))
					last = fraction;
				values[i] = last;
				break;
			case 10:			/* a smooth curve */
				values[i] = start + sin(i / power * 100);
				break;
			case 11:			/* decimals among which are others */
				values[i] = OneIn(random, rarely) ? fraction : (double) RandomBelow(random, 100) / 10;
				break;
			case 12:			/* a random walk with a few jumps */
				last += fraction - 0.5;
				if (OneIn(random, rarely))
					last *= 1e9;
				values[i] = last;
				break;
			case 13:			/* NaNs with and without payload, and -0.0 */
				values[i] = OneIn(random, 3) ? BitsToDouble(UINT64CONST(0x7FF0000000000000) + i) :
					OneIn(random, 2) ? -0.0 : decimal;
				break;
		}
	}
}

/* A JSON value, the same for the same number */
static Jsonb *
JsonOfNumber(int number)
{
	StringInfoData text;

	initStringInfo(&text);
	switch (number % 7)
	{
		case 0:
			appendStringInfo(&text, "%d.50", number);
			break;
		case 1:
			appendStringInfo(&text, "12345678901234567890123456789%d", number);
			break;
		case 2:
			appendStringInfo(&text, "\"label %d\"", number);
			break;
		case 3:
			appendStringInfo(&text, "{\"c\": %d, \"m\": %d.25, \"s\": null, \"x\": [1, {}, []]}",
							 number, number);
			break;
		case 4:
			appendStringInfo(&text, "\"\\t\\\"\\\\ \\u0001 %d\"", number);
			break;
		case 5:
			appendStringInfo(&text, "1.%0*d", number % 300 + 1, number);
			break;
		case 6:
			appendStringInfo(&text, "[%d, true, false, \"\"]", number);
			break;
	}

	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data)));
}

static void
RandomValues(Random *random, Column *column, DataBlock *block)
{
	int			kinds = 1 + RandomBelow(random, 7);
	int			distinct = 1 + RandomBelow(random, OneIn(random, 3) ? 500 : 10);
	int			rarely = 1 + RandomBelow(random, 50);

	/* most columns have doubles only */
	if (!OneIn(random, 3))
		kinds = 1 << VALUE_DOUBLE;

	RandomNumbers(random, column->numbers, block->count);
	for (int i = 0; i < block->count; i++)
	{
		Value		value = {0};

		value.number = column->numbers[i];
		do
			value.kind = OneIn(random, rarely) ? RandomBelow(random, 3) : VALUE_DOUBLE;
		while ((kinds & (1 << VALUE_DOUBLE)) && (kinds & (1 << value.kind)) == 0);
		while ((kinds & (1 << value.kind)) == 0)
			value.kind = RandomBelow(random, 3);
		if (value.kind == VALUE_JSON)
			value.json = JsonOfNumber(RandomBelow(random, distinct));
		SetColumnValue(block, column, i, &value);
	}
}

static void
RandomBytes(Random *random, Column *column, int count)
{
	int			nulls = RandomBelow(random, 3);
	int			longest = 1 + RandomBelow(random, OneIn(random, 3) ? 300 : 10);
	int			letters = 1 + RandomBelow(random, 256);

	for (int i = 0; i < count; i++)
	{
		int			length = RandomBelow(random, longest);
		struct varlena *bytes = palloc(VARHDRSZ + length);

		SET_VARSIZE(bytes, VARHDRSZ + length);
		for (int k = 0; k < length; k++)
			VARDATA(bytes)[k] = (char) RandomBelow(random, letters);
		column->bytes[i] = nulls == 0 || !OneIn(random, nulls) ? bytes : NULL;
	}
}

static void
RandomTimes(Random *random, StreamTime *times, int count)
{
	static const int64 steps[] = {0, 1, 7, 1000, 60000, 300000, INT64CONST(86400000), INT64CONST(61865820019)};
	int			style = RandomBelow(random, 6);
	int64		step = steps[RandomBelow(random, lengthof(steps))];
	int64		noise = steps[RandomBelow(random, 5)] + 1;
	int			rarely = 1 + RandomBelow(random, 100);
	StreamTime	t = RandomUInt64(random) % (STREAM_TIME_MAX / 2);

	if (OneIn(random, 2))
		t -= t % 1000;

	for (int i = 0; i < count; i++)
	{
		times[i] = t;
		switch (style)
		{
			case 0:				/* regular */
				t += step;
				break;
			case 1:				/* regular, with repeats and gaps */
				if (OneIn(random, rarely))
					t += step * RandomBelow(random, 100);
				else
					t += step;
				break;
			case 2:				/* with noise */
				t += step + RandomUInt64(random) % noise;
				break;
			case 3:				/* seconds */
				t += RandomBelow(random, 10) * 1000;
				break;
			case 4:				/* one jump to the end */
				if (OneIn(random, rarely))
					t = STREAM_TIME_MAX;
				break;
			case 5:				/* from the beginning */
				if (i == 0)
					times[i] = t = STREAM_TIME_MIN;
				t += RandomUInt64(random) % noise;
				break;
		}
		t = Min(t, STREAM_TIME_MAX);
	}
}

/* A random block in the current memory context */
DataBlock *
RandomBlock(Random *random)
{
	static const int counts[] = {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 32, 64, 100, BLOCK_ROWS, BLOCK_MAX_ROWS};
	int			count = OneIn(random, 3) ? 1 + RandomBelow(random, 300) :
		counts[RandomBelow(random, lengthof(counts))];
	uint32		columns = COLUMN_BIT(COLUMN_DATAPOINT);
	DataBlock  *block;

	if (OneIn(random, 3))
		columns = (uint32) RandomUInt64(random);
	if (OneIn(random, 10))
		columns = COLUMN_ALL;

	block = CreateBlock(OneIn(random, 2) ? count : 1, columns);
	ReserveBlock(block, count);
	block->count = count;
	RandomTimes(random, block->times, count);
	for (int i = 0; i < block->ncolumns; i++)
	{
		Column	   *column = &block->columns[i];

		switch ((ColumnType) column->type)
		{
			case COLUMN_TYPE_INT:
				RandomInts(random, column->ints, count);
				break;
			case COLUMN_TYPE_VALUE:
				RandomValues(random, column, block);
				break;
			case COLUMN_TYPE_BYTES:
				RandomBytes(random, column, count);
				break;
		}
	}

	return block;
}

static bool
SameVarlena(const void *a, const void *b)
{
	if (a == NULL || b == NULL)
		return a == b;

	return VARSIZE(a) == VARSIZE(b) && memcmp(a, b, VARSIZE(a)) == 0;
}

static bool
SameColumn(const Column *a, const Column *b, int count)
{
	if (a->id != b->id || a->type != b->type)
		return false;

	for (int i = 0; i < count; i++)
	{
		switch ((ColumnType) a->type)
		{
			case COLUMN_TYPE_INT:
				if (a->ints[i] != b->ints[i])
					return false;
				break;
			case COLUMN_TYPE_VALUE:
				if (a->kinds[i] != b->kinds[i] ||
					DoubleToBits(a->numbers[i]) != DoubleToBits(b->numbers[i]))
					return false;
				if (!SameVarlena(a->json ? a->json[i] : NULL, b->json ? b->json[i] : NULL))
					return false;
				break;
			case COLUMN_TYPE_BYTES:
				if (!SameVarlena(a->bytes[i], b->bytes[i]))
					return false;
				break;
		}
	}

	return true;
}

/*
 * Are two blocks equal bit for bit?  Only those columns of a whose COLUMN_BIT
 * is in "columns" are expected in b.
 */
bool
SameBlock(const DataBlock *a, const DataBlock *b, uint32 columns)
{
	int			next = 0;

	if (a->count != b->count ||
		memcmp(a->times, b->times, a->count * sizeof(StreamTime)) != 0)
		return false;

	for (int i = 0; i < a->ncolumns; i++)
	{
		if ((columns & COLUMN_BIT(a->columns[i].id)) == 0)
			continue;
		if (next == b->ncolumns || !SameColumn(&a->columns[i], &b->columns[next], a->count))
			return false;
		next++;
	}

	return next == b->ncolumns;
}
