"""What the kernel means by an errno where strerror(3) misleads, and what a user can do then."""

from __future__ import annotations

import errno

from chrun.linux.host import NO_OUTER_FILTER, OUTER_FILTER
from chrun.runtime.steps import Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.linux.host import Host


PROCESS_LIMIT = Note(
    errno.EAGAIN,
    "this user, or the cgroup, may have no more processes",
    "see ulimit -u, and pids.max of the cgroup",
)
USERNS_LIMIT = Note(
    errno.ENOSPC,
    "the limit of user namespaces is reached",
    "ask for: sysctl user.max_user_namespaces=10000",
)


def clone_notes(host: Host) -> tuple[Note, ...]:
    """Explain a refused clone(2) with CLONE_NEWUSER."""
    if host.privileged:
        return (PROCESS_LIMIT,)
    why, hint = host.refusal, host.remedy
    return (
        *id_map_notes(host),
        PROCESS_LIMIT,
        Note(errno.ENOSPC, why, hint) if "user.max_" in hint else USERNS_LIMIT,
        Note(errno.EINVAL, "this kernel has no user namespaces", "Linux 3.8 or later has them"),
    )


def id_map_notes(host: Host) -> tuple[Note, ...]:
    """Explain a user namespace in which nothing is allowed.

    AppArmor lets one be made and takes all capabilities in it away, so that the map is refused.
    """
    why, hint = host.refusal, host.remedy
    return (
        Note(errno.EPERM, f"operation not permitted: {why}", hint),
        Note(errno.EACCES, f"permission denied: {why}", hint),
    )


def namespace_notes(name: str) -> tuple[Note, ...]:
    """Explain a clone(2) that is refused for one type of namespace, by the spec's name."""
    limit = f"user.max_{name}_namespaces"
    return (
        Note(
            errno.ENOSPC,
            f"the limit of {name} namespaces is reached",
            f"ask for: sysctl {limit}=10000",
        ),
        Note(errno.EINVAL, f"this kernel has no {name} namespaces"),
        Note(errno.EPERM, f"a security policy forbids {name} namespaces"),
    )


def hostname_notes(host: Host) -> tuple[Note, ...]:
    """Explain a refused sethostname(2), which podman and CRI-O forbid but not the namespace."""
    if host.filtered:
        why, hint = OUTER_FILTER.format("setting a host name (sethostname)"), NO_OUTER_FILTER
    else:
        why, hint = "a security policy forbids setting a host name (sethostname)", ""
    return tuple(Note(number, why, hint) for number in (errno.EPERM, errno.EACCES, errno.ENOSYS))


def overlay_notes(host: Host) -> tuple[Note, ...]:
    """Explain a refused overlay mount."""
    where = "" if host.privileged else " in a user namespace (Linux 5.11 and later allow it)"
    return (
        Note(
            errno.EPERM,
            f"overlayfs is not allowed{where}",
            'use --rootfs copy, or see "chrun info"',
        ),
        Note(errno.ENODEV, "this kernel has no overlayfs", "use --rootfs copy"),
        Note(
            errno.EINVAL,
            "overlayfs refuses the data directory's file system, mounts in the root directory, or "
            "layers that lie on too many overlays already",
            "keep the data on a local disk (--root or CHRUN_HOME), or use --rootfs copy",
        ),
        Note(
            errno.ELOOP,
            "the root directory has the data directory in it",
            "keep the data elsewhere (--root or CHRUN_HOME)",
        ),
        Note(errno.ESTALE, "the scratch directory belongs to another set of layers"),
    )


EXEC_NOTES = (
    Note(errno.ENOENT, "the image has no such command"),
    Note(errno.ELIBACC, "the interpreter or loader that it names is not in the image"),
    Note(
        errno.ENOEXEC,
        "it is neither a program for this machine's processor nor a script with a #! line",
        '"chrun images" tells the platform; a script without #! runs by: sh SCRIPT',
    ),
    Note(errno.EACCES, "it is not executable", "is it a directory, or has it no execute bit?"),
)

PROC_NOTES = (
    Note(
        errno.EPERM,
        "parts of /proc are hidden here, and then the kernel shows nobody another one",
        "start the outer container with all of /proc (docker: --security-opt "
        "systempaths=unconfined)",
    ),
)

# Of what is put in a place: the first two are native/mounts.c's, to tell the kernel's EINVAL apart.
PLACE_NOTES = (
    Note(
        errno.EISDIR,
        "a file goes on a file, but the container has a directory there",
        "write the file's name behind the directory",
    ),
    Note(errno.EEXIST, "a directory goes on a directory, but the container has a file there"),
    Note(errno.ENOTDIR, "the container has a file where that path goes through"),
)

MOUNT_NOTES = (
    Note(errno.ELOOP, "the image has a symlink there, which could lead anywhere"),
    Note(errno.ENOTDIR, "the image has something there that is no directory"),
)
