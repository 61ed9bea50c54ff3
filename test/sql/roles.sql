-- Functions act with the rights of their caller, and give nobody more.
SET timezone = 'UTC';
SET client_min_messages = error;
CREATE ROLE regress_datastream_role;
CREATE ROLE regress_datastream_alice;
CREATE ROLE regress_datastream_bob;
RESET client_min_messages;

SELECT p.oid::regprocedure AS with_rights_of_its_owner FROM pg_proc p
JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'datastream'
WHERE p.prosecdef;

SELECT ds_ensure_stream('{"name": "a"}') AS a, ds_ensure_stream('{"name": "b"}') AS b \gset
SELECT ds_append_multiple(:'a'::uuid, array_agg(timestamptz '2000-01-01 00:00:00+00' + i * interval '1 s' ORDER BY i), array_agg(i::float8 ORDER BY i))
FROM generate_series(0, 99) i;
SELECT count(*) FROM ds_downsample_streams();
SELECT ds_append_multiple(:'a'::uuid, '{2000-01-02 00:00:00+00}', '{1}');
SELECT ds_ensure_stream('{"name": "old"}', value_downsamplers => '{}') AS old \gset
SELECT ds_append_multiple(:'old'::uuid, array_agg(timestamptz '2000-01-01 00:00:00+00' + i * interval '1 s' ORDER BY i), array_agg(i::float8 ORDER BY i))
FROM generate_series(0, 99) i;
SELECT ds_set_retention('{"name": "old"}', 'seconds', '1 day');

