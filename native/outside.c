// SPDX-License-Identifier: Apache-2.0
/* Ids and mounts that are given to a container from outside its user namespace. The monitor does
 * what a record of the plan says; all that the first process tells it is which. It is chrun-init
 * that asks, for its socket closes on execve(2). */
#define _GNU_SOURCE
#include "outside.h"

#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "descriptors.h"
#include "files.h"
#include "kernel.h"
#include "messages.h"
#include "mounts.h"
#include "remove.h"
#include "say.h"
#include "steps.h"

enum {
	IDMAP = 0x100000, /* MOUNT_ATTR_IDMAP */
	MAX_WORDS = 64,   /* of a program's command line */
	CANNOT_RUN = 127,
};

static struct line proc_path(pid_t pid, const char *name)
{
	struct line path = { .length = 0 };

	add_text(&path, "/proc/");
	add_number(&path, (uint64_t)pid);
	add_text(&path, "/");
	add_text(&path, name);
	return path;
}

/* Take a map's lines apart into words behind those that are there. */
static int add_words(char **argv, size_t count, char *map)
{
	for (char *word = strtok(map, " \n"); word; word = strtok(NULL, " \n")) {
		if (count == MAX_WORDS)
			return -E2BIG;
		argv[count++] = word;
	}
	argv[count] = NULL;
	return 0;
}

/* Read from nothing: standard input is the container's. */
static int open_nothing(void)
{
	closing int nothing = result(open("/dev/null", O_RDONLY | O_CLOEXEC));
	int error = nothing < 0 ? nothing : result(dup2(nothing, STDIN_FILENO));

	return error < 0 ? error : 0;
}

/* Become the program: nothing of ours is open in it, and nothing of an environment there. */
static _Noreturn void become_mapper(const char *program, char **argv, int said)
{
	char *const nothing[] = { NULL };
	struct line line = { .length = 0 };
	sigset_t none;
	int error = result(dup2(said, STDERR_FILENO));

	sigemptyset(&none);
	if (error >= 0)
		error = result(dup2(said, STDOUT_FILENO));
	if (error >= 0)
		error = open_nothing();
	if (!error)
		error = result(sigprocmask(SIG_SETMASK, &none, NULL));
	if (!error)
		error = close_from(STDERR_FILENO + 1);
	if (!error)
		error = result(execve(program, argv, nothing));
	add_text(&line, program);
	add_text(&line, ": ");
	add_text(&line, strerror(-error));
	say(&line);
	_exit(CANNOT_RUN);
}

/* Start a program that writes a map: newuidmap(1) or newgidmap(1). */
static pid_t start_mapper(const char *program, pid_t target, const char *map, int said)
{
	char *argv[MAX_WORDS + 1] = { NULL }, words[1024];
	struct line number = { .length = 0 };
	pid_t pid;
	int error;

	add_number(&number, (uint64_t)target);
	argv[0] = (char *)(uintptr_t)program;
	argv[1] = (char *)(uintptr_t)text_of(&number);
	if (strlen(map) >= sizeof(words))
		return -E2BIG;
	error = add_words(argv, 2, strcpy(words, map));
	if (error)
		return error;
	pid = fork();
	if (pid == 0)
		become_mapper(program, argv, said);
	return pid < 0 ? -errno : pid;
}

