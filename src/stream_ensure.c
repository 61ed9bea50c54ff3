/*-------------------------------------------------------------------------
 *
 * stream_ensure.c
 *	  Making a stream, or finding the one that is there already.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "errors.h"
#include "fmgr.h"
#include "json_build.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "operator.h"
#include "plans.h"
#include "read_only.h"
#include "store.h"
#include "stream.h"
#include "tags.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "value_downsampler.h"

PG_FUNCTION_INFO_V1(ds_ensure_stream);

/* Arguments of ds_ensure_stream() */
enum
{
	ARG_QUERY_TAGS,
	ARG_TAGS,
	ARG_VALUE_DOWNSAMPLERS,
	ARG_HIGHEST_GRANULARITY,
	ARG_DERIVE_FROM,
	ARG_DERIVE_OP,
	ARG_DERIVE_ARGS,
	ARG_VALUE_TYPE,
	ARG_VALUE_TYPE_OPTIONS,
	ARG_DERIVE_BACKPROCESS
};

/* What a caller wants to be there */
typedef struct StreamRequest
{
	Jsonb	   *query_tags;
	Jsonb	   *tags;			/* that the stream shall have */
	StreamDef	def;			/* its id is set when the stream is made */
	Jsonb	   *value_type_options; /* in their normal form */
	bool		downsamplers_given;
	DeriveSource *sources;
	int			nsources;		/* 0 for a stream that is not derived */
	bool		backprocess;
} StreamRequest;

/* The last datapoint of a source, from where on it is read */
typedef struct SourcePosition
{
	StreamTime	t;				/* or STREAM_TIME_NONE */
	int			count;			/* datapoints at that time */
} SourcePosition;

/*
 * An argument of type text that must be given.
 */
static char *
RequiredText(FunctionCallInfo fcinfo, int n, const char *parameter)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", parameter)));

	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

static Jsonb *
OptionalJsonb(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : PG_GETARG_JSONB_P(n);
}

/*
 * Reads the tags of a request.
 */
static void
ParseTags(FunctionCallInfo fcinfo, StreamRequest *request)
{
	Jsonb	   *tags = OptionalJsonb(fcinfo, ARG_TAGS);

	request->query_tags = OptionalJsonb(fcinfo, ARG_QUERY_TAGS);
	if (request->query_tags == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("query_tags must not be null")));

	CheckTagsObject(request->query_tags, "query_tags");
	CheckReservedTags(request->query_tags);
	request->tags = request->query_tags;

	if (tags != NULL)
	{
		CheckTagsObject(tags, "tags");
		CheckReservedTags(tags);
		request->tags = ConcatTags(request->query_tags, tags);
	}
}

/*
 * Reads from what and how a stream shall be derived.  What depends on the
 * sources themselves is checked when the stream is made.
 */
static void
ParseDerivation(FunctionCallInfo fcinfo, StreamRequest *request)
{
	Jsonb	   *from = OptionalJsonb(fcinfo, ARG_DERIVE_FROM);
	Jsonb	   *args = OptionalJsonb(fcinfo, ARG_DERIVE_ARGS);

	request->def.derive_op = -1;
	request->backprocess = PG_ARGISNULL(ARG_DERIVE_BACKPROCESS) || PG_GETARG_BOOL(ARG_DERIVE_BACKPROCESS);

	if (!PG_ARGISNULL(ARG_DERIVE_OP))
		request->def.derive_op = ParseDeriveOperator(text_to_cstring(PG_GETARG_TEXT_PP(ARG_DERIVE_OP)),
													 request->def.value_type);

	if ((from != NULL) != (request->def.derive_op >= 0))
		ereport(ERROR,
				(errcode(ERRCODE_DS_INVALID_OPERATOR_ARGUMENTS),
				 errmsg("derive_from and derive_op must be given together")));

	if (from == NULL)
	{
		if (args != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DS_INVALID_OPERATOR_ARGUMENTS),
					 errmsg("derive_args must not be given without derive_op")));
		return;
	}

	request->def.derive_args = CheckDeriveArgs(request->def.derive_op, args);
	ParseDeriveFrom(from, &request->sources, &request->nsources);
}

