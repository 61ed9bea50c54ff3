/*-------------------------------------------------------------------------
 *
 * median.c
 *	  The median of a bucket: from all its numbers as long as they are few,
 *	  then from a sketch.
 *
 * The stored form is a byte that says which, and
 *	 FORM_DOUBLES: count, numbers in order
 *	 FORM_DECIMALS: count, for each number in order its length and text
 *	 FORM_SKETCH: a sketch, see median_sketch.c
 *	 FORM_SKETCH_0: a sketch as version 0.1.0 wrote it
 * with the encodings of codec.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "codec.h"
#include "common/int.h"
#include "median.h"
#include "median_sketch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define FORM_DOUBLES		1
#define FORM_DECIMALS		2
#define FORM_SKETCH_0		3
#define FORM_SKETCH			4

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

	/* once they are many */
	bool		sketched;
	Sketch		sketch;
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
	InitSketch(&result->sketch, context);
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
	median->sketched = false;
	ResetSketch(&median->sketch);
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
 * Turns the list of all numbers into a sketch.
 */
static void
StartSketch(Median *median)
{
	median->sketched = true;

	for (int i = 0; i < median->count; i++)
	{
		Value		number = {VALUE_DOUBLE};

		if (median->decimals != NULL)
			number = NumberFromNumeric(median->decimals[i], true);
		else
			number.number = median->numbers[i];
		CountInSketch(&median->sketch, &number, 1);
		if (number.kind == VALUE_JSON)
			pfree(number.json);
	}
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

	if (!median->sketched && median->decimals == NULL && median->count + n <= MEDIAN_EXACT_MAX)
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
	if (!median->sketched && count <= MEDIAN_EXACT_MAX - median->count)
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

	if (!median->sketched)
		StartSketch(median);
	AddMedianCount(median, count);
	CountInSketch(&median->sketch, number, count);
}

/*
 * Adds the numbers of another state.
 */
void
MergeMedian(Median *median, const Median *other)
{
	if (other->count == 0)
		return;

	if (!other->sketched && other->decimals == NULL)
	{
		AddDoublesToMedian(median, other->numbers, (int) other->count);
		return;
	}

	if (!other->sketched)
	{
		for (int i = 0; i < other->count; i++)
		{
			Value		number = NumberFromNumeric(other->decimals[i], true);

			AddToMedian(median, &number, 1);
			pfree(number.json);
		}
		return;
	}

	if (!median->sketched)
		StartSketch(median);
	AddMedianCount(median, other->count);
	MergeSketch(&median->sketch, &other->sketch);
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

	if (median->sketched)
		return SketchRank(&median->sketch, rank);

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
		return lower;			/* their sum is beyond the range of numeric */
	result = NumberFromNumeric(DivideNumeric(sum, 2, HIGH_ACCURACY_DIGITS), median->high_accuracy);

	/* the double nearest to the average of two long integers may be beyond both */
	if (CompareNumbers(&result, &lower) < 0)
		return lower;
	return CompareNumbers(&result, &upper) > 0 ? upper : result;
}

/*
 * The stored form
 */

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

	if (median->sketched)
	{
		WriteByte(&buf, FORM_SKETCH);
		WriteSketch(&buf, &median->sketch);
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

/*
 * Adds the numbers of a stored sketch, in either of its forms.
 */
static void
AddStoredSketch(Median *median, Reader *reader, int64 (*read) (Sketch *sketch, Reader *reader))
{
	if (!median->sketched)
		StartSketch(median);
	AddMedianCount(median, read(&median->sketch, reader));
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
		case FORM_SKETCH_0:
			AddStoredSketch(median, &reader, ReadSketch_0);
			break;
		case FORM_SKETCH:
			AddStoredSketch(median, &reader, ReadSketch);
			break;
		default:
			ReportDamagedBlock("A median is of an unknown form.");
	}
	if (BytesLeft(&reader) != 0)
		ReportDamagedBlock("A median has bytes that belong to nothing.");
}
