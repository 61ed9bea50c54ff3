-- Derived streams
SET timezone = 'UTC';

CREATE FUNCTION at(seconds int) RETURNS timestamptz LANGUAGE sql RETURN timestamptz '2000-01-01 12:00:00+00' + seconds * interval '1 s';
CREATE FUNCTION vals(name text, granularity text DEFAULT 'seconds') RETURNS jsonb LANGUAGE sql
RETURN (SELECT jsonb_agg(coalesce(v, 'null') ORDER BY n) FROM (SELECT v, row_number() OVER () AS n FROM ds_get_data(stream(name), granularity)) x);

-- Sum, derivative, and a chain of both, derived in the statements that append
SELECT ds_ensure_stream('{"name": "a"}') IS NOT NULL AND ds_ensure_stream('{"name": "b"}') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "total"}', derive_from => jsonb_build_array(stream('a'), stream('b')), derive_op => 'sum') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "slope"}', derive_from => to_jsonb(stream('a')), derive_op => 'derivative') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "chained"}', derive_op => 'sum', derive_from =>
	jsonb_build_array(jsonb_build_object('stream', stream('a'), 'name', 'value'), jsonb_build_object('stream', stream('slope'), 'name', 'slope'))) IS NOT NULL AS made;
SELECT jsonb_object_agg(op, n ORDER BY op) FROM (SELECT c.value->>'op' AS op, count(*) AS n FROM jsonb_each(ds_get_tags(stream('a'))->'contributes_to') c GROUP BY 1) x;
SELECT ds_get_tags(stream('chained'))->'derived_from'->>'op' AS op, jsonb_array_length(ds_get_tags(stream('chained'))->'derived_from'->'stream_ids') AS sources;
SELECT raises($$SELECT ds_append(stream('total'), 1)$$);
SELECT count(ds_append(stream('a'), a, at(s))), count(ds_append(stream('b'), b, at(s)))
FROM (VALUES (0, 21, 21), (1, 25, 25), (2, 28, 28), (3, 32, 32), (4, 25, 25), (10, 70, 42), (11, 74, 42)) x(s, a, b);
SELECT vals('total'), vals('slope'), vals('chained');

-- Nulls: left out of a sum; a null makes a null and the derivative starts anew.
SELECT ds_ensure_stream('{"name": "n"}') IS NOT NULL AND ds_ensure_stream('{"name": "m"}') IS NOT NULL AS made;
SELECT count(ds_append(stream('n'), n, at(s))), count(ds_append(stream('m'), m, at(s)))
FROM (VALUES (0, NULL, 1), (1, 10, 1), (60, NULL, NULL), (61, NULL, 1), (120, 2, 1)) x(s, n, m);
SELECT ds_ensure_stream('{"name": "n+m"}', derive_from => jsonb_build_array(stream('n'), stream('m')), derive_op => 'sum') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "n slope"}', derive_from => to_jsonb(stream('n')), derive_op => 'derivative') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "n reset"}', value_type => 'nominal', derive_from => to_jsonb(stream('n')), derive_op => 'counter_reset') IS NOT NULL AS made;
-- Sources had datapoints already: the derived streams wait to be backprocessed.
SELECT (ds_get_tags(stream('n+m'))->'pending_backprocess'), vals('n+m');
SELECT ds_backprocess_streams();
SELECT (ds_get_tags(stream('n+m'))->'pending_backprocess'), vals('n+m'), vals('n slope'), vals('n reset');
SELECT ds_backprocess_streams();

-- Counters
SELECT ds_ensure_stream('{"name": "uptime"}') IS NOT NULL AND ds_ensure_stream('{"name": "data"}') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "resets"}', value_type => 'nominal', derive_from => to_jsonb(stream('uptime')), derive_op => 'counter_reset') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "rate"}', derive_op => 'counter_derivative', derive_args => '{"max_value": 256}', derive_from =>
	jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', stream('resets')), jsonb_build_object('stream', stream('data')))) IS NOT NULL AS made;
