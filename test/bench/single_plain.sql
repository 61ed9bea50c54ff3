-- Each client appends to 250 streams in turn, a round of them a second.
\set step :step + 1
\set n :client_id * 250 + mod(:step, 250) + 1
\set t :start + :step / 250
\set v random(4800, 7200) / 100.0
INSERT INTO datapoints VALUES (:n, to_timestamp(:t), :v);
