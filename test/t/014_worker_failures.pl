# What fails in one stream does not stop the others, and is tried again;
# whatever happens to workers, all datapoints are downsampled once in the end.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('failures', conf => [ with_workers('restart_after_crash = on', 'log_min_messages = debug1') ]);
my $started = 'starting background worker process "datastream worker"';

sub in_log
{
	my ($pattern) = @_;
	my $count = () = slurp_file($node->logfile) =~ /$pattern/g;
	return $count;
}

# The process of a worker at work, once there is one, or of the launcher
sub pid_of
{
	my ($type) = @_;
	my $query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'datastream $type' AND (datname IS NULL OR query = 'datastream: downsampling' AND state = 'active')";

	foreach (1 .. 1800)
	{
		my $pid = $node->safe_psql('postgres', "$query LIMIT 1");

		return $pid if $pid ne '';
		usleep(100_000);
	}
	die "there is no $type";
}

# Errors in single streams, of every kind and in every phase
$node->safe_psql(
	'postgres', q{
	CREATE CAST (ds_block AS bytea) WITHOUT FUNCTION;
	CREATE CAST (bytea AS ds_block) WITHOUT FUNCTION;
	CREATE FUNCTION test.fail() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'no luck with "%"', tg_argv[0] USING ERRCODE = tg_argv[1]; END $$;
	CREATE PROCEDURE test.make_fail(name text, code text, relation regclass DEFAULT 'datastream.progress') LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE ON %s FOR EACH ROW WHEN (new.stream_id = %L) EXECUTE FUNCTION test.fail(%L, %L)',
			'fail ' || name, relation, test.stream(name), name, code);
	END $$;
	SELECT ds_ensure_stream(jsonb_build_object('name', name)) FROM unnest(ARRAY['damaged', 'refused', 'exhausted', 'by hand', 'source', 'silent']) name;
	SELECT ds_append(test.stream(name), i, test.at(i)) FROM unnest(ARRAY['damaged', 'refused', 'exhausted', 'by hand', 'source']) name, generate_series(0, 5) i;
	SELECT ds_append(test.stream('silent'), 1, '2000-12-31 23:59:30+00');
	CALL test.make_fail('refused', 'P0001');
	CALL test.make_fail('exhausted', '53100');
	CALL test.make_fail('by hand', '22012');
	CALL test.make_fail('silent', 'XX002')});
$node->safe_psql(
	'postgres', q{
	BEGIN;
	SELECT ds_ensure_stream('{"name": "derived"}', derive_from => to_jsonb(test.stream('source')), derive_op => 'derivative');
	CALL test.make_fail('derived', 'P0002', 'datastream.sources');
	COMMIT;
	-- as if it had been silent for a long time
	UPDATE datastream.heads SET check_at = check_at - interval '1 day' WHERE stream_id = test.stream('silent');
	SELECT ds_append(test.stream(name), i, test.at(i)) FROM unnest(ARRAY['damaged', 'refused', 'exhausted', 'by hand']) name, generate_series(6, 100) i;
	UPDATE datastream.heads SET head = set_byte(head::bytea, 0, 255)::ds_block WHERE stream_id = test.stream('damaged')});
append_to_many($node, 'postgres', 20, 50);
serves($node, 'postgres', q{SELECT count(*) = 6 FROM datastream.failures}, 'failures are recorded');
serves($node, 'postgres', q{
	SELECT (SELECT count(*) FROM datastream.heads WHERE due) = 4 AND (SELECT count(*) FROM datastream.progress WHERE behind) = 1}, 'all other streams are served');
is( $node->safe_psql(
		'postgres', q{
		SELECT tags->>'name', phase, sqlstate, regexp_replace(message, '"[-0-9a-f]{36}"', 'ID') FROM datastream.failures JOIN datastream.streams USING (stream_id) WHERE tags->>'name' <> 'damaged' ORDER BY 1}),
	join("\n",
		'by hand|downsampling|22012|no luck with "by hand"',
		'derived|deriving|P0002|no luck with "derived"',
		'exhausted|downsampling|53100|no luck with "exhausted"',
		'refused|downsampling|P0001|no luck with "refused"',
		'silent|closing silent streams|XX002|no luck with "silent"'),
	'with what had happened');
is($node->safe_psql('postgres', q{SELECT phase, sqlstate FROM datastream.failures WHERE stream_id = test.stream('damaged')}),
	'downsampling|XX001', 'also of a stream that cannot be read');