static int wait_for(pid_t pid, int *status)
{
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* Wait for a program, if it was started at all. */
static int end_mapper(pid_t pid)
{
	int status, error = pid < 0 ? pid : wait_for(pid, &status);

	if (error)
		return error;
	return status == 0 ? 0 : -EPERM;
}

/* Keep the first line that the programs write, and drop the rest. */
static int listen_to(int saying, char *said, size_t size)
{
	char rest[256];
	size_t length = 0;
	ssize_t count;

	while ((count = read(saying, rest, sizeof(rest))) > 0) {
		size_t taken = (size_t)count < size - 1 - length ? (size_t)count : size - 1 - length;

		memcpy(said + length, rest, taken);
		length += taken;
	}
	said[length] = '\0';
	said[strcspn(said, "\n")] = '\0';
	return count < 0 ? -errno : 0;
}

/* Have both maps written by programs that may map ids to what belongs to nobody else: /etc/subuid.
 * Each takes a millisecond, so both run at once. */
static int map_by_programs(struct outside *o, pid_t pid, const struct field *f)
{
	int ends[2], error, other, heard;
	pid_t users, groups;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	users = start_mapper(f[2].text, pid, f[0].text, ends[1]);
	groups = start_mapper(f[3].text, pid, f[1].text, ends[1]);
	close(ends[1]);
	heard = listen_to(ends[0], o->said, sizeof(o->said));
	close(ends[0]);
	error = end_mapper(users);
	other = end_mapper(groups);
	error = error ? error : other ? other : heard;
	if (!error)
		o->said[0] = '\0'; /* a warning, at most */
	o->foreign = !error;
	return error;
}

static int map_here(pid_t pid, const struct field *f)
{
	struct line uid_map = proc_path(pid, "uid_map"), gid_map = proc_path(pid, "gid_map");
	int error = write_setting(text_of(&uid_map), f[0].text, f[0].length);

	return error ? error : write_setting(text_of(&gid_map), f[1].text, f[1].length);
}

static int write_maps(struct outside *o, pid_t pid, const struct field *f)
{
	struct line users = proc_path(pid, "ns/user");

	if (o->users >= 0)
		return -EEXIST;
	o->users = open(text_of(&users), O_RDONLY | O_CLOEXEC);
	if (o->users < 0)
		return -errno;
	return f[2].length ? map_by_programs(o, pid, f) : map_here(pid, f);
}

/* Copy a mount, or the part of one that a directory is, for the container to put in place. Private,
 * or what is mounted here later would be seen there. */
static int open_tree_outside(const struct outside *o, const char *scratch, const struct field *f)
{
	bool recursive = f[2].number, mapped = f[4].number;
	unsigned how = recursive ? RECURSIVE : 0;
	struct mount_attributes attributes = {
		.set = f[3].number | (mapped ? IDMAP : 0),
		.propagation = MS_PRIVATE,
		.userns_fd = mapped ? (uint64_t)o->users : 0,
	};
	char path[PATH_MAX];
	int tree, error = host_path(scratch, f[0].text, path, sizeof(path));

	if (!error && (path[0] != '/' || (mapped && o->users < 0)))
		error = -EINVAL;
	if (error)
		return error;
	tree = result(syscall(SYS_open_tree, AT_FDCWD, path, O_CLOEXEC | TREE_CLONE | how));
	if (tree < 0)
		return tree;
	error = set_attributes(tree, &attributes, how);
	if (!error)
		return tree;
	close(tree);
	return error;
}

void serve_outside(struct outside *o, const struct plan *plan, const char *scratch, pid_t pid,
		   uint32_t position, int child)
{
	struct record record;
	int done = -EINVAL;

	if (plan_at(plan, position, &record)) {
		if (record.number == STEP_OUTER_ID_MAP)
			done = write_maps(o, pid, record.fields);
		else if (record.number == STEP_OUTER_TREE)
			done = open_tree_outside(o, scratch, record.fields);
		else if (record.number == STEP_CGROUP)
			done = cgroups_limit(&o->groups, &record, pid);
		else if (record.number == STEP_DEVICE_FILTER)
			done = cgroups_filter_devices(&o->groups, &record, pid);
	}
	answer(child, (struct failure){ position, done < 0 ? (uint32_t)-done : 0 }, done);
	if (done > 0)
		close(done);
}

int remove_tree_inside(const struct outside *o, const char *path)
{
	int status, error;
	pid_t pid = fork();

	if (pid == 0) {
		error = result(setns(o->users, CLONE_NEWUSER));
		_exit(error ? -error : -remove_tree(path));
	}
	if (pid < 0)
		return -errno;
	error = wait_for(pid, &status);
	if (error)
		return error;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}
