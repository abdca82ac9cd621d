"""The kernel steps that a plan is made of, as data.

A step knows its words (`describe`), the reason it exists (`why`) and its bytes (`encode`); what it
does is native/steps.c's. The bytes are specified in docs/reference/plan.md. In a step, `source`
is a path outside the container and `target` one inside it; a host path that starts with `%` lies
below the scratch directory, which chrun-init is told when it starts.
"""

from __future__ import annotations

from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

    Field = int | str | bytes | tuple[str, ...] | tuple[int, ...]


class Note(Value):
    """What an errno of a step really means, where strerror(3) would mislead, and what to do."""

    errno: int
    text: str
    hint: str = ""


def encode_field(content: Field) -> bytes:
    """Encode one field: integers are u64, strings are counted and end in NUL, lists are counted."""
    if isinstance(content, int):
        return content.to_bytes(8, "little")
    if isinstance(content, str):
        content = content.encode(errors="surrogateescape")
    if isinstance(content, bytes):
        return len(content).to_bytes(4, "little") + content + b"\0"
    return len(content).to_bytes(4, "little") + b"".join(map(encode_field, content))


class Step(Value):
    """One kernel step; `why` tells a reader its reason, `notes` explain its likely failures."""

    number: ClassVar[int] = 0

    def describe(self) -> str:
        """Give the step as a verb phrase: "mount proc on /proc"."""
        raise NotImplementedError

    @property
    def why(self) -> str:
        """The reason that the step exists."""
        raise NotImplementedError

    @property
    def notes(self) -> tuple[Note, ...]:
        """The errnos that need better words than strerror(3) has."""
        return ()

    def content(self) -> tuple[Field, ...]:
        """Give the fields to encode; those of the value, in order, unless a step says otherwise."""
        return tuple(getattr(self, field) for field in type(self).fields)

    def encode(self) -> bytes:
        """Give the step's record: number, length, words, notes, fields."""
        parts = [encode_field(self.describe()), len(self.notes).to_bytes(4, "little")]
        for note in self.notes:
            parts += map(encode_field, (note.errno, note.text, note.hint))
        parts += map(encode_field, self.content())
        payload = b"".join(parts)
        number, length = type(self).number, len(payload)
        return number.to_bytes(4, "little") + length.to_bytes(4, "little") + payload


class IdMap(Step):
    """Write the maps of a new user namespace, in the lines of user_namespaces(7)."""

    number: ClassVar[int] = 2
    uid_map: str
    gid_map: str
    deny_setgroups: bool

    def describe(self) -> str:
        return f"map user ids ({self.uid_map}) and group ids ({self.gid_map})"

    @property
    def why(self) -> str:
        return "inside, the caller is somebody else, and has capabilities over nothing but this"


class Propagation(Step):
    """Keep mounts from travelling between this mount namespace and the machine's."""

    number: ClassVar[int] = 3

    def describe(self) -> str:
        return "make all mounts private"

    @property
    def why(self) -> str:
        return "what is mounted from here on is seen by nobody outside and dies with the namespace"


class Base(Step):
    """Mount a tmpfs to build on, over a host directory, and work in it from now on."""

    number: ClassVar[int] = 4
    source: str
    options: str

    def describe(self) -> str:
        return f"mount a tmpfs to build on, over {self.source}"

    @property
    def why(self) -> str:
        return "mount points and small files need a place that leaves nothing behind"


class Symlink(Step):
    """Make a symlink in the base directory: a short name for a long host path."""

    number: ClassVar[int] = 5
    source: str
    name: str

    def describe(self) -> str:
        return f"call {self.source} {self.name}"

    @property
    def why(self) -> str:
        return "mount options have one page; and /proc/mounts inside shows no host paths"


class Directory(Step):
    """Make a directory in the base directory."""

    number: ClassVar[int] = 6
    name: str
    mode: int

    def describe(self) -> str:
        return f"make the directory {self.name}"

    @property
    def why(self) -> str:
        return "something is mounted or written there next"


