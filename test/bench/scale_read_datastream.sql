\set n random(1, :streams)
SELECT id FROM streams WHERE n = :n \gset
SELECT t, value FROM ds_get_series(:id, 'seconds', '2024-01-01', end_exclusive => '2024-01-01 01:00');
