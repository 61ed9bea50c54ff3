-- Functions find what they need, whatever the search_path of their caller, and
-- call nothing that somebody else has put there.
SET timezone = 'UTC';
SET client_min_messages = error;
CREATE ROLE regress_datastream_evil;
RESET client_min_messages;
CREATE SCHEMA trap AUTHORIZATION regress_datastream_evil;
GRANT USAGE ON SCHEMA trap TO PUBLIC;

-- A schema with traps of the names of all functions and operators of
-- PostgreSQL, with the same arguments, and of types and tables
SET ROLE regress_datastream_evil;
DO $$
DECLARE
	original record;
BEGIN
	FOR original IN
		SELECT proname, proargtypes, CASE WHEN proretset THEN 'SETOF ' ELSE '' END || prorettype::regtype AS result FROM pg_proc
		WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind IN ('f', 'a', 'w') AND provariadic = 0
			AND prorettype NOT IN ('internal'::regtype, 'trigger'::regtype, 'event_trigger'::regtype, 'cstring'::regtype, '"any"'::regtype)
			AND NOT proargtypes::oid[] && ARRAY['internal'::regtype, 'cstring'::regtype, '"any"'::regtype]::oid[]
	LOOP
		BEGIN
			EXECUTE format('CREATE FUNCTION trap.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION %L; END $f$',
				original.proname, array_to_string(original.proargtypes::oid[]::regtype[], ', '), original.result, 'hijacked: ' || original.proname);
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
	END LOOP;
	FOR original IN
		SELECT oprname, oprleft, oprright, oprresult, oprcode FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace
	LOOP
		BEGIN
			EXECUTE format('CREATE FUNCTION trap.operator(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION %L; END $f$',
				concat_ws(', ', nullif(original.oprleft, 0)::regtype, original.oprright::regtype), original.oprresult::regtype, 'hijacked: an operator');
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
		BEGIN
			EXECUTE format('CREATE OPERATOR trap.%s (FUNCTION = trap.operator, %s RIGHTARG = %s)', original.oprname,
				'LEFTARG = ' || nullif(original.oprleft, 0)::regtype || ',', original.oprright::regtype);
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
	END LOOP;
	FOR original IN SELECT typname FROM unnest(ARRAY['uuid', 'jsonb', 'text', 'timestamptz', 'tstzrange', 'tstzmultirange', 'int4', 'int8', 'float8', 'numeric', 'bool', 'ds_block']) typname LOOP
		EXECUTE format('CREATE TYPE trap.%I AS ENUM ()', original.typname);
	END LOOP;
	FOR original IN SELECT relname FROM pg_class WHERE relnamespace = 'datastream'::regnamespace AND relkind = 'r' LOOP
		EXECUTE format('CREATE TABLE trap.%I ()', original.relname);
		EXECUTE format('GRANT ALL ON trap.%I TO PUBLIC', original.relname);
	END LOOP;
END
$$;
RESET ROLE;
SELECT count(*) > 1500 AS functions FROM pg_proc WHERE pronamespace = 'trap'::regnamespace;
SELECT count(*) > 400 AS operators FROM pg_operator WHERE oprnamespace = 'trap'::regnamespace;

-- The whole interface, in words that mean the same everywhere
CREATE FUNCTION always(id uuid) RETURNS boolean LANGUAGE sql RETURN true;
CREATE FUNCTION exercise() RETURNS TABLE (step text, result text) LANGUAGE plpgsql AS $$
DECLARE
	start CONSTANT pg_catalog.timestamptz := '2000-01-01 00:00:00+00';
	a pg_catalog.uuid;
	b pg_catalog.uuid;
	label pg_catalog.uuid;
	exact pg_catalog.uuid;
	graph pg_catalog.uuid;
	sum pg_catalog.uuid;
	slope pg_catalog.uuid;
	reset pg_catalog.uuid;
	rate pg_catalog.uuid;
	lower pg_catalog.uuid;
	late pg_catalog.uuid;