class MountBase(Step):
    """Mount a file system on a directory in the base directory."""

    number: ClassVar[int] = 7
    fstype: str
    target: str
    flags: int
    options: str
    words: str
    reason: str
    explained: tuple[Note, ...] = ()

    def describe(self) -> str:
        return self.words

    @property
    def why(self) -> str:
        return self.reason

    @property
    def notes(self) -> tuple[Note, ...]:
        return self.explained

    def content(self) -> tuple[Field, ...]:
        return self.fstype, self.target, self.flags, self.options


class Root(Step):
    """Take a directory as the container's root; all `target`s below are resolved in it.

    `path` is in the base directory, or a host path. With `bind` it is first bound on itself, since
    pivot_root(2) wants a mount point.
    """

    number: ClassVar[int] = 8
    path: str
    bind: bool

    def describe(self) -> str:
        return f"take {self.path} as the root directory"

    @property
    def why(self) -> str:
        return "every path inside is resolved below it: a symlink in an image never leads out"


class Mount(Step):
    """Mount a file system inside the root; the target must be a real directory there."""

    number: ClassVar[int] = 9
    fstype: str
    target: str
    flags: int
    options: str
    explained: tuple[Note, ...] = ()

    def describe(self) -> str:
        return f"mount {self.fstype} on {self.target}"

    @property
    def why(self) -> str:
        return _MOUNT_REASONS.get(self.target, "the container wants it")

    @property
    def notes(self) -> tuple[Note, ...]:
        return self.explained

    def content(self) -> tuple[Field, ...]:
        return self.fstype, self.target, self.flags, self.options


_MOUNT_REASONS = {
    "/proc": "shows the processes of this pid namespace, and only those",
    "/dev": "devices of its own: none of the machine's disks",
    "/dev/pts": "terminals of its own, apart from the machine's",
    "/dev/shm": "POSIX shared memory",
    "/dev/mqueue": "POSIX message queues of its own",
    "/sys": "what programs read about the hardware; they cannot change it",
}


class Bind(Step):
    """Show a host file or directory inside; the target is made when it is missing."""

    number: ClassVar[int] = 10
    source: str
    target: str
    recursive: bool
    flags: int  # MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, set recursively
    reason: str = "asked for as a volume"

    def describe(self) -> str:
        return f"bind {self.source} to {self.target}"

    @property
    def why(self) -> str:
        return self.reason

    def content(self) -> tuple[Field, ...]:
        return self.source, self.target, self.recursive, self.flags


class Node(Step):
    """Make a character device inside the root."""

    number: ClassVar[int] = 11
    target: str
    mode: int
    major: int
    minor: int

    def describe(self) -> str:
        return f"make the device {self.target}"

    @property
    def why(self) -> str:
        return "every program expects it, and it gives no access to hardware"


class Link(Step):
    """Make a symlink inside the root, in a directory that chrun itself mounted."""

    number: ClassVar[int] = 12
    points_to: str
    target: str

    def describe(self) -> str:
        return f"link {self.target} to {self.points_to}"

    @property
    def why(self) -> str:
        return "a name that programs expect"


class File(Step):
    """Write a small file in the base directory and bind it to a target inside.

    In an expanded file `%h` stands for the host name and `%%` for a per cent sign; `optional`
    leaves it out where the target's directory does not exist.
    """

    number: ClassVar[int] = 13
    target: str
    mode: int
    text: bytes
    expanded: bool
    optional: bool
    reason: str

    def describe(self) -> str:
        return f"write {self.target}"

    @property
    def why(self) -> str:
        return self.reason

    def content(self) -> tuple[Field, ...]:
        return self.target, self.mode, self.text, self.expanded, self.optional


class Mask(Step):
    """Hide a path inside, when it exists: an empty read-only directory, or /dev/null, over it."""

    number: ClassVar[int] = 14
    target: str

    def describe(self) -> str:
        return f"hide {self.target}"

    @property
    def why(self) -> str:
        return "it tells or touches more of the machine than a container should"


