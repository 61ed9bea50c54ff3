# ALTER EXTENSION UPDATE of a database that version 0.1.0 has filled: all answers
# stay, the catalogs end as CREATE EXTENSION makes them, and work goes on.  What
# is updated is in test/update; test/update/make made it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use IO::Uncompress::Gunzip qw(gunzip $GunzipError);
use PostgreSQL::Test::Utils;
use Test::More;

my $old = '0.1.0';
my $files = "$FindBin::RealBin/../update";
my $tempdir = PostgreSQL::Test::Utils::tempdir;
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
my $extension = `$pg_config --sharedir` =~ s/\n//r . '/extension';
my $installed = "$extension/datastream--$old.sql";

plan skip_all => 'the directory of extensions is not ours' unless -w $extension && -o $extension;

# The contents of a compressed file
sub unzip
{
	my ($name) = @_;
	my $contents;

	gunzip("$files/$old-$name.gz" => \$contents) or die "$name: $GunzipError";
	return $contents;
}

# Runs a file, or the text of one, in a database; returns its output.
sub run_file
{
	my ($node, $db, $file, $contents) = @_;
	my ($out, $err);

	if (defined $contents)
	{
		$file = "$tempdir/$file";
		unlink $file;
		append_to_file($file, $contents);
	}
	IPC::Run::run([ 'psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($db), '-f', $file ], '>', \$out, '2>', \$err)
	  or die "$file: $err";
	return $out;
}

# The lines that two texts do not share, those of the first with - and of the
# second with +, up to a number.
sub differences
{
	my ($first, $second) = @_;
	my (%count, @result);

	$count{$_}++ foreach split /\n/, $first;
	foreach my $line (split /\n/, $second)
	{
		push @result, "+ $line" unless ($count{$line} || 0) > 0;
		$count{$line}--;
	}
	foreach my $line (split /\n/, $first)
	{
		push @result, "- $line" if ($count{$line} || 0) > 0;
		$count{$line}-- if ($count{$line} || 0) > 0;
	}
	@result = sort { substr($a, 2) cmp substr($b, 2) || $b cmp $a } @result;
	return @result > 100 ? (@result[ 0 .. 99 ], '... ' . (@result - 100) . ' more') : @result;
}

sub is_same
{
	my ($got, $expected, $name) = @_;

	is(join("\n", differences($expected, $got)), '', $name);
}

# Answers as they should be now: a median that lay beyond its bucket's extremes
# is that extreme.
sub corrected
{
	my ($answers) = @_;

	return join "\n", map {
		my ($before, $value, $after) = /^(.*?\|)(\{.*?\})(\|\{.*)?$/ ? ($1, $2, $3 // '') : ($_, undef, '');

		if (defined $value && $value =~ /"n": (-?[\d.e+-]+)/)
		{
			my $median = $1;
			my ($l) = $value =~ /"l": (-?[\d.e+-]+)/;
			my ($u) = $value =~ /"u": (-?[\d.e+-]+)/;
			my $right = defined $l && $median < $l ? $l : defined $u && $median > $u ? $u : $median;

			$value =~ s/"n": \Q$median\E/"n": $right/;
		}
		defined $value ? "$before$value$after" : $_;
	} split /\n/, $answers;
}

# Waits for a line of the server's log.
sub wait_for_line
{
	my ($node, $line) = @_;

	foreach (1 .. 1000)
	{
		return pass("the log says: $line") if slurp_file($node->logfile) =~ $line;
		select undef, undef, undef, 0.1;
	}
	fail("the log says: $line");
}

my $node = new_node('update', conf => [ "shared_preload_libraries = 'datastream'", 'datastream.naptime = 1', 'datastream.close_delay = 0' ]);
my $new = $node->safe_psql('postgres', q{SELECT extversion FROM pg_extension WHERE extname = 'datastream'});
my $expected = corrected(unzip('answers.txt'));

# A database of the old version
unlink $installed;
append_to_file($installed, slurp_file("$files/datastream--$old.sql"));
END { unlink $installed if defined $installed && -o $installed }
$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(updated restored);
$node->safe_psql('updated', "CREATE EXTENSION datastream VERSION '$old'");
run_file($node, 'updated', 'dump.sql', unzip('dump.sql'));
run_file($node, 'updated', 'work.sql', unzip('work.sql'));
is($node->safe_psql('updated', q{SELECT extversion FROM pg_extension WHERE extname = 'datastream'}), $old, 'there is a database of the old version');

# Between the installation of the new library and the update, functions that
# need the tables say what to do, and workers leave them alone.
foreach my $call (
	q{ds_append(stream_id, 1::float8)}, q{ds_append(stream_id, '{}'::jsonb)}, q{ds_append_multiple(ARRAY[stream_id], ARRAY[now()], ARRAY[1])},
	q{ds_get_data(stream_id, 'hours')}, q{ds_get_series(stream_id, 'hours')}, q{ds_get_tags(stream_id)}, q{ds_update_tags(stream_id, '{"a": 1}')},
	q{ds_find_streams()}, q{ds_downsample_streams()}, q{ds_backprocess_streams()}, q{ds_apply_retention()}, q{ds_delete_streams()},
	q{ds_ensure_stream('{"name": "new"}')}, q{ds_set_retention(NULL, 'seconds', '1 day')})
{
	my ($status, $out, $err) = $node->psql('updated', "\\set VERBOSITY verbose\nSELECT $call FROM (SELECT stream_id FROM datastream.streams LIMIT 1) s");

	like($err, qr/ERROR:  TS000: .*the extension "datastream" has version \Q$old\E .*HINT:  Run ALTER EXTENSION datastream UPDATE\./s, "before the update: $call");
}
is($node->safe_psql('updated', q{SELECT ds_mean(i), ds_round('hours', '2024-01-01 12:34:56') FROM generate_series(1, 3) i}), '2|2024-01-01 12:00:00+00', 'before the update: what needs no tables works');
$node->safe_psql('postgres', 'CREATE DATABASE attended');
$node->safe_psql('attended', "CREATE EXTENSION datastream VERSION '$old'");
create_checks($node, 'attended');
run_file($node, 'attended', 'dump.sql', unzip('dump.sql'));
my $state = $node->safe_psql('attended', 'SELECT test.state()');
my $lines = qr/LOG:  datastream worker leaves database "attended" alone: the extension there has version/;
$node->safe_psql('postgres', 'ALTER DATABASE updated ALLOW_CONNECTIONS false');
$node->append_conf('postgresql.conf', 'datastream.enabled = on');
$node->reload;
wait_for_line($node, $lines);
sleep 4;
cmp_ok(scalar(() = slurp_file($node->logfile) =~ /$lines/g), '<=', 2, 'before the update: workers do not come again and again');
is($node->safe_psql('attended', 'SELECT test.state()'), $state, 'before the update: workers change nothing');
$node->safe_psql('attended', 'ALTER EXTENSION datastream UPDATE');
$node->safe_psql('attended', q{SELECT ds_delete_streams(jsonb_build_object('name', name)) FROM unnest(ARRAY['downsampled', 'extreme', 'expired']) name;
	SELECT count(*) FROM unnest(ARRAY['all', 'constant']) name, ds_append(test.stream(name), 1::float8, test.at(40000))});
is_served($node, 'attended', 'after the update');
$node->append_conf('postgresql.conf', 'datastream.enabled = off');
$node->reload;
$node->safe_psql('postgres', 'ALTER DATABASE updated ALLOW_CONNECTIONS true');

# It is updated.
is($node->psql('updated', 'ALTER EXTENSION datastream UPDATE'), 0, 'ALTER EXTENSION UPDATE');
is($node->safe_psql('updated', q{SELECT extversion FROM pg_extension WHERE extname = 'datastream'}), $new, 'to the current version');
is_same(run_file($node, 'updated', "$files/catalog.sql"), run_file($node, 'postgres', "$files/catalog.sql"),
	'the catalogs are as CREATE EXTENSION makes them (- lacking, + not to be there)');
is_same(corrected(run_file($node, 'updated', "$files/answers.sql")), $expected, 'all answers are the same');

# A dump of the old version is restored into the new one.  It lacks what is
# never dumped.
run_file($node, 'restored', 'dump.sql', unzip('dump.sql'));
my $undumped = qr/^(?:failure|run)\|.*\n|(?<=\|)2\|no luck with "broken"/m;
is_same(
	corrected(run_file($node, 'restored', "$files/answers.sql") . "\n") =~ s/$undumped//gr,
	"$expected\n" =~ s/$undumped/$& =~ m{^2} ? '|' : ''/egr,
	'a dump of the old version restores, with the same answers');

# Work goes on, in the same way in both.
create_checks($node, $_) foreach qw(updated restored);
my $go_on = q{
	SET client_min_messages = error;
	SELECT count(ds_append(test.stream(name), i, test.at(30000 + 61 * i)))
		FROM unnest(ARRAY['all', 'default', 'milliseconds', 'exact', 'integers', 'label', 'constant', 'late', 'nulls', 'pressure', 'expired']) name, generate_series(1, 200) i;
	SELECT count(ds_append(test.stream('default'), 5, test.at(77), false));
	SELECT count(*) FROM ds_downsample_streams(until => '2001-01-01');
	SELECT ds_backprocess_streams();
	SELECT count(*) FROM ds_downsample_streams();
	SELECT ds_apply_retention();
	SELECT ds_ensure_stream('{"name": "all"}') = test.stream('all'),
		ds_ensure_stream('{"name": "anew"}', derive_op => 'derivative', derive_from => to_jsonb(test.stream('default'))) IS NOT NULL;
	SELECT ds_backprocess_streams('{"name": "anew"}');
	SELECT count(*) FROM ds_downsample_streams('{"name": "anew"}');
	SELECT ds_delete_streams('{"name": "behind pending"}');
	-- which violations() cannot check: downsampled values, too many empty buckets, nothing left of their datapoints
	SELECT ds_delete_streams(jsonb_build_object('name', name)) FROM unnest(ARRAY['downsampled', 'extreme', 'expired']) name};
foreach my $db (qw(updated restored))
{
	is($node->psql($db, $go_on), 0, "$db: work goes on");
	is_consistent($node, $db, $db);
	is( $node->safe_psql(
			$db, q{
			SELECT count(*), count(*) FILTER (WHERE s.v::numeric = coalesce(a.v::numeric, 0) + d.v::numeric)
			FROM ds_get_data(test.stream('sum'), 'seconds', start => test.at(30000)) s
				JOIN ds_get_data(test.stream('all'), 'seconds', start => test.at(30000)) a USING (t)
				JOIN ds_get_data(test.stream('default'), 'seconds', start => test.at(30000)) d USING (t)}),
		'200|200', "$db: a derived stream follows its sources");
}
my $all = q{
	SELECT concat_ws(' ', s.tags->>'name', l.granularity, d.*) FROM ds_find_streams() s, test.levels() l, ds_get_data(s.stream_id, l.granularity) d ORDER BY s.tags->>'name', l.n, d.t, d.v};
is_same($node->safe_psql('updated', $all), $node->safe_psql('restored', $all), 'with the same results');

no_crash($node);
$node->stop;
done_testing();
