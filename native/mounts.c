// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "mounts.h"

#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "kernel.h"
#include "root.h"

/* statvfs(3)'s flags are mount(2)'s, but for relatime */
enum { STATVFS_RELATIME = 0x1000 };

struct fd_path fd_path(int fd)
{
	struct fd_path path = { "/proc/self/fd/" };
	char *at = path.text + strlen(path.text);
	int power = 1;

	while (fd / power >= 10)
		power *= 10;
	for (; power; power /= 10)
		*at++ = (char)('0' + fd / power % 10);
	return path;
}

int mount_on(int target, const char *source, const char *fstype, unsigned long flags,
	     const char *options)
{
	return result(mount(source, fd_path(target).text, fstype, flags, options));
}

int volume_target(const char *path, bool directory)
{
	return (directory ? ROOT_MAKE_DIRECTORY : ROOT_MAKE_FILE) | ROOT_BELOW |
	       (strncmp(path, "/proc/", 6) == 0 ? 0 : ROOT_NO_PROC);
}

int set_attributes(int fd, struct mount_attributes *attributes, unsigned how)
{
	return result(syscall(SYS_mount_setattr, fd, "", how | EMPTY_PATH, attributes,
			      sizeof(*attributes)));
}

/* A directory goes on a directory only, a file on a file. Where that is why the kernel refuses, with
 * EINVAL (move_mount(2)) or ENOTDIR (mount(2)), tell which of the two is there. */
static int told_apart(int error, int source, int target)
{
	struct stat a, b;

	if (error != -EINVAL && error != -ENOTDIR)
		return error;
	if (fstat(source, &a) < 0 || fstat(target, &b) < 0)
		return -errno;
	if (S_ISDIR(a.st_mode) == S_ISDIR(b.st_mode))
		return error;
	return S_ISDIR(b.st_mode) ? -EISDIR : -EEXIST;
}

int move_tree(int tree, int target)
{
	int error = result(syscall(SYS_move_mount, tree, "", target, "", MOVE_EMPTY_PATHS));

	return told_apart(error, tree, target);
}

static int set_flags(int fd, unsigned long flags, unsigned how)
{
	struct mount_attributes attributes = { .set = flags }; /* MOUNT_ATTR_* equal MS_* here */

	return set_attributes(fd, &attributes, how);
}

/* The way before Linux 5.12. A remount replaces all flags, and in a user namespace those that are
 * locked must be repeated. */
static int remount(int fd, unsigned long flags)
{
	struct statvfs status;

	if (fstatvfs(fd, &status) < 0)
		return -errno;
	flags |= status.f_flag & (KEPT_FLAGS | MS_NOATIME | MS_NODIRATIME);
	if (status.f_flag & STATVFS_RELATIME)
		flags |= MS_RELATIME;
	return mount_on(fd, NULL, NULL, MS_REMOUNT | MS_BIND | flags, NULL);
}

int add_flags(int fd, unsigned long flags)
{
	int error = set_flags(fd, flags, 0);

	return is_missing(error) ? remount(fd, flags) : error;
}

static int copy_tree(int source, unsigned how, unsigned long flags)
{
	int tree = result(syscall(SYS_open_tree, source, "", O_CLOEXEC | TREE_CLONE | EMPTY_PATH | how));
	int error = tree < 0 || !flags ? 0 : set_flags(tree, flags, how);

	if (!error)
		return tree;
	close(tree);
	return error;
}

/* Copy the mount, set its flags while nobody sees it (Linux 5.12), then put it in place (5.2). No
 * path is walked, which in /proc takes longer than all the rest. */
static int bind_with_flags(int source, int target, bool recursive, unsigned long flags)
{
	closing int tree = copy_tree(source, recursive ? RECURSIVE : 0, flags);

	return tree < 0 ? tree : move_tree(tree, target);
}

int copy_mount(int source, unsigned long flags)
{
	return copy_tree(source, 0, flags);
}

static int bind_by_path(int source, int target, bool recursive)
{
	unsigned long flags = MS_BIND | (recursive ? MS_REC : 0);

	return told_apart(mount_on(target, fd_path(source).text, NULL, flags, NULL), source, target);
}

static int is_same(int one, int other)
{
	struct stat a, b;

	if (fstat(one, &a) < 0 || fstat(other, &b) < 0)
		return -errno;
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino ? 0 : -EAGAIN;
}

