/*-------------------------------------------------------------------------
 *
 * append_json.h
 *	  Datapoints in the list that ds_append_multiple() takes as JSON.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_APPEND_JSON_H
#define DS_APPEND_JSON_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/* {"stream_id": …, "value": …, "timestamp": …} */
typedef struct JsonDatapoint
{
	pg_uuid_t	stream_id;
	Jsonb	   *value;			/* NULL for null */
	bool		has_timestamp;	/* else it is the time of the append */
	TimestampTz timestamp;
} JsonDatapoint;

extern JsonDatapoint ReadJsonDatapoint(const JsonbValue *element);

#endif							/* DS_APPEND_JSON_H */
