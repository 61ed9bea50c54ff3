# Workers, too, make every bucket: of history that is appended before a stream's
# first datapoint, of levels that a call with "until" has left behind, and of
# derived streams that have had no datapoint for long.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('worker_levels', conf => [ with_workers('datastream.close_after = 1h') ]);

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
	SELECT ds_append_multiple(test.stream('much'), array_agg(test.at(i * 7) ORDER BY i), array_agg(i::float8 ORDER BY i)) FROM generate_series(1, 300000) i;
	SELECT FROM ds_downsample_streams('{"name": "much"}', until => test.at(100000));
	COMMIT});

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

is($node->safe_psql('postgres', 'SELECT count(*) FROM datastream.failures'), '0', 'no stream has failed');
no_crash($node);
$node->stop;
done_testing();
