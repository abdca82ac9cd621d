// SPDX-License-Identifier: Apache-2.0
/* Messages of the first process and the reaper, from the clone to the end. */
#define _GNU_SOURCE
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "ending.h"
#include "kernel.h"
#include "listener.h"
#include "monitor_state.h"
#include "process.h"
#include "reaper.h"
#include "say.h"

/* Let others find the first process. A failure is harmless to the container: it only cannot be
 * found. */
static void make_findable(const struct monitor *m, uint64_t started, int unread)
{
	int error = *m->options->scratch && m->command.argv && m->pid > 0
			    ? record_process(m->options->scratch, m->pid, started, unread)
			    : 0;

	if (error)
		say_failure("tell others of the container", NULL, strerror(-error), "");
	/* A process that could not be held must not begin. Sending fails if it is dead. */
	if (m->gate.fd < 0 || m->gate.held)
		(void)send_word(m->child, WORD_RECORDED);
}

void begin(struct monitor *m)
{
	m->executed = true;
	if (m->ends[0] >= 0 && m->has_terminal)
		terminal_start(&m->terminal, m->ends[0], m->ends[1]);
	else
		streams_start(&m->streams, m->ends);
	if (m->options->report >= 0 && !may_be_ended(m) && !streams_are_written(&m->streams))
		close(m->options->report);
}

/* The first process has begun. Its pid is not used again before `ended` is closed. */
static void take_start(struct monitor *m, const struct message *message)
{
	if (m->reaper <= 0)
		return; /* it was killed, and its pid may be another process's */
	m->pid = message->sender;
	if (m->gate.fd >= 0)
		gate_hold(&m->gate, m->pid, m->child);
	make_findable(m, message->number, -(int)message->failure.error);
}

/* Have the calls answered that the filter holds back. If that fails, they would. */
static void take_listener(struct monitor *m, int listener)
{
	struct record filter;
	int error = listener_take(m, listener);

	if (!error || !plan_find(m->plan, STEP_SECCOMP, &filter))
		return;
	fail(m, filter.position, -error);
	kill_container(m);
}

static void take_message(struct monitor *m, const struct message *message)
{
	switch (message->kind) {
	case MESSAGE_START:
		take_start(m, message);
		return;
	case MESSAGE_REQUEST:
		serve_outside(&m->outside, m->plan, m->options->scratch, m->pid,
			      message->failure.position, m->child);
		return;
	case MESSAGE_TERMINAL:
		m->has_terminal = true;
		memcpy(m->ends, message->fds, sizeof(m->ends));
		return;
	case MESSAGE_STREAMS:
		take_streams(message, m->ends);
		return;
	case MESSAGE_LISTENER:
		take_listener(m, message->fds[0]);
		return;
	default:
		fail(m, message->failure.position, (int)message->failure.error);
	}
}

void hear_child(struct monitor *m)
{
	struct message message;
	int heard;

	while ((heard = receive(m->child, &message)) > 0)
		take_message(m, &message);
	if (heard == -EAGAIN)
		return;
	close(m->child);
	m->child = -1;
	if (m->gate.fd < 0)
		begin(m);
}

/* The first process has ended, as the reaper says, or as the reaper's own end implies. */
static void take_end(struct monitor *m, int wait_status)
{
	if (m->child >= 0)
		hear_child(m);
	m->pid = 0;
	if (!(m->namespaces & CLONE_NEWPID))
		cgroups_kill(&m->outside.groups); /* before the reaper kills what is left */
	close(m->ended);
	m->ended = -1;
	if (!m->failed)
		m->status = exit_status_from(wait_status);
}

void hear_reaper(struct monitor *m)
{
	int wait_status;

	if (recv(m->ended, &wait_status, sizeof(wait_status), MSG_DONTWAIT) == sizeof(wait_status))
		take_end(m, wait_status);
}

static void say_survivors(int error)
{
	const char *why = error == EAGAIN ? "they multiply as quickly as they are killed" :
					    "/proc does not list those that are left";

	say_failure("end all processes of the container", NULL, why, "");
}

/* The reaper was killed before it could. */
static void end_rest(const struct monitor *m)
{
	int error;

	cgroups_kill(&m->outside.groups);
	error = -end_orphans();
	if (error)
		say_survivors(error);
}

void reap(struct monitor *m)
{
	int wait_status;

	if (m->reaper <= 0 || !gate_wait(&m->gate, m->reaper, &wait_status))
		return;
	m->reaper = 0;
	if (m->ended >= 0)
		hear_reaper(m);
	else if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status))
		say_survivors(WEXITSTATUS(wait_status));
	if (WIFSIGNALED(wait_status) && is_subreaper(m->plan, m->namespaces))
		end_rest(m);
	if (m->ended >= 0)
		take_end(m, wait_status);
}
