// SPDX-License-Identifier: Apache-2.0
/* What the monitor knows while its container lives; shared by the parts of the monitor alone. */
#ifndef CHRUN_MONITOR_STATE_H
#define CHRUN_MONITOR_STATE_H

#include <time.h>

#include "command.h"
#include "gate.h"
#include "messages.h"
#include "monitor.h"
#include "outside.h"
#include "pretend.h"
#include "streams.h"
#include "terminal.h"

struct monitor {
	const struct plan *plan;
	const struct options *options;
	struct command command; /* argv is NULL for a plan that executes nothing */
	uint64_t namespaces;
	pid_t reaper;    /* the monitor's child, and the first process's parent; 0 after its end */
	pid_t pid;       /* the container's first process; 0 before it is known and after its end */
	int ended;       /* the reaper's socket: brings the first process's wait status */
	int signals;     /* a signalfd */
	int child;       /* the first process has the other end of this socket */
	int lifeline;
	int deadline;    /* a timerfd; -1 without a time limit */
	timer_t backstop; /* kills the monitor some time after a deadline that it did not see */
	struct gate gate;
	struct outside outside; /* what is done for the first process that it may not */
	int listener;    /* of a filter that asks who a process pretends to be */
	struct identity identity; /* the first process's */
	bool executed;   /* the first process is the command, or waits for it */
	bool timed_out;  /* the container was killed because its time was up */
	bool failed;     /* a step did: the exit status is chrun's own */
	int killed_for;  /* the signal whose default action was carried out for the container */
	int status;
	bool has_terminal;
	int ends[MESSAGE_DESCRIPTORS]; /* of the terminal or of standard streams, until the command runs */
	struct terminal terminal;
	struct streams streams;
};

/* Report the failure of the step at a position, unless one was reported before. */
void fail(struct monitor *m, uint32_t position, int error);

/* The command runs: nothing more is read from the first process, and its streams are relayed. */
void begin(struct monitor *m);

/* Receive what the first process has sent. The end of its socket is its execve(2), or its death. */
void hear_child(struct monitor *m);

/* Receive the wait status of the first process from the reaper. */
void hear_reaper(struct monitor *m);

/* Take note of the reaper's end, if it ended, and of stops at the gate. */
void reap(struct monitor *m);

/* Whether the first process has ended, or never began. */
bool has_ended(const struct monitor *m);

/* SIGKILL for the first process, or for the reaper before the first process is known. */
void kill_container(const struct monitor *m);

/* Fail for an -errno of the caller's standard output or error, unless it is 0. */
void fail_streams(struct monitor *m, int error);

/* ^Z: what stops is the container, then the monitor, for the shell to see; both go on with fg. */
void stop(struct monitor *m);

/* Act on all signals that arrived. */
void take_signals_in(struct monitor *m);

/* Take the signals that arrived when there is no container any more: whether one says to end. */
bool is_told_to_end(struct monitor *m);

#endif
