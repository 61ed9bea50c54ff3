--
-- Streams and their tags
--

SET timezone = 'UTC';

-- Runs a command that is to fail, and shows what its user gets to see; stream
-- identifiers are random, so the name of the stream stands for them.
CREATE FUNCTION pg_temp.failure(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	stream record;
BEGIN
	EXECUTE command;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	message := concat_ws(' / ', SQLSTATE, message, nullif(detail, ''));
	FOR stream IN SELECT stream_id, tags ->> 'name' AS name FROM ds_find_streams() LOOP
		message := replace(message, stream.stream_id::text, '<' || stream.name || '>');
	END LOOP;
	RETURN message;
END
$$;

-- The stream of a name
CREATE FUNCTION pg_temp.id(name text) RETURNS uuid LANGUAGE sql AS $$
	SELECT stream_id FROM ds_find_streams(jsonb_build_object('name', name))
$$;

--
-- Making a stream
--

-- The same query tags give the same stream.
SELECT ds_ensure_stream('{"name": "room"}', '{"title": "Room", "place": {"floor": 2, "door": {"number": 7}}}') AS room \gset
SELECT ds_ensure_stream('{"name": "room"}', '{"title": "Room", "place": {"floor": 2, "door": {"number": 7}}}') = :'room' AS same;
SELECT count(*) FROM ds_find_streams();

-- All that ds_get_tags tells of a stream without datapoints
SELECT jsonb_pretty(ds_get_tags(:'room') - 'stream_id');
SELECT (ds_get_tags(:'room') ->> 'stream_id')::uuid = :'room' AS own_id;

-- The same as columns
\x on
SELECT tags, value_type, value_type_options, value_downsamplers, highest_granularity, pending_backprocess,
	earliest_datapoint, latest_datapoint, downsampled_until, derived_from, contributes_to
FROM ds_find_streams();
\x off

-- Tags that are given are set; those that the stream has besides stay, in nested
-- objects, too.
SELECT ds_ensure_stream('{"name": "room"}', '{"place": {"floor": 3, "door": {"colour": "red"}}}') = :'room' AS same;
SELECT tags FROM ds_find_streams();
SELECT ds_ensure_stream('{"name": "room"}', '{"unit": "C"}') = :'room' AS same;
SELECT tags FROM ds_find_streams();
SELECT ds_ensure_stream('{"name": "room"}', '{"name": "hall"}') = :'room' AS same;
SELECT tags FROM ds_find_streams();
SELECT ds_ensure_stream('{"name": "hall"}', '{"name": "room", "title": "Room"}') = :'room' AS same;

-- Other value types and granularities
SELECT ds_ensure_stream('{"name": "label"}', value_type => 'nominal') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "net"}', value_type => 'graph') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "exact"}', value_type_options => '{"high_accuracy": true}') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "fast"}', highest_granularity => 'milliseconds', value_downsamplers => '{min,std_dev}') IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "slow"}', highest_granularity => 'days', value_downsamplers => '{}') IS NOT NULL AS made;
SELECT tags ->> 'name' AS name, value_type, value_type_options, value_downsamplers, highest_granularity,
	(SELECT array_agg(key) FROM jsonb_object_keys(downsampled_until) key) AS lower,
	ds_get_tags(stream_id) -> 'time_downsamplers' -> 0 AS time_downsampler
FROM ds_find_streams();

