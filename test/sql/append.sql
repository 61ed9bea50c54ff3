-- Appending datapoints
SET timezone = 'UTC';

SELECT ds_ensure_stream('{"name": "temperature"}') IS NOT NULL AS made;

-- A datapoint is a value and a time; what was stored comes back.
SELECT granularity, t, v FROM ds_append(stream('temperature'), 21.5, '2000-01-01 12:00:00+00');
-- Times are truncated to the precision of the stream.
SELECT granularity, t, v FROM ds_append(stream('temperature'), 22, '2000-01-01 12:00:01.999+00');
-- Every type of number will do.
SELECT v FROM ds_append(stream('temperature'), 23::bigint, '2000-01-01 12:00:02+00');
SELECT v FROM ds_append(stream('temperature'), 23.25::double precision, '2000-01-01 12:00:03+00');
SELECT v FROM ds_append(stream('temperature'), 23.5::numeric, '2000-01-01 12:00:04+00');
SELECT v FROM ds_append(stream('temperature'), '24'::jsonb, '2000-01-01 12:00:05+00');
SELECT v FROM ds_append(stream('temperature'), '24.5', '2000-01-01 12:00:06+00');
SELECT v FROM ds_append(stream('temperature'), '25'::text, '2000-01-01 12:00:07+00');
-- A null is a datapoint, too.
SELECT v IS NULL AS is_null FROM ds_append(stream('temperature'), NULL, '2000-01-01 12:00:08+00');
SELECT v IS NULL AS is_null FROM ds_append(stream('temperature'), 'null'::jsonb, '2000-01-01 12:00:09+00');
SELECT t, v FROM ds_get_data(stream('temperature'), 'seconds');

-- Several datapoints may bear one timestamp, and keep their order.
SELECT ds_ensure_stream('{"name": "equal"}') IS NOT NULL AS made;
SELECT count(ds_append(stream('equal'), i, '2000-01-01 00:00:00+00')) FROM generate_series(1, 100) i;
SELECT count(*), bool_and(v::int = n) AS in_order
FROM (SELECT v, row_number() OVER () AS n FROM ds_get_data(stream('equal'), 'seconds')) x;

-- Older ones are refused, unless the check is off; then they go where they belong.
SELECT raises($$SELECT ds_append(stream('equal'), 0, '1999-12-31 23:59:59+00')$$);
SELECT t, v FROM ds_append(stream('equal'), 0, '1999-12-31 23:59:59+00', check_timestamp => false);
SELECT count(ds_append(stream('equal'), i, '2000-01-01 00:00:02+00')) FROM generate_series(101, 140) i;
SELECT t, v FROM ds_append(stream('equal'), 100.5, '2000-01-01 00:00:01+00', false);
SELECT t, v FROM ds_append(stream('equal'), 100.25, '2000-01-01 00:00:00+00', false);
SELECT count(*), array_agg(v ORDER BY n) FILTER (WHERE n IN (1, 2, 101, 102, 103, 104, 143)) AS some
FROM (SELECT v, row_number() OVER () AS n FROM ds_get_data(stream('equal'), 'seconds')) x;
SELECT count(*) FROM ds_get_data(stream('equal'), 'seconds', '2000-01-01 00:00:01+00', '2000-01-01 00:00:01+00');

-- Without a timestamp the time is the server's clock.
SELECT ds_ensure_stream('{"name": "clock"}', highest_granularity => 'milliseconds') IS NOT NULL AS made;
SELECT t BETWEEN now() - interval '1 s' AND clock_timestamp() AS now FROM ds_append(stream('clock'), 1);

-- Timestamps lie between 1970 and 9999.
SELECT raises($$SELECT ds_append(stream('clock'), 1, '1969-12-31 23:59:59.999+00')$$);
SELECT raises($$SELECT ds_append(stream('clock'), 1, '10000-01-01 00:00:00+00')$$);
SELECT raises($$SELECT ds_append(stream('clock'), 1, 'infinity')$$);
SELECT raises($$SELECT ds_append(stream('clock'), 1, '-infinity')$$);
SELECT ds_ensure_stream('{"name": "edges"}') IS NOT NULL AS made;
SELECT t FROM ds_append(stream('edges'), 1, '1970-01-01 00:00:00+00');
SELECT t FROM ds_append(stream('edges'), 1, '9999-12-31 23:59:59+00');

