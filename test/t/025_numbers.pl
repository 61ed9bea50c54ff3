# Random numbers of every kind, in random parts, against plain arithmetic in
# numeric: long integers, exact decimals, binary fractions, and numbers near the
# ends of what doubles hold, in streams, already downsampled values, aggregates
# and derived streams.
#
# DATASTREAM_NUMBERS_ROUNDS and DATASTREAM_NUMBERS_SEED in the environment set how
# many rounds there are, and which.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use Test::More;

my $rounds = $ENV{DATASTREAM_NUMBERS_ROUNDS} || 60;
my $seed = defined $ENV{DATASTREAM_NUMBERS_SEED} ? $ENV{DATASTREAM_NUMBERS_SEED} : time;

# A number of a kind.  Decimals are as short as "decimal" and a digit says.
my $generator = q{
CREATE FUNCTION test.dice(sides int) RETURNS int LANGUAGE sql VOLATILE RETURN floor(random() * sides)::int;
CREATE FUNCTION test.digits(n int) RETURNS numeric LANGUAGE sql VOLATILE
AS $$ SELECT string_agg(test.dice(10)::text, '')::numeric FROM generate_series(1, n) $$;
CREATE FUNCTION test.kinds() RETURNS text[] LANGUAGE sql IMMUTABLE RETURN ARRAY['small', 'around 53 bits', 'around 64 bits', 'long',
	'cancelling', 'huge', 'beyond', 'tiny', 'decimal 1', 'decimal 2', 'decimal 4', 'decimal 6', 'decimal 8', 'binary', 'near', 'pressure', 'mains', 'exact'];
CREATE FUNCTION test.number(kind text) RETURNS numeric LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	sign int := 1 - 2 * test.dice(2);
	cancelling numeric[] := '{1, 9007199254740992, 1e16, 1e22, 1e100, 1e300, 0.5, 3}';
BEGIN
	RETURN CASE split_part(kind, ' ', 1)
		WHEN 'small' THEN test.dice(21) - 10
		WHEN 'around' THEN sign * (2::numeric ^ (split_part(kind, ' ', 2)::int - test.dice(2)) + test.dice(9) - 4)
		WHEN 'long' THEN sign * test.digits(1 + test.dice(40))
		WHEN 'cancelling' THEN sign * cancelling[1 + test.dice(8)]
		WHEN 'huge' THEN sign * (1 + test.dice(17)) * 10::numeric ^ (290 + test.dice(18))
		WHEN 'beyond' THEN sign * test.digits(20) * 10::numeric ^ (280 + test.dice(100))
		WHEN 'tiny' THEN (sign * test.dice(1000) * 5e-324::float8)::text::numeric
		WHEN 'decimal' THEN sign * round(test.digits(6) / 10::numeric ^ split_part(kind, ' ', 2)::int, 8)
		WHEN 'binary' THEN (sign * random() * 10 ^ test.dice(8))::float8::text::numeric
		WHEN 'near' THEN (1e9 + random())::float8::text::numeric
		WHEN 'pressure' THEN 1013 + round(test.dice(4) * 0.1, 1)
		WHEN 'mains' THEN 49.95 + round(test.dice(11) * 0.01, 2)
		ELSE sign * round(test.digits(30) / 10::numeric ^ 20, 20)
	END;
END
$$;

-- The number as a stream stores it
CREATE FUNCTION test.stored(x numeric, high_accuracy boolean) RETURNS numeric LANGUAGE sql IMMUTABLE
RETURN CASE WHEN high_accuracy OR x = trunc(x) THEN x ELSE x::float8::text::numeric END;

-- The numbers of the round: value and time in seconds
CREATE TABLE test.numbers (i int PRIMARY KEY, t timestamptz, x numeric);
CREATE FUNCTION test.make_numbers(n int, spread int, high_accuracy boolean) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	kinds text[] := ARRAY(SELECT (test.kinds())[1 + test.dice(cardinality(test.kinds()))] FROM generate_series(0, test.dice(3)));
BEGIN
	IF test.dice(5) = 0 THEN
		kinds := test.kinds();
	END IF;
	IF NOT high_accuracy THEN
		kinds := coalesce(nullif(array_remove(kinds, 'exact'), '{}'), '{decimal 2}');
	END IF;
	TRUNCATE test.numbers;
	INSERT INTO test.numbers
	SELECT i, '2024-01-01'::timestamptz + test.dice(spread) * interval '1 s',
		CASE WHEN test.dice(20) > 0 THEN test.stored(test.number(kinds[1 + test.dice(cardinality(kinds))]), high_accuracy) END
	FROM generate_series(1, n) i;
	RETURN array_to_string(kinds, ', ');
END
$$;
};

