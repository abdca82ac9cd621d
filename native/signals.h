// SPDX-License-Identifier: Apache-2.0
#ifndef CHRUN_SIGNALS_H
#define CHRUN_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* The signals that the monitor takes for the container: all but those that tell of its own bugs. */
sigset_t forwarded_signals(void);

/* True when a signal ends a process that does nothing about it: signal(7). */
bool is_deadly(int number);

enum reaction {
	REACTION_NONE,    /* the default one, from which the kernel spares a PID 1 */
	REACTION_OWN,     /* it catches, ignores or waits for the signal */
	REACTION_DELAYED, /* it blocks the signal, now or for ever */
};

/* What a process would do about a signal, by its /proc/PID/status. Where that cannot be read it is
 * taken to react: a server that would have saved its data must not be killed on a guess. */
enum reaction reaction_to(pid_t pid, int number);

#endif
