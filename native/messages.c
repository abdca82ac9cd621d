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

int send_failure(int monitor, struct failure failure)
{
	return send(monitor, &failure, sizeof(failure), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int send_descriptors(int monitor, const int *fds, size_t size)
{
	struct failure none = { 0, 0 };
	struct iovec data = { &none, sizeof(none) };
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
	return sendmsg(monitor, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int send_terminal(int monitor, int master, int slave)
{
	int fds[2] = { master, slave };

	return send_descriptors(monitor, fds, sizeof(fds));
}

int send_listener(int monitor, int listener)
{
	return send_descriptors(monitor, &listener, sizeof(listener));
}

/* One descriptor is a listener, two are a terminal. */
static void take_descriptors(const union control *control, struct message *message)
{
	int fds[2];

	if (control->header.cmsg_type != SCM_RIGHTS)
		return;
	memcpy(fds, CMSG_DATA(&control->header), sizeof(fds));
	if (control->header.cmsg_len == CMSG_LEN(sizeof(int))) {
		message->listener = fds[0];
		return;
	}
	message->master = fds[0];
	message->slave = fds[1];
}

int receive(int socket, struct message *message)
{
	struct iovec data = { &message->failure, sizeof(message->failure) };
	union control control = { .bytes = { 0 } };
	struct msghdr header = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t length = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	message->master = message->slave = message->listener = -1;
	if (length != sizeof(message->failure))
		return length < 0 && errno == EAGAIN ? -EAGAIN : 0;
	if (header.msg_controllen)
		take_descriptors(&control, message);
	return 1;
}