SELECT count(ds_append(stream('uptime'), u, at(s))), count(ds_append(stream('data'), d, at(s)))
FROM (VALUES (0, 10, 5), (1, 23, 12), (2, 28, 7), (3, 44, 25), (4, 2, 7), (5, 17, 18), (6, 90, 33), (7, 30, 40), (8, 2, 5)) x(s, u, d);
SELECT vals('resets'), vals('rate');
-- Without max_value a value that falls is a reset, with a warning.
\set VERBOSITY sqlstate
SELECT ds_ensure_stream('{"name": "rate without"}', derive_op => 'counter_derivative', derive_from =>
	jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', stream('resets')), jsonb_build_object('stream', stream('data')))) IS NOT NULL AS made;
SELECT ds_backprocess_streams();
SELECT vals('rate without');
-- Two datapoints of one timestamp give no derivative.
SELECT v FROM ds_append(stream('a'), 80, at(12));
SELECT v FROM ds_append(stream('a'), 90, at(12));
SELECT v FROM ds_append(stream('a'), 100, at(13));
\set VERBOSITY default
SELECT vals('slope');

-- Without backprocessing a derived stream begins with what comes from then on.
SELECT ds_ensure_stream('{"name": "fresh"}', derive_from => to_jsonb(stream('uptime')), derive_op => 'derivative', derive_backprocess => false) IS NOT NULL AS made;
SELECT ds_get_tags(stream('fresh'))->'pending_backprocess' AS pending;
SELECT ds_backprocess_streams();
SELECT count(ds_append(stream('uptime'), 100 + s, at(s))) FROM generate_series(20, 22) s;
SELECT vals('fresh');

-- Sources at a lower granularity give their means, as buckets close.
SELECT ds_ensure_stream('{"name": "gA"}') IS NOT NULL AND ds_ensure_stream('{"name": "gB"}') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "10s"}', highest_granularity => '10seconds', derive_op => 'sum', derive_from => jsonb_build_array(
	jsonb_build_object('stream', stream('gA'), 'granularity', '10seconds'), jsonb_build_object('stream', stream('gB'), 'granularity', '10seconds'))) IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "10s slope"}', highest_granularity => '10seconds', derive_op => 'derivative', derive_from => jsonb_build_array(
	jsonb_build_object('stream', stream('gA'), 'granularity', '10seconds'))) IS NOT NULL AS made;
SELECT count(ds_append(stream('gA'), 5, at(s))), count(ds_append(stream('gB'), 5, at(s))) FROM generate_series(0, 31) s;
SELECT vals('10s', '10seconds');
SELECT count(*) FROM ds_downsample_streams();
SELECT vals('10s', '10seconds'), vals('10s slope', '10seconds');
SELECT t FROM ds_get_data(stream('10s slope'), '10seconds');
-- Empty buckets are nulls.
SELECT count(ds_append(stream('gA'), 8, at(s))), count(ds_append(stream('gB'), NULL, at(s))) FROM generate_series(55, 63) s;
SELECT count(*) FROM ds_downsample_streams();
SELECT vals('10s', '10seconds'), vals('10s slope', '10seconds');
-- A late datapoint changes its bucket, and what derives from it.
\set VERBOSITY sqlstate
SELECT v FROM ds_append(stream('gA'), 16, at(5), check_timestamp => false);
\set VERBOSITY default
SELECT count(*) FROM ds_downsample_streams();
SELECT vals('10s', '10seconds'), vals('10s slope', '10seconds');

-- Big integers
SELECT ds_ensure_stream('{"name": "big"}') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "big sum"}', derive_from => jsonb_build_array(stream('big'), stream('big')), derive_op => 'sum') IS NOT NULL
	AND ds_ensure_stream('{"name": "big slope"}', derive_from => to_jsonb(stream('big')), derive_op => 'derivative') IS NOT NULL AS made;
SELECT count(ds_append(stream('big'), 340282366920938463463374607431768211456, at(s))) FROM generate_series(0, 1) s;
SELECT vals('big sum'), vals('big slope');

