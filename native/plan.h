// SPDX-License-Identifier: Apache-2.0
/* Reading a plan: docs/reference/plan.md. Nothing is copied; strings point into the plan's bytes. */
#ifndef CHRUN_PLAN_H
#define CHRUN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum step_number {
	STEP_CLONE = 1,
	STEP_ID_MAP = 2,
	STEP_PROPAGATION = 3,
	STEP_BASE = 4,
	STEP_SYMLINK = 5,
	STEP_DIRECTORY = 6,
	STEP_MOUNT_IN_BASE = 7,
	STEP_ROOT = 8,
	STEP_MOUNT = 9,
	STEP_BIND = 10,
	STEP_NODE = 11,
	STEP_LINK = 12,
	STEP_FILE = 13,
	STEP_MASK = 14,
	STEP_READ_ONLY = 15,
	STEP_PIVOT_ROOT = 16,
	STEP_CHROOT = 17,
	STEP_HOST_NAME = 18,
	STEP_RLIMIT = 19,
	STEP_TERMINAL = 20,
	STEP_USER = 21,
	STEP_CAPABILITIES = 22,
	STEP_NO_NEW_PRIVS = 23,
	STEP_SECCOMP = 24,
	STEP_WORKING_DIRECTORY = 25,
	STEP_LANDLOCK = 26,
	STEP_JOIN = 27,
	STEP_SYSCTL = 28,
	STEP_LOOPBACK = 29,
	STEP_OUTER_ID_MAP = 30,
	STEP_OUTER_TREE = 31,
	STEP_CGROUP = 32,
	STEP_DEADLINE = 33,
	STEP_GRAB = 34,
	STEP_CGROUP_NAMESPACE = 35,
	STEP_PLACE = 36,
	STEP_LIKE = 37,
	STEP_SHARED_MEMORY = 38,
	STEP_DEVICE_FILTER = 39,
	STEP_STREAMS = 40,
	STEP_EXEC = 64,
	STEP_REMOVE_TREE = 65,
	STEP_REMOVE_CGROUPS = 66,
	STEP_NUMBERS = 67,
};

enum { MAX_FIELDS = 6 };

/* The fields of each step, NULL for numbers that are none: i int, t text, b bytes, T list of texts,
 * I list of ints. */
extern const char *const plan_formats[STEP_NUMBERS];

/* A place in the plan, and the end of what may be read from it. */
struct cursor {
	const unsigned char *at, *end;
};

/* An int is in `number`; a text, or bytes, in `text` and `length`; a list is `length` elements,
 * taken from `list` one by one. */
struct field {
	uint64_t number;
	const char *text;
	uint32_t length;
	struct cursor list;
};

struct record {
	uint32_t number;   /* an enum step_number */
	uint32_t position; /* in the plan, from 0 */
	const char *words; /* a verb phrase: "mount proc on /proc" */
	uint32_t note_count;
	struct cursor notes;
	struct field fields[MAX_FIELDS];
};

struct note {
	const char *text, *hint;
};

struct plan {
	struct cursor records;
	uint64_t count;
};

/* Check every byte of a plan. Gives NULL, or what is wrong with it. */
const char *plan_check(const void *bytes, size_t size, struct plan *plan);

/* The records of a checked plan in order: false behind the last. Start with `*next` as
 * `plan->records` and the record zeroed. */
bool plan_next(struct cursor *next, struct record *record);

/* The first record of that number; false when there is none. */
bool plan_find(const struct plan *plan, enum step_number number, struct record *found);

/* The record at a position; false behind the last. */
bool plan_at(const struct plan *plan, uint32_t position, struct record *found);

/* What the record says about an errno; empty texts when nothing. */
struct note plan_note(const struct record *record, int error);

/* The next element of a list. */
const char *take_text_of(struct cursor *list);
uint64_t take_number_of(struct cursor *list);

#endif
