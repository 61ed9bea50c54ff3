# Without the library preloaded a session that leaves work starts a worker for
# its database, which stays as long as there is something to do.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

# One of the two is taken by the launcher of logical replication.
my $node = new_node('sessions', conf => [
	'datastream.enabled = on', 'datastream.naptime = 1', 'datastream.close_delay = 0', 'max_worker_processes = 2',
	'max_prepared_transactions = 5', 'log_min_messages = debug1' ]);
my $workers = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'datastream worker'};
my $no_worker = q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'datastream worker')};
my $one_worker = q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'datastream worker'};

sub in_log
{
	my ($pattern) = @_;
	my $count = () = slurp_file($node->logfile) =~ /$pattern/g;
	return $count;
}

sub starts
{
	return in_log(qr/starting background worker process "datastream worker"/);
}

# Statements that append to a stream so that it leaves work, and the same that
# it does not
my $until = 0;

sub crossing
{
	my ($name) = @_;

	$until += 100;
	return "SELECT (ds_append(test.stream('$name'), $until, test.at($until))).v";
}

sub leaves_nothing
{
	my ($name) = @_;

	return "SELECT (ds_append(test.stream('$name'), $until, test.at($until))).v";
}

$node->safe_psql('postgres', q{SELECT count(ds_ensure_stream(jsonb_build_object('name', name))) FROM unnest(ARRAY['a', 'b', 'c', 'd', 'e', 'f']) name});

# A worker comes and goes.
$node->safe_psql('postgres', crossing('a') . ";\n" . crossing('a'));
serves($node, 'postgres', q{
	SELECT count(*) = 1 FROM pg_stat_activity a JOIN datastream.workers w USING (pid)
	WHERE backend_type = 'datastream worker' AND application_name = 'datastream worker' AND datname = 'postgres' AND w.phase = 'idle' AND xact_start IS NULL},
	'a session that leaves work starts a worker');
is_served($node, 'postgres', 'a worker that a session has started');
serves($node, 'postgres', $no_worker, 'it leaves when there is nothing to do');
is(starts(), 1, 'it was the only one');
$node->safe_psql('postgres', crossing('a'));
is_served($node, 'postgres', 'another worker');
$node->safe_psql('postgres', crossing('a'));
is_served($node, 'postgres', 'what comes while it waits');
is(starts(), 2, 'a worker that waits is not joined by others');

# Derived streams
$node->safe_psql('postgres', "SELECT ds_ensure_stream('{\"name\": \"slope\"}', derive_from => to_jsonb(test.stream('a')), derive_op => 'derivative')");
is_served($node, 'postgres', 'backprocessing');
is($node->safe_psql('postgres', q{SELECT count(*) FROM ds_get_series(test.stream('slope'), 'seconds')}), '3', 'a derived stream is backprocessed');
serves($node, 'postgres', $no_worker, 'the worker leaves');

# Transactions that leave nothing
my $starts = starts();
$node->safe_psql('postgres', "BEGIN;\n" . crossing('a') . ";\nROLLBACK");
$node->psql('postgres', "BEGIN;\n" . crossing('a') . ";\nSELECT 1 / 0");
is(starts(), $starts, 'no worker is started for what is rolled back');

# A prepared transaction
$node->safe_psql('postgres', "BEGIN;\n" . crossing('a') . ";\nPREPARE TRANSACTION 'p'");
serves($node, 'postgres', $one_worker, 'a worker is started for a prepared transaction');
$node->safe_psql('postgres', crossing('b') . ";\n" . crossing('b'));
serves($node, 'postgres', 'SELECT test.waiting() = 0', 'it does other work meanwhile');
usleep(2_500_000);
is($node->safe_psql('postgres', $workers), '1', 'it stays');
$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
serves($node, 'postgres', "SELECT max(t) + interval '10 s' = test.at($until - 200) FROM ds_get_data(test.stream('a'), '10seconds')", 'and works when that is committed');
serves($node, 'postgres', $no_worker, 'then it leaves');