-- A property: what is derived while datapoints are appended, in any order, one
-- by one or in batches, is what backprocessing them afterwards gives.
CREATE FUNCTION derive_all(suffix text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM ds_ensure_stream(jsonb_build_object('name', 'p sum ' || suffix), derive_op => 'sum',
		derive_from => jsonb_build_array(stream('p1'), stream('p2')));
	PERFORM ds_ensure_stream(jsonb_build_object('name', 'p slope ' || suffix), derive_op => 'derivative', derive_from => to_jsonb(stream('p1')));
	PERFORM ds_ensure_stream(jsonb_build_object('name', 'p reset ' || suffix), derive_op => 'counter_reset', value_type => 'nominal', derive_from => to_jsonb(stream('p2')));
	PERFORM ds_ensure_stream(jsonb_build_object('name', 'p rate ' || suffix), derive_op => 'counter_derivative', derive_args => '{"max_value": 50}',
		derive_from => jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', stream('p reset ' || suffix)), jsonb_build_object('stream', stream('p1'))));
	PERFORM ds_ensure_stream(jsonb_build_object('name', 'p chain ' || suffix), derive_op => 'sum',
		derive_from => jsonb_build_array(stream('p slope ' || suffix), stream('p2')));
END
$$;
CREATE FUNCTION derived(suffix text) RETURNS TABLE (what text, datapoints jsonb) LANGUAGE sql AS $$
	SELECT kind, (SELECT jsonb_agg(jsonb_build_array(t, v)) FROM ds_get_data(stream('p ' || kind || ' ' || suffix), 'seconds'))
	FROM unnest(ARRAY['sum', 'slope', 'reset', 'rate', 'chain']) kind
$$;
CREATE PROCEDURE check_property(seed float8, late boolean, batch int) LANGUAGE plpgsql AS $$
DECLARE
	source uuid;
	last int[] := '{0, 0}';
	which int;
	difference record;
BEGIN
	PERFORM setseed(seed);
	PERFORM ds_ensure_stream('{"name": "p1"}'), ds_ensure_stream('{"name": "p2"}');
	PERFORM derive_all('before');
	FOR i IN 1..150 LOOP
		which := 1 + (random() < 0.5)::int;
		source := stream('p' || which);
		IF late AND random() < 0.2 THEN
			PERFORM ds_append(source, (CASE WHEN random() < 0.8 THEN (random() * 50)::int END), at((random() * last[which])::int), false);
		ELSIF batch > 1 THEN
			PERFORM ds_append_multiple(source, array_agg(at(last[which] + n) ORDER BY n), array_agg(CASE WHEN random() < 0.9 THEN (random() * 50)::int::float8 END))
			FROM (SELECT (k * random() * 0.3)::int + k AS n FROM generate_series(1, 1 + (random() * batch)::int) k) x;
			last[which] := (SELECT extract(epoch FROM max(t) - at(0)) FROM ds_get_data(source, 'seconds') AS d(t));
		ELSE
			last[which] := last[which] + (random() * 2.4)::int;
			PERFORM ds_append(source, (CASE WHEN random() < 0.9 THEN (random() * 50)::int END), at(last[which]));
		END IF;
	END LOOP;
	PERFORM derive_all('after');
	PERFORM ds_backprocess_streams();
	FOR difference IN SELECT what, b.datapoints AS before, a.datapoints AS after FROM derived('before') b JOIN derived('after') a USING (what)
		WHERE b.datapoints IS DISTINCT FROM a.datapoints
	LOOP
		RAISE EXCEPTION 'seed %: % differs: % and %', seed, difference.what, difference.before, difference.after;
	END LOOP;
	IF (SELECT min(jsonb_array_length(datapoints)) FROM derived('before')) < 2 THEN
		RAISE EXCEPTION 'seed %: too few datapoints', seed;
	END IF;
	PERFORM ds_delete_streams(jsonb_build_object('name', name)) FROM unnest(ARRAY['p chain before', 'p rate before', 'p reset before', 'p slope before', 'p sum before',
		'p chain after', 'p rate after', 'p reset after', 'p slope after', 'p sum after', 'p1', 'p2']) name;
END
$$;
SET client_min_messages = error;
DO $$
BEGIN
	FOR i IN 1..3 LOOP
		CALL check_property(i / 10.0, false, 1);
		CALL check_property(i / 20.0, true, 1);
		CALL check_property(i / 30.0, false, 20);
		CALL check_property(i / 40.0, true, 20);
	END LOOP;
END
$$;
-- The same when deriving waits for ds_backprocess_streams().
SET datastream.derive = background;
DO $$
BEGIN
	FOR i IN 1..2 LOOP
		CALL check_property(i / 10.0, true, 1);
		CALL check_property(i / 40.0, true, 20);
	END LOOP;
END
$$;
RESET client_min_messages;
SELECT v FROM ds_append(stream('b'), 1000, at(12));
SELECT vals('total');
SELECT ds_backprocess_streams();
SELECT vals('total');
RESET datastream.derive;

-- Many datapoints: head, blocks and derived blocks
SELECT ds_ensure_stream('{"name": "long"}') IS NOT NULL AS made;
SELECT ds_append_multiple(stream('long'), array_agg(at(i) ORDER BY i), array_agg(i * i::float8 ORDER BY i)) FROM generate_series(0, 9999) i;
SELECT ds_ensure_stream('{"name": "long slope"}', derive_from => to_jsonb(stream('long')), derive_op => 'derivative') IS NOT NULL AS made;
SELECT ds_backprocess_streams('{"name": "long slope"}');
SELECT count(*), bool_and(value = 2 * n - 1) AS right FROM (SELECT value, row_number() OVER () AS n FROM ds_get_series(stream('long slope'), 'seconds')) x;

-- A late datapoint before a long gap, with more to derive again than is kept in
-- memory at once
SELECT ds_ensure_stream('{"name": "gap"}') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "gap slope"}', highest_granularity => 'minutes', derive_op => 'derivative',
	derive_from => jsonb_build_array(jsonb_build_object('stream', stream('gap'), 'granularity', 'minutes'))) IS NOT NULL AS made;
