-- Where doubles, long integers and exact decimals meet
SET timezone = 'UTC';
CREATE FUNCTION value(v jsonb) RETURNS numeric LANGUAGE sql RETURN v::numeric;

-- A double comes back as the decimal that it stands for, with any number of
-- decimals, on every minor version of PostgreSQL.
SELECT ds_ensure_stream('{"name": "decimals"}') AS id \gset
SELECT count(*), count(*) FILTER (WHERE value((ds_append(:'id', x)).v) = x::text::numeric) AS right
FROM (SELECT (sign * digits / 10::numeric ^ decimals)::float8 AS x
	FROM (VALUES (1), (-1)) s(sign), generate_series(0, 18) decimals,
		(VALUES (0), (1), (9), (10), (45), (455625), (99999999), (100000000), (123456789012), (999999999999999)) d(digits)) t;
SELECT (ds_append(:'id', x)).v FROM (VALUES (45.5625::float8), (-0.0001), (0.30000001), (123456789.0123), (-0.0)) v(x);

-- A median lies within its bucket, also where all of it lies in one bin of the sketch.
SELECT ds_median(CASE WHEN i % 2 = 0 THEN 1013.1 ELSE 1013.2 END) AS air_pressure FROM generate_series(1, 3600) i;
SELECT ds_median(CASE WHEN i <= 600 THEN 49.99 ELSE 50.0 END) AS mains FROM generate_series(1, 1001) i;
SELECT ds_median(CASE WHEN i <= 600 THEN -49.99 ELSE -50.0 END) AS negative FROM generate_series(1, 1001) i;
SELECT ds_median(273.15 + i * 0.001) AS kelvin FROM generate_series(0, 2000) i;
SELECT ds_median(x) FROM (SELECT 1.7976931348623157e308 AS x FROM generate_series(1, 1500)) t;
SELECT ds_median(x) = 5e-324 AS smallest FROM (SELECT 5e-324::float8 AS x FROM generate_series(1, 1500)) t;

-- Likewise in a stream: long integers and decimals keep their digits, wherever
-- all are the same.
CREATE FUNCTION bucket(name text, options jsonb, VARIADIC vals numeric[]) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	id uuid := ds_ensure_stream(jsonb_build_object('name', name), value_type_options => options,
		value_downsamplers => '{mean,sum,min,max,sum_squares,std_dev,median}');
BEGIN
	PERFORM ds_append_multiple(jsonb_agg(jsonb_build_object('stream_id', id, 'value', vals[1 + i % cardinality(vals)],
		'timestamp', timestamptz '2024-01-01' + i * interval '1 s'))) FROM generate_series(0, 1199) i;
	PERFORM ds_append(id, 0, '2024-01-02');
	PERFORM ds_downsample_streams(jsonb_build_object('stream_id', id));
	RETURN v FROM ds_get_data(id, 'days');
END
$$;
SELECT bucket('long', '{}', 9007199254740993)->'n' AS long,
	bucket('long exact', '{"high_accuracy": true}', 9007199254740993.5)->'n' AS long_exact,
	bucket('beyond', '{}', -1e400)->'n' = '-1e400' AS beyond,
	bucket('below', '{"high_accuracy": true}', 1e-400)->'n' = '1e-400' AS below;
SELECT name, b->'n' BETWEEN b->'l' AND b->'u' AS within FROM (VALUES
	('long 2', bucket('long 2', '{}', 1152921504606846977, 1152921504606846978)),
	('exact 2', bucket('exact 2', '{"high_accuracy": true}', 0.10000000000000000000001, 0.10000000000000000000002)),
	('beyond 2', bucket('beyond 2', '{}', 1e400, 1e401)),
	('mixed', bucket('mixed', '{}', 1.5, 9007199254740993, -1e309))) v(name, b);
SELECT ds_ensure_stream('{"name": "two long"}', value_downsamplers => '{min,max,median}') AS id \gset
SELECT FROM ds_append(:'id', 1152921504606846977, '2024-01-01 00:00:00');
SELECT FROM ds_append(:'id', 1152921504606846978, '2024-01-01 00:00:01');
SELECT FROM ds_append(:'id', 0, '2024-01-02');
SELECT FROM ds_downsample_streams('{"name": "two long"}');
SELECT v->'n' BETWEEN v->'l' AND v->'u' AS within FROM ds_get_data(:'id', 'days');

-- An already downsampled median that lies outside of its own extremes, as
-- version 0.1.0 could make it, is taken for the nearer one.
SELECT ds_ensure_stream('{"name": "outside"}', value_downsamplers => '{min,max,median}') AS id \gset
SELECT FROM ds_append(:'id', '{"c": 3600, "l": 1013.1, "n": 1017.44, "u": 1013.2}'::jsonb, '2024-01-01');
SELECT FROM ds_append(:'id', 0, '2024-01-02');
SELECT FROM ds_downsample_streams('{"name": "outside"}');
SELECT v FROM ds_get_data(:'id', 'days');

