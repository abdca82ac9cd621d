"""What a test needs of the machine, and what happens where it is not to be had.

    @needs("root", "overlay")
    def test_...

Who runs the tests is not a lack: tests for root are left out of an ordinary user's run and the
other way round, and `make test` does both. Anything else that is missing skips the test; where
`CI` is set a skip is a failure, unless its reason is accepted below and CHRUN_TEST_REQUIRE does not
name it among those, divided by commas, that must be there.
"""

from __future__ import annotations

import ctypes  # noqa: TID251 - only a system call tells, and no module makes it
import os
import pwd
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chrun.values import Value
from tests.support import cgroups
from tests.support.images import TEST_IMAGES, static_busybox
from tests.support.podman import PODMANS_FILTER

if TYPE_CHECKING:
    from collections.abc import Callable

_OVERLAY = (
    "mount -t tmpfs none /mnt && cd /mnt && mkdir lower upper work root"
    " && mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work,userxattr none root"
)

# Needs that the machine of CI may lack, and why a test is worth having all the same
ACCEPTED_IN_CI = {
    "images": "the official images lie beside the checkout, not in it",
    "docker": "needs a daemon that CI's machine does not run",
    "cgroups 1": "a machine has its controllers in one version; the other is the virtual machine's",
    "cgroups 2": "likewise",
    "hugetlb": "version 2 has it where the trees of version 1 leave it",
    "delegated cgroups": "a job of CI may have none to give away",
    "systemd session": "the virtual machine's second guise has one",
    "a loop device": "a job of CI may have few devices",
    "bfq": "a kernel may be built without it",
    "no weights": "what weighs disks is the machine's to choose",
}


class Need(Value):
    """Something that a test cannot do without: how to ask for it, and what to say without it."""

    is_there: Callable[[], bool]
    reason: str


def needs(*names: str) -> pytest.MarkDecorator:
    """Mark a test, or a module's `pytestmark`, with what it needs; names are those of `NEEDS`."""
    unknown = set(names) - set(NEEDS) - set(IDENTITIES)
    if unknown:
        message = f"no such need: {', '.join(sorted(unknown))}"
        raise ValueError(message)
    return pytest.mark.needs(*names)


def is_for_somebody_else(names: set[str]) -> bool:
    """Say whether a test is for another user than the one who runs this."""
    return any(name in names and not is_me() for name, is_me in IDENTITIES.items())


def first_lack(names: set[str]) -> str:
    """Give the first need that this machine does not meet, or ""."""
    return next((name for name in sorted(names & NEEDS.keys()) if not _is_there(name)), "")


def skip_reason(name: str) -> str:
    """Give the words that a test without `name` is skipped with."""
    return f"{name}: {NEEDS[name].reason}"


def is_accepted(reason: str) -> bool:
    """Say whether a test may be skipped for that reason in CI."""
    required = os.environ.get("CHRUN_TEST_REQUIRE", "").split(",")
    return any(reason == skip_reason(name) for name in ACCEPTED_IN_CI if name not in required)


@cache
def _is_there(name: str) -> bool:
    return NEEDS[name].is_there()


def _program(name: str) -> Need:
    return Need(lambda: shutil.which(name) is not None, f"{name} is not installed")


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _as_root_inside(script: str) -> bool:
    return _succeeds("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script)


def _is_root() -> bool:
    return os.geteuid() == 0


def _is_ordinary_user() -> bool:
    return os.geteuid() != 0


def _has_subids() -> bool:
    """Say whether this is an ordinary user to whom somebody gave subordinate ids."""
    try:
        login = pwd.getpwuid(os.geteuid()).pw_name
        given = Path("/etc/subuid").read_text(encoding="utf-8").splitlines()
    except (KeyError, FileNotFoundError):
        return False
    return _is_ordinary_user() and any(line.startswith(f"{login}:") for line in given)


def _has_one_id() -> bool:
    return _is_ordinary_user() and not _has_subids()


def _has_busybox() -> bool:
    return TEST_IMAGES.is_dir() or bool(static_busybox())


def _has_landlock() -> bool:
    create_ruleset, ask_for_abi = 444, 1
    return ctypes.CDLL(None).syscall(create_ruleset, None, 0, ask_for_abi) > 0


def _is_plain() -> bool:
    return "CHRUN_TEST_SANITIZED" not in os.environ


def _is_virtual() -> bool:
    return "CHRUN_TEST_VM" in os.environ  # tests/vm/guest/vm/play


def _is_systemds() -> bool:
    return _is_virtual() and Path("/run/systemd/system").is_dir()


# Runs of the suite that a test belongs to; in all others it is left out, not skipped.
IDENTITIES: dict[str, Callable[[], bool]] = {
    "root": _is_root,
    "ordinary user": _is_ordinary_user,
    "subordinate ids": _has_subids,
    "single id": _has_one_id,
    "no sanitizer": _is_plain,
    "virtual machine": _is_virtual,
    "systemd": _is_systemds,
    "memfd_noexec": Path("/proc/sys/vm/memfd_noexec").exists,  # Linux 6.3
    "pids by choice": Path("/proc/sys/kernel/ns_last_pid").exists,  # CONFIG_CHECKPOINT_RESTORE
}

NEEDS: dict[str, Need] = {
    "userns": Need(lambda: _as_root_inside("true"), "no user namespace can be made here"),
    "overlay": Need(lambda: _as_root_inside(_OVERLAY), "no overlay in a user namespace here"),
    "busybox": Need(_has_busybox, "there is no official busybox, nor a static one of this system"),
    "cgroups": Need(
        lambda: cgroups.has_version_1("memory") or cgroups.has_version_2("memory"),
        "no cgroup tree with the memory controller is mounted",
    ),
    "cgroups 1": Need(
        lambda: cgroups.has_version_1("memory"), "memory has no cgroup tree of version 1"
    ),
    "cgroups 2": Need(
        lambda: cgroups.has_version_2("memory"), "memory is not in the cgroup tree of version 2"
    ),
    "delegated cgroups": Need(
        lambda: bool(cgroups.given()), "nobody gave this user cgroups (CHRUN_TEST_CGROUPS)"
    ),
    "systemd session": Need(cgroups.has_session, "no systemd keeps a session for this user"),
    "a loop device": Need(lambda: os.path.exists("/dev/loop0"), "there is no /dev/loop0"),
    "a disk": Need(lambda: cgroups.first_disk() is not None, "there is no disk here"),
    "bfq": Need(cgroups.knows_bfq, "there is no /dev/loop7 with the scheduler bfq"),
    "no weights": Need(lambda: not cgroups.honours_weights(), "a disk here honours weights"),
    "hugetlb": Need(
        lambda: cgroups.has_version_2("hugetlb"), "hugetlb is not in the cgroup tree of version 2"
    ),
    "landlock": Need(_has_landlock, "this kernel has no Landlock, or it is switched off"),
    "images": Need(TEST_IMAGES.is_dir, "there are no official images here"),
    "podman's filter": Need(PODMANS_FILTER.exists, f"there is no {PODMANS_FILTER}"),
    "docker": Need(lambda: _succeeds("docker", "info"), "no docker daemon answers"),
    **{
        name: _program(name)
        for name in (
            "docker-registry",
            "skopeo",
            "umoci",
            "podman",
            "runc",
            "bwrap",
            "unshare",
            "getfattr",
            "zstd",
            "gcc",
            "mkfs.xfs",
            "redis-check-rdb",
        )
    },
}
