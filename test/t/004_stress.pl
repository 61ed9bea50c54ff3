# Many sessions append, derive, downsample, backprocess, read, make and delete
# streams at the same time.  Nothing fails, and in the end everything that was
# appended is there once and all that is made from it is right.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = $ENV{DATASTREAM_TEST_SECONDS} || 10;
my $tempdir = PostgreSQL::Test::Utils::tempdir;
my $node = new_node('stress', conf => [ 'max_connections = 60', 'deadlock_timeout = 100ms' ]);

# Streams "0" to "3" have a client each; several clients share "shared" and
# "list"; "x" and "y" have derived streams that depend on both in different
# depths.
$node->safe_psql(
	'postgres', q{
	SELECT ds_ensure_stream(jsonb_build_object('name', name)) FROM unnest(ARRAY['0', '1', '2', '3', 'shared', 'list', 'late', 'x', 'y', 'behind']) name;
	SELECT ds_ensure_stream('{"name": "sum"}', derive_from => jsonb_build_array(test.stream('0'), test.stream('1')), derive_op => 'sum'),
		ds_ensure_stream('{"name": "slope"}', derive_from => to_jsonb(test.stream('2')), derive_op => 'derivative'),
		ds_ensure_stream('{"name": "slope of late"}', derive_from => to_jsonb(test.stream('late')), derive_op => 'derivative'),
		ds_ensure_stream('{"name": "slope of behind"}', derive_from => to_jsonb(test.stream('behind')), derive_op => 'derivative'),
		ds_ensure_stream('{"name": "slope of x"}', derive_from => to_jsonb(test.stream('x')), derive_op => 'derivative'),
		ds_ensure_stream('{"name": "slope of y"}', derive_from => to_jsonb(test.stream('y')), derive_op => 'derivative'),
		ds_ensure_stream('{"name": "minutes"}', derive_op => 'sum', highest_granularity => '10seconds', derive_from => jsonb_build_array(
			jsonb_build_object('stream', test.stream('0'), 'granularity', '10seconds'), jsonb_build_object('stream', test.stream('1'), 'granularity', '10seconds')));
	SELECT ds_ensure_stream('{"name": "x and slope of y"}', derive_from => jsonb_build_array(test.stream('x'), test.stream('slope of y')), derive_op => 'sum'),
		ds_ensure_stream('{"name": "y and slope of x"}', derive_from => jsonb_build_array(test.stream('y'), test.stream('slope of x')), derive_op => 'sum'),
		ds_ensure_stream('{"name": "chain"}', derive_from => jsonb_build_array(test.stream('sum'), test.stream('slope')), derive_op => 'sum')});
my %id = map { split /\|/ } split /\n/,
  $node->safe_psql('postgres', q{SELECT tags->>'name', stream_id FROM ds_find_streams()});

# Starts pgbench with so many clients, each of which runs a script over and
# over.  The script has counted(:i) times before, in a variable.
my %run;

sub start_clients
{
	my ($name, $clients, $script, @options) = @_;

	append_to_file("$tempdir/$name.sql", "\\set i :i + 1\n$script\n");
	$run{$name}{out} = '';
	$run{$name}{handle} = IPC::Run::start(
		[
			'pgbench', '-n', '-T', $seconds, '-c', $clients, '-D', 'i=0', '-f', "$tempdir/$name.sql", @options,
			$node->connstr('postgres')
		],
		'>', \$run{$name}{out}, '2>&1');
}

# Each client its own stream, at times of its own
foreach my $client (0 .. 3)
{
	start_clients("own$client", 1,
		"SELECT ds_append('$id{$client}', :i, timestamptz '2000-01-01 00:00:00+00' + :i * interval '1 s');", '-M', 'prepared');
}
foreach my $name (qw(x y))
{
	start_clients($name, 1,
		"SELECT ds_append('$id{$name}', :i, timestamptz '2000-01-01 00:00:00+00' + :i * interval '1 s');");
}
# All clients one stream, at the server's time
start_clients('shared', 3, "SELECT ds_append('$id{shared}', 1000000 * (1 + :client_id) + :i);");
start_clients('list', 2, <<"EOS");
SELECT ds_append_multiple(jsonb_agg(jsonb_build_object('stream_id', id, 'value', 1000000 * (1 + :client_id) + 3 * :i + n)))
	FROM unnest(ARRAY['$id{list}', '$id{shared}']) id, generate_series(0, 2) n;
