
/*
 * Streams and tags
 */

-- A row exists here only while its transaction makes a stream, and others that
-- want to make one for the same query tags wait for it on its key.
CREATE UNLOGGED TABLE datastream.ensuring (
	query_tags_hash bigint PRIMARY KEY
);
COMMENT ON TABLE datastream.ensuring IS 'keeps two sessions from making the same stream at once; always empty';

CREATE FUNCTION @extschema@.ds_ensure_stream(query_tags jsonb, tags jsonb DEFAULT '{}',
		value_downsamplers text[] DEFAULT NULL, highest_granularity text DEFAULT 'seconds',
		derive_from jsonb DEFAULT NULL, derive_op text DEFAULT NULL, derive_args jsonb DEFAULT NULL,
		value_type text DEFAULT 'numeric', value_type_options jsonb DEFAULT NULL,
		derive_backprocess boolean DEFAULT true)
	RETURNS uuid
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ds_ensure_stream(jsonb, jsonb, text[], text, jsonb, text, jsonb, text, jsonb, boolean)
	IS 'the stream whose tags match, made if it is not there';

CREATE FUNCTION @extschema@.ds_get_tags(stream_id uuid) RETURNS jsonb
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000;
COMMENT ON FUNCTION @extschema@.ds_get_tags(uuid) IS 'tags of a stream, what it is and how far it has come';

CREATE FUNCTION @extschema@.ds_update_tags(stream_id uuid, tags jsonb) RETURNS void
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ds_update_tags(uuid, jsonb) IS 'set tags of a stream, merging nested objects';

CREATE FUNCTION @extschema@.ds_remove_tag(stream_id uuid, tag jsonb) RETURNS void
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ds_remove_tag(uuid, jsonb) IS 'remove the tags of a stream that an object names';

CREATE FUNCTION @extschema@.ds_clear_tags(stream_id uuid) RETURNS void
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ds_clear_tags(uuid) IS 'remove all tags of a stream';

CREATE FUNCTION @extschema@.ds_find_streams(query_tags jsonb DEFAULT NULL, filter jsonpath DEFAULT NULL)
	RETURNS TABLE (stream_id uuid, tags jsonb, value_type text, value_type_options jsonb,
		value_downsamplers text[], highest_granularity text, pending_backprocess boolean,
		earliest_datapoint timestamptz, latest_datapoint timestamptz, downsampled_until jsonb,
		derived_from jsonb, contributes_to jsonb)
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL RESTRICTED ROWS 1000 COST 1000;
COMMENT ON FUNCTION @extschema@.ds_find_streams(jsonb, jsonpath) IS 'streams by their tags, in the order of creation';

CREATE FUNCTION @extschema@.ds_delete_streams(query_tags jsonb DEFAULT NULL) RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ds_delete_streams(jsonb) IS 'delete streams with all their datapoints';