-- What version 0.1.0 has stored: an hour of 500 × 1013.1, 500 × 1013.2, 250 × 20
-- and 250 × -30, and one of 750 × 1013.1 and 750 × 1013.2 with high accuracy.  It
-- is read, held within its extremes, and merged into the next level.
SELECT ds_ensure_stream('{"name": "old"}', value_downsamplers => '{mean,min,max,median}') AS old,
	ds_ensure_stream('{"name": "old exact"}', value_downsamplers => '{min,max,median}',
		value_type_options => '{"high_accuracy": true}') AS exact \gset
CREATE TABLE old_blocks (id uuid, block ds_block);
INSERT INTO old_blocks VALUES
	(:'old', '\x0101018081c8ac06020300b817030300b817040300d00f050500c08db701060400c8ce5b07020000080300d00f090300d00f0a0200000b060080b3c7950b2c06020000b4af7b2d040200003b2e06020400a89e015222040100360003000100aa0500f40300003c0201d804920601f403dc0b000128270000'),
	(:'exact', '\x0101018081c8ac06020300b817030300b817040300d00f050500c08db701060400c8ce5b07020000080300d00f090300d00f0a0200000b060080b3c7950b2d0d0401000c00313031332e3100002e0d0401000c00313031332e32000052140401001a000300000100ea0a00b8170000000000');
SELECT count(ds_append(id, 1013.1, t)) FROM old_blocks, (VALUES ('2024-01-01'::timestamptz), ('2024-01-01 06:00')) v(t);
SELECT FROM ds_downsample_streams('{"name": "old"}', '2024-01-01 01:00');
SELECT FROM ds_downsample_streams('{"name": "old exact"}', '2024-01-01 01:00');
UPDATE datastream.datapoints_hours d SET block = o.block FROM old_blocks o WHERE d.stream_id = o.id;
SELECT v FROM old_blocks, ds_get_data(id, 'hours');
SELECT v FROM old_blocks, ds_get_data(id, 'hours', value_downsamplers => '{median}');
SELECT FROM ds_downsample_streams('{"name": "old"}');
SELECT FROM ds_downsample_streams('{"name": "old exact"}');
SELECT v, times->'z' AS last FROM old_blocks, ds_get_data(id, '6hours');

-- A sum of integers keeps all their digits, whatever the order of its sources,
-- and so does one of decimals, up to the one rounding of its result.
CREATE FUNCTION sum_of(VARIADIC vals numeric[]) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	prefix text := 'sum_of ' || vals::text;
	sources uuid[] := ARRAY(SELECT ds_ensure_stream(jsonb_build_object('name', prefix, 'n', i)) FROM generate_subscripts(vals, 1) i ORDER BY i);
	id uuid := ds_ensure_stream(jsonb_build_object('name', prefix, 'n', 0), derive_op => 'sum', derive_from => to_jsonb(sources));
BEGIN
	FOR i IN 1 .. cardinality(vals) LOOP
		PERFORM ds_append(sources[i], vals[i], '2024-01-01');
	END LOOP;
	RETURN (SELECT v FROM ds_get_data(id, 'seconds'));
END
$$;
SELECT sum_of(9007199254740992, 1, -9007199254740992) AS one, sum_of(1, 9007199254740992, -9007199254740992) AS one,
	sum_of(1e300, 9007199254740992, 1, -1e300, -9007199254740992) AS one, sum_of(9007199254740992, 1) AS long,
	sum_of(9007199254740993, -1, 0.5) AS half, sum_of(1e200, 0.5, -1e200) AS half,
	sum_of(0.1, 0.2) AS decimal, sum_of(0.1, 0.7, -0.1, 5e-324::float8::numeric) AS decimal, sum_of(NULL, 5) AS five;
SELECT sum_of(1.5e308, 1.5e308, -1.5e308) = '1.5e308' AS right, sum_of(1.5e308, 1.5e308) = '3e308' AS beyond_doubles;

