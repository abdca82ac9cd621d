// SPDX-License-Identifier: Apache-2.0
/* Messages from the container's first process to the monitor, before it is the command. execve(2) closes
 * the socket, which means that all steps succeeded. */
#ifndef CHRUN_MESSAGES_H
#define CHRUN_MESSAGES_H

#include <stdint.h>
#include <sys/types.h>

struct failure {
	uint32_t position; /* of the step in the plan */
	uint32_t error;    /* errno; 0 in a request */
};

enum message_kind {
	MESSAGE_START,    /* the first one; `number` is when the sender started */
	MESSAGE_FAILURE,  /* of a step */
	MESSAGE_REQUEST,  /* for the outer half of a step */
	MESSAGE_ANSWER,   /* to that; it may bring a descriptor */
	MESSAGE_TERMINAL, /* brings its two ends: master, slave */
	MESSAGE_STREAMS,  /* brings the other ends of standard streams; `number` has a bit for each */
	MESSAGE_LISTENER, /* brings that of a system call filter */
};

enum { MESSAGE_DESCRIPTORS = 4 };

struct message {
	uint32_t kind; /* an enum message_kind */
	struct failure failure;
	uint64_t number;
	int fds[MESSAGE_DESCRIPTORS]; /* those that the message brought, then -1 */
	pid_t sender;
};

int send_start(int monitor, uint64_t started, int error);
int send_failure(int monitor, struct failure failure);
int send_terminal(int monitor, int master, int slave);
int send_listener(int monitor, int listener);

/* Send those of four descriptors that are not -1. */
int send_streams(int monitor, const int fds[MESSAGE_DESCRIPTORS]);

/* The descriptors of MESSAGE_STREAMS, each at the index that it was sent from, else -1. */
void take_streams(const struct message *message, int fds[MESSAGE_DESCRIPTORS]);

/* Have the monitor do the outer half of the step at a position, and wait for it. Returns a descriptor
 * where that is what the step is about, else 0, or -errno. */
int ask(int monitor, uint32_t position);

/* Answer a request; `fd` goes along unless it is 0 or less. */
void answer(int child, struct failure done, int fd);

/* What a process waits for, in this order: that it is held (gate.h), that it is recorded (steps.h). */
enum word { WORD_HELD = 'h', WORD_RECORDED = 'r' };

int send_word(int child, enum word word);

/* -EPIPE when the sender is dead, -EPROTO for another word. */
int await_word(int monitor, enum word word);

/* Receive without waiting: 1 for a message, 0 at the end, -EAGAIN when there is none yet. */
int receive(int socket, struct message *message);

#endif
