-- What clients send: parameters of no type, of one, and times as numbers
SET timezone = 'UTC';
SET client_min_messages = error;
SELECT ds_ensure_stream('{"name": "number"}') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "exact"}', value_type_options => '{"high_accuracy": true}') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "label"}', value_type => 'nominal') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "graph"}', value_type => 'graph') IS NOT NULL AS made;

-- Which types the parameters of a prepared call get, or the error that it raises.
-- A client library asks for just that when it prepares a statement.
CREATE FUNCTION parameters(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	types text;
BEGIN
	EXECUTE 'PREPARE call_to_describe AS SELECT ' || call;
	SELECT array_to_string(parameter_types, ', ') INTO types FROM pg_prepared_statements WHERE name = 'call_to_describe';
	DEALLOCATE call_to_describe;
	RETURN types;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;

-- No call without types is ambiguous.
SELECT call, parameters(call) FROM unnest(ARRAY[
	'ds_append($1, $2)',
	'ds_append($1, $2, $3)',
	'ds_append($1, $2, $3, $4)',
	'ds_append($1, NULL)',
	'ds_append(stream_id => $1, value => $2, check_timestamp => $3)',
	'ds_append_multiple($1)',
	'ds_append_multiple($1, $2)',
	'ds_append_multiple($1, false)',
	'ds_append_multiple(datapoints => $1)',
	'ds_append_multiple($1, check_timestamp => $2)',
	'ds_append_multiple($1, $2, $3)',
	'ds_append_multiple($1, $2, $3, $4)',
	'ds_append_multiple($1, $2, $3, check_timestamp => $4)',
	'ds_append_multiple(stream_id => $1, ts => $2, value => $3)']) call;

-- Neither is one with types: every type that PostgreSQL makes the one of a form,
-- for each parameter or for some of them.
CREATE TEMP TABLE value_types (type text);
INSERT INTO value_types VALUES ('smallint'), ('integer'), ('bigint'), ('real'), ('double precision'), ('numeric'), ('boolean'),
	('jsonb'), ('json'), ('text'), ('varchar'), ('char(3)'), ('name'), ('unknown');
SELECT type, parameters(format('ds_append($1, $2::%s)', type)) AS without_time,
	parameters(format('ds_append($1::uuid, $2::%s, $3::timestamp)', type)) AS with_time
FROM value_types;
SELECT type, parameters(format('ds_append_multiple($1::%s)', type)), parameters(format('ds_append_multiple($1::%s, $2::boolean)', type))
FROM unnest(ARRAY['jsonb', 'json', 'text', 'varchar', 'unknown', 'uuid']) type;
CREATE TEMP TABLE array_calls AS
SELECT s.type AS streams, format('ds_append_multiple($1%s, $2%s, $3%s)', '::' || s.type, '::' || t.type, '::' || n.type) AS call,
	concat_ws(', ', coalesce(s.type, 'text'), coalesce(t.type, 'timestamp with time zone[]'), coalesce(n.type, 'double precision[]')) AS expected
FROM unnest(ARRAY[NULL, 'uuid', 'uuid[]', 'text', 'character varying']) s (type),
	unnest(ARRAY[NULL, 'timestamp with time zone[]', 'timestamp without time zone[]', 'date[]']) t (type),
	unnest(ARRAY[NULL, 'double precision[]', 'real[]', 'smallint[]', 'integer[]', 'bigint[]', 'numeric[]']) n (type);
SELECT call, parameters(call) FROM array_calls WHERE parameters(call) <> expected;
SELECT count(*) AS calls FROM array_calls;

-- Each goes where its type says.
SELECT v FROM ds_append(stream('label'), true, '2024-01-01');
SELECT v FROM ds_append(stream('label'), 'false', '2024-01-01');
SELECT v FROM ds_append(stream('label'), '{"a": [1, 2.50]}'::json, '2024-01-01');
SELECT v FROM ds_append(stream('label'), 'not JSON', '2024-01-01');
SELECT v FROM ds_append(stream('label'), 'not JSON'::varchar, '2024-01-01');
SELECT v FROM ds_append(stream('label'), 'null'::json, '2024-01-01');
SELECT v FROM ds_append(stream('label'), NULL::boolean, '2024-01-01');
SELECT v FROM ds_append(stream('number'), '1.50'::json, '2024-01-01');
SELECT v FROM ds_append(stream('number'), '18446744073709551617'::json, '2024-01-01');
SELECT v FROM ds_append(stream('number'), ' 2e3 ', '2024-01-01');
SELECT v FROM ds_append(stream('exact'), '1.50'::json, '2024-01-01');
SELECT v FROM ds_append(stream('graph'), '{"v": [{"i": 1}], "e": []}'::json, '2024-01-01');
SELECT v FROM ds_append(stream('graph'), '{"v": [{"i": 1}], "e": []}', '2024-01-01');
SELECT raises($$SELECT ds_append(stream('number'), true)$$);
SELECT raises($$SELECT ds_append(stream('exact'), false)$$);
SELECT raises($$SELECT ds_append(stream('graph'), true)$$);
SELECT raises($$SELECT ds_append(stream('number'), 'true')$$);
SELECT raises($$SELECT ds_append(stream('number'), 'true'::json)$$);
SELECT raises($$SELECT ds_append(stream('number'), '"\u0000"'::json)$$);
SELECT raises($$SELECT ds_append(stream('label'), '"\u0000"'::json)$$);

-- What is no number is refused, however it is written; NaN as a label is one.
SELECT raises(format('SELECT ds_append(stream(%L), %s)', stream, value))
FROM unnest(ARRAY['number', 'exact', 'label']) stream,
	unnest(ARRAY['''NaN''::float8', '''-Infinity''::float8', '''NaN''::numeric', '''Infinity''::numeric', '''nan''', ''' -INF ''']) value
WHERE stream <> 'label' OR value LIKE '%::%';
SELECT v FROM ds_append(stream('label'), 'NaN', '2024-01-01');

-- Arrays of one stream and of many, named by a text
SELECT ds_append_multiple(stream('number')::text, '{2024-01-02,2024-01-03}', '{1,NULL}');
SELECT ds_append_multiple(upper(replace(stream('number')::text, '-', '')), '{2024-01-04}', '{2}');
SELECT ds_append_multiple(format(' {%s, "%s"}', stream('number'), stream('exact')), '{2024-01-05,2024-01-05}', '{3,4}');
SELECT ds_append_multiple(format('[0:1]={%s,%s}', stream('number'), stream('exact')), '{2024-01-06,2024-01-06}', '{5,6}');
SELECT ds_append_multiple('{}', '{}', '{}');
SELECT t, v FROM ds_get_data(stream('number'), 'seconds', '2024-01-02');
SELECT t, v FROM ds_get_data(stream('exact'), 'seconds', '2024-01-02');
SELECT raises($$SELECT ds_append_multiple('kitchen', '{}', '{}')$$);
SELECT raises($$SELECT ds_append_multiple('', '{}', '{}')$$);
SELECT raises($$SELECT ds_append_multiple('{kitchen}', '{2024-01-07}', '{1}')$$);
SELECT raises($$SELECT ds_append_multiple('{NULL}', '{2024-01-07}', '{1}')$$);
SELECT raises($$SELECT ds_append_multiple('{{00000000-0000-0000-0000-000000000000}}', '{2024-01-07}', '{1}')$$);
SELECT raises($$SELECT ds_append_multiple('00000000-0000-0000-0000-000000000000', '{2024-01-07}', '{1}')$$);
SELECT raises($$SELECT ds_append_multiple('{00000000-0000-0000-0000-000000000000}', '{2024-01-07,2024-01-08}', '{1,2}')$$);
SELECT raises($$SELECT ds_append_multiple(NULL, '{2024-01-07}', '{1}')$$);
SELECT raises($$SELECT ds_append_multiple(NULL::uuid[], '{2024-01-07}', '{1}')$$);
SELECT raises($$SELECT ds_append_multiple(stream('number')::text, '{2024-01-07,2024-01-08}', '{1,NaN}')$$);

-- A list as jsonb, as json and as text
SELECT ds_append_multiple(format('[{"stream_id": "%s", "value": 7, "timestamp": "2024-01-08"}]', stream('number'))::jsonb);
SELECT ds_append_multiple(format('[{"stream_id": "%s", "value": 8, "timestamp": "2024-01-09"}]', stream('number'))::json);
SELECT ds_append_multiple(format('[{"stream_id": "%s", "value": 9, "timestamp": "2024-01-10"}]', stream('number')));
SELECT t, v FROM ds_get_data(stream('number'), 'seconds', '2024-01-08');
SELECT raises($$SELECT ds_append_multiple('[{')$$);
SELECT raises($$SELECT ds_append_multiple('kitchen')$$);
SELECT raises($$SELECT ds_append_multiple(NULL)$$);
SELECT raises($$SELECT ds_append_multiple(NULL::json)$$);

-- Times in JSON: seconds since 1970, fractions to the microsecond towards the
-- past, or a text, which without a zone is one of the session's
SELECT ds_ensure_stream('{"name": "times"}', highest_granularity => 'milliseconds') IS NOT NULL AS made;
SET timezone = 'Asia/Kolkata';
SELECT ds_append_multiple(jsonb_agg(jsonb_build_object('stream_id', stream('times'), 'value', value, 'timestamp', value)), check_timestamp => false)
FROM unnest(ARRAY['1704240000', '1704240000.25', '1704240000.9999999999', '0', '0.0019999', '1.7e9', '253402300799', '253402300799.0', '1e3']::jsonb[]) value;
SELECT ds_append_multiple(jsonb_build_array(jsonb_build_object('stream_id', stream('times'), 'value', 1, 'timestamp', '2024-01-03 05:30:01')), false);
SET timezone = 'UTC';
SELECT t, to_char(t, 'MS') AS ms, v FROM ds_get_data(stream('times'), 'milliseconds');
SELECT value, raises(format($$SELECT ds_append_multiple('[{"stream_id": "%s", "value": 1}, {"stream_id": "%s", "value": 1, "timestamp": %s}]')$$,
	stream('number'), stream('times'), value))
FROM unnest(ARRAY['-1', '-0.000001', '-1e11', '253402300800', '1e12', '1e100', '1e1000', '1704240000000', '1704240000000000', 'true', '[1704240000]', '{}', '"1704240000"', '"noon"', '"infinity"']) value;

-- The error for a bad element names its position.
SELECT raises(format($$SELECT ds_append_multiple('[{"stream_id": "%s", "value": 1, "timestamp": 1704240000}, %s]')$$, stream('label'), element))
FROM unnest(ARRAY['1', '[]', 'null', '{}', '{"stream_id": 5, "value": 1}', '{"stream_id": "kitchen", "value": 1}',
	'{"stream_id": "00000000-0000-0000-0000-000000000000", "value": 1}', '{"stream_id": "00000000-0000-0000-0000-000000000000"}',
	'{"stream_id": "00000000-0000-0000-0000-000000000000", "value": 1, "time": 0}']) element;
SELECT raises(format($$SELECT ds_append_multiple('[{"stream_id": "%s", "value": 1, "timestamp": 1704240000}, {"stream_id": "%s", "value": true, "timestamp": 253402300799}]')$$,
	stream('label'), stream('times')));
SELECT count(*) FROM ds_get_data(stream('label'), 'seconds', '2024-01-03');

-- Without the check datapoints may come in any order, and end as if they had come
-- one by one: those of equal times as they were listed.
CREATE TEMP TABLE unordered AS SELECT n, timestamptz '2024-02-01' + (n * 37 % 50) * interval '1 s' AS t FROM generate_series(1, 200) n;
CREATE TEMP TABLE filled (name text);
DO $$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY ARRAY['one by one', 'to one', 'to many', 'by text', 'as jsonb', 'as json', 'as text'] LOOP
		PERFORM ds_ensure_stream(jsonb_build_object('name', name));
		PERFORM ds_ensure_stream(jsonb_build_object('name', name || ', doubled'), derive_from => to_jsonb(ARRAY[stream(name), stream(name)]), derive_op => 'sum');
		PERFORM ds_append(stream(name), 1000, '2024-02-01 00:00:25');
		PERFORM ds_append(stream(name), 1001, '2024-02-01 00:00:40');
		PERFORM ds_downsample_streams(jsonb_build_object('name', name));
		INSERT INTO filled VALUES (name), (name || ', doubled');
	END LOOP;
END $$;
SELECT count(ds_append(stream('one by one'), n, t, false)) FROM (SELECT * FROM unordered ORDER BY n) u;
SELECT ds_append_multiple(stream('to one'), array_agg(t ORDER BY n), array_agg(n ORDER BY n), false) FROM unordered;
SELECT ds_append_multiple(array_agg(stream('to many')), array_agg(t ORDER BY n), array_agg(n ORDER BY n), false) FROM unordered;
SELECT ds_append_multiple(stream('by text')::text, array_agg(t ORDER BY n), array_agg(n ORDER BY n), false) FROM unordered;
SELECT ds_append_multiple(jsonb_agg(jsonb_build_object('stream_id', stream('as jsonb'), 'value', n, 'timestamp', t) ORDER BY n), false) FROM unordered;
SELECT ds_append_multiple(json_agg(json_build_object('stream_id', stream('as json'), 'value', n, 'timestamp', t) ORDER BY n), false) FROM unordered;
SELECT ds_append_multiple(json_agg(json_build_object('stream_id', stream('as text'), 'value', n, 'timestamp', extract(epoch FROM t)) ORDER BY n)::text, false) FROM unordered;
SELECT ds_backprocess_streams();
SELECT count(*) FROM ds_downsample_streams();
SELECT count(*) AS streams, min(datapoints) AS datapoints, min(buckets) AS buckets
FROM (SELECT name,
		(SELECT count(*) FROM ds_get_data(stream(name), 'seconds')) AS datapoints,
		(SELECT count(*) FROM ds_get_data(stream(name), '10seconds')) AS buckets,
		(SELECT md5(string_agg(t || v::text, ',' ORDER BY n)) FROM ds_get_data(stream(name), 'seconds') WITH ORDINALITY AS d (t, v, times, n))
		|| (SELECT md5(string_agg(t || v::text || times, ',' ORDER BY n)) FROM ds_get_data(stream(name), '10seconds') WITH ORDINALITY AS d (t, v, times, n)) AS all_of_it
	FROM filled) f
GROUP BY all_of_it ORDER BY min(name);

SELECT ds_delete_streams() > 0 AS deleted;
DROP FUNCTION parameters;
