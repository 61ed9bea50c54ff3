/*-------------------------------------------------------------------------
 *
 * append_list.c
 *	  Appending many datapoints, to one stream or to many.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "append.h"
#include "append_json.h"
#include "catalog/pg_type.h"
#include "datapoint.h"
#include "derive.h"
#include "errors.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "json_build.h"
#include "port/pg_bswap.h"
#include "read_only.h"
#include "store.h"
#include "store_pending.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(ds_append_multiple_jsonb);
PG_FUNCTION_INFO_V1(ds_append_multiple_json);
PG_FUNCTION_INFO_V1(ds_append_multiple_stream);
PG_FUNCTION_INFO_V1(ds_append_multiple_streams);
PG_FUNCTION_INFO_V1(ds_append_multiple_text);

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
	bool		check_timestamp;	/* refuse what is older than the latest datapoint */
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
 * The datapoints of a list that belong to one stream as rows for its block.  If
 * that is to be checked, they must not be older than the stream's latest one, nor
 * than each other.
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
		if (list->check_timestamp && t < latest)
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
TryAppendListed(HeadBatch *batch, const pg_uuid_t *id, const DatapointList *list, int from, int to,
				ListPosition *position, MemoryContext context)
{
	StreamHead	head;

	return to - from < HEAD_ROWS && list->check_timestamp &&
		PeekStream(batch, id, &head, context) && head.def.derive_op < 0 &&
		TryAppend(&head, RowsFromList(&head, list, from, to, position));
}

/*
 * Begins to go through the streams of a list, which is sorted by stream, from one
 * of its datapoints on; *end is where those end that can be gone through at once.
 */
