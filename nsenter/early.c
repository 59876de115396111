/*
 * Becoming a stage: from a sealed copy of our binary, and early. A command that
 * will need a stage clones it before the Go runtime starts, where that is
 * cheap and safe; it boots while Go does, on another processor.
 */
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int early_channel = -1;
int early_pid;

static int same_file(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/*
 * Our binary through a detached, read-only copy of the mount it lies on. Who
 * later sees it as /proc/PID/exe cannot write to it (CVE-2019-5736: the entry
 * point "/proc/self/exe" overwrote the host's runtime), and as it is not that
 * mount's root, no path leads to the mount to change it. Costs microseconds.
 */
static int open_detached(int self)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, .propagation = 1 << 18 /* MS_PRIVATE */};
	char path[PATH_MAX], copy[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	int tree, fd;

	if (n < 0)
		return -1;
	path[n] = 0;
	strcpy(copy, path);
	tree = (int)syscall(SYS_open_tree, AT_FDCWD, dirname(copy), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return -1;
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -1;
	strcpy(copy, path);
	fd = openat(tree, basename(copy), O_PATH | O_CLOEXEC | O_NOFOLLOW);
	close(tree);
	return fd >= 0 && same_file(fd, self) ? fd : -1; /* an upgrade may have put another binary there */
}

/* The same for the price of a copy, where mounts are not ours to make. */
static int open_copy(int self)
{
	int fd = memfd_create("rt", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ssize_t n;

	while ((n = sendfile(fd, self, NULL, 1 << 24)) > 0)
		;
	if (n < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -1;
	return fd;
}

/* Executes the sealed binary as `rt init channel [hint]`; only returns, with errno, if it can't. */
int exec_sealed(int channel, const char *hint)
{
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), fd;
	char number[12], *argv[] = {"rt", "init", number, (char *)(uintptr_t)hint, NULL}, *env[] = {NULL};

	if (self < 0)
		return -1;
	fd = open_detached(self);
	if (fd < 0)
		fd = open_copy(self);
	if (fd < 0)
		return -1;
	snprintf(number, sizeof(number), "%d", channel);
	return (int)syscall(SYS_execveat, fd, "", argv, env, AT_EMPTY_PATH);
}

/* Our fds must not take the places of missing stdio; Go would fill them too, but not without files. */
static void fill_stdio(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", O_RDWR);
}

/* Two that start at the same time want two processors; left alone, a child waits on its parent's for milliseconds. */
static void send_away(int pid)
{
	cpu_set_t others;
	int cpu = sched_getcpu();

	if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(others), &others) < 0)
		return;
	CPU_CLR(cpu, &others);
	if (CPU_COUNT(&others) > 0)
		sched_setaffinity(pid, sizeof(others), &others);
}

struct birth { int pair[2]; const char *hint; };

static int become_stage(void *arg)
{
	const struct birth *b = arg;
	int channel;

	close(b->pair[0]);
	channel = dup(b->pair[1]);	/* the lowest free number: right above what is preserved, and not close-on-exec */
	exec_sealed(channel, b->hint);
	st.channel = channel;
	_exit(send_message(MSG_ERROR, errno, "execveat rt init", 17, -1));
}

/*
 * Until its execve the child has our memory and a stack of its own; copying the memory would cost more than all it does
 * with it. We go on meanwhile: it must use nothing of the C library that remembers something, errno excepted.
 */
static void clone_stage(const char *hint)
{
	static char stack[1 << 16] __attribute__((aligned(16)));
	static struct birth b;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, b.pair) < 0)
		return;
	b.hint = hint;
	early_pid = clone(become_stage, stack + sizeof(stack), CLONE_VM | SIGCHLD, &b);
	close(b.pair[1]);
	if (early_pid < 0) {
		close(b.pair[0]);
		return;
	}
	early_channel = b.pair[0];
	send_away(early_pid);
}

static cpu_set_t callers_cpus;
static struct rlimit callers_files;
static int processors_hidden, files_hidden, callers_slack;

/*
 * Go starts as many threads as it sees processors, and has them look for work
 * that rt, which mostly waits for the kernel, does not have; their coming and
 * going costs a fifth of a run. Shown one processor, it starts two or three.
 */
static void show_one_processor(void)
{
	cpu_set_t one;
	int cpu = sched_getcpu();

	if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(callers_cpus), &callers_cpus) < 0)
		return;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	processors_hidden = sched_setaffinity(0, sizeof(one), &one) == 0;
}

/*
 * Go counts processors by its cgroup's quota, too, for which it reads the whole
 * mount table: a tenth of `rt state`, and more the more containers there are.
 * A process that may open no file is in no cgroup that Go could find.
 */
static void show_no_files(void)
{
	struct rlimit none;

	if (getrlimit(RLIMIT_NOFILE, &callers_files) < 0)
		return;
	none = callers_files;
	none.rlim_cur = 0;
	files_hidden = setrlimit(RLIMIT_NOFILE, &none) == 0;
}

int give_back(void)
{
	int cpus = processors_hidden ? sched_setaffinity(getpid(), sizeof(callers_cpus), &callers_cpus) : 0;
	int files = files_hidden ? setrlimit(RLIMIT_NOFILE, &callers_files) : 0;

	return cpus | files | prctl(PR_SET_TIMERSLACK, callers_slack);
}

/* A wrong guess, such as a container called "run", costs a process that ends with us. */
void prepare_go(int argc, char **argv)
{
	static void *block __attribute__((used));

	fill_stdio();
	for (int i = 1; i < argc; i++) {
		int make = !strcmp(argv[i], "create") || !strcmp(argv[i], "run");

		if (make || !strcmp(argv[i], "exec")) {
			clone_stage(make ? "guess" : NULL);
			break;
		}
	}
	/*
	 * Go's watchdog thread, the first that it starts, sleeps for 20 us at a time, a hundred times in a run. With slack it
	 * sleeps for 10 ms, as it would when nothing has happened for a while, and leaves the processor to the stage. What
	 * else Go starts before give_back inherits it, so a timer of Go's may be that late.
	 */
	callers_slack = prctl(PR_GET_TIMERSLACK);
	prctl(PR_SET_TIMERSLACK, 10000000);
	/*
	 * Go allocates a block of 24 bytes for each thread that it starts, and the thread frees it. musl has a page for the first
	 * block of a size and gives it back with the last: a mapping made and torn down for each thread, unless one stays.
	 */
	block = malloc(24);
	show_one_processor();
	show_no_files();
}
