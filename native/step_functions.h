// SPDX-License-Identifier: Apache-2.0
/* One function for each step of docs/reference/plan.md: it gives 0 or -errno. */
#ifndef CHRUN_STEP_FUNCTIONS_H
#define CHRUN_STEP_FUNCTIONS_H

#include "steps.h"

typedef int step_function(struct container *, const struct field *);

step_function step_propagation;
step_function step_base;
step_function step_symlink;
step_function step_directory;
step_function step_mount_in_base;
step_function step_root;
step_function step_mount;
step_function step_bind;
step_function step_node;
step_function step_link;
step_function step_file;
step_function step_mask;
step_function step_read_only;
step_function step_pivot_root;
step_function step_chroot;
step_function step_host_name;
step_function step_rlimit;
step_function step_terminal;
step_function step_streams;
step_function step_user;
step_function step_capabilities;
step_function step_no_new_privs;
step_function step_seccomp;
step_function step_working_directory;
step_function step_grab;
step_function step_place;
step_function step_like;
step_function step_id_map;
step_function step_outer_id_map;
step_function step_outer_tree;
step_function step_cgroup;
step_function step_cgroup_namespace;
step_function step_landlock;
step_function step_join;
step_function step_sysctl;
step_function step_loopback;
step_function step_shared_memory;

#endif
