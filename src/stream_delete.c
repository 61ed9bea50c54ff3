/*-------------------------------------------------------------------------
 *
 * stream_delete.c
 *	  Deleting streams with all that is stored of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "errors.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "plans.h"
#include "read_only.h"
#include "store.h"
#include "stream.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(ds_delete_streams);

/* Identifiers in ascending order, each once */
typedef struct StreamSet
{
	pg_uuid_t  *ids;
	int			count;
} StreamSet;

/*
 * Sorts the identifiers of a set and drops repeated ones.
 */
static void
SortSet(StreamSet *set)
{
	int			kept = 0;

	qsort(set->ids, set->count, sizeof(pg_uuid_t), CompareStreamIds);
	for (int i = 0; i < set->count; i++)
	{
		if (kept == 0 || CompareStreamIds(&set->ids[i], &set->ids[kept - 1]) != 0)
			set->ids[kept++] = set->ids[i];
	}
	set->count = kept;
}

static bool
SetContains(const StreamSet *set, const pg_uuid_t *id)
{
	return bsearch(id, set->ids, set->count, sizeof(pg_uuid_t), CompareStreamIds) != NULL;
}

/*
 * A set as an SQL array.
 */
static Datum
SetArray(const StreamSet *set)
{
	Datum	   *elements = palloc(set->count * sizeof(Datum));
	ArrayType  *array;

	for (int i = 0; i < set->count; i++)
		elements[i] = UUIDPGetDatum(&set->ids[i]);
	array = construct_array(elements, set->count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR);
	pfree(elements);

	return PointerGetDatum(array);
}

/*
 * An identifier in the result of the last query.
 */
static pg_uuid_t
ResultId(uint64 row, int attribute)
{
	bool		isnull;

	return *DatumGetUUIDP(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
										attribute, &isnull));
}

/*
 * Returns the streams from which those of a set derive and which are not in it
 * themselves.
 */
static StreamSet
SourcesOutside(const StreamSet *set)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDARRAYOID};
	StreamSet	outside = {NULL, 0};
	Datum		values[1];
	uint64		found;

	values[0] = SetArray(set);
	found = RunSavedQuery(&slot,
						  "SELECT DISTINCT d.source_id FROM pg_catalog.unnest($1) deleted (stream_id)"
						  " JOIN datastream.sources d ON d.stream_id OPERATOR(pg_catalog.=) deleted.stream_id",
						  1, argtypes, values, NULL, false);

	outside.ids = palloc(found * sizeof(pg_uuid_t));
	for (uint64 i = 0; i < found; i++)
	{
		pg_uuid_t	source = ResultId(i, 1);

		if (!SetContains(set, &source))
			outside.ids[outside.count++] = source;
	}
	SPI_freetuptable(SPI_tuptable);
	SortSet(&outside);

	return outside;
}

/*
 * Locks the streams of both sets.
 */
static void
LockSets(const StreamSet *a, const StreamSet *b)
{
	pg_uuid_t  *ids = palloc((a->count + b->count + 1) * sizeof(pg_uuid_t));

	memcpy(ids, a->ids, a->count * sizeof(pg_uuid_t));
	memcpy(ids + a->count, b->ids, b->count * sizeof(pg_uuid_t));
	LockStreams(ids, a->count + b->count, false);
	pfree(ids);
}

/*
 * Refuses to delete streams that others, which are not deleted, derive from.
 */
