# Workers, too, make every bucket: of history that is appended before a stream's
# first datapoint, of levels that a call with "until" has left behind, and of
# derived streams that have had no datapoint for long; and of whatever comes at
# random while they work.
#
# How many times something comes at random is set by DATASTREAM_WORKER_LEVELS_ROUNDS,
# with which number that begins by DATASTREAM_WORKER_LEVELS_SEED.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = $ENV{DATASTREAM_WORKER_LEVELS_ROUNDS} || 4;
my $seed =
  defined $ENV{DATASTREAM_WORKER_LEVELS_SEED} ? $ENV{DATASTREAM_WORKER_LEVELS_SEED} : int(rand(1_000_000_000));

my $node = new_node('worker_levels', conf => [ with_workers('datastream.close_after = 1h', 'jit = off') ]);

# Levels that are not what the stream has come to, by its latest datapoint or that
# of its source
$node->safe_psql(
	'postgres', q{
	CREATE FUNCTION test.behind() RETURNS SETOF text LANGUAGE sql AS $$
		SELECT format('%s %s: until %s', s.tags, l.granularity, s.downsampled_until->>l.granularity)
		FROM ds_find_streams() s LEFT JOIN ds_find_streams() f ON jsonb_build_array(f.stream_id) = s.derived_from->'stream_ids',
			test.levels() h, test.levels() l, ds_round(l.granularity, coalesce(f.latest_datapoint, s.latest_datapoint)) u
		WHERE h.granularity = s.highest_granularity AND l.n > h.n
			AND (s.downsampled_until->>l.granularity)::timestamptz IS DISTINCT FROM CASE WHEN u > ds_round(l.granularity, s.earliest_datapoint) THEN u END
	$$;

	-- Streams that random things come to, with the time over which these are spread
	CREATE TABLE test.random (id uuid, base timestamptz, span interval);

	CREATE PROCEDURE test.make_random(granularity text) LANGUAGE plpgsql AS $$
	DECLARE
		stream uuid := ds_ensure_stream(jsonb_build_object('random', (SELECT count(*) FROM test.random)), highest_granularity => granularity);
	BEGIN
		INSERT INTO test.random SELECT stream, test.at(floor(random() * 1e8)::int),
			(SELECT test.at(1) - ds_round(c.granularity, test.at(0)) FROM test.levels() h JOIN test.levels() c ON c.n = h.n + 2 WHERE h.granularity = make_random.granularity) * 10 ^ (random() * 1.5);
		IF random() < 0.5 THEN
			PERFORM ds_ensure_stream(jsonb_build_object('falls', stream), highest_granularity => granularity, value_type => 'nominal',
				derive_op => 'counter_reset', derive_from => to_jsonb(stream));
		END IF;
	END
	$$;

	-- Appends to a stream, one by one or many, or closes some of its buckets
	CREATE PROCEDURE test.change(s test.random) LANGUAGE plpgsql AS $$
	DECLARE
		around timestamptz := s.base + s.span * (random() * 1.2 - 0.2);
		size interval := CASE WHEN random() < 0.5 THEN s.span ELSE s.span * 0.02 END;
		n int := 1 + floor(random() ^ 3 * 100);
	BEGIN
		IF random() < 0.3 THEN
			PERFORM FROM ds_downsample_streams(CASE WHEN random() < 0.5 THEN jsonb_build_object('stream_id', s.id) END, CASE WHEN random() < 0.8 THEN around END);
		ELSIF random() < 0.5 THEN
			PERFORM FROM generate_series(1, n) i, ds_append(s.id, floor(random() * 100), around + size * random() + i * interval '0 s', check_timestamp => false);
		ELSE
			PERFORM ds_append_multiple(s.id, array_agg(around + size * random() + i * interval '0 s'), array_agg(floor(random() * 100 + 0 * i)), check_timestamp => false) FROM generate_series(1, n) i;
		END IF;
	END
	$$;

	CREATE PROCEDURE test.change_some(seed float8, changes int) LANGUAGE plpgsql AS $$
	DECLARE
		s test.random;
		level text;
	BEGIN
		PERFORM setseed(seed);
		FOR i IN 1 .. changes LOOP
			IF random() < 1.0 / (1 + (SELECT count(*) FROM test.random)) THEN
				SELECT granularity INTO level FROM test.levels() WHERE n <= 6 ORDER BY random() LIMIT 1;
				CALL test.make_random(level);
			END IF;
			SELECT * INTO s FROM test.random ORDER BY random() LIMIT 1;
			CALL test.change(s);
			-- workers come between
			IF random() < 0.5 THEN
				COMMIT;
			END IF;
		END LOOP;
	END
	$$});

