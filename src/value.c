/*-------------------------------------------------------------------------
 *
 * value.c
 *	  Values of datapoints: parsing, checking, output.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/jsonapi.h"
#include "common/shortest_dec.h"
#include "compat.h"
#include "errors.h"
#include "graph.h"
#include "json_build.h"
#include "mb/pg_wchar.h"
#include "stream.h"
#include "utils/builtins.h"
#include "utils/jsonfuncs.h"
#include "value.h"
#include "value_downsampler.h"

static const char *const ValueTypeNames[VALUE_TYPE_COUNT] = {
	"numeric", "nominal", "graph"
};

/*
 * Value types
 */

const char *
ValueTypeName(ValueType type)
{
	return ValueTypeNames[type];
}

/*
 * Returns the value type of a name; unknown ones are an error.
 */
ValueType
ParseValueType(const char *name)
{
	for (int type = 0; type < VALUE_TYPE_COUNT; type++)
	{
		if (strcmp(name, ValueTypeNames[type]) == 0)
			return (ValueType) type;
	}
	ereport(ERROR,
			(errcode(ERRCODE_DS_UNSUPPORTED_VALUE_TYPE),
			 errmsg("value type \"%s\" is not supported", name),
			 errhint("Supported value types are numeric, nominal and graph.")));
	pg_unreachable();
}

/*
 * Checks the options of a value type.  Returns them completed, as they are
 * stored: for numeric streams {"high_accuracy": boolean}, for others {}.  NULL
 * means the defaults.
 */
Jsonb *
CheckValueTypeOptions(ValueType type, Jsonb *options, bool *high_accuracy)
{
	JsonbParseState *state = NULL;

	*high_accuracy = false;
	if (options != NULL)
	{
		JsonbIterator *iterator;
		JsonbIteratorToken token;
		JsonbValue	value;

		if (!JB_ROOT_IS_OBJECT(options))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("value type options must be a JSON object")));

		iterator = JsonbIteratorInit(&options->root);
		while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		{
			char	   *name;

			if (token != WJB_KEY)
				continue;

			name = pnstrdup(value.val.string.val, value.val.string.len);
			if (type != VALUE_TYPE_NUMERIC || strcmp(name, "high_accuracy") != 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("value type \"%s\" has no option \"%s\"",
								ValueTypeName(type), name),
						 type == VALUE_TYPE_NUMERIC ?
						 errhint("Its option is \"high_accuracy\".") :
						 errhint("It has no options.")));

			(void) JsonbIteratorNext(&iterator, &value, true);
			if (value.type != jbvBool)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("option \"%s\" must be true or false", name)));
			*high_accuracy = value.val.boolean;
		}
	}

	if (type != VALUE_TYPE_NUMERIC)
		return EmptyObject();

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	PushKey(&state, "high_accuracy");
	PushBool(&state, WJB_VALUE, *high_accuracy);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * Numbers
 */

static inline Value
NullValue(void)
{
	Value		value = {VALUE_NULL, 0, NULL};

	return value;
}

/*
 * Holds a finite double.  There is no negative zero.
 */
Value
DoubleValue(double number)
{
	Value		value = {VALUE_DOUBLE, number == 0 ? 0 : number, NULL};

	return value;
}

static inline Value
JsonValue(Jsonb *json)
{
	Value		value = {VALUE_JSON, 0, json};

	return value;
}

/*
 * Returns a number as JSON.
 *
 * It is put together here as JsonbValueToJsonb() would do it, an array with one
 * element that is marked as a scalar, but without the latter's buffers.
 */
Jsonb *
JsonbFromNumeric(Numeric number)
{
	Size		size = offsetof(Jsonb, root.children) + sizeof(JEntry) + VARSIZE(number);
	Jsonb	   *result = palloc(size);

	SET_VARSIZE(result, size);
	result->root.header = 1 | JB_FARRAY | JB_FSCALAR;
	result->root.children[0] = JENTRY_ISNUMERIC | JENTRY_HAS_OFF | VARSIZE(number);
	memcpy(&result->root.children[1], number, VARSIZE(number));
	return result;
}

