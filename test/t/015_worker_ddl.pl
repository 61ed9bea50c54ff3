# Workers that are busy all the time stand in nobody's way: not in that of those
# who drop, copy or rename the database, change the extension, or stop, copy or
# upgrade the server.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_node('ddl', options => { allows_streaming => 1 }, conf => [ with_workers() ]);
my $patience = 100;

# Creates a database that keeps workers busy for seconds, or makes more work in
# one that is there, and waits until a worker is at work.
sub make_busy
{
	my ($db) = @_;

	if ($node->safe_psql('postgres', "SELECT NOT EXISTS (SELECT FROM pg_database WHERE datname = '$db')") eq 't')
	{
		$node->safe_psql('postgres', "CREATE DATABASE $db");
		$node->safe_psql($db, 'CREATE EXTENSION datastream');
		create_checks($node, $db);
		slow_workers($node, $db, 20);
	}
	append_to_many($node, $db, 250, 20);
	return $node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'datastream worker' AND datname = '$db' AND state = 'active')");
}

# Tests that workers do all that is left to do in a database, as quickly as they
# can.
sub is_served_quickly
{
	my ($on, $db, $name) = @_;

	let_workers_go($on, $db);
	is_served($on, $db, $name);
	slow_workers($on, $db, 20);
}

# Tests that statements come to their end while workers are busy in a database.
sub not_in_the_way
{
	my ($db, $name, $session_db, @statements) = @_;
	my $start;

	ok(make_busy($db), "$name: a worker is busy");
	$start = time;
	foreach my $statement (@statements)
	{
		my ($status, $out, $err) = $node->psql($session_db, $statement);
		is("$status $err", '0 ', "$name: $statement");
	}
	cmp_ok(time - $start, '<', $patience, "$name: soon enough");
}

# Databases
not_in_the_way('busy', 'copying a database', 'postgres', 'CREATE DATABASE copy TEMPLATE busy');
cmp_ok($node->safe_psql('copy', 'SELECT test.waiting()'), '>', 0, 'the copy has work left to do');
not_in_the_way('copy', 'renaming a database', 'postgres', 'ALTER DATABASE copy RENAME TO renamed');
not_in_the_way('renamed', 'dropping a database', 'postgres', 'DROP DATABASE renamed');
is_served_quickly($node, 'busy', 'the original');

# Tables
not_in_the_way('busy', 'rewriting tables', 'busy',
	'VACUUM FULL datastream.heads, datastream.progress, datastream.datapoints_seconds, datastream.datapoints_10seconds',
	'CLUSTER datastream.heads USING heads_pkey', 'REINDEX SCHEMA datastream', 'VACUUM ANALYZE',
	'BEGIN; LOCK TABLE datastream.progress; SELECT pg_sleep(0.6); COMMIT',
	'BEGIN; LOCK TABLE datastream.heads; SELECT pg_sleep(0.6); COMMIT',
	'BEGIN; LOCK TABLE datastream.worker_slots, datastream.runs, datastream.failures; SELECT pg_sleep(0.6); COMMIT');
is_served_quickly($node, 'busy', 'after rewriting tables');
is($node->safe_psql('busy', 'SELECT count(*) FROM datastream.failures'), '0', 'that is not a failure');

# The extension
not_in_the_way('busy', 'dropping the extension', 'busy', 'SET client_min_messages = error; DROP EXTENSION datastream', 'CREATE EXTENSION datastream');
$node->safe_psql('busy', 'DROP FUNCTION test.slow()');
slow_workers($node, 'busy', 20);
ok(make_busy('busy'), 'workers come again when the extension does');
is_served_quickly($node, 'busy', 'an extension that was created again');

my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
my $extension = `$pg_config --sharedir` =~ s/\n//r . '/extension';
my $version = $node->safe_psql('busy', q{SELECT extversion FROM pg_extension WHERE extname = 'datastream'});
my $upgrade = "$extension/datastream--$version--test.sql";
SKIP:
{
	skip 'the directory of extensions is not ours', 8 unless -w $extension && -o $extension;

	append_to_file($upgrade, q{
		ALTER TABLE datastream.heads ADD extra integer;
		ALTER TABLE datastream.progress ADD extra integer DEFAULT 1;
		ALTER TABLE datastream.datapoints_10seconds SET (fillfactor = 80);
		CREATE INDEX heads_extra ON datastream.heads (extra);
		CREATE TABLE datastream.extra (a integer);
		ALTER TABLE datastream.worker_slots ADD extra integer});
	not_in_the_way('busy', 'updating the extension', 'busy', "ALTER EXTENSION datastream UPDATE TO 'test'");
	is_served_quickly($node, 'busy', 'an extension that was updated');
	ok(make_busy('busy'), 'workers go on with the new version');
	is_served_quickly($node, 'busy', 'the new version');
	unlink $upgrade;
}

# A standby has no workers; promoted, it has.
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
ok(make_busy('busy'), 'a primary with a standby is busy');
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'datastream'}), '0', 'a standby has no workers');
is($standby->safe_psql('busy', 'SELECT count(*) FROM datastream.workers'), '0', 'nor does the view show those of the primary');
is_consistent($standby, 'busy', 'standby');
$node->stop('immediate');
cmp_ok($standby->safe_psql('busy', 'SELECT test.waiting()'), '>', 0, 'the primary goes in the middle of the work');
$standby->promote;
is_served_quickly($standby, 'busy', 'a promoted standby');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'datastream launcher'}), '1', 'it has a launcher');
$standby->stop('fast');

# Binary upgrades, which must not be disturbed
$node->start;
make_busy('busy');
my $start = time;
$node->stop('smart');
cmp_ok(time - $start, '<', $patience, 'a smart shutdown does not wait for workers');
command_ok([ 'pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile, '-o', '-b', 'start' ], 'the server starts for a binary upgrade');
$node->safe_psql('busy', q{SELECT count(ds_append(stream_id, 1, latest_datapoint + interval '100 s')) FROM ds_find_streams()});
my $waiting = $node->safe_psql('busy', 'SELECT test.waiting()');
usleep(1_500_000);
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'datastream'}), '0', 'it has no workers then');
is($node->safe_psql('busy', 'SELECT test.waiting()'), $waiting, 'and nothing is done');
command_ok([ 'pg_ctl', '-w', '-D', $node->data_dir, 'stop' ], 'it stops again');
$node->start;
is_served_quickly($node, 'busy', 'after a binary upgrade');

no_crash($node);
no_crash($standby);
$node->stop;
is(join("\n", grep { !/terminating background worker|exited with exit code 1$/ } worker_log($node), worker_log($standby)), '', 'the log has nothing of workers');
done_testing();
