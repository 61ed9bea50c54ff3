-- Retention: keeping datapoints for a limited time
SET timezone = 'UTC';
CREATE FUNCTION at(seconds int) RETURNS timestamptz LANGUAGE sql RETURN timestamptz '2000-01-01 00:00:00+00' + seconds * interval '1 s';
CREATE FUNCTION fill(name text, first int, last int) RETURNS bigint LANGUAGE sql
RETURN (SELECT ds_append_multiple(stream(name), array_agg(at(i) ORDER BY i), array_agg((i % 101)::float8 ORDER BY i)) FROM generate_series(first, last) i);
-- What a stream has at each granularity
CREATE FUNCTION has(name text, OUT granularity text, OUT n bigint, OUT first timestamptz, OUT last timestamptz) RETURNS SETOF record LANGUAGE sql
BEGIN ATOMIC
	SELECT g, count(t), min(t), max(t)
	FROM unnest(ARRAY['seconds', '10seconds', 'minutes', '10minutes', 'hours', '6hours', 'days', 'months', 'years']) WITH ORDINALITY AS x (g, i),
		LATERAL ds_get_data(stream(name), g) GROUP BY i, g ORDER BY i;
END;
CREATE FUNCTION expired_until(name text) RETURNS timestamptz LANGUAGE sql
RETURN (SELECT expired_until FROM datastream.progress WHERE stream_id = stream(name));

-- How long a stream keeps its datapoints is said for each granularity.
SELECT ds_ensure_stream('{"name": "a", "kind": "x"}') IS NOT NULL AND ds_ensure_stream('{"name": "b", "kind": "x"}', highest_granularity => 'minutes') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "raw", "kind": "x"}', value_downsamplers => '{}') IS NOT NULL AS made;
SELECT ds_get_tags(stream('a'))->'retention' AS retention;
SELECT ds_set_retention('{"name": "a"}', 'seconds', '7 days'), ds_set_retention(jsonb_build_object('stream_id', stream('a')), 'hours', '2 years 3 months 4 hours 30.5 s');
SELECT ds_get_tags(stream('a'))->'retention' AS retention;
SET intervalstyle = 'sql_standard';
SELECT ds_get_tags(stream('a'))->'retention' AS retention;
RESET intervalstyle;
SELECT ds_set_retention('{"name": "a"}', 'seconds', '36:00');
SELECT ds_get_tags(stream('a'))->'retention' AS retention;
SELECT ds_set_retention('{"name": "a"}', 'hours', NULL);
SELECT ds_get_tags(stream('a'))->'retention' AS retention;
SELECT ds_set_retention('{"name": "a"}', 'hours', NULL), ds_set_retention('{"name": "a"}', 'seconds', NULL);
SELECT ds_get_tags(stream('a')) ? 'retention' AS has;

-- Streams that have not got the granularity are left out.
SELECT ds_set_retention('{"kind": "x"}', 'seconds', '1 day'), ds_set_retention('{"kind": "x"}', 'minutes', '1 day'), ds_set_retention(NULL, 'years', '1 day');
SELECT tags->>'name' AS name, ds_get_tags(stream_id)->'retention' AS retention FROM ds_find_streams();
SELECT ds_set_retention('{"kind": "y"}', 'seconds', '1 day');
SELECT raises('SELECT ds_set_retention(' || arguments || ')') FROM unnest(ARRAY[$$'{"name": "b"}', 'seconds', '1 day'$$, $$'{"name": "raw"}', 'minutes', '1 day'$$,
	$$'{}', 'weeks', '1 day'$$, $$'{}', NULL, '1 day'$$, $$'{}', 'seconds', '0'$$, $$'{}', 'seconds', '-1 day'$$, $$'{}', 'seconds', '1 month -40 days'$$, $$'{}', 'seconds', '1 month -1 day'$$,
	$$'{}', 'seconds', '1001 years'$$, $$'{}', 'seconds', '178000000 years'$$, $$'[]', 'seconds', '1 day'$$, $$'{"stream_id": 1}', 'seconds', '1 day'$$]) arguments;
