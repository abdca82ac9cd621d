// SPDX-License-Identifier: Apache-2.0
/* Mounting on directories and files that were found before and are held by descriptors. */
#ifndef CHRUN_MOUNTS_H
#define CHRUN_MOUNTS_H

#include <stdbool.h>
#include <sys/mount.h>

#include "kernel.h"

struct fd_path {
	char text[32];
};

/* The name under which the kernel finds a descriptor: /proc/self/fd/N. A mount through it lands on
 * what was opened, whoever renames what meanwhile. */
struct fd_path fd_path(int fd);

/* The flags of a mount that steps may set. */
enum { KEPT_FLAGS = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC };

/* mount(2) on a descriptor. */
int mount_on(int target, const char *source, const char *fstype, unsigned long flags,
	     const char *options);

/* Show what `source` is open at `target`, a path below `root`. Flags of MS_RDONLY, MS_NOSUID,
 * MS_NODEV and MS_NOEXEC hold for all that lies below; they are only ever added. */
int bind_at(int source, int root, const char *target, int how, bool recursive,
	    unsigned long flags);

/* How root_open finds a volume's target: what is missing is made, and an image's links may lead
 * there, but not to the root, which it would hide, nor into /proc, where a file means more than its
 * bytes. */
int volume_target(const char *path, bool directory);

/* mount_setattr(2) for a mount that a descriptor is open on; `how` may be RECURSIVE. */
int set_attributes(int fd, struct mount_attributes *attributes, unsigned how);

/* Put a tree of mounts that nobody sees yet on what is open. */
int move_tree(int tree, int target);

/* Mount a tmpfs on the working directory, and make its root that. Flags as MOUNT_ATTR_* has them, too;
 * options are key=value. */
int mount_tmpfs_here(const char *options, unsigned flags);

/* Add flags of mount(2) to those of the mount that a descriptor is open on. */
int add_flags(int fd, unsigned long flags);

/* Copy the mount that a descriptor is open on, with flags, for this process alone (Linux 5.12). */
int copy_mount(int source, unsigned long flags);

/* Open the container's /dev/null as O_PATH; -ENODEV when another file is in its place. */
int open_null(int root);

/* Cover what is open: a directory with an empty one, anything else with the container's /dev/null,
 * after making sure that it is one. */
int mask(int target, int root);

#endif