class ReadOnly(Step):
    """Make what is mounted at a path read-only, when it exists, by binding it on itself."""

    number: ClassVar[int] = 15
    target: str

    def describe(self) -> str:
        return f"make {self.target} read-only"

    @property
    def why(self) -> str:
        if self.target == "/":
            return "asked for: the root file system stays as the image has it"
        return "it is the machine's, not the container's, to change"


class PivotRoot(Step):
    """Make the root directory `/` and let go of the machine's file systems."""

    number: ClassVar[int] = 16

    def describe(self) -> str:
        return "pivot_root into the root directory"

    @property
    def why(self) -> str:
        return "the machine's file systems are not merely out of sight: they are not there"


class Chroot(Step):
    """Change the root directory, the way of 1979: the machine's mounts stay below."""

    number: ClassVar[int] = 17

    def describe(self) -> str:
        return "chroot into the root directory"

    @property
    def why(self) -> str:
        return "this alone is what the article calls a container"


class Hostname(Step):
    """Set the host name; "" is the container's id."""

    number: ClassVar[int] = 18
    name: str

    def describe(self) -> str:
        return f"set the host name to {self.name or 'the short container id'}"

    @property
    def why(self) -> str:
        return "the container has a name of its own (UTS namespace)"


class Rlimit(Step):
    """Set a resource limit (setrlimit(2)); `resource` is the kernel's number."""

    number: ClassVar[int] = 19
    resource: int
    soft: int
    hard: int
    name: str

    def describe(self) -> str:
        return f"set {self.name} to {self.soft}:{self.hard}"

    @property
    def why(self) -> str:
        return "asked for"

    def content(self) -> tuple[Field, ...]:
        return self.resource, self.soft, self.hard


class Terminal(Step):
    """Open a pty in the container's own devpts, make it the controlling terminal and stdio."""

    number: ClassVar[int] = 20

    def describe(self) -> str:
        return "open a terminal in /dev/pts"

    @property
    def why(self) -> str:
        return "-t: a pty with job control, whose other end the monitor relays"


class User(Step):
    """Become a user and a group, with supplementary groups."""

    number: ClassVar[int] = 21
    uid: int
    gid: int
    groups: tuple[int, ...]
    keep_groups: bool  # setgroups(2) is denied in this user namespace

    def describe(self) -> str:
        return f"become user {self.uid}, group {self.gid}"

    @property
    def why(self) -> str:
        return "the user that the image or the command line names"


class Capabilities(Step):
    """Set the capability sets: bit masks of capabilities(7) numbers."""

    number: ClassVar[int] = 22
    bounding: int
    effective: int
    permitted: int
    inheritable: int
    ambient: int

    def describe(self) -> str:
        return f"keep {self.bounding.bit_count()} capabilities"

    @property
    def why(self) -> str:
        return "root inside may do what services need, and not load modules or mount disks"


class NoNewPrivileges(Step):
    """Set no_new_privs: setuid programs and file capabilities have no effect from here on."""

    number: ClassVar[int] = 23

    def describe(self) -> str:
        return "set no_new_privs"

    @property
    def why(self) -> str:
        return "no program inside gains what its caller has not"


class Seccomp(Step):
    """Install a system call filter: an array of struct sock_filter."""

    number: ClassVar[int] = 24
    program: bytes
    words: str
    reason: str

    def describe(self) -> str:
        return self.words

    @property
    def why(self) -> str:
        return self.reason

    def content(self) -> tuple[Field, ...]:
        return (self.program,)


class WorkingDirectory(Step):
    """Change to a directory inside, made when missing; it must lie below the new root."""

    number: ClassVar[int] = 25
    target: str

    def describe(self) -> str:
        return f"change to {self.target}"

    @property
    def why(self) -> str:
        return "the working directory that the image or the command line names"
