#!/bin/sh
# deps.sh PACKAGE... makes sure that these Debian (or Ubuntu) packages are installed
# and that there is a Go toolchain that can build this project. What is there is left
# alone; what is missing is installed by root, and named to anybody else.
set -eu
cd "$(dirname "$0")/.."

installed() {
	test "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed
}

# install_missing PACKAGE...
install_missing() {
	missing=
	for package; do
		installed "$package" || missing="$missing $package"
	done
	test -n "$missing" || return 0
	if ! command -v apt-get >/dev/null; then
		echo "deps: this is no Debian; what these packages hold is needed:$missing" >&2
		return 0 # it may be there under another name: let the compiler judge
	fi
	if test "$(id -u)" != 0; then
		echo "deps: missing packages; as root: apt-get install$missing" >&2
		exit 1
	fi
	echo "deps: installing$missing"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	# shellcheck disable=SC2086 # one word per package
	apt-get install -qq --no-install-recommends $missing >/dev/null
}

# go_fetches_toolchains: since 1.21 the go command gets the version that go.mod asks for by itself.
go_fetches_toolchains() {
	command -v go >/dev/null || return 1
	minor=$(go version | sed -n 's/^go version go1\.\([0-9]*\).*/\1/p')
	test "${minor:-0}" -ge 21
}

# goenv asks outside of the project: an old go command cannot read this go.mod.
goenv() {
	(cd / && go env "$1")
}

# fetch_go gets Go as newer go commands do, as a module that the checksum database
# vouches for, by way of the old go command that Debian has.
fetch_go() {
	install_missing golang-go
	go_fetches_toolchains && return 0
	version=$(sed -n 's/^go //p' go.mod)
	module=golang.org/toolchain@v0.0.1-go$version.$(goenv GOOS)-$(goenv GOARCH)
	echo "deps: fetching Go $version"
	(cd / && GO111MODULE=on go mod download "$module")
	root=$(goenv GOMODCACHE)/$module
	chmod +x "$root"/bin/* "$root"/pkg/tool/*/* # the module cache drops the mode
	mkdir -p bin
	ln -sfn "$root" bin/go
}

install_missing "$@"
go_fetches_toolchains || fetch_go
