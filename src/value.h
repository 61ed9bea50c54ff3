/*-------------------------------------------------------------------------
 *
 * value.h
 *	  Values of datapoints: parsing, checking, output.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_VALUE_H
#define DS_VALUE_H

#include "decimal.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

typedef enum ValueType
{
	VALUE_TYPE_NUMERIC,
	VALUE_TYPE_NOMINAL,
	VALUE_TYPE_GRAPH
} ValueType;

#define VALUE_TYPE_COUNT	(VALUE_TYPE_GRAPH + 1)

/*
 * How a value is held.  A number that a double gives back digit for digit is
 * a VALUE_DOUBLE; everything else that is not null is VALUE_JSON: longer
 * integers and exact decimals (a scalar number), already downsampled values
 * (an object), and all values of nominal and graph streams.
 */
typedef enum ValueKind
{
	VALUE_NULL,
	VALUE_DOUBLE,
	VALUE_JSON
} ValueKind;

typedef struct Value
{
	uint8		kind;			/* ValueKind */
	double		number;			/* VALUE_DOUBLE */
	Jsonb	   *json;			/* VALUE_JSON, never toasted, full header */
} Value;

struct StreamDef;

extern const char *ValueTypeName(ValueType type);
extern ValueType ParseValueType(const char *name);
extern Jsonb *CheckValueTypeOptions(ValueType type, Jsonb *options, bool *high_accuracy);

/* A value as the stream's type wants it, or an error; json may be NULL. */
extern Value ValueFromJsonb(const struct StreamDef *def, Jsonb *json);
extern Value ValueFromText(const struct StreamDef *def, const char *str);
extern Value ValueFromDouble(const struct StreamDef *def, double number);
extern bool ValuesFromDoubles(const struct StreamDef *def, const char *numbers, int count,
							  double *values);
extern Value ValueFromBoolean(const struct StreamDef *def, bool boolean);
extern Value ValueFromInt64(const struct StreamDef *def, int64 number);
extern Value ValueFromNumeric(const struct StreamDef *def, Numeric number);

extern Jsonb *ValueToJsonb(const Value *value);	/* NULL for null */

/* Significant digits of quotients and roots in streams with high accuracy */
#define HIGH_ACCURACY_DIGITS	66

/* Numbers */
extern Value DoubleValue(double number);
extern Value NumberFromNumeric(Numeric number, bool high_accuracy);
extern Value RoundedNumber(Numeric number, bool high_accuracy);
extern Value DivideNumber(Numeric dividend, int64 divisor, int digits, bool high_accuracy);
extern Numeric NumericFromValue(const Value *value);	/* a number, not an object */
extern bool ValueIsNumber(const Value *value);
extern Jsonb *JsonbFromDouble(double number);
extern Jsonb *JsonbFromNumeric(Numeric number);
extern void PushDouble(JsonbParseState **state, JsonbIteratorToken token, double number);
extern void PushValue(JsonbParseState **state, JsonbIteratorToken token, const Value *value);
extern int	CompareNumbers(const Value *a, const Value *b);
extern bool NumberIsNegative(const Value *number);

/*
 * The number that a datapoint of a numeric stream stands for where one number
 * is wanted (derive operators, ds_get_series): itself, or the mean of an
 * already downsampled value.  VALUE_NULL where there is none.
 */
extern Value ValueMean(const Value *value, bool high_accuracy);
extern double ValueToDouble(const Value *value);	/* of a number */
extern bool ValueIsTrue(const Value *value);

#endif							/* DS_VALUE_H */
