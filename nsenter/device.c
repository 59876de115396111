/* Files that a container's /dev needs: nodes, links, the console. */
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

int op_mkdir(const struct step *s)
{
	int fd = make_target(s->s[0].p, S_IFDIR);

	return fd < 0 ? -1 : close(fd);
}

static int same_node(int dir, const char *name, mode_t mode, dev_t dev)
{
	struct stat sb;

	if (fstatat(dir, name, &sb, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return (sb.st_mode & S_IFMT) == (mode & S_IFMT) && (S_ISFIFO(mode) || sb.st_rdev == dev);
}

/* s: path. n: type and permissions, device, uid, gid. A node that is there already must be the one asked for. */
int op_mknod(const struct step *s)
{
	mode_t mode = (mode_t)s->n[0];
	char name[256];
	int dir = make_parent(s->s[0].p, name), err;

	if (dir < 0)
		return -1;
	err = mknodat(dir, name, mode, s->n[1]);
	if (err && errno == EEXIST && same_node(dir, name, mode, s->n[1]))
		err = 0;
	if (!err)
		err = fchownat(dir, name, (uid_t)s->n[2], (gid_t)s->n[3], AT_SYMLINK_NOFOLLOW);
	if (err)
		failed("mknod", s->s[0].p);
	close(dir);
	return err;
}

/* s: what the link says, path. n[0]: replace what is there (devpts hides a /dev/ptmx node behind this link). */
int op_symlink(const struct step *s)
{
	char name[256];
	int dir = make_parent(s->s[1].p, name), err;

	if (dir < 0)
		return -1;
	if (s->n[0] && unlinkat(dir, name, 0) < 0 && errno != ENOENT) {
		close(dir);
		return failed("unlink", s->s[1].p);
	}
	err = symlinkat(s->s[0].p, dir, name);
	if (err && errno == EEXIST)
		err = 0;
	if (err)
		failed("symlink", s->s[1].p);
	close(dir);
	return err;
}

/*
 * The slave is asked from the master itself (TIOCGPTPEER), so no name in
 * /dev/pts is looked up, and the master is a devpts inode, checked by fd: a
 * /dev/pts made by the image can't lend us somebody else's terminal.
 */
static int open_terminal(int *slave)
{
	int master = open_in_root("/dev/pts/ptmx", O_RDWR | O_NOCTTY), unlock = 0;
	struct statfs fs;

	if (master < 0)
		return failed("openat2", "/dev/pts/ptmx");
	if (fstatfs(master, &fs) < 0 || fs.f_type != DEVPTS_SUPER_MAGIC) {
		close(master);
		return errno = ENODEV, failed("open", "/dev/pts/ptmx is not a devpts");
	}
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0 ||
	    (*slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
		failed("ioctl TIOCGPTPEER", "/dev/pts/ptmx");
		close(master);
		return -1;
	}
	return master;
}

static int cover_console(int slave, const char *path)
{
	int target = make_target(path, S_IFREG), copy;

	if (target < 0)
		return -1;
	copy = clone_tree(slave, 0);
	if (copy < 0)
		return failed("open_tree", path);
	if (attach_mount(copy, target) < 0)
		return failed("move_mount", path);
	close(copy);
	return close(target);
}

/* Opens a terminal, shows it as s[0] (if given), hands the master to the parent as question n[1] and makes the slave our stdio. n[0]: its owner. */
int op_console(const struct step *s)
{
	static struct message m;
	int slave = -1, master = open_terminal(&slave);

	if (master < 0)
		return -1;
	if (fchown(slave, (uid_t)s->n[0], (gid_t)-1) < 0)
		return failed("fchown", "terminal");
	if (s->s[0].len && cover_console(slave, s->s[0].p) < 0)
		return -1;
	if (send_message(MSG_ASK, (int32_t)s->n[1], "", 0, master) < 0 || receive_message(&m, MSG_CONTINUE) < 0)
		return -1;
	close(master);
	if (ioctl(slave, TIOCSCTTY, 0) < 0)
		return failed("ioctl TIOCSCTTY", "terminal");
	for (int fd = 0; fd < 3; fd++)
		if (dup2(slave, fd) < 0)
			return failed("dup2", "terminal");
	return close(slave);
}

/*
 * Pipes and sockets given as stdio become the user's, so that it may reopen
 * /dev/stdout. Terminals, files and devices stay their owner's: /dev/null is
 * everybody's, and a log file is not the container's to own.
 */
int op_stdio(const struct step *s)
{
	struct stat sb;

	for (int fd = 0; fd < 3; fd++) {
		if (fstat(fd, &sb) < 0 || !(S_ISFIFO(sb.st_mode) || S_ISSOCK(sb.st_mode)) || sb.st_uid == (uid_t)s->n[0])
			continue;
		if (fchown(fd, (uid_t)s->n[0], (gid_t)-1) < 0 && errno != EPERM && errno != EINVAL && errno != EROFS)
			return failed("fchown", "stdio");
	}
	return 0;
}
