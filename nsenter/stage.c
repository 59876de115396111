/* The stage's life: entered before the Go runtime starts, it never returns to it. */
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct stage st;

#define AS_ENTRY(name) op_##name,
static int (*const operations[OP_COUNT])(const struct step *) = {OPERATIONS(AS_ENTRY)};

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Says which step failed, on what, and how; then there is nobody left to tell. */
static void __attribute__((noreturn)) report(void)
{
	char text[600];
	int saved = errno;
	size_t call = strlen(st.call ? st.call : "") + 1, object = strlen(st.object) + 1;

	memcpy(text, st.call ? st.call : "", call);
	memcpy(text + call, st.object, object);
	send_message(MSG_ERROR, saved, text, call + object, -1);
	_exit(1);
}

static int run_step(const struct step *s)
{
	uint64_t start = st.trace ? now() : 0;

	st.step = s->index;
	if (st.guessed && s->op != OP_unshare)
		return errno = EPROTO, failed("run", "a plan that does not begin with unshare");
	if (operations[s->op](s) < 0)
		return -1;
	return st.trace ? send_message(MSG_TRACE, (int32_t)((now() - start) / 1000), "", 0, -1) : 0;
}

/*
 * What our caller left open and nobody asked to keep: a directory of the host
 * must not wait with us where the container's processes are (CVE-2024-21626).
 */
int close_foreign(void)
{
	unsigned first = (unsigned)st.first_own_fd, channel = (unsigned)st.channel;

	if (first < channel && syscall(SYS_close_range, first, channel - 1, 0u) < 0)
		return -1;
	return (int)syscall(SYS_close_range, channel + 1, ~0u, 0u);
}

static int receive_plan(struct plan *plan)
{
	static struct message m;
	struct stat sb;
	void *p;
	int fd;

	if (receive_message(&m, MSG_PLAN) < 0)
		return -1;
	st.trace = m.code & 1;
	st.first_own_fd = 3 + (m.code >> 1);
	fd = take_fd();
	if (fd < 0)
		return -1;
	for (int i = 0; st.nextfd < st.nfds; i++)	/* and perhaps another stdio */
		if (dup2(take_fd(), i) < 0)
			return failed("dup2", "stdio");
	if (fstat(fd, &sb) < 0)
		return failed("fstat", "plan");
	p = mmap(NULL, (size_t)sb.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return failed("mmap", "plan");
	if (plan->p == NULL && !st.guessed && close_foreign() < 0)
		return failed("close_range", "");
	return plan_open(plan, p, (size_t)sb.st_size) < 0 ? (errno = EPROTO, failed("decode", "plan")) : 0;
}

/* A plan comes in parts, so that the first can run while the next is made; the last one ends with its execve. */
static void __attribute__((noreturn)) run_plan(void)
{
	struct plan plan = {.p = NULL};
	struct step step;
	int more;

	for (;;) {
		if (receive_plan(&plan) < 0)
			report();
		while ((more = plan_next(&plan, &step)) > 0)
			if (run_step(&step) < 0)
				report();
		if (more < 0) {
			errno = EPROTO;
			failed("decode", "plan");
			report();
		}
	}
}

/*
 * A fresh process for the user: what rt's caller ignored or blocked must not
 * reach the program (a shell that ignores SIGPIPE would break pipelines inside).
 */
static void reset_process(void)
{
	static const uint64_t dfl[4];	/* the kernel's struct sigaction: SIG_DFL, no flags, no mask */
	sigset_t none;

	/* Not by signal(3): it refuses two numbers that are the C library's, and make ignores them for its children. */
	for (int sig = 1; sig < NSIG; sig++)
		syscall(SYS_rt_sigaction, sig, dfl, NULL, sizeof(uint64_t));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(0);
}

/* The channel is a seqpacket socket on the fd that argv[2] names. */
static int channel_from(const char *arg)
{
	char *end;
	long fd = strtol(arg, &end, 10);
	int type = 0;
	socklen_t len = sizeof(type);

	if (*arg == 0 || *end != 0 || fd < 3 || fd > 1 << 20)
		return -1;
	if (getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET)
		return -1;
	return (int)fd;
}

/* Not every C library hands a constructor its arguments. The kernel puts them right below the environment: argc, argv, NULL, environ. */
static int arguments(char ***argv)
{
	int argc = 0;

	for (*argv = environ - 1; (uintptr_t)(*argv)[-1] != (uintptr_t)argc; argc++)
		(*argv)--;
	return argc;
}

/*
 * Runs before main. `rt init FD` with a channel on FD is the stage, after one
 * more execve with "seal"; anything else goes on to Go. Not dumpable before all else: a process of a namespace we
 * join must not be able to trace us or look through our fds (CVE-2016-9962).
 */
static void __attribute__((constructor)) enter(void)
{
	char **argv;
	int argc = arguments(&argv);

	if (argc < 3 || strcmp(argv[1], "init") != 0) {
		prepare_go(argc, argv);
		return;
	}
	st.channel = channel_from(argv[2]);
	if (st.channel < 0)
		return;
	if (argc == 4 && strcmp(argv[3], "seal") == 0) {
		prctl(PR_SET_TIMERSLACK, 50000);	/* rt's own is raised (early.c) and was inherited */
		exec_sealed(st.channel, NULL);
		report();
	}
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_NAME, "rt:stage", 0, 0, 0);
	fcntl(st.channel, F_SETFD, FD_CLOEXEC);
	for (int i = 0; i < SLOT_COUNT; i++)
		st.slot[i] = -1;
	reset_process();
	if (argc == 4 && strcmp(argv[3], "guess") == 0)
		guess_namespaces();
	run_plan();
}
