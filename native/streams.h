// SPDX-License-Identifier: Apache-2.0
/* The container's standard streams: descriptors 0, 1 and 2. No system call filter and no Landlock sees
 * fchmod(2), fchown(2) or ioctl(2) on an inherited descriptor, so these are objects of the container's
 * own: pipes that the monitor relays, the container's /dev/null, or a file on a read-only mount. */
#ifndef CHRUN_STREAMS_H
#define CHRUN_STREAMS_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "messages.h"
#include "steps.h"

enum {
	STREAM_COUNT = 3,
	STREAM_POLLS = STREAM_COUNT + 1, /* the last one watches the container's end of the input */
	STREAM_BYTES = 64 << 10,         /* what a pipe holds by default: pipe(7) */
};

/* Bytes that are relayed from one descriptor to another, both -1 without any. */
struct stream {
	int from, to;
	bool from_socket, to_socket;
	bool to_device;     /* such as a terminal, which may hang up */
	bool is_shared;     /* `to` is a terminal that could not be opened once more */
	bool splices;       /* splice(2) takes them; else they go through `bytes` */
	bool in_step;       /* `to` must be empty before more is read */
	bool waits;         /* until `to` takes more */
	size_t start, end;  /* of what was read and is not written */
	char bytes[STREAM_BYTES];
};

struct streams {
	struct stream all[STREAM_COUNT];
	int offset; /* the container's own descriptor of the file that is the caller's input, or -1 */
};

struct stream_rules {
	bool relay_all; /* anonymous pipes and sockets, too */
	bool pass_file; /* a file that is the input, on a read-only mount, instead of a pipe */
};

/* In the container, before its root is `/`: replace what is open as 0, 1 and 2, and send the other
 * ends to the monitor. Sets `c->own_streams`. */
int streams_open(struct container *c, struct stream_rules rules);

/* In the container: give its own pipes to its user. */
int streams_give(const struct container *c, uid_t uid);

/* In the monitor: no stream is relayed yet. */
void streams_clear(struct streams *s);

/* In the monitor: relay what streams_open sent, see take_streams. */
void streams_start(struct streams *s, const int ends[MESSAGE_DESCRIPTORS]);

/* Fill in the events that the relay waits for. */
void streams_prepare(const struct streams *s, struct pollfd polls[STREAM_POLLS]);

/* Relay what poll(2) found. Returns 0, or -errno for output that the caller's descriptor refused. */
int streams_relay(struct streams *s, const struct pollfd polls[STREAM_POLLS]);

/* Whether an output is relayed, which the caller's descriptor may refuse. */
bool streams_are_written(const struct streams *s);

/* How many bytes of an output are in its pipe and here. */
size_t stream_left(const struct stream *stream);

/* Relay once what can be relayed without waiting. Returns the bytes that were written, -EPIPE at the end
 * of the input or when nothing reads the output any more, or another -errno of the output. */
ssize_t stream_relay(struct stream *stream);

/* After the container's end: set the offset of the caller's input behind what the container read. */
void streams_return_input(struct streams *s);

#endif
