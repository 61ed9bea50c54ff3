-- These tests say themselves when something is downsampled or derived, so that
-- their database has no background workers.
DO $$ BEGIN
	EXECUTE format('ALTER DATABASE %I SET datastream.enabled = off', current_database());
END $$;

-- The extension goes into the schema of the session; its tables into their own.
CREATE EXTENSION datastream;
SELECT extname, extversion, nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace
WHERE extname = 'datastream';

-- Everything that a user can see is described.
SELECT p.oid::regprocedure AS undescribed FROM pg_proc p
JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'datastream'
WHERE obj_description(p.oid, 'pg_proc') IS NULL;
SELECT c.oid::regclass AS undescribed FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'datastream' AND c.relkind IN ('r', 'v') AND obj_description(c.oid, 'pg_class') IS NULL;
SELECT name AS undescribed FROM pg_settings WHERE name LIKE 'datastream.%' AND coalesce(short_desc, '') = '';

-- Nothing is for everybody to write, or to read.
SELECT c.oid::regclass AS public_may FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'datastream' AND c.relkind IN ('r', 'v')
AND (has_table_privilege('public', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE'));

-- For the tests: the id of a stream by its name, and what a statement raises.
CREATE FUNCTION stream(name text) RETURNS uuid LANGUAGE sql STABLE
RETURN (SELECT stream_id FROM datastream.streams WHERE tags->>'name' = name);
CREATE FUNCTION raises(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
BEGIN
	EXECUTE statement;
	RETURN 'nothing';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	message := SQLSTATE || ': ' || message || CASE WHEN detail <> '' THEN ' (' || detail || ')' ELSE '' END;
	RETURN regexp_replace(message, '[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}', '<uuid>', 'g');
END
$$;
