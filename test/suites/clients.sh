# The suite "clients" of test/check: the programs of doc/programs.md, with the
# client libraries that are there.  In CI those that Debian has are installed.

# Print a port of localhost that nobody listens on.
free_port()
{
	perl -MIO::Socket::INET -e '
		print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'
}

run_clients()
{
	local missing port

	! declare -F need_build >/dev/null || need_build || return
	heading "client libraries"
	if [ "${CI:-}" = true ]; then
		missing=$("$root/test/clients/run" --packages | tr '\n' ' ')
		[ -z "$missing" ] || install_packages $missing || fail "clients: $reason"
	fi
	port=$(free_port)
	start_server clients "listen_addresses = 'localhost'" "port = $port" "datastream.enabled = off"
	run_logged "$work/clients.log" 600 env PGPORT="$port" "PGUSER=${server_user:-$(id -un)}" \
		"$work/source/test/clients/run"
	count clients "$work/clients.log" $?
	stop_server "$work/clients"
}
