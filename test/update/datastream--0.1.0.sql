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

-- read_count: how many of the datapoints at read_until have been read;
-- origin: the derived stream ignores what is at or before it
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

-- close_at: end of the bucket in work; check_at: when to look, at the earliest,
-- whether the stream has gone silent; undelivered: streams that derive from it
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
	head @extschema@.ds_block
) WITH (fillfactor = 20);
CREATE INDEX heads_due ON datastream.heads (stream_id) WHERE due;
CREATE INDEX heads_check_at ON datastream.heads (check_at, stream_id) WHERE check_at IS NOT NULL;

-- active_at: when something new was found last, by the clock, and seen_latest: the
-- latest datapoint then; expired_until: nothing can be downsampled again before
-- it; behind: there is something to derive
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
CREATE FUNCTION @extschema@.ds_append(stream_id uuid, value jsonb, ts timestamptz DEFAULT NULL, check_timestamp boolean DEFAULT true,
		OUT stream_id uuid, OUT granularity text, OUT t timestamptz, OUT v jsonb)
	AS 'MODULE_PATHNAME', 'ds_append_jsonb' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.ds_append(stream_id uuid, value text, ts timestamptz DEFAULT NULL, check_timestamp boolean DEFAULT true,
		OUT stream_id uuid, OUT granularity text, OUT t timestamptz, OUT v jsonb)
	AS 'MODULE_PATHNAME', 'ds_append_text' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ds_append(uuid, bigint, timestamptz, boolean) IS 'append a datapoint to a stream';
COMMENT ON FUNCTION @extschema@.ds_append(uuid, double precision, timestamptz, boolean) IS 'append a datapoint to a stream';
COMMENT ON FUNCTION @extschema@.ds_append(uuid, numeric, timestamptz, boolean) IS 'append a datapoint to a stream';
COMMENT ON FUNCTION @extschema@.ds_append(uuid, jsonb, timestamptz, boolean) IS 'append a datapoint to a stream';
COMMENT ON FUNCTION @extschema@.ds_append(uuid, text, timestamptz, boolean) IS 'append a datapoint to a stream, as text that the value type of the stream reads';

CREATE FUNCTION @extschema@.ds_append_multiple(datapoints jsonb) RETURNS bigint
	AS 'MODULE_PATHNAME', 'ds_append_multiple_jsonb' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.ds_append_multiple(stream_id uuid, ts timestamptz[], value double precision[]) RETURNS bigint
	AS 'MODULE_PATHNAME', 'ds_append_multiple_stream' LANGUAGE C VOLATILE PARALLEL UNSAFE;
CREATE FUNCTION @extschema@.ds_append_multiple(stream_id uuid[], ts timestamptz[], value double precision[]) RETURNS bigint
	AS 'MODULE_PATHNAME', 'ds_append_multiple_streams' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ds_append_multiple(jsonb) IS 'append a list of {"stream_id", "value", "timestamp"}, all or nothing';
COMMENT ON FUNCTION @extschema@.ds_append_multiple(uuid, timestamptz[], double precision[]) IS 'append many datapoints to one stream, all or nothing';
COMMENT ON FUNCTION @extschema@.ds_append_multiple(uuid[], timestamptz[], double precision[]) IS 'append many datapoints to many streams, all or nothing';

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
		return_datapoints boolean DEFAULT false, filter_stream regprocedure DEFAULT NULL)
	RETURNS TABLE (stream_id uuid, granularity text, t timestamptz, v jsonb, times jsonb)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ds_downsample_streams(jsonb, timestamptz, boolean, regprocedure)
	IS 'close the buckets that are due, at all lower granularities';

/*
 * Deriving
 */
CREATE FUNCTION @extschema@.ds_backprocess_streams(query_tags jsonb DEFAULT NULL) RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ds_backprocess_streams(jsonb) IS 'bring derived streams up to date with their sources';

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

/*
 * Background workers
 */

-- What each worker is at; the rows of workers that are gone stay until their
-- slot is taken again.
CREATE TABLE datastream.worker_slots (
	slot integer PRIMARY KEY,
	pid integer NOT NULL,
	phase text NOT NULL,
	streams_due bigint NOT NULL,
	streams_done bigint NOT NULL,
	started timestamptz NOT NULL
);
COMMENT ON TABLE datastream.worker_slots IS 'what background workers last said of themselves; see the view workers';

