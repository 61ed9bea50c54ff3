-- Streams of every kind, with what version 0.1.0 stored of them: in heads and
-- blocks, with every encoding, downsampled and not, derived and pending, late,
-- expired, and failed.
SET client_min_messages = error;
SELECT setseed(0.5);

CREATE SCHEMA fill;
CREATE FUNCTION fill.stream(name text) RETURNS uuid LANGUAGE sql STABLE AS
	$$ SELECT stream_id FROM datastream.streams WHERE tags->>'name' = $1 $$;
CREATE FUNCTION fill.at(n float8) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS
	$$ SELECT timestamptz '2000-01-01 00:00:00+00' + n * interval '1 s' $$;
CREATE FUNCTION fill.append(name text, datapoints int, step float8, value text, first float8 DEFAULT 0) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT ds_append_multiple(fill.stream(%L), array_agg(fill.at(%s + i * %s) ORDER BY i), array_agg((%s)::float8 ORDER BY i))
		FROM generate_series(0, %s - 1) i', name, first, step, value, datapoints);
END
$$;

-- Workers do something, and fail on a stream.
SELECT ds_ensure_stream('{"name": "served"}'), ds_ensure_stream('{"name": "broken"}');
CREATE FUNCTION fill.fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF new.stream_id = fill.stream('broken') THEN
		RAISE EXCEPTION 'no luck with "broken"';
	END IF;
	RETURN new;
END
$$;
CREATE TRIGGER fail BEFORE UPDATE ON datastream.progress FOR EACH ROW EXECUTE FUNCTION fill.fail();
SELECT fill.append('served', 200, 10, 'i'), fill.append('broken', 100, 60, 'i');
ALTER SYSTEM SET datastream.enabled = on;
SELECT pg_reload_conf();
DO $$
BEGIN
	WHILE NOT EXISTS (SELECT FROM datastream.runs WHERE streams > 0) OR NOT EXISTS (SELECT FROM datastream.failures WHERE failures = 2) LOOP
		PERFORM pg_sleep(0.1);
		COMMIT;
	END LOOP;
END
$$;
ALTER SYSTEM RESET datastream.enabled;
SELECT pg_reload_conf();
DO $$
BEGIN
	WHILE EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'datastream worker') LOOP
		PERFORM pg_sleep(0.1);
		COMMIT;
	END LOOP;
END
$$;
DROP TRIGGER fail ON datastream.progress;

-- Plain streams
SELECT ds_ensure_stream('{"name": "all"}', '{"place": {"floor": 1, "room": ["a", 2]}}', '{mean, sum, min, max, sum_squares, std_dev, count, most_often, least_often, frequencies, median}'),
	ds_ensure_stream('{"name": "default"}'),
	ds_ensure_stream('{"name": "milliseconds"}', highest_granularity => 'milliseconds'),
	ds_ensure_stream('{"name": "10seconds"}', highest_granularity => '10seconds'),
	ds_ensure_stream('{"name": "minutes"}', highest_granularity => 'minutes'),
	ds_ensure_stream('{"name": "10minutes"}', highest_granularity => '10minutes'),
	ds_ensure_stream('{"name": "hours"}', highest_granularity => 'hours'),
	ds_ensure_stream('{"name": "6hours"}', highest_granularity => '6hours'),
	ds_ensure_stream('{"name": "days"}', highest_granularity => 'days'),
	ds_ensure_stream('{"name": "bare"}', value_downsamplers => '{}'),
	ds_ensure_stream('{"name": "mean only"}', value_downsamplers => '{mean}'),
	ds_ensure_stream('{"name": "exact"}', value_type_options => '{"high_accuracy": true}'),
	ds_ensure_stream('{"name": "integers"}'),
	ds_ensure_stream('{"name": "pressure"}', value_downsamplers => '{median, min, max}'),
	ds_ensure_stream('{"name": "skewed"}', value_downsamplers => '{median, min, max}'),
	ds_ensure_stream('{"name": "noise"}'),
	ds_ensure_stream('{"name": "constant"}'),
	ds_ensure_stream('{"name": "nulls"}'),
	ds_ensure_stream('{"name": "gaps"}'),
	ds_ensure_stream('{"name": "extreme"}'),
	ds_ensure_stream('{"name": "downsampled"}'),
	ds_ensure_stream('{"name": "label"}', value_type => 'nominal', value_downsamplers => '{frequencies, most_often, least_often}'),
	ds_ensure_stream('{"name": "net"}', value_type => 'graph'),
	ds_ensure_stream('{"name": "late"}'),
	ds_ensure_stream('{"name": "expired"}'),
	ds_ensure_stream('{"name": "one"}'),
	ds_ensure_stream('{"name": "empty"}');

-- Derived ones
SELECT ds_ensure_stream('{"name": "sum"}', derive_from => jsonb_build_array(fill.stream('all'), fill.stream('default')), derive_op => 'sum'),
	ds_ensure_stream('{"name": "slope"}', derive_from => to_jsonb(fill.stream('all')), derive_op => 'derivative'),
	ds_ensure_stream('{"name": "reset"}', derive_from => to_jsonb(fill.stream('all')), derive_op => 'counter_reset', value_type => 'nominal'),
	ds_ensure_stream('{"name": "by minute"}', highest_granularity => 'minutes', derive_op => 'sum',
		derive_from => jsonb_build_array(jsonb_build_object('stream', fill.stream('all'), 'granularity', 'minutes'))),
	ds_ensure_stream('{"name": "of integers"}', derive_from => to_jsonb(fill.stream('integers')), derive_op => 'derivative');
