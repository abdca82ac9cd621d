/*
 * What a process sees of its surroundings, as JSON on stdout: the probe that tests put into a
 * container. It asks the kernel by system calls where there are any, so that it works without
 * /proc; files of /proc are passed on as they are, for tests/support/probe.py to read.
 *
 *     probe [path=PATH]... [text=PATH]... [call=NAME|NUMBER[:ARGUMENT,...]]... [WORD]...
 *
 * Bytes above 127 are written as \u00XX, one for each byte. It changes nothing: paths are opened
 * and not written to, and calls are made in a child.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

extern char **environ;

/* Files of /proc that are passed on whole */
static const char *const TEXTS[] = {
	"/proc/self/status", "/proc/self/mountinfo", "/proc/self/uid_map", "/proc/self/gid_map",
	"/proc/self/setgroups", "/proc/self/cgroup", "/proc/self/oom_score_adj", "/proc/self/net/dev",
	"/proc/self/attr/current", "/proc/1/status", "/proc/1/cmdline", "/etc/hosts",
	"/etc/resolv.conf", "/etc/hostname", "/proc/sys/net/ipv4/ping_group_range",
};

static const char *const NAMESPACES[] = {
	"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time",
};

/* What engines hide or lock; whether it can be read and written to is said of each */
static const char *const PATHS[] = {
	"/", "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
	"/proc/kmsg", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
	"/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware", "/proc/bus", "/proc/fs",
	"/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern",
	"/proc/sys/kernel/hostname", "/proc/mem", "/sys", "/sys/kernel", "/sys/kernel/uevent_helper",
	"/sys/fs/cgroup", "/dev", "/dev/mem", "/dev/shm", "/dev/mqueue", "/tmp", "/run",
};

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

static const char *comma = "";

static void key(const char *name)
{
	printf("%s\n\"%s\": ", comma, name);
	comma = ",";
}

static void open_group(const char *name, char bracket)
{
	key(name);
	putchar(bracket);
	comma = "";
}

static void close_group(char bracket)
{
	printf("\n%c", bracket);
	comma = ",";
}

static void text(const char *bytes, size_t length)
{
	putchar('"');
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)bytes[i];

		if (byte < 0x20 || byte > 0x7e || byte == '"' || byte == '\\')
			printf("\\u%04x", byte);
		else
			putchar(byte);
	}
	putchar('"');
}

static void item(const char *string)
{
	printf("%s", comma);
	text(string, strlen(string));
	comma = ",";
}

static void named_text(const char *name, const char *string)
{
	printf("%s\n", comma);
	text(name, strlen(name));
	printf(": ");
	text(string, strlen(string));
	comma = ",";
}

static void named_number(const char *name, long long number)
{
	printf("%s\n", comma);
	text(name, strlen(name));
	printf(": %lld", number);
	comma = ",";
}

static void show_file(const char *path)
{
	static char content[1 << 20];
	size_t length = 0;
	ssize_t count;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	while ((count = read(fd, content + length, sizeof content - length)) > 0)
		length += (size_t)count;
	close(fd);
	key(path);
	text(content, length);
}

static void show_words(const char *name, char **words)
{
	open_group(name, '[');
	for (; *words; words++)
		item(*words);
	close_group(']');
}

static void show_ids(void)
{
	uid_t uids[3];
	gid_t gids[3], groups[1024];
	int count = getgroups(COUNT(groups), groups);

	getresuid(&uids[0], &uids[1], &uids[2]);
	getresgid(&gids[0], &gids[1], &gids[2]);
	key("uids");
	printf("[%u, %u, %u]", uids[0], uids[1], uids[2]);
	key("gids");
	printf("[%u, %u, %u]", gids[0], gids[1], gids[2]);
	key("groups");
	printf("[");
	for (int i = 0; i < count; i++)
		printf("%s%u", i ? ", " : "", groups[i]);
	printf("]");
}

