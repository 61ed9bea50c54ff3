/*-------------------------------------------------------------------------
 *
 * median_sketch.c
 *	  How many numbers lie where: what is kept of the numbers of a bucket that
 *	  are too many to keep them all.
 *
 * The sketch is a DDSketch (Masson, Rim and Lee, VLDB 2019): numbers are
 * counted in bins whose bounds are powers of GAMMA, so that the middle of a bin
 * is within half a per cent of every number in it.  Bins are never joined:
 * doubles have less than 150,000 of them a sign, and a bucket only those in
 * which it has numbers, some hundreds in practice.
 *
 * Many series move by less than a bin: air pressure, mains frequency,
 * temperatures in kelvin.  So each bin keeps its least and its greatest number
 * and how many these are, between which its other numbers are taken to be
 * evenly spread.  One or two different numbers in a bin are exact that way, and
 * no result lies outside of what has been counted.
 *
 * The stored form is
 *	 count of zeros
 *	 least and greatest number, each as a byte with its kind, and a double or a
 *		text with its length; null if they are not known
 *	 for the negative and for the positive numbers the number of bins, their
 *		indexes, counts, least numbers, greatest numbers (0 where all of a bin
 *		are the same), and of both how many they are (0 likewise)
 * Version 0.1.0 wrote no extremes, and of each bin its index, its count, and the
 * number that all of it are, or 0.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "common/int.h"
#include "datapoint.h"
#include "median_sketch.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#define RELATIVE_ACCURACY	0.005
#define GAMMA				((1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY))

/* No result is further than this, relatively, from any number that it may be. */
#define ERROR_MAX			0.0099

/*
 * Decimals beyond the range of double have indexes too, up to this, which is
 * that of 10^4500; larger and smaller ones share the last bin.
 */
#define INDEX_MAX			(1 << 20)

/* Bins that are encoded together */
#define BINS_AT_ONCE		1024

/*
 * Makes a sketch of nothing.  What it needs is allocated in "context".
 */
void
InitSketch(Sketch *sketch, MemoryContext context)
{
	memset(sketch, 0, sizeof(Sketch));
	sketch->context = context;
}

static void
ClearExtreme(Value *extreme)
{
	if (extreme->kind == VALUE_JSON)
		pfree(extreme->json);
	memset(extreme, 0, sizeof(Value));
}

/*
 * Makes the sketch one of nothing again.
 */
void
ResetSketch(Sketch *sketch)
{
	sketch->zeros = 0;
	sketch->negative.length = 0;
	sketch->positive.length = 0;
	sketch->unbounded = false;
	ClearExtreme(&sketch->least);
	ClearExtreme(&sketch->greatest);
}

/*
 * Counting
 */

/*
 * Replaces an extreme if a number lies beyond it: direction is -1 for the
 * least, 1 for the greatest.
 */
static void
WidenExtreme(const Sketch *sketch, Value *extreme, const Value *number, int direction)
{
	MemoryContext old_context;

	if (extreme->kind != VALUE_NULL && CompareNumbers(number, extreme) * direction <= 0)
		return;

	ClearExtreme(extreme);
	old_context = MemoryContextSwitchTo(sketch->context);
	*extreme = CopyValue(number);
	MemoryContextSwitchTo(old_context);
}

/*
 * Takes note of numbers from "least" to "greatest".  Null stands for what is not
 * known, and then the sketch's extremes aren't either.
 */
static void
WidenRange(Sketch *sketch, const Value *least, const Value *greatest)
{
	if (least->kind == VALUE_NULL || greatest->kind == VALUE_NULL)
	{
		sketch->unbounded = true;
		ClearExtreme(&sketch->least);
		ClearExtreme(&sketch->greatest);
	}
	if (sketch->unbounded)
		return;
	WidenExtreme(sketch, &sketch->least, least, -1);
	WidenExtreme(sketch, &sketch->greatest, greatest, 1);
}

/*
 * Finds a bin, or makes it, empty, if it is not there yet.
 */