-- A worker that is there holds the lock of its slot.
CREATE VIEW datastream.workers AS
	SELECT w.pid, pg_catalog.current_database() AS database, w.phase, w.streams_due, w.streams_done, w.started
	FROM datastream.worker_slots w
	WHERE EXISTS (SELECT FROM pg_catalog.pg_locks l
		WHERE l.locktype OPERATOR(pg_catalog.=) 'object' AND l.granted
			AND l.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d
				WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
			AND l.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
			AND l.objsubid OPERATOR(pg_catalog.=) w.slot::pg_catalog.int2
			AND l.pid OPERATOR(pg_catalog.=) w.pid);
COMMENT ON VIEW datastream.workers IS 'the background workers of this database, what each is doing and how far it is';

CREATE TABLE datastream.runs (
	run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	pid integer NOT NULL,
	started timestamptz NOT NULL,
	duration interval NOT NULL,
	streams bigint NOT NULL,
	datapoints bigint NOT NULL,
	errors bigint NOT NULL
);
COMMENT ON TABLE datastream.runs IS 'the last passes of background workers that had something to do';

CREATE TABLE datastream.failures (
	stream_id uuid PRIMARY KEY,
	phase text NOT NULL,
	failures integer NOT NULL,
	failed_at timestamptz NOT NULL,
	retry_at timestamptz NOT NULL,
	sqlstate text NOT NULL,
	message text NOT NULL
);
CREATE INDEX failures_retry_at ON datastream.failures (retry_at);
COMMENT ON TABLE datastream.failures IS 'streams that background workers could not do their work on, and when they try again';

/*
 * How far workers are
 */
CREATE VIEW datastream.lag AS
	SELECT s.stream_id, s.tags, h.latest AS latest_datapoint, u.until AS downsampled_until,
		h.latest OPERATOR(pg_catalog.-) u.until AS lag,
		h.due OR p.behind AS due, p.pending_backprocess, f.failures, f.message
	FROM datastream.streams s
		JOIN datastream.heads h ON h.stream_id OPERATOR(pg_catalog.=) s.stream_id
		JOIN datastream.progress p ON p.stream_id OPERATOR(pg_catalog.=) s.stream_id
		LEFT JOIN datastream.failures f ON f.stream_id OPERATOR(pg_catalog.=) s.stream_id
		CROSS JOIN LATERAL (SELECT pg_catalog.max(t) AS until FROM pg_catalog.unnest(p.downsampled_until) t) u;
COMMENT ON VIEW datastream.lag IS 'how far the downsampling of each stream is behind its latest datapoint';

CREATE FUNCTION @extschema@.ds_stats()
	RETURNS TABLE (granularity text, blocks bigint, datapoints bigint, in_heads bigint, bytes bigint,
		bytes_per_datapoint double precision, max_lag interval)
	LANGUAGE plpgsql STABLE PARALLEL RESTRICTED ROWS 10 COST 100000
	AS $$
DECLARE
	granularities CONSTANT pg_catalog.text[] := ARRAY['milliseconds', 'seconds', '10seconds', 'minutes',
		'10minutes', 'hours', '6hours', 'days', 'months', 'years'];
	relation pg_catalog.regclass;
