// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "descriptors.h"

#include <stdbool.h>
#include <stdlib.h>

#include "files.h"
#include "kernel.h"

/* Close what a part of the list names, except the list itself. Whether the list named itself: a
 * directory that does not is no list of this process's descriptors. */
static bool close_listed(const char *entries, int length, int first, int list)
{
	bool names_itself = false;

	for (const char *at = entries; at < entries + length;) {
		const struct entry *entry = (const void *)at;
		long fd = strtol(entry->name, NULL, 10); /* 0 for "." and ".." */

		if (fd == list)
			names_itself = true;
		else if (fd >= first)
			close((int)fd);
		at += entry->length;
	}
	return names_itself;
}

/* The kernel continues the list behind the number it named last, so closing skips nothing. No limit
 * bounds the numbers: a descriptor stays open when the limit is lowered below it. */
static int close_by_list(int first)
{
	_Alignas(struct entry) char entries[4096];
	bool is_own = false;
	int length;

	close(first); /* or no number may be free for the list, where the limit was lowered */
	closing int list = result(open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));

	if (list < 0)
		return list;
	while ((length = result(syscall(SYS_getdents64, list, entries, sizeof(entries)))) > 0)
		is_own |= close_listed(entries, length, first, list);
	if (length < 0)
		return length;
	return is_own ? 0 : -ESRCH;
}

int close_from(int first)
{
	int error = result(syscall(SYS_close_range, first, ~0U, 0));

	return is_missing(error) ? close_by_list(first) : error;
}
