"""Steps for namespaces that are shared with another container, and for what is set in own ones."""

from __future__ import annotations

import errno

from chrun.oci.spec import count_ids
from chrun.runtime.plan import NAMESPACES
from chrun.runtime.steps import Note, Step, User

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import ClassVar

    from chrun.oci.spec import Spec

_SHM = "/dev/shm"  # noqa: S108 - inside a container
_MEMORY_SLOT = 31  # the last one: volumes take theirs from the first on
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8

_SYSCTL_HINT = "run as root; for those of IPC Linux 5.19 is enough"


class Join(Step):
    """Start the container in namespaces of a process, if that is the one that started then."""

    number: ClassVar[int] = 27
    because: ClassVar[str] = "asked for: the containers see each other's"
    process: str
    started: int
    flags: int
    joined: tuple[str, ...]
    spoken: ClassVar[frozenset[str]] = Step.spoken | {"joined"}
    explained: tuple[Note, ...] = (
        Note(errno.ESRCH, "that container has ended meanwhile"),
        Note(errno.EPERM, "it is another user's, or in another user namespace"),
        Note(errno.EACCES, "it is another user's"),
    )

    def describe(self) -> str:
        return f"join namespaces of process {self.process[6:]}: {', '.join(self.joined)}"


class Sysctl(Step):
    """Write a kernel parameter of the container's own namespaces, through its own /proc."""

    number: ClassVar[int] = 28
    because: ClassVar[str] = "asked for"
    target: str
    text: str
    explained: tuple[Note, ...] = (
        Note(errno.ENOENT, "this kernel has no such parameter, or not for every namespace"),
        Note(
            errno.EACCES,
            "it is for root alone",
            _SYSCTL_HINT,
        ),
        Note(
            errno.EPERM,
            "it is for root alone",
            _SYSCTL_HINT,
        ),
        Note(errno.EINVAL, "the kernel does not take that value"),
        Note(errno.ELOOP, "something else lies in its place in /proc"),
        Note(errno.ENOTTY, "something else than proc is mounted in its place"),
    )

    def describe(self) -> str:
        return f"set {self.target[5:].replace('/', '.')} to {self.text!r}"


class Loopback(Step):
    """Bring the loopback interface of the new network namespace up."""

    number: ClassVar[int] = 29
    words: ClassVar[str] = "bring the loopback interface up"
    because: ClassVar[str] = "programs talk to themselves at 127.0.0.1; nobody else is there"


class SharedMemory(Step):
    """Copy the mount of another container's /dev/shm into a slot, for step 36 to place."""

    number: ClassVar[int] = 38
    words: ClassVar[str] = "take hold of the /dev/shm of process {0.process}"
    because: ClassVar[str] = "POSIX shared memory is part of what IPC namespaces share"
    slot: int
    process: str
    started: int
    explained: tuple[Note, ...] = (
        Note(errno.ESRCH, "that container has ended meanwhile"),
        Note(errno.ENOENT, "that container has no /dev/shm", "it was started with --ipc none"),
        Note(errno.ENOTTY, "what that container has at /dev/shm is not shared memory"),
        Note(errno.ELOOP, "that container has a symlink at /dev/shm"),
        Note(errno.ENOSYS, "this kernel cannot", "Linux 5.6 or later"),
    )


def plan_joining(spec: Spec) -> Iterator[Step]:
    """Plan one step for each process whose namespaces are joined, which happens before the clone.

    Where many ids are mapped in a joined user namespace the caller is perhaps none of them, and
    becomes its root.
    """
    joined = spec.joined
    for process, started in dict.fromkeys((each.process, each.started) for each in joined):
        names = tuple(each.type for each in joined if each.process == process)
        yield Join(process, started, sum(NAMESPACES[name] for name in names), names)
        if "user" in names and count_ids(spec.uid_mappings) > 1:
            yield User(0, 0, (), False)


def plan_shared_memory(spec: Spec) -> Iterator[Step]:
    """Plan to fetch /dev/shm from whom the IPC namespace is joined, and to put it in place.

    Behind the base: who comes back from another mount namespace must have a way to where it was.
    """
    from chrun.runtime.trees import Place

    flags, why = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, SharedMemory.because
    for each in spec.joined:
        if each.type == "ipc":
            yield SharedMemory(_MEMORY_SLOT, each.process, each.started)
            yield Place(_MEMORY_SLOT, _SHM, flags, 0, False, 0, "the shared memory", why)


def plan_settings(spec: Spec) -> Iterator[Step]:
    """Plan what is set in own namespaces, while /proc/sys can be written to."""
    if "network" in spec.namespaces:
        yield Loopback()
    for path, content in spec.sysctls:
        yield Sysctl(f"/sys/{path}", content)
