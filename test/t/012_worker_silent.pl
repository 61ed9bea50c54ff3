# A stream that gets no more datapoints has its last buckets closed, at each
# granularity when it has been over for datastream.close_after, and its head and
# small blocks put together.  What comes later is late, and ends up right.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('silent', conf => [ with_workers('datastream.close_after = 3') ]);
my $tempdir = PostgreSQL::Test::Utils::tempdir;

# The SQLSTATE of the warning that a statement raises, or "nothing"
sub warned
{
	my ($sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$sql");

	return $err =~ /(?:ERROR|WARNING):  (?!42602|TS101)(\w{5})/ ? $1 : 'nothing';
}

# Streams that have been silent for a while, or have not
$node->safe_psql(
	'postgres', q{
	CREATE FUNCTION test.bucket_end(level text, t timestamptz) RETURNS timestamptz LANGUAGE sql AS $$
		SELECT ds_round(level, t) + (CASE level WHEN '10seconds' THEN '10 s' WHEN '10minutes' THEN '10 min' WHEN '6hours' THEN '6 h' ELSE '1 ' || level END)::interval
	$$;
	-- A time, n seconds after one that is twenty minutes before the turn of a year
	CREATE FUNCTION test.eve(n float8) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$ SELECT test.at(366 * 86400 - 1200 + n) $$;
	-- Streams, and the levels at which the last bucket is closed and should not be, or is not and should be
	CREATE FUNCTION test.wrongly_open() RETURNS SETOF text LANGUAGE sql AS $$
		SELECT format('%s %s %s %s %s', tags, latest_datapoint, l.granularity, downsampled_until->>l.granularity, clock_timestamp()) FROM ds_find_streams(), test.levels() h, test.levels() l
		WHERE h.granularity = highest_granularity AND l.n > h.n AND value_downsamplers <> '{}' AND latest_datapoint IS NOT NULL
			AND coalesce((downsampled_until->>l.granularity)::timestamptz > latest_datapoint, false)
				<> (test.bucket_end(l.granularity, latest_datapoint) + interval '3 s' <= clock_timestamp())
	$$;
	SELECT ds_ensure_stream(jsonb_build_object('age', age)) FROM unnest(ARRAY['1 s', '1 min', '20 min', '2 h', '8 h', '2 days']) age;
	SELECT ds_append_multiple(stream_id, array_agg(now() - (tags->>'age')::interval - (200 - i) * interval '0.7 s' ORDER BY i), array_agg(i::float8 ORDER BY i))
		FROM ds_find_streams(), generate_series(1, 200) i GROUP BY stream_id;
	SELECT ds_ensure_stream('{"name": "old"}'), ds_ensure_stream('{"name": "bare"}', value_downsamplers => '{}'),
		ds_ensure_stream('{"name": "slow"}', highest_granularity => 'days'), ds_ensure_stream('{"name": "backfilled"}'), ds_ensure_stream('{"name": "ahead"}'),
		ds_ensure_stream('{"name": "label"}', value_type => 'nominal', value_downsamplers => '{frequencies}'), ds_ensure_stream('{"name": "empty"}');
	SELECT ds_ensure_stream('{"name": "slope"}', derive_from => to_jsonb(test.stream('old')), derive_op => 'derivative'),
		ds_ensure_stream('{"name": "minutes"}', highest_granularity => 'minutes', derive_op => 'sum',
			derive_from => jsonb_build_array(jsonb_build_object('stream', test.stream('old'), 'granularity', 'minutes')))});

# What is appended with a time to come is downsampled when that has come.
my $ahead = $node->safe_psql('postgres', q{
	SELECT ds_append(test.stream('ahead'), 1, now() - interval '30 s');
	SELECT (ds_append(test.stream('ahead'), 2, now() + interval '12 s')).t}) =~ s/.*\n//sr;

# A stream that is filled with datapoints of the past, slowly
append_to_file("$tempdir/backfill.sql", join "\n", '\set VERBOSITY sqlstate', q{SELECT test.stream('backfilled') AS id \gset},
	map { "SELECT (ds_append(:'id', $_, test.eve($_))).v;\nSELECT FROM pg_sleep(0.7);" } 1 .. 12);
my $backfill = IPC::Run::start(
	[ 'psql', '-X', '-q', '-A', '-t', '-d', $node->connstr('postgres'), '-f', "$tempdir/backfill.sql" ],
	'>', "$tempdir/backfill.out", '2>&1');

foreach my $round (0 .. 5)
{
	$node->safe_psql('postgres', "SELECT ds_append_multiple(test.stream(name), array_agg(test.eve(35 * $round + i)), array_agg((35 * $round + i)::float8))
		FROM unnest(ARRAY['old', 'bare']) name, generate_series(0, 34) i GROUP BY name;
		SELECT ds_append(test.stream('label'), 'x'::text, test.eve($round)), ds_append(test.stream('slow'), 1, test.eve(4 * 86400 * $round))");
}
serves($node, 'postgres', q{SELECT count(*) = 6 FROM ds_find_streams(filter => '$.name like_regex "old|slow|label|slope|minutes|bare"') f JOIN datastream.heads USING (stream_id) WHERE head IS NULL AND check_at IS NULL},
	'heads of streams that have gone silent are moved into blocks');
is( $node->safe_psql(
		'postgres', q{
		SELECT string_agg(DISTINCT tags->>'name', ' '), max(blocks) <= 3, max(rows) FROM (
			SELECT stream_id, count(*) AS blocks, sum(count) AS rows FROM datastream.datapoints_seconds GROUP BY 1
			UNION ALL SELECT stream_id, count(*), sum(count) FROM datastream.datapoints_10seconds GROUP BY 1) b
		JOIN datastream.streams USING (stream_id) WHERE tags->>'name' IN ('old', 'bare', 'slope', 'label')}),
	'bare label old slope|t|210', 'and their small blocks are put together');
serves($node, 'postgres', q{
	SELECT count(*) = 0 FROM test.wrongly_open() w WHERE w !~ 'backfilled|ahead'}, 'the last buckets that are over are closed, the others are not')
  or diag $node->safe_psql('postgres', 'SELECT * FROM test.wrongly_open()');
is_consistent($node, 'postgres', 'silent streams');
is($node->safe_psql('postgres', q{SELECT string_agg(value::text, ' ') FROM ds_get_series(test.stream('minutes'), 'minutes')}),
	'29.5 89.5 149.5 194.5', 'what derives from the last bucket is there');
is( $node->safe_psql('postgres', q{SELECT string_agg(value::text, ' ') FROM ds_get_series(test.stream('old'), 'years')}),
	'104.5', 'the last year of a silent stream can be read');

# Later datapoints: after the last one, at its time, in the same bucket of a
# coarser granularity, before it, several at once
is(warned("SELECT ds_append(test.stream('old'), 210, test.eve(210))"), 'TS103', 'a datapoint where a silent stream has been downsampled raises a warning');
is(warned("SELECT ds_append(test.stream('old'), 210, test.eve(210))"), 'TS103', 'so does one at the same time');
is(warned("SELECT ds_append(test.stream('slow'), 1, test.eve(86400 * 25))"), 'TS103', 'so does one in a stream of another granularity');
is(warned("SELECT ds_append(test.stream('label'), 'y'::text, test.eve(21))"), 'TS103', 'so does one in a stream of another type');
is(warned("SELECT ds_append(test.stream('bare'), 211, test.eve(211))"), 'nothing', 'one in a stream that is not downsampled does not');
is(warned("SELECT ds_append_multiple(test.stream('old'), array_agg(test.eve(210 + i) ORDER BY i), array_agg((210 + i)::float8 ORDER BY i)) FROM generate_series(5, 900, 5) i"),
	'TS103', 'so do several');
is(warned("SELECT ds_append(test.stream('slow'), 1, test.eve(366 * 86400))"), 'nothing', 'one behind what has been downsampled does not');
is(warned("SELECT ds_append(test.stream('slow'), 1, test.eve(368 * 86400))"), 'nothing', 'nor does the next one');
is_served($node, 'postgres', 'late datapoints of silent streams');
is( $node->safe_psql(
		'postgres', q{
		SELECT (SELECT sum(count) FROM ds_get_series(test.stream('old'), 'years')), (SELECT count(*) FROM ds_get_series(test.stream('slope'), 'seconds')),
			(SELECT count(*) FROM ds_get_series(test.stream('slope'), 'seconds', test.eve(215)) WHERE abs(value - 1) > 1e-9)}),
	'392|390|0', 'they are downsampled and derived');
serves($node, 'postgres', q{SELECT count(*) = 0 FROM test.wrongly_open() w WHERE w !~ 'backfilled|ahead'}, 'streams go silent again');
serves($node, 'postgres', q{SELECT string_agg(value::text, ' ') = '29.5 89.5 149.5' FROM (SELECT value FROM ds_get_series(test.stream('minutes'), 'minutes') LIMIT 3) d}, 'minutes again');
is_consistent($node, 'postgres', 'silent again');

# A pause shorter than datastream.close_after is no silence.
$backfill->finish;
is(slurp_file("$tempdir/backfill.out"), join("\n", 1 .. 12, ''), 'a stream that is filled slowly with the past raises no warning');
serves($node, 'postgres', q{SELECT (SELECT sum(count) FROM ds_get_series(test.stream('backfilled'), 'years')) = 12}, 'and is closed in the end');
serves($node, 'postgres', "SELECT (downsampled_until->>'10seconds')::timestamptz >= ds_round('10seconds', '$ahead') FROM ds_find_streams('{\"name\": \"ahead\"}')",
	'a time to come is downsampled when it has come');
is_served($node, 'postgres', 'in the end');

no_crash($node);
$node->stop;
is(join("\n", grep { !/exited with exit code 1$/ } worker_log($node)), '', 'the log has nothing of workers');
done_testing();
