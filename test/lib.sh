# Functions that test/check, test/demo and test/server share.
#
# A script that sources this file works in a temporary directory, $work: the
# sources are copied there and built, the server's programs are copied beside
# them, and the extension is installed into that copy.  PostgreSQL finds its
# files relative to its programs, so neither the checkout nor the system's
# installation is touched, and no right to write there is needed.  Servers
# listen on a socket in $work only.  However the script ends, its servers are
# stopped and $work is removed.

set -u -o pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

work=			# the temporary directory
job=			# process group of what runs in the background
server_user=	# who runs the servers, where that is not the current user,
become=()		# and what a command is started with to run as that user

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# Programs and files that PostgreSQL's installations, or the user's settings,
# could lead astray.
unset $(compgen -e PG | grep -vx PG_CONFIG)
export LC_ALL=C.UTF-8 PGCLIENTENCODING=UTF8


# ---- PostgreSQL and what else is needed ----

# Is this the pg_config of an installation to build with and to run?
complete_pg_config()
{
	[ -x "$1" ] &&
		[ -x "$("$1" --bindir)/initdb" ] &&
		[ -f "$("$1" --pgxs)" ] &&
		[ -f "$("$1" --includedir-server)/postgres.h" ]
}

# Set pg_config: the one in PG_CONFIG, or else that of the newest of Debian's
# PostgreSQL packages, or else the one in PATH.
find_pg_config()
{
	local candidate

	if [ -n "${PG_CONFIG:-}" ]; then
		pg_config=$(command -v -- "$PG_CONFIG") || die "there is no program \"$PG_CONFIG\" (PG_CONFIG)"
		complete_pg_config "$pg_config" ||
			die "$PG_CONFIG belongs to an installation without initdb or without the server's headers"
		return 0
	fi
	for candidate in $(printf '%s\n' /usr/lib/postgresql/*/bin/pg_config | sort -rV) \
		"$(command -v pg_config)"; do
		if complete_pg_config "$candidate"; then
			pg_config=$candidate
			return 0
		fi
	done
	return 1
}

# Print the version of Debian's PostgreSQL packages to install: that of the
# newest server that is there already, or the distribution's own.
debian_version()
{
	local version

	version=$(printf '%s\n' /usr/lib/postgresql/*/bin/postgres | sort -rV |
		sed -n 's|^/usr/lib/postgresql/\([0-9]*\)/.*|\1|p' | head -n 1)
	[ -n "$version" ] ||
		version=$(apt-cache depends postgresql 2>/dev/null |
			sed -n 's/^ *Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
	printf '%s' "${version:-N}"
}

# Print which packages are missing, of Debian's names for them; VERSION stands
# for PostgreSQL's.  Arguments name what else is needed than for building.
missing_packages()
{
	local need

	command -v make >/dev/null || echo make
	command -v gcc >/dev/null || echo gcc libc6-dev
	find_pg_config || echo postgresql-VERSION postgresql-server-dev-VERSION
	for need in "$@"; do
		case $need in
			tap)
				command -v prove >/dev/null || echo perl
				perl -MIPC::Run -MTest::More -e 1 2>/dev/null || echo perl libipc-run-perl
				;;
			*) die "nothing is known of what \"$need\" needs" ;;
		esac
	done
}

