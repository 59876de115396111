#!/bin/busybox sh
# PID 1 of a machine. It leaves the kernel's first root, on which no pivot_root works, for a bind mount of it.
mount() { busybox mount "$@"; }
mount --bind / /mnt
cd /mnt
mount -t proc proc proc
mount -t sysfs sys sys
mount -t devtmpfs dev dev
while read -r m; do busybox insmod modules/"$m"; done <modules/list
busybox mkdir -p dev/pts dev/shm run
mount -t devpts -o mode=620,ptmxmode=666,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t securityfs none sys/kernel/security
busybox ip link set lo up
echo bfq >sys/block/vda/queue/scheduler # a weight for a device takes this one
busybox ip link set dummy0 up && busybox chroot . /usr/bin/rdma link add rxe0 type rxe netdev dummy0
cgroup=sys/fs/cgroup
read -r machine <rt/machine

# v1 CONTROLLERS... mounts each in a hierarchy of its own, as distributions did.
v1() {
	mount -t tmpfs -o mode=755 tmpfs $cgroup
	for c; do
		busybox mkdir $cgroup/"$c"
		mount -t cgroup -o "$c" cgroup $cgroup/"$c"
	done
	busybox mkdir $cgroup/systemd
	mount -t cgroup -o none,name=systemd cgroup $cgroup/systemd
}

case $machine in
v2) mount -t cgroup2 cgroup2 $cgroup ;;
v1) v1 cpu,cpuacct cpuset memory devices freezer blkio pids hugetlb net_cls,net_prio perf_event rdma ;;
hybrid)
	v1 cpu cpuacct cpuset memory devices freezer blkio pids
	busybox mkdir $cgroup/unified
	mount -t cgroup2 cgroup2 $cgroup/unified
	;;
esac
mount --move . /
next=/rt/run
test "$machine" = systemd && next=/lib/systemd/systemd
exec busybox chroot . $next
