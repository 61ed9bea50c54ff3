-- Six continuous aggregates, each made from the one above it and refreshed in
-- order, with the columns of downsample_plain.sql.
SET client_min_messages = error;
CREATE MATERIALIZED VIEW by_10seconds WITH (timescaledb.continuous) AS
SELECT stream, time_bucket('10 seconds', ts) AS t, count(v) AS count, sum(v) AS sum,
		min(v) AS min, max(v) AS max, sum(v * v) AS sum_squares, min(ts) AS first, max(ts) AS last
	FROM datapoints GROUP BY 1, 2 WITH NO DATA;
CREATE MATERIALIZED VIEW by_minutes WITH (timescaledb.continuous) AS
SELECT stream, time_bucket('1 minute', t) AS t, sum(count)::bigint AS count, sum(sum) AS sum,
		min(min) AS min, max(max) AS max, sum(sum_squares) AS sum_squares, min(first) AS first, max(last) AS last
	FROM by_10seconds GROUP BY 1, 2 WITH NO DATA;
CREATE MATERIALIZED VIEW by_10minutes WITH (timescaledb.continuous) AS
SELECT stream, time_bucket('10 minutes', t) AS t, sum(count)::bigint AS count, sum(sum) AS sum,
		min(min) AS min, max(max) AS max, sum(sum_squares) AS sum_squares, min(first) AS first, max(last) AS last
	FROM by_minutes GROUP BY 1, 2 WITH NO DATA;
CREATE MATERIALIZED VIEW by_hours WITH (timescaledb.continuous) AS
SELECT stream, time_bucket('1 hour', t) AS t, sum(count)::bigint AS count, sum(sum) AS sum,
		min(min) AS min, max(max) AS max, sum(sum_squares) AS sum_squares, min(first) AS first, max(last) AS last
	FROM by_10minutes GROUP BY 1, 2 WITH NO DATA;
CREATE MATERIALIZED VIEW by_6hours WITH (timescaledb.continuous) AS
SELECT stream, time_bucket('6 hours', t) AS t, sum(count)::bigint AS count, sum(sum) AS sum,
		min(min) AS min, max(max) AS max, sum(sum_squares) AS sum_squares, min(first) AS first, max(last) AS last
	FROM by_hours GROUP BY 1, 2 WITH NO DATA;
CREATE MATERIALIZED VIEW by_days WITH (timescaledb.continuous) AS
SELECT stream, time_bucket('1 day', t) AS t, sum(count)::bigint AS count, sum(sum) AS sum,
		min(min) AS min, max(max) AS max, sum(sum_squares) AS sum_squares, min(first) AS first, max(last) AS last
	FROM by_6hours GROUP BY 1, 2 WITH NO DATA;
\timing on
CALL refresh_continuous_aggregate('by_10seconds', NULL, NULL);
CALL refresh_continuous_aggregate('by_minutes', NULL, NULL);
CALL refresh_continuous_aggregate('by_10minutes', NULL, NULL);
CALL refresh_continuous_aggregate('by_hours', NULL, NULL);
CALL refresh_continuous_aggregate('by_6hours', NULL, NULL);
CALL refresh_continuous_aggregate('by_days', NULL, NULL);
