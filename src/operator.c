/*-------------------------------------------------------------------------
 *
 * operator.c
 *	  The derive operators, and what each asks of its sources and arguments.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "derive_run.h"
#include "errors.h"
#include "json_build.h"
#include "lib/stringinfo.h"
#include "operator.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "value_downsampler.h"

/* The most sources that a derived stream can have */
#define MAX_SOURCES		1000

static void CheckCounterDerivativeArgs(Jsonb *args);
static void CheckAllData(const StreamDef *derived, const DeriveSource *sources, int nsources);
static void CheckSingleData(const StreamDef *derived, const DeriveSource *sources, int nsources);
static void CheckResetAndData(const StreamDef *derived, const DeriveSource *sources, int nsources);

const DeriveOperator DeriveOperators[] = {
	{"sum", VALUE_TYPE_NUMERIC, true, NULL, CheckAllData, RunSum},
	{"derivative", VALUE_TYPE_NUMERIC, false, NULL, CheckSingleData, RunDerivative},
	{"counter_reset", VALUE_TYPE_NOMINAL, false, NULL, CheckSingleData, RunCounterReset},
	{"counter_derivative", VALUE_TYPE_NUMERIC, false, CheckCounterDerivativeArgs, CheckResetAndData, RunCounterDerivative}
};

/*
 * Returns the index of the operator of that name, or -1.
 */
int
FindDeriveOperator(const char *name, int length)
{
	for (int i = 0; i < lengthof(DeriveOperators); i++)
	{
		if (strlen(DeriveOperators[i].name) == length &&
			memcmp(DeriveOperators[i].name, name, length) == 0)
			return i;
	}

	return -1;
}

/*
 * The names of the operators that join their sources, an array of text.
 */
Datum
JoiningOperators(void)
{
	Datum		names[lengthof(DeriveOperators)];
	int			count = 0;

	for (int i = 0; i < lengthof(DeriveOperators); i++)
	{
		if (DeriveOperators[i].joins_sources)
			names[count++] = CStringGetTextDatum(DeriveOperators[i].name);
	}

	return PointerGetDatum(construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * The names of all operators, separated by commas.
 */
static char *
DeriveOperatorNames(void)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < lengthof(DeriveOperators); i++)
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", DeriveOperators[i].name);

	return names.data;
}

/*
 * Returns the index of the operator of that name.  An unknown one, and one
 * that makes no streams of that value type, is unsupported_derive_operator.
 */
int
ParseDeriveOperator(const char *name, ValueType type)
{
	int			derive_op = FindDeriveOperator(name, strlen(name));

	if (derive_op < 0)
		ereport(ERROR,
				(errcode(ERRCODE_DS_UNSUPPORTED_DERIVE_OPERATOR),
				 errmsg("derive operator \"%s\" does not exist", name),
				 errhint("Derive operators are %s.", DeriveOperatorNames())));

	if (DeriveOperators[derive_op].value_type != type)
		ereport(ERROR,
				(errcode(ERRCODE_DS_UNSUPPORTED_DERIVE_OPERATOR),
				 errmsg("derive operator \"%s\" cannot make a %s stream", name, ValueTypeName(type)),
				 errhint("Use value type \"%s\".",
						 ValueTypeName(DeriveOperators[derive_op].value_type))));

	return derive_op;
}

/*
 * Checks the arguments of an operator, which may be NULL, and returns them;
 * NULL for none.  Bad ones are invalid_operator_arguments.
 */
Jsonb *
CheckDeriveArgs(int derive_op, Jsonb *args)
{
	if (args == NULL)
		return NULL;

	if (!JB_ROOT_IS_OBJECT(args))
		ereport(ERROR,
				(errcode(ERRCODE_DS_INVALID_OPERATOR_ARGUMENTS),
				 errmsg("derive_args must be a JSON object, not %s", JsonbForMessage(args))));

	if (JB_ROOT_COUNT(args) == 0)
		return NULL;

	if (DeriveOperators[derive_op].check_args == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DS_INVALID_OPERATOR_ARGUMENTS),
				 errmsg("derive operator \"%s\" takes no arguments", DeriveOperators[derive_op].name),
				 errdetail("The arguments are %s.", JsonbForMessage(args))));

	DeriveOperators[derive_op].check_args(args);

	return args;
}

/*
 * Reports a derive_from, or an element of it, that has not the right shape.
 */
static void
BadDeriveFrom(Jsonb *from)
{
	ereport(ERROR,
			(errcode(ERRCODE_DS_INVALID_OPERATOR_ARGUMENTS),
			 errmsg("invalid derive_from: %s", JsonbForMessage(from)),
			 errhint("Give a stream identifier, or a list whose elements are stream identifiers or "
					 "objects {\"stream\": identifier, \"name\": text, \"granularity\": text}.")));
}

