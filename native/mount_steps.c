// SPDX-License-Identifier: Apache-2.0
/* The steps that build what the container sees of files, up to its new root. */
#define _GNU_SOURCE
#include "step_functions.h"

#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "descriptors.h"
#include "files.h"
#include "kernel.h"
#include "mounts.h"
#include "root.h"

int step_propagation(struct container *c, const struct field *f)
{
	(void)c, (void)f;
	return result(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

int step_base(struct container *c, const struct field *f)
{
	const char *source = f[0].text, *options = f[1].text;
	char path[PATH_MAX];
	int error = host_path(c->scratch, source, path, sizeof(path));

	if (!error)
		error = result(mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options));
	if (error == -EACCES) /* there is no way to it; but the monitor let this process begin there */
		error = mount_tmpfs_here(options, MS_NOSUID | MS_NODEV);
	else if (!error)
		error = result(chdir(path));
	c->based = !error;
	return error;
}

int step_symlink(struct container *c, const struct field *f)
{
	const char *source = f[0].text, *name = f[1].text;
	char path[PATH_MAX];
	int error = host_path(c->scratch, source, path, sizeof(path));

	return error ? error : result(symlink(path, name));
}

int step_directory(struct container *c, const struct field *f)
{
	const char *name = f[0].text;

	(void)c;
	return result(mkdir(name, (mode_t)f[1].number));
}

int step_mount_in_base(struct container *c, const struct field *f)
{
	const char *fstype = f[0].text, *target = f[1].text, *options = f[3].text;

	(void)c;
	return result(mount(fstype, target, fstype, f[2].number, options));
}

int step_root(struct container *c, const struct field *f)
{
	char path[PATH_MAX];
	bool bind = f[1].number;
	int error = host_path(c->scratch, f[0].text, path, sizeof(path));

	if (!error && bind)
		error = result(mount(path, path, NULL, MS_BIND | MS_REC, NULL));
	if (error)
		return error;
	c->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c->root < 0)
		return -errno;
	return bind ? add_flags(c->root, MS_NODEV) : 0; /* an image may bring any device */
}

int step_mount(struct container *c, const struct field *f)
{
	const char *fstype = f[0].text, *target = f[1].text, *options = f[3].text;
	bool follow = f[4].number;
	/* An image whose /proc is a symlink would have it mounted elsewhere, and what is written
	 * "to /proc" would go where the image says (CVE-2019-19921). */
	closing int fd = root_open(c->root, target,
				   follow ? volume_target(target, true)
					  : ROOT_MAKE_DIRECTORY | ROOT_NO_LINKS);

	return fd < 0 ? fd : mount_on(fd, fstype, fstype, f[2].number, options);
}

int step_bind(struct container *c, const struct field *f)
{
	const char *source = f[0].text, *target = f[1].text;
	bool recursive = f[2].number;
	closing int fd = open_host_path(c->scratch, source, O_PATH);
	struct stat status;

	if (fd < 0)
		return fd;
	if (fstat(fd, &status) < 0)
		return -errno;
	return bind_at(fd, c->root, target, volume_target(target, S_ISDIR(status.st_mode)),
		       recursive, f[3].number);
}

int step_node(struct container *c, const struct field *f)
{
	const char *name;
	closing int parent = root_open_parent(c->root, f[0].text, ROOT_MAKE_DIRECTORY, &name);
	mode_t mode = (mode_t)f[1].number;
	dev_t device = makedev((unsigned)f[2].number, (unsigned)f[3].number);
	uid_t uid = (uid_t)f[4].number;
	gid_t gid = (gid_t)f[5].number;
	int error;

	if (parent < 0)
		return parent;
	error = result(mknodat(parent, name, mode & S_IFMT ? mode : S_IFCHR | mode, device));
	if (error || !(uid | gid))
		return error;
	return result(fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW));
}

int step_link(struct container *c, const struct field *f)
{
	const char *points_to = f[0].text, *name;
	closing int parent = root_open_parent(c->root, f[1].text, 0, &name);

	return parent < 0 ? parent : result(symlinkat(points_to, parent, name));
}

static bool is_absent(int error)
{
	return error == -ENOENT || error == -ENOTDIR;
}

int step_file(struct container *c, const struct field *f)
{
	const char *target = f[0].text, *last;
	bool expanded = f[3].number, optional = f[4].number;
	closing int parent = optional ? root_open_parent(c->root, target, 0, &last) : -1;

	if (optional && is_absent(parent))
		return 0;
	closing int fd = create_file(c, (mode_t)f[1].number, f[2].text, f[2].length, expanded);

	return fd < 0 ? fd : bind_at(fd, c->root, target, ROOT_MAKE_FILE, false, 0);
}

int step_mask(struct container *c, const struct field *f)
{
	closing int target = root_open(c->root, f[0].text, 0);

	if (is_absent(target))
		return 0;
	return target < 0 ? target : mask(target, c->root);
}

int step_read_only(struct container *c, const struct field *f)
{
	const char *target = f[0].text;

	if (strcmp(target, "/") == 0)
		return add_flags(c->root, MS_RDONLY);
	closing int fd = root_open(c->root, target, 0);

	if (is_absent(fd))
		return 0;
	return fd < 0 ? fd : bind_at(fd, c->root, target, 0, true, MS_RDONLY);
}

/* Go to the new root and close all else: nothing that was open for building may be a way back out
 * (CVE-2024-21626). The list of what is open is the host's, which is out of reach later. */
static int go_to_root(struct container *c)
{
	int error = result(fchdir(c->root));

	c->root = -1;
	c->based = false;
	return error ? error : close_from(c->monitor + 1);
}

int step_pivot_root(struct container *c, const struct field *f)
{
	int error = go_to_root(c);

	(void)f;
	/* Old and new root in one place, the old one on top: pivot_root(2), "." */
	if (!error)
		error = result(syscall(SYS_pivot_root, ".", "."));
	if (!error)
		error = result(umount2(".", MNT_DETACH));
	return error ? error : result(chdir("/"));
}

int step_chroot(struct container *c, const struct field *f)
{
	int error = go_to_root(c);

	(void)f;
	if (!error)
		error = result(chroot("."));
	return error ? error : result(chdir("/"));
}
