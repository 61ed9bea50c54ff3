# Workers, which are superusers, run no code of roles that are not, whatever those
# have put on the extension's tables: they leave the streams alone, and say whose
# it is.  What superusers have put there runs.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('rights', conf => [ with_workers() ]);
my $time = 0;

# Every function of "mallory" says so in the log if a worker runs it, and
# workers' use of those of "admin" is counted.
$node->safe_psql(
	'postgres', q{
	CREATE ROLE mallory LOGIN;
	GRANT USAGE ON SCHEMA datastream TO mallory;
	GRANT ALL ON ALL TABLES IN SCHEMA datastream TO mallory;
	CREATE SCHEMA mallory AUTHORIZATION mallory;
	CREATE FUNCTION test.in_worker() RETURNS boolean LANGUAGE sql STABLE AS
		$$ SELECT backend_type = 'datastream worker' FROM pg_stat_get_activity(pg_backend_pid()) $$;
	GRANT USAGE ON SCHEMA test TO mallory;
	CREATE SEQUENCE test.served;
	CREATE FUNCTION test.serve() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF test.in_worker() THEN
			PERFORM nextval('test.served');
		END IF;
		RETURN new;
	END
	$$;
	SET ROLE mallory;
	CREATE FUNCTION mallory.evil() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF test.in_worker() THEN
			RAISE LOG 'evil code runs as %', current_user;
		END IF;
		RETURN coalesce(new, old);
	END
	$$;
	CREATE FUNCTION mallory.evil(anyelement) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN
		IF test.in_worker() THEN
			RAISE LOG 'evil code runs as %', current_user;
		END IF;
		RETURN true;
	END
	$$;
	CREATE FUNCTION mallory.evil(uuid, uuid) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT mallory.evil($1)';
	CREATE OPERATOR mallory.=== (FUNCTION = mallory.evil, LEFTARG = uuid, RIGHTARG = uuid);
	CREATE DOMAIN mallory.evil AS integer CHECK (mallory.evil(value));
	CREATE TABLE mallory.t (a integer)});
$node->safe_psql('postgres', q{SELECT ds_ensure_stream('{"name": "a"}'), ds_ensure_stream('{"name": "b"}', derive_op => 'derivative', derive_from => to_jsonb(ds_ensure_stream('{"name": "a"}')))});

# Makes work: buckets to be closed, and something to derive.
sub make_work
{
	$time += 1000;
	$node->safe_psql('postgres', "SET datastream.derive = 'background'; SELECT count(ds_append(test.stream('a'), i, test.at($time + i))) FROM generate_series(1, 100) i");
}

sub is_done
{
	my ($name) = @_;

	serves($node, 'postgres', 'SELECT test.waiting() = 0', "$name: the work is done");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM datastream.failures'), '0', "$name: that is no failure");
}

sub no_evil
{
	my ($name) = @_;

	unlike(slurp_file($node->logfile), qr/evil code runs/, "$name: its code does not run");
}

# Tests that a worker leaves streams alone when a statement has been run, by a
# superuser unless it begins with SET ROLE, and a failure says why.  Then it is
# undone.
sub is_left_alone
{
	my ($name, $setup, $message, $undo) = @_;

	$node->safe_psql('postgres', $setup);
	make_work();
	serves($node, 'postgres', "SELECT count(*) > 0 FROM datastream.failures WHERE sqlstate = '42501' AND message LIKE '$message'", "$name: a failure says whose it is")
	  or diag($node->safe_psql('postgres', 'SELECT sqlstate, message FROM datastream.failures'));
	no_evil($name);
	$node->safe_psql('postgres', "SET client_min_messages = error; $undo; UPDATE datastream.failures SET retry_at = now()");
	serves($node, 'postgres', 'SELECT test.waiting() = 0 AND NOT EXISTS (SELECT FROM datastream.failures)', "$name: the work is done when it is gone");
}

# Tests that workers leave the database alone, and the log says why.
sub is_left_entirely
{
	my ($name, $setup, $message, $undo) = @_;
	my $offset = -s $node->logfile;

	$node->safe_psql('postgres', $setup);
	make_work();
	my $found;
	foreach (1 .. 1000)
	{
		$found = slurp_file($node->logfile, $offset) =~ $message and last;
		select undef, undef, undef, 0.1;
	}
	ok($found, "$name: the log says why");
	cmp_ok($node->safe_psql('postgres', 'SELECT test.waiting()'), '>', 0, "$name: nothing is done");
	no_evil($name);
	$node->safe_psql('postgres', "SET client_min_messages = error; $undo");
	make_work();
	is_done($name);
}

make_work();
is_done('nothing');