-- Many at once: as arrays,
SELECT ds_ensure_stream('{"name": "bulk"}') IS NOT NULL AS made;
SELECT ds_append_multiple(stream('bulk'),
	array_agg(timestamptz '2000-01-01 00:00:00+00' + i * interval '1 s' ORDER BY i), array_agg(i::float8 / 4 ORDER BY i))
FROM generate_series(0, 4999) i;
SELECT ds_append_multiple(stream('bulk'), ARRAY[timestamptz '2000-01-02 00:00:00+00'], ARRAY[NULL::float8]);
SELECT ds_append_multiple(stream('bulk'), ARRAY[]::timestamptz[], ARRAY[]::float8[]);

-- What arrays append at once is what their elements append one by one.
DO $$
DECLARE
	ids uuid[] := ARRAY[ds_ensure_stream('{"name": "at once"}', highest_granularity => 'milliseconds'),
		ds_ensure_stream('{"name": "one by one"}', highest_granularity => 'milliseconds')];
	ts timestamptz[] := (SELECT array_agg(timestamptz '2000-01-01 00:00:00.0005+00' + i * i * interval '1.7 ms' ORDER BY i) FROM generate_series(1, 3000) i);
	numbers float8[] := (SELECT array_agg(CASE i % 5 WHEN 0 THEN -0.0 WHEN 1 THEN i / 3.0 WHEN 2 THEN i * 1e17 WHEN 3 THEN 1e-300 / i ELSE -i END ORDER BY i) FROM generate_series(1, 3000) i);
BEGIN
	PERFORM ds_append_multiple(ids[1], ts, numbers);
	PERFORM count(ds_append(ids[2], numbers[n], ts[n])) FROM generate_series(1, 3000) n;
	ts := (SELECT array_agg(t + interval '1 day' ORDER BY t) FROM unnest(ts) t);
	FOR hole IN 1 .. 3000 BY 7 LOOP
		numbers[hole] := NULL;
	END LOOP;
	PERFORM ds_append_multiple(ids[1], ts, numbers);
	PERFORM count(ds_append(ids[2], numbers[n], ts[n])) FROM generate_series(1, 3000) n;
END $$;
SELECT count(*), count(a.v), bool_and(a.v IS NOT DISTINCT FROM b.v AND a.t = b.t) AS same
	FROM ds_get_data(stream('at once'), 'milliseconds') WITH ORDINALITY AS a (t, v, times, n)
	FULL JOIN ds_get_data(stream('one by one'), 'milliseconds') WITH ORDINALITY AS b (t, v, times, n) USING (n);
SELECT t, value FROM ds_get_series(stream('at once'), 'milliseconds') LIMIT 5;
SELECT raises($$SELECT ds_append_multiple(stream('at once'), array_agg(timestamptz '2001-01-01' + i * interval '1 s' ORDER BY i), array_agg(CASE WHEN i = 70000 THEN 'infinity'::float8 ELSE i END ORDER BY i)) FROM generate_series(1, 80000) i$$);
SELECT count(*) FROM ds_get_data(stream('at once'), 'milliseconds', '2001-01-01');
SELECT count(*), count(v), sum(v::numeric) FROM ds_get_data(stream('bulk'), 'seconds');
SELECT count, ds_block_summary(block)->'rows' AS rows FROM datastream.datapoints_seconds
WHERE stream_id = stream('bulk') ORDER BY start;
-- for many streams,
SELECT ds_append_multiple(ARRAY[stream('bulk'), stream('edges'), stream('bulk')],
	ARRAY[timestamptz '2000-01-03 00:00:00+00', '9999-12-31 23:59:59+00', '2000-01-03 00:00:01+00'], ARRAY[1, 2, 3]);