-- What a stream cannot be
SELECT pg_temp.failure($$SELECT ds_ensure_stream(NULL)$$);
SELECT pg_temp.failure($$SELECT ds_ensure_stream('[1]')$$);
SELECT pg_temp.failure($$SELECT ds_ensure_stream('{"name": "x"}', '"tags"')$$);
SELECT pg_temp.failure($$SELECT ds_ensure_stream('{"name": "x"}', value_type => 'complex')$$);
SELECT pg_temp.failure($$SELECT ds_ensure_stream('{"name": "x"}', value_type => NULL)$$);
SELECT pg_temp.failure($$SELECT ds_ensure_stream('{"name": "x"}', highest_granularity => 'weeks')$$);
SELECT pg_temp.failure($$SELECT ds_ensure_stream('{"name": "x"}', highest_granularity => 'months')$$);
SELECT pg_temp.failure($$SELECT ds_ensure_stream('{"name": "x"}', highest_granularity => NULL)$$);
SELECT left(pg_temp.failure($$SELECT ds_ensure_stream('{"name": "x"}', value_downsamplers => '{mode}')$$), 5) AS failure;
SELECT left(pg_temp.failure($$SELECT ds_ensure_stream('{"name": "x"}', value_downsamplers => '{mean}', value_type => 'graph')$$), 5) AS failure;
SELECT left(pg_temp.failure($$SELECT ds_ensure_stream('{"name": "x"}', value_type_options => '{"precision": 3}')$$), 5) AS failure;
SELECT pg_temp.failure($$SELECT ds_ensure_stream('{"stream_id": 1}')$$);
SELECT pg_temp.failure($$SELECT ds_ensure_stream('{"name": "x"}', '{"value_type": "numeric"}')$$);
SELECT pg_temp.id('x') IS NULL AS nothing_made;

-- A reserved name below the top level is as good as any.
SELECT ds_ensure_stream('{"name": "nested"}', '{"about": {"stream_id": 1, "value_type": 2}}') IS NOT NULL AS made;

-- A stream that is there keeps what it is.
SELECT pg_temp.failure($$SELECT ds_ensure_stream('{"name": "room"}', value_type => 'nominal')$$);
SELECT pg_temp.failure($$SELECT ds_ensure_stream('{"name": "room"}', value_type_options => '{"high_accuracy": true}')$$);
SELECT pg_temp.failure($$SELECT ds_ensure_stream('{"name": "room"}', highest_granularity => 'minutes')$$);
SELECT pg_temp.failure($$SELECT ds_ensure_stream('{"name": "room"}', value_downsamplers => '{mean,min}')$$);
SELECT pg_temp.failure($$SELECT ds_ensure_stream('{"name": "room"}', value_downsamplers => '{}')$$);
SELECT pg_temp.failure(format($$SELECT ds_ensure_stream('{"name": "room"}', derive_from => %L, derive_op => 'sum')$$,
	to_jsonb(pg_temp.id('exact'))));
SELECT tags FROM ds_find_streams('{"name": "room"}');

-- Downsamplers are compared where they are given, with all that they need.
SELECT ds_ensure_stream('{"name": "room"}', '{"title": "Room"}', '{std_dev,max,min,mean,sum_squares}') = :'room' AS same;
SELECT ds_ensure_stream('{"name": "room"}', '{"title": "Room"}') = :'room' AS same;
SELECT ds_ensure_stream('{"name": "fast"}', highest_granularity => 'milliseconds') = pg_temp.id('fast') AS same;
SELECT ds_ensure_stream('{"name": "room"}', '{"title": "Room"}', value_type_options => '{}') = :'room' AS same;

-- Several streams match
SELECT pg_temp.failure($$SELECT ds_ensure_stream('{}')$$);

-- Streams made one after the other in a statement see each other.
SELECT count(DISTINCT ds_ensure_stream(jsonb_build_object('name', 'n' || i % 3))) FROM generate_series(1, 9) i;
SELECT ds_delete_streams(jsonb_build_object('name', 'n' || i)) FROM generate_series(0, 2) i;

--
-- Finding streams
--

SELECT ds_delete_streams();
SELECT ds_ensure_stream(jsonb_build_object('name', 's' || i),
	jsonb_build_object('stream_number', i, 'title', 'Stream ' || i,
		'visualization', jsonb_build_object('minimum', 0, 'value_downsamplers',
			CASE WHEN i = 2 THEN '["mean"]' ELSE '["min", "mean", "max"]' END::jsonb))) IS NOT NULL AS made
