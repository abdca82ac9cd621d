// SPDX-License-Identifier: Apache-2.0
/* Lines on stderr, without stdio: it allocates, and it is most of a small program. */
#ifndef CHRUN_SAY_H
#define CHRUN_SAY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

struct line {
	char bytes[512];
	size_t length;
};

/* Add a text. Its control bytes become "?": users and images choose words, and a terminal obeys. */
void add_text(struct line *line, const char *text);

void add_number(struct line *line, uint64_t number);

/* The line so far as a string, for short ones that are names of files. */
const char *text_of(struct line *line);

/* End the line and write it to stderr. */
void say(struct line *line);

/* Write a text that is whole lines, of words that need no care. */
void say_as_it_is(const char *text);

/* Say `chrun: cannot WORDS: TEXT`, and `hint: HINT` below unless the hint is empty. `name`, unless
 * it is NULL, is a word of the user's that is quoted behind WORDS. */
void say_failure(const char *words, const char *name, const char *text, const char *hint);

/* Say that a step failed, in its own words; `name` is the command's, for a step that executes. */
void say_step_failure(const struct record *record, const char *name, int error);

/* Open the terminal that a descriptor is open on once more, for O_RDONLY or O_WRONLY, so that using it
 * does not block, as it can though poll(2) said that it would not. -errno where it is no terminal, or
 * another user's. */
int open_unblocked(int terminal, int access);

/* write(2) to a descriptor that others share, without waiting: for a terminal of another user, which
 * cannot be opened once more. */
ssize_t write_unblocked(int fd, const char *bytes, size_t size);

#endif
