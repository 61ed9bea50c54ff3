# Random graphs of derived streams, each a small SQL script, and a plain replay
# that says what they must hold.

package DerivedGraphs;

use strict;
use warnings;

use Exporter 'import';
use POSIX 'floor';

our @EXPORT = qw(make_graph check_graph);

# Granularities with their lengths in ms
my @levels = qw(milliseconds seconds 10seconds minutes 10minutes hours);
my %length = (
	milliseconds => 1,
	seconds => 1000,
	'10seconds' => 10_000,
	minutes => 60_000,
	'10minutes' => 600_000,
	hours => 3_600_000);
my %rank = map { $levels[$_] => $_ } 0 .. $#levels;

# All times are offsets from here, in ms.
my $epoch = 1_577_872_800_000;    # 2020-01-01 10:00:00

sub unit { return $_[0] eq 'milliseconds' ? 1 : 1000 }

sub pick { return $_[ int rand @_ ] }

sub timestamp
{
	my ($t) = @_;

	return "to_timestamp(" . ($epoch + $t) . " / 1000.0)";
}


# ---- Making graphs ----

# A graph: its number, its script, and what a replay needs to know.  With the
# same seed, number and mode it is always the same one.
#
# Modes: "immediate"; "background", where the script leaves it to workers to
# derive; "afterwards", where derived streams are made last.
sub make_graph
{
	my ($seed, $number, $mode) = @_;

	srand($seed * 1_000_003 + $number);
	my $graph = {
		number => $number,
		mode => $mode,
		sql => [],
		streams => {},
		order => [],
		mended => 0
	};

	make_sources($graph);
	make_derived($graph, 3 + int rand 4) if $mode ne 'afterwards';
	my $special = int rand 20;

	for my $step (1 .. 8 + int rand 18)
	{
		make_step($graph);
		make_from_now($graph) if $special < 3 && rand() < 0.2;
		expire($graph) if $special == 3 && $mode ne 'afterwards' && rand() < 0.15;
	}
	make_derived($graph, 3 + int rand 4) if $mode eq 'afterwards';
	finish($graph);

	return $graph;
}

sub say_sql
{
	my ($graph, $sql) = @_;

	push @{ $graph->{sql} }, $sql;
}

sub ensure
{
	my ($graph, $name, $stream, $arguments) = @_;

	$stream->{name} = $name;
	$graph->{streams}{$name} = $stream;
	push @{ $graph->{order} }, $name;
	say_sql($graph,
		"SELECT ds_ensure_stream('{\"g\": $graph->{number}, \"n\": \"$name\"}', highest_granularity => '$stream->{level}'$arguments) AS $name \\gset"
	);
}

sub make_sources
{
	my ($graph) = @_;
	my $base = int rand 4;

	# about how far apart datapoints are
	$graph->{step} = $length{ $levels[$base] } * pick(0.4, 1, 1, 2.5);
	for my $i (1 .. 2 + int rand 2)
	{
		my $level = $levels[ $base + (rand() < 0.3 ? int rand 3 : 0) ];

		ensure($graph, "a$i", { level => $level, raw => [], now => 0 }, '');
	}
	ensure($graph, 'r1', { level => $levels[ $base + int rand 2 ], raw => [], now => 0, nominal => 1 },
		", value_type => 'nominal'");
}

# A source of a new stream, at a granularity
sub source_json
{
	my ($graph, $source) = @_;
	my ($name, $level, $role) = @$source;

	return "jsonb_build_object('stream', :'$name'::uuid"
	  . ($level eq $graph->{streams}{$name}{level} && rand() < 0.5 ? '' : ", 'granularity', '$level'")
	  . ($role ? ", 'name', '$role'" : '') . ')';
}

sub make_derived
{
	my ($graph, $count) = @_;
	my $streams = $graph->{streams};

	make_derived_one($graph) foreach 1 .. $count;
}

