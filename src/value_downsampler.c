/*-------------------------------------------------------------------------
 *
 * value_downsampler.c
 *	  The value downsamplers, and already downsampled values.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "errors.h"
#include "json_build.h"
#include "lib/stringinfo.h"
#include "stream.h"
#include "utils/builtins.h"
#include "value_downsampler.h"

/* The most datapoints that an already downsampled value may stand for */
#define DOWNSAMPLED_COUNT_MAX	INT64CONST(1000000000000000)

#define BIT(d)			VALUE_DOWNSAMPLER_BIT(d)
#define TYPE_BIT(t)		(((uint32) 1) << (t))

#define NUMERIC_ONLY	TYPE_BIT(VALUE_TYPE_NUMERIC)
#define LABELS_TOO		(TYPE_BIT(VALUE_TYPE_NUMERIC) | TYPE_BIT(VALUE_TYPE_NOMINAL))
#define ALL_TYPES		(LABELS_TOO | TYPE_BIT(VALUE_TYPE_GRAPH))

/* Every value downsampler, in the order of the enum */
static const struct
{
	const char *name;
	const char *key;			/* of its result */
	uint32		types;			/* value types that it fits */
	uint32		needs;			/* downsamplers that it depends on */
	uint32		columns;		/* from which it is shown */
	Value		(*result) (const ValueState *state);
}			Downsamplers[VALUE_DOWNSAMPLER_COUNT] =

{
	[VALUE_MEAN] = {
		"mean", "m", NUMERIC_ONLY,
		BIT(VALUE_SUM) | BIT(VALUE_COUNT),
		COLUMN_BIT(COLUMN_SUM),
		StateMean
	},
	[VALUE_SUM] = {
		"sum", "s", NUMERIC_ONLY,
		BIT(VALUE_COUNT),
		COLUMN_BIT(COLUMN_SUM),
		StateSum
	},
	[VALUE_MIN] = {
		"min", "l", NUMERIC_ONLY,
		BIT(VALUE_COUNT),
		COLUMN_BIT(COLUMN_MIN),
		StateMin
	},
	[VALUE_MAX] = {
		"max", "u", NUMERIC_ONLY,
		BIT(VALUE_COUNT),
		COLUMN_BIT(COLUMN_MAX),
		StateMax
	},
	[VALUE_SUM_SQUARES] = {
		"sum_squares", "q", NUMERIC_ONLY,
		BIT(VALUE_COUNT),
		COLUMN_BIT(COLUMN_SUM_SQUARES) | COLUMN_BIT(COLUMN_MOMENT),
		StateSumSquares
	},
	[VALUE_STD_DEV] = {
		"std_dev", "d", NUMERIC_ONLY,
		BIT(VALUE_SUM) | BIT(VALUE_SUM_SQUARES) | BIT(VALUE_COUNT),
		COLUMN_BIT(COLUMN_SUM) | COLUMN_BIT(COLUMN_SUM_SQUARES) | COLUMN_BIT(COLUMN_MOMENT),
		StateStdDev
	},
	[VALUE_COUNT] = {
		"count", "c", ALL_TYPES,
		0,
		COLUMN_BIT(COLUMN_COUNT),
		StateCount
	},
	[VALUE_MOST_OFTEN] = {
		"most_often", "o", LABELS_TOO,
		BIT(VALUE_FREQUENCIES) | BIT(VALUE_COUNT),
		COLUMN_BIT(COLUMN_FREQUENCIES),
		StateMostOften
	},
	[VALUE_LEAST_OFTEN] = {
		"least_often", "r", LABELS_TOO,
		BIT(VALUE_FREQUENCIES) | BIT(VALUE_COUNT),
		COLUMN_BIT(COLUMN_FREQUENCIES),
		StateLeastOften
	},
	[VALUE_FREQUENCIES] = {
		"frequencies", "f", LABELS_TOO,
		BIT(VALUE_COUNT),
		COLUMN_BIT(COLUMN_FREQUENCIES),
		StateFrequencies
	},
	[VALUE_MEDIAN] = {
		"median", "n", NUMERIC_ONLY,
		BIT(VALUE_COUNT),
		COLUMN_BIT(COLUMN_MEDIAN),
		StateMedian
	},
};

const char *
ValueDownsamplerName(ValueDownsampler downsampler)
{
	return Downsamplers[downsampler].name;
}

const char *
ValueDownsamplerKey(ValueDownsampler downsampler)
{
	return Downsamplers[downsampler].key;
}