static SketchBin *
FindBin(const Sketch *sketch, SketchBins *list, int32 index)
{
	int			low = 0;
	int			high = list->length;

	/* numbers near each other in time often are in value */
	if (list->latest < list->length && list->bins[list->latest].index == index)
		return &list->bins[list->latest];

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (list->bins[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	list->latest = low;
	if (low < list->length && list->bins[low].index == index)
		return &list->bins[low];

	if (list->length == list->capacity)
	{
		int			capacity = Max(64, 2 * list->capacity);
		Size		size = sizeof(SketchBin) * capacity;

		if (list->bins == NULL)
			list->bins = MemoryContextAlloc(sketch->context, size);
		else
			list->bins = repalloc(list->bins, size);
		list->capacity = capacity;
	}
	memmove(&list->bins[low + 1], &list->bins[low],
			sizeof(SketchBin) * (list->length - low));
	list->length++;
	memset(&list->bins[low], 0, sizeof(SketchBin));
	list->bins[low].index = index;
	return &list->bins[low];
}

/*
 * Adds the numbers of another bin of the same index.
 */
static void
AddBin(const Sketch *sketch, SketchBins *list, const SketchBin *other)
{
	SketchBin  *bin = FindBin(sketch, list, other->index);

	if (bin->count == 0)
	{
		*bin = *other;
		return;
	}

	bin->count += other->count;
	if (other->low < bin->low)
	{
		bin->low = other->low;
		bin->low_count = other->low_count;
	}
	else if (other->low == bin->low)
		bin->low_count += other->low_count;
	if (other->high > bin->high)
	{
		bin->high = other->high;
		bin->high_count = other->high_count;
	}
	else if (other->high == bin->high)
		bin->high_count += other->high_count;
}

/*
 * Counts a number of this magnitude, of which the natural logarithm is given.
 */
static void
CountMagnitude(Sketch *sketch, bool negative, double magnitude, double logarithm, int64 count)
{
	static double log_gamma = 0;
	SketchBin	bin;
	double		index;

	if (log_gamma == 0)
		log_gamma = log(GAMMA);
	index = ceil(logarithm / log_gamma);

	bin.index = (int32) Max(-INDEX_MAX, Min(INDEX_MAX, index));
	bin.count = bin.low_count = bin.high_count = count;
	bin.low = bin.high = magnitude;
	AddBin(sketch, negative ? &sketch->negative : &sketch->positive, &bin);
}

static void
CountDouble(Sketch *sketch, double number, int64 count)
{
	if (number != 0)
		CountMagnitude(sketch, number < 0, fabs(number), log(fabs(number)), count);
	else
		sketch->zeros += count;
}

/*
 * Counts a decimal that may be beyond all doubles.
 */
static void
CountDecimal(Sketch *sketch, Numeric decimal, int64 count)
{
	double		number = NumericToDouble(decimal);
	char	   *text;
	char	   *exponent;
	double		logarithm;

	if (isfinite(number) && (number != 0 || CompareNumeric(decimal, int64_to_numeric(0)) == 0))
	{
		CountDouble(sketch, number, count);
		return;
	}

	/* of d.ddde+ddd take the logarithms of both parts */
	text = numeric_out_sci(decimal, DBL_DIG);
	exponent = strchr(text, 'e');
	logarithm = atoi(exponent + 1) * log(10);
	*exponent = '\0';
	logarithm += log(fabs(atof(text)));
	CountMagnitude(sketch, *text == '-', fabs(number), logarithm, count);
	pfree(text);
}

/*
 * Counts a number several times.
 */
void
CountInSketch(Sketch *sketch, const Value *number, int64 count)
{
	WidenRange(sketch, number, number);
	if (number->kind == VALUE_DOUBLE)
		CountDouble(sketch, number->number, count);
	else
		CountDecimal(sketch, NumericFromValue(number), count);
}

static void
MergeBins(const Sketch *sketch, SketchBins *list, const SketchBins *other)
{
	for (int i = 0; i < other->length; i++)
		AddBin(sketch, list, &other->bins[i]);
}

/*
 * Adds the numbers of another sketch, which is not empty.
 */
void
MergeSketch(Sketch *sketch, const Sketch *other)
{
	WidenRange(sketch, &other->least, &other->greatest);
	sketch->zeros += other->zeros;
	MergeBins(sketch, &sketch->negative, &other->negative);
	MergeBins(sketch, &sketch->positive, &other->positive);
}

/*
 * Results
 */

/*
 * Returns the magnitude of a rank in a bin, counted from 0 for the smallest.
 */
static double
BinRank(const SketchBin *bin, int64 rank)
{
	double		others;
	double		result;

	if (rank < bin->low_count)
		return bin->low;
	if (rank >= bin->count - bin->high_count)
		return bin->high;

	/* the others are between the two, taken to be evenly spread */
	others = (double) (bin->count - bin->low_count - bin->high_count);
	result = bin->low + (bin->high - bin->low) * ((double) (rank - bin->low_count + 1) / (others + 1));

	/* but wherever they are, they must not be too far from the result */
	result = Min(result, bin->low * (1 + ERROR_MAX));
	return Max(result, bin->high * (1 - ERROR_MAX));
}

/*
 * Returns the number in the middle of a bin that reaches beyond doubles, in the
 * sense of the relative error.
 */
static Value
DecimalInBin(const SketchBin *bin, bool negative)
{
	double		exponent = bin->index * log10(GAMMA);
	double		whole = floor(exponent);
	char		text[64];

	snprintf(text, sizeof(text), "%s%.6fe%d", negative ? "-" : "",
			 2 / (1 + GAMMA) * pow(10, exponent - whole), (int) whole);
	return NumberFromNumeric(NumericFromText(text), true);
}

static Value
NumberInBin(const SketchBin *bin, int64 rank, bool negative)
{
	double		magnitude;

	if (bin->low == 0 || isinf(bin->high))
		return DecimalInBin(bin, negative);
	magnitude = BinRank(bin, negative ? bin->count - 1 - rank : rank);
	return DoubleValue(negative ? -magnitude : magnitude);
}

/*
 * Returns the number of a rank as the bins have it.
 */
static Value
RankInBins(const Sketch *sketch, int64 rank)
{
	for (int i = sketch->negative.length - 1; i >= 0; i--)
	{
		const SketchBin *bin = &sketch->negative.bins[i];

		if (rank < bin->count)
			return NumberInBin(bin, rank, true);
		rank -= bin->count;
	}
	if (rank < sketch->zeros)
		return DoubleValue(0);
	rank -= sketch->zeros;
	for (int i = 0; i < sketch->positive.length; i++)
	{
		const SketchBin *bin = &sketch->positive.bins[i];

		if (rank < bin->count)
			return NumberInBin(bin, rank, false);
		rank -= bin->count;
	}
	elog(ERROR, "rank is beyond the numbers of a sketch");
}

/*
 * Returns the number of a rank, counted from 0 for the smallest.  It is within
 * one per cent of the true one and not outside of the numbers counted, as far
 * as their extremes are known.
 */
Value
SketchRank(const Sketch *sketch, int64 rank)
{
	Value		result = RankInBins(sketch, rank);

	/* a bin holds decimals as the doubles next to them */
	if (sketch->unbounded)
		return result;
	if (CompareNumbers(&result, &sketch->least) < 0)
		return sketch->least;
	if (CompareNumbers(&result, &sketch->greatest) > 0)
		return sketch->greatest;
	return result;
}

/*
 * The stored form
 */

static void
WriteExtreme(StringInfo buf, const Value *extreme)
{
	WriteByte(buf, extreme->kind);
	if (extreme->kind == VALUE_DOUBLE)
		EncodeDoubles(buf, &extreme->number, 1);
	else if (extreme->kind == VALUE_JSON)
	{
		char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out,
															   NumericGetDatum(NumericFromValue(extreme))));

		WriteVarint(buf, strlen(text));
		appendStringInfoString(buf, text);
		pfree(text);
	}
}