static void
CheckDependencies(const StreamSet *set)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDARRAYOID};
	Datum		values[1];
	uint64		found;

	values[0] = SetArray(set);
	found = RunSavedQuery(&slot,
						  "SELECT DISTINCT d.source_id, d.stream_id, s.stream_id IS NOT NULL AS visible"
						  " FROM pg_catalog.unnest($1) deleted (stream_id)"
						  " JOIN datastream.sources d ON d.source_id OPERATOR(pg_catalog.=) deleted.stream_id"
						  " LEFT JOIN datastream.streams s ON s.stream_id OPERATOR(pg_catalog.=) d.stream_id"
						  " ORDER BY visible DESC, d.source_id, d.stream_id",
						  1, argtypes, values, NULL, false);

	for (uint64 i = 0; i < found; i++)
	{
		pg_uuid_t	source = ResultId(i, 1);
		pg_uuid_t	derived = ResultId(i, 2);
		bool		isnull;
		bool		visible = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc,
														 3, &isnull));

		if (!SetContains(set, &derived))
			ereport(ERROR,
					(errcode(ERRCODE_DS_OUTSTANDING_DEPENDENCIES),
					 errmsg("cannot delete stream \"%s\" because other streams derive from it",
							StreamIdToString(&source)),
					 visible ?
					 errdetail("Stream \"%s\" derives from it.", StreamIdToString(&derived)) :
					 errdetail("A stream that you cannot see derives from it."),
					 errhint("Delete the derived streams first, or in the same call.")));
	}
	SPI_freetuptable(SPI_tuptable);
}

/*
 * Makes the streams of a set forget their sources.
 */
static void
DeleteSources(const StreamSet *set)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDARRAYOID};
	Datum		values[1];

	values[0] = SetArray(set);
	RunSavedQuery(&slot,
				  "DELETE FROM datastream.sources d USING pg_catalog.unnest($1) deleted (stream_id)"
				  " WHERE d.stream_id OPERATOR(pg_catalog.=) deleted.stream_id",
				  1, argtypes, values, NULL, false);
}

/*
 * Deletes a stream, from which no other one derives; false if it is not there.
 */
static bool
DeleteStream(const pg_uuid_t *id)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID};
	Datum		values[1];

	DeleteStreamStorage(id);

	values[0] = UUIDPGetDatum(id);

	return RunSavedQuery(&slot,
						 "DELETE FROM datastream.streams WHERE stream_id OPERATOR(pg_catalog.=) $1",
						 1, argtypes, values, NULL, false) > 0;
}

/*
 * Tells whether any stream derives from this one.
 */
static bool
HasDependants(const pg_uuid_t *id)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID};
	Datum		values[1];
	uint64		found;

	values[0] = UUIDPGetDatum(id);
	found = RunSavedQuery(&slot,
						  "SELECT 1 FROM datastream.sources WHERE source_id OPERATOR(pg_catalog.=) $1 LIMIT 1",
						  1, argtypes, values, NULL, false);
	SPI_freetuptable(SPI_tuptable);

	return found > 0;
}

/*
 * ds_delete_streams(query_tags jsonb) returns bigint
 *
 * Deletes the streams that query tags name, or all, with all their datapoints,
 * and returns how many.  If a stream that stays derives from one of them,
 * nothing is deleted: outstanding_dependencies.
 */
Datum
ds_delete_streams(PG_FUNCTION_ARGS)
{
	Jsonb	   *query_tags = PG_ARGISNULL(0) ? NULL : PG_GETARG_JSONB_P(0);
	StreamSet	set;
	StreamSet	sources;
	int64		deleted = 0;

	RefuseReadOnly("ds_delete_streams()");
	SPI_connect();

	FindStreamIds(query_tags, true, &set.ids, &set.count);
	SortSet(&set);
	sources = SourcesOutside(&set);
	LockSets(&set, &sources);

	/* Now that they are locked, no stream can be derived from them any more. */
	CheckDependencies(&set);

	DeleteSources(&set);
	for (int i = 0; i < set.count; i++)
	{
		CHECK_FOR_INTERRUPTS();

		if (DeleteStream(&set.ids[i]))
			deleted++;
	}

	for (int i = 0; i < sources.count; i++)
	{
		if (!HasDependants(&sources.ids[i]))
			ClearContributes(&sources.ids[i]);
	}

	SPI_finish();

	PG_RETURN_INT64(deleted);
}
