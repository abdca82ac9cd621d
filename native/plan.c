// SPDX-License-Identifier: Apache-2.0
#include "plan.h"

#include <string.h>

const char *const plan_formats[STEP_NUMBERS] = {
	[STEP_CLONE] = "i",
	[STEP_ID_MAP] = "tti",
	[STEP_PROPAGATION] = "",
	[STEP_BASE] = "tt",
	[STEP_SYMLINK] = "tt",
	[STEP_DIRECTORY] = "ti",
	[STEP_MOUNT_IN_BASE] = "ttit",
	[STEP_ROOT] = "ti",
	[STEP_MOUNT] = "ttiti",
	[STEP_BIND] = "ttii",
	[STEP_NODE] = "tiiiii",
	[STEP_LINK] = "tt",
	[STEP_FILE] = "tibii",
	[STEP_MASK] = "t",
	[STEP_READ_ONLY] = "t",
	[STEP_PIVOT_ROOT] = "",
	[STEP_CHROOT] = "",
	[STEP_HOST_NAME] = "t",
	[STEP_RLIMIT] = "iii",
	[STEP_TERMINAL] = "",
	[STEP_USER] = "iiIi",
	[STEP_CAPABILITIES] = "iiiii",
	[STEP_NO_NEW_PRIVS] = "",
	[STEP_SECCOMP] = "bi",
	[STEP_WORKING_DIRECTORY] = "t",
	[STEP_OUTER_ID_MAP] = "tttt",
	[STEP_OUTER_TREE] = "ttiii",
	[STEP_LANDLOCK] = "iiiTI",
	[STEP_JOIN] = "tii",
	[STEP_SYSCTL] = "tt",
	[STEP_LOOPBACK] = "",
	[STEP_SHARED_MEMORY] = "iti",
	[STEP_CGROUP] = "tTTt",
	[STEP_DEVICE_FILTER] = "tb",
	[STEP_STREAMS] = "ii",
	[STEP_DEADLINE] = "it",
	[STEP_CGROUP_NAMESPACE] = "",
	[STEP_GRAB] = "itti",
	[STEP_PLACE] = "itiiii",
	[STEP_LIKE] = "tt",
	[STEP_EXEC] = "TTi",
	[STEP_REMOVE_TREE] = "t",
	[STEP_REMOVE_CGROUPS] = "",
};

static bool take_integer(struct cursor *c, size_t size, uint64_t *number)
{
	if ((size_t)(c->end - c->at) < size)
		return false;
	*number = 0;
	for (size_t i = size; i-- > 0;)
		*number = *number << 8 | c->at[i];
	c->at += size;
	return true;
}

static bool take_u32(struct cursor *c, uint32_t *number)
{
	uint64_t wide;

	if (!take_integer(c, 4, &wide))
		return false;
	*number = (uint32_t)wide;
	return true;
}

static bool take_bytes(struct cursor *c, const char **bytes, uint32_t *length)
{
	if (!take_u32(c, length) || (size_t)(c->end - c->at) <= *length || c->at[*length] != '\0')
		return false;
	*bytes = (const char *)c->at;
	c->at += (size_t)*length + 1;
	return true;
}

static bool take_text(struct cursor *c, const char **text, uint32_t *length)
{
	return take_bytes(c, text, length) && !memchr(*text, '\0', *length);
}

static bool take_note(struct cursor *c, uint64_t *error, struct note *note)
{
	uint32_t length;

	return take_integer(c, 8, error) && take_text(c, &note->text, &length) &&
	       take_text(c, &note->hint, &length);
}

static bool take_list(struct cursor *c, char kind, struct field *field)
{
	uint64_t number;
	const char *text;
	uint32_t length;

	if (!take_u32(c, &field->length))
		return false;
	field->list.at = c->at;
	for (uint32_t i = 0; i < field->length; i++)
		if (kind == 'T' ? !take_text(c, &text, &length) : !take_integer(c, 8, &number))
			return false;
	field->list.end = c->at;
	return true;
}

static bool take_field(struct cursor *c, char kind, struct field *field)
{
	switch (kind) {
	case 'i':
		return take_integer(c, 8, &field->number);
	case 't':
		return take_text(c, &field->text, &field->length);
	case 'b':
		return take_bytes(c, &field->text, &field->length);
	default:
		return take_list(c, kind, field);
	}
}

