// SPDX-License-Identifier: Apache-2.0
/* Runs a program and stops it where it has read another process's limit:
 *
 *     stopping LIMIT REPORT GO PROGRAM ARGUMENT...
 *
 * At the end of the first prlimit(2) about another process and LIMIT, a resource's number, it writes
 * that process's number to the descriptor REPORT. It goes on when it can read from GO. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GET_CALL = 0x420e, ENTRY = 1, OF_CALL = SIGTRAP | 0x80 };

/* struct ptrace_syscall_info, which C libraries have by several names: ptrace(2) */
struct call {
	uint8_t kind, padding[3];
	uint32_t arch;
	uint64_t instruction, stack, number, arguments[6];
};

static long request(long what, pid_t pid, unsigned long address, void *data)
{
	return syscall(SYS_ptrace, what, (long)pid, address, data);
}

/* The process that a call which begins is about, when it is one to stop at; 0 for all others. */
static long reads_limit(pid_t pid, uint64_t limit)
{
	struct call call = { 0 };

	if (request(GET_CALL, pid, sizeof(call), &call) <= 0 || call.kind != ENTRY)
		return 0;
	if (call.number != SYS_prlimit64 || call.arguments[1] != limit)
		return 0;
	return (long)call.arguments[0];
}

static int end_of(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) == pid)
		if (WIFEXITED(status))
			return WEXITSTATUS(status);
	return 1;
}

/* Let a program run to the end of the call. Gives whom it is about. */
static long run_to_call(pid_t pid, uint64_t limit)
{
	long about = 0;
	int status, number = 0;

	while (request(PTRACE_SYSCALL, pid, 0, (void *)(intptr_t)number) == 0) {
		if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
			return 0;
		number = WSTOPSIG(status) == OF_CALL || WSTOPSIG(status) == SIGTRAP ? 0 :
										      WSTOPSIG(status);
		if (WSTOPSIG(status) != OF_CALL)
			continue;
		if (about)
			return about; /* the end of what began */
		about = reads_limit(pid, limit);
	}
	return 0;
}

int main(int argc, char **argv)
{
	char go;
	pid_t pid;

	if (argc < 5)
		return 2;
	pid = fork();
	if (pid == 0) {
		request(PTRACE_TRACEME, 0, 0, NULL);
		raise(SIGSTOP);
		execv(argv[4], argv + 4);
		_exit(127);
	}
	if (waitpid(pid, NULL, 0) != pid ||
	    request(PTRACE_SETOPTIONS, pid, 0, (void *)(intptr_t)PTRACE_O_TRACESYSGOOD))
		return 1;
	dprintf(atoi(argv[2]), "%ld\n", run_to_call(pid, strtoul(argv[1], NULL, 10)));
	if (read(atoi(argv[3]), &go, 1) < 0 || request(PTRACE_DETACH, pid, 0, NULL))
		return 1;
	return end_of(pid);
}
