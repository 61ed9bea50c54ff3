/*-------------------------------------------------------------------------
 *
 * stream.h
 *	  Streams: what each is, making, finding and deleting them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_STREAM_H
#define DS_STREAM_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "compat.h"
#include "granularity.h"
#include "utils/uuid.h"
#include "value.h"

/* What a stream is; never changes after it has been made (tags aside). */
typedef struct StreamDef
{
	pg_uuid_t	id;
	ValueType	value_type;
	bool		high_accuracy;	/* numeric streams: exact decimals */
	uint32		value_downsamplers; /* VALUE_DOWNSAMPLER_BIT()s, closed under
									 * dependencies; 0: not downsampled */
	Granularity highest;
	int			derive_op;		/* index of DeriveOperators, or -1 */
	Jsonb	   *derive_args;	/* or NULL */
} StreamDef;

/* The columns that make a StreamDef, of datastream.streams under the alias s */
#define STREAM_DEF_COLUMNS \
	"s.stream_id, s.value_type, s.value_type_options, s.value_downsamplers," \
	" s.highest_granularity, s.derive_op, s.derive_args"
#define STREAM_DEF_NCOLUMNS		7

/*
 * These need an open SPI connection and act with the rights of the caller.
 */
extern bool LoadStream(const pg_uuid_t *id, StreamDef *def, bool missing_ok, MemoryContext context);
extern void StreamDefFromTuple(StreamDef *def, HeapTuple tuple, TupleDesc desc,
							   int first_attribute, MemoryContext context);
extern void FindMatchingStreams(Jsonb *query_tags, const pg_uuid_t *id, int limit, bool read_only,
								pg_uuid_t **ids, int *nids);
extern void FindStreamIds(Jsonb *query_tags, bool stream_id_key, pg_uuid_t **ids, int *nids);

extern char *StreamIdToString(const pg_uuid_t *id);
extern int	CompareStreamIds(const void *a, const void *b);
extern void StreamNotFound(const pg_uuid_t *id);
pg_noreturn extern void ReportDamagedStream(const pg_uuid_t *id, const char *detail);
extern Granularity StoredGranularity(const pg_uuid_t *id, HeapTuple tuple, TupleDesc desc, int attribute);

#endif							/* DS_STREAM_H */
