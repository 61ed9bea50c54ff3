-- Every bucket is made: whatever the order in which datapoints come and in which
-- buckets are closed, one plain call ends with all that there is to close, and
-- with no stream due.
SET timezone = 'UTC';
SET client_min_messages = error;

-- The levels of a stream: how many buckets, from when, and until when
CREATE FUNCTION levels(id uuid) RETURNS TABLE (granularity text, buckets bigint, first timestamptz, last timestamptz, datapoints numeric) LANGUAGE sql AS $$
	SELECT l.granularity, d.* FROM ds_find_streams() s, unnest(ARRAY['10seconds', 'minutes', '10minutes', 'hours', '6hours', 'days', 'months', 'years']) l(granularity),
		LATERAL (SELECT count(*), min(t), max(t), sum((v->'c')::numeric) FROM ds_get_data(id, l.granularity)) d
	WHERE s.stream_id = id
$$;
CREATE FUNCTION due() RETURNS TABLE (name text, due boolean) LANGUAGE sql AS $$
	SELECT tags->>'name', due FROM datastream.lag WHERE tags ? 'name' ORDER BY 1
$$;

-- What is appended before a stream's first datapoint makes it due, and gets its
-- buckets.
SELECT ds_ensure_stream('{"name": "history"}') AS a \gset
SELECT FROM ds_append(:'a', 1, '2024-02-02 00:00:00');
SELECT FROM ds_append(:'a', 2, '2024-02-01 23:59:55', check_timestamp => false);
SELECT * FROM due();
SELECT granularity, count(*), min(t), max(t) FROM ds_downsample_streams('{"name": "history"}', return_datapoints => true) GROUP BY granularity ORDER BY min(array_position(ARRAY['10seconds', 'minutes', '10minutes', 'hours', '6hours', 'days'], granularity));
SELECT FROM ds_append(:'a', 3, '2024-02-01 12:00:00', check_timestamp => false);
SELECT * FROM due();
SELECT granularity, count(*), min(t), max(t) FROM ds_downsample_streams('{"name": "history"}', return_datapoints => true) GROUP BY granularity ORDER BY min(array_position(ARRAY['10seconds', 'minutes', '10minutes', 'hours', '6hours', 'days'], granularity));
SELECT * FROM levels(:'a');
SELECT * FROM due();
-- In the same bucket as the first one nothing is due.
SELECT ds_ensure_stream('{"name": "neighbour"}') AS b \gset
SELECT FROM ds_append(:'b', 1, '2024-02-01 00:00:09');
SELECT FROM ds_append(:'b', 1, '2024-02-01 00:00:00', check_timestamp => false);
SELECT * FROM due();
SELECT ds_delete_streams();

-- Levels that a call with "until" has left behind are due, and are closed by the
-- next one, from the first datapoint on.
SELECT ds_ensure_stream('{"name": "behind"}') AS a \gset
SELECT FROM ds_append(:'a', 1, '2020-01-01 12:05:20');
SELECT FROM ds_append(:'a', 1, '2020-01-01 12:05:31');
SELECT FROM ds_downsample_streams();
SELECT FROM ds_append(:'a', 1, '2020-01-01 09:05:21', check_timestamp => false);
SELECT FROM ds_downsample_streams(until => '2020-01-01 09:30');
SELECT * FROM levels(:'a');
SELECT * FROM due();
SELECT FROM ds_downsample_streams(until => '2020-01-01 10:20');
SELECT * FROM levels(:'a');
SELECT * FROM due();
SELECT granularity, count(*), min(t), max(t) FROM ds_downsample_streams(return_datapoints => true) GROUP BY granularity ORDER BY min(array_position(ARRAY['10seconds', 'minutes', '10minutes', 'hours', '6hours', 'days'], granularity));
SELECT * FROM levels(:'a');
SELECT * FROM due();
SELECT count(*) FROM ds_downsample_streams(return_datapoints => true);
SELECT ds_delete_streams();

-- A derived stream has buckets until where its sources have been read, also if
-- it has had no datapoint there.
SELECT ds_ensure_stream('{"name": "counter"}') AS a \gset
SELECT ds_ensure_stream('{"name": "resets"}', value_type => 'nominal', derive_op => 'counter_reset', derive_from => to_jsonb(:'a'::uuid)) AS r \gset
SELECT ds_append_multiple(:'a'::uuid, array_agg('2020-01-01 12:00:00'::timestamptz + t * interval '1 s'), array_agg(v::float8))
	FROM (VALUES (0, 10), (3, 5), (4, 6), (5, 2), (8, 1), (14, 0), (16, 2)) d(t, v);
