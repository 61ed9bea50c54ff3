DROP FUNCTION stream;
DROP FUNCTION raises;

-- Each test leaves nothing behind, so that they run in any order.
SELECT count(*) AS streams FROM datastream.streams;
SELECT pg_describe_object(class, object, 0) AS left_behind FROM (
	SELECT 'pg_class'::regclass, oid FROM pg_class WHERE relkind IN ('r', 'v', 'm', 'S', 'f', 'p') UNION ALL
	SELECT 'pg_proc'::regclass, oid FROM pg_proc UNION ALL
	SELECT 'pg_type'::regclass, oid FROM pg_type UNION ALL
	SELECT 'pg_cast'::regclass, oid FROM pg_cast UNION ALL
	SELECT 'pg_namespace'::regclass, oid FROM pg_namespace WHERE nspname !~ '^pg_' UNION ALL
	SELECT 'pg_policy'::regclass, oid FROM pg_policy UNION ALL
	SELECT 'pg_event_trigger'::regclass, oid FROM pg_event_trigger) o(class, object)
WHERE object >= 16384
AND NOT EXISTS (SELECT FROM pg_depend WHERE (classid, objid) = (class, object) AND deptype IN ('e', 'i'))
ORDER BY 1;

-- The extension goes with all its tables, and can be made again.
DROP EXTENSION datastream;
SELECT nspname FROM pg_namespace WHERE nspname = 'datastream';
CREATE SCHEMA elsewhere;
CREATE EXTENSION datastream SCHEMA elsewhere;
SELECT (elsewhere.ds_append(elsewhere.ds_ensure_stream('{"name": "again"}'), 1, '2000-01-01 00:00:00+00')).v;
SELECT t, v FROM elsewhere.ds_get_data((SELECT stream_id FROM datastream.streams), 'seconds');
DROP EXTENSION datastream CASCADE;
DROP SCHEMA elsewhere;