-- A difference beyond doubles is none beyond numbers.
CREATE FUNCTION change(first numeric, second numeric, length interval, operator text DEFAULT 'derivative', args jsonb DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	tags jsonb := jsonb_build_object('name', 'change', 'of', jsonb_build_array(first, second, length, operator, args));
	source uuid := ds_ensure_stream(tags || '{"part": "source"}', '{}', NULL, 'milliseconds');
	resets uuid := ds_ensure_stream(tags || '{"part": "resets"}', '{}', NULL, 'milliseconds', value_type => 'nominal');
	id uuid := ds_ensure_stream(tags || '{"part": "change"}', '{}', NULL, 'milliseconds', derive_op => operator, derive_args => args,
		derive_from => CASE operator WHEN 'derivative' THEN to_jsonb(source)
			ELSE jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', resets), source) END);
BEGIN
	PERFORM ds_append(source, first, '2024-01-01');
	PERFORM ds_append(source, second, '2024-01-01'::timestamptz + length);
	RETURN (SELECT v FROM ds_get_data(id, 'milliseconds'));
END
$$;
SELECT change(-1.5e308, 1.5e308, '10 s') = '3e307' AS right, change(1.5e308, -1.5e308, '10 s') = '-3e307' AS right,
	change(0, 1e308, '1 ms') = '1e311' AS beyond_doubles, change(9007199254740993, 9007199254740995, '1 s') AS two,
	change(1e308, 1.7e308, '1 hour', 'counter_derivative')::numeric / 1e308 - 0.7 / 3600 < 1e-18 AS counter,
	change(18446744073709551615, 1, '2 s', 'counter_derivative', '{"max_value": 18446744073709551616}') AS one,
	change(1.6e308, 1e300, '1 s', 'counter_derivative', '{"max_value": 1.7e308}') = '1.0000001e307' AS overflow;

-- Sums of buckets, and of several levels of them
SELECT b->'s' AS sum, b->'q' AS squares FROM bucket('cancelled', '{}', 9007199254740992, 1, -9007199254740992, 0, 0, 0) b;
SELECT b->'s' = '0' AS zero, b->'m' = '0' AS mean, b->'d' = '1.5e308' AS std_dev
FROM bucket('large', '{}', 1.5e308, 1.5e308, -1.5e308, -1.5e308, 1.5e308, -1.5e308) b;
SELECT ds_sum(x) AS one FROM (VALUES (9007199254740992::float8), (1), (-9007199254740992)) v(x);
SELECT ds_sum(x) AS one FROM (VALUES (9e99::float8), (1e50), (1e16), (1), (-9e99), (-1e16), (-1e50)) v(x);
SELECT ds_sum(x) = 1.5e308 AS right, ds_mean(x) = 0.5e308 AS mean, ds_std_dev(x) > 1.4e308 AS std_dev
FROM (VALUES (1.5e308::float8), (1.5e308), (-1.5e308)) v(x);

-- ds_get_series raises an error for what is beyond doubles, and only if it is
-- asked for.
SELECT ds_ensure_stream('{"name": "beyond doubles"}') AS id \gset
SELECT FROM ds_append(:'id', 1e200, '2024-01-01 00:00:00');
SELECT FROM ds_append(:'id', 1e400, '2024-01-01 00:00:01');
SELECT FROM ds_append(:'id', 0, '2024-01-02');
SELECT FROM ds_downsample_streams('{"name": "beyond doubles"}');
SELECT raises($$SELECT value FROM ds_get_series(stream('beyond doubles'), 'seconds')$$);
SELECT raises($$SELECT sum_squares FROM ds_get_series(stream('beyond doubles'), 'seconds') LIMIT 1$$);
SELECT raises($$SELECT max FROM ds_get_series(stream('beyond doubles'), 'days')$$);
SELECT value FROM ds_get_series(:'id', 'seconds', "end" => '2024-01-01');
SELECT count, min FROM ds_get_series(:'id', 'days');
SELECT v = '1e400' AS right FROM ds_get_data(:'id', 'seconds', '2024-01-01 00:00:01', '2024-01-01 00:00:01');

-- Values are one and the same however they are written, and long integers that
-- differ are not; there is no negative zero.
SELECT ds_ensure_stream('{"name": "equal"}', value_downsamplers => '{min,max,most_often,least_often,frequencies}') AS id \gset
SELECT count(ds_append(:'id', v, '2024-01-01'::timestamptz + n * interval '1 s')) FROM (VALUES
	(1, '1'), (2, '1.0'), (3, '1e0'), (4, '-0.0'), (5, '0'), (6, '9007199254740992'), (7, '9007199254740993'),
	(8, '9007199254740993.0'), (9, '9007199254740992e0'), (10, '1000e-3')) t(n, v);
SELECT FROM ds_append(:'id', 0, '2024-01-02');
SELECT FROM ds_downsample_streams('{"name": "equal"}');
SELECT jsonb_pretty(v) FROM ds_get_data(:'id', 'days');
SELECT change(0, -5e-324::float8::numeric, '10 s') AS zero;

-- Counts and times of many datapoints
SELECT ds_ensure_stream('{"name": "counted"}', '{}', '{min,max,mean}') AS id \gset
SELECT ds_append_multiple(jsonb_agg(jsonb_build_object('stream_id', :'id',
	'value', '{"c": 999999999999999, "m": 1, "s": 999999999999999, "l": 1, "u": 1}'::jsonb,
	'timestamp', '2024-01-01'::timestamptz + n * interval '1 s'))) FROM generate_series(0, 8999) n;
SELECT FROM ds_append(:'id', 0, '2024-01-02');
SELECT FROM ds_downsample_streams('{"name": "counted"}');
SELECT v, times->'m' AS mean FROM ds_get_data(:'id', '6hours', "end" => '2024-01-01');
SELECT count, sum, mean, middle FROM ds_get_series(:'id', '6hours', "end" => '2024-01-01');

DROP TABLE old_blocks;
DROP FUNCTION value, bucket, sum_of, change;