/*
 * Returns a finite double as JSON, in its shortest decimal form.
 */
Jsonb *
JsonbFromDouble(double number)
{
	return JsonbFromNumeric(NumericFromDouble(number));
}

/*
 * Adds a finite double to JSON in work, in its shortest decimal form; token is
 * WJB_VALUE or WJB_ELEM.
 */
void
PushDouble(JsonbParseState **state, JsonbIteratorToken token, double number)
{
	JsonbValue	value;

	value.type = jbvNumeric;
	value.val.numeric = NumericFromDouble(number);
	pushJsonbValue(state, token, &value);
}

/*
 * Adds a value of any kind to JSON in work; token is WJB_VALUE or WJB_ELEM.
 */
void
PushValue(JsonbParseState **state, JsonbIteratorToken token, const Value *value)
{
	JsonbValue	json;

	switch ((ValueKind) value->kind)
	{
		case VALUE_NULL:
			PushNull(state, token);
			break;
		case VALUE_DOUBLE:
			PushDouble(state, token, value->number);
			break;
		case VALUE_JSON:
			if (!JB_ROOT_IS_SCALAR(value->json) ||
				!JsonbExtractScalar(&value->json->root, &json))
				JsonbToJsonbValue(value->json, &json);
			pushJsonbValue(state, token, &json);
			break;
	}
}

/*
 * Holds a finite number as streams do: with high accuracy exactly, otherwise
 * as a double where that is exact or the number is no integer.
 */
Value
NumberFromNumeric(Numeric number, bool high_accuracy)
{
	double		nearest;

	if (high_accuracy)
		return JsonValue(JsonbFromNumeric(number));
	if (NumericToDoubleExactly(number, &nearest))
		return DoubleValue(nearest);
	if (NumericIsInteger(number))
		return JsonValue(JsonbFromNumeric(DatumGetNumeric(DirectFunctionCall2(numeric_trunc,
																			  NumericGetDatum(number),
																			  Int32GetDatum(0)))));
	if (isinf(nearest))
		return JsonValue(JsonbFromNumeric(number));
	return DoubleValue(nearest);
}

/*
 * Holds a number that has been rounded already, a quotient or a root, so that
 * its digits are not worth keeping: with high accuracy as it is, otherwise as a
 * double, or as an integer where it is beyond all of them.
 */
Value
RoundedNumber(Numeric number, bool high_accuracy)
{
	double		nearest;

	if (high_accuracy)
		return JsonValue(JsonbFromNumeric(number));
	nearest = NumericToDouble(number);
	if (isfinite(nearest))
		return DoubleValue(nearest);
	return JsonValue(JsonbFromNumeric(DatumGetNumeric(DirectFunctionCall2(numeric_round,
																		  NumericGetDatum(number),
																		  Int32GetDatum(0)))));
}

/*
 * Divides a number by a positive integer, with so many digits.  An integer that
 * is exactly the quotient keeps all of its digits.
 */
Value
DivideNumber(Numeric dividend, int64 divisor, int digits, bool high_accuracy)
{
	Numeric		quotient = DivideNumeric(dividend, divisor, digits);
	Numeric		product;

	if (!high_accuracy && NumericIsInteger(quotient))
	{
		product = MultiplyNumeric(quotient, int64_to_numeric(divisor));
		if (product != NULL && CompareNumeric(product, dividend) == 0)
			return NumberFromNumeric(quotient, false);
	}
	return RoundedNumber(quotient, high_accuracy);
}

/*
 * Returns whether a value is one number.
 */
bool
ValueIsNumber(const Value *value)
{
	JsonbValue	scalar;

	if (value->kind == VALUE_DOUBLE)
		return true;
	return value->kind == VALUE_JSON && JB_ROOT_IS_SCALAR(value->json) &&
		JsonbExtractScalar(&value->json->root, &scalar) && scalar.type == jbvNumeric;
}

/*
 * Returns the decimal that a number is.  It may point into the value.
 */
