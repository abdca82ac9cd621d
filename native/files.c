// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "files.h"

#include <string.h>
#include <sys/utsname.h>

#include "kernel.h"
#include "say.h"

enum { SHORT_ID = 12 };

int host_path(const char *scratch, const char *path, char *whole, size_t size)
{
	bool in_scratch = path[0] == '%' && (path[1] == '/' || path[1] == '\0');
	size_t before = in_scratch ? strlen(scratch) : 0;

	path += in_scratch;
	if (in_scratch && !before)
		return -ENOENT; /* no scratch directory was given */
	if (before + strlen(path) >= size)
		return -ENAMETOOLONG;
	memcpy(whole, scratch, before);
	strcpy(whole + before, path);
	return 0;
}

int open_host_path(const char *scratch, const char *path, int flags)
{
	char whole[PATH_MAX];
	int error = host_path(scratch, path, whole, sizeof(whole));

	return error ? error : result(open(whole, flags | O_CLOEXEC));
}

static int write_all(int fd, const char *bytes, size_t length)
{
	while (length) {
		ssize_t written = write(fd, bytes, length);

		if (written < 0)
			return -errno;
		bytes += written;
		length -= (size_t)written;
	}
	return 0;
}

int read_text(int directory, const char *name, char *text, size_t size)
{
	closing int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);

	if (length < 0)
		return -errno;
	text[length] = '\0';
	return 0;
}

int write_setting(const char *path, const char *bytes, size_t length)
{
	closing int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : write_all(fd, bytes, length);
}

void find_host_name(const struct container *c, char name[HOST_NAME_MAX + 1])
{
	struct record record;
	struct utsname machine;
	const char *found = c->id;
	size_t length;

	if (!plan_find(c->plan, STEP_HOST_NAME, &record))
		found = uname(&machine) < 0 ? "" : machine.nodename;
	else if (record.fields[0].length)
		found = record.fields[0].text;
	length = strnlen(found, found == c->id ? SHORT_ID : HOST_NAME_MAX);
	memcpy(name, found, length);
	name[length] = '\0';
}

/* Write a text with the host name for every %h and % for every %%. */
static int write_expanded(const struct container *c, int fd, const char *text, size_t length)
{
	const char *end = text + length;
	char host_name[HOST_NAME_MAX + 1];
	int error = 0;

	find_host_name(c, host_name);
	while (!error && text < end) {
		const char *percent = memchr(text, '%', (size_t)(end - text));

		error = write_all(fd, text, (size_t)((percent ? percent : end) - text));
		if (error || !percent)
			break;
		if (end - percent > 1 && percent[1] == 'h')
			error = write_all(fd, host_name, strlen(host_name));
		else
			error = write_all(fd, "%", 1);
		text = percent + (end - percent > 1 ? 2 : 1);
	}
	return error;
}

int create_file(const struct container *c, mode_t mode, const char *text, size_t length,
		bool expanded)
{
	struct line name = { .length = 0 };
	int fd, error;

	add_text(&name, "file-");
	add_number(&name, c->position);
	fd = open(text_of(&name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	error = expanded ? write_expanded(c, fd, text, length) : write_all(fd, text, length);
	if (!error)
		return fd;
	close(fd);
	return error;
}
