DROP FUNCTION stream;
DROP FUNCTION raises;

-- The extension goes with all its tables, and can be made again.
DROP EXTENSION datastream;
SELECT nspname FROM pg_namespace WHERE nspname = 'datastream';
CREATE SCHEMA elsewhere;
CREATE EXTENSION datastream SCHEMA elsewhere;
SELECT (elsewhere.ds_append(elsewhere.ds_ensure_stream('{"name": "again"}'), 1, '2000-01-01 00:00:00+00')).v;
SELECT t, v FROM elsewhere.ds_get_data((SELECT stream_id FROM datastream.streams), 'seconds');
DROP EXTENSION datastream CASCADE;
DROP SCHEMA elsewhere;
