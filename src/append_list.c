/*-------------------------------------------------------------------------
 *
 * append_list.c
 *	  Appending many datapoints, to one stream or to many.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "append.h"
#include "catalog/pg_type.h"
#include "datapoint.h"
#include "derive.h"
#include "errors.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "store.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(ds_append_multiple_jsonb);
PG_FUNCTION_INFO_V1(ds_append_multiple_stream);
PG_FUNCTION_INFO_V1(ds_append_multiple_streams);

/*
 * Datapoints of arrays that are appended at once: what makes full blocks, and the
 * one that stays in the head.
 */
#define ARRAY_CHUNK		(32 * BLOCK_ROWS + 1)

/* An array argument of elements of 8 bytes: timestamps or doubles */
typedef struct ArrayArgument
{
	int			count;
	const char *next;			/* element, unless that is null */
	const bits8 *nulls;			/* bitmap, or NULL if there are none */
} ArrayArgument;

/* One datapoint of a list for many streams */
typedef struct ListedDatapoint
{
	pg_uuid_t	stream_id;
	int			position;		/* in the list, from 1 */
	bool		has_timestamp;	/* else it is the time of the append */
	TimestampTz timestamp;
	bool		isnull;
	union
	{
		double		number;
		Jsonb	   *json;
	}			value;
} ListedDatapoint;

typedef struct DatapointList
{
	int			count;
	bool		is_json;		/* values are jsonb, else double precision */
	ListedDatapoint *datapoints;
} DatapointList;

/* The element in work, for the message of an error */
typedef struct ListPosition
{
	int			position;
} ListPosition;

/* What datapoints of a list are sorted by */
typedef struct SortKey
{
	uint64		first;			/* bytes of the stream, in their order */
	uint64		last;
	int			index;			/* in the list */
} SortKey;

static inline int
CompareSortKeys(const SortKey *a, const SortKey *b)
{
	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	if (a->last != b->last)
		return a->last < b->last ? -1 : 1;
	return a->index - b->index;
}

#define ST_SORT SortKeys
#define ST_ELEMENT_TYPE SortKey
#define ST_COMPARE(a, b) CompareSortKeys(a, b)
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * Sorts a list by stream, and within a stream as it was listed.
 */
static void
SortList(DatapointList *list)
{
	SortKey    *keys = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SortKey) * Max(list->count, 1));
	ListedDatapoint *sorted;
	bool		in_order = true;

	for (int i = 0; i < list->count; i++)
	{
		uint64		parts[2];

		memcpy(parts, list->datapoints[i].stream_id.data, sizeof(parts));
		keys[i].first = pg_ntoh64(parts[0]);
		keys[i].last = pg_ntoh64(parts[1]);
		keys[i].index = i;
		in_order = in_order && (i == 0 || CompareSortKeys(&keys[i - 1], &keys[i]) < 0);
	}

	if (!in_order)
	{
		SortKeys(keys, list->count);
		sorted = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(ListedDatapoint) * list->count);
		for (int i = 0; i < list->count; i++)
			sorted[i] = list->datapoints[keys[i].index];
		pfree(list->datapoints);
		list->datapoints = sorted;
	}
	pfree(keys);
}

/*
 * The datapoints of a list that belong to one stream as rows for its block.
 * They must not be older than the stream's latest one, nor than each other.
 */
static DataBlock *
RowsFromList(StreamHead *head, const DatapointList *list, int from, int to, ListPosition *position)
{
	const StreamDef *def = &head->def;
	DataBlock  *rows = CreateDatapoints(to - from);
	StreamTime	latest = head->latest;

	for (int i = from; i < to; i++)
	{
		const ListedDatapoint *listed = &list->datapoints[i];
		Value		value = {VALUE_NULL};
		StreamTime	t;

		position->position = listed->position;
		if (i % 1024 == 0)
			CHECK_FOR_INTERRUPTS();

		t = StreamTimeFromTimestamp(listed->has_timestamp ? listed->timestamp : GetCurrentTimestamp(),
									def->highest);
		if (t < latest)
		{
			head->latest = latest;
			RefuseOld(head, t);
		}
		latest = t;

		if (!listed->isnull)
			value = list->is_json ? ValueFromJsonb(def, listed->value.json)
				: ValueFromDouble(def, listed->value.number);
		AddDatapoint(rows, t, &value);
	}
	position->position = 0;

	return rows;
}

