// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "step_functions.h"

#include <stddef.h>
#include <sys/stat.h>

#include "kernel.h"
#include "root.h"

/* linux/landlock.h, as far as this program knows it: older headers have less of it. */
enum {
	ASK_FOR_ABI = 1,  /* LANDLOCK_CREATE_RULESET_VERSION */
	PATH_BENEATH = 1, /* LANDLOCK_RULE_PATH_BENEATH */
	/* execute, write and read files, truncate them, device ioctls: what a file can be asked for */
	FILE_RIGHTS = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15,
};

struct ruleset {
	uint64_t files, network, scoped;
};

struct beneath {
	uint64_t rights;
	int32_t parent;
} __attribute__((packed));

/* What a version of Landlock knows of the rights in a plan. Version 1 always denies moving files
 * between directories; versions that are still to come know at least what 6 does. */
static struct ruleset known_to(int abi, const struct ruleset *wanted)
{
	static const int first_with[] = { [13] = 2, [14] = 3, [15] = 5 };
	struct ruleset known = { 0, abi >= 4 ? wanted->network : 0, abi >= 6 ? wanted->scoped : 0 };

	for (int right = 0; right < 16; right++)
		if (right < 13 || abi >= first_with[right])
			known.files |= wanted->files & 1ULL << right;
	return known;
}

static size_t size_in(int abi)
{
	if (abi >= 6)
		return sizeof(struct ruleset);
	return abi >= 4 ? offsetof(struct ruleset, scoped) : offsetof(struct ruleset, network);
}

static int add_rule(int rules, int root, const char *path, uint64_t rights)
{
	closing int fd = root_open(root, path, 0);
	struct beneath rule = { rights, fd };
	struct stat status;

	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0; /* what is not there needs no permission */
	if (fd < 0)
		return fd;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISDIR(status.st_mode))
		rule.rights &= FILE_RIGHTS;
	return result(syscall(SYS_landlock_add_rule, rules, PATH_BENEATH, &rule, 0));
}

static int add_rules(int rules, uint64_t handled, struct cursor paths, struct cursor rights,
		     uint32_t count)
{
	closing int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int error = root < 0 ? -errno : 0;

	for (uint32_t i = 0; i < count && !error; i++) {
		const char *path = take_text_of(&paths);

		error = add_rule(rules, root, path, take_number_of(&rights) & handled);
	}
	return error;
}

int step_landlock(struct container *c, const struct field *f)
{
	struct ruleset wanted = { f[0].number, f[1].number, f[2].number }, known;
	int abi = result(syscall(SYS_landlock_create_ruleset, NULL, 0, ASK_FOR_ABI));
	int error;

	(void)c;
	if (abi < 0)
		return abi;
	if (f[3].length != f[4].length)
		return -EINVAL;
	known = known_to(abi, &wanted);
	closing int rules = result(syscall(SYS_landlock_create_ruleset, &known, size_in(abi), 0));

	if (rules < 0)
		return rules;
	error = add_rules(rules, known.files, f[3].list, f[4].list, f[3].length);
	return error ? error : result(syscall(SYS_landlock_restrict_self, rules, 0));
}
