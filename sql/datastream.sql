\echo Use "CREATE EXTENSION datastream" to load this file. \quit

/*
 * Tables.  They live in a schema of their own; functions and types go into the
 * schema that CREATE EXTENSION chooses.
 */
CREATE SCHEMA datastream;
COMMENT ON SCHEMA datastream IS 'streams and their datapoints';

CREATE TYPE @extschema@.ds_block;

CREATE FUNCTION @extschema@.ds_block_in(cstring) RETURNS @extschema@.ds_block
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION @extschema@.ds_block_out(@extschema@.ds_block) RETURNS cstring
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION @extschema@.ds_block_recv(internal) RETURNS @extschema@.ds_block
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION @extschema@.ds_block_send(@extschema@.ds_block) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE TYPE @extschema@.ds_block (
	INPUT = @extschema@.ds_block_in,
	OUTPUT = @extschema@.ds_block_out,
	RECEIVE = @extschema@.ds_block_recv,
	SEND = @extschema@.ds_block_send,
	INTERNALLENGTH = VARIABLE,
	ALIGNMENT = int4,
	STORAGE = external
);

CREATE FUNCTION @extschema@.ds_block_summary(block @extschema@.ds_block) RETURNS jsonb
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE TABLE datastream.streams (
	stream_id uuid PRIMARY KEY,
	tags jsonb NOT NULL,
	value_type text NOT NULL,
	value_type_options jsonb NOT NULL,
	value_downsamplers text[] NOT NULL,
	highest_granularity text NOT NULL,
	derive_op text,
	derive_args jsonb,
	created timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
-- Whoever ensures a stream looks it up at once, so there is no list of pending entries to search.
CREATE INDEX streams_tags ON datastream.streams USING gin (tags jsonb_path_ops) WITH (fastupdate = off);
CREATE INDEX streams_created ON datastream.streams (created, stream_id);

-- All that a source has before read_until has been read, and the first read_count
-- of the datapoints at it; at a lower granularity read_until is the end of a
-- bucket.  origin: for the derived stream there is nothing before it, nor the
-- first origin_count of the datapoints at it.
CREATE TABLE datastream.sources (
	stream_id uuid NOT NULL,
	"position" integer NOT NULL,
	source_id uuid NOT NULL,
	name text,
	granularity text NOT NULL,
	origin timestamptz,
	origin_count integer NOT NULL DEFAULT 0,
	read_until timestamptz,
	read_count integer NOT NULL DEFAULT 0,
	PRIMARY KEY (stream_id, "position")
);
CREATE INDEX sources_source_id ON datastream.sources (source_id);

-- What has changed in the source at that position of a derived stream, by
-- anything but a datapoint behind its latest one.  Rows are inserted by those who
-- change the source, and deleted when the stream has been derived again.
CREATE TABLE datastream.changes (
	stream_id uuid NOT NULL,
	change_id uuid NOT NULL,
	"position" integer NOT NULL,
	"from" timestamptz NOT NULL,
	"to" timestamptz NOT NULL,
	PRIMARY KEY (stream_id, change_id)
);

-- close_at: end of the bucket in work; check_at: when to look, at the earliest,
-- whether the stream has gone silent; due_since: since when it is due, where
-- workers may let it gather more; undelivered: streams that derive from it
-- are still to be told of new datapoints.  A new head is empty; with this
-- fillfactor a page has room for all of its heads when they have grown, and for
-- a new version of each.
CREATE TABLE datastream.heads (
	stream_id uuid PRIMARY KEY,
	latest timestamptz,
	close_at timestamptz,
	check_at timestamptz,
	due boolean NOT NULL DEFAULT false,
	undelivered boolean NOT NULL DEFAULT false,
	contributes boolean NOT NULL DEFAULT false,
	head @extschema@.ds_block,
	due_since timestamptz NOT NULL DEFAULT '0001-01-01 00:00:00+00'
) WITH (fillfactor = 20);
CREATE INDEX heads_due ON datastream.heads (due_since, stream_id) WHERE due;
CREATE INDEX heads_check_at ON datastream.heads (check_at, stream_id) WHERE check_at IS NOT NULL;

-- active_at: when something new was found last, by the clock, and seen_latest: the
-- latest datapoint then; expired_until: nothing can be downsampled again before
-- it; behind: there is something to derive; rederive: only for dumps of version
-- 0.1.0, which had it
CREATE TABLE datastream.progress (
	stream_id uuid PRIMARY KEY,
	downsampled_until timestamptz[] NOT NULL DEFAULT '{}',
	active_at timestamptz,
	seen_latest timestamptz,
	expired_until timestamptz,
	late tstzmultirange NOT NULL DEFAULT '{}',
	rederive tstzmultirange NOT NULL DEFAULT '{}',
	pending_backprocess boolean NOT NULL DEFAULT false,
	behind boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);
CREATE INDEX progress_behind ON datastream.progress (stream_id) WHERE behind;

-- A block holds rows from start to until, both included.  Blocks of a stream
-- do not overlap; seq orders those that begin at the same time.
DO $$
DECLARE
	granularity text;
BEGIN
	FOREACH granularity IN ARRAY ARRAY['milliseconds', 'seconds', '10seconds', 'minutes',
		'10minutes', 'hours', '6hours', 'days', 'months', 'years']
	LOOP
		EXECUTE pg_catalog.format('CREATE TABLE datastream.%I (
			stream_id uuid NOT NULL,
			start timestamptz NOT NULL,
			seq bigint NOT NULL,
			until timestamptz NOT NULL,
			count integer NOT NULL,
			block @extschema@.ds_block NOT NULL,
			PRIMARY KEY (stream_id, start, seq)
		) WITH (toast_tuple_target = 8160, fillfactor = 90)', 'datapoints_' || granularity);
		EXECUTE pg_catalog.format('COMMENT ON TABLE datastream.%I IS %L',
			'datapoints_' || granularity, 'blocks of datapoints at the granularity ' || granularity);
		PERFORM pg_catalog.pg_extension_config_dump(pg_catalog.format('datastream.%I', 'datapoints_' || granularity)::pg_catalog.regclass, '');
	END LOOP;
END
$$;

SELECT pg_catalog.pg_extension_config_dump('datastream.streams', '');
SELECT pg_catalog.pg_extension_config_dump('datastream.sources', '');
SELECT pg_catalog.pg_extension_config_dump('datastream.changes', '');
SELECT pg_catalog.pg_extension_config_dump('datastream.heads', '');
SELECT pg_catalog.pg_extension_config_dump('datastream.progress', '');

COMMENT ON TYPE @extschema@.ds_block IS 'up to a thousand datapoints or buckets of a stream, compressed column by column';
COMMENT ON FUNCTION @extschema@.ds_block_in(cstring) IS 'I/O';
COMMENT ON FUNCTION @extschema@.ds_block_out(@extschema@.ds_block) IS 'I/O';
COMMENT ON FUNCTION @extschema@.ds_block_recv(internal) IS 'I/O';
COMMENT ON FUNCTION @extschema@.ds_block_send(@extschema@.ds_block) IS 'I/O';
COMMENT ON FUNCTION @extschema@.ds_block_summary(@extschema@.ds_block) IS 'what a block holds: rows, range, size, and the encoding of each column';
COMMENT ON TABLE datastream.streams IS 'what each stream is';
COMMENT ON TABLE datastream.sources IS 'the sources of derived streams, and how far each has been read';
COMMENT ON TABLE datastream.changes IS 'what has changed in the sources of derived streams and is to be derived again';
COMMENT ON TABLE datastream.heads IS 'the newest datapoints of each stream; the row is also its lock';
COMMENT ON TABLE datastream.progress IS 'how far downsampling and deriving have come';

/*
 * Granularities
 */
CREATE FUNCTION @extschema@.ds_round(granularity text, ts timestamptz) RETURNS timestamptz
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_round(text, timestamptz) IS 'start of the bucket that holds a timestamp';

/*
 * Appending
 */
CREATE FUNCTION @extschema@.ds_append(stream_id uuid, value bigint, ts timestamptz DEFAULT NULL, check_timestamp boolean DEFAULT true,
		OUT stream_id uuid, OUT granularity text, OUT t timestamptz, OUT v jsonb)
	AS 'MODULE_PATHNAME', 'ds_append_bigint' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.ds_append(stream_id uuid, value double precision, ts timestamptz DEFAULT NULL, check_timestamp boolean DEFAULT true,
		OUT stream_id uuid, OUT granularity text, OUT t timestamptz, OUT v jsonb)
	AS 'MODULE_PATHNAME', 'ds_append_double' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.ds_append(stream_id uuid, value numeric, ts timestamptz DEFAULT NULL, check_timestamp boolean DEFAULT true,
		OUT stream_id uuid, OUT granularity text, OUT t timestamptz, OUT v jsonb)
	AS 'MODULE_PATHNAME', 'ds_append_numeric' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.ds_append(stream_id uuid, value boolean, ts timestamptz DEFAULT NULL, check_timestamp boolean DEFAULT true,
		OUT stream_id uuid, OUT granularity text, OUT t timestamptz, OUT v jsonb)
	AS 'MODULE_PATHNAME', 'ds_append_boolean' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.ds_append(stream_id uuid, value jsonb, ts timestamptz DEFAULT NULL, check_timestamp boolean DEFAULT true,
		OUT stream_id uuid, OUT granularity text, OUT t timestamptz, OUT v jsonb)
	AS 'MODULE_PATHNAME', 'ds_append_jsonb' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.ds_append(stream_id uuid, value json, ts timestamptz DEFAULT NULL, check_timestamp boolean DEFAULT true,
		OUT stream_id uuid, OUT granularity text, OUT t timestamptz, OUT v jsonb)
	AS 'MODULE_PATHNAME', 'ds_append_json' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.ds_append(stream_id uuid, value text, ts timestamptz DEFAULT NULL, check_timestamp boolean DEFAULT true,
		OUT stream_id uuid, OUT granularity text, OUT t timestamptz, OUT v jsonb)
	AS 'MODULE_PATHNAME', 'ds_append_text' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ds_append(uuid, bigint, timestamptz, boolean) IS 'append a datapoint to a stream';
COMMENT ON FUNCTION @extschema@.ds_append(uuid, double precision, timestamptz, boolean) IS 'append a datapoint to a stream';
COMMENT ON FUNCTION @extschema@.ds_append(uuid, numeric, timestamptz, boolean) IS 'append a datapoint to a stream';
COMMENT ON FUNCTION @extschema@.ds_append(uuid, boolean, timestamptz, boolean) IS 'append a datapoint to a stream, of nominal values';
COMMENT ON FUNCTION @extschema@.ds_append(uuid, jsonb, timestamptz, boolean) IS 'append a datapoint to a stream';
COMMENT ON FUNCTION @extschema@.ds_append(uuid, json, timestamptz, boolean) IS 'append a datapoint to a stream';
COMMENT ON FUNCTION @extschema@.ds_append(uuid, text, timestamptz, boolean) IS 'append a datapoint to a stream, as text that the value type of the stream reads';

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

/*
 * Reading
 */
CREATE FUNCTION @extschema@.ds_rows_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_rows_support(internal) IS 'planner support for ds_get_data and ds_get_series';

CREATE FUNCTION @extschema@.ds_get_data(stream_id uuid, granularity text,
		start timestamptz DEFAULT NULL, "end" timestamptz DEFAULT NULL,
		start_exclusive timestamptz DEFAULT NULL, end_exclusive timestamptz DEFAULT NULL,
		reverse boolean DEFAULT false,
		value_downsamplers text[] DEFAULT NULL, time_downsamplers text[] DEFAULT NULL)
	RETURNS TABLE (t timestamptz, v jsonb, times jsonb)
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL RESTRICTED ROWS 1000 COST 1000
	SUPPORT @extschema@.ds_rows_support;
COMMENT ON FUNCTION @extschema@.ds_get_data(uuid, text, timestamptz, timestamptz, timestamptz, timestamptz, boolean, text[], text[])
	IS 'datapoints of a stream in a range, at any granularity';

CREATE FUNCTION @extschema@.ds_get_series(stream_id uuid, granularity text,
		start timestamptz DEFAULT NULL, "end" timestamptz DEFAULT NULL,
		start_exclusive timestamptz DEFAULT NULL, end_exclusive timestamptz DEFAULT NULL,
		reverse boolean DEFAULT false)
	RETURNS TABLE (t timestamptz, value double precision, count bigint, mean double precision, sum double precision,
		min double precision, max double precision, sum_squares double precision, std_dev double precision,
		first timestamptz, last timestamptz, middle timestamptz)
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL RESTRICTED ROWS 1000 COST 1000
	SUPPORT @extschema@.ds_rows_support;
COMMENT ON FUNCTION @extschema@.ds_get_series(uuid, text, timestamptz, timestamptz, timestamptz, timestamptz, boolean)
	IS 'datapoints of a numeric stream in a range as typed columns';

/*
 * Downsampling
 */
CREATE FUNCTION @extschema@.ds_downsample_streams(query_tags jsonb DEFAULT NULL, until timestamptz DEFAULT NULL,
		return_datapoints boolean DEFAULT false, filter_stream regprocedure DEFAULT NULL,
		close_last boolean DEFAULT false)
	RETURNS TABLE (stream_id uuid, granularity text, t timestamptz, v jsonb, times jsonb)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ds_downsample_streams(jsonb, timestamptz, boolean, regprocedure, boolean)
	IS 'close the buckets that are due, at all lower granularities';

/*
 * Deriving
 */
CREATE FUNCTION @extschema@.ds_backprocess_streams(query_tags jsonb DEFAULT NULL) RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ds_backprocess_streams(jsonb) IS 'bring derived streams up to date with their sources';
