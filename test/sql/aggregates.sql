-- Every downsampler is also an aggregate for any table.
CREATE TABLE readings (
	room text,
	ts timestamptz,
	temperature double precision,
	state text
);
INSERT INTO readings VALUES
	('kitchen', '2024-01-01 00:00:00+00', 20.5, 'on'),
	('kitchen', '2024-01-01 00:00:10+00', 21.0, 'off'),
	('kitchen', '2024-01-01 00:00:40+00', NULL, 'off'),
	('kitchen', '2024-01-01 00:00:20+00', 21.5, NULL),
	('cellar', '2024-01-01 00:00:00+00', 8.25, 'on'),
	('attic', '2024-01-01 00:00:00+00', NULL, NULL);

-- Those of values
SELECT room, ds_count(temperature), ds_mean(temperature), ds_sum(temperature),
	ds_min(temperature), ds_max(temperature), ds_sum_squares(temperature),
	ds_std_dev(temperature), ds_median(temperature)
FROM readings GROUP BY room ORDER BY room;

SELECT room, ds_most_often(state), ds_least_often(state), ds_frequencies(state)
FROM readings GROUP BY room ORDER BY room;

-- Those of times: the first is the smallest, and intervals are between sorted
-- timestamps, whatever the order of the rows.
SET timezone = 'UTC';
SELECT room, ds_time_mean(ts), ds_time_first(ts), ds_time_last(ts)
FROM readings GROUP BY room ORDER BY room;
SELECT room, ds_intervals_mean(ts), ds_intervals_min(ts), ds_intervals_max(ts),
	ds_intervals_sum_squares(ts), ds_intervals_std_dev(ts)
FROM readings GROUP BY room ORDER BY room;

-- They are aggregates like others: with FILTER, and as window functions.
SELECT ds_mean(temperature) FILTER (WHERE room = 'kitchen'), ds_count(DISTINCT temperature)
FROM readings;
SELECT ts, ds_sum(temperature) OVER w, ds_median(temperature) OVER w, ds_most_often(state) OVER w
FROM readings WHERE room = 'kitchen' WINDOW w AS (ORDER BY ts) ORDER BY ts;

-- Without any row nothing is known, but the count.
SELECT ds_count(x), ds_mean(x), ds_sum(x), ds_min(x), ds_max(x), ds_sum_squares(x),
	ds_std_dev(x), ds_median(x), ds_most_often(x), ds_least_often(x), ds_frequencies(x)
FROM (SELECT 1::float8 WHERE false) t(x);
SELECT ds_time_mean(t), ds_time_first(t), ds_time_last(t), ds_intervals_mean(t)
FROM (SELECT now() WHERE false) t(t);

-- Decimals are summed as decimals, integers with all that a double can hold,
-- and deviations do not suffer from cancellation.
SELECT ds_sum(x), ds_sum_squares(x), ds_std_dev(x) FROM (VALUES (0.1), (0.1), (0.1)) t(x);
SELECT ds_sum(x) FROM (VALUES (1e16), (1), (-1e16)) t(x);
SELECT ds_std_dev(1e9 + x) FROM (VALUES (4), (7), (13), (16)) t(x);
SELECT ds_std_dev(1e15 + x) FROM (VALUES (4), (7), (13), (16)) t(x);
SELECT ds_std_dev(x) FROM (VALUES (5.5e200)) t(x);

-- NaN and infinity carry over, as in PostgreSQL's own aggregates.
SELECT ds_mean(x) = avg(x), ds_sum(x) = sum(x), ds_min(x) = min(x), ds_max(x) = max(x),
	ds_std_dev(x) = stddev_pop(x), ds_count(x) = count(x), ds_median(x), ds_frequencies(x)
