/*-------------------------------------------------------------------------
 *
 * codec_int.c
 *	  Encoding of arrays of 64-bit integers.
 *
 * The array is replaced by its differences of order 0 (the values), 1 (from
 * one value to the next; a counter) or 2 (from one difference to the next; a
 * curve), of which those that promise to be smallest are packed into few bits
 * (codec_pack.c).  Equal values, or values on a straight line, need no bits at
 * all.  If there are few distinct values, they are stored once, the most
 * frequent first, and the array as indexes of them.
 *
 * Format:
 *
 *	byte	header: bits 0-1 form, bits 2-3 PACKED_* flags; other bits 0
 *	if form is the order of difference, 0 to 2:
 *		zigzag	first value			(order 1 and 2)
 *		zigzag	first difference	(order 2)
 *		packed	the differences (codec_pack.c)
 *	if form is DICTIONARY:
 *		varint	number of distinct values
 *		integers: the distinct values, in another form
 *		integers: the index of each value, in another form
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "codec.h"

#define FORM_MASK			0x03

/* Forms other than an order of difference */
#define ORDER_MAX			2
#define DICTIONARY			3
#define UNPLANNED			4	/* in a plan: not known yet */

/* How many numbers are looked at to choose the order of difference */
#define SAMPLE_RUN			24
#define SAMPLE_RUNS			4
#define SAMPLE_MAX			(SAMPLE_RUN * SAMPLE_RUNS)

/*
 * So few integers, as those of a head, are encoded again and again before they
 * come to rest in a full block: a plan must be cheap rather than good.
 */
#define FEW_MAX				32

/*
 * A dictionary is tried for so many numbers or more, if they need so many bits
 * each or more, and if so many of a few of them are distinct at most; it holds
 * so many at most.
 */
#define DICTIONARY_MIN_COUNT	64
#define DICTIONARY_MIN_BITS		2
#define DICTIONARY_SAMPLE		64
#define DICTIONARY_SAMPLE_MAX	48
#define DICTIONARY_MAX			256

/* Slots of a hash table of distinct values; half of it stays empty */
#define DICTIONARY_SLOT_BITS	9
#define DICTIONARY_SLOTS		(1 << DICTIONARY_SLOT_BITS)

/* The distinct values of an array, and for each value the index of its own */
typedef struct IntDictionary
{
	int			count;
	int64		values[DICTIONARY_MAX];
	uint16		frequency[DICTIONARY_MAX];
	uint16		slots[DICTIONARY_SLOTS];	/* index + 1, or 0; open addressing */
	int64	   *codes;			/* of MakeDictionary(), NULL before */
} IntDictionary;

/* The differences of an order; returns how many there are. */
static int
TakeDifferences(const int64 *values, int count, int order, uint64 *differences)
{
	const uint64 *v = (const uint64 *) values;

	for (int i = order; i < count; i++)
	{
		switch (order)
		{
			case 0:
				differences[i] = v[i];
				break;
			case 1:
				differences[i - 1] = v[i] - v[i - 1];
				break;
			case 2:
				differences[i - 2] = v[i] - 2 * v[i - 1] + v[i - 2];
				break;
		}
	}

	return count - order;
}

/* The bytes of what precedes the packed differences */
static int
StartSize(const int64 *values, int order)
{
	int			size = 1;

	if (order >= 1)
		size += VarintSize(ZigZag(values[0]));
	if (order == 2)
		size += VarintSize(ZigZag((int64) ((uint64) values[1] - (uint64) values[0])));

	return size;
}

/* Finds a good packing of the differences of an order. */
static void
PlanOrder(const int64 *values, int count, int order, IntPlan *plan)
{
	uint64	   *differences = ScratchArray(uint64, count);
	int			ndifferences = TakeDifferences(values, count, order, differences);

	PlanPacking(differences, ndifferences, &plan->packing);
	pfree(differences);
	plan->form = order;
	plan->size = StartSize(values, order) + plan->packing.size;
}

/* What is known of the differences of an order from a few of them */
typedef struct OrderSample
{
	int			count;
	uint64		differences[SAMPLE_MAX];
	int			width;			/* sum of their widths around the first one */
	int64		lowest;
	int64		highest;
} OrderSample;

