/*-------------------------------------------------------------------------
 *
 * aggregate_frequencies.c
 *	  The value downsamplers of frequencies as aggregates over any type.
 *
 * Values are the same, and ordered, as the type's default btree operators say.
 * Nulls are ignored; without any input the result is null.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "aggregate.h"
#include "catalog/pg_type.h"
#include "frequencies.h"
#include "json_build.h"
#include "lib/rbtree.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/typcache.h"

/* A value and how often it has come */
typedef struct ValueCount
{
	RBTNode		node;
	Datum		value;
	int64		count;
} ValueCount;

/*
 * The state of the aggregates; they share it in a query.  One that has been
 * deserialized has a list instead of a tree, as the collation is not known.
 */
typedef struct FrequenciesState
{
	MemoryContext context;
	TypeCacheEntry *type;
	Oid			collation;
	int64		length;			/* different values */
	RBTree	   *tree;			/* of ValueCount, by value */
	ValueCount *list;
} FrequenciesState;

/* A frequency as the result shows it */
typedef struct JsonCount
{
	Jsonb	   *value;
	int64		count;
} JsonCount;

PG_FUNCTION_INFO_V1(ds_frequencies_transfn);
PG_FUNCTION_INFO_V1(ds_frequencies_combinefn);
PG_FUNCTION_INFO_V1(ds_frequencies_serialfn);
PG_FUNCTION_INFO_V1(ds_frequencies_deserialfn);
PG_FUNCTION_INFO_V1(ds_frequencies_finalfn);
PG_FUNCTION_INFO_V1(ds_most_often_finalfn);
PG_FUNCTION_INFO_V1(ds_least_often_finalfn);

/*
 * Callbacks of the tree
 */

static int
CompareValueCounts(const RBTNode *a, const RBTNode *b, void *arg)
{
	FrequenciesState *state = arg;

	return DatumGetInt32(FunctionCall2Coll(&state->type->cmp_proc_finfo, state->collation,
										   ((const ValueCount *) a)->value,
										   ((const ValueCount *) b)->value));
}

static void
CombineValueCounts(RBTNode *existing, const RBTNode *newdata, void *arg)
{
	((ValueCount *) existing)->count += ((const ValueCount *) newdata)->count;
}

static RBTNode *
AllocateValueCount(void *arg)
{
	FrequenciesState *state = arg;

	return MemoryContextAlloc(state->context, sizeof(ValueCount));
}

/*
 * Makes an empty state for values of a type, which must have an order.
 */
static FrequenciesState *
CreateFrequenciesState(MemoryContext context, Oid type, Oid collation)
{
	FrequenciesState *state = MemoryContextAllocZero(context, sizeof(FrequenciesState));
	MemoryContext old_context;

	state->context = context;
	state->collation = collation;
	state->type = lookup_type_cache(type, TYPECACHE_CMP_PROC_FINFO);
	if (!OidIsValid(state->type->cmp_proc_finfo.fn_oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("could not identify a comparison function for type %s",
						format_type_be(type))));

	old_context = MemoryContextSwitchTo(context);
	state->tree = rbt_create(sizeof(ValueCount), CompareValueCounts, CombineValueCounts,
							 AllocateValueCount, NULL, state);
	MemoryContextSwitchTo(old_context);
	return state;
}

/*
 * Counts a value several times.
 */
static void
CountDatum(FrequenciesState *state, Datum value, int64 count)
{
	ValueCount	new_count;
	ValueCount *entry;
	bool		is_new;

	new_count.value = value;
	new_count.count = count;
	entry = (ValueCount *) rbt_insert(state->tree, &new_count.node, &is_new);
	if (is_new)
	{
		MemoryContext old_context;

		if (++state->length > FREQUENCIES_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("aggregate has more than %d different values", FREQUENCIES_MAX)));
		old_context = MemoryContextSwitchTo(state->context);
		entry->value = datumCopy(value, state->type->typbyval, state->type->typlen);
		MemoryContextSwitchTo(old_context);
	}
}

/*
 * ds_frequencies_transfn(state internal, value anyelement) returns internal
 */
