// probe: what busybox cannot say about the process it runs in. Static, so that it runs in any rootfs.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.c"

// syscall NR [ARG…]: "RESULT ERRNO" of one raw system call with numeric arguments.
static int do_syscall(int argc, char **argv)
{
	long a[7] = { 0 };
	for (int i = 0; i < argc && i < 7; i++)
		a[i] = strtol(argv[i], NULL, 0);
	errno = 0;
	long r = syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
	printf("%ld %d\n", r, errno);
	return 0;
}

// fds: "FD TARGET" for every open descriptor.
static int do_fds(void)
{
	for (int fd = 0; fd < 1024; fd++) {
		char path[64], target[4096];
		if (fcntl(fd, F_GETFD) < 0)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		ssize_t n = readlink(path, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = 0;
		printf("%d %s\n", fd, target);
	}
	return 0;
}

// keyring: the description of the session keyring ("keyring;uid;gid;perm;name"), or the error.
static int do_keyring(void)
{
	char text[256] = { 0 };
	long id = syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -3 /* SESSION */, 0);
	if (id < 0 || syscall(SYS_keyctl, 6 /* DESCRIBE */, id, text, sizeof(text) - 1) < 0) {
		printf("error %s\n", strerror(errno));
		return 0;
	}
	printf("%ld %s\n", id, text);
	return 0;
}

// winsize: "ROWS COLUMNS" of the terminal on stdin. stty does not believe in 0 and 65535.
static int do_winsize(void)
{
	struct winsize w;
	if (ioctl(0, TIOCGWINSZ, &w) < 0)
		return 1;
	return printf("%d %d\n", w.ws_row, w.ws_col) < 0;
}

// hog MIB: touch that much memory, then say "survived".
static int do_hog(size_t mib)
{
	size_t size = mib << 20;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return 3;
	for (size_t i = 0; i < size; i += 4096)
		p[i] = 1;
	puts("survived");
	return 0;
}

// forks N: how many of N children, all alive at once, could be made.
static int do_forks(int want)
{
	int made = 0;
	for (; made < want; made++) {
		pid_t pid = fork();
		if (pid < 0)
			break;
		if (pid == 0) {
			pause();
			_exit(0);
		}
	}
	printf("%d\n", made);
	fflush(stdout);
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	return 0;
}

// notify TEXT: one datagram to $NOTIFY_SOCKET, as sd_notify(3) sends it.
static int do_notify(const char *text)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const char *path = getenv("NOTIFY_SOCKET");
	if (path == NULL || fd < 0)
		return 1;
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	if (sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, sizeof(to)) < 0) {
		perror("probe: sendto");
		return 1;
	}
	return 0;
}

// sched: "POLICY FLAGS NICE PRIORITY RUNTIME DEADLINE PERIOD" of this process.
static int do_sched(void)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
		uint32_t util_min, util_max;
	} a = { 0 };
	if (syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0) < 0)
		return 1;
	printf("%u %#llx %d %u %llu %llu %llu\n", a.policy, (unsigned long long)a.flags, a.nice, a.priority, (unsigned long long)a.runtime,
	       (unsigned long long)a.deadline, (unsigned long long)a.period);
	return 0;
}

// mempolicy: "MODE NODES", the mode with its flags and the mask of the first 64 nodes in hexadecimal.
static int do_mempolicy(void)
{
	int mode = -1;
	unsigned long nodes[64] = { 0 };
	if (syscall(SYS_get_mempolicy, &mode, nodes, sizeof(nodes) * 8, NULL, 0) < 0)
		return 1;
	printf("%d %#lx\n", mode, nodes[0]);
	return 0;
}

static volatile sig_atomic_t enough;

static void stop(int sig)
{
	(void)sig;
	enough = 1;
}

static int named(int proc, const char *pid, const char *comm)
{
	char path[64], name[64] = "";
	snprintf(path, sizeof(path), "%s/comm", pid);
	int fd = openat(proc, path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, name, sizeof(name) - 1);
	close(fd);
	name[n > 0 ? n - 1 : 0] = 0;
	return !strcmp(name, comm);
}

// What must not open. Only a process that still has the name afterwards counts: it may have become the user's meanwhile.
static void try(int proc, const char *pid, const char *comm)
{
	static const struct { const char *file; int flags; } files[] = {
		{"exe", O_WRONLY}, {"exe", O_RDONLY}, {"fd/0", O_PATH}, {"fd/3", O_PATH}, {"fd/4", O_PATH}, {"fd/5", O_PATH}, {"root", O_PATH}, {"cwd", O_PATH}, {"mem", O_RDWR},
		{"environ", O_RDONLY}, {"maps", O_RDONLY}, {"ns/mnt", O_RDONLY},
	};
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[300];
		snprintf(path, sizeof(path), "%s/%s", pid, files[i].file);
		int fd = openat(proc, path, files[i].flags | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (named(proc, pid, comm))
			printf("opened /proc/%s of %s\n", path, comm);
		close(fd);
	}
}

// hunt COMM: until SIGTERM, tries to get at every process of that name through /proc. "seen N" in the end.
static int do_hunt(const char *comm)
{
	unsigned long seen = 0;
	signal(SIGTERM, stop);
	puts("hunting");
	fflush(stdout);
	DIR *dir = opendir("/proc");
	while (!enough && dir) {
		rewinddir(dir);
		for (struct dirent *e; (e = readdir(dir));) {
			if (e->d_name[0] < '1' || e->d_name[0] > '9' || !named(dirfd(dir), e->d_name, comm))
				continue;
			seen++;
			try(dirfd(dir), e->d_name, comm);
		}
	}
	printf("seen %lu\n", seen);
	return 0;
}

// dumpable: PR_GET_DUMPABLE. open PATH FLAGS: errno of an open. mknod PATH MAJOR MINOR: errno of making a char device.
int main(int argc, char **argv)
{
	const char *cmd = argc > 1 ? argv[1] : "";
	if (!strcmp(cmd, "syscall"))
		return do_syscall(argc - 2, argv + 2);
	if (!strcmp(cmd, "fds"))
		return do_fds();
	if (!strcmp(cmd, "keyring"))
		return do_keyring();
	if (!strcmp(cmd, "winsize"))
		return do_winsize();
	if (!strcmp(cmd, "hog") && argc > 2)
		return do_hog(strtoul(argv[2], NULL, 0));
	if (!strcmp(cmd, "forks") && argc > 2)
		return do_forks(atoi(argv[2]));
	if (!strcmp(cmd, "dumpable"))
		return printf("%d\n", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)) < 0;
	if (!strcmp(cmd, "open") && argc > 3)
		return printf("%s\n", open(argv[2], (int)strtol(argv[3], NULL, 0)) < 0 ? strerror(errno) : "ok") < 0;
	if (!strcmp(cmd, "notify") && argc > 2)
		return do_notify(argv[2]);
	if (!strcmp(cmd, "sched"))
		return do_sched();
	if (!strcmp(cmd, "mempolicy"))
		return do_mempolicy();
	if (!strcmp(cmd, "hunt") && argc > 2)
		return do_hunt(argv[2]);
	if (!strcmp(cmd, "report"))
		return do_report(argv + 2);
	if (!strcmp(cmd, "pause"))
		return pause();
	fprintf(stderr, "probe: no such command\n");
	return 2;
}
