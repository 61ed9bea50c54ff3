-- All that the catalogs say of the extension and of what belongs to it, a line a
-- fact, without what differs between two databases with the same objects.  It
-- follows the catalogs' own list of their foreign keys, so that it knows of
-- every kind of object.
SET client_min_messages = error;
SET search_path = '';

CREATE TEMP TABLE members (classid oid, objid oid, PRIMARY KEY (classid, objid));
WITH RECURSIVE member AS (
	SELECT 'pg_extension'::regclass::oid AS classid, oid AS objid FROM pg_extension WHERE extname = 'datastream'
	UNION
	SELECT d.classid, d.objid FROM member m JOIN pg_depend d ON d.refclassid = m.classid AND d.refobjid = m.objid AND d.deptype IN ('e', 'i', 'a', 'P', 'S')
)
INSERT INTO members SELECT * FROM member;

-- The names of objects, but for those that have an OID in them
CREATE FUNCTION pg_temp.name(classid oid, objid oid, objsubid int DEFAULT 0) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN objid <> 0 THEN regexp_replace(pg_describe_object(classid, objid, objsubid), 'pg_toast_[0-9]+', 'pg_toast_N', 'g') END
$$;

-- What each column of the catalogs refers to
CREATE TEMP TABLE referring AS
	SELECT fktable::oid AS relid, fkcols[1] AS attname, pktable::oid AS refers_to FROM pg_get_catalog_foreign_keys() WHERE cardinality(fkcols) = 1 AND pkcols = '{oid}';

-- A value of a catalog's column, OIDs by name
CREATE FUNCTION pg_temp.value(value jsonb, refers_to oid) RETURNS text LANGUAGE sql AS $$
	SELECT CASE
		-- a mark that some builds of the server put on every column, at random
		WHEN refers_to IS NULL THEN regexp_replace(value::text, '"pg_attver=[0-9]+"', '"pg_attver"')
		WHEN jsonb_typeof(value) = 'array' THEN (SELECT string_agg(pg_temp.name(refers_to, o::oid), ', ' ORDER BY n) FROM jsonb_array_elements_text(value) WITH ORDINALITY AS e(o, n))
		WHEN jsonb_typeof(value) = 'string' AND value #>> '{}' ~ ' ' THEN (SELECT string_agg(pg_temp.name(refers_to, o::oid), ', ' ORDER BY n) FROM string_to_table(value #>> '{}', ' ') WITH ORDINALITY AS e(o, n))
		WHEN value #>> '{}' ~ '^[0-9]+$' THEN pg_temp.name(refers_to, (value #>> '{}')::oid)
		ELSE value::text END
$$;

