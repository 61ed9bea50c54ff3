# With the library preloaded all work is done in the background: buckets close,
# derived streams are backprocessed, late ranges are made again, in every
# database that has the extension, as the settings say.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('workers', conf => [ with_workers('log_min_messages = debug1') ]);

# How many workers have been started
sub starts
{
	my $count = () = slurp_file($node->logfile) =~ /starting background worker process "datastream worker"/g;
	return $count;
}

# Changes a setting, and waits until it is in force.
sub set_to
{
	my ($setting, $value) = @_;

	$node->append_conf('postgresql.conf', "$setting = $value");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('$setting') = '$value'");
}

# A statement that appends to "a" and "b" at each second, or at every second
# one, from one second to another
sub append_ab
{
	my ($from, $to, $step) = @_;

	return "SELECT ds_append_multiple(test.stream(name), array_agg(test.at(i) ORDER BY i), array_agg((i / 2.0)::float8 ORDER BY i))
		FROM unnest(ARRAY['a', 'b']) name, generate_series($from, $to, $step) i GROUP BY name";
}

# The launcher
is( $node->safe_psql(
		'postgres', q{
		SELECT count(*), min(application_name), count(datid), count(backend_xmin) FROM pg_stat_activity
		WHERE backend_type = 'datastream launcher'}),
	'1|datastream launcher|0|0', 'one launcher, in no database');

# Downsampling
$node->safe_psql('postgres', q{SELECT ds_ensure_stream('{"name": "a"}'), ds_ensure_stream('{"name": "b"}')});
$node->safe_psql('postgres', append_ab(0, 1998, 2));
serves($node, 'postgres', q{SELECT (ds_get_tags(test.stream('a'))->'downsampled_until'->>'minutes')::timestamptz = test.at(1980)},
	'buckets close by themselves');

# Backprocessing
$node->safe_psql(
	'postgres', q{
	SELECT ds_ensure_stream('{"name": "sum"}', derive_from => jsonb_build_array(test.stream('a'), test.stream('b')), derive_op => 'sum');
	SELECT ds_ensure_stream('{"name": "slope"}', derive_from => to_jsonb(test.stream('sum')), derive_op => 'derivative');
	SELECT ds_ensure_stream('{"name": "minutes"}', highest_granularity => 'minutes', derive_op => 'sum',
		derive_from => jsonb_build_array(jsonb_build_object('stream', test.stream('sum'), 'granularity', 'minutes')))});
serves($node, 'postgres', q{SELECT count(*) = 3 FROM ds_find_streams() WHERE derived_from IS NOT NULL AND NOT pending_backprocess},
	'derived streams are backprocessed by themselves, sources first');
is( $node->safe_psql('postgres', q{SELECT count(*), sum(value) FROM ds_get_series(test.stream('slope'), 'seconds')}),
	'999|999', 'a backprocessed stream has its datapoints');
is_served($node, 'postgres', 'backprocessing');
is( $node->safe_psql('postgres', q{SELECT count(*), sum(value) FROM ds_get_series(test.stream('minutes'), 'minutes')}),
	'33|32637', 'also one that derives from downsampled datapoints');