static bool take_notes(struct cursor *c, struct record *record)
{
	struct note note;
	uint64_t error;

	if (!take_u32(c, &record->note_count))
		return false;
	record->notes.at = c->at;
	for (uint32_t i = 0; i < record->note_count; i++)
		if (!take_note(c, &error, &note))
			return false;
	record->notes.end = c->at;
	return true;
}

/* Take the record that `c` stands at. Gives NULL, or what is wrong with it. */
static const char *take_record(struct cursor *c, struct record *record)
{
	struct cursor payload;
	const char *format;
	uint32_t length;

	if (!take_u32(c, &record->number) || !take_u32(c, &length) ||
	    (size_t)(c->end - c->at) < length)
		return "a record is longer than the plan";
	payload = (struct cursor){ c->at, c->at + length };
	c->at += length;
	format = record->number < STEP_NUMBERS ? plan_formats[record->number] : NULL;
	if (!format)
		return "a step has an unknown number";
	if (!take_text(&payload, &record->words, &length) || !take_notes(&payload, record))
		return "a step has no words, or broken notes";
	for (size_t i = 0; format[i]; i++)
		if (!take_field(&payload, format[i], &record->fields[i]))
			return "a step is shorter than its fields";
	return payload.at == payload.end ? NULL : "a step is longer than its fields";
}

/* One clone, then steps, at most one exec, then clean-up. */
static bool may_follow(uint32_t number, uint32_t before)
{
	if (!before || number == STEP_CLONE)
		return !before && number == STEP_CLONE;
	if (number < STEP_EXEC)
		return before < STEP_EXEC;
	return number != STEP_EXEC ? true : before < STEP_EXEC;
}

static const char *check_records(const struct plan *plan)
{
	struct cursor next = plan->records;
	struct record record = { 0 };
	uint32_t before = 0;

	for (uint64_t i = 0; i < plan->count; i++) {
		const char *problem = take_record(&next, &record);

		if (problem)
			return problem;
		if (!may_follow(record.number, before))
			return "its steps are in the wrong order";
		before = record.number;
	}
	if (!before)
		return "it is empty";
	return next.at == next.end ? NULL : "it is longer than its records";
}

const char *plan_check(const void *bytes, size_t size, struct plan *plan)
{
	static const char magic[12] = "chrun-plan";
	struct cursor c = { bytes, (const unsigned char *)bytes + size };
	uint64_t length;
	uint32_t version;

	if (size < sizeof(magic) || memcmp(bytes, magic, sizeof(magic)) != 0)
		return "it is not a plan";
	c.at += sizeof(magic);
	if (!take_u32(&c, &version) || version != 1)
		return "it is of another version";
	if (!take_integer(&c, 8, &length) || !take_integer(&c, 8, &plan->count) ||
	    length != (uint64_t)(c.end - c.at))
		return "it is cut off, or longer than it says";
	plan->records = c;
	return check_records(plan);
}

bool plan_next(struct cursor *next, struct record *record)
{
	record->position = record->number ? record->position + 1 : 0;
	return next->at < next->end && !take_record(next, record);
}

bool plan_find(const struct plan *plan, enum step_number number, struct record *found)
{
	struct cursor next = plan->records;

	*found = (struct record){ 0 };
	while (plan_next(&next, found))
		if (found->number == number)
			return true;
	return false;
}

bool plan_at(const struct plan *plan, uint32_t position, struct record *found)
{
	struct cursor next = plan->records;

	*found = (struct record){ 0 };
	while (plan_next(&next, found))
		if (found->position == position)
			return true;
	return false;
}

struct note plan_note(const struct record *record, int error)
{
	struct cursor notes = record->notes;
	struct note note = { "", "" };
	uint64_t number;

	for (uint32_t i = 0; i < record->note_count; i++)
		if (take_note(&notes, &number, &note) && number == (uint64_t)error)
			return note;
	return (struct note){ "", "" };
}

const char *take_text_of(struct cursor *list)
{
	const char *text = "";
	uint32_t length;

	return take_text(list, &text, &length) ? text : "";
}

uint64_t take_number_of(struct cursor *list)
{
	uint64_t number = 0;

	return take_integer(list, 8, &number) ? number : 0;
}
