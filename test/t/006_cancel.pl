# A statement that is cancelled in the middle of its work leaves nothing
# behind, and its session goes on; the next one completes.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use Test::More;

my $node = new_node('cancel');

# So many datapoints that no machine is done with them at once
$node->safe_psql(
	'postgres', q{
	CREATE TABLE prepared AS SELECT array_agg(test.at(i * 0.5) ORDER BY i) AS ts, array_agg(sin(i) ORDER BY i) AS value,
		jsonb_agg(jsonb_build_object('value', i % 1000, 'timestamp', test.at(i)) ORDER BY i) FILTER (WHERE i < 100000) AS list
		FROM generate_series(0, 300000) i;
	SELECT ds_ensure_stream('{"name": "a"}', highest_granularity => 'milliseconds', value_downsamplers => '{median, std_dev}'),
		ds_ensure_stream('{"name": "b"}', highest_granularity => 'milliseconds')});
$node->safe_psql(
	'postgres', q{
	SELECT ds_ensure_stream('{"name": "slope"}', derive_from => to_jsonb(test.stream('b')), derive_op => 'derivative', highest_granularity => 'milliseconds'),
		ds_ensure_stream('{"name": "sum"}', derive_from => jsonb_build_array(test.stream('a'), test.stream('b')), derive_op => 'sum', highest_granularity => 'milliseconds');
	UPDATE prepared SET list = (SELECT jsonb_agg(e || jsonb_build_object('stream_id', b)) FROM test.stream('b') b, jsonb_array_elements(list) e)});

# Runs a statement in one session with timeouts that grow, until it comes to
# its end: as long as it does not, nothing changes.
sub test_cancelled
{
	my ($name, $statement, $check) = @_;
	my @timeouts = map { 3**$_ } 0 .. 10;
	my $script = "\\set VERBOSITY sqlstate\n\\set done false\nSET client_min_messages = error;\nSELECT test.state() AS before \\gset\n";

	foreach my $timeout (@timeouts)
	{
		$script .= sprintf(
			"\\if :done\n\\else\nSET statement_timeout = %d;\n%s;\n\\set failed :ERROR\nRESET statement_timeout;\n"
			  . "\\if :failed\nSELECT 'unchanged ' || (test.state() = :'before');\n\\else\n\\set done true\nSELECT 'done';\n\\endif\n\\endif\n",
			$timeout, $statement);
	}
	my ($status, $out, $err) = $node->psql('postgres', $script, on_error_stop => 0);
	my %errors = map { $_ => 1 } $err =~ /ERROR:  (\w+)/g;
	my $cancelled = () = $out =~ /^unchanged true$/mg;

	is(join(' ', sort keys %errors), '57014', "$name: nothing but timeouts");
	unlike($out, qr/^unchanged false$/m, "$name: when cancelled it leaves nothing behind");
	cmp_ok($cancelled, '>', 0, "$name: it has been cancelled");
	like($out, qr/^done$/m, "$name: it completes in the same session, with time enough");
	is($node->safe_psql('postgres', $check), 't', "$name: and has done all its work");
}

test_cancelled('ds_append_multiple', q{SELECT ds_append_multiple(test.stream('a'), ts, value) AS appended FROM prepared},
	q{SELECT count(*) = 300001 FROM ds_get_series(test.stream('a'), 'milliseconds')});
test_cancelled('ds_append_multiple with a list', q{SELECT ds_append_multiple(list) AS appended FROM prepared},
	q{SELECT count(*) = 100000 FROM ds_get_series(test.stream('b'), 'milliseconds')});
is($node->safe_psql('postgres', q{SELECT count(*) FROM ds_get_series(test.stream('slope'), 'milliseconds')}),
	'99999', 'ds_append_multiple with a list: what derives from the stream is there');
$node->safe_psql('postgres', q{
	SELECT ds_ensure_stream('{"name": "slow"}', derive_from => to_jsonb(test.stream('a')), derive_op => 'derivative', highest_granularity => 'milliseconds')});
test_cancelled('ds_backprocess_streams', q{SELECT ds_backprocess_streams() AS processed},
	q{SELECT count(*) = 300000 FROM ds_get_series(test.stream('slow'), 'milliseconds')});
test_cancelled('ds_downsample_streams', q{SELECT ds_downsample_streams() AS made},
	q{SELECT sum(count) = 300001 - 1 FROM ds_get_series(test.stream('a'), 'seconds')});
$node->safe_psql('postgres', q{
	SET client_min_messages = error;
	SELECT ds_append(test.stream('a'), 1, test.at(100000), false)});
test_cancelled('ds_downsample_streams after a late datapoint', q{SELECT ds_downsample_streams() AS made},
	q{SELECT sum(count) = 300002 - 1 FROM ds_get_series(test.stream('a'), 'seconds')});
$node->safe_psql('postgres', q{
	SELECT ds_append_multiple(ds_ensure_stream('{"name": "late"}'), array_agg(test.at(i) ORDER BY i), array_agg(i::float8 ORDER BY i)) FROM generate_series(0, 100000) i;
	SELECT ds_downsample_streams()});
test_cancelled('ds_append many times, late',
	q{SELECT count(ds_append(s, i, test.at((i * 7919::bigint % 100000)::int), false)) AS appended FROM test.stream('late') s, generate_series(1, 300000) i},
	q{SELECT count(*) = 400001 FROM ds_get_series(test.stream('late'), 'seconds')});
test_cancelled('ds_delete_streams', q{SELECT ds_delete_streams() AS deleted},
	q{SELECT count(*) = 0 FROM datastream.datapoints_milliseconds});

# Reading can be cancelled, too.
$node->safe_psql('postgres', q{
	SELECT ds_ensure_stream('{"name": "gap"}');
	SELECT ds_append(test.stream('gap'), 1, '1970-01-01 00:00:00+00'), ds_append(test.stream('gap'), 1, '9999-12-31 00:00:00+00');
	SELECT ds_downsample_streams()});
my ($status, $out, $err) = $node->psql('postgres', qq{\\set VERBOSITY sqlstate
	SET statement_timeout = 200; SELECT count(*) FROM ds_get_data(test.stream('gap'), '10seconds')});
like($err, qr/57014/, 'a query that would make billions of rows ends when it is cancelled');

no_crash($node);
$node->stop;
done_testing();
