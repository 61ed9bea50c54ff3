-- One datapoint for each of 10,000 streams, from arrays.
\set call :call + 1
\set t 1800000000 + :call
\set n mod(:call, 60)
INSERT INTO datapoints SELECT unnest(numbers(10000)), to_timestamp(:t), unnest(v) FROM wide WHERE n = :n;
