# A dump restores into a working database: the same streams, the same data at
# all granularities, and both databases go on in the same way.

use strict;
use warnings;

use Cwd;
use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('dump');
my $tempdir = PostgreSQL::Test::Utils::tempdir;
create_sample($node, 'postgres');
my $original = fingerprint($node, 'postgres');

# What happens after the dump, in every database: appending, also late, and
# downsampling, which makes each bucket once.  Returns what there is after it.
sub go_on
{
	my ($db) = @_;

	$node->safe_psql(
		$db, q{
		SET client_min_messages = error;
		SELECT ds_append(test.stream(name), i, test.at(100000 + 61 * i)) FROM unnest(ARRAY['all', 'default', 'fast', 'exact', 'label']) name, generate_series(0, 99) i;
		SELECT ds_append(test.stream('all'), 77, test.at(70), false)});
	my $made = 'SELECT count(*) FROM ds_downsample_streams(return_datapoints => true)';
	my $first = $node->safe_psql($db, $made);
	my $second = $node->safe_psql($db, $made);
	my $caught_up = $node->safe_psql($db, q{SELECT ds_backprocess_streams('{"name": "pending"}')});

	return join ' ', $first, $second, $caught_up, fingerprint($node, $db);
}

# Restores a dump into a new database with a command line, and compares.
sub test_restore
{
	my ($how, $db, @commands) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template0");
	$node->command_ok($_, "$how: " . (split '/', $_->[0])[-1]) foreach @commands;
	is(fingerprint($node, $db), $original, "$how: the same streams and datapoints");
}

# Plain SQL, with COPY and with INSERT
$node->command_ok([ 'pg_dump', '-f', "$tempdir/plain.sql", 'postgres' ], 'plain: pg_dump');
test_restore('plain', 'plain',
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', "$tempdir/out", '-f', "$tempdir/plain.sql", 'plain' ]);
$node->command_ok([ 'pg_dump', '--inserts', '-f', "$tempdir/inserts.sql", 'postgres' ], 'inserts: pg_dump');
test_restore('inserts', 'inserts',
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', "$tempdir/out", '-f', "$tempdir/inserts.sql", 'inserts' ]);

# Archives, also in parallel
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$tempdir/custom", 'postgres' ], 'custom: pg_dump');
test_restore('custom', 'custom', [ 'pg_restore', '--exit-on-error', '-d', 'custom', "$tempdir/custom" ]);
$node->command_ok([ 'pg_dump', '-Fd', '-j', '2', '-f', "$tempdir/directory", 'postgres' ], 'directory: pg_dump');
test_restore('directory', 'directory',
	[ 'pg_restore', '--exit-on-error', '-j', '2', '-d', 'directory', "$tempdir/directory" ]);

# Schema and data apart
$node->command_ok([ 'pg_dump', '--schema-only', '-f', "$tempdir/schema.sql", 'postgres' ], 'in two parts: pg_dump of the schema');
$node->command_ok([ 'pg_dump', '--data-only', '-f', "$tempdir/data.sql", 'postgres' ], 'in two parts: pg_dump of the data');
test_restore('in two parts', 'two_parts',
	map { [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', "$tempdir/out", '-f', "$tempdir/$_.sql", 'two_parts' ] } qw(schema data));

# A copy of the database
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE postgres');
is(fingerprint($node, 'copy'), $original, 'copy of the database: the same streams and datapoints');

# They all go on as the original does.
my $expected = go_on('postgres');
like($expected, qr/^[1-9]\d* 0 1 /, 'buckets are made once, a pending stream is backprocessed');
is_consistent($node, 'postgres', 'original');
foreach my $db (qw(plain inserts custom directory two_parts copy))
{
	is(go_on($db), $expected, "$db goes on as the original does");
}
is_consistent($node, 'custom', 'restored');
is($node->safe_psql('custom', q{SELECT ds_ensure_stream('{"name": "all"}', '{"new": 1}') = test.stream('all')}),
	't', 'a restored stream is found again');

# Blocks keep their bytes through COPY in binary form.
$node->safe_psql(
	'postgres', qq{
	COPY datastream.datapoints_seconds TO '$tempdir/binary' (FORMAT binary);
	CREATE TABLE test.copied (LIKE datastream.datapoints_seconds);
	COPY test.copied FROM '$tempdir/binary' (FORMAT binary)});
is( $node->safe_psql(
		'postgres', q{
		SELECT count(*), bool_and(ds_block_send(c.block) = ds_block_send(d.block))
		FROM test.copied c JOIN datastream.datapoints_seconds d USING (stream_id, start, seq)}),
	$node->safe_psql('postgres', q{SELECT count(*), true FROM datastream.datapoints_seconds}),
	'COPY in binary form keeps blocks as they are');

# A new version of the server takes the extension along.
my $bindir = $node->can('config_data') ? $node->config_data('--bindir') : `pg_config --bindir`;
chomp $bindir;
SKIP:
{
	skip 'pg_upgrade is not there', 3 unless -x "$bindir/pg_upgrade";

	my $upgraded = PostgreSQL::Test::Cluster->new('upgraded');
	my $before = fingerprint($node, 'plain');

	# Nothing of this is needed, and it takes long.
	$node->safe_psql('postgres', "DROP DATABASE $_") foreach qw(inserts custom directory two_parts copy);
	$upgraded->init;
	$upgraded->append_conf('postgresql.conf', "timezone = 'UTC'");
	$node->stop;

	# It leaves files in the current directory.
	my $directory = getcwd;
	chdir $tempdir;
	command_ok(
		[
			"$bindir/pg_upgrade", '--no-sync' x ($node->pg_version >= 15),
			'-d', $node->data_dir, '-D', $upgraded->data_dir,
			'-b', $bindir, '-B', $bindir,
			'-p', $node->port, '-P', $upgraded->port,
			'-s', $tempdir
		],
		'pg_upgrade');
	chdir $directory;
	$upgraded->start;
	is(fingerprint($upgraded, 'plain'), $before, 'pg_upgrade: the same streams and datapoints');
	$upgraded->safe_psql(
		'plain', q{
		SELECT ds_append(test.stream('default'), i, test.at(200000 + i)) FROM generate_series(0, 99) i;
		SELECT count(*) FROM ds_downsample_streams()});
	is_consistent($upgraded, 'plain', 'pg_upgrade');
	$upgraded->stop;
	$node->start;
}

no_crash($node);
$node->stop;
done_testing();
