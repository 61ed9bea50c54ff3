/*-------------------------------------------------------------------------
 *
 * frequencies.c
 *	  How often each value occurs in a bucket.
 *
 * Two values are the same if they are equal as jsonb: 1 and 1.0 are.  Of equal
 * values the first one is kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "frequencies.h"
#include "json_build.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* A table that has grown beyond this is made anew for the next bucket. */
#define TABLE_KEPT_SIZE		1024

#define TABLE_INITIAL_SIZE	64

typedef struct Frequency
{
	Value		value;
	int64		count;
	uint32		hash;
	char		status;			/* for simplehash */
} Frequency;

static uint32 HashValue(const Value *value);
static bool ValuesEqual(const Value *a, const Value *b);

#define SH_PREFIX			frequency
#define SH_ELEMENT_TYPE		Frequency
#define SH_KEY_TYPE			Value
#define SH_KEY				value
#define SH_HASH_KEY(tb, key)	HashValue(&(key))
#define SH_EQUAL(tb, a, b)	ValuesEqual(&(a), &(b))
#define SH_SCOPE			static inline
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a)	(a)->hash
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct Frequencies
{
	MemoryContext context;		/* of the table */
	MemoryContext values;		/* of the values' JSON; made when needed */
	bool		numbers;		/* JSON numbers are held as doubles if they can */
	frequency_hash *table;
	Frequency  *latest;			/* the entry counted last, or NULL */
};

static uint32
HashValue(const Value *value)
{
	uint64		bits;

	if (value->kind == VALUE_JSON)
		return DatumGetUInt32(DirectFunctionCall1(jsonb_hash, JsonbPGetDatum(value->json)));

	/* Fibonacci hashing: the high bits of the product depend on all bits */
	memcpy(&bits, &value->number, sizeof(bits));
	return (uint32) ((bits * UINT64CONST(0x9E3779B97F4A7C15)) >> 32);
}

static bool
ValuesEqual(const Value *a, const Value *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == VALUE_DOUBLE)
		return a->number == b->number;
	if (VARSIZE(a->json) == VARSIZE(b->json) &&
		memcmp(a->json, b->json, VARSIZE(a->json)) == 0)
		return true;
	return compareJsonbContainers(&a->json->root, &b->json->root) == 0;
}

/*
 * Makes an empty count.  "numbers" says that the values are numbers of a
 * stream without high accuracy, which may come as doubles and as JSON.
 */
Frequencies *
CreateFrequencies(MemoryContext context, bool numbers)
{
	Frequencies *result = MemoryContextAllocZero(context, sizeof(Frequencies));

	result->context = context;
	result->numbers = numbers;
	result->table = frequency_create(context, TABLE_INITIAL_SIZE, NULL);
	return result;
}

/*
 * Makes the count empty again.
 */
void
ResetFrequencies(Frequencies *frequencies)
{
	if (frequencies->table->members == 0)
		return;

	frequencies->latest = NULL;
	if (frequencies->table->size <= TABLE_KEPT_SIZE)
		frequency_reset(frequencies->table);
	else
	{
		frequency_destroy(frequencies->table);
		frequencies->table = frequency_create(frequencies->context, TABLE_INITIAL_SIZE, NULL);
	}
	if (frequencies->values != NULL)
		MemoryContextReset(frequencies->values);
}

/*
 * Counts a value whose kind is the one under which it is kept.
 */
static void
CountKey(Frequencies *frequencies, const Value *key, int64 count)
{
	Frequency  *entry;
	bool		found;

	/* often many equal values follow each other */
	if (frequencies->latest != NULL && ValuesEqual(&frequencies->latest->value, key))
	{
		frequencies->latest->count += count;
		return;
	}

	entry = frequency_insert(frequencies->table, *key, &found);
	if (!found)
	{
		if (frequencies->table->members > FREQUENCIES_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("bucket has more than %d different values", FREQUENCIES_MAX),
					 errhint("The downsamplers \"most_often\", \"least_often\" and \"frequencies\" are for values that repeat.")));

		entry->count = 0;
		if (key->kind == VALUE_JSON)
		{
			if (frequencies->values == NULL)
				frequencies->values = AllocSetContextCreate(frequencies->context,
															"datastream frequencies",
															ALLOCSET_DEFAULT_SIZES);
			entry->value.json = MemoryContextAllocHuge(frequencies->values, VARSIZE(key->json));
			memcpy(entry->value.json, key->json, VARSIZE(key->json));
		}
	}
	entry->count += count;
	frequencies->latest = entry;
}

/*
 * Counts doubles, once each.
 */
void
CountDoubles(Frequencies *frequencies, const double *numbers, int n)
{
	Value		key = {VALUE_DOUBLE};

	for (int i = 0; i < n; i++)
	{
		key.number = numbers[i];
		CountKey(frequencies, &key, 1);
	}
}