/*
 * Reads the arguments of ds_ensure_stream() and checks all that can be checked
 * without looking at streams.
 */
static void
ParseRequest(FunctionCallInfo fcinfo, StreamRequest *request)
{
	StreamDef  *def = &request->def;

	memset(request, 0, sizeof(StreamRequest));

	ParseTags(fcinfo, request);

	def->value_type = ParseValueType(RequiredText(fcinfo, ARG_VALUE_TYPE, "value_type"));
	request->value_type_options = CheckValueTypeOptions(def->value_type,
														OptionalJsonb(fcinfo, ARG_VALUE_TYPE_OPTIONS),
														&def->high_accuracy);

	def->highest = ParseHighestGranularity(RequiredText(fcinfo, ARG_HIGHEST_GRANULARITY,
														"highest_granularity"));

	request->downsamplers_given = !PG_ARGISNULL(ARG_VALUE_DOWNSAMPLERS);
	if (request->downsamplers_given)
		def->value_downsamplers = ParseValueDownsamplers(PG_GETARG_ARRAYTYPE_P(ARG_VALUE_DOWNSAMPLERS),
														 def->value_type);
	else
		def->value_downsamplers = DefaultValueDownsamplers(def->value_type);

	ParseDerivation(fcinfo, request);
}

/*
 * Looks for the stream of a request; false if there is none.  Several are
 * multiple_streams_returned.
 */
static bool
FindRequested(const StreamRequest *request, bool read_only, pg_uuid_t *id)
{
	pg_uuid_t  *ids;
	int			nids;

	FindMatchingStreams(request->query_tags, NULL, 2, read_only, &ids, &nids);
	if (nids > 1)
		ereport(ERROR,
				(errcode(ERRCODE_DS_MULTIPLE_STREAMS_RETURNED),
				 errmsg("several streams match the query tags %s", JsonbForMessage(request->query_tags)),
				 errhint("Query tags must single out one stream.")));
	if (nids == 1)
		*id = ids[0];
	pfree(ids);

	return nids == 1;
}

/*
 * Waits until no other transaction makes a stream for the same query tags, and
 * keeps others from it until the end of this transaction.
 *
 * The lock is a row that is inserted and deleted at once: on its key others
 * wait for this transaction, without a lock in shared memory for each of the
 * many streams that a transaction may make.
 */
static void
LockQueryTags(Jsonb *query_tags)
{
	static PlanSlot insert_slot;
	static PlanSlot delete_slot;
	static const Oid argtypes[] = {INT8OID};
	Datum		values[1];

	values[0] = DirectFunctionCall2(jsonb_hash_extended, JsonbPGetDatum(query_tags), Int64GetDatum(0));
	RunSavedQuery(&insert_slot, "INSERT INTO datastream.ensuring (query_tags_hash) VALUES ($1)",
				  1, argtypes, values, NULL, false);
	RunSavedQuery(&delete_slot,
				  "DELETE FROM datastream.ensuring WHERE query_tags_hash OPERATOR(pg_catalog.=) $1",
				  1, argtypes, values, NULL, false);
}

/*
 * Looks for the stream of a request once more, where it was not there at first,
 * holding the lock that keeps others from making it; false if it has to be
 * made.
 */
static bool
FindMadeByOthers(const StreamRequest *request, pg_uuid_t *id)
{
	bool		found;

	RefuseReadOnly("ds_ensure_stream()");
	LockQueryTags(request->query_tags);

	BeginLatestSnapshot();
	found = FindRequested(request, true, id);
	EndLatestSnapshot();

	if (found && IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent creation of a stream"),
				 errdetail("Another transaction has made the stream for the query tags %s.",
						   JsonbForMessage(request->query_tags)),
				 errhint("The transaction might succeed if retried.")));

	return found;
}

/*
 * Reports that an existing stream is not what was asked for.
 */