SELECT ds_set_retention(NULL, 'seconds', '1000 years'), ds_apply_retention();

-- The name is reserved.
SELECT raises($$SELECT ds_update_tags(stream('a'), '{"retention": 1}')$$), raises($$SELECT ds_ensure_stream('{"name": "z"}', '{"retention": 1}')$$);

-- It goes with the stream.
SELECT ds_delete_streams('{"name": "b"}');
SELECT granularity, count(*) FROM datastream.retention GROUP BY granularity ORDER BY granularity;
SELECT ds_delete_streams();
SELECT count(*) FROM datastream.retention;

-- Whole blocks are deleted, of what the next granularity has taken over; the
-- newest datapoints, which are in the head, stay.
SELECT ds_ensure_stream('{"name": "a"}') IS NOT NULL AS made;
SELECT fill('a', 0, 9999), ds_set_retention('{"name": "a"}', 'seconds', '1 year');
SELECT ds_apply_retention();
SELECT FROM ds_downsample_streams(until => at(4205));
SELECT ds_apply_retention(), ds_apply_retention();
SELECT * FROM has('a');
SELECT FROM ds_downsample_streams();
SELECT ds_apply_retention(), ds_apply_retention();
SELECT * FROM has('a');
SELECT earliest_datapoint, latest_datapoint FROM ds_find_streams();
-- A range that is gone gives what is left.
SELECT count(*) FROM ds_get_data(stream('a'), 'seconds', at(100), at(9500));
SELECT count(*) FROM ds_get_series(stream('a'), 'seconds', at(100), at(500));
SELECT t, v->'c' AS c FROM ds_get_data(stream('a'), 'hours', at(100), at(9500));

-- Late datapoints are refused where their buckets cannot be made again.
SELECT expired_until('a');
SELECT raises($$SELECT ds_append(stream('a'), 1, at(8999), false)$$);
SELECT fill('a', 10000, 10100);
\set VERBOSITY sqlstate
SELECT v FROM ds_append(stream('a'), 1000, at(9000), false);
\set VERBOSITY default
SELECT FROM ds_downsample_streams();
SELECT t, v->'c' AS c, v->'u' AS u FROM ds_get_data(stream('a'), '10seconds', at(8980), at(9010));
SELECT * FROM has('a') WHERE granularity = 'seconds';

-- A granularity in the middle goes by itself, and so does what is coarser.
CREATE TABLE before AS SELECT g, t, v, times FROM unnest(ARRAY['10seconds', '10minutes', 'hours']) g, ds_get_data(stream('a'), g);
SELECT ds_set_retention('{"name": "a"}', 'minutes', '1 month'), ds_apply_retention();
SELECT fill('a', 20000, 90000);
SELECT FROM ds_downsample_streams();
SELECT ds_apply_retention();
SELECT * FROM has('a');
SELECT expired_until('a');
SELECT g, count(*) FROM (SELECT * FROM before EXCEPT SELECT g, t, v, times FROM unnest(ARRAY['10seconds', '10minutes', 'hours']) g, ds_get_data(stream('a'), g)) x GROUP BY g;
DROP TABLE before;
SELECT sum(ds_set_retention('{"name": "a"}', g, '1 day')) FROM unnest(ARRAY['10seconds', '10minutes', 'hours', '6hours', 'months']) g;
SELECT ds_append_multiple(stream('a'), '{2003-05-05, 2003-05-06}', '{1, 2}');
SELECT FROM ds_downsample_streams();
SELECT ds_apply_retention() > 0 AS deleted;
SELECT * FROM has('a');
SELECT t, v->'c' AS c FROM ds_get_data(stream('a'), 'years');
SELECT earliest_datapoint, latest_datapoint FROM ds_find_streams();
SELECT raises($$SELECT ds_append(stream('a'), 1, '2002-12-31', false)$$);
\set VERBOSITY sqlstate
SELECT v FROM ds_append(stream('a'), 1000, '2003-05-06', false);
\set VERBOSITY default
SELECT ds_append_multiple(stream('a'), '{2003-05-07}', '{3}');
SELECT FROM ds_downsample_streams();
SELECT t, v->'c' AS c, v->'u' AS u FROM ds_get_data(stream('a'), 'days', '2003-01-01') WHERE v->'c' > '0';
-- Nothing is made of years, so all of them can go.
SELECT ds_set_retention('{"name": "a"}', 'years', '1 day'), ds_apply_retention();
SELECT * FROM has('a') WHERE granularity IN ('months', 'years');
SELECT ds_delete_streams();

