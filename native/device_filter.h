// SPDX-License-Identifier: Apache-2.0
#ifndef CHRUN_DEVICE_FILTER_H
#define CHRUN_DEVICE_FILTER_H

#include <stddef.h>

/* Have a BPF_PROG_TYPE_CGROUP_DEVICE program, an array of struct bpf_insn, decide which devices the
 * processes of a cgroup of version 2 may make, read and write. It goes with the cgroup. */
int filter_devices(int cgroup, const char *program, size_t size);

#endif