static void
ReportDifference(const StreamDef *existing, const char *what, char *have, char *want)
{
	ereport(ERROR,
			(errcode(ERRCODE_DS_INCONSISTENT_CONFIGURATION),
			 errmsg("stream \"%s\" exists with another %s", StreamIdToString(&existing->id), what),
			 errdetail("The stream has %s, asked for was %s.", ClipForMessage(have), ClipForMessage(want))));
}

/*
 * A set of value downsamplers as messages show it.
 */
static char *
DownsamplerList(uint32 set)
{
	StringInfoData list;

	if (set == 0)
		return "none";

	initStringInfo(&list);
	for (int i = 0; i < VALUE_DOWNSAMPLER_COUNT; i++)
	{
		if (set & VALUE_DOWNSAMPLER_BIT(i))
			appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "",
							 ValueDownsamplerName((ValueDownsampler) i));
	}

	return list.data;
}

/*
 * The sources of a stream as messages show them.
 */
static char *
SourceList(const DeriveSource *sources, int nsources)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < nsources; i++)
	{
		const DeriveSource *source = &sources[i];

		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "",
						 source->hidden ? "a stream that you cannot see" : StreamIdToString(&source->def.id));
		if (source->name != NULL)
			appendStringInfo(&list, " named \"%s\"", source->name);
		if (source->granularity_given)
			appendStringInfo(&list, " at %s", GranularityName(source->granularity));
	}

	return list.data;
}

/*
 * Reads the sources of an existing derived stream.  Of their definitions only
 * the identifiers and highest granularities are set.  A source that row
 * security hides from the caller counts as used at its highest granularity.
 */
static void
LoadSources(const pg_uuid_t *id, DeriveSource **sources, int *nsources)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID};
	Datum		values[1];

	values[0] = UUIDPGetDatum(id);
	*nsources = (int) RunSavedQuery(&slot,
									"SELECT d.source_id, d.name, d.granularity, s.highest_granularity"
									" FROM datastream.sources d LEFT JOIN datastream.streams s"
									" ON s.stream_id OPERATOR(pg_catalog.=) d.source_id"
									" WHERE d.stream_id OPERATOR(pg_catalog.=) $1"
									" ORDER BY d.\"position\"",
									1, argtypes, values, NULL, false);
	*sources = palloc0(*nsources * sizeof(DeriveSource));

	for (int i = 0; i < *nsources; i++)
	{
		DeriveSource *source = &(*sources)[i];
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		char	   *highest = SPI_getvalue(tuple, desc, 4);
		bool		isnull;

		source->def.id = *DatumGetUUIDP(SPI_getbinval(tuple, desc, 1, &isnull));
		source->name = SPI_getvalue(tuple, desc, 2);
		source->granularity = StoredGranularity(id, tuple, desc, 3);
		source->def.highest = highest != NULL ? StoredGranularity(&source->def.id, tuple, desc, 4) : source->granularity;
		source->hidden = highest == NULL;
		source->granularity_given = (source->granularity != source->def.highest);
	}
}

/*
 * Tells whether a source that is asked for is one that a stream has.  Without a
 * granularity the source's highest is asked for.
 */
static bool
SameSource(const DeriveSource *have, const DeriveSource *want)
{
	if (CompareStreamIds(&have->def.id, &want->def.id) != 0)
		return false;
	if ((have->name == NULL) != (want->name == NULL) ||
		(have->name != NULL && strcmp(have->name, want->name) != 0))
		return false;

	return have->granularity == (want->granularity_given ? want->granularity : have->def.highest);
}

/*
 * Tells whether two lists hold the same sources, in whatever order.
 */
static bool
SameSources(const DeriveSource *have, int nhave, const DeriveSource *want, int nwant)
{
	bool	   *used;

	if (nhave != nwant)
		return false;

	used = palloc0(nhave * sizeof(bool));
	for (int i = 0; i < nwant; i++)
	{
		int			match = i;

		/* Most often the order is the same as well. */
		if (used[i] || !SameSource(&have[i], &want[i]))
		{
			for (match = 0; match < nhave; match++)
			{
				if (!used[match] && SameSource(&have[match], &want[i]))
					break;
			}
			if (match == nhave)
				return false;
		}
		used[match] = true;
	}

	return true;
}