static inline void
AddToSample(OrderSample *sample, uint64 difference)
{
	int64		d = difference;

	if (sample->count == 0)
		sample->lowest = sample->highest = d;
	sample->lowest = Min(sample->lowest, d);
	sample->highest = Max(sample->highest, d);
	sample->differences[sample->count++] = difference;
	sample->width += BitWidth(ZigZag((int64) (difference - sample->differences[0])));
}

/* Takes the differences of all orders from a few runs of an array. */
static void
TakeOrderSamples(const int64 *values, int count, OrderSample *samples)
{
	int			nruns = count > SAMPLE_MAX ? SAMPLE_RUNS : 1;
	int			run = nruns > 1 ? SAMPLE_RUN : count;

	for (int order = 0; order <= ORDER_MAX; order++)
		samples[order].count = samples[order].width = 0;

	for (int r = 0; r < nruns; r++)
	{
		const uint64 *v = (const uint64 *) values +
			(nruns > 1 ? r * (count - run) / (nruns - 1) : 0);

		for (int i = ORDER_MAX; i < run; i++)
		{
			AddToSample(&samples[0], v[i]);
			AddToSample(&samples[1], v[i] - v[i - 1]);
			AddToSample(&samples[2], v[i] - 2 * v[i - 1] + v[i - 2]);
		}
	}
}

/*
 * Estimates the bytes that an array needs with each order of difference, from
 * a few runs of it.  Returns the smallest.
 */
static int
EstimateOrders(const int64 *values, int count, int *sizes)
{
	OrderSample samples[ORDER_MAX + 1];
	int			narrowest = PG_INT32_MAX;
	int			smallest = PG_INT32_MAX;

	Assert(count > ORDER_MAX);

	TakeOrderSamples(values, count, samples);
	for (int order = 0; order <= ORDER_MAX; order++)
		narrowest = Min(narrowest, samples[order].width);

	for (int order = 0; order <= ORDER_MAX; order++)
	{
		const OrderSample *sample = &samples[order];

		if (count <= SAMPLE_MAX)
		{
			/* either with exceptions, or so wide that there are none */
			uint64		range = (uint64) sample->highest - (uint64) sample->lowest;

			sizes[order] = StartSize(values, order) +
				Min(sample->width + count / 2, count * BitWidth(range)) / 8;
		}
		else if (sample->width <= narrowest + narrowest / 8 + sample->count)
		{
			Packing		packing;
			int			base_size;

			PlanPacking(sample->differences, sample->count, &packing);
			base_size = VarintSize(ZigZag((int64) packing.base));
			sizes[order] = StartSize(values, order) + base_size +
				(packing.size - base_size) * (count - order) / sample->count;
		}
		else
			sizes[order] = PG_INT32_MAX;	/* cannot be better than the narrowest */

		smallest = Min(smallest, sizes[order]);
	}

	return smallest;
}

/*
 * Finds the order of difference, and the packing, in which an array needs the
 * least bytes.
 */
static void
PlanDifferences(const int64 *values, int count, IntPlan *plan)
{
	int			sizes[ORDER_MAX + 1] = {0};
	int			limit = 0;

	/* estimates from a part of the array may be wrong by a few percent */
	if (count > ORDER_MAX)
		limit = EstimateOrders(values, count, sizes);
	if (count > SAMPLE_MAX)
		limit += limit / 16;

	plan->size = PG_INT32_MAX;
	for (int order = 0; order <= Min(ORDER_MAX, count - 1); order++)
	{
		IntPlan		order_plan;

		if (sizes[order] > limit)
			continue;
		PlanOrder(values, count, order, &order_plan);
		if (order_plan.size < plan->size)
			*plan = order_plan;
	}
}

/*
 * The index of a value in a dictionary, to which it is added if it is not
 * there; -1 if there is no room for it.
 */
