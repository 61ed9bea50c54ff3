# Functions that the parts of test/bench/run share: running SQL and pgbench,
# taking medians, printing tables.
#
# A "side" is one of those that do the same work: datastream, plain (the plain
# table) and timescaledb.

declare -A median=()	# "SIDE FIGURE": the median of its runs
rows=()					# of the table of all sides

say()
{
	printf '%s\n' "$*"
}

heading()
{
	printf '\n== %s\n' "$*"
}

# Say on what, and how, all of this runs.
describe_machine()
{
	say
	say "PostgreSQL $pg_version, asserts $(sql plain -At <<<"SHOW debug_assertions")"
	say "$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores," \
		"$(awk '/^MemTotal/ {printf "%.0f GB", $2 / 1024 / 1024}' /proc/meminfo) of memory," \
		"load $(cut -d ' ' -f 1 /proc/loadavg) at the start"
	say "Server: $(printf '%s, ' "${settings[@]}")all else as by default"
}


# ---- SQL ----

# Run SQL from the standard input, in the database of a side.
#
#	sql SIDE [PSQL-OPTION...]
sql()
{
	local side=$1
	shift

	as_user psql -X -q -v ON_ERROR_STOP=1 -P pager=off -P footer=off -d "${database[$side]}" "$@" ||
		die "the benchmark ends here: this SQL failed"
}

# The same, printing how many milliseconds it took from where "\timing on" is,
# for the client: each statement with its commit and its result.
timed_sql()
{
	local output

	output=$(sql "$@" -o /dev/null) || exit
	awk '/^Time: / {ms += $2} END {print ms}' <<<"$output"
}

# Print the milliseconds that a query takes inside the server, without sending
# its result, when it is run for the second time.
executed_sql()
{
	local output

	output=$(sql "$1" -At -c "EXPLAIN ANALYZE $2" -c "EXPLAIN (ANALYZE, TIMING OFF) $2") || exit
	sed -n 's/^Execution Time: \(.*\) ms/\1/p' <<<"$output" | tail -n 1
}

# Print how much has been written to the write-ahead log so far, in bytes.
wal_written()
{
	sql plain -At <<<"SELECT pg_current_wal_insert_lsn() - '0/0'"
}

# Run pgbench with the script NAME_FORM.sql of this folder, with prepared
# statements.  Prints lines "tps N" and "transactions N", and with the option -r
# "latency N", the average of the script's last statement in ms.
#
#	run_pgbench SIDE NAME [OPTION...]
#
# The variable synchronous_commit is the setting of that name.
run_pgbench()
{
	local side=$1 name=$2 log="$work/pgbench.log"
	shift 2

	as_user env PGOPTIONS="-c synchronous_commit=${synchronous_commit:-on}" \
		pgbench -n -M prepared -f "$bench/${name}_${form[$side]}.sql" "$@" "${database[$side]}" \
		>"$log" 2>&1 || { cat "$log" >&2; die "pgbench failed"; }
	awk '/^tps = / {print "tps", $3}
		/actually processed/ {split($NF, n, "/"); print "transactions", n[1]}
		/^statement latencies/ {statements = 1; next}
		statements && NF {latency = $1}
		END {if (statements) print "latency", latency}' "$log"
}

# Print one figure of the lines "NAME FIGURE" of the standard input.
figure()
{
	awk -v name="$1" '$1 == name {print $2}'
}

# Compute with awk, whose numbers are doubles.
#
#	calculate EXPRESSION [FORMAT]
calculate()
{
	awk "BEGIN {printf \"${2:-%.4g}\", $1}"
}


# ---- medians, and the table of all sides ----

median_of()
{
	printf '%s\n' "$@" | sort -g | awk '{x[NR] = $1} END {print (x[int((NR + 1) / 2)] + x[int(NR / 2) + 1]) / 2}'
}

# Let a function measure each side in turn, several times: FUNCTION SIDE RUN.
# It prints lines "NAME FIGURE", whose medians go to median["SIDE NAME"].
measure()
{
	local function=$1 run side output name number key
	local -A numbers=()

	sql plain <<<"CHECKPOINT"
	for ((run = 1; run <= runs; run++)); do
		for side in "${sides[@]}"; do
			output=$("$function" "$side" "$run") || exit
			[ -n "$output" ] || continue
			say "  $side: ${output//$'\n'/, }"
			while read -r name number; do
				numbers[$side $name]+=" $number"
			done <<<"$output"
		done
	done
	for key in "${!numbers[@]}"; do
		median[$key]=$(median_of ${numbers[$key]})
	done
}

# Add a row to the table.
#
#	row LABEL FIGURE UNIT TARGET
#
# Of the units tps and M/s (millions of datapoints a second) more is better, of
# all others less.  The ratio says how many times better than the plain table
# datastream is.  TARGET is the ratio to reach, or "<N" for datastream's own
# figure, or "-".
row()
{
	rows+=("$1|$3|$4|${median[datastream $2]:-}|${median[plain $2]:-}|${median[timescaledb $2]:-}")
}

# Print the table of all sides, if there is any row in it.
print_table()
{
	[ "${#rows[@]}" -gt 0 ] || return 0
	if [ "$runs" = 1 ]; then
		heading "One run; the ratio says how many times better datastream is"
	else
		heading "Medians of $runs runs; the ratio says how many times better datastream is"
	fi
	say
	printf '%s\n' "${rows[@]}" | awk -F '|' -v timescaledb="$([[ " ${sides[*]} " != *" timescaledb "* ]] || echo 1)" '
		function format(number, unit)
		{
			if (number == "")
				return "-"
			if (unit == "tps")
				return sprintf("%.0f %s", number, unit)
			return sprintf((number < 1 ? "%.3f" : number < 10 ? "%.2f" : "%.1f") " %s", number, unit)
		}
		function ratio_of(ours, others, unit)
		{
			if (ours == "" || others == "" || ours == 0 || others == 0)
				return ""
			return unit ~ /^(tps|M\/s)$/ ? ours / others : others / ours
		}
		function format_ratio(ratio)
		{
			return ratio == "" ? "-" : sprintf(ratio < 10 ? "%.2f" : "%.1f", ratio)
		}
		BEGIN {
			printf "%-48s %12s %12s %7s %7s  %6s", "what", "datastream", "plain table", "ratio", "target", ""
			if (timescaledb)
				printf " %13s %7s", "TimescaleDB", "ratio"
			printf "\n"
		}
		{
			unit = $2; target = $3; ours = $4
			ratio = ratio_of(ours, $5, unit)
			if (target == "-" || ours == "")
				met = ""
			else if (target ~ /^</)
				met = ours + 0 < substr(target, 2) + 0 ? "" : "missed"
			else
				met = ratio >= target + 0 ? "" : "missed"
			printf "%-48s %12s %12s %7s %7s  %6s", $1, format(ours, unit), format($5, unit),
				format_ratio(ratio), target, met
			if (timescaledb)
				printf " %13s %7s", format($6, unit), format_ratio(ratio_of(ours, $6, unit))
			printf "\n"
		}' | sed 's/ *$//'
}
