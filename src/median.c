/*-------------------------------------------------------------------------
 *
 * median.c
 *	  The median of a bucket: from all its numbers as long as they are few,
 *	  then from a sketch.
 *
 * The sketch is a DDSketch (Masson, Rim and Lee, VLDB 2019): numbers are
 * counted in bins whose bounds are powers of GAMMA, so that the middle of a bin
 * is within RELATIVE_ACCURACY of every number in it.  Bins are never joined:
 * doubles have less than 150,000 of them a sign, and a bucket only those in
 * which it has numbers, some hundreds in practice.
 *
 * The stored form is a byte that says which, and
 *	 FORM_DOUBLES: count, numbers in order
 *	 FORM_DECIMALS: count, for each number in order its length and text
 *	 FORM_SKETCH: count of zeros; for the negative and for the positive numbers
 *		the number of bins, their indexes, their counts, and the numbers that
 *		all of a bin are, or 0
 * with the encodings of codec.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "codec.h"
#include "common/int.h"
#include "median.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define RELATIVE_ACCURACY	0.005
#define GAMMA				((1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY))

/*
 * Decimals beyond the range of double have indexes too, up to this, which is
 * that of 10^4500; larger and smaller ones share the last bin.
 */
#define INDEX_MAX			(1 << 20)

/* Bins that are encoded together */
#define BINS_AT_ONCE		1024

#define FORM_DOUBLES		1
#define FORM_DECIMALS		2
#define FORM_SKETCH			3

/*
 * A bin with numbers from GAMMA^(index - 1) up to GAMMA^index, that included.
 * Often all of them are the same, and then that one is known.
 */
typedef struct Bin
{
	int32		index;
	int64		count;
	double		only;			/* the number that all are, or 0 */
} Bin;

/* The bins of the numbers of one sign, by index */
typedef struct BinList
{
	int			length;
	int			capacity;
	Bin		   *bins;
	int			latest;			/* where the last number went */
} BinList;

struct Median
{
	MemoryContext context;
	bool		high_accuracy;
	int64		count;			/* of all numbers */

	/* all numbers, as long as they are few */
	bool		sorted;
	int			capacity;
	double	   *numbers;		/* unless there are decimals */
	Numeric    *decimals;		/* NULL until a number is no double */
	MemoryContext decimals_context;

	/* the sketch, once they are many */
	bool		sketch;
	int64		zeros;
	BinList		negative;
	BinList		positive;
};

/*
 * Makes the state of the median of no numbers.
 */
Median *
CreateMedian(MemoryContext context, bool high_accuracy)
{
	Median	   *result = MemoryContextAllocZero(context, sizeof(Median));

	result->context = context;
	result->high_accuracy = high_accuracy;
	return result;
}

/*
 * Makes the state one of no numbers again.
 */
void
ResetMedian(Median *median)
{
	median->count = 0;
	median->sorted = false;
	if (median->decimals != NULL)
	{
		median->decimals = NULL;
		MemoryContextReset(median->decimals_context);
	}
	median->sketch = false;
	median->zeros = 0;
	median->negative.length = 0;
	median->positive.length = 0;
}

int64
MedianCount(const Median *median)
{
	return median->count;
}

static void
AddMedianCount(Median *median, int64 count)
{
	if (pg_add_s64_overflow(median->count, count, &median->count))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("bucket has too many datapoints to count")));
}

/*
 * The sketch
 */

/*
 * Counts numbers in a bin; "only" is the magnitude that all of them have, or 0.
 */