-- or as a list of objects.
SELECT ds_append_multiple(jsonb_build_array(
	jsonb_build_object('stream_id', stream('bulk'), 'value', 4, 'timestamp', '2000-01-03 00:00:02+00'),
	jsonb_build_object('stream_id', stream('edges'), 'value', NULL, 'timestamp', '9999-12-31 23:59:59+00')));
SELECT t, v FROM ds_get_data(stream('bulk'), 'seconds', '2000-01-03');
SELECT t, v FROM ds_get_data(stream('edges'), 'seconds');

-- All or nothing: an error names the element, and nothing is stored.
SELECT raises($$SELECT ds_append_multiple(jsonb_build_array(
	jsonb_build_object('stream_id', stream('bulk'), 'value', 5, 'timestamp', '2000-01-04 00:00:00+00'),
	jsonb_build_object('stream_id', stream('bulk'), 'value', 'five', 'timestamp', '2000-01-04 00:00:01+00')))$$);
SELECT raises($$SELECT ds_append_multiple(jsonb_build_array(
	jsonb_build_object('stream_id', stream('bulk'), 'value', 5, 'timestamp', '2000-01-04 00:00:01+00'),
	jsonb_build_object('stream_id', stream('bulk'), 'value', 5, 'timestamp', '2000-01-04 00:00:00+00')))$$);
SELECT raises($$SELECT ds_append_multiple('[{"stream_id": "00000000-0000-0000-0000-000000000000", "value": 1}]')$$);
SELECT raises($$SELECT ds_append_multiple('[{"stream_id": "x", "value": 1}]')$$);
SELECT raises($$SELECT ds_append_multiple('[{"stream_id": "00000000-0000-0000-0000-000000000000", "value": 1, "timestamp": "noon"}]')$$);
SELECT raises($$SELECT ds_append_multiple('[{"value": 1}]')$$);
SELECT raises($$SELECT ds_append_multiple('[{"stream_id": "00000000-0000-0000-0000-000000000000"}]')$$);
SELECT raises($$SELECT ds_append_multiple('[{"stream_id": "00000000-0000-0000-0000-000000000000", "value": 1, "ts": null}]')$$);
SELECT raises($$SELECT ds_append_multiple('[1]')$$);
SELECT raises($$SELECT ds_append_multiple('{}')$$);
SELECT raises($$SELECT ds_append_multiple('1')$$);
SELECT raises($$SELECT ds_append_multiple(NULL::jsonb)$$);
SELECT ds_append_multiple('[]');
SELECT raises($$SELECT ds_append_multiple(stream('bulk'), ARRAY[timestamptz '2000-01-04'], ARRAY[1, 2])$$);
SELECT raises($$SELECT ds_append_multiple(stream('bulk'), ARRAY[timestamptz '2000-01-04', NULL], ARRAY[1, 2])$$);
SELECT raises($$SELECT ds_append_multiple(stream('bulk'), ARRAY[ARRAY[timestamptz '2000-01-04', '2000-01-05']], ARRAY[1, 2])$$);
SELECT raises($$SELECT ds_append_multiple(stream('bulk'), ARRAY[timestamptz '2000-01-04', '2000-01-05'], ARRAY[1, 'NaN'])$$);
SELECT raises($$SELECT ds_append_multiple(stream('bulk'), NULL, ARRAY[1])$$);
SELECT raises($$SELECT ds_append_multiple(NULL::uuid, ARRAY[timestamptz '2000-01-04'], ARRAY[1])$$);
SELECT raises($$SELECT ds_append_multiple(ARRAY[stream('bulk'), NULL], ARRAY[timestamptz '2000-01-04', '2000-01-05'], ARRAY[1, 2])$$);
SELECT raises($$SELECT ds_append_multiple('00000000-0000-0000-0000-000000000000'::uuid, '{}', '{}')$$);
SELECT count(*) FROM ds_get_data(stream('bulk'), 'seconds', '2000-01-04');

