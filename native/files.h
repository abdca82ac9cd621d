// SPDX-License-Identifier: Apache-2.0
#ifndef CHRUN_FILES_H
#define CHRUN_FILES_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "steps.h"

/* What getdents64(2) gives. */
struct entry {
	uint64_t inode;
	int64_t next;
	uint16_t length;
	uint8_t type;
	char name[];
};

/* Write a host path as the kernel wants it: "%" stands for the scratch directory. */
int host_path(const char *scratch, const char *path, char *whole, size_t size);

/* Open a host path. */
int open_host_path(const char *scratch, const char *path, int flags);

/* Read a small file as a string, as much of it as fits and the kernel gives at once. */
int read_text(int directory, const char *name, char *text, size_t size);

/* Write one of the files of /proc that are settings. */
int write_setting(const char *path, const char *bytes, size_t length);

/* The host name that the container gets, or has already. */
void find_host_name(const struct container *c, char name[HOST_NAME_MAX + 1]);

/* Write a new file in the base directory, named after the step. `expanded`: with the host name for
 * every %h and % for every %%. Gives a descriptor of it. */
int create_file(const struct container *c, mode_t mode, const char *text, size_t length,
		bool expanded);

#endif
