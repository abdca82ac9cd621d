"""What this machine and this user are: asked once, then handed on as a value."""

from __future__ import annotations

import os

from chrun.linux import caps
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Fact = Literal[
        "namespaces", "pid", "ipc", "uts", "cgroup", "overlay", "proc", "seccomp", "listener"
    ]


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
    """

    uid: int
    gid: int
    privileged: bool
    machine: str
    release: str
    refusal: str = ""
    remedy: str = ""
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
    privileged = caps.has(caps.effective_mask(), "CAP_SYS_ADMIN") and has_all_ids()
    refusal, remedy = ("", "") if privileged else why_no_user_namespace()
    return Host(
        uid=os.geteuid(),
        gid=os.getegid(),
        privileged=privileged,
        machine=uname.machine,
        release=uname.release,
        refusal=refusal,
        remedy=remedy,
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
)


def why_no_user_namespace() -> tuple[str, str]:
    """Give the likely reason that user namespaces are refused, and what an administrator can do."""
    for path, forbidding, remedy in _USERNS_SWITCHES:
        if read_first_line(path) == forbidding:
            name = path.removeprefix("/proc/sys/").replace("/", ".")
            return f"this system restricts them ({name}={forbidding})", f"ask for: {remedy}"
    if os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv"):
        return (
            "the container that chrun itself runs in forbids them",
            "start that container with --security-opt seccomp=unconfined, or run as its root",
        )
    return "the kernel or its security policy refuses them", 'see "chrun info"'


def read_first_line(path: str) -> str:
    """Give the first line of a small file, "" when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""