SELECT ds_append_multiple(stream('gap'), ARRAY[at(0), at(180000), at(180120)], '{1, 2, 3}');
SELECT FROM ds_downsample_streams();
\set VERBOSITY sqlstate
SELECT v FROM ds_append(stream('gap'), 61, at(60), check_timestamp => false);
\set VERBOSITY default
SELECT FROM ds_downsample_streams();
SELECT count(*), count(v) FROM ds_get_data(stream('gap slope'), 'minutes');
SELECT t, v FROM ds_get_data(stream('gap slope'), 'minutes') LIMIT 2;

-- A late datapoint in a bucket that has been read: the first one of the hour counts.
SELECT ds_ensure_stream('{"name": "h"}', highest_granularity => 'hours') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "h sum"}', highest_granularity => 'hours', derive_op => 'sum', derive_from => jsonb_build_array(stream('h'))) IS NOT NULL AS made;
SELECT FROM ds_append(stream('h'), 37, at(1500));
SELECT FROM ds_append(stream('h'), 27, at(1020), check_timestamp => false);
SELECT t, v FROM ds_get_data(stream('h sum'), 'hours');
SELECT ds_backprocess_streams('{"name": "h sum"}');

-- A source whose only datapoint goes away
SELECT ds_ensure_stream('{"name": "h counter"}', highest_granularity => 'hours') IS NOT NULL
	AND ds_ensure_stream('{"name": "h resets"}', highest_granularity => 'hours', value_type => 'nominal') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "h rate"}', highest_granularity => 'hours', derive_op => 'counter_derivative', derive_from =>
	jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', stream('h resets')), stream('h counter'))) IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "h rate sum"}', highest_granularity => 'hours', derive_op => 'sum', derive_from => jsonb_build_array(stream('h rate'))) IS NOT NULL AS made;