EOS
# Late datapoints, each between two that are there: 2, 1, 4, 3, 6, 5, ...
start_clients('late', 1, <<"EOS");
\\set n :i + 2 * (:i % 2) - 1
SELECT ds_append('$id{late}', :n, timestamptz '2000-01-01 00:00:00+00' + :n * interval '1 s', false);
EOS
# A stream whose derived one is left to those who backprocess
start_clients('behind', 1, <<"EOS");
SET datastream.derive = background;
SELECT ds_append('$id{behind}', :i, timestamptz '2000-01-01 00:00:00+00' + :i * interval '1 s');
EOS
# Streams that come and go, also derived ones
start_clients('temporary', 2, <<"EOS");
SELECT ds_ensure_stream('{"temporary": :client_id}') AS id \\gset
SELECT ds_append(':id', n) FROM generate_series(1, 50) n;
SELECT ds_ensure_stream('{"temporary": :client_id, "derived": true}', derive_from => jsonb_build_array('$id{2}'::uuid), derive_op => 'derivative');
SELECT ds_backprocess_streams('{"temporary": :client_id}');
SELECT ds_delete_streams('{"temporary": :client_id}');
EOS
# Maintenance
start_clients('downsample', 2, "SELECT ds_downsample_streams();\n\\sleep 5 ms");
start_clients('backprocess', 2, "SELECT ds_backprocess_streams();\n\\sleep 5 ms");
start_clients('vacuum', 1, "VACUUM datastream.heads, datastream.progress, datastream.datapoints_seconds;\n\\sleep 500 ms");
# Readers always see whole statements: what a client has appended so far, each
# datapoint once and in order, and buckets that agree with each other.
start_clients('read', 2, <<"EOS");
\\set client random(0, 3)
SELECT 1 / (count(*) = coalesce(max(value), 0) AND coalesce(bool_and(value = n), true))::int
	FROM (SELECT value, row_number() OVER () AS n FROM ds_get_series(test.stream((:client)::text), 'seconds')) d;
SELECT 1 / (coalesce(s.count, 0) <= coalesce(t.count, 0) AND coalesce(s.sum, 0) <= coalesce(t.sum, 0))::int
	FROM (SELECT sum(count) AS count, sum(sum) AS sum FROM ds_get_series('$id{0}', 'minutes')) s,
		(SELECT sum(count) AS count, sum(sum) AS sum FROM ds_get_series('$id{0}', '10seconds')) t;
SELECT count(*) FROM ds_find_streams(), ds_get_tags(stream_id) WHERE tags ? 'name';
EOS

foreach my $name (sort keys %run)
{
	$run{$name}{handle}->finish;
	($run{$name}{transactions}) = $run{$name}{out} =~ /transactions actually processed: (\d+)/;
	note "$name: $run{$name}{transactions} transactions";
	my $errors = join "\n", grep { /error|aborted|failed transactions: [1-9]/i } split /\n/, $run{$name}{out};
	is($errors, '', "clients \"$name\" have met no error");
	cmp_ok($run{$name}{transactions} || 0, '>', 0, "clients \"$name\" have done something");
}
my %errors = errors_in_log($node);
is(join(' ', map { "$_ ($errors{$_})" } sort keys %errors), '', 'there is no error in the log');
no_crash($node);

# What is left to do is done, and all is as it should be.
$node->safe_psql(
	'postgres', q{
	SET client_min_messages = error;
	SELECT ds_downsample_streams(); SELECT ds_backprocess_streams(); SELECT ds_downsample_streams()});
is($node->safe_psql('postgres', 'SELECT ds_backprocess_streams(), count(*) FROM ds_downsample_streams(return_datapoints => true)'),
	'0|0', 'in the end there is nothing to do');
is_consistent($node, 'postgres', 'after the stress');

