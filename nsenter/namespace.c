/* Entering namespaces and cgroups, and being born in new ones. */
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * While Go boots, a stage that will make a container makes the namespaces that
 * nearly all of them have; the kernel needs longer for them than for all mounts.
 * op_unshare, the first step of any plan, corrects the guess: root of a user
 * namespace could not, since the way back belongs to the host's.
 */
static const struct usual { int type; const char *path; } usual[] = {
	{CLONE_NEWNET, "/proc/self/ns/net"}, {CLONE_NEWIPC, "/proc/self/ns/ipc"},
	{CLONE_NEWUTS, "/proc/self/ns/uts"}, {CLONE_NEWNS, "/proc/self/ns/mnt"},
};
enum { USUAL = sizeof(usual) / sizeof(usual[0]) };
static int original[USUAL];

int setns(int fd, int nstype);
int unshare(int flags);

void guess_namespaces(void)
{
	enum { INITIAL_USER_NS = 0xEFFFFFFD };	/* the inode number, PROC_USER_INIT_INO */
	struct stat sb;
	int flags = 0;

	if (stat("/proc/self/ns/user", &sb) < 0 || sb.st_ino != (ino_t)(unsigned)INITIAL_USER_NS || geteuid() != 0)
		return;
	for (int i = 0; i < USUAL; i++) {
		original[i] = open(usual[i].path, O_RDONLY | O_CLOEXEC);
		if (original[i] < 0)
			return;
		flags |= usual[i].type;
	}
	if (unshare(flags) == 0)
		st.guessed = flags;
}

/* Be in new namespaces of exactly the types n[0]. */
int op_unshare(const struct step *s)
{
	int wanted = (int)s->n[0];

	for (int i = 0; i < USUAL; i++) {
		if ((st.guessed & usual[i].type) && !(wanted & usual[i].type) && setns(original[i], usual[i].type) < 0)
			return failed("setns", usual[i].path);
	}
	if (st.guessed && close_foreign() < 0)	/* the originals among them; it was too early before */
		return failed("close_range", "");
	if ((wanted & ~st.guessed) && unshare(wanted & ~st.guessed) < 0)
		return failed("unshare", "");
	st.guessed = 0;
	return 0;
}

/* n[0]: the CLONE_NEW… type that the fd must be of. s[0]: where we have it ourselves, if rt does not send it. */
int op_setns(const struct step *s)
{
	int fd = s->s[0].len ? open(s->s[0].p, O_RDONLY | O_CLOEXEC) : take_fd();

	if (fd < 0)
		return s->s[0].len ? failed("open", s->s[0].p) : -1;
	if (setns(fd, (int)s->n[0]) < 0)
		return failed("setns", "");
	return close(fd);
}

/* Stops until the parent has done what only it can do; the answer may bring a hook's state and output files. */
int op_ask(const struct step *s)
{
	static struct message m;

	if (send_message(MSG_ASK, (int32_t)s->n[0], "", 0, -1) < 0 || receive_message(&m, MSG_CONTINUE) < 0)
		return -1;
	if (st.nfds == 2) {
		keep(SLOT_HOOK_STATE, take_fd());
		keep(SLOT_HOOK_OUTPUT, take_fd());
	}
	return 0;
}

/*
 * One clone makes every new namespace that clone3 knows, and on cgroup v2 is
 * born in its cgroup (n[1]). CLONE_PARENT: the container's init is the child of
 * rt itself, which waits for it. What called ends here.
 */
int op_clone(const struct step *s)
{
	int pidfd = -1, cgroup = s->n[1] ? take_fd() : 0;
	struct clone_args args = {
		.flags = s->n[0] | CLONE_PARENT | CLONE_PIDFD | (s->n[1] ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uintptr_t)&pidfd,
		.cgroup = (uint64_t)cgroup,
	};
	long pid;

	if (cgroup < 0)
		return -1;
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return failed("clone3", "");
	if (s->n[1])
		close(cgroup);
	if (pid > 0)
		_exit(send_message(MSG_BORN, (int32_t)pid, "", 0, pidfd) < 0);
	return 0;
}

/* "0" is the writer itself; one thread writing itself to a v1 tasks file waits for no grace period. */
int op_attach(const struct step *s)
{
	int fd = take_fd();

	if (fd < 0)
		return -1;
	if (write(fd, "0", 1) != 1)
		return failed("write 0", s->s[0].p);
	return close(fd);
}

/*
 * Writes s[1] to s[0] below the procfs in SLOT_PROC, which nobody else can have mounted anything on; or with n[0], as
 * long as we are outside, to an absolute path.
 */
int op_procwrite(const struct step *s)
{
	struct open_how how = {.flags = O_WRONLY | O_CLOEXEC, .resolve = s->n[0] ? 0 : RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS};
	int fd = (int)syscall(SYS_openat2, s->n[0] ? AT_FDCWD : st.slot[SLOT_PROC], s->s[0].p, &how, sizeof(how));

	if (fd < 0)
		return failed("openat2", s->s[0].p);
	if (write(fd, s->s[1].p, s->s[1].len) != (ssize_t)s->s[1].len)
		return failed("write", s->s[0].p);
	return close(fd);
}

int op_loopback(const struct step *s)
{
	struct ifreq ifr = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)s;
	if (fd < 0)
		return failed("socket", "lo");
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		return failed("ioctl SIOCSIFFLAGS", "lo");
	return close(fd);
}
