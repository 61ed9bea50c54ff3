-- What clients can see of all streams, a line a fact: every datapoint and bucket
-- at every granularity, and what each stream is.
SET client_min_messages = error;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
SET search_path = public;

SELECT 'stream', s.* FROM ds_find_streams() s;
SELECT 'tags', ds_get_tags(stream_id) FROM ds_find_streams();
SELECT 'retention', stream_id, granularity, keep FROM datastream.retention ORDER BY 2, 3;
SELECT 'lag', stream_id, latest_datapoint, downsampled_until, lag, pending_backprocess, failures, message FROM datastream.lag ORDER BY 2;
SELECT 'stats', granularity, blocks, datapoints, in_heads, max_lag FROM ds_stats();
SELECT 'failure', f.* FROM datastream.failures f ORDER BY stream_id;
SELECT 'run', r.* FROM datastream.runs r ORDER BY run_id;
-- Of many datapoints only some, and a digest of all, but for medians
CREATE TEMP VIEW data AS
	SELECT tags->>'name' AS name, l.n, l.g, d.*
	FROM ds_find_streams(), unnest(ARRAY['milliseconds', 'seconds', '10seconds', 'minutes', '10minutes', 'hours', '6hours', 'days', 'months', 'years']) WITH ORDINALITY AS l(g, n),
		ds_get_data(stream_id, g) WITH ORDINALITY AS d
	WHERE l.n >= array_position(ARRAY['milliseconds', 'seconds', '10seconds', 'minutes', '10minutes', 'hours', '6hours', 'days'], highest_granularity)
		AND tags->>'name' <> 'extreme';
SELECT name, g, 'all', count(*), md5(string_agg(concat_ws(' ', t, CASE WHEN jsonb_typeof(v) = 'object' THEN v - 'n' ELSE v END, times), E'\n' ORDER BY ordinality)) FROM data
	GROUP BY name, n, g ORDER BY name COLLATE "C", n;
SELECT name, g, t, v, times FROM data WHERE ordinality <= 60 OR ordinality % 20 = 0 OR v ? 'n' ORDER BY name COLLATE "C", n, ordinality;

SELECT tags->>'name', 'series', g, d.* FROM ds_find_streams(), unnest(ARRAY['seconds', 'minutes']) g, ds_get_series(stream_id, g) WITH ORDINALITY AS d
	WHERE tags->>'name' IN ('default', 'noise', 'nulls', 'slope') AND (d.ordinality <= 60 OR d.ordinality % 20 = 0) ORDER BY tags->>'name' COLLATE "C", g, d.ordinality;
SELECT tags->>'name', 'reverse', d.* FROM ds_find_streams(), ds_get_data(stream_id, 'milliseconds', reverse => true) WITH ORDINALITY AS d
	WHERE tags->>'name' IN ('extreme', 'integers', 'one') ORDER BY tags->>'name' COLLATE "C", d.ordinality;
