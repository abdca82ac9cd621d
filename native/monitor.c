// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "monitor_state.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "ending.h"
#include "files.h"
#include "gate.h"
#include "join.h"
#include "kernel.h"
#include "listener.h"
#include "messages.h"
#include "process.h"
#include "reaper.h"
#include "remove.h"
#include "say.h"
#include "signals.h"
#include "steps.h"
#include "terminal.h"

enum {
	POLL_SIGNALS,
	POLL_CHILD,
	POLL_ENDED,
	POLL_LIFELINE,
	POLL_LISTENER,
	POLL_DEADLINE,
	POLL_GATE,
	POLL_TERMINAL, /* or, where there is none, the standard streams */
	POLL_STREAMS = POLL_TERMINAL,
	POLLS = POLL_STREAMS + STREAM_POLLS,
};

_Static_assert((int)STREAM_POLLS >= (int)TERMINAL_POLLS, "both share their places");

/* Step and errno as numbers, and what a program said that a step ran. */
static void report(const struct monitor *m, struct failure failure)
{
	char bytes[sizeof(failure) + sizeof(m->outside.said)];
	size_t length = strlen(m->outside.said);

	memcpy(bytes, &failure, sizeof(failure));
	memcpy(bytes + sizeof(failure), m->outside.said, length);
	if (write(m->options->report, bytes, sizeof(failure) + length) < 0)
		return; /* the caller is gone, and with it who could be told */
}

void fail(struct monitor *m, uint32_t position, int error)
{
	struct record record;

	if (m->failed || !plan_at(m->plan, position, &record))
		return;
	m->failed = true;
	m->status = exit_status_of(record.number, error);
	terminal_restore(&m->terminal);
	if (m->options->report >= 0)
		report(m, (struct failure){ position, (uint32_t)error });
	else if (*m->outside.said)
		say_failure(record.words, NULL, m->outside.said, plan_note(&record, error).hint);
	else
		say_step_failure(&record, m->command.argv ? m->command.argv[0] : NULL, error);
}

/* Output that the caller's descriptor refused is lost, so the run fails. */
void fail_streams(struct monitor *m, int error)
{
	struct record record;

	if (error && plan_find(m->plan, STEP_STREAMS, &record))
		fail(m, record.position, -error);
}

/* Take signals only through the signalfd, so that none falls between two lines. */
static int take_signals(struct monitor *m)
{
	sigset_t taken = forwarded_signals();

	if (signal(SIGCHLD, SIG_DFL) == SIG_ERR) /* were it ignored, nobody could wait */
		return -errno;
	if (sigprocmask(SIG_BLOCK, &taken, NULL) < 0)
		return -errno;
	m->signals = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
	return m->signals < 0 ? -errno : 0;
}

/* poll(2) refuses to look at more descriptors than a process may have open. */
static int check_room(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	return limit.rlim_cur < POLLS ? -EMFILE : 0;
}

