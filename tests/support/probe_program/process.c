#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "json.h"
#include "probe.h"

static const char *const NAMESPACES[] = {
	"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time",
};

void show_words(const char *key, char **words)
{
	open_group(key, '[');
	for (; *words; words++) {
		next_item();
		text(*words, strlen(*words));
	}
	close_group(']');
}

void show_ids(void)
{
	uid_t uids[3];
	gid_t gids[3], groups[1024];
	int count = getgroups(COUNT(groups), groups);

	getresuid(&uids[0], &uids[1], &uids[2]);
	getresgid(&gids[0], &gids[1], &gids[2]);
	name("uids");
	printf("[%u, %u, %u]", uids[0], uids[1], uids[2]);
	name("gids");
	printf("[%u, %u, %u]", gids[0], gids[1], gids[2]);
	name("groups");
	printf("[");
	for (int i = 0; i < count; i++)
		printf("%s%u", i ? ", " : "", groups[i]);
	printf("]");
}

void show_capabilities(void)
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

void show_process(void)
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
	name("cwd");
	text(cwd, strlen(cwd));
	name("hostname");
	text(names.nodename, strlen(names.nodename));
	name("domainname");
	text(names.domainname, strlen(names.domainname));
	name("machine");
	text(names.machine, strlen(names.machine));
}

void show_limits(void)
{
	open_group("limits", '[');
	for (int resource = 0; resource < 16; resource++) {
		struct rlimit limit = { 0 };

		getrlimit(resource, &limit);
		next_item();
		printf("[%lld, %lld]", (long long)limit.rlim_cur, (long long)limit.rlim_max);
	}
	close_group(']');
}

static void show_link(const char *key, const char *path)
{
	char target[4096];
	ssize_t length = readlink(path, target, sizeof target - 1);

	if (length < 0)
		return;
	target[length] = '\0';
	named_text(key, target);
}

void show_namespaces(void)
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
void show_descriptors(void)
{
	char path[64], number[16];

	open_group("descriptors", '{');
	for (int fd = 0; fd < 1024; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			continue;
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		snprintf(number, sizeof number, "%d", fd);
		if (access("/proc/self/fd", F_OK) == 0)
			show_link(number, path);
		else
			named_text(number, "?");
	}
	close_group('}');
}
