/*
 * What a process sees of its surroundings, as JSON on stdout: the probe that tests put into a
 * container. It asks the kernel by system calls where there are any, so that it works without
 * /proc; files of /proc are passed on as they are, for tests/support/probe.py to read.
 *
 *     probe [path=PATH]... [text=PATH]... [call=NAME|NUMBER[:ARGUMENT,...]]... [WORD]...
 *
 * It changes nothing: paths are opened and not written to, and calls are made in a child.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <unistd.h>

#include "probe.h"

int main(int argc, char **argv)
{
	(void)argc;
	printf("{");
	show_words("argv", argv);
	show_words("env", environ);
	show_descriptors();
	show_ids();
	show_capabilities();
	show_process();
	show_limits();
	show_namespaces();
	show_devices();
	show_paths(argv);
	show_sockets();
	show_attempts();
	show_calls(argv);
	show_texts(argv);
	printf("\n}\n");
	return 0;
}