is($node->safe_psql('postgres', q{SELECT sum(errors) >= 6 FROM datastream.runs}), 't', 'they are counted in datastream.runs');
serves($node, 'postgres', q{SELECT bool_and(failures >= 2) FROM datastream.failures}, 'what has failed is tried again');
is($node->safe_psql('postgres', q{SELECT count(*) FROM datastream.failures WHERE abs(extract(epoch FROM retry_at - failed_at) - pow(2, failures)) > 0.1}),
	'0', 'after pauses that grow');
my ($starts, $pause) = (0, 0);
foreach (1 .. 10)
{
	# on a slow machine some of them may be about to be tried again
	serves($node, 'postgres', q{SELECT min(retry_at) > clock_timestamp() + interval '1 second' FROM datastream.failures}, 'there is a pause');
	$starts = in_log($started);
	$pause = $node->safe_psql('postgres', q{SELECT extract(epoch FROM min(retry_at) - clock_timestamp()) FROM datastream.failures}) - 0.3;
	last if $pause > 0.3;
}
usleep($pause * 1_000_000);
is(in_log($started) - $starts, 0, 'no worker is started before that');
my $failures = $node->safe_psql('postgres', q{SELECT failures FROM datastream.failures WHERE stream_id = test.stream('refused')});
my $logged = in_log('ERROR:  no luck with "refused"');
cmp_ok(abs($logged - $failures), '<=', 1, 'each failure is logged once');
like(slurp_file($node->logfile), qr/CONTEXT:  .*datastream worker trying to downsample stream "/s, 'the log names the stream');

# What is repaired is forgotten, also if somebody else has done the work.
$node->safe_psql(
	'postgres', q{
	DROP TRIGGER "fail refused" ON datastream.progress;
	DROP TRIGGER "fail exhausted" ON datastream.progress;
	DROP TRIGGER "fail by hand" ON datastream.progress;
	DROP TRIGGER "fail silent" ON datastream.progress;
	DROP TRIGGER "fail derived" ON datastream.sources;
	UPDATE datastream.heads SET head = set_byte(head::bytea, 0, 1)::ds_block WHERE stream_id = test.stream('damaged');
	SELECT ds_downsample_streams('{"name": "by hand"}');
	UPDATE datastream.failures SET retry_at = now()});
is_served($node, 'postgres', 'after errors');
serves($node, 'postgres', q{SELECT count(*) = 0 FROM datastream.failures}, 'failures are forgotten when the work has been done');
is($node->safe_psql('postgres', q{SELECT count(*), sum(value) FROM ds_get_series(test.stream('derived'), 'seconds')}), '5|5', 'it has been done');

# A client that holds streams
my $session = begin_session($node, 'postgres', q{
	SET client_min_messages = error;
	BEGIN;
	SELECT (ds_append(test.stream(name), i, test.at(1000 + i))).v FROM unnest(ARRAY['refused', 'source']) name, generate_series(0, 100) i});
append_to_many($node, 'postgres', 20, 50);
serves($node, 'postgres', q{SELECT test.waiting() = 0}, 'others are served while a client holds streams');
end_session($session, 'COMMIT');
is_served($node, 'postgres', 'a client that held streams');
is($node->safe_psql('postgres', q{SELECT count(*) FROM datastream.failures}), '0', 'that is not a failure');

# Settings of the database and the role that would stop a worker
{
	local $ENV{PGOPTIONS} = '-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0'
	  . ' -c default_transaction_isolation=read\ committed -c default_transaction_read_only=off -c default_transaction_deferrable=off'
	  . ' -c search_path=public -c datestyle=ISO -c timezone=UTC -c row_security=on -c role=none -c enable_indexscan=on';

	$node->safe_psql('postgres', "ALTER DATABASE postgres SET $_") foreach (
		'statement_timeout = 1', "default_transaction_isolation = 'serializable'", 'default_transaction_read_only = on',
		'default_transaction_deferrable = on', 'search_path = test', "datestyle = 'German'", "intervalstyle = 'iso_8601'",
		"timezone = 'America/New_York'", 'row_security = off', 'role = pg_monitor', 'enable_indexscan = off');
	$node->safe_psql('template1', "ALTER ROLE ALL SET $_") foreach ('lock_timeout = 1', 'idle_in_transaction_session_timeout = 1', 'statement_timeout = 1');
	slow_workers($node, 'postgres', 20);
	append_to_many($node, 'postgres', 20, 50);
	is_served($node, 'postgres', 'settings that are not for workers');
	let_workers_go($node, 'postgres');
	$node->safe_psql('postgres', "ALTER DATABASE postgres RESET ALL; ALTER ROLE ALL RESET ALL");
}

# Workers and the launcher are cancelled, ended and killed, and the server is
# stopped, in the middle of the work.
slow_workers($node, 'postgres', 20);
my %attacks = (
	'a worker is cancelled' => sub { $node->safe_psql('postgres', "SELECT pg_cancel_backend($_[0])") },
	'a worker is ended' => sub { $node->safe_psql('postgres', "SELECT pg_terminate_backend($_[0])") },
	'a worker is killed' => sub { kill 'KILL', $_[0] },
	'the launcher is cancelled' => sub { $node->safe_psql('postgres', "SELECT pg_cancel_backend(" . pid_of('launcher') . ")") },
	'the launcher is ended' => sub { $node->safe_psql('postgres', "SELECT pg_terminate_backend(" . pid_of('launcher') . ")") },
	'the server is stopped at once' => sub { $node->stop('immediate'); $node->start },
	'the server is stopped' => sub { $node->stop('fast'); $node->start },);
foreach my $attack (sort keys %attacks)
{
	append_to_many($node, 'postgres', 60, 30);
	my $pid = pid_of('worker');

	$attacks{$attack}->($pid);
	serves($node, 'postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)", "$attack: the worker is gone");
	is_served($node, 'postgres', $attack);
	is($node->safe_psql('postgres', q{SELECT count(*) FROM datastream.failures}), '0', "$attack: that is not a failure of a stream");
}
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'datastream launcher'}), '1', 'there is a launcher again');
is( $node->safe_psql(
		'postgres', q{
		SELECT count(*), min(c), max(c) FROM (SELECT (SELECT count(*) FROM ds_get_data(stream_id, 'seconds')) AS c, (tags->>'many')::int AS n FROM ds_find_streams(filter => '$.many <= 60')) s WHERE n > 20}),
	'40|210|210', 'all datapoints are there');
