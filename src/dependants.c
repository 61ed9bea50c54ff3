/*-------------------------------------------------------------------------
 *
 * dependants.c
 *	  Finding the streams that derive from others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "dependants.h"
#include "errors.h"
#include "miscadmin.h"
#include "plans.h"
#include "utils/array.h"
#include "utils/builtins.h"

/*
 * Chains are never that long; only somebody who wrote to the tables can have
 * made a circle.
 */
#define DEPTH_MAX	10000

/* A stream that derives from others, behind "depth" steps */
typedef struct Dependant
{
	pg_uuid_t	id;
	int			depth;
} Dependant;

static int
CompareDependantsById(const void *a, const void *b)
{
	const Dependant *x = a;
	const Dependant *y = b;
	int			order = CompareStreamIds(&x->id, &y->id);

	return order != 0 ? order : y->depth - x->depth;
}

static int
CompareDependantsByDepth(const void *a, const void *b)
{
	const Dependant *x = a;
	const Dependant *y = b;

	return x->depth != y->depth ? x->depth - y->depth : CompareStreamIds(&x->id, &y->id);
}

static int
CompareChanges(const void *a, const void *b)
{
	return CompareStreamIds(&((const SourceChange *) a)->source, &((const SourceChange *) b)->source);
}

/*
 * Whether changes, sorted by source, have one of that source and level.
 */
static bool
HasChange(const SourceChange *changes, int nchanges, const pg_uuid_t *source, const char *level)
{
	SourceChange key;
	const SourceChange *found;

	key.source = *source;
	found = bsearch(&key, changes, nchanges, sizeof(SourceChange), CompareChanges);
	if (found == NULL)
		return false;

	while (found > changes && CompareChanges(found - 1, &key) == 0)
		found--;
	for (; found < changes + nchanges && CompareChanges(found, &key) == 0; found++)
	{
		if (strcmp(GranularityName(found->level), level) == 0)
			return true;
	}

	return false;
}

/*
 * Drops repeated ids from a sorted array, and returns how many are left.
 */
static int
UniqueIds(pg_uuid_t *ids, int nids)
{
	int			kept = 0;

	for (int i = 0; i < nids; i++)
	{
		if (kept == 0 || CompareStreamIds(&ids[i], &ids[kept - 1]) != 0)
			ids[kept++] = ids[i];
	}

	return kept;
}

/*
 * The streams that derive directly from any of "sources", sorted, each once.
 * With "changes", sorted by source, only those that read a source at a level
 * at which it has changed.
 */
static pg_uuid_t *
DirectDependants(const pg_uuid_t *sources, int nsources, const SourceChange *changes, int nchanges,
				 int *nfound)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDARRAYOID};
	Datum	   *elements = palloc(sizeof(Datum) * nsources);
	Datum		values[1];
	pg_uuid_t  *ids;
	uint64		nrows;

	for (int i = 0; i < nsources; i++)
		elements[i] = UUIDPGetDatum(&sources[i]);
	values[0] = PointerGetDatum(construct_array(elements, nsources, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
	nrows = RunSavedQuery(&slot,
						  "SELECT d.stream_id, d.source_id, d.granularity FROM datastream.sources d"
						  " WHERE d.source_id OPERATOR(pg_catalog.=) ANY ($1)",
						  1, argtypes, values, NULL, false);

	*nfound = 0;
	ids = palloc(sizeof(pg_uuid_t) * (nrows + 1));
	for (uint64 i = 0; i < nrows; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		const char *level = SPI_getvalue(tuple, desc, 3);

		if (changes == NULL || level == NULL ||
			HasChange(changes, nchanges, DatumGetUUIDP(SPI_getbinval(tuple, desc, 2, &isnull)), level))
			ids[(*nfound)++] = *DatumGetUUIDP(SPI_getbinval(tuple, desc, 1, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);

	qsort(ids, *nfound, sizeof(pg_uuid_t), CompareStreamIds);
	*nfound = UniqueIds(ids, *nfound);

	return ids;
}

/*
 * The streams that derive from the sources of changes, directly or, unless
 * "direct_only", through others, each behind those that it derives from.
 */
pg_uuid_t *
FindDependants(const SourceChange *changes, int nchanges, bool direct_only, int *ndependants)
{
	SourceChange *sorted = palloc(sizeof(SourceChange) * nchanges);
	pg_uuid_t  *frontier = palloc(sizeof(pg_uuid_t) * nchanges);
	int			nfrontier = nchanges;
	Dependant  *found = palloc(sizeof(Dependant));
	int			nfound = 0;
	int			kept = 0;
	pg_uuid_t  *dependants;

	memcpy(sorted, changes, sizeof(SourceChange) * nchanges);
	qsort(sorted, nchanges, sizeof(SourceChange), CompareChanges);
	for (int i = 0; i < nchanges; i++)
		frontier[i] = sorted[i].source;
	nfrontier = UniqueIds(frontier, nchanges);

	for (int depth = 1; nfrontier > 0; depth++)
	{
		CHECK_FOR_INTERRUPTS();

		if (depth > DEPTH_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_DS_EXCEPTION),
					 errmsg("streams derive from each other in a circle, or in too long a chain")));

		frontier = DirectDependants(frontier, nfrontier, depth == 1 ? sorted : NULL, nchanges, &nfrontier);
		found = repalloc(found, sizeof(Dependant) * (nfound + nfrontier + 1));
		for (int i = 0; i < nfrontier; i++)
		{
			found[nfound].id = frontier[i];
			found[nfound++].depth = depth;
		}
		if (direct_only)
			break;
	}

	/* One that is reached in several ways belongs behind the longest of them. */
	qsort(found, nfound, sizeof(Dependant), CompareDependantsById);
	for (int i = 0; i < nfound; i++)
	{
		if (kept == 0 || CompareStreamIds(&found[i].id, &found[kept - 1].id) != 0)
			found[kept++] = found[i];
	}
	qsort(found, kept, sizeof(Dependant), CompareDependantsByDepth);

	dependants = palloc(sizeof(pg_uuid_t) * (kept + 1));
	for (int i = 0; i < kept; i++)
		dependants[i] = found[i].id;
	*ndependants = kept;

	return dependants;
}
