"""The disk of the virtual machine: userland, chrun as installed here, the checkout's tests."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chrun
from tests.support.images import TEST_IMAGES

if TYPE_CHECKING:
    from collections.abc import Iterable

CHECKOUT = Path(__file__).resolve().parents[2]
_GUEST = Path(__file__).with_name("guest")
_SITE = "usr/lib/python3/dist-packages"
_LEFT_OUT = (".git", ".venv", "build", ".*_cache", ".hypothesis", "__pycache__")
_COMMAND = """\
#!/usr/bin/python3
import sys
from chrun.cli.main import main
sys.exit(main())
"""
# The guest's people: `many` has subordinate IDs, `single` has none
_USERS = {
    "root": (0, "/root"),
    "messagebus": (100, "/nonexistent"),
    "many": (1000, "/home/many"),
    "single": (1001, "/home/single"),
    "nobody": (65534, "/nonexistent"),
}
_GROUPS = {"tty": 5, "shadow": 42}
_SUBORDINATE = "many:100000:65536\n"
_SPARE_BYTES = 1 << 30


def make_image(userland: Path, build: Path) -> Path:
    """Give the path of a new ext4 image, made of a copy of the userland."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    with tempfile.TemporaryDirectory(dir=build, prefix="making-") as scratch:
        root = Path(scratch, "root")
        subprocess.run(["cp", "-a", "--reflink=auto", userland, root], check=True)
        _add_dependencies(root, project, build)
        _add_chrun(root, project["project"]["version"])
        _add_checkout(root)
        shutil.copytree(_GUEST, root, dirs_exist_ok=True)
        _add_users(root)
        # Compiled here, since every boot begins anew, and slowly
        compiling = ["python3", "-m", "compileall", "-q", f"/{_SITE}", "/chrun/tests"]
        subprocess.run(["chroot", root, *compiling], check=True)
        return _pack(root, build / "image.ext4")


def _pack(root: Path, image: Path) -> Path:
    image.unlink(missing_ok=True)
    used = int(subprocess.check_output(["du", "-sb", root]).split()[0])
    command = ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", root, image]
    size = f"{(used * 5 // 4 + _SPARE_BYTES) // 1024}k"
    subprocess.run([*command, size], stdout=subprocess.DEVNULL, check=True)
    return image


def _add_dependencies(root: Path, project: dict[str, Any], build: Path) -> None:
    """Put in what chrun and its tests import, fetched for the guest's Python and not for ours."""
    (library,) = (root / "usr/lib").glob("python3.*")
    version = library.name.removeprefix("python")
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["test"]]
    key = hashlib.sha256("\n".join((version, *wanted)).encode()).hexdigest()[:16]
    fetched = build / f"site-{key}"
    if not fetched.exists():
        for old in build.glob("site-*"):
            shutil.rmtree(old)
        with tempfile.TemporaryDirectory(dir=build, prefix="making-") as scratch:
            _fetch(wanted, version, Path(scratch, "site"))
            Path(scratch, "site").rename(fetched)
    shutil.copytree(fetched, root / _SITE, dirs_exist_ok=True)


def _fetch(wanted: Iterable[str], version: str, target: Path) -> None:
    pip = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "install"]
    chosen = ["--target", target, "--only-binary=:all:", "--root-user-action=ignore"]
    platforms = [f"--platform=manylinux{name}_x86_64" for name in ("2014", "_2_28", "_2_34")]
    # pip reads markers for the Python that it runs on: without them all is wanted.
    unmarked = [requirement.partition(";")[0] for requirement in wanted]
    command = [*pip, *chosen, f"--python-version={version}", *platforms, *unmarked]
    subprocess.run(command, check=True)


def _add_chrun(root: Path, version: str) -> None:
    target = root / _SITE / "chrun"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(chrun.__file__).parent, target, ignore=ignored)
    metadata = root / _SITE / f"chrun-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: chrun\nVersion: {version}\n")
    command = root / "usr/bin/chrun"
    command.write_text(_COMMAND)
    command.chmod(0o755)


def _add_checkout(root: Path) -> None:
    target = root / "chrun"
    ignored = shutil.ignore_patterns(*_LEFT_OUT)
    shutil.copytree(CHECKOUT, target, ignore=ignored, symlinks=True)
    shutil.rmtree(target / "src", ignore_errors=True)  # the installed one is tested
    if TEST_IMAGES.is_dir():
        shutil.copytree(TEST_IMAGES, root / "images")


def _add_users(root: Path) -> None:
    lines = [f"{name}:x:{uid}:{uid}::{home}:/bin/sh\n" for name, (uid, home) in _USERS.items()]
    groups = _GROUPS | {name: uid for name, (uid, _) in _USERS.items()}
    etc = root / "etc"
    (etc / "passwd").write_text("".join(lines))
    (etc / "group").write_text("".join(f"{name}:x:{gid}:\n" for name, gid in groups.items()))
    (etc / "shadow").write_text("".join(f"{name}:*:19000:0:99999:7:::\n" for name in _USERS))
    (etc / "shadow").chmod(0o640)
    for name in ("subuid", "subgid"):
        (etc / name).write_text(_SUBORDINATE)
    lingering = root / "var/lib/systemd/linger/many"  # their services run without a login
    lingering.parent.mkdir(parents=True)
    lingering.touch()
    for uid, home in _USERS.values():
        if home != "/nonexistent":
            (root / home.lstrip("/")).mkdir(exist_ok=True)
            os.chown(root / home.lstrip("/"), uid, uid)
