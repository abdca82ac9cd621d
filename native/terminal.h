// SPDX-License-Identifier: Apache-2.0
/* The container's pty: opened in its first process, relayed by the monitor. */
#ifndef CHRUN_TERMINAL_H
#define CHRUN_TERMINAL_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

enum { TERMINAL_POLLS = 3 }; /* the first one is for the caller's input */

/* Bytes on their way: `bytes[start]` to `bytes[end]` are read and not yet written. One page, for a
 * pipe that poll(2) calls writable takes that much without blocking. */
struct flow {
	size_t start, end;
	char bytes[4096];
};

struct terminal {
	int output;           /* the caller's stdout, in a way that does not block where it can be had */
	int master, slave;    /* -1 without a terminal; the slave stays open lest the master hang up */
	bool is_raw;          /* the caller's terminal is raw, and `before` is what it was */
	bool reads;           /* the caller's stdin has more */
	struct termios before;
	struct flow in, out;
};

/* In the container: open a pty in the root's own devpts, send its two ends to the monitor, and make
 * it the controlling terminal, /dev/console and stdio. */
int terminal_open(int root, int monitor);

/* In the monitor: relay the pty whose ends these are. */
void terminal_start(struct terminal *t, int master, int slave);

void terminal_make_raw(struct terminal *t);
void terminal_restore(struct terminal *t);
void terminal_copy_size(const struct terminal *t);

/* What the relay waits for now, and what to do when poll(2) returned. */
void terminal_prepare(const struct terminal *t, struct pollfd polls[TERMINAL_POLLS]);

/* Whether there is something to read that is for another job: the terminal is the shell's now. */
bool terminal_is_elsewhere(const struct pollfd *input);

void terminal_relay(struct terminal *t, const struct pollfd polls[TERMINAL_POLLS]);

/* What the pty still holds after the container ended: whether there is some, and one attempt to write
 * it, which is false when nobody reads it any more. */
bool terminal_has_output(struct terminal *t);
bool terminal_write_output(struct terminal *t);

#endif