static void
WriteBins(StringInfo buf, const SketchBins *list)
{
	int64	   *indexes = ScratchArray(int64, BINS_AT_ONCE);
	int64	   *counts = ScratchArray(int64, BINS_AT_ONCE);
	int64	   *low_counts = ScratchArray(int64, BINS_AT_ONCE);
	int64	   *high_counts = ScratchArray(int64, BINS_AT_ONCE);
	double	   *lows = ScratchArray(double, BINS_AT_ONCE);
	double	   *highs = ScratchArray(double, BINS_AT_ONCE);

	WriteVarint(buf, list->length);
	for (int done = 0; done < list->length; done += BINS_AT_ONCE)
	{
		int			n = Min(list->length - done, BINS_AT_ONCE);

		for (int i = 0; i < n; i++)
		{
			const SketchBin *bin = &list->bins[done + i];
			bool		same = bin->low == bin->high;

			indexes[i] = bin->index;
			counts[i] = bin->count;
			lows[i] = bin->low;
			highs[i] = same ? 0 : bin->high;
			low_counts[i] = same ? 0 : bin->low_count;
			high_counts[i] = same ? 0 : bin->high_count;
		}
		EncodeInts(buf, indexes, n);
		EncodeInts(buf, counts, n);
		EncodeDoubles(buf, lows, n);
		EncodeDoubles(buf, highs, n);
		EncodeInts(buf, low_counts, n);
		EncodeInts(buf, high_counts, n);
	}

	pfree(indexes);
	pfree(counts);
	pfree(low_counts);
	pfree(high_counts);
	pfree(lows);
	pfree(highs);
}