SELECT ds_ensure_stream('{"name": "chain"}', derive_from => jsonb_build_array(fill.stream('slope'), fill.stream('sum')), derive_op => 'sum'),
	ds_ensure_stream('{"name": "rate"}', derive_op => 'counter_derivative', derive_args => '{"max_value": 1000}',
		derive_from => jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', fill.stream('reset')), fill.stream('all')));

-- Datapoints
SELECT fill.append('all', 1100, 7, 'CASE WHEN random() < 0.95 THEN round(100 * random()) / 4 END'),
	fill.append('default', 1100, 7, 'round(1000 * sin(i * 0.01)) / 10'),
	fill.append('milliseconds', 400, 0.25, 'i % 17'),
	fill.append('10seconds', 300, 10, 'i * 0.1'),
	fill.append('minutes', 300, 60, '20 + (i % 5) * 0.25'),
	fill.append('10minutes', 200, 600, 'i'),
	fill.append('hours', 200, 3600, 'i * i'),
	fill.append('6hours', 200, 21600, '-i'),
	fill.append('days', 500, 86400, 'i % 30'),
	fill.append('bare', 400, 5, 'random()'),
	fill.append('mean only', 500, 13, 'i / 3.0'),
	fill.append('pressure', 2400, 1, '1013.1 + (i % 2) * 0.1'),
	fill.append('skewed', 1500, 2, 'round(exp(8 * random()) * 100) / 100'),
	fill.append('noise', 300, 1, 'random() * exp(20 * random())'),
	fill.append('constant', 1200, 1, '42'),
	fill.append('nulls', 120, 30, 'NULL'),
	fill.append('nulls', 50, 30, 'CASE WHEN i % 7 <> 0 THEN i END', 7200),
	fill.append('gaps', 100, 1, 'i'),
	fill.append('gaps', 100, 1.5, 'i', 20000),
	fill.append('late', 500, 10, 'i % 11'),
	fill.append('expired', 300, 60, 'i');
SELECT count(ds_append(fill.stream('exact'), (i % 10) + 0.123456789012345678901234567890, fill.at(20 * i))) FROM generate_series(0, 199) i;
SELECT count(ds_append(fill.stream('integers'), 9007199254740993 + i * 1000000007::bigint, fill.at(11 * i))) FROM generate_series(0, 199) i;
SELECT count(ds_append(fill.stream('integers'), (i::text || '00000000000000000000000000000')::numeric, fill.at(3000 + i))) FROM generate_series(1, 40) i;
SELECT ds_append(fill.stream('extreme'), v, t) FROM (VALUES
	(-1.7976931348623157e308::float8, timestamptz '1970-01-01 00:00:00+00'), (5e-324, '1970-01-01 00:00:01+00'), (-0.0, '2000-01-01 00:00:00+00'), (0, '9999-12-31 23:59:58+00')) e(v, t);
SELECT ds_append(fill.stream('downsampled'), jsonb_build_object('m', i * 2.5, 's', i * 10, 'l', i, 'u', i * 4, 'q', i * i * 30, 'd', i * sqrt(1.25), 'c', 4), fill.at(60 * i)) FROM generate_series(1, 50) i;
SELECT count(ds_append(fill.stream('label'), (ARRAY['on', 'off', '{"level": [1, 2]}', 'long ' || repeat('label ', 30), 'ünïcode'])[1 + i % 5], fill.at(11 * i))) FROM generate_series(0, 399) i;
SELECT count(ds_append(fill.stream('label'), NULL::text, fill.at(4400 + 11 * i))) FROM generate_series(0, 9) i;
SELECT count(ds_append(fill.stream('net'), '{"v": [{"i": "a"}, {"i": "b"}], "e": [{"f": "a", "t": "b"}]}'::jsonb, fill.at(11 * i))) FROM generate_series(0, 49) i;
SELECT count(ds_append(fill.stream('one'), 1, fill.at(0.5)));
SELECT count(*) FROM ds_downsample_streams(until => fill.at(5000));
SELECT count(*) FROM unnest(ARRAY['days', 'pressure', 'skewed', 'expired']) name, ds_downsample_streams(jsonb_build_object('name', name));

-- What has expired
SELECT ds_set_retention('{"name": "expired"}', 'seconds', '1 hour'), ds_set_retention('{"name": "expired"}', 'minutes', '1 day'), ds_set_retention('{"name": "default"}', 'seconds', '100 years');
SELECT ds_apply_retention();

-- What is left to do: to be closed, made again, derived, derived again, backprocessed
SELECT ds_append(fill.stream('late'), 1000, fill.at(500), false), ds_append(fill.stream('late'), 1001, fill.at(4567), false);
SELECT ds_ensure_stream('{"name": "pending"}', derive_from => to_jsonb(fill.stream('milliseconds')), derive_op => 'derivative', highest_granularity => 'milliseconds');
SELECT ds_ensure_stream('{"name": "behind pending"}', derive_from => to_jsonb(fill.stream('pending')), derive_op => 'sum', highest_granularity => 'milliseconds');
SELECT ds_ensure_stream('{"name": "from now"}', derive_from => to_jsonb(fill.stream('milliseconds')), derive_op => 'derivative', highest_granularity => 'milliseconds', derive_backprocess => false);
SELECT count(ds_append(fill.stream('milliseconds'), i, fill.at(300.001 * i))) FROM generate_series(1, 3) i;
SET datastream.derive = 'background';
SELECT fill.append('all', 100, 7, 'i', 20000), fill.append('default', 100, 7, '-i', 20000);
SELECT ds_append(fill.stream('all'), 77, fill.at(70), false);
RESET datastream.derive;
