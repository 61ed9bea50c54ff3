# How costs grow with the number of streams, the length of a stream and the
# number of sessions, and how much memory is needed.  Part of test/bench/run.

run_scale()
{
	if [ -n "$quick" ]; then
		seconds=2 stream_steps=(100 1000 10000) lengths=(100000 1000000) session_days=10
	else
		seconds=5 stream_steps=(1000 10000 100000 1000000) lengths=(1000000 10000000) session_days=50
		[ -z "$huge" ] || lengths+=(100000000)
	fi

	# in a database where nothing has been yet
	as_user createdb scale || die "could not create a database"
	database[datastream]=scale
	database[plain]=scale
	sql datastream -f "$bench/streams.sql"
	sql plain -f "$bench/plain.sql"

	scale_streams
	scale_length
	scale_sessions
}

# Print the average latency of the last statement of a pgbench script with one
# client, in ms.
#
#	latency_of SIDE NAME [OPTION...]
latency_of()
{
	local output

	output=$(synchronous_commit=off run_pgbench "$@" -r -T "$seconds") || exit
	figure latency <<<"$output"
}

# Run a command, and set peak to the most memory, in MB, that its backend had for
# itself: what is resident but neither shared nor of a file.  Its output goes to
# $work/measured.
with_peak_memory()
{
	local pid= kb most=0

	PGAPPNAME=measured start_job "$@" >"$work/measured"
	while kill -0 "$job" 2>/dev/null; do
		[ -n "$pid" ] || pid=$(sql plain -At \
			<<<"SELECT pid FROM pg_stat_activity WHERE application_name = 'measured' LIMIT 1")
		kb=$(sed -n 's/^RssAnon:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status" 2>/dev/null)
		[ -n "$kb" ] || pid=
		[ "${kb:-0}" -le "$most" ] || most=$kb
		sleep 0.02
	done
	finish_job || die "the benchmark ends here"
	peak=$(calculate "$most / 1024" %.1f)
}

# ---- streams ----

# Every stream has a datapoint for each minute of an hour; then one client
# appends to streams at random, and reads that hour of streams at random.
scale_streams()
{
	local format='%10s  %10s %10s  %10s %10s  %14s  %s\n' count=0 step make_ms bytes name side latency latencies

	heading "Streams: ms to append a datapoint, and to read an hour of 60, by one client"
	say
	printf "$format" streams append plain read plain "make a stream" "its size"
	sql datastream <<<"CREATE TABLE streams (n int PRIMARY KEY, id uuid NOT NULL)"
	for step in "${stream_steps[@]}"; do
		bytes=$(size_of_all) || exit
		make_ms=$(timed_sql datastream <<-SQL
			\\timing on
			SELECT make_streams('scale', $((step - count)));
			SQL
		) || exit
		bytes=$(($(size_of_all) - bytes))
		append_hour $((count + 1)) "$step"
		latencies=()
		for name in scale_append scale_read; do
			for side in datastream plain; do
				latency=$(latency_of "$side" "$name" -D streams="$step") || exit
				latencies+=("$latency")
			done
		done
		printf "$format" "$step" "${latencies[@]}" "$(calculate "$make_ms / ($step - $count)" %.3f)" \
			"$(calculate "$bytes / ($step - $count)" %.0f) bytes"
		count=$step
	done
	sql plain <<<"TRUNCATE datapoints"
}

# Print the bytes of all tables of datastream, with their indexes.
size_of_all()
{
	sql datastream -At <<-SQL
		VACUUM;
		SELECT sum(pg_total_relation_size(oid)) FROM pg_class
			WHERE relnamespace = 'datastream'::regnamespace AND relkind = 'r'
		SQL
}

# Append an hour's datapoints to the streams of a range, in two parts, so that
# streams have some in blocks and some in heads.
append_hour()
{
	local first last

	for ((first = $1; first <= $2; first += 10000)); do
		last=$((first + 9999 < $2 ? first + 9999 : $2))
		sql datastream -o /dev/null -v first="$first" -v last="$last" -f "$bench/scale_fill.sql"
	done
	sql plain <<<"VACUUM ANALYZE; CHECKPOINT"
}

# ---- length ----

# One stream grows, by calls of 10,000 datapoints, all in one backend; then what
# is new is downsampled at once.
scale_length()
{
	local format='%10s  %8s %8s  %10s  %12s %8s\n' from=0 length calls read plain append_peak ms

	heading "Length: ms to read the last hour of 3,600 datapoints, and a backend's private memory"
	say
	with_peak_memory sql datastream -o /dev/null -c "SELECT ds_round('days', now()), pg_sleep(1)"
	say "A backend that has done nothing has $peak MB."
	say
	sql datastream -o /dev/null <<<"SELECT make_streams('length', 1)"
	printf "$format" datapoints read plain appending downsampling ""
	for length in "${lengths[@]}"; do
		calls=$(((length - from) / 10000))
		with_peak_memory run_pgbench datastream scale_length -t "$calls" -D call=$((from / 10000))
		append_peak=$peak
		run_pgbench plain scale_length -t "$calls" -D call=$((from / 10000)) >/dev/null || exit
		sql plain <<<"VACUUM ANALYZE; CHECKPOINT"
		read=$(latency_of datastream scale_hour -D length="$length") || exit
		plain=$(latency_of plain scale_hour -D length="$length") || exit
		with_peak_memory timed_sql datastream -c '\timing on' \
			-c "SELECT FROM ds_downsample_streams('{\"set\": \"length\"}')"
		ms=$(<"$work/measured")
		printf "$format" "$length" "$read" "$plain" "$append_peak MB" \
			"$(calculate "($length - $from) / 1000 / $ms" %.2f) M/s" "$peak MB"
		from=$length
	done
	sql plain <<<"TRUNCATE datapoints"
}

# ---- sessions ----

# Downsample the same work in one session, and split between two.
scale_sessions()
{
	local sets=(one-a one-b two-a two-b) set datapoints begin one two

	heading "Sessions that downsample $((2 * session_days)) stream-days"
	say
	sql plain -o /dev/null -v streams=10 -f "$bench/data.sql"
	for set in "${sets[@]}"; do
		sql datastream -o /dev/null <<-SQL
			SELECT make_streams('$set', $session_days);
			SELECT ds_append_multiple((ids('$set'))[n], ts, v)
				FROM generate_series(1, $session_days) AS n, days WHERE stream = mod(n, 10) + 1;
			SQL
	done
	sql plain <<<"VACUUM ANALYZE; CHECKPOINT"

	datapoints=$((2 * session_days * 86400))
	begin=$(date +%s%N)
	downsample_sets one-a one-b
	one=$(($(date +%s%N) - begin))
	begin=$(date +%s%N)
	downsample_sets two-a &
	downsample_sets two-b && wait $! || die "the benchmark ends here"
	two=$(($(date +%s%N) - begin))
	say "one session:  $(calculate "$datapoints * 1000 / $one" %.2f) M/s"
	say "two sessions: $(calculate "$datapoints * 1000 / $two" %.2f) M/s"
}

# Downsample the streams of some sets, one set after the other.
downsample_sets()
{
	local set

	for set; do
		sql datastream -o /dev/null <<<"SELECT FROM ds_downsample_streams('{\"set\": \"$set\"}')"
	done
}
