// SPDX-License-Identifier: Apache-2.0
/* Finding paths inside the container's root, wherever its symlinks point. */
#ifndef CHRUN_ROOT_H
#define CHRUN_ROOT_H

enum {
	ROOT_NO_LINKS = 1,       /* a symlink anywhere on the way is ELOOP */
	ROOT_MAKE_DIRECTORY = 2, /* what is missing is made, ending in a directory */
	ROOT_MAKE_FILE = 4,      /* what is missing is made, ending in an empty file */
	ROOT_NO_PROC = 8,        /* what lies in a procfs is ELOOP: links have led there */
	ROOT_BELOW = 16,         /* the root itself is ELOOP, likewise */
};

/* Open a path below the root as O_PATH. Symlinks, also absolute ones and "..", are followed inside
 * the root and never lead out of it, nor do the links of /proc that are not paths. */
int root_open(int root, const char *path, int how);

/* Open the directory that a path's last name lies in, and point `name` at that name. */
int root_open_parent(int root, const char *path, int how, const char **name);

#endif