/*
 * The text of a JSON string, or NULL for another value.
 */
static char *
StringOf(const JsonbValue *value)
{
	if (value->type != jbvString)
		return NULL;

	return pnstrdup(value->val.string.val, value->val.string.len);
}

/*
 * Reads one source out of an object.
 */
static void
ParseSourceObject(Jsonb *from, JsonbContainer *object, DeriveSource *source)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	value;
	char	   *id = NULL;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		char	   *key;
		char	   *str;

		if (token != WJB_KEY)
			continue;

		key = StringOf(&value);
		(void) JsonbIteratorNext(&it, &value, true);
		str = StringOf(&value);
		if (str == NULL && (value.type != jbvNull || strcmp(key, "stream") == 0))
			BadDeriveFrom(from);

		if (strcmp(key, "stream") == 0)
			id = str;
		else if (strcmp(key, "name") == 0)
			source->name = str;
		else if (strcmp(key, "granularity") == 0)
		{
			source->granularity_given = (str != NULL);
			if (str != NULL)
				source->granularity = ParseGranularity(str);
		}
		else
			BadDeriveFrom(from);
	}

	if (id == NULL)
		BadDeriveFrom(from);
	source->def.id = *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(id)));
}

/*
 * Reads derive_from: a stream identifier, or a list of identifiers and objects
 * {"stream", "name", "granularity"}.  Of the sources' definitions only the
 * identifier is set, the caller looks up the rest.
 *
 * Another shape is invalid_operator_arguments; an identifier that is no uuid is
 * an invalid_text_representation; an unknown granularity is
 * unsupported_granularity.
 */
void
ParseDeriveFrom(Jsonb *from, DeriveSource **sources, int *nsources)
{
	JsonbContainer *list = &from->root;
	int			count;

	/* A scalar is held as a list of one, so a lone identifier is one too. */
	if (!JsonContainerIsArray(list))
		BadDeriveFrom(from);

	count = JsonContainerSize(list);
	if (count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DS_INVALID_OPERATOR_ARGUMENTS),
				 errmsg("derive_from must not be empty")));
	if (count > MAX_SOURCES)
		ereport(ERROR,
				(errcode(ERRCODE_DS_INVALID_OPERATOR_ARGUMENTS),
				 errmsg("a stream cannot be derived from %d streams", count),
				 errdetail("The limit is %d.", MAX_SOURCES)));

	*nsources = count;
	*sources = palloc0(count * sizeof(DeriveSource));

	for (int i = 0; i < count; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(list, i);
		char	   *id = StringOf(element);

		if (id != NULL)
			(*sources)[i].def.id = *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(id)));
		else if (element->type == jbvBinary && JsonContainerIsObject(element->val.binary.data))
			ParseSourceObject(from, element->val.binary.data, &(*sources)[i]);
		else
			BadDeriveFrom(from);
	}
}

/*
 * Checks that the streams found fit what is to be derived from them.  Their
 * definitions and granularities are set.  Errors: invalid_operator_arguments,
 * incompatible_types, incompatible_granularities.
 */
void
CheckDerivation(const StreamDef *derived, const DeriveSource *sources, int nsources)
{
	DeriveOperators[derived->derive_op].check_sources(derived, sources, nsources);
}

/*
 * Checks that a source can be read at its granularity: no finer one than it
 * stores, and a lower one only if there are means, which is what it gives there.
 */
static void
CheckSourceGranularity(const DeriveSource *source)
{
	if (source->granularity < source->def.highest)
		ereport(ERROR,
				(errcode(ERRCODE_DS_INCOMPATIBLE_GRANULARITIES),
				 errmsg("granularity \"%s\" is finer than the highest granularity of source stream \"%s\"",
						GranularityName(source->granularity), StreamIdToString(&source->def.id)),
				 errdetail("Its highest granularity is \"%s\".", GranularityName(source->def.highest))));

	if (source->granularity > source->def.highest &&
		(source->def.value_downsamplers & VALUE_DOWNSAMPLER_BIT(VALUE_MEAN)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DS_INVALID_OPERATOR_ARGUMENTS),
				 errmsg("source stream \"%s\" cannot be used at granularity \"%s\"",
						StreamIdToString(&source->def.id), GranularityName(source->granularity)),
				 errdetail("A source gives its mean there, but the stream has no value downsampler \"%s\".",
						   ValueDownsamplerName(VALUE_MEAN))));
}

