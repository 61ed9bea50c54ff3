-- The type of blocks.  Blocks are made and read by other functions; here is
-- what their text must be, as a dump has it and as it may come from anybody.
SET timezone = 'UTC';

-- A block that was put together by hand: three rows every 10 s from 1970 on,
-- with the values 1.5, 2.5, 3.5
CREATE TABLE hand_made (name text, block ds_block);
INSERT INTO hand_made VALUES
	('three rows', '\x 01 03 15 00 01 02 00  21 05 02 04 01 1e 14'),
	('one row', '\x 01 01 01 80 87 b5 c3 03  21 04 02 04 00 1e'),
	('no columns', '\x 01 02 00 0a'),
	('a null among doubles', '\x 01 03 15 00 01 02 00  21 09 03 08 00 01 05 04 01 1e 14'),
	('nulls only', '\x 01 03 15 00 01 02 00  21 01 01'),
	('a label', '\x 01 01 01 00  21 0a 04 01 00 06 00 22 61 22 00 00'),
	('a number and an object', '\x 01 02 15 00 00 02  21 15 04 02 01 08 08 00 31 2e 35 30 7b 22 63 22 3a 20 31 7d 01 00 02'),
	('byte strings', '\x 01 02 15 00 00 02  52 0c 05 01 00 04 01 00 04 00 de ad 00 00'),
	('an integer and a sum', '\x 01 01 01 00  02 02 00 0a  2c 04 02 04 00 1e');
SELECT name, block FROM hand_made;

-- What is in a block, for people
SELECT jsonb_pretty(ds_block_summary(block)) FROM hand_made WHERE name = 'three rows';
SELECT h.name, summary->'rows' AS rows, summary->'from' AS "from", c.name AS "column", c.encoding, c.bytes
FROM hand_made h, ds_block_summary(block) summary,
	jsonb_to_recordset(summary->'columns') c(name text, encoding text, bytes int)
WHERE h.name <> 'three rows';

-- The text, and the binary form, is complete.
SELECT name, block::text::ds_block::text = block::text AS same,
	ds_block_send(block)::text = block::text AS same_binary
FROM hand_made;
COPY (SELECT block FROM hand_made WHERE name = 'three rows') TO STDOUT;

