/*-------------------------------------------------------------------------
 *
 * derive.c
 *	  Derived streams: what is done with them when their sources change.
 *
 * Appending, the closing of buckets, backprocessing and background work all come
 * to BringUpToDate() (derivation.c); only what sets it off differs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "dependants.h"
#include "derivation.h"
#include "derive.h"
#include "utils/memutils.h"

int			derive_mode = DERIVE_IMMEDIATE;

/*
 * Brings all streams up to date that derive from sources that have changed.
 */
static void
DeriveFromList(ChangeList *list)
{
	int			ndependants;
	pg_uuid_t  *dependants;

	if (list->count == 0)
		return;

	dependants = FindDependants(list->changes, list->count, false, &ndependants);
	if (ndependants > 1)
		LockStreams(dependants, ndependants, false);
	for (int i = 0; i < ndependants; i++)
		BringUpToDate(&dependants[i], list, false, 0, false, NULL);
}

/*
 * To be called before the head is saved of a stream that has been appended to:
 * notes, if datastream.derive says so, that the streams that derive from it are
 * to be told later.
 */
void
DeliverLater(StreamHead *head)
{
	if (head->contributes && derive_mode == DERIVE_BACKGROUND)
		MarkUndelivered(head);
}

/*
 * Tells the streams that derive from a locked stream's datapoints at its
 * highest granularity that they have something to read.  Save the head after.
 */
void
DeliverHead(StreamHead *head)
{
	SourceChange change = {head->def.id, head->def.highest};
	int			ndependants;
	pg_uuid_t  *dependants;

	if (!head->undelivered)
		return;

	dependants = FindDependants(&change, 1, true, &ndependants);
	MarkBehind(dependants, ndependants);
	head->undelivered = false;
}

/*
 * Tells the streams that derive from sources that these have changed: brings
 * them up to date at once or, if datastream.derive says so, notes what a worker
 * does later.  Of sources that have been appended to, that has been noted in
 * their heads.
 *
 * SPI must be connected, and the sources locked.
 */
void
DeriveFromChanges(const SourceChange *changes, int nchanges, bool appended)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "datastream derive",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);

	if (derive_mode == DERIVE_IMMEDIATE)
	{
		ChangeList	list = {0};

		for (int i = 0; i < nchanges; i++)
			AddChange(&list, &changes[i].source, changes[i].level);
		DeriveFromList(&list);
	}
	else if (!appended)
	{
		int			ndependants;
		pg_uuid_t  *dependants = FindDependants(changes, nchanges, true, &ndependants);

		MarkBehind(dependants, ndependants);
	}

	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}

/*
 * Locks the streams that maintenance of a locked stream has something to tell,
 * those that derive, directly or through others, from its lower levels or from
 * what has not been delivered, or else returns false: others work on one of them.
 */
bool
LockToldStreams(const StreamHead *head)
{
	const StreamDef *def = &head->def;
	SourceChange changes[GRANULARITY_COUNT] = {0};
	int			nchanges = 0;
	int			ndependants;
	pg_uuid_t  *dependants;

	if (!head->contributes)
		return true;

	for (int level = def->highest; level < GRANULARITY_COUNT; level++)
	{
		if (level == def->highest ? !head->undelivered : def->value_downsamplers == 0)
			continue;
		changes[nchanges].source = def->id;
		changes[nchanges++].level = (Granularity) level;
	}
	if (nchanges == 0)
		return true;
	dependants = FindDependants(changes, nchanges, false, &ndependants);

	return ndependants == 0 || LockStreams(dependants, ndependants, true);
}

/*
 * Locks derived streams, and those that derive from them.  With "skip_locked",
 * returns false if others have locked one of them.
 */
bool
LockDerivedStreams(const pg_uuid_t *ids, int nids, bool skip_locked)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "datastream derive",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	ChangeList	list = {0};
	int			ndependants = 0;
	pg_uuid_t  *dependants = NULL;
	pg_uuid_t  *all;
	bool		locked;

	for (int i = 0; i < nids; i++)
	{
		for (int level = 0; level <= GRANULARITY_HIGHEST_MAX; level++)
			AddChange(&list, &ids[i], (Granularity) level);
	}
	if (list.count > 0)
		dependants = FindDependants(list.changes, list.count, false, &ndependants);

	all = palloc(sizeof(pg_uuid_t) * (nids + ndependants + 1));
	memcpy(all, ids, sizeof(pg_uuid_t) * nids);
	if (ndependants > 0)
		memcpy(all + nids, dependants, sizeof(pg_uuid_t) * ndependants);
	locked = LockStreams(all, nids + ndependants, skip_locked);

	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);

	return locked;
}

/*
 * Brings a derived stream up to date with its sources, whether it waits to be
 * backprocessed or has fallen behind, and then those that derive from it.  With
 * "max_blocks", not 0, that is how many blocks of a source are read at most.
 * With "mend" what has been derived before is compared with what the sources give,
 * and put right where it differs.  The datapoints derived are added to "datapoints", which may be NULL.
 *
 * SPI must be connected.  The streams stay locked until the end of the
 * transaction.
 */
DeriveOutcome
DeriveStream(const pg_uuid_t *id, int max_blocks, bool mend, int64 *datapoints)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "datastream derive",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	ChangeList	list = {0};
	DeriveOutcome outcome = BringUpToDate(id, &list, true, max_blocks, mend, datapoints);

	DeriveFromList(&list);

	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);

	return outcome;
}
