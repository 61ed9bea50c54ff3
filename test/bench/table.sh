# datastream beside a plain indexed table: the same work in the same server,
# each side in turn.  Part of test/bench/run.

run_table()
{
	local side

	if [ -n "$quick" ]; then
		runs=1 single_seconds=4 wide_calls=48 streams=5 statement_rows=20000 history_streams=20
	else
		runs=5 single_seconds=10 wide_calls=256 streams=20 statement_rows=100000 history_streams=100
	fi
	day=$((streams * 86400))		# datapoints of a day of all streams

	heading "Preparing"
	for side in "${sides[@]}"; do
		"prepare_$side"
	done

	# Whole days come first, into empty tables, so that nothing that others
	# have deleted makes room for them.
	heading "Whole days of $streams streams: append, size, downsample"
	measure bulk
	heading "Reading a day of one of them"
	measure read_seconds
	measure read_minutes
	heading "Backprocessing a derivative"
	measure backprocess
	heading "Late datapoints, $((statement_rows * 16 / 100)) of one stream and $((history_streams * 864)) of $history_streams, a statement each"
	measure append_late
	prepare_history
	measure append_history
	heading "Appending $statement_rows and $((statement_rows * 10)) datapoints, a statement each"
	measure append_rows
	heading "Appending single datapoints for $single_seconds s"
	empty_plain
	measure append_single
	heading "Appending to 10,000 streams at once, $wide_calls times"
	empty_plain
	measure append_wide
}

rows_of_table()
{
	row "single appends, 1,000 streams, 4 clients" tps tps 0.9
	row "wide appends, 10,000 streams x 1" wide M/s 1
	row "append of stream-days (plain: INSERT ... SELECT)" bulk M/s 10
	row "append of stream-days (plain: COPY)" copy M/s 10
	row "100,000 appends in turn to 10, a statement" turn ms "<1000"
	row "1,000,000 appends to one, a statement" million ms "<10000"
	row "COPY of 100,000 rows, a trigger appends" trigger ms "<2000"
	row "16,000 late appends to one, a statement" late ms "<300"
	row "86,400 late to 100, and the buckets again" history ms "<4000"
	row "downsampling to all levels" downsample M/s 10
	row "size of the raw data with index, a datapoint" size bytes 40
	row "size of all coarser levels, a datapoint" size_levels bytes -
	row "WAL of single appends, a datapoint" single_wal bytes -
	row "WAL of wide appends, a datapoint" wide_wal bytes -
	row "WAL of stream-days, a datapoint" bulk_wal bytes -
	row "read a stream-day, to the client" seconds ms 1
	row "read a stream-day, in the server" seconds_server ms 1
	row "read a day at minutes, to the client" minutes ms 10
	row "read a day at minutes, in the server" minutes_server ms 10
	row "backprocess a derivative over 86,400" backprocess ms "<50"
}

# ---- preparing ----

prepare_datastream()
{
	say "  datastream: streams"
	sql datastream -f "$bench/streams.sql"
	sql datastream -o /dev/null <<<"SELECT make_streams('single', 1000), make_streams('wide', 10000)"
}

prepare_plain()
{
	say "  plain table: $day datapoints, also as a file for COPY"
	sql plain -o /dev/null -v streams="$streams" -f "$bench/data.sql"
	sql plain <<<"COPY (SELECT stream, unnest(ts), unnest(v) FROM days ORDER BY stream) TO '$work/days.copy'"
	sql plain -f "$bench/plain.sql"
}

prepare_timescaledb()
{
	say "  TimescaleDB: the same datapoints"
	sql timescaledb <<<"SET client_min_messages = error; CREATE EXTENSION timescaledb"
	sql timescaledb -o /dev/null -v streams="$streams" -f "$bench/data.sql"
	sql timescaledb -o /dev/null -f "$bench/hypertable.sql"
}

# Make the table of every other side than datastream empty.
empty_plain()
{
	local side

	for side in "${sides[@]}"; do
		case $side in
			plain) sql plain <<<"TRUNCATE datapoints" ;;
			timescaledb) sql timescaledb -o /dev/null -f "$bench/hypertable.sql" ;;
		esac
	done
}

# ---- appending ----

