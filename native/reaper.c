// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "reaper.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "descriptors.h"
#include "first.h"
#include "join.h"
#include "kernel.h"
#include "messages.h"
#include "process.h"
#include "steps.h"

enum { SOCKET, LOCK, RESERVED }; /* the reaper's descriptors */

/* The right to make a pid namespace is that of a user namespace. */
uint64_t reaper_namespaces(uint64_t namespaces)
{
	return namespaces & CLONE_NEWPID ? namespaces & (CLONE_NEWPID | CLONE_NEWUSER) : 0;
}

bool is_subreaper(const struct plan *plan, uint64_t namespaces)
{
	return !(namespaces & CLONE_NEWPID) && !joins(plan, CLONE_NEWPID);
}

static uint64_t namespaces_of_first(uint64_t namespaces)
{
	return namespaces & ~(reaper_namespaces(namespaces) & CLONE_NEWUSER);
}

static bool has_pid_namespace(const struct reaper *r)
{
	return r->namespaces & CLONE_NEWPID;
}

/* exit(2) closes the monitor's end of the socket before it sends the signal. */
static bool is_monitor_dead(int socket)
{
	struct pollfd end = { socket, 0, 0 };

	return poll(&end, 1, 0) < 0 || end.revents & POLLHUP;
}

/* A subreaper gets SIGTERM, which it has blocked, because it has processes to kill first. */
static int bind_to_monitor(const struct reaper *r)
{
	int signal_number = has_pid_namespace(r) ? SIGKILL : SIGTERM;
	int error = result(prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0));

	if (!error && is_monitor_dead(r->monitor))
		error = -EPIPE; /* it died before prctl(2) */
	return error;
}

/* The first process must be dumpable: newuidmap(1) looks at the owner of its /proc directory. The
 * reaper must not be: CAP_SYS_PTRACE in a joined user namespace must not reach the host's files
 * through it. */
static int hide(const struct reaper *r)
{
	int error = result(dup2(r->monitor, SOCKET));

	if (error >= 0 && r->options->hold >= 0)
		error = result(dup2(r->options->hold, LOCK));
	if (error >= 0)
		error = close_from(r->options->hold >= 0 ? RESERVED : LOCK);
	return error ? error : result(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
}

/* Wait for the end of the first process, which stays a zombie: its pid is not used again while the
 * monitor may signal it. Return false when the monitor died first. */
static bool wait_for_first(const struct reaper *r, pid_t first, siginfo_t *ended)
{
	sigset_t awaited;

	sigemptyset(&awaited);
	sigaddset(&awaited, SIGCHLD);
	sigaddset(&awaited, SIGTERM);
	for (;;) {
		ended->si_pid = 0;
		if (waitid(P_PID, (id_t)first, ended, WEXITED | WNOHANG | WNOWAIT) < 0)
			return false;
		if (ended->si_pid == first)
			return true;
		if (!has_pid_namespace(r))
			reap_orphans(first);
		if (sigwaitinfo(&awaited, NULL) == SIGTERM && is_monitor_dead(SOCKET))
			return false; /* any other SIGTERM was for the monitor's whole process group */
	}
}

/* As waitpid(2) would return it. */
static int wait_status_of(const siginfo_t *ended)
{
	return ended->si_code == CLD_EXITED ? ended->si_status << 8 : ended->si_status;
}

static _Noreturn void watch(const struct reaper *r, pid_t first)
{
	siginfo_t ended = { .si_pid = 0 };
	char end;

	if (wait_for_first(r, first, &ended)) {
		int status = wait_status_of(&ended);

		if (send(SOCKET, &status, sizeof(status), MSG_NOSIGNAL) == sizeof(status))
			(void)recv(SOCKET, &end, sizeof(end), 0); /* returns when the monitor closes it */
	}
	leave(has_pid_namespace(r) ? 0 : -end_orphans());
}

static pid_t start_first(const struct reaper *r)
{
	pid_t parent = has_pid_namespace(r) ? 0 : getpid(); /* as getppid(2) returns it in the child */
	pid_t pid = clone_process(namespaces_of_first(r->namespaces));

	if (pid != 0)
		return pid;
	run_container(r->plan, r->options, r->command, &(struct relatives){ r->peer, parent });
}

void run_reaper(const struct reaper *r)
{
	int error = bind_to_monitor(r);
	pid_t first;

	if (!error && is_subreaper(r->plan, r->namespaces))
		error = adopt_orphans();
	first = error ? error : start_first(r);
	if (first > 0)
		error = hide(r);
	if (first > 0 && !error)
		watch(r, first);
	(void)send_failure(r->peer, (struct failure){ 0, (uint32_t)(first < 0 ? -first : -error) });
	leave(EXIT_CHRUN_FAILED);
}