-- A value must fit the stream.
SELECT raises($$SELECT ds_append(stream('bulk'), 'NaN'::float8)$$);
SELECT raises($$SELECT ds_append(stream('bulk'), 'infinity'::float8)$$);
SELECT raises($$SELECT ds_append(stream('bulk'), 'NaN'::numeric)$$);
SELECT raises($$SELECT ds_append(stream('bulk'), 'warm')$$);
SELECT raises($$SELECT ds_append(stream('bulk'), '"warm"'::jsonb)$$);
SELECT raises($$SELECT ds_append(stream('bulk'), 'true'::jsonb)$$);
SELECT raises($$SELECT ds_append(stream('bulk'), '[1]'::jsonb)$$);
SELECT raises($$SELECT ds_append('00000000-0000-0000-0000-000000000000', 1)$$);
SELECT raises($$SELECT ds_append(NULL, 1)$$);

-- Integers keep all their digits; with high_accuracy decimals do, too.
SELECT ds_ensure_stream('{"name": "big"}') IS NOT NULL AS made;
SELECT v FROM ds_append(stream('big'), 9007199254740993, '2000-01-01');
SELECT v FROM ds_append(stream('big'), 340282366920938463463374607431768211456, '2000-01-01');
SELECT v FROM ds_append(stream('big'), 0.1234567890123456789, '2000-01-01');
SELECT v FROM ds_get_data(stream('big'), 'seconds');
SELECT ds_ensure_stream('{"name": "exact"}', value_type_options => '{"high_accuracy": true}') IS NOT NULL AS made;
SELECT v FROM ds_append(stream('exact'), 2.71828182845904523536028747135266249775724709369995957496696762, '2000-01-01');
SELECT v FROM ds_append(stream('exact'), 0.1::float8, '2000-01-01');
SELECT v FROM ds_get_data(stream('exact'), 'seconds');

-- Nominal streams take any JSON, and text as labels.
SELECT ds_ensure_stream('{"name": "state"}', value_type => 'nominal') IS NOT NULL AS made;
SELECT v FROM ds_append(stream('state'), 'on', '2000-01-01');
SELECT v FROM ds_append(stream('state'), '{"level": [1, 2]}', '2000-01-01');
SELECT v FROM ds_append(stream('state'), 10, '2000-01-01');
SELECT v FROM ds_append(stream('state'), '"off"'::jsonb, '2000-01-01');
SELECT v FROM ds_append(stream('state'), NULL, '2000-01-01');
SELECT v FROM ds_get_data(stream('state'), 'seconds');

-- Graph streams take graphs.
SELECT ds_ensure_stream('{"name": "network"}', value_type => 'graph') IS NOT NULL AS made;
SELECT v FROM ds_append(stream('network'), '{"v": [{"i": "a"}, {"i": "b"}], "e": [{"f": "a", "t": "b"}]}', '2000-01-01');
SELECT raises($$SELECT ds_append(stream('network'), 42)$$);
SELECT raises($$SELECT ds_append(stream('network'), '{}')$$);
SELECT raises($$SELECT ds_append(stream('network'), '{"v": [{"i": "a"}]}')$$);
SELECT raises($$SELECT ds_append(stream('network'), '{"v": [{"foo": "bar"}], "e": []}')$$);
SELECT raises($$SELECT ds_append(stream('network'), '{"v": [{"i": "a"}, {"i": "a"}], "e": []}')$$);
SELECT raises($$SELECT ds_append(stream('network'), '{"v": [{"i": "a"}], "e": [{}]}')$$);
SELECT raises($$SELECT ds_append(stream('network'), '{"v": [{"i": "a"}], "e": [{"f": "a", "t": "b"}]}')$$);
SELECT v FROM ds_get_data(stream('network'), 'seconds');

-- Large values, and many of them, stay within blocks of a reasonable size.
SELECT ds_ensure_stream('{"name": "large"}', value_type => 'nominal') IS NOT NULL AS made;
SELECT count(ds_append(stream('large'), to_jsonb(repeat(md5(i::text), 500)), timestamptz '2000-01-01' + i * interval '1 s'))
FROM generate_series(1, 50) i;
SELECT count(*), bool_and(v #>> '{}' = repeat(md5(extract(epoch FROM t - '2000-01-01')::int::text), 500)) AS same
FROM ds_get_data(stream('large'), 'seconds');

SELECT ds_delete_streams();
