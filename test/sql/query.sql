-- Reading datapoints
SET timezone = 'UTC';
SET datestyle = 'ISO';

-- A stream of a few minutes, with a datapoint without value and with gaps
SELECT ds_ensure_stream('{"name": "oven"}') IS NOT NULL AS made;
SELECT ds_append_multiple(stream('oven'),
	'{2024-01-01 00:00:05, 2024-01-01 00:00:08, 2024-01-01 00:00:12,
	2024-01-01 00:00:45, 2024-01-01 00:01:00, 2024-01-01 00:02:30}', '{1, 3, NULL, 8, 4, 2}');

-- At the highest granularity the rows are what was appended.  A finer
-- granularity is answered from it, and downsamplers do not matter there.
SELECT * FROM ds_get_data(stream('oven'), 'seconds');
SELECT array_agg(v) FROM ds_get_data(stream('oven'), 'milliseconds', value_downsamplers => '{nonsense}', time_downsamplers => '{}');

-- A range may have one end or two.  The start is rounded down to its bucket,
-- here the full second; the end is included.
SELECT t::time, v FROM ds_get_data(stream('oven'), 'seconds', '2024-01-01 00:00:08.9');
SELECT t::time, v FROM ds_get_data(stream('oven'), 'seconds', NULL, '2024-01-01 00:01:00');
SELECT t::time, v FROM ds_get_data(stream('oven'), 'seconds', '2024-01-01 00:00:12', '2024-01-01 00:00:59.999999');

-- Exclusive ends leave out datapoints at them.
SELECT t::time, v FROM ds_get_data(stream('oven'), 'seconds', start_exclusive => '2024-01-01 00:00:08', end_exclusive => '2024-01-01 00:01:00');
SELECT t::time, v FROM ds_get_data(stream('oven'), 'seconds', start_exclusive => '2024-01-01 00:00:07.999999', end_exclusive => '2024-01-01 00:01:00.000001');
SELECT t::time, v FROM ds_get_data(stream('oven'), 'seconds', '2024-01-01 00:00:08', end_exclusive => '2024-01-01 00:00:08');

-- Newest first
SELECT t::time, v FROM ds_get_data(stream('oven'), 'seconds', '2024-01-01 00:00:08', '2024-01-01 00:01:00', reverse => true);
SELECT array_agg(v) FROM ds_get_data(stream('oven'), 'seconds', reverse => NULL);

-- Bounds may lie anywhere, even in infinity.
CREATE FUNCTION bounds(granularity text) RETURNS TABLE (bound timestamptz, from_start bigint, to_end bigint, after_start bigint, before_end bigint)
LANGUAGE sql STABLE AS $$
	SELECT b, (SELECT count(*) FROM ds_get_data(stream('oven'), granularity, start => b)),
		(SELECT count(*) FROM ds_get_data(stream('oven'), granularity, "end" => b)),
		(SELECT count(*) FROM ds_get_data(stream('oven'), granularity, start_exclusive => b)),
		(SELECT count(*) FROM ds_get_data(stream('oven'), granularity, end_exclusive => b))
	FROM (VALUES (timestamptz '-infinity'), ('4713-01-01 00:00:00 BC'), ('1969-12-31 23:59:59.9999'), ('1970-01-01'),
		('2024-01-01 00:00:45'), ('9999-12-31 23:59:59'), ('10000-01-01'), ('294276-12-31'), ('infinity')) x(b)
$$;
SELECT * FROM bounds('seconds');
SELECT array_agg(v) FROM ds_get_data(stream('oven'), 'seconds', '2024-01-01 00:01:00', '2024-01-01 00:00:08');

-- Below the highest granularity there is nothing before it is downsampled; ...
SELECT count(*) FROM ds_get_data(stream('oven'), '10seconds');
SELECT count(*) FROM ds_downsample_streams('{"name": "oven"}');
-- ... then a row a bucket, with what the downsamplers made of it.
SELECT t, jsonb_pretty(v) AS v, jsonb_pretty(times) AS times FROM ds_get_data(stream('oven'), '10seconds') LIMIT 1;

-- Every bucket is there, from the first to the last that is closed: also one
-- whose datapoints have no values, and one without any.
SELECT t::time, v->'c' AS count, v->'m' AS mean, v->'u' AS max, times->>'a' AS first, times->>'z' AS last, times->>'m' AS middle
FROM ds_get_data(stream('oven'), '10seconds');
SELECT DISTINCT v FROM ds_get_data(stream('oven'), '10seconds', '2024-01-01 00:00:20', '2024-01-01 00:00:30');
SELECT t::time, v, times->'i' AS interval FROM ds_get_data(stream('oven'), 'minutes');
SELECT count(*) FROM ds_get_data(stream('oven'), '10minutes');

