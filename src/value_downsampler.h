/*-------------------------------------------------------------------------
 *
 * value_downsampler.h
 *	  What is kept of the values of a bucket, and what clients see of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_VALUE_DOWNSAMPLER_H
#define DS_VALUE_DOWNSAMPLER_H

#include "utils/array.h"
#include "value.h"
#include "value_state.h"

/* In the order in which they are listed everywhere */
typedef enum ValueDownsampler
{
	VALUE_MEAN,
	VALUE_SUM,
	VALUE_MIN,
	VALUE_MAX,
	VALUE_SUM_SQUARES,
	VALUE_STD_DEV,
	VALUE_COUNT,
	VALUE_MOST_OFTEN,
	VALUE_LEAST_OFTEN,
	VALUE_FREQUENCIES,
	VALUE_MEDIAN
} ValueDownsampler;

#define VALUE_DOWNSAMPLER_COUNT		(VALUE_MEDIAN + 1)
#define VALUE_DOWNSAMPLER_BIT(d)	(((uint32) 1) << (d))

extern uint32 DefaultValueDownsamplers(ValueType type);

/* A stream's set as asked for, closed under dependencies; empty array: 0. */
extern uint32 ParseValueDownsamplers(ArrayType *names, ValueType type);

/* A subset of a stream's set "available", as ds_get_data takes it. */
extern uint32 ParseValueDownsamplerSelection(ArrayType *names, uint32 available);

extern ArrayType *ValueDownsamplerNames(uint32 mask);
extern const char *ValueDownsamplerName(ValueDownsampler downsampler);
extern const char *ValueDownsamplerKey(ValueDownsampler downsampler);

/* The columns from which these downsamplers are shown */
extern uint32 ValueDownsamplerColumns(uint32 mask);

/* An error unless the object is an already downsampled value for the stream. */
extern void CheckDownsampledValue(const struct StreamDef *def, Jsonb *json);

/*
 * One result of a bucket, and all of a set as an object; see the table in
 * value_downsampler.c.
 */
extern Value ValueStateResult(const ValueState *state, ValueDownsampler which);
extern Jsonb *ValueStateToJsonb(const ValueState *state, uint32 mask);

/* An already downsampled value as the parts of a bucket, or an error */
extern void ReadDownsampledValue(uint32 downsamplers, bool high_accuracy, Jsonb *json,
								 ValueParts *parts);

/* Arrays of names, for time downsamplers too */
extern int	NamesFromArray(ArrayType *array, char ***names);
extern ArrayType *ArrayFromNames(const char *const *names, int count);

#endif							/* DS_VALUE_DOWNSAMPLER_H */
