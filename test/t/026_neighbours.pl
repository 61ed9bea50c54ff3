# Beside other extensions in the same server: the library exports what the server
# looks up in it by name and nothing else, its nodes of plans are such that others
# can walk over them, and a table that Citus knows is left to queries.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('neighbours');
my $pkglibdir = $node->config_data('--pkglibdir');

# ----- Names -----

my ($output, $errors);
IPC::Run::run([ 'nm', '-D', '--defined-only', "$pkglibdir/datastream.so" ],
	'>', \$output, '2>', \$errors) or die "nm: $errors";

my %exported = map { (split)[-1] => 1 } split /\n/, $output;

# Functions of SQL, the entry points of background workers, and what makes the
# library a module
my @functions = split /\n/, $node->safe_psql('postgres',
	q{SELECT DISTINCT prosrc FROM pg_proc WHERE probin = '$libdir/datastream'});
my %looked_up = map { $_ => 1 } qw(Pg_magic_func _PG_init DatastreamLauncherMain DatastreamWorkerMain),
  map { ($_, "pg_finfo_$_") } @functions;

cmp_ok(scalar(@functions), '>', 50, 'the extension has functions in C');
is_deeply([ sort grep { !$looked_up{$_} } keys %exported ], [],
	'nothing is exported but what the server looks up');
is_deeply([ sort grep { !$exported{$_} } keys %looked_up ], [],
	'everything that the server looks up is exported');

# Code for the JIT compiler would call the rest of the library by its names.
$node->safe_psql(
	'postgres', q{
	SELECT ds_ensure_stream('{"name": "compiled"}');
	SELECT ds_append_multiple(test.stream('compiled'), array_agg(test.at(n)), array_agg(n::float8))
		FROM generate_series(1, 100) n});
is( $node->safe_psql(
		'postgres', q{
		SET jit = on;
		SET jit_above_cost = 0;
		SET jit_inline_above_cost = 0;
		SET jit_optimize_above_cost = 0;
		SELECT ds_median(value), ds_time_mean(ds_round('minutes', t)), count(*)
			FROM ds_get_series(test.stream('compiled'), 'seconds') WHERE ds_round('minutes', t) >= test.at(60)}),
	'80|2000-01-01 00:01:00+00|41', 'queries with functions of the library can be compiled');

# ----- Nodes of plans -----

# Printed, kept, copied, and sent to parallel workers; with columns and without any
my $plans = $node->safe_psql(
	'postgres', q{
	SET debug_print_plan = on;
	SET plan_cache_mode = force_generic_plan;
	PREPARE values_of(uuid) AS SELECT sum(value), max(last) FROM ds_get_series($1, 'seconds') WHERE t < test.at(50);
	PREPARE count_of(uuid) AS SELECT count(*) FROM ds_get_series($1, 'seconds');
	PREPARE data_of(uuid) AS SELECT count(*), max(v::text) FROM ds_get_data($1, 'seconds');
	SELECT name FROM pg_settings WHERE name IN ('debug_parallel_query', 'force_parallel_mode') \gset
	SELECT test.stream('compiled') AS id \gset
	EXECUTE values_of(:'id'); EXECUTE count_of(:'id'); EXECUTE data_of(:'id');
	SET :"name" = on;
	DISCARD PLANS;
	EXECUTE values_of(:'id'); EXECUTE count_of(:'id'); EXECUTE data_of(:'id')});
my $answers = "1225|2000-01-01 00:00:49+00\n100\n100|99";
is($plans, "$answers\n$answers", 'plans can be printed, kept, copied and sent to workers');
my @private = slurp_file($node->logfile) =~ /:methods ds_get_(?:series|data)/g;
cmp_ok(scalar(@private), '>=', 6, 'plans have nodes for the functions');
my @nodes = slurp_file($node->logfile) =~ /:custom_private \((\S+)/g;
is_deeply([ grep { !/^\d+\)?$/ } @nodes ], [], 'and what is private in them is a Node');

# ----- Citus -----

