#!/bin/sh
# engines.sh NAME... builds engines that Debian does not have, or only has old, from the Go module proxy, static, into
# bin/engines/NAME-VERSION; bin/engines/NAME leads there. What has been built is left alone.
set -eu
engines=$(cd "$(dirname "$0")/../.." && pwd)/bin/engines

# build NAME MODULE VERSION PACKAGE... in the module's own directory, so that its go.mod decides. $tags and $ldflags are
# for the go command; $prepare names what is called in a copy of the module first, if it needs a change.
build() {
	name=$1 module=$2 version=$3
	shift 3
	out=$engines/$name-${version#v}
	if test ! -d "$out"; then
		echo "engines: building $name $version"
		source=$(cd / && go mod download -json "$module@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
		rm -rf "$out.part" "$out.source"
		mkdir -p "$out.part"
		if test -n "$prepare"; then
			cp -r --no-preserve=mode "$source" "$out.source"
			source=$out.source
			(cd "$source" && $prepare)
		fi
		# Some modules come with the empty shell of a vendor directory, which -mod=mod passes over.
		CGO_ENABLED=0 go build -C "$source" -mod="$mod" -trimpath -buildvcs=false -tags "$tags" -ldflags "-s -w $ldflags" -o "$out.part/" "$@"
		rm -rf "$out.source"
		mv "$out.part" "$out"
	fi
	ln -sfn "${out##*/}" "$engines/$name"
}

# docker_cli_module makes a module of the command line, which is none by name, with the swarmkit that the daemon has: the
# one that it asks for is not on the proxy.
docker_cli_module() {
	mv vendor.mod go.mod
	mv vendor.sum go.sum
	swarmkit=github.com/moby/swarmkit/v2
	go mod edit -replace $swarmkit=$swarmkit@v2.1.3-0.20260828175525-ad0357aedfca
}

for engine; do
	tags='' ldflags='' prepare='' mod=readonly
	case $engine in
	containerd)
		module=github.com/containerd/containerd/v2 version=v2.4.2
		tags=no_btrfs,no_devmapper,no_zfs,no_aufs,urfave_cli_no_docs ldflags="-X $module/version.Version=$version"
		build containerd $module $version ./cmd/containerd ./cmd/containerd-shim-runc-v2 ./cmd/ctr
		;;
	docker) # moby's v2.0.0-beta.24 is the engine of Docker 29
		module=github.com/moby/moby/v2 version=v2.0.0-beta.24
		ldflags="-X $module/dockerversion.Version=$version"
		build docker $module $version ./cmd/dockerd ./cmd/docker-proxy
		;;
	docker-cli)
		module=github.com/docker/cli version=v29.9.3
		ldflags="-X $module/cli/version.Version=$version" prepare=docker_cli_module mod=mod
		build docker-cli $module $version+incompatible ./cmd/docker
		;;
	buildx) # its `buildx` is the docker-buildx that `docker build` looks for
		build buildx github.com/docker/buildx v0.25.0 ./cmd/buildx
		;;
	buildkit)
		module=github.com/moby/buildkit version=v0.25.2
		ldflags="-X $module/version.Version=$version"
		build buildkit $module $version ./cmd/buildkitd ./cmd/buildctl
		;;
	cri) # our own, from here
		CGO_ENABLED=0 go build -C "$engines/../../tests/clients/cri" -trimpath -buildvcs=false -ldflags "-s -w" -o "$engines/cri/" .
		;;
	*)
		echo "engines: there is no recipe for $engine" >&2
		exit 1
		;;
	esac
done