-- What a role gets from an operation: "works" if that gives true; else what
-- it raises.  It leaves no traces.
CREATE FUNCTION try_as(role text, operation text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	worked boolean;
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', role);
	EXECUTE operation INTO worked;
	RAISE EXCEPTION SQLSTATE 'ZZZZZ' USING MESSAGE = CASE WHEN worked THEN 'works' ELSE 'does nothing' END;
EXCEPTION
	WHEN SQLSTATE 'ZZZZZ' THEN
		RETURN SQLERRM;
	WHEN OTHERS THEN
		RETURN SQLSTATE || ': ' || regexp_replace(SQLERRM, '[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}', '<uuid>', 'g');
END
$$;

-- The operations of the interface, each with something to do
CREATE TABLE operations (n int GENERATED ALWAYS AS IDENTITY, name text, operation text);
INSERT INTO operations (name, operation) VALUES
	('ds_find_streams', 'SELECT count(*) >= 2 FROM ds_find_streams()'),
	('ds_get_tags', format('SELECT ds_get_tags(%L) @> ''{"name": "a"}''', :'a')),
	('ds_get_data', format('SELECT count(*) = 101 FROM ds_get_data(%L, ''seconds'')', :'a')),
	('ds_get_data, lower', format('SELECT count(*) = 1 FROM ds_get_data(%L, ''minutes'')', :'a')),
	('ds_get_series', format('SELECT count(*) = 101 FROM ds_get_series(%L, ''seconds'')', :'a')),
	('ds_append', format('SELECT (ds_append(%L, 1)).v = ''1''', :'b')),
	('ds_append, more', format('SELECT count(ds_append(%L, 1)) = 100 FROM generate_series(1, 100)', :'b')),
	('ds_append, late', format('SELECT (ds_append(%L, 1, ''2000-01-01 00:00:01+00'', false)).v = ''1''', :'a')),
	('ds_append_multiple', format('SELECT ds_append_multiple(%L::uuid, ''{2000-01-02}'', ''{1}'') = 1', :'b')),
	('ds_downsample_streams', 'SELECT count(*) > 0 FROM ds_downsample_streams(return_datapoints => true)'),
	('ds_ensure_stream, same', format('SELECT ds_ensure_stream(''{"name": "a"}'') = %L', :'a')),
	('ds_ensure_stream, tags', format('SELECT ds_ensure_stream(''{"name": "a"}'', ''{"title": "A"}'') = %L', :'a')),
	('ds_ensure_stream, new', 'SELECT ds_ensure_stream(''{"name": "c"}'') IS NOT NULL'),
	('ds_ensure_stream, derived', format('SELECT ds_ensure_stream(''{"name": "c"}'', derive_from => ''"%s"'', derive_op => ''sum'') IS NOT NULL', :'a')),
	('ds_update_tags', format('SELECT ds_update_tags(%L, ''{"title": "A"}'') IS NOT NULL', :'a')),
	('ds_set_retention', 'SELECT ds_set_retention(''{"name": "a"}'', ''seconds'', ''1 day'') = 1'),
	('ds_set_retention, null', 'SELECT ds_set_retention(''{"name": "old"}'', ''seconds'', NULL) = 1'),
	('ds_apply_retention', 'SELECT ds_apply_retention() = 99'),
	('ds_delete_streams', 'SELECT ds_delete_streams(''{"name": "a"}'') = 1');

-- Who has no rights can do nothing but compute.
SET client_min_messages = error;
SELECT name, try_as('regress_datastream_role', operation) FROM operations ORDER BY n;
RESET client_min_messages;
SELECT try_as('regress_datastream_role', $$SELECT ds_round('days', '2000-01-01 12:00:00+00') = '2000-01-01 00:00:00+00'$$);
SELECT try_as('regress_datastream_role', $$SELECT ds_mean(i) = 2 FROM generate_series(1, 3) i$$);

-- The rights without which an operation does not work; with these alone it does.
CREATE FUNCTION needs(operation text) RETURNS TABLE (relation text, privileges text) LANGUAGE plpgsql AS $$
DECLARE
	needed record;
BEGIN
	GRANT USAGE ON SCHEMA datastream TO regress_datastream_role;
	GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA datastream TO regress_datastream_role;
	CREATE TEMP TABLE needed_rights (relname name, privilege text, position int) ON COMMIT DROP;
	IF try_as('regress_datastream_role', operation) <> 'works' THEN
		RAISE EXCEPTION 'does not work at all: %', try_as('regress_datastream_role', operation);
	END IF;

	FOR needed IN SELECT c.relname, p.privilege, p.position FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) WITH ORDINALITY AS p(privilege, position)
		WHERE relnamespace = 'datastream'::regnamespace AND relkind = 'r'
	LOOP
		EXECUTE format('REVOKE %s ON datastream.%I FROM regress_datastream_role', needed.privilege, needed.relname);
		IF try_as('regress_datastream_role', operation) <> 'works' THEN
			INSERT INTO needed_rights SELECT needed.relname, needed.privilege, needed.position;
		END IF;
		EXECUTE format('GRANT %s ON datastream.%I TO regress_datastream_role', needed.privilege, needed.relname);
	END LOOP;

	REVOKE ALL ON ALL TABLES IN SCHEMA datastream FROM regress_datastream_role;
	FOR needed IN SELECT * FROM needed_rights LOOP
		EXECUTE format('GRANT %s ON datastream.%I TO regress_datastream_role', needed.privilege, needed.relname);
	END LOOP;
	RETURN QUERY SELECT string_agg(DISTINCT r.relname, ', ' ORDER BY r.relname), r.granted
		FROM (SELECT CASE WHEN n.relname ~ '^datapoints_' AND count(*) OVER (PARTITION BY n.granted, n.relname ~ '^datapoints_') >= 8 THEN 'datapoints_*' ELSE n.relname::text END AS relname, n.granted
			FROM (SELECT nr.relname, string_agg(nr.privilege, ', ' ORDER BY nr.position) AS granted FROM needed_rights nr GROUP BY nr.relname) n) r
		GROUP BY r.granted;
	IF try_as('regress_datastream_role', operation) <> 'works' THEN
		RETURN QUERY SELECT 'more'::text, try_as('regress_datastream_role', operation);
	END IF;
	REVOKE ALL ON ALL TABLES IN SCHEMA datastream FROM regress_datastream_role;
	REVOKE ALL ON SCHEMA datastream FROM regress_datastream_role;
	DROP TABLE needed_rights;