static void
CountInBin(Median *median, BinList *list, int32 index, int64 count, double only)
{
	int			low = 0;
	int			high = list->length;

	/* numbers near each other in time often are in value */
	if (list->latest < list->length && list->bins[list->latest].index == index)
		low = high = list->latest;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (list->bins[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}

	if (low == list->length || list->bins[low].index != index)
	{
		if (list->length == list->capacity)
		{
			int			capacity = Max(64, 2 * list->capacity);
			Size		size = sizeof(Bin) * capacity;

			if (list->bins == NULL)
				list->bins = MemoryContextAlloc(median->context, size);
			else
				list->bins = repalloc(list->bins, size);
			list->capacity = capacity;
		}
		memmove(&list->bins[low + 1], &list->bins[low],
				sizeof(Bin) * (list->length - low));
		list->bins[low].index = index;
		list->bins[low].count = 0;
		list->bins[low].only = only;
		list->length++;
	}
	list->bins[low].count += count;
	if (list->bins[low].only != only)
		list->bins[low].only = 0;
	list->latest = low;
}

/*
 * The index of the bin of a positive number with this natural logarithm
 */
static int32
BinIndex(double logarithm)
{
	static double log_gamma = 0;
	double		index;

	if (log_gamma == 0)
		log_gamma = log(GAMMA);

	index = ceil(logarithm / log_gamma);
	if (index > INDEX_MAX)
		return INDEX_MAX;
	if (index < -INDEX_MAX)
		return -INDEX_MAX;
	return (int32) index;
}

static void
CountDoubleInSketch(Median *median, double number, int64 count)
{
	if (number > 0)
		CountInBin(median, &median->positive, BinIndex(log(number)), count, number);
	else if (number < 0)
		CountInBin(median, &median->negative, BinIndex(log(-number)), count, -number);
	else
		median->zeros += count;
}

/*
 * Counts a decimal that may be beyond all doubles.
 */
static void
CountDecimalInSketch(Median *median, Numeric decimal, int64 count)
{
	double		number = NumericToDouble(decimal);
	char	   *text;
	char	   *exponent;
	double		logarithm;

	if (isfinite(number) && (number != 0 || CompareNumeric(decimal, int64_to_numeric(0)) == 0))
	{
		CountDoubleInSketch(median, number, count);
		return;
	}

	/* of d.ddde+ddd take the logarithms of both parts */
	text = numeric_out_sci(decimal, DBL_DIG);
	exponent = strchr(text, 'e');
	logarithm = atoi(exponent + 1) * log(10);
	*exponent = '\0';
	number = atof(text);
	logarithm += log(fabs(number));

	CountInBin(median, number < 0 ? &median->negative : &median->positive,
			   BinIndex(logarithm), count, 0);
	pfree(text);
}

/*
 * Turns the list of all numbers into a sketch.
 */
static void
StartSketch(Median *median)
{
	median->sketch = true;

	for (int i = 0; i < median->count; i++)
	{
		if (median->decimals != NULL)
			CountDecimalInSketch(median, median->decimals[i], 1);
		else
			CountDoubleInSketch(median, median->numbers[i], 1);
	}
}

/*
 * Returns the number that stands for a bin: the one that all are, or the one
 * in the middle, in the sense of the relative error.
 */
static Value
BinValue(const Median *median, const Bin *bin, bool negative)
{
	double		magnitude = bin->only;
	Value		result = {VALUE_DOUBLE};

	if (magnitude == 0)
		magnitude = 2 / (1 + GAMMA) * pow(GAMMA, bin->index);

	/* beyond doubles there are still decimals */
	if (isinf(magnitude) || magnitude == 0)
	{
		double		exponent = bin->index * log10(GAMMA);
		double		whole = floor(exponent);
		char		text[64];

		snprintf(text, sizeof(text), "%s%.6fe%d", negative ? "-" : "",
				 2 / (1 + GAMMA) * pow(10, exponent - whole), (int) whole);
		return NumberFromNumeric(NumericFromText(text), median->high_accuracy);
	}

	result.number = negative ? -magnitude : magnitude;
	return result;
}

/*
 * Returns the number of a rank, counted from 0 for the smallest.
 */
static Value
SketchRank(const Median *median, int64 rank)
{
	Value		zero = {VALUE_DOUBLE};

	for (int i = median->negative.length - 1; i >= 0; i--)
	{
		rank -= median->negative.bins[i].count;
		if (rank < 0)
			return BinValue(median, &median->negative.bins[i], true);
	}
	rank -= median->zeros;
	if (rank < 0)
		return zero;
	for (int i = 0; i < median->positive.length; i++)
	{
		rank -= median->positive.bins[i].count;
		if (rank < 0)
			return BinValue(median, &median->positive.bins[i], false);
	}
	elog(ERROR, "rank is beyond the numbers of a sketch");
}

/*
 * The list of all numbers
 */

static int
CompareDoubles(const void *a, const void *b)
{
	double		da = *(const double *) a;
	double		db = *(const double *) b;

	return da < db ? -1 : da > db;
}

static int
CompareDecimals(const void *a, const void *b)
{
	return CompareNumeric(*(const Numeric *) a, *(const Numeric *) b);
}

static void
SortNumbers(Median *median)
{
	if (median->sorted || median->count == 0)
		return;
	if (median->decimals != NULL)
		qsort(median->decimals, median->count, sizeof(Numeric), CompareDecimals);
	else
		qsort(median->numbers, median->count, sizeof(double), CompareDoubles);
	median->sorted = true;
}

/*
 * Makes room for so many more numbers in the list of doubles, up to
 * MEDIAN_EXACT_MAX.
 */
static void
ReserveNumbers(Median *median, int n)
{
	int			needed = (int) median->count + n;

	if (needed <= median->capacity)
		return;

	median->capacity = Min(Max(needed, Max(64, 2 * median->capacity)), MEDIAN_EXACT_MAX);
	if (median->numbers == NULL)
		median->numbers = MemoryContextAlloc(median->context, sizeof(double) * median->capacity);
	else
		median->numbers = repalloc(median->numbers, sizeof(double) * median->capacity);
}

/*
 * Turns the list of doubles into one of decimals.
 */
static void
UseDecimals(Median *median)
{
	MemoryContext old_context;

	if (median->decimals != NULL)
		return;

	if (median->decimals_context == NULL)
		median->decimals_context = AllocSetContextCreate(median->context, "datastream median",
														 ALLOCSET_DEFAULT_SIZES);
	old_context = MemoryContextSwitchTo(median->decimals_context);
	median->decimals = palloc(sizeof(Numeric) * MEDIAN_EXACT_MAX);
	for (int i = 0; i < median->count; i++)
		median->decimals[i] = NumericFromDouble(median->numbers[i]);
	MemoryContextSwitchTo(old_context);
}

/*
 * Adds finite doubles.
 */
void
AddDoublesToMedian(Median *median, const double *numbers, int n)
{
	if (n <= 0)
		return;

	if (!median->sketch && median->decimals == NULL && median->count + n <= MEDIAN_EXACT_MAX)
	{
		ReserveNumbers(median, n);
		memcpy(median->numbers + median->count, numbers, sizeof(double) * n);
		median->count += n;
		median->sorted = false;
		return;
	}

	for (int i = 0; i < n; i++)
	{
		Value		number = {VALUE_DOUBLE, numbers[i], NULL};

		AddToMedian(median, &number, 1);
	}
}

/*
 * Adds a number several times.
 */
void
AddToMedian(Median *median, const Value *number, int64 count)
{
	if (!median->sketch && count <= MEDIAN_EXACT_MAX - median->count)
	{
		median->sorted = false;
		if (number->kind == VALUE_DOUBLE && median->decimals == NULL)
		{
			ReserveNumbers(median, (int) count);
			while (count-- > 0)
				median->numbers[median->count++] = number->number;
		}
		else
		{
			Numeric		decimal = NumericFromValue(number);
			Numeric		copy;

			UseDecimals(median);
			copy = MemoryContextAlloc(median->decimals_context, VARSIZE(decimal));
			memcpy(copy, decimal, VARSIZE(decimal));
			while (count-- > 0)
				median->decimals[median->count++] = copy;
		}
		return;
	}

	if (!median->sketch)
		StartSketch(median);
	AddMedianCount(median, count);
	if (number->kind == VALUE_DOUBLE)
		CountDoubleInSketch(median, number->number, count);
	else
		CountDecimalInSketch(median, NumericFromValue(number), count);
}

static void
MergeBins(Median *median, BinList *list, const BinList *other)
{
	for (int i = 0; i < other->length; i++)
		CountInBin(median, list, other->bins[i].index, other->bins[i].count,
				   other->bins[i].only);
}

/*
 * Adds the numbers of another state.
 */
void
MergeMedian(Median *median, const Median *other)
{
	if (other->count == 0)
		return;

	if (!other->sketch && other->decimals == NULL)
	{
		AddDoublesToMedian(median, other->numbers, (int) other->count);
		return;
	}

	if (!other->sketch)
	{
		for (int i = 0; i < other->count; i++)
		{
			Value		number = NumberFromNumeric(other->decimals[i], true);

			AddToMedian(median, &number, 1);
			pfree(number.json);
		}
		return;
	}

	if (!median->sketch)
		StartSketch(median);
	AddMedianCount(median, other->count);
	median->zeros += other->zeros;
	MergeBins(median, &median->negative, &other->negative);
	MergeBins(median, &median->positive, &other->positive);
}

/*
 * Results
 */

/*
 * Returns the number of a rank, counted from 0 for the smallest.
 */
static Value
RankValue(Median *median, int64 rank)
{
	Value		result = {VALUE_DOUBLE};

	if (median->sketch)
		return SketchRank(median, rank);

	SortNumbers(median);
	if (median->decimals != NULL)
		return NumberFromNumeric(median->decimals[rank], true);
	result.number = median->numbers[rank];
	return result;
}

/*
 * Returns the number of a rank, counted from 0 for the smallest, as a double.
 */
double
MedianRank(Median *median, int64 rank)
{
	Value		result = RankValue(median, rank);

	return ValueToDouble(&result);
}

/*
 * Returns the median: the number in the middle, or the average of the two
 * there.  Null if there are no numbers.
 */
Value
MedianValue(Median *median)
{
	Value		result = {VALUE_NULL};
	Value		lower;
	Value		upper;
	Numeric		sum;

	if (median->count == 0)
		return result;

	lower = RankValue(median, (median->count - 1) / 2);
	upper = RankValue(median, median->count / 2);
	if (CompareNumbers(&lower, &upper) == 0)
		return lower.kind == VALUE_DOUBLE && !median->high_accuracy ? lower :
			NumberFromNumeric(NumericFromValue(&lower), median->high_accuracy);

	/* decimals, as the average of 0.1 and 0.2 is 0.15 */
	sum = AddNumeric(NumericFromValue(&lower), NumericFromValue(&upper));
	if (sum == NULL)
		return result;
	return NumberFromNumeric(DivideNumeric(sum, 2, HIGH_ACCURACY_DIGITS), median->high_accuracy);
}

/*
 * The stored form
 */

static void
WriteBins(StringInfo buf, const BinList *list)
{
	int64	   *indexes = ScratchArray(int64, BINS_AT_ONCE);
	int64	   *counts = ScratchArray(int64, BINS_AT_ONCE);
	double	   *only = ScratchArray(double, BINS_AT_ONCE);

	WriteVarint(buf, list->length);
	for (int done = 0; done < list->length; done += BINS_AT_ONCE)
	{
		int			n = Min(list->length - done, BINS_AT_ONCE);

		for (int i = 0; i < n; i++)
		{
			const Bin  *bin = &list->bins[done + i];

			indexes[i] = bin->index;
			counts[i] = bin->count;
			only[i] = bin->only;
		}
		EncodeInts(buf, indexes, n);
		EncodeInts(buf, counts, n);
		EncodeDoubles(buf, only, n);
	}

	pfree(indexes);
	pfree(counts);
	pfree(only);
}

static void
ReadBins(Median *median, BinList *list, Reader *reader)
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
			if (indexes[i] < -INDEX_MAX || indexes[i] > INDEX_MAX || counts[i] <= 0 ||
				!(only[i] >= 0) || isinf(only[i]))
				ReportDamagedBlock("A bin of a median is out of range.");
			AddMedianCount(median, counts[i]);
			CountInBin(median, list, (int32) indexes[i], counts[i], only[i]);
		}
	}

	pfree(indexes);
	pfree(counts);
	pfree(only);
}

