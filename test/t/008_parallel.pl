# Parallel plans give what serial ones do.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use Test::More;

my $node = new_node('parallel');
create_sample($node, 'postgres');
$node->safe_psql(
	'postgres', q{
	SELECT setseed(0.5);
	CREATE TABLE numbers AS SELECT i, round(1000 * random())::float8 / 4 AS x, (ARRAY['a', 'b', 'c', NULL])[1 + i % 4] AS label,
		test.at(i) AS t FROM generate_series(1, 100000) i;
	CREATE INDEX ON numbers (t);
	ALTER TABLE numbers SET (parallel_workers = 3);
	ANALYZE numbers});

my $force = $node->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode';
my $cheap = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET enable_indexscan = off;'
  . ' SET enable_indexonlyscan = off; SET enable_bitmapscan = off; SET max_parallel_workers_per_gather = 3; SET client_min_messages = error;';

# Aggregates are computed in part by each worker, and combined.
my %aggregates = (
	(map { ("ds_$_(x)" => 1) } qw(mean sum min max sum_squares std_dev count median most_often least_often frequencies)),
	(map { ("ds_$_(label)" => 1) } qw(most_often least_often frequencies)),
	(map { ("ds_$_(t)" => 1) } qw(time_mean time_first time_last intervals_mean intervals_min intervals_max intervals_sum_squares intervals_std_dev)));
foreach my $aggregate (sort keys %aggregates)
{
	my $query = "SELECT $aggregate FROM numbers";
	my $grouped = "SELECT i % 5, $aggregate FROM numbers GROUP BY 1 ORDER BY 1";
	my $plan = $node->safe_psql('postgres', "$cheap EXPLAIN (COSTS off) $query");

	like($plan, qr/Partial Aggregate/, "$aggregate is computed in parallel");
	foreach my $sql ($query, $grouped)
	{
		my $serial = $node->safe_psql('postgres', "SET max_parallel_workers_per_gather = 0; SET client_min_messages = error; $sql");
		is($node->safe_psql('postgres', "$cheap $sql"), $serial, "$sql gives the same");
	}
}

# With a parallel plan forced on everything that may be in one
foreach my $query (
	q{SELECT * FROM ds_find_streams() ORDER BY tags},
	q{SELECT ds_get_tags(stream_id) FROM ds_find_streams() ORDER BY 1},
	q{SELECT * FROM ds_get_data(test.stream('all'), 'minutes')},
	q{SELECT count(*), sum(value) FROM ds_get_series(test.stream('all'), 'seconds')},
	q{SELECT count(*), sum(s.value) FROM numbers n JOIN ds_get_series(test.stream('all'), 'seconds') s USING (t)},
	q{SELECT n.i, (SELECT count(*) FROM ds_get_data(test.stream('all'), 'seconds', n.t, n.t + interval '1 min')) FROM numbers n WHERE i % 1000 = 0 ORDER BY 1},
	q{SELECT ds_round('minutes', t), ds_mean(x) FROM numbers GROUP BY 1 ORDER BY 1},
	q{SELECT count(*) FROM datastream.datapoints_seconds WHERE (ds_block_summary(block)->>'rows')::int = count},
	q{SELECT test.violations() LIMIT 0})
{
	my $serial = $node->safe_psql('postgres', "SET max_parallel_workers_per_gather = 0; SET client_min_messages = error; $query");
	is($node->safe_psql('postgres', "$cheap SET $force = on; $query"), $serial, "forced: $query gives the same");
}

# What writes is not part of parallel plans, but runs beside them.
$node->safe_psql(
	'postgres', "$cheap SET $force = on;" . q{
	SELECT ds_ensure_stream('{"name": "parallel"}');
	SELECT ds_append_multiple(test.stream('parallel'), array_agg(t ORDER BY t), array_agg(x ORDER BY t)) FROM numbers;
	SELECT count(*) FROM ds_downsample_streams('{"name": "parallel"}');
	SELECT ds_update_tags(test.stream('parallel'), '{"done": true}')});
is( $node->safe_psql('postgres', q{SELECT sum(count) FROM ds_get_series(test.stream('parallel'), 'minutes')}),
	$node->safe_psql('postgres', q{SELECT count(*) FROM numbers WHERE t < ds_round('minutes', test.at(100000))}),
	'writing with forced parallel plans');

no_crash($node);
$node->stop;
done_testing();
