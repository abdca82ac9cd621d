// SPDX-License-Identifier: Apache-2.0
/* Where one id is mapped, a process cannot become another user; a system call filter lets it seem
 * so, and asks the monitor what to tell a process about who it is. */
#ifndef CHRUN_PRETEND_H
#define CHRUN_PRETEND_H

#include <sys/types.h>

struct identity {
	uid_t user;
	gid_t group;
};

/* Answer one system call that the filter holds back. `first` is who the container's first process
 * is; what its descendants pretend to be, each of them carries itself. */
void pretend_answer(int listener, struct identity first);

/* Answer all of them in a new process, until no process with the filter is left. It dies with this one. */
pid_t pretend_start(int listener, struct identity first);

#endif
