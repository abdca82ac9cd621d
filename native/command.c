// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "command.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "files.h"
#include "forget.h"
#include "kernel.h"
#include "messages.h"

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* execve(2) takes pointers to bytes that it does not change; C cannot say that in its type. */
static char **add_texts(char **at, struct field texts)
{
	for (uint32_t i = 0; i < texts.length; i++)
		*at++ = (char *)(uintptr_t)take_text_of(&texts.list);
	return at;
}

int command_prepare(struct command *command, const struct record *exec, char **tail)
{
	struct field argv = exec->fields[0], env = exec->fields[1];
	size_t count = (size_t)argv.length + env.length + 2; /* two NULLs, which end the lists */
	char **at;

	for (char **word = tail; *word; word++)
		count++;
	at = mmap(NULL, count * sizeof(char *), PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return -errno;
	command->init = exec->fields[2].number;
	command->argv = at;
	at = add_texts(at, argv);
	while (*tail)
		*at++ = *tail++;
	command->env = at + 1;
	add_texts(command->env, env);
	return command->argv[0] ? 0 : -EINVAL;
}

/* ENOENT has two meanings; the other one is that the file's interpreter is missing. */
static int execute_file(const char *path, const struct command *command)
{
	struct stat status;

	execve(path, command->argv, command->env);
	if (errno != ENOENT)
		return -errno;
	return stat(path, &status) == 0 ? -ELIBACC : -ENOENT;
}

static const char *search_path(char **env)
{
	for (; *env; env++)
		if (strncmp(*env, "PATH=", 5) == 0)
			return *env + 5;
	return default_path;
}

/* The next directory of PATH with the name behind it; false when that is too long. */
static bool join(const char *directory, size_t length, const char *name, char path[PATH_MAX])
{
	if (length + 1 + strlen(name) >= PATH_MAX)
		return false;
	memcpy(path, directory, length);
	if (length)
		path[length++] = '/'; /* an empty one is the working directory */
	strcpy(path + length, name);
	return true;
}

static bool goes_on(int error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -EACCES;
}

/* As execvp(3), but with the PATH that the command is given. */
static int execute(const struct command *command)
{
	const char *name = command->argv[0], *at = search_path(command->env);
	char path[PATH_MAX];
	int error = -ENOENT;

	if (strchr(name, '/'))
		return execute_file(name, command);
	if (!*name)
		return -ENOENT;
	for (;;) {
		size_t length = strcspn(at, ":");
		int tried = join(at, length, name, path) ? execute_file(path, command) : -ENOENT;

		if (!goes_on(tried))
			return tried;
		if (tried == -EACCES)
			error = tried; /* found, which tells more than that others lack it */
		if (!at[length])
			return error;
		at += length + 1;
	}
}

/* As the kernel has it: C libraries keep two signals to themselves, and let nobody touch them. */
struct kernel_action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

/* What a new program inherits and chrun or its caller has changed. */
static int reset(void)
{
	const int ignored[] = { SIGPIPE, SIGXFSZ, /* by Python, for itself */
				32, 33 };         /* by posix_spawn(3), its own two */
	const struct kernel_action by_default = { .handler = SIG_DFL };
	sigset_t none;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		if (syscall(SYS_rt_sigaction, ignored[i], &by_default, NULL, sizeof(uint64_t)) < 0)
			return -errno;
	umask(022);
	sigemptyset(&none);
	return result(sigprocmask(SIG_SETMASK, &none, NULL));
}

static int become(const struct command *command)
{
	int error = reset();

	return error ? error : execute(command);
}

int exit_status_of(uint32_t step_number, int error)
{
	if (step_number != STEP_EXEC)
		return EXIT_CHRUN_FAILED;
	return error == ENOENT || error == ELIBACC ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

int exit_status_from(int wait_status)
{
	return WIFSIGNALED(wait_status) ? EXIT_SIGNALLED + WTERMSIG(wait_status) :
					  WEXITSTATUS(wait_status);
}

/* Its own process group is what signals go to, and what a terminal's ^C reaches. */
static int lead_group(const struct container *c)
{
	int error = result(setpgid(0, 0));

	if (!error && c->has_terminal)
		error = result(tcsetpgrp(STDIN_FILENO, getpid()));
	return error;
}

/* The command starts when its parent has let go of the socket: PID 1's descriptors are not for it to
 * take. SIGCONT, blocked like all signals here, is the word. */
static int wait_for_parent(void)
{
	sigset_t word;

	sigemptyset(&word);
	sigaddset(&word, SIGCONT);
	return sigwaitinfo(&word, NULL) < 0 ? -errno : 0;
}

static _Noreturn void run_child(const struct command *command, const struct container *c)
{
	int error = lead_group(c);

	/* PID 1 takes all others with it when it dies; without a pid namespace, this does. */
	if (!error)
		error = result(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
	if (!error)
		error = wait_for_parent();
	if (!error)
		error = become(command);
	/* if nobody receives it, the monitor is dead, and so is this process in a moment */
	(void)send_failure(c->monitor, (struct failure){ c->position, (uint32_t)-error });
	leave(exit_status_of(STEP_EXEC, -error));
}

/* Reap what has ended. The exit status of the command once that is among it, else -1. */
static int reap(pid_t command)
{
	int status, ended = -1;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == command)
			ended = exit_status_from(status);
	return ended;
}

/* PID 1: every signal is blocked, and taken here one by one. The command begins when nothing in this
 * process tells of the host any more. */
static __attribute__((noinline)) _Noreturn void be_init(const struct plan *plan, pid_t command,
							 const char *end)
{
	sigset_t all;
	int status = -1;

	if (forget_plan(plan) < 0)
		leave(EXIT_CHRUN_FAILED);
	forget_callers(__builtin_dwarf_cfa(), end);
	sigfillset(&all);
	(void)kill(command, SIGCONT); /* it may have been killed already, as is found out below */
	while (status < 0) {
		int signal_number = sigwaitinfo(&all, NULL);

		if (signal_number == SIGCHLD)
			status = reap(command);
		else if (signal_number > 0) /* a group that just ended is no error */
			(void)kill(-command, signal_number == SIGTSTP ? SIGSTOP : signal_number);
	}
	leave(status);
}

static int run_as_init(const struct command *command, struct container *c)
{
	const char *end = stack_end();
	pid_t pid;

	if (!end)
		return -ENODATA;
	forget_calls();
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		run_child(command, c);
	/* here too, or a signal could come before the child has done it; EACCES says that it has */
	(void)setpgid(pid, pid);
	close(c->monitor); /* the command's copy tells what becomes of it */
	be_init(c->plan, pid, end);
}

/* The one variable that no plan can know, for it names the container. */
static void fill_in_host_name(const struct command *command, const struct container *c)
{
	static char variable[sizeof("HOSTNAME=") + HOST_NAME_MAX] = "HOSTNAME=";

	for (char **entry = command->env; *entry; entry++)
		if (strcmp(*entry, "HOSTNAME=%h") == 0) {
			find_host_name(c, variable + strlen("HOSTNAME="));
			*entry = variable;
		}
}

int command_run(const struct command *command, struct container *c)
{
	fill_in_host_name(command, c);
	return command->init ? run_as_init(command, c) : become(command);
}