-- The start is rounded down to its bucket; the end is that of the buckets'
-- starts.  An exclusive start leaves out the bucket that it lies in.
CREATE FUNCTION starts(start timestamptz, "end" timestamptz, start_exclusive timestamptz, end_exclusive timestamptz, reverse boolean DEFAULT false)
RETURNS text LANGUAGE sql STABLE
RETURN (SELECT string_agg(to_char(t, 'MI:SS'), ' ') FROM ds_get_data(stream('oven'), '10seconds', start, "end", start_exclusive, end_exclusive, reverse));
SELECT starts('2024-01-01 00:01:47', NULL, NULL, NULL);
SELECT starts(NULL, NULL, '2024-01-01 00:01:47', NULL);
SELECT starts(NULL, NULL, '2024-01-01 00:01:50', NULL);
SELECT starts(NULL, '2024-01-01 00:00:20', NULL, NULL);
SELECT starts(NULL, '2024-01-01 00:00:19.999999', NULL, NULL);
SELECT starts(NULL, NULL, NULL, '2024-01-01 00:00:20');
SELECT starts(NULL, NULL, NULL, '2024-01-01 00:00:20.000001');
SELECT starts('2024-01-01 00:00:35', '2024-01-01 00:01:05', NULL, NULL);
SELECT starts('2024-01-01 00:00:35', '2024-01-01 00:01:05', NULL, NULL, reverse => true);
SELECT starts(NULL, NULL, '2024-01-01 00:00:35', '2024-01-01 00:00:40');
SELECT * FROM bounds('10seconds');

-- A request may select downsamplers; an empty selection leaves the column null.
SELECT v, times FROM ds_get_data(stream('oven'), 'minutes', value_downsamplers => '{max, mean}', time_downsamplers => '{first, last}');
SELECT v, times FROM ds_get_data(stream('oven'), 'minutes', value_downsamplers => '{count}', time_downsamplers => '{}');
SELECT v, times FROM ds_get_data(stream('oven'), 'minutes', value_downsamplers => '{}', time_downsamplers => '{intervals_mean, mean}');
SELECT t::time, v, times FROM ds_get_data(stream('oven'), 'minutes', value_downsamplers => '{}', time_downsamplers => '{}');

-- What cannot be answered
SELECT raises($$SELECT * FROM ds_get_data(NULL, 'seconds')$$);
SELECT raises($$SELECT * FROM ds_get_data(stream('oven'), NULL)$$);
SELECT raises($$SELECT * FROM ds_get_data('00000000-0000-0000-0000-000000000000', 'seconds')$$);
SELECT raises($$SELECT * FROM ds_get_data(stream('oven'), 'fortnights')$$);
SELECT raises($$SELECT * FROM ds_get_data(stream('oven'), 'seconds', start => now(), start_exclusive => now())$$);
SELECT raises($$SELECT * FROM ds_get_data(stream('oven'), 'seconds', "end" => now(), end_exclusive => now())$$);
SELECT raises($$SELECT * FROM ds_get_data(stream('oven'), 'minutes', value_downsamplers => '{mean, nonsense}')$$);
SELECT raises($$SELECT * FROM ds_get_data(stream('oven'), 'minutes', value_downsamplers => '{median}')$$);
SELECT raises($$SELECT * FROM ds_get_data(stream('oven'), 'minutes', time_downsamplers => '{median}')$$);

-- Days are the coarsest granularity to append at.  Timestamps keep their
-- seconds, but the start is rounded down to its day.  Months and years have
-- as many buckets as the calendar.
SELECT ds_ensure_stream('{"name": "rain"}', highest_granularity => 'days', value_downsamplers => '{mean}') IS NOT NULL AS made;
SELECT ds_append_multiple(stream('rain'),
	'{2022-11-30 06:00:00, 2023-01-15 08:00:00, 2023-12-31 23:59:59, 2024-03-01 06:00:00}', '{1, 2, 6, 4}');