BEGIN
	a := public.ds_ensure_stream('{"name": "a"}', '{"place": {"floor": 1}}', '{mean,sum,min,max,sum_squares,std_dev,count,most_often,least_often,frequencies,median}');
	b := public.ds_ensure_stream('{"name": "b"}');
	label := public.ds_ensure_stream('{"name": "label"}', value_type => 'nominal', value_downsamplers => '{frequencies}');
	graph := public.ds_ensure_stream('{"name": "graph"}', value_type => 'graph');
	exact := public.ds_ensure_stream('{"name": "exact"}', value_type_options => '{"high_accuracy": true}', highest_granularity => 'milliseconds');
	sum := public.ds_ensure_stream('{"name": "sum"}', derive_from => pg_catalog.jsonb_build_array(a, b), derive_op => 'sum');
	slope := public.ds_ensure_stream('{"name": "slope"}', derive_from => pg_catalog.to_jsonb(a), derive_op => 'derivative');
	reset := public.ds_ensure_stream('{"name": "reset"}', derive_from => pg_catalog.to_jsonb(a), derive_op => 'counter_reset', value_type => 'nominal');
	rate := public.ds_ensure_stream('{"name": "rate"}', derive_op => 'counter_derivative', derive_args => '{"max_value": 1000}',
		derive_from => pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('name', 'reset', 'stream', reset), b));
	lower := public.ds_ensure_stream('{"name": "lower"}', derive_op => 'derivative', highest_granularity => 'minutes',
		derive_from => pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('stream', a, 'granularity', 'minutes')));
	PERFORM public.ds_ensure_stream('{"name": "a"}', '{"title": "A", "place": {"floor": 1}}');

	step := 'append';
	result := (SELECT pg_catalog.string_agg((public.ds_append(a, v, ts)).v::pg_catalog.text, ' ' ORDER BY ts) FROM (VALUES (start, 1.5::pg_catalog.numeric), (start, 2), (start, NULL)) x (ts, v));
	RETURN NEXT;
	result := pg_catalog.concat_ws(' ', (public.ds_append(b, 1::pg_catalog.int8, start)).v, (public.ds_append(b, 2::pg_catalog.float8, start)).v,
		(public.ds_append(b, '3'::pg_catalog.text, start)).v, (public.ds_append(b, '4'::pg_catalog.jsonb, start)).v, (public.ds_append(exact, 0.1::pg_catalog.numeric, start)).v,
		(public.ds_append(label, 'on'::pg_catalog.text, start)).v, (public.ds_append(label, '{"x": [1]}'::pg_catalog.text, start)).v,
		(public.ds_append(graph, '{"v": [{"i": 1}], "e": [{"f": 1, "t": 1}]}'::pg_catalog.jsonb, start)).v);
	RETURN NEXT;
	FOR s IN 1..150 LOOP
		PERFORM public.ds_append(a, pg_catalog.int4mod(s, 7)::pg_catalog.int8, start OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => s));
		PERFORM public.ds_append(b, s::pg_catalog.int8, start OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => s));
		PERFORM public.ds_append(label, pg_catalog.chr(pg_catalog.int4pl(65, pg_catalog.int4mod(s, 3))), start OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => s));
	END LOOP;
	result := public.ds_append_multiple(pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('stream_id', a, 'value', 5, 'timestamp', '2000-01-01 00:05:00+00'),
		pg_catalog.jsonb_build_object('stream_id', graph, 'value', NULL, 'timestamp', '2000-01-01 00:05:00+00')));
	RETURN NEXT;
	result := public.ds_append_multiple(b, '{2000-01-01 00:05:00+00, 2000-01-01 00:06:00+00}'::pg_catalog.timestamptz[], '{6, 7}'::pg_catalog.float8[]);
	RETURN NEXT;
	result := public.ds_append_multiple(ARRAY[a, b], '{2000-01-01 00:07:00+00, 2000-01-01 00:07:00+00}'::pg_catalog.timestamptz[], '{8, 9}'::pg_catalog.float8[]);
	RETURN NEXT;

	step := 'downsample';
	result := (SELECT pg_catalog.count(*) FROM public.ds_downsample_streams('{"place": {"floor": 1}}', '2000-01-01 00:01:30+00', true, 'public.always(pg_catalog.uuid)'));
	RETURN NEXT;
	result := (SELECT pg_catalog.count(*) FROM public.ds_downsample_streams(return_datapoints => true));
	RETURN NEXT;
	step := 'append late';
	result := (public.ds_append(a, 100::pg_catalog.int8, '2000-01-01 00:00:30+00', false)).v;
	RETURN NEXT;
	result := (SELECT pg_catalog.count(*) FROM public.ds_downsample_streams());
	RETURN NEXT;
	step := 'backprocess';
	late := public.ds_ensure_stream('{"name": "late"}', derive_from => pg_catalog.to_jsonb(a), derive_op => 'derivative');
	result := public.ds_backprocess_streams();
	RETURN NEXT;

	FOR step, result IN
		SELECT pg_catalog.concat_ws(' ', 'get', d.name, d.g), pg_catalog.concat_ws(' ', (SELECT pg_catalog.count(*) FROM public.ds_get_data(d.id, d.g)),
			(SELECT pg_catalog.concat(g.t, g.v, g.times) FROM public.ds_get_data(d.id, d.g, reverse => true) g LIMIT 1))
		FROM (VALUES (1, 'a', a, 'seconds'), (2, 'a', a, 'minutes'), (3, 'b', b, '10seconds'), (4, 'label', label, 'minutes'), (5, 'graph', graph, 'minutes'), (6, 'exact', exact, 'milliseconds'),
			(7, 'sum', sum, 'seconds'), (8, 'slope', slope, 'seconds'), (9, 'reset', reset, 'minutes'), (10, 'rate', rate, 'minutes'), (11, 'lower', lower, 'minutes'), (12, 'late', late, 'seconds')) d (n, name, id, g)
		ORDER BY d.n
	LOOP
		RETURN NEXT;
	END LOOP;
	step := 'series';
	result := (SELECT pg_catalog.concat(s.*) FROM public.ds_get_series(a, 'minutes', '2000-01-01 00:00:00+00', end_exclusive => '2000-01-01 00:01:00+00') s);
	RETURN NEXT;

	step := 'retention';
	result := pg_catalog.concat_ws(' ', public.ds_set_retention('{"name": "a"}', 'seconds', '1 day'), public.ds_set_retention(NULL, 'years', '1 year'));
	RETURN NEXT;
	result := public.ds_apply_retention();
	RETURN NEXT;
	result := pg_catalog.concat_ws(' ', public.ds_set_retention(NULL, 'years', NULL), pg_catalog.jsonb_object_field(public.ds_get_tags(a), 'retention'));
	RETURN NEXT;

	step := 'tags';
	PERFORM public.ds_update_tags(a, '{"place": {"door": 7}}'), public.ds_remove_tag(a, '{"place": {"floor": ""}}');
	result := (SELECT pg_catalog.string_agg(s.tags::pg_catalog.text, ' ') FROM public.ds_find_streams('{"place": {"door": 7}}', '$.title starts with "A" && $.name like_regex "^a"') s);
	RETURN NEXT;
	result := pg_catalog.jsonb_object_field(public.ds_get_tags(a), 'downsampled_until');
	RETURN NEXT;
	PERFORM public.ds_clear_tags(a);
	result := public.ds_round('months', '2000-02-29 12:00:00+00');
	RETURN NEXT;
	step := 'delete';
	result := public.ds_delete_streams(pg_catalog.jsonb_build_object('stream_id', late));
	RETURN NEXT;
	result := public.ds_delete_streams();
	RETURN NEXT;
