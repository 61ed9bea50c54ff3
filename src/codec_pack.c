/*-------------------------------------------------------------------------
 *
 * codec_pack.c
 *	  Packing of arrays of 64-bit numbers into few bits.
 *
 * Numbers mostly lie in a narrow window of 2^width numbers from "base" on: each
 * is stored in "width" bits as its distance from base (frame of reference), and
 * the few outside are exceptions that are stored apart (PFOR; Zukowski et al.,
 * "Super-Scalar RAM-CPU Cache Compression", ICDE 2006).  A width of 0 stores
 * nothing for those inside.  All arithmetic is modulo 2^64, so that any array
 * can be packed in any way.
 *
 * Format:
 *
 *	zigzag	base
 *	byte	width, 1-64				(if PACKED_WIDTH is set; else it is 0)
 *	bytes	distances from base, packed one after the other from the lowest bit
 *			of the first byte on, the last byte filled up with 0; 0 for
 *			exceptions
 *	varint	number of exceptions	(if PACKED_EXCEPTIONS is set)
 *	for each exception, in order of position:
 *		varint	numbers between it and the exception before
 *		zigzag	its distance from base
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "codec.h"

#ifdef HAVE_AVX2_DISPATCH
#include <immintrin.h>
#endif

#define WIDTH_MAX			64

/* Numbers are unpacked in groups of 8, as these end at a full byte. */
#define GROUP				8

/* A word is loaded, or stored, whole, also if less of it is needed. */
#define WORD_SIZE			((int) sizeof(uint64))

/* How many numbers are looked at to choose the window */
#define WINDOW_SAMPLE		32

/* The largest width of which two numbers lie in 16 bytes, whatever their shift */
#define PAIR_WIDTH_MAX		56
#define PAIR_SIZE			16

static inline int
PackedSize(int count, int width)
{
	return (count * width + 7) / 8;
}

/* The largest number of "width" bits */
static inline uint64
LargestOfWidth(int width)
{
	return width == 0 ? 0 : PG_UINT64_MAX >> (WIDTH_MAX - width);
}

/* ----- Packing ----- */

/*
 * Considers to pack numbers as distances from "base", with the width that is
 * best for it; keeps that in *best if it needs less bytes.
 */
static void
ConsiderBase(const uint64 *numbers, int count, uint64 base, Packing *best)
{
	uint16		counts[WIDTH_MAX + 1] = {0};
	uint16		more_counts[WIDTH_MAX + 1] = {0};
	int			below_size = 0;
	int			widest = WIDTH_MAX;
	int			nexceptions = 0;
	int			exceptions_size = 0;
	int			i;

	/* two counters of each width, so that one need not wait for itself */
	for (i = 0; i + 1 < count; i += 2)
	{
		counts[BitWidth(numbers[i] - base)]++;
		more_counts[BitWidth(numbers[i + 1] - base)]++;
	}
	if (i < count)
		counts[BitWidth(numbers[i] - base)]++;
	for (i = 0; i <= WIDTH_MAX; i++)
		counts[i] += more_counts[i];

	/* those below base, which are nearly always few */
	if (counts[WIDTH_MAX] > 0)
	{
		for (i = 0; i < count; i++)
		{
			uint64		distance = numbers[i] - base;

			if ((int64) distance < 0)
				below_size += VarintSize(ZigZag((int64) distance));
		}
	}

	while (widest > 0 && counts[widest] == 0)
		widest--;

	/* from no exceptions on to more and more of them, up to a majority */
	for (int width = widest; width >= 0 && nexceptions <= count / 2; width--)
	{
		int			size = VarintSize(ZigZag((int64) base)) + PackedSize(count, width);

		if (width > 0)
			size += 1;
		if (nexceptions > 0)
			size += VarintSize(nexceptions) + nexceptions + exceptions_size;
		if (size < best->size)
		{
			best->base = base;
			best->width = width;
			best->nexceptions = nexceptions;
			best->size = size;
		}

		nexceptions += counts[width];
		exceptions_size += width == WIDTH_MAX ? below_size :
			counts[width] * ((width + 7) / 7);
	}
}