/*
 * Returns the stored form of the state, in the current memory context.
 */
bytea *
MedianToBytes(Median *median)
{
	StringInfoData buf;
	int			count = (int) median->count;

	initStringInfo(&buf);
	appendStringInfoSpaces(&buf, VARHDRSZ);

	if (median->sketch)
	{
		WriteByte(&buf, FORM_SKETCH);
		WriteVarint(&buf, median->zeros);
		WriteBins(&buf, &median->negative);
		WriteBins(&buf, &median->positive);
	}
	else if (median->decimals != NULL)
	{
		SortNumbers(median);
		WriteByte(&buf, FORM_DECIMALS);
		WriteVarint(&buf, count);
		for (int i = 0; i < count; i++)
		{
			char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out,
																   NumericGetDatum(median->decimals[i])));

			WriteVarint(&buf, strlen(text));
			appendStringInfoString(&buf, text);
			pfree(text);
		}
	}
	else
	{
		SortNumbers(median);
		WriteByte(&buf, FORM_DOUBLES);
		WriteVarint(&buf, count);
		if (count > 0)
			EncodeDoubles(&buf, median->numbers, count);
	}

	SET_VARSIZE(buf.data, buf.len);
	return (bytea *) buf.data;
}

static int
ReadNumberCount(Reader *reader)
{
	uint64		count = ReadVarint(reader);

	if (count > MEDIAN_EXACT_MAX)
		ReportDamagedBlock("A median has too many numbers.");
	return (int) count;
}

