// SPDX-License-Identifier: Apache-2.0
/* The end, and ends that are not the command's own: its time was up, or its memory was used up. */
#ifndef CHRUN_ENDING_H
#define CHRUN_ENDING_H

#include "monitor_state.h"

enum { EXIT_TIMED_OUT = 124 }; /* as timeout(1) has it */

/* Start the clock of step 33, if the plan has one. */
int deadline_start(struct monitor *m);

/* The time is up: kill the container. */
void deadline_pass(struct monitor *m);

/* Whether the container may come to such an end. */
bool may_be_ended(const struct monitor *m);

/* Write what the container's terminal still holds. A reader who does not read is waited for, until the
 * time is up or a signal says to end; and only for a moment where that was so before. */
void drain_output(struct monitor *m);

/* The exit status: why chrun or somebody else ended the container, or else the command's own. */
int ending_status(const struct monitor *m);

/* Say what ended the container, where the caller wants to hear of it. */
void tell_ending(const struct monitor *m);

#endif
