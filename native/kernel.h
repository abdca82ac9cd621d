// SPDX-License-Identifier: Apache-2.0
/* What C libraries of the last ten years may lack of the kernel's interface, and the conventions of
 * this program: a function gives 0 (or a descriptor, a pid, a count) or -errno, and a descriptor
 * that is declared `closing` is closed when its block is left. */
#ifndef CHRUN_KERNEL_H
#define CHRUN_KERNEL_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* These numbers are the same on every architecture. */
#ifndef SYS_open_tree
#define SYS_open_tree 428
#define SYS_move_mount 429
#endif
#ifndef SYS_fsopen
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif

/* linux/openat2.h and linux/mount.h clash with the headers of some C libraries: own names. */
enum {
	NO_XDEV = 0x01,       /* RESOLVE_NO_XDEV */
	NO_MAGICLINKS = 0x02, /* RESOLVE_NO_MAGICLINKS */
	NO_SYMLINKS = 0x04,   /* RESOLVE_NO_SYMLINKS */
	BENEATH = 0x08,       /* RESOLVE_BENEATH */
	IN_ROOT = 0x10,       /* RESOLVE_IN_ROOT */

	TREE_CLONE = 1,              /* OPEN_TREE_CLONE */
	RECURSIVE = 0x8000,          /* AT_RECURSIVE */
	EMPTY_PATH = 0x1000,         /* AT_EMPTY_PATH */
	MOVE_EMPTY_PATHS = 0x4 | 0x40, /* MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH */
};

struct open_how2 {
	uint64_t flags, mode, resolve;
};

struct mount_attributes {
	uint64_t set, clear, propagation, userns_fd;
};

struct clone3_arguments {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

#define closing __attribute__((cleanup(close_descriptor)))

static inline void close_descriptor(const int *fd)
{
	if (*fd >= 0)
		close(*fd); /* what could fail here was read only or is a mount */
}

static inline int result(long returned)
{
	return returned < 0 ? -errno : (int)returned;
}

/* End this process, though a system call filter may refuse even that: then C libraries ask again for
 * ever, and an illegal instruction is the way out. */
static inline _Noreturn void leave(int status)
{
	syscall(SYS_exit_group, status);
	__builtin_trap();
}

/* The kernel gives EAGAIN when a rename elsewhere disturbed a "..". */
static inline int openat2_(int directory, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how2 how = { flags | O_CLOEXEC, 0, resolve };
	int fd = -EAGAIN;

	for (int tries = 0; fd == -EAGAIN && tries < 8; tries++)
		fd = result(syscall(SYS_openat2, directory, path, &how, sizeof(how)));
	return fd;
}

/* True where the kernel is too old for a call, or where an outer container's system call filter,
 * older than the call, answers in its place. */
static inline int is_missing(int error)
{
	return error == -ENOSYS || error == -EPERM;
}

#endif