# Appending in one of the ways that keep the number
my $appender = q{
CREATE FUNCTION test.append(id uuid, ts timestamptz, x numeric, high_accuracy boolean) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	is_double boolean := abs(x) < 1e308 AND NOT high_accuracy AND x::float8::text::numeric = x;
BEGIN
	CASE test.dice(5)
		WHEN 0 THEN PERFORM ds_append(id, x, ts, false);
		WHEN 1 THEN PERFORM ds_append(id, x::text, ts, false);
		WHEN 2 THEN PERFORM ds_append(id, to_jsonb(x), ts, false);
		WHEN 3 THEN
			IF x = trunc(x) AND abs(x) < 9e18 THEN
				PERFORM ds_append(id, x::bigint, ts, false);
			ELSE
				PERFORM ds_append(id, x, ts, false);
			END IF;
		ELSE
			IF is_double THEN
				PERFORM ds_append(id, x::float8, ts, false);
			ELSE
				PERFORM ds_append(id, x, ts, false);
			END IF;
	END CASE;
END
$$;
};

# What is wrong with one bucket.  "merged" says that it is made of already
# downsampled values, of which the medians are all that is known.
my $checker = q{
CREATE FUNCTION test.near(a jsonb, b numeric, tolerance numeric) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN coalesce(abs(nullif(a, 'null')::numeric - b) <= tolerance, (a = 'null') = (b IS NULL));
CREATE FUNCTION test.wrong(v jsonb, xs numeric[], high_accuracy boolean, merged boolean) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	n bigint; total numeric; low numeric; high numeric; squares numeric; deviation numeric; magnitude numeric;
	integers boolean; lower numeric; upper numeric; frequencies jsonb;
	exact boolean;
	least_double CONSTANT numeric := CASE WHEN high_accuracy THEN 0 ELSE 5e-324 END;
	median_error numeric;
BEGIN
	SELECT count(x), sum(x), min(x), max(x), sum(x * x), sqrt(var_pop(x)), sum(abs(x)), bool_and(x = trunc(x)),
		(array_agg(x ORDER BY x))[(count(x) + 1) / 2], (array_agg(x ORDER BY x))[count(x) / 2 + 1]
	INTO n, total, low, high, squares, deviation, magnitude, integers, lower, upper
	FROM unnest(xs) x WHERE x IS NOT NULL;
	IF n = 0 THEN
		RETURN CASE WHEN jsonb_strip_nulls(v) <> '{"c": 0}' THEN 'not empty' END;
	END IF;
	SELECT jsonb_agg(jsonb_build_object('v', x, 'c', c) ORDER BY c DESC, x) INTO frequencies
	FROM (SELECT x, count(*) AS c FROM unnest(xs) x WHERE x IS NOT NULL GROUP BY x) t;

	exact := integers OR high_accuracy;
	median_error := CASE WHEN n <= 1000 THEN 1e-15 ELSE 0.01 END * (abs(lower) + abs(upper)) / 2;
	RETURN CASE
		WHEN v->'c' <> to_jsonb(n) THEN 'count'
		WHEN v->'l' <> to_jsonb(low) THEN 'min'
		WHEN v->'u' <> to_jsonb(high) THEN 'max'
		WHEN NOT test.near(v->'s', total, CASE WHEN exact THEN 0 ELSE 1e-14 * magnitude + n * least_double END) THEN 'sum'
		WHEN NOT test.near(v->'m', round(total, 400) / n, CASE WHEN high_accuracy THEN 1e-60 ELSE 1e-14 END * magnitude / n + least_double) THEN 'mean'
		WHEN NOT test.near(v->'q', squares, CASE WHEN exact AND NOT merged OR high_accuracy THEN 0 ELSE 1e-14 * squares + least_double END) THEN 'sum_squares'
		WHEN NOT test.near(v->'d', deviation, 1e-9 * deviation + 1e-15 * greatest(abs(low), abs(high)) + least_double)
			AND NOT (merged AND (NOT exact OR deviation > 1e50)) THEN 'std_dev'
		WHEN v->'n' NOT BETWEEN v->'l' AND v->'u' THEN 'median outside'
		WHEN NOT merged AND NOT test.near(v->'n', (lower + upper) / 2, median_error + least_double) THEN 'median'
		WHEN v->'f' <> frequencies THEN 'frequencies'
		WHEN v->'o' <> frequencies #> '{0,v}' THEN 'most_often'
		WHEN v->'r' <> (SELECT f->'v' FROM jsonb_array_elements(frequencies) f ORDER BY f->'c', f->'v' LIMIT 1) THEN 'least_often'
	END;
END
$$;

-- What is wrong with a level of a stream that holds the numbers
CREATE FUNCTION test.wrong_level(id uuid, level text, high_accuracy boolean, merged boolean DEFAULT false) RETURNS SETOF text LANGUAGE sql
AS $$
	SELECT level || ' ' || t || ': ' || test.wrong(v, xs, high_accuracy, merged) || ' ' || left(v::text, 3000) || ' of ' || left(xs::text, 3000)
	FROM (SELECT ds_round(level, t) AS t, array_agg(x ORDER BY i) AS xs FROM test.numbers GROUP BY 1) n
		FULL JOIN (SELECT t, v FROM ds_get_data(id, level, "end" => '2024-01-01 23:59:59') WHERE v->'c' <> '0' OR v->'s' <> 'null') d USING (t)
	WHERE xs IS NOT NULL AND v IS NULL AND array_remove(xs, NULL) <> '{}' OR test.wrong(v, xs, high_accuracy, merged) IS NOT NULL
$$;

-- What is wrong with the aggregates over those that are doubles
CREATE FUNCTION test.wrong_aggregates() RETURNS SETOF text LANGUAGE sql AS $$
	WITH n AS MATERIALIZED (
		SELECT x::float8 AS f, x::float8::text::numeric AS x FROM test.numbers WHERE abs(x) < 1e150),
	a AS (
		SELECT count(x) AS c, sum(x) AS s, min(x) AS l, max(x) AS u, sum(x * x) AS q, sqrt(var_pop(x)) AS d, sum(abs(x)) AS magnitude,
			(array_agg(x ORDER BY x))[(count(x) + 1) / 2] AS lower, (array_agg(x ORDER BY x))[count(x) / 2 + 1] AS upper,
			jsonb_build_object('c', ds_count(f), 's', ds_sum(f), 'm', ds_mean(f), 'l', ds_min(f), 'u', ds_max(f), 'q', ds_sum_squares(f),
				'd', ds_std_dev(f), 'n', ds_median(f)) AS v
		FROM n HAVING count(x) > 0)
	SELECT 'aggregates: ' || v::text || ' of ' || left((SELECT array_agg(f)::text FROM n), 3000) FROM a
	WHERE NOT (v->'c' = to_jsonb(c) AND v->'l' = to_jsonb(l) AND v->'u' = to_jsonb(u)
		AND test.near(v->'s', s, 1e-14 * magnitude + c * 5e-324) AND test.near(v->'m', round(s, 400) / c, 1e-14 * magnitude / c + 5e-324) AND test.near(v->'q', q, 1e-14 * q + 5e-324)
		AND test.near(v->'d', d, 1e-9 * d + 1e-15 * greatest(abs(l), abs(u)) + 5e-324) AND v->'n' BETWEEN v->'l' AND v->'u'
		AND test.near(v->'n', (lower + upper) / 2, CASE WHEN c <= 1000 THEN 1e-15 ELSE 0.01 END * (abs(lower) + abs(upper)) / 2 + 5e-324))
$$;
};

