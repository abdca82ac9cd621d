"""Debian's userland as a directory: packages unpacked, none installed on this machine."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# What tests and the guests' own scripts run; apt adds what these need.
_PACKAGES = (
    "apparmor",
    "base-files",
    "bash",
    "busybox-static",
    "coreutils",
    "dash",
    "dbus",
    "dbus-user-session",
    "diffutils",
    "findutils",
    "gcc",
    "grep",
    "gzip",
    "hostname",
    "iproute2",
    "kmod",
    "libc-bin",
    "libc6-dev",
    "libpam-modules",
    "libpam-systemd",
    "login",
    "mawk",
    "mount",
    "musl-tools",
    "passwd",
    "procps",
    "python3",
    "sed",
    "systemd",
    "systemd-sysv",
    "tar",
    "uidmap",
    "usr-is-merged",
    "util-linux",
)
_KERNEL = "linux-image-cloud-amd64"  # names the newest; what it depends on is the kernel
_MERGED = ("bin", "sbin", "lib", "lib64")
_UNREAD = ("doc", "i18n", "info", "locale", "man", "perl")  # below /usr/share
_FORMAT = "3"  # of what is made of the packages


def make_userland(build: Path) -> tuple[Path, Path]:
    """Give a directory with the userland and the kernel's path; made once for each set of versions.

    Needs root, who alone may give files to others. Raises CalledProcessError when apt has no such
    packages.
    """
    try:
        return _make_userland(build)
    except subprocess.CalledProcessError:  # no package lists, or older ones than the mirrors have
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        return _make_userland(build)


def _make_userland(build: Path) -> tuple[Path, Path]:
    packages = _closure()
    key = hashlib.sha256("\n".join((_FORMAT, *packages)).encode()).hexdigest()[:16]
    directory = build / f"userland-{key}"
    if not directory.exists():
        for old in build.glob("userland-*"):
            shutil.rmtree(old)
        build.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=build, prefix="making-") as scratch:
            root = Path(scratch, "root")
            _unpack(packages, root)
            root.rename(directory)
    (kernel,) = directory.glob("boot/vmlinuz-*")
    return directory, kernel


def _closure() -> list[str]:
    """Give NAME=VERSION of all packages, as apt would choose them for an empty machine."""
    with tempfile.NamedTemporaryFile() as empty:
        told = _apt(
            "apt-get",
            f"-oDir::State::status={empty.name}",
            "-oAPT::Install-Recommends=false",
            "--simulate",
            "install",
            *_PACKAGES,
        )
    chosen = [line.split()[1:3] for line in told.splitlines() if line.startswith("Inst ")]
    told = _apt("apt-cache", "depends", "--important", _KERNEL)
    (kernel,) = (line.split()[1] for line in told.splitlines() if line.strip().startswith("Dep"))
    shown = _apt("apt-cache", "show", "--no-all-versions", kernel)
    (version,) = (line.split()[1] for line in shown.splitlines() if line.startswith("Version: "))
    return sorted(
        [*(f"{name}={found.strip('(')}" for name, found in chosen), f"{kernel}={version}"]
    )


def _apt(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def _unpack(packages: Iterable[str], root: Path) -> None:
    root.mkdir(mode=0o755)
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    (root / "mnt").mkdir()  # base-files' own script would
    debs = root.with_name("debs")
    debs.mkdir()
    command = ["apt-get", "-oAPT::Sandbox::User=root", "download", "-qq", *packages]
    subprocess.run(command, cwd=debs, check=True)
    for deb in sorted(debs.iterdir()):
        script = 'dpkg-deb --fsys-tarfile "$1" | tar -xpC "$2" --keep-directory-symlink'
        subprocess.run(["sh", "-ec", script, "sh", deb, root], check=True)
    for name in _UNREAD:
        shutil.rmtree(root / "usr/share" / name, ignore_errors=True)
    (modules,) = (root / "lib/modules").iterdir()
    subprocess.run(["chroot", root, "depmod", modules.name], check=True)
