# The suite "versions" of test/check: builds the extension and runs the
# regression, isolation and fuzz tests with other versions of PostgreSQL, as they
# come with other releases of Debian.
#
# The releases are installed (debootstrap) into a temporary directory, or, to be
# kept and used again, into the one that DS_BUILD_DIR in the environment names.
# That needs root and a mirror of Debian; the suite is skipped where it cannot be
# done.

declare -A debian_release=([17]=trixie [18]=forky)

# The mirror that this system's packages come from
debian_mirror()
{
	apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null |
		head -n 1
}

# Install a release of Debian with a version of PostgreSQL into a directory.
# Returns false if it cannot be done.
install_release()
{
	local release=$1 version=$2 dir=$3 script=/usr/share/debootstrap/scripts/$1 mirror

	[ -e "$script" ] || script=${script%/*}/sid
	mirror=$(debian_mirror)
	mkdir -p "$dir/etc/dpkg/dpkg.cfg.d" &&
		echo force-unsafe-io >"$dir/etc/dpkg/dpkg.cfg.d/unsafe-io" &&
		timeout 600 debootstrap --variant=minbase "$release" "$dir" "${mirror:-http://deb.debian.org/debian}" "$script" &&
		timeout 900 chroot "$dir" env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y --no-install-recommends gcc libc6-dev make perl \
			"postgresql-$version" "postgresql-server-dev-$version" &&
		touch "$dir/complete"
}

# Run a command in a directory as the root of the file system, in namespaces of
# its own, with which all ends that it leaves running or mounted.
#
#	in_release DIRECTORY COMMAND...
in_release()
{
	unshare --mount --pid --fork --kill-child sh -c '
		root=$1
		shift
		mount -t proc proc "$root/proc" &&
		mount -t tmpfs tmpfs "$root/dev/shm" &&
		exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"' sh "$@"
}

run_version()
{
	local version=$1 release=${debian_release[$1]} dir log="$work/version-$1.log" status
	local become=()				# run_logged needs to be root here

	heading "PostgreSQL $version, of Debian's $release"
	dir=${DS_BUILD_DIR:-$work/versions}/$release
	mkdir -p "$dir"
	if ! [ -e "$dir/complete" ]; then
		rm -rf "$dir"
		if ! install_release "$release" "$version" "$dir" >"$log" 2>&1; then
			tail -n 5 "$log"
			rm -rf "$dir"
			skip "versions/$version" "$release could not be installed"
			return
		fi
	fi
	rm -rf "$dir/tmp/datastream"
	mkdir "$dir/tmp/datastream"
	cp -r "$work/source" "$dir/tmp/datastream"
	[ ! -d "$work/shared" ] || cp -r "$work/shared" "$dir/tmp/datastream"
	declare -f in_release >"$work/in_release.sh"
	# bitcode, for what the server's compiler inlines, is built on this system
	run_logged "$log" 1200 bash -c '. "$1"; shift; in_release "$@"' bash "$work/in_release.sh" "$dir" \
		MAKEFLAGS=" -- with_llvm=no" bash /tmp/datastream/source/test/check regress isolation fuzz
	status=$?
	count "versions/$version" "$log" "$status" '^[0-9]+ passed, [1-9][0-9]* failed'
	rm -rf "$dir/tmp/datastream"
	[ -n "${DS_BUILD_DIR:-}" ] || rm -rf "$dir"
}

run_versions()
{
	local version

	[ $# -gt 0 ] || set -- "${!debian_release[@]}"
	if [ "$(id -u)" != 0 ]; then
		reason="only root can install another release of Debian"
	elif ! want_packages debootstrap util-linux; then
		:
	elif ! unshare --mount --pid --fork true; then
		reason="this system gives no namespaces"
	else
		for version in $(printf '%s\n' "$@" | sort -n); do
			run_version "$version"
		done
		return
	fi
	skip "versions" "$reason"
}