Numeric
NumericFromValue(const Value *value)
{
	JsonbValue	scalar;

	if (value->kind == VALUE_DOUBLE)
		return NumericFromDouble(value->number);

	if (value->kind != VALUE_JSON || !JsonbExtractScalar(&value->json->root, &scalar) ||
		scalar.type != jbvNumeric)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored value is not a number")));
	return scalar.val.numeric;
}

/*
 * Returns the double nearest to a number, infinity if it is beyond all doubles.
 */
double
ValueToDouble(const Value *value)
{
	return value->kind == VALUE_DOUBLE ? value->number :
		NumericToDouble(NumericFromValue(value));
}

/*
 * Orders two numbers, whatever their kinds: negative, 0 or positive.
 */
int
CompareNumbers(const Value *a, const Value *b)
{
	if (a->kind == VALUE_DOUBLE && b->kind == VALUE_DOUBLE)
		return a->number < b->number ? -1 : a->number > b->number;
	return CompareNumeric(NumericFromValue(a), NumericFromValue(b));
}

/*
 * Returns whether a value is a number below 0.
 */
bool
NumberIsNegative(const Value *number)
{
	if (number->kind == VALUE_DOUBLE)
		return number->number < 0;
	return number->kind == VALUE_JSON &&
		CompareNumeric(NumericFromValue(number), int64_to_numeric(0)) < 0;
}

/*
 * Finds a number under a key of an object; NULL if it is absent or no number.
 */
static Numeric
ObjectNumber(Jsonb *json, const char *key)
{
	JsonbValue	value;

	if (getKeyJsonValueFromContainer(&json->root, key, strlen(key), &value) == NULL ||
		value.type != jbvNumeric)
		return NULL;
	return value.val.numeric;
}

/*
 * Returns the number that a datapoint of a numeric stream stands for: itself,
 * or the mean of an already downsampled value, from its mean or else its sum
 * and count.  Null where there is none.
 */
Value
ValueMean(const Value *value, bool high_accuracy)
{
	Numeric		count;
	Numeric		number;
	int64		divisor;

	if (value->kind != VALUE_JSON || !JB_ROOT_IS_OBJECT(value->json))
		return *value;

	count = ObjectNumber(value->json, ValueDownsamplerKey(VALUE_COUNT));
	if (count == NULL)
		return NullValue();
	divisor = DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(count)));
	if (divisor <= 0)
		return NullValue();

	number = ObjectNumber(value->json, ValueDownsamplerKey(VALUE_MEAN));
	if (number != NULL)
		return NumberFromNumeric(number, high_accuracy);

	number = ObjectNumber(value->json, ValueDownsamplerKey(VALUE_SUM));
	if (number == NULL)
		return NullValue();
	return DivideNumber(number, divisor, HIGH_ACCURACY_DIGITS, high_accuracy);
}

/*
 * Returns whether a value is true in the sense of most languages: not null,
 * not false, not 0 and not empty.
 */
bool
ValueIsTrue(const Value *value)
{
	JsonbValue	scalar;

	if (value->kind == VALUE_NULL)
		return false;
	if (value->kind == VALUE_DOUBLE)
		return value->number != 0;
	if (!JB_ROOT_IS_SCALAR(value->json))
		return JB_ROOT_COUNT(value->json) > 0;

	(void) JsonbExtractScalar(&value->json->root, &scalar);
	switch (scalar.type)
	{
		case jbvBool:
			return scalar.val.boolean;
		case jbvNumeric:
			return CompareNumeric(scalar.val.numeric, int64_to_numeric(0)) != 0;
		case jbvString:
			return scalar.val.string.len > 0;
		default:
			return false;
	}
}

/*
 * Values of a stream
 */

/*
 * Raises the error for a number that no stream can hold.
 */
static void
RefuseNonFinite(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("value must be a finite number"),
			 errhint("Append NULL where there is no value.")));
}

/*
 * Raises the error for a number that is given to a graph stream.
 */
