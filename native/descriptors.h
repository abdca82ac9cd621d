// SPDX-License-Identifier: Apache-2.0
#ifndef CHRUN_DESCRIPTORS_H
#define CHRUN_DESCRIPTORS_H

/* Close all descriptors from `first` on. Before Linux 5.9 this takes /proc: call it while the host's
 * is in reach. */
int close_from(int first);

#endif
