-- Synthetic series, of :rows rows each.
CREATE EXTENSION ds_codec_test;

CREATE TABLE series (name text NOT NULL, ts timestamptz[] NOT NULL, numbers float8[], labels jsonb[],
	number serial);

-- Adds a series; time (in seconds) and value are expressions over i = 0, 1, ...
CREATE PROCEDURE add_series(name text, rows int, of_times text, of_values text, type text DEFAULT 'float8')
LANGUAGE plpgsql AS
$$
BEGIN
	EXECUTE format('INSERT INTO series (name, ts, %I)
		SELECT %L, array_agg(to_timestamp(1704067200 + t) ORDER BY i), array_agg(v ORDER BY i)
			FROM (SELECT i, (%s)::float8 AS t, (%s)::%s AS v FROM generate_series(0, %s) AS i) AS datapoints',
		CASE type WHEN 'jsonb' THEN 'labels' ELSE 'numbers' END, name, of_times, of_values, type, rows - 1);
END
$$;

SELECT setseed(0.42);
CALL add_series('regular times, constant', :rows, 'i', '42.5');
CALL add_series('jittered times (ms)', :rows, 'i + floor(random() * 100) / 1000', '42.5');
CALL add_series('irregular times (s)', :rows, 'floor(i * 10 + random() * 10)', '42.5');
CALL add_series('counter', :rows, 'i', 'i * 3');
CALL add_series('counter, random steps', :rows, 'i', '1000 * i + floor(random() * 1000)');
CALL add_series('decimals', :rows, 'i', 'round((50 + 20 * sin(i / 3600.0::float8) + 2 * random())::numeric, 2)');
CALL add_series('decimals, a tenth null', :rows, 'i',
	'CASE WHEN random() >= 0.1 THEN round((50 + 20 * sin(i / 3600.0::float8) + 2 * random())::numeric, 2) END');
CALL add_series('decimals of one place', :rows, 'i * 3600', 'round((60 + 25 * sin(i / 58.0::float8) + 8 * random())::numeric, 1)');
CALL add_series('integers of 40 bits', :rows, 'i', 'floor(random() * 1099511627776)');
CALL add_series('smooth doubles', :rows, 'i', 'sin(i / 3600.0::float8)');
CALL add_series('doubles that repeat', :rows, 'i', 'sin(floor(i / 5.0) * 1.2345::float8)');
CALL add_series('random doubles', :rows, 'i', 'random()');
CALL add_series('dictionary of 5 labels', :rows, 'i',
	'to_jsonb((ARRAY[''running'', ''idle'', ''failed'', ''starting'', ''stopped''])[1 + floor(random() * 5)::int])', 'jsonb');
CALL add_series('dictionary, constant label', :rows, 'i', 'to_jsonb(''running''::text)', 'jsonb');
