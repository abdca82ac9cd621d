// SPDX-License-Identifier: Apache-2.0
/* Answers to the calls that a container's filter holds back (pretend.h). */
#ifndef CHRUN_LISTENER_H
#define CHRUN_LISTENER_H

#include "monitor_state.h"

/* Have them answered from now on. Closes the listener, or keeps it for listener_hear. */
int listener_take(struct monitor *m, int listener);

/* Act on what poll(2) says of the listener. */
void listener_hear(struct monitor *m, short events);

#endif