# Install packages, by the names that missing_packages prints, if that is possible
# without asking anybody.  Returns false if not, with the reason in "reason".
install_packages()
{
	local packages="$*" version sudo=

	if ! command -v apt-get >/dev/null; then
		reason="missing, by the names of Debian's packages: ${packages//VERSION/N}"
		return 1
	fi
	if [ "$(id -u)" != 0 ]; then
		sudo="sudo -n"
		if ! $sudo true 2>/dev/null; then
			reason="please install these packages first, or run this as root: ${packages//VERSION/$(debian_version)}"
			return 1
		fi
	fi
	echo "Installing what is missing: ${packages//-VERSION/}"
	echo "+ ${sudo:+$sudo }apt-get update"
	reason=$($sudo apt-get update 2>&1 </dev/null) || return 1
	version=$(debian_version)
	if [[ $packages = *VERSION* && $version = N ]]; then
		reason="this system's package lists have no PostgreSQL"
		return 1
	fi
	packages=${packages//VERSION/$version}
	echo "+ ${sudo:+$sudo }apt-get install --no-install-recommends $packages"
	reason=$($sudo env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends $packages 2>&1 </dev/null) || return 1
	hash -r
}

# See to it that everything needed is there, installing it where that is
# possible without asking anybody.  Sets pg_config.
require_packages()
{
	local missing

	[ -z "${PG_CONFIG:-}" ] || find_pg_config
	missing=$(missing_packages "$@" | tr ' ' '\n' | sort -u | tr '\n' ' ')
	[ -z "$missing" ] || install_packages $missing || die "$reason"
	find_pg_config || die "no complete installation of PostgreSQL found"
	pg_version=$("$pg_config" --version)
	pg_version=${pg_version#PostgreSQL }
}

# See to it that packages are there; returns false, with the reason in "reason",
# if they are missing and cannot be installed.
want_packages()
{
	local package missing=

	if ! command -v dpkg-query >/dev/null; then
		reason="this is no Debian"
		return 1
	fi
	for package in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			missing+=" $package"
	done
	[ -z "$missing" ] || install_packages $missing
}


# ---- The temporary directory ----

# Create $work, to be removed with everything that runs in it when the script
# ends.  As root, which PostgreSQL's server refuses, it belongs to "postgres".
make_work()
{
	if [ "$(id -u)" = 0 ]; then
		server_user=postgres
		id "$server_user" >/dev/null 2>&1 ||
			die "as root this needs a user \"$server_user\" to run the server"
		become=(setpriv --reuid="$server_user" --regid="$(id -g "$server_user")" --init-groups --)
	fi
	work=$(mktemp -d "${TMPDIR:-/tmp}/datastream.XXXXXX") || exit 1
	[ -z "$server_user" ] || chown "$server_user" "$work"
	cd "$work" || exit 1
	as_user test -x "$work" ||
		die "user \"$server_user\" cannot enter ${work%/*}; set TMPDIR to a directory that it can"
	as_user mkdir "$work/socket"
	export HOME="$work" TMPDIR="$work" PGHOST="$work/socket"
	[ -z "$server_user" ] || export PGUSER="$server_user"
}

# Stop what was started, remove $work, and keep the exit status.
clean_up()
{
	local status=$? pidfile

	trap - EXIT HUP INT TERM
	if [ -n "$job" ]; then
		kill -- "-$job"
		wait "$job"
	fi 2>/dev/null
	if [ -n "$work" ]; then
		find "$work" -name postmaster.pid 2>/dev/null | while read -r pidfile; do
			stop_server "${pidfile%/*}" immediate
		done
		# a server's last processes may still be leaving their files
		cd /
		rm -rf "$work" 2>/dev/null || { sleep 1; rm -rf "$work"; }
	fi
	at_exit "$status" >&3
	exit "$status"
}

# What a script wants to do on every way out, given its exit status: a script
# may define its own.
at_exit()
{
	:
}

# Run a command as the user who runs the servers.
as_user()
{
	"${become[@]}" "$@"
}

# Start a command in the background, as a process group of its own, so that
# clean_up can end it with all that it started.  finish_job waits for it and
# returns its status; a signal to this script is not kept waiting meanwhile.
start_job()
{
	set -m
	"$@" </dev/null &
	job=$!
	set +m
}

finish_job()
{
	local status

	wait "$job" 2>/dev/null
	status=$?
	job=
	return "$status"
}

# Run a command as the servers' user, for at most so many seconds, showing its
# output as it comes and keeping it in a file.  Returns the command's status.
#
#	run_logged FILE SECONDS COMMAND...
run_logged()
{
	local log=$1 seconds=$2 pipe="$work/pipe" reader status
	shift 2

	rm -f "$pipe"
	mkfifo "$pipe"
	tee "$log" <"$pipe" &
	reader=$!
	start_job timeout -k 10 "$seconds" "${become[@]}" "$@" >"$pipe" 2>&1
	finish_job
	status=$?
	if [ "$status" = 124 ]; then
		# what the command left running may keep the pipe open
		sleep 1
		kill "$reader" 2>/dev/null
		echo "stopped after $seconds seconds" | tee -a "$log"
	fi
	wait "$reader" 2>/dev/null
	return "$status"
}


# ---- Building and installing ----

# Copy the checkout, without what git ignores, to $work/source, and the folder
# of sample data beside it, if there is one, to the same place relative to it.
copy_source()
{
	local git=(git -c "safe.directory=*" -C "$root") file

	mkdir "$work/source"
	if "${git[@]}" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		"${git[@]}" ls-files -z --cached --others --exclude-standard |
			while IFS= read -r -d '' file; do
				if [ -e "$root/$file" ] || [ -L "$root/$file" ]; then
					printf '%s\0' "$file"
				fi
			done |
			tar -C "$root" --null --no-recursion -T - -cf - | tar -C "$work/source" -xf -
	else
		tar -C "$root" --exclude=./.git --exclude='*.o' --exclude='*.bc' --exclude='*.so' \
			-cf - . | tar -C "$work/source" -xf -
	fi || die "could not copy the sources"
	if [ -d "$root/../shared/data" ]; then
		mkdir -p "$work/shared/data"
		cp -r --no-preserve=mode "$root/../shared/data/." "$work/shared/data"
	fi
	[ -z "$server_user" ] ||
		find "$work/source" "$work/shared" -exec chown -h "$server_user" {} + 2>/dev/null
}

# Copy the installation that pg_config describes to $work/postgres, or to another
# directory, and set pg_config and PATH to the copy.  Programs are copied, since they look for
# their files from where they are; the other files are links.  Nothing of an
# extension installed in the system is taken along.
copy_postgres()
{
	local copy="${1:-$work/postgres}" bindir option dir

	bindir=$("$pg_config" --bindir)
	as_user mkdir -p "$copy$bindir"
	as_user cp -r "$bindir/." "$copy$bindir/"
	for option in --pkglibdir --sharedir; do
		dir=$("$pg_config" $option)
		as_user mkdir -p "$copy$dir"
		as_user cp -rs "$dir/." "$copy$dir/"
		as_user find "$copy$dir" -depth -name 'datastream*' -exec rm -rf {} +
	done
	for option in --libdir --includedir --includedir-server; do
		dir=$("$pg_config" $option)
		if ! [ -e "$copy$dir" ]; then
			as_user mkdir -p "$copy${dir%/*}"
			as_user ln -s "$dir" "$copy$dir"
		fi
	done
	pg_config="$copy$bindir/pg_config"
	[ "$("$pg_config" --bindir)" = "$copy$bindir" ] ||
		die "this PostgreSQL cannot be run from a copy in another place"
	export PG_CONFIG=$pg_config PATH="$copy$bindir:$PATH"
}

# What the compiler warns about, as errors, beside what PostgreSQL has it warn
# about.  No function may take much of the stack.
warnings="-Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wframe-larger-than=16384 -Werror"

# Build the copy of the sources and install it into the copy of PostgreSQL,
# with warnings as errors.  Arguments are given to make.
build()
{
	as_user make -s -C "$work/source" -j "$(nproc)" PG_CONFIG="$pg_config" \
		COPT="$warnings" "$@" all </dev/null &&
		as_user make -s -C "$work/source" PG_CONFIG="$pg_config" "$@" install </dev/null
}


# ---- Servers ----

# Create a server in the directory $work/NAME and start it.  Further arguments
# are lines for its configuration.
#
#	start_server NAME [SETTING...]
#
# It is quick rather than safe: its data need not outlive a crash.
start_server()
{
	local data="$work/$1"
	shift

	as_user initdb --pgdata="$data" --auth=trust --no-locale --encoding=UTF8 \
		--no-sync --no-instructions >"$work/initdb.log" 2>&1 </dev/null ||
		{ cat "$work/initdb.log" >&2; die "initdb failed"; }
	printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$work/socket'" \
		"fsync = off" "log_line_prefix = '%m [%p] %q%a '" "$@" |
		as_user tee -a "$data/postgresql.conf" >/dev/null
	as_user pg_ctl -D "$data" -l "$data/server.log" -w -s start </dev/null >&2 ||
		{ cat "$data/server.log" >&2; die "the server did not start"; }
}

# Stop the server of a data directory, in the given mode of pg_ctl or in "fast".
stop_server()
{
	as_user pg_ctl -D "$1" -m "${2:-fast}" -w -s stop >/dev/null 2>&1 </dev/null
}

# A signal may come while the output of a function is redirected: the last
# words go to the script's own output.
exec 3>&1
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
trap clean_up EXIT
