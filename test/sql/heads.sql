-- Heads are locked and written by direct access to their table or, where
-- something else has a say in it, by queries.  Both must do the same.
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
SELECT append_much('by query') AS by_query \gset

-- Both have done the same.
SELECT content(:'direct') = content(:'by_query') AS same, count(*), sum(v::numeric) FROM ds_get_data(:'direct', 'seconds');
SELECT latest, close_at, due, undelivered, contributes, ds_block_summary(head) ->> 'rows' AS rows FROM datastream.heads WHERE stream_id IN (:'direct', :'by_query');

-- One goes on where the other has ended.
SELECT t, v FROM ds_append(:'direct', 5, '2001-02-03 04:15:00Z');
DROP TRIGGER bystander ON datastream.heads;
SELECT t, v FROM ds_append(:'direct', 6, '2001-02-03 04:15:01Z');
SELECT t, v FROM ds_append(:'by_query', 5, '2001-02-03 04:15:00Z');
SELECT t, v FROM ds_append(:'by_query', 6, '2001-02-03 04:15:01Z');
SELECT content(:'direct') = content(:'by_query') AS same;

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
