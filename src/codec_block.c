/*-------------------------------------------------------------------------
 *
 * codec_block.c
 *	  Encoding of whole blocks.
 *
 * The format of a ds_block (its data; see codec.h for "varint"):
 *
 *	byte	version of the format, 1
 *	varint	number of rows, 1 .. BLOCK_MAX_ROWS
 *	varint	unit * 2 + 1 if times are in seconds, + 0 if in milliseconds; unit
 *			is the largest common divisor of the intervals between rows
 *	varint	time of the first row, in seconds or milliseconds from 1970 on
 *	integers: the intervals between rows, in units (codec_int.c); nothing if
 *			unit is 0, which says that all times are equal
 *	for each column, in the order of their ids, until the end:
 *		byte	bits 0-4 id (ColumnId), bits 5-7 type (ColumnType)
 *		varint	number of bytes that follow
 *		bytes	the column
 *
 * A column of COLUMN_TYPE_INT is its integers (codec_int.c).  A column of the
 * other types is
 *
 *	byte	bit k is set if there are rows of ValueKind k (of byte strings:
 *			VALUE_NULL, and VALUE_JSON for all others)
 *	integers: the kind of each row, if there are several
 *	doubles: of the rows that have one, if there are any (codec_double.c)
 *	dictionary: of the rows with JSON or a byte string, if there are any
 *			(codec_dictionary.c); JSON is its text as jsonb prints it, in UTF-8,
 *			or in a SQL_ASCII database in whatever encoding it has there
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "block.h"
#include "codec.h"

StaticAssertDecl(BLOCK_MAX_ROWS <= CODEC_MAX_COUNT, "a block must fit the codecs");

#define BLOCK_VERSION			1

/* Bytes of a row in a column for which there is room at first */
#define ENCODED_ROW_SIZE		2

#define TYPE_SHIFT				5
#define ID_MASK					((1 << TYPE_SHIFT) - 1)

StaticAssertDecl(COLUMN_ID_MAX <= ID_MASK, "column ids must fit their bits");

#define KIND_BIT(kind)			(1 << (kind))
#define KIND_COUNT				(VALUE_JSON + 1)

/* The kinds that columns can have */
#define VALUE_KINDS				(KIND_BIT(VALUE_NULL) | KIND_BIT(VALUE_DOUBLE) | KIND_BIT(VALUE_JSON))
#define BYTES_KINDS				(KIND_BIT(VALUE_NULL) | KIND_BIT(VALUE_JSON))

/* Times are stored in seconds if they are whole seconds, else as they are. */
#define SECOND					INT64CONST(1000)

/*
 * An interval and its unit have this many bits together at most: as many as
 * STREAM_TIME_MAX and one more for rounding, and few enough that intervals
 * between BLOCK_MAX_ROWS rows do not add up to 2^64.
 */
#define INTERVAL_MAX_BITS		50

/* The error of all decoders; detail says what is wrong as a sentence. */
void
ReportDamagedBlock(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("datastream block is damaged"),
			 errdetail_internal("%s", detail)));
}

static uint64
GreatestCommonDivisor(uint64 a, uint64 b)
{
	while (b != 0)
	{
		uint64		rest = a % b;

		a = b;
		b = rest;
	}

	return a;
}

