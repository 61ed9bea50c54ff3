# The encodings alone, over synthetic series and those of the optional folder
# ../shared/data.  Part of test/bench/run.

run_codec()
{
	local length=100000 repeats=30 file name ns

	[ -z "$quick" ] || length=20000 repeats=5
	heading "Encodings alone: bits and ns a row, of times and of values (the fastest of $repeats runs)"
	sql plain -o /dev/null -v rows="$length" -f "$bench/codec.sql"
	for file in "$work"/shared/data/*.csv; do
		[ -f "$file" ] || continue
		name=$(basename "$file" .csv)
		sql plain -v name="$name" <<-SQL
			CREATE TEMPORARY TABLE csv (ts timestamptz, v float8, n serial);
			\\copy csv (ts, v) FROM '$file' (FORMAT csv, HEADER)
			INSERT INTO series SELECT :'name', array_agg(ts ORDER BY ts, n), array_agg(v ORDER BY ts, n) FROM csv;
			SQL
	done
	sql plain -o /dev/null -v repeats="$repeats" <<-'SQL'
		CREATE TABLE codec AS
		SELECT number, name, cardinality(ts) AS rows, result.*
			FROM series, LATERAL ds_codec_benchmark(ts, numbers, repeats => :repeats) AS result
			WHERE numbers IS NOT NULL
		UNION ALL
		SELECT number, name, cardinality(ts), result.*
			FROM series, LATERAL ds_codec_benchmark(ts, labels, repeats => :repeats) AS result
			WHERE labels IS NOT NULL;
		SQL
	say
	sql plain -P border=0 <<-'SQL'
		SELECT name AS series, rows,
				round(time_bits::numeric, 2) AS "time bits", round(time_encode_ns::numeric, 2) AS encode,
				round(time_decode_ns::numeric, 2) AS decode,
				round(value_bits::numeric, 2) AS "value bits", round(value_encode_ns::numeric, 2) AS encode,
				round(value_decode_ns::numeric, 2) AS decode, value_encoding AS encoding
			FROM codec ORDER BY number;
		SQL
	sql plain -At -F ' ' <<<"SELECT value_decode_ns, name FROM codec" >"$work/codec" || exit
	while read -r ns name; do
		median[datastream $name]=$ns
	done <"$work/codec"
}

rows_of_codec()
{
	row "decode decimals, a value" "decimals" ns "<1"
	row "decode integers of 40 bits, a value" "integers of 40 bits" ns "<1"
	row "decode floats (XOR), a value" "doubles that repeat" ns "<3"
}
