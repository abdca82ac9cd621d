// SPDX-License-Identifier: Apache-2.0
/* Who the container's process is and what it may do. */
#ifndef CHRUN_CREDENTIALS_H
#define CHRUN_CREDENTIALS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

/* Bit n is capability n of capabilities(7). */
struct capability_sets {
	uint64_t bounding, effective, permitted, inheritable, ambient;
};

/* Replace the supplementary groups by those in a list of numbers. */
int set_groups(struct cursor list, uint32_t count);

/* Change all ids, and keep the permitted capabilities until execve(2). */
int set_ids(uid_t uid, gid_t gid);

/* Give the process exactly these sets, as far as it has them: a root without CAP_SYS_RESOURCE
 * cannot hand it on. Wants CAP_SETPCAP among the permitted ones. */
int set_capabilities(const struct capability_sets *sets);

/* Install a system call filter: an array of struct sock_filter. Gives 0, or with SECCOMP_FILTER_FLAG_
 * NEW_LISTENER among the flags a descriptor to hear from it. */
int set_filter(const char *bytes, size_t size, unsigned flags);

#endif