static HeadBatch *
BeginListBatch(const DatapointList *list, int from, int *end)
{
	pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * Min(list->count - from, HEAD_BATCH_MAX));
	HeadBatch  *batch;
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
	batch = BeginHeadBatch(ids, nids);
	pfree(ids);
	*end = to;

	return batch;
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
	HeadBatch  *batch = NULL;
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
			EndHeadBatch(batch);
			batch = BeginListBatch(list, from, &batch_end);
		}
		old_context = MemoryContextSwitchTo(context);

		while (to < list->count &&
			   memcmp(id, &list->datapoints[to].stream_id, UUID_LEN) == 0)
			to++;

		position->position = list->datapoints[from].position;
		if (!TryAppendListed(batch, id, list, from, to, position, context))
		{
			LockBatchStream(batch, id, &head, context);
			RefuseDerived(&head.def);
			rows = RowsFromList(&head, list, from, to, position);
			if (list->check_timestamp)
				AppendInOrder(&head, rows);
			else
				AppendInAnyOrder(&head, rows);
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
	EndHeadBatch(batch);

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

	FlushPending();
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

static ListedDatapoint
ListedFromJson(JsonDatapoint datapoint, int position)
{
	ListedDatapoint listed = {
		.stream_id = datapoint.stream_id,
		.position = position,
		.has_timestamp = datapoint.has_timestamp,
		.timestamp = datapoint.timestamp,
		.isnull = datapoint.value == NULL,
		.value.json = datapoint.value
	};

	return listed;
}

/*
 * Reads ds_append_multiple()'s list.  An error that an element causes names
 * its position.
 */
static DatapointList
ReadList(Jsonb *json, bool check_timestamp)
{
	MemoryContext context = CurrentMemoryContext;
	DatapointList list = {.is_json = true, .check_timestamp = check_timestamp};
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
			list.datapoints[position - 1] = ListedFromJson(ReadJsonDatapoint(&element), position);
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
 * Whether an argument that is the last one, and that version 0.1.0 did not have,
 * asks for timestamps to be checked: true unless it is there and false.
 */
static bool
CheckTimestampArgument(FunctionCallInfo fcinfo, int argument)
{
	return PG_NARGS() <= argument || PG_ARGISNULL(argument) || PG_GETARG_BOOL(argument);
}

static Jsonb *
ReadJsonb(Datum argument)
{
	return DatumGetJsonbP(argument);
}

/*
 * Appends the datapoints of a list in the first argument.
 */
static Datum
AppendJson(FunctionCallInfo fcinfo, Jsonb *(*read_json) (Datum argument))
{
	DatapointList list;

	RefuseReadOnly("ds_append_multiple()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("datapoints must not be null")));

	SPI_connect();
	list = ReadList(read_json(PG_GETARG_DATUM(0)), CheckTimestampArgument(fcinfo, 1));
	AppendList(&list);
	SPI_finish();

	PG_RETURN_INT64(list.count);
}

/*
 * ds_append_multiple(datapoints jsonb, check_timestamp boolean) returns bigint
 *
 * Appends a list of {"stream_id": uuid, "value": any, "timestamp": text, seconds
 * since 1970 or null}, all or nothing; returns their number.  If timestamps are
 * not checked, they may come in any order.
 */
Datum
ds_append_multiple_jsonb(PG_FUNCTION_ARGS)
{
	return AppendJson(fcinfo, ReadJsonb);
}

/*
 * The same for a list that is json, or the text of one.
 */
Datum
ds_append_multiple_json(PG_FUNCTION_ARGS)
{
	return AppendJson(fcinfo, JsonbFromJson);
}

/*
 * Refuses an array of several dimensions.
 */
static ArrayType *
OneDimension(ArrayType *array, const char *name)
{
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%s must be an array of one dimension", name)));

	return array;
}

/*
 * An array argument of one dimension
 */
static ArrayType *
ArrayFromArgument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));

	return OneDimension(PG_GETARG_ARRAYTYPE_P(argument), name);
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
 * The elements of an array, which has no nulls, unless "allow_nulls".
 */
static int
ReadArray(ArrayType *array, const char *name, Oid type, int16 length,
		  bool by_value, char align, Datum **elements, bool **nulls, bool allow_nulls)
{
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
	return ReadArray(ArrayFromArgument(fcinfo, 1, "ts"), "ts", TIMESTAMPTZOID, sizeof(TimestampTz), FLOAT8PASSBYVAL,
					 TYPALIGN_DOUBLE, timestamps, nulls, false);
}

static int
ReadValues(FunctionCallInfo fcinfo, Datum **values, bool **nulls)
{
	return ReadArray(ArrayFromArgument(fcinfo, 2, "value"), "value", FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL,
					 TYPALIGN_DOUBLE, values, nulls, true);
}

/*
 * The list of datapoints in the arrays of ds_append_multiple().
 */
static DatapointList
ReadArrays(FunctionCallInfo fcinfo, ArrayType *streams)
{
	DatapointList list = {.check_timestamp = CheckTimestampArgument(fcinfo, 3)};
	Datum	   *ids;
	Datum	   *timestamps;
	Datum	   *values;
	bool	   *nulls;
	bool	   *value_nulls;
	int			nids;
	int			nvalues;

	nids = ReadArray(streams, "stream_id", UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, &ids, &nulls, false);
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
			 bool check_timestamp, DataBlock *rows, ListPosition *position)
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
		if (check_timestamp)
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
AppendArrays(const pg_uuid_t *id, ArrayArgument *timestamps, ArrayArgument *numbers,
			 bool check_timestamp, ListPosition *position)
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
		if (TakeAllElements(&head, timestamps, numbers, to - from, rows))
		{
			AppendInOrder(&head, rows);
			continue;
		}
		TakeElements(&head, timestamps, numbers, from, to, check_timestamp, rows, position);
		if (check_timestamp)
			AppendInOrder(&head, rows);
		else
			AppendInAnyOrder(&head, rows);
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
 * Appends the datapoints of two array arguments to one stream.
 */
static Datum
AppendToStream(FunctionCallInfo fcinfo, const pg_uuid_t *id)
{
	MemoryContext context = CurrentMemoryContext;
	ListPosition *position = palloc0(sizeof(ListPosition));
	ArrayArgument timestamps = OpenArray(fcinfo, 1, "ts");
	ArrayArgument numbers = OpenArray(fcinfo, 2, "value");

	for (int i = 0; i < timestamps.count && timestamps.nulls != NULL; i++)
	{
		if (ElementIsNull(&timestamps, i))
			RefuseNullElement("ts", i);
	}
	if (numbers.count != timestamps.count)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("arrays must have the same length"),
				 errdetail("They have %d and %d elements.", timestamps.count, numbers.count)));

	PG_TRY();
	{
		AppendArrays(id, &timestamps, &numbers, CheckTimestampArgument(fcinfo, 3), position);
	}
	PG_CATCH();
	{
		RethrowForElement(context, position->position);
	}
	PG_END_TRY();

	PG_RETURN_INT64(timestamps.count);
}

