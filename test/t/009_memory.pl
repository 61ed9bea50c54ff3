# However many datapoints a stream has, what a session needs of memory to
# append, downsample, derive and read them stays small.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'needs /proc' unless -r '/proc/self/status';

my $datapoints = 2_000_000;
my $limit = 50;    # MB
my $node = new_node('memory', conf => [ 'shared_buffers = 16MB', 'jit = off', 'work_mem = 4MB', 'max_wal_size = 4GB' ]);

$node->safe_psql(
	'postgres', qq{
	CREATE FUNCTION status(field text) RETURNS bigint LANGUAGE sql AS
		\$\$ SELECT (regexp_match(pg_read_file('/proc/self/status'), field || ':\\s+(\\d+)'))[1]::bigint / 1024 \$\$;
	SELECT ds_ensure_stream('{"name": "a"}');
	SELECT ds_ensure_stream('{"name": "label"}', value_type => 'nominal')});

# The most memory that a session of its own has taken for a statement, beyond
# what it takes to do the same with little
sub memory_of
{
	my ($small, $statement) = @_;
	my $out = $node->safe_psql(
		'postgres', qq{
		SET client_min_messages = error;
		$small;
		SELECT 'peak ' || status('VmHWM');
		$statement;
		SELECT 'peak ' || status('VmHWM')});
	my ($before, $after) = $out =~ /^peak (\d+)$/mg;

	return $after - $before;
}

sub stays_small
{
	my ($name, $small, $statement) = @_;

	my $memory = memory_of($small, $statement);

	note "$name: $memory MB";
	cmp_ok($memory, '<', $limit, "$name takes less than $limit MB");
}

stays_small('appending one by one', 'SELECT 1',
	q{SELECT count(ds_append(stream_id, n, test.at(n))) FROM test.stream('label') AS stream_id, generate_series(1, 5000) n});
for (my $from = 0; $from < $datapoints; $from += 100_000)
{
	my $to = $from + 99_999;
	$node->safe_psql('postgres',
		"SELECT ds_append_multiple(test.stream('a'), array_agg(test.at(n) ORDER BY n), array_agg(sin(n) ORDER BY n)) FROM generate_series($from, $to) n");
}
stays_small('downsampling', q{SELECT ds_downsample_streams('{"name": "label"}')}, q{SELECT ds_downsample_streams('{"name": "a"}')});
$node->safe_psql('postgres', q{SELECT ds_ensure_stream('{"name": "slope"}', derive_from => to_jsonb(test.stream('a')), derive_op => 'derivative')});
stays_small('deriving', 'SELECT ds_round(\'days\', now())', 'SELECT ds_backprocess_streams()');
stays_small('reading', q{SELECT count(*) FROM ds_get_data(test.stream('label'), 'seconds')}, q{SELECT count(*) FROM ds_get_data(test.stream('a'), 'seconds')});
stays_small('reading as series', q{SELECT count(*) FROM ds_get_series(test.stream('a'), 'days')}, q{SELECT count(*) FROM ds_get_series(test.stream('a'), 'seconds')});
stays_small('reading buckets', q{SELECT count(*) FROM ds_get_data(test.stream('label'), 'hours')}, q{SELECT count(*) FROM ds_get_data(test.stream('a'), '10seconds')});
stays_small('deleting', 'SELECT ds_delete_streams(\'{"name": "label"}\')', 'SELECT ds_delete_streams()');
$node->safe_psql('postgres', q{SELECT count(ds_ensure_stream(jsonb_build_object('many', n))) FROM generate_series(1, 20000) n});
stays_small('appending one by one to many streams', 'SELECT count(*) FROM ds_find_streams()',
	q{SELECT count(ds_append(stream_id, n, test.at(n))) FROM generate_series(1, 10) n, ds_find_streams(filter => '$.many > 0')});
stays_small('appending one by one, late', 'SELECT 1',
	q{SELECT count(ds_append(stream_id, n, test.at(n % 99991), check_timestamp => false)) FROM ds_find_streams('{"many": 1}'), generate_series(1, 1000000) n});

no_crash($node);
$node->stop;
done_testing();