static inline int
LookUpInt(IntDictionary *dictionary, int64 value)
{
	/* Fibonacci hashing (Knuth, vol. 3, 6.4) */
	int			slot = ((uint64) value * UINT64CONST(0x9E3779B97F4A7C15)) >>
		(64 - DICTIONARY_SLOT_BITS);

	for (;; slot = (slot + 1) % DICTIONARY_SLOTS)
	{
		int			index = dictionary->slots[slot] - 1;

		if (index < 0)
		{
			if (dictionary->count == DICTIONARY_MAX)
				return -1;
			index = dictionary->count++;
			dictionary->slots[slot] = index + 1;
			dictionary->values[index] = value;
			dictionary->frequency[index] = 0;
			return index;
		}
		if (dictionary->values[index] == value)
			return index;
	}
}

static void
ClearDictionary(IntDictionary *dictionary)
{
	dictionary->count = 0;
	dictionary->codes = NULL;
	memset(dictionary->slots, 0, sizeof(dictionary->slots));
}

/*
 * Whether a dictionary may need less than "size" bytes for an array, judged by
 * a few of its values, which the dictionary has afterwards.
 */
static bool
HasFewDistinct(const int64 *values, int count, int size, IntDictionary *dictionary)
{
	int			nsample = Min(count, DICTIONARY_SAMPLE);

	if (count < DICTIONARY_MIN_COUNT || size * 8 < count * DICTIONARY_MIN_BITS)
		return false;

	ClearDictionary(dictionary);
	for (int i = 0; i < nsample; i++)
		(void) LookUpInt(dictionary, values[i * count / nsample]);

	/* codes of a quarter less than the size let hope for a gain */
	return dictionary->count <= nsample * DICTIONARY_SAMPLE_MAX / DICTIONARY_SAMPLE &&
		count * BitWidth(dictionary->count) / 8 < size - size / 4;
}

/*
 * Makes the dictionary of an array, the most frequent first, so that codes are
 * small.  Returns false if there are too many distinct values; else its codes
 * are to be freed.
 */
static bool
MakeDictionary(const int64 *values, int count, IntDictionary *dictionary)
{
	int			order[DICTIONARY_MAX];
	int			rank[DICTIONARY_MAX];
	int64		sorted[DICTIONARY_MAX];

	ClearDictionary(dictionary);
	dictionary->codes = ScratchArray(int64, count);
	for (int i = 0; i < count; i++)
	{
		int			index = LookUpInt(dictionary, values[i]);

		if (index < 0)
		{
			pfree(dictionary->codes);
			return false;
		}
		dictionary->frequency[index]++;
		dictionary->codes[i] = index;
	}

	for (int i = 0; i < dictionary->count; i++)
	{
		int			j = i;

		for (; j > 0 && dictionary->frequency[order[j - 1]] < dictionary->frequency[i]; j--)
			order[j] = order[j - 1];
		order[j] = i;
	}
	for (int i = 0; i < dictionary->count; i++)
	{
		rank[order[i]] = i;
		sorted[i] = dictionary->values[order[i]];
	}
	memcpy(dictionary->values, sorted, dictionary->count * sizeof(int64));
	for (int i = 0; i < count; i++)
		dictionary->codes[i] = rank[dictionary->codes[i]];

	return true;
}

/* Replaces a plan if a dictionary needs less bytes. */
static void
ConsiderDictionary(const int64 *values, int count, IntPlan *plan)
{
	IntDictionary dictionary;
	IntPlan		values_plan;
	IntPlan		codes_plan;
	int			size;

	if (!HasFewDistinct(values, count, plan->size, &dictionary) ||
		!MakeDictionary(values, count, &dictionary))
		return;

	PlanDifferences(dictionary.values, dictionary.count, &values_plan);
	PlanDifferences(dictionary.codes, count, &codes_plan);
	pfree(dictionary.codes);
	size = 1 + VarintSize(dictionary.count) + values_plan.size + codes_plan.size;
	if (size < plan->size)
	{
		plan->form = DICTIONARY;
		plan->size = size;
	}
}

static bool
AllEqual(const int64 *values, int count)
{
	uint64		difference = 0;

	for (int i = 1; i < count; i++)
		difference |= (uint64) values[i] ^ (uint64) values[0];

	return difference == 0;
}

