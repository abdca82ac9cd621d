// SPDX-License-Identifier: Apache-2.0
/* Volumes that need more than a bind: a tree of mounts is grabbed, changed while nobody sees it, and
 * put in place. Linux 5.12 has all that this takes, open_tree(2), mount_setattr(2), move_mount(2). */
#define _GNU_SOURCE
#include "step_functions.h"

#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "files.h"
#include "kernel.h"
#include "mounts.h"
#include "root.h"

/* Somebody who writes to a volume chooses what its paths lead to, but not out of it. */
static int open_below(int directory, const char *path)
{
	return openat2_(directory, path, O_PATH, BENEATH | NO_MAGICLINKS);
}

/* Where a tree is kept from step to step. 0 stands for none: that, 1 and 2 are the container's. */
static int *find_slot(struct container *c, uint64_t number)
{
	return number < MAX_TREES ? &c->trees[number] : NULL;
}

int step_grab(struct container *c, const struct field *f)
{
	const char *below = f[2].text;
	unsigned how = f[3].number ? RECURSIVE : 0;
	int *slot = find_slot(c, f[0].number);
	closing int source = open_host_path(c->scratch, f[1].text, O_PATH);
	closing int part = source >= 0 && *below ? open_below(source, below) : -1;
	int tree;

	if (!slot || *slot)
		return -EINVAL;
	if (source < 0 || (*below && part < 0))
		return source < 0 ? source : part;
	tree = result(syscall(SYS_open_tree, *below ? part : source, "",
			      O_CLOEXEC | TREE_CLONE | EMPTY_PATH | how));
	if (tree < 0)
		return tree;
	*slot = tree;
	return 0;
}

/* An empty file or directory to mount on, like what is mounted. */
static int open_target(const struct container *c, const char *path, int tree)
{
	struct stat status;

	if (fstat(tree, &status) < 0)
		return -errno;
	return root_open(c->root, path, volume_target(path, S_ISDIR(status.st_mode)));
}

int step_place(struct container *c, const struct field *f)
{
	struct mount_attributes flags = { .set = f[2].number, .clear = f[3].number };
	unsigned how = f[4].number ? RECURSIVE : 0;
	uint64_t kind = f[5].number & ~(uint64_t)MS_REC;
	struct mount_attributes propagation = { .propagation = kind };
	int *slot = find_slot(c, f[0].number);
	closing int tree = slot && *slot ? *slot : -1;
	closing int target = tree < 0 ? -EINVAL : open_target(c, f[1].text, tree);
	int error = target < 0 ? target : 0;

	if (slot)
		*slot = 0;
	if ((flags.set | flags.clear) & ~(uint64_t)KEPT_FLAGS)
		return -EINVAL;
	if (!error && (flags.set | flags.clear))
		error = set_attributes(tree, &flags, how);
	if (!error && kind)
		error = set_attributes(tree, &propagation, f[5].number & MS_REC ? RECURSIVE : 0);
	return error ? error : move_tree(tree, target);
}

int step_like(struct container *c, const struct field *f)
{
	const char *name = f[1].text;
	closing int source = open_host_path(c->scratch, f[0].text, O_PATH);
	struct stat status;
	int error;

	if (source < 0)
		return source;
	if (fstat(source, &status) < 0)
		return -errno;
	error = result(chown(name, status.st_uid, status.st_gid));
	if (error && error != -EPERM && error != -EINVAL) /* an id that is not mapped here */
		return error;
	return result(chmod(name, status.st_mode & 07777));
}
