// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "terminal.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "kernel.h"
#include "messages.h"
#include "mounts.h"
#include "root.h"
#include "say.h"

/* Open ptmx only when it is the one of a devpts: an image, or a neighbour who shares a volume,
 * could have put a link to another in its place (CVE-2025-52565). */
static int open_ptmx(int root)
{
	closing int found = root_open(root, "/dev/pts/ptmx", ROOT_NO_LINKS);
	struct statfs status;

	if (found < 0)
		return found;
	if (fstatfs(found, &status) < 0)
		return -errno;
	if (status.f_type != DEVPTS_SUPER_MAGIC)
		return -ENODEV;
	return result(open(fd_path(found).text, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
}

/* The window size of whichever of the caller's stdio is a terminal. */
static void copy_size(int pty)
{
	struct winsize size;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (ioctl(fd, TIOCGWINSZ, &size) == 0) {
			ioctl(pty, TIOCSWINSZ, &size); /* a wrong size is no reason to fail */
			return;
		}
}

static int become_terminal(int slave)
{
	if (ioctl(slave, TIOCSCTTY, 0) < 0)
		return -errno;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (dup2(slave, fd) < 0)
			return -errno;
	return 0;
}

int terminal_open(int root, int monitor)
{
	int unlock = 0, error;
	closing int master = open_ptmx(root);

	if (master < 0)
		return master;
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return -errno;
	closing int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (slave < 0)
		return -errno;
	copy_size(slave); /* here too, so that the command never sees another */
	error = send_terminal(monitor, master, slave);
	if (!error)
		error = bind_at(slave, root, "/dev/console", ROOT_MAKE_FILE | ROOT_NO_LINKS, false, 0);
	return error ? error : become_terminal(slave);
}

void terminal_make_raw(struct terminal *t)
{
	struct termios raw;

	/* A background job must not change the terminal under the foreground one's feet. */
	if (t->master < 0 || tcgetpgrp(STDIN_FILENO) != getpgrp() ||
	    tcgetattr(STDIN_FILENO, &t->before) < 0)
		return;
	raw = t->before;
	cfmakeraw(&raw);
	t->is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

void terminal_restore(struct terminal *t)
{
	if (t->is_raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &t->before); /* it may have been closed: so be it */
	t->is_raw = false;
}

void terminal_copy_size(const struct terminal *t)
{
	copy_size(t->master);
}

void terminal_start(struct terminal *t, int master, int slave)
{
	int unblocked = open_unblocked(STDOUT_FILENO, O_WRONLY);

	t->output = unblocked < 0 ? STDOUT_FILENO : unblocked;
	t->master = master;
	t->slave = slave;
	terminal_copy_size(t);
	terminal_make_raw(t);
	t->reads = !isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) >= 0; /* or it is not our own */
}

bool terminal_is_elsewhere(const struct pollfd *input)
{
	pid_t foreground = input->revents && input->events & POLLIN ? tcgetpgrp(STDIN_FILENO) : -1;

	return foreground >= 0 && foreground != getpgrp();
}

static bool is_empty(const struct flow *flow)
{
	return flow->start == flow->end;
}

void terminal_prepare(const struct terminal *t, struct pollfd polls[TERMINAL_POLLS])
{
	short master = 0;

	if (is_empty(&t->out))
		master |= POLLIN;
	if (!is_empty(&t->in))
		master |= POLLOUT;
	polls[0] = (struct pollfd){ t->reads && is_empty(&t->in) ? STDIN_FILENO : -1, POLLIN, 0 };
	polls[1] = (struct pollfd){ is_empty(&t->out) ? -1 : t->output, POLLOUT, 0 };
	polls[2] = (struct pollfd){ t->master, master, 0 };
}

static bool would_block(ssize_t count)
{
	return count < 0 && (errno == EAGAIN || errno == EINTR);
}

/* The end of the caller's input is the terminal's end-of-file character; a second one where the
 * first only ends an unfinished line. */
static void end_input(struct terminal *t, bool mid_line)
{
	struct termios settings;
	char eof = 4; /* ^D */

	if (tcgetattr(t->master, &settings) == 0)
		eof = (char)settings.c_cc[VEOF];
	t->reads = false;
	t->in.start = 0;
	t->in.end = mid_line ? 2 : 1;
	memset(t->in.bytes, eof, t->in.end);
}

static void read_input(struct terminal *t)
{
	bool mid_line = t->in.end && t->in.bytes[t->in.end - 1] != '\n';
	ssize_t count = read(STDIN_FILENO, t->in.bytes, sizeof(t->in.bytes));

	if (would_block(count))
		return;
	if (!t->is_raw)
		terminal_make_raw(t); /* a job that fg brought here before it was stopped */
	if (count <= 0) {
		end_input(t, mid_line);
		return;
	}
	t->in.start = 0;
	t->in.end = (size_t)count;
}

/* False when there is nothing to read now. */
static bool read_output(struct terminal *t)
{
	ssize_t count = read(t->master, t->out.bytes, sizeof(t->out.bytes));

	if (count <= 0)
		return false;
	t->out.start = 0;
	t->out.end = (size_t)count;
	return true;
}

/* False when the other side is gone. */
static bool write_flow(struct flow *flow, int fd)
{
	ssize_t count = write(fd, flow->bytes + flow->start, flow->end - flow->start);

	if (count < 0)
		return would_block(count);
	flow->start += (size_t)count;
	return true;
}

/* Nobody reads the caller's stdout any more: what is written to the pty from now on fails, as it
 * would have failed on the pipe itself. */
static void hang_up(struct terminal *t)
{
	close(t->slave);
	close(t->master);
	t->master = t->slave = -1;
	t->reads = false;
	t->in.start = t->in.end = t->out.start = t->out.end = 0;
}

void terminal_relay(struct terminal *t, const struct pollfd polls[TERMINAL_POLLS])
{
	bool listens = true;

	if (polls[0].revents)
		read_input(t);
	if (polls[1].revents)
		listens = write_flow(&t->out, t->output);
	if (listens && polls[2].revents & POLLOUT)
		listens = write_flow(&t->in, t->master);
	if (listens && polls[2].revents & POLLIN)
		read_output(t);
	if (!listens)
		hang_up(t);
}

bool terminal_has_output(struct terminal *t)
{
	return t->master >= 0 && (!is_empty(&t->out) || read_output(t));
}

bool terminal_write_output(struct terminal *t)
{
	return write_flow(&t->out, t->output);
}