/*
 * Appends the datapoints of two array arguments to the streams of a third array.
 */
static Datum
AppendToStreams(FunctionCallInfo fcinfo, ArrayType *ids)
{
	DatapointList list = ReadArrays(fcinfo, OneDimension(ids, "stream_id"));

	AppendList(&list);

	PG_RETURN_INT64(list.count);
}

/*
 * Refuses a call of ds_append_multiple() that cannot append: in a read-only
 * transaction, or to no stream.
 */
static void
CheckAppendMultiple(FunctionCallInfo fcinfo)
{
	RefuseReadOnly("ds_append_multiple()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("stream_id must not be null")));
}

/*
 * ds_append_multiple(stream_id uuid, ts timestamptz[], value double precision[],
 * check_timestamp boolean) returns bigint
 *
 * Appends datapoints to one stream, all or nothing; returns their number.  A
 * null among the values is a datapoint without value.  If timestamps are not
 * checked, they may come in any order.  An error that an element causes names
 * its position.
 */
Datum
ds_append_multiple_stream(PG_FUNCTION_ARGS)
{
	Datum		result;

	CheckAppendMultiple(fcinfo);
	SPI_connect();
	result = AppendToStream(fcinfo, PG_GETARG_UUID_P(0));
	SPI_finish();

	return result;
}

/*
 * ds_append_multiple(stream_id uuid[], ts timestamptz[], value double
 * precision[], check_timestamp boolean) returns bigint
 *
 * The same for many streams; element i of each array makes datapoint i.
 */
Datum
ds_append_multiple_streams(PG_FUNCTION_ARGS)
{
	Datum		result;

	CheckAppendMultiple(fcinfo);
	SPI_connect();
	result = AppendToStreams(fcinfo, PG_GETARG_ARRAYTYPE_P(0));
	SPI_finish();

	return result;
}

/*
 * Whether a text is that of an array, rather than that of one of its elements.
 */
static bool
IsArrayText(const char *str)
{
	str += strspn(str, " \t\n\r");

	return *str == '{' || *str == '[';
}

/*
 * ds_append_multiple(stream_id text, ts timestamptz[], value double precision[],
 * check_timestamp boolean) returns bigint
 *
 * The same for the text of an identifier, or of an array of identifiers.  A call
 * with parameters of no type is one of this form.
 */
Datum
ds_append_multiple_text(PG_FUNCTION_ARGS)
{
	char	   *streams;
	Datum		result;

	CheckAppendMultiple(fcinfo);
	SPI_connect();
	streams = TextDatumGetCString(PG_GETARG_DATUM(0));
	if (IsArrayText(streams))
		result = AppendToStreams(fcinfo, DatumGetArrayTypeP(OidInputFunctionCall(F_ARRAY_IN, streams, UUIDOID, -1)));
	else
		result = AppendToStream(fcinfo, DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(streams))));
	SPI_finish();

	return result;
}