/* Takes numbers from all over an array, sorted; returns how many. */
static int
TakeSortedSample(const uint64 *numbers, int count, int64 *sample)
{
	int			nsample = Min(count, WINDOW_SAMPLE);

	for (int i = 0; i < nsample; i++)
	{
		int64		number = numbers[i * count / nsample];
		int			j = i;

		for (; j > 0 && sample[j - 1] > number; j--)
			sample[j] = sample[j - 1];
		sample[j] = number;
	}

	return nsample;
}

/*
 * Finds a window that holds most of the numbers in little width, from a sample
 * of them, and sets *base to its lower end.  "lowest" and "highest" are the
 * extremes of all numbers.  Returns false if a window of their width is best.
 */
static bool
FindWindow(const uint64 *numbers, int count, int64 lowest, int64 highest, uint64 *base)
{
	int64		sample[WINDOW_SAMPLE] = {0};
	int			nsample = TakeSortedSample(numbers, count, sample);
	int			exception_bits;
	int			best_bits = PG_INT32_MAX;
	int			best_first = 0;
	uint64		best_span = 0;
	uint64		below;
	uint64		above;
	uint64		spare;

	/* for each number of exceptions the narrowest window without them */
	exception_bits = 12 + BitWidth((uint64) sample[nsample - 1] - (uint64) sample[0]);
	for (int nexceptions = 0; nexceptions <= nsample / 2; nexceptions++)
	{
		uint64		span = PG_UINT64_MAX;
		int			first = 0;
		int			bits;

		for (int i = 0; i <= nexceptions; i++)
		{
			uint64		this_span = (uint64) sample[nsample - 1 - nexceptions + i] -
				(uint64) sample[i];

			if (this_span <= span)
			{
				span = this_span;
				first = i;
			}
		}

		bits = nsample * BitWidth(span) + nexceptions * exception_bits;
		if (bits < best_bits)
		{
			best_bits = bits;
			best_first = first;
			best_span = span;
		}
	}

	if (BitWidth(best_span) >= BitWidth((uint64) highest - (uint64) lowest))
		return false;

	/* its width holds more than it spans: take that from both sides */
	below = (uint64) sample[best_first] - (uint64) lowest;
	above = (uint64) highest - (uint64) sample[best_first] - best_span;
	spare = LargestOfWidth(BitWidth(best_span)) - best_span;
	above = Min(above, spare - Min(spare / 2, below));
	below = Min(below, spare - above);

	*base = (uint64) sample[best_first] - below;

	return true;
}

/*
 * Finds a good way to pack numbers, of which there must be one at least.
 */
void
PlanPacking(const uint64 *numbers, int count, Packing *packing)
{
	int64		lowest = PG_INT64_MAX;
	int64		highest = PG_INT64_MIN;
	uint64		window;

	for (int i = 0; i < count; i++)
	{
		lowest = Min(lowest, (int64) numbers[i]);
		highest = Max(highest, (int64) numbers[i]);
	}

	packing->base = lowest;
	packing->width = 0;
	packing->nexceptions = 0;
	packing->size = VarintSize(ZigZag(lowest));
	if (lowest >= highest)
		return;

	packing->width = BitWidth((uint64) highest - (uint64) lowest);
	packing->size += 1 + PackedSize(count, packing->width);
	if (!FindWindow(numbers, count, lowest, highest, &window))
		return;

	ConsiderBase(numbers, count, lowest, packing);
	if (window != (uint64) lowest)
		ConsiderBase(numbers, count, window, packing);
}

/* Whether a number is an exception of a packing */
static inline bool
IsException(const Packing *packing, uint64 number)
{
	return number - packing->base > LargestOfWidth(packing->width);
}

/* Packs numbers; "out" has room for the packed size and a word. */
static void
PackNumbers(uint8 *out, const uint64 *numbers, int count, const Packing *packing)
{
	int			width = packing->width;
	uint64		word = 0;
	int			used = 0;

	for (int i = 0; i < count; i++)
	{
		uint64		distance = IsException(packing, numbers[i]) ? 0 : numbers[i] - packing->base;

		word |= distance << used;
		used += width;
		if (used >= 64)
		{
			StoreUInt64(out, word);
			out += WORD_SIZE;
			used -= 64;
			word = used == 0 ? 0 : distance >> (width - used);
		}
	}
	StoreUInt64(out, word);
}

