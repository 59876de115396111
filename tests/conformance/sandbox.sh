#!/bin/sh
# sandbox.sh PROGRAM runs one program of the suite in a mount, PID and cgroup namespace of its own, as their process 1:
# programs give the same cgroup names as one another, look for hierarchies in /sys/fs/cgroup, and tidy up badly.
# $CGROUPS lists this program's cgroups, as DIR=NAME=OPTIONS: where it is, and how its hierarchy is mounted and named. Without any
# (cgroup v2, which the suite knows nothing of) the program stays in the cgroup that it is in.
set -eu
if test -n "$CGROUPS" && test "${2-}" = ""; then
	for cgroup in $CGROUPS; do
		echo 0 >"${cgroup%%=*}/cgroup.procs"
	done
	exec unshare --cgroup -- /bin/sh "$0" "$1" inside
fi

mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir "$TMPDIR"
if test -n "$CGROUPS"; then
	mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
fi
for cgroup in $CGROUPS; do
	cgroup=${cgroup#*=}
	name=${cgroup%%=*}
	options=${cgroup#*=}
	mkdir "/sys/fs/cgroup/$name"
	case $options in
	"") mount -t cgroup2 none "/sys/fs/cgroup/$name" ;;
	*) mount -t cgroup -o "$options" none "/sys/fs/cgroup/$name" ;;
	esac
	case $name in *,*) # controllers that share a hierarchy
		for controller in $(echo "$name" | tr , ' '); do
			ln -s "$name" "/sys/fs/cgroup/$controller"
		done ;;
	esac
done

before=$(cut -d' ' -f4- /proc/self/mountinfo)
status=0
"$1" || status=$?

# What the program left, the runtime must be able to remove. After that, what is left is the runtime's fault.
for id in $("$RUNTIME" list -q); do
	"$RUNTIME" delete --force "$id" || echo "left behind: container $id"
done
test "$(cut -d' ' -f4- /proc/self/mountinfo)" = "$before" || echo "left behind: mounts $(cat /proc/self/mountinfo)"
for proc in /proc/[0-9]*; do
	case $(cut -d' ' -f3 "$proc/stat" 2>/dev/null) in
	"" | Z) continue ;;
	esac
	test "$proc" = /proc/1 || echo "left behind: process $(tr '\0' ' ' <"$proc/cmdline")"
done
exit $status