SELECT FROM ds_downsample_streams();
SELECT t, v FROM ds_get_data(:'r', '10seconds', '2020-01-01 12:00:00', '2020-01-01 12:00:20');
SELECT FROM ds_append(:'a', 3, '2020-01-01 12:00:20');
SELECT * FROM due();
SELECT FROM ds_downsample_streams();
SELECT t, v FROM ds_get_data(:'r', '10seconds', '2020-01-01 12:00:00', '2020-01-01 12:00:20');
SELECT * FROM due();
-- Time goes on for it, empty bucket by empty bucket.
SELECT count((ds_append(:'a', t, timestamptz '2020-01-01 12:00:00' + t * interval '1 s')).t) FROM generate_series(30, 300, 30) t;
SELECT * FROM due();
SELECT FROM ds_downsample_streams();
SELECT * FROM levels(:'r');
SELECT FROM ds_append(:'a', 0, '2020-01-01 12:10:00');
SELECT FROM ds_append(:'a', 1, '2020-01-01 12:20:00');
SELECT FROM ds_downsample_streams();
SELECT t, v FROM ds_get_data(:'r', '10minutes');
-- A sum comes to where the slowest of its sources is.
SELECT ds_ensure_stream('{"name": "slow"}') AS b \gset
SELECT ds_ensure_stream('{"name": "sum"}', derive_op => 'sum', derive_from => jsonb_build_array(:'a', :'b')) AS s \gset
SELECT FROM ds_append(:'b', 7, '2020-01-01 12:00:00');
SELECT FROM ds_append(:'b', 7, '2020-01-01 12:03:03');
SELECT ds_backprocess_streams();
SELECT FROM ds_downsample_streams();
SELECT * FROM levels(:'s');
SELECT FROM ds_append(:'b', 7, '2020-01-01 12:10:00');
SELECT FROM ds_downsample_streams();
SELECT * FROM levels(:'s');
SELECT * FROM due();
SELECT ds_delete_streams();

-- One that derives from a stream of rare events is as far as that one is.
SELECT ds_ensure_stream('{"name": "counter"}') AS a, ds_ensure_stream('{"name": "reset"}', value_type => 'nominal') AS x \gset
SELECT ds_ensure_stream('{"name": "rises"}', derive_op => 'counter_derivative', derive_from => jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', :'x'), :'a')) AS r \gset
SELECT ds_ensure_stream('{"name": "rises, too"}', derive_op => 'sum', derive_from => to_jsonb(:'r'::uuid)) AS s \gset
SELECT count((ds_append(:'a', v, timestamptz '2020-01-01 12:00:00' + t * interval '1 s')).t) FROM (VALUES (0, 10), (3, 11), (47, 9), (111, 8)) d(t, v);
SELECT * FROM due();
SELECT FROM ds_downsample_streams();
SELECT * FROM levels(:'r');
SELECT * FROM levels(:'s');
SELECT FROM ds_append(:'a', 8, '2020-01-01 12:02:00');
SELECT FROM ds_downsample_streams();
SELECT * FROM levels(:'s');
SELECT * FROM due();
SELECT ds_delete_streams();

-- With close_last a bucket that ends at or before "until" needs nothing after it.
SELECT ds_ensure_stream('{"name": "december"}', highest_granularity => 'hours') AS a, ds_ensure_stream('{"name": "empty"}') AS e \gset
SELECT ds_append_multiple(:'a'::uuid, array_agg(t), array_agg(1.0::float8)) FROM generate_series(timestamptz '2023-12-01 00:00', '2023-12-31 23:00', '1 hour') t;
SELECT granularity, count(*), max(t) FROM ds_downsample_streams(return_datapoints => true) GROUP BY granularity ORDER BY 2 DESC;
SELECT granularity, t, v->'c' AS c FROM ds_downsample_streams(until => '2024-01-01 00:00', return_datapoints => true, close_last => true);
SELECT * FROM due();
-- What comes later for it is late, and ends up right.
SELECT FROM ds_append(:'a', 5, '2023-12-31 23:00');
SELECT * FROM due();
SELECT count(*) FROM ds_downsample_streams(return_datapoints => true);
SELECT granularity, t, v->'c' AS c FROM unnest(ARRAY['6hours', 'days', 'months', 'years']) granularity, ds_get_data(:'a', granularity, '2023-12-31 18:00');
-- A time that has not come yet closes what there is, and makes nothing beyond.
SELECT FROM ds_append(:'a', 5, '2024-02-01 05:00');
SELECT granularity, max(t) < now() AS past FROM ds_downsample_streams(until => 'infinity', return_datapoints => true, close_last => true) GROUP BY granularity ORDER BY 1;
SELECT * FROM due();
SELECT ds_delete_streams();

DROP FUNCTION levels(uuid), due();
