# The suite "versions" of test/check: builds the extension and runs the
# regression, isolation and fuzz tests with other versions of PostgreSQL, as they
# come with other releases of Debian.
#
# What is needed of a release is unpacked into a temporary directory, or, to be kept
# and used again, into the one that DS_BUILD_DIR in the environment names.  No
# script of a package runs, so that it does not matter what these would ask of
# the system.  That needs root and a mirror of Debian; the suite is skipped where it
# cannot be done.

declare -A debian_release=([17]=trixie [18]=forky)

# The mirror that this system's packages come from
debian_mirror()
{
	apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null |
		head -n 1
}

# Packages that others depend on and that nothing here uses: maintainers' tools, and
# the server's compiler, which is half of all there would be to fetch.
unused_packages="adduser debconf dpkg init-system-helpers locales openssl postgresql-client-common postgresql-common
	postgresql-common-dev ssl-cert systemd-standalone-sysusers sysvinit-utils ucf"

# Unpack what is needed of a release of Debian, with a version of PostgreSQL, into
# a directory, as the root of a file system.  What it fetches is in DIRECTORY.apt
# meanwhile.  Returns false if it cannot be done.
unpack_release()
{
	local release=$1 version=$2 dir=$3 state=$3.apt mirror package file apt
	local server="postgresql-$version postgresql-server-dev-$version"
	local needed="base-files bash coreutils dash diffutils findutils gcc grep hostname libc-bin libc6-dev make mawk
		perl sed tar util-linux"

	rm -rf "$dir" "$state"
	mkdir -p "$dir" "$state/lists/partial" "$state/cache/archives/partial"
	mirror=$(debian_mirror)
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} $release main" >"$state/sources.list"
	apt=(-q -o Dir::Etc::SourceList="$state/sources.list" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$state/lists"
		-o Dir::Cache="$state/cache" -o Dir::State::status="$state/status" -o APT::Sandbox::User=root
		-o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Get::AutomaticRemove=false)

	: >"$state/status"
	timeout 300 apt-get "${apt[@]}" update || return 1
	# of packages that are installed already nothing is fetched
	for package in $unused_packages $(apt-cache "${apt[@]}" depends $server | grep -Eo '[^ ]*(clang|llvm)[^ ]*' | sort -u); do
		printf '%s\n' "Package: $package" "Status: install ok installed" "Architecture: $(dpkg --print-architecture)" \
			"Multi-Arch: foreign" "Version: 9:999" "Maintainer: none" "Description: not used" "" >>"$state/status"
	done
	timeout 900 apt-get "${apt[@]}" install -y --download-only --no-install-recommends $needed $server || return 1

	# base-files first: it has the links from /bin to /usr/bin and the like
	for file in "$state"/cache/archives/base-files_*.deb "$state"/cache/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$file" | tar -C "$dir" --keep-directory-symlink -xf - || return 1
	done
	rm -rf "$state"
	# without the compiler's library this one cannot be loaded
	rm -f "$dir/usr/lib/postgresql/$version/lib/llvmjit.so"
	[ -e "$dir/usr/bin/awk" ] || ln -s mawk "$dir/usr/bin/awk"
	printf '%s\n' "root:x:0:0:root:/root:/bin/bash" "postgres:x:999:999::/:/bin/sh" >"$dir/etc/passwd"
	printf '%s\n' "root:x:0:" "postgres:x:999:" >"$dir/etc/group"
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
		{ mount -t proc proc "$root/proc" 2>/dev/null || mount --rbind /proc "$root/proc"; } &&
			mount -t tmpfs tmpfs "$root/dev" && mkdir -m 1777 "$root/dev/shm" &&
			ln -s /proc/self/fd "$root/dev/fd" || exit 1
		for device in null zero full random urandom; do
			touch "$root/dev/$device" && mount --bind "/dev/$device" "$root/dev/$device" || exit 1
		done
		exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"' sh "$@"
}

run_version()
{
	local version=$1 release=${debian_release[$1]} dir log="$work/version-$1.log" status
	local become=()				# run_logged needs to be root here

	heading "PostgreSQL $version, of Debian's $release"
	dir=${DS_BUILD_DIR:-$work/versions}/$release
	if ! [ -e "$dir/complete" ]; then
		if ! unpack_release "$release" "$version" "$dir" >"$log" 2>&1; then
			tail -n 40 "$log"
			rm -rf "$dir" "$dir.apt"
			skip "versions/$version" "$release could not be had"
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
		reason="only root can change the root of the file system"
	elif ! want_packages util-linux apt; then
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
