/*-------------------------------------------------------------------------
 *
 * codec.h
 *	  Encodings of the columns of a block: arrays of integers, of doubles and
 *	  of byte strings.
 *
 * Every encoding is exact: what was encoded is decoded bit for bit.  The
 * length of an array is not part of its encoding, the block knows it; apart
 * from that an encoding tells by itself where it ends.  Multi-byte numbers are
 * little-endian and lie anywhere, without alignment.
 *
 * A "varint" is an unsigned number of up to 64 bits, seven bits a byte, the
 * lowest first, with the highest bit of a byte set if another byte follows
 * (LEB128).  A "zigzag" is a varint of a signed number v mapped to
 * 0, -1, 1, -2, 2, ...
 *
 * Encoders append to a StringInfo.  Decoders trust nothing: whatever the input
 * is, they return or raise ERRCODE_DATA_CORRUPTED, having read nothing
 * outside of it and having allocated no more than the input can stand for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DS_CODEC_H
#define DS_CODEC_H

#include "compat.h"
#include "lib/stringinfo.h"
#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"

/* The longest array that is encoded or decoded: the most rows of a block */
#define CODEC_MAX_COUNT		4096

/* The longest varint, in bytes */
#define VARINT_MAX_SIZE		10

/* The part of an encoded block that has not been read yet */
typedef struct Reader
{
	const uint8 *next;
	const uint8 *end;
} Reader;

/* A way to pack an array of numbers (codec_pack.c) */
typedef struct Packing
{
	uint64		base;
	int			width;			/* bits of each number */
	int			nexceptions;
	int			size;			/* bytes */
} Packing;

/* Flags that tell the parts of packed numbers, for the header of an encoding */
#define PACKED_EXCEPTIONS	0x04
#define PACKED_WIDTH		0x08
#define PACKED_FLAGS		(PACKED_EXCEPTIONS | PACKED_WIDTH)

/* A way to encode an array of integers (codec_int.c) */
typedef struct IntPlan
{
	int			form;
	Packing		packing;
	int			size;			/* bytes */
} IntPlan;

/* A byte string of a dictionary; data of NULL means that there is none. */
typedef struct ByteString
{
	const char *data;
	int			length;
} ByteString;

/*
 * A decoded dictionary: "count" distinct byte strings, and for each row the
 * index of its string.
 */
typedef struct Dictionary
{
	int			count;
	ByteString *entries;
	uint16	   *codes;
} Dictionary;

/* How a column of an encoded block is stored; id is 0 for the times. */
typedef struct EncodedColumn
{
	int			id;				/* ColumnId */
	int			size;			/* bytes without its header */
	const char *encoding;
} EncodedColumn;

#define ENCODED_COLUMNS_MAX		(COLUMN_ID_MAX + 1)

/* codec_block.c */
pg_noreturn extern void ReportDamagedBlock(const char *detail);
extern int	DescribeEncodedBlock(const struct varlena *encoded, EncodedColumn *columns);

/* codec_pack.c */
extern void PlanPacking(const uint64 *numbers, int count, Packing *packing);
extern void WritePacked(StringInfo buf, const uint64 *numbers, int count, const Packing *packing);
extern void ReadPacked(Reader *reader, uint64 *numbers, int count, int flags);

/* codec_int.c */
extern void EncodeInts(StringInfo buf, const int64 *values, int count);
extern void DecodeInts(Reader *reader, int64 *values, int count);
extern void EncodeConstant(StringInfo buf, int64 value);
extern bool DecodeConstant(Reader *reader, uint64 *value);
extern void PlanInts(const int64 *values, int count, IntPlan *plan);
extern void EstimateInts(const int64 *values, int count, IntPlan *plan);
extern void WriteInts(StringInfo buf, const int64 *values, int count, IntPlan *plan);
extern const char *IntsEncodingName(Reader reader);

/* codec_double.c */
extern void EncodeDoubles(StringInfo buf, const double *values, int count);
extern void DecodeDoubles(Reader *reader, double *values, int count);
extern bool DoublesAreFinite(const double *values, int count);
extern const char *DoublesEncodingName(Reader reader);

/* codec_xor.c */
extern int	EstimateXorSize(const double *values, int count);
extern void EncodeXor(StringInfo buf, const double *values, int count);
extern void DecodeXor(Reader *reader, double *values, int count);

