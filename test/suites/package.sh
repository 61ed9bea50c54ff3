# The suite "package" of test/check: builds the Debian package in a temporary copy
# of the sources, which runs the regression and isolation tests; looks at what
# is in it; and uses it in a copy of PostgreSQL that it is unpacked into.

# Does the package have everything, and nothing else?
package_contents()
{
	local deb=$1 major=$2 version files

	version=$(sed -n "s/^default_version *= *'\(.*\)'/\1/p" "$work/source/datastream.control")
	files=$(dpkg-deb --fsys-tarfile "$deb" | tar -tf - | sed 's|^\./|/|' | grep -v -e '/$' -e /bitcode/ | sort)
	sort <<-END | diff -u - <(echo "$files")
	/usr/lib/postgresql/$major/lib/datastream.so
	$(find "$work/source/sql" -name 'datastream--*--*.sql' -printf "/usr/share/postgresql/$major/extension/%f\n")
	/usr/share/postgresql/$major/extension/datastream--$version.sql
	/usr/share/postgresql/$major/extension/datastream.control
	/usr/share/doc/postgresql-$major-datastream/README.md.gz
	/usr/share/doc/postgresql-$major-datastream/changelog.Debian.gz
	/usr/share/doc/postgresql-$major-datastream/changelog.gz
	/usr/share/doc/postgresql-$major-datastream/copyright
	END
}

# Does the extension work that is in the package?
package_works() (
	copy_postgres "$work/package/root"
	as_user dpkg-deb -x "$1" "$work/package/root"
	export PGPORT=5433
	start_server package/server "port = $PGPORT" "shared_preload_libraries = 'datastream'"
	psql -X -q -d postgres -v ON_ERROR_STOP=1 <<-END
	CREATE EXTENSION datastream;
	SELECT ds_append(ds_ensure_stream('{"name": "packed"}'), 21.5, '2000-01-01 12:00:00Z') IS NOT NULL AS appended \gset
	SELECT v FROM ds_get_data((SELECT stream_id FROM datastream.streams), 'seconds');
	END
	status=$?
	stop_server "$work/package/server"
	exit $status
)

run_package()
{
	local major=${pg_version%%[!0-9]*} deb status

	heading "Debian package"
	if [[ ${installed_pg_config:=$pg_config} != /usr/lib/postgresql/$major/bin/pg_config ]]; then
		skip package "this PostgreSQL is not one of Debian's packages"
		return
	fi
	if ! want_packages build-essential debhelper postgresql-server-dev-all; then
		skip package "$reason"
		return
	fi
	as_user mkdir -p "$work/package"
	as_user cp -r "$work/source" "$work/package/datastream"
	cd "$work/package/datastream" || exit 1
	# the versions of PostgreSQL are those of the distribution
	as_user pg_buildext updatecontrol
	run_logged "$work/package.log" 900 env -u PG_CONFIG -u PGHOST -u PGUSER PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		dpkg-buildpackage --unsigned-source --unsigned-changes --build=binary
	status=$?
	cd "$work" || exit 1
	count package "$work/package.log" "$status" '^dpkg-buildpackage: info: binary-only upload'
	if [ "$status" = 0 ]; then
		deb=$(echo "$work/package/postgresql-$major-datastream"_*.deb)
		ok "package: it has what a server needs" package_contents "$deb" "$major"
		ok "package: the extension in it works" package_works "$deb"
		if command -v lintian >/dev/null; then
			ok "package: lintian finds no error" as_user lintian --fail-on error "$work"/package/*.changes
		fi
	fi
	rm -rf "$work/package"
}
