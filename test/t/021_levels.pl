# Any order of appends (in front, between, behind) and of downsampling (until a
# time, of some streams, with close_last, rolled back) ends after one plain call
# in exactly the levels that all datapoints give, by plain SQL, with nothing due.
# Where levels are kept for a limited time, they are the ends of these.
#
# How many random histories are tried is set by DATASTREAM_LEVELS_ROUNDS, with which
# number they begin by DATASTREAM_LEVELS_SEED; a failure names the one to repeat.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $histories = $ENV{DATASTREAM_LEVELS_ROUNDS} || 60;
my $seed = defined $ENV{DATASTREAM_LEVELS_SEED} ? $ENV{DATASTREAM_LEVELS_SEED} : int(rand(1_000_000_000));
my $batch = 20;

my $node = new_node('levels', conf => [ 'autovacuum = off', 'fsync = off', 'jit = off' ]);

$node->safe_psql(
	'postgres', q{
	CREATE TABLE test.level AS SELECT n, granularity,
			(ARRAY['1 ms', '1 s', '10 s', '1 min', '10 min', '1 h', '6 h', '1 day', '1 month', '1 year'])[n]::interval AS width
		FROM test.levels();

	-- The streams of a history, with the time over which their datapoints are
	-- spread; what they should have; and until when each level should be closed
	CREATE TABLE test.streams (id uuid, highest int, unit text, source uuid, other boolean NOT NULL DEFAULT false, base timestamptz, span interval, first timestamptz, complete timestamptz);
	CREATE TABLE test.datapoints (id uuid, n bigserial, t timestamptz, v int);
	CREATE TABLE test.closed (id uuid, n int, until timestamptz);

	-- What a stream should have: what was appended, or 1 at each fall of its source;
	-- of other derived streams, what they have
	CREATE FUNCTION test.datapoints(stream uuid) RETURNS TABLE (t timestamptz, v int) LANGUAGE sql STABLE AS $$
		SELECT t, v FROM test.datapoints WHERE id = stream
		UNION ALL
		SELECT t, 1 FROM (SELECT t, v, lag(v) OVER (ORDER BY t, n) AS before FROM test.streams s JOIN test.datapoints d ON d.id = s.source WHERE s.id = stream AND v IS NOT NULL) d
			WHERE v < before AND NOT EXISTS (SELECT FROM test.streams s WHERE s.id = stream AND s.other)
		UNION ALL
		SELECT d.t, (d.v::float8 * 1000)::int FROM test.streams s JOIN test.level l ON l.n = s.highest, ds_get_data(s.id, l.granularity) d WHERE s.id = stream AND s.other
	$$;

	-- Where the streams begin, and until when they are complete
	CREATE PROCEDURE test.look() LANGUAGE sql AS $$
		UPDATE test.streams s SET first = (SELECT min(t) FROM test.datapoints(s.id)), complete = (SELECT max(t) FROM test.datapoints d WHERE d.id = coalesce(s.source, s.id))
	$$;

	-- What closing buckets should come to
	CREATE PROCEDURE test.close(until timestamptz, stream uuid, close_last boolean) LANGUAGE plpgsql AS $$
	BEGIN
		CALL test.look();
		DELETE FROM test.closed c USING test.streams s, test.level l WHERE c.id = s.id AND l.n = c.n AND s.first IS NULL;
		INSERT INTO test.closed SELECT s.id, l.n, to_close FROM test.streams s JOIN test.level l ON l.n > s.highest,
				ds_round(l.granularity, CASE WHEN close_last THEN until ELSE least(until, s.complete) END) to_close
			WHERE (stream IS NULL OR s.id = stream) AND s.first IS NOT NULL
				AND to_close > greatest(ds_round(l.granularity, s.first), (SELECT max(c.until) FROM test.closed c WHERE c.id = s.id AND c.n = l.n));
	END
	$$;

	-- A time somewhere about a stream's datapoints, often at the start of a bucket
	CREATE FUNCTION test.time(s test.streams, slack float8) RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
	DECLARE
		t timestamptz := s.base + s.span * (random() * (1 + 2 * slack) - slack);
		coarser int;
	BEGIN
		IF random() < 0.3 THEN
			coarser := least(10, s.highest + ceil(random() * 4)::int);
			t := ds_round((SELECT granularity FROM test.level WHERE n = coarser), t);
			IF random() < 0.3 THEN
				t := t - interval '1 ms';
			END IF;
		END IF;
		RETURN date_trunc(s.unit, t);
	END
	$$;

	-- Appends to a stream, one by one or many, anywhere or behind its latest datapoint
	CREATE PROCEDURE test.append(s test.streams) LANGUAGE plpgsql AS $$
	DECLARE
		-- in all of the time, or in one place of some buckets
		place timestamptz := test.time(s, 0.2);
		size interval := (SELECT width FROM test.level WHERE n = s.highest + 1) * 10 ^ (random() * 2 - 0.5);
		wide boolean := random() < 0.3;
		times timestamptz[] := ARRAY(SELECT CASE WHEN wide THEN test.time(s, 0.1) ELSE date_trunc(s.unit, place + size * random()) END FROM generate_series(1, 1 + floor(random() ^ 3 * 60)::int));
		vals int[] := ARRAY(SELECT CASE WHEN random() < 0.9 THEN floor(random() * 100)::int END FROM unnest(times));
		latest timestamptz := (SELECT max(t) FROM test.datapoints WHERE id = s.id);
	BEGIN
		IF random() < 0.5 THEN
			FOR i IN 1 .. array_length(times, 1) LOOP
				PERFORM ds_append(s.id, vals[i], times[i], check_timestamp => false);
			END LOOP;
		ELSE
			times := ARRAY(SELECT t FROM unnest(times) t WHERE t >= latest OR latest IS NULL ORDER BY t);
			PERFORM ds_append_multiple(s.id, times, vals[:cardinality(times)]::float8[]);
		END IF;
		INSERT INTO test.datapoints (id, t, v) SELECT s.id, d.t, d.v FROM unnest(times, vals[:cardinality(times)]) WITH ORDINALITY d(t, v, n) ORDER BY n;
	END
	$$;

	CREATE PROCEDURE test.downsample(s test.streams, may_close_last boolean) LANGUAGE plpgsql AS $$
	DECLARE
		until timestamptz := CASE WHEN random() < 0.7 THEN test.time(s, 0.3) END;
		stream uuid := CASE WHEN random() < 0.5 THEN s.id END;
		close_last boolean := may_close_last AND until IS NOT NULL AND random() < 0.3;
	BEGIN
		PERFORM FROM ds_downsample_streams(CASE WHEN stream IS NOT NULL THEN jsonb_build_object('stream_id', stream) END, until, random() < 0.2 AND stream IS NOT NULL AND NOT close_last, close_last => close_last);
		CALL test.close(coalesce(until, now()), stream, close_last);
	END
	$$;

	-- Leaves levels behind: history comes, and is closed until somewhere in it
	CREATE PROCEDURE test.leave_behind(s test.streams) LANGUAGE plpgsql AS $$
	DECLARE
		latest timestamptz := (SELECT max(t) FROM test.datapoints WHERE id = s.id);
		early timestamptz := date_trunc(s.unit, (SELECT min(t) FROM test.datapoints WHERE id = s.id)
			- least((SELECT width FROM test.level WHERE n = s.highest + 1) * 10 ^ (random() * 3), interval '5 years'));
		until timestamptz := early + (latest - early) * random();
	BEGIN
		IF latest IS NULL THEN
			RETURN;
		END IF;
		PERFORM FROM ds_downsample_streams();
		CALL test.close(now(), NULL, false);
		PERFORM ds_append(s.id, 1, early, check_timestamp => false);
		INSERT INTO test.datapoints (id, t, v) VALUES (s.id, early, 1);
		PERFORM FROM ds_downsample_streams(until => until);
		CALL test.close(until, NULL, false);
	END
	$$;

	-- Limits how long a granularity is kept, to somewhere in the data, of which there
	-- are enough for some blocks, and deletes what has expired
	CREATE PROCEDURE test.expire(s test.streams) LANGUAGE plpgsql AS $$
	DECLARE
		limited int := least(10, s.highest + floor(random() * 3)::int);
		times timestamptz[] := ARRAY(SELECT test.time(s, 0.1) FROM generate_series(1, 100));
	BEGIN
		IF random() < 0.7 THEN
			PERFORM ds_append_multiple(s.id, times, array_fill(1, '{100}')::float8[], check_timestamp => false);
			INSERT INTO test.datapoints (id, t, v) SELECT s.id, t, 1 FROM unnest(times) t;
			PERFORM FROM ds_downsample_streams();
			CALL test.close(now(), NULL, false);
		END IF;
		PERFORM ds_set_retention(jsonb_build_object('stream_id', s.id), granularity, now() - test.time(s, 0)) FROM test.level WHERE n = limited;
		PERFORM ds_apply_retention();
	END
	$$;

	-- What is wrong with the levels of the streams: with the first 200
	-- buckets of each, and with where they end
	CREATE FUNCTION test.wrong_levels() RETURNS SETOF text LANGUAGE plpgsql AS $$
	DECLARE
		s record;
		kept_from timestamptz;
	BEGIN
		FOR s IN SELECT x.*, l.n, granularity, width, c.until, x.other, ds_round(granularity, x.first) AS first_bucket, f.downsampled_until, CASE WHEN NOT other THEN f.value_type END AS value_type
			FROM test.streams x JOIN ds_find_streams() f ON f.stream_id = x.id JOIN test.level l ON l.n > x.highest,
				LATERAL (SELECT max(until) AS until FROM test.closed c WHERE c.id = x.id AND c.n = l.n) c
		LOOP
			IF s.first IS NOT NULL AND s.until IS DISTINCT FROM (s.downsampled_until->>s.granularity)::timestamptz THEN
				RETURN NEXT format('%s %s: downsampled until %s instead of %s', s.id, s.granularity, s.downsampled_until->>s.granularity, s.until);
			END IF;
			kept_from := CASE WHEN EXISTS (SELECT FROM datastream.retention r WHERE r.stream_id = s.id AND r.granularity = s.granularity)
				THEN coalesce((SELECT t FROM ds_get_data(s.id, s.granularity) LIMIT 1), 'infinity') ELSE '-infinity' END;
			RETURN QUERY WITH made AS (
					SELECT t, (v->>'c')::int AS c, CASE WHEN NOT s.other THEN (v->>'s')::numeric END AS sum, CASE WHEN NOT s.other THEN (v->>'l')::numeric END AS l, CASE WHEN NOT s.other THEN (v->>'u')::numeric END AS u, CASE WHEN v->>'c' <> '0' THEN (times->>'a')::timestamptz END AS a
					FROM ds_get_data(s.id, s.granularity, "end" => s.first_bucket + 200 * s.width)),
				right_ones AS (SELECT b.t, count(v)::int, sum(v) FILTER (WHERE s.value_type = 'numeric')::numeric,
						min(v) FILTER (WHERE s.value_type = 'numeric')::numeric, max(v) FILTER (WHERE s.value_type = 'numeric')::numeric, CASE WHEN count(v) > 0 THEN min(d.t) END
					FROM generate_series(s.first_bucket, least(s.until - s.width, s.first_bucket + 200 * s.width), s.width) b(t)
						LEFT JOIN (SELECT ds_round(s.granularity, t) AS bucket, * FROM test.datapoints(s.id)) d ON d.bucket = b.t WHERE s.until IS NOT NULL AND b.t >= kept_from GROUP BY b.t)
				(SELECT format('%s %s: has %s', s.id, s.granularity, b) FROM (SELECT * FROM made EXCEPT SELECT * FROM right_ones ORDER BY 1 LIMIT 3) b)
				UNION ALL
				(SELECT format('%s %s: has not %s', s.id, s.granularity, b) FROM (SELECT * FROM right_ones EXCEPT SELECT * FROM made ORDER BY 1 LIMIT 3) b);
		END LOOP;
		RETURN QUERY SELECT format('%s: still due', stream_id) FROM datastream.lag WHERE due;
		RETURN QUERY SELECT format('%s %s: %s new ones', stream_id, granularity, count(*)) FROM ds_downsample_streams(return_datapoints => true) GROUP BY stream_id, granularity;
	END
	$$;

	CREATE PROCEDURE test.history(seed float8) LANGUAGE plpgsql AS $$
	DECLARE
		background boolean;
		limited boolean;
		s test.streams;
		wrong text;
	BEGIN
		PERFORM setseed(seed);
		TRUNCATE test.streams, test.datapoints, test.closed;
		background := random() < 0.2;
		limited := random() < 0.3;
		PERFORM set_config('datastream.derive', CASE WHEN background THEN 'background' ELSE 'immediate' END, true);

		-- a time that is far from, or close to, the turn of a year
		INSERT INTO test.streams (id, highest, unit, base, span)
			SELECT ds_ensure_stream(jsonb_build_object('stream', i), highest_granularity => granularity), n, CASE WHEN n = 1 THEN 'milliseconds' ELSE 'second' END,
				base - span * random(), span
			FROM generate_series(1, 1 + floor(random() * 3)::int) i,
				LATERAL (SELECT ceil(random() * 8 + 0 * i)::int AS h) h JOIN test.level ON n = h,
				LATERAL (SELECT timestamptz '2010-01-01' + floor(random() * 8 + 0 * i) * interval '1 year' + CASE WHEN random() < 0.5 THEN random() * interval '1 year' ELSE '0' END AS base,
					least((SELECT width FROM test.level l WHERE l.n = h + 1) * 10 ^ (random() * 3.2), interval '5 years') AS span) x;
		INSERT INTO test.streams (id, highest, unit, source)
			SELECT ds_ensure_stream(jsonb_build_object('falls', id), highest_granularity => granularity, value_type => 'nominal',
				derive_op => 'counter_reset', derive_from => to_jsonb(id)), highest, unit, id
			FROM test.streams JOIN test.level ON n = highest WHERE random() < 0.5 AND NOT limited;

		-- one that makes nothing where its source falls, and one that derives from that
		FOR s IN SELECT * FROM test.streams WHERE source IS NULL AND random() < 0.3 AND NOT limited LOOP
			DECLARE
				granularity text := (SELECT l.granularity FROM test.level l WHERE l.n = s.highest);
				rises uuid := ds_ensure_stream(jsonb_build_object('rises', s.id), highest_granularity => granularity, derive_op => 'counter_derivative', derive_from => jsonb_build_array(
					jsonb_build_object('name', 'reset', 'stream', ds_ensure_stream(jsonb_build_object('resets', s.id), highest_granularity => granularity, value_type => 'nominal')), s.id));
				sum uuid := ds_ensure_stream(jsonb_build_object('sum', s.id), highest_granularity => granularity, derive_op => 'sum', derive_from => to_jsonb(rises));
			BEGIN
				INSERT INTO test.streams (id, highest, unit, source, other) SELECT id, s.highest, s.unit, s.id, true FROM unnest(ARRAY[rises, sum]) id;
			END;
		END LOOP;

		FOR step IN 1 .. 2 + floor(random() ^ 2 * 14) LOOP
			SELECT * INTO s FROM test.streams WHERE source IS NULL ORDER BY random() LIMIT 1;
			BEGIN
				IF random() < 0.5 THEN
					CALL test.append(s);
				ELSIF limited AND random() < 0.3 THEN
					CALL test.expire(s);
				ELSE
					IF background AND random() < 0.3 THEN
						PERFORM ds_backprocess_streams();
					END IF;
					CALL test.downsample(s, NOT background);
				END IF;
				IF random() < 0.1 THEN
					RAISE EXCEPTION SQLSTATE 'ZZ000';
				END IF;
			EXCEPTION
				WHEN SQLSTATE 'ZZ000' THEN
					NULL;
				WHEN SQLSTATE 'TS010' THEN
					-- what is gone cannot be made again
					IF NOT limited THEN
						RAISE;
					END IF;
			END;
		END LOOP;

		IF random() < 0.4 AND NOT limited THEN
			SELECT * INTO s FROM test.streams WHERE source IS NULL ORDER BY random() LIMIT 1;
			CALL test.leave_behind(s);
		END IF;

		-- in the background, that there is something to derive is found by a pass
		IF background THEN
			PERFORM FROM ds_downsample_streams();
			PERFORM ds_backprocess_streams();
			DELETE FROM test.closed c USING test.streams d WHERE d.id = c.id AND d.source IS NOT NULL;
		END IF;
		PERFORM FROM ds_downsample_streams();
		CALL test.close(now(), NULL, false);
		SELECT string_agg(w, E'\n') INTO wrong FROM test.wrong_levels() w;
		IF wrong IS NOT NULL THEN
			RAISE EXCEPTION E'wrong: %', wrong;
		END IF;
		PERFORM ds_delete_streams();
	END
	$$});

note("seed $seed, $histories histories");
for (my $i = 0; $i < $histories; $i += $batch)
{
	my $first = $seed + $i;
	my $last = $seed + ($i + $batch < $histories ? $i + $batch : $histories) - 1;
	my ($status, undef, $err) = $node->psql('postgres', join "\n", 'SET client_min_messages = error;',
		map { "\\set seed $_\nCALL test.history(" . (($_ * 7919) % 1_000_003) / 1_000_003 . ");\n\\if :ERROR\n\\warn seed $_\n\\quit\n\\endif" } $first .. $last);

	is($err, '', "levels are right after the histories $first to $last")
	  or diag('try again with DATASTREAM_LEVELS_ROUNDS=1 DATASTREAM_LEVELS_SEED=' . ($err =~ /^seed (\d+)/m ? $1 : $first));
}

is($node->safe_psql('postgres', 'SELECT * FROM test.violations()'), '', 'what is stored is consistent');
no_crash($node);
$node->stop;
done_testing();