/* Appends the times of a block. */
static void
EncodeTimes(StringInfo buf, const DataBlock *block)
{
	int			nintervals = block->count - 1;
	int64	   *intervals;
	uint64		unit = 0;
	uint64		last_interval = 0;
	uint64		last_units = 0;
	bool		regular = true; /* all intervals are equal */
	bool		seconds;

	if (block->times[0] < STREAM_TIME_MIN || block->times[nintervals] > STREAM_TIME_MAX)
		elog(ERROR, "times of a block are out of range");

	for (int i = 0; i < nintervals; i++)
	{
		int64		interval = block->times[i + 1] - block->times[i];

		if (interval < 0)
			elog(ERROR, "times of a block are not in order");
		if (interval != last_interval)
		{
			regular = regular && i == 0;
			last_interval = interval;
			unit = GreatestCommonDivisor(last_interval, unit);
		}
	}

	seconds = unit % SECOND == 0 && block->times[0] % SECOND == 0;
	WriteVarint(buf, seconds ? unit / SECOND * 2 + 1 : unit * 2);
	WriteVarint(buf, seconds ? block->times[0] / SECOND : block->times[0]);
	if (unit == 0)
		return;
	if (regular)
	{
		EncodeConstant(buf, 1);
		return;
	}

	intervals = ScratchArray(int64, nintervals);
	last_interval = 0;
	for (int i = 0; i < nintervals; i++)
	{
		uint64		interval = block->times[i + 1] - block->times[i];

		if (interval != last_interval)
		{
			last_interval = interval;
			last_units = last_interval / unit;
		}
		intervals[i] = last_units;
	}
	EncodeInts(buf, intervals, nintervals);
	pfree(intervals);
}

/*
 * The text of JSON in the encoding of blocks.  That is the same in all
 * databases, so that a dump can be restored into one of another encoding;
 * except for SQL_ASCII, where the encoding of text is not known.
 */
static ByteString
TextOfJson(const ByteString *json)
{
	char	   *text = JsonbToCString(NULL, (JsonbContainer *) json->data, json->length);
	ByteString	string;

	if (GetDatabaseEncoding() != PG_SQL_ASCII)
		text = pg_server_to_any(text, strlen(text), PG_UTF8);
	string.data = text;
	string.length = strlen(text);

	return string;
}

/* Appends the dictionary of JSON values, or of byte strings. */
static void
EncodeVarlenas(StringInfo buf, struct varlena *const *varlenas, int count, bool json)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "datastream dictionary",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	ByteString *strings = ScratchArray(ByteString, count);
	Dictionary	dictionary;

	for (int i = 0; i < count; i++)
	{
		strings[i].data = VARDATA(varlenas[i]);
		strings[i].length = VARSIZE(varlenas[i]) - VARHDRSZ;
	}
	BuildDictionary(&dictionary, strings, count);

	/* equal JSON has equal bytes, so only what is distinct is made text */
	if (json)
	{
		for (int i = 0; i < dictionary.count; i++)
			dictionary.entries[i] = TextOfJson(&dictionary.entries[i]);
	}
	EncodeDictionary(buf, &dictionary, count);

	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}

/*
 * Appends which kinds there are, and of which kind each row is.  Returns the
 * KIND_BITs.
 */
static int
EncodeKinds(StringInfo buf, const uint8 *kinds, int count)
{
	int			mask = 0;

	for (int i = 0; i < count; i++)
	{
		if (kinds[i] >= KIND_COUNT)
			elog(ERROR, "unrecognized kind of value: %d", kinds[i]);
		mask |= KIND_BIT(kinds[i]);
	}

	WriteByte(buf, mask);
	if ((mask & (mask - 1)) != 0)
	{
		int64	   *ints = ScratchArray(int64, count);

		for (int i = 0; i < count; i++)
			ints[i] = kinds[i];
		EncodeInts(buf, ints, count);
		pfree(ints);
	}

	return mask;
}

/* Appends a COLUMN_TYPE_VALUE column. */
static void
EncodeValueColumn(StringInfo buf, const Column *column, int count)
{
	int			mask = EncodeKinds(buf, column->kinds, count);

	if (mask == KIND_BIT(VALUE_DOUBLE))
		EncodeDoubles(buf, column->numbers, count);
	else if (mask & KIND_BIT(VALUE_DOUBLE))
	{
		double	   *numbers = ScratchArray(double, count);
		int			nnumbers = 0;

		for (int i = 0; i < count; i++)
		{
			if (column->kinds[i] == VALUE_DOUBLE)
				numbers[nnumbers++] = column->numbers[i];
		}
		EncodeDoubles(buf, numbers, nnumbers);
		pfree(numbers);
	}

	if (mask & KIND_BIT(VALUE_JSON))
	{
		struct varlena **json = ScratchArray(struct varlena *, count);
		int			njson = 0;

		for (int i = 0; i < count; i++)
		{
			if (column->kinds[i] == VALUE_JSON)
				json[njson++] = (struct varlena *) column->json[i];
		}
		EncodeVarlenas(buf, json, njson, true);
		pfree(json);
	}
}

