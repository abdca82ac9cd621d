// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "forget.h"

#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "kernel.h"

enum {
	MARGIN = 512,          /* more than the frame of a system call's wrapper */
	DEEPEST = 1024 * 1024, /* more than all calls took; what follows below is no mapping's */
};

/* Sanitizers would take what is cleared here for an overflow. */
#define unchecked __attribute__((noinline, no_sanitize("address", "undefined")))

static unchecked void clear(volatile char *from, const volatile char *end)
{
	while (from < end)
		*from++ = 0;
}

static unchecked void clear_nearest(size_t length)
{
	volatile char nearest[length];

	clear(nearest, nearest + length);
}

/* By hand as far as the page that a system call's own frame needs, and the pages below it by giving
 * them back: the limit of the stack may be anything, so none is touched that was not. */
unchecked void forget_calls(void)
{
	size_t page = getauxval(AT_PAGESZ);
	uintptr_t kept = ((uintptr_t)__builtin_frame_address(0) - MARGIN) & ~(uintptr_t)(page - 1);

	clear_nearest(page + 2 * MARGIN);
	/* ENOMEM says that not all of it is mapped */
	(void)syscall(SYS_madvise, kept - DEEPEST, DEEPEST, MADV_DONTNEED);
}

int forget_plan(const struct plan *plan)
{
	uintptr_t page = getauxval(AT_PAGESZ);
	uintptr_t start = (uintptr_t)plan->records.at & ~(page - 1); /* the header is no page long */

	return result(munmap((void *)start, (uintptr_t)plan->records.end - start));
}

char *stack_end(void)
{
	char *name = (char *)getauxval(AT_EXECFN); /* the last that the kernel puts there */

	return name ? name + strlen(name) : NULL;
}

void forget_callers(char *frame, const char *end)
{
	static const char name[] = "chrun-init";
	char *shown = program_invocation_name;
	size_t length = strnlen(shown, sizeof(name) - 1);

	clear(frame, end);
	memcpy(shown, name, length);
}