FROM generate_series(0, 3) i;
SELECT ds_ensure_stream('{"name": "plain"}', '{"flag": null, "visualization": {}}') IS NOT NULL AS made;

CREATE FUNCTION pg_temp.found(query_tags jsonb, filter jsonpath DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(tags ->> 'name', ' ') FROM ds_find_streams(query_tags, filter)
$$;

-- In the order of creation, all or by their tags
SELECT pg_temp.found(NULL) AS all, pg_temp.found('{}') AS also_all, pg_temp.found('{"name": "s1"}') AS one,
	pg_temp.found('{"name": "s1", "stream_number": 2}') AS none;
-- Nested objects match key by key, at any depth.
SELECT pg_temp.found('{"visualization": {"minimum": 0}}') AS nested,
	pg_temp.found('{"visualization": {"minimum": 0, "maximum": 9}}') AS none,
	pg_temp.found('{"visualization": {}}') AS any_object;
-- Everything else must be equal: arrays, numbers, null.
SELECT pg_temp.found('{"visualization": {"value_downsamplers": ["mean"]}}') AS one,
	pg_temp.found('{"visualization": {"value_downsamplers": ["mean", "min", "max"]}}') AS other_order,
	pg_temp.found('{"visualization": {"value_downsamplers": []}}') AS empty,
	pg_temp.found('{"stream_number": 1.0}') AS number, pg_temp.found('{"stream_number": "1"}') AS not_a_number,
	pg_temp.found('{"flag": null}') AS null, pg_temp.found('{"name": {}}') AS not_an_object;
-- No stream has a tag stream_id.
SELECT count(*) FROM ds_find_streams(jsonb_build_object('stream_id', pg_temp.id('s1')));
SELECT pg_temp.failure($$SELECT * FROM ds_find_streams('["s1"]')$$);

-- What equality cannot say: a jsonpath
SELECT pg_temp.found(NULL, '$.stream_number >= 1') AS at_least_1,
	pg_temp.found('{"stream_number": 1}', '$.stream_number >= 1') AS both,
	pg_temp.found(NULL, '$.title like_regex "^stream [02]" flag "i"') AS regex,
	pg_temp.found(NULL, '$.visualization.value_downsamplers == "min"') AS contains,
	pg_temp.found(NULL, '!($.visualization.value_downsamplers == "min")') AS not_contains,
	pg_temp.found(NULL, '$.stream_number < 1 || exists($.flag)') AS either;
-- A comparison of unequal things is not true; other paths must find something.
SELECT pg_temp.found(NULL, '$.title > 1') AS unknown,
	pg_temp.found(NULL, '$.stream_number ? (@ > 2)') AS path,
	pg_temp.found(NULL, '$.flag ? (@ == null)') AS found_null;

-- It joins, filters and sorts like a table.
SELECT tags ->> 'title' AS title, number
FROM ds_find_streams() JOIN generate_series(1, 2) number ON tags -> 'stream_number' = to_jsonb(number)
ORDER BY number DESC LIMIT 1;

--
-- Changing tags
--

SELECT pg_temp.id('s0') AS s0 \gset

CREATE FUNCTION pg_temp.tags() RETURNS jsonb LANGUAGE sql AS $$
	SELECT tags FROM ds_find_streams('{"name": "s0"}')
$$;

SELECT ds_clear_tags(:'s0');
SELECT count(*) FROM ds_find_streams('{}', '!exists($.*)');
SELECT ds_update_tags(:'s0', '{"name": "s0", "a": {"b": {"c": 1, "d": [1, 2]}, "e": 2}}');
SELECT pg_temp.tags();
-- Nested objects are merged, all else is replaced.
SELECT ds_update_tags(:'s0', '{"a": {"b": {"d": [3], "f": null}, "e": {"g": 1}}, "h": true}');
SELECT pg_temp.tags();
SELECT ds_update_tags(:'s0', '{"a": {"b": 1}}');
SELECT pg_temp.tags();
SELECT ds_update_tags(:'s0', '{}');
SELECT pg_temp.tags();
-- Values are ignored, nested objects name nested tags, what is not there may be named.
SELECT ds_remove_tag(:'s0', '{"h": "", "missing": 1, "a": {"e": {"g": ""}, "missing": {"x": 1}}}');
SELECT pg_temp.tags();
SELECT ds_remove_tag(:'s0', '{"a": {"b": {"deeper": 1}}}');
SELECT pg_temp.tags();
SELECT ds_remove_tag(:'s0', '{"a": {}}');
SELECT pg_temp.tags();

SELECT pg_temp.failure(format('SELECT ds_update_tags(%L, %L)', pg_temp.id('s0'), '{"latest_datapoint": 1}'));
SELECT pg_temp.failure(format('SELECT ds_update_tags(%L, %L)', pg_temp.id('s0'), '[]'));
SELECT pg_temp.failure(format('SELECT ds_update_tags(%L, NULL)', pg_temp.id('s0')));
SELECT pg_temp.failure(format('SELECT ds_remove_tag(%L, %L)', pg_temp.id('s0'), '{"stream_id": 1}'));
SELECT pg_temp.failure(format('SELECT ds_remove_tag(%L, %L)', pg_temp.id('s0'), '"name"'));
SELECT pg_temp.failure($$SELECT ds_get_tags('00000000-0000-0000-0000-000000000000')$$);
SELECT pg_temp.failure($$SELECT ds_get_tags(NULL)$$);
SELECT pg_temp.failure($$SELECT ds_update_tags('00000000-0000-0000-0000-000000000000', '{}')$$);
SELECT pg_temp.failure($$SELECT ds_remove_tag('00000000-0000-0000-0000-000000000000', '{}')$$);
SELECT pg_temp.failure($$SELECT ds_clear_tags('00000000-0000-0000-0000-000000000000')$$);

--
-- Derived streams
--

SELECT ds_delete_streams();

SELECT ds_ensure_stream('{"name": "a"}') AS a, ds_ensure_stream('{"name": "b"}') AS b,
	ds_ensure_stream('{"name": "minutes"}', highest_granularity => 'minutes') AS minutes,
	ds_ensure_stream('{"name": "bare"}', value_downsamplers => '{}') AS bare,
	ds_ensure_stream('{"name": "label"}', value_type => 'nominal') AS label,
	ds_ensure_stream('{"name": "net"}', value_type => 'graph') AS net \gset

-- From one stream, a list of them, or a list of objects
SELECT ds_ensure_stream('{"name": "sum_a"}', derive_from => to_jsonb(:'a'::uuid), derive_op => 'sum') AS sum_a,
	ds_ensure_stream('{"name": "sum_ab"}', derive_from => jsonb_build_array(:'a'::uuid, :'b'::uuid), derive_op => 'sum') AS sum_ab,
	ds_ensure_stream('{"name": "twice"}', derive_from => jsonb_build_array(:'a'::uuid, :'a'::uuid), derive_op => 'sum') AS twice,
	ds_ensure_stream('{"name": "speed"}', derive_from => jsonb_build_array(jsonb_build_object('stream', :'a'::uuid)),
		derive_op => 'derivative', derive_args => '{}') AS speed,
	ds_ensure_stream('{"name": "reset"}', derive_from => to_jsonb(:'a'::uuid), derive_op => 'counter_reset',
		value_type => 'nominal') AS reset,
	ds_ensure_stream('{"name": "sum_minutes"}', highest_granularity => 'minutes', derive_op => 'sum',
		derive_from => jsonb_build_array(:'minutes'::uuid,
			jsonb_build_object('stream', :'a'::uuid, 'granularity', 'minutes', 'name', NULL))) AS sum_minutes \gset
SELECT ds_ensure_stream('{"name": "rate"}', derive_op => 'counter_derivative', derive_args => '{"max_value": 255}',
	derive_from => jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', :'reset'::uuid), :'a'::uuid)) AS rate \gset

-- Both sides tell of it.
SELECT tags ->> 'name' AS name, derived_from ->> 'op' AS op, derived_from -> 'args' AS args,
	(SELECT array_agg(ds_get_tags(id::uuid) ->> 'name') FROM jsonb_array_elements_text(derived_from -> 'stream_ids') id) AS sources,
	(SELECT array_agg(ds_get_tags(key::uuid) ->> 'name' ORDER BY ds_get_tags(key::uuid) ->> 'name')
		FROM jsonb_object_keys(contributes_to) key) AS contributes_to
FROM ds_find_streams();
SELECT contributes_to -> :'rate' AS rate FROM ds_find_streams('{"name": "reset"}');
SELECT ds_get_tags(:'rate') -> 'derived_from' = jsonb_build_object('stream_ids', jsonb_build_array(:'reset'::uuid, :'a'::uuid),
		'op', 'counter_derivative', 'args', '{"max_value": 255}'::jsonb) AS derived_from,
	ds_get_tags(:'rate') ? 'contributes_to' AS contributes;

-- Asking for the same again gives the same stream; the order of the sources does not matter.
SELECT ds_ensure_stream('{"name": "sum_ab"}', derive_from => jsonb_build_array(:'b'::uuid,
		jsonb_build_object('stream', :'a'::uuid, 'granularity', 'seconds')), derive_op => 'sum') = :'sum_ab' AS same,
	ds_ensure_stream('{"name": "rate"}', derive_op => 'counter_derivative', derive_args => '{"max_value": 255.0}',
		derive_from => jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', :'reset'::uuid), :'a'::uuid)) = :'rate' AS also_same;

CREATE FUNCTION pg_temp.derive_failure(name text, derive_from jsonb, derive_op text, derive_args jsonb DEFAULT NULL,
	value_type text DEFAULT 'numeric', highest_granularity text DEFAULT 'seconds') RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.failure(format('SELECT ds_ensure_stream(%L, derive_from => %L, derive_op => %L, derive_args => %L,
		value_type => %L, highest_granularity => %L)', jsonb_build_object('name', name), derive_from, derive_op, derive_args,
		value_type, highest_granularity))
$$;

-- Another derivation than that of the existing stream
SELECT pg_temp.derive_failure('sum_ab', to_jsonb(:'a'::uuid), 'sum');
SELECT pg_temp.derive_failure('sum_ab', jsonb_build_array(:'a'::uuid, :'a'::uuid), 'sum');
SELECT pg_temp.derive_failure('sum_a', jsonb_build_array(jsonb_build_object('stream', :'a'::uuid, 'granularity', 'minutes')), 'sum');
SELECT pg_temp.derive_failure('sum_a', jsonb_build_array(jsonb_build_object('stream', :'a'::uuid, 'name', 'x')), 'sum');
SELECT pg_temp.derive_failure('sum_a', to_jsonb(:'a'::uuid), 'derivative');
SELECT pg_temp.derive_failure('sum_a', to_jsonb(:'sum_a'::uuid), 'sum');
SELECT pg_temp.failure($$SELECT ds_ensure_stream('{"name": "sum_a"}')$$);
SELECT pg_temp.derive_failure('rate', jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', :'reset'::uuid), :'a'::uuid),
	'counter_derivative', '{"max_value": 1023}');

-- Operators
SELECT pg_temp.derive_failure('x', to_jsonb(:'a'::uuid), 'average');
SELECT pg_temp.derive_failure('x', to_jsonb(:'a'::uuid), 'sum', value_type => 'nominal');
SELECT pg_temp.derive_failure('x', to_jsonb(:'net'::uuid), 'sum', value_type => 'graph');
SELECT pg_temp.derive_failure('x', to_jsonb(:'a'::uuid), 'counter_reset');
SELECT pg_temp.derive_failure('x', to_jsonb(:'a'::uuid), NULL);
SELECT pg_temp.derive_failure('x', NULL, 'sum');
SELECT pg_temp.derive_failure('x', NULL, NULL, '{}');
-- Sources
SELECT pg_temp.derive_failure('x', '[]', 'sum');
SELECT pg_temp.derive_failure('x', '{}', 'sum');
SELECT pg_temp.derive_failure('x', '17', 'sum');
SELECT pg_temp.derive_failure('x', '[null]', 'sum');
SELECT pg_temp.derive_failure('x', '[{"name": "a"}]', 'sum');
SELECT pg_temp.derive_failure('x', '[{"stream": 17}]', 'sum');
SELECT pg_temp.derive_failure('x', jsonb_build_array(jsonb_build_object('stream', :'a'::uuid, 'weight', 2)), 'sum');
SELECT pg_temp.derive_failure('x', '"room"', 'sum');
SELECT pg_temp.derive_failure('x', '["00000000-0000-0000-0000-000000000000"]', 'sum');
SELECT pg_temp.derive_failure('x', jsonb_agg(:'a'::uuid), 'sum') FROM generate_series(1, 1001);
SELECT pg_temp.derive_failure('x', to_jsonb(:'label'::uuid), 'sum');
SELECT pg_temp.derive_failure('x', to_jsonb(:'net'::uuid), 'derivative');
SELECT pg_temp.derive_failure('x', jsonb_build_array(:'a'::uuid, :'b'::uuid), 'derivative');
-- Granularities
SELECT pg_temp.derive_failure('x', jsonb_build_array(:'a'::uuid, :'minutes'::uuid), 'sum');
SELECT pg_temp.derive_failure('x', to_jsonb(:'a'::uuid), 'derivative', highest_granularity => 'minutes');
SELECT pg_temp.derive_failure('x', jsonb_build_array(jsonb_build_object('stream', :'minutes'::uuid, 'granularity', 'seconds')), 'sum');
SELECT pg_temp.derive_failure('x', jsonb_build_array(jsonb_build_object('stream', :'a'::uuid, 'granularity', 'weeks')), 'sum');
SELECT pg_temp.derive_failure('x', jsonb_build_array(jsonb_build_object('stream', :'bare'::uuid, 'granularity', 'minutes')), 'sum',
	highest_granularity => 'minutes');
-- Arguments
SELECT pg_temp.derive_failure('x', to_jsonb(:'a'::uuid), 'sum', '{"max_value": 1}');
SELECT pg_temp.derive_failure('x', to_jsonb(:'a'::uuid), 'sum', '[]');
SELECT args, pg_temp.derive_failure('x', jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', :'reset'::uuid), :'a'::uuid),
	'counter_derivative', args::jsonb) AS failure
FROM unnest(ARRAY['{"max_value": 0}', '{"max_value": -1}', '{"max_value": "255"}', '{"max_value": 255, "min_value": 0}',
	'{"minimum": 0}']) args;
SELECT left(pg_temp.derive_failure('x', jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', :'reset'::uuid), :'a'::uuid),
	'counter_derivative', '{"max_value": 1e400}'), 5) AS failure;
-- The sources of counter_derivative
SELECT shape, pg_temp.derive_failure('x', sources, 'counter_derivative') AS failure
FROM (VALUES ('data only', to_jsonb(:'a'::uuid)),
	('without names', jsonb_build_array(:'reset'::uuid, :'a'::uuid)),
	('reset last', jsonb_build_array(:'a'::uuid, jsonb_build_object('name', 'reset', 'stream', :'reset'::uuid))),
	('named data', jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', :'reset'::uuid),
		jsonb_build_object('name', 'data', 'stream', :'a'::uuid))),
	('nominal data', jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', :'reset'::uuid), :'label'::uuid)),
	('graph reset', jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', :'net'::uuid), :'a'::uuid)),
	('lower reset', jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', :'b'::uuid, 'granularity', 'minutes'),
		:'a'::uuid))) shapes (shape, sources);
SELECT pg_temp.id('x') IS NULL AS nothing_made;

-- A stream of sources that have datapoints waits to be backprocessed, unless it
-- shall start from now on.
SELECT ds_ensure_stream('{"name": "full"}') AS full_stream, ds_ensure_stream('{"name": "fuller"}') AS fuller_stream \gset
SELECT t, v FROM ds_append(:'full_stream', 1, '2000-01-01 12:00:00+00');
SELECT t, v FROM ds_append(:'fuller_stream', 1, '2000-01-01 12:00:01+00');
SELECT t, v FROM ds_append(:'fuller_stream', 2, '2000-01-01 12:00:01+00');
SELECT earliest_datapoint, latest_datapoint FROM ds_find_streams('{"name": "fuller"}');
SET timezone = 'Asia/Tokyo';
SELECT ds_get_tags(:'fuller_stream') -> 'latest_datapoint' AS in_utc;
SET timezone = 'UTC';
SELECT ds_ensure_stream('{"name": "late"}', derive_op => 'sum',
	derive_from => jsonb_build_array(:'bare'::uuid, :'fuller_stream'::uuid)) IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "now"}', derive_op => 'derivative', derive_backprocess => false,
	derive_from => to_jsonb(:'fuller_stream'::uuid)) IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "sum_now"}', derive_op => 'sum', derive_backprocess => false,
	derive_from => jsonb_build_array(:'bare'::uuid, :'full_stream'::uuid, :'fuller_stream'::uuid)) IS NOT NULL AS made;
