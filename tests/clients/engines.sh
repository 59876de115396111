#!/bin/sh
# engines.sh NAME... builds engines that Debian does not have, or only has old, from the Go module proxy, static, into
# bin/engines/NAME-VERSION; bin/engines/NAME leads there. What has been built is left alone.
set -eu
engines=$(cd "$(dirname "$0")/../.." && pwd)/bin/engines

# build NAME MODULE VERSION PACKAGE... in the module's own directory, so that its go.mod decides. $tags and $ldflags are
# for the go command.
build() {
	name=$1 module=$2 version=$3
	shift 3
	out=$engines/$name-${version#v}
	if test ! -d "$out"; then
		echo "engines: building $name $version"
		source=$(cd / && go mod download -json "$module@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
		rm -rf "$out.part"
		mkdir -p "$out.part"
		CGO_ENABLED=0 go build -C "$source" -trimpath -buildvcs=false -tags "${tags-}" -ldflags "-s -w ${ldflags-}" -o "$out.part/" "$@"
		mv "$out.part" "$out"
	fi
	ln -sfn "${out##*/}" "$engines/$name"
}

for engine; do
	case $engine in
	containerd)
		module=github.com/containerd/containerd/v2 version=v2.4.2
		tags=no_btrfs,no_devmapper,no_zfs,no_aufs,urfave_cli_no_docs ldflags="-X $module/version.Version=$version"
		build containerd $module $version ./cmd/containerd ./cmd/containerd-shim-runc-v2 ./cmd/ctr
		;;
	*)
		echo "engines: there is no recipe for $engine" >&2
		exit 1
		;;
	esac
done
