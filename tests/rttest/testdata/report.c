// Part of probe.c.
// report PATH…: what a process can say of itself and of what it sees, as one line of JSON with nothing but strings in it.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

static void quote(const char *s)
{
	putchar('"');
	for (; *s; s++)
		if (*s == '"' || *s == '\\' || (unsigned char)*s < ' ')
			printf("\\u%04x", (unsigned char)*s);
		else
			putchar(*s);
	putchar('"');
}

// say adds "KIND NAME": "VALUE", without the name if it is empty.
__attribute__((format(printf, 3, 4))) static void say(const char *kind, const char *name, const char *fmt, ...)
{
	static int said;
	char key[4200], value[8192];
	va_list args;
	va_start(args, fmt);
	vsnprintf(value, sizeof(value), fmt, args);
	va_end(args);
	snprintf(key, sizeof(key), "%s%s%s", kind, *name ? " " : "", name);
	putchar(said++ ? ',' : '{');
	quote(key);
	putchar(':');
	quote(value);
}

static void ids(void)
{
	uid_t u[3];
	gid_t g[3], list[64];
	char text[1024] = "";
	getresuid(&u[0], &u[1], &u[2]);
	getresgid(&g[0], &g[1], &g[2]);
	say("uid", "", "%u %u %u", u[0], u[1], u[2]);
	say("gid", "", "%u %u %u", g[0], g[1], g[2]);
	int n = getgroups(64, list);
	for (int i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%u ", list[i]);
	say("groups", "", "%s", n < 0 ? strerror(errno) : text);
}

static void process(void)
{
	static const struct { const char *name; int option; } get[] = {
		{"securebits", PR_GET_SECUREBITS}, {"dumpable", PR_GET_DUMPABLE}, {"keepcaps", PR_GET_KEEPCAPS},
		{"timerslack", PR_GET_TIMERSLACK}, {"thp-disable", PR_GET_THP_DISABLE}, {"no-new-privs", PR_GET_NO_NEW_PRIVS},
	};
	for (size_t i = 0; i < sizeof(get) / sizeof(get[0]); i++)
		say("prctl", get[i].name, "%d", prctl(get[i].option, 0, 0, 0, 0));
	int death = 0, reaper = 0;
	prctl(PR_GET_PDEATHSIG, &death);
	prctl(PR_GET_CHILD_SUBREAPER, &reaper);
	say("prctl", "pdeathsig", "%d", death);
	say("prctl", "subreaper", "%d", reaper);
	char cwd[4096];
	say("cwd", "", "%s", getcwd(cwd, sizeof(cwd)) ? cwd : strerror(errno));
	mode_t mask = umask(0);
	umask(mask);
	say("umask", "", "%04o", mask);
	say("personality", "", "%#x", personality(0xffffffff));
	say("session", "", "%s, %s, %s", getsid(0) == getpid() ? "leader" : "of another", getpgrp() == getpid() ? "own group" : "group of another",
	    getpid() == 1 ? "pid 1" : "not pid 1");
	struct utsname u;
	uname(&u);
	say("hostname", "", "%s", u.nodename);
	say("domainname", "", "%s", u.domainname);
	say("machine", "", "%s", u.machine);
}

static void schedule(void)
{
	struct { unsigned size, policy; unsigned long long flags; int nice; unsigned prio; unsigned long long dl[3]; unsigned util[2]; } attr = { 0 };
	syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0);
	say("scheduler", "", "policy %u flags %llu nice %d priority %u", attr.policy, attr.flags, attr.nice, attr.prio);
	long prio = syscall(SYS_ioprio_get, 1, 0);
	say("ioprio", "", "%ld", prio);
	cpu_set_t set;
	char text[256] = "";
	sched_getaffinity(0, sizeof(set), &set);
	for (int i = 0; i < 64; i++)
		if (CPU_ISSET(i, &set))
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%d ", i);
	say("affinity", "", "%s", text);
}

static void keyring(void)
{
	char text[256] = "";
	long id = syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -3 /* SESSION */, 0);
	if (id < 0 || syscall(SYS_keyctl, 6 /* DESCRIBE */, id, text, sizeof(text) - 1) < 0)
		snprintf(text, sizeof(text), "%s", strerror(errno));
	say("keyring", "", "%s", text);
	say("keyring serial", "", "%ld", id);
}

