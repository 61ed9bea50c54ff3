-- Functions find what they need, whatever the search_path of their caller, and
-- call nothing that somebody else has put there.
SET timezone = 'UTC';
SET client_min_messages = error;
CREATE ROLE regress_datastream_evil;
RESET client_min_messages;
CREATE SCHEMA trap AUTHORIZATION regress_datastream_evil;
GRANT USAGE ON SCHEMA trap TO PUBLIC;

-- A schema with traps of the names of all functions and operators of
-- PostgreSQL, with the same arguments, and of types and tables
SET ROLE regress_datastream_evil;
DO $$
DECLARE
	original record;
BEGIN
	FOR original IN
		SELECT proname, proargtypes, prorettype::regtype AS result FROM pg_proc
		WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind IN ('f', 'a', 'w') AND NOT proretset AND provariadic = 0
			AND prorettype NOT IN ('internal'::regtype, 'trigger'::regtype, 'event_trigger'::regtype, 'cstring'::regtype, '"any"'::regtype)
			AND NOT proargtypes::oid[] && ARRAY['internal'::regtype, 'cstring'::regtype, '"any"'::regtype]::oid[]
	LOOP
		BEGIN
			EXECUTE format('CREATE FUNCTION trap.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION %L; END $f$',
				original.proname, array_to_string(original.proargtypes::oid[]::regtype[], ', '), original.result, 'hijacked: ' || original.proname);
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
	END LOOP;
	FOR original IN
		SELECT oprname, oprleft, oprright, oprresult, oprcode FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace
	LOOP
		BEGIN
			EXECUTE format('CREATE FUNCTION trap.operator(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION %L; END $f$',
				concat_ws(', ', nullif(original.oprleft, 0)::regtype, original.oprright::regtype), original.oprresult::regtype, 'hijacked: an operator');
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
		BEGIN
			EXECUTE format('CREATE OPERATOR trap.%s (FUNCTION = trap.operator, %s RIGHTARG = %s)', original.oprname,
				'LEFTARG = ' || nullif(original.oprleft, 0)::regtype || ',', original.oprright::regtype);
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
	END LOOP;
	FOR original IN SELECT typname FROM unnest(ARRAY['uuid', 'jsonb', 'text', 'timestamptz', 'tstzrange', 'tstzmultirange', 'int4', 'int8', 'float8', 'numeric', 'bool', 'ds_block']) typname LOOP
		EXECUTE format('CREATE TYPE trap.%I AS ENUM ()', original.typname);
	END LOOP;
	FOR original IN SELECT relname FROM pg_class WHERE relnamespace = 'datastream'::regnamespace AND relkind = 'r' LOOP
		EXECUTE format('CREATE TABLE trap.%I ()', original.relname);
		EXECUTE format('GRANT ALL ON trap.%I TO PUBLIC', original.relname);
	END LOOP;
END
$$;
RESET ROLE;
SELECT count(*) > 1500 AS functions FROM pg_proc WHERE pronamespace = 'trap'::regnamespace;
SELECT count(*) > 400 AS operators FROM pg_operator WHERE oprnamespace = 'trap'::regnamespace;
