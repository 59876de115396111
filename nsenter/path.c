/*
 * Names below the container's root. The image and processes that share it are
 * hostile: every lookup starts at the root's fd, stays inside it and follows no
 * magic link; what is created is created by name in a directory held open.
 */
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int open_in_root(const char *unsafe_path, int flags)
{
	struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

	/* A rename elsewhere during a lookup through ".." makes the kernel answer EAGAIN: ask again, but not for ever. */
	for (int tries = 0; tries < 128; tries++) {
		int fd = (int)syscall(SYS_openat2, st.slot[SLOT_ROOT], unsafe_path, &how, sizeof(how));

		if (fd >= 0 || errno != EAGAIN)
			return fd;
	}
	return -1;
}

static int create(int dir, const char *name, mode_t type)
{
	int fd;

	if (S_ISDIR(type))
		return mkdirat(dir, name, 0755) < 0 && errno != EEXIST ? -1 : 0;
	fd = openat(dir, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_WRONLY, 0755);
	if (fd < 0)
		return errno == EEXIST ? 0 : -1;
	return close(fd);
}

/* path[0..name) exists, the component at name does not resolve. If it is a link that points nowhere, path becomes what it points to. */
static int complete(char path[PATH_MAX], size_t name, size_t end, mode_t type)
{
	char link[PATH_MAX], part[NAME_MAX + 1], joined[2 * PATH_MAX + 2];
	ssize_t n;
	int dir, made;

	if (end - name > NAME_MAX)
		return errno = ENAMETOOLONG, -1;
	memcpy(part, path + name, end - name);
	part[end - name] = 0;
	memcpy(joined, path, name);
	joined[name] = 0;
	dir = open_in_root(joined, O_PATH | O_DIRECTORY);
	if (dir < 0)
		return -1;
	n = readlinkat(dir, part, link, sizeof(link) - 1);
	made = n < 0 ? create(dir, part, path[end] ? S_IFDIR : type) : 1;
	close(dir);
	if (n < 0)
		return made;
	link[n] = 0;
	snprintf(joined + (link[0] == '/' ? 0 : name), sizeof(joined) - name, "%s%s", link, path + end);
	if (strlen(joined) >= PATH_MAX)
		return errno = ENAMETOOLONG, -1;
	strcpy(path, joined);
	return 1;
}

/* As a rule, all that is missing is the last component. */
static int complete_last(char path[PATH_MAX], mode_t type)
{
	size_t end = strlen(path), name;

	while (end > 0 && path[end - 1] == '/')
		end--;
	for (name = end; name > 0 && path[name - 1] != '/';)
		name--;
	return complete(path, name, end, type);
}

/* Makes the first part of path that is missing: 0 made, 1 path was rewritten along a dangling link, -1 errno. */
static int make_first_missing(char path[PATH_MAX], mode_t type)
{
	int made = complete_last(path, type);

	if (made >= 0 || errno != ENOENT)
		return made;
	for (size_t at = 0; path[at];) {
		size_t name = at + strspn(path + at, "/"), end = name + strcspn(path + name, "/");
		char saved = path[end];
		int fd;

		path[end] = 0;
		fd = open_in_root(path, O_PATH);
		path[end] = saved;
		if (fd >= 0)
			close(fd);
		else if (errno == ENOENT)
			return complete(path, name, end, type);
		else
			return -1;
		at = end;
	}
	return errno = ENOENT, -1;
}

/*
 * The O_PATH fd of a mount target, made (with its parents) if it is missing:
 * an empty file or a directory, by type. Links inside the root are followed,
 * dangling ones are completed inside the root as other runtimes do.
 */
int make_target(const char *unsafe_path, mode_t type)
{
	char path[PATH_MAX];
	int links = 0;

	st.made = 0;
	if (snprintf(path, sizeof(path), "/%s", unsafe_path) >= PATH_MAX)
		return errno = ENAMETOOLONG, failed("open", unsafe_path);
	for (int tries = 0; tries < PATH_MAX; tries++) {
		int fd = open_in_root(path, O_PATH), made;

		if (fd >= 0)
			return fd;
		if (errno != ENOENT)
			return failed("openat2", unsafe_path);
		made = make_first_missing(path, type);
		if (made < 0)
			return failed("create", unsafe_path);
		links += made;
		st.made = !made;
		if (links > 40)
			return errno = ELOOP, failed("openat2", unsafe_path);
	}
	return errno = ELOOP, failed("openat2", unsafe_path);
}

/* The directory that holds unsafe_path, made if missing, and the last component's name. */
int make_parent(const char *unsafe_path, char name[256])
{
	char dir[PATH_MAX];
	const char *slash = strrchr(unsafe_path, '/');
	size_t len = slash ? (size_t)(slash - unsafe_path) : 0;
	const char *last = slash ? slash + 1 : unsafe_path;

	if (!*last || !strcmp(last, ".") || !strcmp(last, ".."))
		return errno = EINVAL, failed("open", unsafe_path);
	if (strlen(last) > NAME_MAX || len >= PATH_MAX)
		return errno = ENAMETOOLONG, failed("open", unsafe_path);
	memcpy(dir, unsafe_path, len);
	dir[len] = 0;
	strcpy(name, last);
	return make_target(dir, S_IFDIR);
}