/*
 * Appends the datapoints of a list that belong to one stream without locking it
 * before, if that takes no more than to write its head.  Returns whether it
 * did.
 */
static bool
TryAppendListed(const pg_uuid_t *id, const DatapointList *list, int from, int to,
				ListPosition *position, MemoryContext context)
{
	StreamHead	head;

	return to - from < HEAD_ROWS &&
		PeekStream(id, &head, context) && head.def.derive_op < 0 &&
		TryAppend(&head, RowsFromList(&head, list, from, to, position));
}

/*
 * Begins to go through the streams of a list, which is sorted by stream, from one
 * of its datapoints on.  Returns where those end that can be gone through at once.
 */
static int
BeginListBatch(const DatapointList *list, int from)
{
	pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * Min(list->count - from, HEAD_BATCH_MAX));
	int			nids = 0;
	int			to;

	for (to = from; to < list->count; to++)
	{
		const pg_uuid_t *id = &list->datapoints[to].stream_id;

		if (nids > 0 && memcmp(id, &ids[nids - 1], UUID_LEN) == 0)
			continue;
		if (nids == HEAD_BATCH_MAX)
			break;
		ids[nids++] = *id;
	}
	BeginHeadBatch(ids, nids);
	pfree(ids);

	return to;
}

/*
 * Appends the datapoints of a list, which is sorted by stream; streams are
 * locked in the order of their ids.
 */
static void
AppendSortedList(const DatapointList *list, ListPosition *position)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "datastream append list",
												  ALLOCSET_DEFAULT_SIZES);
	SourceChange *changes = palloc(sizeof(SourceChange) * 8);
	int			nchanges = 0;
	int			max_changes = 8;
	int			batch_end = 0;

	for (int from = 0; from < list->count;)
	{
		const pg_uuid_t *id = &list->datapoints[from].stream_id;
		MemoryContext old_context;
		StreamHead	head;
		DataBlock  *rows;
		int			to = from + 1;

		if (from >= batch_end)
		{
			EndHeadBatch();
			batch_end = BeginListBatch(list, from);
		}
		old_context = MemoryContextSwitchTo(context);

		while (to < list->count &&
			   memcmp(id, &list->datapoints[to].stream_id, UUID_LEN) == 0)
			to++;

		position->position = list->datapoints[from].position;
		if (!TryAppendListed(id, list, from, to, position, context))
		{
			LockStream(id, false, false, &head, context);
			RefuseDerived(&head.def);
			rows = RowsFromList(&head, list, from, to, position);
			AppendInOrder(&head, rows);
			DeliverLater(&head);
			SaveHead(&head);
		}
		else
			head.contributes = false;

		MemoryContextSwitchTo(old_context);
		if (head.contributes)
		{
			if (nchanges >= max_changes)
			{
				max_changes *= 2;
				changes = repalloc(changes, sizeof(SourceChange) * max_changes);
			}
			changes[nchanges].source = *id;
			changes[nchanges].level = head.def.highest;
			nchanges++;
		}

		MemoryContextReset(context);
		from = to;
	}
	EndHeadBatch();

	if (nchanges > 0)
		DeriveFromChanges(changes, nchanges, true);
	MemoryContextDelete(context);
}

/*
 * Throws the error in hand again; one about the data of an element (position
 * from 1, 0 for none) names it.  For use in PG_CATCH().
 */
static void
RethrowForElement(MemoryContext context, int position)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();

	if (position > 0 &&
		(ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_DATA_EXCEPTION ||
		 ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_TO_CATEGORY(ERRCODE_DS_EXCEPTION)))
		error->message = psprintf("datapoint %d of the list: %s", position, error->message);

	ReThrowError(error);
}

/*
 * Appends the datapoints of a list.  An error that an element causes names its
 * position.
 */
static void
AppendList(DatapointList *list)
{
	MemoryContext context = CurrentMemoryContext;
	ListPosition *position = palloc0(sizeof(ListPosition));

	SortList(list);
	PG_TRY();
	{
		AppendSortedList(list, position);
	}
	PG_CATCH();
	{
		RethrowForElement(context, position->position);
	}
	PG_END_TRY();
}