/*
 * Sets of downsamplers
 */

/*
 * The set that a stream gets if none is asked for.
 */
uint32
DefaultValueDownsamplers(ValueType type)
{
	if (type != VALUE_TYPE_NUMERIC)
		return BIT(VALUE_COUNT);
	return BIT(VALUE_MEAN) | BIT(VALUE_SUM) | BIT(VALUE_MIN) | BIT(VALUE_MAX) |
		BIT(VALUE_SUM_SQUARES) | BIT(VALUE_STD_DEV) | BIT(VALUE_COUNT);
}

/*
 * The columns of a block from which a set of downsamplers is shown.
 */
uint32
ValueDownsamplerColumns(uint32 mask)
{
	uint32		columns = mask != 0 ? COLUMN_BIT(COLUMN_COUNT) : 0;

	for (int i = 0; i < VALUE_DOWNSAMPLER_COUNT; i++)
	{
		if (mask & BIT(i))
			columns |= Downsamplers[i].columns;
	}
	return columns;
}

/*
 * The names of a set of downsamplers as a list for a message
 */
static char *
ListNames(uint32 mask)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < VALUE_DOWNSAMPLER_COUNT; i++)
	{
		if (mask & BIT(i))
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", Downsamplers[i].name);
	}
	return names.data;
}

/*
 * Takes an array of names apart.  Nulls in it are an error, as is more than
 * one dimension.
 */
int
NamesFromArray(ArrayType *array, char ***names)
{
	Datum	   *elements;
	bool	   *nulls;
	int			count;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("array of downsamplers must have one dimension")));

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	*names = palloc(sizeof(char *) * (count + 1));
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("array of downsamplers must not contain nulls")));
		(*names)[i] = TextDatumGetCString(elements[i]);
	}
	return count;
}

/*
 * Makes an array of names.
 */
ArrayType *
ArrayFromNames(const char *const *names, int count)
{
	Datum	   *elements = palloc(sizeof(Datum) * (count + 1));

	for (int i = 0; i < count; i++)
		elements[i] = CStringGetTextDatum(names[i]);
	return construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT);
}

/*
 * Returns the downsampler of a name, or -1.
 */
static int
FindValueDownsampler(const char *name)
{
	for (int i = 0; i < VALUE_DOWNSAMPLER_COUNT; i++)
	{
		if (strcmp(name, Downsamplers[i].name) == 0)
			return i;
	}
	return -1;
}

/*
 * The set of downsamplers that a stream is asked to have, with all that they
 * depend on; none for an empty array.  NULL asks for the default.
 */
uint32
ParseValueDownsamplers(ArrayType *array, ValueType type)
{
	char	  **names;
	int			count;
	uint32		fitting = 0;
	uint32		mask = 0;

	if (array == NULL)
		return DefaultValueDownsamplers(type);

	for (int i = 0; i < VALUE_DOWNSAMPLER_COUNT; i++)
	{
		if (Downsamplers[i].types & TYPE_BIT(type))
			fitting |= BIT(i);
	}

	count = NamesFromArray(array, &names);
	for (int i = 0; i < count; i++)
	{
		int			found = FindValueDownsampler(names[i]);

		if (found < 0)
			ereport(ERROR,
					(errcode(ERRCODE_DS_UNSUPPORTED_DOWNSAMPLER),
					 errmsg("value downsampler \"%s\" is not supported", names[i]),
					 errhint("Value downsamplers of %s streams are %s.",
							 ValueTypeName(type), ListNames(fitting))));
		if (!(fitting & BIT(found)))
			ereport(ERROR,
					(errcode(ERRCODE_DS_UNSUPPORTED_DOWNSAMPLER),
					 errmsg("value downsampler \"%s\" does not fit value type \"%s\"",
							names[i], ValueTypeName(type)),
					 errhint("Value downsamplers of %s streams are %s.",
							 ValueTypeName(type), ListNames(fitting))));
		mask |= BIT(found) | Downsamplers[found].needs;
	}
	return mask;
}

/*
 * The downsamplers that a query asks for, of those that the stream has.  NULL
 * asks for all.
 */
