// SPDX-License-Identifier: Apache-2.0
#ifndef CHRUN_CGROUP_REMOVAL_H
#define CHRUN_CGROUP_REMOVAL_H

/* Kill all that is in a cgroup and in those that a container has made below it, wait until they are
 * gone, and remove them. `above` is the directory that it lies in by that name, `here` its own. */
int cgroup_remove(int above, const char *name, int here);

/* Kill what is in a cgroup, and let nothing new begin there where the kernel can see to that. */
void cgroup_kill(int cgroup);

#endif
