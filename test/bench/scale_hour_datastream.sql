\set start 1500000000 + :length - 3600
SELECT t, value FROM ds_get_series((ids('length'))[1], 'seconds', to_timestamp(:start));
