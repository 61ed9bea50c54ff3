-- Reading row by row, in plans
SET timezone = 'UTC';
SET datestyle = 'ISO';
-- so many datapoints that they take several blocks
SELECT ds_ensure_stream('{"name": "many"}') IS NOT NULL AS made;
SELECT ds_append_multiple(stream('many'), array_agg(timestamptz '2024-01-01' + n * interval '1 s'), array_agg(n::float8))
FROM generate_series(0, 99999) n;
SELECT count(*) FROM ds_downsample_streams('{"name": "many"}');
SELECT count(*) > 10 AS many_blocks FROM datastream.datapoints_seconds WHERE stream_id = stream('many');

-- The scans and sorts of a query's plan
CREATE FUNCTION scans(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	found text[] := '{}';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		found := found || substring(line FROM 'Custom Scan \(\w+\)|Function Scan on \w+|Incremental Sort|Sort(?! Key)');
	END LOOP;
	RETURN array_to_string(found, ', ');
END
$$;

-- A scan takes the place of a function that is all of an entry in FROM, ...
SELECT scans($$SELECT t, v FROM ds_get_data(stream('many'), 'seconds')$$);
SELECT scans($$SELECT t, value FROM ds_get_series(stream('many'), 'seconds') WHERE value > 3$$);
SELECT scans($$SELECT count(*) FROM ds_get_series(stream('many'), 'minutes')$$);
SELECT scans($$SELECT * FROM datastream.heads h, ds_get_series(h.stream_id, 'minutes') ORDER BY 1$$);
-- ... which sorts no more by t, in the known direction, ...
SELECT scans($$SELECT t FROM ds_get_data(stream('many'), 'seconds') ORDER BY t$$);
SELECT scans($$SELECT t FROM ds_get_data(stream('many'), 'seconds', reverse => true) ORDER BY t DESC$$);
SELECT scans($$SELECT t FROM ds_get_data(stream('many'), 'seconds') ORDER BY t DESC$$);
SELECT scans($$SELECT t FROM ds_get_data(stream('many'), 'seconds', reverse => true) ORDER BY t$$);
SELECT scans($$SELECT t FROM ds_get_data(stream('many'), 'seconds', reverse => NULL) ORDER BY t$$);
SELECT scans($$SELECT t FROM ds_get_data(stream('many'), 'seconds', reverse => random() > 2) ORDER BY t$$);
SELECT scans($$SELECT t FROM ds_get_series(stream('many'), 'minutes') ORDER BY t, value$$);
-- ... but not of one whose rows are wanted as a whole, or with others.
SELECT scans($$SELECT d FROM ds_get_data(stream('many'), 'seconds') d$$);
SELECT scans($$SELECT t, ordinality FROM ds_get_data(stream('many'), 'seconds') WITH ORDINALITY$$);
SELECT scans($$SELECT * FROM ROWS FROM (ds_get_data(stream('many'), 'seconds'), generate_series(1, 3))$$);

-- Rows are the same in both ways, whatever columns are taken.
CREATE FUNCTION differences(query text, columns text) RETURNS TABLE (only_scan bigint, only_function bigint) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TEMP TABLE scan AS SELECT %2$s FROM %1$s;
		CREATE TEMP TABLE function AS SELECT %2$s FROM %1$s WITH ORDINALITY', query, columns);
	RETURN QUERY SELECT (SELECT count(*) FROM (TABLE scan EXCEPT ALL TABLE function) x),
		(SELECT count(*) FROM (TABLE function EXCEPT ALL TABLE scan) x);
	DROP TABLE scan, function;
END
$$;
SELECT granularity, columns, d.* FROM unnest('{seconds,minutes,days,months}'::text[]) granularity,
	unnest(ARRAY['t', 'value', 'value, t', 'count', 'mean, sum, min, max', 'sum_squares, std_dev', 'first, last, middle',
		't, value, count, mean, sum, min, max, sum_squares, std_dev, first, last, middle']) columns,
	differences(format('ds_get_series(stream(''many''), %L)', granularity), columns) d
WHERE only_scan > 0 OR only_function > 0;
SELECT granularity, columns, d.* FROM unnest('{seconds,minutes,days,months}'::text[]) granularity,
	unnest('{t,v,times,"v, t","t, v, times"}'::text[]) columns,
	differences(format('ds_get_data(stream(''many''), %L, reverse => true)', granularity), columns) d
WHERE only_scan > 0 OR only_function > 0;
SELECT count(*), min(value), max(value), sum(value) FROM ds_get_series(stream('many'), 'seconds');
SELECT t, value FROM ds_get_series(stream('many'), 'seconds', reverse => true) LIMIT 2;
SELECT t, v FROM ds_get_data(stream('many'), 'hours', '2024-01-02', value_downsamplers => '{count}', time_downsamplers => '{}') ORDER BY t DESC LIMIT 2;

-- Joins, also with arguments that change from row to row
SELECT n, sum(value) FROM generate_series(1, 3) n, ds_get_series(stream('many'), 'seconds', "end" => timestamptz '2024-01-01' + n * interval '1 s') GROUP BY n ORDER BY n;
SELECT n, d.t FROM generate_series(1, 3) n LEFT JOIN LATERAL ds_get_series(stream('many'), 'days', "end" => timestamptz '2024-01-01' + (n - 2) * interval '1 s') d ON true ORDER BY n;
SET enable_material = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
SELECT count(*), sum(value) FROM generate_series(1, 3) n CROSS JOIN ds_get_series(stream('many'), 'hours') d;
RESET enable_material; RESET enable_hashjoin; RESET enable_mergejoin;
SELECT (SELECT max(value) FROM ds_get_series(stream('many'), 'seconds', "end" => timestamptz '2024-01-01' + n * interval '1 s') WHERE value < 10 * n)
FROM generate_series(1, 3) n;
SELECT a.t FROM ds_get_series(stream('many'), 'days') a JOIN ds_get_series(stream('many'), 'hours') b USING (t) ORDER BY t;
SELECT count(*) FROM (SELECT t FROM ds_get_data(stream('many'), 'hours') UNION ALL SELECT t FROM ds_get_series(stream('many'), 'days')) x;

-- A statement that locks or writes rows
CREATE TABLE marks (t timestamptz PRIMARY KEY, value float8);
INSERT INTO marks SELECT t, mean FROM ds_get_series(stream('many'), 'hours') WHERE count = 3600 LIMIT 3;
UPDATE marks SET value = s.max FROM ds_get_series(stream('many'), 'hours') s WHERE s.t = marks.t RETURNING marks.*;
SELECT marks.t, s.min FROM marks JOIN ds_get_series(stream('many'), 'hours') s USING (t) ORDER BY t FOR UPDATE;
DROP TABLE marks;

-- It reads with the snapshot of its query: what the query itself appends is
-- not there, and a cursor does not see what comes later.
SELECT count(ds_append(stream('many'), value, timestamptz '2024-01-10' + n * interval '1 s'))
FROM (SELECT value, row_number() OVER () AS n FROM ds_get_series(stream('many'), 'seconds', '2024-01-01', '2024-01-01 01:00:00')) x;
SELECT ds_append_multiple(stream('many'), array_agg(t + interval '10 days'), array_agg(value))
FROM ds_get_series(stream('many'), 'seconds', '2024-01-01', '2024-01-02');
BEGIN;
DECLARE rows CURSOR FOR SELECT value FROM ds_get_series(stream('many'), 'seconds');
FETCH 2 FROM rows;
-- The scan goes on in whatever subtransaction, and beyond one that is undone.
SAVEPOINT a;
FETCH 2 FROM rows;
MOVE FORWARD 30000 FROM rows;
FETCH 1 FROM rows;
ROLLBACK TO a;
FETCH 1 FROM rows;
SAVEPOINT b;
MOVE FORWARD 30000 FROM rows;
RELEASE b;
FETCH 1 FROM rows;
SELECT ds_delete_streams('{"name": "many"}');
FETCH 1 FROM rows;
MOVE FORWARD ALL FROM rows;
ROLLBACK;
-- Backwards
BEGIN;
DECLARE rows SCROLL CURSOR FOR SELECT value FROM ds_get_series(stream('many'), 'seconds');
FETCH 2 FROM rows;
FETCH BACKWARD 1 FROM rows;
FETCH ABSOLUTE 50000 FROM rows;
COMMIT;
BEGIN;
DECLARE rows CURSOR WITH HOLD FOR SELECT value FROM ds_get_series(stream('many'), 'hours') WHERE count = 3600;
FETCH 1 FROM rows;
COMMIT;
FETCH 1 FROM rows;
CLOSE rows;
DO $$
DECLARE
	value float8;
	n int := 0;
BEGIN
	FOR value IN SELECT s.value FROM ds_get_series(stream('many'), 'seconds', "end" => '2024-01-01 08:00:00') s LOOP
		BEGIN
			n := n + 1;
			IF n % 1000 = 0 THEN RAISE division_by_zero; END IF;
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
	END LOOP;
	RAISE NOTICE '% rows, the last one %', n, value;
END
$$;

-- Prepared
PREPARE range(uuid, text, timestamptz) AS SELECT t, value FROM ds_get_series($1, $2, $3) ORDER BY t LIMIT 1;
SET plan_cache_mode = force_generic_plan;
EXECUTE range(stream('many'), 'seconds', '2024-01-01 00:00:30');
EXECUTE range(stream('many'), 'hours', '2024-01-01 02:30:00');
EXECUTE range(stream('many'), 'hours', 'infinity');
RESET plan_cache_mode;

-- Errors come when the query runs.
SELECT scans($$SELECT t FROM ds_get_data('00000000-0000-0000-0000-000000000000', 'fortnights')$$);
SELECT raises($$SELECT t FROM ds_get_data('00000000-0000-0000-0000-000000000000', 'fortnights')$$);
SELECT raises($$SELECT t FROM ds_get_data('00000000-0000-0000-0000-000000000000', 'seconds')$$);
SELECT raises($$SELECT t FROM ds_get_data(stream('many'), 'minutes', value_downsamplers => '{median}')$$);
SELECT raises($$SELECT t FROM ds_get_series(NULL, 'minutes')$$);
SELECT raises($$SELECT t FROM ds_get_series(stream('many'), 'minutes', '2024-01-01', start_exclusive => '2024-01-01')$$);
SELECT raises($$SELECT 1 / (value - 3)::int FROM ds_get_series(stream('many'), 'seconds')$$);

-- The right to call the function counts, as do its settings and its owner.
CREATE ROLE regress_datastream_reader;
GRANT USAGE ON SCHEMA datastream TO regress_datastream_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA datastream TO regress_datastream_reader;
SET ROLE regress_datastream_reader;
SELECT count(*) FROM ds_get_data(stream('many'), 'days');
EXECUTE range(stream('many'), 'seconds', '2024-01-01 00:00:30');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION ds_get_series FROM PUBLIC;
SET ROLE regress_datastream_reader;
SELECT raises($$SELECT t FROM ds_get_series('00000000-0000-0000-0000-000000000000', 'days')$$);
SELECT raises($$EXECUTE range('00000000-0000-0000-0000-000000000000', 'seconds', '2024-01-01 00:00:30')$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION ds_get_series TO PUBLIC;
ALTER FUNCTION ds_get_series SET work_mem = '1MB';
SELECT scans($$SELECT t FROM ds_get_series(stream('many'), 'days')$$);
EXECUTE range(stream('many'), 'seconds', '2024-01-01 00:00:30');
ALTER FUNCTION ds_get_series RESET work_mem;
ALTER FUNCTION ds_get_series SECURITY DEFINER;
SELECT scans($$SELECT t FROM ds_get_series(stream('many'), 'days')$$);
ALTER FUNCTION ds_get_series SECURITY INVOKER;
SELECT scans($$SELECT t FROM ds_get_series(stream('many'), 'days')$$);

DEALLOCATE range;
DROP OWNED BY regress_datastream_reader;
DROP ROLE regress_datastream_reader;
DROP FUNCTION scans, differences;
SELECT ds_delete_streams('{"name": "many"}');
