#define _GNU_SOURCE
#include "json.h"

#include <stdio.h>
#include <string.h>

static const char *comma = "";

void text(const char *bytes, size_t length)
{
	putchar('"');
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)bytes[i];

		if (byte < 0x20 || byte > 0x7e || byte == '"' || byte == '\\')
			printf("\\u%04x", byte);
		else
			putchar(byte);
	}
	putchar('"');
}

void next_item(void)
{
	printf("%s\n", comma);
	comma = ",";
}

void name(const char *string)
{
	next_item();
	text(string, strlen(string));
	printf(": ");
}

void open_group(const char *key, char bracket)
{
	name(key);
	putchar(bracket);
	comma = "";
}

void close_group(char bracket)
{
	printf("\n%c", bracket);
	comma = ",";
}

void named_text(const char *key, const char *string)
{
	name(key);
	text(string, strlen(string));
}

void named_number(const char *key, long long number)
{
	name(key);
	printf("%lld", number);
}
