// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "ending.h"

#include <poll.h>
#include <signal.h>
#include <sys/timerfd.h>
#include <time.h>

#include "kernel.h"
#include "messages.h"
#include "say.h"

enum { MOMENT_MILLISECONDS = 1000, BACKSTOP_SECONDS = 5, CLEANING_UP_SECONDS = 60 };

/* Who is stopped, or held up by a terminal that takes nothing, does not see that the time is up: the
 * kernel does, and kills the monitor, with which the container dies. */
static int backstop_start(struct monitor *m, struct itimerspec time)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };

	time.it_value.tv_sec += BACKSTOP_SECONDS;
	if (timer_create(CLOCK_BOOTTIME, &event, &m->backstop) < 0)
		return -errno;
	return result(timer_settime(m->backstop, 0, &time, NULL));
}

int deadline_start(struct monitor *m)
{
	struct record record;
	struct itimerspec time = { .it_value = { 0 } };

	if (!plan_find(m->plan, STEP_DEADLINE, &record))
		return 0;
	time.it_value.tv_sec = (time_t)(record.fields[0].number / 1000);
	time.it_value.tv_nsec = (long)(record.fields[0].number % 1000) * 1000000;
	/* the time that a machine sleeps through is time, too */
	m->deadline = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (m->deadline < 0 || timerfd_settime(m->deadline, 0, &time, NULL) < 0)
		return -errno;
	return backstop_start(m, time);
}

void deadline_pass(struct monitor *m)
{
	const struct itimerspec cleaning_up = { .it_value = { .tv_sec = CLEANING_UP_SECONDS } };

	close(m->deadline);
	m->deadline = -1;
	(void)timer_settime(m->backstop, 0, &cleaning_up, NULL);
	if (has_ended(m))
		return; /* it ended just in time */
	m->timed_out = true;
	kill_container(m);
}

/* Whether one of the caller's streams takes more. */
static bool takes_output(struct monitor *m, int output, int milliseconds)
{
	struct pollfd polls[] = {
		{ output, POLLOUT, 0 }, { m->signals, POLLIN, 0 }, { m->deadline, POLLIN, 0 },
	};

	while (poll(polls, sizeof(polls) / sizeof(*polls), milliseconds) > 0) {
		if (polls[2].revents)
			m->timed_out = true;
		if (polls[2].revents || (polls[1].revents && is_told_to_end(m)))
			return false;
		if (polls[0].revents)
			return true;
	}
	return false;
}

static void drain_terminal(struct monitor *m, int milliseconds)
{
	while (terminal_has_output(&m->terminal))
		if (!takes_output(m, m->terminal.output, milliseconds) ||
		    !terminal_write_output(&m->terminal))
			return;
}

static size_t least(size_t one, size_t other)
{
	return one < other ? one : other;
}

/* Relay the bytes that are in the pipe now. A process that lives on may write more for ever, or read
 * them back. */
static void drain_stream(struct monitor *m, struct stream *stream, int milliseconds)
{
	size_t left = stream_left(stream);

	while (left > 0 && takes_output(m, stream->to, milliseconds)) {
		ssize_t moved = stream_relay(stream);

		if (moved < 0) {
			fail_streams(m, moved == -EPIPE ? 0 : (int)moved);
			return;
		}
		left = least(left - least(left, (size_t)moved), stream_left(stream));
	}
}

void drain_output(struct monitor *m)
{
	int milliseconds = m->timed_out || m->killed_for ? MOMENT_MILLISECONDS : -1;

	drain_terminal(m, milliseconds);
	for (int fd = STDOUT_FILENO; fd < STREAM_COUNT; fd++)
		drain_stream(m, &m->streams.all[fd], milliseconds);
}

int ending_status(const struct monitor *m)
{
	if (m->failed)
		return m->status;
	if (m->timed_out)
		return EXIT_TIMED_OUT;
	return m->killed_for ? EXIT_SIGNALLED + m->killed_for : m->status;
}

bool may_be_ended(const struct monitor *m)
{
	return m->deadline >= 0 || m->timed_out || m->outside.groups.memory;
}

static void tell(const struct monitor *m, uint32_t position, const char *const words[3])
{
	struct failure none = { position, 0 };
	struct line line = { .length = 0 };

	if (m->options->report >= 0 && write(m->options->report, &none, sizeof(none)) > 0)
		return;
	for (size_t i = 0; i < 3; i++)
		add_text(&line, words[i]);
	say(&line);
}

void tell_ending(const struct monitor *m)
{
	const struct cgroups *groups = &m->outside.groups;
	struct record deadline;

	if (m->failed)
		return;
	if (m->timed_out && plan_find(m->plan, STEP_DEADLINE, &deadline))
		tell(m, deadline.position,
		     (const char *const[]){ "chrun: stopped the container: its time of ",
					    deadline.fields[1].text, " is up" });
	else if (cgroups_ran_out(groups))
		tell(m, groups->position,
		     (const char *const[]){ "chrun: the container ran out of memory: its limit is ",
					    groups->amount, "" });
}
