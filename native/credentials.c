// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "credentials.h"

#include <grp.h>
#include <sys/prctl.h>

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "kernel.h"

enum { WORDS = _LINUX_CAPABILITY_U32S_3, CAPABILITY_BITS = 64, MAX_GROUPS = 4096 };

typedef struct __user_cap_data_struct cap_data[WORDS];

int set_groups(struct cursor list, uint32_t count)
{
	gid_t groups[MAX_GROUPS];

	if (count > MAX_GROUPS)
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t group = take_number_of(&list);

		if (group > UINT32_MAX) /* cut to 32 bits it could be root's */
			return -EINVAL;
		groups[i] = (gid_t)group;
	}
	return result(setgroups(count, groups));
}

int set_ids(uid_t uid, gid_t gid)
{
	int error = result(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));

	if (!error)
		error = result(setresgid(gid, gid, gid));
	return error ? error : result(setresuid(uid, uid, uid));
}

static struct __user_cap_header_struct header(void)
{
	return (struct __user_cap_header_struct){ _LINUX_CAPABILITY_VERSION_3, 0 };
}

static int set(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct version = header();
	cap_data data;

	for (int i = 0; i < WORDS; i++) {
		data[i].effective = (uint32_t)(effective >> 32 * i);
		data[i].permitted = (uint32_t)(permitted >> 32 * i);
		data[i].inheritable = (uint32_t)(inheritable >> 32 * i);
	}
	return result(syscall(SYS_capset, &version, data));
}

static int read_permitted(uint64_t *permitted)
{
	struct __user_cap_header_struct version = header();
	cap_data data = { { 0 } };

	if (syscall(SYS_capget, &version, data) < 0)
		return -errno;
	*permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	return 0;
}

static int drop_from_bounding(uint64_t kept)
{
	for (int n = 0; n < CAPABILITY_BITS; n++) {
		if (kept >> n & 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, n, 0, 0, 0) < 0)
			return errno == EINVAL ? 0 : -errno; /* behind this kernel's last */
	}
	return 0;
}

static int raise_ambient(uint64_t ambient)
{
	for (int n = 0; n < CAPABILITY_BITS; n++)
		if (ambient >> n & 1 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, n, 0, 0) < 0)
			return -errno;
	return 0;
}

int set_capabilities(const struct capability_sets *sets)
{
	uint64_t has = 0;
	int error = read_permitted(&has);
	uint64_t permitted = sets->permitted & has, effective = sets->effective & has;

	/* a change of user emptied the effective set; dropping needs CAP_SETPCAP in it */
	if (!error)
		error = set(has, has, 0);
	if (!error)
		error = drop_from_bounding(sets->bounding);
	if (!error)
		error = set(effective, permitted, sets->inheritable & has);
	return error ? error : raise_ambient(sets->ambient & permitted & sets->inheritable);
}

int set_filter(const char *bytes, size_t size, unsigned flags)
{
	size_t count = size / sizeof(struct sock_filter);
	struct sock_fprog program = { (unsigned short)count, (void *)(uintptr_t)bytes };

	if (!count || count > BPF_MAXINSNS || size % sizeof(struct sock_filter))
		return -EINVAL;
	return result(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}
