/*-------------------------------------------------------------------------
 *
 * codec_double.c
 *	  Encoding of arrays of doubles.
 *
 * Three encodings, of which the one that promises to be smallest is taken:
 *
 * - Decimal.  Most numbers that are measured are decimals of a few digits: v
 *	 is the double next to d / 10^scale for an integer d.  As in ALP (Afroozeh
 *	 et al., "ALP: Adaptive Lossless floating-Point Compression", SIGMOD 2024)
 *	 one scale, found by trying, serves the whole array, and the integers d are
 *	 encoded as integers.  Unlike there, v is computed by one division, which
 *	 IEEE 754 rounds correctly, so that every decimal of up to 15 digits comes
 *	 out exact.  Where v is not that double, the difference between the bits of
 *	 both is stored as a correction: small for a decimal that carries the
 *	 rounding errors of earlier computations (0.1 + 0.2), large for anything
 *	 else (infinities, NaN, -0.0), where it is an exception among the integers.
 *
 * - Bits.  The bits of a double, taken as an integer, have the order of the
 *	 numbers: close numbers make close integers, which are encoded as integers.
 *	 Low bits that are zero in all numbers (single precision) are cut off.  If
 *	 there are both signs, the sign becomes the lowest bit then.
 *
 * - XOR with the number before (codec_xor.c), for arrays in which numbers
 *	 repeat or have trailing zeros in different places.
 *
 * Format:
 *
 *	byte	bits 0-1 encoding
 *			DECIMAL: bits 2-6 scale, bit 7 corrections follow
 *			BITS, SIGNED_BITS: bits 2-7 number of low bits cut off
 *			XOR: other bits 0
 *	DECIMAL: the integers d, then the corrections (codec_int.c)
 *	BITS, SIGNED_BITS: integers (codec_int.c)
 *	XOR: see codec_xor.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "codec.h"

/* Encodings */
#define DECIMAL				0
#define BITS				1
#define SIGNED_BITS		2
#define XOR					3

#define ENCODING_MASK		0x03
#define PARAMETER_SHIFT		2
#define SCALE_MASK			0x1F
#define CORRECTIONS			0x80

/* The largest power of ten that is an exact double */
#define SCALE_MAX			22

/* Decimals are smaller than this: they must fit 64 bits */
#define LARGEST_DECIMAL		9.2e18

#define TWO_TO_52			4503599627370496.0

#define SIGN_BIT			(UINT64CONST(1) << 63)

/* Bits of the integers that are exact doubles */
#define DOUBLE_DIGITS		53

/* How many numbers of a large, and of a small, array are looked at to choose
 * the scale, and how far apart the scales are that are tried first */
#define SCALE_SAMPLE		16
#define SCALE_SAMPLE_SMALL	8
#define SCALE_STEP			3

/* The largest scale that DivideDecimalsByFma() is right for: 5^21 < 2^50 */
#define FMA_SCALE_MAX		21

/*
 * Decimals below 2^51 are small.  A number below that is rounded to an integer by
 * adding 1.5 * 2^52, whose last bit counts 1; the sum's bits, less those of the
 * latter, are then that integer.
 */
#define SMALL_DECIMAL_BITS	51
#define SMALL_DECIMAL		2251799813685248.0
#define ROUNDING			6755399441055744.0

/* A small decimal that is not 0 has no more digits than that. */
#define EXACT_SCALE_MAX		15

/* A way to encode numbers as decimals */
typedef struct DecimalPlan
{
	int			scale;
	int			ncorrections;	/* of them not 0 */
	int			size;			/* bytes */
	IntPlan		decimals_plan;
	IntPlan		corrections_plan;
	int64	   *decimals;
	int64	   *corrections;	/* may be NULL until PlanDecimals() */
} DecimalPlan;

static const double PowersOfTen[SCALE_MAX + 1] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

/*
 * The integer that stands for a number as a decimal, or "otherwise" if the
 * number is too large or none.
 */
static inline int64
DecimalFromDouble(double number, double power, int64 otherwise)
{
	double		scaled = fabs(number * power);

	/* false for NaN */
	if (!(scaled < LARGEST_DECIMAL))
		return otherwise;

	/* rounds to an integer; beyond 2^52 there are only integers */
	if (scaled < TWO_TO_52)
		scaled = (scaled + TWO_TO_52) - TWO_TO_52;

	return number < 0 ? -(int64) scaled : (int64) scaled;
}

