# After a crash everything that was acknowledged is there, once, and what is
# downsampled and derived agrees with it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $clients = 3;
my $rounds = 3;
my $tempdir = PostgreSQL::Test::Utils::tempdir;
my $node = new_node('crash');

$node->safe_psql(
	'postgres', qq{
	SELECT ds_ensure_stream(jsonb_build_object('name', name)) FROM unnest(ARRAY['0', '1', '2', 'shared']) name;
	SELECT ds_ensure_stream('{"name": "sum"}', derive_from => jsonb_build_array(test.stream('0'), test.stream('1')), derive_op => 'sum'),
		ds_ensure_stream('{"name": "slope"}', derive_from => to_jsonb(test.stream('2')), derive_op => 'derivative')});

# Starts a session that runs statements and writes what they return to a file
# as soon as each is committed.
sub start_session
{
	my ($name, @statements) = @_;

	append_to_file("$tempdir/$name.sql", join "\n", @statements);
	return IPC::Run::start(
		[
			'psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1',
			'-d', $node->connstr('postgres'), '-f', "$tempdir/$name.sql"
		],
		'>', "$tempdir/$name.out", '2>', "$tempdir/$name.err");
}

foreach my $round (1 .. $rounds)
{
	my @sessions;
	my @first;

	foreach my $client (0 .. $clients - 1)
	{
		my $id = $node->safe_psql('postgres', "SELECT test.stream('$client')");
		my $shared = $node->safe_psql('postgres', "SELECT test.stream('shared')");
		my $n = $node->safe_psql('postgres', "SELECT count(*) FROM ds_get_data('$id', 'seconds')");

		$first[$client] = $n;
		push @sessions, start_session(
			"append_${round}_$client",
			map {
				"SELECT (ds_append('$id', $_, timestamptz '2000-01-01 00:00:00+00' + $_ * interval '1 s')).v;\n"
				  . ($_ % 10 ? '' : "SELECT (ds_append('$shared', $_ + 1000000 * ($client + 1))).v;\n")
			} $n + 1 .. $n + 50000);
	}
	push @sessions, start_session("downsample_$round",
		map { "SELECT count(*) FROM ds_downsample_streams();\nSELECT pg_sleep(0.005);" } 1 .. 50000);
	push @sessions, start_session("checkpoint_$round",
		map { "CHECKPOINT;\nSELECT pg_sleep(0.3);" } 1 .. 1000);

	usleep(2_000_000);
	$node->stop('immediate');
	eval { $_->finish } foreach @sessions;
	$node->start;

	foreach my $client (0 .. $clients - 1)
	{
		my @acknowledged = split /\n/, slurp_file("$tempdir/append_${round}_$client.out");
		my $last = (grep { $_ < 1000000 } @acknowledged)[-1] || 0;
		my $shared = join ', ', grep { $_ > 1000000 } @acknowledged;
		my $stored = $node->safe_psql('postgres',
			"SELECT count(*), coalesce(max(value), 0), coalesce(bool_and(value = n AND t = test.at(n)), true)
			FROM (SELECT t, value, row_number() OVER () AS n FROM ds_get_series(test.stream('$client'), 'seconds')) d");
		my ($count, $max, $in_order) = split /\|/, $stored;

		cmp_ok($last, '>', $first[$client], "round $round, client $client: something was appended");
		is("$count $in_order", "$max t", "round $round, client $client: no datapoint is missing or there twice");
		ok($count == $last || $count == $last + 1,
			"round $round, client $client: all $last that were acknowledged are among the $count");
		is( $node->safe_psql(
				'postgres', "
				SELECT a FROM unnest(ARRAY[$shared]::int[]) a LEFT JOIN ds_get_series(test.stream('shared'), 'seconds') s ON s.value = a
				GROUP BY a HAVING count(s.t) <> 1 LIMIT 5"),
			'', "round $round, client $client: in the stream for all, too");
	}
	is_consistent($node, 'postgres', "round $round");
	is( $node->safe_psql(
			'postgres', q{
			SELECT count(*) FROM ds_get_series(test.stream('0'), 'seconds') a JOIN ds_get_series(test.stream('1'), 'seconds') b USING (t)
			FULL JOIN ds_get_series(test.stream('sum'), 'seconds') s USING (t) WHERE a.value + b.value IS DISTINCT FROM s.value}),
		'0', "round $round: sums are right");
	is( $node->safe_psql(
			'postgres', q{
			SELECT count(*) - (SELECT count(*) FROM ds_get_series(test.stream('2'), 'seconds')) + 1, bool_and(value = 1)
			FROM ds_get_series(test.stream('slope'), 'seconds')}),
		'0|t', "round $round: derivatives are right");
}

# What downsampling had not come to is made up for.
$node->safe_psql('postgres', 'SELECT count(*) FROM ds_downsample_streams()');
is_consistent($node, 'postgres', 'downsampled after the last crash');
is($node->safe_psql('postgres', 'SELECT count(*) FROM ds_downsample_streams(return_datapoints => true)'), '0', 'every bucket is made once');
no_crash($node);
$node->stop;
done_testing();
