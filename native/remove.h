// SPDX-License-Identifier: Apache-2.0
#ifndef CHRUN_REMOVE_H
#define CHRUN_REMOVE_H

/* Remove a directory and all below it, however deep, and whatever modes its directories have. No
 * symlink is followed and no mount entered; one that is met is an error, and stays. */
int remove_tree(const char *path);

#endif
