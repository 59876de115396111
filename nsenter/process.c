/* What the user's process is: limits, capabilities, filter, directory, program. */
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Any system call that takes numbers and buffers: n[0] its number, n[1] which arguments are texts, n[2…] the arguments. */
int op_syscall(const struct step *s)
{
	long a[5];

	for (int i = 0; i < 5; i++) {
		uint64_t v = s->n[2 + i];

		if (s->n[1] & (1u << i))
			a[i] = v < MAX_TEXT ? (long)(uintptr_t)s->s[v].p : 0;
		else
			a[i] = (long)v;
	}
	return syscall((long)s->n[0], a[0], a[1], a[2], a[3], a[4]) < 0 ? failed("", "") : 0;
}

/* The image's passwd is only opened here; the parent reads it (as text that may be anything) and answers with HOME. */
int op_passwd(const struct step *s)
{
	int fd = open_in_root("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY);

	(void)s;
	keep(SLOT_PASSWD, fd);
	return 0;
}

/* Drops every capability up to n[1] that is not in n[0] from the bounding set. */
int op_bounding(const struct step *s)
{
	for (unsigned long cap = 0; cap <= s->n[1]; cap++)
		if (!(s->n[0] >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return failed("prctl PR_CAPBSET_DROP", "");
	return 0;
}

int op_ambient(const struct step *s)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return failed("prctl PR_CAP_AMBIENT_CLEAR_ALL", "");
	for (unsigned long cap = 0; cap < 64; cap++)
		if ((s->n[0] >> cap & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return failed("prctl PR_CAP_AMBIENT_RAISE", "");
	return 0;
}

/*
 * From here on any system call may wait for the agent that does not have the
 * listener yet, but write: a profile can't ask for that to be notified. So the
 * parent is told the number by a write and fetches the fd itself.
 */
static int give_listener(int listener, int32_t question)
{
	struct { uint32_t type, step; int32_t code; uint32_t reserved; char number[12]; } ask = {MSG_ASK, st.step, question, 0, ""};
	static struct message m;

	snprintf(ask.number, sizeof(ask.number), "%d", listener);
	if (write(st.channel, &ask, sizeof(ask)) != sizeof(ask))
		return failed("write", "channel");
	if (read(st.channel, &m, sizeof(m)) < (ssize_t)offsetof(struct message, text) || m.type != MSG_CONTINUE)
		return errno = EPROTO, failed("read", "channel");
	return close(listener);
}

int op_seccomp(const struct step *s)
{
	struct sock_fprog prog = {
		.len = (unsigned short)(s->s[0].len / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)(uintptr_t)s->s[0].p,
	};

	int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, s->n[0], &prog);

	if (listener < 0)
		return failed("seccomp", "");
	return s->n[0] & SECCOMP_FILTER_FLAG_NEW_LISTENER ? give_listener(listener, (int32_t)s->n[1]) : 0;
}

/*
 * Goes to s[0], looked up from the root's fd: a cwd such as /proc/self/fd/7 would
 * otherwise lead out through a leaked directory (CVE-2024-21626). That it is
 * inside is proven once more: the kernel would call it "(unreachable)…". It runs
 * twice, as root with n[0] and as the user, because either may lack the permission.
 */
int op_chdir(const struct step *s)
{
	char cwd[PATH_MAX];
	int dir, err;

	if (st.moved)
		return 0;
	dir = st.slot[SLOT_ROOT] < 0 ? open(s->s[0].p, O_PATH | O_DIRECTORY | O_CLOEXEC) : open_in_root(s->s[0].p, O_PATH | O_DIRECTORY);
	err = dir < 0 ? -1 : fchdir(dir);
	if (err < 0 && s->n[0] && (errno == EACCES || errno == EPERM))
		return dir < 0 ? 0 : close(dir);
	if (err < 0)
		return failed("chdir", s->s[0].p);
	if (syscall(SYS_getcwd, cwd, sizeof(cwd)) < 0 || cwd[0] != '/')
		return errno = ENOENT, failed("chdir outside of the root", s->s[0].p);
	st.moved = 1;
	return close(dir);
}

/* The variables of s, and HOME as the parent found it. */
static char **environment(const struct text *s, int home)
{
	char **env = text_vector(s, 1), **end = env;

	while (env && *end)
		end++;
	if (env && home && st.home[0])
		*end = st.home;
	return env;
}

static void hook_child(const struct step *s)
{
	char **argv = text_vector(&s->s[1], 0), **env = environment(&s->s[2], s->n[1] != 0);
	int out = st.slot[SLOT_HOOK_OUTPUT];

	setpgid(0, 0);
	if (!st.moved) { /* a createContainer hook: our own umask makes files for everybody, and our place is the caller's */
		umask(022);
		if (st.slot[SLOT_ROOT] >= 0 && fchdir(st.slot[SLOT_ROOT]) < 0)
			_exit(127);
	}
	if (dup2(st.slot[SLOT_HOOK_STATE], 0) == 0 && dup2(out, 1) == 1 && dup2(out, 2) == 2 && argv && env) {
		syscall(SYS_close_range, 3u, ~0u, 0u);
		execve(s->s[0].p, argv, env);
	}
	dprintf(2, "execve %s: %s", s->s[0].p, strerror(errno));
	_exit(127);
}

/* 0: ended; else errno, with the whole process group of the hook killed. */
static int hook_wait(int pidfd, pid_t pid, uint64_t timeout_ms)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	int n;

	do
		n = poll(&p, 1, timeout_ms ? (int)timeout_ms : -1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		return 0;
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return errno = ETIMEDOUT, -1;
}

/* A hook of the container's own namespaces. s: path, arguments, environment. n[0]: timeout in ms, 0 for none. n[1]: HOME is added. */
int op_hook(const struct step *s)
{
	char said[64];
	int pidfd, status = 0;
	pid_t pid;

	lseek(st.slot[SLOT_HOOK_STATE], 0, SEEK_SET);
	pid = fork();
	if (pid < 0)
		return failed("fork", s->s[0].p);
	if (pid == 0)
		hook_child(s);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0 || hook_wait(pidfd, pid, s->n[0]) < 0)
		return failed("wait", "timeout");
	close(pidfd);
	if (waitpid(pid, &status, 0) < 0)
		return failed("waitpid", s->s[0].p);
	if (status == 0)
		return 0;
	snprintf(said, sizeof(said), WIFEXITED(status) ? "exit status %d" : "signal %d",
		 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return errno = ECANCELED, failed("run", said);
}

static int executable(const char *path)
{
	struct stat sb;

	if (stat(path, &sb) < 0)
		return -1;
	if (S_ISDIR(sb.st_mode))
		return errno = EISDIR, -1;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS);
}

/* Finds program s[0], in the directories of s[1] unless it has a slash. Only absolute directories count. */
int op_lookup(const struct step *s)
{
	const char *name = s->s[0].p, *dir = s->s[1].p;

	if (strchr(name, '/')) {
		snprintf(st.program, sizeof(st.program), "%s", name);
		return executable(name) < 0 ? failed("lookup", name) : 0;
	}
	for (; *dir; dir += strcspn(dir, ":") + (dir[strcspn(dir, ":")] == ':')) {
		int n = snprintf(st.program, sizeof(st.program), "%.*s/%s", (int)strcspn(dir, ":"), dir, name);

		if (dir[0] == '/' && n < (int)sizeof(st.program) && executable(st.program) == 0)
			return 0;
	}
	return errno = ENOENT, failed("lookup in PATH", name);
}

/* What startContainer hooks need comes with the word to go. */
static void take_hook_files(void)
{
	if (st.nfds != 2)
		return;
	keep(SLOT_HOOK_STATE, take_fd());
	keep(SLOT_HOOK_OUTPUT, take_fd());
}

/*
 * A created container may wait for days: gives back the code and constants that
 * only the making needed (clean pages, read again from the file if they are
 * wanted) and the stack below this frame.
 */
static void shrink(void)
{
	enum { KEPT_STACK = 16 << 10 };	/* our own frame may be a caller's, inlined, with a whole message in it */
	extern char __executable_start[], __preinit_array_start[];
	uintptr_t mask = ~(uintptr_t)4095, sp = (uintptr_t)__builtin_frame_address(0) & mask;
	uintptr_t start = (uintptr_t)__executable_start, end = (uintptr_t)__preinit_array_start & mask;

	madvise((void *)(sp - (128 << 10)), (128 << 10) - KEPT_STACK, MADV_DONTNEED);
	madvise((void *)start, end - start, MADV_DONTNEED);
}

/*
 * `rt start` connects, perhaps only to ask whether we still wait (it then says
 * nothing). The first that says GO gets our errors; when the program runs, the
 * connection ends because it is close-on-exec.
 */
static int wait_for_start(struct message *m)
{
	shrink();
	for (;;) {
		st.channel = accept4(st.slot[SLOT_LISTEN], NULL, NULL, SOCK_CLOEXEC);
		if (st.channel < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (st.channel < 0)
			return -1;
		if (receive_message(m, MSG_GO) == 0 && m->type == MSG_GO)
			break;
		close(st.channel);
	}
	keep(SLOT_LISTEN, -1);
	return 0;
}

int op_wait(const struct step *s)
{
	static struct message m;

	(void)s;
	if (syscall(SYS_close_range, (unsigned)st.first_own_fd, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */) < 0)
		return failed("close_range", ""); /* now, since a filter may forbid it; what is opened later is close-on-exec */
	if (send_message(MSG_READY, 0, "", 0, st.slot[SLOT_PASSWD]) < 0 || receive_message(&m, MSG_GO) < 0)
		return -1;
	keep(SLOT_PASSWD, -1);
	snprintf(st.home, sizeof(st.home), "%s", m.text);
	if (m.type != MSG_GO) {
		close(st.channel);
		if (wait_for_start(&m) < 0)
			return -1;
	}
	take_hook_files();
	return 0;
}

int op_exec(const struct step *s)
{
	char **argv = text_vector(&s->s[0], 0), **env = environment(&s->s[1], 1);

	if (argv == NULL || env == NULL)
		return errno = ENOMEM, failed("execve", st.program);
	execve(st.program, argv, env);
	return failed("execve", st.program);
}
