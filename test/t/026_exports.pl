# The library exports what the server looks up in it by name and nothing else, so
# that it never meets the names of another library in the same process.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('exports');
my $pkglibdir = $node->config_data('--pkglibdir');
my ($output, $errors);

plan skip_all => 'no nm here'
  unless IPC::Run::run([ 'nm', '-D', '--defined-only', "$pkglibdir/datastream.so" ],
	'>', \$output, '2>', \$errors);

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

no_crash($node);
done_testing();
