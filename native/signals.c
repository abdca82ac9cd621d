// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "signals.h"

#include <stdint.h>
#include <string.h>

#include "files.h"
#include "kernel.h"
#include "say.h"

sigset_t forwarded_signals(void)
{
	const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		sigdelset(&set, own[i]);
	return set;
}

bool is_deadly(int number)
{
	switch (number) {
	case SIGCHLD:
	case SIGCONT:
	case SIGURG:
	case SIGWINCH:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
		return false;
	default:
		return true;
	}
}

/* The set behind a name like "SigCgt:"; in hexadecimal, bit n-1 is signal n. */
static uint64_t signal_set(const char *status, const char *name)
{
	const char *at = strstr(status, name);
	uint64_t set = 0;

	if (!at)
		return 0;
	for (at += strlen(name); *at == '\t'; at++)
		;
	for (; *at && *at != '\n'; at++)
		set = set << 4 | (uint64_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
	return set;
}

/* Read a file of /proc/PID; false when it cannot be. */
static bool read_proc(pid_t pid, const char *name, char *content, size_t size)
{
	struct line path = { .length = 0 };

	add_text(&path, "/proc/");
	add_number(&path, (uint64_t)pid);
	add_text(&path, name);
	return read_text(AT_FDCWD, text_of(&path), content, size) == 0 && *content;
}

/* While it waits in sigwait(3), as inits like to do, a process does not seem to block the signals
 * that it waits for. */
static bool is_in_sigwait(pid_t pid)
{
	struct line number = { .length = 0 };
	char call[128];
	size_t length;

	add_number(&number, SYS_rt_sigtimedwait);
	length = number.length;
	return read_proc(pid, "/syscall", call, sizeof(call)) &&
	       strncmp(call, text_of(&number), length) == 0 && call[length] == ' ';
}

enum reaction reaction_to(pid_t pid, int number)
{
	char status[4096];
	uint64_t bit = UINT64_C(1) << (number - 1);

	if (!read_proc(pid, "/status", status, sizeof(status)))
		return REACTION_OWN;
	if ((signal_set(status, "SigIgn:") | signal_set(status, "SigCgt:")) & bit)
		return REACTION_OWN;
	if (signal_set(status, "SigBlk:") & bit)
		return REACTION_DELAYED;
	return is_in_sigwait(pid) ? REACTION_OWN : REACTION_NONE;
}
