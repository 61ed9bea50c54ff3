/*-------------------------------------------------------------------------
 *
 * codec_dictionary.c
 *	  Encoding of arrays of byte strings by a dictionary of the distinct ones.
 *
 * Format:
 *
 *	varint	number of distinct strings, not more than there are rows
 *	integers: the length of each (codec_int.c)
 *	varint	bytes of the compressed strings, 0 if they are not compressed
 *	bytes	the strings, one after the other, perhaps compressed by pglz
 *	integers: for each row the index of its string
 *
 * Strings are in the order in which they appear first, so that the indexes of
 * distinct strings are a straight line and cost nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "common/pg_lzcompress.h"
#include "utils/memutils.h"

#include "codec.h"

/*
 * What one byte of pglz can become at most: eight matches of 273 bytes take a
 * control byte and three bytes each.
 */
#define PGLZ_MAX_EXPANSION	((8 * 273) / 25 + 1)

static inline bool
SameString(const ByteString *a, const ByteString *b)
{
	return a->length == b->length && memcmp(a->data, b->data, a->length) == 0;
}

/*
 * Finds the distinct strings of an array and where they are; none of the
 * strings may be NULL.  Everything is allocated in the current memory context;
 * the entries share the bytes of the strings.
 */
void
BuildDictionary(Dictionary *dictionary, const ByteString *strings, int count)
{
	uint32		nslots = pg_nextpower2_32(Max(count, 1) * 2);
	uint16	   *slots;			/* index of an entry + 1, or 0; open addressing */

	Assert(count <= CODEC_MAX_COUNT);
	dictionary->count = 0;
	dictionary->entries = palloc(Max(count, 1) * sizeof(ByteString));
	dictionary->codes = palloc(Max(count, 1) * sizeof(uint16));
	slots = palloc0(nslots * sizeof(uint16));

	for (int i = 0; i < count; i++)
	{
		const ByteString *string = &strings[i];
		uint32		slot = hash_bytes((const unsigned char *) string->data, string->length);

		for (;; slot++)
		{
			slot &= nslots - 1;
			if (slots[slot] == 0)
			{
				dictionary->entries[dictionary->count++] = *string;
				slots[slot] = dictionary->count;
				break;
			}
			if (SameString(&dictionary->entries[slots[slot] - 1], string))
				break;
		}
		dictionary->codes[i] = slots[slot] - 1;
	}

	pfree(slots);
}

/* Appends the bytes of all strings, compressed if that makes them shorter. */
static void
WriteStrings(StringInfo buf, const ByteString *strings, int count, int size)
{
	char	   *bytes = palloc(size + 1);
	char	   *compressed = palloc(PGLZ_MAX_OUTPUT(size));
	char	   *end = bytes;
	int			compressed_size;

	for (int i = 0; i < count; i++)
	{
		memcpy(end, strings[i].data, strings[i].length);
		end += strings[i].length;
	}

	compressed_size = pglz_compress(bytes, size, compressed, PGLZ_strategy_default);
	if (compressed_size > 0)
	{
		WriteVarint(buf, compressed_size);
		appendBinaryStringInfo(buf, compressed, compressed_size);
	}
	else
	{
		WriteVarint(buf, 0);
		appendBinaryStringInfo(buf, bytes, size);
	}

	pfree(bytes);
	pfree(compressed);
}

/*
 * Appends a dictionary and the codes of its rows.  Strings that are too long
 * together are ERRCODE_PROGRAM_LIMIT_EXCEEDED.
 */
void
EncodeDictionary(StringInfo buf, const Dictionary *dictionary, int count)
{
	int64	   *ints = ScratchArray(int64, Max(count, dictionary->count));
	int64		size = 0;

	for (int i = 0; i < dictionary->count; i++)
	{
		ints[i] = dictionary->entries[i].length;
		size += ints[i];
	}
	if (size > (int64) MaxAllocSize / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("values are too large for a datastream block"),
				 errdetail("%d values take %lld bytes together.",
						   dictionary->count, (long long) size)));

	WriteVarint(buf, dictionary->count);
	EncodeInts(buf, ints, dictionary->count);
	WriteStrings(buf, dictionary->entries, dictionary->count, (int) size);

	for (int i = 0; i < count; i++)
		ints[i] = dictionary->codes[i];
	EncodeInts(buf, ints, count);
	pfree(ints);
}

/*
 * Reads the bytes of all strings, which have "size" together.  Returns either
 * the place of them in the input, or a decompressed copy.
 */
static const char *
ReadStrings(Reader *reader, uint64 size)
{
	uint64		compressed_size = ReadVarint(reader);
	const uint8 *compressed;
	char	   *bytes;

	if (compressed_size == 0)
		return (const char *) ReadBytes(reader, size);

	compressed = ReadBytes(reader, compressed_size);
	if (size > MaxAllocSize - 1 || size > compressed_size * PGLZ_MAX_EXPANSION)
		ReportDamagedBlock("It has compressed values of an impossible length.");
	bytes = palloc(size + 1);
	if (pglz_decompress((const char *) compressed, (int32) compressed_size,
						bytes, (int32) size, true) != (int32) size)
		ReportDamagedBlock("It has values that cannot be decompressed.");

	return bytes;
}

/*
 * Reads a dictionary and the codes of "count" rows.  Everything is allocated
 * in the current memory context; the entries point into the input, or into
 * allocated memory.
 */
void
DecodeDictionary(Reader *reader, Dictionary *dictionary, int count)
{
	int64	   *ints = ScratchArray(int64, count);
	uint64		nentries = ReadVarint(reader);
	uint64		size = 0;
	const char *bytes;

	if (nentries > (uint64) count || (nentries == 0 && count > 0))
		ReportDamagedBlock("It has a dictionary of an impossible size.");
	dictionary->count = (int) nentries;
	dictionary->entries = palloc(Max(nentries, 1) * sizeof(ByteString));
	dictionary->codes = palloc(Max(count, 1) * sizeof(uint16));

	DecodeInts(reader, ints, dictionary->count);
	for (int i = 0; i < dictionary->count; i++)
	{
		if (ints[i] < 0 || ints[i] > (int64) MaxAllocSize)
			ReportDamagedBlock("It has a value of an impossible length.");
		dictionary->entries[i].length = (int) ints[i];
		size += ints[i];
	}

	bytes = ReadStrings(reader, size);
	for (int i = 0; i < dictionary->count; i++)
	{
		dictionary->entries[i].data = bytes;
		bytes += dictionary->entries[i].length;
	}

	DecodeInts(reader, ints, count);
	for (int i = 0; i < count; i++)
	{
		if (ints[i] < 0 || ints[i] >= dictionary->count)
			ReportDamagedBlock("It has a value that is not in the dictionary.");
		dictionary->codes[i] = (uint16) ints[i];
	}
	pfree(ints);
}