SELECT FROM ds_append(stream('h counter'), 0, at(600));
SELECT FROM ds_append(stream('h counter'), 3600, at(4200));
SELECT t, v FROM ds_get_data(stream('h rate sum'), 'hours');
SELECT FROM ds_append(stream('h resets'), 'true'::jsonb, at(3900));
SELECT t, v FROM ds_get_data(stream('h rate'), 'hours') UNION ALL SELECT t, v FROM ds_get_data(stream('h rate sum'), 'hours');
-- What comes then lies before that.
SELECT FROM ds_append(stream('h counter'), 1800, at(2400), check_timestamp => false);
SELECT t, v FROM ds_get_data(stream('h rate'), 'hours') UNION ALL SELECT t, v FROM ds_get_data(stream('h rate sum'), 'hours');

-- Other datapoints at the time that has been read until
SELECT ds_ensure_stream('{"name": "e data"}') IS NOT NULL AND ds_ensure_stream('{"name": "e other"}') IS NOT NULL
	AND ds_ensure_stream('{"name": "e resets"}', value_type => 'nominal') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "e rate"}', derive_op => 'counter_derivative', derive_from =>
	jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', stream('e resets')), stream('e data'))) IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "e sum"}', derive_op => 'sum', derive_from => jsonb_build_array(stream('e rate'), stream('e other'))) IS NOT NULL AS made;
SELECT FROM ds_append(stream('e data'), 1, at(0));
SELECT FROM ds_append(stream('e data'), 41, at(1));
SELECT FROM ds_append(stream('e other'), 25, at(1));
SELECT FROM ds_append(stream('e resets'), 'true'::jsonb, at(1));
SELECT FROM ds_append(stream('e data'), NULL::float8, at(1));
SELECT vals('e rate'), vals('e sum');

-- A bucket in front of the first one, and the empty ones between
SELECT ds_ensure_stream('{"name": "front"}') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "front sum"}', highest_granularity => '10seconds', derive_op => 'sum', derive_from =>
	jsonb_build_array(jsonb_build_object('stream', stream('front'), 'granularity', '10seconds'))) IS NOT NULL AS made;
SELECT FROM ds_append(stream('front'), 1, at(0));
SELECT FROM ds_append(stream('front'), 2, at(10));
SELECT FROM ds_downsample_streams();
SELECT vals('front sum', '10seconds');
\set VERBOSITY sqlstate
SELECT FROM ds_append(stream('front'), 3, at(-30), check_timestamp => false);
\set VERBOSITY default
SELECT FROM ds_downsample_streams();
SELECT t, v FROM ds_get_data(stream('front sum'), '10seconds');

-- Whatever happens to a derived stream, ds_backprocess_streams() mends it.
CREATE FUNCTION long_slope() RETURNS text LANGUAGE sql
RETURN (SELECT concat_ws(' ', count(*), count(DISTINCT t), min(t), max(t), sum(value), sum(value * extract(epoch FROM t - at(0))::int)) FROM ds_get_series(stream('long slope'), 'seconds'));
CREATE FUNCTION long_buckets() RETURNS text LANGUAGE sql
RETURN (SELECT concat_ws(' ', count(*), min(t), max(t), sum(count), sum(sum)) FROM ds_get_series(stream('long slope'), 'minutes'));
SELECT ds_ensure_stream('{"name": "long twice"}', derive_op => 'sum', derive_from => jsonb_build_array(stream('long slope'), stream('long slope'))) IS NOT NULL AS made;
SELECT ds_backprocess_streams();
SELECT FROM ds_downsample_streams();
SELECT long_slope() AS slope, long_buckets() AS buckets \gset
CREATE PROCEDURE mend(damage text) LANGUAGE plpgsql AS $$
DECLARE
	slope text := long_slope();
	buckets text := long_buckets();
	twice text := (SELECT concat_ws(' ', count(*), sum(value)) FROM ds_get_series(stream('long twice'), 'seconds'));