# A round: the numbers in one append, in many, as already downsampled values; and
# derived.  Returns what is wrong.
my $round = q{
CREATE FUNCTION test.appended(tags jsonb, highest text, options jsonb) RETURNS uuid LANGUAGE sql
RETURN ds_ensure_stream(tags, '{}', '{mean,sum,min,max,sum_squares,std_dev,median,most_often,least_often,frequencies}', highest, value_type_options => options);

CREATE FUNCTION test.round(seed int, round int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	high_accuracy boolean; options jsonb; kinds text; level text; number record; until timestamptz;
	tags jsonb := jsonb_build_object('round', round);
	at_once uuid; in_parts uuid; merged uuid; derived uuid; change uuid; sources uuid[] := '{}';
BEGIN
	PERFORM setseed(('x' || substr(md5(seed || ' ' || round), 1, 7))::bit(28)::int / 2.0 ^ 28);
	high_accuracy := test.dice(4) = 0;
	options := jsonb_build_object('high_accuracy', high_accuracy);
	kinds := test.make_numbers(CASE WHEN round % 50 = 0 THEN 1200 ELSE 1 + test.dice(40) END,
		(ARRAY[20, 300, 7000])[1 + test.dice(3)], high_accuracy);

	at_once := test.appended(tags || '{"as": "at once"}', 'seconds', options);
	PERFORM ds_append_multiple(jsonb_agg(jsonb_build_object('stream_id', at_once, 'value', x, 'timestamp', t) ORDER BY t, i)) FROM test.numbers;
	PERFORM ds_append(at_once, 0, '2024-01-02');
	PERFORM ds_downsample_streams(jsonb_build_object('stream_id', at_once));

	in_parts := test.appended(tags || '{"as": "in parts"}', 'seconds', options);
	FOR number IN SELECT n.*, row_number() OVER () AS row FROM test.numbers n ORDER BY n.t > (SELECT min(t) FROM test.numbers), random() LOOP
		PERFORM test.append(in_parts, number.t, number.x, high_accuracy);
		IF test.dice(CASE WHEN round % 50 = 0 THEN 300 ELSE 10 END) = 0 THEN
			PERFORM ds_downsample_streams(jsonb_build_object('stream_id', in_parts), number.t);
		END IF;
	END LOOP;
	PERFORM ds_append(in_parts, 0, '2024-01-02');
	PERFORM ds_downsample_streams(jsonb_build_object('stream_id', in_parts));

	merged := test.appended(tags || '{"as": "merged"}', 'minutes', options);
	PERFORM ds_append(merged, v, t) FROM ds_get_data(at_once, 'minutes', "end" => '2024-01-01 23:59:59');
	PERFORM ds_append(merged, 0, '2024-01-02');
	PERFORM ds_downsample_streams(jsonb_build_object('stream_id', merged));

	RETURN QUERY SELECT 'stored: ' || coalesce(d.v::text, 'null') || ' for ' || coalesce(n.x::text, 'null')
	FROM (SELECT x, row_number() OVER (ORDER BY t, i) AS row FROM test.numbers n) n
		FULL JOIN (SELECT v, row_number() OVER () AS row FROM ds_get_data(at_once, 'seconds', "end" => '2024-01-01 23:59:59')) d USING (row)
	WHERE n.row IS NULL OR d.row IS NULL OR coalesce(v::numeric <> x, (v IS NULL) <> (x IS NULL));
	FOREACH level IN ARRAY '{10seconds,minutes,hours,days}'::text[] LOOP
		RETURN QUERY SELECT 'at once, ' || w FROM test.wrong_level(at_once, level, high_accuracy) w;
		RETURN QUERY SELECT 'in parts, ' || w FROM test.wrong_level(in_parts, level, high_accuracy) w;
		RETURN QUERY SELECT 'in parts, ' || level || ' ' || t || ': ' || left(a.v::text, 3000) || ' or ' || left(b.v::text, 3000)
		FROM ds_get_data(at_once, level) a FULL JOIN ds_get_data(in_parts, level) b USING (t)
		WHERE a.v - '{s,m,q,d}'::text[] IS DISTINCT FROM b.v - '{s,m,q,d}'::text[];
	END LOOP;
	RETURN QUERY SELECT 'merged, ' || w FROM test.wrong_level(merged, 'hours', high_accuracy, true) w
		UNION ALL SELECT 'merged, ' || w FROM test.wrong_level(merged, 'days', high_accuracy, true) w;
	RETURN QUERY SELECT w FROM test.wrong_aggregates() w;

	-- the first numbers again, each from a source of its own, and one after the other
	FOR number IN SELECT * FROM test.numbers WHERE i <= 6 ORDER BY i LOOP
		sources := sources || ds_ensure_stream(tags || jsonb_build_object('source', number.i), value_type_options => options);
		PERFORM ds_append(sources[number.i], number.x, '2024-01-01');
	END LOOP;
	derived := ds_ensure_stream(tags || '{"as": "sum"}', derive_op => 'sum', derive_from => to_jsonb(sources), value_type_options => options);
	change := ds_ensure_stream(tags || '{"as": "change"}', derive_op => 'derivative', derive_from => to_jsonb(at_once), value_type_options => options);
	PERFORM ds_backprocess_streams(jsonb_build_object('stream_id', derived));
	PERFORM ds_backprocess_streams(jsonb_build_object('stream_id', change));

	RETURN QUERY SELECT 'derived sum: ' || coalesce(v::text, 'null') || ' of ' || xs::text
	FROM (SELECT sum(x) AS s, sum(abs(x)) AS magnitude, bool_and(x = trunc(x)) AS integers, array_agg(x) AS xs FROM test.numbers WHERE i <= 6) n
		LEFT JOIN ds_get_data(derived, 'seconds') ON true
	WHERE NOT test.near(coalesce(v, 'null'), s, CASE WHEN integers OR high_accuracy THEN 0 ELSE 1e-15 * abs(s) + 1e-30 * magnitude + 6 * 5e-324 END);
	RETURN QUERY SELECT 'change: ' || coalesce(d.v::text, 'null') || ' from ' || coalesce(n.before::text, 'null') || ' to ' || coalesce(n.x::text, 'null')
	FROM (SELECT t, x, lag(x) OVER w AS before, extract(epoch FROM t - lag(t) OVER w) AS seconds,
			count(*) OVER (PARTITION BY t) AS equal, row_number() OVER w AS row FROM test.numbers WINDOW w AS (ORDER BY t, i)) n
		LEFT JOIN ds_get_data(change, 'seconds') d USING (t)
	WHERE equal = 1 AND row > 1 AND NOT (before IS NULL AND v IS NULL)
		AND NOT test.near(coalesce(v, 'null'), (x - before) / nullif(seconds, 0), 1e-15 * (abs(x) + abs(before)) + 5e-324);

	-- a range of numbers as doubles is given, or refused, as the cast does it
	RETURN QUERY SELECT 'series: ' || result || ' of ' || coalesce(top::text, 'null')
	FROM (SELECT max(abs(x)) AS top FROM test.numbers) n, LATERAL (SELECT test.series(at_once)) s(result)
	WHERE result <> CASE WHEN top >= 1.8e308 THEN '22003' ELSE 'right' END;

	PERFORM ds_delete_streams(tags || '{"as": "change"}'), ds_delete_streams(tags || '{"as": "sum"}'), ds_delete_streams(tags);
	RETURN QUERY SELECT format('these were %s numbers, %s%s', count(*), kinds, CASE WHEN high_accuracy THEN ', with high accuracy' ELSE '' END)
	FROM test.numbers;
END
$$;
CREATE FUNCTION test.series(id uuid) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN CASE WHEN NOT EXISTS (
			SELECT FROM (SELECT x, row_number() OVER (ORDER BY t, i) AS row FROM test.numbers n) n
				JOIN (SELECT value, row_number() OVER () AS row FROM ds_get_series(id, 'seconds')) d USING (row)
			WHERE value IS DISTINCT FROM x::float8) THEN 'right' ELSE 'wrong' END;
EXCEPTION WHEN numeric_value_out_of_range THEN
	RETURN SQLSTATE;
END
$$;
};

my $node = new_node('numbers');
$node->safe_psql('postgres', "$generator $appender $checker $round");

note("seed $seed, $rounds rounds");
my $failed = 0;
foreach my $number (1 .. $rounds)
{
	my ($status, $stdout, $stderr) = $node->psql('postgres',
		"SET client_min_messages = error; SELECT * FROM test.round($seed, $number)");
	my @lines = split /\n/, $stdout;

	next if $status == 0 && @lines == 1;
	diag("seed $seed, round $number:\n" . substr($stdout, 0, 20000) . substr($stderr, 0, 2000));
	last if ++$failed == 5;
}
is($failed, 0, "$rounds rounds of random numbers are right (seed $seed)");

no_crash($node);
done_testing();
