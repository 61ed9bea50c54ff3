-- What goes wrong, and how it is said
SET timezone = 'UTC';

-- A fingerprint of all tables, to see that what fails changes nothing
CREATE FUNCTION state() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	tab regclass;
	part text;
	result text := '';
BEGIN
	FOR tab IN SELECT oid FROM pg_class WHERE relnamespace = 'datastream'::regnamespace AND relkind = 'r' ORDER BY relname LOOP
		EXECUTE format('SELECT md5(coalesce(string_agg(x::text, chr(10) ORDER BY x::text), '''')) FROM %s x', tab) INTO part;
		result := md5(result || part);
	END LOOP;
	RETURN result;
END
$$;

-- Calls, and what each raises
CREATE FUNCTION calls(VARIADIC calls text[]) RETURNS TABLE (call text, raised text) LANGUAGE sql AS $$
	SELECT c, raises('SELECT ' || c) FROM unnest(calls) c
$$;
-- Where the message is the server's own, only the SQLSTATE
CREATE FUNCTION states(VARIADIC calls text[]) RETURNS TABLE (call text, state text) LANGUAGE sql AS $$
	SELECT call, CASE raised WHEN 'nothing' THEN raised ELSE left(raised, 5) END FROM calls(VARIADIC calls)
$$;

SELECT count(ds_ensure_stream(jsonb_build_object('name', name))) FROM unnest(ARRAY['a', 'b']) name;
SELECT ds_ensure_stream('{"name": "label"}', value_type => 'nominal') IS NOT NULL
	AND ds_ensure_stream('{"name": "net"}', value_type => 'graph') IS NOT NULL
	AND ds_ensure_stream('{"name": "minutes"}', highest_granularity => 'minutes') IS NOT NULL
	AND ds_ensure_stream('{"name": "bare"}', value_downsamplers => '{}') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "sum"}', derive_from => jsonb_build_array(stream('a'), stream('b')), derive_op => 'sum') IS NOT NULL AS made;
SELECT ds_append_multiple(stream(name), array_agg(timestamptz '2000-01-01 00:00:00+00' + i * interval '1 s' ORDER BY i), array_agg(i::float8 ORDER BY i))
FROM unnest(ARRAY['a', 'b']) name, generate_series(0, 99) i GROUP BY name;
SELECT count(*) FROM ds_downsample_streams();
SELECT state() AS before \gset

\pset format unaligned
\pset tuples_only on

-- The calls in these lists are not echoed: each is shown with what it raises.
\set ECHO none


\echo -- TS001 stream_not_found, everywhere
SELECT * FROM calls(
	$$ds_append('00000000-0000-0000-0000-000000000000', 1::bigint)$$,
	$$ds_append('00000000-0000-0000-0000-000000000000', 1::float8)$$,
	$$ds_append('00000000-0000-0000-0000-000000000000', 1::numeric)$$,
	$$ds_append('00000000-0000-0000-0000-000000000000', '1'::jsonb)$$,
	$$ds_append('00000000-0000-0000-0000-000000000000', '1'::text)$$,
	$$ds_append_multiple('[{"stream_id": "00000000-0000-0000-0000-000000000000", "value": 1}]')$$,
	$$ds_append_multiple('00000000-0000-0000-0000-000000000000'::uuid, '{2000-01-01}', '{1}')$$,
	$$ds_append_multiple('{00000000-0000-0000-0000-000000000000}'::uuid[], '{2000-01-01}', '{1}')$$,
	$$ds_get_data('00000000-0000-0000-0000-000000000000', 'seconds')$$,
	$$ds_get_data('00000000-0000-0000-0000-000000000000', 'years')$$,
	$$ds_get_series('00000000-0000-0000-0000-000000000000', 'seconds')$$,
	$$ds_get_tags('00000000-0000-0000-0000-000000000000')$$,
	$$ds_update_tags('00000000-0000-0000-0000-000000000000', '{}')$$,
	$$ds_remove_tag('00000000-0000-0000-0000-000000000000', '{}')$$,
	$$ds_clear_tags('00000000-0000-0000-0000-000000000000')$$,
	$$ds_ensure_stream('{"name": "x"}', derive_from => '"00000000-0000-0000-0000-000000000000"', derive_op => 'sum')$$);
\echo -- TS002 multiple_streams_returned
SELECT * FROM calls($$ds_ensure_stream('{}')$$);
\echo -- TS003 inconsistent_stream_configuration
SELECT * FROM calls(
	$$ds_ensure_stream('{"name": "a"}', value_type => 'nominal')$$,
	$$ds_ensure_stream('{"name": "a"}', value_type_options => '{"high_accuracy": true}')$$,
	$$ds_ensure_stream('{"name": "a"}', highest_granularity => 'milliseconds')$$,
	$$ds_ensure_stream('{"name": "a"}', value_downsamplers => '{count}')$$,
	$$ds_ensure_stream('{"name": "a"}', derive_from => to_jsonb(stream('a')), derive_op => 'sum')$$,
	$$ds_ensure_stream('{"name": "sum"}')$$,
	$$ds_ensure_stream('{"name": "sum"}', derive_from => to_jsonb(stream('a')), derive_op => 'sum')$$,
	$$ds_ensure_stream('{"name": "sum"}', derive_from => to_jsonb(stream('a')), derive_op => 'derivative')$$);
\echo -- TS004 outstanding_dependencies
SELECT * FROM calls($$ds_delete_streams('{"name": "a"}')$$,
	$$ds_delete_streams(jsonb_build_object('stream_id', stream('b')))$$);
\echo -- TS005 unsupported_downsampler
SELECT * FROM calls(
	$$ds_ensure_stream('{"name": "x"}', value_downsamplers => '{average}')$$,
	$$ds_ensure_stream('{"name": "x"}', value_downsamplers => '{sum}', value_type => 'nominal')$$,
	$$ds_ensure_stream('{"name": "x"}', value_downsamplers => '{most_often}', value_type => 'graph')$$,
	$$ds_get_data(stream('a'), 'minutes', value_downsamplers => '{average}')$$,
	$$ds_get_data(stream('a'), 'minutes', value_downsamplers => '{median}')$$,
	$$ds_get_data(stream('a'), 'minutes', time_downsamplers => '{median}')$$);
\echo -- TS006 unsupported_granularity
SELECT * FROM calls(
	$$ds_ensure_stream('{"name": "x"}', highest_granularity => 'weeks')$$,
	$$ds_ensure_stream('{"name": "x"}', highest_granularity => 'months')$$,
	$$ds_ensure_stream('{"name": "x"}', highest_granularity => 'years')$$,
	$$ds_get_data(stream('a'), 'weeks')$$,
	$$ds_get_series(stream('a'), 'Seconds')$$,
	$$ds_round('second', now())$$);
\echo -- TS007 unsupported_derive_operator
SELECT * FROM calls(
	$$ds_ensure_stream('{"name": "x"}', derive_from => to_jsonb(stream('a')), derive_op => 'average')$$,
	$$ds_ensure_stream('{"name": "x"}', derive_from => to_jsonb(stream('a')), derive_op => 'counter_reset')$$,
	$$ds_ensure_stream('{"name": "x"}', derive_from => to_jsonb(stream('a')), derive_op => 'sum', value_type => 'graph')$$);
\echo -- TS008 unsupported_value_type
SELECT * FROM calls($$ds_ensure_stream('{"name": "x"}', value_type => 'boolean')$$);
\echo -- TS009 reserved_tag_name
SELECT * FROM calls(
	$$ds_ensure_stream('{"stream_id": 1}')$$,
	$$ds_ensure_stream('{"name": "x"}', '{"contributes_to": 1}')$$,
	$$ds_update_tags(stream('a'), '{"downsampled_until": 1}')$$);
\echo -- TS010 invalid_timestamp
SELECT * FROM calls(
	$$ds_append(stream('a'), 1, '2000-01-01 00:00:00+00')$$,
	$$ds_append(stream('a'), 1, '1969-12-31 23:59:59+00', false)$$,
	$$ds_append_multiple(stream('a'), '{2000-01-03 00:00:00+00, 2000-01-02 00:00:00+00}', '{1, 2}')$$,
	$$ds_round('days', 'infinity')$$);
\echo -- TS011 incompatible_granularities
SELECT * FROM calls(
	$$ds_ensure_stream('{"name": "x"}', derive_from => jsonb_build_array(stream('a'), stream('minutes')), derive_op => 'sum')$$,
	$$ds_ensure_stream('{"name": "x"}', derive_from => jsonb_build_array(jsonb_build_object('stream', stream('minutes'), 'granularity', 'seconds')), derive_op => 'sum')$$);
\echo -- TS012 incompatible_types
SELECT * FROM calls(
	$$ds_ensure_stream('{"name": "x"}', derive_from => to_jsonb(stream('label')), derive_op => 'sum')$$,
	$$ds_get_series(stream('label'), 'seconds')$$,
	$$ds_get_series(stream('net'), 'years')$$);
\echo -- TS013 append_to_derived_stream_not_allowed
SELECT * FROM calls(
	$$ds_append(stream('sum'), 1)$$,
	$$ds_append(stream('sum'), 1, '2000-01-01', false)$$,
	$$ds_append_multiple(jsonb_build_array(jsonb_build_object('stream_id', stream('sum'), 'value', 1)))$$,
	$$ds_append_multiple(stream('sum'), '{2000-01-02}', '{1}')$$);
\echo -- TS014 invalid_operator_arguments
SELECT * FROM calls(
	$$ds_ensure_stream('{"name": "x"}', derive_from => jsonb_build_array(stream('a'), stream('b')), derive_op => 'derivative')$$,
	$$ds_ensure_stream('{"name": "x"}', derive_from => jsonb_build_array(stream('a'), stream('b')), derive_op => 'counter_derivative')$$,
	$$ds_ensure_stream('{"name": "x"}', derive_from => to_jsonb(stream('a')), derive_op => 'sum', derive_args => '{"max_value": 1}')$$,
	$$ds_ensure_stream('{"name": "x"}', derive_op => 'sum')$$,
	$$ds_ensure_stream('{"name": "x"}', derive_from => to_jsonb(stream('a')))$$,
	$$ds_ensure_stream('{"name": "x"}', derive_args => '{}')$$);

\set ECHO all
SELECT state() = :'before' AS unchanged;

-- TS015 maintenance_interrupted: the stream's progress is lost, or cannot be written
BEGIN;
DELETE FROM datastream.progress WHERE stream_id = stream('a');
SELECT * FROM calls($$ds_append(stream('a'), 1, '2000-01-01 00:00:00+00', false)$$);
ROLLBACK;
CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
BEGIN;
CREATE TRIGGER swallow BEFORE UPDATE ON datastream.progress FOR EACH ROW EXECUTE FUNCTION swallow();
SELECT * FROM calls($$ds_append(stream('a'), 1, '2000-01-01 00:00:00+00', false)$$);
ROLLBACK;
BEGIN;
CREATE TRIGGER swallow BEFORE UPDATE ON datastream.sources FOR EACH ROW EXECUTE FUNCTION swallow();
SELECT * FROM calls($$(ds_append(stream('a'), 1, '2000-01-02 00:00:00+00')).v, ds_append(stream('b'), 1, '2000-01-02 00:00:00+00')$$);
ROLLBACK;

-- TS016 stream_append_contended needs two sessions: see the isolation tests.

-- TS017 stream_append_failed: a row was not stored
BEGIN;
CREATE TRIGGER swallow BEFORE UPDATE ON datastream.heads FOR EACH ROW EXECUTE FUNCTION swallow();
SELECT * FROM calls($$ds_append(stream('a'), 1, '2000-01-02 00:00:00+00')$$,
	$$ds_append_multiple(stream('a'), '{2000-01-02 00:00:00+00}', '{1}')$$);
ROLLBACK;
BEGIN;
CREATE TRIGGER swallow BEFORE INSERT OR UPDATE ON datastream.datapoints_seconds FOR EACH ROW EXECUTE FUNCTION swallow();
SELECT * FROM calls($$ds_append_multiple(stream('bare'), array_agg(t), array_agg(1::float8)) FROM generate_series(timestamptz '2000-01-02 00:00:00', '2000-01-02 00:01:00', '1 s') t$$,
	$$count(ds_append(stream('bare'), 1::bigint, t)) FROM generate_series(timestamptz '2000-01-02 00:00:00', '2000-01-02 00:01:00', '1 s') t$$);
ROLLBACK;

-- TS100 datastream_warning: one stream fails, and the others go on
\set VERBOSITY sqlstate
BEGIN;
SELECT count(ds_append(stream(name), 7, '2000-01-03 00:00:00+00')) FROM unnest(ARRAY['a', 'b']) name;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.stream_id = stream('a') THEN
		RAISE EXCEPTION 'not this one';
	END IF;
	RETURN NEW;
END
$$;
CREATE TRIGGER refuse BEFORE INSERT ON datastream.datapoints_hours FOR EACH ROW EXECUTE FUNCTION refuse();
SELECT tags->>'name' AS name, granularity, count(*) FROM ds_downsample_streams(return_datapoints => true)
JOIN datastream.streams USING (stream_id) WHERE granularity = 'hours' GROUP BY 1, 2 ORDER BY 1;
ROLLBACK;
-- TS101 invalid_value: an operator meets a value that it cannot use
BEGIN;
SELECT ds_ensure_stream('{"name": "slope"}', derive_from => to_jsonb(stream('a')), derive_op => 'derivative', derive_backprocess => false) IS NOT NULL AS made;
SELECT v FROM ds_append(stream('a'), 1, '2000-01-02 00:00:00+00');
SELECT v FROM ds_append(stream('a'), 2, '2000-01-02 00:00:00+00');
ROLLBACK;
-- TS102 internal_inconsistency: a level claims to be further than the one above
BEGIN;
UPDATE datastream.progress SET downsampled_until[7] = '2000-01-02' WHERE stream_id = stream('a');
SELECT (ds_append(stream('a'), 7, '2000-01-03 00:00:00+00')).v;
SELECT count(*) FROM ds_downsample_streams('{"name": "a"}');
ROLLBACK;
-- TS103 downsample_consistency_not_guaranteed: a late datapoint
BEGIN;
SELECT (ds_append(stream('a'), 7, '2000-01-01 00:00:05+00', false)).v;
ROLLBACK;
-- TS000 datastream_exception, in a warning: a derived stream without sources
BEGIN;
DELETE FROM datastream.sources WHERE stream_id = stream('sum');
SELECT ds_backprocess_streams();
ROLLBACK;
\set VERBOSITY default

SELECT state() = :'before' AS unchanged;

-- What each parameter refuses
\set ECHO none

\echo -- ds_ensure_stream
SELECT * FROM calls(
	$$ds_ensure_stream(NULL)$$, $$ds_ensure_stream('[]')$$, $$ds_ensure_stream('"a"')$$, $$ds_ensure_stream('null')$$,
	$$ds_ensure_stream('{"name": "x"}', '[]')$$, $$ds_ensure_stream('{"name": "x"}', 'null')$$,
	$$ds_ensure_stream('{"name": "x"}', value_downsamplers => '{NULL}')$$,
	$$ds_ensure_stream('{"name": "x"}', value_downsamplers => '{{mean, sum}, {min, max}}')$$,
	$$ds_ensure_stream('{"name": "x"}', value_downsamplers => '{""}')$$,
	$$ds_ensure_stream('{"name": "x"}', highest_granularity => NULL)$$,
	$$ds_ensure_stream('{"name": "x"}', highest_granularity => '')$$,
	$$ds_ensure_stream('{"name": "x"}', value_type => NULL)$$,
	$$ds_ensure_stream('{"name": "x"}', value_type => '')$$,
	$$ds_ensure_stream('{"name": "x"}', value_type_options => '[]')$$,
	$$ds_ensure_stream('{"name": "x"}', value_type_options => '{"high_accuracy": 1}')$$,
	$$ds_ensure_stream('{"name": "x"}', value_type_options => '{"accuracy": true}')$$,
	$$ds_ensure_stream('{"name": "x"}', value_type => 'nominal', value_type_options => '{"high_accuracy": true}')$$,
	$$ds_ensure_stream('{"name": "x"}', derive_op => '')$$,
	$$ds_ensure_stream('{"name": "x"}', derive_from => 'null', derive_op => 'sum')$$,
	$$ds_ensure_stream('{"name": "x"}', derive_from => '[]', derive_op => 'sum')$$,
	$$ds_ensure_stream('{"name": "x"}', derive_from => '[[]]', derive_op => 'sum')$$,
	$$ds_ensure_stream('{"name": "x"}', derive_from => '{"stream": null}', derive_op => 'sum')$$,
	$$ds_ensure_stream('{"name": "x"}', derive_from => '"x"', derive_op => 'sum')$$,
	$$ds_ensure_stream('{"name": "x"}', derive_from => jsonb_build_array(jsonb_build_object('stream', stream('a'), 'granularity', '')), derive_op => 'sum')$$,
	$$ds_ensure_stream('{"name": "x"}', derive_from => to_jsonb(stream('a')), derive_op => 'sum', derive_args => '"x"')$$,
	$$ds_ensure_stream('{"name": "x"}', derive_from => (SELECT jsonb_agg(a) FROM stream('a') a, generate_series(1, 100000)), derive_op => 'sum')$$);
\echo -- No stream derives from itself.
SELECT * FROM calls($$ds_ensure_stream('{"name": "sum"}', derive_from => jsonb_build_array(stream('a'), stream('sum')), derive_op => 'sum')$$);

\echo -- ds_append: values
SELECT * FROM calls(
	$$ds_append(NULL, 1)$$,
	$$ds_append(stream('a'), 'NaN'::float8)$$, $$ds_append(stream('a'), 'infinity'::float8)$$, $$ds_append(stream('a'), '-infinity'::float8)$$,
	$$ds_append(stream('a'), 'NaN'::numeric)$$, $$ds_append(stream('a'), 'NaN'::text)$$, $$ds_append(stream('a'), '"NaN"'::jsonb)$$,
	$$ds_append(stream('a'), 'true'::jsonb)$$, $$ds_append(stream('a'), '[]'::jsonb)$$, $$ds_append(stream('a'), '{}'::jsonb)$$,
	$$ds_append(stream('a'), '{"c": 1}'::jsonb)$$,
	$$ds_append(stream('a'), '{"m": 3, "s": 9, "l": 3, "u": 3, "q": 27, "d": 0, "c": -3}'::jsonb)$$,
	$$ds_append(stream('a'), '{"m": 3, "s": 9, "l": 3, "u": 3, "q": 27, "d": 0, "c": 1.5}'::jsonb)$$,
	$$ds_append(stream('a'), '{"m": 3, "s": "9", "l": 3, "u": 3, "q": 27, "d": 0, "c": 3}'::jsonb)$$,
	$$ds_append(stream('bare'), '{}'::jsonb)$$,
	$$ds_append(stream('net'), 1::bigint)$$, $$ds_append(stream('net'), 1::float8)$$, $$ds_append(stream('net'), 1::numeric)$$,
	$$ds_append(stream('net'), '{"v": {}, "e": []}'::jsonb)$$,
	$$ds_append(stream('net'), '{"v": [{"i": null}], "e": []}'::jsonb)$$,
	$$ds_append(stream('net'), '{"v": [], "e": [{"f": 1, "t": 1}]}'::jsonb)$$,
	$$ds_append(stream('net'), '{"v": [], "e": [], "x": 1}'::jsonb)$$);
SELECT * FROM states($$ds_append(stream('a'), '')$$, $$ds_append(stream('a'), ' ')$$, $$ds_append(stream('a'), '1 2')$$,
	$$ds_append(stream('a'), 'one')$$, $$ds_append(stream('a'), '{"m": 1')$$,
	$$ds_append(stream('net'), 'x')$$, $$ds_append(stream('net'), '')$$,
	$$ds_append(stream('a'), '1' || repeat('0', 200000))$$, $$ds_append(stream('a'), '1e200000'::text)$$,
	$$ds_append('x', 1)$$, $$ds_append(stream('a'), true)$$, $$ds_append(stream('a'), '2000-01-01'::date)$$);
\echo -- and times
SELECT * FROM calls($$ds_append(stream('a'), 1, 'infinity')$$, $$ds_append(stream('a'), 1, '-infinity')$$,
	$$ds_append(stream('a'), 1, '4713-01-01 00:00:00+00 BC')$$, $$ds_append(stream('a'), 1, '294276-12-31 00:00:00+00')$$,
	$$ds_append(stream('a'), 1, '1969-12-31 23:59:59.999999+00', false)$$, $$ds_append(stream('a'), 1, '10000-01-01 00:00:00+00', false)$$);

\echo -- ds_append_multiple with a list
SELECT * FROM calls(
	$$ds_append_multiple(NULL::jsonb)$$, $$ds_append_multiple('null')$$, $$ds_append_multiple('{}')$$, $$ds_append_multiple('"x"')$$,
	$$ds_append_multiple('[null]')$$, $$ds_append_multiple('[[]]')$$, $$ds_append_multiple('[{}]')$$, $$ds_append_multiple('["x"]')$$,
	$$ds_append_multiple('[{"stream_id": null, "value": 1}]')$$, $$ds_append_multiple('[{"stream_id": 1, "value": 1}]')$$,
	$$ds_append_multiple('[{"stream_id": "", "value": 1}]')$$,
	$$ds_append_multiple(jsonb_build_array(jsonb_build_object('stream_id', stream('a'))))$$,
	$$ds_append_multiple(jsonb_build_array(jsonb_build_object('stream_id', stream('a'), 'value', 1, 'timestamp', 946684800)))$$,
	$$ds_append_multiple(jsonb_build_array(jsonb_build_object('stream_id', stream('a'), 'value', 1, 'timestamp', '')))$$,
	$$ds_append_multiple(jsonb_build_array(jsonb_build_object('stream_id', stream('a'), 'value', 1, 'timestamp', 'infinity')))$$,
	$$ds_append_multiple(jsonb_build_array(jsonb_build_object('stream_id', stream('a'), 'value', 1, 'timestamp', '1900-01-01')))$$,
	$$ds_append_multiple(jsonb_build_array(jsonb_build_object('stream_id', stream('a'), 'value', true)))$$,
	$$ds_append_multiple(jsonb_build_array(jsonb_build_object('stream_id', stream('a'), 'value', 1, 'granularity', 'seconds')))$$,
	$$ds_append_multiple(jsonb_build_array(jsonb_build_object('stream_id', stream('b'), 'value', 1), jsonb_build_object('stream_id', stream('a'), 'value', 2), jsonb_build_object('stream_id', stream('sum'), 'value', 1)))$$,
	$$ds_append_multiple((SELECT jsonb_agg(jsonb_build_object('stream_id', a, 'value', CASE WHEN i < 70000 THEN to_jsonb(i) ELSE '{}' END)) FROM stream('a') a, generate_series(1, 100000) i))$$);

\echo -- ds_append_multiple with arrays
SELECT * FROM calls(
	$$ds_append_multiple(NULL::uuid, '{2001-01-01}', '{1}')$$, $$ds_append_multiple(stream('a'), NULL, '{1}')$$,
	$$ds_append_multiple(stream('a'), '{2001-01-01}', NULL)$$, $$ds_append_multiple(stream('a'), '{NULL}', '{1}')$$,
	$$ds_append_multiple(stream('a'), '{2001-01-01}', '{}')$$, $$ds_append_multiple(stream('a'), '{}', '{1}')$$,
	$$ds_append_multiple(stream('a'), '{2001-01-01, 2001-01-02}', '{1}')$$, $$ds_append_multiple(stream('a'), '{2001-01-01}', '{1, 2}')$$,
	$$ds_append_multiple(stream('a'), '{{2001-01-01, 2001-01-02}}', '{1, 2}')$$, $$ds_append_multiple(stream('a'), '{2001-01-01, 2001-01-02}', '{{1, 2}}')$$,
	$$ds_append_multiple(stream('a'), '{2001-01-01, 2001-01-02}', '{1, NaN}')$$, $$ds_append_multiple(stream('a'), '{2001-01-01, infinity}', '{1, 2}')$$,
	$$ds_append_multiple(stream('a'), '{-infinity}', '{1}')$$, $$ds_append_multiple(stream('net'), '{2001-01-01}', '{1}')$$,
	$$ds_append_multiple(NULL::uuid[], '{2001-01-01}', '{1}')$$, $$ds_append_multiple('{NULL}'::uuid[], '{2001-01-01}', '{1}')$$,
	$$ds_append_multiple(ARRAY[stream('a'), stream('b')], '{2001-01-01}', '{1}')$$,
	$$ds_append_multiple(ARRAY[ARRAY[stream('a')], ARRAY[stream('b')]], '{2001-01-01, 2001-01-02}', '{1, 2}')$$,
	$$ds_append_multiple(ARRAY[stream('b'), stream('a'), stream('sum')], '{2001-01-01, 2001-01-02, 2001-01-01}', '{1, 2, 3}')$$);

\echo -- ds_get_data and ds_get_series
SELECT * FROM calls(
	$$ds_get_data(NULL, 'seconds')$$, $$ds_get_data(stream('a'), NULL)$$, $$ds_get_data(stream('a'), '')$$, $$ds_get_data(stream('a'), 'seconds ')$$,
	$$ds_get_data(stream('a'), 'minutes', start => now(), start_exclusive => now())$$,
	$$ds_get_data(stream('a'), 'minutes', "end" => now(), end_exclusive => now())$$,
	$$ds_get_data(stream('a'), 'minutes', value_downsamplers => '{NULL}')$$, $$ds_get_data(stream('a'), 'minutes', value_downsamplers => '{{mean}}')$$,
	$$ds_get_data(stream('a'), 'minutes', value_downsamplers => '{m}')$$, $$ds_get_data(stream('a'), 'minutes', time_downsamplers => '{NULL}')$$,
	$$ds_get_data(stream('a'), 'minutes', time_downsamplers => '{{mean}}')$$, $$ds_get_data(stream('a'), 'minutes', time_downsamplers => '{sum}')$$,
	$$ds_get_data(stream('bare'), 'minutes', value_downsamplers => '{count}')$$,
	$$ds_get_series(NULL, 'seconds')$$, $$ds_get_series(stream('a'), NULL)$$, $$ds_get_series(stream('a'), 'sec')$$,
	$$ds_get_series(stream('a'), 'minutes', start => now(), start_exclusive => now())$$);
\set ECHO all
-- Bounds may lie anywhere, also where no datapoint can be.
SELECT g, (SELECT count(*) FROM ds_get_data(stream('a'), g, '-infinity', 'infinity')) AS all,
	(SELECT count(*) FROM ds_get_data(stream('a'), g, '4713-01-01 BC', '294276-12-31')) AS all_in_range,
	(SELECT count(*) FROM ds_get_data(stream('a'), g, start_exclusive => '-infinity', end_exclusive => 'infinity')) AS all_exclusive,
	(SELECT count(*) FROM ds_get_series(stream('a'), g, '-infinity', 'infinity', reverse => true)) AS series,
	(SELECT count(*) FROM ds_get_data(stream('a'), g, 'infinity')) AS from_infinity,
	(SELECT count(*) FROM ds_get_data(stream('a'), g, "end" => '-infinity')) AS until_infinity,
	(SELECT count(*) FROM ds_get_data(stream('a'), g, '2000-01-02', '2000-01-01')) AS end_before_start
FROM unnest(ARRAY['milliseconds', 'seconds', '10seconds', 'minutes', 'years']) g;

\set ECHO none
\echo -- ds_downsample_streams, ds_backprocess_streams, ds_delete_streams, ds_find_streams
CREATE FUNCTION filter_text(id text) RETURNS boolean LANGUAGE sql RETURN true;
CREATE FUNCTION filter_set(id uuid) RETURNS SETOF boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION filter_integer(id uuid) RETURNS int LANGUAGE sql RETURN 1;
CREATE FUNCTION filter_two(id uuid, other uuid) RETURNS boolean LANGUAGE sql RETURN true;
CREATE PROCEDURE filter_procedure(id uuid) LANGUAGE sql AS 'SELECT true';
SELECT * FROM calls(
	$$ds_downsample_streams('[]')$$, $$ds_downsample_streams('null')$$, $$ds_downsample_streams('{"stream_id": "x"}')$$, $$ds_downsample_streams('{"stream_id": null}')$$,
	$$ds_downsample_streams(filter_stream => 'filter_text(text)')$$, $$ds_downsample_streams(filter_stream => 'filter_set(uuid)')$$,
	$$ds_downsample_streams(filter_stream => 'filter_integer(uuid)')$$, $$ds_downsample_streams(filter_stream => 'filter_two(uuid, uuid)')$$,
	$$ds_downsample_streams(filter_stream => 'filter_procedure(uuid)')$$, $$ds_downsample_streams(filter_stream => 'count("any")')$$,
	$$ds_downsample_streams(filter_stream => 'no_filter(uuid)')$$, $$ds_downsample_streams(filter_stream => 4294967295)$$,
	$$ds_backprocess_streams('[]')$$, $$ds_backprocess_streams('"x"')$$, $$ds_backprocess_streams('{"stream_id": "x"}')$$,
	$$ds_delete_streams('[]')$$, $$ds_delete_streams('1')$$, $$ds_delete_streams('{"stream_id": "x"}')$$, $$ds_delete_streams('{"stream_id": [1]}')$$,
	$$ds_find_streams('[]')$$, $$ds_find_streams('null')$$);
DROP FUNCTION filter_text, filter_set, filter_integer, filter_two;
DROP PROCEDURE filter_procedure;
SELECT * FROM states($$ds_find_streams(filter => '')$$, $$ds_find_streams(filter => '$.')$$, $$ds_find_streams(filter => '$x == 1')$$,
	$$ds_find_streams(filter => '$.name like_regex "("')$$);
\set ECHO all
-- Nothing is due before 1970, and nothing is that does not match.
SELECT count(*) FROM ds_downsample_streams(until => '-infinity', return_datapoints => true);
SELECT count(*) FROM ds_downsample_streams(until => '1900-01-01', return_datapoints => true);
SELECT count(*) FROM ds_downsample_streams(until => 'infinity', return_datapoints => true);
SELECT count(*) FROM ds_downsample_streams('{"name": "x"}', return_datapoints => true);
SELECT count(*) FROM ds_downsample_streams('{"stream_id": "00000000-0000-0000-0000-000000000000"}', return_datapoints => true);
SELECT ds_backprocess_streams('{"name": "x"}'), ds_backprocess_streams('{"stream_id": "00000000-0000-0000-0000-000000000000"}');
SELECT ds_delete_streams('{"name": "x"}'), ds_delete_streams('{"stream_id": "00000000-0000-0000-0000-000000000000"}');

\set ECHO none
\echo -- Tags
SELECT * FROM calls($$ds_get_tags(NULL)$$, $$ds_update_tags(NULL, '{}')$$, $$ds_update_tags(stream('a'), NULL)$$,
	$$ds_update_tags(stream('a'), '[]')$$, $$ds_update_tags(stream('a'), 'null')$$, $$ds_remove_tag(NULL, '{}')$$,
	$$ds_remove_tag(stream('a'), NULL)$$, $$ds_remove_tag(stream('a'), '["name"]')$$, $$ds_remove_tag(stream('a'), '"name"')$$,
	$$ds_clear_tags(NULL)$$);

\echo -- ds_round
SELECT * FROM calls($$ds_round('', now())$$, $$ds_round('days', '1969-12-31 23:59:59+00')$$, $$ds_round('days', '10000-01-01 00:00:00+00')$$,
	$$ds_round('years', '-infinity')$$);
SELECT ds_round(NULL, now()), ds_round('days', NULL);

\echo -- ds_block
SELECT * FROM states($$'x'::ds_block$$, $$''::ds_block$$, $$'\x'::ds_block$$, $$('\x' || repeat('00', 100))::ds_block$$, $$('\x' || repeat('ff', 100))::ds_block$$);

\echo -- JSON nested deeper than the stack allows is refused, by whoever meets it first.
SELECT * FROM states(
	$$ds_append(stream('a'), repeat('[', 100000))$$, $$ds_append(stream('net'), repeat('[', 100000))$$,
	$$ds_append(stream('label'), (repeat('[', 100000) || repeat(']', 100000))::jsonb)$$,
	$$ds_append(stream('label'), repeat('[', 100000) || repeat(']', 100000))$$,
	$$ds_append_multiple((repeat('[', 100000) || repeat(']', 100000))::jsonb)$$,
	$$ds_ensure_stream((repeat('{"a":', 100000) || '1' || repeat('}', 100000))::jsonb)$$,
	$$ds_find_streams((repeat('{"a":', 100000) || '1' || repeat('}', 100000))::jsonb)$$);
\set ECHO all
-- Up to there it is as good as any.
SELECT level, (SELECT DISTINCT left(r, 5) FROM unnest(ARRAY[
		raises(format('SELECT ds_append(stream(''label''), %L::jsonb)', repeat('[', level) || repeat(']', level))),
		raises(format('SELECT ds_update_tags(stream(''a''), %L)', repeat('{"a":', level) || '1' || repeat('}', level))),
		raises(format('SELECT ds_update_tags(stream(''a''), %L)', repeat('{"a":', level) || '2' || repeat('}', level))),
		raises(format('SELECT ds_remove_tag(stream(''a''), %L)', repeat('{"a":', level) || '1' || repeat('}', level))),
		raises(format('SELECT ds_find_streams(%L)', repeat('{"a":', level) || '1' || repeat('}', level)))]) r
	WHERE r <> 'nothing' AND (level < 1000 OR r !~ '^54001')) AS failure
FROM unnest(ARRAY[1, 10, 100, 900, 3000, 6000]) level;
SELECT ds_clear_tags(stream_id), ds_update_tags(stream_id, '{"name": "a"}') FROM datastream.streams WHERE tags ? 'a';
SELECT ds_delete_streams('{"name": "label"}');

-- A label that begins like JSON is not JSON until it ends like it.
SELECT ds_ensure_stream('{"name": "label"}', value_type => 'nominal') IS NOT NULL AS made;
SELECT v FROM unnest(ARRAY['{', '[1', '"', '', ' ', 'nul', '1 2', E'\t', '\u0000', '"\u0041"', 'null']) WITH ORDINALITY AS label(label, n),
	ds_append(stream('label'), label) ORDER BY n;

-- A block in the wrong place is an error for those who need it, and never more.
BEGIN;
UPDATE datastream.heads SET head = (SELECT block FROM datastream.datapoints_minutes WHERE stream_id = stream('a')) WHERE stream_id = stream('a');
SELECT * FROM states($$ds_append(stream('a'), 1)$$, $$ds_append(stream('a'), 1, '2000-01-01 00:01:00+00', false)$$, $$ds_get_data(stream('a'), 'seconds')$$, $$ds_get_series(stream('a'), 'seconds')$$,
	$$ds_get_data(stream('a'), 'minutes')$$, $$ds_append(stream('b'), 1, '2000-01-02 00:00:00+00')$$);
ROLLBACK;
BEGIN;
UPDATE datastream.datapoints_minutes SET block = (SELECT head FROM datastream.heads WHERE stream_id = stream('a')) WHERE stream_id = stream('a');
SELECT * FROM states($$ds_append(stream('a'), 1, '2000-01-02 00:00:00+00')$$, $$ds_get_data(stream('a'), 'seconds')$$, $$ds_get_data(stream('a'), 'minutes')$$, $$ds_get_series(stream('a'), 'minutes')$$);
ROLLBACK;

\pset format aligned
\pset tuples_only off
SELECT ds_delete_streams();
DROP FUNCTION state, calls, states, swallow;
