\echo Use "CREATE EXTENSION ds_codec_test" to load this file. \quit

-- Encodes and decodes random blocks; an error if one comes back different.
-- Returns how many rows there were.
CREATE FUNCTION ds_codec_round_trip(seed bigint, blocks integer) RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;

-- Decodes random blocks that were damaged at random; an error, or a crash, if
-- one is neither refused as damaged nor accepted as a block that comes back
-- the same.
CREATE FUNCTION ds_codec_damage(seed bigint, blocks integer, OUT refused bigint, OUT accepted bigint)
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;

-- Encodes and decodes a series in blocks of the given number of rows,
-- "repeats" times.  Time is in nanoseconds per row, that of the fastest run.
CREATE FUNCTION ds_codec_benchmark(ts timestamptz[], value double precision[],
	block_rows integer DEFAULT 1000, repeats integer DEFAULT 1,
	OUT blocks integer, OUT bytes bigint, OUT bytes_per_row double precision,
	OUT time_bits double precision, OUT value_bits double precision,
	OUT encode_ns double precision, OUT decode_ns double precision, OUT decode_times_ns double precision,
	OUT encoding text)
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;
