// SPDX-License-Identifier: Apache-2.0
/* From a new process to a container, one kernel step at a time. Which steps and in which order is
 * the plan's to say (src/chrun/runtime/planner.py, with the reasons); each function here carries
 * out one. They read like the page that specifies them, docs/reference/plan.md. */
#define _GNU_SOURCE
#include "steps.h"

#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "capabilities.h"
#include "kernel.h"
#include "mounts.h"
#include "root.h"
#include "say.h"
#include "terminal.h"

struct resource_limit {
	uint64_t soft, hard;
};

enum { SHORT_ID = 12, MAX_GROUPS = 65536 / 16 };

static int write_all(int fd, const char *bytes, size_t length)
{
	while (length) {
		ssize_t written = write(fd, bytes, length);

		if (written < 0)
			return -errno;
		bytes += written;
		length -= (size_t)written;
	}
	return 0;
}

static int write_proc(const char *path, const char *bytes, size_t length)
{
	closing int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : write_all(fd, bytes, length);
}

int host_path(const char *scratch, const char *path, char *whole, size_t size)
{
	bool in_scratch = path[0] == '%' && (path[1] == '/' || path[1] == '\0');
	size_t before = in_scratch ? strlen(scratch) : 0;

	path += in_scratch;
	if (in_scratch && !before)
		return -ENOENT; /* no scratch directory was given */
	if (before + strlen(path) >= size)
		return -ENAMETOOLONG;
	memcpy(whole, scratch, before);
	strcpy(whole + before, path);
	return 0;
}

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
		error = write_proc("/proc/self/setgroups", "deny", 4);
	if (!error)
		error = write_proc("/proc/self/uid_map", uid_map, f[0].length);
	if (!error)
		error = write_proc("/proc/self/gid_map", gid_map, f[1].length);
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

/* The host name that the container gets, or has already. */
static void find_host_name(const struct container *c, char name[HOST_NAME_MAX + 1])
{
	struct record record;
	struct utsname machine;
	const char *found = c->id;
	size_t length;

	if (!plan_find(c->plan, STEP_HOST_NAME, &record))
		found = uname(&machine) < 0 ? "" : machine.nodename;
	else if (record.fields[0].length)
		found = record.fields[0].text;
	length = strnlen(found, found == c->id ? SHORT_ID : HOST_NAME_MAX);
	memcpy(name, found, length);
	name[length] = '\0';
}

/* Write a text with the host name for every %h and % for every %%. */
static int write_expanded(const struct container *c, int fd, const char *text, size_t length)
{
	const char *end = text + length;
	char host_name[HOST_NAME_MAX + 1];
	int error = 0;

	find_host_name(c, host_name);
	while (!error && text < end) {
		const char *percent = memchr(text, '%', (size_t)(end - text));

		error = write_all(fd, text, (size_t)((percent ? percent : end) - text));
		if (error || !percent)
			break;
		if (end - percent > 1 && percent[1] == 'h')
			error = write_all(fd, host_name, strlen(host_name));
		else
			error = write_all(fd, "%", 1);
		text = percent + (end - percent > 1 ? 2 : 1);
	}
	return error;
}

static bool is_absent(int error)
{
	return error == -ENOENT || error == -ENOTDIR;
}

static int step_file(struct container *c, const struct field *f)
{
	struct line name = { .length = 0 };
	const char *target = f[0].text, *last;
	bool expanded = f[3].number, optional = f[4].number;
	closing int parent = optional ? root_open_parent(c->root, target, &last) : -1;
	int error;

	if (optional && is_absent(parent))
		return 0;
	add_text(&name, "file-");
	add_number(&name, c->position);
	name.bytes[name.length] = '\0';
	closing int fd = open(name.bytes, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, f[1].number);

	if (fd < 0)
		return -errno;
	if (expanded)
		error = write_expanded(c, fd, f[2].text, f[2].length);
	else
		error = write_all(fd, f[2].text, f[2].length);
	return error ? error : bind_at(fd, c->root, target, ROOT_MAKE_FILE, false, 0);
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

/* setrlimit(2) with the kernel's own 64-bit numbers, which no C library gets to translate. */
static int limit_resource(uint64_t resource, const struct resource_limit *wanted, struct resource_limit *before)
{
	return result(syscall(SYS_prlimit64, 0, resource, wanted, before));
}

/* Ask for what is allowed where more is not, and say so. */
static int lower_limit(const struct container *c, uint64_t resource, struct resource_limit wanted)
{
	struct line line = { .length = 0 };
	struct resource_limit now;
	struct record record;
	int error = limit_resource(resource, NULL, &now);

	if (error)
		return error;
	if (wanted.hard > now.hard)
		wanted.hard = now.hard;
	if (wanted.soft > wanted.hard)
		wanted.soft = wanted.hard;
	if (!c->quiet && plan_at(c->plan, c->position, &record)) {
		add_text(&line, "chrun: cannot ");
		add_text(&line, record.words);
		add_text(&line, " without CAP_SYS_RESOURCE, it is now ");
		add_number(&line, wanted.soft);
		add_text(&line, ":");
		add_number(&line, wanted.hard);
		say(&line);
	}
	return limit_resource(resource, &wanted, NULL);
}

static int step_rlimit(struct container *c, const struct field *f)
{
	struct resource_limit limit = { f[1].number, f[2].number };
	int error = limit_resource(f[0].number, &limit, NULL);

	return error == -EPERM ? lower_limit(c, f[0].number, limit) : error;
}

static int step_terminal(struct container *c, const struct field *f)
{
	int error = terminal_open(c->root, c->monitor);

	(void)f;
	c->has_terminal = !error;
	return error;
}

static int set_groups(struct cursor list, uint32_t count)
{
	gid_t groups[MAX_GROUPS];

	if (count > MAX_GROUPS)
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++)
		groups[i] = (gid_t)take_number_of(&list);
	return result(setgroups(count, groups));
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
		error = result(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
	if (!error)
		error = result(setresgid(gid, gid, gid));
	if (!error)
		error = result(setresuid(uid, uid, uid));
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
	size_t count = f[0].length / sizeof(struct sock_filter);
	struct sock_fprog program = { (unsigned short)count, (void *)(uintptr_t)f[0].text };

	(void)c;
	if (!count || count > BPF_MAXINSNS || f[0].length % sizeof(struct sock_filter))
		return -EINVAL;
	return result(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
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
