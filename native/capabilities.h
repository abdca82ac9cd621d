// SPDX-License-Identifier: Apache-2.0
#ifndef CHRUN_CAPABILITIES_H
#define CHRUN_CAPABILITIES_H

#include <stdint.h>

/* Bit n is capability n of capabilities(7). */
struct capability_sets {
	uint64_t bounding, effective, permitted, inheritable, ambient;
};

/* Give the process exactly these sets, as far as it has them: a root without CAP_SYS_RESOURCE
 * cannot hand it on. Wants CAP_SETPCAP among the permitted ones. */
int set_capabilities(const struct capability_sets *sets);

#endif
