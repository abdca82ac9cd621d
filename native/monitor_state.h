// SPDX-License-Identifier: Apache-2.0
/* What the monitor knows while its container lives; shared by the parts of the monitor alone. */
#ifndef CHRUN_MONITOR_STATE_H
#define CHRUN_MONITOR_STATE_H

#include <time.h>

#include "command.h"
#include "gate.h"
#include "monitor.h"
#include "outside.h"
#include "pretend.h"
#include "terminal.h"

struct monitor {
	const struct plan *plan;
	const struct options *options;
	struct command command; /* argv is NULL for a plan that executes nothing */
	uint64_t namespaces;
	pid_t pid;       /* the container's first process; 0 when it was waited for */
	int signals;     /* a signalfd */
	int child, peer; /* the two ends of the socket; the first process has the other one */
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
	struct terminal terminal;
};

/* Take note of the first process's end, if it ended. */
void reap(struct monitor *m);

/* SIGKILL for the first process. */
void kill_container(const struct monitor *m);

/* ^Z: what stops is the container, then the monitor, for the shell to see; both go on with fg. */
void stop(struct monitor *m);

/* Act on all signals that arrived. */
void take_signals_in(struct monitor *m);

/* Take the signals that arrived when there is no container any more: whether one says to end. */
bool is_told_to_end(struct monitor *m);

#endif
