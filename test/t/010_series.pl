# Real series, where the optional folder ../shared/data is there: what was
# appended comes back bit for bit, and takes less than ten bytes a datapoint
# with index and head.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use File::Spec;
use PostgreSQL::Test::Utils;
use Test::More;

my @files = sort glob('../../shared/data/*.csv');

SKIP:
{
	skip 'there is no folder ../shared/data', 1 unless @files;
	load_series();
}
done_testing();

# Appends the series and checks what is stored of them.
sub load_series
{
	my $node = new_node('series');
	$node->safe_psql('postgres',
		'CREATE TABLE series (name text, t timestamptz, v float8, n serial)');

	for my $file (@files)
	{
		my $path = File::Spec->rel2abs($file);
		my ($name) = $file =~ m{([^/]+)\.csv$};

		$node->safe_psql('postgres',
			"ALTER TABLE series ALTER name SET DEFAULT '$name';\n"
			  . "\\copy series (t, v) from '$path' csv header");
		$node->safe_psql(
			'postgres', qq{
			SELECT ds_append_multiple(ds_ensure_stream('{"name": "$name"}'),
				array_agg(t ORDER BY t, n), array_agg(v ORDER BY t, n)) FROM series WHERE name = '$name'});

		is( $node->safe_psql(
				'postgres', qq{
				SELECT count(*) FILTER (WHERE a.t = b.t AND float8send(a.v) = float8send(b.value)) = count(*)
				FROM (SELECT t, v, row_number() OVER (ORDER BY t, n) AS i FROM series WHERE name = '$name') a
				FULL JOIN (SELECT t, value, row_number() OVER () AS i
					FROM ds_get_series(test.stream('$name'), 'seconds')) b USING (i)}),
			't',
			"$name: every datapoint comes back bit for bit");
	}

	my $bytes = $node->safe_psql(
		'postgres', q{
		SELECT round((pg_total_relation_size('datastream.datapoints_seconds')
			+ pg_total_relation_size('datastream.heads'))::numeric / count(*), 2) FROM series});
	cmp_ok($bytes, '<', 10, "$bytes bytes a datapoint, index and head included");

	$node->stop;
}
