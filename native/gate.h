// SPDX-License-Identifier: Apache-2.0
/* The gate: with `gate=FD` the command stands still behind its execve(2), before its first
 * instruction, until whoever has the socket's other end has looked at it. ptrace(2) holds it there,
 * because only after execve(2) are its capabilities and descriptors what they will be. */
#ifndef CHRUN_GATE_H
#define CHRUN_GATE_H

#include <stdbool.h>
#include <sys/types.h>

struct gate {
	int fd;      /* the inspector's socket; -1 without one, and when it was answered */
	pid_t held;  /* the process that is traced: the first process, its ancestor or its child; or 0 */
	bool stands; /* it is behind its execve(2) */
};

enum gate_answer { GATE_SILENT, GATE_OPEN, GATE_SHUT };

/* In the monitor, where namespaces are joined: hold the process that clones the reaper in them before
 * a joined container can see it, and follow from there to the reaper, which is held from its beginning.
 * Where ptrace(2) is refused nothing happens; gate_hold tells then. */
void gate_hold_between(struct gate *g, pid_t between);
void gate_follow(struct gate *g, pid_t between);

/* In the monitor: hold a new process, unless it is held, and let it begin, which awaits a word. Where
 * ptrace(2) is refused the inspector is told so, and the process does not begin. `child` is the
 * monitor's end of their socket. */
void gate_hold(struct gate *g, pid_t pid, int child);

/* As waitpid(2) with WNOHANG for the reaper. Also acts on the stops of the process that is held. */
bool gate_wait(struct gate *g, pid_t pid, int *status);

/* Hear the inspector. Once the answer is GATE_OPEN nobody is held any more; when it is GATE_SHUT,
 * what the inspector has to say about it is in `said`, ended by a NUL. */
enum gate_answer gate_hear(struct gate *g, char *said, size_t size);

#endif
