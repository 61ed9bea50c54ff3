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

-- Encodes and decodes a series of numbers or of JSON, which may be null, in
-- blocks of the given number of rows, "repeats" times.  Bits and nanoseconds are
-- those of a row; times are those of the fastest run.
CREATE FUNCTION ds_codec_benchmark(ts timestamptz[], value double precision[],
	block_rows integer DEFAULT 1000, repeats integer DEFAULT 1,
	OUT blocks integer, OUT bytes bigint, OUT bytes_per_row double precision,
	OUT time_bits double precision, OUT time_encode_ns double precision,
	OUT time_decode_ns double precision, OUT time_encoding text,
	OUT value_bits double precision, OUT value_encode_ns double precision,
	OUT value_decode_ns double precision, OUT value_encoding text)
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;
CREATE FUNCTION ds_codec_benchmark(ts timestamptz[], value jsonb[],
	block_rows integer DEFAULT 1000, repeats integer DEFAULT 1,
	OUT blocks integer, OUT bytes bigint, OUT bytes_per_row double precision,
	OUT time_bits double precision, OUT time_encode_ns double precision,
	OUT time_decode_ns double precision, OUT time_encoding text,
	OUT value_bits double precision, OUT value_encode_ns double precision,
	OUT value_decode_ns double precision, OUT value_encoding text)
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT VOLATILE;