/* Appends numbers that are packed in the given way. */
void
WritePacked(StringInfo buf, const uint64 *numbers, int count, const Packing *packing)
{
	uint8	   *out;
	int			next = 0;

	WriteVarint(buf, ZigZag((int64) packing->base));

	if (packing->width > 0)
	{
		int			size = PackedSize(count, packing->width);

		WriteByte(buf, packing->width);
		PackNumbers(WriteRoom(buf, size + WORD_SIZE), numbers, count, packing);
		buf->len += size;
	}

	if (packing->nexceptions == 0)
		return;

	WriteVarint(buf, packing->nexceptions);
	out = WriteRoom(buf, packing->nexceptions * 2 * VARINT_MAX_SIZE);
	for (int i = 0; i < count; i++)
	{
		if (!IsException(packing, numbers[i]))
			continue;
		out = PutVarint(out, i - next);
		out = PutVarint(out, ZigZag((int64) (numbers[i] - packing->base)));
		next = i + 1;
	}
	buf->len = (char *) out - buf->data;
}

/* ----- Unpacking ----- */

/* The k-th number of a group; nine bytes from its first one on can be read. */
static pg_attribute_always_inline uint64
UnpackNumber(const uint8 *group, int k, int width)
{
	const uint8 *from = group + k * width / 8;
	int			shift = k * width % 8;
	uint64		bits = LoadUInt64(from) >> shift;

	if (shift + width > 64)
		bits |= (uint64) from[WORD_SIZE] << (64 - shift);

	return bits & LargestOfWidth(width);
}

/* Unpacks whole groups; the input goes on for a word after them. */
static pg_attribute_always_inline void
UnpackGroups(const uint8 *in, uint64 *out, int ngroups, uint64 base, int width)
{
	for (int group = 0; group < ngroups; group++)
	{
		out[0] = base + UnpackNumber(in, 0, width);
		out[1] = base + UnpackNumber(in, 1, width);
		out[2] = base + UnpackNumber(in, 2, width);
		out[3] = base + UnpackNumber(in, 3, width);
		out[4] = base + UnpackNumber(in, 4, width);
		out[5] = base + UnpackNumber(in, 5, width);
		out[6] = base + UnpackNumber(in, 6, width);
		out[7] = base + UnpackNumber(in, 7, width);
		in += width;
		out += GROUP;
	}
}

/* UnpackGroups with a loop of its own for each width, all shifts constant */
static void
UnpackGroupsOfWidth(const uint8 *in, uint64 *out, int ngroups, uint64 base, int width)
{
	switch (width)
	{
#define WIDTH(w)	case w: UnpackGroups(in, out, ngroups, base, w); break;
#define WIDTHS(w)	WIDTH(w) WIDTH((w) + 1) WIDTH((w) + 2) WIDTH((w) + 3) \
					WIDTH((w) + 4) WIDTH((w) + 5) WIDTH((w) + 6) WIDTH((w) + 7)
			WIDTHS(1)
			WIDTHS(9)
			WIDTHS(17)
			WIDTHS(25)
			WIDTHS(33)
			WIDTHS(41)
			WIDTHS(49)
			WIDTHS(57)
#undef WIDTHS
#undef WIDTH
	}
}

#ifdef HAVE_AVX2_DISPATCH

/*
 * UnpackGroups for widths up to PAIR_WIDTH_MAX: four numbers at once.  Of two
 * pairs of numbers 16 bytes each are loaded, from the byte on in which the pair
 * begins, the bytes of each number are moved into a lane of its own, and there
 * shifted and masked.  The input goes on for PAIR_SIZE bytes after the groups.
 */
__attribute__((target("avx2")))
static void
UnpackGroupsByAvx2(const uint8 *in, uint64 *out, int ngroups, uint64 base, int width)
{
	const __m256i bases = _mm256_set1_epi64x((int64) base);
	const __m256i mask = _mm256_set1_epi64x((int64) LargestOfWidth(width));
	uint8		bytes[GROUP / 2][PAIR_SIZE];	/* where the bytes of a pair come from */
	uint64		shifts[GROUP];
	__m256i		low_bytes;
	__m256i		high_bytes;
	__m256i		low_shifts;
	__m256i		high_shifts;

	for (int k = 0; k < GROUP; k++)
	{
		int			first = k * width / 8 - k / 2 * 2 * width / 8;

		for (int i = 0; i < WORD_SIZE; i++)
			bytes[k / 2][k % 2 * WORD_SIZE + i] = first + i;
		shifts[k] = k * width % 8;
	}
	low_bytes = _mm256_loadu_si256((const __m256i *) bytes[0]);
	high_bytes = _mm256_loadu_si256((const __m256i *) bytes[2]);
	low_shifts = _mm256_loadu_si256((const __m256i *) &shifts[0]);
	high_shifts = _mm256_loadu_si256((const __m256i *) &shifts[4]);

#define LOAD_PAIRS(pair) \
	_mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *) (in + (pair) * 2 * width / 8))), \
							_mm_loadu_si128((const __m128i *) (in + ((pair) + 1) * 2 * width / 8)), 1)