Datum
ds_frequencies_transfn(PG_FUNCTION_ARGS)
{
	FrequenciesState *state = PG_GETARG_STATE(FrequenciesState, 0);
	Datum		value;

	if (state == NULL)
	{
		MemoryContext context = AggregateContext(fcinfo);

		if (PG_ARGISNULL(1))
			PG_RETURN_NULL();
		state = CreateFrequenciesState(context, get_fn_expr_argtype(fcinfo->flinfo, 1),
									   PG_GET_COLLATION());
	}
	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(state);

	value = PG_GETARG_DATUM(1);
	if (state->type->typlen == -1)
		value = PointerGetDatum(PG_DETOAST_DATUM(value));
	CountDatum(state, value, 1);
	PG_RETURN_POINTER(state);
}

/*
 * ds_frequencies_combinefn(state internal, other internal) returns internal
 */
Datum
ds_frequencies_combinefn(PG_FUNCTION_ARGS)
{
	MemoryContext context = AggregateContext(fcinfo);
	FrequenciesState *state = PG_GETARG_STATE(FrequenciesState, 0);
	FrequenciesState *other = PG_GETARG_STATE(FrequenciesState, 1);

	if (other == NULL)
	{
		if (state == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(state);
	}
	if (state == NULL)
		state = CreateFrequenciesState(context, other->type->type_id, PG_GET_COLLATION());

	if (other->tree != NULL)
	{
		RBTreeIterator iterator;
		ValueCount *entry;

		rbt_begin_iterate(other->tree, LeftRightWalk, &iterator);
		while ((entry = (ValueCount *) rbt_iterate(&iterator)) != NULL)
			CountDatum(state, entry->value, entry->count);
	}
	else
	{
		for (int64 i = 0; i < other->length; i++)
			CountDatum(state, other->list[i].value, other->list[i].count);
	}
	PG_RETURN_POINTER(state);
}

/*
 * ds_frequencies_serialfn(state internal) returns bytea
 *
 * The type, and for each value its count and its bytes: both ends are the same
 * server.
 */
Datum
ds_frequencies_serialfn(PG_FUNCTION_ARGS)
{
	FrequenciesState *state = (FrequenciesState *) PG_GETARG_POINTER(0);
	StringInfoData buf;
	RBTreeIterator iterator;
	ValueCount *entry;

	(void) AggregateContext(fcinfo);
	BeginSerialState(&buf);
	pq_sendint32(&buf, state->type->type_id);
	pq_sendint64(&buf, state->length);

	rbt_begin_iterate(state->tree, LeftRightWalk, &iterator);
	while ((entry = (ValueCount *) rbt_iterate(&iterator)) != NULL)
	{
		pq_sendint64(&buf, entry->count);
		if (state->type->typbyval)
			pq_sendint64(&buf, (int64) entry->value);
		else
		{
			Size		size = datumGetSize(entry->value, false, state->type->typlen);

			pq_sendint32(&buf, size);
			pq_sendbytes(&buf, DatumGetPointer(entry->value), size);
		}
	}
	PG_RETURN_BYTEA_P(EndSerialState(&buf));
}

/*
 * Reads a value that is not passed by value, and checks its size.
 */
static Datum
ReadReference(StringInfo buf, const TypeCacheEntry *type)
{
	int			size = pq_getmsgint(buf, sizeof(int32));
	const char *bytes = pq_getmsgbytes(buf, size);
	char	   *copy = palloc(Max(size, 1));

	memcpy(copy, bytes, size);
	if (size < 1 ||
		(type->typlen > 0 && size != type->typlen) ||
		(type->typlen == -1 && (!VARATT_IS_1B(copy) && size < VARHDRSZ)) ||
		(type->typlen == -1 && (VARATT_IS_EXTERNAL(copy) || size != VARSIZE_ANY(copy))) ||
		(type->typlen == -2 && copy[size - 1] != '\0'))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid state of frequencies")));
	return PointerGetDatum(copy);
}

/*
 * ds_frequencies_deserialfn(state bytea, internal) returns internal
 */
Datum
ds_frequencies_deserialfn(PG_FUNCTION_ARGS)
{
	StringInfoData buf;
	FrequenciesState *state = palloc0(sizeof(FrequenciesState));

	(void) AggregateContext(fcinfo);
	ReadSerialState(PG_GETARG_BYTEA_PP(0), &buf);
	state->context = CurrentMemoryContext;
	state->type = lookup_type_cache(pq_getmsgint(&buf, sizeof(int32)), 0);
	state->length = pq_getmsgint64(&buf);
	if (state->length < 0 || state->length > FREQUENCIES_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid state of frequencies")));

	state->list = palloc(sizeof(ValueCount) * (state->length + 1));
	for (int64 i = 0; i < state->length; i++)
	{
		CHECK_FOR_INTERRUPTS();
		state->list[i].count = pq_getmsgint64(&buf);
		state->list[i].value = state->type->typbyval ? (Datum) pq_getmsgint64(&buf) :
			ReadReference(&buf, state->type);
	}
	pq_getmsgend(&buf);
	PG_RETURN_POINTER(state);
}

/*
 * Returns the value with the extreme count: the largest if direction is 1, the
 * smallest if it is -1; of equals the smallest value.
 */
static Datum
ExtremeCount(FunctionCallInfo fcinfo, int direction)
{
	FrequenciesState *state = PG_GETARG_STATE(FrequenciesState, 0);
	RBTreeIterator iterator;
	ValueCount *entry;
	ValueCount *best = NULL;

	(void) AggregateContext(fcinfo);
	if (state == NULL)
		PG_RETURN_NULL();

	rbt_begin_iterate(state->tree, LeftRightWalk, &iterator);
	while ((entry = (ValueCount *) rbt_iterate(&iterator)) != NULL)
	{
		if (best == NULL ||
			(direction > 0 ? entry->count > best->count : entry->count < best->count))
			best = entry;
	}
	return best->value;
}

Datum
ds_most_often_finalfn(PG_FUNCTION_ARGS)
{
	return ExtremeCount(fcinfo, 1);
}

Datum
ds_least_often_finalfn(PG_FUNCTION_ARGS)
{
	return ExtremeCount(fcinfo, -1);
}

/* The most frequent first, then by value */
static int
CompareJsonCounts(const void *a, const void *b)
{
	const JsonCount *ca = a;
	const JsonCount *cb = b;

	if (ca->count != cb->count)
		return ca->count > cb->count ? -1 : 1;
	return compareJsonbContainers(&ca->value->root, &cb->value->root);
}

/*
 * ds_frequencies_finalfn(state internal, value anyelement) returns jsonb
 *
 * [{"v": value, "c": count}, ...], most frequent first, then by value in the
 * order of jsonb.
 */
Datum
ds_frequencies_finalfn(PG_FUNCTION_ARGS)
{
	FrequenciesState *state = PG_GETARG_STATE(FrequenciesState, 0);
	JsonbParseState *parse_state = NULL;
	RBTreeIterator iterator;
	ValueCount *entry;
	JsonCount  *counts;
	int			length = 0;
	FmgrInfo	to_jsonb;
	Const	   *argument;

	(void) AggregateContext(fcinfo);
	if (state == NULL)
		PG_RETURN_NULL();

	/* to_jsonb(anyelement) finds the type of its argument in its expression */
	argument = makeNullConst(state->type->type_id, -1, InvalidOid);
	fmgr_info(F_TO_JSONB, &to_jsonb);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(argument),
											 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL),
					   &to_jsonb);

	counts = palloc(sizeof(JsonCount) * state->length);
	rbt_begin_iterate(state->tree, LeftRightWalk, &iterator);
	while ((entry = (ValueCount *) rbt_iterate(&iterator)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		counts[length].value = DatumGetJsonbP(FunctionCall1(&to_jsonb, entry->value));
		counts[length].count = entry->count;
		length++;
	}
	qsort(counts, length, sizeof(JsonCount), CompareJsonCounts);

	pushJsonbValue(&parse_state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < length; i++)
	{
		Value		value = {VALUE_JSON, 0, counts[i].value};

		CHECK_FOR_INTERRUPTS();
		pushJsonbValue(&parse_state, WJB_BEGIN_OBJECT, NULL);
		PushKey(&parse_state, "v");
		PushValue(&parse_state, WJB_VALUE, &value);
		PushKey(&parse_state, "c");
		PushDouble(&parse_state, WJB_VALUE, (double) counts[i].count);
		pushJsonbValue(&parse_state, WJB_END_OBJECT, NULL);
	}
	PG_RETURN_JSONB_P(JsonbValueToJsonb(pushJsonbValue(&parse_state, WJB_END_ARRAY, NULL)));
}
