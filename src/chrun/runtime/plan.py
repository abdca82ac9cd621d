"""A plan: what chrun-init carries out between clone and execve, as frozen data.

The order of records is clone, steps, exec, clean-up; their bytes are specified in
docs/reference/plan.md. Three things are not in a plan, so that it can be kept and replayed: the
container's id, its scratch directory, and words at the end of the command line. chrun-init is
given them when it starts.
"""

from __future__ import annotations

from chrun.runtime.steps import Note, Step, encode_field
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

    from chrun.runtime.steps import Field

MAGIC = b"chrun-plan\0\0"
VERSION = 1

# clone(2) flags by the names that the runtime spec gives the namespaces
NAMESPACES = {
    "user": 0x10000000,
    "mount": 0x00020000,
    "pid": 0x20000000,
    "network": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
}


class Clone(Step):
    """Start the container's first process, in the new namespaces that `namespaces` names."""

    number: ClassVar[int] = 1
    namespaces: tuple[str, ...]
    explained: tuple[Note, ...] = ()

    def describe(self) -> str:
        if not self.namespaces:
            return "start a process"
        return f"start a process in new namespaces: {', '.join(self.namespaces)}"

    @property
    def why(self) -> str:
        if not self.namespaces:
            return "the monitor waits for it and cleans up behind it"
        return "a namespace is a view of its own of one kind of thing the kernel keeps"

    def content(self) -> tuple[Field, ...]:
        return (sum(NAMESPACES[name] for name in self.namespaces),)


class Exec(Step):
    """Execute the command, looked up in the environment's PATH unless it has a slash.

    With `init` the first process stays as PID 1, reaps orphans and forwards signals.
    """

    number: ClassVar[int] = 64
    because: ClassVar[str] = "the image's entrypoint and command, or the command line's"
    argv: tuple[str, ...]
    env: tuple[str, ...]
    init: bool
    explained: tuple[Note, ...] = ()

    def describe(self) -> str:
        return f'run "{self.argv[0]}"' if self.argv else "run the command"


class RemoveTree(Step):
    """Clean-up: remove a directory below the scratch directory, or that itself (`%`)."""

    number: ClassVar[int] = 65
    words: ClassVar[str] = "remove the scratch directory"
    because: ClassVar[str] = "a foreground container leaves nothing behind"
    path: str


class Limited(Value):
    """How limits are put into force.

    `steps` come first of all; then `late` namespaces have been made, which the clone leaves to
    them. `mounts` show the container its cgroups; `wrapper` are words that chrun-init is started
    with.
    """

    steps: tuple[Step, ...] = ()
    late: tuple[str, ...] = ()
    mounts: tuple[Step, ...] = ()
    cleanup: tuple[Step, ...] = ()
    wrapper: tuple[str, ...] = ()


UNLIMITED = Limited()


class Plan(Value):
    """Everything that happens between clone and execve, and after the process ended.

    A plan without `command` ends after its steps, with exit status 0: how chrun asks a kernel
    what it allows.
    """

    clone: Clone
    steps: tuple[Step, ...]
    command: Exec | None = None
    cleanup: tuple[Step, ...] = ()

    @property
    def records(self) -> tuple[Step, ...]:
        """Every step, in order; a failure is reported as a position in this list."""
        command = (self.command,) if self.command else ()
        return (self.clone, *self.steps, *command, *self.cleanup)

    def encode(self) -> bytes:
        """Give the bytes that chrun-init reads."""
        records = b"".join(step.encode() for step in self.records)
        count = len(self.records)
        header = MAGIC + VERSION.to_bytes(4, "little")
        return header + encode_field(len(records)) + encode_field(count) + records
