-- Six levels, each made from the one above it.  datastream makes eight, and
-- their mean times and intervals as well.
SET client_min_messages = warning;
DROP TABLE IF EXISTS by_10seconds, by_minutes, by_10minutes, by_hours, by_6hours, by_days;
\timing on
CREATE UNLOGGED TABLE by_10seconds AS
SELECT stream, date_bin('10 seconds', ts, '2000-01-01') AS t, count(v) AS count, sum(v) AS sum,
		min(v) AS min, max(v) AS max, sum(v * v) AS sum_squares, min(ts) AS first, max(ts) AS last
	FROM datapoints GROUP BY 1, 2;
CREATE UNLOGGED TABLE by_minutes AS
SELECT stream, date_bin('1 minute', t, '2000-01-01') AS t, sum(count)::bigint AS count, sum(sum) AS sum,
		min(min) AS min, max(max) AS max, sum(sum_squares) AS sum_squares, min(first) AS first, max(last) AS last
	FROM by_10seconds GROUP BY 1, 2;
CREATE UNLOGGED TABLE by_10minutes AS
SELECT stream, date_bin('10 minutes', t, '2000-01-01') AS t, sum(count)::bigint AS count, sum(sum) AS sum,
		min(min) AS min, max(max) AS max, sum(sum_squares) AS sum_squares, min(first) AS first, max(last) AS last
	FROM by_minutes GROUP BY 1, 2;
CREATE UNLOGGED TABLE by_hours AS
SELECT stream, date_bin('1 hour', t, '2000-01-01') AS t, sum(count)::bigint AS count, sum(sum) AS sum,
		min(min) AS min, max(max) AS max, sum(sum_squares) AS sum_squares, min(first) AS first, max(last) AS last
	FROM by_10minutes GROUP BY 1, 2;
CREATE UNLOGGED TABLE by_6hours AS
SELECT stream, date_bin('6 hours', t, '2000-01-01') AS t, sum(count)::bigint AS count, sum(sum) AS sum,
		min(min) AS min, max(max) AS max, sum(sum_squares) AS sum_squares, min(first) AS first, max(last) AS last
	FROM by_hours GROUP BY 1, 2;
CREATE UNLOGGED TABLE by_days AS
SELECT stream, date_bin('1 day', t, '2000-01-01') AS t, sum(count)::bigint AS count, sum(sum) AS sum,
		min(min) AS min, max(max) AS max, sum(sum_squares) AS sum_squares, min(first) AS first, max(last) AS last
	FROM by_6hours GROUP BY 1, 2;
