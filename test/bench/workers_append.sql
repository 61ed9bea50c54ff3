\set n random(1, 1000)
\set v random(4800, 7200) / 100.0
SELECT ds_append((SELECT id FROM members WHERE n = :n), :v::float8);
