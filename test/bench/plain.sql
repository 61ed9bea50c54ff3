-- The plain table, and one like it for what is derived.
CREATE TABLE datapoints (stream int, ts timestamptz, v float8);
CREATE INDEX ON datapoints (stream, ts);
CREATE TABLE derivatives (LIKE datapoints INCLUDING INDEXES);
