#!/bin/sh
# Runs the tests and ends the machine. Ports belong to one opener each, so the tests write to a pipe.
exec </dev/null 2>/dev/console
export PATH=/usr/local/bin:/usr/sbin:/usr/bin HOME=/root
export RT=/usr/local/bin/rt RTTEST_PROBE=/usr/local/bin/rttest-probe RTTEST_TIME_SCALE=30
cd /rt/tests/integration || exit
read -r args </rt/args
set -f -- $args
# port NAME is the device of that name; without udev there are no links.
port() {
	set +f
	for p in /sys/class/virtio-ports/*; do
		test "$(cat "$p"/name)" != "$1" || echo /dev/"${p##*/}"
	done
}
{
	./integration.test "$@" 2>&1
	echo $? >/tmp/status
} | cat >"$(port out)"
cat /tmp/status >"$(port status)"
echo b >/proc/sysrq-trigger
