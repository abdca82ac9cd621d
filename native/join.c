// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "join.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "kernel.h"
#include "messages.h"
#include "process.h"

enum { MAX_JOINED = 8 }; /* there are no more types of namespaces */

static const struct {
	uint64_t flag;
	const char *file;
} types[] = {
	{ CLONE_NEWUSER, "ns/user" }, /* first: it is what gives the right to join the others */
	{ CLONE_NEWNET, "ns/net" },
	{ CLONE_NEWIPC, "ns/ipc" },
	{ CLONE_NEWUTS, "ns/uts" },
	{ CLONE_NEWPID, "ns/pid" },
};

/* What is to be joined, opened while the right to look at those processes is still there. */
struct joined {
	struct {
		int fd;
		uint32_t position;
	} opened[MAX_JOINED];
	size_t count;
};

/* With CLONE_PARENT the signal for the parent is this process's own. */
pid_t clone_process(uint64_t flags)
{
	uint64_t signal = flags & CLONE_PARENT ? 0 : SIGCHLD;
	struct clone3_arguments arguments = { .flags = flags, .exit_signal = signal };
	int pid = result(syscall(SYS_clone3, &arguments, sizeof(arguments)));

	if (is_missing(pid))
		pid = result(syscall(SYS_clone, flags | signal, NULL, NULL, NULL, NULL));
	return pid;
}

static int open_namespace(struct joined *joined, const struct record *record, const char *file)
{
	closing int process = open_process(record->fields[0].text, record->fields[1].number);
	int fd = process < 0 ? process : result(openat(process, file, O_RDONLY | O_CLOEXEC));

	if (fd < 0)
		return fd == -ENOENT ? -ESRCH : fd; /* what has ended has no namespaces any more */
	if (joined->count == MAX_JOINED) {
		close(fd);
		return -EINVAL;
	}
	joined->opened[joined->count].fd = fd;
	joined->opened[joined->count++].position = record->position;
	return 0;
}

/* Open the namespaces of one type that the plan joins. */
static int open_type(struct joined *joined, const struct plan *plan, size_t type,
		     uint32_t *position)
{
	struct cursor next = plan->records;
	struct record record = { 0 };
	int error = 0;

	while (!error && plan_next(&next, &record)) {
		if (record.number != STEP_JOIN || !(record.fields[2].number & types[type].flag))
			continue;
		*position = record.position;
		error = open_namespace(joined, &record, types[type].file);
	}
	return error;
}

static int join_all(const struct plan *plan, uint32_t *position)
{
	struct joined joined = { .count = 0 };
	int error = 0;

	for (size_t i = 0; i < sizeof(types) / sizeof(*types) && !error; i++)
		error = open_type(&joined, plan, i, position);
	for (size_t i = 0; i < joined.count && !error; i++) {
		*position = joined.opened[i].position;
		error = result(setns(joined.opened[i].fd, 0));
	}
	return error; /* all of it closes with this process, or on the way to the command */
}

struct answer {
	int32_t pid; /* or -errno */
	uint32_t position;
};

/* Keep this process, in which the machine's files are still in sight, and what it clones from being
 * looked into by a joined container that has CAP_SYS_PTRACE in its user namespace (CVE-2016-9962).
 * execve(2) ends it. */
static int hide_from_joined(void)
{
	return result(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
}

/* Only children join a pid namespace, so a process in between joins, and clones the reaper as the
 * monitor's child (CLONE_PARENT). It ends at once. Returns 0 in the reaper.
 *
 * It hides after the monitor has had the time to hold it, and before a joined container can see it or
 * its child: an ordinary user's monitor cannot hold a process that is hidden. */
static int start_between(const struct plan *plan, uint64_t namespaces, int told)
{
	struct answer answer = { 0, 0 };
	int error = await_word(told, WORD_HELD);

	if (error)
		_exit(1); /* the monitor is dead */
	error = hide_from_joined();
	if (!error)
		error = join_all(plan, &answer.position);
	if (error)
		answer.pid = error;
	else if ((answer.pid = clone_process(namespaces | CLONE_PARENT)) == 0)
		return 0;
	else if (answer.pid == -ENOMEM) /* the other's first process is gone: pid_namespaces(7) */
		answer.pid = -ESRCH;
	else
		answer.position = 0;
	_exit(write(told, &answer, sizeof(answer)) != sizeof(answer));
}

static pid_t hear_between(int told, pid_t between, struct gate *gate, uint32_t *position)
{
	struct answer answer = { -ECHILD, 0 };

	if (gate->fd >= 0)
		gate_hold_between(gate, between);
	if (send_word(told, WORD_HELD) == 0)
		gate_follow(gate, between);
	if (read(told, &answer, sizeof(answer)) != sizeof(answer))
		answer.pid = -ECHILD;
	while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
		continue;
	*position = answer.position;
	return answer.pid;
}

pid_t start_reaper(const struct plan *plan, uint64_t namespaces, struct gate *gate,
		   uint32_t *position)
{
	struct record record;
	int ends[2];
	pid_t between;

	*position = 0;
	if (!plan_find(plan, STEP_JOIN, &record))
		return clone_process(namespaces);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	between = clone_process(0);
	if (between == 0) {
		close(ends[0]);
		return start_between(plan, namespaces, ends[1]);
	}
	close(ends[1]);
	if (between > 0)
		between = hear_between(ends[0], between, gate, position);
	close(ends[0]);
	return between;
}

bool joins(const struct plan *plan, uint64_t flag)
{
	struct cursor next = plan->records;
	struct record record = { 0 };

	while (plan_next(&next, &record))
		if (record.number == STEP_JOIN && record.fields[2].number & flag)
			return true;
	return false;
}

int open_joined_users(const struct plan *plan)
{
	struct joined joined = { .count = 0 };
	uint32_t position;
	int error = open_type(&joined, plan, 0, &position);

	return !error && joined.count ? joined.opened[0].fd : -1;
}