/* Take the escapes out of a path of mountinfo, where a blank is \040: proc_pid_mountinfo(5). */
static void unescape(char *path)
{
	char *to = path;

	for (const char *from = path; *from; to++) {
		bool escaped = from[0] == '\\' && from[1] && from[2] && from[3];

		*to = escaped ? (char)((from[1] & 7) << 6 | (from[2] & 7) << 3 | (from[3] & 7)) : *from;
		from += escaped ? 4 : 1;
	}
	*to = '\0';
}

/* Remount the mount of a line of mountinfo, if it lies below `top`. */
static int remount_line(char *line, const char *top, unsigned long flags)
{
	enum { MOUNT_POINT = 4 }; /* the fifth field */
	size_t length = strlen(top);

	for (int field = 0; field < MOUNT_POINT && line; field++) {
		line = strchr(line, ' ');
		line = line ? line + 1 : NULL;
	}
	if (!line)
		return -EINVAL;
	line[strcspn(line, " ")] = '\0';
	unescape(line);
	if (strncmp(line, top, length) != 0 || line[length] != '/')
		return 0;
	closing int fd = result(open(line, O_PATH | O_NOFOLLOW | O_CLOEXEC));

	if (fd == -EACCES)
		return 0; /* nobody inside gets there either: who may most is this process */
	return fd < 0 ? fd : remount(fd, flags);
}

/* The same for all mounts below one, of which the kernel has a list. */
static int remount_below(int mounted, unsigned long flags)
{
	char top[PATH_MAX], text[2 * PATH_MAX], *line, *end;
	ssize_t length = readlink(fd_path(mounted).text, top, sizeof(top) - 1);
	ssize_t count = 0;
	size_t kept = 0;
	int error = 0;
	closing int list = length < 0 ? -errno : result(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));

	if (list < 0)
		return list;
	top[length] = '\0';
	while (!error && (count = read(list, text + kept, sizeof(text) - 1 - kept)) > 0) {
		text[kept + (size_t)count] = '\0';
		for (line = text; !error && (end = strchr(line, '\n')); line = end + 1) {
			*end = '\0';
			error = remount_line(line, top, flags);
		}
		kept = strlen(line);
		memmove(text, line, kept);
	}
	if (!error && count < 0)
		return -errno; /* what is not listed would stay writable */
	if (!error && kept)
		return -ENAMETOOLONG; /* a line that does not fit: what it is about is not known */
	return error;
}

/* The way before Linux 5.12: `target` is what lies below the new mount, so the mount itself has to
 * be looked up, and may by then have been exchanged by somebody who shares the volume. */
static int bind_then_remount(int source, int root, const char *path, int target, bool recursive,
			     unsigned long flags)
{
	int error = bind_by_path(source, target, recursive);
	closing int mounted = error ? error : root_open(root, path, 0);

	if (mounted < 0)
		return mounted;
	error = is_same(source, mounted);
	if (!error)
		error = remount(mounted, flags);
	return error || !recursive ? error : remount_below(mounted, flags);
}

int bind_at(int source, int root, const char *path, int how, bool recursive, unsigned long flags)
{
	closing int target = root_open(root, path, how);
	int error;

	if (target < 0)
		return target;
	if (flags & ~(unsigned long)KEPT_FLAGS)
		return -EINVAL;
	error = bind_with_flags(source, target, recursive, flags);
	if (!is_missing(error))
		return error;
	if (flags)
		return bind_then_remount(source, root, path, target, recursive, flags);
	return bind_by_path(source, target, recursive);
}

int open_null(int root)
{
	int null = root_open(root, "/dev/null", ROOT_NO_LINKS);
	struct stat status;

	if (null < 0)
		return null;
	if (fstat(null, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3))
		return null;
	close(null);
	return -ENODEV; /* an image or a neighbour put another file in its place (CVE-2025-31133) */
}

int mask(int target, int root)
{
	struct stat status;
	int error;

	if (fstat(target, &status) < 0)
		return -errno;
	if (S_ISDIR(status.st_mode))
		return mount_on(target, "tmpfs", "tmpfs",
				MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=555,nr_inodes=1");
	closing int null = open_null(root);

	if (null < 0)
		return null;
	error = bind_with_flags(null, target, false, 0);
	return is_missing(error) ? bind_by_path(null, target, false) : error;
}
