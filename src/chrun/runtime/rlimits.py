"""Resource limits of the spec -> step 19: setrlimit(2), for the command and what it starts."""

from __future__ import annotations

import errno

from chrun.runtime.steps import Note, Rlimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.oci.spec import Process
    from chrun.runtime.steps import Step

_UNLIMITED = (1 << 64) - 1  # RLIM_INFINITY
# In the order of their numbers, which x86-64 and arm64 share: asm-generic/resource.h
_NAMES = (
    "CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS",
    "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
)  # fmt: skip
_NOTES = (
    Note(
        errno.EPERM,
        "only CAP_SYS_RESOURCE may raise a hard limit",
        'ask for no more than "ulimit -Ha" shows where chrun is started',
    ),
)


def plan_rlimits(process: Process) -> Iterator[Step]:
    """Set the limits before root's rights are given up: a hard limit is root's to raise."""
    for limit in process.rlimits:
        name = limit.name.removeprefix("RLIMIT_")
        yield Rlimit(
            _NAMES.index(name),
            _UNLIMITED if limit.soft == -1 else limit.soft,
            _UNLIMITED if limit.hard == -1 else limit.hard,
            name,
            _NOTES,
        )
