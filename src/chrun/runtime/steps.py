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
    return len(content).to_bytes(4, "little") + b"".join([encode_field(item) for item in content])


class Step(Value):
    """One kernel step; `why` tells a reader its reason, `notes` explain its likely failures."""

    number: ClassVar[int]
    words: ClassVar[str]  # a format of the step's fields
    because: ClassVar[str] = ""
    spoken: ClassVar[frozenset[str]] = frozenset({"said", "reason", "explained", "name_of_limit"})

    def describe(self) -> str:
        """Give the step as a verb phrase: "mount proc on /proc"."""
        return self.words.format(self)

    @property
    def why(self) -> str:
        """The reason that the step exists: its own, or that of all steps of its kind."""
        return str(getattr(self, "reason", self.because))

    @property
    def notes(self) -> tuple[Note, ...]:
        """The errnos that need better words than strerror(3) has."""
        return getattr(self, "explained", ())

    def content(self) -> tuple[Field, ...]:
        """Give the fields to encode, in order: all but those that are only words for people."""
        return tuple(getattr(self, name) for name in type(self).fields if name not in self.spoken)

    def encode(self) -> bytes:
        """Give the step's record: number, length, words, notes, fields."""
        parts = [encode_field(self.describe()), len(self.notes).to_bytes(4, "little")]
        for note in self.notes:
            parts += [encode_field(field) for field in (note.errno, note.text, note.hint)]
        parts += [encode_field(content) for content in self.content()]
        payload = b"".join(parts)
        number, length = type(self).number, len(payload)
        return number.to_bytes(4, "little") + length.to_bytes(4, "little") + payload


class IdMap(Step):
    """Write the maps of a new user namespace, in the lines of user_namespaces(7)."""

    number: ClassVar[int] = 2
    words: ClassVar[str] = "map user ids ({0.uid_map}) and group ids ({0.gid_map})"
    because: ClassVar[str] = (
        "inside, the caller is somebody else, and has capabilities over nothing but this"
    )
    uid_map: str
    gid_map: str
    deny_setgroups: bool
    explained: tuple[Note, ...] = ()

    def describe(self) -> str:
        return super().describe().replace("\n", ", ")  # an error has one line


class Propagation(Step):
    """Keep mounts from travelling between this mount namespace and the machine's."""

    number: ClassVar[int] = 3
    words: ClassVar[str] = "make all mounts private"
    because: ClassVar[str] = (
        "what is mounted from here on is seen by nobody outside and dies with the namespace"
    )


class Base(Step):
    """Mount a tmpfs to build on, over a host directory, and work in it from now on."""

    number: ClassVar[int] = 4
    words: ClassVar[str] = "mount a tmpfs to build on, over {0.source}"
    because: ClassVar[str] = "mount points and small files need a place that leaves nothing behind"
    source: str
    options: str


class Symlink(Step):
    """Make a symlink in the base directory: a short name for a long host path."""

    number: ClassVar[int] = 5
    words: ClassVar[str] = "call {0.source} {0.name}"
    because: ClassVar[str] = (
        "mount options have one page; and /proc/mounts inside shows no host paths"
    )
    source: str
    name: str


class Directory(Step):
    """Make a directory in the base directory."""

    number: ClassVar[int] = 6
    words: ClassVar[str] = "make the directory {0.name}"
    because: ClassVar[str] = "something is mounted or written there next"
    name: str
    mode: int


class MountBase(Step):
    """Mount a file system on a directory in the base directory."""

    number: ClassVar[int] = 7
    words: ClassVar[str] = "{0.said}"
    fstype: str
    target: str
    flags: int
    options: str
    said: str
    reason: str
    explained: tuple[Note, ...] = ()


class Root(Step):
    """Take a directory as the container's root; all `target`s below are resolved in it.

    `path` is in the base directory, or a host path. With `bind` it is first bound on itself, since
    pivot_root(2) wants a mount point.
    """

    number: ClassVar[int] = 8
    words: ClassVar[str] = "take {0.path} as the root directory"
    because: ClassVar[str] = (
        "every path inside is resolved below it: a symlink in an image never leads out"
    )
    path: str
    bind: bool


class Mount(Step):
    """Mount a file system inside the root, where `follow` allows it through symlinks inside it."""

    number: ClassVar[int] = 9
    words: ClassVar[str] = "mount {0.fstype} on {0.target}"
    fstype: str
    target: str
    flags: int
    options: str
    explained: tuple[Note, ...] = ()
    follow: bool = False  # never for /proc, /dev, /sys: an image may make those symlinks

    @property
    def why(self) -> str:
        return _MOUNT_REASONS.get(self.target, "the container wants it")