/* codec_dictionary.c */
extern void BuildDictionary(Dictionary *dictionary, const ByteString *strings, int count);
extern void EncodeDictionary(StringInfo buf, const Dictionary *dictionary, int count);
extern void DecodeDictionary(Reader *reader, Dictionary *dictionary, int count);

/*
 * An array for the time of a call, to be freed with pfree().  Arrays of a whole
 * block are not on the stack: nested calls of encoders would take hundreds of
 * kilobytes of it, wherever in a query a datapoint is appended.
 */
#define ScratchArray(type, count)	((type *) palloc(sizeof(type) * Max((count), 1)))

/* Makes room for "size" more bytes at the end of buf, and returns where. */
static inline uint8 *
WriteRoom(StringInfo buf, int size)
{
	enlargeStringInfo(buf, size);

	return (uint8 *) buf->data + buf->len;
}

static inline void
WriteByte(StringInfo buf, uint8 byte)
{
	*WriteRoom(buf, 1) = byte;
	buf->len++;
}

/* Puts a varint at "out", which has room for it; returns what follows it. */
static inline uint8 *
PutVarint(uint8 *out, uint64 number)
{
	while (number >= 0x80)
	{
		*out++ = (uint8) (number | 0x80);
		number >>= 7;
	}
	*out++ = (uint8) number;

	return out;
}

static inline void
WriteVarint(StringInfo buf, uint64 number)
{
	uint8	   *out = WriteRoom(buf, VARINT_MAX_SIZE);

	buf->len += PutVarint(out, number) - out;
}

static inline uint64
ZigZag(int64 number)
{
	return ((uint64) number << 1) ^ (uint64) (number >> 63);
}

static inline int64
UnZigZag(uint64 number)
{
	return (int64) ((number >> 1) ^ (0 - (number & 1)));
}

static inline uint64
LoadUInt64(const uint8 *from)
{
	uint64		word;

	memcpy(&word, from, sizeof(word));
#ifdef WORDS_BIGENDIAN
	word = pg_bswap64(word);
#endif
	return word;
}

static inline void
StoreUInt64(uint8 *to, uint64 word)
{
#ifdef WORDS_BIGENDIAN
	word = pg_bswap64(word);
#endif
	memcpy(to, &word, sizeof(word));
}

static inline uint64
DoubleToBits(double number)
{
	uint64		bits;

	memcpy(&bits, &number, sizeof(bits));
	return bits;
}

static inline double
BitsToDouble(uint64 bits)
{
	double		number;

	memcpy(&number, &bits, sizeof(number));
	return number;
}

/* Whether code for processors with AVX2 and FMA can be chosen at run time; a test
 * defines DS_BASIC_PROCESSOR to try the other code */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(DS_BASIC_PROCESSOR)
#define HAVE_AVX2_DISPATCH

static inline bool
HaveAvx2(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#endif

/* How many bits a number needs: 0 for 0, 64 at most */
static inline int
BitWidth(uint64 number)
{
	return number == 0 ? 0 : pg_leftmost_one_pos64(number) + 1;
}

/* How many bytes a varint needs */
static inline int
VarintSize(uint64 number)
{
	return (BitWidth(number | 1) + 6) / 7;
}

static inline int
PackingFlags(const Packing *packing)
{
	return (packing->width > 0 ? PACKED_WIDTH : 0) |
		(packing->nexceptions > 0 ? PACKED_EXCEPTIONS : 0);
}

static inline int
BytesLeft(const Reader *reader)
{
	return (int) (reader->end - reader->next);
}

/* Skips "size" bytes and returns where they are. */
static inline const uint8 *
ReadBytes(Reader *reader, uint64 size)
{
	const uint8 *bytes = reader->next;

	if (size > (uint64) BytesLeft(reader))
		ReportDamagedBlock("It ends too early.");
	reader->next += size;

	return bytes;
}

static inline uint8
ReadByte(Reader *reader)
{
	return *ReadBytes(reader, 1);
}

static inline uint64
ReadVarint(Reader *reader)
{
	uint64		number = 0;

	for (int shift = 0; shift < 64; shift += 7)
	{
		uint8		byte = ReadByte(reader);

		/* of the tenth byte only one bit is left */
		if (shift == 63 && byte > 1)
			break;
		number |= (uint64) (byte & 0x7F) << shift;
		if (byte < 0x80)
			return number;
	}

	ReportDamagedBlock("A number in it is too long.");
}

static inline int64
ReadZigZag(Reader *reader)
{
	return UnZigZag(ReadVarint(reader));
}

#endif							/* DS_CODEC_H */