static void
PlanEqual(const int64 *values, IntPlan *plan)
{
	plan->form = 0;
	plan->packing.base = values[0];
	plan->packing.width = 0;
	plan->packing.nexceptions = 0;
	plan->packing.size = VarintSize(ZigZag(values[0]));
	plan->size = 1 + plan->packing.size;
}

/*
 * Plans an order of difference whose extremes are known, without exceptions.
 */
static void
PlanRange(const int64 *values, int count, int order, int64 lowest, int64 highest, IntPlan *plan)
{
	Packing    *packing = &plan->packing;

	packing->base = lowest;
	packing->width = BitWidth((uint64) highest - (uint64) lowest);
	packing->nexceptions = 0;
	packing->size = VarintSize(ZigZag(lowest)) + (packing->width > 0) +
		((count - order) * packing->width + 7) / 8;
	plan->form = order;
	plan->size = StartSize(values, order) + packing->size;
}

/*
 * Plans few integers, but more than one.
 */
static void
PlanFew(const int64 *values, int count, IntPlan *plan)
{
	const uint64 *v = (const uint64 *) values;
	int64		lowest[2] = {Min(values[0], values[1]), v[1] - v[0]};
	int64		highest[2] = {Max(values[0], values[1]), v[1] - v[0]};
	IntPlan		delta_plan;

	for (int i = 2; i < count; i++)
	{
		int64		delta = v[i] - v[i - 1];

		lowest[0] = Min(lowest[0], values[i]);
		highest[0] = Max(highest[0], values[i]);
		lowest[1] = Min(lowest[1], delta);
		highest[1] = Max(highest[1], delta);
	}

	PlanRange(values, count, 0, lowest[0], highest[0], plan);
	PlanRange(values, count, 1, lowest[1], highest[1], &delta_plan);
	if (delta_plan.size < plan->size)
		*plan = delta_plan;
}

/*
 * Finds a way to encode up to CODEC_MAX_COUNT integers in few bytes, but at
 * least one of them.
 */
void
PlanInts(const int64 *values, int count, IntPlan *plan)
{
	Assert(count >= 1 && count <= CODEC_MAX_COUNT);

	if (AllEqual(values, count))
		PlanEqual(values, plan);
	else if (count <= FEW_MAX)
		PlanFew(values, count, plan);
	else
	{
		PlanDifferences(values, count, plan);
		ConsiderDictionary(values, count, plan);
	}
}

/*
 * As PlanInts, but cheaper: for many integers only the size is estimated, and
 * WriteInts makes the plan then.
 */
void
EstimateInts(const int64 *values, int count, IntPlan *plan)
{
	IntDictionary dictionary;
	int			sizes[ORDER_MAX + 1];

	plan->form = UNPLANNED;
	if (count > SAMPLE_MAX)
		plan->size = EstimateOrders(values, count, sizes);

	/* what a dictionary needs can only be tried */
	if (count <= SAMPLE_MAX || HasFewDistinct(values, count, plan->size, &dictionary))
		PlanInts(values, count, plan);
}

/* Appends integers as the differences of an order. */
static void
WriteDifferences(StringInfo buf, const int64 *values, int count, const IntPlan *plan)
{
	uint64	   *differences = ScratchArray(uint64, count);
	int			ndifferences = TakeDifferences(values, count, plan->form, differences);

	WriteByte(buf, plan->form | PackingFlags(&plan->packing));
	if (plan->form >= 1)
		WriteVarint(buf, ZigZag(values[0]));
	if (plan->form == 2)
		WriteVarint(buf, ZigZag((int64) ((uint64) values[1] - (uint64) values[0])));
	WritePacked(buf, differences, ndifferences, &plan->packing);
	pfree(differences);
}

/* Appends integers as a dictionary and indexes. */
static void
WriteDictionary(StringInfo buf, const int64 *values, int count)
{
	IntDictionary dictionary;
	IntPlan		plan;

	(void) MakeDictionary(values, count, &dictionary);
	WriteByte(buf, DICTIONARY);
	WriteVarint(buf, dictionary.count);
	PlanDifferences(dictionary.values, dictionary.count, &plan);
	WriteDifferences(buf, dictionary.values, dictionary.count, &plan);
	PlanDifferences(dictionary.codes, count, &plan);
	WriteDifferences(buf, dictionary.codes, count, &plan);
	pfree(dictionary.codes);
}

