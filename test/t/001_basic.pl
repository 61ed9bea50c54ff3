# The extension in a server of its own: it can be created, used, dropped and
# created again, with and without the library in shared_preload_libraries.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('basic');
$node->init;
$node->start;

# Make a stream, append three datapoints and read them back.
sub use_extension
{
	my ($when) = @_;

	$node->safe_psql('postgres', 'CREATE EXTENSION datastream');
	$node->safe_psql('postgres',
		q{SELECT ds_ensure_stream('{"title": "basic"}')});
	my $count = $node->safe_psql(
		'postgres', q{
		SELECT ds_append_multiple(stream_id,
				array_agg(timestamptz '2024-01-01 00:00:00Z' + n * interval '1 minute' ORDER BY n),
				array_agg(n::float8 ORDER BY n))
			FROM ds_find_streams('{"title": "basic"}'), generate_series(1, 3) n
			GROUP BY stream_id});
	is($count, '3', "$when: three datapoints are appended");
	my $values = $node->safe_psql(
		'postgres', q{
		SELECT string_agg(v::text, ' ' ORDER BY t)
			FROM ds_find_streams('{"title": "basic"}'), ds_get_data(stream_id, 'seconds')});
	is($values, '1 2 3', "$when: and are read back");
	$node->safe_psql('postgres', 'DROP EXTENSION datastream CASCADE');
	my $left = $node->safe_psql('postgres',
		q{SELECT count(*) FROM pg_namespace WHERE nspname = 'datastream'});
	is($left, '0', "$when: nothing is left after DROP EXTENSION");
}

use_extension('without shared_preload_libraries');
use_extension('created a second time');

$node->append_conf('postgresql.conf',
	"shared_preload_libraries = 'datastream'");
$node->restart;
use_extension('with shared_preload_libraries');

$node->stop;
unlike(slurp_file($node->logfile), qr{PANIC|terminated by signal},
	"no process crashed");

done_testing();