/* Appends a COLUMN_TYPE_BYTES column. */
static void
EncodeBytesColumn(StringInfo buf, const Column *column, int count)
{
	uint8	   *kinds = ScratchArray(uint8, count);
	struct varlena **bytes = ScratchArray(struct varlena *, count);
	int			nbytes = 0;

	for (int i = 0; i < count; i++)
	{
		kinds[i] = column->bytes[i] ? VALUE_JSON : VALUE_NULL;
		if (column->bytes[i])
			bytes[nbytes++] = column->bytes[i];
	}

	EncodeKinds(buf, kinds, count);
	if (nbytes > 0)
		EncodeVarlenas(buf, bytes, nbytes, false);
	pfree(kinds);
	pfree(bytes);
}

/* Appends a column with its header. */
static void
EncodeColumn(StringInfo buf, const Column *column, int count)
{
	int			start;
	int			size;
	int			more;

	WriteByte(buf, column->id | (column->type << TYPE_SHIFT));

	/* leave one byte for the size, and make room when it needs more */
	WriteByte(buf, 0);
	start = buf->len;
	switch ((ColumnType) column->type)
	{
		case COLUMN_TYPE_INT:
			EncodeInts(buf, column->ints, count);
			break;
		case COLUMN_TYPE_VALUE:
			EncodeValueColumn(buf, column, count);
			break;
		case COLUMN_TYPE_BYTES:
			EncodeBytesColumn(buf, column, count);
			break;
	}
	size = buf->len - start;

	more = VarintSize(size) - 1;
	if (more > 0)
	{
		WriteRoom(buf, more);
		memmove(buf->data + start + more, buf->data + start, size);
		buf->len += more;
	}
	PutVarint((uint8 *) buf->data + start - 1, size);
}

/*
 * Encodes a block of 1 .. BLOCK_MAX_ROWS rows.  Returns a ds_block in the
 * current memory context.  One that would be larger than a field can be is
 * ERRCODE_PROGRAM_LIMIT_EXCEEDED.
 */
struct varlena *
EncodeBlock(const DataBlock *block)
{
	StringInfoData buf;
	struct varlena *encoded;

	if (block->count < 1 || block->count > BLOCK_MAX_ROWS)
		elog(ERROR, "block has %d rows", block->count);

	/* mostly enough, without growing on the way */
	initStringInfo(&buf);
	enlargeStringInfo(&buf, ENCODED_ROW_SIZE * block->ncolumns * block->count);
	buf.len = VARHDRSZ;
	WriteByte(&buf, BLOCK_VERSION);
	WriteVarint(&buf, block->count);
	EncodeTimes(&buf, block);
	for (int i = 0; i < block->ncolumns; i++)
		EncodeColumn(&buf, &block->columns[i], block->count);

	encoded = (struct varlena *) buf.data;
	SET_VARSIZE(encoded, buf.len);

	return encoded;
}

/* ----- Decoding ----- */

/* Reads the times of a block, which has its count already. */
static void
DecodeTimes(Reader *reader, DataBlock *block)
{
	uint64	   *times = (uint64 *) block->times;
	uint64		coded_unit = ReadVarint(reader);
	uint64		scale = coded_unit & 1 ? SECOND : 1;
	uint64		unit = coded_unit >> 1;
	uint64		last = ReadVarint(reader);
	uint64		any = 0;
	uint64		interval;

	if (last > STREAM_TIME_MAX / scale || unit > STREAM_TIME_MAX / scale)
		ReportDamagedBlock("Its times are out of range.");
	last *= scale;
	unit *= scale;

	if (unit == 0)
	{
		for (int i = 0; i < block->count; i++)
			times[i] = last;
		return;
	}
	if (block->count == 1)
		ReportDamagedBlock("It has intervals but only one row.");

	if (DecodeConstant(reader, &interval))
	{
		if (BitWidth(interval) + BitWidth(unit) > INTERVAL_MAX_BITS ||
			last + interval * unit * (block->count - 1) > STREAM_TIME_MAX)
			ReportDamagedBlock("Its times are out of range.");
		for (int i = 0; i < block->count; i++)
			times[i] = last + interval * unit * i;
		return;
	}

	/* the sum of intervals must not overflow, so that times stay in order */
	DecodeInts(reader, (int64 *) times + 1, block->count - 1);
	for (int i = 1; i < block->count; i++)
		any |= times[i];
	if (BitWidth(any) + BitWidth(unit) > INTERVAL_MAX_BITS)
		ReportDamagedBlock("Its times are out of range.");

	times[0] = last;
	for (int i = 1; i < block->count; i++)
	{
		last += times[i] * unit;
		times[i] = last;
	}
	if (last > STREAM_TIME_MAX)
		ReportDamagedBlock("Its times are out of range.");
}

