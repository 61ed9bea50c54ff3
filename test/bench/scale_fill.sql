-- Sixty datapoints for each of the streams :first to :last of the set "scale".
INSERT INTO streams
SELECT :first + i - 1, id
	FROM sets, unnest(ids[:first : :last]) WITH ORDINALITY AS member (id, i) WHERE name = 'scale';

PREPARE append (int, int) AS
SELECT ds_append_multiple(array_agg(id ORDER BY n, minute),
		array_agg(timestamptz '2024-01-01' + minute * interval '1 minute' ORDER BY n, minute),
		array_agg(50 + mod(n * minute, 100) / 100.0::float8 ORDER BY n, minute))
	FROM streams, generate_series($1, $2) AS minute
	WHERE n BETWEEN :first AND :last;
EXECUTE append(0, 39);
EXECUTE append(40, 59);

INSERT INTO datapoints
SELECT n, timestamptz '2024-01-01' + minute * interval '1 minute', 50 + mod(n * minute, 100) / 100.0::float8
	FROM generate_series(0, 59) AS minute, generate_series(:first, :last) AS n;