static void show_capabilities(void)
{
	struct {
		uint32_t version;
		int pid;
	} header = { 0x20080522, 0 };
	struct {
		uint32_t effective, permitted, inheritable;
	} halves[2] = { { 0 } };
	uint64_t bounding = 0, ambient = 0;

	syscall(SYS_capget, &header, halves);
	for (unsigned long bit = 0; bit < 64; bit++) {
		if (prctl(PR_CAPBSET_READ, bit, 0, 0, 0) == 1)
			bounding |= (uint64_t)1 << bit;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, bit, 0, 0) == 1)
			ambient |= (uint64_t)1 << bit;
	}
#define WHOLE(set) (unsigned long long)(halves[0].set | (uint64_t)halves[1].set << 32)
	open_group("capabilities", '{');
	named_number("effective", (long long)WHOLE(effective));
	named_number("permitted", (long long)WHOLE(permitted));
	named_number("inheritable", (long long)WHOLE(inheritable));
	named_number("bounding", (long long)bounding);
	named_number("ambient", (long long)ambient);
	close_group('}');
}

static void show_process(void)
{
	char cwd[4096] = "";
	struct utsname names;
	mode_t mask = umask(0);

	umask(mask);
	if (syscall(SYS_getcwd, cwd, sizeof cwd) < 0)
		cwd[0] = '\0';
	uname(&names);
	open_group("process", '{');
	named_number("pid", getpid());
	named_number("ppid", getppid());
	named_number("pgrp", getpgrp());
	named_number("session", getsid(0));
	named_number("umask", mask);
	named_number("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	named_number("dumpable", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	named_number("nice", getpriority(PRIO_PROCESS, 0));
	named_number("terminal", isatty(0) | isatty(1) << 1 | isatty(2) << 2);
	close_group('}');
	key("cwd");
	text(cwd, strlen(cwd));
	key("hostname");
	text(names.nodename, strlen(names.nodename));
	key("domainname");
	text(names.domainname, strlen(names.domainname));
	key("machine");
	text(names.machine, strlen(names.machine));
}

static void show_limits(void)
{
	open_group("limits", '[');
	for (int resource = 0; resource < 16; resource++) {
		struct rlimit limit = { 0 };

		getrlimit(resource, &limit);
		printf("%s[%lld, %lld]", comma, (long long)limit.rlim_cur, (long long)limit.rlim_max);
		comma = ", ";
	}
	close_group(']');
}

static void show_link(const char *name, const char *path)
{
	char target[4096];
	ssize_t length = readlink(path, target, sizeof target - 1);

	if (length < 0)
		return;
	target[length] = '\0';
	named_text(name, target);
}

static void show_namespaces(void)
{
	char path[64];

	open_group("namespaces", '{');
	for (size_t i = 0; i < COUNT(NAMESPACES); i++) {
		snprintf(path, sizeof path, "/proc/self/ns/%s", NAMESPACES[i]);
		show_link(NAMESPACES[i], path);
	}
	close_group('}');
}

/* By number, not by /proc/self/fd: that needs a descriptor itself, and a /proc. */
static void show_descriptors(void)
{
	char path[64], name[16];

	open_group("descriptors", '{');
	for (int fd = 0; fd < 1024; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			continue;
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		snprintf(name, sizeof name, "%d", fd);
		if (access("/proc/self/fd", F_OK) == 0)
			show_link(name, path);
		else
			named_text(name, "?");
	}
	close_group('}');
}

static char kind_letter(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return 'f';
	case S_IFDIR: return 'd';
	case S_IFLNK: return 'l';
	case S_IFCHR: return 'c';
	case S_IFBLK: return 'b';
	case S_IFIFO: return 'p';
	default: return 's';
	}
}

