\echo Use "ALTER EXTENSION datastream UPDATE TO '0.2.0'" to load this file. \quit

/*
 * What version 0.2.0 changed.  A database that is updated must end with what
 * CREATE EXTENSION makes: test/t/020_update.pl compares the two.
 */

/*
 * Appending
 */
CREATE FUNCTION @extschema@.ds_append(stream_id uuid, value boolean, ts timestamptz DEFAULT NULL, check_timestamp boolean DEFAULT true,
		OUT stream_id uuid, OUT granularity text, OUT t timestamptz, OUT v jsonb)
	AS 'MODULE_PATHNAME', 'ds_append_boolean' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.ds_append(stream_id uuid, value json, ts timestamptz DEFAULT NULL, check_timestamp boolean DEFAULT true,
		OUT stream_id uuid, OUT granularity text, OUT t timestamptz, OUT v jsonb)
	AS 'MODULE_PATHNAME', 'ds_append_json' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ds_append(uuid, boolean, timestamptz, boolean) IS 'append a datapoint to a stream, of nominal values';
COMMENT ON FUNCTION @extschema@.ds_append(uuid, json, timestamptz, boolean) IS 'append a datapoint to a stream';

DROP FUNCTION @extschema@.ds_append_multiple(jsonb);
DROP FUNCTION @extschema@.ds_append_multiple(uuid, timestamptz[], double precision[]);
DROP FUNCTION @extschema@.ds_append_multiple(uuid[], timestamptz[], double precision[]);
-- What has no type is text to PostgreSQL where a form with text is there: so calls
-- with parameters of no type, as most libraries send them, find one form of several.
CREATE FUNCTION @extschema@.ds_append_multiple(datapoints jsonb, check_timestamp boolean DEFAULT true) RETURNS bigint
	AS 'MODULE_PATHNAME', 'ds_append_multiple_jsonb' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.ds_append_multiple(datapoints json, check_timestamp boolean DEFAULT true) RETURNS bigint
	AS 'MODULE_PATHNAME', 'ds_append_multiple_json' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.ds_append_multiple(datapoints text, check_timestamp boolean DEFAULT true) RETURNS bigint
	AS 'MODULE_PATHNAME', 'ds_append_multiple_json' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.ds_append_multiple(stream_id uuid, ts timestamptz[], value double precision[],
		check_timestamp boolean DEFAULT true) RETURNS bigint
	AS 'MODULE_PATHNAME', 'ds_append_multiple_stream' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.ds_append_multiple(stream_id uuid[], ts timestamptz[], value double precision[],
		check_timestamp boolean DEFAULT true) RETURNS bigint
	AS 'MODULE_PATHNAME', 'ds_append_multiple_streams' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.ds_append_multiple(stream_id text, ts timestamptz[], value double precision[],
		check_timestamp boolean DEFAULT true) RETURNS bigint
	AS 'MODULE_PATHNAME', 'ds_append_multiple_text' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ds_append_multiple(jsonb, boolean)
	IS 'append a list of {"stream_id", "value", "timestamp"}, all or nothing';
COMMENT ON FUNCTION @extschema@.ds_append_multiple(json, boolean)
	IS 'append a list of {"stream_id", "value", "timestamp"}, all or nothing';
COMMENT ON FUNCTION @extschema@.ds_append_multiple(text, boolean)
	IS 'append a list of {"stream_id", "value", "timestamp"}, as text, all or nothing';
COMMENT ON FUNCTION @extschema@.ds_append_multiple(uuid, timestamptz[], double precision[], boolean)
	IS 'append many datapoints to one stream, all or nothing';
COMMENT ON FUNCTION @extschema@.ds_append_multiple(uuid[], timestamptz[], double precision[], boolean)
	IS 'append many datapoints to many streams, all or nothing';
COMMENT ON FUNCTION @extschema@.ds_append_multiple(text, timestamptz[], double precision[], boolean)
	IS 'append many datapoints to the stream, or the array of streams, of a text, all or nothing';
