
/*
 * Retention
 */

-- check_at: when to look next what has expired; waiting_since: from when on
-- nothing could be deleted that has expired, or nothing was there
CREATE TABLE datastream.retention (
	stream_id uuid NOT NULL,
	granularity text NOT NULL,
	keep interval NOT NULL CHECK (keep OPERATOR(pg_catalog.>) '0'),
	check_at timestamptz NOT NULL,
	waiting_since timestamptz,
	PRIMARY KEY (stream_id, granularity)
);
CREATE INDEX retention_check_at ON datastream.retention (check_at, stream_id);
COMMENT ON TABLE datastream.retention IS 'for how long streams keep the datapoints of a granularity';

SELECT pg_catalog.pg_extension_config_dump('datastream.retention', '');

CREATE FUNCTION @extschema@.ds_set_retention(query_tags jsonb, granularity text, keep interval) RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ds_set_retention(jsonb, text, interval) IS 'set for how long streams keep the datapoints of a granularity';

CREATE FUNCTION @extschema@.ds_apply_retention() RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ds_apply_retention() IS 'delete at once what has expired, instead of in the background';