/*
 * Writes the stored form of a sketch.
 */
void
WriteSketch(StringInfo buf, const Sketch *sketch)
{
	WriteVarint(buf, sketch->zeros);
	WriteExtreme(buf, &sketch->least);
	WriteExtreme(buf, &sketch->greatest);
	WriteBins(buf, &sketch->negative);
	WriteBins(buf, &sketch->positive);
}

static Value
ReadExtreme(Reader *reader)
{
	Value		result = {VALUE_NULL};
	uint64		length;
	const char *text;

	switch (ReadByte(reader))
	{
		case VALUE_NULL:
			break;
		case VALUE_DOUBLE:
			result.kind = VALUE_DOUBLE;
			DecodeDoubles(reader, &result.number, 1);
			if (!isfinite(result.number))
				ReportDamagedBlock("A median has a number that is not finite.");
			break;
		case VALUE_JSON:
			length = ReadVarint(reader);
			text = (const char *) ReadBytes(reader, length);
			if (!IsDecimalText(text, (int) length))
				ReportDamagedBlock("A median has a number that is none.");
			result = NumberFromNumeric(NumericFromText(pnstrdup(text, length)), true);
			break;
		default:
			ReportDamagedBlock("A median has a number of an unknown kind.");
	}
	return result;
}

static void
AddToTotal(int64 *total, int64 count)
{
	if (count < 0 || pg_add_s64_overflow(*total, count, total))
		ReportDamagedBlock("A median counts too many numbers.");
}

/*
 * Adds a bin that has been read, after checking it.
 */
static void
AddStoredBin(Sketch *sketch, SketchBins *list, const SketchBin *bin, int64 index, int64 *total)
{
	SketchBin	checked = *bin;

	if (index < -INDEX_MAX || index > INDEX_MAX || bin->count <= 0 ||
		!(bin->low >= 0) || !(bin->high >= bin->low) ||
		bin->low_count < 0 || bin->low_count > bin->count ||
		bin->high_count < 0 || bin->high_count > bin->count)
		ReportDamagedBlock("A bin of a median is out of range.");
	AddToTotal(total, bin->count);
	checked.index = (int32) index;
	AddBin(sketch, list, &checked);
}

