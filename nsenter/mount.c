/* Mounts: every one is made detached and attached to an fd, never to a path string. */
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/stat.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* <sys/mount.h> clashes with <linux/mount.h> in this libc; these three are all we need of it. */
enum { UMOUNT_DETACH = 2 };
int umount2(const char *target, int flags);
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

/* n[1] of OP_MOUNT and OP_TREE */
enum { COPY_UP = 1, INHERIT_MODE = 2, REAL_DIRECTORY = 4, ON_PROC = 8, LEGACY = 16 };

int attach_mount(int mount_fd, int target)
{
	return (int)syscall(SYS_move_mount, mount_fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

int clone_tree(int fd, unsigned flags)
{
	return (int)syscall(SYS_open_tree, fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
}

static int set_attributes(int fd, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation)
{
	struct mount_attr attr = {.attr_set = set, .attr_clr = clear, .propagation = propagation};

	return (int)syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | flags, &attr, sizeof(attr));
}

/*
 * A mount target that is safe to cover. On a procfs it would shadow or redirect
 * what the kernel says there (CVE-2019-16884, CVE-2025-52881), so only targets
 * that the plan marked may be. proc and sysfs go on real directories only
 * (CVE-2019-19921): a link would put them where nobody masks them.
 */
static int mount_target(const char *unsafe_path, mode_t type, uint64_t flags)
{
	struct statfs fs;
	struct stat sb;
	int fd = -1;

	if (flags & REAL_DIRECTORY)
		fd = open_in_root(unsafe_path, O_PATH | O_NOFOLLOW);
	if (fd < 0)
		fd = make_target(unsafe_path, type);
	if (fd < 0)
		return -1;
	if (fstat(fd, &sb) < 0 || fstatfs(fd, &fs) < 0)
		failed("fstat", unsafe_path);
	else if (S_ISDIR(type) != S_ISDIR(sb.st_mode)) /* the kernel's word for both; Docker has advice for who reads it */
		errno = ENOTDIR, failed("openat2", unsafe_path);
	else if (!(flags & ON_PROC) && fs.f_type == PROC_SUPER_MAGIC)
		errno = EPERM, failed("mount on procfs", unsafe_path);
	else
		return fd;
	close(fd);
	return -1;
}

/* The kernel says more than an errno about a filesystem's options: "e tmpfs: Bad value for 'size'". */
static int fs_failed(int fs, const char *call, const char *object)
{
	char log[256], both[512];
	int saved = errno;
	ssize_t n = read(fs, log, sizeof(log) - 1);

	if (n > 2) {
		log[n] = 0;
		log[strcspn(log, "\n")] = 0;
		snprintf(both, sizeof(both), "%s (%s)", object, log + 2);
		object = both;
	}
	errno = saved;
	return failed(call, object);
}

static int fsconfig(int fs, unsigned cmd, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fs, cmd, key, value, 0);
}

static int set_option(int fs, const char *option)
{
	char key[256];
	size_t len = strcspn(option, "=");

	if (len >= sizeof(key))
		return errno = ENAMETOOLONG, -1;
	memcpy(key, option, len);
	key[len] = 0;
	if (option[len] == '=')
		return fsconfig(fs, FSCONFIG_SET_STRING, key, option + len + 1);
	return fsconfig(fs, FSCONFIG_SET_FLAG, key, NULL);
}

static int set_options(int fs, const struct text *options)
{
	for (const char *o = text_next(options, NULL); o; o = text_next(options, o))
		if (set_option(fs, o) < 0)
			return fs_failed(fs, "fsconfig", o);
	return 0;
}

/* A tmpfs over an existing directory keeps that directory's mode unless the plan gave one. */
static int inherit_mode(int fs, int target)
{
	struct stat sb;
	char mode[16];

	if (fstat(target, &sb) < 0)
		return failed("fstat", "mount target");
	snprintf(mode, sizeof(mode), "%o", sb.st_mode & 07777);
	return fsconfig(fs, FSCONFIG_SET_STRING, "mode", mode) < 0 ? fs_failed(fs, "fsconfig", mode) : 0;
}

/* For a superblock that the kernel made itself (mqueue): it takes no context= any more, its root takes a label. */
static int label_root(int mount_fd, const char *label)
{
	int fd = openat(mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd < 0)
		return failed("openat", "mount root");
	err = fsetxattr(fd, "security.selinux", label, strlen(label), 0);
	if (err < 0)
		failed("fsetxattr security.selinux", label);
	close(fd);
	return err;
}

static int make_filesystem(const struct step *s, int target)
{
	const char *type = s->s[0].p;
	int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC), fd = -1;

	if (fs < 0)
		return failed("fsopen", type);
	if (s->s[1].len && fsconfig(fs, FSCONFIG_SET_STRING, "source", s->s[1].p) < 0)
		fs_failed(fs, "fsconfig source", s->s[1].p);
	else if ((s->n[1] & INHERIT_MODE) && !st.made && inherit_mode(fs, target) < 0)
		;
	else if (set_options(fs, &s->s[2]) < 0)
		;
	else if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL) < 0)
		fs_failed(fs, "fsconfig create", type);
	else if ((fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, s->n[0])) < 0)
		fs_failed(fs, "fsmount", type);
	else if (s->s[5].len && label_root(fd, s->s[5].p) < 0) {
		close(fd);
		fd = -1;
	}
	close(fs);
	return fd;
}

