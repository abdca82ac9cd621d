// SPDX-License-Identifier: Apache-2.0
/* The half of a step that the monitor does: what a process in a new user namespace may not. */
#ifndef CHRUN_OUTSIDE_H
#define CHRUN_OUTSIDE_H

#include <stdint.h>
#include <sys/types.h>

#include "cgroups.h"
#include "plan.h"

/* What the monitor knows of the container's user namespace and cgroups. */
struct outside {
	int users;        /* the namespace; -1 until step 30 was asked for */
	bool foreign;     /* ids other than the monitor's are mapped by a program that may do that */
	struct cgroups groups;
	char said[256];   /* what that program said when it failed, "" otherwise */
};

/* Do what the first process, `pid`, asks for with the step at a position of the plan, and answer
 * on `child`. Whatever fails is the answer. */
void serve_outside(struct outside *o, const struct plan *plan, const char *scratch, pid_t pid,
		   uint32_t position, int child);

/* Remove a tree whose files belong to mapped ids, which in their namespace is its root's to do. */
int remove_tree_inside(const struct outside *o, const char *path);

#endif
