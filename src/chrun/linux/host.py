"""What this machine and this user are: asked once, then handed on as a value."""

from __future__ import annotations

import os

from chrun.linux import caps
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Fact = Literal[
        "namespaces",
        "pid",
        "ipc",
        "uts",
        "cgroup",
        "overlay",
        "proc",
        "sysfs",
        "seccomp",
        "listener",
    ]
    Surroundings = tuple[tuple[int, ...], tuple[str, ...], bytes]


class Lack(Value):
    """Something that this machine does not give: which, why, and what would mend it."""

    what: Fact
    why: str
    hint: str = ""


class Host(Value):
    """This user on this machine.

    `privileged` says that this is root as the whole machine knows it, who may mount, make devices
    and give files to anybody; root of a user namespace is an ordinary user here. `lacks` is what
    asking the kernel (`runtime/probe.py`) showed to be missing. `refusal` and `remedy` are the
    likely reason, should user namespaces be refused, and the way out; "" for who needs none.
    `may_chroot` is what the lowest rung needs: root of a container has that and little else. Some
    of those may not let go of their supplementary groups (`keeps_groups`). `filtered` says that
    system calls go through a filter already.
    """

    uid: int
    gid: int
    privileged: bool
    machine: str
    release: str
    refusal: str = ""
    remedy: str = ""
    may_chroot: bool = False
    keeps_groups: bool = False
    filtered: bool = False
    lacks: tuple[Lack, ...] = ()

    def lack_of(self, what: Fact) -> Lack | None:
        """Give why something is missing, None when it is there."""
        return next((lack for lack in self.lacks if lack.what == what), None)

    @property
    def kernel(self) -> tuple[int, int]:
        """The kernel's version: major, minor."""
        major, minor = self.release.split(".")[:2]
        return int(major), int("".join(digit for digit in minor if digit.isdigit()) or 0)


def read_host() -> Host:
    """Ask who and where this process is, without trying anything."""
    uname = os.uname()
    effective = caps.effective_mask()
    privileged = caps.has(effective, "CAP_SYS_ADMIN") and has_all_ids()
    may_chroot = caps.has(effective, "CAP_SYS_CHROOT")
    filtered = is_filtered()
    refusal, remedy = ("", "") if privileged else why_no_user_namespace(filtered=filtered)
    return Host(
        uid=os.geteuid(),
        gid=os.getegid(),
        privileged=privileged,
        machine=uname.machine,
        release=uname.release,
        refusal=refusal,
        remedy=remedy,
        may_chroot=may_chroot,
        keeps_groups=may_chroot and read_first_line("/proc/self/setgroups") == "deny",
        filtered=filtered,
    )


def has_all_ids() -> bool:
    """Say whether this process knows every user ID, as only outside of user namespaces it does.

    user_namespaces(7); a kernel without user namespaces has no such file.
    """
    return read_first_line("/proc/self/uid_map").split() in ([], ["0", "0", "4294967295"])


# What forbids user namespaces, where it is written, the value that forbids, and the way out.
_USERNS_SWITCHES = (
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0, "
        "or an AppArmor profile for chrun that allows userns",
    ),
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "sysctl kernel.unprivileged_userns_clone=1",
    ),
    ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
    ("/proc/sys/user/max_mnt_namespaces", "0", "sysctl user.max_mnt_namespaces=10000"),
)
OUTER_FILTER = (
    "the container or service that chrun itself runs in forbids {}, by a system call filter"
)
NO_OUTER_FILTER = (
    "start that with --security-opt seccomp=unconfined (docker, podman, chrun), "
    "seccompProfile Unconfined (Kubernetes)"
)
_SMALL = 4096  # bytes: what files of /proc show at once
_FILTERED = b"Seccomp:\t2\n"  # in /proc/PID/status: SECCOMP_MODE_FILTER


def why_no_user_namespace(*, filtered: bool) -> tuple[str, str]:
    """Give the likely reason that user namespaces are refused, and what an administrator can do."""
    for path, forbidding, remedy in _USERNS_SWITCHES:
        if read_first_line(path) == forbidding:
            name = path.removeprefix("/proc/sys/").replace("/", ".")
            return f"this system restricts them ({name}={forbidding})", f"ask for: {remedy}"
    if filtered:
        return OUTER_FILTER.format("them"), f"{NO_OUTER_FILTER}, or run chrun as its root"
    return "the kernel or its security policy refuses them", 'see "chrun info"'


_LIMITED = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


def surroundings() -> Surroundings:
    """Give what is other where the kernel may allow this user something else.

    An outer container or a service has namespaces of its own, limits of their number, a /proc that
    is not all to be seen, and perhaps a security module's profile. The numbers of namespaces alone
    do not tell: that of one that ended is soon another's.
    """
    limits = (read_first_line(f"/proc/sys/user/max_{name}_namespaces") for name in _LIMITED)
    profile = read_first_line("/proc/self/attr/current")
    try:
        numbers = tuple(os.stat(f"/proc/self/ns/{name}").st_ino for name in ("user", "mnt"))
        with open("/proc/self/mountinfo", "rb") as mounts:
            # What lies over parts of these two is what a namespace of their own may not uncover.
            seen = [line for line in mounts if b" /proc" in line or b" /sys" in line]
    except OSError:  # /proc tells nothing
        numbers, seen = (), []
    return numbers, (*limits, profile), b"".join(seen)


def is_filtered() -> bool:
    """Say whether system calls of this process go through a filter: proc(5), seccomp(2)."""
    try:
        with open("/proc/self/status", "rb") as status:
            return _FILTERED in status.read()
    except OSError:
        return False


def gains_nothing() -> bool:
    """Say whether setuid programs have no effect for this process: no_new_privs, prctl(2)."""
    try:
        with open("/proc/self/status", "rb") as status:
            return b"NoNewPrivs:\t1\n" in status.read()
    except OSError:
        return False


def read_text(path: str) -> str:
    """Give a file's text, "" for one that cannot be read; lines end where the kernel ends them."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            return file.read()
    except OSError:
        return ""


def read_first_line(path: str) -> str:
    """Give the first line of a small file, "" when it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            content = file.read(_SMALL) or b""
    except OSError:
        return ""
    return content.partition(b"\n")[0].decode(errors="replace").strip()
