#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "json.h"
#include "probe.h"

/* Files of /proc that are passed on whole */
static const char *const TEXTS[] = {
	"/proc/self/status", "/proc/self/mountinfo", "/proc/self/uid_map", "/proc/self/gid_map",
	"/proc/self/setgroups", "/proc/self/cgroup", "/proc/self/oom_score_adj", "/proc/self/net/dev",
	"/proc/self/attr/current", "/proc/1/status", "/proc/1/cmdline", "/etc/hosts",
	"/etc/resolv.conf", "/etc/hostname", "/proc/sys/net/ipv4/ping_group_range",
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
	name(path);
	text(content, length);
}

void show_texts(char **words)
{
	open_group("texts", '{');
	for (size_t i = 0; i < COUNT(TEXTS); i++)
		show_file(TEXTS[i]);
	for (; *words; words++)
		if (!strncmp(*words, "text=", 5))
			show_file(*words + 5);
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

void show_devices(void)
{
	DIR *directory = opendir("/dev");
	struct dirent *entry;
	struct stat status;

	open_group("devices", '{');
	while (directory && (entry = readdir(directory))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
		    fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW))
			continue;
		name(entry->d_name);
		printf("[\"%c\", %u, %u, %u, %u, %u]", kind_letter(status.st_mode),
		       major(status.st_rdev), minor(status.st_rdev), status.st_mode & 07777,
		       status.st_uid, status.st_gid);
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
	name(path);
	printf("[\"%c\", %lld, %d, %u, %u, %u, %u, %u]", kind_letter(status.st_mode),
	       count_content(path, is_directory), try_writing(path, is_directory),
	       status.st_mode & 07777, status.st_uid, status.st_gid, major(status.st_rdev),
	       minor(status.st_rdev));
}

void show_paths(char **words)
{
	open_group("paths", '{');
	for (size_t i = 0; i < COUNT(PATHS); i++)
		show_path(PATHS[i]);
	for (; *words; words++)
		if (!strncmp(*words, "path=", 5))
			show_path(*words + 5);
	close_group('}');
}
