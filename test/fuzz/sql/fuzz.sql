-- Random blocks come back as they were, and damaged ones do no harm.  More of
-- them, with other seeds, can be tried with the same functions.
CREATE EXTENSION ds_codec_test;
SELECT setseed(0.5);

SELECT ds_codec_round_trip(1, 3000) > 0 AS all_come_back;
SELECT refused + accepted AS damaged, refused > accepted AS mostly_refused FROM ds_codec_damage(1, 3000);

-- A regular series, and one with gaps and repeats, costs nearly nothing.
CREATE FUNCTION series(values_of text, times_of text DEFAULT 'i * 10')
RETURNS TABLE (ts timestamptz[], value float8[]) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT array_agg(to_timestamp(t) ORDER BY i), array_agg(v ORDER BY i)
		FROM (SELECT i, (%s)::float8 AS t, (%s)::float8 AS v FROM generate_series(1, 10000) i) x', times_of, values_of);
END
$$;
SELECT bits <= most AS as_expected, CASE WHEN bits > most THEN bits END AS bits, times FROM (VALUES
	('i * 300', 0.1),
	('i * 300 + i / 100 * 300', 0.5),
	('i / 2', 1.2),
	('i - (i % 100 = 0)::int', 0.5),
	('i + floor(random() * 50) / 1000', 8)) x(times, most),
	LATERAL (SELECT time_bits AS bits FROM series('0', times), ds_codec_benchmark(ts, value)) y;

-- Values cost about the bits that they are made of.
SELECT bits <= most AS as_expected, CASE WHEN bits > most THEN bits END AS bits, "values" FROM (VALUES
	('42.5', 0.2),
	('i * 3', 0.2),
	('i * 0.01', 0.2),
	('(random() < 0.5)::int', 1.2),
	('floor(random() * 128)', 7.2),
	('round((random() * 100)::numeric, 2)', 14.3),
	('1000 + round((random() * 0.1)::numeric, 4)', 10.2),
	('(ARRAY[0.1, 7, 1234.5, 1e9])[1 + floor(random() * 4)::int]', 2.3),
	('(100 + random())::float4', 24),
	('random()', 55.5),
	('-random() * 1e-300', 56.5),
	('CASE WHEN i % 100 = 0 THEN random() ELSE 20.5 END', 1.5),
	('sqrt(i / 1000) * 1.1', 3)) x("values", most),
	LATERAL (SELECT value_bits AS bits FROM series("values"), ds_codec_benchmark(ts, value)) y;

-- One datapoint needs a head of some 20 bytes.
SELECT rows, bytes_per_row <= most AS as_expected FROM (VALUES (1, 20), (4, 8), (16, 4)) x(rows, most),
	series('20 + round(sin(i)::numeric, 2)'), ds_codec_benchmark(ts, value, rows);

DROP FUNCTION series;
DROP EXTENSION ds_codec_test;
