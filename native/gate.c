// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "gate.h"

#include <signal.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "kernel.h"
#include "messages.h"

/* Headers of C libraries disagree on these; ptrace(2) has the numbers. */
enum { STOP_EXEC = 4, STOP_FORK = 1, STOP_CLONE = 3, STOP_GROUP = 128 };

/* A process that is held dies with the monitor: it must not run unseen. */
static const uintptr_t options =
	PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE;

/* What the inspector hears: who stands at the gate, or (pid 0) why nobody can be held; and the
 * kernel's version of Landlock, for which there is no file to read, 0 without. */
struct arrival {
	uint32_t pid, error, landlock;
};

enum { LANDLOCK_VERSION = 1 }; /* LANDLOCK_CREATE_RULESET_VERSION */

/* ptrace(2) itself: C libraries have several types for the first argument of their function. */
static int request(int what, pid_t pid, uintptr_t data)
{
	return result(syscall(SYS_ptrace, (long)what, (long)pid, 0L, data));
}

static void announce(const struct gate *g, pid_t pid, int error)
{
	int landlock = result(syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION));
	struct arrival arrival = {
		(uint32_t)pid, (uint32_t)-error, landlock > 0 ? (uint32_t)landlock : 0,
	};

	/* when it is gone, reading from the socket tells */
	(void)send(g->fd, &arrival, sizeof(arrival), MSG_NOSIGNAL);
}

void gate_hold(struct gate *g, pid_t pid, int child)
{
	int error = g->held == pid ? 0 : request(PTRACE_SEIZE, pid, options);

	if (!error)
		error = send_word(child, WORD_HELD);
	if (error)
		announce(g, 0, error);
	else
		g->held = pid;
}

/* With a PID 1 before it, the command is what the first process forks; where namespaces are joined,
 * the first process is what the one in between clones. */
static void follow_child(struct gate *g)
{
	unsigned long child = 0;
	pid_t parent = g->held;

	if (request(PTRACE_GETEVENTMSG, parent, (uintptr_t)&child) < 0)
		return; /* killed meanwhile, as the next wait tells */
	g->held = (pid_t)child;
	(void)request(PTRACE_DETACH, parent, 0); /* likewise */
}

static bool stops(int number)
{
	return number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
}

/* A word that is there before somebody stands at the gate is about nobody who was looked at. */
static bool is_silent(const struct gate *g)
{
	char word;

	return recv(g->fd, &word, sizeof(word), MSG_PEEK | MSG_DONTWAIT) < 0;
}

/* Who is held stopped. Only at execve(2) does it stay so; all else is as if nobody held it. A
 * request that fails finds it killed, as the next wait tells. */
static void take_stop(struct gate *g, int status)
{
	int number = WSTOPSIG(status);

	switch (status >> 16) {
	case STOP_EXEC:
		g->stands = is_silent(g);
		announce(g, g->held, 0);
		return;
	case STOP_FORK:
	case STOP_CLONE:
		follow_child(g);
		return;
	case STOP_GROUP:
		(void)request(stops(number) ? PTRACE_LISTEN : PTRACE_CONT, g->held, 0);
		return;
	default:
		(void)request(PTRACE_CONT, g->held, (uintptr_t)number);
	}
}

void gate_hold_between(struct gate *g, pid_t between)
{
	if (request(PTRACE_SEIZE, between, options) == 0)
		g->held = between;
}

void gate_follow(struct gate *g, pid_t between)
{
	int status;

	while (g->held == between) {
		pid_t waited = waitpid(between, &status, __WALL);

		if (waited > 0 && WIFSTOPPED(status))
			take_stop(g, status);
		else if (waited > 0 || errno != EINTR)
			g->held = 0; /* it ended without a child */
	}
}

/* A child of PID 1 is reaped by whom it is held by first: without, PID 1 could not end. */
static void wait_for_held(struct gate *g)
{
	int status;

	while (g->held > 0 && waitpid(g->held, &status, WNOHANG | __WALL) > 0)
		if (WIFSTOPPED(status))
			take_stop(g, status);
		else
			g->held = 0;
}

bool gate_wait(struct gate *g, pid_t pid, int *status)
{
	while (waitpid(pid, status, WNOHANG) > 0) {
		if (!WIFSTOPPED(*status)) {
			if (g->held == pid)
				g->held = 0;
			return true;
		}
		take_stop(g, *status);
	}
	if (g->held != pid)
		wait_for_held(g);
	return false;
}

enum gate_answer gate_hear(struct gate *g, char *said, size_t size)
{
	ssize_t length = recv(g->fd, said, size - 1, MSG_DONTWAIT);

	if (length < 0 && errno == EAGAIN)
		return GATE_SILENT;
	close(g->fd);
	g->fd = -1;
	said[length > 0 ? length : 0] = '\0';
	if (said[0] != '+' || !g->stands)
		return GATE_SHUT;
	if (g->held > 0 && request(PTRACE_DETACH, g->held, 0) == 0)
		g->held = 0;
	return GATE_OPEN;
}