# A worker that somebody ends, and one that waits while the setting changes
$node->safe_psql('postgres', crossing('a'));
serves($node, 'postgres', $one_worker, 'a worker');
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'datastream worker'});
serves($node, 'postgres', $no_worker, 'it is ended');
$node->safe_psql('postgres', crossing('a'));
is_served($node, 'postgres', 'after a worker has been ended');
$node->append_conf('postgresql.conf', 'datastream.enabled = off');
$node->reload;
serves($node, 'postgres', "$no_worker AND NOT current_setting('datastream.enabled')::bool", 'a worker leaves when workers are turned off');
$starts = starts();
$node->safe_psql('postgres', crossing('a'));
is(starts(), $starts, 'none is started then');
$node->append_conf('postgresql.conf', 'datastream.enabled = on');
$node->reload;
serves($node, 'postgres', "SELECT current_setting('datastream.enabled')::bool", 'workers are turned on');
$node->safe_psql('postgres', leaves_nothing('a'));
is_served($node, 'postgres', 'what had been left meanwhile');

# Another database and another role
serves($node, 'postgres', $no_worker, 'the worker leaves again');
$node->safe_psql('postgres', 'CREATE DATABASE other; CREATE ROLE writer LOGIN');
$node->safe_psql('other', 'CREATE EXTENSION datastream');
create_checks($node, 'other');
$node->safe_psql('other', q{
	GRANT USAGE ON SCHEMA datastream TO writer;
	GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA datastream TO writer;
	SELECT ds_ensure_stream('{"name": "a"}')});
$node->safe_psql('other', q{
	SET ROLE writer;
	SELECT count(ds_append(stream_id, i, '2000-01-01 00:00:00+00'::timestamptz + i * interval '1 s')) FROM ds_find_streams(), generate_series(1, 100) i});
is_served($node, 'other', 'another database, another role');
serves($node, 'other', q{SELECT phase = 'idle' FROM datastream.workers}, 'its worker waits');
$node->command_ok([ 'dropdb', 'other' ], 'a database can be dropped while its worker waits');
serves($node, 'postgres', $no_worker, 'it leaves');

# Many sessions at once
$node->safe_psql('postgres', 'CREATE SEQUENCE n');
my @sessions = map {
	my $name = $_;
	append_to_file($node->basedir . "/$name.sql", join "\n",
		map { "SELECT count(ds_append(test.stream('$name'), i, test.at(1000000 + 20 * i))) FROM generate_series($_, $_) i;" } 1 .. 100);
	IPC::Run::start([ 'psql', '-X', '-q', '-A', '-t', '-d', $node->connstr('postgres'), '-f', $node->basedir . "/$name.sql" ], '>', \my $out, '2>&1')
} qw(b c d e f);
$_->finish foreach @sessions;
is_served($node, 'postgres', 'many sessions at once');
is($node->safe_psql('postgres', $workers) <= 1, 1, 'there is one worker');
serves($node, 'postgres', $no_worker, 'it leaves, too');
$until = 2000000;

# There is no room for a worker.
my $setting = $node->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode';
my $sleeper = IPC::Run::start([ 'psql', '-X', '-d', $node->connstr('postgres'), '-c', "SET $setting = on", '-c', 'SELECT pg_sleep(600)' ], '>', \my $slept, '2>&1');
serves($node, 'postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'parallel worker'}, 'all background workers are taken');
$starts = starts();
my $logged = in_log('could not start a datastream worker');
$node->safe_psql('postgres', join ";\nSELECT pg_sleep(1.1);\n", map { crossing($_) } qw(d e f));
is(starts(), $starts, 'no worker can be started');
is(in_log('could not start a datastream worker') - $logged, 1, 'the log says that, once a minute');
is($node->safe_psql('postgres', 'SELECT test.waiting()'), 3, 'the work waits');
$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query ~ 'pg_sleep' AND backend_type = 'client backend' AND pid <> pg_backend_pid()});
$sleeper->finish;
$node->safe_psql('postgres', leaves_nothing('f'));
is_served($node, 'postgres', 'when there is room again');

# Without the extension
$node->safe_psql('postgres', 'DROP EXTENSION datastream CASCADE');
serves($node, 'postgres', $no_worker, 'the worker leaves with the extension');

no_crash($node);
$node->stop;
is( join("\n", grep { !/DEBUG:|terminating background worker|exited with exit code 1$|could not start a datastream worker for the database/ } worker_log($node)),
	'', 'the log has nothing else of workers');
done_testing();
