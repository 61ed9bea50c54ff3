# Workers delete what has expired and nothing else: not before the next coarser
# granularity has been made of it, whatever fails meanwhile.  The limits are
# dumped and restored.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('retention', conf => [ with_workers('datastream.close_after = 2') ]);

# What all streams have at a granularity in the time of the test, as one hash
sub digest
{
	my ($level) = @_;

	return $node->safe_psql('postgres',
		qq{SELECT md5(string_agg(concat_ws(' ', tags, t, v, times), ',' ORDER BY tags, t)) FROM ds_find_streams(), ds_get_data(stream_id, '$level', "end" => test.at(8000))});
}

# Without a limit everything stays; with one, all that is old goes, but for the
# block with the latest datapoint.
append_to_many($node, 'postgres', 10, 5004);
$node->safe_psql(
	'postgres', q{
	SELECT ds_ensure_stream('{"name": "bare"}', value_downsamplers => '{}');
	SELECT ds_append_multiple(test.stream('bare'), array_agg(test.at(i) ORDER BY i), array_agg(i::float8 ORDER BY i)) FROM generate_series(1, 5004) i;
	SELECT ds_ensure_stream('{"name": "slope"}', derive_op => 'derivative', derive_from => to_jsonb(stream_id)) FROM ds_find_streams('{"many": 1}')});
serves($node, 'postgres', 'SELECT test.waiting() = 0', 'what there is to do is done');
serves($node, 'postgres', 'SELECT count(*) = 0 FROM datastream.heads WHERE head IS NOT NULL', 'all streams have gone silent');
my %before = map { $_ => digest($_) } qw(minutes hours years);

$node->safe_psql('postgres', q{SELECT ds_set_retention(NULL, 'seconds', '1 day'), ds_set_retention(NULL, '10seconds', '1 year')});
serves(
	$node, 'postgres', q{
	SELECT count(*) = 12 AND bool_and(earliest_datapoint BETWEEN test.at(3900) AND latest_datapoint) AND bool_and(latest_datapoint = test.at(5004)) FROM ds_find_streams()},
	'what has expired is deleted');
is( $node->safe_psql('postgres', q{SELECT count(*), sum(b.count) FROM datastream.datapoints_10seconds b WHERE until < test.at(4500)}),
	'0|', 'at each granularity');
is(digest($_), $before{$_}, "$_ are as they were") foreach sort keys %before;
is( $node->safe_psql('postgres', q{SELECT count(*), bool_and(value = 1) FROM ds_get_series(test.stream('slope'), 'seconds', test.at(5000))}),
	'5|t', 'what derives from it is there');
is($node->safe_psql('postgres', 'SELECT sum(errors) FROM datastream.runs'), '0', 'without an error');

# After a silence longer than that, streams go on.  One of them fails then; the
# others do not wait for it.
append_to_many($node, 'postgres', 10, 2000);
serves($node, 'postgres', q{SELECT test.waiting() = 0 AND (SELECT sum(count) FROM ds_find_streams('{}', '$.many > 0'), ds_get_series(stream_id, 'years')) = 10 * 7004},
	'streams go on where they have ended');
$node->safe_psql(
	'postgres', q{
	CREATE FUNCTION test.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF old.stream_id = (SELECT stream_id FROM datastream.streams WHERE tags = '{"many": 7}') THEN
			RAISE 'not this one';
		END IF;
		RETURN old;
	END
	$$;
	CREATE TRIGGER refuse BEFORE DELETE ON datastream.datapoints_seconds FOR EACH ROW EXECUTE FUNCTION test.refuse();
	SELECT ds_set_retention(NULL, 'seconds', '2 days')});
serves($node, 'postgres', q{SELECT count(*) = 11 AND bool_and(tags <> '{"many": 7}') FROM ds_find_streams() WHERE earliest_datapoint > test.at(5000)},
	'an error in one stream does not stop the others');
serves($node, 'postgres', q{SELECT string_agg(concat_ws(' ', tags, phase, f.message), ', ') = '{"many": 7} retention not this one' FROM datastream.failures f JOIN datastream.streams USING (stream_id)},
	'it is recorded');
$node->stop('immediate');
$node->start;
$node->safe_psql('postgres', 'DROP TRIGGER refuse ON datastream.datapoints_seconds');
serves($node, 'postgres', q{SELECT (SELECT count(*) FROM datastream.failures) = 0 AND earliest_datapoint > test.at(5000) FROM ds_find_streams('{"many": 7}')},
	'and the stream is tried again, also after a crash');
# A dump has the limits.
$node->safe_psql('postgres', q{SELECT ds_set_retention(NULL, 'hours', '3 years 1 month')});
my $limits = q{SELECT string_agg(concat_ws(' ', ds_get_tags(stream_id)->'retention'), ',' ORDER BY stream_id) FROM ds_find_streams()};
$node->safe_psql('postgres', 'CREATE DATABASE copy');
my $dump = PostgreSQL::Test::Utils::tempdir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, '-d', $node->connstr('postgres') ], 'a database with limits is dumped');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr('copy') ], 'and restored');
is($node->safe_psql('copy', $limits), $node->safe_psql('postgres', $limits), 'with its limits');

no_crash($node);
$node->stop;
done_testing();
