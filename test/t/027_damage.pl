# Whatever is damaged in the tables, the server does not crash and nothing goes
# round for ever: there are errors, of the kind that says so, and they stay with
# the streams that are damaged.
#
# DAMAGE_ROUNDS and DAMAGE_SEED in the environment choose how many damages are
# tried and which.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = $ENV{DAMAGE_ROUNDS} || 120;
my $seed = $ENV{DAMAGE_SEED} || int(rand(1_000_000));
note("DAMAGE_SEED=$seed DAMAGE_ROUNDS=$rounds");

my $node = new_node('damage', conf => [ "shared_preload_libraries = 'datastream'", 'datastream.naptime = 1', 'datastream.close_delay = 0' ]);
create_sample($node, 'postgres');

$node->safe_psql(
	'postgres', q{
	CREATE CAST (ds_block AS bytea) WITHOUT FUNCTION;
	CREATE CAST (bytea AS ds_block) WITHOUT FUNCTION;
	SELECT ds_set_retention('{"name": "all"}', 'seconds', '20 years'), ds_set_retention('{"name": "fast"}', 'minutes', '1 year'),
		ds_set_retention('{"name": "label"}', 'hours', '100 years'), ds_set_retention('{"name": "slow"}', 'days', '1 year');

	-- The SQLSTATE and message of a statement, or of the warnings that it gives
	CREATE FUNCTION test.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE statement;
		RETURN NULL;
	EXCEPTION WHEN OTHERS THEN
		RETURN sqlstate || ' ' || sqlerrm;
	END
	$$;

	CREATE FUNCTION test.any(VARIADIC list text[]) RETURNS text LANGUAGE sql VOLATILE AS
		$$ SELECT list[1 + floor(random() * cardinality(list))::int] $$;

	-- Bytes with some bits flipped, or bytes overwritten, missing, or put in
	CREATE FUNCTION test.spoil(bytes bytea) RETURNS bytea LANGUAGE plpgsql AS $$
	DECLARE
		at int;
	BEGIN
		CASE floor(random() * 6)
			WHEN 0 THEN RETURN substr(bytes, 1, floor(random() * length(bytes))::int);
			WHEN 1 THEN RETURN overlay(bytes PLACING decode(substr(md5(random()::text), 1, 8), 'hex') FROM 1 + floor(random() * length(bytes))::int);
			ELSE
				FOR i IN 1 .. 1 + floor(random() * 3) LOOP
					-- the first bytes are more often hit, as they say most
					at := floor(random() * random() * length(bytes) * 8)::int;
					bytes := set_bit(bytes, at, 1 - get_bit(bytes, at));
				END LOOP;
				RETURN bytes;
		END CASE;
	END
	$$;

	-- Damages something, and tells what, and of which stream.
	CREATE FUNCTION test.damage(OUT id uuid, OUT what text) LANGUAGE plpgsql AS $$
	DECLARE
		level text := test.any('seconds', 'seconds', 'seconds', '10seconds', 'minutes', '10minutes', 'hours', 'milliseconds', 'days', 'months');
		blocks text := 'datastream.' || quote_ident('datapoints_' || level);
		place tid;
		change text;
	BEGIN
		EXECUTE format('SELECT ctid, stream_id FROM %s ORDER BY random() LIMIT 1', blocks) INTO place, id;
		IF id IS NULL OR random() < 0.3 THEN
			CASE floor(random() * 5)
				WHEN 0, 1 THEN
					SELECT stream_id INTO id FROM datastream.heads WHERE head IS NOT NULL ORDER BY random() LIMIT 1;
					change := test.any('latest = latest - interval ''1 hour''', 'latest = latest + interval ''1 hour''', 'latest = ''9000-01-01''', 'latest = NULL',
						'close_at = ''-infinity''', 'close_at = close_at - interval ''3 s''', 'head = NULL', 'head = NULL, latest = ''9000-01-01''',
						'head = (SELECT o.head FROM datastream.heads o ORDER BY random() LIMIT 1)',
						'head = (SELECT block FROM datastream.datapoints_minutes ORDER BY random() LIMIT 1)',
						'head = (SELECT block FROM datastream.datapoints_seconds ORDER BY random() LIMIT 1)',
						'head = test.spoil(head::bytea)::ds_block', 'head = test.spoil(head::bytea)::ds_block', 'head = test.spoil(head::bytea)::ds_block', 'head = ''''::bytea::ds_block');
					EXECUTE format('UPDATE datastream.heads SET due = true, %s WHERE stream_id = $1', change) USING id;
				WHEN 2 THEN
					SELECT stream_id INTO id FROM datastream.progress WHERE downsampled_until <> '{}' ORDER BY random() LIMIT 1;
					change := test.any('downsampled_until = downsampled_until[1:3]', 'downsampled_until = downsampled_until || downsampled_until',
						'downsampled_until = array_fill(NULL::timestamptz, ARRAY[cardinality(downsampled_until)])',
						'downsampled_until[2] = downsampled_until[2] + interval ''0.5 s''', 'downsampled_until[3] = ''1900-01-01''',
						'downsampled_until[2:4] = array_fill(timestamptz ''9000-01-01'', ARRAY[3])', 'downsampled_until = array_fill(timestamptz ''9000-01-01'', ARRAY[cardinality(downsampled_until)])',
						'downsampled_until[3] = downsampled_until[3] - interval ''1 hour''', 'downsampled_until[4] = downsampled_until[4] + interval ''1 hour''',
						'late = ''{(,)}''', 'late = ''{[-infinity,infinity]}''', 'rederive = ''{[1900-01-01,9999-12-31]}'', behind = true', 'seen_latest = ''infinity'', active_at = ''infinity''',
						'expired_until = ''infinity''');
					EXECUTE format('UPDATE datastream.progress SET %s WHERE stream_id = $1', change) USING id;
				WHEN 3 THEN
					SELECT stream_id INTO id FROM datastream.sources ORDER BY random() LIMIT 1;
					change := test.any('granularity = ''fortnights''', 'granularity = ''milliseconds''', 'granularity = ''years''', 'read_until = ''infinity''', 'read_until = ''9000-01-01''', 'read_until = ''2020-01-01''', 'read_until = NULL',
						'read_count = -5', 'read_count = 2147483647', 'origin = ''infinity''', 'origin = ''-infinity'', origin_count = 7', 'source_id = gen_random_uuid()', 'name = ''nobody''');
					EXECUTE format('UPDATE datastream.sources SET %s WHERE stream_id = $1', change) USING id;
					UPDATE datastream.progress SET behind = true WHERE stream_id = id;
				ELSE
					SELECT stream_id INTO id FROM datastream.retention ORDER BY random() LIMIT 1;
					change := test.any('keep = ''500000 years''', 'keep = ''178000000 years''', 'granularity = ''fortnights''', 'granularity = ''milliseconds''', 'check_at = ''infinity''', 'waiting_since = ''infinity'', check_at = ''-infinity''');
					EXECUTE format('UPDATE datastream.retention SET %s WHERE stream_id = $1', change) USING id;
			END CASE;
			what := change;
		ELSIF random() < 0.1 THEN
			change := test.any('highest_granularity = ''fortnights''', 'highest_granularity = ''years''', 'highest_granularity = ''minutes''', 'value_type = ''letters''', 'value_type = ''graph''',
				'value_type = ''nominal''', 'value_downsamplers = ''{modus}''', 'value_downsamplers = ''{count}''', 'value_type_options = ''[1]''', 'derive_op = ''product''', 'derive_args = ''[1, 2]''');
			EXECUTE format('UPDATE datastream.streams SET %s WHERE stream_id = $1', change) USING id;
			what := change;
		ELSE
			change := test.any('start = start + interval ''1 s''', 'start = start - interval ''1 hour''', 'start = start + interval ''1 us''', 'start = ''-infinity''', 'start = ''infinity''', 'start = ''1800-01-01''',
				'until = until + interval ''1 s''', 'until = until - interval ''1 hour''', 'until = until + interval ''100 years''', 'until = ''infinity''', 'until = start',
				'count = count + 1', 'count = 0', 'count = -1', 'count = 2147483647', 'seq = seq + 1', 'seq = 9223372036854775807', 'seq = -9223372036854775808', 'block = ''''::bytea::ds_block',
				'NULL count', 'NULL until', 'NULL block', 'twice', 'gone', 'other', 'other', 'spoil', 'spoil', 'spoil', 'spoil', 'spoil', 'spoil', 'spoil', 'spoil', 'spoil');
			IF change LIKE 'NULL %' THEN
				EXECUTE format('ALTER TABLE %s ALTER %I DROP NOT NULL', blocks, substr(change, 6));
				change := substr(change, 6) || ' = NULL';
			ELSIF change = 'twice' THEN
				EXECUTE format('INSERT INTO %s SELECT stream_id, start + %L, seq + 1, until, count, block FROM %1$s WHERE ctid = $1', blocks, test.any('0 s', '1 s', '1 hour')) USING place;
				change := 'seq = seq';
			ELSIF change = 'other' THEN
				change := format('block = (SELECT block FROM datastream.%I ORDER BY random() LIMIT 1)', 'datapoints_' || test.any('milliseconds', 'seconds', 'minutes', 'hours'));
			ELSIF change = 'spoil' THEN
				change := 'block = test.spoil(block::bytea)::ds_block';
			END IF;
			IF change = 'gone' THEN
				EXECUTE format('DELETE FROM %s WHERE ctid = $1', blocks) USING place;
			ELSE
				EXECUTE format('UPDATE %s SET %s WHERE ctid = $1', blocks, change) USING place;
			END IF;
			-- there is always something to be made again
			UPDATE datastream.progress SET late = '{[2000-01-01,2000-01-01 01:00],[2000-01-01 03:00,2000-01-01 03:01]}' WHERE stream_id = id;
			UPDATE datastream.heads SET due = true WHERE stream_id = id;
			what := level || ' ' || change;
		END IF;
	END
	$$;

	-- Damages something and uses the streams; returns what should not have happened.
	CREATE FUNCTION test.damage_and_use() RETURNS SETOF text LANGUAGE plpgsql AS $$
	DECLARE
		damaged record;
		t text := format('timestamptz %L', test.at(floor(random() * 21000)));
		statement text;
		error text;
	BEGIN
		damaged := test.damage();
		RAISE LOG 'damaged: %', damaged.what;
		FOREACH statement IN ARRAY ARRAY[
			'SELECT count(v) FROM ds_get_data(%1$L, ''milliseconds'')',
			'SELECT sum(value) FROM ds_get_series(%1$L, ''seconds'', reverse => true)',
			'SELECT count(v), count(times) FROM ds_get_data(%1$L, ''10seconds'')',
			'SELECT count(v), count(times) FROM ds_get_data(%1$L, ''minutes'', ' || t || ', reverse => true)',
			'SELECT count(v), sum(length(times::text)) FROM ds_get_data(%1$L, ''hours'')',
			'SELECT count(v), sum(length(times::text)) FROM ds_get_data(%1$L, ''days'')',
			'SELECT sum(mean), sum(std_dev), max(last) FROM ds_get_series(%1$L, ''10minutes'')',
			'SELECT ds_get_tags(%1$L)', 'SELECT count(x) FROM ds_find_streams() x', 'SELECT count(x) FROM ds_stats() x', 'SELECT count(x) FROM datastream.lag x',
			'SELECT ds_append(%1$L, 1, test.at(100000))', 'SELECT ds_append(%1$L, ''"x"''::jsonb, test.at(100000))',
			'SELECT ds_append(%1$L, 5, ' || t || ', false)', 'SELECT ds_append(%1$L, ''"x"''::jsonb, ' || t || ', false)',
			'SELECT ds_append_multiple(%1$L::uuid, array_agg(test.at(100000 + n)), array_agg(n::float8)) FROM generate_series(1, 1500) n',
			'SELECT count(*) FROM ds_downsample_streams(return_datapoints => true)',
			'SELECT ds_apply_retention()', 'SELECT ds_backprocess_streams()',
			'SELECT ds_append(%1$L, 6, ' || t || ', false)',
			'SELECT count(*) FROM ds_downsample_streams()', 'SELECT count(v) FROM ds_get_data(%1$L, ''seconds'')',
			'SELECT ds_ensure_stream(''{"name": "later"}'', derive_from => to_jsonb(%1$L::text), derive_op => ''derivative'')', 'SELECT ds_backprocess_streams()',
			'SELECT count(*) FROM ds_ensure_stream((SELECT tags FROM datastream.streams WHERE stream_id = %1$L))',
			'SELECT ds_delete_streams(jsonb_build_object(''stream_id'', %1$L::text))', 'SELECT ds_delete_streams()']
		LOOP
			error := test.try(format(statement, damaged.id));
			-- own errors, damage, sums of damaged numbers, and values that do not fit the type
			IF error !~ '^(TS|XX001|22003|22023 .*value (of a |is not a valid ))' THEN
				RETURN NEXT format('%s, %s: %s', damaged.what, format(statement, damaged.id), error);
			ELSIF error ~ '^XX001' THEN
				RAISE LOG 'found damage: %: %', damaged.what, error;
			END IF;
		END LOOP;
	END
	$$;
});
$node->safe_psql('postgres', 'SELECT ds_backprocess_streams()');
my $before = fingerprint($node, 'postgres');

# Each in a session of its own, since a session remembers what streams are.
my $script = "SET client_min_messages = error;\n";
foreach my $round (1 .. $rounds)
{
	my $number = ($seed + $round * 7919) % 1_000_003 / 1_000_003;

	$script .= qq{
	\\c
	SET client_min_messages = error;
	SET statement_timeout = '60s';
	BEGIN;
	SELECT setseed($number) \\gset
	SELECT format('round %s: %s', $round, u) FROM test.damage_and_use() u;
	ROLLBACK;};
}
my ($status, $output, $errors) = $node->psql('postgres', $script, on_error_stop => 0, timeout => 500);
$output = join "\n", grep { !/^You are now/ } split /\n/, $output;
is($status, 0, 'damage ends no session');
is($output, '', 'the only errors are those of damage');
is($errors, '', 'nor does anything else go wrong');
my $found = () = slurp_file($node->logfile) =~ /found damage/g;
my %warnings = map { $_ => 1 } slurp_file($node->logfile) =~ /WARNING: .*?could not \w[\w ]* stream "[-0-9a-f]*": (.*)/g;
is_deeply([ grep { !/damaged|reach beyond|value downsampler|not in order|not a number|too many datapoints|not in its place|out of range|does not exist|no sources|not valid/ } keys %warnings ], [],
	'nor in the maintenance of single streams');
cmp_ok($found, '>', $rounds / 2, "damage is found ($found errors)");
is(fingerprint($node, 'postgres'), $before, 'what was not damaged is as it was');

# ----- Workers -----

# One stream for each kind of work that fails, among many others
my %damage = (
	'block' => q{UPDATE datastream.datapoints_seconds SET block = set_byte(block::bytea, 0, 255)::ds_block},
	'bits' => q{UPDATE datastream.datapoints_seconds SET block = substr(block::bytea, 1, length(block::bytea) - 3)::ds_block},
	'overlap' => q{UPDATE datastream.datapoints_seconds SET start = start - interval '1 s', until = until + interval '1 s'},
	'count' => q{UPDATE datastream.datapoints_seconds SET count = count + 1},
	'seq' => q{UPDATE datastream.datapoints_seconds SET seq = 9223372036854775807},
	'level' => q{UPDATE datastream.datapoints_minutes SET block = (SELECT block FROM datastream.datapoints_seconds LIMIT 1)},
	'head' => q{UPDATE datastream.heads SET head = set_byte(head::bytea, 0, 255)::ds_block},
	'latest' => q{UPDATE datastream.heads SET latest = latest - interval '10 s'},
	'progress' => q{UPDATE datastream.progress SET downsampled_until = downsampled_until[1:2]},
	'kept' => q{UPDATE datastream.retention SET keep = '500000 years', check_at = '2000-01-01'},
	'until' => q{UPDATE datastream.datapoints_hours SET until = 'infinity'},
	'cursor' => q{UPDATE datastream.sources SET granularity = 'fortnights'},
	'silence' => q{UPDATE datastream.datapoints_seconds SET block = ''::bytea::ds_block});
my $names = join ', ', map { "'$_'" } sort keys %damage;

$node->safe_psql(
	'postgres', qq{
	SET client_min_messages = error;
	SELECT ds_ensure_stream(jsonb_build_object('name', name)) FROM unnest(ARRAY[$names, 'source']) name WHERE name <> 'cursor';
	SELECT ds_ensure_stream('{"name": "cursor"}', derive_from => to_jsonb(test.stream('source')), derive_op => 'derivative');
	SELECT ds_append_multiple(test.stream(name), array_agg(test.at(i) ORDER BY i), array_agg(i::float8 ORDER BY i))
		FROM unnest(ARRAY[$names, 'source']) name, generate_series(0, 9999) i WHERE name <> 'cursor' GROUP BY name;
	SELECT count(*) FROM ds_downsample_streams(until => test.at(5000));
	SELECT ds_set_retention('{"name": "kept"}', 'seconds', '1 year'), ds_set_retention('{"name": "until"}', 'hours', '100 years')});
$node->safe_psql(
	'postgres', qq{
	UPDATE datastream.heads SET check_at = '2000-01-02' WHERE stream_id IN (SELECT test.stream(name) FROM unnest(ARRAY[$names]) name);
	UPDATE datastream.heads SET due = false, close_at = '2100-01-01' WHERE stream_id = test.stream('silence');
	UPDATE datastream.progress SET behind = true WHERE stream_id = test.stream('cursor');
	UPDATE datastream.progress SET late = '{[2000-01-01,2000-01-02]}' WHERE stream_id IN (SELECT test.stream(name) FROM unnest(ARRAY['overlap', 'level', 'seq', 'count']) name)}
	  . join('', map { ";\n$damage{$_} WHERE stream_id = test.stream('$_')" } sort keys %damage));
append_to_many($node, 'postgres', 200, 130);
my $from = -s $node->logfile;
$node->append_conf('postgresql.conf', 'datastream.enabled = on');
$node->reload;

is($node->poll_query_until('postgres', qq{
	SELECT count(*) = 13 FROM datastream.failures JOIN datastream.streams USING (stream_id) WHERE tags->>'name' IN ($names)}), 1,
	'workers record each stream that is damaged');
is( $node->safe_psql('postgres', q{SELECT tags->>'name', phase, sqlstate FROM datastream.failures JOIN datastream.streams USING (stream_id) WHERE sqlstate <> 'XX001'}),
	'', 'as damaged');
note($node->safe_psql('postgres', q{SELECT tags->>'name', phase, message FROM datastream.failures JOIN datastream.streams USING (stream_id) ORDER BY 1}));
is( $node->safe_psql('postgres', q{SELECT count(DISTINCT phase) >= 4 FROM datastream.failures}), 't', 'in every kind of work');
serves($node, 'postgres', q{
	SELECT NOT EXISTS (SELECT FROM datastream.heads h WHERE due AND NOT EXISTS (SELECT FROM datastream.failures f WHERE f.stream_id = h.stream_id))
		AND NOT EXISTS (SELECT FROM datastream.progress p WHERE behind AND NOT EXISTS (SELECT FROM datastream.failures f WHERE f.stream_id = p.stream_id))},
	'and serve all others');

no_crash($node);
done_testing();
