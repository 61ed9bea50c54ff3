
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