static int open_sockets(struct monitor *m, int peers[2])
{
	const int on = 1;
	int child[2], ended[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, child) < 0)
		return -errno;
	m->child = child[0];
	peers[0] = child[1];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ended) < 0)
		return -errno;
	m->ended = ended[0];
	peers[1] = ended[1];
	return result(setsockopt(m->child, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
}

static int start(struct monitor *m, uint32_t *position)
{
	int peers[2] = { -1, -1 };
	int error = check_room();

	if (!error)
		error = take_signals(m);
	if (!error)
		error = deadline_start(m);
	if (!error && is_subreaper(m->plan, m->namespaces))
		error = adopt_orphans(); /* should the container kill the reaper */
	if (!error)
		error = open_sockets(m, peers);
	if (error)
		return error;
	m->reaper = start_reaper(m->plan, reaper_namespaces(m->namespaces), &m->gate, position);
	if (m->reaper == 0) {
		close(m->child);
		close(m->ended);
		run_reaper(&(struct reaper){ m->plan, m->options, &m->command, m->namespaces, peers[1],
					     peers[0] });
	}
	close(peers[0]);
	close(peers[1]);
	m->outside.groups.reaper = m->reaper;
	return m->reaper < 0 ? m->reaper : 0;
}

static void watch_lifeline(struct monitor *m)
{
	char ignored[64];

	if (read(m->lifeline, ignored, sizeof(ignored)) > 0)
		return;
	m->lifeline = -1;
	kill_container(m);
}

/* The container is not what it must be, as the inspector says; or nobody can say. */
static void shut_out(struct monitor *m, const char *said)
{
	if (m->failed || m->killed_for)
		return; /* which is why there is nothing to look at any more */
	m->failed = true;
	m->status = EXIT_CHRUN_FAILED;
	terminal_restore(&m->terminal);
	if (*said)
		say_as_it_is(said + 1);
	else if (m->options->report < 0)
		say_failure("start the container", NULL, "nobody is left to look at it first", "");
	kill_container(m);
}

static void hear_gate(struct monitor *m)
{
	char said[2048];
	enum gate_answer answer = gate_hear(&m->gate, said, sizeof(said));

	if (answer == GATE_OPEN)
		begin(m);
	else if (answer == GATE_SHUT)
		shut_out(m, said);
}

static void prepare_relay(const struct monitor *m, struct pollfd polls[POLLS])
{
	if (!m->has_terminal) {
		streams_prepare(&m->streams, polls + POLL_STREAMS);
		return;
	}
	terminal_prepare(&m->terminal, polls + POLL_TERMINAL);
	for (size_t i = POLL_TERMINAL + TERMINAL_POLLS; i < POLLS; i++)
		polls[i].fd = -1;
}

static void relay(struct monitor *m, const struct pollfd polls[POLLS])
{
	const struct pollfd *input = &polls[POLL_TERMINAL];

	if (m->pid > 0 && terminal_is_elsewhere(input))
		stop(m); /* as SIGTTIN would: fg tells when there is a terminal again */
	else if (m->has_terminal)
		terminal_relay(&m->terminal, polls + POLL_TERMINAL);
	else
		fail_streams(m, streams_relay(&m->streams, polls + POLL_STREAMS));
}

static void wait_for_end(struct monitor *m)
{
	struct pollfd polls[POLLS];

	while (m->reaper > 0) {
		polls[POLL_SIGNALS] = (struct pollfd){ m->signals, POLLIN, 0 };
		polls[POLL_CHILD] = (struct pollfd){ m->child, POLLIN, 0 };
		polls[POLL_ENDED] = (struct pollfd){ m->ended, POLLIN, 0 };
		polls[POLL_LIFELINE] = (struct pollfd){ m->lifeline, POLLIN, 0 };
		polls[POLL_LISTENER] = (struct pollfd){ m->listener, POLLIN, 0 };
		polls[POLL_DEADLINE] = (struct pollfd){ m->deadline, POLLIN, 0 };
		polls[POLL_GATE] = (struct pollfd){ m->gate.fd, POLLIN, 0 };
		prepare_relay(m, polls);
		if (poll(polls, POLLS, -1) < 0) {
			if (errno == EINTR)
				continue; /* it was stopped */
			kill_container(m);
			reap(m);
			continue;
		}
		if (polls[POLL_CHILD].revents)
			hear_child(m);
		if (polls[POLL_ENDED].revents & POLLIN)
			hear_reaper(m);
		if (polls[POLL_SIGNALS].revents)
			take_signals_in(m);
		if (polls[POLL_LIFELINE].revents)
			watch_lifeline(m);
		if (polls[POLL_DEADLINE].revents)
			deadline_pass(m);
		if (polls[POLL_LISTENER].revents)
			listener_hear(m, polls[POLL_LISTENER].revents);
		if (polls[POLL_GATE].revents)
			hear_gate(m);
		relay(m, polls);
	}
}

/* Remove a tree in the scratch directory; a plan that asks for another is not carried out. */
static int remove_from_scratch(const struct monitor *m, const char *path)
{
	char whole[PATH_MAX];
	int error = host_path(m->options->scratch, path, whole, sizeof(whole));

	if (!error && (path[0] != '%' || strstr(path, "..")))
		error = -EPERM;
	if (error)
		return error;
	return m->outside.foreign ? remove_tree_inside(&m->outside, whole) : remove_tree(whole);
}

/* Clean-up runs whatever happened before, and its failures never hide what did. */
static void clean_up(struct monitor *m)
{
	struct cursor next = m->plan->records;
	struct record record = { 0 };

	while (plan_next(&next, &record)) {
		int error = 0;

		if (record.number == STEP_REMOVE_TREE)
			error = remove_from_scratch(m, record.fields[0].text);
		else if (record.number == STEP_REMOVE_CGROUPS)
			error = cgroups_remove(&m->outside.groups);
		if (error)
			say_step_failure(&record, NULL, -error);
	}
}

/* Let the first process begin where step 4 will mount: it may have no way there from the root, for
 * the store is closed to whoever its root is outside (CVE-2021-21284). */
static int enter_base(struct monitor *m)
{
	struct record record;
	char path[PATH_MAX];
	int error;

	if (!plan_find(m->plan, STEP_BASE, &record))
		return 0;
	error = host_path(m->options->scratch, record.fields[0].text, path, sizeof(path));
	if (!error)
		error = result(chdir(path));
	if (error)
		fail(m, record.position, -error);
	return error;
}

static int find_command(struct monitor *m)
{
	struct record record;

	if (plan_find(m->plan, STEP_EXEC, &record))
		return command_prepare(&m->command, &record, m->options->tail);
	return 0;
}

static uint64_t namespaces_of(const struct plan *plan)
{
	struct record record;

	return plan_find(plan, STEP_CLONE, &record) ? record.fields[0].number : 0;
}

static struct identity identity_in(const struct plan *plan)
{
	struct record user;

	if (!plan_find(plan, STEP_USER, &user))
		return (struct identity){ 0, 0 };
	return (struct identity){ (uid_t)user.fields[0].number, (gid_t)user.fields[1].number };
}

int monitor(const struct plan *plan, const struct options *options)
{
	static struct monitor m; /* zeroes: no page of its buffers is there until it is used */
	struct record exec;
	uint32_t position = 0;
	int error;

	m.plan = plan;
	m.options = options;
	m.lifeline = options->lifeline;
	m.gate.fd = options->gate;
	m.namespaces = namespaces_of(plan);
	m.child = m.ended = m.signals = m.listener = m.deadline = -1;
	m.outside.users = open_joined_users(plan);
	m.outside.foreign = m.outside.users >= 0; /* whose files may be left in the scratch directory */
	m.outside.groups.id = options->id;
	m.outside.groups.scratch = options->scratch;
	m.terminal.output = STDOUT_FILENO;
	m.terminal.master = m.terminal.slave = -1;
	memset(m.ends, -1, sizeof(m.ends));
	streams_clear(&m.streams);
	m.identity = identity_in(plan);
	error = find_command(&m);
	if (error && plan_find(plan, STEP_EXEC, &exec))
		fail(&m, exec.position, -error);
	else if (enter_base(&m) == 0 && (error = start(&m, &position)))
		fail(&m, position, -error);
	wait_for_end(&m);
	drain_output(&m);
	streams_return_input(&m.streams);
	terminal_restore(&m.terminal);
	tell_ending(&m);
	clean_up(&m);
	return ending_status(&m);
}