static void
RefuseNumber(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("value of a graph stream must be a graph, not a number")));
}

/*
 * Returns a double as a value of the stream, or raises an error.
 */
Value
ValueFromDouble(const StreamDef *def, double number)
{
	if (unlikely(!isfinite(number)))
		RefuseNonFinite();

	if (likely(def->value_type == VALUE_TYPE_NUMERIC && !def->high_accuracy))
		return DoubleValue(number);
	if (def->value_type == VALUE_TYPE_GRAPH)
		RefuseNumber();
	return JsonValue(JsonbFromDouble(number));
}

/*
 * As ValueFromDouble() for "count" doubles, aligned or not, which become "values";
 * false if not all of them can be values that are doubles.
 */
bool
ValuesFromDoubles(const StreamDef *def, const char *numbers, int count, double *values)
{
	uint64		largest = 0;

	if (def->value_type != VALUE_TYPE_NUMERIC || def->high_accuracy)
		return false;

	/* without their sign, infinities and NaN have the largest bits */
	for (int i = 0; i < count; i++)
	{
		double		number;
		uint64		bits;

		memcpy(&number, numbers + i * sizeof(number), sizeof(number));
		memcpy(&bits, &number, sizeof(bits));
		largest = Max(largest, bits << 1);
		values[i] = number == 0 ? 0 : number;
	}

	return largest < UINT64CONST(0x7FF) << 53;
}

/*
 * Returns an integer as a value of the stream, or raises an error.
 */
Value
ValueFromInt64(const StreamDef *def, int64 number)
{
	if (likely(def->value_type == VALUE_TYPE_NUMERIC && !def->high_accuracy &&
			   number <= (int64) DOUBLE_INTEGER_MAX &&
			   number >= -(int64) DOUBLE_INTEGER_MAX))
		return DoubleValue((double) number);
	return ValueFromNumeric(def, int64_to_numeric(number));
}

/*
 * Returns a decimal as a value of the stream, or raises an error.
 */
Value
ValueFromNumeric(const StreamDef *def, Numeric number)
{
	if (numeric_is_nan(number) || numeric_is_inf(number))
		RefuseNonFinite();

	if (def->value_type == VALUE_TYPE_NUMERIC)
		return NumberFromNumeric(number, def->high_accuracy);
	if (def->value_type == VALUE_TYPE_GRAPH)
		RefuseNumber();
	return JsonValue(JsonbFromNumeric(number));
}

/*
 * Returns a truth value as a value of the stream, or raises an error: it is one of
 * nominal streams only.
 */
Value
ValueFromBoolean(const StreamDef *def, bool boolean)
{
	JsonbValue	value;

	if (def->value_type != VALUE_TYPE_NOMINAL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value of a %s stream must not be a boolean", ValueTypeName(def->value_type)),
				 errhint("A boolean is a value of nominal streams.")));

	value.type = jbvBool;
	value.val.boolean = boolean;
	return JsonValue(JsonbValueToJsonb(&value));
}

/*
 * Returns JSON as a value of a numeric stream.
 */
static Value
NumericValueFromJsonb(const StreamDef *def, Jsonb *json, const JsonbValue *scalar)
{
	if (scalar != NULL && scalar->type == jbvNumeric)
		return def->high_accuracy ? JsonValue(json) :
			NumberFromNumeric(scalar->val.numeric, false);

	if (JB_ROOT_IS_OBJECT(json))
	{
		CheckDownsampledValue(def, json);
		return JsonValue(json);
	}

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("value of a numeric stream must be a number, null or an already downsampled value"),
			 errdetail("The value is JSON of type %s.",
					   scalar == NULL ? "array" : JsonbTypeName(unconstify(JsonbValue *, scalar)))));
	pg_unreachable();
}

/*
 * Returns JSON as a value of the stream, or raises an error.  JSON null is
 * null, as is a NULL pointer.  The value may share the JSON.
 */
