/* JSON on stdout; bytes above 127 are written as \u00XX, one for each byte. */
#pragma once

#include <stddef.h>

void text(const char *bytes, size_t length);

/* Go on to the next item of a list, of which the caller prints the rest. */
void next_item(void);

/* Begin the next pair of an object, of which the caller prints the rest. */
void name(const char *string);

void open_group(const char *key, char bracket);
void close_group(char bracket);
void named_text(const char *key, const char *string);
void named_number(const char *key, long long number);