SELECT count(*) FROM ds_downsample_streams('{"name": "rain"}');
SELECT t, v FROM ds_get_data(stream('rain'), 'hours', start => '2023-01-15 12:00:00');
SELECT t, v FROM ds_get_data(stream('rain'), 'days', start_exclusive => '2023-01-15 07:00:00', "end" => '2023-12-31 23:59:58');
SELECT t::date, v->'c' AS count, v->'m' AS mean, times->>'m' AS middle FROM ds_get_data(stream('rain'), 'months');
SELECT t::date, v->'c' AS count, v->'m' AS mean FROM ds_get_data(stream('rain'), 'months', start_exclusive => '2023-10-31', "end" => '2024-01-01', reverse => true);
SELECT t::date, v->'c' AS count, v->'m' AS mean FROM ds_get_data(stream('rain'), 'years', reverse => true);

-- A stream that is not downsampled has only its highest granularity.
SELECT ds_ensure_stream('{"name": "raw"}', value_downsamplers => '{}') IS NOT NULL AS made;
SELECT ds_append_multiple(stream('raw'), '{2024-01-01 00:00:00, 2024-01-02 00:00:00}', '{1, 2}');
SELECT count(*) FROM ds_downsample_streams('{"name": "raw"}');
SELECT count(*) FROM ds_get_data(stream('raw'), 'seconds');
SELECT count(*) FROM ds_get_data(stream('raw'), 'hours');
SELECT count(*) FROM ds_get_series(stream('raw'), 'hours');

-- Values of other types, and already downsampled ones
SELECT ds_ensure_stream('{"name": "state"}', value_type => 'nominal', value_downsamplers => '{most_often, count}') IS NOT NULL AS made;
SELECT count(ds_append(stream('state'), label, '2024-01-01 00:00:00'::timestamptz + n * interval '20 s'))
FROM unnest(ARRAY['on', 'off', 'on', '{"error": [1, 2]}', NULL, 'off', 'off']) WITH ORDINALITY x(label, n);
SELECT count(*) FROM ds_downsample_streams('{"name": "state"}');
SELECT t::time, v FROM ds_get_data(stream('state'), 'seconds');
SELECT t::time, v FROM ds_get_data(stream('state'), 'minutes', value_downsamplers => '{most_often}');

-- Functions in FROM join, filter, sort and limit like tables ...
SELECT n, array_agg(v ORDER BY t) FROM generate_series(0, 2) n
LEFT JOIN ds_get_data(stream('oven'), 'seconds') d ON date_part('minute', d.t) = n GROUP BY n ORDER BY n;
SELECT t::time, v FROM ds_get_data(stream('oven'), 'seconds') WHERE v > '2' ORDER BY v DESC LIMIT 2;
SELECT tags->>'name' AS name, d.* FROM ds_find_streams(filter => '$.name == "oven" || $.name == "rain"') s
CROSS JOIN LATERAL (SELECT t, v FROM ds_get_data(s.stream_id, 'seconds', reverse => true) LIMIT 2) d;
SELECT (ds_get_data(stream('oven'), 'seconds')).v LIMIT 2;
-- ... and can be read step by step, back and forth.
BEGIN;
DECLARE steps SCROLL CURSOR FOR SELECT v FROM ds_get_data(stream('oven'), 'seconds');
FETCH 3 FROM steps;
FETCH BACKWARD 2 FROM steps;
COMMIT;

-- Typed columns are the fast way for numeric streams: at the highest
-- granularity ...
SELECT t::time, value, count, mean, sum, min, max, sum_squares, std_dev, first = t AND last = t AND middle = t AS at_t
FROM ds_get_series(stream('oven'), 'seconds');
-- ... and below it
SELECT t::time, value, count, mean, sum, min, max, sum_squares, std_dev, first::time, last::time, middle::time
FROM ds_get_series(stream('oven'), '10seconds', "end" => '2024-01-01 00:00:45', reverse => true);
-- A column that the stream has no downsampler for is null.
SELECT t::date, value, count, mean, sum, min, max, sum_squares, std_dev, first, last, middle
FROM ds_get_series(stream('rain'), 'years');
SELECT raises($$SELECT * FROM ds_get_series(stream('state'), 'seconds')$$);
SELECT raises($$SELECT * FROM ds_get_series(stream('oven'), 'second')$$);
SELECT raises($$SELECT * FROM ds_get_series(NULL, 'seconds')$$);

