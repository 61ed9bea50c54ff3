CREATE EXTENSION datastream;

-- Named sets of streams.  A client would know its streams' identifiers; here
-- they are part of a statement's plan: a function that is declared immutable is
-- evaluated when a statement is planned.
CREATE TABLE sets (name text PRIMARY KEY, ids uuid[] NOT NULL);
ALTER TABLE sets ALTER ids SET STORAGE external;
CREATE FUNCTION ids(set text) RETURNS uuid[] LANGUAGE sql IMMUTABLE AS
	'SELECT ids FROM sets WHERE name = set';

-- Makes streams and adds them to a set, which need not be there yet.
CREATE FUNCTION make_streams(set text, count int) RETURNS void LANGUAGE sql AS
$$
	INSERT INTO sets
	SELECT set, array_agg(ds_ensure_stream(jsonb_build_object('set', set, 'n', n)) ORDER BY n)
		FROM (SELECT coalesce(max(cardinality(ids)), 0) AS last FROM sets WHERE name = set) AS sets,
			LATERAL generate_series(last + 1, last + count) AS n
	ON CONFLICT (name) DO UPDATE SET ids = sets.ids || EXCLUDED.ids
$$;