-- A stream that is not downsampled
SELECT ds_ensure_stream('{"name": "raw"}', value_downsamplers => '{}', highest_granularity => 'milliseconds') IS NOT NULL AS made;
SELECT fill('raw', 0, 2499), ds_set_retention('{"name": "raw"}', 'milliseconds', '1 year'), ds_apply_retention();
SELECT count(*), min(t) FROM ds_get_data(stream('raw'), 'milliseconds');
SELECT raises($$SELECT ds_append(stream('raw'), 1, at(2400), false)$$);
SELECT v FROM ds_append(stream('raw'), 1000, at(2499) - interval '1 ms', false);
SELECT ds_delete_streams();

-- By the clock: of a datapoint a minute in the last 40 days, all that is
-- younger stays, and what is older only as far as its block reaches.
SELECT date_trunc('hour', now()) AS hour \gset
SELECT ds_ensure_stream('{"name": "minutes"}', highest_granularity => 'minutes') IS NOT NULL AS made;
SELECT ds_append_multiple(stream('minutes'), array_agg(t ORDER BY t), array_agg(1::float8 ORDER BY t))
FROM generate_series(timestamptz :'hour' - interval '40 days', timestamptz :'hour' - interval '1 min', '1 min') t;
SELECT FROM ds_downsample_streams();
SELECT ds_set_retention(NULL, 'minutes', '10 days'), ds_set_retention(NULL, '10minutes', '20 days'), ds_set_retention(NULL, 'hours', '1 year');
SELECT ds_apply_retention() BETWEEN 30 * 1440 - 1000 + 20 * 144 - 1000 AND 30 * 1440 + 20 * 144 + 70 AS deleted;
SELECT min(t) BETWEEN timestamptz :'hour' - interval '10 days 1000 min' AND now() - interval '10 days' AS right,
	min(t) + count(*) * interval '1 min' = :'hour' AS all FROM ds_get_data(stream('minutes'), 'minutes');
SELECT min(t) BETWEEN timestamptz :'hour' - interval '20 days 10000 min' AND now() - interval '20 days' AS right,
	min(t) + count(*) * interval '10 min' BETWEEN timestamptz :'hour' - interval '10 min' AND :'hour' AS all FROM ds_get_data(stream('minutes'), '10minutes');
SELECT count(*) BETWEEN 40 * 24 - 1 AND 40 * 24 AS all FROM ds_get_data(stream('minutes'), 'hours');
-- When something is looked at next: when its oldest block expires.
SELECT r.granularity, r.check_at - r.keep - (SELECT max(t) FROM ds_get_data(b.stream_id, r.granularity, "end" => b.until)) AS after
FROM datastream.retention r, LATERAL (SELECT stream_id, until FROM datastream.datapoints_minutes WHERE r.granularity = 'minutes'
	UNION ALL SELECT stream_id, until FROM datastream.datapoints_10minutes WHERE r.granularity = '10minutes' ORDER BY until LIMIT 1) b
WHERE b.stream_id = r.stream_id ORDER BY 1;
SELECT ds_delete_streams();

