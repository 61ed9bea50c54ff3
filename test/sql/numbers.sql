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
		'timestamp', timestamptz '2024-01-01' + i * interval '1 s'))) FROM generate_series(0, 1201) i;
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
