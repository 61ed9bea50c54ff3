-- Heads are locked and written, and blocks inserted and read, by direct access to
-- their tables or, where something else has a say in it, by queries.  Both must do
-- the same.
SET timezone = 'UTC';
CREATE FUNCTION append_much(name text) RETURNS uuid LANGUAGE plpgsql AS
$$
DECLARE
	id uuid := ds_ensure_stream(jsonb_build_object('name', name));
	derived uuid := ds_ensure_stream(jsonb_build_object('name', name || ' slope'), derive_from => to_jsonb(id::text), derive_op => 'derivative');
	n int;
BEGIN
	SET LOCAL client_min_messages = error;
	FOR n IN 0 .. 99 LOOP
		PERFORM ds_append(id, n * n, timestamptz '2001-02-03 04:05:00Z' + n * interval '3 s');
		BEGIN
			PERFORM ds_append(id, -n, timestamptz '2001-02-03 04:05:00Z' + n * interval '3 s');
			IF n % 3 = 0 THEN
				RAISE EXCEPTION 'undo this append';
			END IF;
		EXCEPTION WHEN raise_exception THEN
			NULL;
		END;
	END LOOP;
	PERFORM FROM ds_downsample_streams(jsonb_build_object('stream_id', id));
	PERFORM ds_append(id, 1, '2001-02-03 04:05:10Z', false);
	PERFORM FROM ds_downsample_streams(jsonb_build_object('stream_id', id));
	RETURN id;
END
$$;
CREATE FUNCTION content(id uuid) RETURNS text LANGUAGE sql AS
$$
	SELECT md5(string_agg(format('%s %s', granularity, d), ' ' ORDER BY granularity, n)) FROM unnest('{seconds,10seconds,minutes}'::text[]) granularity,
		ds_get_data(id, granularity) WITH ORDINALITY AS d (t, v, times, n)
$$;

SELECT append_much('direct') AS direct \gset
CREATE FUNCTION do_nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER bystander BEFORE UPDATE ON datastream.heads FOR EACH ROW EXECUTE FUNCTION do_nothing();
SELECT format('CREATE TRIGGER bystander BEFORE INSERT ON datastream.%I FOR EACH ROW EXECUTE FUNCTION do_nothing()', relname) FROM pg_class
	WHERE relnamespace = 'datastream'::regnamespace AND relname LIKE 'datapoints\_%' AND relkind = 'r' ORDER BY relname \gexec
SELECT append_much('by query') AS by_query \gset

-- Both have done the same.
SELECT content(:'direct') = content(:'by_query') AS same, count(*), sum(v::numeric) FROM ds_get_data(:'direct', 'seconds');
SELECT count(*) AS different FROM
	(SELECT start, seq, until, count, md5(block::text) FROM datastream.datapoints_seconds WHERE stream_id = :'direct') a
	FULL JOIN (SELECT start, seq, until, count, md5(block::text) FROM datastream.datapoints_seconds WHERE stream_id = :'by_query') b
	ON a = b WHERE a IS NULL OR b IS NULL;
SELECT latest, close_at, due, undelivered, contributes, ds_block_summary(head) ->> 'rows' AS rows FROM datastream.heads WHERE stream_id IN (:'direct', :'by_query');

-- They read the same, of any range, in both directions; blocks that begin at the
-- same time are among them.
CREATE FUNCTION rows_of(id uuid) RETURNS text LANGUAGE sql AS
$$
	SELECT md5(string_agg(d::text, ' ' ORDER BY f, u, reverse, n))
	FROM generate_series(-5, 305, 31) f, generate_series(-5, 305, 31) u, unnest('{true,false}'::bool[]) reverse,
		ds_get_data(id, 'seconds', timestamptz '2001-02-03 04:05:00Z' + f * interval '1 s', timestamptz '2001-02-03 04:05:00Z' + u * interval '1 s',
			reverse => reverse) WITH ORDINALITY AS d (t, v, times, n)
$$;
SELECT ds_ensure_stream('{"name": "at once"}') AS at_once \gset
SELECT ds_append_multiple(:'at_once'::uuid, array_agg(timestamptz '2001-02-03 04:05:00Z' + i / 2500 * interval '100 s' ORDER BY i), array_agg(i ORDER BY i)) FROM generate_series(1, 7000) i;
SELECT count(*) FILTER (WHERE seq > 0) AS same_start FROM datastream.datapoints_seconds WHERE stream_id = :'at_once';
SELECT rows_of(:'direct') AS rows_direct, rows_of(:'at_once') AS rows_at_once \gset
ALTER TABLE datastream.datapoints_seconds ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY all_rows ON datastream.datapoints_seconds USING (true);
CREATE ROLE regress_datastream_reader;
GRANT USAGE ON SCHEMA datastream TO regress_datastream_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA datastream TO regress_datastream_reader;
SET ROLE regress_datastream_reader;
SELECT rows_of(:'direct') = :'rows_direct' AS same, rows_of(:'at_once') = :'rows_at_once' AS same_at_once;

