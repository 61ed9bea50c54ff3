
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
