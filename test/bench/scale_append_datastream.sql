\set n random(1, :streams)
\set v random(4800, 7200) / 100.0
SELECT id FROM streams WHERE n = :n \gset
SELECT ds_append(:id::uuid, :v::float8);