-- A right that is taken away is gone at once.
SELECT count(*) FROM ds_get_data(:'at_once', 'seconds');
RESET ROLE;
DROP POLICY all_rows ON datastream.datapoints_seconds;
ALTER TABLE datastream.datapoints_seconds DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
SET ROLE regress_datastream_reader;
SELECT rows_of(:'direct') = :'rows_direct' AS same, rows_of(:'at_once') = :'rows_at_once' AS same_at_once;
RESET ROLE;
REVOKE SELECT ON datastream.datapoints_seconds FROM regress_datastream_reader;
SET ROLE regress_datastream_reader;
\set SHOW_CONTEXT never
SELECT count(*) FROM ds_get_data(:'at_once', 'seconds');
\set SHOW_CONTEXT errors
RESET ROLE;
REVOKE ALL ON ALL TABLES IN SCHEMA datastream FROM regress_datastream_reader;
REVOKE ALL ON SCHEMA datastream FROM regress_datastream_reader;
DROP ROLE regress_datastream_reader;
SELECT ds_delete_streams('{"name": "at once"}');
DROP FUNCTION rows_of;

-- One goes on where the other has ended.
SELECT t, v FROM ds_append(:'direct', 5, '2001-02-03 04:15:00Z');
DROP TRIGGER bystander ON datastream.heads;
SELECT format('DROP TRIGGER bystander ON datastream.%I', relname) FROM pg_class
	WHERE relnamespace = 'datastream'::regnamespace AND relname LIKE 'datapoints\_%' AND relkind = 'r' ORDER BY relname \gexec
SELECT t, v FROM ds_append(:'direct', 6, '2001-02-03 04:15:01Z');
SELECT t, v FROM ds_append(:'by_query', 5, '2001-02-03 04:15:00Z');
SELECT t, v FROM ds_append(:'by_query', 6, '2001-02-03 04:15:01Z');
SELECT content(:'direct') = content(:'by_query') AS same;

-- A head is found where it was, or wherever it has gone to since.
SELECT ds_ensure_stream('{"name": "moved"}') AS moved \gset
SELECT t, v FROM ds_append(:'moved', 6, '2001-02-03 04:15:01Z');
VACUUM FULL datastream.heads;
SELECT t, v FROM ds_append(:'moved', 7, '2001-02-03 04:15:01Z');
UPDATE datastream.heads SET check_at = check_at - interval '1 s' WHERE stream_id = :'moved';
SELECT t, v FROM ds_append(:'moved', 8, '2001-02-03 04:15:01Z');
BEGIN;
SELECT ds_ensure_stream('{"name": "undone"}') AS undone \gset
SELECT t, v FROM ds_append(:'undone', 1, '2001-02-03 04:15:01Z');
SELECT t, v FROM ds_append(:'moved', 9, '2001-02-03 04:15:01Z');
ROLLBACK;
\set VERBOSITY sqlstate
SELECT ds_append(:'undone', 2, '2001-02-03 04:15:01Z');
\set VERBOSITY default
SELECT ds_ensure_stream('{"name": "other"}') AS other \gset
SELECT t, v FROM ds_append(:'other', 3, '2001-02-03 04:15:01Z');
SELECT ds_delete_streams('{"name": "other"}');
VACUUM datastream.heads;
SELECT count(ds_ensure_stream(jsonb_build_object('name', 'other', 'n', n))) FROM generate_series(1, 10) n;
\set VERBOSITY sqlstate
SELECT ds_append(:'other', 4, '2001-02-03 04:15:01Z');
\set VERBOSITY default
SELECT t, v FROM ds_append(:'moved', 10, '2001-02-03 04:15:01Z');
SELECT v FROM ds_get_data(:'moved', 'seconds', '2001-02-03 04:15:01Z');
SELECT ds_delete_streams('{"name": "other"}'), ds_delete_streams('{"name": "moved"}');

-- An index on a column that every append changes
CREATE INDEX heads_latest ON datastream.heads (latest);
SELECT t, v FROM ds_append(:'direct', 9, '2001-02-03 04:15:02Z');
BEGIN;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SELECT latest FROM datastream.heads WHERE latest = '2001-02-03 04:15:02Z' AND stream_id = :'direct';
COMMIT;
DROP INDEX datastream.heads_latest;

-- A trigger may keep an append from being stored.
CREATE FUNCTION keep_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER keep_out BEFORE UPDATE ON datastream.heads FOR EACH ROW EXECUTE FUNCTION keep_out();
\set VERBOSITY sqlstate
SELECT ds_append(:'direct', 7, '2001-02-03 04:15:03Z');
DROP TRIGGER keep_out ON datastream.heads;

-- So may a constraint.
ALTER TABLE datastream.heads ADD CONSTRAINT too_late CHECK (latest < '2001-02-03 04:16:00Z');
SELECT ds_append(:'direct', 7, '2001-02-03 04:17:00Z');
ALTER TABLE datastream.heads DROP CONSTRAINT too_late;

-- Another column is kept as it is.
ALTER TABLE datastream.heads ADD COLUMN note text DEFAULT 'kept';
SELECT t, v FROM ds_append(:'direct', 7, '2001-02-03 04:17:00Z');
SELECT note FROM datastream.heads WHERE stream_id = :'direct';
ALTER TABLE datastream.heads DROP COLUMN note;
SELECT t, v FROM ds_append(:'direct', 8, '2001-02-03 04:17:01Z');

-- A read-only transaction
BEGIN READ ONLY;
SELECT ds_append(:'direct', 10, '2001-02-03 04:17:03Z');
ROLLBACK;

-- A stream that is gone
SELECT ds_delete_streams('{"name": "direct slope"}'), ds_delete_streams('{"name": "direct"}');
SELECT ds_append(:'direct', 10, '2001-02-03 04:17:03Z');
SELECT ds_delete_streams('{"name": "by query slope"}'), ds_delete_streams('{"name": "by query"}');
DROP FUNCTION append_much, content, do_nothing, keep_out;