-- Long numbers, and values that came in already downsampled
SELECT ds_ensure_stream('{"name": "mixed"}') IS NOT NULL AS made;
SELECT count(ds_append(stream('mixed'), v, t)) FROM (VALUES
	(jsonb '12345678901234567890', timestamptz '2024-01-01 00:00:00'),
	('{"c": 4, "m": 2.5, "s": 10, "l": 1, "u": 4, "q": 30, "d": 1.118033988749895}', '2024-01-01 00:00:01'),
	('{"c": 0, "m": null, "s": null, "l": null, "u": null, "q": null, "d": null}', '2024-01-01 00:00:02')) x(v, t);
SELECT t::time, v FROM ds_get_data(stream('mixed'), 'seconds');
SELECT t::time, value, count, mean, sum, min, max, sum_squares, std_dev FROM ds_get_series(stream('mixed'), 'seconds');

-- A longer stream, read over the borders of many blocks and the head
SELECT ds_ensure_stream('{"name": "long"}', highest_granularity => 'milliseconds') IS NOT NULL AS made;
CREATE TABLE long AS SELECT i, timestamptz '2024-02-28 00:00:00' + i * interval '7.003 s' + (i / 1000) * interval '1 h' AS t
FROM generate_series(0, 9999) i;
CREATE INDEX ON long (t);
SELECT count(ds_append_multiple(stream('long'), ts, i)) FROM (SELECT array_agg(t ORDER BY t) AS ts, array_agg(i::float8 ORDER BY t) AS i
	FROM long GROUP BY least(i / 3000, 3), greatest(i - 9980, 0) ORDER BY min(t)) x;
SELECT count(*) FROM ds_downsample_streams('{"name": "long"}');
CREATE TABLE ranges AS SELECT n, timestamptz '2024-02-27 23:00:00' + random() * interval '32 h' AS a,
	timestamptz '2024-02-27 23:00:00' + random() * interval '32 h' AS b FROM generate_series(1, 100) n;
SELECT count(*) FILTER (WHERE both_in IS DISTINCT FROM want OR both_out IS DISTINCT FROM want OR in_reverse IS DISTINCT FROM want_reverse) AS wrong, count(want) > 25 AS some
FROM ranges,
	LATERAL (SELECT array_agg(v::int) FROM ds_get_data(stream('long'), 'milliseconds', a, b)) d1(both_in),
	LATERAL (SELECT array_agg(value) FROM ds_get_series(stream('long'), 'milliseconds', start_exclusive => a, end_exclusive => b)) d2(both_out_numbers),
	LATERAL (SELECT both_out_numbers::int[]) d3(both_out),
	LATERAL (SELECT array_agg(v::int) FROM ds_get_data(stream('long'), 'milliseconds', a, end_exclusive => b, reverse => true)) d4(in_reverse),
	LATERAL (SELECT array_agg(i ORDER BY i), array_agg(i ORDER BY i DESC) FROM long WHERE t BETWEEN a AND b) e(want, want_reverse);
-- Buckets, those without datapoints too
SELECT granularity, count(*) AS buckets, count(*) FILTER (WHERE d.t IS DISTINCT FROM e.b OR coalesce((v->'c')::int, -1) <> n) AS wrong,
	count(*) FILTER (WHERE n = 0) > 0 AS gaps
FROM (VALUES ('10seconds', interval '10 s'), ('minutes', '1 min'), ('hours', '1 h'), ('days', '1 day')) g(granularity, step),
	LATERAL (SELECT t, v, row_number() OVER () AS place FROM ds_get_data(stream('long'), granularity)) d
	FULL JOIN LATERAL (SELECT b, (SELECT count(*) FROM long WHERE t >= b AND t < b + step) AS n, row_number() OVER (ORDER BY b) AS place
		FROM generate_series(ds_round(granularity, '2024-02-28'), ds_round(granularity, (SELECT max(t) FROM long)) - step, step) b) e USING (place)
GROUP BY granularity ORDER BY buckets DESC;
SELECT count(*) FILTER (WHERE reversed IS DISTINCT FROM want) AS wrong
FROM ranges,
	LATERAL (SELECT array_agg(ROW(t, count, sum, first, last)) FROM ds_get_series(stream('long'), 'minutes', a, end_exclusive => b, reverse => true)) d1(reversed),
	LATERAL (SELECT array_agg(ROW(t, count, sum, first, last) ORDER BY t DESC) FROM ds_get_series(stream('long'), 'minutes')
		WHERE t >= ds_round('minutes', a) AND t < b) e(want);

