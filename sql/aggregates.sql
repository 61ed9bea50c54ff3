/*
 * Aggregates: the downsamplers for any table.
 *
 * Null inputs are ignored; without any other the result is null, and the count
 * 0.  All of them run in parallel plans, and those of a group share their work
 * if a query has several of them over the same input.
 */

-- Numbers: mean, sum, min, max, sum_squares, std_dev, count
CREATE FUNCTION @extschema@.ds_value_transfn(internal, double precision) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_value_transfn(internal, double precision) IS 'aggregate transition function of numbers';
CREATE FUNCTION @extschema@.ds_value_combinefn(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_value_combinefn(internal, internal) IS 'aggregate combine function of numbers';
CREATE FUNCTION @extschema@.ds_value_serialfn(internal) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_value_serialfn(internal) IS 'aggregate serial function of numbers';
CREATE FUNCTION @extschema@.ds_value_deserialfn(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_value_deserialfn(bytea, internal) IS 'aggregate deserial function of numbers';
CREATE FUNCTION @extschema@.ds_mean_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_mean_finalfn(internal) IS 'aggregate final function of ds_mean';
CREATE FUNCTION @extschema@.ds_sum_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_sum_finalfn(internal) IS 'aggregate final function of ds_sum';
CREATE FUNCTION @extschema@.ds_min_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_min_finalfn(internal) IS 'aggregate final function of ds_min';
CREATE FUNCTION @extschema@.ds_max_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_max_finalfn(internal) IS 'aggregate final function of ds_max';
CREATE FUNCTION @extschema@.ds_sum_squares_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_sum_squares_finalfn(internal) IS 'aggregate final function of ds_sum_squares';
CREATE FUNCTION @extschema@.ds_std_dev_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_std_dev_finalfn(internal) IS 'aggregate final function of ds_std_dev';
CREATE FUNCTION @extschema@.ds_count_finalfn(internal) RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_count_finalfn(internal) IS 'aggregate final function of ds_count';

CREATE AGGREGATE @extschema@.ds_mean(double precision) (
	SFUNC = @extschema@.ds_value_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_mean_finalfn,
	COMBINEFUNC = @extschema@.ds_value_combinefn,
	SERIALFUNC = @extschema@.ds_value_serialfn,
	DESERIALFUNC = @extschema@.ds_value_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_mean(double precision) IS 'average of numbers';
CREATE AGGREGATE @extschema@.ds_sum(double precision) (
	SFUNC = @extschema@.ds_value_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_sum_finalfn,
	COMBINEFUNC = @extschema@.ds_value_combinefn,
	SERIALFUNC = @extschema@.ds_value_serialfn,
	DESERIALFUNC = @extschema@.ds_value_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_sum(double precision) IS 'sum of numbers';
CREATE AGGREGATE @extschema@.ds_min(double precision) (
	SFUNC = @extschema@.ds_value_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_min_finalfn,
	COMBINEFUNC = @extschema@.ds_value_combinefn,
	SERIALFUNC = @extschema@.ds_value_serialfn,
	DESERIALFUNC = @extschema@.ds_value_deserialfn,
	SORTOP = OPERATOR(pg_catalog.<),
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_min(double precision) IS 'smallest of numbers';
CREATE AGGREGATE @extschema@.ds_max(double precision) (
	SFUNC = @extschema@.ds_value_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_max_finalfn,
	COMBINEFUNC = @extschema@.ds_value_combinefn,
	SERIALFUNC = @extschema@.ds_value_serialfn,
	DESERIALFUNC = @extschema@.ds_value_deserialfn,
	SORTOP = OPERATOR(pg_catalog.>),
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_max(double precision) IS 'largest of numbers';
CREATE AGGREGATE @extschema@.ds_sum_squares(double precision) (
	SFUNC = @extschema@.ds_value_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_sum_squares_finalfn,
	COMBINEFUNC = @extschema@.ds_value_combinefn,
	SERIALFUNC = @extschema@.ds_value_serialfn,
	DESERIALFUNC = @extschema@.ds_value_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_sum_squares(double precision) IS 'sum of the squares of numbers';
CREATE AGGREGATE @extschema@.ds_std_dev(double precision) (
	SFUNC = @extschema@.ds_value_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_std_dev_finalfn,
	COMBINEFUNC = @extschema@.ds_value_combinefn,
	SERIALFUNC = @extschema@.ds_value_serialfn,
	DESERIALFUNC = @extschema@.ds_value_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_std_dev(double precision) IS 'population standard deviation of numbers';
CREATE AGGREGATE @extschema@.ds_count(double precision) (
	SFUNC = @extschema@.ds_value_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_count_finalfn,
	COMBINEFUNC = @extschema@.ds_value_combinefn,
	SERIALFUNC = @extschema@.ds_value_serialfn,
	DESERIALFUNC = @extschema@.ds_value_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_count(double precision) IS 'how many numbers there are';

-- The median: exact up to 1,000 numbers, beyond that within 1 %
CREATE FUNCTION @extschema@.ds_median_transfn(internal, double precision) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_median_transfn(internal, double precision) IS 'aggregate transition function of the median';
CREATE FUNCTION @extschema@.ds_median_combinefn(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_median_combinefn(internal, internal) IS 'aggregate combine function of the median';
CREATE FUNCTION @extschema@.ds_median_serialfn(internal) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_median_serialfn(internal) IS 'aggregate serial function of the median';
CREATE FUNCTION @extschema@.ds_median_deserialfn(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_median_deserialfn(bytea, internal) IS 'aggregate deserial function of the median';
CREATE FUNCTION @extschema@.ds_median_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_median_finalfn(internal) IS 'aggregate final function of ds_median';
CREATE AGGREGATE @extschema@.ds_median(double precision) (
	SFUNC = @extschema@.ds_median_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_median_finalfn,
	COMBINEFUNC = @extschema@.ds_median_combinefn,
	SERIALFUNC = @extschema@.ds_median_serialfn,
	DESERIALFUNC = @extschema@.ds_median_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_median(double precision) IS 'median of numbers: exact up to 1,000 of them, then within 1 %';

-- Frequencies, of values of any type that has an order
CREATE FUNCTION @extschema@.ds_frequencies_transfn(internal, anyelement) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_frequencies_transfn(internal, anyelement) IS 'aggregate transition function of frequencies';
CREATE FUNCTION @extschema@.ds_frequencies_combinefn(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_frequencies_combinefn(internal, internal) IS 'aggregate combine function of frequencies';
CREATE FUNCTION @extschema@.ds_frequencies_serialfn(internal) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_frequencies_serialfn(internal) IS 'aggregate serial function of frequencies';
CREATE FUNCTION @extschema@.ds_frequencies_deserialfn(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_frequencies_deserialfn(bytea, internal) IS 'aggregate deserial function of frequencies';
CREATE FUNCTION @extschema@.ds_most_often_finalfn(internal, anyelement) RETURNS anyelement
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_most_often_finalfn(internal, anyelement) IS 'aggregate final function of ds_most_often';
CREATE FUNCTION @extschema@.ds_least_often_finalfn(internal, anyelement) RETURNS anyelement
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_least_often_finalfn(internal, anyelement) IS 'aggregate final function of ds_least_often';
CREATE FUNCTION @extschema@.ds_frequencies_finalfn(internal, anyelement) RETURNS jsonb
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_frequencies_finalfn(internal, anyelement) IS 'aggregate final function of ds_frequencies';
CREATE AGGREGATE @extschema@.ds_most_often(anyelement) (
	SFUNC = @extschema@.ds_frequencies_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_most_often_finalfn,
	FINALFUNC_EXTRA,
	COMBINEFUNC = @extschema@.ds_frequencies_combinefn,
	SERIALFUNC = @extschema@.ds_frequencies_serialfn,
	DESERIALFUNC = @extschema@.ds_frequencies_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_most_often(anyelement) IS 'most frequent value; of equals the smallest';
CREATE AGGREGATE @extschema@.ds_least_often(anyelement) (
	SFUNC = @extschema@.ds_frequencies_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_least_often_finalfn,
	FINALFUNC_EXTRA,
	COMBINEFUNC = @extschema@.ds_frequencies_combinefn,
	SERIALFUNC = @extschema@.ds_frequencies_serialfn,
	DESERIALFUNC = @extschema@.ds_frequencies_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_least_often(anyelement) IS 'least frequent value; of equals the smallest';
CREATE AGGREGATE @extschema@.ds_frequencies(anyelement) (
	SFUNC = @extschema@.ds_frequencies_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_frequencies_finalfn,
	FINALFUNC_EXTRA,
	COMBINEFUNC = @extschema@.ds_frequencies_combinefn,
	SERIALFUNC = @extschema@.ds_frequencies_serialfn,
	DESERIALFUNC = @extschema@.ds_frequencies_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_frequencies(anyelement) IS '[{"v": value, "c": count}, ...], most frequent first, then by value';

-- Timestamps: mean, first, last
CREATE FUNCTION @extschema@.ds_time_transfn(internal, timestamptz) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_time_transfn(internal, timestamptz) IS 'aggregate transition function of timestamps';
CREATE FUNCTION @extschema@.ds_time_combinefn(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_time_combinefn(internal, internal) IS 'aggregate combine function of timestamps';
CREATE FUNCTION @extschema@.ds_time_serialfn(internal) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_time_serialfn(internal) IS 'aggregate serial function of timestamps';
CREATE FUNCTION @extschema@.ds_time_deserialfn(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_time_deserialfn(bytea, internal) IS 'aggregate deserial function of timestamps';
CREATE FUNCTION @extschema@.ds_time_mean_finalfn(internal) RETURNS timestamptz
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_time_mean_finalfn(internal) IS 'aggregate final function of ds_time_mean';
CREATE FUNCTION @extschema@.ds_time_first_finalfn(internal) RETURNS timestamptz
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_time_first_finalfn(internal) IS 'aggregate final function of ds_time_first';
CREATE FUNCTION @extschema@.ds_time_last_finalfn(internal) RETURNS timestamptz
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_time_last_finalfn(internal) IS 'aggregate final function of ds_time_last';
CREATE AGGREGATE @extschema@.ds_time_mean(timestamptz) (
	SFUNC = @extschema@.ds_time_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_time_mean_finalfn,
	COMBINEFUNC = @extschema@.ds_time_combinefn,
	SERIALFUNC = @extschema@.ds_time_serialfn,
	DESERIALFUNC = @extschema@.ds_time_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_time_mean(timestamptz) IS 'average of timestamps';
CREATE AGGREGATE @extschema@.ds_time_first(timestamptz) (
	SFUNC = @extschema@.ds_time_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_time_first_finalfn,
	COMBINEFUNC = @extschema@.ds_time_combinefn,
	SERIALFUNC = @extschema@.ds_time_serialfn,
	DESERIALFUNC = @extschema@.ds_time_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_time_first(timestamptz) IS 'first of timestamps';
CREATE AGGREGATE @extschema@.ds_time_last(timestamptz) (
	SFUNC = @extschema@.ds_time_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_time_last_finalfn,
	COMBINEFUNC = @extschema@.ds_time_combinefn,
	SERIALFUNC = @extschema@.ds_time_serialfn,
	DESERIALFUNC = @extschema@.ds_time_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_time_last(timestamptz) IS 'last of timestamps';

-- Lengths in seconds of the intervals between neighbouring timestamps.  As the
-- order of an aggregate's input is not certain, they are sorted; all of them
-- are kept in memory, 8 bytes each.
CREATE FUNCTION @extschema@.ds_intervals_transfn(internal, timestamptz) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_intervals_transfn(internal, timestamptz) IS 'aggregate transition function of intervals between timestamps';
CREATE FUNCTION @extschema@.ds_intervals_combinefn(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_intervals_combinefn(internal, internal) IS 'aggregate combine function of intervals between timestamps';
CREATE FUNCTION @extschema@.ds_intervals_serialfn(internal) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_intervals_serialfn(internal) IS 'aggregate serial function of intervals between timestamps';
CREATE FUNCTION @extschema@.ds_intervals_deserialfn(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_intervals_deserialfn(bytea, internal) IS 'aggregate deserial function of intervals between timestamps';
CREATE FUNCTION @extschema@.ds_intervals_mean_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_intervals_mean_finalfn(internal) IS 'aggregate final function of ds_intervals_mean';
CREATE FUNCTION @extschema@.ds_intervals_min_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_intervals_min_finalfn(internal) IS 'aggregate final function of ds_intervals_min';
CREATE FUNCTION @extschema@.ds_intervals_max_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_intervals_max_finalfn(internal) IS 'aggregate final function of ds_intervals_max';
CREATE FUNCTION @extschema@.ds_intervals_sum_squares_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_intervals_sum_squares_finalfn(internal) IS 'aggregate final function of ds_intervals_sum_squares';
CREATE FUNCTION @extschema@.ds_intervals_std_dev_finalfn(internal) RETURNS double precision
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION @extschema@.ds_intervals_std_dev_finalfn(internal) IS 'aggregate final function of ds_intervals_std_dev';
CREATE AGGREGATE @extschema@.ds_intervals_mean(timestamptz) (
	SFUNC = @extschema@.ds_intervals_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_intervals_mean_finalfn,
	COMBINEFUNC = @extschema@.ds_intervals_combinefn,
	SERIALFUNC = @extschema@.ds_intervals_serialfn,
	DESERIALFUNC = @extschema@.ds_intervals_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_intervals_mean(timestamptz) IS 'average length, in seconds, of the intervals between sorted timestamps';
CREATE AGGREGATE @extschema@.ds_intervals_min(timestamptz) (
	SFUNC = @extschema@.ds_intervals_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_intervals_min_finalfn,
	COMBINEFUNC = @extschema@.ds_intervals_combinefn,
	SERIALFUNC = @extschema@.ds_intervals_serialfn,
	DESERIALFUNC = @extschema@.ds_intervals_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_intervals_min(timestamptz) IS 'shortest length, in seconds, of the intervals between sorted timestamps';
CREATE AGGREGATE @extschema@.ds_intervals_max(timestamptz) (
	SFUNC = @extschema@.ds_intervals_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_intervals_max_finalfn,
	COMBINEFUNC = @extschema@.ds_intervals_combinefn,
	SERIALFUNC = @extschema@.ds_intervals_serialfn,
	DESERIALFUNC = @extschema@.ds_intervals_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_intervals_max(timestamptz) IS 'longest length, in seconds, of the intervals between sorted timestamps';
CREATE AGGREGATE @extschema@.ds_intervals_sum_squares(timestamptz) (
	SFUNC = @extschema@.ds_intervals_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_intervals_sum_squares_finalfn,
	COMBINEFUNC = @extschema@.ds_intervals_combinefn,
	SERIALFUNC = @extschema@.ds_intervals_serialfn,
	DESERIALFUNC = @extschema@.ds_intervals_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_intervals_sum_squares(timestamptz) IS 'sum of the squared lengths, in seconds, of the intervals between sorted timestamps';
CREATE AGGREGATE @extschema@.ds_intervals_std_dev(timestamptz) (
	SFUNC = @extschema@.ds_intervals_transfn,
	STYPE = internal,
	FINALFUNC = @extschema@.ds_intervals_std_dev_finalfn,
	COMBINEFUNC = @extschema@.ds_intervals_combinefn,
	SERIALFUNC = @extschema@.ds_intervals_serialfn,
	DESERIALFUNC = @extschema@.ds_intervals_deserialfn,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE @extschema@.ds_intervals_std_dev(timestamptz) IS 'population standard deviation of the lengths, in seconds, of the intervals between sorted timestamps';