END
$$;
SET client_min_messages = error;
SELECT name, privileges, relation FROM operations, LATERAL needs(operation) ORDER BY n, privileges;
RESET client_min_messages;

-- So these are a reader, a writer and one who manages streams.
GRANT USAGE ON SCHEMA datastream TO regress_datastream_role;
GRANT SELECT ON ALL TABLES IN SCHEMA datastream TO regress_datastream_role;
SET client_min_messages = error;
SELECT name, try_as('regress_datastream_role', operation) FROM operations ORDER BY n;
GRANT UPDATE ON datastream.heads, datastream.sources, datastream.progress, datastream.retention TO regress_datastream_role;
GRANT INSERT, DELETE ON datastream.changes TO regress_datastream_role;
SELECT format('GRANT INSERT, UPDATE, DELETE ON datastream.%I TO regress_datastream_role', tablename) FROM pg_tables
WHERE schemaname = 'datastream' AND tablename LIKE 'datapoints\_%' ORDER BY 1 \gexec
SELECT name, try_as('regress_datastream_role', operation) FROM operations ORDER BY n;
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA datastream TO regress_datastream_role;
SELECT name, try_as('regress_datastream_role', operation) FROM operations ORDER BY n;
RESET client_min_messages;

-- A filter must be one that the caller may execute, and runs as the caller.
CREATE FUNCTION is_role(id uuid) RETURNS boolean LANGUAGE sql RETURN current_user = 'regress_datastream_role';
CREATE FUNCTION secret(id uuid) RETURNS boolean LANGUAGE sql RETURN true;
REVOKE EXECUTE ON FUNCTION secret FROM PUBLIC;
SELECT try_as('regress_datastream_role', 'SELECT count(*) > 0 FROM ds_downsample_streams(return_datapoints => true, filter_stream => ''is_role(uuid)'')');
SELECT try_as('regress_datastream_role', 'SELECT count(*) > 0 FROM ds_downsample_streams(return_datapoints => true, filter_stream => ''secret(uuid)'')');

