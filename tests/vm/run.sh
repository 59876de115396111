#!/bin/sh
# Runs the tests, a line of /rt/runs at a time, and ends the machine.
exec </dev/null 2>/dev/console
export PATH=/usr/local/bin:/usr/sbin:/usr/bin HOME=/root
export RT=/usr/local/bin/rt RTTEST_PROBE=/usr/local/bin/rttest-probe RTTEST_TIME_SCALE=30
cd /rt/tests/integration || exit
# port NAME is the device of that name; without udev there are no links.
port() {
	for p in /sys/class/virtio-ports/*; do
		test "$(cat "$p"/name)" != "$1" || echo /dev/"${p##*/}"
	done
}
# When the first v1 cgroup freezes, the kernel patches a jump into the code that every process runs on its way out of it, and
# when the last one thaws it takes it out again. That is where both processors of the v1 machine were once found spinning, one
# boot in five; it looks as if qemu's translator kept what stands there in between. With a cgroup that stays frozen it is not patched.
still=/sys/fs/cgroup/freezer/still
if test -d ${still%/*}; then
	mkdir $still && echo FROZEN >$still/freezer.state
fi
run=0
while read -r mode args; do
	out=$(port out$run)
	test "$mode" != machine || export RTTEST_MACHINE=1
	{
		set -f
		# shellcheck disable=SC2086 # one word per argument
		./integration.test $args 2>&1 </dev/null
		code=$?
		echo $code >>/tmp/status
		test $code = 0 || printf '\026FAIL\n' # as package testing marks it: it may have said PASS before
	} | cat >"$out" # ports belong to one opener each, so the tests write to a pipe
	run=$((run + 1))
done </rt/runs
sort -n /tmp/status | tail -n 1 >"$(port status)"
echo b >/proc/sysrq-trigger
