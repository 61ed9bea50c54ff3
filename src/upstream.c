/*-------------------------------------------------------------------------
 *
 * upstream.c
 *	  What a derived stream derives from, directly or through others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "operator.h"
#include "plans.h"
#include "store.h"
#include "upstream.h"
#include "utils/timestamp.h"

/*
 * Until when a derived stream has all that its sources will make, by the cursors
 * that are stored, with the newest snapshot; STREAM_TIME_NONE if one has not been
 * read yet.
 *
 * A source that is derived itself, and has been read to its end, has nothing more
 * until where its own sources have been read, and so on: it may be one of rare
 * events.
 */
StreamTime
DerivedReadUntil(const pg_uuid_t *id)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID, TEXTARRAYOID};
	StreamTime	until = STREAM_TIME_NONE;
	Datum		values[2];
	Datum		result;
	bool		isnull;

#define COUNTS(derived) \
	"(" derived ".derive_op OPERATOR(pg_catalog.=) ANY ($2) OR NOT EXISTS (SELECT FROM datastream.sources n" \
	" WHERE n.stream_id OPERATOR(pg_catalog.=) d.stream_id AND n.\"position\" OPERATOR(pg_catalog.>) d.\"position\"))"
#define READ_TO_END \
	"s.stream_id OPERATOR(pg_catalog.=) u.source_id AND s.derive_op IS NOT NULL" \
	" AND s.highest_granularity OPERATOR(pg_catalog.=) u.granularity" \
	" AND h.stream_id OPERATOR(pg_catalog.=) u.source_id AND h.latest OPERATOR(pg_catalog.<=) u.read_until"

	values[0] = UUIDPGetDatum(id);
	values[1] = JoiningOperators();
	BeginLatestSnapshot();
	RunSavedQuery(&slot,
				  "WITH RECURSIVE upstream AS ("
				  " SELECT d.source_id, d.granularity, d.read_until"
				  " FROM datastream.sources d JOIN datastream.streams s"
				  " ON s.stream_id OPERATOR(pg_catalog.=) d.stream_id"
				  " WHERE d.stream_id OPERATOR(pg_catalog.=) $1 AND " COUNTS("s")
				  " UNION"
				  " SELECT d.source_id, d.granularity, d.read_until"
				  " FROM upstream u JOIN datastream.streams s ON true JOIN datastream.heads h ON " READ_TO_END
				  " JOIN datastream.sources d ON d.stream_id OPERATOR(pg_catalog.=) s.stream_id"
				  " WHERE " COUNTS("s") ")"
				  " SELECT pg_catalog.min(COALESCE(u.read_until, '-infinity')) FROM upstream u"
				  " WHERE NOT EXISTS (SELECT FROM datastream.streams s, datastream.heads h WHERE " READ_TO_END ")",
				  2, argtypes, values, NULL, true);
	EndLatestSnapshot();

	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull && !TIMESTAMP_IS_NOBEGIN(DatumGetTimestampTz(result)))
		until = StreamTimeFromTimestampClamped(DatumGetTimestampTz(result));
	SPI_freetuptable(SPI_tuptable);

	return until;
}

/*
 * The furthest that any of what a derived stream derives from has come, with the
 * newest snapshot; STREAM_TIME_MAX if one of them is hidden from the caller.
 */
static StreamTime
FurthestSource(const StreamDef *def)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID};
	Datum		values[1];
	Datum		furthest;
	bool		isnull;
	bool		complete;
	StreamTime	t;

	values[0] = UUIDPGetDatum(&def->id);
	BeginLatestSnapshot();
	RunSavedQuery(&slot,
				  "WITH RECURSIVE upstream AS ("
				  " SELECT d.source_id FROM datastream.sources d WHERE d.stream_id OPERATOR(pg_catalog.=) $1"
				  " UNION"
				  " SELECT d.source_id FROM upstream u"
				  " JOIN datastream.sources d ON d.stream_id OPERATOR(pg_catalog.=) u.source_id)"
				  " SELECT pg_catalog.bool_and(h.stream_id IS NOT NULL AND p.stream_id IS NOT NULL),"
				  " pg_catalog.max(GREATEST(h.latest,"
				  " (SELECT pg_catalog.max(t) FROM pg_catalog.unnest(p.downsampled_until) t)))"
				  " FROM upstream u"
				  " LEFT JOIN datastream.heads h ON h.stream_id OPERATOR(pg_catalog.=) u.source_id"
				  " LEFT JOIN datastream.progress p ON p.stream_id OPERATOR(pg_catalog.=) u.source_id",
				  1, argtypes, values, NULL, true);
	EndLatestSnapshot();

	complete = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)) && !isnull;
	furthest = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull);
	t = !complete ? STREAM_TIME_MAX : isnull ? STREAM_TIME_NONE
		: StreamTimeFromTimestampClamped(DatumGetTimestampTz(furthest));
	SPI_freetuptable(SPI_tuptable);

	return t;
}

