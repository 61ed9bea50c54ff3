-- Downsampling
SET timezone = 'UTC';

SELECT ds_ensure_stream('{"name": "walk"}', highest_granularity => '10seconds', value_downsamplers => '{mean, sum, min, max, sum_squares, std_dev, count,
	most_often, least_often, frequencies, median}') IS NOT NULL AS made;
CREATE TABLE raw (t timestamptz, v numeric);
SELECT setseed(0.5);
INSERT INTO raw SELECT timestamptz '2023-12-25 00:00:00+00' + s * interval '1 s', round(100 * random())::numeric / 4
FROM (SELECT i * 307 + (random() * 300)::int AS s FROM generate_series(1, 12000) i) x ORDER BY s;
INSERT INTO raw SELECT '2024-02-29 23:59:59+00', NULL;
INSERT INTO raw SELECT '2025-03-01 00:00:00+00', 7;
SELECT count(*) FROM (SELECT ds_append_multiple(stream('walk'), array_agg(t ORDER BY t), array_agg(v::float8 ORDER BY t))
	FROM raw GROUP BY date_trunc('day', t) ORDER BY min(t)) x;

-- Until it is downsampled there is nothing at lower granularities.
SELECT count(*) FROM ds_get_data(stream('walk'), 'days');

-- In steps, some of which end in the middle of a bucket, ...
SELECT count(*) FROM ds_downsample_streams('{"name": "walk"}', '2023-12-25 12:34:56+00', return_datapoints => true);
SELECT count(*) FROM ds_downsample_streams('{"name": "walk"}', '2024-01-31 23:59:59+00');
SELECT count(*) FROM ds_downsample_streams('{"name": "walk"}', '2024-01-01 00:00:00+00', return_datapoints => true);
SELECT count(*) FROM ds_downsample_streams('{"name": "walk"}', '2024-02-01 00:00:00+00', return_datapoints => true);
SELECT granularity, count(*), min(t), max(t) FROM ds_downsample_streams('{"name": "walk"}', return_datapoints => true)
GROUP BY granularity ORDER BY min(t), count(*) DESC;
SELECT count(*) FROM ds_downsample_streams('{"name": "walk"}', return_datapoints => true);
SELECT ds_get_tags(stream('walk'))->'downsampled_until' AS downsampled_until;

-- ... every level equals what all datapoints give.
CREATE FUNCTION expected(granularity text) RETURNS TABLE (t timestamptz, n bigint, s numeric, l numeric, u numeric, q numeric,
	m numeric, d numeric, median float8, most numeric, a timestamptz, z timestamptz, middle timestamptz, intervals numeric[])
LANGUAGE sql AS $$
	SELECT b, count(v), sum(v), min(v), max(v), sum(v * v), avg(v), stddev_pop(v),
		percentile_cont(0.5) WITHIN GROUP (ORDER BY v::float8),
		mode() WITHIN GROUP (ORDER BY v), min(t), max(t),
		to_timestamp(avg(extract(epoch FROM t)) FILTER (WHERE v IS NOT NULL)),
		ARRAY[avg(i), min(i), max(i), sum(i * i), stddev_pop(i)]
	FROM (SELECT b, t, v, extract(epoch FROM t - lag(t) OVER (PARTITION BY b ORDER BY t)) AS i
		FROM (SELECT ds_round(granularity, t) AS b, t, v FROM raw) x) y
	GROUP BY b
$$;
CREATE FUNCTION near(a numeric, b numeric) RETURNS boolean LANGUAGE sql
RETURN a IS NOT DISTINCT FROM b OR abs(a - b) <= 1e-9 * greatest(abs(a), abs(b), 1);
CREATE FUNCTION compare(name text, granularity text) RETURNS TABLE (buckets bigint, wrong bigint, first_wrong text) LANGUAGE sql AS $$
	SELECT count(*), count(*) FILTER (WHERE NOT ok), min(format('%s %s %s %s', d.t, v, times, e)) FILTER (WHERE NOT ok)
	FROM (SELECT d.t, d.v, d.times, e,
			CASE WHEN n IS NULL OR n = 0 THEN d.v->>'c' = '0' AND d.v->>'s' IS NULL AND d.v->>'m' IS NULL
			ELSE (d.v->>'c')::bigint = n AND (d.v->>'s')::numeric = s AND (d.v->>'l')::numeric = l
			AND (d.v->>'u')::numeric = u AND (d.v->>'q')::numeric = q
			AND near((d.v->>'m')::numeric, m) AND near((d.v->>'d')::numeric, e.d)
			AND abs((d.v->>'n')::float8 - median) <= CASE WHEN n > 1000 THEN 0.01 * abs(median) ELSE 1e-9 END
			AND (d.v->>'o')::numeric = most
			AND (d.v->'f'->0->>'v')::numeric = most AND (SELECT sum((f->>'c')::int) FROM jsonb_array_elements(d.v->'f') f) = n
			AND (times->>'a')::timestamptz = a AND (times->>'z')::timestamptz = z
			AND abs(extract(epoch FROM (times->>'m')::timestamptz - middle)) < 0.00001
			AND near((times->>'i')::numeric, intervals[1]) AND near((times->>'l')::numeric, intervals[2])
			AND near((times->>'u')::numeric, intervals[3]) AND near((times->>'q')::numeric, intervals[4])
			AND near((times->>'d')::numeric, intervals[5]) END AS ok
		FROM ds_get_data(stream(name), granularity) d LEFT JOIN expected(granularity) e ON e.t = d.t) d