uint32
ParseValueDownsamplerSelection(ArrayType *array, uint32 available)
{
	char	  **names;
	int			count;
	uint32		mask = 0;

	if (array == NULL)
		return available;

	count = NamesFromArray(array, &names);
	for (int i = 0; i < count; i++)
	{
		int			found = FindValueDownsampler(names[i]);

		if (found < 0 || !(available & BIT(found)))
			ereport(ERROR,
					(errcode(ERRCODE_DS_UNSUPPORTED_DOWNSAMPLER),
					 found < 0 ?
					 errmsg("value downsampler \"%s\" is not supported", names[i]) :
					 errmsg("stream does not have value downsampler \"%s\"", names[i]),
					 available != 0 ?
					 errhint("The stream has %s.", ListNames(available)) :
					 errhint("The stream has no value downsamplers.")));
		mask |= BIT(found);
	}
	return mask;
}

ArrayType *
ValueDownsamplerNames(uint32 mask)
{
	const char *names[VALUE_DOWNSAMPLER_COUNT];
	int			count = 0;

	for (int i = 0; i < VALUE_DOWNSAMPLER_COUNT; i++)
	{
		if (mask & BIT(i))
			names[count++] = Downsamplers[i].name;
	}
	return ArrayFromNames(names, count);
}

/*
 * Results
 */

/*
 * One result of a bucket; null where there is none.
 */
Value
ValueStateResult(const ValueState *state, ValueDownsampler which)
{
	return Downsamplers[which].result(state);
}

/*
 * The results of a bucket as an object with a key for each downsampler of a
 * set.
 */
Jsonb *
ValueStateToJsonb(const ValueState *state, uint32 mask)
{
	JsonbParseState *parse_state = NULL;

	pushJsonbValue(&parse_state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < VALUE_DOWNSAMPLER_COUNT; i++)
	{
		Value		result;

		if (!(mask & BIT(i)))
			continue;

		result = Downsamplers[i].result(state);
		PushKey(&parse_state, Downsamplers[i].key);
		PushValue(&parse_state, WJB_VALUE, &result);
	}
	return JsonbValueToJsonb(pushJsonbValue(&parse_state, WJB_END_OBJECT, NULL));
}

/*
 * Already downsampled values
 */

/*
 * Raises the error for an already downsampled value that cannot be one.
 */
static void
DownsampledError(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("already downsampled value is not valid"),
			 errdetail_internal("%s", detail)));
}

/*
 * Checks that an object has the keys of a set of downsamplers and no others.
 */
static void
CheckKeys(Jsonb *json, uint32 downsamplers)
{
	JsonbIterator *iterator = JsonbIteratorInit(&json->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	uint32		found = 0;

	if (downsamplers == 0)
		DownsampledError(_("The stream is not downsampled."));

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		char	   *key;
		uint32		bit = 0;

		if (token != WJB_KEY)
			continue;

		key = pnstrdup(value.val.string.val, value.val.string.len);
		for (int i = 0; i < VALUE_DOWNSAMPLER_COUNT; i++)
		{
			if ((downsamplers & BIT(i)) && strcmp(key, Downsamplers[i].key) == 0)
				bit = BIT(i);
		}
		if (bit == 0)
			DownsampledError(psprintf(_("The key \"%s\" is of none of the stream's value downsamplers."), key));
		found |= bit;
	}

	if (found != downsamplers)
	{
		StringInfoData missing;

		initStringInfo(&missing);
		for (int i = 0; i < VALUE_DOWNSAMPLER_COUNT; i++)
		{
			if (downsamplers & ~found & BIT(i))
				appendStringInfo(&missing, "%s\"%s\"", missing.len > 0 ? ", " : "",
								 Downsamplers[i].key);
		}
		DownsampledError(psprintf(_("Keys are missing: %s."), missing.data));
	}
}

/*
 * Reads a count: an integer from 0 on that is not too large.
 */
static int64
ReadCount(const char *key, Numeric number)
{
	int128		units;
	int			scale;

	if (!NumericToUnits(number, &units, &scale) ||
		units % Int128Power(scale) != 0 ||
		units < 0 || units / Int128Power(scale) > DOWNSAMPLED_COUNT_MAX)
		DownsampledError(psprintf(_("The value of \"%s\" is not an integer from 0 to %lld."),
								  key, (long long) DOWNSAMPLED_COUNT_MAX));
	return (int64) (units / Int128Power(scale));
}

/*
 * Reads a number.  One of more than 53 bits stays a decimal, so that it is not
 * mistaken for a rounded sum.
 */
static Value
ReadNumber(Numeric numeric, bool high_accuracy)
{
	Value		number = NumberFromNumeric(numeric, high_accuracy);

	if (number.kind == VALUE_DOUBLE && fabs(number.number) >= DOUBLE_INTEGER_MAX)
		number = NumberFromNumeric(numeric, true);
	return number;
}

