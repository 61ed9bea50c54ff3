# What the TAP tests share: a server with the extension, streams of every kind,
# and functions in SQL that check what must always hold.

package DatastreamTest;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  new_node create_checks create_sample is_consistent fingerprint
  no_crash errors_in_log
  with_workers serves is_served append_to_many slow_workers let_workers_go
  begin_session end_session worker_log
);

# A running server without background work, so that tests say themselves when
# something is downsampled or derived.  Further arguments are lines for its
# configuration, and "options" for init().
sub new_node
{
	my ($name, %args) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(%{ $args{options} || {} });
	$node->append_conf(
		'postgresql.conf', join "\n",
		"timezone = 'UTC'",
		'datastream.enabled = off',
		"log_line_prefix = '%m [%p] %q%a sqlstate=%e '",
		"log_statement = none",
		"log_min_messages = warning",
		@{ $args{conf} || [] },
		'');
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION datastream');
	create_checks($node, 'postgres');

	return $node;
}

# Lines of a configuration with background workers, that serve a database every
# second and let no stream wait.
sub with_workers
{
	my (@further) = @_;

	return (
		"shared_preload_libraries = 'datastream'",
		'datastream.enabled = on',
		'datastream.naptime = 1',
		'datastream.close_delay = 0',
		@further);
}