Value
ValueFromJsonb(const StreamDef *def, Jsonb *json)
{
	JsonbValue	scalar;
	bool		is_scalar;

	if (json == NULL)
		return NullValue();

	is_scalar = JB_ROOT_IS_SCALAR(json) && JsonbExtractScalar(&json->root, &scalar);
	if (is_scalar && scalar.type == jbvNull)
		return NullValue();

	switch (def->value_type)
	{
		case VALUE_TYPE_NUMERIC:
			return NumericValueFromJsonb(def, json, is_scalar ? &scalar : NULL);
		case VALUE_TYPE_NOMINAL:
			break;
		case VALUE_TYPE_GRAPH:
			CheckGraph(json);
			break;
	}
	return JsonValue(json);
}

/*
 * Returns whether a text is JSON by its syntax.
 *
 * jsonb_in() refuses a little more, with errors of its own: the character
 * \u0000, and numbers beyond the range of numeric.
 */
static bool
IsJsonText(const char *str)
{
	return pg_parse_json(MakeJsonCheckContext(str, strlen(str)), &nullSemAction) == JSON_SUCCESS;
}

/*
 * Returns a label as a value of a nominal stream.
 */
static Value
LabelValue(const char *label)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, label);
	value.val.string.len = strlen(label);
	if (value.val.string.len > JENTRY_OFFLENMASK)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("label is too long"),
				 errdetail("A label cannot be longer than %d bytes.", JENTRY_OFFLENMASK)));
	return JsonValue(JsonbValueToJsonb(&value));
}

/*
 * Returns whether a text names a number that is not finite, as float8 and
 * numeric read it.
 */
static bool
IsNonFiniteText(const char *str, int len)
{
	static const char *const names[] = {"nan", "inf", "infinity"};

	if (len > 0 && (*str == '-' || *str == '+'))
	{
		str++;
		len--;
	}
	for (int i = 0; i < lengthof(names); i++)
	{
		if (len == strlen(names[i]) && pg_strncasecmp(str, names[i], len) == 0)
			return true;
	}
	return false;
}

/*
 * Returns a text as a value of a numeric stream, if it is a plain number.
 */
static bool
NumberFromText(const StreamDef *def, const char *str, Value *value)
{
	int			len;
	double		number;

	str += strspn(str, " \t\n\r");
	len = strlen(str);
	while (len > 0 && strchr(" \t\n\r", str[len - 1]) != NULL)
		len--;

	if (!def->high_accuracy && ScanDecimal(str, len, &number))
	{
		*value = DoubleValue(number);
		return true;
	}
	if (IsNonFiniteText(str, len))
		RefuseNonFinite();
	if (!IsDecimalText(str, len))
		return false;
	*value = ValueFromNumeric(def, NumericFromText(pnstrdup(str, len)));
	return true;
}

/*
 * Reads a text as the stream's type asks, or raises an error: a number or JSON
 * for numeric, JSON for graph; for nominal JSON if it parses, else the text
 * itself as a label.
 */
Value
ValueFromText(const StreamDef *def, const char *str)
{
	Value		value;

	if (def->value_type == VALUE_TYPE_NUMERIC && NumberFromText(def, str, &value))
		return value;

	if (!IsJsonText(str))
	{
		if (def->value_type == VALUE_TYPE_NOMINAL)
			return LabelValue(str);
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid value for a %s stream: \"%s\"",
						ValueTypeName(def->value_type),
						pnstrdup(str, pg_mbcliplen(str, strlen(str), 200))),
				 def->value_type == VALUE_TYPE_NUMERIC ?
				 errhint("Give a number, or JSON.") :
				 errhint("Give JSON.")));
	}
	return ValueFromJsonb(def, DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
																  CStringGetDatum(str))));
}

/*
 * Returns a value as JSON: NULL for null.  It may be shared with the value.
 */
Jsonb *
ValueToJsonb(const Value *value)
{
	switch ((ValueKind) value->kind)
	{
		case VALUE_NULL:
			return NULL;
		case VALUE_DOUBLE:
			return JsonbFromDouble(value->number);
		case VALUE_JSON:
			return value->json;
	}
	return NULL;
}