-- The planner knows how many rows to expect.
CREATE FUNCTION estimate(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan->0->'Plan'->>'Plan Rows';
END
$$;
SELECT estimate($$SELECT * FROM ds_get_data(stream('oven'), '10seconds')$$);
SELECT estimate($$SELECT * FROM ds_get_series(stream('oven'), '10seconds', '2024-01-01 00:00:47', end_exclusive => '2024-01-01 00:01:10')$$);
SELECT estimate($$SELECT * FROM ds_get_data(stream('rain'), 'months', start => '2023-11-05')$$);
SELECT estimate($$SELECT * FROM ds_get_data(stream('oven'), '10seconds', start => 'infinity')$$);
SELECT estimate($$SELECT * FROM ds_get_data(stream('oven'), 'years')$$);
SELECT estimate($$SELECT * FROM ds_get_data(stream('oven'), 'seconds', start_exclusive => '2024-01-01 00:00:08')$$);
-- In blocks of the highest granularity it is a guess.
SELECT estimate($$SELECT * FROM ds_get_data(stream('long'), 'milliseconds')$$) BETWEEN 5000 AND 20000 AS near;
SELECT estimate($$SELECT * FROM ds_get_series(stream('long'), 'milliseconds', '2024-02-28 08:00:00', '2024-02-28 12:00:00')$$) BETWEEN 700 AND 2800 AS near;
SELECT estimate($$SELECT * FROM ds_get_data(stream('long'), 'milliseconds', start => '2025-01-01')$$);
-- Where it cannot know it supposes the ROWS of the function, and never fails.
SELECT estimate($$SELECT * FROM ds_get_data('00000000-0000-0000-0000-000000000000', 'seconds')$$);
SELECT estimate($$SELECT * FROM ds_get_data(stream('oven'), 'fortnights')$$);
SELECT estimate($$SELECT * FROM ds_get_data(stream('oven'), 'seconds', start => now(), start_exclusive => now())$$);
SELECT estimate($$SELECT * FROM ds_get_data(NULL, NULL)$$);
SELECT estimate($$SELECT d.* FROM (SELECT gen_random_uuid() AS id OFFSET 0) x, ds_get_data(x.id, 'seconds') d$$);
-- Parameters count with their values, others as any comparison does: a third.
PREPARE minutes(timestamptz) AS SELECT * FROM ds_get_data(stream('long'), 'minutes', "end" => $1);
SELECT estimate($$EXECUTE minutes('2024-02-28 00:59:00')$$);
SELECT estimate($$SELECT d.* FROM (SELECT now() AS t OFFSET 0) x, ds_get_data(stream('oven'), '10seconds', "end" => x.t) d$$);
-- Who may not read the tables, or not all rows, can plan like everybody.
CREATE ROLE ds_query_role;
SELECT stream('oven') AS oven \gset
SET ROLE ds_query_role;
SELECT estimate(format('SELECT * FROM ds_get_data(%L, %L)', :'oven', '10seconds'));
RESET ROLE;
GRANT USAGE ON SCHEMA datastream TO ds_query_role;
GRANT SELECT ON ALL TABLES IN SCHEMA datastream TO ds_query_role;
SET ROLE ds_query_role;
SELECT estimate(format('SELECT * FROM ds_get_data(%L, %L)', :'oven', '10seconds'));
SELECT count(*) FROM ds_get_data(:'oven', '10seconds');
RESET ROLE;
ALTER TABLE datastream.streams ENABLE ROW LEVEL SECURITY;
CREATE POLICY fails ON datastream.streams USING (1 / (length(value_type) - length(value_type)) = 1);
SET ROLE ds_query_role;
SELECT estimate(format('SELECT * FROM ds_get_data(%L, %L)', :'oven', '10seconds'));
RESET ROLE;
DROP POLICY fails ON datastream.streams;
SET ROLE ds_query_role;
SELECT raises(format('SELECT * FROM ds_get_data(%L, %L)', :'oven', '10seconds'));
RESET ROLE;
ALTER TABLE datastream.streams DISABLE ROW LEVEL SECURITY;
DROP OWNED BY ds_query_role;
DROP ROLE ds_query_role;

SELECT sum(ds_delete_streams(jsonb_build_object('name', name))) AS deleted FROM unnest('{oven, rain, raw, state, mixed, long}'::text[]) name;
DEALLOCATE minutes;
DROP FUNCTION bounds;
DROP FUNCTION starts;
DROP FUNCTION estimate;
DROP TABLE long;
DROP TABLE ranges;