/* What must be added to the bits of a decimal's double to get the number's */
static inline int64
DecimalCorrection(double number, int64 decimal, double power)
{
	return (int64) (DoubleToBits(number) - DoubleToBits((double) decimal / power));
}

/* What a few numbers need as decimals of some scale */
typedef struct ScaleCost
{
	int			bits;			/* of the decimals and the corrections */
	int			corrected;		/* numbers that need a correction */
	int			large;			/* numbers whose decimal is no exact double */
} ScaleCost;

static ScaleCost
CostOfScale(const double *numbers, int count, int scale)
{
	double		power = PowersOfTen[scale];
	int64		previous = 0;
	ScaleCost	cost = {0};

	for (int i = 0; i < count; i++)
	{
		int64		decimal = DecimalFromDouble(numbers[i], power, previous);
		int64		correction = DecimalCorrection(numbers[i], decimal, power);

		if (i > 0)
			cost.bits += BitWidth(ZigZag((int64) ((uint64) decimal - (uint64) previous)));
		cost.bits += BitWidth(ZigZag(correction));
		cost.corrected += correction != 0;
		cost.large += BitWidth(ZigZag(decimal)) > DOUBLE_DIGITS + 1;
		previous = decimal;
	}

	return cost;
}

/*
 * Chooses the scale at which a few numbers need the least bits.
 *
 * With each digit, decimals need log2(10) bits more and corrections as many
 * less, until at the right scale the corrections vanish.  So a scale behind
 * that cliff is looked for with long steps, and then the first one behind it.
 */
static int
ChooseScale(const double *numbers, int count)
{
	int			best_scale = 0;
	int			best_bits = PG_INT32_MAX;
	int			found;

	for (int scale = 0; scale <= SCALE_MAX; scale += SCALE_STEP)
	{
		ScaleCost	cost = CostOfScale(numbers, count, scale);

		if (cost.bits < best_bits)
		{
			best_scale = scale;
			best_bits = cost.bits;
		}
		if (cost.corrected == 0 || cost.large * 2 > count)
			break;
	}

	found = best_scale;
	for (int scale = found - 1; scale > found - SCALE_STEP && scale > 0; scale--)
	{
		ScaleCost	cost = CostOfScale(numbers, count, scale);

		if (cost.bits < best_bits)
		{
			best_scale = scale;
			best_bits = cost.bits;
		}
	}

	return best_scale;
}

/*
 * Turns numbers into decimals of a scale.  Returns how many need a correction.
 */
static int
TakeDecimals(const double *numbers, int count, int scale, int64 *decimals, int64 *corrections)
{
	double		power = PowersOfTen[scale];
	int64		previous = 0;
	int			ncorrections = 0;

	for (int i = 0; i < count; i++)
	{
		previous = DecimalFromDouble(numbers[i], power, previous);
		decimals[i] = previous;
	}

	for (int i = 0; i < count; i++)
	{
		corrections[i] = DecimalCorrection(numbers[i], decimals[i], power);
		ncorrections += corrections[i] != 0;
	}

	return ncorrections;
}

/* Takes a few numbers, all over the array; returns how many. */
static int
TakeSample(const double *numbers, int count, double *sample)
{
	int			nsample = count < 4 * SCALE_SAMPLE ? SCALE_SAMPLE_SMALL : SCALE_SAMPLE;

	nsample = Min(nsample, count);
	for (int i = 0; i < nsample; i++)
		sample[i] = numbers[i * count / nsample];

	return nsample;
}

/*
 * The smallest scale at which a few numbers are small decimals, or -1.
 */
static int
ExactScale(const double *numbers, int count)
{
	int			scale = 0;

	for (int i = 0; i < count; i++)
	{
		for (;; scale++)
		{
			double		scaled;

			if (scale > EXACT_SCALE_MAX)
				return -1;
			scaled = numbers[i] * PowersOfTen[scale];

			/* not true for NaN */
			if (!(fabs(scaled) < SMALL_DECIMAL))
				return -1;
			scaled = (scaled + ROUNDING) - ROUNDING;
			if (DoubleToBits(scaled / PowersOfTen[scale]) == DoubleToBits(numbers[i]))
				break;
		}
	}

	return scale;
}

/*
 * Turns numbers into decimals of a scale.  Returns whether all of them are small
 * decimals of it, without a correction.
 */