/*
 * Refuses an existing stream that differs from what was asked for.
 */
static void
CheckConfiguration(const StreamDef *have, Jsonb *have_options, const StreamRequest *request)
{
	const StreamDef *want = &request->def;
	DeriveSource *sources;
	int			nsources;

	if (have->value_type != want->value_type)
		ReportDifference(have, "value type",
						 pstrdup(ValueTypeName(have->value_type)),
						 pstrdup(ValueTypeName(want->value_type)));

	if (!JsonbEqual(have_options, request->value_type_options))
		ReportDifference(have, "set of value type options",
						 JsonbForMessage(have_options),
						 JsonbForMessage(request->value_type_options));

	if (have->highest != want->highest)
		ReportDifference(have, "highest granularity",
						 pstrdup(GranularityName(have->highest)),
						 pstrdup(GranularityName(want->highest)));

	if (request->downsamplers_given && have->value_downsamplers != want->value_downsamplers)
		ReportDifference(have, "set of value downsamplers",
						 DownsamplerList(have->value_downsamplers),
						 DownsamplerList(want->value_downsamplers));

	if (have->derive_op != want->derive_op)
		ReportDifference(have, "derive operator",
						 pstrdup(have->derive_op < 0 ? "none" : DeriveOperators[have->derive_op].name),
						 pstrdup(want->derive_op < 0 ? "none" : DeriveOperators[want->derive_op].name));

	if (have->derive_op < 0)
		return;

	if (!JsonbEqual(have->derive_args, want->derive_args))
		ReportDifference(have, "set of operator arguments",
						 JsonbForMessage(have->derive_args != NULL ? have->derive_args : EmptyObject()),
						 JsonbForMessage(want->derive_args != NULL ? want->derive_args : EmptyObject()));

	LoadSources(&have->id, &sources, &nsources);
	if (!SameSources(sources, nsources, request->sources, request->nsources))
		ReportDifference(have, "set of source streams",
						 SourceList(sources, nsources),
						 SourceList(request->sources, request->nsources));
}

/*
 * Makes sure that an existing stream is what was asked for and sets the tags that
 * are given, if it has not got them; false if it has been deleted meanwhile.
 */
static bool
ReuseStream(const StreamRequest *request, const pg_uuid_t *id)
{
	static PlanSlot select_slot;
	static const Oid argtypes[] = {UUIDOID};
	Datum		values[1];
	Datum		options;
	Jsonb	   *tags;
	HeapTuple	tuple;
	TupleDesc	desc;
	StreamDef	existing;
	bool		isnull;

	values[0] = UUIDPGetDatum(id);
	if (RunSavedQuery(&select_slot,
					  "SELECT " STREAM_DEF_COLUMNS ", s.tags FROM datastream.streams s"
					  " WHERE s.stream_id OPERATOR(pg_catalog.=) $1",
					  1, argtypes, values, NULL, false) == 0)
		return false;

	tuple = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	StreamDefFromTuple(&existing, tuple, desc, 1, CurrentMemoryContext);
	options = SPI_getbinval(tuple, desc, 3, &isnull);
	tags = DatumGetJsonbP(SPI_getbinval(tuple, desc, STREAM_DEF_NCOLUMNS + 1, &isnull));

	CheckConfiguration(&existing, DatumGetJsonbP(options), request);

	if (JsonbIdentical(tags, MergeTags(tags, request->tags)))
		return true;

	RefuseReadOnly("ds_ensure_stream()");

	return SetTags(id, request->tags);
}

/*
 * Looks up the sources of a stream that is to be made and checks that they fit.
 */
static void
ResolveSources(StreamRequest *request)
{
	MemoryContext context = CurrentMemoryContext;

	BeginLatestSnapshot();
	for (int i = 0; i < request->nsources; i++)
	{
		DeriveSource *source = &request->sources[i];
		pg_uuid_t	id = source->def.id;

		LoadStream(&id, &source->def, false, context);
		if (!source->granularity_given)
			source->granularity = source->def.highest;
	}
	EndLatestSnapshot();

	CheckDerivation(&request->def, request->sources, request->nsources);
}

