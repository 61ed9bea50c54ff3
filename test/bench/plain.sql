-- The plain table, and one like it for what is derived.
CREATE TABLE datapoints (stream int, ts timestamptz, v float8);
CREATE INDEX ON datapoints (stream, ts);
CREATE TABLE derivatives (LIKE datapoints INCLUDING INDEXES);

-- What is appended row by row, and what passes rows on to it.
CREATE TABLE appended (LIKE datapoints INCLUDING INDEXES);
CREATE TABLE inlet (LIKE datapoints);
CREATE FUNCTION pass_on() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER pass_on BEFORE INSERT ON inlet FOR EACH ROW EXECUTE FUNCTION pass_on();