sub is_complete
{
	my ($name, $sql) = @_;

	$node->safe_psql('postgres', "SET client_min_messages = error; $sql");
	ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM datastream.lag WHERE due) AND test.waiting() = 0'),
		"$name: nothing is left to be done");
	is($node->safe_psql('postgres', 'SELECT * FROM test.behind()'), '', "$name: all levels are complete");
	is($node->safe_psql('postgres', 'SELECT * FROM test.violations()'), '', "$name: all buckets are right");
}

is_complete('history before the first datapoint', q{
	SELECT ds_ensure_stream('{"name": "history"}');
	SELECT FROM ds_append(test.stream('history'), 1, test.at(86400));
	SELECT FROM generate_series(1, 50) i, ds_append(test.stream('history'), i, test.at(86400 - 977 * i), check_timestamp => false)});
is_complete('more history', q{
	SELECT FROM generate_series(1, 50) i, ds_append(test.stream('history'), i, test.at(-100 * i), check_timestamp => false)});

# In one transaction, so that no worker comes between
is_complete('levels left behind', q{
	BEGIN;
	SELECT ds_ensure_stream('{"name": "behind"}');
	SELECT FROM ds_append(test.stream('behind'), 1, test.at(43520));
	SELECT FROM ds_append(test.stream('behind'), 2, test.at(43531));
	SELECT FROM ds_downsample_streams('{"name": "behind"}');
	SELECT FROM ds_append(test.stream('behind'), 3, test.at(100), check_timestamp => false);
	SELECT FROM ds_downsample_streams('{"name": "behind"}', until => test.at(1800));
	COMMIT});

# More than a worker reads at once
is_complete('much left behind', q{
	BEGIN;
	SELECT ds_ensure_stream('{"name": "much"}');
	SELECT ds_append_multiple(test.stream('much'), array_agg(test.at(i * 21) ORDER BY i), array_agg(i::float8 ORDER BY i)) FROM generate_series(1, 100000) i;
	SELECT FROM ds_downsample_streams('{"name": "much"}', until => test.at(100000));
	COMMIT});
$node->safe_psql('postgres', q{SELECT ds_delete_streams('{"name": "much"}')});

is_complete('rare events', q{
	SELECT ds_ensure_stream('{"name": "counter"}');
	SELECT ds_ensure_stream('{"name": "falls"}', value_type => 'nominal', derive_op => 'counter_reset', derive_from => to_jsonb(test.stream('counter')));
	SELECT FROM generate_series(1, 30) v, ds_append(test.stream('counter'), v, test.at(v * v));
	SELECT FROM ds_append(test.stream('counter'), 0, test.at(1000));
	SELECT FROM generate_series(1, 60) v, ds_append(test.stream('counter'), v, test.at(1000 + v * v))});
is_complete('time goes on', q{
	SELECT FROM ds_append(test.stream('counter'), 100, test.at(86400 * 40))});
is_complete('derived in the background', q{
	SET datastream.derive = background;
	SELECT FROM ds_append(test.stream('counter'), 200, test.at(86400 * 41))});

note("seed $seed, $rounds rounds");
foreach my $number ($seed .. $seed + $rounds - 1)
{
	is_complete("random changes $number", 'CALL test.change_some(' . (($number * 7919) % 1_000_003) / 1_000_003 . ', 20)');
}

is($node->safe_psql('postgres', 'SELECT count(*) FROM datastream.failures'), '0', 'no stream has failed');
no_crash($node);
$node->stop;
done_testing();
