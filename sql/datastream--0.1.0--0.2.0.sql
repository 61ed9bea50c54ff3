\echo Use "ALTER EXTENSION datastream UPDATE TO '0.2.0'" to load this file. \quit

/*
 * What version 0.2.0 changed.  A database that is updated must end with what
 * CREATE EXTENSION makes: test/t/020_update.pl compares the two.
 */

-- What workers say of themselves is of one server.  A subscriber of logical
-- replication leaves out what the publisher's workers have written, since that
-- would collide with what its own write.
CREATE FUNCTION datastream.leave_out() RETURNS trigger LANGUAGE plpgsql
	AS 'BEGIN RETURN NULL; END';
COMMENT ON FUNCTION datastream.leave_out() IS 'keeps what another server''s workers say of themselves out of a subscriber''s tables';
CREATE TRIGGER leave_out BEFORE INSERT OR UPDATE OR DELETE ON datastream.worker_slots
	FOR EACH ROW EXECUTE FUNCTION datastream.leave_out();
ALTER TABLE datastream.worker_slots ENABLE REPLICA TRIGGER leave_out;
CREATE TRIGGER leave_out BEFORE INSERT OR UPDATE OR DELETE ON datastream.runs
	FOR EACH ROW EXECUTE FUNCTION datastream.leave_out();
ALTER TABLE datastream.runs ENABLE REPLICA TRIGGER leave_out;
CREATE TRIGGER leave_out BEFORE INSERT OR UPDATE OR DELETE ON datastream.failures
	FOR EACH ROW EXECUTE FUNCTION datastream.leave_out();
ALTER TABLE datastream.failures ENABLE REPLICA TRIGGER leave_out;
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
/*
 * Downsampling
 */
DROP FUNCTION @extschema@.ds_downsample_streams(jsonb, timestamptz, boolean, regprocedure);
CREATE FUNCTION @extschema@.ds_downsample_streams(query_tags jsonb DEFAULT NULL, until timestamptz DEFAULT NULL,
		return_datapoints boolean DEFAULT false, filter_stream regprocedure DEFAULT NULL,
		close_last boolean DEFAULT false)
	RETURNS TABLE (stream_id uuid, granularity text, t timestamptz, v jsonb, times jsonb)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ds_downsample_streams(jsonb, timestamptz, boolean, regprocedure, boolean)
	IS 'close the buckets that are due, at all lower granularities';

-- Since when a stream is due; what has been due until now is not to wait.
ALTER TABLE datastream.heads ADD COLUMN due_since timestamptz NOT NULL DEFAULT '0001-01-01 00:00:00+00';
DROP INDEX datastream.heads_due;
CREATE INDEX heads_due ON datastream.heads (due_since, stream_id) WHERE due;

-- Version 0.1.0 took a stream for done by its latest datapoint and its finest
-- level alone.  Those with a level that can be closed further are due: one that
-- is behind what the stream has come to, or one without a bucket where that lies
-- past the first bucket of what the level is made of.  Where this is not known,
-- the next downsampling looks.
DO $$
DECLARE
	granularities CONSTANT pg_catalog.text[] := ARRAY['milliseconds', 'seconds', '10seconds', 'minutes',
		'10minutes', 'hours', '6hours', 'days', 'months', 'years'];