static uint64_t mount_id(int fd)
{
	struct statx sx = {0};

	return syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &sx) < 0 ? 0 : sx.stx_mnt_id;
}

/*
 * fsconfig(2) takes values up to 255 bytes, which overlay's lowerdir exceeds;
 * then the plan asks for mount(2), on the held target by its being the cwd.
 */
static int mount_legacy(const struct step *s, int target)
{
	int top;

	if (fchdir(target) < 0 || mount(s->s[1].p, ".", s->s[0].p, s->n[3], s->s[4].p) < 0)
		return failed("mount", s->s[3].p);
	top = open_in_root(s->s[3].p, O_PATH);
	if (top < 0 || mount_id(top) == mount_id(target))
		return errno = ESTALE, failed("openat2", s->s[3].p);
	keep(SLOT_LAST, top);
	return chdir("/") < 0 ? failed("chdir", "/") : 0;
}

/* s: type, source, options, target, legacy data, label. n: attributes, flags above, slot+1 to keep it detached, legacy flags. */
int op_mount(const struct step *s)
{
	int fd, target = -1;

	if (!s->n[2] && (target = mount_target(s->s[3].p, S_IFDIR, s->n[1])) < 0)
		return -1;
	if (s->n[1] & LEGACY) {
		fd = mount_legacy(s, target);
		close(target);
		return fd;
	}
	fd = make_filesystem(s, target);
	if (fd < 0)
		return -1;
	if (s->n[2])
		return keep((int)s->n[2] - 1, fd), 0;
	if ((s->n[1] & COPY_UP) && copy_up(target, fd) < 0)
		return failed("copy up", s->s[3].p);
	if (attach_mount(fd, target) < 0)
		return failed("move_mount", s->s[3].p);
	keep(SLOT_LAST, fd);
	return close(target);
}

/*
 * A tree of the host's: the next one of the parent, or, where it has no right to
 * make one (rootless), our own copy of s[1], which our new mount namespace lets
 * us make. n: -, -, recursive, set, clear, set and clear of the whole tree; s[2]:
 * pairs of propagation type and recursive.
 */
static int host_tree(const struct step *s)
{
	uint64_t change[2];
	int tree;

	if (!s->s[1].len)
		return take_fd();
	tree = (int)syscall(SYS_open_tree, AT_FDCWD, s->s[1].p, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (s->n[2] ? AT_RECURSIVE : 0));
	if (tree < 0)
		return failed("open_tree", s->s[1].p);
	for (uint32_t at = 0; at + sizeof(change) <= s->s[2].len; at += sizeof(change)) {
		memcpy(change, s->s[2].p + at, sizeof(change));
		if (set_attributes(tree, change[1] ? AT_RECURSIVE : 0, 0, 0, change[0]) < 0)
			return failed("mount_setattr", s->s[1].p);
	}
	if ((s->n[3] || s->n[4]) && set_attributes(tree, 0, s->n[3], s->n[4], 0) < 0)
		return failed("mount_setattr", s->s[1].p);
	if ((s->n[5] || s->n[6]) && set_attributes(tree, AT_RECURSIVE, s->n[5], s->n[6], 0) < 0)
		return failed("mount_setattr", s->s[1].p);
	return tree;
}

/* Keeps the next tree in slot n[0]. The one for masks must be the true /dev/null, whoever opened it (CVE-2025-31133). */
int op_slot(const struct step *s)
{
	struct stat sb;
	int fd = host_tree(s);

	if (fd < 0)
		return -1;
	if (s->n[0] == SLOT_NULL && (fstat(fd, &sb) < 0 || !S_ISCHR(sb.st_mode) || sb.st_rdev != makedev(1, 3)))
		return errno = ENODEV, failed("check", "/dev/null");
	keep((int)s->n[0], fd);
	return 0;
}

/* Attaches the next tree of the parent to target s[0], of the tree's own file type. n: unused, flags. */
int op_tree(const struct step *s)
{
	struct stat sb;
	int tree = host_tree(s), target;

	if (tree < 0)
		return -1;
	if (fstat(tree, &sb) < 0)
		return failed("fstat", s->s[0].p);
	target = mount_target(s->s[0].p, sb.st_mode & S_IFMT, s->n[1]);
	if (target < 0)
		return -1;
	if (attach_mount(tree, target) < 0)
		return failed("move_mount", s->s[0].p);
	keep(SLOT_LAST, tree);
	return close(target);
}