/*
 * Counts a value, that is not null, several times.
 */
void
CountValue(Frequencies *frequencies, const Value *value, int64 count)
{
	Value		key = *value;

	if (frequencies->numbers && key.kind == VALUE_JSON && ValueIsNumber(&key) &&
		NumericToDoubleExactly(NumericFromValue(&key), &key.number))
	{
		key.kind = VALUE_DOUBLE;
		key.json = NULL;
	}
	CountKey(frequencies, &key, count);
}

/*
 * Adds another count.
 */
void
MergeFrequencies(Frequencies *frequencies, const Frequencies *other)
{
	frequency_iterator iterator;
	Frequency  *entry;

	frequency_start_iterate(other->table, &iterator);
	while ((entry = frequency_iterate(other->table, &iterator)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		CountKey(frequencies, &entry->value, entry->count);
	}
}

/*
 * Orders values as jsonb orders them.
 */
static int
CompareValues(const Value *a, const Value *b)
{
	if (a->kind == VALUE_DOUBLE && b->kind == VALUE_DOUBLE)
		return a->number < b->number ? -1 : a->number > b->number;
	return compareJsonbContainers(&ValueToJsonb(a)->root, &ValueToJsonb(b)->root);
}

/* The most frequent first, then by value */
static int
CompareFrequencies(const void *a, const void *b)
{
	const Frequency *fa = *(Frequency *const *) a;
	const Frequency *fb = *(Frequency *const *) b;

	if (fa->count != fb->count)
		return fa->count > fb->count ? -1 : 1;
	return CompareValues(&fa->value, &fb->value);
}

/*
 * Returns the counts as JSON: [{"v": value, "c": count}, ...], most frequent
 * first, then by value.
 */
Jsonb *
FrequenciesToJsonb(const Frequencies *frequencies)
{
	JsonbParseState *state = NULL;
	frequency_iterator iterator;
	Frequency  *entry;
	Frequency **entries;
	int			count = 0;

	entries = palloc(sizeof(Frequency *) * ((Size) frequencies->table->members + 1));
	frequency_start_iterate(frequencies->table, &iterator);
	while ((entry = frequency_iterate(frequencies->table, &iterator)) != NULL)
		entries[count++] = entry;
	qsort(entries, count, sizeof(Frequency *), CompareFrequencies);

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < count; i++)
	{
		JsonbValue	number;

		CHECK_FOR_INTERRUPTS();
		number.type = jbvNumeric;
		number.val.numeric = int64_to_numeric(entries[i]->count);

		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		PushKey(&state, "v");
		PushValue(&state, WJB_VALUE, &entries[i]->value);
		PushKey(&state, "c");
		pushJsonbValue(&state, WJB_VALUE, &number);
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	pfree(entries);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/*
 * Adds counts in the form that FrequenciesToJsonb() makes.  Returns false if
 * the JSON is of another form.
 */
bool
AddFrequenciesFromJsonb(Frequencies *frequencies, JsonbContainer *list)
{
	int			length = JsonContainerSize(list);

	for (int i = 0; i < length; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(list, i);
		JsonbContainer *object = element->val.binary.data;
		JsonbValue	value;
		JsonbValue	count;
		Value		key = {VALUE_JSON};

		CHECK_FOR_INTERRUPTS();
		if (element->type != jbvBinary || !JsonContainerIsObject(object) ||
			getKeyJsonValueFromContainer(object, "v", 1, &value) == NULL ||
			getKeyJsonValueFromContainer(object, "c", 1, &count) == NULL ||
			count.type != jbvNumeric)
			return false;

		key.json = JsonbValueToJsonb(&value);
		CountValue(frequencies, &key,
				   DatumGetInt64(DirectFunctionCall1(numeric_int8,
													 NumericGetDatum(count.val.numeric))));
		pfree(key.json);
		pfree(element);
	}
	return true;
}

/*
 * Returns the value with the extreme count: the largest if direction is 1, the
 * smallest if it is -1; of equals the smallest value.  Null if there is none.
 */
static Value
ExtremeFrequency(const Frequencies *frequencies, int direction)
{
	frequency_iterator iterator;
	Frequency  *entry;
	Frequency  *best = NULL;
	Value		none = {VALUE_NULL};

	frequency_start_iterate(frequencies->table, &iterator);
	while ((entry = frequency_iterate(frequencies->table, &iterator)) != NULL)
	{
		if (best == NULL ||
			(direction > 0 ? entry->count > best->count : entry->count < best->count) ||
			(entry->count == best->count &&
			 CompareValues(&entry->value, &best->value) < 0))
			best = entry;
	}
	return best != NULL ? best->value : none;
}

Value
MostOften(const Frequencies *frequencies)
{
	return ExtremeFrequency(frequencies, 1);
}

Value
LeastOften(const Frequencies *frequencies)
{
	return ExtremeFrequency(frequencies, -1);
}