/*
 * Parses the text of JSON, in the encoding of the database, in the current
 * memory context.  What jsonb does not accept as its text is damage.
 */
static Jsonb *
ParseJson(const char *text)
{
	MemoryContext context = CurrentMemoryContext;
	Jsonb	   *volatile json = NULL;

	PG_TRY();
	{
		json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	}
	PG_CATCH();
	{
		ErrorData  *error;

		/* other errors have other causes, such as a cancelled query */
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		ReportDamagedBlock(psprintf("It has a value that is no JSON: %s.", error->message));
	}
	PG_END_TRY();

	return json;
}

/* The text of JSON from the encoding of blocks; see TextOfJson. */
static char *
JsonText(const ByteString *string)
{
	bool		valid;
	char	   *text;

	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		valid = memchr(string->data, '\0', string->length) == NULL;
	else
		valid = pg_verify_mbstr(PG_UTF8, string->data, string->length, true);
	if (!valid)
		ReportDamagedBlock("It has text that is not in its encoding.");

	text = pnstrdup(string->data, string->length);
	if (GetDatabaseEncoding() != PG_SQL_ASCII)
		text = pg_any_to_server(text, string->length, PG_UTF8);

	return text;
}

/* Copies bytes into a new varlena in the given memory context. */
static struct varlena *
CopyToVarlena(MemoryContext context, const char *data, int length)
{
	struct varlena *varlena = MemoryContextAlloc(context, VARHDRSZ + length);

	SET_VARSIZE(varlena, VARHDRSZ + length);
	memcpy(VARDATA(varlena), data, length);

	return varlena;
}

/*
 * Reads the dictionary of JSON values, or of byte strings, of "count" rows
 * into rows[].  Rows with the same value share it.
 */
static void
DecodeVarlenas(Reader *reader, struct varlena **rows, int count, bool json)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext work_context = AllocSetContextCreate(context, "datastream dictionary",
													   ALLOCSET_DEFAULT_SIZES);
	MemoryContext entry_context = AllocSetContextCreate(work_context, "datastream dictionary entry",
														ALLOCSET_DEFAULT_SIZES);
	Dictionary	dictionary;
	struct varlena **entries;

	MemoryContextSwitchTo(work_context);
	DecodeDictionary(reader, &dictionary, count);
	entries = palloc(dictionary.count * sizeof(struct varlena *));

	MemoryContextSwitchTo(entry_context);
	for (int i = 0; i < dictionary.count; i++)
	{
		const ByteString *entry = &dictionary.entries[i];

		if (json)
		{
			Jsonb	   *value;

			CHECK_FOR_INTERRUPTS();
			value = ParseJson(JsonText(entry));
			entries[i] = CopyToVarlena(context, VARDATA(value), VARSIZE(value) - VARHDRSZ);
			MemoryContextReset(entry_context);
		}
		else
			entries[i] = CopyToVarlena(context, entry->data, entry->length);
	}
	for (int i = 0; i < count; i++)
		rows[i] = entries[dictionary.codes[i]];

	MemoryContextSwitchTo(context);
	MemoryContextDelete(work_context);
}

/*
 * Reads which kinds there are, of those in "allowed", and the kind of each
 * row.  Returns the KIND_BITs.
 */