/*
 * What the cursors of a derived stream are worth that its sources may not have
 * come to.  They may have lost a little, where they are derived themselves; one
 * that is far from them, and from the clock, is damaged, and what has been read
 * until there would be empty buckets without end.
 */
static StreamTime
CheckReadUntil(const StreamDef *def, StreamTime until)
{
	StreamTime	now = StreamTimeFromTimestampClamped(GetCurrentTimestamp());
	StreamTime	furthest = Max(FurthestSource(def), STREAM_TIME_MIN);

	if (until > furthest && until > BucketEnd(GRANULARITY_YEARS, Max(furthest, now)))
		ReportDamagedStream(&def->id, "Its sources are recorded as read further than they have come.");

	/* Datapoints on the way are rounded. */
	return Min(until, BucketEnd(def->highest, furthest));
}

/*
 * The same for a locked stream, where that is later than its latest datapoint.
 */
StreamTime
CheckedReadUntil(const StreamDef *def, StreamTime latest)
{
	StreamTime	until = DerivedReadUntil(&def->id);

	return until <= latest ? until : CheckReadUntil(def, until);
}

/*
 * The time from which on datapoints of a derived stream may still change or come,
 * as those of what it derives from, directly or not, may: in order of their
 * cursors, where something is to be read; STREAM_TIME_MIN, where something is to
 * be derived again; STREAM_TIME_MAX if there is nothing of that.  With the newest
 * snapshot.
 */
StreamTime
UnsettledFrom(const pg_uuid_t *derived)
{
	static PlanSlot slot;
	static const Oid argtypes[] = {UUIDOID};
	StreamTime	from = STREAM_TIME_MAX;
	Granularity coarsest = 0;
	Datum		values[1];
	uint64		nunsettled;

	values[0] = UUIDPGetDatum(derived);
	nunsettled = RunSavedQuery(&slot,
							   "WITH RECURSIVE upstream AS ("
							   " SELECT d.stream_id, d.source_id, d.read_until FROM datastream.sources d"
							   " WHERE d.stream_id OPERATOR(pg_catalog.=) $1"
							   " UNION"
							   " SELECT d.stream_id, d.source_id, d.read_until FROM upstream u"
							   " JOIN datastream.sources d ON d.stream_id OPERATOR(pg_catalog.=) u.source_id)"
							   " SELECT CASE WHEN NOT x.again THEN u.read_until END,"
							   " COALESCE(s.highest_granularity, 'years')"
							   " FROM upstream u"
							   " LEFT JOIN datastream.streams s ON s.stream_id OPERATOR(pg_catalog.=) u.stream_id"
							   " LEFT JOIN datastream.progress p ON p.stream_id OPERATOR(pg_catalog.=) u.stream_id"
							   " LEFT JOIN datastream.heads h ON h.stream_id OPERATOR(pg_catalog.=) u.source_id"
							   " CROSS JOIN LATERAL (SELECT COALESCE(p.pending_backprocess, true)"
							   " OR EXISTS (SELECT FROM datastream.changes c"
							   " WHERE c.stream_id OPERATOR(pg_catalog.=) u.stream_id) AS again) x"
							   " WHERE x.again OR (h.latest IS NOT NULL AND (h.undelivered OR p.behind))",
							   1, argtypes, values, NULL, true);
	for (uint64 i = 0; i < nunsettled; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		Datum		read_until = SPI_getbinval(tuple, desc, 1, &isnull);
		StreamTime	t = isnull ? STREAM_TIME_MIN : StreamTimeFromTimestampClamped(DatumGetTimestampTz(read_until));

		coarsest = Max(coarsest, StoredGranularity(derived, tuple, desc, 2));
		from = Min(from, t);
	}
	SPI_freetuptable(SPI_tuptable);

	/* Datapoints on the way are rounded to the granularities of their streams. */
	return from == STREAM_TIME_MAX ? from : Max(BucketStart(coarsest, from), STREAM_TIME_MIN);
}
