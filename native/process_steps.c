// SPDX-License-Identifier: Apache-2.0
/* The steps behind the new root: who the process is, and what it may do. */
#define _GNU_SOURCE
#include "step_functions.h"

#include <limits.h>
#include <string.h>
#include <sys/prctl.h>

#include <linux/seccomp.h>

#include "credentials.h"
#include "files.h"
#include "kernel.h"
#include "messages.h"
#include "root.h"
#include "streams.h"
#include "terminal.h"

int step_host_name(struct container *c, const struct field *f)
{
	char name[HOST_NAME_MAX + 1];

	if (f[0].length > HOST_NAME_MAX)
		return -ENAMETOOLONG;
	find_host_name(c, name);
	return result(sethostname(name, strlen(name)));
}

int step_rlimit(struct container *c, const struct field *f)
{
	/* the kernel's own 64-bit numbers, which no C library gets to translate */
	const uint64_t soft_and_hard[2] = { f[1].number, f[2].number };

	(void)c;
	return result(syscall(SYS_prlimit64, 0, f[0].number, soft_and_hard, NULL));
}

int step_terminal(struct container *c, const struct field *f)
{
	int error = terminal_open(c->root, c->monitor);

	(void)f;
	c->has_terminal = !error;
	return error;
}

int step_streams(struct container *c, const struct field *f)
{
	return streams_open(c, (struct stream_rules){ f[0].number, f[1].number });
}

int step_user(struct container *c, const struct field *f)
{
	uid_t uid = (uid_t)f[0].number;
	gid_t gid = (gid_t)f[1].number;
	bool keep_groups = f[3].number;
	bool is_whole = uid == f[0].number && gid == f[1].number;
	int error = keep_groups ? 0 : set_groups(f[2].list, f[2].length);

	/* cut to 32 bits it could be root's; and -1 would leave root what it is */
	if (!is_whole || uid == (uid_t)-1 || gid == (gid_t)-1)
		return -EINVAL;
	/* /dev/stdout leads to the terminal, and the user opens it anew */
	if (!error && c->has_terminal)
		error = result(fchown(STDIN_FILENO, uid, (gid_t)-1));
	if (!error)
		error = streams_give(c, uid);
	if (!error)
		error = set_ids(uid, gid);
	return error ? error : bind_to_parent(c); /* other ids undo it: prctl(2) */
}

int step_capabilities(struct container *c, const struct field *f)
{
	struct capability_sets sets = {
		.bounding = f[0].number,
		.effective = f[1].number,
		.permitted = f[2].number,
		.inheritable = f[3].number,
		.ambient = f[4].number,
	};

	(void)c;
	return set_capabilities(&sets);
}

int step_no_new_privs(struct container *c, const struct field *f)
{
	(void)c, (void)f;
	return result(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

int step_seccomp(struct container *c, const struct field *f)
{
	const char *program = f[0].text;
	bool listens = f[1].number;
	int error = await_record(c);

	if (error || !listens)
		return error ? error : set_filter(program, f[0].length, 0);
	closing int listener = set_filter(program, f[0].length, SECCOMP_FILTER_FLAG_NEW_LISTENER);

	return listener < 0 ? listener : send_listener(c->monitor, listener);
}

/* Nothing from outside is open any more but, perhaps, 0, 1 and 2; those are not a way out either,
 * for the links of /proc are not followed. The kernel has the last word: the path of a directory
 * outside the root does not begin with a slash. */
int step_working_directory(struct container *c, const struct field *f)
{
	char path[PATH_MAX];
	closing int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	closing int fd = root < 0 ? -errno : root_open(root, f[0].text, ROOT_MAKE_DIRECTORY);
	int error = fd < 0 ? fd : result(fchdir(fd));

	(void)c;
	if (!error)
		error = result(syscall(SYS_getcwd, path, sizeof(path)));
	if (error < 0)
		return error;
	return path[0] == '/' ? 0 : -EXDEV;
}