append_single()
{
	local side=$1 run=$2 before after output synchronous_commit=off

	before=$(wal_written) || exit
	output=$(run_pgbench "$side" single -c 4 -j 2 -T "$single_seconds" \
		-D step=0 -D start=$((1700000000 + run * 100000))) || exit
	after=$(wal_written) || exit
	say "tps $(figure tps <<<"$output")"
	say "single_wal $(calculate "($after - $before) / $(figure transactions <<<"$output")")"
}

append_wide()
{
	local side=$1 run=$2 before after output

	before=$(wal_written) || exit
	output=$(run_pgbench "$side" wide -t "$wide_calls" -D call=$((run * wide_calls))) || exit
	after=$(wal_written) || exit
	say "wide $(calculate "$(figure tps <<<"$output") * 10000 / 1e6")"
	say "wide_wal $(calculate "($after - $before) / $((wide_calls * 10000))")"
}

# ---- whole days ----

# Print millions of datapoints a second, of a day of all streams.
day_rate()
{
	calculate "$day / 1000 / $1"
}

# A stream-day is an array in the table "days", for all sides.
bulk()
{
	"bulk_$1" "$2"
}

bulk_datastream()
{
	local set="bulk $1" before after ms size levels

	sql datastream -o /dev/null <<<"SELECT make_streams('$set', $streams)"
	size=$(stored_bytes) || exit
	before=$(wal_written) || exit
	ms=$(timed_sql datastream <<-SQL
		\\timing on
		SELECT sum(ds_append_multiple((ids('$set'))[stream], ts, v)) FROM days;
		SQL
	) || exit
	after=$(wal_written) || exit
	say "bulk $(day_rate "$ms")"
	say "copy $(day_rate "$ms")"
	say "bulk_wal $(calculate "($after - $before) / $day")"
	after=$(stored_bytes) || exit
	say "size $(calculate "($after - $size) / $day")"

	# a datapoint of the next day closes all buckets of this one
	sql datastream -o /dev/null <<<"SELECT ds_append(unnest(ids('$set')), 50.0::float8, '2024-01-02'); VACUUM ANALYZE"
	levels=$(stored_bytes levels) || exit
	ms=$(timed_sql datastream <<-SQL
		\\timing on
		SELECT FROM ds_downsample_streams('{"set": "$set"}');
		SQL
	) || exit
	after=$(stored_bytes levels) || exit
	say "downsample $(day_rate "$ms")"
	say "size_levels $(calculate "($after - $levels) / $day")"
}

# Print the bytes of the tables with raw datapoints, or with "levels" those of
# the levels below, with their indexes.
stored_bytes()
{
	local tables="IN ('datapoints_seconds', 'heads')"

	[ $# = 0 ] || tables="LIKE 'datapoints_%' AND relname <> 'datapoints_seconds'"
	sql datastream -At <<-SQL
		SELECT sum(pg_total_relation_size(oid)) FROM pg_class
			WHERE relnamespace = 'datastream'::regnamespace AND relkind = 'r' AND relname $tables
		SQL
}

bulk_plain()
{
	local before after ms

	sql plain <<<"TRUNCATE datapoints"
	ms=$(timed_sql plain <<-SQL
		\\timing on
		COPY datapoints FROM '$work/days.copy';
		SQL
	) || exit
	say "copy $(day_rate "$ms")"
	sql plain <<<"TRUNCATE datapoints"
	before=$(wal_written) || exit
	ms=$(timed_sql plain <<-SQL
		\\timing on
		INSERT INTO datapoints SELECT stream, unnest(ts), unnest(v) FROM days;
		SQL
	) || exit
	after=$(wal_written) || exit
	say "bulk $(day_rate "$ms")"
	say "bulk_wal $(calculate "($after - $before) / $day")"
	after=$(sql plain -At <<<"SELECT pg_total_relation_size('datapoints')") || exit
	say "size $(calculate "$after / $day")"

	sql plain <<<"VACUUM ANALYZE"
	ms=$(timed_sql plain -f "$bench/downsample_plain.sql") || exit
	say "downsample $(day_rate "$ms")"
	after=$(sql plain -At <<<"SELECT sum(pg_total_relation_size(oid))
		FROM pg_class WHERE relname LIKE 'by_%' AND relkind = 'r'") || exit
	say "size_levels $(calculate "$after / $day")"
}

bulk_timescaledb()
{
	local before after ms

	sql timescaledb -o /dev/null -f "$bench/hypertable.sql"
	ms=$(timed_sql timescaledb <<-SQL
		\\timing on
		COPY datapoints FROM '$work/days.copy';
		SQL
	) || exit
	say "copy $(day_rate "$ms")"
	sql timescaledb -o /dev/null -f "$bench/hypertable.sql"
	before=$(wal_written) || exit
	ms=$(timed_sql timescaledb <<-SQL
		\\timing on
		INSERT INTO datapoints SELECT stream, unnest(ts), unnest(v) FROM days;
		SQL
	) || exit
	after=$(wal_written) || exit
	say "bulk $(day_rate "$ms")"
	say "bulk_wal $(calculate "($after - $before) / $day")"

	sql timescaledb <<<"VACUUM ANALYZE"
	ms=$(timed_sql timescaledb -f "$bench/downsample_timescaledb.sql") || exit
	say "downsample $(day_rate "$ms")"
	sql timescaledb -o /dev/null <<<"SELECT compress_chunk(chunk) FROM show_chunks('datapoints') AS chunk; VACUUM"
	after=$(sql timescaledb -At <<<"SELECT hypertable_size('datapoints')") || exit
	say "size $(calculate "$after / $day")"
	after=$(sql timescaledb -At <<<"SELECT sum(hypertable_size(format('%I.%I',
			materialization_hypertable_schema, materialization_hypertable_name)::regclass))
		FROM timescaledb_information.continuous_aggregates") || exit
	say "size_levels $(calculate "$after / $day")"
}

