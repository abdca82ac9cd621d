// SPDX-License-Identifier: Apache-2.0
/* From a new process to a container, one kernel step at a time. Which steps and in which order is
 * the plan's to say (src/chrun/runtime/planner.py, with the reasons); each function here carries
 * out one. They read like the page that specifies them, docs/reference/plan.md. */
#define _GNU_SOURCE
#include "steps.h"

#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <linux/seccomp.h>

#include "credentials.h"
#include "files.h"
#include "kernel.h"
#include "messages.h"
#include "mounts.h"
#include "resources.h"
#include "root.h"
#include "terminal.h"

static int open_host_path(const struct container *c, const char *path, int flags)
{
	char whole[PATH_MAX];
	int error = host_path(c->scratch, path, whole, sizeof(whole));

	return error ? error : result(open(whole, flags | O_PATH | O_CLOEXEC));
}

static int step_id_map(struct container *c, const struct field *f)
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

static int step_propagation(struct container *c, const struct field *f)
{
	(void)c, (void)f;
	return result(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

static int step_base(struct container *c, const struct field *f)
{
	const char *source = f[0].text, *options = f[1].text;
	char path[PATH_MAX];
	int error = host_path(c->scratch, source, path, sizeof(path));

	if (!error)
		error = result(mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options));
	if (!error)
		error = result(chdir(path));
	c->based = !error;
	return error;
}

static int step_symlink(struct container *c, const struct field *f)
{
	const char *source = f[0].text, *name = f[1].text;
	char path[PATH_MAX];
	int error = host_path(c->scratch, source, path, sizeof(path));

	return error ? error : result(symlink(path, name));
}

static int step_directory(struct container *c, const struct field *f)
{
	const char *name = f[0].text;

	(void)c;
	return result(mkdir(name, (mode_t)f[1].number));
}

static int step_mount_in_base(struct container *c, const struct field *f)
{
	const char *fstype = f[0].text, *target = f[1].text, *options = f[3].text;

	(void)c;
	return result(mount(fstype, target, fstype, f[2].number, options));
}

static int step_root(struct container *c, const struct field *f)
{
	char path[PATH_MAX];
	bool bind = f[1].number;
	int error = host_path(c->scratch, f[0].text, path, sizeof(path));

	if (!error && bind)
		error = result(mount(path, path, NULL, MS_BIND | MS_REC, NULL));
	if (error)
		return error;
	c->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return c->root < 0 ? -errno : 0;
}

static int step_mount(struct container *c, const struct field *f)
{
	const char *fstype = f[0].text, *target = f[1].text, *options = f[3].text;
	bool follow = f[4].number;
	/* An image whose /proc is a symlink would have it mounted elsewhere, and what is written
	 * "to /proc" would go where the image says (CVE-2019-19921). */
	closing int fd = root_open(c->root, target,
				   ROOT_MAKE_DIRECTORY | (follow ? 0 : ROOT_NO_LINKS));

	return fd < 0 ? fd : mount_on(fd, fstype, fstype, f[2].number, options);
}

static int step_bind(struct container *c, const struct field *f)
{
	const char *source = f[0].text, *target = f[1].text;
	bool recursive = f[2].number;
	closing int fd = open_host_path(c, source, 0);
	struct stat status;

	if (fd < 0)
		return fd;
	if (fstat(fd, &status) < 0)
		return -errno;
	return bind_at(fd, c->root, target,
		       S_ISDIR(status.st_mode) ? ROOT_MAKE_DIRECTORY : ROOT_MAKE_FILE, recursive,
		       f[3].number);
}

static int step_node(struct container *c, const struct field *f)
{
	const char *name;
	closing int parent = root_open_parent(c->root, f[0].text, &name);
	dev_t device = makedev((unsigned)f[2].number, (unsigned)f[3].number);

	if (parent < 0)
		return parent;
	return result(mknodat(parent, name, S_IFCHR | (mode_t)f[1].number, device));
}

static int step_link(struct container *c, const struct field *f)
{
	const char *points_to = f[0].text, *name;
	closing int parent = root_open_parent(c->root, f[1].text, &name);

	return parent < 0 ? parent : result(symlinkat(points_to, parent, name));
}

static bool is_absent(int error)
{
	return error == -ENOENT || error == -ENOTDIR;
}

static int step_file(struct container *c, const struct field *f)
{
	const char *target = f[0].text, *last;
	bool expanded = f[3].number, optional = f[4].number;
	closing int parent = optional ? root_open_parent(c->root, target, &last) : -1;

	if (optional && is_absent(parent))
		return 0;
	closing int fd = create_file(c, (mode_t)f[1].number, f[2].text, f[2].length, expanded);

	return fd < 0 ? fd : bind_at(fd, c->root, target, ROOT_MAKE_FILE, false, 0);
}

static int step_mask(struct container *c, const struct field *f)
{
	closing int target = root_open(c->root, f[0].text, 0);

	if (is_absent(target))
		return 0;
	return target < 0 ? target : mask(target, c->root);
}

static int step_read_only(struct container *c, const struct field *f)
{
	const char *target = f[0].text;

	if (strcmp(target, "/") == 0)
		return make_read_only(c->root);
	closing int fd = root_open(c->root, target, 0);

	if (is_absent(fd))
		return 0;
	return fd < 0 ? fd : bind_at(fd, c->root, target, 0, true, MS_RDONLY);
}

/* Nothing that was open for building may be a way back out (CVE-2024-21626). */
static int enter(struct container *c)
{
	int error = result(chdir("/"));

	close(c->root);
	c->root = -1;
	c->based = false;
	return error ? error : close_from(c->monitor + 1);
}

static int step_pivot_root(struct container *c, const struct field *f)
{
	int error = result(fchdir(c->root));

	(void)f;
	/* Old and new root in one place, the old one on top: pivot_root(2), "." */
	if (!error)
		error = result(syscall(SYS_pivot_root, ".", "."));
	if (!error)
		error = result(umount2(".", MNT_DETACH));
	return error ? error : enter(c);
}

static int step_chroot(struct container *c, const struct field *f)
{
	int error = result(fchdir(c->root));

	(void)f;
	if (!error)
		error = result(chroot("."));
	return error ? error : enter(c);
}

static int step_host_name(struct container *c, const struct field *f)
{
	char name[HOST_NAME_MAX + 1];

	if (f[0].length > HOST_NAME_MAX)
		return -ENAMETOOLONG;
	find_host_name(c, name);
	return result(sethostname(name, strlen(name)));
}

static int step_rlimit(struct container *c, const struct field *f)
{
	return set_limit(c, f[0].number, (struct limit){ f[1].number, f[2].number });
}

static int step_terminal(struct container *c, const struct field *f)
{
	int error = terminal_open(c->root, c->monitor);

	(void)f;
	c->has_terminal = !error;
	return error;
}

static int step_user(struct container *c, const struct field *f)
{
	uid_t uid = (uid_t)f[0].number;
	gid_t gid = (gid_t)f[1].number;
	bool keep_groups = f[3].number;
	int error = keep_groups ? 0 : set_groups(f[2].list, f[2].length);

	if (uid != f[0].number || gid != f[1].number)
		return -EINVAL;
	/* /dev/stdout leads to the terminal, and the user opens it anew */
	if (!error && c->has_terminal)
		error = result(fchown(STDIN_FILENO, uid, (gid_t)-1));
	if (!error)
		error = set_ids(uid, gid);
	return error ? error : bind_to_monitor(c); /* other ids undo it: prctl(2) */
}

static int step_capabilities(struct container *c, const struct field *f)
{
	struct capability_sets sets = {
		.bounding = f[0].number,
		.effective = f[1].number,
		.permitted = f[2].number,
		.inheritable = f[3].number,
		.ambient = f[4].number,
	};

	(void)c;
	return set_capabilities(&sets);
}

static int step_no_new_privs(struct container *c, const struct field *f)
{
	(void)c, (void)f;
	return result(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static int step_seccomp(struct container *c, const struct field *f)
{
	const char *program = f[0].text;
	bool listens = f[1].number;

	if (!listens)
		return set_filter(program, f[0].length, 0);
	closing int listener = set_filter(program, f[0].length, SECCOMP_FILTER_FLAG_NEW_LISTENER);

	return listener < 0 ? listener : send_listener(c->monitor, listener);
}

/* Nothing from outside is open any more but, perhaps, 0, 1 and 2; those are not a way out either,
 * for the links of /proc are not followed. The kernel has the last word: the path of a directory
 * outside the root does not begin with a slash. */
static int step_working_directory(struct container *c, const struct field *f)
{
	char path[PATH_MAX];
	closing int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	closing int fd = root < 0 ? -errno : root_open(root, f[0].text, ROOT_MAKE_DIRECTORY);
	int error = fd < 0 ? fd : result(fchdir(fd));

	(void)c;
	if (!error)
		error = result(syscall(SYS_getcwd, path, sizeof(path)));
	if (error < 0)
		return error;
	return path[0] == '/' ? 0 : -EXDEV;
}

typedef int step_function(struct container *, const struct field *);

static step_function *const functions[STEP_EXEC] = {
	[STEP_ID_MAP] = step_id_map,
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
};

/* What must have happened before a step means what it says: without a base directory a name would
 * lie in the caller's working directory, without a root a target would be the machine's. */
static bool is_ready(const struct container *c, uint32_t number)
{
	switch (number) {
	case STEP_SYMLINK:
	case STEP_DIRECTORY:
	case STEP_MOUNT_IN_BASE:
		return c->based;
	case STEP_FILE:
		return c->based && c->root >= 0;
	case STEP_MOUNT:
	case STEP_BIND:
	case STEP_NODE:
	case STEP_LINK:
	case STEP_MASK:
	case STEP_READ_ONLY:
	case STEP_PIVOT_ROOT:
	case STEP_CHROOT:
	case STEP_TERMINAL:
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
		if (record.number == STEP_CLONE)
			continue; /* that was how this process came to be */
		if (!is_ready(c, record.number))
			return -EINVAL;
		error = functions[record.number](c, record.fields);
	}
	return error;
}
