# One session: savepoints and exceptions around what the extension does,
# prepared transactions, and an extension that goes and comes again while its
# plans are kept.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use Test::More;

my $node = new_node('session', conf => ['max_prepared_transactions = 5']);

# Runs a script in one session and compares what its queries return.
sub session_gives
{
	my ($name, $script, @expected) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "SET client_min_messages = error;\n$script", on_error_stop => 0);

	is($out, join("\n", @expected), $name);
	is($err =~ s/.*WARNING:  invalid configuration.*\n.*\n?//r, '', "$name: without errors");
}

my $values = q{SELECT string_agg(v::text, ' ') FROM ds_get_data(test.stream('a'), 'seconds');};
my $derived = q{SELECT string_agg(v::text, ' ') FROM ds_get_data(test.stream('slope'), 'seconds');};

$node->safe_psql(
	'postgres', q{
	SELECT ds_ensure_stream('{"name": "a"}');
	SELECT ds_ensure_stream('{"name": "slope"}', derive_from => to_jsonb(test.stream('a')), derive_op => 'derivative');
	CREATE FUNCTION append(n int) RETURNS text LANGUAGE sql AS $$ SELECT (ds_append(test.stream('a'), n::bigint, test.at(n))).v $$});

# Savepoints
session_gives('what is rolled back to a savepoint is gone, with what derives from it', qq{
	BEGIN;
	SELECT append(1);
	SAVEPOINT s;
	SELECT append(5), append(9);
	ROLLBACK TO s;
	SELECT append(2);
	SAVEPOINT t;
	SELECT append(3);
	RELEASE t;
	COMMIT;
	$values
	$derived},
	'1', '5|9', '2', '3', '1 2 3', '1 1');
session_gives('an append of many that is rolled back is gone, and blocks are as before', qq{
	BEGIN;
	SAVEPOINT s;
	SELECT count(append(n)) FROM generate_series(4, 5000) n;
	ROLLBACK TO s;
	SELECT ds_append_multiple(test.stream('a'), array_agg(test.at(n) ORDER BY n), array_agg(n::float8 ORDER BY n)) FROM generate_series(4, 100) n;
	ROLLBACK TO s;
	COMMIT;
	$values
	SELECT count(*) FROM datastream.datapoints_seconds;},
	'4997', '97', '1 2 3', '0');
session_gives('the same of a stream', qq{
	BEGIN;
	SAVEPOINT s;
	SELECT (ds_append(ds_ensure_stream('{"name": "b"}'), 1, test.at(1))).v;
	ROLLBACK TO s;
	SELECT (ds_append(ds_ensure_stream('{"name": "b"}'), 2, test.at(1))).v;
	SELECT count(*) FROM ds_find_streams('{"name": "b"}');
	ROLLBACK;
	SELECT count(*) FROM ds_find_streams('{"name": "b"}');
	SELECT count(*) FROM datastream.ensuring;},
	'1', '2', '1', '0', '0');

# Exceptions
session_gives('an error is caught, and its transaction goes on', qq{
	DO \$\$
	BEGIN
		PERFORM append(4);
		BEGIN
			PERFORM append(6);
			PERFORM append(5);
		EXCEPTION WHEN SQLSTATE 'TS010' THEN
			PERFORM append(5);
		END;
		FOR n IN 1..100 LOOP
			BEGIN
				PERFORM append(6 + n), append(0);
			EXCEPTION WHEN SQLSTATE 'TS010' THEN
				NULL;
			END;
		END LOOP;
		PERFORM append(7);
	END
	\$\$;
	$values
	$derived},
	'1 2 3 4 5 7', '1 1 1 1 1');
session_gives('downsampling in a block that fails is undone, and done again', qq{
	SELECT append(100);
	DO \$\$
	BEGIN
		PERFORM count(*) FROM ds_downsample_streams();
		RAISE EXCEPTION 'no';
	EXCEPTION WHEN raise_exception THEN
		NULL;
	END
	\$\$;
	SELECT count(*) FROM ds_get_data(test.stream('a'), '10seconds');
	SELECT count(*) FROM ds_downsample_streams('{"name": "a"}', return_datapoints => true);
	SELECT count(*) FROM ds_get_data(test.stream('a'), '10seconds');},
	'100', '0', '11', '10');

# Prepared transactions
session_gives('a prepared transaction', qq{
	BEGIN;
	SELECT append(200);
	PREPARE TRANSACTION 'p';
	SELECT string_agg(v::text, ' ') FROM ds_get_data(test.stream('a'), 'seconds', test.at(100));
	SELECT count(*) FROM ds_downsample_streams(return_datapoints => true);
	COMMIT PREPARED 'p';
	SELECT string_agg(v::text, ' ') FROM ds_get_data(test.stream('a'), 'seconds', test.at(100));},
	'200', '100', '0', '100 200');

# Cursors see what was there when they were opened.
session_gives('a cursor', qq{
	BEGIN;
	DECLARE c SCROLL CURSOR FOR SELECT v FROM ds_get_data(test.stream('a'), 'seconds', test.at(7));
	FETCH 1 FROM c;
	SELECT append(300);
	FETCH ALL FROM c;
	FETCH BACKWARD 1 FROM c;
	COMMIT;},
	'7', '300', '100', '200', '200');