let_workers_go($node, 'postgres');

# A full disk: the server runs where a small one is mounted that nobody else
# sees, which takes the right to make namespaces.
my $directory = PostgreSQL::Test::Utils::tempdir;
my $small = "$directory/small";
my $pg_ctl = `sh -c 'command -v pg_ctl'` =~ s/\n//r;
mkdir $small;
append_to_file("$directory/pg_ctl", <<"EOS");
#!/bin/sh
exec unshare --user --map-root-user --mount sh -c '
mount -t tmpfs -o size=3m tmpfs $small && cd / &&
exec unshare --user --map-user=$> --map-group=@{[ (split ' ', $))[0] ]} "$pg_ctl" "\$@"' pg_ctl "\$@"
EOS
chmod 0755, "$directory/pg_ctl";
SKIP:
{
	skip 'this user cannot mount a file system', 8 unless system("$directory/pg_ctl --version") == 0;

	$node->stop;
	{
		local $ENV{PATH} = "$directory:$ENV{PATH}";
		$node->start;
	}
	$node->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$small'");
	$node->safe_psql(
		'postgres', q{
		ALTER TABLE datastream.datapoints_10seconds SET TABLESPACE small;
		ALTER INDEX datastream.datapoints_10seconds_pkey SET TABLESPACE small;
		CREATE TABLE filler (a text) TABLESPACE small;
		ALTER TABLE filler ALTER a SET STORAGE plain});
	append_to_many($node, 'postgres', 40, 10);
	is_served($node, 'postgres', 'a small disk');
	$node->psql('postgres', q{INSERT INTO filler SELECT repeat('x', 8000) FROM generate_series(1, 1000)});
	1 while $node->psql('postgres', q{INSERT INTO filler VALUES (repeat('x', 8000))}) == 0;
	isnt($node->psql('postgres', q{INSERT INTO filler VALUES (repeat('x', 8000))}), 0, 'it is full');

	# More than there is room for in what has been allocated
	append_to_many($node, 'postgres', 100, 500);
	serves($node, 'postgres', q{SELECT count(*) > 1 FROM datastream.failures WHERE sqlstate = '53100'}, 'a full disk is a failure');
	is($node->safe_psql('postgres', q{SELECT ds_append(stream_id, 1, latest_datapoint) IS NOT NULL FROM ds_find_streams('{"many": 100}')}),
		't', 'datapoints are appended nevertheless');
	is_consistent($node, 'postgres', 'a full disk');
	$node->safe_psql('postgres', 'DROP TABLE filler; ALTER TABLE datastream.datapoints_10seconds SET TABLESPACE pg_default');
	is_served($node, 'postgres', 'when there is room again');
	serves($node, 'postgres', q{SELECT count(*) = 0 FROM datastream.failures}, 'the failures are forgotten');
}

unlike(slurp_file($node->logfile), qr/PANIC|TRAP:|terminated by signal (?!9)/, 'no process crashed');
$node->stop;
done_testing();