# Triggers
foreach my $table (qw(heads progress datapoints_seconds datapoints_10seconds sources retention))
{
	is_left_alone("a trigger on $table",
		"SET ROLE mallory; CREATE TRIGGER evil BEFORE INSERT OR UPDATE ON datastream.$table FOR EACH ROW EXECUTE FUNCTION mallory.evil()",
		"trigger evil on table datastream.$table uses what others own: function mallory.evil() belongs to role \"mallory\"%",
		"DROP TRIGGER evil ON datastream.$table");
}
is_left_alone('a trigger of a statement',
	'SET ROLE mallory; CREATE TRIGGER evil AFTER UPDATE ON datastream.heads EXECUTE FUNCTION mallory.evil()',
	'trigger evil on table datastream.heads %mallory.evil()%"mallory"%', 'DROP TRIGGER evil ON datastream.heads');
is_left_alone('a deferred trigger',
	'SET ROLE mallory; CREATE CONSTRAINT TRIGGER evil AFTER UPDATE ON datastream.progress DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mallory.evil()',
	'trigger evil on table datastream.progress %mallory.evil()%"mallory"%', 'DROP TRIGGER evil ON datastream.progress');
is_left_alone('the condition of a trigger',
	'SET ROLE mallory; CREATE TRIGGER evil BEFORE UPDATE ON datastream.heads FOR EACH ROW WHEN (mallory.evil(new.due)) EXECUTE FUNCTION test.serve()',
	'trigger evil on table datastream.heads %mallory.evil(anyelement)%"mallory"%', 'DROP TRIGGER evil ON datastream.heads');
is_left_alone('an operator in the condition of a trigger',
	'SET ROLE mallory; CREATE TRIGGER evil BEFORE UPDATE ON datastream.heads FOR EACH ROW WHEN (new.stream_id OPERATOR(mallory.===) old.stream_id) EXECUTE FUNCTION test.serve()',
	'trigger evil on table datastream.heads %operator mallory.===%"mallory"%', 'DROP TRIGGER evil ON datastream.heads');
is_left_alone('a built-in function in the condition of a trigger',
	q{SET ROLE mallory; CREATE TRIGGER evil BEFORE UPDATE ON datastream.heads FOR EACH ROW WHEN (query_to_xml('SELECT mallory.evil(1)', true, true, '') IS NULL) EXECUTE FUNCTION test.serve()},
	'trigger evil on table datastream.heads calls functions that are not immutable%', 'DROP TRIGGER evil ON datastream.heads');
is_left_alone('arguments of a built-in trigger function',
	q{SET ROLE mallory; CREATE TRIGGER evil BEFORE UPDATE ON datastream.retention FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger('a', 'pg_catalog.english', 'b')},
	'trigger evil on table datastream.retention has arguments%', 'DROP TRIGGER evil ON datastream.retention');

# Foreign keys, either way
is_left_alone('a foreign key to a table',
	'SET ROLE mallory; CREATE TABLE mallory.f (stream_id uuid REFERENCES datastream.heads ON UPDATE CASCADE ON DELETE CASCADE)',
	'constraint f_stream_id_fkey on table mallory.f has to do with table mallory.f of role "mallory"', 'DROP TABLE mallory.f');
is_left_alone('a foreign key of a table',
	'CREATE TABLE mallory.f (stream_id uuid PRIMARY KEY); ALTER TABLE mallory.f OWNER TO mallory; ALTER TABLE datastream.runs ADD CONSTRAINT c CHECK (true); ALTER TABLE datastream.progress ADD CONSTRAINT evil FOREIGN KEY (stream_id) REFERENCES mallory.f NOT VALID',
	'constraint evil on table datastream.progress has to do with table mallory.f of role "mallory"', 'ALTER TABLE datastream.runs DROP CONSTRAINT c; ALTER TABLE datastream.progress DROP CONSTRAINT evil; DROP TABLE mallory.f');
$node->safe_psql('postgres', 'SET ROLE mallory; CREATE TABLE mallory.device (stream_id uuid REFERENCES datastream.streams)');
make_work();
is_done('a foreign key to streams, which workers do not change');

# Owners, and what they can leave behind
is_left_alone('another owner', 'ALTER TABLE datastream.progress OWNER TO mallory',
	'table datastream.progress belongs to role "mallory", which is not a superuser', 'ALTER TABLE datastream.progress OWNER TO CURRENT_USER; GRANT ALL ON datastream.progress TO mallory');
is_left_alone('a default', 'ALTER TABLE datastream.heads ADD extra boolean; ALTER TABLE datastream.heads ALTER extra SET DEFAULT mallory.evil(1::bigint)',
	'default value for column extra of table datastream.heads %"mallory"%', 'ALTER TABLE datastream.heads ALTER extra DROP DEFAULT');
is_left_alone('a constraint', 'ALTER TABLE datastream.heads ADD CONSTRAINT evil CHECK (mallory.evil(due)) NOT VALID',
	'constraint evil on table datastream.heads %"mallory"%', 'ALTER TABLE datastream.heads DROP CONSTRAINT evil');
is_left_alone('a constraint with a built-in function', q{ALTER TABLE datastream.heads ADD CONSTRAINT evil CHECK (query_to_xml('SELECT 1', true, true, '') IS NOT NULL) NOT VALID},
	'constraint evil on table datastream.heads calls functions that are not immutable%', 'ALTER TABLE datastream.heads DROP CONSTRAINT evil');
