\set start 1500000000 + :length - 3600
SELECT ts, v FROM datapoints WHERE stream = 1 AND ts >= to_timestamp(:start) ORDER BY ts;
