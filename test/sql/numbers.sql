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