/*
 * An error about the shape of an element of ds_append_multiple()'s list.
 */
static void
ListError(const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", problem),
			 errhint("A datapoint is an object {\"stream_id\": …, \"value\": …, \"timestamp\": …}.")));
}

/*
 * Reads one element of ds_append_multiple()'s list.
 */
static ListedDatapoint
ReadListElement(JsonbContainer *object, int position)
{
	ListedDatapoint listed = {.position = position};
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	key;
	bool		has_stream = false;
	bool		has_value = false;

	if (JsonbIteratorNext(&it, &key, true) != WJB_BEGIN_OBJECT)
		ListError("it must be an object");

	while ((token = JsonbIteratorNext(&it, &key, true)) == WJB_KEY)
	{
		JsonbValue	value;

		JsonbIteratorNext(&it, &value, true);
		if (key.val.string.len == 9 && strncmp(key.val.string.val, "stream_id", 9) == 0)
		{
			if (value.type != jbvString)
				ListError("\"stream_id\" must be a string");
			listed.stream_id = *DatumGetUUIDP(DirectFunctionCall1(uuid_in,
																  CStringGetDatum(pnstrdup(value.val.string.val, value.val.string.len))));
			has_stream = true;
		}
		else if (key.val.string.len == 5 && strncmp(key.val.string.val, "value", 5) == 0)
		{
			listed.isnull = value.type == jbvNull;
			if (!listed.isnull)
				listed.value.json = JsonbValueToJsonb(&value);
			has_value = true;
		}
		else if (key.val.string.len == 9 && strncmp(key.val.string.val, "timestamp", 9) == 0)
		{
			if (value.type == jbvNull)
				continue;
			if (value.type != jbvString)
				ListError("\"timestamp\" must be a string");
			listed.timestamp = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
																	   CStringGetDatum(pnstrdup(value.val.string.val, value.val.string.len)),
																	   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
			listed.has_timestamp = true;
		}
		else
			ListError(psprintf("unknown key \"%s\"", pnstrdup(key.val.string.val, key.val.string.len)));
	}

	if (!has_stream)
		ListError("\"stream_id\" is missing");
	if (!has_value)
		ListError("\"value\" is missing");

	return listed;
}

/*
 * Reads ds_append_multiple()'s list.  An error that an element causes names
 * its position.
 */
static DatapointList
ReadList(Jsonb *json)
{
	MemoryContext context = CurrentMemoryContext;
	DatapointList list = {0, true, NULL};
	volatile int position = 0;

	if (!JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("datapoints must be a list")));

	list.count = JB_ROOT_COUNT(json);
	list.datapoints = MemoryContextAllocHuge(CurrentMemoryContext,
											 sizeof(ListedDatapoint) * Max(list.count, 1));

	PG_TRY();
	{
		JsonbIterator *it = JsonbIteratorInit(&json->root);
		JsonbValue	element;

		JsonbIteratorNext(&it, &element, false);
		while (JsonbIteratorNext(&it, &element, true) == WJB_ELEM)
		{
			position++;
			if (position % 1024 == 0)
				CHECK_FOR_INTERRUPTS();
			if (element.type != jbvBinary)
				ListError("it must be an object");
			list.datapoints[position - 1] = ReadListElement(element.val.binary.data, position);
		}
	}
	PG_CATCH();
	{
		RethrowForElement(context, position);
	}
	PG_END_TRY();

	return list;
}

/*
 * ds_append_multiple(datapoints jsonb) returns bigint
 *
 * Appends a list of {"stream_id": uuid, "value": any, "timestamp": text or
 * null}, all or nothing; returns their number.
 */
Datum
ds_append_multiple_jsonb(PG_FUNCTION_ARGS)
{
	DatapointList list;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("datapoints must not be null")));

	SPI_connect();
	list = ReadList(PG_GETARG_JSONB_P(0));
	AppendList(&list);
	SPI_finish();

	PG_RETURN_INT64(list.count);
}

/*
 * An array argument of one dimension
 */
static ArrayType *
ArrayFromArgument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	ArrayType  *array;

	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));

	array = PG_GETARG_ARRAYTYPE_P(argument);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%s must be an array of one dimension", name)));

	return array;
}

static void
RefuseNullElement(const char *name, int i)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s must not contain nulls", name),
			 errdetail("Element %d is null.", i + 1)));
}

