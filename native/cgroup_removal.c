// SPDX-License-Identifier: Apache-2.0
/* A container that may mount can make cgroups in its own, as deep as it likes: there is no descent
 * that keeps them open, but one to the deepest for each. */
#define _GNU_SOURCE
#include "cgroup_removal.h"

#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "files.h"
#include "kernel.h"

enum {
	PATIENCE_MS = 10000, /* until what was killed has left its cgroup */
	DIRECTORY = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
};

static bool is_child(const struct entry *entry)
{
	return entry->type == DT_DIR && strcmp(entry->name, ".") != 0 &&
	       strcmp(entry->name, "..") != 0;
}

/* The name of one of the cgroups in a cgroup. Gives whether there is one, or -errno. */
static int find_child(int cgroup, char name[NAME_MAX + 1])
{
	_Alignas(struct entry) char buffer[4096];
	int length;

	while ((length = result(syscall(SYS_getdents64, cgroup, buffer, sizeof(buffer)))) > 0)
		for (char *at = buffer; at < buffer + length;) {
			const struct entry *entry = (const void *)at;

			if (is_child(entry)) {
				strcpy(name, entry->name);
				return 1;
			}
			at += entry->length;
		}
	return length;
}

static bool write_word(int cgroup, const char *name, const char *word)
{
	closing int fd = openat(cgroup, name, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, word, 1) == 1;
}

/* Kill by the one word that the kernel has for it since Linux 5.14. Before, one by one, which has to
 * be repeated: they may multiply, unless their number is limited here. */
void cgroup_kill(int cgroup)
{
	char processes[4096], *next = processes; /* as much as cgroups show at once */

	if (write_word(cgroup, "cgroup.kill", "1"))
		return;
	(void)write_word(cgroup, "pids.max", "0"); /* which not every cgroup has */
	if (read_text(cgroup, "cgroup.procs", processes, sizeof(processes)) < 0)
		return;
	for (char *end; (end = strchr(next, '\n')); next = end + 1) {
		pid_t pid = (pid_t)strtol(next, NULL, 10);

		if (pid > 0) /* 0 is somebody of another pid namespace, and to kill(2) it is us */
			(void)kill(pid, SIGKILL); /* it may be gone: as wanted */
	}
}

/* Remove one of those that have none below them. Gives whether there was one, or -errno. */
static int remove_deepest(int top)
{
	char name[NAME_MAX + 1], below[NAME_MAX + 1];
	int parent = result(openat(top, ".", DIRECTORY)), child, error;
	int found = parent < 0 ? parent : find_child(parent, below);

	if (found <= 0) {
		close_descriptor(&parent);
		return found;
	}
	do {
		strcpy(name, below);
		child = result(openat(parent, name, DIRECTORY));
		if (child < 0 || find_child(child, below) <= 0)
			break;
		close(parent);
		parent = child;
	} while (true);
	if (child >= 0)
		cgroup_kill(child);
	error = result(unlinkat(parent, name, AT_REMOVEDIR));
	close_descriptor(&child);
	close(parent);
	return error && error != -ENOENT ? error : 1;
}

static int remove_below(int top)
{
	int removed;

	do
		removed = remove_deepest(top);
	while (removed > 0);
	return removed;
}

int cgroup_remove(int above, const char *name, int here)
{
	const struct timespec millisecond = { 0, 1000000 };
	int error = result(unlinkat(above, name, AT_REMOVEDIR));

	for (int tries = 0; error == -EBUSY && tries < PATIENCE_MS; tries++) {
		cgroup_kill(here);
		error = remove_below(here);
		if (!error)
			error = result(unlinkat(above, name, AT_REMOVEDIR));
		if (error == -EBUSY)
			(void)nanosleep(&millisecond, NULL);
	}
	return error == -ENOENT ? 0 : error;
}