BEGIN
	EXECUTE damage USING stream('long slope'), stream('long');
	RAISE NOTICE '%', CASE long_slope() WHEN slope THEN 'as before' ELSE 'damaged' END;
	RAISE NOTICE '% mended, then %', ds_backprocess_streams('{"name": "long slope"}'), ds_backprocess_streams('{"name": "long slope"}');
	PERFORM ds_downsample_streams();
	IF (long_slope(), long_buckets(), (SELECT concat_ws(' ', count(*), sum(value)) FROM ds_get_series(stream('long twice'), 'seconds'))) IS DISTINCT FROM (slope, buckets, twice) THEN
		RAISE EXCEPTION '% instead of %, % instead of %', long_slope(), slope, long_buckets(), buckets;
	END IF;
END
$$;
CALL mend('DELETE FROM datastream.datapoints_seconds WHERE stream_id = $1');
CALL mend('DELETE FROM datastream.datapoints_seconds WHERE stream_id = $1 AND start = (SELECT min(start) FROM datastream.datapoints_seconds WHERE stream_id = $1)');
CALL mend('DELETE FROM datastream.datapoints_seconds WHERE stream_id = $1 AND start BETWEEN at(1500) AND at(4500)');
CALL mend('UPDATE datastream.heads SET head = NULL WHERE stream_id = $1');
CALL mend('UPDATE datastream.heads SET head = NULL, latest = NULL WHERE stream_id = $1');
CALL mend('UPDATE datastream.heads SET head = (SELECT head FROM datastream.heads WHERE stream_id = $2) WHERE stream_id = $1');
CALL mend('UPDATE datastream.datapoints_seconds d SET start = s.start, until = s.until, block = s.block FROM datastream.datapoints_seconds s
	WHERE d.stream_id = $1 AND s.stream_id = $2 AND s.start = d.start - interval ''1 s'' AND s.count = d.count');
CALL mend('UPDATE datastream.sources SET read_until = at(20000), read_count = 3 WHERE stream_id = $1');
CALL mend('UPDATE datastream.sources SET read_until = at(100), read_count = 1 WHERE stream_id = $1');
-- What is right is not written again.
SELECT sum(hashtextextended(d::text || d.ctid, 0)) AS state FROM datastream.datapoints_seconds d \gset
SELECT ds_backprocess_streams();
SELECT sum(hashtextextended(d::text || d.ctid, 0)) = :state AS untouched FROM datastream.datapoints_seconds d;
-- What can no longer be derived stays.
SELECT ds_set_retention('{"name": "long"}', 'seconds', '1 day'), ds_set_retention('{"name": "long"}', '10seconds', '1 day');
SELECT ds_apply_retention() > 5000 AS deleted;
SELECT min(t) > at(5000) AS deleted FROM ds_get_data(stream('long'), 'seconds');
SELECT ds_backprocess_streams();
SELECT long_slope() = :'slope' AS same;
DELETE FROM datastream.datapoints_seconds WHERE stream_id = stream('long slope') AND start > at(1000);
SELECT ds_backprocess_streams();
SELECT min(t) = at(1) AS first, max(t) = at(9999) AS last, count(*) BETWEEN 1001 AND 9000 AS some, bool_and(value = 2 * extract(epoch FROM t - at(0)) - 1) AS right
FROM ds_get_series(stream('long slope'), 'seconds');

-- A stream that others derive from stays.
SELECT raises($$SELECT ds_delete_streams('{"name": "uptime"}')$$);
SELECT raises($$SELECT ds_delete_streams('{"name": "resets"}')$$);
SELECT ds_delete_streams('{"name": "rate"}');
SELECT ds_delete_streams('{"name": "rate without"}');
SELECT ds_delete_streams('{"name": "resets"}');
SELECT ds_delete_streams() > 0 AS all_deleted;
SELECT count(*) FROM ds_find_streams();
DROP FUNCTION at, vals, derive_all, derived, long_slope, long_buckets;
DROP PROCEDURE check_property, mend;
