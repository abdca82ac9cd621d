// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "streams.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel.h"
#include "say.h"

static bool is_of_type(int fd, mode_t type)
{
	struct stat status;

	return fstat(fd, &status) == 0 && (status.st_mode & S_IFMT) == type;
}

static bool is_empty(const struct stream *s)
{
	return s->start == s->end;
}

void streams_clear(struct streams *s)
{
	for (size_t i = 0; i < STREAM_COUNT; i++)
		s->all[i].from = s->all[i].to = -1;
	s->offset = -1;
}

/* The caller's end. A terminal is opened once more, so that using it does not block. */
static int callers_end(int fd)
{
	int unblocked = open_unblocked(fd, fd == STDIN_FILENO ? O_RDONLY : O_WRONLY);

	return unblocked < 0 ? fd : unblocked;
}

/* A terminal or a file is read only as far as the container does, so that the caller gets the rest. */
static void start_input(struct stream *s, int end)
{
	s->to = end;
	s->from = callers_end(STDIN_FILENO);
	s->from_socket = is_of_type(STDIN_FILENO, S_IFSOCK);
	s->splices = is_of_type(STDIN_FILENO, S_IFIFO);
	s->in_step = isatty(STDIN_FILENO) || is_of_type(STDIN_FILENO, S_IFREG);
}

/* splice(2) does not copy, and does not block on a pipe whose other end is slow. Into a file it moves
 * page by page, which takes longer than to copy. */
static void start_output(struct stream *s, int end, int fd)
{
	s->from = end;
	s->to = callers_end(fd);
	s->to_socket = is_of_type(fd, S_IFSOCK);
	s->to_device = is_of_type(fd, S_IFCHR);
	s->is_shared = isatty(fd) && s->to == fd;
	s->splices = is_of_type(fd, S_IFIFO);
}

void streams_start(struct streams *s, const int ends[MESSAGE_DESCRIPTORS])
{
	if (ends[STDIN_FILENO] >= 0)
		start_input(&s->all[STDIN_FILENO], ends[STDIN_FILENO]);
	for (int fd = STDOUT_FILENO; fd < STREAM_COUNT; fd++)
		if (ends[fd] >= 0)
			start_output(&s->all[fd], ends[fd], fd);
	s->offset = ends[STREAM_COUNT];
}

void streams_prepare(const struct streams *s, struct pollfd polls[STREAM_POLLS])
{
	for (int fd = STDIN_FILENO; fd < STREAM_COUNT; fd++) {
		const struct stream *stream = &s->all[fd];

		polls[fd] = stream->waits ? (struct pollfd){ stream->to, POLLOUT, 0 } :
					    (struct pollfd){ stream->from, POLLIN, 0 };
	}
	polls[STREAM_COUNT] = (struct pollfd){ s->all[STDIN_FILENO].to, 0, 0 };
}

/* Both ends of a stream that has ended; what is the caller's stays open. */
static void end_stream(struct stream *s)
{
	if (s->from > STDERR_FILENO)
		close(s->from);
	if (s->to > STDERR_FILENO)
		close(s->to);
	s->from = s->to = -1;
	s->waits = false;
	s->start = s->end = 0;
}

static ssize_t read_some(const struct stream *s, char *bytes, size_t size)
{
	return s->from_socket ? recv(s->from, bytes, size, MSG_DONTWAIT) : read(s->from, bytes, size);
}

static ssize_t write_some(const struct stream *s, const char *bytes, size_t size)
{
	if (s->to_socket)
		return send(s->to, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	return s->is_shared ? write_unblocked(s->to, bytes, size) : write(s->to, bytes, size);
}

static bool would_block(ssize_t count)
{
	return count < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Fill the empty buffer. Returns 0, -EAGAIN, or -EPIPE at the end: a terminal that hung up is EIO. */
static int fill(struct stream *s)
{
	ssize_t count = read_some(s, s->bytes, sizeof(s->bytes));

	if (would_block(count))
		return -EAGAIN;
	if (count <= 0)
		return -EPIPE;
	s->start = 0;
	s->end = (size_t)count;
	return 0;
}

static ssize_t copy(struct stream *s)
{
	bool was_full = s->waits;
	int error = 0;
	ssize_t count;

	s->waits = false;
	if (is_empty(s) && was_full)
		return 0; /* now that `to` is empty, poll(2) tells whether there is more */
	if (is_empty(s))
		error = fill(s);
	if (error)
		return error == -EAGAIN ? 0 : error;
	count = write_some(s, s->bytes + s->start, s->end - s->start);
	if (count < 0 && !would_block(count))
		return s->to_device && errno == EIO ? -EPIPE : -errno; /* it hung up */
	s->start += count > 0 ? (size_t)count : 0;
	s->waits = s->in_step || !is_empty(s);
	return count > 0 ? count : 0;
}

ssize_t stream_relay(struct stream *s)
{
	ssize_t count;

	if (!s->splices)
		return copy(s);
	count = splice(s->from, NULL, s->to, NULL, STREAM_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (count > 0)
		s->waits = false;
	if (count >= 0)
		return count > 0 ? count : -EPIPE;
	if (!would_block(count))
		return -errno;
	if (errno == EAGAIN)
		s->waits = !s->waits; /* it does not say which of the two would block */
	return 0;
}

static void end_input(struct streams *s)
{
	streams_return_input(s);
	end_stream(&s->all[STDIN_FILENO]);
}

int streams_relay(struct streams *s, const struct pollfd polls[STREAM_POLLS])
{
	struct stream *input = &s->all[STDIN_FILENO];
	int failed = 0;

	for (int fd = STDIN_FILENO; fd < STREAM_COUNT; fd++) {
		struct stream *stream = &s->all[fd];
		ssize_t moved = polls[fd].revents ? stream_relay(stream) : 0;

		if (moved < 0 && stream == input)
			end_input(s);
		else if (moved < 0)
			end_stream(stream);
		if (moved < 0 && moved != -EPIPE && stream != input)
			failed = (int)moved;
	}
	if (polls[STREAM_COUNT].revents & POLLERR)
		end_input(s); /* nothing in the container reads any more */
	return failed;
}

static size_t unread(int pipe)
{
	int count = 0;

	return ioctl(pipe, FIONREAD, &count) < 0 || count < 0 ? 0 : (size_t)count;
}

bool streams_are_written(const struct streams *s)
{
	return s->all[STDOUT_FILENO].from >= 0 || s->all[STDERR_FILENO].from >= 0;
}

size_t stream_left(const struct stream *s)
{
	return s->from < 0 ? 0 : s->end - s->start + unread(s->from);
}

void streams_return_input(struct streams *s)
{
	const struct stream *input = &s->all[STDIN_FILENO];
	off_t offset;

	if (s->offset >= 0) {
		offset = lseek(s->offset, 0, SEEK_CUR);
		(void)lseek(STDIN_FILENO, offset, SEEK_SET); /* fails for offsets that it would not take */
	} else if (input->to >= 0 && is_of_type(STDIN_FILENO, S_IFREG)) {
		offset = (off_t)(input->end - input->start + unread(input->to));
		(void)lseek(STDIN_FILENO, -offset, SEEK_CUR); /* likewise */
	}
}
