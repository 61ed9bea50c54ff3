# What background workers cost and how much they do, on a server of their own.
# Part of test/bench/run.

run_workers()
{
	if [ -n "$quick" ]; then
		active=500 crowds=(500 20000) many=5000 seconds=15
	else
		active=1000 crowds=(1000 1000000) many=100000 seconds=60
	fi

	stop_server "$work/server"
	start_server workers "${settings[@]}" "shared_preload_libraries = 'datastream'" \
		"datastream.naptime = 1s" "datastream.close_delay = 0" "synchronous_commit = off"
	as_user createdb workers || die "could not create a database"
	database[datastream]=workers

	workers_crowd
	workers_speed
	workers_latency
}

# Make the number of streams of a set so many: straight in their tables, since
# there are many.
make_crowd()
{
	sql datastream <<-SQL
		DROP EXTENSION IF EXISTS datastream CASCADE;
		CREATE EXTENSION datastream;
		SELECT ds_ensure_stream('{"n": 1}') \\g /dev/null
		INSERT INTO datastream.streams (stream_id, tags, value_type, value_type_options, value_downsamplers, highest_granularity)
			SELECT gen_random_uuid(), jsonb_build_object('n', n), value_type, value_type_options, value_downsamplers, highest_granularity
			FROM generate_series(2, $1) n, datastream.streams;
		INSERT INTO datastream.heads (stream_id) SELECT stream_id FROM datastream.streams ON CONFLICT DO NOTHING;
		INSERT INTO datastream.progress (stream_id) SELECT stream_id FROM datastream.streams ON CONFLICT DO NOTHING;
		DROP TABLE IF EXISTS crowd, members;
		CREATE TABLE crowd AS SELECT array_agg(stream_id ORDER BY tags -> 'n') AS ids FROM datastream.streams;
		CREATE TABLE members AS SELECT n, id FROM crowd, unnest(ids) WITH ORDINALITY AS member (id, n);
		ALTER TABLE members ADD PRIMARY KEY (n);
		VACUUM ANALYZE;
	SQL
}

# Append a datapoint to the first so many streams, so many seconds after some
# time of today, and wait until workers have closed the buckets that are over.
append_crowd()
{
	sql datastream <<-SQL
		SELECT ds_append_multiple(ids[1:$1], array_fill(date_trunc('day', now()) - interval '1 day' + $2 * interval '1 s', '{$1}'),
			array_fill($2::float8, '{$1}')) FROM crowd \\g /dev/null
		DO \$\$
		BEGIN
			WHILE EXISTS (SELECT FROM datastream.heads WHERE due) LOOP
				PERFORM pg_sleep(0.05);
				COMMIT;
			END LOOP;
		END \$\$;
		SELECT pg_sleep(1.5) \\g /dev/null
	SQL
}

# Print how many streams workers have done since this was called last, in how
# many seconds of theirs: "streams N", "seconds N".
worked()
{
	sql datastream -At -F ' ' <<-SQL
		WITH run AS (DELETE FROM datastream.runs RETURNING *)
		SELECT unnest(ARRAY['streams', 'seconds']), unnest(ARRAY[sum(streams), extract(epoch FROM sum(duration))]) FROM run
	SQL
}

# ---- what is there but has no work ----

workers_crowd()
{
	local format='%10s  %10s  %14s\n' crowd output

	heading "A pass over $active streams that have one bucket to close each, of so many streams"
	say
	printf "$format" streams active "seconds of work"
	for crowd in "${crowds[@]}"; do
		make_crowd "$crowd"
		append_crowd "$active" 0
		append_crowd "$active" 10
		worked >/dev/null
		append_crowd "$active" 20
		output=$(worked) || exit
		printf "$format" "$crowd" "$(figure streams <<<"$output")" \
			"$(calculate "$(figure seconds <<<"$output")" %.2f)"
	done
}

# ---- how much one worker does ----

workers_speed()
{
	local format='%10s  %10s  %24s  %s\n' workers output rate

	heading "$many streams with a datapoint each, each with one bucket to close"
	say
	printf "$format" workers streams "streams/s by one worker" "so it keeps up with, at a datapoint every 10 s"
	make_crowd "$many"
	append_crowd "$many" 0
	append_crowd "$many" 10
	for workers in 1 2; do
		sql datastream -c "ALTER SYSTEM SET datastream.max_workers = $workers" -c "SELECT FROM pg_reload_conf()" -o /dev/null
		sleep 1
		worked >/dev/null
		append_crowd "$many" $((10 + workers * 10))
		output=$(worked) || exit
		rate=$(calculate "$(figure streams <<<"$output") / $(figure seconds <<<"$output")" %.0f)
		printf "$format" "$workers" "$(figure streams <<<"$output")" "$rate" "$((rate * 10)) streams"
	done
}

# ---- what appends notice of workers ----

# Print the median and the 99th percentile of the latencies, in ms, of single
# appends by 4 clients to 1,000 streams, with the time of the clock, at 2,000 a
# second.
append_latencies()
{
	rm -f "$work"/latency.*
	as_user pgbench -n -M prepared -f "$bench/workers_append.sql" -c 4 -R 2000 -T "$seconds" \
		-l --log-prefix="$work/latency" "${database[datastream]}" >"$work/pgbench.log" 2>&1 ||
		{ cat "$work/pgbench.log" >&2; die "pgbench failed"; }
	cat "$work"/latency.* | awk '{print ($3 - $7) / 1000}' | sort -g |
		awk '{x[NR] = $1} END {printf "%.2f %.2f %.2f\n", x[int(NR * 0.5)], x[int(NR * 0.99)], x[NR]}'
}

workers_latency()
{
	local format='%10s  %10s  %10s  %10s\n' enabled

	heading "ms of a single append to one of 1,000 streams, 2,000 a second"
	say
	make_crowd 1000
	printf "$format" workers median "99 %" longest
	for enabled in off on off on; do
		sql datastream -c "ALTER SYSTEM SET datastream.enabled = $enabled" -c "SELECT FROM pg_reload_conf()" -o /dev/null
		printf "$format" "$enabled" $(append_latencies)
	done
}
