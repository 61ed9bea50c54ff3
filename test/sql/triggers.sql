-- Triggers on the extension's tables that append themselves
CREATE EXTENSION IF NOT EXISTS datastream;
SET timezone = 'UTC';
SET client_min_messages = warning;
SELECT count(ds_ensure_stream('{"audit": 1}'));
CREATE TABLE sensors AS SELECT n, ds_ensure_stream(jsonb_build_object('sensor', n)) AS id FROM generate_series(1, 4) n;

CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	audited uuid := (SELECT stream_id FROM datastream.streams WHERE tags @> '{"audit": 1}');
BEGIN
	IF NEW.stream_id <> audited THEN
		PERFORM ds_append(audited, 1.0::float8);
	END IF;
	RETURN NULL;
END $$;
CREATE FUNCTION audit_caught() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	audited uuid := (SELECT stream_id FROM datastream.streams WHERE tags @> '{"audit": 1}');
BEGIN
	IF NEW.stream_id <> audited THEN
		BEGIN
			PERFORM ds_append(audited, 1.0::float8);
			PERFORM ds_append(audited, 'NaN'::float8);
		EXCEPTION WHEN invalid_parameter_value THEN
			PERFORM ds_append(audited, 2.0::float8);
		END;
	END IF;
	RETURN NULL;
END $$;
-- Appends to a stream that comes later, or came before, in what is being appended
CREATE FUNCTION echo() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	id uuid;
BEGIN
	IF NEW.start < '2024-06-01' THEN
		FOR id IN SELECT s.id FROM sensors s WHERE s.id <> NEW.stream_id LOOP
			PERFORM ds_append(id, -1, '2024-06-01', check_timestamp => false);
		END LOOP;
	END IF;
	RETURN NULL;
END $$;
CREATE FUNCTION append_all(day date) RETURNS bigint LANGUAGE sql AS $$
	SELECT ds_append_multiple(array_agg(id ORDER BY n, i), array_agg(day + i * interval '1 s' ORDER BY n, i),
		array_agg(i::float8 ORDER BY n, i)) FROM sensors, generate_series(1, 100) i
$$;
CREATE VIEW stored AS SELECT tags, count(t), min(v::numeric), max(v::numeric) FROM datastream.streams, ds_get_data(stream_id, 'seconds')
	WHERE tags ?| '{sensor, audit}' GROUP BY tags ORDER BY tags;

CREATE TRIGGER audit AFTER INSERT OR UPDATE ON datastream.datapoints_seconds FOR EACH ROW EXECUTE FUNCTION audit();
SELECT append_all('2024-01-01');
SELECT * FROM stored;
DROP TRIGGER audit ON datastream.datapoints_seconds;

CREATE TRIGGER audit AFTER INSERT OR UPDATE ON datastream.datapoints_seconds FOR EACH ROW EXECUTE FUNCTION audit_caught();
SELECT append_all('2024-01-02');
SELECT * FROM stored;
DROP TRIGGER audit ON datastream.datapoints_seconds;

CREATE TRIGGER audit AFTER UPDATE ON datastream.heads FOR EACH ROW EXECUTE FUNCTION audit_caught();
SELECT append_all('2024-01-03');
SELECT * FROM stored;
DROP TRIGGER audit ON datastream.heads;

CREATE TRIGGER echo AFTER INSERT OR UPDATE ON datastream.datapoints_seconds FOR EACH ROW EXECUTE FUNCTION echo();
SELECT ds_append_multiple(array_agg(id ORDER BY n, i), array_agg(timestamptz '2024-06-01' - (101 - i) * interval '1 s' ORDER BY n, i),
	array_agg(i::float8 ORDER BY n, i)) FROM sensors, generate_series(1, 100) i WHERE n <= 1;
SELECT * FROM stored;
DROP TRIGGER echo ON datastream.datapoints_seconds;

-- One that appends to the stream that it was fired for
CREATE FUNCTION itself() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF pg_trigger_depth() = 1 THEN
		PERFORM ds_append(NEW.stream_id, -2, '2024-06-02', check_timestamp => false);
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER itself AFTER INSERT OR UPDATE ON datastream.datapoints_seconds FOR EACH ROW EXECUTE FUNCTION itself();
\set VERBOSITY sqlstate
SELECT append_all('2024-06-03');
\set VERBOSITY default
SELECT * FROM stored;
CREATE TRIGGER queries AFTER DELETE ON datastream.heads FOR EACH STATEMENT EXECUTE FUNCTION itself();
\set VERBOSITY sqlstate
SELECT append_all('2024-06-03');
\set VERBOSITY default
SELECT * FROM stored;
DROP TRIGGER queries ON datastream.heads;
DROP TRIGGER itself ON datastream.datapoints_seconds;

-- A trigger keeps its settings while the extension's queries are planned.
CREATE FUNCTION settings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING 'enable_seqscan %, enable_sort %', current_setting('enable_seqscan'), current_setting('enable_sort');
	RETURN NULL;
END $$;
CREATE TRIGGER settings AFTER UPDATE ON datastream.heads FOR EACH STATEMENT EXECUTE FUNCTION settings();
SELECT v FROM ds_append((SELECT id FROM sensors WHERE n = 1), 1, '2024-07-01');
DROP TRIGGER settings ON datastream.heads;

SELECT ds_delete_streams('{"audit": 1}') + sum(ds_delete_streams(jsonb_build_object('sensor', n))) AS deleted FROM sensors;
DROP VIEW stored;
DROP FUNCTION audit, audit_caught, echo, itself, settings, append_all;
DROP TABLE sensors;