static void
ReadBins(Sketch *sketch, SketchBins *list, Reader *reader, int64 *total)
{
	int64	   *indexes = ScratchArray(int64, BINS_AT_ONCE);
	int64	   *counts = ScratchArray(int64, BINS_AT_ONCE);
	int64	   *low_counts = ScratchArray(int64, BINS_AT_ONCE);
	int64	   *high_counts = ScratchArray(int64, BINS_AT_ONCE);
	double	   *lows = ScratchArray(double, BINS_AT_ONCE);
	double	   *highs = ScratchArray(double, BINS_AT_ONCE);
	uint64		length = ReadVarint(reader);

	for (uint64 done = 0; done < length; done += BINS_AT_ONCE)
	{
		int			n = (int) Min(length - done, BINS_AT_ONCE);

		CHECK_FOR_INTERRUPTS();
		if (BytesLeft(reader) == 0)
			ReportDamagedBlock("It ends too early.");
		DecodeInts(reader, indexes, n);
		DecodeInts(reader, counts, n);
		DecodeDoubles(reader, lows, n);
		DecodeDoubles(reader, highs, n);
		DecodeInts(reader, low_counts, n);
		DecodeInts(reader, high_counts, n);
		for (int i = 0; i < n; i++)
		{
			bool		same = highs[i] == 0;
			SketchBin	bin = {
				.count = counts[i],
				.low = lows[i],
				.high = same ? lows[i] : highs[i],
				.low_count = same ? counts[i] : low_counts[i],
				.high_count = same ? counts[i] : high_counts[i]
			};

			AddStoredBin(sketch, list, &bin, indexes[i], total);
		}
	}

	pfree(indexes);
	pfree(counts);
	pfree(low_counts);
	pfree(high_counts);
	pfree(lows);
	pfree(highs);
}

/*
 * Adds the numbers of a stored sketch.  Returns how many they are; reading a
 * damaged one is ERRCODE_DATA_CORRUPTED.
 */
int64
ReadSketch(Sketch *sketch, Reader *reader)
{
	int64		total = 0;
	int64		zeros = (int64) ReadVarint(reader);
	Value		least = ReadExtreme(reader);
	Value		greatest = ReadExtreme(reader);

	WidenRange(sketch, &least, &greatest);
	AddToTotal(&total, zeros);
	sketch->zeros += zeros;
	ReadBins(sketch, &sketch->negative, reader, &total);
	ReadBins(sketch, &sketch->positive, reader, &total);
	return total;
}

static void
ReadBins_0(Sketch *sketch, SketchBins *list, Reader *reader, int64 *total)
{
	int64	   *indexes = ScratchArray(int64, BINS_AT_ONCE);
	int64	   *counts = ScratchArray(int64, BINS_AT_ONCE);
	double	   *only = ScratchArray(double, BINS_AT_ONCE);
	uint64		length = ReadVarint(reader);

	for (uint64 done = 0; done < length; done += BINS_AT_ONCE)
	{
		int			n = (int) Min(length - done, BINS_AT_ONCE);

		CHECK_FOR_INTERRUPTS();
		if (BytesLeft(reader) == 0)
			ReportDamagedBlock("It ends too early.");
		DecodeInts(reader, indexes, n);
		DecodeInts(reader, counts, n);
		DecodeDoubles(reader, only, n);
		for (int i = 0; i < n; i++)
		{
			bool		same = only[i] != 0;
			SketchBin	bin = {
				.count = counts[i],
				.low = same ? only[i] : pow(GAMMA, (double) indexes[i] - 1),
				.high = same ? only[i] : pow(GAMMA, (double) indexes[i]),
				.low_count = same ? counts[i] : 0,
				.high_count = same ? counts[i] : 0
			};

			AddStoredBin(sketch, list, &bin, indexes[i], total);
		}
	}

	pfree(indexes);
	pfree(counts);
	pfree(only);
}

/*
 * The same for a sketch as version 0.1.0 stored it.
 */
int64
ReadSketch_0(Sketch *sketch, Reader *reader)
{
	const Value unknown = {VALUE_NULL};
	int64		total = 0;
	int64		zeros = (int64) ReadVarint(reader);

	WidenRange(sketch, &unknown, &unknown);
	AddToTotal(&total, zeros);
	sketch->zeros += zeros;
	ReadBins_0(sketch, &sketch->negative, reader, &total);
	ReadBins_0(sketch, &sketch->positive, reader, &total);
	return total;
}
