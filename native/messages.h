// SPDX-License-Identifier: Apache-2.0
/* What the container's first process tells the monitor before it is the command: first of all when it
 * started; then a message is a failure, a request for the outer half of a step, the two ends of its
 * terminal, or the listener of its system call filter. The socket closes on execve(2): then all went well. */
#ifndef CHRUN_MESSAGES_H
#define CHRUN_MESSAGES_H

#include <stdbool.h>
#include <stdint.h>

struct failure {
	uint32_t position; /* of the step in the plan */
	uint32_t error;    /* errno; 0 in a request */
};

struct message {
	struct failure failure;
	bool is_start; /* `started` is when the sender did, unless an errno in `failure` kept it from it */
	uint64_t started;
	int master, slave; /* -1 unless the message brought them */
	int single;        /* likewise: a listener, or in an answer what was asked for */
};

int send_start(int monitor, uint64_t started, int error);
int send_failure(int monitor, struct failure failure);
int send_terminal(int monitor, int master, int slave);
int send_listener(int monitor, int listener);

/* Have the monitor do the outer half of the step at a position, and wait for it. Gives a descriptor
 * where that is what the step is about, else 0, or -errno. */
int ask(int monitor, uint32_t position);

/* Answer what was asked for; `fd` goes along unless it is 0 or less. */
void answer(int child, struct failure done, int fd);

/* What a process waits for, in this order: that it is held (gate.h), that it is recorded (steps.h). */
enum word { WORD_HELD = 'h', WORD_RECORDED = 'r' };

int send_word(int child, enum word word);

/* -EPIPE when the sender is dead, -EPROTO for another word. */
int await_word(int monitor, enum word word);

/* Receive without waiting: 1 for a message, 0 at the end, -EAGAIN when there is none yet. */
int receive(int socket, struct message *message);

#endif
