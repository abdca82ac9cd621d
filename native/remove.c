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

#include "files.h"
#include "kernel.h"
#include "mounts.h"
#include "say.h"

struct removal {
	int top;
	uint64_t moved; /* so many directories; the number is the next one's name */
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

static int rewind_directory(int directory)
{
	return lseek(directory, 0, SEEK_SET) < 0 ? -errno : 0;
}

/* Visit all that is in a directory, which takes its owner's rights; most often they are there. */
static int visit_all(struct removal *r, int directory, visit_function *visit)
{
	int count = each_entry(r, directory, visit), error;

	if (count != -EACCES)
		return count;
	error = allow(directory);
	if (!error)
		error = rewind_directory(directory);
	return error ? error : each_entry(r, directory, visit);
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

static int find_inside(int parent, const char *name, uint64_t how)
{
	return openat2_(parent, name, how | O_DIRECTORY | O_NOFOLLOW, BENEATH | NO_XDEV | NO_SYMLINKS);
}

static int open_inside(int parent, const char *name)
{
	int inside = find_inside(parent, name, O_RDONLY);

	if (inside != -EACCES && !is_missing(inside))
		return inside;
	closing int found = find_inside(parent, name, O_PATH);

	if (is_missing(found))
		found = find_on_same_device(parent, name);
	return open_for_removal(found);
}

static int rename_to_number(struct removal *r, int directory, const char *name)
{
	struct line number;
	int error = -EEXIST;

	while (error == -EEXIST || error == -ENOTEMPTY || error == -ENOTDIR) {
		number.length = 0;
		add_number(&number, r->moved++);
		error = result(renameat(directory, name, r->top, text_of(&number)));
	}
	return error;
}

/* Moving a directory writes its "..", which its mode must allow too. */
static int move_up(struct removal *r, int directory, const char *name)
{
	int error = rename_to_number(r, directory, name);

	if (error != -EACCES)
		return error;
	closing int moving = open_inside(directory, name);

	error = moving < 0 ? moving : allow(moving);
	return error ? error : rename_to_number(r, directory, name);
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

/* Empty a directory and remove it: removing disturbs reading, so look again while there was and is
 * something. */
static int empty(struct removal *r, int directory, visit_function *visit, int parent,
		 const char *name)
{
	int count, error;

	do {
		count = visit_all(r, directory, visit);
		error = count < 0 ? count : result(unlinkat(parent, name, AT_REMOVEDIR));
	} while (error == -ENOTEMPTY && count > 0 && rewind_directory(directory) == 0);
	return error == -ENOENT ? 0 : error; /* somebody else was faster */
}

static int remove_entry(struct removal *r, int directory, const struct entry *entry)
{
	int error = unlink_entry(directory, entry);

	if (error != -ENOTEMPTY)
		return error;
	closing int inside = open_inside(directory, entry->name);

	if (inside < 0)
		return inside;
	return empty(r, inside, flatten_entry, directory, entry->name);
}

int remove_tree(const char *path)
{
	closing int found = result(open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	closing int top = open_for_removal(found);
	struct removal r = { .top = top, .moved = 0 };

	return top < 0 ? top : empty(&r, top, remove_entry, AT_FDCWD, path);
}