/*
 * The elements of an array argument of one dimension, which has no nulls,
 * unless "allow_nulls".
 */
static int
ReadArray(FunctionCallInfo fcinfo, int argument, const char *name, Oid type, int16 length,
		  bool by_value, char align, Datum **elements, bool **nulls, bool allow_nulls)
{
	ArrayType  *array = ArrayFromArgument(fcinfo, argument, name);
	int			count;

	deconstruct_array(array, type, length, by_value, align, elements, nulls, &count);
	for (int i = 0; i < count && !allow_nulls; i++)
	{
		if ((*nulls)[i])
			RefuseNullElement(name, i);
	}

	return count;
}

static int
ReadTimestamps(FunctionCallInfo fcinfo, Datum **timestamps, bool **nulls)
{
	return ReadArray(fcinfo, 1, "ts", TIMESTAMPTZOID, sizeof(TimestampTz), FLOAT8PASSBYVAL,
					 TYPALIGN_DOUBLE, timestamps, nulls, false);
}

static int
ReadValues(FunctionCallInfo fcinfo, Datum **values, bool **nulls)
{
	return ReadArray(fcinfo, 2, "value", FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL,
					 TYPALIGN_DOUBLE, values, nulls, true);
}

/*
 * The list of datapoints in the arrays of ds_append_multiple().
 */
static DatapointList
ReadArrays(FunctionCallInfo fcinfo)
{
	DatapointList list = {0, false, NULL};
	Datum	   *ids;
	Datum	   *timestamps;
	Datum	   *values;
	bool	   *nulls;
	bool	   *value_nulls;
	int			nids;
	int			nvalues;

	nids = ReadArray(fcinfo, 0, "stream_id", UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, &ids, &nulls, false);
	list.count = ReadTimestamps(fcinfo, &timestamps, &nulls);
	nvalues = ReadValues(fcinfo, &values, &value_nulls);
	if (nids != list.count || nvalues != list.count)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("arrays must have the same length"),
				 errdetail("They have %d, %d and %d elements.", nids, list.count, nvalues)));

	list.datapoints = MemoryContextAllocHuge(CurrentMemoryContext,
											 sizeof(ListedDatapoint) * Max(list.count, 1));
	for (int i = 0; i < list.count; i++)
	{
		ListedDatapoint *listed = &list.datapoints[i];

		listed->stream_id = *DatumGetUUIDP(ids[i]);
		listed->position = i + 1;
		listed->has_timestamp = true;
		listed->timestamp = DatumGetTimestampTz(timestamps[i]);
		listed->isnull = value_nulls[i];
		listed->value.number = value_nulls[i] ? 0 : DatumGetFloat8(values[i]);
	}

	return list;
}

/*
 * Opens an array argument of one dimension with elements of 8 bytes.
 */
static ArrayArgument
OpenArray(FunctionCallInfo fcinfo, int argument, const char *name)
{
	ArrayArgument result;
	ArrayType  *array = ArrayFromArgument(fcinfo, argument, name);

	result.count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	result.next = ARR_DATA_PTR(array);
	result.nulls = ARR_NULLBITMAP(array);

	return result;
}

static inline bool
ElementIsNull(const ArrayArgument *array, int i)
{
	return array->nulls != NULL && (array->nulls[i / 8] & (1 << (i % 8))) == 0;
}

/*
 * Makes elements [from, to) of two arrays rows of a block, one by one, and raises
 * the error of the first that is wrong.
 */
static void
TakeElements(const StreamHead *head, ArrayArgument *timestamps, ArrayArgument *numbers, int from, int to,
			 DataBlock *rows, ListPosition *position)
{
	StreamHead	now = *head;	/* with the latest of these datapoints */

	for (int i = from; i < to; i++)
	{
		Value		value = {VALUE_NULL};
		TimestampTz timestamp;
		StreamTime	t;

		position->position = i + 1;
		memcpy(&timestamp, timestamps->next, sizeof(timestamp));
		timestamps->next += sizeof(timestamp);
		t = StreamTimeFromTimestamp(timestamp, head->def.highest);
		RefuseOld(&now, t);
		now.latest = t;

		if (!ElementIsNull(numbers, i))
		{
			double		number;

			memcpy(&number, numbers->next, sizeof(number));
			numbers->next += sizeof(number);
			value = ValueFromDouble(&head->def, number);
		}
		AddDatapoint(rows, t, &value);
	}
	position->position = 0;
}

