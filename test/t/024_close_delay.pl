# Workers let a stream gather for datastream.close_delay before they close its
# buckets, but do all other work meanwhile; ds_downsample_streams() does not wait.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('close_delay', conf => [ with_workers('datastream.close_delay = 1d') ]);

# Changes the setting, and waits until it is in force.
sub set_delay
{
	my ($value) = @_;

	$node->append_conf('postgresql.conf', "datastream.close_delay = $value");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('datastream.close_delay') = '$value'");
}

# Has a worker make a pass: it reads what a stream has that others derive from.
my $passes = 0;

sub make_pass
{
	$passes++;
	$node->safe_psql('postgres', "SET datastream.derive = background; SELECT FROM ds_append(test.stream('source'), $passes, test.at($passes * 60))");
	ok($node->poll_query_until('postgres', "SELECT count(*) = $passes FROM ds_get_data(test.stream('twin'), 'seconds')"),
		'a worker derives without a delay');
}

# Whether a stream waits for workers, and until when its minutes are closed
sub state_of
{
	my ($name) = @_;

	return $node->safe_psql('postgres',
		"SELECT due, extract(epoch FROM (s.downsampled_until->>'minutes')::timestamptz - test.at(0))::int FROM datastream.lag JOIN ds_find_streams('{\"name\": \"$name\"}') s USING (stream_id)");
}

$node->safe_psql(
	'postgres', q{
	SELECT ds_ensure_stream('{"name": "source"}'), ds_ensure_stream('{"name": "a"}'), ds_ensure_stream('{"name": "b"}');
	SELECT ds_ensure_stream('{"name": "twin"}', derive_op => 'sum', derive_from => to_jsonb(test.stream('source')));
	SELECT FROM generate_series(0, 600, 10) i, unnest(ARRAY['a', 'b']) name, ds_append(test.stream(name), i, test.at(i))});

make_pass();
is(state_of('a'), 't|', 'streams gather');
make_pass();
is(state_of('a'), 't|', 'also while workers come again');

# By hand
$node->safe_psql('postgres', q{SELECT FROM ds_downsample_streams('{"name": "a"}')});
is(state_of('a'), 'f|600', 'ds_downsample_streams() does not wait');
is(state_of('b'), 't|', 'for streams that it is asked for');

# What has been due for so long is done, and nothing else.
$node->safe_psql('postgres', q{UPDATE datastream.heads SET due_since = now() - interval '1 day' WHERE stream_id = test.stream('b')});
make_pass();
ok($node->poll_query_until('postgres', q{SELECT (downsampled_until->>'minutes')::timestamptz = test.at(600) FROM ds_find_streams('{"name": "b"}')}),
	'a stream that has waited for long enough is closed');

# Late datapoints gather, too.
$node->safe_psql('postgres', q{
	SET client_min_messages = error;
	SELECT FROM ds_append(test.stream('a'), 7, test.at(65), check_timestamp => false);
	SELECT FROM ds_append(test.stream('b'), 7, test.at(660))});
make_pass();
is(state_of('a'), 't|600', 'late datapoints gather');
is(state_of('b'), 't|600', 'so does what comes after');
is($node->safe_psql('postgres', q{SELECT count FROM ds_get_series(test.stream('a'), 'minutes', test.at(60), test.at(60))}),
	'6', 'nothing is made again before that');

# A reload lets those go that wait.
set_delay('0');
is_served($node, 'postgres', 'without a delay');
is(state_of('a'), 'f|600', 'late datapoints are downsampled');
is(state_of('b'), 'f|660', 'buckets are closed');
is($node->safe_psql('postgres', q{SELECT count FROM ds_get_series(test.stream('a'), 'minutes', test.at(60), test.at(60))}),
	'7', 'and made again');
$node->safe_psql('postgres', q{SELECT FROM ds_append(test.stream('a'), 1, test.at(720))});
is_served($node, 'postgres', 'what comes then');

# A short one
set_delay('2s');
$node->safe_psql('postgres', q{SELECT FROM generate_series(780, 1200, 60) i, unnest(ARRAY['a', 'b']) name, ds_append(test.stream(name), i, test.at(i))});
is_served($node, 'postgres', 'with a short delay');

# A clock that was wrong when a stream became due does not keep it waiting once
# the stream goes on.
$node->safe_psql('postgres', q{
	BEGIN;
	SELECT FROM ds_append(test.stream('a'), 1, test.at(1260));
	UPDATE datastream.heads SET due_since = '2999-01-01' WHERE stream_id = test.stream('a');
	COMMIT;
	SELECT FROM ds_append(test.stream('a'), 1, test.at(1320))});
is_served($node, 'postgres', 'with a clock that was wrong');

# Without a launcher, a worker stays where streams gather.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\ndatastream.close_delay = 4s");
$node->restart;
$node->safe_psql('postgres', q{SELECT FROM unnest(ARRAY['a', 'b']) name, ds_append(test.stream(name), 1, test.at(1380))});
is_served($node, 'postgres', 'the worker of a session');

is($node->safe_psql('postgres', 'SELECT count(*) FROM datastream.failures'), '0', 'no stream has failed');
no_crash($node);
$node->stop;
done_testing();