-- What a derived stream has still to read stays.
SELECT ds_ensure_stream('{"name": "a"}') IS NOT NULL AND ds_ensure_stream('{"name": "b"}') IS NOT NULL AS made;
SELECT fill('a', 0, 4999), fill('b', 0, 4999);
SELECT ds_ensure_stream('{"name": "slope"}', derive_from => to_jsonb(stream('a')), derive_op => 'derivative') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "total"}', derive_from => jsonb_build_array(stream('a'), stream('b')), derive_op => 'sum') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "minutes slope"}', highest_granularity => 'minutes', derive_op => 'derivative',
	derive_from => jsonb_build_array(jsonb_build_object('stream', stream('b'), 'granularity', 'minutes'))) IS NOT NULL AS made;
SELECT FROM ds_downsample_streams();
SELECT ds_set_retention(jsonb_build_object('stream_id', stream_id), g, '1 year') FROM ds_find_streams() s, unnest(ARRAY['seconds', 'minutes']) g
WHERE tags->>'name' IN ('a', 'b');
SELECT ds_apply_retention();
SELECT ds_backprocess_streams('{"name": "slope"}'), ds_apply_retention();
SELECT ds_backprocess_streams('{"name": "total"}'), ds_apply_retention();
SELECT * FROM has('a') WHERE granularity IN ('seconds', 'minutes');
SELECT * FROM has('b') WHERE granularity IN ('seconds', 'minutes');
SELECT ds_backprocess_streams(), ds_apply_retention();
SELECT * FROM has('slope') WHERE granularity IN ('seconds', 'minutes');
SELECT * FROM has('total') WHERE granularity IN ('seconds', 'minutes');
SELECT * FROM has('minutes slope') WHERE granularity = 'minutes';
-- What derives from a source goes on when all else of that has gone.
SELECT fill('a', 5000, 5099), fill('b', 5000, 5099);
SELECT FROM ds_downsample_streams();
SELECT bool_and((b.v::float8) = CASE WHEN a.v = '0' THEN -100 ELSE 1 END), count(*) FROM ds_get_data(stream('slope'), 'seconds') b JOIN ds_get_data(stream('a'), 'seconds') a USING (t);
SELECT bool_and((b.v::float8) = 2 * a.v::float8), count(*) FROM ds_get_data(stream('total'), 'seconds') b JOIN ds_get_data(stream('a'), 'seconds') a USING (t);
SELECT max(t) FROM ds_get_data(stream('minutes slope'), 'minutes');
-- One that is made later has what is left.
SELECT ds_ensure_stream('{"name": "later"}', derive_from => to_jsonb(stream('a')), derive_op => 'derivative') IS NOT NULL AS made;
SELECT ds_backprocess_streams('{"name": "later"}');
SELECT * FROM has('later') WHERE granularity = 'seconds';
-- What is to be delivered to derived streams is delivered first.
SELECT ds_set_retention(NULL, 'minutes', NULL);
SELECT ds_apply_retention();
SET datastream.derive = background;
SELECT fill('a', 5100, 9999);
SELECT FROM ds_downsample_streams('{"name": "a"}', until => at(9000));
SELECT ds_apply_retention();
SELECT ds_backprocess_streams();
SELECT ds_apply_retention();
RESET datastream.derive;
SELECT ds_delete_streams();

-- A property: what has no limit, and what derives from a stream with limits,
-- is the same as in a control that has none; and what is left of the others is
-- what the control has from then on.
CREATE PROCEDURE check_retention(seed float8, levels text[], derived_levels text[]) LANGUAGE plpgsql AS $$
DECLARE
	kinds CONSTANT text[] := ARRAY['slope', 'total', 'reset', 'rate', 'minutes slope', 'minutes total'];
	last int := 0;
	late timestamptz;
	latest timestamptz;
	kind text;
	deleted bigint := 0;
	ndeleted bigint;
	nlate int := 0;
	r record;