BEGIN
	FOR level IN 2 .. pg_catalog.array_length(granularities, 1) LOOP
		EXECUTE pg_catalog.format('UPDATE datastream.heads h SET due = true
			FROM datastream.streams s
				JOIN datastream.progress p ON p.stream_id OPERATOR(pg_catalog.=) s.stream_id
				CROSS JOIN LATERAL (SELECT pg_catalog.max(d.read_until) AS until FROM datastream.sources d
					WHERE d.stream_id OPERATOR(pg_catalog.=) s.stream_id) r
				LEFT JOIN LATERAL (SELECT b.start FROM datastream.%3$I b
					WHERE b.stream_id OPERATOR(pg_catalog.=) s.stream_id ORDER BY b.start LIMIT 1) f ON true
			WHERE h.stream_id OPERATOR(pg_catalog.=) s.stream_id AND NOT h.due AND h.latest IS NOT NULL
				AND s.value_downsamplers OPERATOR(pg_catalog.<>) ''{}''
				AND s.highest_granularity OPERATOR(pg_catalog.=) ANY ($1)
				AND COALESCE(@extschema@.ds_round(%1$L, LEAST(pg_catalog.clock_timestamp(), GREATEST(h.latest, r.until)))
						OPERATOR(pg_catalog.>) COALESCE(p.downsampled_until[%2$s], @extschema@.ds_round(%1$L, f.start)),
					p.downsampled_until[%2$s - 1] IS NOT NULL OR s.highest_granularity OPERATOR(pg_catalog.=) $1[%2$s - 1])',
				granularities[level], level, 'datapoints_'::pg_catalog.text OPERATOR(pg_catalog.||) granularities[level - 1])
			USING granularities[:level - 1];
	END LOOP;
END
$$;
/*
 * Derived streams: what has changed in their sources is kept for each source by
 * itself.
 */
CREATE TABLE datastream.changes (
	stream_id uuid NOT NULL,
	change_id uuid NOT NULL,
	"position" integer NOT NULL,
	"from" timestamptz NOT NULL,
	"to" timestamptz NOT NULL,
	PRIMARY KEY (stream_id, change_id)
);
COMMENT ON TABLE datastream.changes IS 'what has changed in the sources of derived streams and is to be derived again';
SELECT pg_catalog.pg_extension_config_dump('datastream.changes', '');

-- Whoever was granted to write derived streams goes on doing so.
DO $$
DECLARE
	grantee text;
BEGIN
	FOR grantee IN
		SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END
		FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
		WHERE c.oid OPERATOR(pg_catalog.=) 'datastream.sources'::pg_catalog.regclass
			AND a.privilege_type OPERATOR(pg_catalog.=) 'UPDATE' AND a.grantee OPERATOR(pg_catalog.<>) c.relowner
	LOOP
		EXECUTE pg_catalog.format('GRANT SELECT, INSERT, DELETE ON datastream.changes TO %s', grantee);
	END LOOP;
END
$$;

INSERT INTO datastream.changes (stream_id, change_id, "position", "from", "to")
	SELECT p.stream_id, pg_catalog.gen_random_uuid(), d."position", COALESCE(pg_catalog.lower(r), '1970-01-01 00:00:00+00'),
		COALESCE(pg_catalog.upper(r), '9999-12-31 23:59:59+00')
	FROM datastream.progress p
		CROSS JOIN LATERAL pg_catalog.unnest(p.rederive) r
		JOIN datastream.sources d ON d.stream_id OPERATOR(pg_catalog.=) p.stream_id;
UPDATE datastream.progress p SET rederive = '{}' WHERE p.rederive OPERATOR(pg_catalog.<>) '{}';

-- A sum, and a source at a lower granularity, had been read until a time of which
-- not all is known: its last bucket is derived again.
UPDATE datastream.sources d SET read_count = d.read_count OPERATOR(pg_catalog.-) d.origin_count
	WHERE d.read_until OPERATOR(pg_catalog.=) d.origin AND d.read_count OPERATOR(pg_catalog.>=) d.origin_count;
UPDATE datastream.sources d SET read_until = @extschema@.ds_round(d.granularity, d.read_until), read_count = 0
	FROM datastream.streams s, datastream.streams t
	WHERE s.stream_id OPERATOR(pg_catalog.=) d.stream_id AND t.stream_id OPERATOR(pg_catalog.=) d.source_id
		AND d.read_until IS NOT NULL
		AND (s.derive_op OPERATOR(pg_catalog.=) 'sum' OR d.granularity OPERATOR(pg_catalog.<>) t.highest_granularity);
