// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "messages.h"

#include <string.h>
#include <sys/socket.h>

#include "kernel.h"

/* Room for descriptors and, in the monitor, for the sender's credentials: unix(7), SO_PASSCRED. */
union control {
	struct cmsghdr header; /* for its alignment */
	char bytes[CMSG_SPACE(MESSAGE_DESCRIPTORS * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

struct content {
	uint32_t kind;
	struct failure failure;
	uint64_t number;
};

static int send_content(int socket, struct content content)
{
	return send(socket, &content, sizeof(content), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int send_start(int monitor, uint64_t started, int error)
{
	return send_content(monitor, (struct content){ MESSAGE_START, { 0, (uint32_t)-error }, started });
}

int send_failure(int monitor, struct failure failure)
{
	return send_content(monitor, (struct content){ MESSAGE_FAILURE, failure, 0 });
}

static int send_descriptors(int socket, struct content content, const int *fds, size_t count)
{
	struct iovec data = { &content, sizeof(content) };
	union control control = { .bytes = { 0 } };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = (unsigned)CMSG_SPACE(count * sizeof(int)), /* whose type differs */
	};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = (unsigned)CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int send_terminal(int monitor, int master, int slave)
{
	const int fds[] = { master, slave };

	return send_descriptors(monitor, (struct content){ .kind = MESSAGE_TERMINAL }, fds, 2);
}

int send_listener(int monitor, int listener)
{
	return send_descriptors(monitor, (struct content){ .kind = MESSAGE_LISTENER }, &listener, 1);
}

int send_streams(int monitor, const int fds[MESSAGE_DESCRIPTORS])
{
	struct content content = { .kind = MESSAGE_STREAMS };
	int sent[MESSAGE_DESCRIPTORS];
	size_t count = 0;

	for (size_t i = 0; i < MESSAGE_DESCRIPTORS; i++)
		if (fds[i] >= 0) {
			content.number |= UINT64_C(1) << i;
			sent[count++] = fds[i];
		}
	return count ? send_descriptors(monitor, content, sent, count) : 0;
}

void take_streams(const struct message *message, int fds[MESSAGE_DESCRIPTORS])
{
	size_t count = 0;

	for (size_t i = 0; i < MESSAGE_DESCRIPTORS; i++)
		fds[i] = message->number >> i & 1 ? message->fds[count++] : -1;
}

static void take_credentials(const struct cmsghdr *header, struct message *message)
{
	struct ucred sender;

	memcpy(&sender, CMSG_DATA(header), sizeof(sender));
	message->sender = sender.pid;
}

/* Walk the control messages by hand: musl's CMSG_NXTHDR does not compile with -Wconversion. */
static void take_control(const char *control, size_t length, struct message *message)
{
	const struct cmsghdr *header;

	for (size_t at = 0; at + sizeof(*header) <= length;
	     at += CMSG_SPACE(header->cmsg_len - CMSG_LEN(0))) {
		header = (const struct cmsghdr *)(const void *)(control + at);
		if (header->cmsg_type == SCM_RIGHTS)
			memcpy(message->fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
		else if (header->cmsg_type == SCM_CREDENTIALS)
			take_credentials(header, message);
	}
}

static int receive_as(int socket, struct message *message, int flags)
{
	struct content content;
	struct iovec data = { &content, sizeof(content) };
	union control control = { .bytes = { 0 } };
	struct msghdr header = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t length = recvmsg(socket, &header, flags | MSG_CMSG_CLOEXEC);

	memset(message->fds, -1, sizeof(message->fds));
	message->sender = 0;
	if (length != sizeof(content))
		return length < 0 && errno == EAGAIN ? -EAGAIN : 0;
	message->kind = content.kind;
	message->failure = content.failure;
	message->number = content.number;
	take_control(control.bytes, header.msg_controllen, message);
	return 1;
}

int receive(int socket, struct message *message)
{
	return receive_as(socket, message, MSG_DONTWAIT);
}

int ask(int monitor, uint32_t position)
{
	struct message answered;
	int error = send_content(monitor, (struct content){ MESSAGE_REQUEST, { position, 0 }, 0 });

	if (error)
		return error;
	if (receive_as(monitor, &answered, 0) <= 0)
		return -EPIPE; /* the monitor is dead */
	if (answered.failure.error)
		return -(int)answered.failure.error;
	return answered.fds[0] < 0 ? 0 : answered.fds[0];
}

void answer(int child, struct failure done, int fd)
{
	struct content content = { MESSAGE_ANSWER, done, 0 };

	/* sending fails if the first process is dead, which its wait status tells */
	if (fd > 0)
		(void)send_descriptors(child, content, &fd, 1);
	else
		(void)send_content(child, content);
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
