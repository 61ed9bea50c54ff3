-- The next 10,000 datapoints, one a second.
\set start 1500000000 + :call * 10000
\set call :call + 1
INSERT INTO datapoints SELECT 1, to_timestamp(:start + i), 50 + mod(i * i, 1000) / 100.0::float8
	FROM generate_series(0, 9999) AS i;
