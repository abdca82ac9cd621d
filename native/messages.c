// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "messages.h"

#include <string.h>
#include <sys/socket.h>

#include "kernel.h"

union control {
	struct cmsghdr header; /* for its alignment */
	char bytes[CMSG_SPACE(2 * sizeof(int))];
};

struct words {
	struct failure failure;
	uint64_t started;
};

static const uint32_t of_no_step = UINT32_MAX;

static int send_words(int socket, struct words words)
{
	return send(socket, &words, sizeof(words), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int send_start(int monitor, uint64_t started, int error)
{
	return send_words(monitor, (struct words){ { of_no_step, (uint32_t)-error }, started });
}

int send_failure(int monitor, struct failure failure)
{
	return send_words(monitor, (struct words){ failure, 0 });
}

static int send_descriptors(int socket, struct failure about, const int *fds, size_t size)
{
	struct words words = { about, 0 };
	struct iovec data = { &words, sizeof(words) };
	union control control = { .bytes = { 0 } };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = (unsigned)CMSG_SPACE(size), /* whose type differs */
	};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = (unsigned)CMSG_LEN(size);
	memcpy(CMSG_DATA(&control.header), fds, size);
	return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static const struct failure none = { 0, 0 };

int send_terminal(int monitor, int master, int slave)
{
	int fds[2] = { master, slave };

	return send_descriptors(monitor, none, fds, sizeof(fds));
}

int send_listener(int monitor, int listener)
{
	return send_descriptors(monitor, none, &listener, sizeof(listener));
}

/* Two descriptors are a terminal. */
static void take_descriptors(const union control *control, struct message *message)
{
	int fds[2];

	if (control->header.cmsg_type != SCM_RIGHTS)
		return;
	memcpy(fds, CMSG_DATA(&control->header), sizeof(fds));
	if (control->header.cmsg_len == CMSG_LEN(sizeof(int))) {
		message->single = fds[0];
		return;
	}
	message->master = fds[0];
	message->slave = fds[1];
}

static int receive_as(int socket, struct message *message, int flags)
{
	struct words words;
	struct iovec data = { &words, sizeof(words) };
	union control control = { .bytes = { 0 } };
	struct msghdr header = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t length = recvmsg(socket, &header, flags | MSG_CMSG_CLOEXEC);

	message->master = message->slave = message->single = -1;
	if (length != sizeof(words))
		return length < 0 && errno == EAGAIN ? -EAGAIN : 0;
	message->failure = words.failure;
	message->is_start = words.failure.position == of_no_step;
	message->started = words.started;
	if (header.msg_controllen)
		take_descriptors(&control, message);
	return 1;
}

int receive(int socket, struct message *message)
{
	return receive_as(socket, message, MSG_DONTWAIT);
}

int ask(int monitor, uint32_t position)
{
	struct message answered;
	int error = send_failure(monitor, (struct failure){ position, 0 });

	if (error)
		return error;
	if (receive_as(monitor, &answered, 0) <= 0)
		return -EPIPE; /* the monitor is dead */
	if (answered.failure.error)
		return -(int)answered.failure.error;
	return answered.single < 0 ? 0 : answered.single;
}

int send_word(int child, enum word word)
{
	char sent = (char)word;

	return send(child, &sent, sizeof(sent), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int await_word(int monitor, enum word word)
{
	char heard;

	if (recv(monitor, &heard, sizeof(heard), 0) != sizeof(heard))
		return -EPIPE;
	return heard == (char)word ? 0 : -EPROTO;
}

void answer(int child, struct failure done, int fd)
{
	/* if nobody receives it, the first process is dead, which is found out elsewhere */
	if (fd > 0)
		(void)send_descriptors(child, done, &fd, sizeof(fd));
	else
		(void)send_failure(child, done);
}