/*
 * Locks the sources, in the order of their identifiers, and notes that a stream
 * derives from them.  From here on nothing is appended to them until the end
 * of the transaction.
 */
static void
LockSources(const StreamRequest *request)
{
	pg_uuid_t  *ids = palloc(request->nsources * sizeof(pg_uuid_t));

	for (int i = 0; i < request->nsources; i++)
		ids[i] = request->sources[i].def.id;
	LockStreams(ids, request->nsources, false);

	for (int i = 0; i < request->nsources; i++)
		MarkContributes(&ids[i]);

	pfree(ids);
}

/*
 * Finds where a source ends now: its last datapoint or, at a lower granularity,
 * the end of its last bucket.  Returns whether it has any datapoints.
 */
static bool
FindPosition(const DeriveSource *source, SourcePosition *position)
{
	bool		has_datapoints = StreamLatest(&source->def, &position->t, &position->count);
	StreamProgress progress;

	if (!has_datapoints || source->granularity != source->def.highest)
	{
		position->t = STREAM_TIME_NONE;
		position->count = 0;
	}

	/* Buckets are still there when the datapoints of which they are have expired. */
	if (source->granularity != source->def.highest && ReadProgress(&source->def.id, &progress))
	{
		position->t = progress.until[source->granularity];
		has_datapoints = has_datapoints || position->t != STREAM_TIME_NONE;
	}

	return has_datapoints;
}

/*
 * Finds where all sources end now, and returns whether any has datapoints.  They
 * must be locked.
 */
static bool
FindPositions(const StreamRequest *request, SourcePosition *positions)
{
	bool		has_datapoints = false;

	BeginLatestSnapshot();
	for (int i = 0; i < request->nsources; i++)
	{
		if (FindPosition(&request->sources[i], &positions[i]))
			has_datapoints = true;
	}
	EndLatestSnapshot();

	return has_datapoints;
}

/*
 * Inserts the definition of a new stream.
 */
static void
InsertStream(const StreamRequest *request)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {
		UUIDOID, JSONBOID, TEXTOID, JSONBOID, TEXTARRAYOID, TEXTOID, TEXTOID, JSONBOID
	};
	const StreamDef *def = &request->def;
	Datum		values[8] = {0};
	char		nulls[8];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = UUIDPGetDatum(&def->id);
	values[1] = JsonbPGetDatum(request->tags);
	values[2] = CStringGetTextDatum(ValueTypeName(def->value_type));
	values[3] = JsonbPGetDatum(request->value_type_options);
	values[4] = PointerGetDatum(ValueDownsamplerNames(def->value_downsamplers));
	values[5] = CStringGetTextDatum(GranularityName(def->highest));
	if (def->derive_op >= 0)
		values[6] = CStringGetTextDatum(DeriveOperators[def->derive_op].name);
	else
		nulls[6] = 'n';
	if (def->derive_args != NULL)
		values[7] = JsonbPGetDatum(def->derive_args);
	else
		nulls[7] = 'n';

	RunSavedQuery(&slot,
				  "INSERT INTO datastream.streams (stream_id, tags, value_type, value_type_options,"
				  " value_downsamplers, highest_granularity, derive_op, derive_args)"
				  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
				  8, argtypes, values, nulls, false);
}

/*
 * Inserts one source of a new stream, for which there is nothing until the origin;
 * NULL for the beginning.
 */
