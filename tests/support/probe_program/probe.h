/* What is shown, each under a key of its own; `words` are the arguments of the probe. */
#pragma once

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

void show_words(const char *key, char **words);
void show_descriptors(void);
void show_ids(void);
void show_capabilities(void);
void show_process(void);
void show_limits(void);
void show_namespaces(void);

void show_devices(void);
void show_paths(char **words);
void show_texts(char **words);

void show_sockets(void);
void show_attempts(void);
void show_calls(char **words);
