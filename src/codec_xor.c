/*-------------------------------------------------------------------------
 *
 * codec_xor.c
 *	  Encoding of arrays of doubles by XOR with the number before.
 *
 * After Gorilla (Pelkonen et al., VLDB 2015) in the form of Chimp (Liakos et
 * al., VLDB 2022): equal numbers leave nothing, similar ones leave leading
 * zeros, and those with few significant bits trailing zeros.
 *
 * Format:
 *
 *	varint	number of bytes that follow
 *	bits, from the lowest of each byte on; for each number
 *		2 bits	form of the XOR with the number before, or with 0
 *		SAME: nothing
 *		CENTER: 3 bits class of leading zeros, 6 bits number of significant
 *			bits, less one; the significant bits
 *		AS_BEFORE: the bits that follow as many leading zeros as with the last
 *			LEADING, 0 at first
 *		LEADING: 3 bits class of leading zeros; the bits that follow them
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "codec.h"

/* Forms */
#define SAME				0
#define CENTER				1
#define AS_BEFORE			2
#define LEADING				3

/* Trailing zeros from which on CENTER needs less than the others */
#define CENTER_TRAILING		7

/* No number needs more bits: AS_BEFORE and LEADING */
#define XOR_MAX_BITS		(2 + 3 + 64)

/* How many numbers are looked at to estimate the size */
#define SAMPLE_RUN			24
#define SAMPLE_RUNS			4

/* Leading zeros of each class, and the class of each number of leading zeros */
static const uint8 LeadingZeros[8] = {0, 8, 12, 16, 18, 20, 22, 24};
static const uint8 LeadingClass[64] = {
	0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2,
	3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7,
	7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
	7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7
};

/* Where bits are written */
typedef struct BitWriter
{
	uint8	   *out;
	uint64		word;			/* bits that are not in "out" yet */
	int			used;			/* number of them, less than 64 */
} BitWriter;

static inline void
PutBits(BitWriter *writer, uint64 bits, int count)
{
	writer->word |= bits << writer->used;
	writer->used += count;
	if (writer->used >= 64)
	{
		StoreUInt64(writer->out, writer->word);
		writer->out += sizeof(uint64);
		writer->used -= 64;
		writer->word = writer->used == 0 ? 0 : bits >> (count - writer->used);
	}
}

/*
 * Encodes doubles, or only counts the bits that this takes, which it returns.
 */
static pg_attribute_always_inline uint64
XorBits(const double *values, int count, BitWriter *writer)
{
	uint64		previous = 0;
	int			leading_before = 0;
	uint64		nbits = 0;

	for (int i = 0; i < count; i++)
	{
		uint64		bits = DoubleToBits(values[i]);
		uint64		xor = bits ^ previous;
		int			class;
		int			leading;
		int			trailing;
		uint64		prefix;
		int			prefix_size;
		int			size;

		previous = bits;
		if (xor == 0)
		{
			nbits += 2;
			if (writer)
				PutBits(writer, SAME, 2);
			continue;
		}

		class = LeadingClass[63 - pg_leftmost_one_pos64(xor)];
		leading = LeadingZeros[class];
		trailing = pg_rightmost_one_pos64(xor);
		if (trailing >= CENTER_TRAILING)
		{
			size = 64 - leading - trailing;
			prefix = CENTER | (class << 2) | ((size - 1) << 5);
			prefix_size = 11;
			xor >>= trailing;
		}
		else if (leading == leading_before)
		{
			size = 64 - leading;
			prefix = AS_BEFORE;
			prefix_size = 2;
		}
		else
		{
			size = 64 - leading;
			prefix = LEADING | (class << 2);
			prefix_size = 5;
			leading_before = leading;
		}

		nbits += prefix_size + size;
		if (writer)
		{
			PutBits(writer, prefix, prefix_size);
			PutBits(writer, xor, size);
		}
	}

	return nbits;
}

/* About how many bytes EncodeXor would append, from a few runs of the array */
int
EstimateXorSize(const double *values, int count)
{
	uint64		nbits = 0;
	int			run = count / SAMPLE_RUNS;

	if (run <= SAMPLE_RUN)
		return 2 + XorBits(values, count, NULL) / 8;

	/* the first number of a run stands for itself, and not for the others */
	for (int r = 0; r < SAMPLE_RUNS; r++)
	{
		const double *from = values + r * run;

		nbits += XorBits(from, SAMPLE_RUN + 1, NULL) - XorBits(from, 1, NULL);
	}

	return 2 + nbits * count / (SAMPLE_RUNS * SAMPLE_RUN * 8);
}

/* Appends the encoding of up to CODEC_MAX_COUNT doubles. */
void
EncodeXor(StringInfo buf, const double *values, int count)
{
	int			size = (XorBits(values, count, NULL) + 7) / 8;
	BitWriter	writer = {0};

	WriteVarint(buf, size);
	writer.out = WriteRoom(buf, size + sizeof(uint64));
	XorBits(values, count, &writer);
	StoreUInt64(writer.out, writer.word);
	buf->len += size;
}

/* "count" (1 to 64) bits from a position on, that are followed by 8 bytes */
static inline uint64
GetBits(const uint8 *in, uint64 position, int count)
{
	const uint8 *from = in + position / 8;
	int			shift = position % 8;
	uint64		bits = LoadUInt64(from) >> shift;

	if (shift + count > 64)
		bits |= (uint64) from[8] << (64 - shift);

	return count == 64 ? bits : bits & ((UINT64CONST(1) << count) - 1);
}

/* Reads the encoding of "count" doubles. */
void
DecodeXor(Reader *reader, double *values, int count)
{
	uint8	   *in;
	uint64		size = ReadVarint(reader);
	uint64		nbits = size * 8;
	uint64		position = 0;
	uint64		bits = 0;
	int			leading_before = 0;

	if (size > (uint64) (count * XOR_MAX_BITS + 7) / 8)
		ReportDamagedBlock("It has more bits than its doubles can take.");
	in = ScratchArray(uint8, size + 32);
	memcpy(in, ReadBytes(reader, size), size);
	memset(in + size, 0, 32);

	for (int i = 0; i < count; i++)
	{
		uint64		prefix = GetBits(in, position, 11);
		uint64		xor = 0;
		int			leading = LeadingZeros[(prefix >> 2) & 7];
		int			significant;

		switch (prefix & 3)
		{
			case SAME:
				position += 2;
				break;
			case CENTER:
				significant = (int) (prefix >> 5) + 1;
				if (leading + significant > 64)
					ReportDamagedBlock("It has a double of more than 64 bits.");
				xor = GetBits(in, position + 11, significant) << (64 - leading - significant);
				position += 11 + significant;
				break;
			case AS_BEFORE:
				xor = GetBits(in, position + 2, 64 - leading_before);
				position += 2 + 64 - leading_before;
				break;
			case LEADING:
				leading_before = leading;
				xor = GetBits(in, position + 5, 64 - leading);
				position += 5 + 64 - leading;
				break;
		}
		if (position > nbits)
			ReportDamagedBlock("It has fewer bits than its doubles need.");
		bits ^= xor;
		values[i] = BitsToDouble(bits);
	}
	pfree(in);
}
