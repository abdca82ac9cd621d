// SPDX-License-Identifier: Apache-2.0
/* A fuzzer of the plan reader. With clang's libFuzzer (-fsanitize=fuzzer,address,undefined and
 * -DUSE_LIBFUZZER) or, as it is, with any compiler that has the sanitizers:
 *
 *     fuzz_plan SECONDS [PLAN...]
 *
 * A plan of its own and the files are changed at random again and again. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Read all that a checked plan promises, as the program would. */
static uint64_t use(const struct record *record)
{
	struct note note = plan_note(record, (int)record->position);
	uint64_t sum = strlen(record->words) + strlen(note.text) + strlen(note.hint);
	const char *format = plan_formats[record->number];

	for (int i = 0; format[i]; i++) {
		struct field field = record->fields[i];

		if (format[i] == 't')
			sum += strlen(field.text);
		for (uint32_t n = 0; strchr("TI", format[i]) && n < field.length; n++)
			sum += format[i] == 'T' ? strlen(take_text_of(&field.list)) :
						  take_number_of(&field.list);
	}
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	/* memory of exactly this size, so that a byte behind it is an error */
	uint8_t *copy = malloc(size ? size : 1);
	struct plan plan;
	static volatile uint64_t used;

	if (!copy)
		return 0;
	memcpy(copy, bytes, size);
	if (!plan_check(copy, size, &plan)) {
		struct cursor next = plan.records;
		struct record record = { 0 };
		uint64_t count = 0;

		for (; plan_next(&next, &record); count++)
			used = used + use(&record);
		if (count != plan.count)
			abort(); /* what was checked must be what is read */
	}
	free(copy);
	return 0;
}

#ifndef USE_LIBFUZZER

enum { MAX_BYTES = 1 << 16, CHANGES = 8, ROUNDS_BETWEEN_CLOCKS = 4096 };

static uint64_t state = 88172645463325252U; /* xorshift64: the same changes in every run */

static uint64_t random_below(uint64_t limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % limit;
}

/* Change a few bytes, with a liking for the edges of numbers, or cut, or double a part. */
static size_t change(uint8_t *bytes, size_t size)
{
	static const uint8_t edges[] = { 0, 1, 2, 4, 8, 64, 65, 127, 128, 254, 255 };

	for (uint64_t n = 1 + random_below(CHANGES); n > 0 && size > 0; n--) {
		size_t at = (size_t)random_below(size);

		switch (random_below(8)) {
		case 0:
			size = at;
			break;
		case 1:
			if (size + (size - at) < MAX_BYTES) {
				memmove(bytes + size, bytes + at, size - at);
				size += size - at;
			}
			break;
		case 2:
			bytes[at] = (uint8_t)random_below(256);
			break;
		default:
			bytes[at] = edges[random_below(sizeof(edges))];
		}
	}
	return size;
}

/* Let the header tell the truth about the length, or all that is found is that it does not. */
static void mend_header(uint8_t *bytes, size_t size)
{
	uint64_t length = size - 32;

	if (size < 32 || !random_below(16))
		return;
	for (int i = 0; i < 8; i++)
		bytes[16 + i] = (uint8_t)(length >> 8 * i);
	if (random_below(2))
		bytes[24] = (uint8_t)random_below(64);
}

static uint8_t *put_number(uint8_t *at, uint64_t number, int size)
{
	for (int i = 0; i < size; i++)
		*at++ = (uint8_t)(number >> 8 * i);
	return at;
}

static uint8_t *put_text(uint8_t *at, const char *text)
{
	size_t length = strlen(text);

	at = put_number(at, length, 4);
	memcpy(at, text, length + 1);
	return at + length + 1;
}

/* A step with words, a note, and fields; lists have two elements. */
static uint8_t *put_step(uint8_t *at, uint32_t number, const char *fields)
{
	uint8_t *length = put_number(at, number, 4), *payload = length + 4;

	at = put_number(put_text(payload, "do it"), 1, 4);
	at = put_text(put_text(put_number(at, 1, 8), "text"), "hint");
	for (; *fields; fields++) {
		if (*fields == 'T')
			at = put_text(put_text(put_number(at, 2, 4), "one"), "two");
		else if (*fields == 'I')
			at = put_number(put_number(put_number(at, 2, 4), 1, 8), 2, 8);
		else
			at = *fields == 'i' ? put_number(at, 1, 8) : put_text(at, "text");
	}
	put_number(length, (uint64_t)(at - payload), 4);
	return at;
}

/* One of each step: their numbers are in the order that a plan has them in. */
static size_t make_seed(uint8_t *bytes)
{
	uint8_t *at = bytes + 32;
	uint64_t count = 0;

	memcpy(bytes, "chrun-plan\0\0\1\0\0\0", 16);
	for (uint32_t number = 0; number < STEP_NUMBERS; number++)
		if (plan_formats[number]) {
			at = put_step(at, number, plan_formats[number]);
			count++;
		}
	put_number(put_number(bytes + 16, (uint64_t)(at - bytes - 32), 8), count, 8);
	return (size_t)(at - bytes);
}

static size_t read_seed(const char *path, uint8_t *bytes)
{
	FILE *file = path ? fopen(path, "rb") : NULL;
	size_t size = file ? fread(bytes, 1, MAX_BYTES / 2, file) : make_seed(bytes);

	if (file)
		fclose(file);
	return size;
}

int main(int argc, char **argv)
{
	static uint8_t seed[MAX_BYTES], bytes[MAX_BYTES];
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 60);
	uint64_t rounds = 0;
	struct plan plan;

	if (plan_check(seed, make_seed(seed), &plan)) /* else all changes would be refused early */
		abort();
	while (time(NULL) < end) {
		uint64_t number = rounds / ROUNDS_BETWEEN_CLOCKS % (uint64_t)(argc < 2 ? 1 : argc - 1);
		size_t size = read_seed(number ? argv[1 + number] : NULL, seed);

		for (int i = 0; i < ROUNDS_BETWEEN_CLOCKS; i++, rounds++) {
			size_t changed;

			memcpy(bytes, seed, size);
			changed = change(bytes, size);
			mend_header(bytes, changed);
			LLVMFuzzerTestOneInput(bytes, changed);
		}
	}
	printf("%llu plans read\n", (unsigned long long)rounds);
	return 0;
}

#endif
