# Many appends in one statement or transaction, row by row: those that cost by the
# square of their number if each were a version of a row for itself.  Part of
# test/bench/run; run_table runs it.

# SQL that does something with "i" for each of so many rows, in one statement
#
#	loop ROWS STATEMENT
loop()
{
	printf 'DO $$ BEGIN FOR i IN 1..%s LOOP %s; END LOOP; END $$;' "$1" "$2"
}

# Print as NAME how many ms SQL takes, after other SQL has run.
#
#	time_statement SIDE NAME BEFORE SQL
time_statement()
{
	local ms

	ms=$(timed_sql "$1" <<<"$3"$'\n\\timing on\n'"$4") || exit
	say "$2 $ms"
}

# Times in the order of time, and within a day that is there already
next="timestamptz '2024-01-01' + i * interval '1 s'"
late="timestamptz '2024-01-01' + (i::bigint * 7919 % 86400) * interval '1 s'"

# ---- in order ----

append_rows()
{
	local side=$1 set="rows $2" inlet million=$((statement_rows * 10))

	case $side in
		datastream)
			sql "$side" -o /dev/null <<<"SELECT make_streams('$set turn', 10), make_streams('$set one', 1), make_streams('$set copy', 10)"
			time_statement "$side" turn "" "$(loop "$statement_rows" "PERFORM ds_append((ids('$set turn'))[1 + i % 10], i, $next)")"
			time_statement "$side" million "" "$(loop "$million" "PERFORM ds_append((ids('$set one'))[1], i, $next)")"
			inlet="PERFORM ds_append((ids('$set copy'))[NEW.stream], NEW.v, NEW.ts)" ;;
		plain)
			time_statement "$side" turn "TRUNCATE appended;" "$(loop "$statement_rows" "INSERT INTO appended VALUES (1 + i % 10, $next, i)")"
			time_statement "$side" million "TRUNCATE appended;" "$(loop "$million" "INSERT INTO appended VALUES (1, $next, i)")"
			inlet="INSERT INTO appended VALUES (NEW.stream, NEW.ts, NEW.v)" ;;
		*)
			return ;;
	esac
	time_statement "$side" trigger "
		TRUNCATE appended;
		COPY (SELECT 1 + i % 10, $next, i FROM generate_series(1, $statement_rows) AS i) TO '$work/rows.copy';
		CREATE OR REPLACE FUNCTION pass_on() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN ${inlet//\'/\'\'}; RETURN NULL; END';" \
		"COPY inlet FROM '$work/rows.copy';"
}

# ---- late, where the stream has been downsampled; no stream derives from it ----

append_late()
{
	local rows=$((statement_rows * 16 / 100))

	case $1 in
		datastream)
			time_statement "$1" late "SET client_min_messages = error;" \
				"$(loop "$rows" "PERFORM ds_append((ids('bulk $2'))[2], i, $late, check_timestamp => false)")" ;;
		plain)
			time_statement "$1" late "" "$(loop "$rows" "INSERT INTO datapoints VALUES (2, $late, i)")" ;;
	esac
}

# A day of many streams, downsampled
prepare_history()
{
	say "  datastream and plain table: a day of $history_streams streams"
	sql datastream -o /dev/null <<-SQL
		SELECT make_streams('history', $history_streams);
		SELECT ds_append_multiple((ids('history'))[n], ts, v)
			FROM generate_series(1, $history_streams) AS n JOIN days ON stream = 1 + n % $streams;
		SELECT ds_append(unnest(ids('history')), 50.0::float8, '2024-01-02');
		SELECT FROM ds_downsample_streams('{"set": "history"}');
		SQL
	sql plain -v streams="$history_streams" -v days="$streams" -f "$bench/history.sql"
}

append_history()
{
	local rows=$((history_streams * 864))
	local stream="1 + i::bigint * 104729 % $history_streams"

	case $1 in
		datastream)
			time_statement "$1" history "SET client_min_messages = error;" \
				"$(loop "$rows" "PERFORM ds_append((ids('history'))[$stream], i, $late, check_timestamp => false)")
				SELECT FROM ds_downsample_streams('{\"set\": \"history\"}');" ;;
		plain)
			time_statement "$1" history "" \
				"$(loop "$rows" "INSERT INTO history VALUES ($stream, $late, i)")
				SELECT make_again(array_agg($stream), array_agg($late)) FROM generate_series(1, $rows) AS i;" ;;
	esac
}
