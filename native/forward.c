// SPDX-License-Identifier: Apache-2.0
/* Signals that reach the monitor, and what becomes of them inside. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>

#include "kernel.h"
#include "monitor_state.h"
#include "signals.h"

bool has_ended(const struct monitor *m)
{
	return m->ended < 0;
}

void kill_container(const struct monitor *m)
{
	pid_t pid = m->pid > 0 ? m->pid : m->reaper;

	if (pid > 0)
		(void)kill(pid, SIGKILL); /* it may have ended already */
}

void stop(struct monitor *m)
{
	if (m->pid > 0)
		(void)kill(m->command.init ? m->pid : -m->pid, m->command.init ? SIGTSTP : SIGSTOP);
	terminal_restore(&m->terminal);
	(void)kill(getpid(), SIGSTOP);
	terminal_make_raw(&m->terminal);
	terminal_copy_size(&m->terminal);
}

/* Kill the container as the signal's default action would have. */
static void kill_for(struct monitor *m, int number)
{
	m->killed_for = number;
	kill_container(m);
}

/* A signal that the process blocks only for a moment, as libraries do around fork(2), is lost when
 * the moment is over: look again for a while. */
static bool is_lost(const struct monitor *m, int number)
{
	const struct timespec millisecond = { 0, 1000000 };
	enum reaction reaction = REACTION_DELAYED;

	for (int tries = 0; reaction == REACTION_DELAYED && tries < 20; tries++) {
		(void)nanosleep(&millisecond, NULL);
		reaction = reaction_to(m->pid, number);
	}
	return reaction == REACTION_NONE;
}

/* A process that is PID 1 of its namespace is spared by the kernel where others would be ended, and
 * one that is not executed yet holds signals back. Users expect ^C and kill to work. */
static void forward(struct monitor *m, int number, bool from_terminal)
{
	bool is_deaf = !m->executed && is_deadly(number);
	bool spared = m->namespaces & CLONE_NEWPID && !m->command.init && is_deadly(number);
	enum reaction reaction = spared && !is_deaf ? reaction_to(m->pid, number) : REACTION_OWN;

	if (reaction == REACTION_NONE || is_deaf) {
		kill_for(m, number);
		return;
	}
	if (m->pid <= 0)
		return; /* it has not begun */
	/* a terminal signals the whole foreground group: so does its container's end of it */
	(void)kill(from_terminal ? -m->pid : m->pid, number);
	if (reaction == REACTION_DELAYED && is_lost(m, number))
		kill_for(m, number);
}

static void take_signal(struct monitor *m, const struct signalfd_siginfo *info)
{
	int number = (int)info->ssi_signo;

	if (number == SIGCHLD) {
		reap(m);
		return;
	}
	if (has_ended(m)) {
		if (number != SIGPIPE && is_deadly(number))
			m->killed_for = number; /* what is left to do is not waited for */
		return;
	}
	switch (number) {
	case SIGPIPE: /* the monitor's own, from relaying */
	case SIGTTIN:
	case SIGTTOU:
		return;
	case SIGTSTP:
		stop(m);
		return;
	case SIGWINCH:
		if (m->terminal.master >= 0) {
			terminal_copy_size(&m->terminal); /* which sends it inside */
			return;
		}
	}
	forward(m, number, info->ssi_code == SI_KERNEL || number == SIGCONT);
}

bool is_told_to_end(struct monitor *m)
{
	struct signalfd_siginfo info;
	bool is_told = false;

	while (read(m->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGPIPE || !is_deadly((int)info.ssi_signo))
			continue;
		m->killed_for = (int)info.ssi_signo;
		is_told = true;
	}
	return is_told;
}

void take_signals_in(struct monitor *m)
{
	struct signalfd_siginfo info;

	while (read(m->signals, &info, sizeof(info)) == sizeof(info))
		take_signal(m, &info);
}
