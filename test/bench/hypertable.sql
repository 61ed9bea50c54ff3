-- TimescaleDB's form of the plain table, made anew, with the index that
-- create_hypertable adds by default.
SET client_min_messages = error;
DROP MATERIALIZED VIEW IF EXISTS by_days;
DROP MATERIALIZED VIEW IF EXISTS by_6hours;
DROP MATERIALIZED VIEW IF EXISTS by_hours;
DROP MATERIALIZED VIEW IF EXISTS by_10minutes;
DROP MATERIALIZED VIEW IF EXISTS by_minutes;
DROP MATERIALIZED VIEW IF EXISTS by_10seconds;
DROP TABLE IF EXISTS datapoints;
CREATE TABLE datapoints (stream int, ts timestamptz NOT NULL, v float8);
CREATE INDEX ON datapoints (stream, ts);
SELECT create_hypertable('datapoints', 'ts');
ALTER TABLE datapoints SET (timescaledb.compress, timescaledb.compress_segmentby = 'stream');
