\set n random(1, :streams)
SELECT id FROM streams WHERE n = :n \gset
SELECT ts, v FROM datapoints WHERE stream = :n AND ts >= '2024-01-01' AND ts < '2024-01-01 01:00' ORDER BY ts;
