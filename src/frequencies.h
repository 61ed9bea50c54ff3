/*-------------------------------------------------------------------------
 *
 * frequencies.h
 *	  How often each value occurs in a bucket.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_FREQUENCIES_H
#define DS_FREQUENCIES_H

#include "value.h"

/* Different values that a bucket can count */
#define FREQUENCIES_MAX		1000000

typedef struct Frequencies Frequencies;

extern Frequencies *CreateFrequencies(MemoryContext context, bool numbers);
extern void ResetFrequencies(Frequencies *frequencies);

extern void CountDoubles(Frequencies *frequencies, const double *numbers, int n);
extern void CountValue(Frequencies *frequencies, const Value *value, int64 count);
extern void MergeFrequencies(Frequencies *frequencies, const Frequencies *other);

/* The form [{"v": value, "c": count}, ...], most frequent first */
extern Jsonb *FrequenciesToJsonb(const Frequencies *frequencies);
extern bool AddFrequenciesFromJsonb(Frequencies *frequencies, JsonbContainer *list);

extern Value MostOften(const Frequencies *frequencies);
extern Value LeastOften(const Frequencies *frequencies);

#endif							/* DS_FREQUENCIES_H */