static void show_devices(void)
{
	DIR *directory = opendir("/dev");
	struct dirent *entry;
	struct stat status;

	open_group("devices", '{');
	while (directory && (entry = readdir(directory))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
		    fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW))
			continue;
		printf("%s\n", comma);
		text(entry->d_name, strlen(entry->d_name));
		printf(": [\"%c\", %u, %u, %u, %u, %u]", kind_letter(status.st_mode),
		       major(status.st_rdev), minor(status.st_rdev), status.st_mode & 07777,
		       status.st_uid, status.st_gid);
		comma = ",";
	}
	close_group('}');
	if (directory)
		closedir(directory);
}

/* The number of entries of a directory, at most one for anything else that gives a byte */
static long long count_content(const char *path, bool is_directory)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	long long count = fd < 0 ? -errno : 0;
	char byte;

	if (fd >= 0 && is_directory) {
		DIR *directory = fdopendir(fd);

		while (directory && readdir(directory))
			count++;
		if (directory)
			closedir(directory);
		return count - 2;
	}
	if (fd >= 0) {
		ssize_t got = read(fd, &byte, 1);

		count = got < 0 ? -errno : got;
		close(fd);
	}
	return count;
}

static int try_writing(const char *path, bool is_directory)
{
	int fd;

	if (is_directory)
		return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0 ? errno : 0;
	fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static void show_path(const char *path)
{
	struct stat status;
	bool is_directory;

	if (stat(path, &status) < 0)
		return;
	is_directory = S_ISDIR(status.st_mode);
	printf("%s\n", comma);
	text(path, strlen(path));
	printf(": [\"%c\", %lld, %d, %u, %u, %u, %u, %u]", kind_letter(status.st_mode),
	       count_content(path, is_directory), try_writing(path, is_directory),
	       status.st_mode & 07777, status.st_uid, status.st_gid, major(status.st_rdev),
	       minor(status.st_rdev));
	comma = ",";
}

static void show_paths(char **words)
{
	open_group("paths", '{');
	for (size_t i = 0; i < COUNT(PATHS); i++)
		show_path(PATHS[i]);
	for (; *words; words++)
		if (!strncmp(*words, "path=", 5))
			show_path(*words + 5);
	close_group('}');
}

static void show_sockets(void)
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

static long call_number(const char *name)
{
	for (size_t i = 0; i < COUNT(CALLS); i++)
		if (!strcmp(CALLS[i].name, name))
			return CALLS[i].number;
	return strtol(name, NULL, 0);
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

static void show_calls(char **words)
{
	open_group("calls", '{');
	for (; *words; words++) {
		char name[256], *argument;
		long arguments[6] = { -1, -1, -1, -1, -1, -1 };

		if (strncmp(*words, "call=", 5))
			continue;
		snprintf(name, sizeof name, "%s", *words + 5);
		argument = strchr(name, ':');
		if (argument) {
			memset(arguments, 0, sizeof arguments);
			for (int i = 0; argument && i < 6; i++, argument = strchr(argument, ',')) {
				*argument++ = '\0';
				arguments[i] = (long)strtoull(argument, NULL, 0);
			}
		}
		fflush(stdout);
		named_number(*words + 5, try_call(call_number(name), arguments));
	}
	close_group('}');
}

static int or_errno(long answer)
{
	return answer < 0 ? errno : 0;
}

/* Calls that need a pointer; their effect is none or ends with this process, as its keyring does */
static void show_attempts(void)
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

int main(int argc, char **argv)
{
	(void)argc;
	printf("{");
	show_words("argv", argv);
	show_words("env", environ);
	show_descriptors();
	show_ids();
	show_capabilities();
	show_process();
	show_limits();
	show_namespaces();
	show_devices();
	show_paths(argv);
	show_sockets();
	show_attempts();
	show_calls(argv);
	open_group("texts", '{');
	for (size_t i = 0; i < COUNT(TEXTS); i++)
		show_file(TEXTS[i]);
	for (char **word = argv; *word; word++)
		if (!strncmp(*word, "text=", 5))
			show_file(*word + 5);
	close_group('}');
	printf("\n}\n");
	return 0;
}
