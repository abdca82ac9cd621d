// SPDX-License-Identifier: Apache-2.0
/* chrun-init: carries out a plan (docs/reference/plan.md) and waits until its container has ended.
 * It decides nothing: what happens, and in which order, is the plan's. */
#define _GNU_SOURCE
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "kernel.h"
#include "messages.h"
#include "monitor.h"
#include "say.h"

enum { MAX_PLAN_BYTES = 16 << 20 };

static const uint32_t the_plan_itself = UINT32_MAX; /* the position of no step */

static bool read_descriptor(const char *text, int *fd)
{
	*fd = 0;
	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || *fd > INT_MAX / 10 - 1)
			return false;
		*fd = *fd * 10 + (*text - '0');
	}
	return true;
}

/* The value of `key=value`, or NULL. */
static const char *value_of(const char *word, const char *key)
{
	size_t length = strlen(key);

	return strncmp(word, key, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

static bool read_option(struct options *options, const char *word)
{
	const struct {
		const char *key;
		int *fd;
		const char **text;
	} known[] = {
		{ "plan", &options->plan, NULL },         { "report", &options->report, NULL },
		{ "lifeline", &options->lifeline, NULL }, { "hold", &options->hold, NULL },
		{ "gate", &options->gate, NULL },         { "id", NULL, &options->id },
		{ "scratch", NULL, &options->scratch },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		const char *value = value_of(word, known[i].key);

		if (value && known[i].text)
			*known[i].text = value;
		if (value)
			return known[i].text ? true : read_descriptor(value, known[i].fd);
	}
	return false;
}

static bool read_options(struct options *options, char **words)
{
	for (; *words && strcmp(*words, "--") != 0; words++) {
		if (!read_option(options, *words)) {
			say_failure("read the command line: unknown word", *words, "see docs/reference/plan.md", "");
			return false;
		}
	}
	options->tail = *words ? words + 1 : words;
	return true;
}

static int read_all(int fd, char *bytes, size_t size)
{
	size_t at = 0;

	while (at < size) {
		ssize_t count = pread(fd, bytes + at, size - at, (off_t)at);

		if (count < 0)
			return -errno;
		if (count == 0)
			return -ESTALE; /* it shrank meanwhile */
		at += (size_t)count;
	}
	return 0;
}

/* Copy the plan into memory of our own: a file that is mapped could still be changed by whoever
 * has it, after it was checked. Gives NULL, or what is wrong. */
static const char *read_plan(int fd, struct plan *plan)
{
	struct stat status;
	void *bytes;
	int error;

	if (fstat(fd, &status) < 0)
		return strerror(errno);
	if (!S_ISREG(status.st_mode))
		return "it is not a regular file";
	if (status.st_size < 1 || status.st_size > MAX_PLAN_BYTES)
		return "it is empty, or too large for a plan";
	bytes = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bytes == MAP_FAILED)
		return strerror(errno);
	error = read_all(fd, bytes, (size_t)status.st_size);
	if (error)
		return strerror(-error);
	close(fd);
	return plan_check(bytes, (size_t)status.st_size, plan);
}

/* A caller without one of 0, 1 and 2 may have given that number to what it opened for us: a lock on
 * a directory of the machine, which the container must not get as its standard input. */
static int leave_stdio(int *fd)
{
	int moved;

	if (*fd < 0 || *fd > STDERR_FILENO)
		return 0;
	moved = fcntl(*fd, F_DUPFD, STDERR_FILENO + 1);
	if (moved < 0)
		return -errno;
	close(*fd);
	*fd = moved;
	return 0;
}

/* Whoever closed one of 0, 1 and 2 must not have it become something of ours. */
static int fill_stdio(struct options *options)
{
	int *const ours[] = {
		&options->plan, &options->report, &options->lifeline, &options->hold, &options->gate,
	};
	int fd, error = 0;

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours) && !error; i++)
		error = leave_stdio(ours[i]);
	if (error)
		return error;
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	return fd < 0 ? -errno : result(close(fd));
}

static void report_bad_plan(int report)
{
	struct failure failure = { the_plan_itself, EINVAL };

	if (report >= 0 && write(report, &failure, sizeof(failure)) < 0)
		return; /* the caller is gone */
}

int main(int argc, char **argv)
{
	static struct plan plan;
	struct options options = {
		.plan = -1, .report = -1, .lifeline = -1, .hold = -1, .gate = -1, .id = "", .scratch = "",
	};
	const char *problem;
	int error;

	if (!read_options(&options, argv + (argc > 0)))
		return EXIT_CHRUN_FAILED;
	error = fill_stdio(&options);
	problem = error ? strerror(-error) : read_plan(options.plan, &plan);
	if (problem) {
		say_failure("read the plan", NULL, problem, "");
		report_bad_plan(options.report);
		return EXIT_CHRUN_FAILED;
	}
	return monitor(&plan, &options);
}