# What an append returns is what was appended, whatever the size.
session_gives('what an append returns', qq{
	SELECT count(ds_ensure_stream('{"name": "label"}', value_type => 'nominal'));
	SELECT count(*) FROM generate_series(1, 300) n, LATERAL (SELECT to_jsonb(repeat(md5(n::text), (n * 37) % 500)) AS label) l,
		ds_append(test.stream('label'), label, test.at(n)) a WHERE a.v <> label OR a.t <> test.at(n);
	SELECT ds_append_multiple(jsonb_agg(jsonb_build_object('stream_id', id, 'value', repeat(md5(n::text), 32), 'timestamp', test.at(n))))
		FROM test.stream('label') id, generate_series(1000, 3000) n;
	SELECT (ds_append(test.stream('label'), 'x'::text, test.at(4000))).v;
	SELECT count(ds_delete_streams('{"name": "label"}'));},
	'1', '0', '2001', '"x"', '1');
is_consistent($node, 'postgres', 'after all that');

# The extension goes and comes again, with plans of its tables kept.
my $again = qq{
	SELECT append(1), append(2);
	$values
	SELECT count(*) FROM ds_downsample_streams();
	SELECT ds_backprocess_streams();
	SELECT count(*) FROM ds_find_streams();
	SELECT ds_get_tags(test.stream('a'))->>'name';};
$node->safe_psql('postgres', 'DROP SCHEMA test CASCADE; DROP FUNCTION append; SELECT ds_delete_streams()');
my $recreate = q{
	CREATE EXTENSION datastream;
	SELECT count(ds_ensure_stream('{"name": "a"}'));
	CREATE FUNCTION stream() RETURNS uuid LANGUAGE sql AS $$ SELECT stream_id FROM ds_find_streams('{"name": "a"}') $$;
	SELECT string_agg((ds_append(stream(), n, timestamptz '2000-01-01 00:00:00+00' + n * interval '1 s')).v::text, ' ') FROM generate_series(1, 40) n;
	SELECT count(*) FROM ds_get_data(stream(), 'seconds');
	SELECT count(*) FROM ds_downsample_streams(return_datapoints => true);
	SELECT count(*) FROM ds_get_data(stream(), '10seconds');
	SELECT ds_get_tags(stream())->>'name';
	SELECT ds_backprocess_streams();
	SELECT ds_update_tags(stream(), '{"title": "A"}');
	SELECT ds_delete_streams('{"name": "b"}');
	DROP FUNCTION stream;
	DROP EXTENSION datastream;};
my $numbers = join ' ', 1 .. 40;
my @results = ('1', $numbers, '40', '4', '4', 'a', '0', '', '0');
session_gives('the extension is dropped and created again in one session',
	"DROP EXTENSION datastream;\n" . $recreate x 3, (@results) x 3);

# In another schema; and not at all
session_gives('the extension is created in another schema by the same session', qq{
	$recreate
	CREATE SCHEMA elsewhere;
	SET search_path = elsewhere;
	$recreate
	SET search_path = public;
	CREATE EXTENSION datastream;
	SELECT ds_ensure_stream('{"name": "a"}') IS NOT NULL;
	BEGIN;
	DROP EXTENSION datastream;
	ROLLBACK;
	SELECT (ds_append(stream_id, 1, '2000-01-01 00:00:00+00')).v FROM ds_find_streams();
	BEGIN;
	DROP EXTENSION datastream;
	CREATE EXTENSION datastream;
	SELECT ds_ensure_stream('{"name": "b"}') IS NOT NULL;
	SELECT (ds_append(stream_id, 2, '2000-01-01 00:00:00+00')).v FROM ds_find_streams();
	ROLLBACK;
	SELECT (ds_append(stream_id, 3, '2000-01-01 00:00:00+00')).v FROM ds_find_streams();
	SELECT v FROM ds_find_streams(), ds_get_data(stream_id, 'seconds');},
	@results, @results, 't', '1', 't', '2', '3', '1', '3');
is($node->safe_psql('postgres', q{SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'datastream'}),
	'public', 'the extension is where it was created');

# The tables' schema belongs to the extension.
my ($status, $out, $err) = $node->psql('postgres', 'DROP SCHEMA datastream CASCADE');
isnt($status, 0, 'the schema of the tables cannot be dropped alone');
($status, $out, $err) = $node->psql('postgres', 'ALTER EXTENSION datastream SET SCHEMA elsewhere');
isnt($status, 0, 'the extension cannot be moved');
$node->safe_psql('postgres', 'DROP EXTENSION datastream');
is( $node->safe_psql(
		'postgres', q{
		SELECT (SELECT count(*) FROM pg_proc WHERE proname ~ '^ds_') + (SELECT count(*) FROM pg_type WHERE typname ~ '^_?ds_')
			+ (SELECT count(*) FROM pg_namespace WHERE nspname = 'datastream')}),
	'0', 'nothing is left of it');

no_crash($node);
$node->stop;
done_testing();