#define TAKE_NUMBERS(pairs, bytes, shifts) \
	_mm256_add_epi64(bases, _mm256_and_si256(mask, \
											 _mm256_srlv_epi64(_mm256_shuffle_epi8(pairs, bytes), shifts)))

	for (int group = 0; group < ngroups; group++)
	{
		_mm256_storeu_si256((__m256i *) out, TAKE_NUMBERS(LOAD_PAIRS(0), low_bytes, low_shifts));
		_mm256_storeu_si256((__m256i *) (out + 4), TAKE_NUMBERS(LOAD_PAIRS(2), high_bytes, high_shifts));
		in += width;
		out += GROUP;
	}
#undef TAKE_NUMBERS
#undef LOAD_PAIRS
}

#endif

/*
 * How many of "ngroups" groups can be unpacked if "readable" bytes can be read
 * from the first one on, and "more" bytes must be readable after the last one.
 */
static inline int
UnpackableGroups(int ngroups, int width, int readable, int more)
{
	return ngroups * width + more <= readable ? ngroups : Max(readable - more, 0) / width;
}

/* Reads "count" packed numbers of "width" bits and adds base to each. */
static void
UnpackNumbers(Reader *reader, uint64 *out, int count, uint64 base, int width)
{
	int			readable = BytesLeft(reader);
	int			size = PackedSize(count, width);
	const uint8 *in = ReadBytes(reader, size);
	int			ngroups;

	/* whole groups, as long as there is something to read after them */
#ifdef HAVE_AVX2_DISPATCH
	if (width <= PAIR_WIDTH_MAX && HaveAvx2())
	{
		ngroups = UnpackableGroups(count / GROUP, width, readable, PAIR_SIZE);
		UnpackGroupsByAvx2(in, out, ngroups, base, width);
	}
	else
#endif
	{
		ngroups = UnpackableGroups(count / GROUP, width, readable, WORD_SIZE);
		UnpackGroupsOfWidth(in, out, ngroups, base, width);
	}

	/* the others one by one, with a copy of the input that is long enough */
	in += ngroups * width;
	size -= ngroups * width;
	out += ngroups * GROUP;
	count -= ngroups * GROUP;
	while (count > 0)
	{
		uint8		group[WIDTH_MAX + sizeof(uint64)] = {0};

		memcpy(group, in, Min(size, width));
		for (int k = 0; k < Min(count, GROUP); k++)
			out[k] = base + UnpackNumber(group, k, width);
		in += width;
		size -= width;
		out += GROUP;
		count -= GROUP;
	}
}

/* Reads what WritePacked wrote; flags are those of the packing. */
void
ReadPacked(Reader *reader, uint64 *numbers, int count, int flags)
{
	uint64		base = ReadZigZag(reader);
	uint64		nexceptions;
	uint64		position = 0;

	if (flags & PACKED_WIDTH)
	{
		int			width = ReadByte(reader);

		if (width == 0 || width > WIDTH_MAX)
			ReportDamagedBlock("It has packed integers of an impossible width.");
		UnpackNumbers(reader, numbers, count, base, width);
	}
	else
	{
		for (int i = 0; i < count; i++)
			numbers[i] = base;
	}

	if ((flags & PACKED_EXCEPTIONS) == 0)
		return;

	nexceptions = ReadVarint(reader);
	if (nexceptions > (uint64) count)
		ReportDamagedBlock("It has more exceptions than integers.");
	for (uint64 i = 0; i < nexceptions; i++)
	{
		uint64		gap = ReadVarint(reader);

		if (gap >= (uint64) count - position)
			ReportDamagedBlock("It has an exception beyond the last integer.");
		position += gap;
		numbers[position++] = base + (uint64) ReadZigZag(reader);
	}
}