SELECT ds_ensure_stream('{"name": "minutes_now"}', derive_op => 'derivative', derive_backprocess => false, highest_granularity => 'minutes',
	derive_from => jsonb_build_array(jsonb_build_object('stream', :'fuller_stream'::uuid, 'granularity', 'minutes'))) IS NOT NULL AS made;
SELECT tags ->> 'name' AS name, pending_backprocess, s.position, s.origin, s.origin_count, s.read_until, s.read_count
FROM ds_find_streams() f JOIN datastream.sources s ON s.stream_id = f.stream_id
WHERE tags ->> 'name' IN ('late', 'now', 'sum_now', 'minutes_now', 'sum_a')
ORDER BY name, s.position;

--
-- Deleting streams
--

-- A stream stays as long as another derives from it that stays.
SELECT pg_temp.failure($$SELECT ds_delete_streams('{"name": "reset"}')$$);
SELECT pg_temp.failure(format($$SELECT ds_delete_streams(%L)$$, jsonb_build_object('stream_id', :'reset')));
SELECT count(*) FROM ds_find_streams();
SELECT ds_delete_streams('{"name": "rate"}');
SELECT ds_delete_streams('{"name": "reset"}');
SELECT ds_delete_streams('{"name": "no such stream"}');
SELECT ds_delete_streams(jsonb_build_object('stream_id', :'speed'));
SELECT ds_delete_streams(jsonb_build_object('stream_id', :'sum_a', 'name', 'other'));
SELECT pg_temp.failure($$SELECT ds_delete_streams('{"stream_id": "room"}')$$);
SELECT pg_temp.failure($$SELECT ds_delete_streams('{"stream_id": 17}')$$);
SELECT ds_delete_streams('{"stream_id": "00000000-0000-0000-0000-000000000000"}');
SELECT pg_temp.found(NULL) AS left;

-- What no stream derives from any more contributes no longer.
SELECT ds_delete_streams(jsonb_build_object('name', name)) FROM unnest('{late,now,sum_now,minutes_now,sum_ab}'::text[]) name;
SELECT tags ->> 'name' AS name, contributes FROM ds_find_streams() JOIN datastream.heads USING (stream_id) ORDER BY name;

-- Together they go, whatever the order; nothing is left of them.
SELECT ds_delete_streams();
SELECT (SELECT count(*) FROM datastream.streams) AS streams, (SELECT count(*) FROM datastream.sources) AS sources,
	(SELECT count(*) FROM datastream.heads) AS heads, (SELECT count(*) FROM datastream.progress) AS progress,
	(SELECT count(*) FROM datastream.ensuring) AS ensuring;
