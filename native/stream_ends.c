// SPDX-License-Identifier: Apache-2.0
/* The half of the standard streams that is in the container: which objects they are. */
#define _GNU_SOURCE
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <linux/kcmp.h>
#include <linux/magic.h>

#include "kernel.h"
#include "messages.h"
#include "mounts.h"
#include "streams.h"

/* A pipe that holds one write: what was written is read before more is. */
enum { ONE_WRITE = 4096 };

static bool is_null(const struct stat *status)
{
	return S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3);
}

static bool is_anonymous(int fd, const struct stat *status)
{
	struct statfs of;

	return S_ISSOCK(status->st_mode) ||
	       (S_ISFIFO(status->st_mode) && fstatfs(fd, &of) == 0 && of.f_type == PIPEFS_MAGIC);
}

/* Whether two descriptors are one open file, as 1 and 2 after `>log 2>&1`: one pipe then keeps the
 * order. */
static bool are_one(int one, int other)
{
	long compared = syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, one, other);
	struct stat a, b;

	if (compared >= 0)
		return compared == 0;
	/* Linux may be built without kcmp(2), and outer filters refuse it. */
	return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino && fcntl(one, F_GETFL) == fcntl(other, F_GETFL);
}

static int replace(int fd, int own)
{
	int error = own < 0 ? own : result(dup2(own, fd));

	return error < 0 ? error : 0;
}

static int use_null(const struct container *c, int fd)
{
	closing int null = open_null(c->root);
	closing int opened = null < 0 ? null : result(open(fd_path(null).text, O_RDWR | O_CLOEXEC));

	return replace(fd, opened);
}

/* The caller's input, found once more in this process's own mount namespace, on a mount of its own that
 * is read-only: a program can seek in it, and change nothing of it. -errno where it cannot be found: it
 * has no name any more, or this user may not open it. */
static int open_read_only(void)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/fd/0", path, sizeof(path) - 1);
	struct stat wanted, found;

	if (length < 0)
		return -errno;
	path[length] = '\0';
	closing int named = result(open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC));

	if (named < 0)
		return named;
	if (fstat(STDIN_FILENO, &wanted) < 0 || fstat(named, &found) < 0)
		return -errno;
	if (wanted.st_dev != found.st_dev || wanted.st_ino != found.st_ino)
		return -ESTALE;
	closing int tree = copy_mount(named, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);

	return tree < 0 ? tree : result(open(fd_path(tree).text, O_RDONLY | O_CLOEXEC));
}

static int use_file(int *offset)
{
	int own = open_read_only();
	off_t at = own < 0 ? -1 : lseek(STDIN_FILENO, 0, SEEK_CUR);

	if (own < 0)
		return own;
	*offset = own;
	if (at < 0 || lseek(own, at, SEEK_SET) < 0)
		return -errno;
	return replace(STDIN_FILENO, own);
}

/* Make a pipe of which one end is the container's, and the other one the monitor's, without blocking
 * for the latter: `*other`. */
static int use_pipe(struct container *c, int fd, bool is_short, int *other)
{
	int ends[2], error;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	*other = ends[fd == STDIN_FILENO];
	if (is_short && fcntl(ends[0], F_SETPIPE_SZ, ONE_WRITE) < 0)
		return -errno;
	if (fcntl(*other, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	error = replace(fd, ends[fd != STDIN_FILENO]);
	close(ends[fd != STDIN_FILENO]);
	c->own_streams |= 1U << fd;
	return error;
}

static bool is_readable(int fd)
{
	return (fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY;
}

/* `ends` are the monitor's: of pipes, then of a file of which it reads the offset. */
static int replace_stream(struct container *c, int fd, struct stream_rules rules,
			  int ends[MESSAGE_DESCRIPTORS])
{
	struct stat status;
	bool is_regular;

	if (fstat(fd, &status) < 0)
		return -errno;
	is_regular = S_ISREG(status.st_mode);
	if (is_null(&status))
		return use_null(c, fd);
	if (S_ISDIR(status.st_mode))
		return -EISDIR;
	if (!rules.relay_all && is_anonymous(fd, &status))
		return 0;
	if (fd == STDIN_FILENO && is_regular && rules.pass_file && is_readable(fd) &&
	    use_file(&ends[STREAM_COUNT]) == 0)
		return 0;
	return use_pipe(c, fd, fd == STDIN_FILENO && (is_regular || isatty(fd)), &ends[fd]);
}

static int replace_all(struct container *c, struct stream_rules rules,
		       int ends[MESSAGE_DESCRIPTORS])
{
	bool is_shared = are_one(STDOUT_FILENO, STDERR_FILENO);
	bool moves_input = are_one(STDIN_FILENO, STDOUT_FILENO) || are_one(STDIN_FILENO, STDERR_FILENO);
	int error = 0;

	for (int fd = STDIN_FILENO; fd < STDERR_FILENO && !error; fd++)
		error = replace_stream(c, fd, rules, ends);
	if (moves_input) {
		close_descriptor(&ends[STREAM_COUNT]); /* output sets the offset */
		ends[STREAM_COUNT] = -1;
	}
	if (error)
		return error;
	return is_shared ? replace(STDERR_FILENO, STDOUT_FILENO) :
			   replace_stream(c, STDERR_FILENO, rules, ends);
}

int streams_open(struct container *c, struct stream_rules rules)
{
	int ends[MESSAGE_DESCRIPTORS] = { -1, -1, -1, -1 };
	int error = replace_all(c, rules, ends);

	if (!error)
		error = send_streams(c->monitor, ends);
	for (size_t i = 0; i < MESSAGE_DESCRIPTORS; i++)
		close_descriptor(&ends[i]);
	return error;
}

int streams_give(const struct container *c, uid_t uid)
{
	int error = 0;

	for (int fd = STDIN_FILENO; fd < STREAM_COUNT && !error; fd++)
		if (c->own_streams & 1U << fd)
			error = result(fchown(fd, uid, (gid_t)-1));
	return error;
}
