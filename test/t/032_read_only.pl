# Every function that writes is refused in a read-only transaction, by its own
# name, and so on a standby; what needs nothing written works there.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use Test::More;

my $primary = new_node('primary', options => { allows_streaming => 1 });
$primary->safe_psql(
	'postgres', q{
	SELECT ds_ensure_stream('{"name": "a"}', '{"unit": "K"}');
	SELECT ds_ensure_stream('{"name": "label"}', value_type => 'nominal');
	SELECT ds_ensure_stream('{"name": "sum"}', derive_from => to_jsonb(ARRAY[test.stream('a')]), derive_op => 'sum');
	SELECT ds_append(test.stream('a'), i, test.at(i)) FROM generate_series(0, 99) i;
	CREATE FUNCTION test.parallel_append(id uuid) RETURNS bigint LANGUAGE plpgsql PARALLEL SAFE AS
		$$ BEGIN RETURN ds_append_multiple(id, ARRAY[test.at(200)], '{1}'); END $$});
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

my %writing = (
	ds_append => [
		(map { "test.stream('a'), '1'::$_" } qw(bigint float8 numeric jsonb json text)),
		q{test.stream('label'), true}, q{test.stream('a'), 1, test.at(0), false}, q{NULL::uuid, 1}],
	ds_append_multiple => [
		(map { "test.stream('a')::$_, ARRAY[test.at(200)], '{1}'" } qw(uuid text)),
		q{ARRAY[test.stream('a')], ARRAY[test.at(200)], '{1}'}, q{test.stream('a'), '{}', '{}'},
		(map { "'[]'::$_" } qw(jsonb json text))],
	ds_ensure_stream => [q{'{"name": "new"}'}, q{'{"name": "a"}', '{"unit": "C"}'}, q{'{"name": "a"}', '{"place": "hall"}'}],
	ds_update_tags => [q{test.stream('a'), '{"unit": "C"}'}, q{test.stream('a'), '{}'}],
	ds_remove_tag => [q{test.stream('a'), '{"unit": 0}'}],
	ds_clear_tags => [q{test.stream('a')}],
	ds_delete_streams => ['', q{'{"name": "sum"}'}, q{'{"name": "nobody"}'}],
	ds_downsample_streams => ['', q{'{"name": "nobody"}'}],
	ds_backprocess_streams => [''],
	ds_set_retention => [q{NULL, 'seconds', '1 year'}, q{NULL, 'seconds', NULL}, q{NULL, NULL, NULL}],
	ds_apply_retention => ['']);

# The functions of the table are all that may write: a new one must come into it.
is( $primary->safe_psql(
		'postgres', q{
		SELECT string_agg(DISTINCT proname::text, ' ' ORDER BY proname::text) FROM pg_proc p
		JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'datastream'
		WHERE provolatile = 'v' AND proname ~ '^ds_'}),
	join(' ', sort keys %writing), 'all functions that are volatile are tested here');

# The error that a statement raises, or "nothing"
sub raised
{
	my ($node, $sql) = @_;
	my (undef, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");

	return $err =~ /ERROR:  ([^\n]*)/ ? $1 : 'nothing';
}

foreach my $function (sort keys %writing)
{
	my $refused = "25006: cannot execute $function() in a read-only transaction";

	foreach my $arguments (@{ $writing{$function} })
	{
		my $call = "SELECT $function($arguments)";

		is(raised($primary, "SET default_transaction_read_only = on;\n$call"), $refused, "read only: $call");
		is(raised($standby, $call), $refused, "on a standby: $call");
	}
}

# A stream that is there as it is asked for is found without writing.
foreach my $call (
	q{ds_ensure_stream('{"name": "a"}')}, q{ds_ensure_stream('{"name": "a"}', '{"unit": "K"}')},
	q{ds_ensure_stream('{"name": "sum"}', derive_from => to_jsonb(ARRAY[test.stream('a')]), derive_op => 'sum')})
{
	is(raised($primary, "SET default_transaction_read_only = on;\nSELECT $call"), 'nothing', "read only: $call");
	is(raised($standby, "SELECT $call"), 'nothing', "on a standby: $call");
}
like(raised($standby, q{SELECT ds_ensure_stream('{"name": "a"}', value_type => 'graph')}), qr/^TS003/, 'nor is it one of another kind');

# In a transaction that has become one for reading only, nothing is written either.
is( raised($primary, q{
		BEGIN;
		SELECT ds_append(test.stream('a'), 1, test.at(100));
		SET TRANSACTION READ ONLY;
		SELECT ds_append(test.stream('a'), 1, test.at(101));
		COMMIT}),
	'25006: cannot execute ds_append() in a read-only transaction', 'a transaction that has written and is read only now');

# A function that hides an append, and says that it is safe in parallel workers
my $setting = $primary->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode';
is(raised($primary, "SET $setting = on;\nSELECT test.parallel_append(stream_id) FROM datastream.streams WHERE tags->>'name' = 'a'"),
	'25000: cannot execute ds_append_multiple() during a parallel operation', 'in a parallel worker');

is($primary->safe_psql('postgres', q{SELECT count(*), max(v::text::int) FROM ds_get_data(test.stream('a'), 'seconds')}),
	'100|99', 'nothing has been written');
is($primary->safe_psql('postgres', 'SELECT count(*) FROM ds_find_streams()'), '3', 'and no stream made or deleted');

no_crash($primary);
$standby->stop;
$primary->stop;
done_testing();
