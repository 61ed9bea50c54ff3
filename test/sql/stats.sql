-- ds_stats() and the views that administrators read; these tests have no workers.
SET intervalstyle = postgres;
SELECT ds_ensure_stream('{"title": "stats"}') AS stream \gset
SELECT ds_append_multiple(:'stream'::uuid, array_agg(timestamptz '2001-02-03 04:00:00Z' + n * interval '1 s' ORDER BY n), array_agg(n ORDER BY n))
	FROM generate_series(0, 1999) AS n;
SELECT granularity, blocks, datapoints, in_heads, bytes > 0 AS bytes, bytes_per_datapoint > 0 AS per_datapoint, max_lag
	FROM ds_stats() WHERE datapoints > 0 OR in_heads > 0;
SELECT tags, latest_datapoint, downsampled_until, lag, due, pending_backprocess, failures FROM datastream.lag
	WHERE stream_id = :'stream';
SELECT FROM ds_downsample_streams(jsonb_build_object('stream_id', :'stream'));
SELECT granularity, blocks, datapoints, in_heads, max_lag FROM ds_stats() WHERE datapoints > 0 OR in_heads > 0;
SELECT latest_datapoint, downsampled_until, lag, due FROM datastream.lag WHERE stream_id = :'stream';

-- A stream that is due for something else than buckets
SELECT ds_ensure_stream('{"title": "stats derived"}', derive_from => to_jsonb(:'stream'::text), derive_op => 'derivative') AS derived \gset
SELECT tags, latest_datapoint, lag, due, pending_backprocess FROM datastream.lag WHERE stream_id = :'derived';
SELECT ds_backprocess_streams(jsonb_build_object('stream_id', :'derived'));
SELECT tags, latest_datapoint, lag, due, pending_backprocess FROM datastream.lag WHERE stream_id = :'derived';

-- Nothing runs, and nothing has run
SELECT * FROM datastream.workers;
SELECT * FROM datastream.runs;
SELECT * FROM datastream.failures;

-- Settings have units and ranges
SELECT name, boot_val, unit, context, vartype, min_val, max_val FROM pg_settings WHERE name LIKE 'datastream.%' ORDER BY name;
\set VERBOSITY sqlstate
SET datastream.max_workers = 1;
ALTER SYSTEM SET datastream.max_workers = 0;
ALTER SYSTEM SET datastream.naptime = '0 s';
ALTER SYSTEM SET datastream.naptime = '2 years';
ALTER SYSTEM SET datastream.close_after = '-1 h';
ALTER SYSTEM SET datastream.close_delay = '-1 s';
ALTER SYSTEM SET datastream.close_delay = '2 d';
\set VERBOSITY default
-- There are no others.
SELECT raises('SET datastream.databases = ''all''') LIKE '42%' AS refused;

SELECT ds_delete_streams('{"title": "stats derived"}'), ds_delete_streams('{"title": "stats"}');
