// SPDX-License-Identifier: Apache-2.0
/* The half of a step that the container's first process does, when the monitor does the other. */
#define _GNU_SOURCE
#include "step_functions.h"

#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#include "credentials.h"
#include "kernel.h"
#include "messages.h"
#include "mounts.h"
#include "root.h"

static int ask_outside(struct container *c)
{
	int error = await_record(c);

	return error ? error : ask(c->monitor, c->position);
}

int step_outer_id_map(struct container *c, const struct field *f)
{
	struct cursor no_groups = { NULL, NULL };
	int error = ask_outside(c);

	(void)f;
	/* Until now it was the caller, who may be nobody in the new namespace. */
	if (!error)
		error = set_groups(no_groups, 0);
	if (!error)
		error = set_ids(0, 0);
	return error ? error : bind_to_parent(c); /* other ids undo it: prctl(2) */
}

/* Make and open what a tree is put on: a name in the base directory, or a target in the root. */
static int open_place(const struct container *c, const char *target, bool is_directory)
{
	if (target[0] == '/' && c->root >= 0)
		return root_open(c->root, target, volume_target(target, is_directory));
	if (target[0] == '/' || strchr(target, '/') || !c->based || !is_directory)
		return -EINVAL;
	if (mkdir(target, S_IRWXU) < 0)
		return -errno;
	return result(open(target, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

int step_outer_tree(struct container *c, const struct field *f)
{
	closing int tree = ask_outside(c);
	struct stat status;

	if (tree <= 0)
		return tree ? tree : -EBADF;
	if (fstat(tree, &status) < 0)
		return -errno;
	closing int place = open_place(c, f[1].text, S_ISDIR(status.st_mode));

	if (place < 0)
		return place;
	return move_tree(tree, place);
}

/* The monitor moves this process into the cgroup, too. */
int step_cgroup(struct container *c, const struct field *f)
{
	(void)f;
	return ask_outside(c);
}

int step_cgroup_namespace(struct container *c, const struct field *f)
{
	(void)c, (void)f;
	return result(unshare(CLONE_NEWCGROUP));
}
