#!/bin/bash
# demo.sh [RT] gives a short tour of the runtime binary RT (./rt). Each step shows real output
# and says what was seen; a step that does not see what it promises ends the tour with
# an error. It runs in mount and PID namespaces of its own and leaves nothing behind.
set -euo pipefail

main() {
	if test "$(id -u)" != 0; then
		echo "demo: this tour needs root: it sets limits and maps users" >&2
		exit 1
	fi
	export rt work bold='' green='' red='' dim='' plain=''
	rt=$(realpath "${1:-./rt}")
	test ! -t 1 || { bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' dim=$'\e[2m' plain=$'\e[0m'; }
	work=$(mktemp -d)
	trap 'sweep; rmdir "$work"' EXIT
	export -f tour step run show seen fail bundle edit make_image checksum \
		isolation visit cpu cpu_time memory overlay plan nothing_left
	unshare --mount --pid --fork --mount-proc --kill-child bash -euo pipefail -c tour
}

tour() {
	mount -t tmpfs -o mode=755 tmpfs "$work" # gone with this mount namespace
	cd "$work"
	make_image
	isolation
	visit
	cpu
	memory
	overlay
	plan
	nothing_left
}

step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
seen() { printf '%s-> %s%s\n' "$green" "$*" "$plain"; }
fail() {
	printf '%sdemo: not as promised: %s%s\n' "$red" "$*" "$plain" >&2
	exit 1
}

# run ARG... is the runtime with a state directory of the demo's own; show is the same,
# and says so.
run() { "$rt" --root "$work/state" "$@"; }
show() {
	printf '%s$ rt %s%s\n' "$dim" "$*" "$plain"
	run "$@"
}

# make_image makes a root file system: busybox and the mount points.
make_image() {
	mkdir -p image/{bin,dev,etc,proc,sys,tmp}
	cp "$(command -v busybox)" image/bin/busybox
	chroot image /bin/busybox --install -s /bin
	echo "as the image has it" >image/etc/motd
}

checksum() { find image -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c-16; }

# bundle NAME makes the directory NAME with the config.json of `rt spec`; it runs the
# shell script on standard input.
bundle() {
	mkdir "$1"
	run spec -b "$1"
	edit "$1" '.process.args = ["sh", "-c", $script] | .process.terminal = false | .root.path = $image |
		.hostname = "tour" | .linux.cgroupsPath = "/rt-demo/" + $name' \
		--arg script "$(cat)" --arg image "$work/image" --arg name "$1"
}

# edit NAME FILTER [JQ-OPTION...] changes a bundle's config.json.
edit() {
	jq "${@:3}" "$2" "$1/config.json" >"$1/new.json"
	mv "$1/new.json" "$1/config.json"
}

isolation() {
	step "A container has a hostname, processes, mounts and user ids of its own"
	bundle own <<-'EOF'
		echo "I am $(id -un) on $(hostname)"
		awk '{print "uid " $1 " in here is uid " $2 " out there"}' /proc/self/uid_map
		ps -o pid,user,comm
		echo "$(wc -l </proc/mounts) mounts, such as"
		grep -E ' (/|/dev|/dev/pts|/proc|/sys) ' /proc/mounts
	EOF
	echo "root:x:0:0:root:/:/bin/sh" >image/etc/passwd
	edit own '.linux.namespaces += [{"type": "user"}] |
		.linux.uidMappings = [{"containerID": 0, "hostID": 100000, "size": 65536}] | .linux.gidMappings = .linux.uidMappings'
	show run -b own own | tee own/out
	grep -qx 'I am root on tour' own/out || fail "the hostname is not the container's"
	grep -qx 'uid 0 in here is uid 100000 out there' own/out || fail "the ids are not mapped"
	grep -qE '^ +1 +(root +)?sh$' own/out || fail "its shell is not PID 1"
	grep -q 'proc /proc proc ' own/out || fail "it has no /proc of its own"
	test "$(hostname)" != tour || fail "the machine was renamed"
	seen "the container is called tour, the machine still $(hostname); its shell is PID 1; its root is the machine's user 100000"
}

visit() {
	step "A process that joins it later sits in the same namespaces"
	bundle home <<<'exec sleep 1000'
	show run -d -b home home </dev/null
	local pid kind inside=0
	pid=$(run state home | jq .pid)
	show exec home sh -c 'for n in /proc/self/ns/*; do echo "${n##*/} $(readlink "$n")"; done' | tee home/out
	for kind in "/proc/$pid/ns/"*; do
		kind=${kind##*/}
		grep -qxF "$kind $(readlink "/proc/$pid/ns/$kind")" home/out || fail "its $kind namespace is not the container's"
		test "$(readlink "/proc/self/ns/$kind")" = "$(readlink "/proc/$pid/ns/$kind")" || inside=$((inside + 1))
	done
	test $inside -ge 5 || fail "only $inside namespaces are not the machine's"
	show delete -f home
	seen "all are those of process $pid, the container's first; $inside of them are not the machine's"
}

# cpu_time PID gives the user and system time that a process has used, in ms.
cpu_time() { awk '{print ($14 + $15) * 10}' "/proc/$1/stat"; }

cpu() {
	step "A CPU quota of 20 % holds a busy loop"
	bundle busy <<<'while :; do :; done'
	edit busy '.linux.resources.cpu = {"quota": 20000, "period": 100000}'
	show run -d -b busy busy </dev/null
	show list
	local pid before used
	pid=$(run state busy | jq .pid)
	before=$(cpu_time "$pid")
	sleep 1.5
	used=$(($(cpu_time "$pid") - before))
	show delete -f busy
	test $used -ge 100 -a $used -le 420 || fail "the loop used $used ms of CPU time in 1.5 s"
	seen "in 1500 ms the loop got $used ms of CPU time: $((used / 15)) %"
}

memory() {
	step "A memory limit of 16 MiB kills a hog"
	bundle hog <<-'EOF'
		echo "I take all the memory there is"
		exec tail /dev/zero
	EOF
	edit hog '.linux.resources.memory = {"limit": 16777216}'
	local status=0
	show run -b hog hog > >(tee hog/out) 2>&1 || status=$?
	wait $! # for tee
	test $status = 137 || fail "the exit status is $status, not 137 (128 + SIGKILL)"
	grep -q 'out-of-memory' hog/out || fail "rt does not say why the container died"
	seen "exit status $status, 128 + SIGKILL, and rt says whose doing it was"
}

overlay() {
	step "An overlay root: the container writes, the image stays as it was"
	local before
	before=$(checksum)
	mkdir upper scratch merged
	mount -t overlay -o "lowerdir=$work/image,upperdir=$work/upper,workdir=$work/scratch" overlay merged
	bundle layer <<-'EOF'
		echo "as the container has it" >/etc/motd
		rm /bin/vi
		echo new >/tmp/new
		cat /etc/motd
	EOF
	edit layer '.root = {"path": $merged}' --arg merged "$work/merged"
	show run -b layer layer | tee layer/out
	umount merged
	echo "the image: $(cat image/etc/motd); $(ls image/bin/vi) is there"
	find upper ! -type d -printf 'the upper layer: %P (%M)\n'
	grep -qx 'as the container has it' layer/out || fail "the container could not write"
	test -c upper/bin/vi -a -f upper/tmp/new || fail "the upper layer has not what the container did"
	test "$before" = "$(checksum)" || fail "the image changed"
	seen "the image's sha256 is $before… before and after"
}

plan() {
	step "Its plan: what rt would do for the first container, without doing it"
	run plan -b own >own/plan
	printf '%s$ rt plan -b own | head -n 45%s\n' "$dim" "$plain"
	head -n 45 own/plan
	test "$(wc -l <own/plan)" -gt 45 || fail "the plan is too short to be true"
	seen "45 of its $(wc -l <own/plan) lines, each with the field of config.json that asked for it"
}

nothing_left() {
	step "Nothing is left"
	show list
	test -z "$(run list -q)" || fail "a container is left"
	local left
	left=$(find /sys/fs/cgroup -path '*/rt-demo/*' -type d)
	test -z "$left" || fail "cgroups are left: $left"
	left=$(cat /proc/[0-9]*/comm | grep -vxE 'bash|cat|grep' || true)
	test -z "$left" || fail "processes are left: $left"
	left=$(grep " $work/" /proc/mounts || true)
	test -z "$left" || fail "mounts are left: $left"
	seen "no container, process, mount or cgroup"
}

# sweep removes the parent of the demo's cgroups; after a failure also theirs.
sweep() { find /sys/fs/cgroup -depth -path '*/rt-demo*' -type d -exec rmdir {} +; }

main "$@"
