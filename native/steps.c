// SPDX-License-Identifier: Apache-2.0
/* From a new process to a container, one kernel step at a time. Which steps and in which order is
 * the plan's to say (src/chrun/runtime/planner.py, with the reasons); each function here carries
 * out one. They read like the page that specifies them, docs/reference/plan.md. */
#define _GNU_SOURCE
#include "steps.h"

#include "files.h"
#include "kernel.h"
#include "step_functions.h"

int step_id_map(struct container *c, const struct field *f)
{
	const char *uid_map = f[0].text, *gid_map = f[1].text;
	bool deny_setgroups = f[2].number;
	int error = 0;

	(void)c;
	if (deny_setgroups)
		error = write_setting("/proc/self/setgroups", "deny", 4);
	if (!error)
		error = write_setting("/proc/self/uid_map", uid_map, f[0].length);
	if (!error)
		error = write_setting("/proc/self/gid_map", gid_map, f[1].length);
	return error;
}

static step_function *const functions[STEP_EXEC] = {
	[STEP_ID_MAP] = step_id_map,
	[STEP_OUTER_ID_MAP] = step_outer_id_map,
	[STEP_OUTER_TREE] = step_outer_tree,
	[STEP_CGROUP] = step_cgroup,
	[STEP_DEVICE_FILTER] = step_cgroup,
	[STEP_CGROUP_NAMESPACE] = step_cgroup_namespace,
	[STEP_PROPAGATION] = step_propagation,
	[STEP_BASE] = step_base,
	[STEP_SYMLINK] = step_symlink,
	[STEP_DIRECTORY] = step_directory,
	[STEP_MOUNT_IN_BASE] = step_mount_in_base,
	[STEP_ROOT] = step_root,
	[STEP_MOUNT] = step_mount,
	[STEP_BIND] = step_bind,
	[STEP_NODE] = step_node,
	[STEP_LINK] = step_link,
	[STEP_FILE] = step_file,
	[STEP_MASK] = step_mask,
	[STEP_READ_ONLY] = step_read_only,
	[STEP_PIVOT_ROOT] = step_pivot_root,
	[STEP_CHROOT] = step_chroot,
	[STEP_HOST_NAME] = step_host_name,
	[STEP_RLIMIT] = step_rlimit,
	[STEP_TERMINAL] = step_terminal,
	[STEP_USER] = step_user,
	[STEP_CAPABILITIES] = step_capabilities,
	[STEP_NO_NEW_PRIVS] = step_no_new_privs,
	[STEP_SECCOMP] = step_seccomp,
	[STEP_WORKING_DIRECTORY] = step_working_directory,
	[STEP_GRAB] = step_grab,
	[STEP_PLACE] = step_place,
	[STEP_LIKE] = step_like,
	[STEP_LANDLOCK] = step_landlock,
	[STEP_JOIN] = step_join,
	[STEP_SYSCTL] = step_sysctl,
	[STEP_LOOPBACK] = step_loopback,
	[STEP_SHARED_MEMORY] = step_shared_memory,
	[STEP_STREAMS] = step_streams,
};

/* What must have happened before a step means what it says: without a base directory a name would
 * lie in the caller's working directory, without a root a target would be the machine's. */
static bool is_ready(const struct container *c, uint32_t number)
{
	switch (number) {
	case STEP_SYMLINK:
	case STEP_DIRECTORY:
	case STEP_MOUNT_IN_BASE:
	case STEP_LIKE:
		return c->based;
	case STEP_FILE:
		return c->based && c->root >= 0;
	case STEP_MOUNT:
	case STEP_BIND:
	case STEP_PLACE:
	case STEP_SYSCTL:
	case STEP_NODE:
	case STEP_LINK:
	case STEP_MASK:
	case STEP_READ_ONLY:
	case STEP_PIVOT_ROOT:
	case STEP_CHROOT:
	case STEP_TERMINAL:
	case STEP_STREAMS:
		return c->root >= 0;
	case STEP_ROOT:
		return c->root < 0;
	default:
		return true;
	}
}

int run_steps(struct container *c)
{
	struct cursor next = c->plan->records;
	struct record record = { 0 };
	int error = 0;

	while (!error && plan_next(&next, &record) && record.number < STEP_EXEC) {
		c->position = record.position;
		if (record.number == STEP_CLONE || record.number == STEP_DEADLINE)
			continue; /* how this process came to be, and may end: the monitor's */
		if (!is_ready(c, record.number))
			return -EINVAL;
		error = functions[record.number](c, record.fields);
	}
	return error;
}