/*
 * The same at once, for an empty block, if there are no nulls and nothing is
 * wrong; else returns false and has taken nothing.
 */
static bool
TakeAllElements(const StreamHead *head, ArrayArgument *timestamps, ArrayArgument *numbers, int count,
				DataBlock *rows)
{
	Column	   *column = BlockColumn(rows, COLUMN_DATAPOINT);
	StreamTime	latest = Max(head->latest, STREAM_TIME_MIN);

	if (numbers->nulls != NULL || column->json != NULL ||
		!StreamTimesFromTimestamps(timestamps->next, count, head->def.highest, rows->times) ||
		!ValuesFromDoubles(&head->def, numbers->next, count, column->numbers))
		return false;

	for (int i = 0; i < count; i++)
	{
		if (rows->times[i] < latest)
			return false;
		latest = rows->times[i];
	}

	memset(column->kinds, VALUE_DOUBLE, count);
	rows->count = count;
	timestamps->next += count * sizeof(TimestampTz);
	numbers->next += count * sizeof(double);

	return true;
}

/*
 * Appends the datapoints of two arrays of equal length to a stream, so many at
 * a time that memory is bounded.
 */
static void
AppendArrays(const pg_uuid_t *id, ArrayArgument *timestamps, ArrayArgument *numbers, ListPosition *position)
{
	StreamHead	head;
	int			count = timestamps->count;
	DataBlock  *rows = CreateDatapoints(Min(count, ARRAY_CHUNK));

	LockStream(id, false, false, &head, CurrentMemoryContext);
	RefuseDerived(&head.def);

	for (int from = 0; from < count; from += ARRAY_CHUNK)
	{
		int			to = Min(count - from, ARRAY_CHUNK) + from;

		CHECK_FOR_INTERRUPTS();
		rows->count = 0;
		if (!TakeAllElements(&head, timestamps, numbers, to - from, rows))
			TakeElements(&head, timestamps, numbers, from, to, rows, position);
		AppendInOrder(&head, rows);
	}
	DeliverLater(&head);
	SaveHead(&head);

	if (head.contributes)
	{
		SourceChange change = {head.def.id, head.def.highest};

		DeriveFromChanges(&change, 1, true);
	}
}

/*
 * ds_append_multiple(stream_id uuid, ts timestamptz[], value double
 * precision[]) returns bigint
 *
 * Appends datapoints to one stream, all or nothing; returns their number.  A
 * null among the values is a datapoint without value.  An error that an
 * element causes names its position.
 */
Datum
ds_append_multiple_stream(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	ListPosition *position;
	ArrayArgument timestamps;
	ArrayArgument numbers;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("stream_id must not be null")));

	SPI_connect();
	context = CurrentMemoryContext;
	position = palloc0(sizeof(ListPosition));
	timestamps = OpenArray(fcinfo, 1, "ts");
	for (int i = 0; i < timestamps.count && timestamps.nulls != NULL; i++)
	{
		if (ElementIsNull(&timestamps, i))
			RefuseNullElement("ts", i);
	}
	numbers = OpenArray(fcinfo, 2, "value");
	if (numbers.count != timestamps.count)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("arrays must have the same length"),
				 errdetail("They have %d and %d elements.", timestamps.count, numbers.count)));

	PG_TRY();
	{
		AppendArrays(PG_GETARG_UUID_P(0), &timestamps, &numbers, position);
	}
	PG_CATCH();
	{
		RethrowForElement(context, position->position);
	}
	PG_END_TRY();
	SPI_finish();

	PG_RETURN_INT64(timestamps.count);
}

/*
 * ds_append_multiple(stream_id uuid[], ts timestamptz[], value double
 * precision[]) returns bigint
 *
 * The same for many streams; element i of each array makes datapoint i.
 */
Datum
ds_append_multiple_streams(PG_FUNCTION_ARGS)
{
	DatapointList list;

	SPI_connect();
	list = ReadArrays(fcinfo);
	AppendList(&list);
	SPI_finish();

	PG_RETURN_INT64(list.count);
}
