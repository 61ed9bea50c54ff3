# The suites "assert" and "sanitize" of test/check: the regression, isolation and fuzz
# tests, and with assertions the TAP tests, too, with a PostgreSQL that is built from Debian's source (apt-get
# source), with its assertions or with the compiler's sanitizers of addresses and
# of undefined behaviour, which the extension is built with then, too.
#
# It is built in a temporary directory or, to be kept and used again, in the one
# that DS_BUILD_DIR in the environment names.

sanitizers="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
# Leaks are those of programs that end; and a server compares addresses of its stack.
sanitizer_options=(
	ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0:abort_on_error=1:detect_odr_violation=0
	UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1
)

# Fetch the source that the distribution's package for a major version is made
# from and unpack it into the current directory, with lists of packages of its
# own and without Debian's changes, which would have it installed into the
# system.  Returns false if it cannot be had.
fetch_source()
{
	local major=$1 release lists="$PWD/apt" apt

	release=$(. /etc/os-release && echo "$VERSION_CODENAME")
	mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial"
	echo "deb-src $(debian_mirror) $release main" >"$lists/sources.list"
	apt=(-o Dir::Etc::SourceList="$lists/sources.list" -o Dir::Etc::SourceParts=-
		-o Dir::State::Lists="$lists/lists" -o Dir::Cache="$lists/cache" -o APT::Sandbox::User=root)
	apt-get "${apt[@]}" update && apt-get "${apt[@]}" source --download-only "postgresql-$major" &&
		as_user tar -xf "postgresql-$major"_*.orig.tar.bz2
}

# Build PostgreSQL's source, below the current directory, and install it into
# DIRECTORY; as a user who can write nowhere else.
#
#	build_postgres DIRECTORY CFLAGS
build_postgres()
{
	# programs that are part of the build may leak, too
	as_user env "${sanitizer_options[@]}" CFLAGS="$2" sh -c '
		cd postgresql-*/ &&
		./configure --prefix="$1" --enable-cassert --enable-debug --enable-tap-tests \
			--without-readline --without-zlib --without-icu &&
		make -s -j "$2" install &&
		make -s -C src/test/isolation install' sh "$1" "$(nproc)"
}

# Run suites with a PostgreSQL built from source.
#
#	run_source NAME SUITES CFLAGS [VARIABLE=VALUE...]
run_source()
{
	local name=$1 suites=$2 cflags=$3 major=${pg_version%%[!0-9]*} dir log="$work/$1.log" status
	shift 3

	heading "PostgreSQL $major, built from source: $name"
	if ! want_packages build-essential bzip2 xz-utils libipc-run-perl; then
		skip "$name" "$reason"
		return
	fi
	dir=${DS_BUILD_DIR:-$work/build}/$name-$major
	if ! [ -e "$dir/complete" ]; then
		mkdir -p "$dir/source"
		[ -z "$server_user" ] || chown "$server_user" "$dir" "$dir/source"
		cd "$dir/source" || exit 1
		if ! fetch_source "$major" >"$log" 2>&1; then
			tail -n 5 "$log"
			skip "$name" "the source of postgresql-$major could not be had"
			cd "$work" && rm -rf "$dir"
			return
		fi
		echo "building it; this takes some minutes"
		if ! build_postgres "$dir" "$cflags" >"$log" 2>&1; then
			tail -n 40 "$log"
			fail "$name: PostgreSQL could not be built"
			cd "$work" && rm -rf "$dir"
			return
		fi
		cd "$work" && rm -rf "$dir/source"
		touch "$dir/complete"
	fi
	(
		become=()				# the script that it runs becomes that user itself
		run_logged "$log" 3600 env -u PGHOST -u PGUSER TMPDIR="${work%/*}" "$@" \
			PG_CONFIG="$dir/bin/pg_config" bash "$work/source/test/check" $suites
	)
	status=$?
	count "$name" "$log" "$status" '^[0-9]+ passed, [1-9][0-9]* failed'
}

run_assert()
{
	run_source assert "regress isolation fuzz tap" "-O2"
}

run_sanitize()
{
	# the TAP tests would take hours
	run_source sanitize "regress isolation fuzz" "-O1 $sanitizers" "${sanitizer_options[@]}"
}
