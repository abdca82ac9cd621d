// SPDX-License-Identifier: Apache-2.0
/* The container's cgroups (cgroups(7)): made, limited and removed by the monitor, from outside. */
#ifndef CHRUN_CGROUPS_H
#define CHRUN_CGROUPS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "plan.h"

enum { MAX_CGROUPS = 8 }; /* one for each tree of version 1, and one of version 2 */

struct cgroup {
	const char *parent; /* as the plan names it */
	int above, here;    /* its parent's directory and its own */
	bool entered;       /* the first process is in it */
};

/* Zeroed but for `id` and `scratch` before the first step 32. */
struct cgroups {
	const char *id, *scratch;
	struct cgroup all[MAX_CGROUPS];
	size_t count;
	pid_t reaper;          /* leaves the cgroup together with the monitor */
	bool divided;          /* the monitor left its own cgroup for a child of it */
	int own;               /* that one's directory, then */
	const struct cgroup *memory; /* the one whose memory is limited, or NULL */
	uint32_t position;     /* of the step that limited it */
	const char *amount;    /* what it was limited to */
};

/* Step 32: make a cgroup unless it is there, set a limit in it, and have `pid` in it. */
int cgroups_limit(struct cgroups *groups, const struct record *record, pid_t pid);

/* Step 39: make a cgroup of version 2 unless it is there, and filter the use of devices in it. */
int cgroups_filter_devices(struct cgroups *groups, const struct record *record, pid_t pid);

/* Whether one of them limits the time of processors. */
bool cgroups_limit_cpu(const struct cgroups *groups);

/* Have the time that a process outside the container takes for it counted as the container's. */
int cgroups_charge_cpu(const struct cgroups *groups, pid_t pid);

/* Whether the kernel killed a process of the container for the lack of memory. */
bool cgroups_ran_out(const struct cgroups *groups);

/* Kill what is left in the cgroups, as far as one attempt goes. */
void cgroups_kill(const struct cgroups *groups);

/* Step 66: kill whatever is left in the cgroups, and remove them. */
int cgroups_remove(struct cgroups *groups);

#endif
