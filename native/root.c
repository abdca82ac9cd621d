// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "root.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "kernel.h"

enum {
	MAX_LINKS = 40, /* as the kernel's own path walk */
	ONE_NAME = O_PATH | O_NOFOLLOW | O_CLOEXEC,
};

/* A walk by hand, one name at a time. It stands in `at`, which is `done` below the root; `done`
 * holds no symlink and no "..". `left` is still to walk. */
struct walk {
	int root, at, how, links;
	char done[PATH_MAX], left[PATH_MAX];
};

static int walk_to(struct walk *w, int fd)
{
	if (fd < 0)
		return -errno;
	close(w->at);
	w->at = fd;
	return 0;
}

/* Cut the next name off a path; false when there is none. */
static bool cut_name(const char **path, char name[NAME_MAX + 1], int *error)
{
	size_t length;

	*path += strspn(*path, "/");
	length = strcspn(*path, "/");
	*error = length > NAME_MAX ? -ENAMETOOLONG : 0;
	if (!length || *error)
		return false;
	memcpy(name, *path, length);
	name[length] = '\0';
	*path += length;
	return true;
}

/* Go to `done` anew, from the root. For ".." and for links this is safer than the directory's own
 * "..": somebody may have moved that directory out of the root meanwhile. */
static int walk_again(struct walk *w)
{
	const char *path = w->done;
	char name[NAME_MAX + 1];
	int error = walk_to(w, openat(w->root, ".", ONE_NAME | O_DIRECTORY));

	while (!error && cut_name(&path, name, &error))
		error = walk_to(w, openat(w->at, name, ONE_NAME | O_DIRECTORY));
	return error;
}

static int walk_up(struct walk *w)
{
	char *slash = strrchr(w->done, '/');

	if (slash)
		*slash = '\0';
	return walk_again(w);
}

/* What cannot be told is taken for the worst. */
static bool is_in_proc(int fd)
{
	struct statfs status;

	return fstatfs(fd, &status) < 0 || status.f_type == PROC_SUPER_MAGIC;
}

/* A link of /proc that is no path but a way to something open: it has the form of an absolute path,
 * or of a name like "pipe:[1]". The others are "self", and paths that begin with it. */
static bool is_magic(int link, const char *points_to, size_t length)
{
	return (points_to[0] == '/' || memchr(points_to, ':', length)) && is_in_proc(link);
}

static int walk_link(struct walk *w, int link)
{
	char points_to[PATH_MAX];
	size_t left = strlen(w->left);
	ssize_t length = readlinkat(link, "", points_to, sizeof(points_to));

	if (length < 0)
		return -errno;
	if (w->how & ROOT_NO_LINKS || ++w->links > MAX_LINKS ||
	    is_magic(link, points_to, (size_t)length))
		return -ELOOP;
	if ((size_t)length + left + 2 > sizeof(w->left))
		return -ENAMETOOLONG;
	memmove(w->left + length + 1, w->left, left + 1);
	memcpy(w->left, points_to, (size_t)length);
	w->left[length] = '/';
	if (points_to[0] != '/')
		return 0;
	w->done[0] = '\0';
	return walk_again(w);
}

static int walk_into(struct walk *w, int fd, const char *name)
{
	size_t done = strlen(w->done), length = strlen(name);

	if (done + length + 2 > sizeof(w->done)) {
		close(fd);
		return -ENAMETOOLONG;
	}
	w->done[done] = '/';
	memcpy(w->done + done + 1, name, length + 1);
	return walk_to(w, fd);
}

/* Make a missing name. That it is there by now is no error: it is opened like any other. */
static int make_name(const struct walk *w, const char *name)
{
	bool last = w->left[strspn(w->left, "/")] == '\0';
	int made;

	if (!(w->how & (ROOT_MAKE_DIRECTORY | ROOT_MAKE_FILE)))
		return -ENOENT;
	if (last && w->how & ROOT_MAKE_FILE)
		made = mknodat(w->at, name, S_IFREG | 0644, 0);
	else
		made = mkdirat(w->at, name, 0755);
	return made < 0 && errno != EEXIST ? -errno : 0;
}

static int walk_name(struct walk *w, const char *name)
{
	int fd = openat(w->at, name, ONE_NAME), error = fd < 0 ? -errno : 0;
	struct stat status;

	if (error == -ENOENT) {
		error = make_name(w, name);
		if (error)
			return error;
		fd = openat(w->at, name, ONE_NAME);
	}
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) < 0 || !S_ISLNK(status.st_mode))
		return walk_into(w, fd, name);
	error = walk_link(w, fd);
	close(fd);
	return error;
}

static int walk_all(struct walk *w)
{
	char name[NAME_MAX + 1];
	const char *left = w->left;
	int error;

	while (cut_name(&left, name, &error)) {
		memmove(w->left, left, strlen(left) + 1);
		if (strcmp(name, "..") == 0)
			error = walk_up(w);
		else if (strcmp(name, ".") != 0)
			error = walk_name(w, name);
		if (error)
			return error;
		left = w->left;
	}
	return error;
}

static int walk_path(int root, const char *path, int how)
{
	struct walk w = { .root = root, .how = how };
	int error;

	if (strlen(path) >= sizeof(w.left))
		return -ENAMETOOLONG;
	strcpy(w.left, path);
	w.at = openat(root, ".", ONE_NAME | O_DIRECTORY);
	if (w.at < 0)
		return -errno;
	error = walk_all(&w);
	if (!error)
		return w.at;
	close(w.at);
	return error;
}

static int find(int root, const char *path, int how)
{
	uint64_t resolve = IN_ROOT | NO_MAGICLINKS | (how & ROOT_NO_LINKS ? NO_SYMLINKS : 0);
	bool make = how & (ROOT_MAKE_DIRECTORY | ROOT_MAKE_FILE);
	int fd = openat2_(root, path, O_PATH, resolve);

	if (is_missing(fd) || (fd == -ENOENT && make))
		return walk_path(root, path, how);
	return fd;
}

/* What cannot be told is taken for the worst. */
static bool is_one(int one, int other)
{
	struct stat a, b;

	return fstat(one, &a) < 0 || fstat(other, &b) < 0 ||
	       (a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

int root_open(int root, const char *path, int how)
{
	int fd = find(root, path, how);

	if (fd < 0)
		return fd;
	if (!(how & ROOT_NO_PROC && is_in_proc(fd)) && !(how & ROOT_BELOW && is_one(root, fd)))
		return fd;
	close(fd);
	return -ELOOP;
}

int root_open_parent(int root, const char *path, int how, const char **name)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX];
	size_t length = slash ? (size_t)(slash - path) : 0;

	if (length >= sizeof(parent))
		return -ENAMETOOLONG;
	memcpy(parent, path, length);
	parent[length] = '\0';
	*name = slash ? slash + 1 : path;
	return root_open(root, length ? parent : "/", how);
}