static pg_attribute_always_inline bool
TakeExactDecimals(const double *restrict numbers, int count, double power, int64 *restrict decimals)
{
	uint64		difference = 0;
	uint64		large = 0;

	for (int i = 0; i < count; i++)
	{
		double		rounded = numbers[i] * power + ROUNDING;
		int64		decimal = (int64) (DoubleToBits(rounded) - DoubleToBits(ROUNDING));
		double		number = (rounded - ROUNDING) / power;

		large |= (uint64) decimal + (UINT64CONST(1) << SMALL_DECIMAL_BITS);
		difference |= DoubleToBits(number) ^ DoubleToBits(numbers[i]);
		decimals[i] = decimal;
	}

	return difference == 0 && large >> (SMALL_DECIMAL_BITS + 1) == 0;
}

#ifdef HAVE_AVX2_DISPATCH

__attribute__((target("avx2")))
static bool
TakeExactDecimalsByAvx2(const double *numbers, int count, double power, int64 *decimals)
{
	return TakeExactDecimals(numbers, count, power, decimals);
}

#endif

/*
 * Turns numbers into decimals without any correction, as most series are.
 * Returns the scale, or -1 if that is not possible.
 */
static int
FindExactDecimals(const double *numbers, int count, int64 *decimals)
{
	double		sample[SCALE_SAMPLE];
	int			scale = ExactScale(sample, TakeSample(numbers, count, sample));
	bool		exact;

	if (scale < 0)
		return -1;

#ifdef HAVE_AVX2_DISPATCH
	if (HaveAvx2())
		exact = TakeExactDecimalsByAvx2(numbers, count, PowersOfTen[scale], decimals);
	else
#endif
		exact = TakeExactDecimals(numbers, count, PowersOfTen[scale], decimals);

	return exact ? scale : -1;
}

/* Takes a few of the numbers that have a correction; returns how many. */
static int
TakeCorrectedSample(const double *numbers, const int64 *corrections, int count,
					int ncorrections, double *sample)
{
	int			nsample = Min(ncorrections, SCALE_SAMPLE);
	int			taken = 0;
	int			seen = 0;

	for (int i = 0; i < count && taken < nsample; i++)
	{
		if (corrections[i] != 0 && seen++ == taken * ncorrections / nsample)
			sample[taken++] = numbers[i];
	}

	return taken;
}

static void
FreePlan(DecimalPlan *plan)
{
	pfree(plan->decimals);
	if (plan->corrections != NULL)
		pfree(plan->corrections);
}

/* Turns numbers into decimals of a scale, with the size of their encoding. */
static void
PlanDecimals(const double *numbers, int count, int scale, DecimalPlan *plan)
{
	int			ncorrections;

	if (plan->corrections == NULL)
		plan->corrections = ScratchArray(int64, count);
	ncorrections = TakeDecimals(numbers, count, scale, plan->decimals, plan->corrections);

	plan->scale = scale;
	plan->ncorrections = ncorrections;
	EstimateInts(plan->decimals, count, &plan->decimals_plan);
	plan->size = plan->decimals_plan.size;
	if (ncorrections > 0)
	{
		EstimateInts(plan->corrections, count, &plan->corrections_plan);
		plan->size += plan->corrections_plan.size;
	}
}

/* Turns numbers into decimals of the scale that suits them best. */
static void
FindDecimals(const double *numbers, int count, DecimalPlan *plan)
{
	double		sample[SCALE_SAMPLE];
	DecimalPlan other;
	int			other_scale;

	PlanDecimals(numbers, count, ChooseScale(sample, TakeSample(numbers, count, sample)), plan);

	/* the sample may have missed some with more digits, which are not many */
	if (plan->ncorrections == 0 || plan->ncorrections >= count / 2 ||
		plan->corrections_plan.size < plan->size / 8)
		return;

	other_scale = ChooseScale(sample, TakeCorrectedSample(numbers, plan->corrections, count,
														  plan->ncorrections, sample));
	if (other_scale != plan->scale)
	{
		other.decimals = ScratchArray(int64, count);
		other.corrections = NULL;
		PlanDecimals(numbers, count, other_scale, &other);
		if (other.size < plan->size)
		{
			DecimalPlan worse = *plan;

			*plan = other;
			other = worse;
		}
		FreePlan(&other);
	}
}

/*
 * Turns numbers into the integers of their bits.  Returns the first byte of
 * that encoding.
 */