foreach my $name (qw(0 1 2 3 x y behind))
{
	my $transactions = $run{ $name =~ /\d/ ? "own$name" : $name }{transactions};
	is( $node->safe_psql(
			'postgres', "
			SELECT count(*), bool_and(value = n AND t = test.at(n))
			FROM (SELECT t, value, row_number() OVER () AS n FROM ds_get_series('$id{$name}', 'seconds')) d"),
		"$transactions|t", "stream \"$name\": each datapoint is there once and in order");
}
my $shared = $run{shared}{transactions} + 3 * $run{list}{transactions};
is( $node->safe_psql(
		'postgres', "SELECT count(*), count(DISTINCT value) FROM ds_get_series('$id{list}', 'seconds')"),
	join('|', (3 * $run{list}{transactions}) x 2), 'stream "list": each datapoint is there once');
is( $node->safe_psql('postgres', "SELECT count(*) FROM ds_get_series('$id{shared}', 'seconds')"),
	$shared, 'stream "shared": no datapoint is missing');
is( $node->safe_psql(
		'postgres', "
		SELECT count(*) FROM (SELECT value, lag(value) OVER (PARTITION BY floor(value / 1000000) ORDER BY n) AS before
			FROM (SELECT value, row_number() OVER () AS n FROM ds_get_series('$id{list}', 'seconds')) d) d WHERE value <= before"),
	'0', 'stream "list": the datapoints of a client are in order');
# The last one may come before the one that belongs in front of it.
is( $node->safe_psql(
		'postgres', "
		SELECT count(*), bool_and(value = n)
		FROM (SELECT value, row_number() OVER () AS n FROM ds_get_series('$id{late}', 'seconds') LIMIT $run{late}{transactions} - 1) d"),
	($run{late}{transactions} - 1) . '|t', 'stream "late": late datapoints are in their places');

# Derived streams, computed anew
foreach my $derived (
	[ 'sum', "SELECT a.t, a.value + b.value FROM ds_get_series('$id{0}', 'seconds') a JOIN ds_get_series('$id{1}', 'seconds') b USING (t)" ],
	[ 'slope', "SELECT t, 1 FROM ds_get_series('$id{2}', 'seconds') WHERE value > 1" ],
	[ 'slope of behind', "SELECT t, 1 FROM ds_get_series('$id{behind}', 'seconds') WHERE value > 1" ],
	[ 'slope of x', "SELECT t, 1 FROM ds_get_series('$id{x}', 'seconds') WHERE value > 1" ],
	[ 'slope of late', "SELECT t, (value - lag(value) OVER (ORDER BY t)) / extract(epoch FROM t - lag(t) OVER (ORDER BY t)) FROM ds_get_series('$id{late}', 'seconds') OFFSET 1" ],
	[ 'x and slope of y', "SELECT x.t, x.value + y.value FROM ds_get_series('$id{x}', 'seconds') x JOIN ds_get_series('$id{'slope of y'}', 'seconds') y USING (t)" ],
	[ 'y and slope of x', "SELECT y.t, x.value + y.value FROM ds_get_series('$id{y}', 'seconds') y JOIN ds_get_series('$id{'slope of x'}', 'seconds') x USING (t)" ],
	[ 'chain', "SELECT a.t, a.value + b.value FROM ds_get_series('$id{sum}', 'seconds') a JOIN ds_get_series('$id{slope}', 'seconds') b USING (t)" ],
	[ 'minutes', "SELECT a.last, a.mean + b.mean FROM ds_get_series('$id{0}', '10seconds') a JOIN ds_get_series('$id{1}', '10seconds') b USING (t)", '10seconds' ])
{
	my ($name, $query, $granularity) = @$derived;
	my $round = $granularity ? "ds_round('$granularity', e.t)" : 'e.t';

	$granularity ||= 'seconds';
	is( $node->safe_psql(
			'postgres', "
			SELECT count(*) > 10, count(*) FILTER (WHERE e.value IS DISTINCT FROM d.value)
			FROM ($query) e (t, value) FULL JOIN ds_get_series('$id{$name}', '$granularity') d ON d.t = $round"),
		't|0', "derived stream \"$name\" is right");
}
is($node->safe_psql('postgres', q{SELECT count(*) FROM ds_find_streams('{}', 'exists($.temporary)')}),
	'0', 'temporary streams have gone');

$node->stop;
done_testing();
