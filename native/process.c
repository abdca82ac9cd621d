// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "process.h"

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "files.h"
#include "kernel.h"
#include "say.h"

enum {
	FIELDS_FROM_STATE_TO_START = 19, /* of /proc/PID/stat: 3, state, to 22, starttime */
	MOST_ROUNDS = 20000,             /* of killing what multiplies: some seconds */
};

static uint64_t read_number(const char *digits)
{
	uint64_t number = 0;

	for (; *digits >= '0' && *digits <= '9'; digits++)
		number = number * 10 + (uint64_t)(*digits - '0');
	return number;
}

/* The command's name, between parentheses, may hold anything: the fields are behind the last one. */
static int read_start(int process, uint64_t *started)
{
	char stat[1024];
	int error = read_text(process, "stat", stat, sizeof(stat));
	const char *at = error ? NULL : strrchr(stat, ')');

	if (error)
		return error;
	for (int i = 0; at && i <= FIELDS_FROM_STATE_TO_START; i++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	if (!at)
		return -EINVAL;
	*started = read_number(at);
	return 0;
}

int open_process(const char *path, uint64_t started)
{
	int process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint64_t found = 0;
	int error;

	if (process < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	error = read_start(process, &found);
	if (!error && found == started)
		return process;
	close(process);
	return error && error != -ENOENT ? error : -ESRCH;
}

/* Whether /proc shows the pid namespace that this process is in, as it need not where somebody else
 * made that: its numbers would mean others here. */
static bool knows_own_processes(void)
{
	char shown[24] = "";
	ssize_t length = readlink("/proc/self", shown, sizeof(shown) - 1);

	return length > 0 && read_number(shown) == (uint64_t)getpid();
}

int read_own_start(uint64_t *started)
{
	closing int self = result(open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC));

	return self < 0 ? self : read_start(self, started);
}

int record_process(const char *scratch, pid_t pid, uint64_t started, int unread)
{
	if (!knows_own_processes())
		return 0; /* nobody could find it by what would be written */
	closing int directory = result(open(scratch, O_PATH | O_DIRECTORY | O_CLOEXEC));
	struct line words = { .length = 0 };
	int error = directory < 0 ? directory : unread;

	if (error)
		return error;
	add_number(&words, (uint64_t)pid);
	add_text(&words, ":");
	add_number(&words, started);
	error = result(symlinkat(text_of(&words), directory, "process"));
	if (error != -EEXIST)
		return error;
	error = result(unlinkat(directory, "process", 0)); /* of the container's last run */
	return error ? error : result(symlinkat(text_of(&words), directory, "process"));
}

int adopt_orphans(void)
{
	return result(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
}

void reap_orphans(pid_t first)
{
	siginfo_t ended = { .si_pid = 0 };

	while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid > 0 &&
	       ended.si_pid != first)
		(void)waitpid(ended.si_pid, NULL, WNOHANG); /* which it was just said to be ready for */
}

/* Kill what a part of the list of children names. Gives the length of the number that it cuts off,
 * which then stands at its start. */
static size_t kill_listed(char *pids, size_t length)
{
	size_t start = 0;

	for (size_t at = 0; at < length; at++)
		if (pids[at] == ' ') {
			(void)kill((pid_t)read_number(pids + start), SIGKILL); /* it may have ended */
			start = at + 1;
		}
	memmove(pids, pids + start, length - start);
	return length - start;
}

/* Kill all children: what they leave is inherited, for the next round. To the end of the list: it
 * names those that have ended first. */
static int kill_children(void)
{
	char pids[4096];
	size_t kept = 0;
	ssize_t length;
	closing int list = result(open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC));

	if (list < 0)
		return list; /* as without CONFIG_PROC_CHILDREN */
	while ((length = read(list, pids + kept, sizeof(pids) - kept)) > 0)
		kept = kill_listed(pids, kept + (size_t)length);
	return length < 0 ? -errno : 0;
}

int end_orphans(void)
{
	const struct timespec moment = { 0, 200000 };
	bool is_known = knows_own_processes();

	for (int round = 0; round < MOST_ROUNDS; round++) {
		pid_t reaped = 1;

		while (reaped > 0)
			reaped = waitpid(-1, NULL, WNOHANG);
		if (reaped < 0)
			return 0; /* there are none */
		if (!is_known || kill_children() < 0)
			return -ESRCH;
		(void)nanosleep(&moment, NULL);
	}
	return -EAGAIN;
}