is_left_alone('an index', 'CREATE INDEX evil ON datastream.heads (mallory.evil(due))',
	'index datastream.evil %"mallory"%', 'DROP INDEX datastream.evil');
is_left_alone('the predicate of an index', 'CREATE INDEX evil ON datastream.heads (due) WHERE mallory.evil(due)',
	'index datastream.evil %"mallory"%', 'DROP INDEX datastream.evil');
is_left_alone('a domain', 'ALTER TABLE datastream.heads ADD evil mallory.evil',
	'type mallory.evil belongs to role "mallory"%', 'ALTER TABLE datastream.heads DROP evil');
is_left_alone('a generated column', 'ALTER TABLE datastream.heads ADD evil boolean GENERATED ALWAYS AS (mallory.evil(due)) STORED',
	'%column evil of table datastream.heads %"mallory"%', 'ALTER TABLE datastream.heads DROP evil');
is_left_alone('a rule', 'CREATE RULE evil AS ON UPDATE TO datastream.heads DO ALSO INSERT INTO mallory.t VALUES (1)',
	'table datastream.heads has rules', 'DROP RULE evil ON datastream.heads');

# What was somebody else's becomes a risk when its owner is no superuser any more.
is_left_alone('a superuser no more',
	'CREATE ROLE admin SUPERUSER; CREATE SCHEMA admin AUTHORIZATION admin; SET ROLE admin; CREATE FUNCTION admin.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
	CREATE TRIGGER admin BEFORE UPDATE ON datastream.heads FOR EACH ROW EXECUTE FUNCTION admin.f(); RESET ROLE; ALTER ROLE admin NOSUPERUSER',
	'trigger admin on table datastream.heads %"admin"%', 'ALTER ROLE admin SUPERUSER');
$node->safe_psql('postgres', 'DROP TRIGGER admin ON datastream.heads');

# A superuser's own triggers run, deferred ones too, and so do policies not.
$node->safe_psql(
	'postgres', q{
	CREATE TRIGGER serve BEFORE UPDATE ON datastream.progress FOR EACH ROW WHEN (old.* IS DISTINCT FROM new.*) EXECUTE FUNCTION test.serve();
	CREATE CONSTRAINT TRIGGER serve_later AFTER UPDATE ON datastream.progress DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION test.serve();
	ALTER TABLE datastream.heads ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
	CREATE POLICY evil ON datastream.heads USING (mallory.evil(due));
	SET ROLE mallory;
	CREATE TRIGGER evil BEFORE UPDATE ON datastream.streams FOR EACH ROW EXECUTE FUNCTION mallory.evil()});
make_work();
is_done("a superuser's triggers");
cmp_ok($node->safe_psql('postgres', q{SELECT last_value FROM test.served}), '>=', 2, 'they have run');
no_evil('a policy');
$node->safe_psql(
	'postgres', q{
	DROP TRIGGER serve ON datastream.progress;
	DROP TRIGGER serve_later ON datastream.progress;
	DROP TRIGGER evil ON datastream.streams;
	DROP POLICY evil ON datastream.heads;
	ALTER TABLE datastream.heads DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY});

# Where workers write what they do, they write nothing then, but go on.
foreach my $table (qw(runs worker_slots))
{
	$node->safe_psql('postgres', "SET ROLE mallory; CREATE TRIGGER evil BEFORE INSERT OR UPDATE OR DELETE ON datastream.$table FOR EACH ROW EXECUTE FUNCTION mallory.evil()");
	make_work();
	is_done("a trigger on $table");
	no_evil("a trigger on $table");
	$node->safe_psql('postgres', "DROP TRIGGER evil ON datastream.$table");
}

# Without a place for failures, or where tables are not what they should be, they
# do nothing.
is_left_entirely('a trigger on failures',
	'SET ROLE mallory; CREATE TRIGGER evil BEFORE INSERT ON datastream.failures FOR EACH ROW EXECUTE FUNCTION mallory.evil()',
	qr/LOG:  datastream worker leaves database "postgres" alone: trigger evil on table datastream.failures uses what others own: function mallory.evil\(\) belongs to role "mallory"/,
	'DROP TRIGGER evil ON datastream.failures');
is_left_entirely('a child', 'CREATE TABLE mallory.child () INHERITS (datastream.heads); ALTER TABLE mallory.child OWNER TO mallory',
	qr/alone: table mallory.child of role "mallory" inherits from table datastream.heads/, 'DROP TABLE mallory.child');
is_left_entirely('a view in the place of a table',
	'ALTER TABLE datastream.runs RENAME TO old_runs; CREATE VIEW datastream.runs AS SELECT * FROM datastream.old_runs; ALTER VIEW datastream.runs OWNER TO mallory',
	qr/alone: view datastream.runs belongs to role "mallory", and is not the extension's own/,
	'DROP VIEW datastream.runs; ALTER TABLE datastream.old_runs RENAME TO runs');

is_served($node, 'postgres', 'after all');
no_crash($node);
$node->stop;
done_testing();
