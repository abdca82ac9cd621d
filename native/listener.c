// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "listener.h"

#include <poll.h>
#include <signal.h>

#include "kernel.h"

/* Answers take as much time as the calls. Where the container's time is limited it counts as the
 * container's: a process answers that is in its cgroup. Others are spared that process. */
int listener_take(struct monitor *m, int listener)
{
	pid_t pid;
	int error;

	if (!cgroups_limit_cpu(&m->outside.groups)) {
		m->listener = listener;
		return 0;
	}
	pid = pretend_start(listener, m->identity);
	error = pid < 0 ? pid : cgroups_charge_cpu(&m->outside.groups, pid);
	if (error && pid > 0)
		(void)kill(pid, SIGKILL); /* its pid is valid, because no wait has released it */
	close(listener);
	return error;
}

void listener_hear(struct monitor *m, short events)
{
	if (events & POLLIN) {
		pretend_answer(m->listener, m->identity);
		return;
	}
	close(m->listener); /* no process with the filter is left */
	m->listener = -1;
}
