// SPDX-License-Identifier: Apache-2.0
/* A tmpfs where this process is, which mount(2) cannot do without a path that leads there. */
#define _GNU_SOURCE
#include "mounts.h"

#include <string.h>

#include "kernel.h"

/* linux/mount.h clashes with the headers of some C libraries. */
enum { SET_STRING = 1, CREATE = 6, OPEN_CLOSING = 1 };

static int configure(int context, char *option)
{
	char *content = strchr(option, '=');

	if (!content)
		return -EINVAL;
	*content++ = '\0';
	return result(syscall(SYS_fsconfig, context, SET_STRING, option, content, 0));
}

static int configure_all(int context, const char *options)
{
	char copy[256];
	int error = 0;

	if (strlen(options) >= sizeof(copy))
		return -E2BIG;
	strcpy(copy, options);
	for (char *option = strtok(copy, ","); option && !error; option = strtok(NULL, ","))
		error = configure(context, option);
	return error;
}

int mount_tmpfs_here(const char *options, unsigned flags)
{
	closing int context = result(syscall(SYS_fsopen, "tmpfs", OPEN_CLOSING));
	int error = context < 0 ? context : configure_all(context, options);

	if (!error)
		error = result(syscall(SYS_fsconfig, context, CREATE, NULL, NULL, 0));
	if (error)
		return error;
	closing int mounted = result(syscall(SYS_fsmount, context, OPEN_CLOSING, flags));

	if (mounted < 0)
		return mounted;
	error = result(syscall(SYS_move_mount, mounted, "", AT_FDCWD, "", MOVE_EMPTY_PATHS));
	return error ? error : result(fchdir(mounted));
}