-- What the rows of a catalog say that describe members: those for which a
-- condition on the row c and the member m holds
CREATE FUNCTION pg_temp.facts(catalog regclass, condition text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format($query$
		SELECT concat_ws(' ', pg_temp.name(m.classid, m.objid), row.part || ':', a.attname, '=', pg_temp.value(row.value -> a.attname::text, r.refers_to))
		FROM members m
		CROSS JOIN LATERAL (SELECT to_jsonb(c) AS value,
				concat_ws(' ', to_jsonb(c) ->> 'attname', to_jsonb(c) ->> 'objsubid', to_jsonb(c) ->> 'enumlabel', to_jsonb(c) ->> 'privtype') AS part
			FROM %1$s c WHERE %2$s) row
		JOIN pg_attribute a ON a.attrelid = %3$s AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN referring r ON r.relid = a.attrelid AND r.attname = a.attname
		WHERE a.attname NOT IN ('oid', 'relpages', 'reltuples', 'relallvisible', 'relallfrozen', 'relfrozenxid', 'relminmxid',
				'atthasmissing', 'attmissingval', 'indcheckxmin', 'extconfig', 'extcondition')
			AND (a.atttypid <> 'oid'::regtype OR r.refers_to IS NOT NULL) AND a.atttypid <> 'pg_node_tree'::regtype
			AND pg_temp.name(m.classid, m.objid) !~ 'pg_toast_'
		$query$, catalog, condition, catalog::oid);
END
$$;

CREATE TEMP TABLE facts (fact text);

-- Catalogs with a row an object, and with rows of an object's parts
INSERT INTO facts SELECT f FROM (SELECT DISTINCT classid FROM members) m,
	LATERAL pg_temp.facts(m.classid::regclass, format('m.classid = %s AND c.oid = m.objid', m.classid)) f;
INSERT INTO facts SELECT f FROM (VALUES
	('pg_attribute', 'pg_class', 'attrelid'), ('pg_index', 'pg_class', 'indexrelid'), ('pg_sequence', 'pg_class', 'seqrelid'),
	('pg_foreign_table', 'pg_class', 'ftrelid'), ('pg_inherits', 'pg_class', 'inhrelid'), ('pg_partitioned_table', 'pg_class', 'partrelid'),
	('pg_aggregate', 'pg_proc', 'aggfnoid'), ('pg_enum', 'pg_type', 'enumtypid'), ('pg_range', 'pg_type', 'rngtypid')) p(part, owner, key),
	LATERAL pg_temp.facts(('pg_catalog.' || part)::regclass, format('m.classid = %s AND c.%I = m.objid AND coalesce((to_jsonb(c) ->> ''attnum'')::int, 1) > 0', ('pg_catalog.' || owner)::regclass::oid, key)) f;
INSERT INTO facts SELECT f FROM unnest(ARRAY['pg_description', 'pg_init_privs', 'pg_seclabel']) part,
	LATERAL pg_temp.facts(('pg_catalog.' || part)::regclass, 'm.classid = c.classoid AND m.objid = c.objoid') f;

-- What depends on what
INSERT INTO facts SELECT concat_ws(' ', pg_temp.name(d.classid, d.objid, d.objsubid), 'depends on', pg_temp.name(d.refclassid, d.refobjid, d.refobjsubid), d.deptype)
	FROM members m JOIN pg_depend d USING (classid, objid) WHERE pg_temp.name(d.classid, d.objid) !~ 'pg_toast_';

-- Expressions and what consists of them, as text
INSERT INTO facts SELECT concat_ws(' ', pg_temp.name(m.classid, m.objid), 'is', CASE m.classid
		WHEN 'pg_proc'::regclass THEN (SELECT CASE p.prokind WHEN 'a' THEN pg_get_function_arguments(p.oid) ELSE pg_get_functiondef(p.oid) END FROM pg_proc p WHERE p.oid = m.objid)
		WHEN 'pg_constraint'::regclass THEN pg_get_constraintdef(m.objid)
		WHEN 'pg_trigger'::regclass THEN pg_get_triggerdef(m.objid)
		WHEN 'pg_rewrite'::regclass THEN pg_get_ruledef(m.objid)
		WHEN 'pg_statistic_ext'::regclass THEN pg_get_statisticsobjdef(m.objid)
		WHEN 'pg_attrdef'::regclass THEN (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE d.oid = m.objid)
		WHEN 'pg_policy'::regclass THEN (SELECT concat_ws('; ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) FROM pg_policy p WHERE p.oid = m.objid)
		WHEN 'pg_class'::regclass THEN (SELECT CASE WHEN c.relkind IN ('i', 'I') THEN pg_get_indexdef(c.oid) END FROM pg_class c WHERE c.oid = m.objid)
		END)
	FROM members m WHERE pg_temp.name(m.classid, m.objid) !~ 'pg_toast_';

-- What pg_dump takes along
INSERT INTO facts SELECT concat_ws(' ', 'dumped:', e.config::regclass, 'WHERE', e.condition)
	FROM pg_extension x, unnest(x.extconfig, x.extcondition) e(config, condition) WHERE x.extname = 'datastream';

SELECT regexp_replace(fact, E'\n', E'\n  ', 'g') FROM facts WHERE fact !~ ' is$' ORDER BY fact COLLATE "C";