static void
InsertSource(const pg_uuid_t *id, int number, const DeriveSource *source, const SourcePosition *origin)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID, INT4OID, UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT4OID};
	Datum		values[7] = {0};
	char		nulls[7];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = UUIDPGetDatum(id);
	values[1] = Int32GetDatum(number);
	values[2] = UUIDPGetDatum(&source->def.id);
	if (source->name != NULL)
		values[3] = CStringGetTextDatum(source->name);
	else
		nulls[3] = 'n';
	values[4] = CStringGetTextDatum(GranularityName(source->granularity));

	if (origin != NULL && origin->t != STREAM_TIME_NONE)
	{
		values[5] = TimestampTzGetDatum(TimestampFromStreamTime(origin->t));
		values[6] = Int32GetDatum(origin->count);
	}
	else
		nulls[5] = 'n';

	RunSavedQuery(&slot,
				  "INSERT INTO datastream.sources (stream_id, \"position\", source_id, name, granularity,"
				  " origin, origin_count, read_until)"
				  " VALUES ($1, $2, $3, $4, $5, $6, $7, $6)",
				  7, argtypes, values, nulls, false);
}

/*
 * Inserts the sources of a new stream that starts with what is appended to them
 * from now on.  An operator that joins its sources starts after the last
 * datapoint of all, so that it never joins a new datapoint with an old one.
 *
 * How many datapoints a derived source has at its latest time may change when they
 * are made again: there is nothing of it until behind that.
 */
static void
InsertSourcesFromNow(const StreamRequest *request, const SourcePosition *positions)
{
	SourcePosition last = {STREAM_TIME_NONE, 0};

	for (int i = 0; i < request->nsources; i++)
		last.t = Max(last.t, positions[i].t);

	for (int i = 0; i < request->nsources; i++)
	{
		const DeriveSource *source = &request->sources[i];
		SourcePosition origin = positions[i];

		if (DeriveOperators[request->def.derive_op].joins_sources && origin.t != last.t)
			origin = last;
		else if (source->def.derive_op >= 0 && source->granularity == source->def.highest)
			origin.count = PG_INT32_MAX;
		InsertSource(&request->def.id, i, source, &origin);
	}
}

/*
 * Makes the stream of a request, and sets the identifier in its definition.
 */
static void
CreateStream(StreamRequest *request)
{
	SourcePosition *positions = NULL;
	bool		has_datapoints = false;

	request->def.id = *DatumGetUUIDP(DirectFunctionCall1(gen_random_uuid, (Datum) 0));

	if (request->nsources > 0)
	{
		positions = palloc(request->nsources * sizeof(SourcePosition));
		ResolveSources(request);
		LockSources(request);
		has_datapoints = FindPositions(request, positions);
	}

	InsertStream(request);
	CreateStreamStorage(&request->def.id, has_datapoints && request->backprocess);

	if (has_datapoints && !request->backprocess)
		InsertSourcesFromNow(request, positions);
	else
	{
		for (int i = 0; i < request->nsources; i++)
			InsertSource(&request->def.id, i, &request->sources[i], NULL);
	}
}

/*
 * ds_ensure_stream(query_tags jsonb, tags jsonb, value_downsamplers text[],
 *		highest_granularity text, derive_from jsonb, derive_op text,
 *		derive_args jsonb, value_type text, value_type_options jsonb,
 *		derive_backprocess boolean) returns uuid
 *
 * The stream whose tags match query_tags, which gets the tags
 * query_tags || tags beside those that it has, and is made if it is not there.
 * One that is there with these tags is found in a read-only transaction, too.
 * Sessions that ensure
 * the same stream at once get the same one; under REPEATABLE READ and
 * SERIALIZABLE one of them may have to try again (serialization_failure).
 *
 * Errors: multiple_streams_returned, inconsistent_stream_configuration,
 * reserved_tag_name, and for a new stream all that its definition can have.
 */
Datum
ds_ensure_stream(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));
	StreamRequest request;
	bool		done = false;

	ParseRequest(fcinfo, &request);

	SPI_connect();

	/* A stream that is found may be gone again when it is looked at. */
	while (!done)
	{
		CHECK_FOR_INTERRUPTS();

		if (FindRequested(&request, false, id) || FindMadeByOthers(&request, id))
			done = ReuseStream(&request, id);
		else
		{
			CreateStream(&request);
			*id = request.def.id;
			done = true;
		}
	}

	SPI_finish();

	PG_RETURN_UUID_P(id);
}
