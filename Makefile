# Each target is a command or two that can as well be typed by hand.
PREFIX   ?= /usr/local
GO       ?= go
CC       := gcc
VERSION  := $(shell cat VERSION)
COMMIT   := $(shell git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)
TAGS     := netgo,osusergo,urfave_cli_no_docs
LDFLAGS  := -s -w -linkmode external -extldflags -static -X rt/internal/cli.version=$(VERSION) -X rt/internal/cli.commit=$(COMMIT)
CFLAGS   := -std=gnu11 -O2 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wformat=2 -Werror
PACKAGES := gcc libc6-dev musl-tools libseccomp-dev pkg-config busybox-static ca-certificates
FUZZTIME ?= 10s

# tests/deps.sh puts a Go toolchain here where there is none, or one that is too old.
export PATH := $(CURDIR)/bin/go/bin:$(PATH)

# Integration tests and the suites of others need root; everything else is a unit test.
GOTEST      := $(GO) test -json -count=1 -tags $(TAGS)
UNIT         = $(GOTEST) -timeout 5m $$($(GO) list ./... | grep -v -e ^rt/tests/integration -e ^rt/tests/conformance -e ^rt/tests/differential -e ^rt/tests/clients)
INTEGRATION := $(GOTEST) -timeout 30m ./tests/integration/...
DIFFERENTIAL := $(GOTEST) -timeout 10m -parallel 4 ./tests/differential
CONFORMANCE := $(GOTEST) -timeout 10m -parallel 4 ./tests/conformance
VM          := $(GO) run ./tests/vm

.PHONY: all deps install test unit integration conformance differential test-clients engines test-vm test-vm-all sanitize lint fuzz demo bench clean

# glibc asks the processor what it can do some seventy times as it starts, each a trap in a virtual machine: a fifth of the time
# of a short command. musl does not ask. It has no headers of the kernel's and no libseccomp of its own.
# Go 1.26's new collector keeps its marks at the end of each span: one page more to touch for each size of object, a tenth of the
# page faults of a short command, which never collects. Later versions may not know the old one any more.
MARKS = $(if $(findstring go1.26,$(shell $(GO) version)),GOEXPERIMENT=nogreenteagc)
MUSL = $(MARKS) CC=musl-gcc CGO_CFLAGS="-O2 -idirafter /usr/include -idirafter /usr/include/$(shell gcc -print-multiarch)" CGO_LDFLAGS=-L$(CURDIR)/bin/lib

all: bin/lib/libseccomp.a
	$(MUSL) CGO_ENABLED=1 $(GO) build -trimpath -buildvcs=false -tags $(TAGS) -ldflags "$(LDFLAGS)" -o rt .

deps:
	@tests/deps.sh $(PACKAGES)

install: all
	install -D -m 0755 rt $(DESTDIR)$(PREFIX)/bin/rt

test: PACKAGES += strace procps systemd dbus uidmap crun qemu-system-x86 xz-utils
test: deps all lint bin/peers/runc
	@$(GO) run ./tests/internal/testsum $(UNIT) -- $(INTEGRATION) -- $(CONFORMANCE) -- $(DIFFERENTIAL) -- $(VM) v2 v2-systemd

unit:
	@$(GO) run ./tests/internal/testsum $(UNIT)

integration: all
	@$(GO) run ./tests/internal/testsum $(INTEGRATION)

# The OCI's own validation suite, got from the Go module proxy.
conformance: all
	@$(GO) run ./tests/internal/testsum $(CONFORMANCE)

# The same configurations under rt, runc and crun, and what differs.
differential: PACKAGES += crun
differential: deps all bin/peers/runc
	@$(GO) run ./tests/internal/testsum $(DIFFERENTIAL)

# Real engines, those that are there. Debian's come as packages; newer ones are built, in ten minutes the first time.
engines: PACKAGES += containerd docker.io iptables podman conmon catatonit buildah netavark slirp4netns uidmap containernetworking-plugins
engines: deps
	@tests/clients/engines.sh containerd cri docker docker-cli buildx buildkit

test-clients: all
	@$(GO) run ./tests/internal/testsum $(GOTEST) -timeout 20m ./tests/clients

# Debian's kernels under qemu: cgroup v2, v1 and both, with and without systemd as PID 1; `test` runs two of the six
# machines. Ten minutes; -all takes hours.
test-vm test-vm-all: PACKAGES += qemu-system-x86 xz-utils
test-vm: deps all
	@$(GO) run ./tests/internal/testsum $(VM)

test-vm-all: deps all
	@$(GO) run ./tests/internal/testsum $(VM) -all -limit 2h

# The stage's own tests build it with the sanitizers already; this is the whole of rt, in real containers. Leaks are looked for
# by ptrace, which some tests use themselves; and how much memory a sanitized process needs says nothing.
TRACING := ^(TestSeccompFlags|TestExecCPUAffinityOrder)$$
sanitize:
	CGO_CFLAGS="-g -O1 -fsanitize=undefined -fno-sanitize-recover" CGO_LDFLAGS=-fsanitize=undefined $(GO) build -asan -tags $(TAGS) -o bin/rt-sanitized .
	@RT=$(CURDIR)/bin/rt-sanitized $(GO) run ./tests/internal/testsum $(INTEGRATION) -skip '$(TRACING)|^TestWaitingInitIsSmall$$'
	@RT=$(CURDIR)/bin/rt-sanitized ASAN_OPTIONS=detect_leaks=0 $(GO) run ./tests/internal/testsum $(INTEGRATION) -run '$(TRACING)'

lint: bin/staticcheck
	@list=$$($$($(GO) env GOROOT)/bin/gofmt -l .); test -z "$$list" || { echo "not as gofmt writes it: $$list"; exit 1; }
	$(GO) vet -tags $(TAGS) ./...
	bin/staticcheck -tags $(TAGS) -checks inherit,-SA1019 ./... # bundles still use what the specification calls deprecated
	@for f in nsenter/*.c; do $(CC) $(CFLAGS) -c -o /dev/null $$f || exit 1; done

bin/lib/libseccomp.a:
	mkdir -p bin/lib
	ln -sf "$$(gcc -print-file-name=libseccomp.a)" $@

bin/staticcheck:
	GOBIN=$(CURDIR)/bin $(GO) install honnef.co/go/tools/cmd/staticcheck@v0.8.2

fuzz:
	@for p in $$($(GO) list ./...); do for f in $$($(GO) test -list ^Fuzz $$p | grep ^Fuzz); do \
		$(GO) test -run NONE -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; done; done

demo: PACKAGES += jq
demo: deps all
	@tests/demo.sh ./rt

bench: PACKAGES += crun hyperfine
bench: deps all bin/peers/runc
	$(GO) run ./tests/bench -o docs/benchmarks.md

bin/peers/runc:
	GOBIN=$(CURDIR)/bin/peers $(GO) install -trimpath -tags seccomp -ldflags "-s -w" github.com/opencontainers/runc@v1.5.2

clean:
	rm -rf rt bin