/* Appends the encoding of integers that PlanInts or EstimateInts has planned. */
void
WriteInts(StringInfo buf, const int64 *values, int count, IntPlan *plan)
{
	if (plan->form == UNPLANNED)
		PlanInts(values, count, plan);

	if (plan->form == DICTIONARY)
		WriteDictionary(buf, values, count);
	else
		WriteDifferences(buf, values, count, plan);
}

/*
 * Appends the encoding of up to CODEC_MAX_COUNT integers, nothing for none of
 * them.
 */
void
EncodeInts(StringInfo buf, const int64 *values, int count)
{
	IntPlan		plan;

	if (count < 1)
		return;

	PlanInts(values, count, &plan);
	WriteInts(buf, values, count, &plan);
}

/* Reads integers that are differences; "header" has been read. */
static void
ReadDifferences(Reader *reader, int64 *values, int count, uint8 header)
{
	uint64	   *numbers = (uint64 *) values;
	int			order = header & FORM_MASK;
	uint64		last = 0;
	uint64		difference = 0;

	if ((header & ~(FORM_MASK | PACKED_FLAGS)) != 0 || order > ORDER_MAX || order >= count)
		ReportDamagedBlock("It has integers in an unknown encoding.");

	if (order >= 1)
		last = ReadZigZag(reader);
	if (order == 2)
		difference = ReadZigZag(reader);
	ReadPacked(reader, numbers + order, count - order, header & PACKED_FLAGS);

	if (order == 1)
	{
		numbers[0] = last;
		for (int i = 1; i < count; i++)
		{
			last += numbers[i];
			numbers[i] = last;
		}
	}
	else if (order == 2)
	{
		numbers[0] = last;
		last += difference;
		numbers[1] = last;
		for (int i = 2; i < count; i++)
		{
			difference += numbers[i];
			last += difference;
			numbers[i] = last;
		}
	}
}

/* Reads integers that are a dictionary and indexes. */
static void
ReadDictionary(Reader *reader, int64 *values, int count)
{
	int64		distinct[DICTIONARY_MAX];
	uint64		ndistinct = ReadVarint(reader);
	uint64		largest = 0;

	if (ndistinct < 1 || ndistinct > DICTIONARY_MAX)
		ReportDamagedBlock("It has a dictionary of an impossible size.");
	ReadDifferences(reader, distinct, (int) ndistinct, ReadByte(reader));

	ReadDifferences(reader, values, count, ReadByte(reader));
	for (int i = 0; i < count; i++)
		largest = Max(largest, (uint64) values[i]);
	if (largest >= ndistinct)
		ReportDamagedBlock("It has an integer that is not in the dictionary.");
	for (int i = 0; i < count; i++)
		values[i] = distinct[values[i]];
}

/*
 * Appends the encoding of any number of integers that are all equal.
 */
void
EncodeConstant(StringInfo buf, int64 value)
{
	WriteByte(buf, 0);
	WriteVarint(buf, ZigZag(value));
}

/*
 * Reads the encoding of integers if they are all equal, and sets *value to them;
 * else reads nothing and returns false.
 */
bool
DecodeConstant(Reader *reader, uint64 *value)
{
	if (BytesLeft(reader) < 1 || *reader->next != 0)
		return false;
	(void) ReadByte(reader);
	*value = ReadZigZag(reader);

	return true;
}

/* Reads the encoding of "count" integers. */
void
DecodeInts(Reader *reader, int64 *values, int count)
{
	uint8		header;

	if (count < 1)
		return;

	header = ReadByte(reader);
	if (header == DICTIONARY)
		ReadDictionary(reader, values, count);
	else
		ReadDifferences(reader, values, count, header);
}

/* What people call the encoding of integers that is read next */
const char *
IntsEncodingName(Reader reader)
{
	uint8		header = ReadByte(&reader);

	switch (header & FORM_MASK)
	{
		case 0:
			return header & PACKED_FLAGS ? "frame of reference" : "constant";
		case 1:
			return "delta";
		case 2:
			return "delta of delta";
		default:
			return "dictionary";
	}
}