static int
DecodeKinds(Reader *reader, uint8 *kinds, int count, int allowed)
{
	int			mask = ReadByte(reader);

	if (mask == 0 || (mask & ~allowed) != 0)
		ReportDamagedBlock("It has values of an unknown kind.");

	if ((mask & (mask - 1)) == 0)
		memset(kinds, pg_rightmost_one_pos32(mask), count);
	else
	{
		int64	   *ints = ScratchArray(int64, count);

		DecodeInts(reader, ints, count);
		for (int i = 0; i < count; i++)
		{
			if (ints[i] < 0 || ints[i] >= KIND_COUNT || (mask & KIND_BIT(ints[i])) == 0)
				ReportDamagedBlock("It has values of an unknown kind.");
			kinds[i] = (uint8) ints[i];
		}
		pfree(ints);
	}

	return mask;
}

/* How many rows are of a kind */
static int
CountKind(const uint8 *kinds, int count, ValueKind kind)
{
	int			found = 0;

	for (int i = 0; i < count; i++)
		found += kinds[i] == kind;

	return found;
}

/* Reads a COLUMN_TYPE_VALUE column. */
static void
DecodeValueColumn(Reader *reader, const DataBlock *block, Column *column)
{
	int			count = block->count;
	int			mask = DecodeKinds(reader, column->kinds, count, VALUE_KINDS);

	if (mask == KIND_BIT(VALUE_DOUBLE))
	{
		DecodeDoubles(reader, column->numbers, count);
		return;
	}

	/* decode what is there, and then move it to its rows, from the end on */
	memset(column->numbers, 0, count * sizeof(double));
	if (mask & KIND_BIT(VALUE_DOUBLE))
	{
		int			next = CountKind(column->kinds, count, VALUE_DOUBLE);

		DecodeDoubles(reader, column->numbers, next);
		for (int i = count - 1; i >= 0; i--)
			column->numbers[i] = column->kinds[i] == VALUE_DOUBLE ? column->numbers[--next] : 0;
	}

	if (mask & KIND_BIT(VALUE_JSON))
	{
		int			next = CountKind(column->kinds, count, VALUE_JSON);

		column->json = palloc0(block->capacity * sizeof(Jsonb *));
		if (next > 0)
			DecodeVarlenas(reader, (struct varlena **) column->json, next, true);
		for (int i = count - 1; i >= 0; i--)
			column->json[i] = column->kinds[i] == VALUE_JSON ? column->json[--next] : NULL;
	}
}

/* Reads a COLUMN_TYPE_BYTES column. */
static void
DecodeBytesColumn(Reader *reader, const DataBlock *block, Column *column)
{
	int			count = block->count;
	uint8	   *kinds = ScratchArray(uint8, count);
	int			next;

	DecodeKinds(reader, kinds, count, BYTES_KINDS);
	next = CountKind(kinds, count, VALUE_JSON);
	if (next > 0)
		DecodeVarlenas(reader, column->bytes, next, false);
	for (int i = count - 1; i >= 0; i--)
		column->bytes[i] = kinds[i] == VALUE_JSON ? column->bytes[--next] : NULL;
	pfree(kinds);
}

/*
 * Reads the header of the next column, and skips its content, which it
 * returns.  Columns have ascending ids; *id is that of the column before.
 */
static Reader
ReadColumn(Reader *reader, ColumnId *id)
{
	uint8		header = ReadByte(reader);
	Reader		content;

	if ((header & ID_MASK) <= *id || (header & ID_MASK) > COLUMN_ID_MAX)
		ReportDamagedBlock("It has a column that is unknown or out of order.");
	*id = header & ID_MASK;
	if (header >> TYPE_SHIFT != ColumnTypeOf(*id))
		ReportDamagedBlock("It has a column of the wrong type.");

	content.next = ReadBytes(reader, ReadVarint(reader));
	content.end = reader->next;

	return content;
}