BEGIN
	FOR level IN 1 .. pg_catalog.array_length(granularities, 1) LOOP
		granularity := granularities[level];
		relation := pg_catalog.format('datastream.%I', 'datapoints_'::pg_catalog.text OPERATOR(pg_catalog.||) granularity);
		EXECUTE pg_catalog.format('SELECT pg_catalog.count(*), COALESCE(pg_catalog.sum(b.count), 0) FROM %s b', relation)
			INTO blocks, datapoints;
		bytes := pg_catalog.pg_total_relation_size(relation);
		bytes_per_datapoint := CASE WHEN datapoints OPERATOR(pg_catalog.>) 0
			THEN bytes::pg_catalog.float8 OPERATOR(pg_catalog./) datapoints::pg_catalog.float8 END;
		SELECT COALESCE(pg_catalog.sum((@extschema@.ds_block_summary(h.head) OPERATOR(pg_catalog.->>) 'rows')::pg_catalog.int8)
				FILTER (WHERE s.highest_granularity OPERATOR(pg_catalog.=) granularities[level]), 0),
			pg_catalog.max(h.latest OPERATOR(pg_catalog.-) p.downsampled_until[level])
			INTO in_heads, max_lag
			FROM datastream.heads h
				JOIN datastream.streams s ON s.stream_id OPERATOR(pg_catalog.=) h.stream_id
				JOIN datastream.progress p ON p.stream_id OPERATOR(pg_catalog.=) h.stream_id;
		RETURN NEXT;
	END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.ds_stats() IS 'what is stored at each granularity, and how far downsampling is behind at most';

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
/*
 * Aggregates: the downsamplers for any table.
 *
 * Null inputs are ignored; without any other the result is null, and the count
 * 0.  All of them run in parallel plans, and those of a group share their work
 * if a query has several of them over the same input.
 */