/*
 * Checks a source whose numbers are computed with, each at its timestamp: it is
 * numeric and is read at the highest granularity of the derived stream.
 */
static void
CheckDataSource(const StreamDef *derived, const DeriveSource *source)
{
	if (source->def.value_type != VALUE_TYPE_NUMERIC)
		ereport(ERROR,
				(errcode(ERRCODE_DS_INCOMPATIBLE_TYPES),
				 errmsg("source stream \"%s\" is not numeric", StreamIdToString(&source->def.id)),
				 errdetail("Derive operator \"%s\" cannot use values of type \"%s\".",
						   DeriveOperators[derived->derive_op].name,
						   ValueTypeName(source->def.value_type))));

	CheckSourceGranularity(source);

	if (source->granularity != derived->highest)
		ereport(ERROR,
				(errcode(ERRCODE_DS_INCOMPATIBLE_GRANULARITIES),
				 errmsg("granularity of source stream \"%s\" differs from that of the derived stream",
						StreamIdToString(&source->def.id)),
				 errdetail("The source is used at granularity \"%s\", the highest granularity of the derived stream is \"%s\".",
						   GranularityName(source->granularity), GranularityName(derived->highest))));
}

/*
 * Checks the sources of an operator that takes any number of data streams.
 */
static void
CheckAllData(const StreamDef *derived, const DeriveSource *sources, int nsources)
{
	for (int i = 0; i < nsources; i++)
		CheckDataSource(derived, &sources[i]);
}

/*
 * Checks the source of an operator that takes one data stream.
 */
static void
CheckSingleData(const StreamDef *derived, const DeriveSource *sources, int nsources)
{
	if (nsources != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DS_INVALID_OPERATOR_ARGUMENTS),
				 errmsg("derive operator \"%s\" takes exactly one source stream, not %d",
						DeriveOperators[derived->derive_op].name, nsources)));

	CheckDataSource(derived, &sources[0]);
}

/*
 * Checks the sources of counter_derivative: a stream named "reset", whose true
 * values start anew, then the data stream without a name.
 */
static void
CheckResetAndData(const StreamDef *derived, const DeriveSource *sources, int nsources)
{
	const DeriveSource *reset = &sources[0];

	if (nsources != 2 ||
		reset->name == NULL || strcmp(reset->name, "reset") != 0 ||
		sources[1].name != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DS_INVALID_OPERATOR_ARGUMENTS),
				 errmsg("derive operator \"%s\" takes two source streams: one named \"reset\", then one without a name",
						DeriveOperators[derived->derive_op].name)));

	if (reset->def.value_type == VALUE_TYPE_GRAPH)
		ereport(ERROR,
				(errcode(ERRCODE_DS_INCOMPATIBLE_TYPES),
				 errmsg("source stream \"%s\" cannot tell resets", StreamIdToString(&reset->def.id)),
				 errdetail("Its values are of type \"%s\".", ValueTypeName(reset->def.value_type))));

	CheckSourceGranularity(reset);
	if (reset->granularity != reset->def.highest)
		ereport(ERROR,
				(errcode(ERRCODE_DS_INCOMPATIBLE_GRANULARITIES),
				 errmsg("the source stream named \"reset\" must be used at its highest granularity"),
				 errdetail("Its highest granularity is \"%s\".", GranularityName(reset->def.highest))));

	CheckDataSource(derived, &sources[1]);
}

/*
 * Checks the only argument of counter_derivative: max_value, the positive
 * number past which the counter overflows.
 */
static void
CheckCounterDerivativeArgs(Jsonb *args)
{
	Numeric		max_value = CounterMaxValue(args);
	double		number;

	if (max_value == NULL || JB_ROOT_COUNT(args) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DS_INVALID_OPERATOR_ARGUMENTS),
				 errmsg("invalid derive_args: %s", JsonbForMessage(args)),
				 errhint("The only argument is \"max_value\", a positive number.")));

	number = NumericToDouble(max_value);
	if (!(number > 0) || isinf(number))
		ereport(ERROR,
				(errcode(ERRCODE_DS_INVALID_OPERATOR_ARGUMENTS),
				 errmsg("invalid derive_args: %s", JsonbForMessage(args)),
				 errdetail("\"max_value\" must be a positive, finite number.")));
}

/*
 * Returns the argument max_value of counter_derivative, or NULL if it is not
 * given (or no number).
 */
Numeric
CounterMaxValue(Jsonb *args)
{
	JsonbValue	value;

	if (args == NULL ||
		getKeyJsonValueFromContainer(&args->root, "max_value", strlen("max_value"), &value) == NULL ||
		value.type != jbvNumeric)
		return NULL;

	return value.val.numeric;
}