-- Planning a query is no way to learn about what one must not read.
CREATE FUNCTION planned_rows(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan->0->'Plan'->>'Plan Rows';
END
$$;
SELECT planned_rows(format('SELECT * FROM ds_get_data(%L, ''minutes'')', :'a')) < 10 AS knows;
REVOKE SELECT ON datastream.datapoints_minutes FROM regress_datastream_role;
SET ROLE regress_datastream_role;
SELECT planned_rows(format('SELECT * FROM ds_get_data(%L, ''minutes'')', :'a')) < 10 AS knows;
SELECT planned_rows(format('SELECT * FROM ds_get_data(%L, ''hours'')', :'a')) < 10 AS knows;
RESET ROLE;

-- Row security on the table of streams hides all that belongs to a stream.
SELECT ds_delete_streams();
GRANT USAGE ON SCHEMA datastream TO regress_datastream_alice, regress_datastream_bob;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA datastream TO regress_datastream_alice, regress_datastream_bob;
ALTER TABLE datastream.streams ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON datastream.streams USING (tags @> jsonb_build_object('owner', current_user));
SET ROLE regress_datastream_bob;
SELECT ds_ensure_stream('{"name": "bob"}', '{"owner": "regress_datastream_bob"}') AS bob \gset
SELECT count(ds_append(:'bob', i, timestamptz '2000-01-01 00:00:00+00' + i * interval '1 s')) FROM generate_series(0, 99) i;
SELECT ds_ensure_stream('{"name": "slope"}', '{"owner": "regress_datastream_bob"}', derive_from => to_jsonb(:'bob'::uuid), derive_op => 'derivative') AS slope \gset
SET ROLE regress_datastream_alice;
SELECT ds_ensure_stream('{"name": "alice"}', '{"owner": "regress_datastream_alice"}') AS alice \gset
SELECT count(ds_append(:'alice', i, timestamptz '2000-01-01 00:00:00+00' + i * interval '1 s')) FROM generate_series(0, 99) i;

SELECT tags FROM ds_find_streams();
SELECT tags FROM ds_find_streams('{"name": "bob"}');
SELECT what, raises(format('SELECT ' || what, :'bob')) FROM unnest(ARRAY['ds_get_data(%L, ''seconds'')', 'ds_get_data(%L, ''hours'')',
	'ds_get_series(%L, ''seconds'')', 'ds_get_tags(%L)', 'ds_append(%L, 1)', 'ds_append(%L, 1, ''2000-01-01'', false)',
	'ds_append_multiple(%L::uuid, ''{2000-01-02}'', ''{1}'')', 'ds_append_multiple(ARRAY[%L]::uuid[], ''{2000-01-02}'', ''{1}'')',
	'ds_append_multiple(''[{"stream_id": "%s", "value": 1}]'')', 'ds_update_tags(%L, ''{"owner": "regress_datastream_alice"}'')',
	'ds_remove_tag(%L, ''{"name": ""}'')', 'ds_clear_tags(%L)',
	'ds_ensure_stream(''{"name": "sum"}'', ''{"owner": "regress_datastream_alice"}'', derive_from => ''"%s"'', derive_op => ''sum'')']) what;
SELECT count(*) FROM ds_downsample_streams(jsonb_build_object('stream_id', :'bob'), return_datapoints => true);
SELECT count(*) FROM ds_downsample_streams('{"name": "bob"}', return_datapoints => true);
SELECT DISTINCT tags->>'name' AS name FROM ds_downsample_streams(return_datapoints => true) JOIN ds_find_streams() USING (stream_id);
SELECT ds_backprocess_streams();
SELECT ds_delete_streams(jsonb_build_object('stream_id', :'bob')), ds_delete_streams('{"name": "bob"}');
SELECT planned_rows(format('SELECT * FROM ds_get_data(%L, ''seconds'')', :'bob')) AS planned_rows;

-- Tags cannot give a stream away, nor make one for somebody else.
SELECT raises(format('SELECT ds_update_tags(%L, ''{"owner": "regress_datastream_bob"}'')', :'alice'));
SELECT raises(format('SELECT ds_clear_tags(%L)', :'alice'));
SELECT raises('SELECT ds_ensure_stream(''{"name": "c"}'', ''{"owner": "regress_datastream_bob"}'')');
SELECT raises('SELECT ds_ensure_stream(''{"name": "c"}'')');
-- Somebody else's stream does not stand in the way of a new one.
SELECT ds_ensure_stream('{"name": "bob"}', '{"owner": "regress_datastream_alice"}') <> :'bob' AS another;
SELECT ds_delete_streams('{"name": "bob"}');

-- Who writes to a source does not see what others derive from it, and cannot
-- bring that up to date; who sees it can.
RESET ROLE;
SELECT ds_ensure_stream('{"name": "hidden"}', '{"owner": "regress_datastream_bob"}', derive_from => to_jsonb(:'alice'::uuid), derive_op => 'derivative') AS hidden \gset
SELECT ds_backprocess_streams();
SELECT count(*) FROM ds_get_data(:'hidden', 'seconds');
SET ROLE regress_datastream_alice;
SELECT count(ds_append(:'alice', i, timestamptz '2000-01-02 00:00:00+00' + i * interval '1 s')) FROM generate_series(0, 9) i;
SELECT ds_get_tags(:'alice')->'contributes_to' AS contributes_to;
SELECT raises('SELECT ds_delete_streams(''{"name": "alice"}'')');
RESET ROLE;
SELECT count(*) FROM ds_get_data(:'hidden', 'seconds');
SELECT v FROM ds_append(:'alice', 1000, '2000-01-03 00:00:00+00');
SELECT count(*) FROM ds_get_data(:'hidden', 'seconds');

-- Who sees a derived stream, but not all of its sources, does not learn their
-- identifiers: not from what the stream is, and not from errors.
CREATE FUNCTION mentions(statement text, id uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
	context text;
	result text;
BEGIN
	EXECUTE statement INTO result;
	RETURN CASE WHEN result ~ id::text THEN 'yes: ' ELSE 'no: ' END || regexp_replace(result, '[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}', '<uuid>', 'g');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
	RETURN CASE WHEN concat(message, detail, hint, context) ~ id::text THEN 'yes: ' ELSE 'no: ' END
		|| regexp_replace(concat_ws(' ', message, detail), '[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}', '<uuid>', 'g');
END
$$;
SELECT ds_ensure_stream('{"name": "seen"}', '{"owner": "regress_datastream_alice"}',
	derive_from => jsonb_build_array(:'bob'::uuid, :'alice'::uuid), derive_op => 'sum') AS seen \gset
SET ROLE regress_datastream_alice;
SELECT mentions(replace(statement, '<id>', :'seen'), :'bob') FROM unnest(ARRAY[
	$$SELECT ds_get_tags('<id>')->'derived_from'$$,
	$$SELECT derived_from FROM ds_find_streams() WHERE stream_id = '<id>'$$,
	format($$SELECT ds_ensure_stream('{"name": "seen"}', derive_from => '"%s"', derive_op => 'sum')$$, :'alice'),
	format($$SELECT ds_append('%s', 1, '2000-01-04')$$, :'alice')]) AS statement;
SELECT ds_delete_streams('{"name": "seen"}');
SELECT mentions($$SELECT ds_delete_streams('{"name": "alice"}')$$, :'hidden');
-- The same where only those who see a stream may write to its rows
RESET ROLE;
ALTER TABLE datastream.progress ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON datastream.progress USING (EXISTS (SELECT FROM datastream.streams AS s WHERE s.stream_id = progress.stream_id));
SET ROLE regress_datastream_alice;
SET client_min_messages = error;
SELECT mentions(format($$SELECT ds_append('%s', 1, '2000-01-02', false)$$, :'alice'), :'hidden');
RESET client_min_messages;
RESET ROLE;
DROP POLICY own ON datastream.progress;
ALTER TABLE datastream.progress DISABLE ROW LEVEL SECURITY;
DROP FUNCTION mentions;

-- The owner of the tables sees all.
SELECT tags->>'name' AS name FROM ds_find_streams();
DROP POLICY own ON datastream.streams;
ALTER TABLE datastream.streams DISABLE ROW LEVEL SECURITY;

-- Row security on other tables hides what is there.
ALTER TABLE datastream.heads ENABLE ROW LEVEL SECURITY;
SET ROLE regress_datastream_alice;
SELECT raises(format('SELECT ds_append(%L, 1)', :'alice'));
SELECT raises(format('SELECT ds_get_data(%L, ''seconds'')', :'alice'));
SELECT count(*) FROM ds_downsample_streams(return_datapoints => true);
RESET ROLE;
ALTER TABLE datastream.heads DISABLE ROW LEVEL SECURITY;
ALTER TABLE datastream.datapoints_seconds ENABLE ROW LEVEL SECURITY;
CREATE POLICY read ON datastream.datapoints_seconds FOR SELECT USING (true);
SET ROLE regress_datastream_alice;
SELECT raises(format('SELECT ds_append_multiple(%L::uuid, array_agg(t), array_agg(1.0)) FROM generate_series(timestamptz ''2000-01-04'', ''2000-01-05'', ''1 min'') t', :'alice'));
RESET ROLE;
DROP POLICY read ON datastream.datapoints_seconds;
ALTER TABLE datastream.datapoints_seconds DISABLE ROW LEVEL SECURITY;

SELECT ds_delete_streams();
DROP FUNCTION try_as, needs, is_role, secret, planned_rows;
DROP TABLE operations;
REVOKE ALL ON ALL TABLES IN SCHEMA datastream FROM regress_datastream_role, regress_datastream_alice, regress_datastream_bob;
REVOKE ALL ON SCHEMA datastream FROM regress_datastream_role, regress_datastream_alice, regress_datastream_bob;
DROP ROLE regress_datastream_role;
DROP ROLE regress_datastream_alice;
DROP ROLE regress_datastream_bob;