$$;
SELECT g, c.* FROM unnest(ARRAY['minutes', '10minutes', 'hours', '6hours', 'days', 'months', 'years']) WITH ORDINALITY AS g(g, n),
	LATERAL compare('walk', g) c ORDER BY n;
SELECT count(*) AS buckets, count(*) FILTER (WHERE (v->>'c')::int > 0) AS with_values
FROM ds_get_data(stream('walk'), 'minutes', '2024-01-01', end_exclusive => '2024-01-02');

-- A late datapoint in a frozen range is a warning, and the range is made again.
\set VERBOSITY sqlstate
SELECT v FROM ds_append(stream('walk'), 1000, '2024-01-15 10:00:00+00', false);
SELECT v FROM ds_append(stream('walk'), -1000, '2023-12-24 10:00:00+00', false);
\set VERBOSITY default
INSERT INTO raw VALUES ('2024-01-15 10:00:00+00', 1000), ('2023-12-24 10:00:00+00', -1000);
SELECT v->'u' AS max FROM ds_get_data(stream('walk'), 'days', '2024-01-15', '2024-01-15');
SELECT count(*) FROM ds_downsample_streams('{"name": "walk"}');
SELECT v->'u' AS max FROM ds_get_data(stream('walk'), 'days', '2024-01-15', '2024-01-15');
SELECT g, c.* FROM unnest(ARRAY['minutes', '10minutes', 'hours', '6hours', 'days', 'months', 'years']) WITH ORDINALITY AS g(g, n),
	LATERAL compare('walk', g) c ORDER BY n;

-- The bucket of the latest datapoint stays open; gaps are empty buckets.
SELECT ds_ensure_stream('{"name": "gap"}') IS NOT NULL AS made;
SELECT count(ds_append(stream('gap'), v, '2000-01-01 12:00:00+00')) FROM generate_series(1, 5) v;
SELECT v FROM ds_append(stream('gap'), NULL, '2000-01-01 22:00:00+00');
SELECT count(*) FROM ds_downsample_streams('{"name": "gap"}', '2000-01-01 23:00:00+00');
SELECT count(*) FROM ds_get_data(stream('gap'), '10seconds');
SELECT t, v, times FROM ds_get_data(stream('gap'), '10seconds', '2000-01-01 12:00:00+00', '2000-01-01 12:00:10+00');
SELECT g, count(d.t) FROM unnest(ARRAY['minutes', '10minutes', 'hours', '6hours', 'days']) WITH ORDINALITY AS g(g, n)
LEFT JOIN LATERAL ds_get_data(stream('gap'), g) d ON true GROUP BY g, n ORDER BY n;

-- What the levels of a stream with milliseconds hold
SELECT ds_ensure_stream('{"name": "fast"}', highest_granularity => 'milliseconds') IS NOT NULL AS made;
SELECT count(ds_append(stream('fast'), i, timestamptz '2000-01-01' + i * interval '250 ms')) FROM generate_series(0, 8) i;
SELECT count(*) FROM ds_downsample_streams('{"name": "fast"}');
SELECT t, v, times FROM ds_get_data(stream('fast'), 'seconds');

-- A stream with days has months and years.
SELECT ds_ensure_stream('{"name": "slow"}', '{}', '{count}', 'days') IS NOT NULL AS made;
SELECT count(ds_append(stream('slow'), i, timestamptz '2000-01-15' + i * interval '1 month')) FROM generate_series(0, 36) i;
SELECT granularity, t, v FROM ds_downsample_streams('{"name": "slow"}', return_datapoints => true) WHERE granularity = 'years';

