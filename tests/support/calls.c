// SPDX-License-Identifier: Apache-2.0
/* Tries system calls, each in a child of its own, and prints "NUMBER RESULT" for each:
 *
 *     calls all            every number below 600, with arguments that no call can use
 *     calls NUMBER ARGUMENT...
 *     calls i386 NUMBER    by int 0x80: the ABI of 32-bit programs
 *     calls stay NUMBER ARGUMENT...    in this process itself, which then stays
 *     calls multiply COUNT SECONDS     start so many processes and end: until the time is up, each
 *                                      has a child in its place, as long as there may be more
 *
 * A result is 0 for success, else the errno, else -n for a child that signal n ended. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	BEHIND_THE_LAST = 600,
	ARGUMENTS = 6,
	SECONDS = 5,
	STAY_SECONDS = 60,
	PAUSE_NANOSECONDS = 20 * 1000 * 1000,
};

/* These end, stop or double the process that calls them, or reach the whole machine. */
static const long untried[] = {
	SYS_exit,	   SYS_exit_group, SYS_rt_sigreturn, SYS_rt_sigsuspend, SYS_clone, SYS_sync,
	SYS_restart_syscall,
#ifdef __x86_64__
	SYS_fork,	   SYS_vfork,	   SYS_pause,
#endif
};

static int is_untried(long number)
{
	for (size_t i = 0; i < sizeof(untried) / sizeof(*untried); i++)
		if (untried[i] == number)
			return 1;
	return 0;
}

static long call_natively(long number, const long *arguments)
{
	long result = syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
			      arguments[4], arguments[5]);

	return result == -1 ? -errno : 0;
}

static long call_i386(long number, const long *arguments)
{
	long result = -ENOSYS;

	(void)arguments;
#ifdef __x86_64__
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(0L) : "memory");
#else
	(void)number;
#endif
	return result < 0 ? result : 0;
}

static int try_in_child(long (*call)(long, const long *), long number, const long *arguments)
{
	int status = 0;
	pid_t child = fork();

	if (child < 0)
		return errno;
	if (!child) {
		alarm(SECONDS);
		_exit((int)-call(number, arguments));
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void try_all(void)
{
	const long useless[ARGUMENTS] = { -1, -1, -1, -1, -1, -1 };

	for (long number = 0; number < BEHIND_THE_LAST; number++)
		if (!is_untried(number))
			printf("%ld %d\n", number, try_in_child(call_natively, number, useless));
}

static void live_on(time_t end)
{
	const struct timespec pause = { 0, PAUSE_NANOSECONDS };

	while (time(NULL) < end) {
		if (fork() > 0)
			_exit(0);
		nanosleep(&pause, NULL);
	}
	_exit(0);
}

static int multiply(long count, long seconds)
{
	time_t end = time(NULL) + seconds;

	for (long i = 0; i < count; i++)
		if (fork() == 0)
			live_on(end);
	return 0;
}

int main(int argc, char **argv)
{
	long arguments[ARGUMENTS] = { 0 };
	int is_i386 = argc > 2 && !strcmp(argv[1], "i386");
	int stays = argc > 2 && !strcmp(argv[1], "stay");
	char **word = argv + 1 + is_i386 + stays;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc < 2)
		return 2;
	if (!strcmp(argv[1], "all")) {
		try_all();
		return 0;
	}
	if (argc == 4 && !strcmp(argv[1], "multiply"))
		return multiply(strtol(argv[2], NULL, 10), strtol(argv[3], NULL, 10));
	long number = (long)strtoul(*word, NULL, 0);

	for (int i = 0; word[i + 1] && i < ARGUMENTS; i++)
		arguments[i] = (long)strtoul(word[i + 1], NULL, 0);
	if (stays) {
		printf("%ld %ld\n", number, -call_natively(number, arguments));
		sleep(STAY_SECONDS); /* a test that fails may leave it behind */
		return 0;
	}
	printf("%ld %d\n", number,
	       try_in_child(is_i386 ? call_i386 : call_natively, number, arguments));
	return 0;
}