-- What is not hexadecimal
SELECT raises($$SELECT ''::ds_block$$);
SELECT raises($$SELECT '010315'::ds_block$$);
SELECT raises($$SELECT '\x0'::ds_block$$);
SELECT raises($$SELECT '\x0g'::ds_block$$);
SELECT raises(format('SELECT %L::ds_block', '\' || '001\003')) AS not_escaped_bytea;

-- What is damaged
SELECT what, raises(format('SELECT %L::ds_block', '\x' || hex)) FROM (VALUES
	('nothing', ''),
	('unknown version', '02 01 01 00'),
	('no rows', '01 00 01 00'),
	('too many rows', '01 81 20 01 00'),
	('endless number', '01 80 80 80 80 80 80 80 80 80 80 01'),
	('number above 2^64', '01 ff ff ff ff ff ff ff ff ff 02'),
	('time too late', '01 01 00 ff ff ff ff ff ff ff 7f'),
	('unit too long', '01 02 ff ff ff ff ff ff ff 7f 00 00 02'),
	('interval of one row', '01 01 15 00'),
	('interval too long', '01 02 15 00 00 fe ff ff ff ff 1f'),
	('negative interval', '01 02 15 00 00 01'),
	('end too late', '01 02 03 ff 82 d1 ff af 07 00 02'),
	('column of id 0', '01 01 01 00  00 00'),
	('column of id 19', '01 01 01 00  13 00'),
	('column twice', '01 01 01 00  02 02 00 00  02 02 00 00'),
	('columns out of order', '01 01 01 00  03 02 00 00  02 02 00 00'),
	('column of wrong type', '01 01 01 00  22 02 00 00'),
	('column beyond end', '01 01 01 00  02 03 00 00'),
	('column of no bytes', '01 01 01 00  02 00'),
	('byte too many', '01 01 01 00  02 03 00 00 00'),
	('unknown form of integers', '01 01 01 00  02 02 10 00'),
	('order of one row', '01 01 01 00  02 03 01 00 00'),
	('width of 0', '01 01 01 00  02 03 08 00 00'),
	('width of 65', '01 01 01 00  02 0c 08 00 41 00 00 00 00 00 00 00 00 00'),
	('packed beyond end', '01 01 01 00  02 04 08 00 40 00'),
	('too many exceptions', '01 01 01 00  02 07 04 00 02 00 00 00 00'),
	('exception beyond end', '01 01 01 00  02 05 04 00 01 01 00'),
	('dictionary of 0', '01 01 01 00  02 05 03 00 00 00 00'),
	('dictionary of 257', '01 01 01 00  02 07 03 81 02 00 00 00 00'),
	('dictionary of dictionaries', '01 01 01 00  02 06 03 01 03 01 00 00'),
	('integer not in dictionary', '01 01 01 00  02 06 03 01 00 0a 00 02'),
	('no kind', '01 01 01 00  21 01 00'),
	('unknown kind', '01 01 01 00  21 01 08'),
	('kind that is not announced', '01 01 01 00  21 06 03 00 04 04 00 1e'),
	('impossible scale', '01 01 01 00  21 04 02 7c 00 1e'),
	('unknown form of doubles', '01 01 01 00  21 04 02 07 01 00'),
	('xor: too many bits', '01 01 01 00  21 0d 02 03 0a 00 00 00 00 00 00 00 00 00 00'),
	('xor: too few bits', '01 01 01 00  21 04 02 03 01 02'),
	('xor: impossible bits', '01 01 01 00  21 0c 02 03 09 fd 07 00 00 00 00 00 00 00'),
	('no strings', '01 01 01 00  21 06 04 00 00 00 00 00'),
	('more strings than rows', '01 01 01 00  21 0b 04 02 00 02 00 31 32 00 00 00 00'),
	('string of negative length', '01 01 01 00  21 06 04 01 00 01 00 00'),
	('string beyond end', '01 01 01 00  21 08 04 01 00 14 00 31 00 00'),
	('string of impossible length', '01 01 01 00  21 0c 04 01 00 80 80 80 80 08 00 31 00 00'),
	('strings compressed too well', '01 01 01 00  21 0b 04 01 00 80 80 01 02 31 31 00 00'),
	('strings not compressed', '01 01 01 00  21 09 04 01 00 14 02 ff ff 00 00'),
	('string not in dictionary', '01 01 01 00  21 08 04 01 00 02 00 31 00 02'),
	('text that is not JSON', '01 01 01 00  21 08 04 01 00 02 00 7b 00 00'),
	('two JSON values', '01 01 01 00  21 0a 04 01 00 06 00 31 20 32 00 00'),
	('text that is not UTF-8', '01 01 01 00  21 0a 04 01 00 06 00 22 ff 22 00 00'),
	('text with a zero byte', '01 01 01 00  21 0a 04 01 00 06 00 22 00 22 00 00'),
	('byte string of kind double', '01 01 01 00  52 04 02 04 00 1e')
) x(what, hex);

-- A block that was cut off anywhere is either damaged or has fewer columns.
WITH whole AS (SELECT substr(block::text, 3) AS hex FROM hand_made WHERE name = 'an integer and a sum'),
	cut AS (SELECT n, raises(format('SELECT %L::ds_block', '\x' || left(hex, 2 * n))) AS error
		FROM whole, generate_series(0, length(hex) / 2) n)
SELECT error, array_agg(n ORDER BY n) AS bytes FROM cut GROUP BY error ORDER BY error COLLATE "C" DESC;

DROP TABLE hand_made;