# Functions, in a schema of their own:
#
#	waiting()		how many streams workers have something to do for
#	stream(name)	the id of a stream
#	at(n)			a time, n seconds after the turn of the millennium
#	violations()	what is wrong with what is stored; nothing if all is well
#	fingerprint()	all that clients can see of all streams, as one hash
#	state()			all that is stored, as one number
sub create_checks
{
	my ($node, $db) = @_;

	$node->safe_psql(
		$db, q{
		CREATE SCHEMA test;
		CREATE FUNCTION test.waiting() RETURNS bigint LANGUAGE plpgsql STABLE AS $$
		BEGIN
			RETURN (SELECT count(*) FROM datastream.heads WHERE due OR undelivered)
				+ (SELECT count(*) FROM datastream.progress WHERE behind OR pending_backprocess OR late <> '{}')
				+ (SELECT count(*) FROM datastream.changes);
		END
		$$;
		CREATE FUNCTION test.stream(name text) RETURNS uuid LANGUAGE sql STABLE AS
			$$ SELECT stream_id FROM ds_find_streams(jsonb_build_object('name', name)) $$;
		CREATE FUNCTION test.at(n float8) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS
			$$ SELECT timestamptz '2000-01-01 00:00:00+00' + n * interval '1 s' $$;

		CREATE FUNCTION test.levels() RETURNS TABLE (n int, granularity text) LANGUAGE sql IMMUTABLE AS $$
			SELECT n::int, granularity FROM unnest(ARRAY['milliseconds', 'seconds', '10seconds', 'minutes',
				'10minutes', 'hours', '6hours', 'days', 'months', 'years']) WITH ORDINALITY AS l(granularity, n)
		$$;

		CREATE FUNCTION test.near(a numeric, b numeric, scale numeric) RETURNS boolean LANGUAGE sql IMMUTABLE AS
			$$ SELECT a IS NOT DISTINCT FROM b OR abs(a - b) <= 1e-13 * scale $$;

		-- Buckets of a numeric stream that are not what its datapoints give
		CREATE FUNCTION test.wrong_buckets(id uuid, highest text, level text, downsampled_until timestamptz)
			RETURNS SETOF text LANGUAGE sql AS $$
			SELECT format('%s %s: bucket %s is %s, %s and should be %s', tags, level, coalesce(d.t, e.t), d.v, d.times, e)
			FROM (SELECT ds_round(level, t) AS t, count(v) AS c, sum(v::numeric) AS s, min(v::numeric) AS l, max(v::numeric) AS u,
					sum(v::numeric * v::numeric) AS q, sum(abs(v::numeric)) AS size, min(t) AS a, max(t) AS z
				FROM ds_get_data(id, highest) GROUP BY 1) e
			FULL JOIN ds_get_data(id, level) d ON d.t = e.t, datastream.streams
			WHERE stream_id = id AND NOT CASE
				WHEN e.t IS NULL THEN d.t < downsampled_until AND d.v->>'c' = '0'
				WHEN e.t >= downsampled_until OR downsampled_until IS NULL THEN d.t IS NULL
				WHEN d.t IS NULL THEN false
				ELSE (d.v->>'c')::bigint = e.c AND test.near((d.v->>'s')::numeric, e.s, e.size) AND (d.v->>'l')::numeric IS NOT DISTINCT FROM e.l
					AND (d.v->>'u')::numeric IS NOT DISTINCT FROM e.u AND test.near((d.v->>'q')::numeric, e.q, e.q)
					AND (d.times->>'a')::timestamptz = e.a AND (d.times->>'z')::timestamptz = e.z END
		$$;

		CREATE FUNCTION test.violations() RETURNS SETOF text LANGUAGE plpgsql AS $$
		DECLARE
			level record;
		BEGIN
			FOR level IN SELECT * FROM test.levels() LOOP
				RETURN QUERY EXECUTE format('
					SELECT format(''%%s %%s: block from %%s overlaps the one before'', stream_id, %1$L, start)
					FROM (SELECT *, lag(until) OVER (PARTITION BY stream_id ORDER BY start, seq) AS before FROM datastream.%2$I) b
					WHERE start < before OR until < start OR count <= 0
					UNION ALL
					SELECT format(''%%s %%s: block from %%s says until %%s, %%s rows but holds %%s'', stream_id, %1$L, start, until, count, ds_block_summary(block))
					FROM datastream.%2$I WHERE (ds_block_summary(block)->>''rows'')::int <> count
					UNION ALL
					SELECT format(''%%s %%s: blocks of no stream'', stream_id, %1$L) FROM datastream.%2$I b
					WHERE NOT EXISTS (SELECT FROM datastream.streams s WHERE s.stream_id = b.stream_id)', level.granularity, 'datapoints_' || level.granularity);
			END LOOP;
			RETURN QUERY SELECT format('%s: heads, progress and streams differ', coalesce(h.stream_id, p.stream_id, s.stream_id))
				FROM datastream.heads h FULL JOIN datastream.progress p USING (stream_id) FULL JOIN datastream.streams s USING (stream_id)
				WHERE h.stream_id IS NULL OR p.stream_id IS NULL OR s.stream_id IS NULL;
			RETURN QUERY SELECT format('%s: derived from nothing', stream_id) FROM datastream.streams s
				WHERE derive_op IS NOT NULL AND NOT EXISTS (SELECT FROM datastream.sources d WHERE d.stream_id = s.stream_id);
			RETURN QUERY SELECT format('%s: says that it %s to others', stream_id, CASE WHEN contributes THEN 'contributes' ELSE 'does not contribute' END) FROM datastream.heads h
				WHERE contributes <> EXISTS (SELECT FROM datastream.sources d WHERE d.source_id = h.stream_id);
			RETURN QUERY SELECT format('%s: latest datapoint is at %s, recorded is %s', s.stream_id, d.t, s.latest_datapoint)
				FROM ds_find_streams() s LEFT JOIN LATERAL (SELECT t FROM ds_get_data(s.stream_id, s.highest_granularity, reverse => true) LIMIT 1) d ON true
				WHERE d.t IS DISTINCT FROM s.latest_datapoint;
			RETURN QUERY SELECT format('%s: datapoints are not in order', s.stream_id) FROM ds_find_streams() s
				WHERE EXISTS (SELECT FROM (SELECT t, lag(t) OVER () AS before FROM ds_get_data(s.stream_id, s.highest_granularity)) d WHERE t < before);
			RETURN QUERY SELECT w FROM ds_find_streams() s, test.levels() h, test.levels() l,
				LATERAL test.wrong_buckets(s.stream_id, h.granularity, l.granularity, (s.downsampled_until->>l.granularity)::timestamptz) w
				WHERE h.granularity = s.highest_granularity AND l.n > h.n AND s.value_type = 'numeric' AND s.value_downsamplers @> '{sum,min,max,sum_squares}';
		END
		$$;

		CREATE FUNCTION test.state() RETURNS numeric LANGUAGE plpgsql AS $$
		DECLARE
			tab regclass;
			part numeric;
			result numeric := 0;
		BEGIN
			FOR tab IN SELECT oid FROM pg_class WHERE relnamespace = 'datastream'::regnamespace AND relkind = 'r' AND relname NOT IN ('runs', 'failures', 'worker_slots') ORDER BY relname LOOP
				EXECUTE format('SELECT coalesce(sum(hashtextextended(x::text, 0)), 0) FROM %s x', tab) INTO part;
				result := result * 3 + part;
			END LOOP;
			RETURN result;
		END
		$$;

		CREATE FUNCTION test.fingerprint() RETURNS text LANGUAGE sql AS $$
			SELECT md5(string_agg(concat_ws(' ', s.*, ds_get_tags(s.stream_id), l.granularity,
				(SELECT md5(string_agg(d::text, ' ')) FROM ds_get_data(s.stream_id, l.granularity) d)), E'\n' ORDER BY s.stream_id, l.n))
			FROM ds_find_streams() s, test.levels() l
		$$;
	});
}

# Streams of every kind, downsampled and derived in part, with datapoints in
# blocks and in heads, and with work left for maintenance.
sub create_sample
{
	my ($node, $db) = @_;

	$node->safe_psql(
		$db, q{
		SET client_min_messages = error;
		SELECT setseed(0.25);
		SELECT ds_ensure_stream('{"name": "all"}', '{"place": {"floor": 1}}', '{mean, sum, min, max, sum_squares, std_dev, count, most_often, least_often, frequencies, median}'),
			ds_ensure_stream('{"name": "default"}'),
			ds_ensure_stream('{"name": "fast"}', highest_granularity => 'milliseconds'),
			ds_ensure_stream('{"name": "slow"}', highest_granularity => 'days'),
			ds_ensure_stream('{"name": "bare"}', value_downsamplers => '{}'),
			ds_ensure_stream('{"name": "exact"}', value_type_options => '{"high_accuracy": true}'),
			ds_ensure_stream('{"name": "label"}', value_type => 'nominal', value_downsamplers => '{frequencies, most_often}'),
			ds_ensure_stream('{"name": "net"}', value_type => 'graph'),
			ds_ensure_stream('{"name": "empty"}');
		SELECT ds_ensure_stream('{"name": "sum"}', derive_from => jsonb_build_array(test.stream('all'), test.stream('default')), derive_op => 'sum'),
			ds_ensure_stream('{"name": "slope"}', derive_from => to_jsonb(test.stream('all')), derive_op => 'derivative'),
			ds_ensure_stream('{"name": "reset"}', derive_from => to_jsonb(test.stream('all')), derive_op => 'counter_reset', value_type => 'nominal'),
			ds_ensure_stream('{"name": "minutes"}', highest_granularity => 'minutes', derive_op => 'sum',
				derive_from => jsonb_build_array(jsonb_build_object('stream', test.stream('all'), 'granularity', 'minutes')));
		SELECT ds_ensure_stream('{"name": "chain"}', derive_from => jsonb_build_array(test.stream('slope'), test.stream('sum')), derive_op => 'sum'),
			ds_ensure_stream('{"name": "rate"}', derive_op => 'counter_derivative', derive_args => '{"max_value": 1000}',
				derive_from => jsonb_build_array(jsonb_build_object('name', 'reset', 'stream', test.stream('reset')), test.stream('all')));
		SELECT ds_append_multiple(test.stream(name), array_agg(test.at(7 * i) ORDER BY i),
				array_agg(CASE WHEN random() < 0.95 THEN round(100 * random())::float8 / 4 END ORDER BY i))
			FROM unnest(ARRAY['all', 'default', 'fast', 'bare', 'exact']) name, generate_series(0, 2999) i GROUP BY name;
		SELECT ds_append(test.stream('slow'), i, test.at(86400 * i)) FROM generate_series(0, 800) i;
		SELECT ds_append(test.stream('exact'), i + 0.1234567890123456789012345678901234567890, test.at(30000 + i)) FROM generate_series(0, 99) i;
		SELECT ds_append(test.stream('default'), 9007199254740993 + i, test.at(30000 + i)) FROM generate_series(0, 99) i;
		SELECT ds_append(test.stream('label'), (ARRAY['on', 'off', '{"level": [1, 2]}', 'long ' || repeat('label ', 30)])[1 + i % 4], test.at(11 * i)) FROM generate_series(0, 499) i;
		SELECT ds_append(test.stream('net'), '{"v": [{"i": "a"}, {"i": "b"}], "e": [{"f": "a", "t": "b"}]}'::jsonb, test.at(11 * i)) FROM generate_series(0, 99) i;
		SELECT count(*) FROM ds_downsample_streams(until => test.at(20000));
		SELECT ds_append(test.stream('fast'), 1000, test.at(7.5), false);
		SELECT ds_ensure_stream('{"name": "pending"}', derive_from => to_jsonb(test.stream('fast')), derive_op => 'derivative', highest_granularity => 'milliseconds');
		SELECT ds_ensure_stream('{"name": "from now"}', derive_from => to_jsonb(test.stream('fast')), derive_op => 'derivative', highest_granularity => 'milliseconds', derive_backprocess => false);
		SELECT ds_append(test.stream('fast'), 1, test.at(30000.001 * i)) FROM generate_series(1, 3) i;
	});
}

# All that clients can see of all streams of a database, as one hash.
sub fingerprint
{
	my ($node, $db) = @_;

	return $node->safe_psql($db, 'SELECT test.fingerprint()');
}

# Tests that nothing is wrong with what is stored in a database, at one moment.
sub is_consistent
{
	my ($node, $db, $name) = @_;

	is( $node->safe_psql(
			$db, q{
			SET default_transaction_isolation = 'repeatable read';
			SELECT v FROM test.violations() v LIMIT 10}),
		'', "$name: what is stored is consistent");
}

# Tests that workers bring about, sooner or later, that a query returns true.
sub serves
{
	my ($node, $db, $query, $name) = @_;

	ok($node->poll_query_until($db, $query), $name);
}

# Tests that workers do all that there is to do in a database, and do it right.
sub is_served
{
	my ($node, $db, $name) = @_;

	serves($node, $db, 'SELECT test.waiting() = 0', "$name: workers do all that there is to do");
	is_consistent($node, $db, $name);
}

# Appends so many datapoints, a second apart, to each of so many streams, made
# if they are not there, with a tag "many" of which the value is their number.
sub append_to_many
{
	my ($node, $db, $streams, $datapoints) = @_;

	$node->safe_psql(
		$db, qq{
		SELECT count(ds_ensure_stream(jsonb_build_object('many', n))) FROM generate_series(1, $streams) n;
		SELECT ds_append_multiple(array_agg(stream_id ORDER BY i, stream_id), array_agg(coalesce(latest_datapoint, test.at(0)) + i * interval '1 s' ORDER BY i, stream_id),
				array_agg((i + 7 * (tags->>'many')::int)::float8 ORDER BY i, stream_id))
			FROM ds_find_streams(filter => '\$.many <= $streams'), generate_series(1, $datapoints) i});
}

# Lets workers take so many milliseconds more for each stream in a database;
# they work one transaction a stream then.
sub slow_workers
{
	my ($node, $db, $ms) = @_;

	$node->safe_psql(
		$db, qq{
		CREATE FUNCTION test.slow() RETURNS trigger LANGUAGE plpgsql AS \$\$
		BEGIN
			IF (SELECT backend_type FROM pg_stat_get_activity(pg_backend_pid())) = 'datastream worker' THEN
				PERFORM pg_sleep($ms * 0.001);
			END IF;
			RETURN new;
		END
		\$\$;
		CREATE TRIGGER slow BEFORE UPDATE ON datastream.progress FOR EACH ROW EXECUTE FUNCTION test.slow()});
}

# Undoes slow_workers().
sub let_workers_go
{
	my ($node, $db) = @_;

	$node->safe_psql($db, 'DROP TRIGGER slow ON datastream.progress; DROP FUNCTION test.slow()');
}

# Starts a session, has it run statements, and leaves it as it is then until
# end_session().
sub begin_session
{
	my ($node, $db, $sql) = @_;
	my %session = (in => "$sql;\n\\echo ready\n", out => '', err => '');

	$session{handle} = IPC::Run::start(
		[ 'psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($db) ],
		'<', \$session{in}, '>', \$session{out}, '2>', \$session{err}, IPC::Run::timeout(180));
	$session{handle}->pump until $session{out} =~ /^ready$/m || !$session{handle}->pumpable;
	die "could not run \"$sql\": $session{err}" if $session{out} !~ /^ready$/m;

	return \%session;
}

# Has a session run further statements, and ends it.
sub end_session
{
	my ($session, $sql) = @_;

	$session->{in} .= "$sql;\n" if defined $sql;
	eval { $session->{handle}->finish };
}

# The lines of a server's log, from an offset on, that workers and the launcher
# have written, or that are about them, each message's first line only.
sub worker_log
{
	my ($node, $offset) = @_;

	return grep { /^\S.*datastream (?:worker|launcher)/ } split /\n/, slurp_file($node->logfile, $offset || 0);
}

# The SQLSTATEs of all errors in a server's log from an offset on, and how
# many there are of each.
sub errors_in_log
{
	my ($node, $offset) = @_;
	my %count;

	foreach my $line (split /\n/, slurp_file($node->logfile, $offset || 0))
	{
		$count{$1}++ if $line =~ /sqlstate=(\w{5}) (?:ERROR|FATAL|PANIC):/;
	}

	return %count;
}

# Tests that no process of a server has crashed.
sub no_crash
{
	my ($node) = @_;

	unlike(slurp_file($node->logfile),
		qr{PANIC|TRAP:|terminated by signal},
		'no process crashed');
}

1;
