\echo Use "ALTER EXTENSION datastream UPDATE TO '0.2.0'" to load this file. \quit

/*
 * What version 0.2.0 changed.  A database that is updated must end with what
 * CREATE EXTENSION makes: test/t/020_update.pl compares the two.
 */

-- What workers say of themselves is of one server.  A subscriber of logical
-- replication leaves out what the publisher's workers have written, since that
-- would collide with what its own write.
CREATE FUNCTION datastream.leave_out() RETURNS trigger LANGUAGE plpgsql
	AS 'BEGIN RETURN NULL; END';
COMMENT ON FUNCTION datastream.leave_out() IS 'keeps what another server''s workers say of themselves out of a subscriber''s tables';
CREATE TRIGGER leave_out BEFORE INSERT OR UPDATE OR DELETE ON datastream.worker_slots
	FOR EACH ROW EXECUTE FUNCTION datastream.leave_out();
ALTER TABLE datastream.worker_slots ENABLE REPLICA TRIGGER leave_out;
CREATE TRIGGER leave_out BEFORE INSERT OR UPDATE OR DELETE ON datastream.runs
	FOR EACH ROW EXECUTE FUNCTION datastream.leave_out();
ALTER TABLE datastream.runs ENABLE REPLICA TRIGGER leave_out;
CREATE TRIGGER leave_out BEFORE INSERT OR UPDATE OR DELETE ON datastream.failures
	FOR EACH ROW EXECUTE FUNCTION datastream.leave_out();
ALTER TABLE datastream.failures ENABLE REPLICA TRIGGER leave_out;
