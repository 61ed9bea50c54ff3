\echo Use "ALTER EXTENSION datastream UPDATE TO '0.2.0'" to load this file. \quit

/*
 * What version 0.2.0 changed.  A database that is updated must end with what
 * CREATE EXTENSION makes: test/t/020_update.pl compares the two.
 */
