# What a transaction appends is there at once for all that runs in it, as the rows of
# a plain table are: random statements write to streams and to a table, with late
# datapoints, exceptions, savepoints, cursors and triggers, and read both.
#
#	PENDING_SEED	seed of the random statements
#	PENDING_ROUNDS	how many transactions, 60 by default

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use Test::More;

my $seed = $ENV{PENDING_SEED} // int(rand(1 << 30));
my $rounds = $ENV{PENDING_ROUNDS} // 60;
my $node = new_node('pending', conf => ['max_prepared_transactions = 2']);

srand($seed);
diag("PENDING_SEED=$seed");

$node->safe_psql(
	'postgres', q{
	SET client_min_messages = error;
	SELECT ds_ensure_stream('{"name": "a"}'), ds_ensure_stream('{"name": "b"}', highest_granularity => 'milliseconds'),
		ds_ensure_stream('{"name": "c"}', value_downsamplers => '{}'), ds_ensure_stream('{"name": "d"}', value_type => 'nominal'),
		ds_ensure_stream('{"name": "e"}'), ds_ensure_stream('{"name": "f"}');
	SELECT ds_ensure_stream('{"name": "sum"}', derive_op => 'sum', derive_from => jsonb_build_array(test.stream('e'), test.stream('f')));
	CREATE TABLE model (n bigserial, name text, t timestamptz, v bigint);
	CREATE INDEX ON model (name, t, n);
	CREATE TABLE inlet (name text, t timestamptz, v bigint);

	-- Appends in one way or another; a nominal stream has labels.
	CREATE FUNCTION into_stream() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF NEW.name = 'd' THEN
			PERFORM ds_append(test.stream(NEW.name), to_jsonb(NEW.v::text), NEW.t, check_timestamp => false);
		ELSE
			PERFORM ds_append(test.stream(NEW.name), NEW.v, NEW.t, check_timestamp => false);
		END IF;
		RETURN NULL;
	END $$;
	CREATE TRIGGER inlet AFTER INSERT ON inlet FOR EACH ROW EXECUTE FUNCTION into_stream();

	CREATE FUNCTION in_stream(name text) RETURNS text LANGUAGE sql VOLATILE AS $$
		SELECT count(*) || ' ' || coalesce(md5(string_agg(concat(extract(epoch FROM t), ' ', v #>> '{}'), ',')), '') FROM ds_get_data(test.stream(name), 'milliseconds')
	$$;
	CREATE FUNCTION in_model(name text) RETURNS text LANGUAGE sql VOLATILE AS $$
		SELECT count(*) || ' ' || coalesce(md5(string_agg(concat(extract(epoch FROM t), ' ', v), ',' ORDER BY t, n)), '') FROM model m WHERE m.name = in_model.name
	$$;
	CREATE FUNCTION before_stream(name text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
		BEGIN RETURN (SELECT count(*) FROM ds_get_data(test.stream(name), 'milliseconds')); END
	$$;
	CREATE FUNCTION before_model(name text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
		BEGIN RETURN (SELECT count(*) FROM model m WHERE m.name = before_model.name); END
	$$;
	CREATE FUNCTION in_tables(name text, level text) RETURNS bigint LANGUAGE plpgsql AS $$
	DECLARE
		rows bigint;
	BEGIN
		EXECUTE format('SELECT (SELECT coalesce(sum(count), 0) FROM datastream.%I WHERE stream_id = $1)
			+ (SELECT coalesce((ds_block_summary(head)->>''rows'')::int, 0) FROM datastream.heads WHERE stream_id = $1)', 'datapoints_' || level)
			INTO rows USING test.stream(name);
		RETURN rows;
	END $$;
	CREATE FUNCTION check_same(name text, step text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF in_stream(name) <> in_model(name) THEN
			RAISE EXCEPTION USING MESSAGE = format('stream %s has %s, the table %s (%s)', name, in_stream(name), in_model(name), step), ERRCODE = 'XX999';
		END IF;
	END $$;

	-- One datapoint more in a function of its own, for expressions; the role that it runs as may be another.
	CREATE FUNCTION add_stream(name text, t timestamptz, v bigint, late boolean, how int) RETURNS bigint LANGUAGE plpgsql AS $$
	DECLARE
		r record;
	BEGIN
		IF how = 0 THEN
			PERFORM ds_append(test.stream(name), v, t, check_timestamp => NOT late);
		ELSIF how = 1 THEN
			r := ds_append(test.stream(name), v, t, check_timestamp => NOT late);
		ELSIF how = 2 THEN
			FOR i IN 1..4 LOOP
				PERFORM ds_append(test.stream(name), v + i, t, check_timestamp => NOT late);
			END LOOP;
		ELSE
			BEGIN
				PERFORM ds_append(test.stream(name), v, t, check_timestamp => NOT late);
				RAISE EXCEPTION 'undo';
			EXCEPTION WHEN raise_exception THEN
				NULL;
			END;
			PERFORM ds_append(test.stream(name), v + 1, t, check_timestamp => NOT late);
		END IF;
		RETURN 0;
	END $$;
	CREATE FUNCTION add_model(name text, at timestamptz, v bigint, late boolean, how int) RETURNS bigint LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO model (name, t, v) SELECT add_model.name, at, add_model.v + i FROM generate_series(CASE WHEN how < 2 THEN 0 ELSE 1 END, CASE how WHEN 2 THEN 4 WHEN 3 THEN 1 ELSE 0 END) i;
		RETURN 0;
	END $$;
	CREATE FUNCTION other_add_stream(name text, t timestamptz, v bigint, late boolean, how int) RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER AS $$ SELECT add_stream(name, t, v, late, how) $$;
	CREATE ROLE other;
	GRANT ALL ON ALL TABLES IN SCHEMA public, datastream TO other;
	GRANT USAGE ON SCHEMA datastream, test TO other;
	ALTER FUNCTION other_add_stream OWNER TO other;
	CREATE FUNCTION latest(name text) RETURNS timestamptz LANGUAGE sql AS $$
		SELECT coalesce(max(t), '2000-01-01') FROM model m WHERE m.name = latest.name
	$$;
});

my @names = ('a' .. 'f');
my %level = (a => 'seconds', b => 'milliseconds', c => 'seconds', d => 'seconds', e => 'seconds', f => 'seconds');
my $step = 0;

sub pick { return $_[ int(rand(@_)) ]; }

# Times of so many datapoints in terms of i, and whether they are to be checked
sub timestamps
{
	my ($name, $k) = @_;
	my $unit = $name eq 'b' ? '1 ms' : '1 s';
	my $kind = pick('order', 'order', 'equal', 'late', 'mixed');

	return ("latest_t + i * interval '$unit'", 'true') if $kind eq 'order';
	return ('latest_t', 'true') if $kind eq 'equal';
	my $range = pick(10, 100, 3000);
	my $salt = int(rand(1000000));
	my $back = "latest_t - (1 + ((i::bigint * 7919 + $salt) * 104729 % $range)) * interval '$unit'";
	return ($back, 'false') if $kind eq 'late';
	return ("CASE WHEN i % 3 = 0 THEN $back ELSE latest_t + i * interval '$unit' END", 'false');
}

sub value { my ($name, $v) = @_; return $name eq 'd' ? "to_jsonb(($v)::text)" : "($v)"; }

# A loop that appends, and the same for the table, in either order
sub append
{
	my $name = pick(@names);
	my $k = pick(1, 2, 3, 5, 20, 40, 100, rand() < 0.1 ? 2500 : 10);
	my ($t, $check) = timestamps($name, $k);
	my $v = int(rand(1000)) . ' + i';
	my $call = 'ds_append(s_' . $name . ', ' . value($name, $v) . ", $t, check_timestamp => $check)";
	my $insert = "INSERT INTO model (name, t, v) SELECT '$name', $t, $v FROM generate_series(1, $k) i ORDER BY i;";
	my $how = pick('loop', 'loop', 'loop', 'assign', 'select', 'many', 'trigger', 'stable');
	my $append =
		$how eq 'loop' ? "FOR i IN 1..$k LOOP PERFORM $call; END LOOP;"
	  : $how eq 'assign' ? "FOR i IN 1..$k LOOP r := $call; END LOOP;"
	  : $how eq 'select' ? "PERFORM count($call) FROM generate_series(1, $k) i;"
	  : $how eq 'trigger' ? "INSERT INTO inlet SELECT '$name', $t, $v FROM generate_series(1, $k) i ORDER BY i;"
	  : $how eq 'many' && $name ne 'd' ? "PERFORM ds_append_multiple(s_$name, array_agg($t ORDER BY i), array_agg(($v)::float8 ORDER BY i), check_timestamp => $check) FROM generate_series(1, $k) i;"
	  : $how eq 'stable' ? "FOR i IN 1..$k LOOP SELECT before_stream('$name'), ($call).v IS NULL INTO x, z; IF x <> y + i - 1 THEN RAISE EXCEPTION USING MESSAGE = format('%s at %s, not %s (step $step)', x, i, y + i - 1), ERRCODE = 'XX999'; END IF; END LOOP;"
	  : "FOR i IN 1..$k LOOP PERFORM $call; END LOOP;";

	$step++;
	$append = "y := before_model('$name'); $append" if $how eq 'stable';
	return "latest_t := latest('$name'); " . ($how eq 'stable' || rand() < 0.5 ? "$append $insert" : "$insert $append");
}

# Expressions that append and look, between other appends: what they look at is what
# there was when they began.
sub expression
{
	my $name = pick(grep { $_ ne 'd' } @names);
	my $k = pick(1, 2, 5, 20);
	my ($late, $how) = (pick(0, 1), pick(0, 1, 2, 3));
	my $function = pick('add_stream', 'add_stream', 'other_add_stream');
	my $t = $late ? "latest_t - i * interval '1 s'" : 'latest_t';
	my @arguments = ("'$name'", $t, 'i', $late ? 'true' : 'false', $how);
	my $arguments = join ', ', @arguments;
	my $before = pick(0, 1, 3);

	$step++;
	my ($one, $two) = @{ pick([ "$function($arguments)", "before_stream('$name')" ], [ "before_stream('$name')", "$function($arguments)" ]) };
	my ($model_one, $model_two) = map { s/(?:other_)?add_stream/add_model/r =~ s/before_stream/before_model/r } ($one, $two);
	return "latest_t := latest('$name'); xs := '{}'; ys := '{}';"
	  . " FOR i IN 1..$k LOOP FOR j IN 1..$before LOOP PERFORM ds_append(s_$name, j, $t, check_timestamp => false); END LOOP; x := $one + $two; xs := xs || x; END LOOP;"
	  . " FOR i IN 1..$k LOOP INSERT INTO model (name, t, v) SELECT '$name', $t, j FROM generate_series(1, $before) j ORDER BY j; y := $model_one + $model_two; ys := ys || y; END LOOP;"
	  . " IF xs <> ys THEN RAISE EXCEPTION USING MESSAGE = format('expressions have %s, not %s, in step $step', xs, ys), ERRCODE = 'XX999'; END IF;";
}

# Two streams in turn
sub in_turn
{
	my ($one, $other) = (pick('a', 'b', 'c'), pick('d', 'e', 'f'));
	my $k = pick(3, 30, 70);

	return join ' ',
	  (map { "INSERT INTO model (name, t, v) SELECT '$_', latest('$_'), i FROM generate_series(1, $k) i ORDER BY i;" } $one, $other),
	  "latest_t := latest('$one'); latest_u := latest('$other');",
	  "FOR i IN 1..$k LOOP PERFORM ds_append(s_$one, " . value($one, 'i') . ", latest_t);",
	  "PERFORM ds_append(s_$other, " . value($other, 'i') . ', latest_u); END LOOP;';
}

sub look
{
	my $name = pick(@names);
	my $tables = $level{$name};

	$step++;
	return pick(
		"PERFORM check_same('$name', 'step $step');",
		"IF (SELECT in_stream('$name') <> in_model('$name')) THEN RAISE EXCEPTION USING MESSAGE = 'differs in step $step', ERRCODE = 'XX999'; END IF;",
		"SELECT count(*) INTO x FROM ds_get_data(s_$name, 'milliseconds'); SELECT count(*) INTO y FROM model WHERE name = '$name'; IF x <> y THEN RAISE EXCEPTION USING MESSAGE = format('%s, not %s, in step $step', x, y), ERRCODE = 'XX999'; END IF;",
		"x := in_tables('$name', '$tables'); y := before_model('$name'); IF x <> y THEN RAISE EXCEPTION USING MESSAGE = format('%s, not %s, rows in tables in step $step', x, y), ERRCODE = 'XX999'; END IF;",
		"UPDATE datastream.heads SET due = due WHERE stream_id = s_$name;",
		"PERFORM count(*) FROM ds_downsample_streams();",
		"PERFORM ds_get_tags(s_$name);");
}

# A cursor shows what was there when it was opened.
sub cursor
{
	my ($depth) = @_;
	my $name = pick(@names);

	$step++;
	return "DECLARE c refcursor; d refcursor; p text; q text; BEGIN"
	  . " OPEN c FOR SELECT count(*) || coalesce(md5(string_agg(concat(extract(epoch FROM t), ' ', v #>> '{}'), ',')), '') FROM ds_get_data(s_$name, 'milliseconds');"
	  . " OPEN d FOR SELECT count(*) || coalesce(md5(string_agg(concat(extract(epoch FROM t), ' ', v), ',' ORDER BY t, n)), '') FROM model WHERE name = '$name';"
	  . ' ' . ops($depth + 1)
	  . " FETCH c INTO p; FETCH d INTO q; CLOSE c; CLOSE d;"
	  . " IF p <> q THEN RAISE EXCEPTION USING MESSAGE = format('cursor has %s, not %s, in step $step', p, q), ERRCODE = 'XX999'; END IF; END;";
}

# What an exception undoes, is undone.
sub block
{
	my ($depth) = @_;
	my $undo = rand() < 0.5 ? " RAISE EXCEPTION 'undo';" : '';

	return 'BEGIN ' . ops($depth + 1) . $undo . ' EXCEPTION WHEN raise_exception THEN NULL; END;';
}

sub ops
{
	my ($depth) = @_;

	return join "\n", map {
		my $r = rand();
		$r < 0.4 ? append() : $r < 0.5 ? expression() : $r < 0.6 ? in_turn() : $r < 0.8 || $depth > 2 ? look() : $r < 0.87 ? cursor($depth) : block($depth);
	} 1 .. 1 + int(rand(5));
}

sub program
{
	return "DO \$do\$ DECLARE latest_t timestamptz; latest_u timestamptz; r record; z boolean; x bigint; y bigint; xs bigint[]; ys bigint[]; "
	  . join(' ', map { "s_$_ uuid := test.stream('$_');" } @names)
	  . " BEGIN\n" . ops(0) . "\nEND \$do\$;\n";
}

my @wrong;
for my $round (1 .. $rounds)
{
	my $script = "SET client_min_messages = error;\nBEGIN;\n";

	# or else it is loaded in the middle of a statement
	$script = "LOAD 'datastream';\n$script" if rand() < 0.5;
	my $savepoints = 0;

	for (1 .. 1 + int(rand(4)))
	{
		my $r = rand();

		if ($r < 0.2)
		{
			$script .= 'SAVEPOINT s' . ++$savepoints . ";\n";
		}
		elsif ($r < 0.4 && $savepoints > 0)
		{
			$script .= pick('ROLLBACK TO', 'RELEASE') . " s$savepoints;\n";
			$savepoints--;
		}
		$script .= program();
		$script .= "SELECT check_same('" . pick(@names) . "', 'after the statement');\n" if rand() < 0.3;
	}
	$script .= pick('COMMIT', 'COMMIT', 'COMMIT', 'ROLLBACK') . ";\n";
	$script .= join '', map { "SELECT check_same('$_', 'after round $round');\n" } @names;

	my ($out, $err);
	my $status = $node->psql('postgres', $script, stdout => \$out, stderr => \$err, on_error_stop => 1);
	next if $status == 0;
	push @wrong, "round $round: $err\n$script";
	last if @wrong >= 3;
}
is(join("\n", @wrong), '', 'all that is read is what a plain table has');

$node->safe_psql('postgres', 'SET client_min_messages = error; SELECT count(*) FROM ds_downsample_streams()');
is($node->safe_psql('postgres', 'SELECT string_agg(v, E\'\n\') FROM (SELECT v FROM test.violations() v LIMIT 20) x'),
	'', 'what is stored is right');
is( $node->safe_psql(
		'postgres', q{
		SELECT count(*) > 0 FROM (SELECT DISTINCT ON (t) t, v FROM model WHERE name = 'e' ORDER BY t, n DESC) x
	}),
	't',
	'streams that others derive from have been appended to');

# A warning for each stream and statement, with the number of datapoints that stay
$node->safe_psql(
	'postgres', q{
	SELECT ds_append_multiple(ds_ensure_stream(jsonb_build_object('name', name)), array_agg(test.at(i) ORDER BY i), array_agg(i::float8 ORDER BY i))
		FROM unnest(ARRAY['g', 'h', 'k']) name, generate_series(0, 10000) i GROUP BY name;
	SELECT count(*) FROM ds_downsample_streams()});

sub warnings_of
{
	my ($statements) = @_;
	my ($out, $err);

	is($node->psql('postgres', $statements, stdout => \$out, stderr => \$err), 0, 'the statements succeed');
	return join ', ', map { /stream "(.*?)"/ ? s/ of stream ".*//r : $_ } $err =~ /WARNING:  (.*?) (?:lies in a range|lie in ranges)/g;
}

my $late = q{ds_append(test.stream('%s'), i, test.at(i * 37 %% 5000), check_timestamp => false)};
my $to_g = sprintf $late, 'g';
my $to_h = sprintf $late, 'h';
is( warnings_of("SELECT count($to_g), count($to_h) FROM generate_series(1, 500) i"),
	'500 datapoints from "2000-01-01 00:00:22+00" to "2000-01-01 01:23:15+00", 500 datapoints from "2000-01-01 00:00:22+00" to "2000-01-01 01:23:15+00"',
	'a warning a stream');
is(warnings_of("SELECT ($to_g).v FROM generate_series(1, 1) i; SELECT ($to_h).v FROM generate_series(2, 2) i"),
	'datapoint at "2000-01-01 00:00:37+00", datapoint at "2000-01-01 00:01:14+00"', 'a warning a statement');
is( warnings_of(
		qq{DO \$\$ BEGIN
			FOR i IN 1..20 LOOP
				BEGIN
					PERFORM $to_g;
					PERFORM $to_g;
					IF i % 2 = 0 THEN RAISE EXCEPTION 'undo'; END IF;
				EXCEPTION WHEN raise_exception THEN NULL;
				END;
			END LOOP;
		END \$\$}),
	'20 datapoints from "2000-01-01 00:00:37+00" to "2000-01-01 00:11:43+00"',
	'none of what is undone');

# Transactions that end in the middle of a statement
$node->safe_psql(
	'postgres', q{
	SET client_min_messages = error;
	CREATE PROCEDURE commit_some(name text) LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1..100 LOOP
			PERFORM ds_append(test.stream(name), i, test.at(20000 + i));
			PERFORM ds_append(test.stream(name), i, test.at(20000 - i), check_timestamp => false);
			IF i % 20 = 0 THEN ROLLBACK; ELSIF i % 10 = 0 THEN COMMIT; END IF;
		END LOOP;
	END $$;
	CALL commit_some('k');
	BEGIN;
	SELECT count(ds_append(test.stream('g'), i, test.at(20000 + i))) FROM generate_series(1, 100) i;
	PREPARE TRANSACTION 'g';
	COMMIT PREPARED 'g'});
is($node->safe_psql('postgres', q{SELECT count(*) - 10001 FROM ds_get_data(test.stream('k'), 'seconds')}), '100', 'what a procedure has committed is there');
is($node->safe_psql('postgres', q{SELECT count(*) FROM ds_get_data(test.stream('g'), 'seconds', start => test.at(20001))}), '100', 'what a prepared transaction has appended is there');

# What cannot be shown as it was is refused, rather than shown wrong: a query that
# appends, in which a function of the server's own reads what it should not.
my $appended = $node->safe_psql('postgres', q{SELECT test.stream('g')});

sub read_between
{
	my ($expressions) = @_;

	return $node->safe_psql(
		'postgres', qq{
		BEGIN;
		CREATE TABLE found (x text);
		DO \$\$
		DECLARE
			x text;
		BEGIN
			FOR i IN 1..5 LOOP PERFORM ds_append('$appended'::uuid, i, '2001-01-01'); END LOOP;
			SELECT concat($expressions) INTO x;
			INSERT INTO found VALUES (x);
		EXCEPTION WHEN feature_not_supported THEN
			INSERT INTO found VALUES ('refused');
		END \$\$;
		SELECT * FROM found;
		ROLLBACK});
}
my $append = "(ds_append('$appended'::uuid, 6, '2001-01-01')).t IS NULL";
my $rows = qq{substring(query_to_xml('SELECT sum(count) AS n FROM ds_get_series(test.stream(''g''), ''seconds'', start => ''2001-01-01'')', true, false, '')::text FROM '[0-9]+</n>')};
is(read_between("$rows, $append"), '5</n>f', 'a query that appends after it has read shows what was there');
is(read_between("$append, $rows"), 'refused', 'a query that reads after it has appended is refused');
is(read_between("$append, substring(query_to_xml('SELECT 7 AS n', true, false, '')::text FROM '[0-9]+</n>')"), 'f7</n>', 'but not if it reads something else');

# The same for a cursor that is left open, in a later statement.
my ($fetched, $refused);
$node->psql(
	'postgres', qq{
	BEGIN;
	CREATE FUNCTION count_appended() RETURNS bigint LANGUAGE plpgsql STABLE AS \$f\$
	BEGIN
		RETURN (SELECT sum(count) FROM ds_get_series('$appended', 'seconds', start => '2001-01-01'));
	END \$f\$;
	CREATE FUNCTION open_between() RETURNS text LANGUAGE plpgsql STABLE AS \$f\$
	DECLARE
		c refcursor := 'between';
	BEGIN
		OPEN c FOR SELECT count_appended();
		RETURN '';
	END \$f\$;
	DO \$\$
	BEGIN
		FOR i IN 1..5 LOOP PERFORM ds_append('$appended'::uuid, i, '2001-01-01'); END LOOP;
		PERFORM concat($append, query_to_xml('SELECT open_between()', true, false, ''));
	END \$\$;
	SELECT 'it is open';
	FETCH between},
	stdout => \$fetched, stderr => \$refused);
is($fetched, 'it is open', 'a cursor that is left open shows nothing of that later');
like($refused, qr/cannot read streams as they were between two appends/, 'but is refused');

# Triggers on the tables see each datapoint.
is( $node->safe_psql(
		'postgres', q{
		CREATE TABLE seen (latest timestamptz);
		CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (NEW.latest); RETURN NULL; END $$;
		CREATE TRIGGER see AFTER UPDATE ON datastream.heads FOR EACH ROW EXECUTE FUNCTION see();
		DO $$ BEGIN FOR i IN 1..50 LOOP PERFORM ds_append(test.stream('h'), i, test.at(20000 + i)); END LOOP; END $$;
		DROP TRIGGER see ON datastream.heads;
		DO $$ BEGIN FOR i IN 51..100 LOOP PERFORM ds_append(test.stream('h'), i, test.at(20000 + i)); END LOOP; END $$;
		SELECT count(*) || ' ' || count(DISTINCT latest) FROM seen}),
	'50 50',
	'triggers are fired for each datapoint');

SKIP:
{
	skip 'there is no amcheck', 1
	  if $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'}) == 0;
	is($node->safe_psql('postgres', q{CREATE EXTENSION amcheck; SELECT bt_index_check('datastream.heads_pkey', true)}),
		'', 'the index of the heads has all of them');
}

$node->stop;
done_testing();