# ---- reading, of the last run's first stream ----

# Print how long a query takes once it has run before: for the client, as NAME,
# and in the server, as NAME_server.
time_query()
{
	local side=$1 name=$2 query=$3 ms

	ms=$(timed_sql "$side" <<<"$query;"$'\n\\timing on\n'"$query;") || exit
	say "$name $ms"
	ms=$(executed_sql "$side" "$query") || exit
	say "${name}_server $ms"
}

read_seconds()
{
	case $1 in
		datastream)
			time_query "$1" seconds "SELECT t, value FROM ds_get_series((ids('bulk $runs'))[1], 'seconds',
				'2024-01-01', end_exclusive => '2024-01-02')" ;;
		*)
			time_query "$1" seconds "SELECT ts, v FROM datapoints
				WHERE stream = 1 AND ts >= '2024-01-01' AND ts < '2024-01-02' ORDER BY ts" ;;
	esac
}

read_minutes()
{
	case $1 in
		datastream)
			time_query "$1" minutes "SELECT t, mean, min, max FROM ds_get_series((ids('bulk $runs'))[1], 'minutes',
				'2024-01-01', end_exclusive => '2024-01-02')" ;;
		plain)
			time_query "$1" minutes "SELECT date_bin('1 minute', ts, '2000-01-01') AS t, avg(v), min(v), max(v)
				FROM datapoints WHERE stream = 1 AND ts >= '2024-01-01' AND ts < '2024-01-02' GROUP BY 1 ORDER BY 1" ;;
		timescaledb)
			time_query "$1" minutes "SELECT t, sum / count, min, max
				FROM by_minutes WHERE stream = 1 AND t >= '2024-01-01' AND t < '2024-01-02' ORDER BY t" ;;
	esac
}

# ---- deriving ----

backprocess()
{
	local side=$1 run=$2 ms

	case $side in
		datastream)
			ms=$(timed_sql datastream <<-SQL
				SELECT ds_ensure_stream('{"derivative": $run}', derive_op => 'derivative',
					derive_from => to_jsonb((ids('bulk $runs'))[1]));
				\\timing on
				SELECT ds_backprocess_streams('{"derivative": $run}');
				SQL
			) || exit ;;
		plain)
			ms=$(timed_sql plain <<-SQL
				TRUNCATE derivatives;
				\\timing on
				INSERT INTO derivatives
				SELECT stream, ts, (v - lag(v) OVER w) / extract(epoch FROM ts - lag(ts) OVER w)
					FROM datapoints WHERE stream = 1 WINDOW w AS (ORDER BY ts);
				SQL
			) || exit ;;
		*)
			return ;;
	esac
	say "backprocess $ms"
}