_MOUNT_REASONS = {
    "/proc": "shows the processes of this pid namespace, and only those",
    "/dev": "devices of its own: none of the machine's disks",
    "/dev/pts": "terminals of its own, apart from the machine's",
    "/dev/shm": "POSIX shared memory",  # noqa: S108 - inside a container
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
    explained: tuple[Note, ...] = ()
    said: str = ""  # what the source is, where its name is chrun's own

    def describe(self) -> str:
        return f"bind {self.said or self.source} to {self.target}"


class Node(Step):
    """Make a device inside the root: a character device unless `mode` has a type, S_IFBLK."""

    number: ClassVar[int] = 11
    words: ClassVar[str] = "make the device {0.target}"
    target: str
    mode: int
    major: int
    minor: int
    uid: int = 0
    gid: int = 0
    reason: str = "every program expects it, and it gives no access to hardware"


class Link(Step):
    """Make a symlink inside the root, in a directory that chrun itself mounted."""

    number: ClassVar[int] = 12
    words: ClassVar[str] = "link {0.target} to {0.points_to}"
    because: ClassVar[str] = "a name that programs expect"
    points_to: str
    target: str


class File(Step):
    """Write a small file in the base directory and bind it to a target inside.

    In an expanded file `%h` stands for the host name and `%%` for a per cent sign; `optional`
    leaves it out where the target's directory does not exist.
    """

    number: ClassVar[int] = 13
    words: ClassVar[str] = "write {0.target}"
    target: str
    mode: int
    text: bytes
    expanded: bool
    optional: bool
    reason: str


class Mask(Step):
    """Hide a path inside, when it exists: an empty read-only directory, or /dev/null, over it."""

    number: ClassVar[int] = 14
    words: ClassVar[str] = "hide {0.target}"
    because: ClassVar[str] = "it tells or touches more of the machine than a container should"
    target: str


class ReadOnly(Step):
    """Make what is mounted at a path read-only, when it exists, by binding it on itself."""

    number: ClassVar[int] = 15
    words: ClassVar[str] = "make {0.target} read-only"
    target: str

    @property
    def why(self) -> str:
        if self.target == "/":
            return "asked for: the root file system stays as the image has it"
        return "it is the machine's, not the container's, to change"


class PivotRoot(Step):
    """Make the root directory `/` and let go of the machine's file systems."""

    number: ClassVar[int] = 16
    words: ClassVar[str] = "pivot_root into the root directory"
    because: ClassVar[str] = (
        "the machine's file systems are not merely out of sight: they are not there"
    )


class Chroot(Step):
    """Change the root directory, the way of 1979: the machine's mounts stay below."""

    number: ClassVar[int] = 17
    words: ClassVar[str] = "chroot into the root directory"
    because: ClassVar[str] = "this alone is what the article calls a container"


class Hostname(Step):
    """Set the host name; "" is the container's id."""

    number: ClassVar[int] = 18
    because: ClassVar[str] = "the container has a name of its own (UTS namespace)"
    name: str
    explained: tuple[Note, ...] = ()

    def describe(self) -> str:
        return f"set the host name to {self.name or 'the short container id'}"


class Rlimit(Step):
    """Set a resource limit (setrlimit(2)); `resource` is the kernel's number."""

    number: ClassVar[int] = 19
    because: ClassVar[str] = "asked for"
    resource: int
    soft: int
    hard: int
    name_of_limit: str
    explained: tuple[Note, ...] = ()

    def describe(self) -> str:
        soft, hard = (_limit_words(number) for number in (self.soft, self.hard))
        return f"set the limit {self.name_of_limit} to {soft if soft == hard else f'{soft}:{hard}'}"


def _limit_words(number: int) -> str:
    return "unlimited" if number == (1 << 64) - 1 else str(number)


class Terminal(Step):
    """Open a pty in the container's own devpts, make it the controlling terminal and stdio."""

    number: ClassVar[int] = 20
    words: ClassVar[str] = "open a terminal in /dev/pts"
    because: ClassVar[str] = "-t: a pty with job control, whose other end the monitor relays"


class Streams(Step):
    """Replace what is open as 0, 1 and 2 by objects of the container's own.

    Without `relay_all`, anonymous pipes and sockets stay. With `pass_file`, a file that is the
    input is opened once more, on a read-only mount, instead of being relayed by a pipe.
    """

    number: ClassVar[int] = 40
    words: ClassVar[str] = "relay the standard streams"
    because: ClassVar[str] = (
        "through a descriptor of the caller's, a program could change what that is open on"
    )
    relay_all: bool
    pass_file: bool


class User(Step):
    """Become a user and a group, with supplementary groups."""

    number: ClassVar[int] = 21
    words: ClassVar[str] = "become user {0.uid}, group {0.gid}"
    because: ClassVar[str] = "the user that the image or the command line names"
    uid: int
    gid: int
    groups: tuple[int, ...]
    keep_groups: bool  # setgroups(2) is denied in this user namespace


class Capabilities(Step):
    """Set the capability sets: bit masks of capabilities(7) numbers."""

    number: ClassVar[int] = 22
    because: ClassVar[str] = (
        "root inside may do what services need, and not load modules or mount disks"
    )
    bounding: int
    effective: int
    permitted: int
    inheritable: int
    ambient: int

    def describe(self) -> str:
        return f"keep {self.bounding.bit_count()} capabilities"


class NoNewPrivileges(Step):
    """Set no_new_privs: setuid programs and file capabilities have no effect from here on."""

    number: ClassVar[int] = 23
    words: ClassVar[str] = "set no_new_privs"
    because: ClassVar[str] = "no program inside gains what its caller has not"


class Seccomp(Step):
    """Install a system call filter: an array of struct sock_filter."""

    number: ClassVar[int] = 24
    words: ClassVar[str] = "{0.said}"
    program: bytes
    said: str
    reason: str
    listens: bool = False  # chrun-init answers the calls that the filter holds back


class WorkingDirectory(Step):
    """Change to a directory inside, made when missing; it must lie below the new root."""

    number: ClassVar[int] = 25
    words: ClassVar[str] = "change to {0.target}"
    because: ClassVar[str] = "the working directory that the image or the command line names"
    target: str
