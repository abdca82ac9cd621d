// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "signals.h"

#include <stdint.h>
#include <string.h>

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

bool is_handled(pid_t pid, int number)
{
	struct line path = { .length = 0 };
	char status[4096];
	uint64_t handled;

	add_text(&path, "/proc/");
	add_number(&path, (uint64_t)pid);
	add_text(&path, "/status");
	closing int fd = open(text_of(&path), O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, status, sizeof(status) - 1);

	if (length <= 0)
		return true;
	status[length] = '\0';
	handled = signal_set(status, "SigBlk:") | signal_set(status, "SigIgn:") |
		  signal_set(status, "SigCgt:");
	return handled >> (number - 1) & 1;
}