static void
ReadDoubles(Median *median, Reader *reader)
{
	double		numbers[MEDIAN_EXACT_MAX];
	int			count = ReadNumberCount(reader);

	if (count > 0)
		DecodeDoubles(reader, numbers, count);
	for (int i = 0; i < count; i++)
	{
		if (!isfinite(numbers[i]))
			ReportDamagedBlock("A median has a number that is not finite.");
	}
	AddDoublesToMedian(median, numbers, count);
}

static void
ReadDecimals(Median *median, Reader *reader)
{
	int			count = ReadNumberCount(reader);

	for (int i = 0; i < count; i++)
	{
		uint64		length = ReadVarint(reader);
		const char *text = (const char *) ReadBytes(reader, length);
		Value		number;

		if (!IsDecimalText(text, (int) length))
			ReportDamagedBlock("A median has a number that is none.");
		number = NumberFromNumeric(NumericFromText(pnstrdup(text, length)), true);
		AddToMedian(median, &number, 1);
	}
}

static void
ReadSketch(Median *median, Reader *reader)
{
	int64		zeros = (int64) ReadVarint(reader);

	if (zeros < 0)
		ReportDamagedBlock("A median is out of range.");

	if (!median->sketch)
		StartSketch(median);
	median->zeros += zeros;
	AddMedianCount(median, zeros);
	ReadBins(median, &median->negative, reader);
	ReadBins(median, &median->positive, reader);
}

/*
 * Adds the numbers of a stored state (full header).
 */
void
AddMedianFromBytes(Median *median, const struct varlena *bytes)
{
	Reader		reader;

	reader.next = (const uint8 *) VARDATA(bytes);
	reader.end = reader.next + VARSIZE(bytes) - VARHDRSZ;

	switch (ReadByte(&reader))
	{
		case FORM_DOUBLES:
			ReadDoubles(median, &reader);
			break;
		case FORM_DECIMALS:
			ReadDecimals(median, &reader);
			break;
		case FORM_SKETCH:
			ReadSketch(median, &reader);
			break;
		default:
			ReportDamagedBlock("A median is of an unknown form.");
	}
	if (BytesLeft(&reader) != 0)
		ReportDamagedBlock("A median has bytes that belong to nothing.");
}
