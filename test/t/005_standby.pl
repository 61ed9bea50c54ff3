# On a streaming standby all that reads works, all that writes is refused; a
# promoted standby goes on where the primary was.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use Test::More;

my $primary = new_node('primary', options => { allows_streaming => 1 });
create_sample($primary, 'postgres');
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

# What comes after the backup arrives, too.
$primary->safe_psql(
	'postgres', q{
	SET client_min_messages = error;
	SELECT ds_append(test.stream('all'), i, test.at(100000 + 61 * i)) FROM generate_series(0, 99) i;
	SELECT ds_downsample_streams();
	SELECT ds_append(test.stream('all'), 1, test.at(200000));
	SELECT ds_ensure_stream('{"name": "new"}')});
$primary->wait_for_catchup($standby);
is(fingerprint($standby, 'postgres'), fingerprint($primary, 'postgres'),
	'the standby has the same streams and datapoints');
is_consistent($standby, 'postgres', 'standby');

my $read_only = '25006';

# The SQLSTATE of what a statement raises on the standby, warnings included, or
# "nothing"
sub raised
{
	my ($sql) = @_;
	my ($status, $out, $err) = $standby->psql('postgres', "\\set VERBOSITY sqlstate\n$sql");

	return $err =~ /(?:ERROR|WARNING):  (?!42602)(\w{5})/ ? $1 : 'nothing';
}

foreach my $reading (
	q{ds_get_tags(test.stream('all'))},
	q{ds_find_streams('{"place": {"floor": 1}}', '$.name == "all"')},
	q{ds_get_data(test.stream('all'), 'minutes', reverse => true)},
	q{ds_get_series(test.stream('all'), 'seconds')},
	q{ds_round('days', now())},
	q{ds_block_summary(block) FROM datastream.datapoints_seconds},
	q{ds_mean(v::text::float8) FROM ds_get_data(test.stream('all'), 'seconds')})
{
	is(raised("SELECT $reading"), 'nothing', "$reading works");
}
foreach my $writing (
	q{ds_append(test.stream('all'), 1)},
	q{ds_append(test.stream('all'), 1, test.at(0), false)},
	q{ds_append_multiple(test.stream('all'), ARRAY[test.at(300000)], '{1}')},
	q{ds_append_multiple(jsonb_build_array(jsonb_build_object('stream_id', test.stream('all'), 'value', 1)))},
	q{ds_ensure_stream('{"name": "another"}')},
	q{ds_ensure_stream('{"name": "another"}', derive_from => to_jsonb(test.stream('all')), derive_op => 'derivative')},
	q{ds_ensure_stream('{"name": "empty"}', '{"title": "Empty"}')},
	q{ds_update_tags(test.stream('empty'), '{"title": "Empty"}')},
	q{ds_remove_tag(test.stream('empty'), '{"name": ""}')},
	q{ds_clear_tags(test.stream('empty'))},
	q{ds_downsample_streams()},
	q{ds_backprocess_streams()},
	q{ds_delete_streams('{"name": "empty"}')},
	q{ds_delete_streams()})
{
	is(raised("SELECT $writing"), $read_only, "$writing is refused");
}
# The same in a transaction that does not want to write
like( ($primary->psql('postgres', "\\set VERBOSITY sqlstate\nSET default_transaction_read_only = on;\nSELECT ds_append(test.stream('all'), 1)"))[2],
	qr/ERROR:  $read_only/, 'nor does a read-only transaction append');

# Reading goes on while the primary writes.
my $before = $standby->safe_psql('postgres', q{SELECT count(*) FROM ds_get_data(test.stream('bare'), 'seconds')});
$primary->safe_psql('postgres', q{SELECT ds_append(test.stream('bare'), i, test.at(400000 + i)) FROM generate_series(0, 999) i});
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', q{SELECT count(*) FROM ds_get_data(test.stream('bare'), 'seconds')}),
	$before + 1000, 'what is appended to the primary is read on the standby');

$primary->stop;
$standby->promote;
$standby->safe_psql(
	'postgres', q{
	SET client_min_messages = error;
	SELECT ds_ensure_stream('{"name": "after promotion"}');
	SELECT ds_append(test.stream('after promotion'), 1);
	SELECT ds_append(test.stream('all'), i, test.at(500000 + 61 * i)) FROM generate_series(0, 99) i;
	SELECT ds_backprocess_streams();
	SELECT ds_downsample_streams()});
is($standby->safe_psql('postgres', 'SELECT count(*) FROM ds_downsample_streams(return_datapoints => true)'),
	'0', 'after promotion every bucket is made once');
is_consistent($standby, 'postgres', 'after promotion');

no_crash($standby);
$standby->stop;
done_testing();