# Both ways of access must do the same; only statements can be seen by auto_explain.
sub statements_of
{
	my ($name) = @_;
	my $from = -s $node->logfile;

	$node->safe_psql(
		'postgres', qq{
		LOAD 'auto_explain';
		SET auto_explain.log_min_duration = 0;
		SET auto_explain.log_nested_statements = on;
		SELECT format('SELECT ds_append(test.stream(%L), %s, test.at(%s))', '$name', n, n) FROM generate_series(1, 100) n \\gexec
		SELECT ds_append(test.stream('$name'), n + 0.5, test.at(n), false) FROM generate_series(1, 100, 9) n;
		SELECT FROM ds_downsample_streams();
		SELECT count(*) FROM ds_get_data(test.stream('$name'), 'seconds')});

	my $log = slurp_file($node->logfile, $from);
	return scalar(() = $log =~ /(?:UPDATE datastream\.heads|INSERT INTO datastream\.datapoints_|SELECT start, seq, block)/g);
}

sub content_of
{
	my ($name) = @_;

	return $node->safe_psql(
		'postgres', qq{
		SELECT md5(string_agg(format('%s %s', granularity, d), ' ' ORDER BY granularity, n))
			FROM unnest('{seconds,10seconds,minutes}'::text[]) granularity,
				ds_get_data(test.stream('$name'), granularity) WITH ORDINALITY AS d (t, v, times, n)});
}

# A table as Citus makes it, with its index or without
sub pretend_citus
{
	my ($index, @tables) = @_;

	$node->safe_psql(
		'postgres', q{
		SET allow_system_table_mods = on;
		CREATE TABLE IF NOT EXISTS pg_catalog.pg_dist_partition (logicalrelid regclass, partmethod "char");
		TRUNCATE pg_catalog.pg_dist_partition;
		DROP INDEX IF EXISTS pg_catalog.pg_dist_partition_logical_relid_index;}
		  . ($index
			? 'CREATE UNIQUE INDEX pg_dist_partition_logical_relid_index ON pg_catalog.pg_dist_partition (logicalrelid);'
			: '')
		  . join('', map { "INSERT INTO pg_catalog.pg_dist_partition VALUES ('datastream.$_', 'h');" } @tables));
}

sub forget_citus
{
	$node->safe_psql('postgres',
		'SET allow_system_table_mods = on; DROP TABLE pg_catalog.pg_dist_partition');
}

$node->safe_psql('postgres',
	qq{SELECT ds_ensure_stream('{"name": "$_"}')}) foreach 'local', 'distributed', 'elsewhere', 'in between', 'strange', 'again';
my @all_tables = split /\n/, $node->safe_psql('postgres',
	q{SELECT relname FROM pg_class WHERE relnamespace = 'datastream'::regnamespace AND relkind = 'r'});

cmp_ok(statements_of('local'), '<', 10, 'local tables are accessed with hardly any statement');
pretend_citus(1, @all_tables);
cmp_ok(statements_of('distributed'), '>', 100, 'distributed tables are accessed by statements');
pretend_citus(0, @all_tables);
cmp_ok(statements_of('elsewhere'), '>', 100, 'also if Citus has no index');
is(content_of('distributed'), content_of('local'), 'and statements do the same');

pretend_citus(1, 'runs');
cmp_ok(statements_of('in between'), '<', 10, 'what Citus knows of other tables does not matter');

# A session that has met them as local ones
my $session = begin_session($node, 'postgres', q{SELECT ds_append(test.stream('again'), 1, test.at(1))});
$node->safe_psql('postgres',
	q{INSERT INTO pg_catalog.pg_dist_partition VALUES ('datastream.heads', 'h'); ALTER TABLE datastream.heads SET (fillfactor = 50)});
my $from = -s $node->logfile;
end_session($session,
	q{LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on;
	SELECT ds_append(test.stream('again'), 2, test.at(2))});
like(slurp_file($node->logfile, $from), qr/UPDATE datastream\.heads/, 'a session notices that a table is distributed');
forget_citus();

$node->safe_psql('postgres',
	'SET allow_system_table_mods = on; CREATE VIEW pg_catalog.pg_dist_partition AS SELECT 1 AS logicalrelid');
cmp_ok(statements_of('strange'), '>', 100, 'nor is a table direct that cannot be looked up');
$node->safe_psql('postgres', 'SET allow_system_table_mods = on; DROP VIEW pg_catalog.pg_dist_partition');

is_consistent($node, 'postgres', 'in the end');
no_crash($node);
done_testing();
