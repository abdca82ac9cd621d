// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "say.h"

#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kernel.h"
#include "mounts.h"

enum { PATIENCE_MILLISECONDS = 1000 };

int open_unblocked(int terminal, int access)
{
	int number;

	if (!isatty(terminal))
		return -ENOTTY;
	if (syscall(SYS_ioctl, terminal, (unsigned long)TIOCGPTN, &number) == 0)
		return -ENOTTY; /* a master: opening it once more would make another terminal */
	return result(open(fd_path(terminal).text, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

ssize_t write_unblocked(int fd, const char *bytes, size_t size)
{
	int flags = fcntl(fd, F_GETFL), error;
	ssize_t count;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -1;
	count = write(fd, bytes, size);
	error = errno;
	(void)fcntl(fd, F_SETFL, flags); /* which was possible a moment ago */
	errno = error;
	return count;
}

static void flush(struct line *line)
{
	const char *at = line->bytes;
	closing int unblocked = open_unblocked(STDERR_FILENO, O_WRONLY);
	struct pollfd out = { unblocked < 0 ? STDERR_FILENO : unblocked, POLLOUT, 0 };

	while (line->length) {
		ssize_t written = unblocked < 0 && isatty(out.fd) ?
					  write_unblocked(out.fd, at, line->length) :
					  write(out.fd, at, line->length);

		if (written < 0 && errno == EAGAIN && poll(&out, 1, PATIENCE_MILLISECONDS) > 0)
			continue;
		if (written <= 0)
			break; /* nobody listens */
		at += written;
		line->length -= (size_t)written;
	}
	line->length = 0;
}

static void add_byte(struct line *line, char byte)
{
	if (line->length == sizeof(line->bytes))
		flush(line);
	line->bytes[line->length++] = byte;
}

void say_as_it_is(const char *text)
{
	struct line line = { .length = 0 };

	for (; *text; text++)
		add_byte(&line, *text);
	flush(&line);
}

static bool is_between(char byte, unsigned char least, unsigned char most)
{
	return (unsigned char)byte >= least && (unsigned char)byte <= most;
}

/* What ends a line, or turns text around so that it reads as something else (CVE-2021-42574):
 * U+200E to 200F, U+2028 to 202E, U+2066 to 2069. */
static bool turns_text(const char *text)
{
	if (strncmp(text, "\xe2\x80", 2) == 0)
		return is_between(text[2], 0x8e, 0x8f) || is_between(text[2], 0xa8, 0xae);
	return strncmp(text, "\xe2\x81", 2) == 0 && is_between(text[2], 0xa6, 0xa9);
}

/* The length of the control character that a text starts with, 0 for anything else. Some are two
 * bytes of UTF-8: U+009B begins escape sequences as ESC [ does. */
static size_t control_length(const char *text)
{
	if (is_between(text[0], 0, 0x1f) || text[0] == 0x7f)
		return 1;
	if (text[0] == '\xc2' && is_between(text[1], 0x80, 0x9f))
		return 2;
	return turns_text(text) ? 3 : 0;
}

void add_text(struct line *line, const char *text)
{
	while (*text) {
		size_t control = control_length(text);

		add_byte(line, control ? '?' : *text);
		text += control ? control : 1;
	}
}

void add_number(struct line *line, uint64_t number)
{
	char digits[24];
	char *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	add_text(line, at);
}

const char *text_of(struct line *line)
{
	add_byte(line, '\0');
	return line->bytes;
}

void say(struct line *line)
{
	add_byte(line, '\n');
	flush(line);
}

void say_failure(const char *words, const char *name, const char *text, const char *hint)
{
	struct line line = { .length = 0 };

	add_text(&line, "chrun: cannot ");
	add_text(&line, words);
	if (name) {
		add_text(&line, " \"");
		add_text(&line, name);
		add_text(&line, "\"");
	}
	add_text(&line, ": ");
	add_text(&line, text);
	say(&line);
	if (!*hint)
		return;
	add_text(&line, "hint: ");
	add_text(&line, hint);
	say(&line);
}

/* "Invalid argument" -> "invalid argument", but "I/O error" stays. */
static void add_errno(struct line *line, int error)
{
	const char *text = strerror(error);
	char first[2] = { text[0], '\0' };

	if (text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'a' && text[1] <= 'z')
		first[0] = (char)(text[0] - 'A' + 'a');
	add_text(line, first);
	add_text(line, text + 1);
}

void say_step_failure(const struct record *record, const char *name, int error)
{
	struct note note = plan_note(record, error);
	struct line text = { .length = 0 };
	bool runs = record->number == STEP_EXEC && name;

	add_errno(&text, error);
	say_failure(runs ? "run" : record->words, runs ? name : NULL,
		    *note.text ? note.text : text_of(&text), note.hint);
}