FROM (VALUES ('NaN'::float8), (1), ('Infinity')) t(x);
SELECT ds_mean(x) = avg(x), ds_sum(x) = sum(x), ds_min(x) = min(x), ds_max(x) = max(x),
	ds_std_dev(x) = stddev_pop(x), ds_count(x) = count(x), ds_median(x), ds_sum_squares(x)
FROM (VALUES ('Infinity'::float8), (1), ('-Infinity'), (3)) t(x);
SELECT ds_sum(x) FROM (VALUES (1e308), (1e308)) t(x);
SELECT ds_mean(x), ds_max(x) FROM (VALUES (1e308), (1e308)) t(x);
SELECT ds_time_mean(t), ds_time_last(t) FROM (VALUES ('infinity'::timestamptz), ('2024-01-01')) t(t);
SELECT ds_time_mean(t) FROM (VALUES ('infinity'::timestamptz), ('-infinity')) t(t);
SELECT ds_intervals_mean(t) FROM (VALUES ('infinity'::timestamptz), ('2024-01-01')) t(t);

-- Intervals over all times that there are
SELECT ds_intervals_max(t), ds_intervals_std_dev(t)
FROM (VALUES ('4713-01-01 00:00:00+00 BC'::timestamptz), ('294276-12-31 00:00:00+00'), ('2000-01-01 00:00:00+00')) t(t);

-- Frequencies of any type that has an order; of equals the smallest
SELECT ds_most_often(x), ds_least_often(x), ds_frequencies(x)
FROM (VALUES ('b'), ('a'), ('b'), ('a'), ('d'), ('c')) t(x);
SELECT ds_most_often(x), ds_frequencies(x) FROM (VALUES (1.0), (2.5), (1.00), (2)) t(x);
SELECT ds_most_often(x), ds_frequencies(x)
FROM (VALUES ('{1,2}'::int[]), ('{3}'), ('{1,2}'), (NULL)) t(x);
SELECT ds_most_often(x), ds_least_often(x)
FROM (VALUES ('{"a": 1}'::jsonb), ('[]'), ('{"a": 1.0}')) t(x);
SELECT ds_most_often(x), ds_frequencies(x)
FROM (VALUES ('2024-01-02'::date), ('2024-01-01'), ('2024-01-02')) t(x);
SELECT ds_most_often(t) FROM (VALUES (1, 'x'::text), (2, 'y'), (1, 'x')) t(a, b);
SELECT ds_most_often(x) FROM (VALUES ('{}'::json)) t(x);

-- The same as PostgreSQL's own aggregates over many rows
CREATE TABLE many AS
SELECT i, sin(i) * 1000 AS a, round(cos(i)::numeric * 100, 2)::float8 AS b,
	1e9 + sin(i) AS near, nullif(i % 17, 3) AS label, repeat(chr(97 + i % 5), 100) AS text,
	'2024-01-01 00:00:00+00'::timestamptz + i * interval '1 second' + (i % 7) * interval '100 ms' AS ts
FROM generate_series(1, 100000) i;
CREATE FUNCTION near(a float8, b float8, tolerance float8 DEFAULT 1e-12) RETURNS boolean
LANGUAGE sql RETURN abs(a - b) <= tolerance * greatest(abs(a), abs(b));

SELECT near(ds_sum(a), sum(a::numeric)::float8, 1e-9) AS sum,
	near(ds_mean(near), avg(near)) AS mean,
	ds_sum(b) = sum(b::numeric)::float8 AS decimal_sum,
	ds_sum_squares(b) = sum(b::numeric * b::numeric)::float8 AS decimal_squares,
	near(ds_std_dev(a), stddev_pop(a)) AS std_dev,
	near(ds_std_dev(near), stddev_pop(near - 1e9), 1e-9) AS std_dev_near,
	ds_min(a) = min(a) AS min, ds_max(a) = max(a) AS max, ds_count(label) = count(label) AS count,
	near(ds_median(near), percentile_cont(0.5) WITHIN GROUP (ORDER BY near), 0.01) AS median,
	near(ds_median(a + 500), percentile_cont(0.5) WITHIN GROUP (ORDER BY a + 500), 0.01) AS median_of_signs,
	ds_most_often(label) = mode() WITHIN GROUP (ORDER BY label) AS most_often