END
$$;

-- In a new session, so that nothing has been looked up before
CREATE TABLE results (path text, step text, result text, n serial);
GRANT ALL ON results, results_n_seq TO PUBLIC;
\c -
SET timezone = 'UTC';
SET search_path = trap, pg_catalog, public;
-- The traps work,
SELECT 1 = 1;
SELECT now();
SELECT 'text'::text;
-- and nobody falls in.  (Warnings tell of datapoints at equal times and of a late one.)
\set VERBOSITY sqlstate
INSERT INTO public.results SELECT 'hostile', * FROM public.exercise();
\c -
SET timezone = 'UTC';
SET search_path = '';
INSERT INTO public.results SELECT 'empty', * FROM public.exercise();
RESET search_path;
INSERT INTO results SELECT 'usual', * FROM exercise();
SET search_path = trap, pg_catalog, public;
INSERT INTO public.results SELECT 'hostile again', * FROM public.exercise();
\set VERBOSITY default
RESET search_path;
SELECT step, result FROM results WHERE path = 'usual' ORDER BY n;
SELECT path, count(*), string_agg(result, ' ' ORDER BY n) = (SELECT string_agg(result, ' ' ORDER BY n) FROM results WHERE path = 'usual') AS same
FROM results GROUP BY path ORDER BY path;

-- Aggregates, too
SET search_path = trap, pg_catalog, public;
SELECT public.ds_mean(x), public.ds_sum(x), public.ds_min(x), public.ds_max(x), public.ds_sum_squares(x), public.ds_std_dev(x), public.ds_count(x), public.ds_median(x),
	public.ds_most_often(x), public.ds_least_often(x), public.ds_frequencies(x) FROM pg_catalog.unnest('{1, 2, 2, 3}'::pg_catalog.float8[]) x;
SELECT public.ds_most_often(x), public.ds_least_often(x), public.ds_frequencies(x) FROM pg_catalog.unnest('{a, b, b, c}'::pg_catalog.text[]) x;
SELECT public.ds_most_often(x), public.ds_least_often(x), public.ds_frequencies(x) FROM (VALUES ('{"a": 1}'::pg_catalog.jsonb), ('{"a": 1}'), ('[2]')) v (x);
SELECT public.ds_time_mean(x), public.ds_time_first(x), public.ds_time_last(x), public.ds_intervals_mean(x), public.ds_intervals_min(x), public.ds_intervals_max(x),
	public.ds_intervals_sum_squares(x), public.ds_intervals_std_dev(x) FROM pg_catalog.unnest('{2000-01-01 00:00:00+00, 2000-01-01 00:00:10+00, 2000-01-01 00:00:30+00}'::pg_catalog.timestamptz[]) x;
RESET search_path;

SET client_min_messages = error;
DROP SCHEMA trap CASCADE;
RESET client_min_messages;
DROP ROLE regress_datastream_evil;
DROP FUNCTION always, exercise;
DROP TABLE results;