static void terminal(int fd)
{
	char name[8];
	struct termios t;
	struct winsize w = { 0 };
	snprintf(name, sizeof(name), "%d", fd);
	if (tcgetattr(fd, &t) < 0) {
		say("terminal", name, "%s", strerror(errno));
		return;
	}
	ioctl(fd, TIOCGWINSZ, &w);
	char *path = ttyname(fd);
	say("terminal", name, "%s in %o out %o control %o local %o size %ux%u foreground %d", path ? path : strerror(errno), t.c_iflag, t.c_oflag, t.c_cflag,
	    t.c_lflag, w.ws_row, w.ws_col, tcgetpgrp(fd) == getpgrp());
}

static void network(void)
{
	struct if_nameindex *list = if_nameindex();
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	for (int i = 0; list && list[i].if_index; i++) {
		struct ifreq r = { 0 };
		snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", list[i].if_name);
		ioctl(fd, SIOCGIFFLAGS, &r);
		say("interface", list[i].if_name, "%s", r.ifr_flags & IFF_UP ? "up" : "down");
	}
	close(fd);
}

// content says what the file holds, newlines as "; ".
static void content(const char *path)
{
	char text[4000];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n < 0) {
		say("content", path, "%s", strerror(errno));
		return;
	}
	text[n] = 0;
	say("content", path, "%s", text);
}

static char kind(mode_t m)
{
	return S_ISREG(m) ? '-' : S_ISDIR(m) ? 'd' : S_ISLNK(m) ? 'l' : S_ISCHR(m) ? 'c' : S_ISBLK(m) ? 'b' : S_ISFIFO(m) ? 'p' : 's';
}

static void look(const char *path)
{
	struct stat st;
	char target[4096] = "", device[32] = "";
	if (lstat(path, &st) < 0) {
		say("stat", path, "%s", strerror(errno));
		return;
	}
	ssize_t n = S_ISLNK(st.st_mode) ? readlink(path, target, sizeof(target) - 1) : 0;
	target[n > 0 ? n : 0] = 0;
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		snprintf(device, sizeof(device), " %u:%u", major(st.st_rdev), minor(st.st_rdev));
	say("stat", path, "%c%04o %u:%u%s%s%s", kind(st.st_mode), st.st_mode & 07777, st.st_uid, st.st_gid, device, *target ? " -> " : "", target);
}

// reach says whether the file can be read and written, or the directory listed and filled.
static void reach(const char *path)
{
	struct stat st;
	char made[4200], got[2][64] = { "yes", "yes" };
	if (stat(path, &st) < 0 || !(S_ISDIR(st.st_mode) || S_ISREG(st.st_mode) || S_ISCHR(st.st_mode)))
		return;
	snprintf(made, sizeof(made), S_ISDIR(st.st_mode) ? "%s/.probe" : "%s", path);
	int in = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int out = open(made, S_ISDIR(st.st_mode) ? O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC : O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
	if (out < 0)
		snprintf(got[1], sizeof(got[1]), "%s", strerror(errno));
	else if (S_ISDIR(st.st_mode))
		unlink(made);
	char byte;
	DIR *dir = NULL;
	if (in < 0)
		snprintf(got[0], sizeof(got[0]), "%s", strerror(errno));
	else if (S_ISREG(st.st_mode) && read(in, &byte, 1) != 1)
		snprintf(got[0], sizeof(got[0]), "empty");
	else if (S_ISDIR(st.st_mode) && (dir = fdopendir(dup(in)))) {
		int entries = 0;
		while (readdir(dir))
			entries++;
		closedir(dir);
		if (entries <= 2)
			snprintf(got[0], sizeof(got[0]), "empty");
	}
	close(in);
	close(out);
	say("reach", path, "read %s, write %s", got[0], got[1]);
}

static void devices(const char *where)
{
	char path[600];
	DIR *dir = opendir(where);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(path, sizeof(path), "%s/%s", where, e->d_name);
		look(path);
	}
	if (dir)
		closedir(dir);
}

static void finish(int sig)
{
	(void)sig;
	_exit(42);
}

// A path is looked at and tried; one after "=" is read. Then the process waits for SIGTERM, which ends it with 42.
static int do_report(char **paths)
{
	ids();
	process();
	schedule();
	keyring();
	network();
	for (int fd = 0; fd < 3; fd++)
		terminal(fd);
	devices("/dev");
	for (; *paths; paths++) {
		if (**paths == '=') {
			content(*paths + 1);
			continue;
		}
		look(*paths);
		reach(*paths);
	}
	signal(SIGTERM, finish);
	puts("}");
	fflush(stdout);
	for (;;)
		pause();
	return 0;
}