static uint8
TakeBits(const double *numbers, int count, int64 *ints)
{
	uint64		any = 0;
	uint64		all = PG_UINT64_MAX;
	bool		both_signs;
	int			cut;

	for (int i = 0; i < count; i++)
	{
		uint64		bits = DoubleToBits(numbers[i]);

		any |= bits;
		all &= bits;
	}

	both_signs = (any & ~all & SIGN_BIT) != 0;
	if (both_signs)
		any &= ~SIGN_BIT;
	cut = any == 0 ? 0 : pg_rightmost_one_pos64(any);

	for (int i = 0; i < count; i++)
	{
		uint64		bits = DoubleToBits(numbers[i]);

		if (both_signs)
			bits = ((bits & ~SIGN_BIT) >> cut << 1) | (bits >> 63);
		else
			bits >>= cut;
		ints[i] = (int64) bits;
	}

	return (both_signs ? SIGNED_BITS : BITS) | (cut << PARAMETER_SHIFT);
}

/*
 * Whether all integers lie in [-2^51, 2^51).
 */
static bool
IntsAreSmall(const int64 *ints, int count)
{
	uint64		bits = 0;

	for (int i = 0; i < count; i++)
		bits |= (uint64) ints[i] + (UINT64CONST(1) << SMALL_DECIMAL_BITS);

	return bits >> (SMALL_DECIMAL_BITS + 1) == 0;
}

/*
 * A small integer, given as the bits of "number", as a double.  Not every
 * processor has an instruction that converts several int64 at once.
 */
static pg_attribute_always_inline double
SmallIntToDouble(double number)
{
	return BitsToDouble(DoubleToBits(number) + DoubleToBits(ROUNDING)) - ROUNDING;
}

/*
 * Replaces small decimals, the bits of "values", by what they are divided by
 * 10^scale.
 */
static pg_attribute_always_inline void
DivideDecimals(double *values, int count, double power)
{
	for (int i = 0; i < count; i++)
		values[i] = SmallIntToDouble(values[i]) / power;
}

#ifdef HAVE_AVX2_DISPATCH

/*
 * The same with multiplications.  What comes out is the quotient as a division
 * rounds it:
 *
 * The first quotient is at most 2 ulp off.  Since 10^scale is B * 2^scale with
 * B < 2^50, its remainder is a double, and the second one before rounding is
 * off by less than 2^-51 ulp.  It can only be rounded differently if the true
 * quotient is as near as that to the middle of two doubles.  It cannot be the
 * middle, as decimals are below 2^51, and so is at least 2^-51 ulp away from it.
 * (The method is that of P. Markstein, "Computation of elementary functions on
 * the IBM RISC System/6000 processor", 1990.)
 */
__attribute__((target("avx2,fma")))
static void
DivideDecimalsByFma(double *values, int count, double power)
{
	double		inverse = 1 / power;

	for (int i = 0; i < count; i++)
	{
		double		decimal = SmallIntToDouble(values[i]);
		double		quotient = decimal * inverse;
		double		remainder = __builtin_fma(-quotient, power, decimal);

		values[i] = __builtin_fma(remainder, inverse, quotient);
	}
}

#endif

/*
 * Replaces small decimals of a scale, the bits of "values", by doubles.
 */
static void
SmallDecimalsToDoubles(double *values, int count, int scale)
{
	if (scale == 0)
	{
		for (int i = 0; i < count; i++)
			values[i] = SmallIntToDouble(values[i]);
		return;
	}

#ifdef HAVE_AVX2_DISPATCH
	if (scale <= FMA_SCALE_MAX && HaveAvx2())
	{
		DivideDecimalsByFma(values, count, PowersOfTen[scale]);
		return;
	}
#endif

	DivideDecimals(values, count, PowersOfTen[scale]);
}

/*
 * Appends the encoding of doubles by their bits, or by XOR, if that is not longer
 * than "size"; else returns false.
 */
static bool
EncodeBits(StringInfo buf, const double *values, int count, int size)
{
	int64	   *bits = ScratchArray(int64, count);
	uint8		header = TakeBits(values, count, bits);
	IntPlan		plan;
	bool		shorter;

	EstimateInts(bits, count, &plan);
	shorter = plan.size <= size;
	if (EstimateXorSize(values, count) < Min(size, plan.size))
	{
		WriteByte(buf, XOR);
		EncodeXor(buf, values, count);
		shorter = true;
	}
	else if (shorter)
	{
		WriteByte(buf, header);
		WriteInts(buf, bits, count, &plan);
	}
	pfree(bits);

	return shorter;
}

/*
 * Appends the encoding of up to CODEC_MAX_COUNT doubles, nothing for none of
 * them.
 */
