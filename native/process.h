// SPDX-License-Identifier: Apache-2.0
/* Processes of other containers by number and start time: a number alone may be somebody else's by
 * now. */
#ifndef CHRUN_PROCESS_H
#define CHRUN_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

/* Open a process's directory of /proc. -ESRCH unless the process started then, in the clock ticks of
 * proc_pid_stat(5): what is opened through the directory is that process's, or nobody's. */
int open_process(const char *path, uint64_t started);

/* When this process started. It alone can tell everywhere: where /proc is mounted with hidepid, nobody
 * else may read it of one that hides from whom it joins. */
int read_own_start(uint64_t *started);

/* Write `PID:STARTED` as the symlink `process` into the scratch directory, for whoever wants to find
 * the container's first process. `unread` is why it could not read when it started, or 0. */
int record_process(const char *scratch, pid_t pid, uint64_t started, int unread);

/* Become the parent of what the container leaves behind, where no pid namespace ends it. */
int adopt_orphans(void);

/* Reap the orphans that have ended: until then each counts as a process. What the first process's end
 * says is left for whoever waits for that. */
void reap_orphans(pid_t first);

/* Kill all children, and theirs as they are inherited, until there are none. Returns 0, -EAGAIN when
 * they multiply as quickly as they are killed, or -ESRCH when /proc does not list those that are left. */
int end_orphans(void);

#endif
