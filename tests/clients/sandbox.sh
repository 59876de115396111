#!/bin/sh
# sandbox.sh COMMAND... runs in a new mount and network namespace and prepares them for container engines:
# what engines write outside of the directories that they are given goes to a tmpfs, /sys shows the new network
# namespace, and every controller is in a v1 hierarchy, since containerd's shim and crun refuse a hybrid whose
# cgroup2 tree holds hugetlb.
set -eu
# Engines talk to one another through $PATH; a program in /usr/local is not what the distribution's engine goes with.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /mnt
for dir in etc var/lib; do
	mkdir -p "/mnt/$dir/upper" "/mnt/$dir/work"
	mount -t overlay -o "lowerdir=/$dir,upperdir=/mnt/$dir/upper,workdir=/mnt/$dir/work" overlay "/$dir"
done

mkdir /mnt/cgroup
mount --rbind /sys/fs/cgroup /mnt/cgroup
mount -t sysfs sysfs /sys
if test -d /mnt/cgroup/memory; then
	mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
	for dir in /mnt/cgroup/*/; do
		mountpoint -q "$dir" || continue
		name=$(basename "$dir")
		mkdir "/sys/fs/cgroup/$name"
		mount --bind "$dir" "/sys/fs/cgroup/$name"
	done
	# A shim finds no metrics and no end of memory when /proc/PID/cgroup has a name without a hierarchy: so mounted is what
	# somebody else on this machine has made one of, or may while we run.
	for name in $(sed -n 's/^[0-9]*:\([a-z_,]\+\):.*/\1/p' /proc/self/cgroup) net_cls net_prio hugetlb; do
		dir=/sys/fs/cgroup/$name
		mkdir -p "$dir"
		for _ in 1 2 3 4 5; do # hugetlb is busy while a cgroup in the cgroup2 tree has it
			mountpoint -q "$dir" || mount -t cgroup -o "$name" none "$dir" 2>/dev/null || sleep 0.5
		done
		mountpoint -q "$dir" || rmdir "$dir"
	done
else
	mount --rbind /mnt/cgroup /sys/fs/cgroup
fi
umount -R -l /mnt/cgroup
ip link set lo up
exec "$@"