# Late datapoints
foreach my $name (qw(a b))
{
	is(($node->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT (ds_append(test.stream('$name'), 1000, test.at(65), false)).v"))[2] =~ s/.*WARNING:  (TS\w+).*/$1/sr,
		'TS103', "a late datapoint of $name raises a warning");
}
serves($node, 'postgres', q{SELECT max = 1000 AND count = 31 FROM ds_get_series(test.stream('b'), 'minutes', test.at(60), test.at(60))},
	'what it belongs to is downsampled again');
is_served($node, 'postgres', 'late datapoints');
is( $node->safe_psql('postgres', q{SELECT string_agg(value::text, ' ') FROM ds_get_series(test.stream('slope'), 'seconds', test.at(64), test.at(68))}),
	'1 1936 -1934 1', 'and derived again');

# Deriving in the background
$node->safe_psql('postgres', 'SET datastream.derive = background; ' . append_ab(2000, 3000, 2));
serves($node, 'postgres', q{SELECT max(value) = 3000 FROM ds_get_series(test.stream('sum'), 'seconds')},
	'streams are derived in the background where datastream.derive says so');
is_served($node, 'postgres', 'deriving in the background');

# What workers did can be read.
is( $node->safe_psql(
		'postgres', q{
		SELECT count(*) > 0, sum(streams) > 4, sum(datapoints) > 3000, sum(errors), bool_and(duration >= '0' AND duration < '5 min' AND started < now())
		FROM datastream.runs}),
	't|t|t|0|t', 'datastream.runs has the passes');
$node->safe_psql('postgres', q{
	INSERT INTO datastream.runs (pid, started, duration, streams, datapoints, errors) SELECT 1, now(), '1 s', 1, 1, 0 FROM generate_series(1, 2500)});

# Two workers side by side
slow_workers($node, 'postgres', 10);
append_to_many($node, 'postgres', 210, 30);
serves($node, 'postgres', q{
	SELECT count(DISTINCT pid) = 2 AND bool_and(database = 'postgres' AND phase = 'downsampling' AND started < now() AND streams_done BETWEEN 1 AND 210)
		AND bool_or(streams_due BETWEEN 201 AND 220) FROM datastream.workers}, 'datastream.workers shows two workers at work');
is( $node->safe_psql(
		'postgres', q{
		SELECT count(*), string_agg(DISTINCT datname, ' '), string_agg(DISTINCT application_name, ' '), string_agg(DISTINCT query, ' ') FROM pg_stat_activity
		WHERE backend_type = 'datastream worker'}),
	'2|postgres|datastream worker|datastream: downsampling', 'and so does pg_stat_activity');
is_served($node, 'postgres', 'two workers');
serves($node, 'postgres', q{SELECT count(*) = 0 FROM datastream.workers}, 'workers leave when they are done');
is( $node->safe_psql('postgres', q{
		SELECT count(DISTINCT pid), sum(streams), sum(datapoints), sum(errors) FROM datastream.runs WHERE run_id > (SELECT max(run_id) FROM datastream.runs WHERE pid = 1)}),
	'2|210|6090|0', 'they have shared the streams, each done once');
is($node->safe_psql('postgres', q{SELECT count(*) FROM datastream.runs}), '1000', 'datastream.runs keeps the last thousand passes');

# One of them is enough where the setting says so.
set_to('datastream.max_workers', '1');
my $before = $node->safe_psql('postgres', 'SELECT max(run_id) FROM datastream.runs');
append_to_many($node, 'postgres', 210, 10);
serves($node, 'postgres', "SELECT sum(streams) = 210 AND count(DISTINCT pid) = 1 FROM datastream.runs WHERE run_id > $before", 'datastream.max_workers is followed');
let_workers_go($node, 'postgres');

# Turned off, and on with a long pause
set_to('datastream.enabled', 'off');
usleep(500_000);
append_to_many($node, 'postgres', 10, 10);
usleep(1_500_000);
is($node->safe_psql('postgres', q{SELECT test.waiting()}), '10', 'nothing is done while workers are turned off');
set_to('datastream.naptime', '1h');
set_to('datastream.enabled', 'on');
usleep(1_500_000);
is($node->safe_psql('postgres', q{SELECT test.waiting()}), '10', 'work waits for datastream.naptime');

# Meanwhile: a database that gets the extension later, and one that is restored
# from a dump with work left to do, of which nobody was told
$node->command_ok([ 'pg_dump', '-Fc', '-f', $node->basedir . '/dump', 'postgres' ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->safe_psql('postgres', 'CREATE DATABASE later');
set_to('datastream.naptime', '1s');
is_served($node, 'postgres', 'a shorter datastream.naptime');
$node->command_ok([ 'pg_restore', '-d', 'restored', $node->basedir . '/dump' ], 'pg_restore');
is($node->safe_psql('restored', 'SELECT test.waiting()'), '10', 'a database is restored with work left to do');
$node->safe_psql('restored', q{SELECT ds_append(stream_id, 1, latest_datapoint) FROM ds_find_streams('{"many": 1}')});
$node->safe_psql('later', 'CREATE EXTENSION datastream');
create_checks($node, 'later');
create_sample($node, 'later');
is_served($node, 'restored', 'a restored database');
is_served($node, 'later', 'a database that gets the extension later');
serves($node, 'postgres', q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'datastream worker')}, 'all workers leave');

# A worker is started where there is work, and only then.
$node->safe_psql('postgres', q{SELECT ds_delete_streams('{"name": "minutes"}')});
usleep(1_500_000);
my $starts = starts();
$node->safe_psql('postgres', 'SET datastream.derive = background; ' . append_ab(10000, 10100, 1));
is_served($node, 'postgres', 'work after a pause');
usleep(2_500_000);
is(starts() - $starts, 1, 'one worker is started for it, and none after it');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'datastream worker'}), '0', 'none is left');

no_crash($node);
$node->stop;
is(join("\n", grep { !/DEBUG:/ && !/exited with exit code 1$/ } worker_log($node)), '', 'the log has nothing of workers');
done_testing();
