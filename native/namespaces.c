// SPDX-License-Identifier: Apache-2.0
/* The steps that set something in a namespace, or take something out of one. */
#define _GNU_SOURCE
#include "step_functions.h"

#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#include <linux/if.h>
#include <linux/magic.h>

#include "kernel.h"
#include "mounts.h"
#include "process.h"
#include "root.h"

/* Done before this process was: join.c. */
int step_join(struct container *c, const struct field *f)
{
	(void)c, (void)f;
	return 0;
}

static int check_type(int fd, long magic)
{
	struct statfs status;

	if (fstatfs(fd, &status) < 0)
		return -errno;
	return (long)status.f_type == magic ? 0 : -ENOTTY;
}

/* An image or a neighbour may have put a link, or another file of /proc, in the setting's place
 * (CVE-2025-52881): no link is followed, and what is written to is known to be a procfs's. */
static int open_setting(int root, const char *path)
{
	closing int proc = root_open(root, "/proc", ROOT_NO_LINKS);
	int error = proc < 0 ? proc : check_type(proc, PROC_SUPER_MAGIC);
	closing int found = error ? error : root_open(proc, path, ROOT_NO_LINKS);

	if (found < 0)
		return found;
	error = check_type(found, PROC_SUPER_MAGIC);
	if (error)
		return error;
	return result(open(fd_path(found).text, O_WRONLY | O_CLOEXEC));
}

int step_sysctl(struct container *c, const struct field *f)
{
	closing int fd = open_setting(c->root, f[0].text);
	ssize_t written = fd < 0 ? 0 : write(fd, f[1].text, f[1].length);

	if (fd < 0)
		return fd;
	if (written < 0)
		return -errno;
	return (size_t)written == f[1].length ? 0 : -EIO;
}

int step_loopback(struct container *c, const struct field *f)
{
	struct ifreq interface = { .ifr_name = "lo" };
	closing int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)c, (void)f;
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &interface) < 0)
		return -errno;
	interface.ifr_flags = (short)(interface.ifr_flags | IFF_UP);
	return result(ioctl(fd, SIOCSIFFLAGS, &interface));
}

/* The other container is its root's: whatever lies at /dev/shm there must be a tmpfs by that very
 * name, and no link to something else. */
static int open_shared_memory(void)
{
	closing int found = openat2_(AT_FDCWD, "/dev/shm", O_PATH | O_DIRECTORY, NO_SYMLINKS);
	int error = found < 0 ? found : check_type(found, TMPFS_MAGIC);

	if (error)
		return error;
	return result(syscall(SYS_open_tree, found, "", O_CLOEXEC | TREE_CLONE | EMPTY_PATH));
}

/* Where this process is; joining a mount namespace goes to the root of that. */
struct place {
	int mounts, root, directory;
};

static int go_back(const struct place *place)
{
	int error = result(setns(place->mounts, CLONE_NEWNS));

	if (!error)
		error = result(fchdir(place->root));
	if (!error)
		error = result(chroot("."));
	return error ? error : result(fchdir(place->directory));
}

static int fetch_shared_memory(int process)
{
	closing int theirs = result(openat(process, "ns/mnt", O_RDONLY | O_CLOEXEC));
	closing int mounts = result(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
	closing int root = result(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
	closing int directory = result(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
	int tree, error;

	if (theirs < 0 || mounts < 0)
		return theirs < 0 ? theirs : mounts;
	if (root < 0 || directory < 0)
		return root < 0 ? root : directory;
	if (setns(theirs, CLONE_NEWNS) < 0)
		return -errno;
	tree = open_shared_memory();
	error = go_back(&(struct place){ mounts, root, directory });
	if (error && tree >= 0)
		close(tree);
	return error ? error : tree;
}

int step_shared_memory(struct container *c, const struct field *f)
{
	uint64_t slot = f[0].number;
	closing int process = open_process(f[1].text, f[2].number);
	int tree;

	if (slot >= MAX_TREES || c->trees[slot])
		return -EINVAL;
	tree = process < 0 ? process : fetch_shared_memory(process);
	if (tree < 0)
		return tree;
	c->trees[slot] = tree;
	return 0;
}