/* n: attributes to set, to clear, propagation, recursive, slot. */
int op_setattr(const struct step *s)
{
	unsigned flags = s->n[3] ? AT_RECURSIVE : 0;

	if (set_attributes(st.slot[s->n[4]], flags, s->n[0], s->n[1], s->n[2]) < 0)
		return failed("mount_setattr", "");
	return 0;
}

/* Changes what is mounted at s[0]: superblock options s[1], then attributes n[0] set, n[1] clear. */
int op_reconfigure(const struct step *s)
{
	int target = open_in_root(s->s[0].p, O_PATH), fs, err = 0;

	if (target < 0)
		return failed("openat2", s->s[0].p);
	keep(SLOT_LAST, target);
	if (s->s[1].len) {
		fs = (int)syscall(SYS_fspick, target, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);
		if (fs < 0)
			return failed("fspick", s->s[0].p);
		err = set_options(fs, &s->s[1]);
		if (!err && fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL) < 0)
			err = fs_failed(fs, "fsconfig reconfigure", s->s[0].p);
		close(fs);
	}
	if (!err && (s->n[0] || s->n[1]) && set_attributes(target, 0, s->n[0], s->n[1], 0) < 0)
		err = failed("mount_setattr", s->s[0].p);
	return err;
}

/* True if both are the same directory, whatever mount they are seen through. */
static int same_directory(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/*
 * Takes the root tree. With a mount namespace of our own (n[0]) it is attached
 * to s[0]: stacked on top of "/", where no path leads to it while our own root
 * stays below; or, for hooks that look there, on the root's own path, which
 * must still lead to the directory that the parent opened.
 */
int op_root(const struct step *s)
{
	int tree = host_tree(s), at;

	if (tree < 0)
		return -1;
	keep(SLOT_ROOT, tree);
	if (!s->n[0])
		return 0;
	at = open(s->s[0].p, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return failed("open", s->s[0].p);
	if (s->s[0].len > 1 && !same_directory(at, tree))
		return errno = ESTALE, failed("open", s->s[0].p);
	if (attach_mount(tree, at) < 0)
		return failed("move_mount", s->s[0].p);
	return close(at);
}

/* n[0]: 1 leaves the old root by chroot only (ramdisks cannot be pivoted away from; a shared mount namespace must not be). */
int op_pivot(const struct step *s)
{
	if (fchdir(st.slot[SLOT_ROOT]) < 0)
		return failed("fchdir", "root");
	if (s->n[0]) {
		if (chroot(".") < 0)
			return failed("chroot", ".");
	} else {
		/* put_old may be new_root itself: the old root ends up stacked on the new one and is detached from there. */
		if (syscall(SYS_pivot_root, ".", ".") < 0)
			return failed("pivot_root", ".");
		if (umount2(".", UMOUNT_DETACH) < 0)
			return failed("umount2", "old root");
	}
	return chdir("/") < 0 ? failed("chdir", "/") : 0;
}

/* Covers target with the mount in slot: the mount itself the first time, then clones (a detached mount can't be cloned before Linux 6.15). */
static int cover(int slot, int target, const char *path)
{
	static int attached[SLOT_COUNT];
	int fd = attached[slot] ? clone_tree(st.slot[slot], 0) : st.slot[slot];
	int moved;

	if (fd < 0)
		return failed("open_tree", path);
	moved = attach_mount(fd, target);
	if (attached[slot])
		close(fd);
	attached[slot] = 1;
	return moved < 0 ? failed("move_mount", path) : 0;
}

/* Hides s[0]: a directory under the shared empty mount, anything else under our own /dev/null. A missing path needs no mask. */
int op_mask(const struct step *s)
{
	int target = open_in_root(s->s[0].p, O_PATH), err;
	struct stat sb;

	if (target < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : failed("openat2", s->s[0].p);
	if (fstat(target, &sb) < 0)
		return failed("fstat", s->s[0].p);
	err = cover(S_ISDIR(sb.st_mode) ? SLOT_EMPTY : SLOT_NULL, target, s->s[0].p);
	close(target);
	return err;
}

int op_readonly(const struct step *s)
{
	int target = open_in_root(s->s[0].p, O_PATH), copy;

	if (target < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : failed("openat2", s->s[0].p);
	copy = clone_tree(target, AT_RECURSIVE);
	if (copy < 0)
		return failed("open_tree", s->s[0].p);
	if (set_attributes(copy, 0, MOUNT_ATTR_RDONLY, 0, 0) < 0)
		return failed("mount_setattr", s->s[0].p);
	if (attach_mount(copy, target) < 0)
		return failed("move_mount", s->s[0].p);
	close(copy);
	return close(target);
}
