// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "cgroups.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup_removal.h"
#include "device_filter.h"
#include "files.h"
#include "kernel.h"
#include "say.h"

enum {
	OWN = '@',            /* before a mount point: the monitor's own cgroup below it */
	OPTIONAL = '?',       /* before a setting: its file may be missing */
	MAX_BYTES = 4096,     /* of the files that are read: what /proc and cgroups show of a page */
};

static struct line name_of(const struct cgroups *groups, const char *suffix)
{
	struct line name = { .length = 0 };

	add_text(&name, "chrun-");
	add_text(&name, groups->id);
	add_text(&name, suffix);
	return name;
}

static int read_file(int directory, const char *name, char text[MAX_BYTES])
{
	return read_text(directory, name, text, MAX_BYTES);
}

/* The kernel takes a setting as a whole or not at all. */
static int write_file(int directory, const char *name, const char *text)
{
	closing int fd = openat(directory, name, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

static int write_pid(int directory, pid_t pid)
{
	struct line number = { .length = 0 };

	add_number(&number, (uint64_t)pid);
	return write_file(directory, "cgroup.procs", text_of(&number));
}

/* Whether a text has a word in it, `length` bytes long, between blanks and ends of lines. */
static bool has_word(const char *text, const char *word, size_t length)
{
	while (*text) {
		size_t found = strcspn(text, " \n");

		if (found == length && memcmp(text, word, length) == 0)
			return true;
		text += found + (text[found] != '\0');
	}
	return false;
}

/* Some files take a number and keep another one, and say nothing: look. Those that cannot be read
 * are lists of rules, each of which was taken or refused. */
static int check_setting(int directory, const char *name, const char *content)
{
	char kept[MAX_BYTES];
	int error = read_file(directory, name, kept);

	if (error)
		return error == -EINVAL || error == -EACCES ? 0 : error;
	while (*content) {
		size_t length = strcspn(content, " ");

		if (!has_word(kept, content, length))
			return -ERANGE;
		content += length + (content[length] == ' ');
	}
	return 0;
}

/* Carry out `file=content`. */
static int set(int directory, const char *setting)
{
	bool optional = *setting == OPTIONAL;
	const char *name = setting + optional, *equals = strchr(name, '=');
	char file[NAME_MAX + 1];
	int error;

	if (!equals || (size_t)(equals - name) >= sizeof(file))
		return -EINVAL;
	memcpy(file, name, (size_t)(equals - name));
	file[equals - name] = '\0';
	if (strchr(file, '/')) /* the plan names files of this cgroup */
		return -EINVAL;
	error = write_file(directory, file, equals + 1);
	if (error == -ENOENT && optional)
		return 0;
	return error ? error : check_setting(directory, file, equals + 1);
}

/* The directory of the monitor's own cgroup of version 2, below the mount point. */
static int find_own(const char *mount_point, char path[PATH_MAX])
{
	char places[MAX_BYTES], *place, *end;
	size_t length = strlen(mount_point);
	int error = read_file(AT_FDCWD, "/proc/self/cgroup", places);

	if (error)
		return error;
	place = strncmp(places, "0::", 3) == 0 ? places : strstr(places, "\n0::");
	if (!place)
		return -ENOENT;
	place = strchr(place, '/'); /* the path begins with it */
	if (!place)
		return -EINVAL;
	end = strchr(place, '\n');
	if (!end)
		return -ENAMETOOLONG; /* cut off: it would name another cgroup */
	*end = '\0';
	if (length + strlen(place) >= PATH_MAX)
		return -ENAMETOOLONG;
	strcpy(path, mount_point);
	strcpy(path + length, place);
	return 0;
}

/* Note a directory in the container's own, so that whoever finds a dead container can remove it. */
static int note_down(const struct cgroups *groups, const char *parent, const char *name)
{
	const char *const parts[] = { parent, "/", name, "\n" };
	char path[PATH_MAX];
	int error;

	if (!*groups->scratch)
		return 0;
	error = host_path(groups->scratch, "%/cgroups", path, sizeof(path));
	closing int fd = error ? error : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0)
		return error ? error : -errno;
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (write(fd, parts[i], strlen(parts[i])) < 0)
			return -errno;
	return 0;
}

/* Make a cgroup and give its directory. It is the container's to read, whatever the umask. */
static int make(const struct cgroups *groups, int above, const char *parent, struct line *name)
{
	const char *text = text_of(name);
	int error = note_down(groups, parent, text);

	if (!error)
		error = result(mkdirat(above, text, 0755));
	if (!error)
		error = result(fchmodat(above, text, 0755, 0));
	return error ? error : result(openat(above, text, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/* A cgroup that has processes in it passes no controllers on: leave one's own for a child of it. */
static int leave_own(struct cgroups *groups, int own, const char *path)
{
	struct line name = name_of(groups, "-monitor");
	closing int leaf = make(groups, own, path, &name);
	int error = leaf < 0 ? leaf : 0;

	if (error)
		return error;
	groups->divided = true;
	groups->own = own;
	error = write_pid(leaf, getpid());
	return error ? error : write_pid(leaf, groups->reaper);
}

/* Begin a cgroup below a parent: it has no limit yet. In version 2 the first process enters it at
 * once, since it, too, is in the monitor's own cgroup, which may have to be divided. */
static int begin(struct cgroups *groups, struct cgroup *group, const char *parent, bool unified,
		 pid_t pid)
{
	struct line name = name_of(groups, "");
	char own[PATH_MAX];
	const char *path = parent;
	int error = 0;

	if (*parent == OWN) {
		error = find_own(parent + 1, own);
		path = own;
	}
	if (error)
		return error;
	group->parent = parent;
	group->above = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (group->above < 0)
		return -errno;
	group->here = make(groups, group->above, path, &name);
	if (group->here < 0)
		return group->here;
	groups->count++;
	if (unified) {
		error = write_pid(group->here, pid);
		group->entered = !error;
	}
	return error || *parent != OWN ? error : leave_own(groups, group->above, path);
}

static int find_or_begin(struct cgroups *groups, const char *parent, bool unified, pid_t pid,
			 struct cgroup **group)
{
	for (size_t i = 0; i < groups->count; i++) {
		*group = &groups->all[i];
		if (strcmp((*group)->parent, parent) == 0)
			return 0;
	}
	if (groups->count == MAX_CGROUPS)
		return -E2BIG;
	*group = &groups->all[groups->count];
	return begin(groups, *group, parent, unified, pid);
}

/* Pass controllers on to a cgroup's children. */
static int enable(int above, struct field controllers)
{
	char enabled[MAX_BYTES];
	int error = read_file(above, "cgroup.subtree_control", enabled);

	for (uint32_t i = 0; i < controllers.length && !error; i++) {
		const char *controller = take_text_of(&controllers.list);
		struct line word = { .length = 0 };

		add_text(&word, "+");
		add_text(&word, controller);
		if (!has_word(enabled, controller, strlen(controller)))
			error = write_file(above, "cgroup.subtree_control", text_of(&word));
	}
	return error;
}

int cgroups_limit(struct cgroups *groups, const struct record *record, pid_t pid)
{
	const char *parent = record->fields[0].text, *amount = record->fields[3].text;
	struct field controllers = record->fields[1], settings = record->fields[2];
	struct cgroup *group = NULL;
	int error = find_or_begin(groups, parent, controllers.length, pid, &group);

	if (!error && controllers.length)
		error = enable(group->above, controllers);
	for (uint32_t i = 0; i < settings.length && !error; i++)
		error = set(group->here, take_text_of(&settings.list));
	if (!error && !group->entered)
		error = write_pid(group->here, pid);
	if (error)
		return error;
	group->entered = true;
	if (*amount) {
		groups->memory = group;
		groups->position = record->position;
		groups->amount = amount;
	}
	return 0;
}

int cgroups_filter_devices(struct cgroups *groups, const struct record *record, pid_t pid)
{
	struct field program = record->fields[1];
	struct cgroup *group = NULL;
	int error = find_or_begin(groups, record->fields[0].text, true, pid, &group);

	return error ? error : filter_devices(group->here, program.text, program.length);
}

/* "max" and "-1" are no limit. */
static bool limits_cpu(const struct cgroup *group)
{
	char limit[MAX_BYTES];

	if (read_file(group->here, "cpu.max", limit) == 0)
		return *limit != 'm';
	return read_file(group->here, "cpu.cfs_quota_us", limit) == 0 && *limit != '-';
}

bool cgroups_limit_cpu(const struct cgroups *groups)
{
	for (size_t i = 0; i < groups->count; i++)
		if (limits_cpu(&groups->all[i]))
			return true;
	return false;
}

int cgroups_charge_cpu(const struct cgroups *groups, pid_t pid)
{
	int error = 0;

	for (size_t i = 0; i < groups->count && !error; i++)
		if (limits_cpu(&groups->all[i]))
			error = write_pid(groups->all[i].here, pid);
	return error;
}

bool cgroups_ran_out(const struct cgroups *groups)
{
	static const char key[] = "oom_kill ";
	char events[MAX_BYTES], *found;

	if (!groups->memory)
		return false;
	if (read_file(groups->memory->here, "memory.events", events) < 0 &&
	    read_file(groups->memory->here, "memory.oom_control", events) < 0)
		return false;
	found = strstr(events, key);
	return found && strtoul(found + strlen(key), NULL, 10) > 0;
}

void cgroups_kill(const struct cgroups *groups)
{
	for (size_t i = 0; i < groups->count; i++)
		cgroup_kill(groups->all[i].here);
}

static int remove_one(const struct cgroups *groups, const struct cgroup *group)
{
	struct line name = name_of(groups, "");

	return cgroup_remove(group->above, text_of(&name), group->here);
}

/* Leave the monitor's own cgroup as it was found: undivided, and the monitor in it. */
static int reunite(const struct cgroups *groups)
{
	struct line name = name_of(groups, "-monitor");
	char enabled[MAX_BYTES];
	int error = read_file(groups->own, "cgroup.subtree_control", enabled);

	for (char *word = error ? NULL : strtok(enabled, " \n"); word && !error;
	     word = strtok(NULL, " \n")) {
		struct line off = { .length = 0 };

		add_text(&off, "-");
		add_text(&off, word);
		error = write_file(groups->own, "cgroup.subtree_control", text_of(&off));
	}
	if (!error)
		error = write_pid(groups->own, getpid());
	return error ? error : result(unlinkat(groups->own, text_of(&name), AT_REMOVEDIR));
}

int cgroups_remove(struct cgroups *groups)
{
	char path[PATH_MAX];
	int failed = 0, error;

	for (size_t i = 0; i < groups->count; i++) {
		error = remove_one(groups, &groups->all[i]);
		failed = failed ? failed : error;
	}
	if (!failed && groups->divided)
		failed = reunite(groups);
	if (failed || !groups->count || !*groups->scratch)
		return failed;
	error = host_path(groups->scratch, "%/cgroups", path, sizeof(path));
	return error ? error : result(unlink(path));
}