/* Begins to read an encoded block; returns how many rows it has. */
static int
ReadBlockHeader(Reader *reader, const struct varlena *encoded)
{
	uint64		count;

	reader->next = (const uint8 *) VARDATA(encoded);
	reader->end = (const uint8 *) encoded + VARSIZE(encoded);

	if (ReadByte(reader) != BLOCK_VERSION)
		ReportDamagedBlock("It has an unknown format.");
	count = ReadVarint(reader);
	if (count < 1 || count > BLOCK_MAX_ROWS)
		ReportDamagedBlock("It has an impossible number of rows.");

	return (int) count;
}

/*
 * Decodes a ds_block, which must not be toasted, into the current memory
 * context: its times, and those of its columns whose COLUMN_BIT is in
 * "columns".  Damaged input is ERRCODE_DATA_CORRUPTED.
 */
DataBlock *
DecodeBlock(const struct varlena *encoded, uint32 columns)
{
	Reader		reader;
	DataBlock  *block = CreateBlock(ReadBlockHeader(&reader, encoded), 0);
	ColumnId	id = 0;

	block->count = block->capacity;
	DecodeTimes(&reader, block);
	while (reader.next < reader.end)
	{
		Reader		content = ReadColumn(&reader, &id);
		Column	   *column;

		if ((columns & COLUMN_BIT(id)) == 0)
			continue;

		column = AddBlockColumn(block, id);
		switch ((ColumnType) column->type)
		{
			case COLUMN_TYPE_INT:
				DecodeInts(&content, column->ints, block->count);
				break;
			case COLUMN_TYPE_VALUE:
				DecodeValueColumn(&content, block, column);
				break;
			case COLUMN_TYPE_BYTES:
				DecodeBytesColumn(&content, block, column);
				break;
		}
		if (content.next != content.end)
			ReportDamagedBlock("It has more bytes than its columns need.");
	}

	return block;
}

/* What people call the encoding of a column of values or byte strings */
static const char *
MixedEncodingName(Reader content, int count)
{
	uint8	   *kinds = ScratchArray(uint8, count);
	int			mask = DecodeKinds(&content, kinds, count, VALUE_KINDS);
	StringInfoData name;

	pfree(kinds);
	initStringInfo(&name);
	if (mask & KIND_BIT(VALUE_DOUBLE))
		appendStringInfo(&name, ", %s", DoublesEncodingName(content));
	if (mask & KIND_BIT(VALUE_JSON))
		appendStringInfoString(&name, ", dictionary");
	if (mask & KIND_BIT(VALUE_NULL))
		appendStringInfoString(&name, ", nulls");

	return name.data + 2;
}

/*
 * Tells how the times and the columns of an encoded block are stored.  Returns
 * how many there are, ENCODED_COLUMNS_MAX at most.
 */
int
DescribeEncodedBlock(const struct varlena *encoded, EncodedColumn *columns)
{
	Reader		reader;
	int			count = ReadBlockHeader(&reader, encoded);
	const uint8 *start = reader.next;
	int			ncolumns = 0;
	ColumnId	id = 0;
	uint64		coded_unit;

	coded_unit = ReadVarint(&reader);
	(void) ReadVarint(&reader);
	columns[ncolumns].id = 0;
	if (coded_unit >> 1 == 0)
		columns[ncolumns].encoding = "constant";
	else
	{
		int64	   *times = ScratchArray(int64, count);

		columns[ncolumns].encoding = psprintf("intervals: %s", IntsEncodingName(reader));
		DecodeInts(&reader, times, count - 1);
		pfree(times);
	}
	columns[ncolumns].size = reader.next - start;
	ncolumns++;

	while (reader.next < reader.end)
	{
		Reader		content = ReadColumn(&reader, &id);
		EncodedColumn *column = &columns[ncolumns++];

		column->id = id;
		column->size = BytesLeft(&content);
		switch (ColumnTypeOf(id))
		{
			case COLUMN_TYPE_INT:
				column->encoding = IntsEncodingName(content);
				break;
			case COLUMN_TYPE_VALUE:
			case COLUMN_TYPE_BYTES:
				column->encoding = MixedEncodingName(content, count);
				break;
		}
	}

	return ncolumns;
}