-- Numbers: mean, sum, min, max, sum_squares, std_dev, count
CREATE FUNCTION @extschema@.ds_value_transfn(internal, double precision) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_value_transfn(internal, double precision) IS 'aggregate transition function of numbers';
CREATE FUNCTION @extschema@.ds_value_combinefn(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_value_combinefn(internal, internal) IS 'aggregate combine function of numbers';
CREATE FUNCTION @extschema@.ds_value_serialfn(internal) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_value_serialfn(internal) IS 'aggregate serial function of numbers';
CREATE FUNCTION @extschema@.ds_value_deserialfn(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_value_deserialfn(bytea, internal) IS 'aggregate deserial function of numbers';
CREATE FUNCTION @extschema@.ds_mean_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_mean_finalfn(internal) IS 'aggregate final function of ds_mean';
CREATE FUNCTION @extschema@.ds_sum_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_sum_finalfn(internal) IS 'aggregate final function of ds_sum';
CREATE FUNCTION @extschema@.ds_min_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_min_finalfn(internal) IS 'aggregate final function of ds_min';
CREATE FUNCTION @extschema@.ds_max_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_max_finalfn(internal) IS 'aggregate final function of ds_max';
CREATE FUNCTION @extschema@.ds_sum_squares_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_sum_squares_finalfn(internal) IS 'aggregate final function of ds_sum_squares';
CREATE FUNCTION @extschema@.ds_std_dev_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_std_dev_finalfn(internal) IS 'aggregate final function of ds_std_dev';
CREATE FUNCTION @extschema@.ds_count_finalfn(internal) RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_count_finalfn(internal) IS 'aggregate final function of ds_count';

CREATE AGGREGATE @extschema@.ds_mean(double precision) (
	SFUNC = @extschema@.ds_value_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_mean_finalfn,
	COMBINEFUNC = @extschema@.ds_value_combinefn,
	SERIALFUNC = @extschema@.ds_value_serialfn,
	DESERIALFUNC = @extschema@.ds_value_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_mean(double precision) IS 'average of numbers';
CREATE AGGREGATE @extschema@.ds_sum(double precision) (
	SFUNC = @extschema@.ds_value_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_sum_finalfn,
	COMBINEFUNC = @extschema@.ds_value_combinefn,
	SERIALFUNC = @extschema@.ds_value_serialfn,
	DESERIALFUNC = @extschema@.ds_value_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_sum(double precision) IS 'sum of numbers';
CREATE AGGREGATE @extschema@.ds_min(double precision) (
	SFUNC = @extschema@.ds_value_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_min_finalfn,
	COMBINEFUNC = @extschema@.ds_value_combinefn,
	SERIALFUNC = @extschema@.ds_value_serialfn,
	DESERIALFUNC = @extschema@.ds_value_deserialfn,
	SORTOP = OPERATOR(pg_catalog.<),
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_min(double precision) IS 'smallest of numbers';
CREATE AGGREGATE @extschema@.ds_max(double precision) (
	SFUNC = @extschema@.ds_value_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_max_finalfn,
	COMBINEFUNC = @extschema@.ds_value_combinefn,
	SERIALFUNC = @extschema@.ds_value_serialfn,
	DESERIALFUNC = @extschema@.ds_value_deserialfn,
	SORTOP = OPERATOR(pg_catalog.>),
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_max(double precision) IS 'largest of numbers';
CREATE AGGREGATE @extschema@.ds_sum_squares(double precision) (
	SFUNC = @extschema@.ds_value_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_sum_squares_finalfn,
	COMBINEFUNC = @extschema@.ds_value_combinefn,
	SERIALFUNC = @extschema@.ds_value_serialfn,
	DESERIALFUNC = @extschema@.ds_value_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_sum_squares(double precision) IS 'sum of the squares of numbers';
CREATE AGGREGATE @extschema@.ds_std_dev(double precision) (
	SFUNC = @extschema@.ds_value_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_std_dev_finalfn,
	COMBINEFUNC = @extschema@.ds_value_combinefn,
	SERIALFUNC = @extschema@.ds_value_serialfn,
	DESERIALFUNC = @extschema@.ds_value_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_std_dev(double precision) IS 'population standard deviation of numbers';
CREATE AGGREGATE @extschema@.ds_count(double precision) (
	SFUNC = @extschema@.ds_value_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_count_finalfn,
	COMBINEFUNC = @extschema@.ds_value_combinefn,
	SERIALFUNC = @extschema@.ds_value_serialfn,
	DESERIALFUNC = @extschema@.ds_value_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_count(double precision) IS 'how many numbers there are';

-- The median: exact up to 1,000 numbers, beyond that within 1 %
CREATE FUNCTION @extschema@.ds_median_transfn(internal, double precision) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_median_transfn(internal, double precision) IS 'aggregate transition function of the median';
CREATE FUNCTION @extschema@.ds_median_combinefn(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_median_combinefn(internal, internal) IS 'aggregate combine function of the median';
CREATE FUNCTION @extschema@.ds_median_serialfn(internal) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_median_serialfn(internal) IS 'aggregate serial function of the median';
CREATE FUNCTION @extschema@.ds_median_deserialfn(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_median_deserialfn(bytea, internal) IS 'aggregate deserial function of the median';
CREATE FUNCTION @extschema@.ds_median_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_median_finalfn(internal) IS 'aggregate final function of ds_median';
CREATE AGGREGATE @extschema@.ds_median(double precision) (
	SFUNC = @extschema@.ds_median_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_median_finalfn,
	COMBINEFUNC = @extschema@.ds_median_combinefn,
	SERIALFUNC = @extschema@.ds_median_serialfn,
	DESERIALFUNC = @extschema@.ds_median_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_median(double precision) IS 'median of numbers: exact up to 1,000 of them, then within 1 %';

-- Frequencies, of values of any type that has an order
CREATE FUNCTION @extschema@.ds_frequencies_transfn(internal, anyelement) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_frequencies_transfn(internal, anyelement) IS 'aggregate transition function of frequencies';
CREATE FUNCTION @extschema@.ds_frequencies_combinefn(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_frequencies_combinefn(internal, internal) IS 'aggregate combine function of frequencies';
CREATE FUNCTION @extschema@.ds_frequencies_serialfn(internal) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_frequencies_serialfn(internal) IS 'aggregate serial function of frequencies';
CREATE FUNCTION @extschema@.ds_frequencies_deserialfn(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_frequencies_deserialfn(bytea, internal) IS 'aggregate deserial function of frequencies';
CREATE FUNCTION @extschema@.ds_most_often_finalfn(internal, anyelement) RETURNS anyelement
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_most_often_finalfn(internal, anyelement) IS 'aggregate final function of ds_most_often';
CREATE FUNCTION @extschema@.ds_least_often_finalfn(internal, anyelement) RETURNS anyelement
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_least_often_finalfn(internal, anyelement) IS 'aggregate final function of ds_least_often';
CREATE FUNCTION @extschema@.ds_frequencies_finalfn(internal, anyelement) RETURNS jsonb
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_frequencies_finalfn(internal, anyelement) IS 'aggregate final function of ds_frequencies';
CREATE AGGREGATE @extschema@.ds_most_often(anyelement) (
	SFUNC = @extschema@.ds_frequencies_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_most_often_finalfn,
	FINALFUNC_EXTRA,
	COMBINEFUNC = @extschema@.ds_frequencies_combinefn,
	SERIALFUNC = @extschema@.ds_frequencies_serialfn,
	DESERIALFUNC = @extschema@.ds_frequencies_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_most_often(anyelement) IS 'most frequent value; of equals the smallest';
CREATE AGGREGATE @extschema@.ds_least_often(anyelement) (
	SFUNC = @extschema@.ds_frequencies_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_least_often_finalfn,
	FINALFUNC_EXTRA,
	COMBINEFUNC = @extschema@.ds_frequencies_combinefn,
	SERIALFUNC = @extschema@.ds_frequencies_serialfn,
	DESERIALFUNC = @extschema@.ds_frequencies_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_least_often(anyelement) IS 'least frequent value; of equals the smallest';
CREATE AGGREGATE @extschema@.ds_frequencies(anyelement) (
	SFUNC = @extschema@.ds_frequencies_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_frequencies_finalfn,
	FINALFUNC_EXTRA,
	COMBINEFUNC = @extschema@.ds_frequencies_combinefn,
	SERIALFUNC = @extschema@.ds_frequencies_serialfn,
	DESERIALFUNC = @extschema@.ds_frequencies_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_frequencies(anyelement) IS '[{"v": value, "c": count}, ...], most frequent first, then by value';

-- Timestamps: mean, first, last
CREATE FUNCTION @extschema@.ds_time_transfn(internal, timestamptz) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_time_transfn(internal, timestamptz) IS 'aggregate transition function of timestamps';
CREATE FUNCTION @extschema@.ds_time_combinefn(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_time_combinefn(internal, internal) IS 'aggregate combine function of timestamps';
CREATE FUNCTION @extschema@.ds_time_serialfn(internal) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_time_serialfn(internal) IS 'aggregate serial function of timestamps';
CREATE FUNCTION @extschema@.ds_time_deserialfn(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_time_deserialfn(bytea, internal) IS 'aggregate deserial function of timestamps';
CREATE FUNCTION @extschema@.ds_time_mean_finalfn(internal) RETURNS timestamptz
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_time_mean_finalfn(internal) IS 'aggregate final function of ds_time_mean';
CREATE FUNCTION @extschema@.ds_time_first_finalfn(internal) RETURNS timestamptz
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_time_first_finalfn(internal) IS 'aggregate final function of ds_time_first';
CREATE FUNCTION @extschema@.ds_time_last_finalfn(internal) RETURNS timestamptz
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_time_last_finalfn(internal) IS 'aggregate final function of ds_time_last';
CREATE AGGREGATE @extschema@.ds_time_mean(timestamptz) (
	SFUNC = @extschema@.ds_time_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_time_mean_finalfn,
	COMBINEFUNC = @extschema@.ds_time_combinefn,
	SERIALFUNC = @extschema@.ds_time_serialfn,
	DESERIALFUNC = @extschema@.ds_time_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_time_mean(timestamptz) IS 'average of timestamps';
CREATE AGGREGATE @extschema@.ds_time_first(timestamptz) (
	SFUNC = @extschema@.ds_time_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_time_first_finalfn,
	COMBINEFUNC = @extschema@.ds_time_combinefn,
	SERIALFUNC = @extschema@.ds_time_serialfn,
	DESERIALFUNC = @extschema@.ds_time_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_time_first(timestamptz) IS 'first of timestamps';
CREATE AGGREGATE @extschema@.ds_time_last(timestamptz) (
	SFUNC = @extschema@.ds_time_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_time_last_finalfn,
	COMBINEFUNC = @extschema@.ds_time_combinefn,
	SERIALFUNC = @extschema@.ds_time_serialfn,
	DESERIALFUNC = @extschema@.ds_time_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_time_last(timestamptz) IS 'last of timestamps';

-- Lengths in seconds of the intervals between neighbouring timestamps.  As the
-- order of an aggregate's input is not certain, they are sorted; all of them
-- are kept in memory, 8 bytes each.
CREATE FUNCTION @extschema@.ds_intervals_transfn(internal, timestamptz) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_intervals_transfn(internal, timestamptz) IS 'aggregate transition function of intervals between timestamps';
CREATE FUNCTION @extschema@.ds_intervals_combinefn(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_intervals_combinefn(internal, internal) IS 'aggregate combine function of intervals between timestamps';
CREATE FUNCTION @extschema@.ds_intervals_serialfn(internal) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_intervals_serialfn(internal) IS 'aggregate serial function of intervals between timestamps';
CREATE FUNCTION @extschema@.ds_intervals_deserialfn(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_intervals_deserialfn(bytea, internal) IS 'aggregate deserial function of intervals between timestamps';
CREATE FUNCTION @extschema@.ds_intervals_mean_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_intervals_mean_finalfn(internal) IS 'aggregate final function of ds_intervals_mean';
CREATE FUNCTION @extschema@.ds_intervals_min_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_intervals_min_finalfn(internal) IS 'aggregate final function of ds_intervals_min';
CREATE FUNCTION @extschema@.ds_intervals_max_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_intervals_max_finalfn(internal) IS 'aggregate final function of ds_intervals_max';
CREATE FUNCTION @extschema@.ds_intervals_sum_squares_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_intervals_sum_squares_finalfn(internal) IS 'aggregate final function of ds_intervals_sum_squares';
CREATE FUNCTION @extschema@.ds_intervals_std_dev_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_intervals_std_dev_finalfn(internal) IS 'aggregate final function of ds_intervals_std_dev';
CREATE AGGREGATE @extschema@.ds_intervals_mean(timestamptz) (
	SFUNC = @extschema@.ds_intervals_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_intervals_mean_finalfn,
	COMBINEFUNC = @extschema@.ds_intervals_combinefn,
	SERIALFUNC = @extschema@.ds_intervals_serialfn,
	DESERIALFUNC = @extschema@.ds_intervals_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_intervals_mean(timestamptz) IS 'average length, in seconds, of the intervals between sorted timestamps';
CREATE AGGREGATE @extschema@.ds_intervals_min(timestamptz) (
	SFUNC = @extschema@.ds_intervals_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_intervals_min_finalfn,
	COMBINEFUNC = @extschema@.ds_intervals_combinefn,
	SERIALFUNC = @extschema@.ds_intervals_serialfn,
	DESERIALFUNC = @extschema@.ds_intervals_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_intervals_min(timestamptz) IS 'shortest length, in seconds, of the intervals between sorted timestamps';
CREATE AGGREGATE @extschema@.ds_intervals_max(timestamptz) (
	SFUNC = @extschema@.ds_intervals_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_intervals_max_finalfn,
	COMBINEFUNC = @extschema@.ds_intervals_combinefn,
	SERIALFUNC = @extschema@.ds_intervals_serialfn,
	DESERIALFUNC = @extschema@.ds_intervals_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_intervals_max(timestamptz) IS 'longest length, in seconds, of the intervals between sorted timestamps';
CREATE AGGREGATE @extschema@.ds_intervals_sum_squares(timestamptz) (
	SFUNC = @extschema@.ds_intervals_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_intervals_sum_squares_finalfn,
	COMBINEFUNC = @extschema@.ds_intervals_combinefn,
	SERIALFUNC = @extschema@.ds_intervals_serialfn,
	DESERIALFUNC = @extschema@.ds_intervals_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_intervals_sum_squares(timestamptz) IS 'sum of the squared lengths, in seconds, of the intervals between sorted timestamps';
CREATE AGGREGATE @extschema@.ds_intervals_std_dev(timestamptz) (
	SFUNC = @extschema@.ds_intervals_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_intervals_std_dev_finalfn,
	COMBINEFUNC = @extschema@.ds_intervals_combinefn,
	SERIALFUNC = @extschema@.ds_intervals_serialfn,
	DESERIALFUNC = @extschema@.ds_intervals_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_intervals_std_dev(timestamptz) IS 'population standard deviation of the lengths, in seconds, of the intervals between sorted timestamps';