-- An empty set of downsamplers: no levels at all
SELECT ds_ensure_stream('{"name": "raw"}', '{}', '{}') IS NOT NULL AS made;
SELECT count(ds_append(stream('raw'), i, timestamptz '2000-01-15' + i * interval '1 month')) FROM generate_series(0, 36) i;
SELECT count(*) FROM ds_downsample_streams('{"name": "raw"}', return_datapoints => true);
SELECT count(*) FROM ds_get_data(stream('raw'), 'years');

-- Already downsampled values count as what they stand for.
SELECT ds_ensure_stream('{"name": "merged"}') IS NOT NULL AS made;
SELECT count(ds_append(stream('merged'), '{"m": 3, "s": 9, "l": 3, "u": 3, "q": 27, "d": 0, "c": 3}'::jsonb, t)),
	count(ds_append(stream('merged'), 3, t))
FROM generate_series(timestamptz '2000-01-01 00:00:00', '2000-01-01 00:00:29', '1 s') t;
SELECT t FROM ds_append(stream('merged'), NULL, '2000-01-01 00:01:00');
SELECT count(*) FROM ds_downsample_streams('{"name": "merged"}');
SELECT t, v FROM ds_get_data(stream('merged'), '10seconds', '2000-01-01 00:00:00', '2000-01-01 00:00:20');
SELECT raises($$SELECT ds_append(stream('merged'), '{"m": 3}'::jsonb, '2000-01-01 00:02:00')$$);
SELECT raises($$SELECT ds_append(stream('merged'), '{"m": 3, "s": 9, "l": 3, "u": 3, "q": 27, "d": 0, "c": 3, "extra": 77}'::jsonb, '2000-01-01 00:02:00')$$);

-- Big integers stay exact on every level.
SELECT ds_ensure_stream('{"name": "big"}') IS NOT NULL AS made;
SELECT count(ds_append(stream('big'), 340282366920938463463374607431768211456, timestamptz '2000-01-01' + i * interval '1 s')) FROM generate_series(0, 60) i;
SELECT count(*) FROM ds_downsample_streams('{"name": "big"}');
SELECT v->'c' = '60' AND v->'s' = to_jsonb(60 * 340282366920938463463374607431768211456)
	AND v->'q' = to_jsonb(60 * 340282366920938463463374607431768211456::numeric ^ 2) AND v->'d' = '0' AS exact
FROM ds_get_data(stream('big'), 'minutes');

-- Only streams that match and pass the filter
CREATE FUNCTION only_picked(id uuid) RETURNS boolean LANGUAGE sql RETURN (SELECT tags @> '{"pick": true}' FROM datastream.streams WHERE stream_id = id);
CREATE FUNCTION not_a_filter(id text) RETURNS boolean LANGUAGE sql RETURN true;
SELECT ds_ensure_stream('{"name": "picked"}', '{"pick": true}') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "other"}', '{"pick": false}') IS NOT NULL AS made;
SELECT count(ds_append(stream_id, i, timestamptz '2000-01-01' + i * interval '10 s')) FROM ds_find_streams('{}', '$.pick == true || $.pick == false'), generate_series(0, 2) i;
SELECT tags->>'name' AS name, count(*) FROM ds_downsample_streams(return_datapoints => true, filter_stream => 'only_picked(uuid)') d
JOIN datastream.streams USING (stream_id) GROUP BY 1;
SELECT raises($$SELECT ds_downsample_streams(filter_stream => 'not_a_filter(text)')$$);
SELECT count(*) FROM ds_downsample_streams('{"pick": false}', return_datapoints => true);

-- A failure in one stream is a warning, and the others go on.
CREATE FUNCTION fails(id uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF (SELECT tags @> '{"pick": true}' FROM datastream.streams WHERE stream_id = id) THEN
		RAISE EXCEPTION 'no';
	END IF;
	RETURN true;
END $$;
SELECT count(ds_append(stream_id, 1, timestamptz '2000-01-02')) FROM ds_find_streams('{}', '$.pick == true || $.pick == false');
\set VERBOSITY sqlstate
SELECT tags->>'name' AS name FROM ds_downsample_streams(return_datapoints => true, filter_stream => 'fails(uuid)')
JOIN datastream.streams USING (stream_id) GROUP BY 1;

-- Metadata that contradict each other are reported, and set right.
UPDATE datastream.progress SET downsampled_until[5] = '2000-01-03' WHERE stream_id = stream('picked');
SELECT count(ds_append(stream('picked'), 1, timestamptz '2000-01-04'));
SELECT count(*) FROM ds_downsample_streams(return_datapoints => true);
\set VERBOSITY default
SELECT v FROM ds_get_data(stream('picked'), '10minutes', '2000-01-02', '2000-01-02');

SELECT ds_delete_streams();
DROP TABLE raw;
DROP FUNCTION expected, near, compare, only_picked, not_a_filter, fails;