# Makes a derived stream; one that starts with what is appended from now on, if
# that is wanted.
sub make_derived_one
{
	my ($graph, $from_now) = @_;
	my $streams = $graph->{streams};

	{
		my @usable = grep { ($streams->{$_}{depth} || 0) < 4 && (!$from_now || is_current($graph, $_)) } @{ $graph->{order} };
		my @numeric = grep { !$streams->{$_}{nominal} } @usable;
		my @nominal = grep { $streams->{$_}{nominal} } @usable;
		my $op = pick(qw(sum sum derivative counter_reset counter_derivative counter_derivative));
		my $nsources = $op eq 'sum' ? 1 + int rand 3 : 1;
		my @names = map { rand() < 0.5 ? $numeric[-1 - int rand(@numeric < 3 ? @numeric : 3)] : pick(@numeric) } 1 .. $nsources;
		my ($finest) = sort { $b <=> $a } map { $rank{ $streams->{$_}{level} } } @names;
		my $level = $levels[ $finest + (!$from_now && rand() < 0.3 && $finest < $#levels ? 1 : 0) ];

		return if $from_now && grep { $streams->{$_}{level} ne $level } @names;
		my @sources = map { [ $_, $level ] } @names;
		my $stream = { op => $op, level => $level, sources => \@sources };
		my $arguments = ", derive_op => '$op'";

		if ($op eq 'counter_derivative')
		{
			my $reset = pick(@nominal);

			unshift @sources, [ $reset, $streams->{$reset}{level}, 'reset' ];
			if (rand() < 0.5)
			{
				$stream->{max_value} = 60;
				$arguments .= ", derive_args => '{\"max_value\": 60}'";
			}
		}
		if ($op eq 'counter_reset')
		{
			$stream->{nominal} = 1;
			$arguments .= ", value_type => 'nominal'";
		}
		for my $source (@sources)
		{
			my $depth = 1 + ($streams->{ $source->[0] }{depth} || 0);

			$stream->{depth} = $depth if $depth > ($stream->{depth} || 0);
		}
		if ($from_now)
		{
			set_origins($graph, $stream);
			$arguments .= ', derive_backprocess => false';
		}
		ensure($graph, "d" . (1 + grep { $streams->{$_}{op} } keys %$streams), $stream,
			"$arguments, derive_from => jsonb_build_array(" . join(', ', map { source_json($graph, $_) } @sources) . ')');
	}
}

# Whether what a stream has at this moment can be told without asking
sub is_current
{
	my ($graph, $name) = @_;
	my $stream = $graph->{streams}{$name};

	return 1 if $stream->{raw};
	return $graph->{mode} eq 'immediate' && !$graph->{mixed} && !$stream->{origins}
	  && !grep { $graph->{streams}{ $_->[0] }{level} ne $_->[1] || !is_current($graph, $_->[0]) } @{ $stream->{sources} };
}

# What a stream that starts now does not see of its sources: the datapoints before
# a time, and so many of those at it.
sub set_origins
{
	my ($graph, $stream) = @_;
	my @latest;

	for my $source (@{ $stream->{sources} })
	{
		my $is = $graph->{streams}{ $source->[0] };
		my $datapoints = $is->{raw} || derive($graph, $is);

		delete $_->{datapoints} foreach values %{ $graph->{streams} };
		push @latest, @$datapoints
		  ? [ $datapoints->[-1][0], $is->{raw} ? scalar grep({ $_->[0] == $datapoints->[-1][0] } @$datapoints) : 1e9 ]
		  : undef;
	}
	return if !grep { defined } @latest;

	if ($stream->{op} eq 'sum')
	{
		my ($last) = sort { $b <=> $a } map { $_->[0] } grep { defined } @latest;

		$_ = [ $last, 0 ] foreach grep { !defined $_ || $_->[0] != $last } @latest;
	}
	$stream->{origins} = \@latest;
}

sub make_from_now
{
	my ($graph) = @_;

	make_derived_one($graph, 1);
}

# Deletes what is old of some streams: enough of it, before a gap, for that.  A sum
# of several streams does not wait with that for one that comes late.
sub expire
{
	my ($graph) = @_;
	my %summand = map { $_->[0] => 1 } map { @{ $_->{sources} } } grep { ($_->{op} || '') eq 'sum' && @{ $_->{sources} } > 1 } values %{ $graph->{streams} };

	for my $name (grep { rand() < 0.7 && !$graph->{streams}{$_}{nominal} && !$summand{$_} } @{ $graph->{order} })
	{
		my $stream = $graph->{streams}{$name};

		if ($stream->{raw})
		{
			my $gap = 3 * $length{ $levels[ $rank{ $stream->{level} } + 1 ] || 'hours' };

			append_many($graph, $name, 40);
			append($graph, $name, $stream->{now} + $gap, 0);
			append($graph, $name, $stream->{now} + $gap, 0);
		}
		say_sql($graph, "SELECT FROM ds_set_retention('{\"g\": $graph->{number}, \"n\": \"$name\"}', '$stream->{level}', '1 day');");
		$stream->{expires} = 1;
	}
	say_sql($graph, "SELECT ds_backprocess_streams('{\"g\": $graph->{number}}');") if $graph->{mode} ne 'immediate' || $graph->{mixed};
	say_sql($graph, "SELECT FROM ds_downsample_streams('{\"g\": $graph->{number}}');");
	say_sql($graph, 'SELECT ds_apply_retention();');

	# What is appended from now on must not want what is gone, be it as a reset.
	my ($now) = sort { $b <=> $a } map { $_->{now} } grep { $_->{raw} } values %{ $graph->{streams} };
	for my $name (grep { $graph->{streams}{$_}{raw} } @{ $graph->{order} })
	{
		append($graph, $name, (int($now / 1000) + 1) * 1000, 0);
		$graph->{streams}{$name}{floor} = $graph->{streams}{$name}{now};
	}
}

# A time for a datapoint of a stream that is not late, in its unit
sub next_time
{
	my ($graph, $stream) = @_;
	my $unit = unit($stream->{level});
	my $scale = $graph->{step} > $length{ $stream->{level} } * 3 ? $graph->{step} : $graph->{step} + rand($length{ $stream->{level} });
	my $t = $stream->{now} + pick(0, rand(0.5), rand(2), rand(2), 1, 1, rand(2), rand(10)) * $scale;

	return int($t / $unit) * $unit;
}

sub value
{
	my ($stream) = @_;

	return undef if rand() < 0.15;
	return int rand 2 if $stream->{nominal};
	return $stream->{last} = ($stream->{last} || 0) + int rand 9 if rand() < 0.6;
	return $stream->{last} = int rand(50) / 2;
}

sub sql_value
{
	my ($stream, $value) = @_;

	return 'NULL' if !defined $value;
	return $value ? "'true'::jsonb" : "'false'::jsonb" if $stream->{nominal};
	return $value;
}

# Remembers a datapoint, behind those of its time.
sub remember
{
	my ($stream, $t, $value) = @_;
	my $raw = $stream->{raw};
	my $i = @$raw;

	$i-- while $i > 0 && $raw->[ $i - 1 ][0] > $t;
	splice @$raw, $i, 0, [ $t, $value ];
	$stream->{now} = $t if $t > $stream->{now} || @$raw == 1;
}

sub append
{
	my ($graph, $name, $t, $late) = @_;
	my $stream = $graph->{streams}{$name};
	my $value = value($stream);

	say_sql($graph,
		"SELECT FROM ds_append(:'$name', " . sql_value($stream, $value) . ($stream->{nominal} && !defined $value ? '::jsonb' : defined $value ? '' : '::float8')
		  . ', ' . timestamp($t) . ($late ? ', check_timestamp => false' : '') . ');');
	remember($stream, $t, $value);
}

sub append_many
{
	my ($graph, $name, $count) = @_;
	my $stream = $graph->{streams}{$name};
	my (@times, @values);

	for (1 .. $count)
	{
		my $t = next_time($graph, $stream);
		my $value = value($stream);

		push @times, timestamp($t);
		push @values, sql_value($stream, $value);
		remember($stream, $t, $value);
	}
	say_sql($graph,
		"SELECT ds_append_multiple(:'$name'::uuid, ARRAY[" . join(', ', @times) . "], ARRAY[" . join(', ', @values) . ']::float8[]);');
}

sub make_step
{
	my ($graph) = @_;
	my @names = grep { $graph->{streams}{$_}{raw} } @{ $graph->{order} };
	my $name = rand() < 0.3 ? 'r1' : pick(@names);
	my $stream = $graph->{streams}{$name};
	my $raw = $stream->{raw};
	my $unit = unit($stream->{level});
	my $dice = rand();

	if ($dice < 0.45 || !@$raw)
	{
		append($graph, $name, next_time($graph, $stream), 0);
	}
	elsif ($dice < 0.7)
	{
		my $first = defined $stream->{floor} ? $stream->{floor} : $raw->[0][0];
		my $t = pick(
			defined $stream->{floor} ? $first : $first - rand(3) * $graph->{step},
			$first + rand() * ($stream->{now} - $first),
			$first + rand() * ($stream->{now} - $first),
			$stream->{now} - rand(1.5) * $graph->{step},
			pick(@$raw)->[0], $stream->{now});

		$t = $first if defined $stream->{floor} && $t < $first;
		append($graph, $name, floor($t / $unit) * $unit, 1);
	}
	elsif ($dice < 0.8 && !$stream->{nominal})
	{
		append_many($graph, $name, pick(2, 3, 5, 8, rand() < 0.1 ? 60 : 4));
	}
	elsif ($dice < 0.9)
	{
		say_sql($graph, "SELECT FROM ds_downsample_streams('{\"g\": $graph->{number}}');");
	}
	elsif ($dice < 0.95)
	{
		my %kept = map { $_ => [ [ @{ $graph->{streams}{$_}{raw} } ], $graph->{streams}{$_}{now}, $graph->{streams}{$_}{last} ] } @names;

		my $savepoint = 's' . ++$graph->{savepoints};

		say_sql($graph, "SAVEPOINT $savepoint;");
		make_step($graph) foreach 1 .. 1 + int rand 3;
		say_sql($graph, "ROLLBACK TO $savepoint;");
		@{ $graph->{streams}{$_} }{qw(raw now last)} = @{ $kept{$_} } foreach @names;
	}
	elsif ($graph->{mode} eq 'background' && rand() < 0.5)
	{
		say_sql($graph, "SELECT ds_backprocess_streams('{\"g\": $graph->{number}}');");
	}
	elsif ($graph->{mode} ne 'afterwards' && rand() < 0.3)
	{
		say_sql($graph, 'SET LOCAL datastream.derive = ' . pick(qw(immediate background)) . ';');
		$graph->{mixed} = 1;
	}
}

# What a graph ends with: all that waits is done, and what there is is printed.
sub finish
{
	my ($graph) = @_;
	my $tags = "'{\"g\": $graph->{number}}'";
	my $streams = $graph->{streams};
	my (%seen, @read);

	for (1 .. 3)
	{
		say_sql($graph, "SELECT ds_backprocess_streams($tags);") if $graph->{mode} ne 'immediate' || $graph->{mixed};
		say_sql($graph, "SELECT FROM ds_downsample_streams($tags);");
	}
	say_sql($graph, "SELECT ds_backprocess_streams($tags);") if $graph->{mode} ne 'immediate' || $graph->{mixed};

	for my $stream (map { $streams->{$_} } @{ $graph->{order} })
	{
		push @read, [ $stream->{name}, $stream->{level} ] if !$seen{"$stream->{name} $stream->{level}"}++;
		for my $source (@{ $stream->{sources} || [] })
		{
			push @read, $source if !$seen{"$source->[0] $source->[1]"}++;
		}
	}
	say_sql($graph,
		"SELECT x.g, x.n, x.l, (extract(epoch FROM d.t) * 1000)::bigint - $epoch AS t, CASE WHEN x.h THEN d.v ELSE d.v->'m' END AS v, (extract(epoch FROM (d.times->>'z')::timestamptz) * 1000)::bigint - $epoch AS z"
		  . " FROM (VALUES "
		  . join(', ', map { "($graph->{number}, '$_->[0]', :'$_->[0]'::uuid, '$_->[1]', " . ($_->[1] eq $streams->{ $_->[0] }{level} ? 'true' : 'false') . ')' } @read)
		  . ') x(g, n, id, l, h), ds_get_data(x.id, x.l) d;');
	say_sql($graph, "SELECT $graph->{number}, 'mended', ds_backprocess_streams($tags);");
}


# ---- The replay ----

sub bucket
{
	my ($level, $t) = @_;
	my $from_epoch = $t + $epoch;

	return $from_epoch - $from_epoch % $length{$level} - $epoch;
}

# The datapoints of a stream, in order of time
sub datapoints
{
	my ($graph, $stream) = @_;

	return $stream->{datapoints} ||= $stream->{raw} || derive($graph, $stream);
}

# What a source gives: its datapoints, or the means of its closed buckets,
# which are taken as they are stored.
sub source
{
	my ($graph, $name, $level) = @_;
	my $stream = $graph->{streams}{$name};

	return datapoints($graph, $stream) if $level eq $stream->{level};
	return [ map { [ $_->[2], $_->[1] ] } @{ $graph->{found}{"$name $level"} || [] } ];
}

sub derive
{
	my ($graph, $stream) = @_;
	my @sources = map { source($graph, @$_[ 0, 1 ]) } @{ $stream->{sources} };
	my @derived;

	for my $i ($stream->{origins} ? 0 .. $#sources : ())
	{
		my ($origin, $hidden) = @{ $stream->{origins}[$i] || next };

		$sources[$i] = [ grep { $_->[0] > $origin || ($_->[0] == $origin && $hidden-- <= 0) } @{ $sources[$i] } ];
	}

	if ($stream->{op} eq 'sum')
	{
		my @firsts = map {
			my %first;

			for my $datapoint (@$_)
			{
				my $t = bucket($stream->{level}, $datapoint->[0]);

				$first{$t} = $datapoint->[1] if !exists $first{$t};
			}
			\%first
		} @sources;

		for my $t (sort { $a <=> $b } keys %{ $firsts[0] })
		{
			my $sum;

			next if grep { !exists $_->{$t} } @firsts;
			defined $_->{$t} and $sum = ($sum || 0) + $_->{$t} foreach @firsts;
			push @derived, [ $t, $sum ];
		}
	}
	elsif ($stream->{op} eq 'counter_reset')
	{
		my $previous;

		for my $datapoint (grep { defined $_->[1] } @{ $sources[0] })
		{
			push @derived, [ $datapoint->[0], 1 ] if defined $previous && $datapoint->[1] < $previous;
			$previous = $datapoint->[1];
		}
	}
	else
	{
		my @resets = $stream->{op} eq 'counter_derivative' ? grep { $_->[1] } @{ $sources[0] } : ();
		my $previous;

		for my $datapoint (@{ $sources[-1] })
		{
			my ($t, $value) = @$datapoint;
			my $before = $previous;

			$previous = $datapoint;
			if (!defined $value)
			{
				push @derived, [ $t, undef ];
				next;
			}
			next if !$before || !defined $before->[1] || $before->[0] == $t;
			next if grep { $_->[0] > $before->[0] && $_->[0] <= $t } @resets;

			my $change = $value - $before->[1];
			if ($stream->{op} eq 'counter_derivative' && $change < 0)
			{
				next if !defined $stream->{max_value} || $before->[1] > $stream->{max_value};
				$change += $stream->{max_value};
			}
			push @derived, [ $t, $change / (($t - $before->[0]) / 1000) ];
		}
	}

	my $unit = unit($stream->{level});
	$_->[0] -= ($_->[0] + $epoch) % $unit foreach @derived;

	return \@derived;
}

sub show
{
	my ($datapoints) = @_;

	return join ', ', map { "$_->[0]: " . (defined $_->[1] ? $_->[1] : 'null') } @$datapoints;
}

sub same
{
	my ($found, $expected) = @_;

	return 0 if @$found != @$expected;
	for my $i (0 .. $#$found)
	{
		my ($x, $y) = ($found->[$i][1], $expected->[$i][1]);

		return 0 if $found->[$i][0] != $expected->[$i][0] || defined $x != defined $y;
		return 0 if defined $x && abs($x - $y) > 1e-9 * (1 + abs $y);
	}

	return 1;
}

# What is wrong with a graph, given the lines that its script has printed;
# nothing if all is well.
sub check_graph
{
	my ($graph, @lines) = @_;
	my (%found, $mended, @wrong);

	for (@lines)
	{
		my ($number, $name, $level, $t, $value, $z) = split /\|/;

		if ($name eq 'mended')
		{
			$mended = $level;
			next;
		}
		$value = $value eq 'true' ? 1 : $value eq 'false' ? 0 : $value eq '' || $value eq 'null' ? undef : $value;
		push @{ $found{"$name $level"} }, [ $t, $value, $z ];
	}
	$graph->{found} = \%found;
	push @wrong, 'the script did not run to its end' if !defined $mended;
	push @wrong, "$mended streams had to be mended" if $mended;

	for my $name (@{ $graph->{order} })
	{
		my $stream = $graph->{streams}{$name};
		my $expected = datapoints($graph, $stream);
		my $is = $found{"$name $stream->{level}"} || [];

		$expected = [ @$expected[ @$expected - @$is .. $#$expected ] ]
		  if $stream->{expires} && @$is && @$is < @$expected;
		next if same($is, $expected);
		push @wrong, "$name (" . ($stream->{op} || 'appended') . ") has " . show($is) . " instead of " . show($expected);
	}

	return @wrong;
}

1;
