-- A day of datapoints for each stream, one a second, as arrays: the source of
-- bulk appends to every side.  Values are decimals around a wave.
SELECT setseed(0.42);

CREATE TABLE days (stream int PRIMARY KEY, ts timestamptz[] NOT NULL, v float8[] NOT NULL);
ALTER TABLE days ALTER ts SET STORAGE external, ALTER v SET STORAGE external;
INSERT INTO days
SELECT s, array_agg(timestamptz '2024-01-01' + i * interval '1 second' ORDER BY i),
		array_agg(round((50 + 20 * sin(i / 3600.0::float8 + s) + 2 * random())::numeric, 2)::float8 ORDER BY i)
	FROM generate_series(1, :streams) AS s, generate_series(0, 86399) AS i
	GROUP BY s ORDER BY s;

-- Values of 10,000 streams at one time, for wide appends: 60 times, then again.
CREATE TABLE wide (n int PRIMARY KEY, v float8[] NOT NULL);
ALTER TABLE wide ALTER v SET STORAGE external;
INSERT INTO wide
SELECT n, array_agg(round((50 + 20 * sin(n / 60.0::float8 + s) + 2 * random())::numeric, 2)::float8 ORDER BY s)
	FROM generate_series(0, 59) AS n, generate_series(1, 10000) AS s
	GROUP BY n ORDER BY n;

-- The streams of wide appends; evaluated when a statement is planned.
CREATE FUNCTION numbers(count int) RETURNS int[] LANGUAGE sql IMMUTABLE AS
	'SELECT array_agg(s) FROM generate_series(1, count) AS s';

VACUUM ANALYZE;
