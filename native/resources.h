// SPDX-License-Identifier: Apache-2.0
#ifndef CHRUN_RESOURCES_H
#define CHRUN_RESOURCES_H

#include <stdint.h>

#include "steps.h"

struct limit {
	uint64_t soft, hard;
};

/* setrlimit(2) of the kernel's resource number. A hard limit that may not be raised stays, and a
 * word on stderr says so. */
int set_limit(const struct container *c, uint64_t resource, struct limit limit);

#endif
