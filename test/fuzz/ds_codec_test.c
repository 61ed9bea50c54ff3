/*-------------------------------------------------------------------------
 *
 * ds_codec_test.c
 *	  Tests of the block codecs: whatever is encoded must come back, and
 *	  whatever is decoded must not do harm.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "block.h"
#include "random_block.h"

PG_MODULE_MAGIC;

static MemoryContext
CreateTestContext(void)
{
	return AllocSetContextCreate(CurrentMemoryContext, "codec test", ALLOCSET_DEFAULT_SIZES);
}

PG_FUNCTION_INFO_V1(ds_codec_round_trip);

/*
 * ds_codec_round_trip(seed, blocks): encodes and decodes random blocks, whole
 * and with some of their columns, row by row too.
 */
Datum
ds_codec_round_trip(PG_FUNCTION_ARGS)
{
	int64		seed = PG_GETARG_INT64(0);
	int			blocks = PG_GETARG_INT32(1);
	MemoryContext context = CreateTestContext();
	MemoryContext old_context = MemoryContextSwitchTo(context);
	int64		rows = 0;

	for (int i = 0; i < blocks; i++)
	{
		Random		random = {(uint64) seed + i};
		DataBlock  *block;
		DataBlock  *copy;
		struct varlena *encoded;
		struct varlena *again;
		uint32		columns;
		int			middle;

		CHECK_FOR_INTERRUPTS();
		block = RandomBlock(&random);
		rows += block->count;

		encoded = EncodeBlock(block);
		copy = DecodeBlock(encoded, COLUMN_ALL);
		if (!SameBlock(block, copy, COLUMN_ALL))
			elog(ERROR, "block with seed " INT64_FORMAT " comes back different", seed + i);

		again = EncodeBlock(copy);
		if (VARSIZE(again) != VARSIZE(encoded) || memcmp(again, encoded, VARSIZE(encoded)) != 0)
			elog(ERROR, "block with seed " INT64_FORMAT " is encoded in two ways", seed + i);

		columns = (uint32) RandomUInt64(&random);
		if (!SameBlock(block, DecodeBlock(encoded, columns), columns))
			elog(ERROR, "columns of block with seed " INT64_FORMAT " come back different", seed + i);

		/* a block that was put together from parts */
		middle = RandomBelow(&random, block->count + 1);
		copy = CreateBlock(1, 0);
		for (int k = 0; k < block->ncolumns; k++)
			AddBlockColumn(copy, block->columns[k].id);
		AppendBlockRows(copy, block, 0, middle);
		AppendBlockRows(copy, block, middle, block->count);
		if (!SameBlock(block, copy, COLUMN_ALL))
			elog(ERROR, "block with seed " INT64_FORMAT " cannot be put together", seed + i);

		MemoryContextReset(context);
	}

	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);

	PG_RETURN_INT64(rows);
}

/* Damages bytes at random, or makes more or less of them.  Returns how many
 * there are; there is room for twice as many as before. */
static int
DamageBytes(Random *random, uint8 *bytes, int size, const uint8 *other, int other_size)
{
	int			from = RandomBelow(random, size);
	int			length = 1 + RandomBelow(random, Min(size - from, 16));
	int			times = 1 + RandomBelow(random, 4);

	switch (RandomBelow(random, 8))
	{
		case 0:					/* flip bits */
			while (times-- > 0)
				bytes[RandomBelow(random, size)] ^= 1 << RandomBelow(random, 8);
			return size;
		case 1:					/* replace bytes */
			while (times-- > 0)
				bytes[RandomBelow(random, size)] = (uint8) RandomUInt64(random);
			return size;
		case 2:					/* replace the first ones, which say most */
			while (times-- > 0)
				bytes[RandomBelow(random, Min(size, 24))] = (uint8) RandomUInt64(random);
			return size;
		case 3:					/* the largest numbers */
			memset(bytes + from, 0xFF, length);
			return size;
		case 4:					/* cut off the end */
			return from;
		case 5:					/* cut out a part */
			memmove(bytes + from, bytes + from + length, size - from - length);
			return size - length;
		case 6:					/* repeat a part */
			memmove(bytes + from + length, bytes + from, size - from);
			return size + length;
		default:				/* go on with another block */
			length = Min(size, other_size);
			from = RandomBelow(random, length);
			memcpy(bytes + from, other + from, length - from);
			return length;
	}
}

/*
 * Decodes a block that may be damaged.  Returns whether it is accepted; any
 * error but that for damage is raised.
 */
static bool
AcceptsBlock(const struct varlena *encoded)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool accepted = true;

	PG_TRY();
	{
		DataBlock  *block = DecodeBlock(encoded, COLUMN_ALL);

		for (int i = 0; i < block->count; i++)
		{
			if (block->times[i] < (i > 0 ? block->times[i - 1] : STREAM_TIME_MIN) ||
				block->times[i] > STREAM_TIME_MAX)
				elog(ERROR, "damaged block has bad times");
		}
		if (!SameBlock(block, DecodeBlock(EncodeBlock(block), COLUMN_ALL), COLUMN_ALL))
			elog(ERROR, "damaged block comes back different");
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_DATA_CORRUPTED)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		accepted = false;
	}
	PG_END_TRY();

	return accepted;
}

PG_FUNCTION_INFO_V1(ds_codec_damage);

/* ds_codec_damage(seed, blocks): decodes damaged blocks. */
Datum
ds_codec_damage(PG_FUNCTION_ARGS)
{
	int64		seed = PG_GETARG_INT64(0);
	int			blocks = PG_GETARG_INT32(1);
	MemoryContext context = CreateTestContext();
	MemoryContext old_context = MemoryContextSwitchTo(context);
	int64		accepted = 0;
	TupleDesc	tupdesc;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	for (int i = 0; i < blocks; i++)
	{
		Random		random = {(uint64) seed + i};
		struct varlena *encoded;
		struct varlena *other;
		struct varlena *damaged;
		uint8	   *bytes;
		int			size;

		CHECK_FOR_INTERRUPTS();
		encoded = EncodeBlock(RandomBlock(&random));
		other = EncodeBlock(RandomBlock(&random));
		size = VARSIZE(encoded) - VARHDRSZ;
		bytes = palloc(size * 2);
		memcpy(bytes, VARDATA(encoded), size);
		size = DamageBytes(&random, bytes, size, (uint8 *) VARDATA(other),
						   VARSIZE(other) - VARHDRSZ);

		/* memory of its own, where reading beyond its end can be noticed */
		damaged = malloc(VARHDRSZ + size);
		if (damaged == NULL)
			elog(ERROR, "out of memory");
		SET_VARSIZE(damaged, VARHDRSZ + size);
		memcpy(VARDATA(damaged), bytes, size);
		accepted += AcceptsBlock(damaged);
		free(damaged);

		MemoryContextReset(context);
	}

	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Int64GetDatum(blocks - accepted);
	values[1] = Int64GetDatum(accepted);

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
