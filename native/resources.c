// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "resources.h"

#include "kernel.h"
#include "say.h"

/* setrlimit(2) with the kernel's own 64-bit numbers, which no C library gets to translate. */
static int limit_resource(uint64_t resource, const struct limit *wanted, struct limit *before)
{
	return result(syscall(SYS_prlimit64, 0, resource, wanted, before));
}

/* Ask for what is allowed where more is not, and say so. */
static int lower_limit(const struct container *c, uint64_t resource, struct limit wanted)
{
	struct line line = { .length = 0 };
	struct limit now;
	struct record record;
	int error = limit_resource(resource, NULL, &now);

	if (error)
		return error;
	if (wanted.hard > now.hard)
		wanted.hard = now.hard;
	if (wanted.soft > wanted.hard)
		wanted.soft = wanted.hard;
	if (!c->quiet && plan_at(c->plan, c->position, &record)) {
		add_text(&line, "chrun: cannot ");
		add_text(&line, record.words);
		add_text(&line, " without CAP_SYS_RESOURCE, it is now ");
		add_number(&line, wanted.soft);
		add_text(&line, ":");
		add_number(&line, wanted.hard);
		say(&line);
	}
	return limit_resource(resource, &wanted, NULL);
}

int set_limit(const struct container *c, uint64_t resource, struct limit limit)
{
	int error = limit_resource(resource, &limit, NULL);

	return error == -EPERM ? lower_limit(c, resource, limit) : error;
}
