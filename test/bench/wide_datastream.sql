-- One datapoint for each of 10,000 streams, from arrays.
\set call :call + 1
\set t 1800000000 + :call
\set n mod(:call, 60)
SELECT ds_append_multiple(ids('wide'), array_fill(to_timestamp(:t), '{10000}'), v) FROM wide WHERE n = :n;
