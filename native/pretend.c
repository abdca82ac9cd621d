// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "pretend.h"

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <linux/seccomp.h>

#include "descriptors.h"
#include "kernel.h"

enum { ID_BITS = 31, NO_CHANGE = -1 };

enum call_kind { SET_USER, SET_GROUP, TELL_USER, TELL_GROUP };

/* The argument of a call that sets several ids in which the effective one stands; the one before
 * it is the real one, which counts where the effective one stays. */
static const struct call {
	long number;
	enum call_kind kind;
	int effective;
} calls[] = {
	{ SYS_setuid, SET_USER, 0 },    { SYS_setreuid, SET_USER, 1 },
	{ SYS_setresuid, SET_USER, 1 }, { SYS_setgid, SET_GROUP, 0 },
	{ SYS_setregid, SET_GROUP, 1 }, { SYS_setresgid, SET_GROUP, 1 },
	{ SYS_getuid, TELL_USER, 0 },   { SYS_geteuid, TELL_USER, 0 },
	{ SYS_getgid, TELL_GROUP, 0 },  { SYS_getegid, TELL_GROUP, 0 },
};

/* What a process pretends to be must come to its children and survive execve(2), as ids do. The
 * kernel keeps one number in just that way that nobody else has a use for: the soft limit of the
 * time that a real-time process may compute, RLIMIT_RTTIME. Near its largest values it limits
 * nothing. The two highest bits mark it as ours, which "no limit" is not. */
static const uint64_t mark = UINT64_C(1) << (2 * ID_BITS);

static bool read_identity(pid_t process, struct identity *identity, uint64_t limit[2])
{
	if (syscall(SYS_prlimit64, process, RLIMIT_RTTIME, NULL, limit) < 0)
		return false;
	if (limit[0] >> (2 * ID_BITS) == 1) {
		identity->user = (uid_t)(limit[0] >> ID_BITS & INT32_MAX);
		identity->group = (gid_t)(limit[0] & INT32_MAX);
	}
	return true;
}

static int write_identity(pid_t process, struct identity identity, uint64_t hard)
{
	uint64_t limit[2] = { mark | (uint64_t)identity.user << ID_BITS | identity.group, hard };

	return result(syscall(SYS_prlimit64, process, RLIMIT_RTTIME, limit, NULL));
}

/* The id that a call asks for; the present one where it asks for no change. */
static uint32_t wanted_id(const struct seccomp_data *data, const struct call *call, uint32_t now)
{
	for (int argument = call->effective; argument >= 0; argument--)
		if ((int32_t)data->args[argument] != NO_CHANGE)
			return (uint32_t)data->args[argument];
	return now;
}

/* ioctl(2), whose second argument C libraries do not agree on. */
static int control(int listener, unsigned long request, void *argument)
{
	return result(syscall(SYS_ioctl, listener, request, argument));
}

/* Whether the call is still held back: while it is, the pid is the caller's. */
static bool is_held(int listener, const struct seccomp_notif *asked)
{
	uint64_t id = asked->id;

	return control(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/* While the call is held back, the limit that was read is the caller's own. prlimit(2) takes a pid only:
 * if the caller is killed now, another process of this user may get the pid before the next line. That
 * process then gets a soft limit that is never reached and that lies within its own hard limit. It may
 * set such a limit for itself, and the kernel enforces it for real-time processes only. */
static int set_identity(int listener, const struct seccomp_notif *asked, const struct call *call,
			struct identity now, uint64_t hard)
{
	uint32_t *id = call->kind == SET_USER ? &now.user : &now.group;

	*id = wanted_id(&asked->data, call, *id);
	if (*id > INT32_MAX)
		return -EINVAL;
	return is_held(listener, asked) ? write_identity((pid_t)asked->pid, now, hard) : -ESRCH;
}

/* If the pid has become another process's, the call is no longer held back, and the kernel drops the
 * answer. */
static void answer(int listener, const struct seccomp_notif *asked, const struct call *call,
		   struct identity first, struct seccomp_notif_resp *given)
{
	struct identity now = first;
	uint64_t limit[2];

	if (!read_identity((pid_t)asked->pid, &now, limit))
		given->error = -EPERM;
	else if (call->kind == TELL_USER)
		given->val = now.user;
	else if (call->kind == TELL_GROUP)
		given->val = now.group;
	else
		given->error = set_identity(listener, asked, call, now, limit[1]);
}

void pretend_answer(int listener, struct identity first)
{
	struct seccomp_notif asked = { 0 };
	struct seccomp_notif_resp given = { 0 };

	if (control(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) < 0)
		return; /* who asked was killed meanwhile */
	given.id = asked.id;
	given.error = -ENOSYS; /* the filter holds back what is not in the table */
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (calls[i].number == asked.data.nr) {
			given.error = 0;
			answer(listener, &asked, &calls[i], first, &given);
		}
	(void)control(listener, SECCOMP_IOCTL_NOTIF_SEND, &given); /* fails if who asked is dead */
}

/* Hold nothing but the listener: an output that stays open would be waited for. */
static _Noreturn void answer_all(int listener, struct identity first)
{
	struct pollfd asking = { STDIN_FILENO, POLLIN, 0 };
	int error = result(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));

	if (!error)
		error = result(dup2(listener, STDIN_FILENO));
	if (!error)
		error = close_from(STDIN_FILENO + 1);
	while (!error && (poll(&asking, 1, -1) > 0 ? asking.revents & POLLIN : errno == EINTR))
		if (asking.revents & POLLIN)
			pretend_answer(STDIN_FILENO, first);
	leave(0);
}

pid_t pretend_start(int listener, struct identity first)
{
	pid_t pid = fork();

	if (pid == 0)
		answer_all(listener, first);
	return pid < 0 ? -errno : pid;
}
