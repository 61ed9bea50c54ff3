# Derived streams are what a plain replay of their sources gives: random graphs
# of streams, with everything that can happen to them.
#
# DS_GRAPHS in the environment is the number of graphs, DS_SEED what they are
# made from.  A graph that fails is printed as an SQL script.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use DerivedGraphs;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $graphs = $ENV{DS_GRAPHS} || 5000;
my $seed = $ENV{DS_SEED} || 1 + int rand 1_000_000;
my $sessions = 2;
my $shown = 3;

my $node = new_node('derived', conf => ['max_parallel_workers_per_gather = 0']);

note("DS_SEED=$seed DS_GRAPHS=$graphs");
run_graphs($_) foreach qw(immediate background afterwards);
$node->stop;
done_testing();

sub script
{
	my ($graph) = @_;

	return join "\n", 'BEGIN;',
	  ($graph->{mode} eq 'background' ? ('SET LOCAL datastream.derive = background;') : ()),
	  @{ $graph->{sql} }, 'ROLLBACK;', '';
}

# Runs a third of the graphs and compares each with its replay.
sub run_graphs
{
	my ($mode) = @_;
	my %first = (immediate => 1, background => 2, afterwards => 3);
	my @numbers = grep { $_ % 3 == $first{$mode} % 3 } 1 .. $graphs;
	my (@handles, @outputs, @errors, $failed);

	$failed = 0;
	for my $session (0 .. $sessions - 1)
	{
		my $input = "SET timezone = 'UTC'; SET client_min_messages = error;\n"
		  . join '', map { script(make_graph($seed, $_, $mode)) } grep { int($_ / 3) % $sessions == $session } @numbers;

		$outputs[$session] = $errors[$session] = '';
		push @handles,
		  IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
			'<', \$input, '>', \$outputs[$session], '2>', \$errors[$session]);
	}
	IPC::Run::finish($_) foreach @handles;

	my %lines;
	for (map { split /\n/ } @outputs)
	{
		push @{ $lines{$1} }, $_ if /^(\d+)\|/;
	}
	for my $number (@numbers)
	{
		my $graph = make_graph($seed, $number, $mode);
		my @wrong = check_graph($graph, @{ $lines{$number} || [] }) or next;

		$failed++;
		diag("DS_SEED=$seed, graph $number:\n" . script($graph) . join("\n", @wrong)) if $failed <= $shown;
	}
	diag($_) foreach grep { $_ ne '' } map { substr $_, 0, 2000 } @errors;
	is($failed, 0, scalar(@numbers) . " graphs, $mode, DS_SEED=$seed");
}