void
EncodeDoubles(StringInfo buf, const double *values, int count)
{
	DecimalPlan plan;
	int			scale;

	if (count < 1)
		return;

	plan.decimals = ScratchArray(int64, count);
	plan.corrections = NULL;
	scale = FindExactDecimals(values, count, plan.decimals);
	if (scale >= 0)
	{
		WriteByte(buf, DECIMAL | (scale << PARAMETER_SHIFT));
		EncodeInts(buf, plan.decimals, count);
		FreePlan(&plan);
		return;
	}

	FindDecimals(values, count, &plan);
	if (plan.ncorrections == 0 || !EncodeBits(buf, values, count, plan.size))
	{
		WriteByte(buf, DECIMAL | (plan.scale << PARAMETER_SHIFT) |
				  (plan.ncorrections > 0 ? CORRECTIONS : 0));
		WriteInts(buf, plan.decimals, count, &plan.decimals_plan);
		if (plan.ncorrections > 0)
			WriteInts(buf, plan.corrections, count, &plan.corrections_plan);
	}
	FreePlan(&plan);
}

/* Reads decimals of a scale, and their corrections if there are any. */
static void
DecodeDecimals(Reader *reader, double *values, int count, int scale, bool corrected)
{
	int64	   *decimals = (int64 *) values;

	if (scale > SCALE_MAX)
		ReportDamagedBlock("It has decimals of an impossible scale.");

	DecodeInts(reader, decimals, count);
	if (IntsAreSmall(decimals, count))
		SmallDecimalsToDoubles(values, count, scale);
	else
	{
		for (int i = 0; i < count; i++)
			values[i] = (double) decimals[i] / PowersOfTen[scale];
	}

	if (corrected)
	{
		int64	   *corrections = ScratchArray(int64, count);

		DecodeInts(reader, corrections, count);
		for (int i = 0; i < count; i++)
			values[i] = BitsToDouble(DoubleToBits(values[i]) + (uint64) corrections[i]);
		pfree(corrections);
	}
}

/* Reads doubles from the integers of their bits. */
static void
DecodeBits(Reader *reader, double *values, int count, int cut, bool both_signs)
{
	int64	   *ints = (int64 *) values;

	DecodeInts(reader, ints, count);
	if (cut == 0 && !both_signs)
		return;

	for (int i = 0; i < count; i++)
	{
		uint64		bits = (uint64) ints[i];

		if (both_signs)
			bits = ((bits >> 1 << cut) & ~SIGN_BIT) | (bits << 63);
		else
			bits <<= cut;
		values[i] = BitsToDouble(bits);
	}
}

/* Reads the encoding of "count" doubles. */
void
DecodeDoubles(Reader *reader, double *values, int count)
{
	uint8		header;
	int			parameter;

	if (count < 1)
		return;

	header = ReadByte(reader);
	parameter = header >> PARAMETER_SHIFT;
	switch (header & ENCODING_MASK)
	{
		case DECIMAL:
			DecodeDecimals(reader, values, count, parameter & SCALE_MASK,
						   (header & CORRECTIONS) != 0);
			break;
		case BITS:
			DecodeBits(reader, values, count, parameter, false);
			break;
		case SIGNED_BITS:
			DecodeBits(reader, values, count, parameter, true);
			break;
		case XOR:
			if (parameter != 0)
				ReportDamagedBlock("It has doubles in an unknown encoding.");
			DecodeXor(reader, values, count);
			break;
	}
}

/*
 * Whether there is neither an infinity nor NaN among doubles: all bits of the
 * exponent are set in these, so that one more of it is carried into the sign.
 */
bool
DoublesAreFinite(const double *values, int count)
{
	const uint64 exponent = UINT64CONST(0x7FF0000000000000);
	const uint64 exponent_one = UINT64CONST(0x0010000000000000);
	uint64		carries = 0;

	for (int i = 0; i < count; i++)
		carries |= (DoubleToBits(values[i]) & exponent) + exponent_one;

	return (carries & SIGN_BIT) == 0;
}

/* What people call the encoding of doubles that is read next */
const char *
DoublesEncodingName(Reader reader)
{
	uint8		header = ReadByte(&reader);

	switch (header & ENCODING_MASK)
	{
		case DECIMAL:
			return header & CORRECTIONS ? "corrected decimal" : "decimal";
		case XOR:
			return "xor";
		default:
			return "bits";
	}
}