/*
 * Reads the list of a key "f"; the sum of its counts must be "count" if that
 * is known (not negative).
 */
static void
CheckFrequencies(JsonbContainer *list, int64 count)
{
	int			length = JsonContainerSize(list);
	int64		total = 0;

	if (length > FREQUENCIES_MAX)
		DownsampledError(psprintf(_("The list of \"f\" has more than %d elements."), FREQUENCIES_MAX));

	for (int i = 0; i < length; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(list, i);
		JsonbContainer *object = element->val.binary.data;
		JsonbValue	value;
		JsonbValue	element_count;
		int64		n = 0;

		if (element->type != jbvBinary || !JsonContainerIsObject(object) ||
			JsonContainerSize(object) != 2 ||
			getKeyJsonValueFromContainer(object, "v", 1, &value) == NULL ||
			getKeyJsonValueFromContainer(object, "c", 1, &element_count) == NULL ||
			value.type != jbvNumeric || element_count.type != jbvNumeric)
			DownsampledError(psprintf(_("Element %d of \"f\" is not {\"v\": number, \"c\": number}."), i));
		else
			n = ReadCount("c", element_count.val.numeric);

		if (n == 0)
			DownsampledError(psprintf(_("Element %d of \"f\" has the count 0."), i));
		total += n;
		if (total > DOWNSAMPLED_COUNT_MAX)
			DownsampledError(_("The counts of \"f\" are too large."));
	}
	if (count >= 0 && total != count)
		DownsampledError(psprintf(_("The counts of \"f\" add up to %lld, not to the value of \"c\"."),
								  (long long) total));
}

/*
 * Reads an already downsampled value of a numeric stream with these
 * downsamplers, or raises an error if it is not one, or contradicts itself.
 * The parts may point into the JSON.
 */
void
ReadDownsampledValue(uint32 downsamplers, bool high_accuracy, Jsonb *json, ValueParts *parts)
{
	Value		numbers[VALUE_DOWNSAMPLER_COUNT];
	Value	   *low = &numbers[VALUE_MIN];
	Value	   *high = &numbers[VALUE_MAX];

	memset(parts, 0, sizeof(ValueParts));
	memset(numbers, 0, sizeof(numbers));
	CheckKeys(json, downsamplers);

	for (int i = 0; i < VALUE_DOWNSAMPLER_COUNT; i++)
	{
		const char *key = Downsamplers[i].key;
		JsonbValue	value;

		if (!(downsamplers & BIT(i)))
			continue;

		getKeyJsonValueFromContainer(&json->root, key, strlen(key), &value);
		if (value.type == jbvNull)
			continue;

		if (i == VALUE_FREQUENCIES)
		{
			if (value.type != jbvBinary || !JsonContainerIsArray(value.val.binary.data))
				DownsampledError(psprintf(_("The value of \"%s\" is neither a list nor null."), key));
			parts->frequencies = value.val.binary.data;
			continue;
		}
		if (value.type != jbvNumeric)
			DownsampledError(psprintf(_("The value of \"%s\" is neither a number nor null."), key));
		if (i == VALUE_COUNT)
			parts->count = ReadCount(key, value.val.numeric);
		else
			numbers[i] = ReadNumber(value.val.numeric, high_accuracy);
	}

	if (parts->frequencies != NULL)
		CheckFrequencies(parts->frequencies, parts->count > 0 ? parts->count : -1);
	if (low->kind != VALUE_NULL && high->kind != VALUE_NULL && CompareNumbers(low, high) > 0)
		DownsampledError(_("The value of \"l\" is greater than the value of \"u\"."));
	if (NumberIsNegative(&numbers[VALUE_STD_DEV]))
		DownsampledError(_("The value of \"d\" is negative."));
	if (NumberIsNegative(&numbers[VALUE_SUM_SQUARES]))
		DownsampledError(_("The value of \"q\" is negative."));

	parts->min = *low;
	parts->max = *high;
	parts->sum = numbers[VALUE_SUM];
	parts->sum_squares = numbers[VALUE_SUM_SQUARES];
	parts->median = numbers[VALUE_MEDIAN];
	SetPartsMoment(parts, downsamplers, &numbers[VALUE_STD_DEV], high_accuracy);
}

/*
 * Raises an error unless an object is an already downsampled value that fits
 * the stream.
 */
void
CheckDownsampledValue(const StreamDef *def, Jsonb *json)
{
	ValueParts	parts;

	ReadDownsampledValue(def->value_downsamplers, def->high_accuracy, json, &parts);
}
