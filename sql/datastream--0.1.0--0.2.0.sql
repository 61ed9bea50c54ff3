\echo Use "ALTER EXTENSION datastream UPDATE TO '0.2.0'" to load this file. \quit

/*
 * What version 0.2.0 changed.  A database that is updated must end with what
 * CREATE EXTENSION makes: test/t/020_update.pl compares the two.
 */

/*
 * Derived streams: what has changed in their sources is kept for each source by
 * itself.
 */
CREATE TABLE datastream.changes (
	stream_id uuid NOT NULL,
	change_id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
	"position" integer NOT NULL,
	"from" timestamptz NOT NULL,
	"to" timestamptz NOT NULL,
	PRIMARY KEY (stream_id, change_id)
);
COMMENT ON TABLE datastream.changes IS 'what has changed in the sources of derived streams and is to be derived again';
SELECT pg_catalog.pg_extension_config_dump('datastream.changes', '');

-- Whoever was granted to write derived streams goes on doing so.
DO $$
DECLARE
	grantee text;
BEGIN
	FOR grantee IN
		SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END
		FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
		WHERE c.oid OPERATOR(pg_catalog.=) 'datastream.sources'::pg_catalog.regclass
			AND a.privilege_type OPERATOR(pg_catalog.=) 'UPDATE' AND a.grantee OPERATOR(pg_catalog.<>) c.relowner
	LOOP
		EXECUTE pg_catalog.format('GRANT SELECT, INSERT, DELETE ON datastream.changes TO %s', grantee);
	END LOOP;
END
$$;

INSERT INTO datastream.changes (stream_id, "position", "from", "to")
	SELECT p.stream_id, d."position", COALESCE(pg_catalog.lower(r), '1970-01-01 00:00:00+00'),
		COALESCE(pg_catalog.upper(r), '9999-12-31 23:59:59+00')
	FROM datastream.progress p
		CROSS JOIN LATERAL pg_catalog.unnest(p.rederive) r
		JOIN datastream.sources d ON d.stream_id OPERATOR(pg_catalog.=) p.stream_id;
ALTER TABLE datastream.progress DROP COLUMN rederive;

-- A sum, and a source at a lower granularity, had been read until a time of which
-- not all is known: its last bucket is derived again.
UPDATE datastream.sources d SET read_count = d.read_count OPERATOR(pg_catalog.-) d.origin_count
	WHERE d.read_until OPERATOR(pg_catalog.=) d.origin AND d.read_count OPERATOR(pg_catalog.>=) d.origin_count;
UPDATE datastream.sources d SET read_until = @extschema@.ds_round(d.granularity, d.read_until), read_count = 0
	FROM datastream.streams s, datastream.streams t
	WHERE s.stream_id OPERATOR(pg_catalog.=) d.stream_id AND t.stream_id OPERATOR(pg_catalog.=) d.source_id
		AND d.read_until IS NOT NULL
		AND (s.derive_op OPERATOR(pg_catalog.=) 'sum' OR d.granularity OPERATOR(pg_catalog.<>) t.highest_granularity);
