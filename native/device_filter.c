// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "device_filter.h"

#include <stdint.h>
#include <string.h>

#include <linux/bpf.h>

#include "kernel.h"

static const char license[] = "Apache-2.0"; /* of the program: it calls nothing that asks for GPL */

static int bpf(int command, union bpf_attr *attributes)
{
	return result(syscall(SYS_bpf, command, attributes, sizeof(*attributes)));
}

static int load(const char *program, size_t size)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes)); /* the kernel wants zeroes where it knows nothing */
	attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attributes.insns = (uint64_t)(uintptr_t)program;
	attributes.insn_cnt = (uint32_t)(size / sizeof(struct bpf_insn));
	attributes.license = (uint64_t)(uintptr_t)license;
	return bpf(BPF_PROG_LOAD, &attributes);
}

int filter_devices(int cgroup, const char *program, size_t size)
{
	union bpf_attr attributes;
	closing int directory = openat(cgroup, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	closing int filter = directory < 0 ? -errno : load(program, size);

	if (filter < 0)
		return filter;
	memset(&attributes, 0, sizeof(attributes));
	attributes.target_fd = (uint32_t)directory;
	attributes.attach_bpf_fd = (uint32_t)filter;
	attributes.attach_type = BPF_CGROUP_DEVICE;
	attributes.attach_flags = BPF_F_ALLOW_MULTI; /* beside what holds around it: all must allow */
	return bpf(BPF_PROG_ATTACH, &attributes);
}
