/*-------------------------------------------------------------------------
 *
 * median_sketch.h
 *	  How many numbers lie where: what is kept of the numbers of a bucket that
 *	  are too many to keep them all.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_MEDIAN_SKETCH_H
#define DS_MEDIAN_SKETCH_H

#include "codec.h"
#include "value.h"

/*
 * A bin with numbers from GAMMA^(index - 1) up to GAMMA^index, that included,
 * by their magnitude.  What is known of its least and greatest ones narrows that
 * down.  Decimals beyond the range of double make an end 0 or infinity.
 */
typedef struct SketchBin
{
	int32		index;
	int64		count;
	double		low;			/* none is smaller */
	double		high;			/* none is greater */
	int64		low_count;		/* so many are "low" itself, maybe none */
	int64		high_count;		/* likewise; with low = high both are count */
} SketchBin;

/* The bins of the numbers of one sign, by index */
typedef struct SketchBins
{
	int			length;
	int			capacity;
	SketchBin  *bins;
	int			latest;			/* where the last number went */
} SketchBins;

typedef struct Sketch
{
	MemoryContext context;
	int64		zeros;
	SketchBins	negative;
	SketchBins	positive;
	bool		unbounded;		/* the extremes are not known */
	Value		least;
	Value		greatest;
} Sketch;

extern void InitSketch(Sketch *sketch, MemoryContext context);
extern void ResetSketch(Sketch *sketch);

extern void CountInSketch(Sketch *sketch, const Value *number, int64 count);
extern void MergeSketch(Sketch *sketch, const Sketch *other);
extern Value SketchRank(const Sketch *sketch, int64 rank);

/* The stored forms; reading returns how many numbers were added. */
extern void WriteSketch(StringInfo buf, const Sketch *sketch);
extern int64 ReadSketch(Sketch *sketch, Reader *reader);
extern int64 ReadSketch_0(Sketch *sketch, Reader *reader);

#endif							/* DS_MEDIAN_SKETCH_H */