BEGIN
	PERFORM setseed(seed);
	PERFORM ds_ensure_stream(jsonb_build_object('name', name)) FROM unnest(ARRAY['kept', 'control', 'other']) name;
	FOREACH kind IN ARRAY ARRAY['kept', 'control'] LOOP
		PERFORM ds_ensure_stream(jsonb_build_object('name', kind || ' slope', 'from', kind), derive_op => 'derivative', derive_from => to_jsonb(stream(kind)));
		PERFORM ds_ensure_stream(jsonb_build_object('name', kind || ' total', 'from', kind), derive_op => 'sum', derive_from => jsonb_build_array(stream(kind), stream('other')));
		PERFORM ds_ensure_stream(jsonb_build_object('name', kind || ' reset', 'from', kind), derive_op => 'counter_reset', value_type => 'nominal', derive_from => to_jsonb(stream(kind)));
		PERFORM ds_ensure_stream(jsonb_build_object('name', kind || ' rate', 'from', kind), derive_op => 'counter_derivative', derive_args => '{"max_value": 50}',
			derive_from => jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', stream(kind || ' reset')), jsonb_build_object('stream', stream(kind))));
		PERFORM ds_ensure_stream(jsonb_build_object('name', kind || ' minutes slope', 'from', kind), derive_op => 'derivative', highest_granularity => 'minutes',
			derive_from => jsonb_build_array(jsonb_build_object('stream', stream(kind), 'granularity', 'minutes')));
		PERFORM ds_ensure_stream(jsonb_build_object('name', kind || ' minutes total', 'from', kind), derive_op => 'sum', highest_granularity => 'minutes', derive_from =>
			jsonb_build_array(jsonb_build_object('stream', stream(kind), 'granularity', 'minutes'), jsonb_build_object('stream', stream('other'), 'granularity', 'minutes')));
	END LOOP;
	PERFORM ds_set_retention('{"name": "kept"}', level, '1 month') FROM unnest(levels) level;
	PERFORM ds_set_retention('{"from": "kept"}', level, '1 month') FROM unnest(derived_levels) level;

	FOR i IN 1..60 LOOP
		CASE (random() * 5)::int
		WHEN 0 THEN
			IF random() < 0.7 THEN
				PERFORM FROM ds_downsample_streams();
			END IF;
			SELECT ds_apply_retention() INTO ndeleted;
			deleted := deleted + ndeleted;
		WHEN 1 THEN
			PERFORM ds_backprocess_streams();
		WHEN 2 THEN
			-- Late, but behind all that has lost what was before it
			SELECT max(t) INTO late FROM (
				SELECT p.expired_until FROM datastream.progress p JOIN ds_find_streams() s USING (stream_id) WHERE s.tags->>'name' LIKE 'kept%'
				UNION ALL SELECT coalesce(min(t) + interval '1 s', at(last)) FROM ds_get_data(stream('kept'), 'seconds') WHERE v IS NOT NULL
				UNION ALL SELECT coalesce(min(t) + interval '1 min', at(last)) FROM ds_get_data(stream('kept'), 'minutes') WHERE v->'c' > '0') x (t);
			latest := (SELECT latest_datapoint FROM ds_find_streams('{"name": "kept"}'));
			late := late + random() * 0.999 * (latest - late);
			IF late < latest THEN
				PERFORM ds_append(stream(name), 25, late, false) FROM unnest(ARRAY['kept', 'control']) name;
				nlate := nlate + 1;
			END IF;
		ELSE
			FOR r IN SELECT array_agg(at(last + n) ORDER BY n) AS t, array_agg(CASE WHEN random() < 0.95 THEN (random() * 50)::int::float8 END) AS v
				FROM (SELECT k * 3 + (random() * 2)::int AS n FROM generate_series(1, (random() * 400)::int) k) x HAVING count(*) > 0
			LOOP
				PERFORM ds_append_multiple(stream(name), r.t, r.v) FROM unnest(ARRAY['kept', 'control', 'other']) name;
				last := (SELECT extract(epoch FROM max(t) - at(0)) FROM unnest(r.t) t) + (random() * 400)::int;
			END LOOP;
		END CASE;
	END LOOP;
	PERFORM ds_backprocess_streams();
	PERFORM FROM ds_downsample_streams();
	PERFORM ds_backprocess_streams();
	PERFORM FROM ds_downsample_streams();
	SELECT ds_apply_retention() INTO ndeleted;
	deleted := deleted + ndeleted;

	FOREACH kind IN ARRAY kinds || ''::text LOOP
		FOR r IN SELECT g AS level, k.n, k.digest AS kept, c.digest AS control, c.n AS control_n
			FROM unnest(ARRAY['seconds', '10seconds', 'minutes', '10minutes', 'hours']) g,
				LATERAL (SELECT min(t) AS first FROM ds_get_data(stream(trim('kept ' || kind)), g)) f,
				LATERAL (SELECT count(*) AS n, md5(string_agg(concat_ws(' ', t, v, times), ',')) AS digest FROM ds_get_data(stream(trim('kept ' || kind)), g)) k,
				LATERAL (SELECT count(*) AS n, md5(string_agg(concat_ws(' ', t, v, times), ',') FILTER (WHERE t >= first)) AS digest FROM ds_get_data(stream(trim('control ' || kind)), g)) c
		LOOP
			IF r.kept IS DISTINCT FROM r.control OR
				(r.n < r.control_n) > (r.level = ANY (CASE WHEN kind = '' THEN levels ELSE derived_levels END)
					OR (kind LIKE 'minutes%' AND r.level LIKE '%seconds' AND 'minutes' = ANY (derived_levels)))
			THEN
				RAISE EXCEPTION 'seed %: % of % at % of % differ', seed, r.n, r.control_n, r.level, trim('kept ' || kind);
			END IF;
		END LOOP;
	END LOOP;
	IF deleted < 100 OR nlate = 0 THEN
		RAISE EXCEPTION 'seed %: too little was tested: % deleted, % late', seed, deleted, nlate;
	END IF;
	PERFORM ds_delete_streams();
END
$$;
SET client_min_messages = error;
CALL check_retention(0.1, '{seconds}', '{}');
CALL check_retention(0.2, '{seconds,10seconds,minutes}', '{}');
CALL check_retention(0.3, '{minutes}', '{seconds,minutes}');
CALL check_retention(0.4, '{seconds,minutes}', '{10seconds,minutes}');
SET datastream.derive = background;
CALL check_retention(0.5, '{seconds,minutes}', '{}');
CALL check_retention(0.6, '{seconds,10seconds,minutes}', '{seconds,minutes}');
RESET datastream.derive;
RESET client_min_messages;

-- An error in one stream is reported, and the others go on.
SELECT ds_ensure_stream('{"name": "a"}', value_downsamplers => '{}') IS NOT NULL AND ds_ensure_stream('{"name": "b"}', value_downsamplers => '{}') IS NOT NULL AS made;
SELECT fill('a', 0, 99), fill('b', 0, 99), ds_set_retention(NULL, 'seconds', '1 day');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.stream_id = stream('a') THEN
		RAISE EXCEPTION 'not this one';
	END IF;
	RETURN OLD;
END
$$;
CREATE TRIGGER refuse BEFORE DELETE ON datastream.datapoints_seconds FOR EACH ROW EXECUTE FUNCTION refuse();
\set VERBOSITY sqlstate
SELECT ds_apply_retention();
\set VERBOSITY default
DROP TRIGGER refuse ON datastream.datapoints_seconds;
SELECT ds_apply_retention();
-- A row that a trigger keeps, stays.
CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RETURN NULL;
END
$$;
SELECT fill('a', 100, 199);
CREATE TRIGGER refuse BEFORE DELETE ON datastream.datapoints_seconds FOR EACH ROW EXECUTE FUNCTION refuse();
SELECT ds_apply_retention();
DROP TRIGGER refuse ON datastream.datapoints_seconds;
SELECT ds_apply_retention();
BEGIN READ ONLY;
SELECT raises('SELECT ds_apply_retention()'), raises($$SELECT ds_set_retention(NULL, 'seconds', '1 day')$$);
COMMIT;
SELECT ds_delete_streams();

DROP FUNCTION at, fill, has, expired_until, refuse;
DROP PROCEDURE check_retention;
