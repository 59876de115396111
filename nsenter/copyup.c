/* tmpcopyup: a new tmpfs starts with a copy of the directory it will cover. */
#include "stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static int copy_file(int from, int to, const char *name, const struct stat *sb)
{
	int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), out, err = 0;
	ssize_t n = 1;

	if (in < 0)
		return -1;
	out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, sb->st_mode & 07777);
	if (out < 0)
		err = -1;
	while (!err && (n = sendfile(out, in, NULL, 1 << 20)) > 0)
		;
	if (n < 0)
		err = -1;
	if (!err && (fchown(out, sb->st_uid, sb->st_gid) < 0 || fchmod(out, sb->st_mode & 07777) < 0))
		err = -1;
	if (out >= 0)
		close(out);
	close(in);
	return err;
}

static int copy_link(int from, int to, const char *name)
{
	char target[4096];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return -1;
	target[n] = 0;
	return symlinkat(target, to, name);
}

static int copy_directory(int from, int to, const char *name, const struct stat *sb)
{
	int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), out = -1, err;

	if (in < 0)
		return -1;
	err = mkdirat(to, name, 0700);
	if (!err && (out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		err = -1;
	if (!err)
		err = copy_up(in, out);
	if (!err && (fchown(out, sb->st_uid, sb->st_gid) < 0 || fchmod(out, sb->st_mode & 07777) < 0))
		err = -1;
	if (out >= 0)
		close(out);
	close(in);
	return err;
}

static int copy_entry(int from, int to, const char *name)
{
	struct stat sb;
	int err;

	if (fstatat(from, name, &sb, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (S_ISDIR(sb.st_mode))
		return copy_directory(from, to, name, &sb);
	if (S_ISREG(sb.st_mode))
		return copy_file(from, to, name, &sb);
	err = S_ISLNK(sb.st_mode) ? copy_link(from, to, name) : mknodat(to, name, sb.st_mode, sb.st_rdev);
	return err ? err : fchownat(to, name, sb.st_uid, sb.st_gid, AT_SYMLINK_NOFOLLOW);
}

/* Copies what directory from holds into directory to; both stay open. */
int copy_up(int from, int to)
{
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (dir == NULL)
		return -1;
	while (!err && (errno = 0, e = readdir(dir)) != NULL)
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			err = copy_entry(from, to, e->d_name);
	if (!err && errno)
		err = -1;
	closedir(dir);
	return err;
}
