// SPDX-License-Identifier: Apache-2.0
/* A container may leave a tree that is deeper than any number of descriptors or any stack, so there
 * is no descent: directories found inside directories are moved up into the top one, until all are
 * flat. Three directories are open at most. */
#define _GNU_SOURCE
#include "remove.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h> /* renameat(2) */
#include <string.h>
#include <sys/stat.h>

#include "kernel.h"
#include "mounts.h"
#include "say.h"

struct removal {
	int top;
	uint64_t moved; /* so many directories; the number is the next one's name */
};

/* What getdents64(2) gives. */
struct entry {
	uint64_t inode;
	int64_t next;
	uint16_t length;
	uint8_t type;
	char name[];
};

typedef int visit_function(struct removal *r, int directory, const struct entry *entry);

/* Visit each entry but "." and "..". Gives how many there were. */
static int each_entry(struct removal *r, int directory, visit_function *visit)
{
	_Alignas(struct entry) char buffer[4096];
	int count = 0, length;

	while ((length = result(syscall(SYS_getdents64, directory, buffer, sizeof(buffer)))) > 0) {
		for (char *at = buffer; at < buffer + length;) {
			const struct entry *entry = (const void *)at;
			int error;

			at += entry->length;
			if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0)
				continue;
			error = visit(r, directory, entry);
			if (error)
				return error;
			count++;
		}
	}
	return length < 0 ? length : count;
}

/* The owner may always give himself back what a mode takes away: overlayfs makes directories of
 * mode 000, and so may anybody. */
static int allow(int directory)
{
	struct stat status;

	if (fstat(directory, &status) < 0)
		return -errno;
	if ((status.st_mode & S_IRWXU) == S_IRWXU)
		return 0;
	return result(chmod(fd_path(directory).text, S_IRWXU));
}

static int open_for_removal(int found)
{
	int error = found < 0 ? found : allow(found);

	return error ? error : result(openat(found, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

/* The way before Linux 5.6: it sees other file systems, though not bind mounts. */
static int find_on_same_device(int parent, const char *name)
{
	struct stat inside, outside;
	int found = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (found < 0)
		return -errno;
	if (fstat(found, &inside) == 0 && fstat(parent, &outside) == 0 &&
	    inside.st_dev == outside.st_dev)
		return found;
	close(found);
	return -EXDEV;
}

static int open_inside(int parent, const char *name)
{
	closing int found = openat2_(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW,
				     BENEATH | NO_XDEV | NO_SYMLINKS);

	if (is_missing(found))
		found = find_on_same_device(parent, name);
	return open_for_removal(found);
}

/* Moving a directory writes its "..", which its mode must allow too. */
static int move_up(struct removal *r, int directory, const char *name)
{
	struct line number;
	int error = -EEXIST;
	closing int moving = open_inside(directory, name);

	if (moving < 0)
		return moving;
	while (error == -EEXIST || error == -ENOTEMPTY || error == -ENOTDIR) {
		number.length = 0;
		add_number(&number, r->moved++);
		error = result(renameat(directory, name, r->top, text_of(&number)));
	}
	return error;
}

/* Remove what is no directory, or a directory that is empty. */
static int unlink_entry(int directory, const struct entry *entry)
{
	int error = result(unlinkat(directory, entry->name,
				    entry->type == DT_DIR ? AT_REMOVEDIR : 0));

	if (error == -EISDIR)
		error = result(unlinkat(directory, entry->name, AT_REMOVEDIR));
	return error == -ENOENT ? 0 : error; /* somebody else was faster */
}

static int flatten_entry(struct removal *r, int directory, const struct entry *entry)
{
	int error = unlink_entry(directory, entry);

	return error == -ENOTEMPTY ? move_up(r, directory, entry->name) : error;
}

/* Empty a directory: removing disturbs reading, so look again until nothing is there. */
static int empty(struct removal *r, int directory, visit_function *visit)
{
	int count;

	while ((count = each_entry(r, directory, visit)) > 0)
		if (lseek(directory, 0, SEEK_SET) < 0)
			return -errno;
	return count;
}

static int remove_entry(struct removal *r, int directory, const struct entry *entry)
{
	int error = unlink_entry(directory, entry);

	if (error != -ENOTEMPTY)
		return error;
	closing int inside = open_inside(directory, entry->name);

	if (inside < 0)
		return inside;
	error = empty(r, inside, flatten_entry);
	return error ? error : unlink_entry(directory, entry);
}

int remove_tree(const char *path)
{
	closing int found = result(open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	closing int top = open_for_removal(found);
	struct removal r = { .top = top, .moved = 0 };
	int error = top < 0 ? top : empty(&r, top, remove_entry);

	return error ? error : result(rmdir(path));
}
