// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "first.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "descriptors.h"
#include "kernel.h"
#include "messages.h"
#include "process.h"
#include "steps.h"

enum { TO_MONITOR = STDERR_FILENO + 1 }; /* the socket's number in the container */

int bind_to_parent(const struct container *c)
{
	int error = result(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));

	if (!error && getppid() != c->parent)
		error = -EPIPE; /* it died before prctl(2) */
	return error;
}

int await_record(struct container *c)
{
	int error = c->recorded ? 0 : await_word(c->monitor, WORD_RECORDED);

	c->recorded = !error;
	return error;
}

/* Leave everything of the caller's behind but stdio and the socket. A session of its own keeps the
 * caller's terminal from sending it signals twice, and it from typing there (TIOCSTI). */
static int detach(struct container *c, int monitor)
{
	int error = monitor == TO_MONITOR ? 0 : result(dup3(monitor, TO_MONITOR, O_CLOEXEC));

	c->monitor = TO_MONITOR;
	if (error >= 0)
		error = close_from(TO_MONITOR + 1);
	if (!error)
		error = bind_to_parent(c);
	if (!error && setsid() < 0)
		error = -errno;
	umask(0); /* the plan's modes are meant as they are */
	return error;
}

static int tell_start(int monitor)
{
	uint64_t started = 0;
	int error = read_own_start(&started);

	return send_start(monitor, started, error);
}

static int build_and_run(struct container *c, const struct command *command, int monitor,
			 bool is_held)
{
	int error = tell_start(monitor); /* without which the word that it is recorded never comes */

	if (!error)
		error = detach(c, monitor);
	if (!error && is_held)
		error = await_word(c->monitor, WORD_HELD);
	if (!error)
		error = run_steps(c);
	if (error || !command->argv)
		return error;
	c->position++;
	error = await_record(c);
	return error ? error : command_run(command, c);
}

void run_container(const struct plan *plan, const struct options *options,
		   const struct command *command, const struct relatives *relatives)
{
	struct container c = {
		.plan = plan,
		.parent = relatives->parent,
		.id = options->id,
		.scratch = options->scratch,
		.root = -1,
	};
	int status = build_and_run(&c, command, relatives->monitor, options->gate >= 0);

	if (status >= 0)
		leave(status);
	/* What a socket is closed with unread breaks it, and the failure with it: ECONNRESET, unix(7).
	 * If the word does not come, the monitor is dead. */
	(void)await_record(&c);
	(void)send_failure(c.monitor, (struct failure){ c.position, (uint32_t)-status });
	leave(EXIT_CHRUN_FAILED); /* the monitor knows better which */
}
