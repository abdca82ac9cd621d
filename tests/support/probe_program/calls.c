#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "json.h"
#include "probe.h"

static const struct {
	const char *name;
	long number;
} CALLS[] = {
	{ "mount", SYS_mount }, { "umount2", SYS_umount2 }, { "pivot_root", SYS_pivot_root },
	{ "unshare", SYS_unshare }, { "setns", SYS_setns }, { "clone3", SYS_clone3 },
	{ "keyctl", SYS_keyctl }, { "add_key", SYS_add_key }, { "request_key", SYS_request_key },
	{ "bpf", SYS_bpf }, { "perf_event_open", SYS_perf_event_open },
	{ "userfaultfd", SYS_userfaultfd }, { "io_uring_setup", SYS_io_uring_setup },
	{ "open_by_handle_at", SYS_open_by_handle_at },
	{ "name_to_handle_at", SYS_name_to_handle_at }, { "kexec_load", SYS_kexec_load },
	{ "init_module", SYS_init_module }, { "delete_module", SYS_delete_module },
	{ "ptrace", SYS_ptrace }, { "process_vm_readv", SYS_process_vm_readv },
	{ "personality", SYS_personality }, { "reboot", SYS_reboot }, { "swapon", SYS_swapon },
	{ "acct", SYS_acct }, { "settimeofday", SYS_settimeofday },
	{ "clock_settime", SYS_clock_settime }, { "fsopen", SYS_fsopen }, { "fsmount", SYS_fsmount },
	{ "open_tree", SYS_open_tree }, { "move_mount", SYS_move_mount },
	{ "mount_setattr", SYS_mount_setattr }, { "quotactl", SYS_quotactl },
	{ "syslog", SYS_syslog }, { "chroot", SYS_chroot }, { "sethostname", SYS_sethostname },
	{ "mknodat", SYS_mknodat }, { "fchownat", SYS_fchownat }, { "setuid", SYS_setuid },
	{ "getpid", SYS_getpid },
};

static const struct {
	const char *name;
	int family, type;
} SOCKETS[] = {
	{ "unix", AF_UNIX, SOCK_STREAM }, { "inet", AF_INET, SOCK_STREAM },
	{ "raw", AF_INET, SOCK_RAW }, { "packet", AF_PACKET, SOCK_RAW },
	{ "netlink", AF_NETLINK, SOCK_RAW }, { "vsock", AF_VSOCK, SOCK_STREAM },
	{ "alg", AF_ALG, SOCK_SEQPACKET },
};

void show_sockets(void)
{
	open_group("sockets", '{');
	for (size_t i = 0; i < COUNT(SOCKETS); i++) {
		int fd = socket(SOCKETS[i].family, SOCKETS[i].type, 0);

		/* A raw socket of no protocol is what the kernel has not, once it was permitted */
		named_number(SOCKETS[i].name, fd < 0 && errno != EPROTONOSUPPORT ? errno : 0);
		if (fd >= 0)
			close(fd);
	}
	close_group('}');
}

static long call_number(const char *wanted)
{
	for (size_t i = 0; i < COUNT(CALLS); i++)
		if (!strcmp(CALLS[i].name, wanted))
			return CALLS[i].number;
	return strtol(wanted, NULL, 0);
}

/* The errno of a call, 0 for success, -n when signal n ended the child that made it */
static int try_call(long number, const long *arguments)
{
	pid_t child;
	int status = 0, answer[2];
	int error = -1;

	if (pipe2(answer, O_CLOEXEC) < 0 || (child = fork()) < 0)
		return -1;
	if (!child) {
		long got = syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
				   arguments[4], arguments[5]);

		error = got < 0 ? errno : 0;
		_exit(write(answer[1], &error, sizeof error) != sizeof error);
	}
	close(answer[1]);
	waitpid(child, &status, 0);
	if (read(answer[0], &error, sizeof error) != sizeof error)
		error = WIFSIGNALED(status) ? -WTERMSIG(status) : 0;
	close(answer[0]);
	return error;
}

void show_calls(char **words)
{
	open_group("calls", '{');
	for (; *words; words++) {
		char call[256], *argument;
		long arguments[6] = { -1, -1, -1, -1, -1, -1 };

		if (strncmp(*words, "call=", 5))
			continue;
		snprintf(call, sizeof call, "%s", *words + 5);
		argument = strchr(call, ':');
		if (argument) {
			memset(arguments, 0, sizeof arguments);
			for (int i = 0; argument && i < 6; i++, argument = strchr(argument, ',')) {
				*argument++ = '\0';
				arguments[i] = (long)strtoull(argument, NULL, 0);
			}
		}
		fflush(stdout);
		named_number(*words + 5, try_call(call_number(call), arguments));
	}
	close_group('}');
}

static int or_errno(long answer)
{
	return answer < 0 ? errno : 0;
}

/* Calls that need a pointer; their effect is none or ends with this process, as its keyring does */
void show_attempts(void)
{
	int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	char subcode[2] = { 12, 0 }; /* TIOCL_GETFGCONSOLE: only tells */

	open_group("attempts", '{');
	named_number("terminal", or_errno(terminal));
	named_number("TIOCSTI", or_errno(ioctl(terminal, TIOCSTI, "")));
	named_number("TIOCSTI with high bits",
		     or_errno(syscall(SYS_ioctl, terminal, 0x100000000UL | TIOCSTI, "")));
	named_number("TIOCLINUX", or_errno(ioctl(terminal, TIOCLINUX, subcode)));
	named_number("session keyring", or_errno(syscall(SYS_keyctl, 0, -3, 0)));
	named_number("add a key",
		     or_errno(syscall(SYS_add_key, "user", "chrun-probe", "x", 1, -2)));
	close_group('}');
}
