# Logical replication of all tables: a subscriber has what the publisher has, and
# goes on where it was when it is a subscriber no more.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use DatastreamTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $publisher = new_node('publisher', options => { allows_streaming => 'logical' }, conf => [ with_workers() ]);
my $subscriber = new_node('subscriber', conf => [ with_workers() ]);

# Both have workers that have done something, and have said so.
foreach my $node ($publisher, $subscriber)
{
	$node->safe_psql(
		'postgres', q{
		SELECT ds_ensure_stream('{"name": "first"}');
		SELECT count(ds_append(test.stream('first'), i, test.at(i))) FROM generate_series(0, 99) i});
	is_served($node, 'postgres', $node->name);
}
$subscriber->safe_psql('postgres', 'SELECT ds_delete_streams()');
$subscriber->safe_psql('postgres', 'ALTER DATABASE postgres SET datastream.enabled = off');
serves($subscriber, 'postgres', 'SELECT count(*) = 0 FROM datastream.workers', 'its workers have gone');
my $runs = $subscriber->safe_psql('postgres', 'SELECT r FROM datastream.runs r');

my $connection = $publisher->connstr . ' dbname=postgres';
$publisher->safe_psql('postgres',
	'CREATE PUBLICATION streams FOR TABLES IN SCHEMA datastream; CREATE PUBLICATION everything FOR ALL TABLES');
$subscriber->safe_psql('postgres',
	"CREATE SUBSCRIPTION streams CONNECTION '$connection' PUBLICATION streams");
$subscriber->wait_for_subscription_sync($publisher, 'streams');
create_sample($publisher, 'postgres');
is_served($publisher, 'postgres', 'publisher with publications');
$publisher->safe_psql(
	'postgres', q{
	SET client_min_messages = error;
	SELECT ds_update_tags(test.stream('all'), '{"place": {"floor": 2}}');
	SELECT ds_delete_streams('{"name": "label"}')});
is_served($publisher, 'postgres', 'publisher');

$publisher->wait_for_catchup('streams');
is(fingerprint($subscriber, 'postgres'), fingerprint($publisher, 'postgres'), 'the subscriber has the same');
is($subscriber->safe_psql('postgres', 'SELECT test.state()'),
	$publisher->safe_psql('postgres', 'SELECT test.state()'), 'and stores the same');
is_consistent($subscriber, 'postgres', 'subscriber');
is($subscriber->safe_psql('postgres', 'SELECT r FROM datastream.runs r'),
	$runs, 'what workers say of themselves stays on each side');

# Its own workers keep out, until they may go on.
$subscriber->safe_psql(
	'postgres', q{
	DROP SUBSCRIPTION streams;
	SELECT ds_append(test.stream('all'), 1, test.at(300000))});
is($subscriber->safe_psql('postgres', 'SELECT test.waiting() > 0 AND NOT EXISTS (SELECT FROM datastream.workers)'),
	't', 'a database that is to have no workers has none');
$subscriber->safe_psql('postgres', 'ALTER DATABASE postgres RESET datastream.enabled');
$subscriber->safe_psql('postgres', q{SELECT ds_append(test.stream('all'), 2, test.at(400000))});
is_served($subscriber, 'postgres', 'subscriber that has become independent');
isnt($subscriber->safe_psql('postgres', 'SELECT r FROM datastream.runs r'), $runs, 'its workers say so');
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM datastream.failures'), '0', 'without failures');

foreach my $node ($publisher, $subscriber)
{
	unlike(slurp_file($node->logfile), qr/ERROR:/, $node->name . ' has logged no errors');
	$node->stop;
	no_crash($node);
}

done_testing();
