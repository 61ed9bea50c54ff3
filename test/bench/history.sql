-- A day of many streams with its buckets, as by downsample_plain.sql, in tables
-- whose rows can be found.
SET client_min_messages = warning;
CREATE TABLE history (LIKE datapoints INCLUDING INDEXES);
INSERT INTO history SELECT n, unnest(ts), unnest(v) FROM generate_series(1, :streams) AS n JOIN days ON stream = 1 + n % :days;

CREATE TABLE history_levels (level int PRIMARY KEY, name text, finer text, width interval);
INSERT INTO history_levels VALUES (1, 'by_10seconds', 'history', '10 s'), (2, 'by_minutes', 'by_10seconds', '1 minute'),
	(3, 'by_10minutes', 'by_minutes', '10 minutes'), (4, 'by_hours', 'by_10minutes', '1 hour'),
	(5, 'by_6hours', 'by_hours', '6 hours'), (6, 'by_days', 'by_6hours', '1 day');

-- Makes the buckets that hold the times, at every level, from those of the level
-- above.  Few of them are touched, which the planner cannot know.
CREATE FUNCTION make_again(streams bigint[], times timestamptz[]) RETURNS void LANGUAGE plpgsql
	SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
	l history_levels;
BEGIN
	FOR l IN SELECT * FROM history_levels ORDER BY level LOOP
		EXECUTE format($sql$
			INSERT INTO history_%1$s
			SELECT stream, b.t, %3$s
				FROM (SELECT DISTINCT s, date_bin(%4$L, at, '2000-01-01') AS t FROM unnest($1, $2) AS u (s, at)) AS b
					JOIN %2$I AS finer ON finer.stream = b.s AND finer.%5$I >= b.t AND finer.%5$I < b.t + %4$L::interval
				GROUP BY 1, 2
			ON CONFLICT (stream, t) DO UPDATE SET (count, sum, min, max, sum_squares, first, last) =
				(EXCLUDED.count, EXCLUDED.sum, EXCLUDED.min, EXCLUDED.max, EXCLUDED.sum_squares, EXCLUDED.first, EXCLUDED.last)
			$sql$,
			l.name, CASE l.level WHEN 1 THEN 'history' ELSE 'history_' || l.finer END,
			CASE l.level WHEN 1 THEN 'count(v), sum(v), min(v), max(v), sum(v * v), min(ts), max(ts)'
				ELSE 'sum(count)::bigint, sum(sum), min(min), max(max), sum(sum_squares), min(first), max(last)' END,
			l.width, CASE l.level WHEN 1 THEN 'ts' ELSE 't' END)
			USING streams, times;
	END LOOP;
END
$$;
CREATE TABLE history_by_10seconds (stream int, t timestamptz, count bigint, sum float8, min float8, max float8,
	sum_squares float8, first timestamptz, last timestamptz, PRIMARY KEY (stream, t));
CREATE TABLE history_by_minutes (LIKE history_by_10seconds INCLUDING INDEXES);
CREATE TABLE history_by_10minutes (LIKE history_by_10seconds INCLUDING INDEXES);
CREATE TABLE history_by_hours (LIKE history_by_10seconds INCLUDING INDEXES);
CREATE TABLE history_by_6hours (LIKE history_by_10seconds INCLUDING INDEXES);
CREATE TABLE history_by_days (LIKE history_by_10seconds INCLUDING INDEXES);

SELECT make_again(array_agg(n), array_agg(t)) FROM generate_series(1, :streams) AS n, generate_series(timestamptz '2024-01-01', '2024-01-01 23:59:50', '10 s') AS t \g /dev/null
VACUUM ANALYZE;