FROM many;

-- Up to 1,000 numbers the median is exact; beyond that it still is
-- where equal numbers are in the middle.
SELECT n, near(ds_median(a), percentile_cont(0.5) WITHIN GROUP (ORDER BY a)) AS exact
FROM (VALUES (1), (2), (999), (1000)) v(n), many WHERE i <= n GROUP BY n ORDER BY n;
SELECT ds_median(20.5) FROM many;
SELECT ds_median(i % 2) FROM many WHERE i <= 2001;

SELECT ds_time_mean(ts) - min(ts) = avg(ts - (SELECT min(ts) FROM many)) AS mean,
	ds_time_first(ts) = min(ts) AS first, ds_time_last(ts) = max(ts) AS last
FROM many;
SELECT near(ds_intervals_mean(ts), avg(length)) AS mean, ds_intervals_min(ts) = min(length) AS min,
	ds_intervals_max(ts) = max(length) AS max,
	near(ds_intervals_sum_squares(ts), sum(length ^ 2), 1e-9) AS sum_squares,
	near(ds_intervals_std_dev(ts), stddev_pop(length)) AS std_dev
FROM (SELECT ts, extract(epoch FROM ts - lag(ts) OVER (ORDER BY ts))::float8 AS length FROM many) t;

-- Parallel plans give the same, to the last digit.
CREATE FUNCTION plan_has(query text, part text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	line text;
	found boolean := false;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		found := found OR line LIKE '%' || part || '%';
	END LOOP;
	RETURN found;
END
$$;
CREATE FUNCTION all_of_many() RETURNS TABLE (name text, result text) LANGUAGE sql AS $$
	SELECT v.* FROM (
		SELECT ds_count(a), ds_mean(a), ds_sum(a), ds_min(a), ds_max(a), ds_sum_squares(a),
			ds_std_dev(a), ds_std_dev(near) AS std_dev_near, ds_sum(b) AS sum_b,
			ds_median(a), ds_most_often(label), ds_least_often(label), ds_frequencies(label),
			ds_most_often(text) AS most_often_text, ds_time_mean(ts), ds_time_first(ts),
			ds_time_last(ts), ds_intervals_mean(ts), ds_intervals_min(ts), ds_intervals_max(ts),
			ds_intervals_sum_squares(ts), ds_intervals_std_dev(ts)
		FROM many) t, jsonb_each_text(to_jsonb(t)) v
$$;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE serial_results AS SELECT * FROM all_of_many();
SET max_parallel_workers_per_gather = 4;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT plan_has('SELECT ds_mean(a), ds_median(a), ds_frequencies(label), ds_time_mean(ts),
	ds_intervals_std_dev(ts) FROM many', 'Partial Aggregate') AS parallel;
SELECT count(*), count(*) FILTER (WHERE s.result = p.result) AS same
FROM serial_results s JOIN all_of_many() p USING (name);
SELECT name, s.result AS serial, p.result AS parallel
FROM serial_results s JOIN all_of_many() p USING (name) WHERE s.result IS DISTINCT FROM p.result;
RESET ALL;

-- The smallest and the largest come from an index.
CREATE INDEX ON many (a);
ANALYZE many;
SELECT plan_has('SELECT ds_min(a) FROM many', 'Index Only Scan using') AS min,
	plan_has('SELECT ds_max(a) FROM many', 'Index Only Scan Backward using') AS max;
SELECT ds_min(a) = min(a) AS min, ds_max(a) = max(a) AS max FROM many;

DROP TABLE readings, many, serial_results;
DROP FUNCTION near(float8, float8, float8);
DROP FUNCTION all_of_many();
DROP FUNCTION plan_has(text, text);
