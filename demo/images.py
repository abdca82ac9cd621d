"""The demo's two images, made where Docker Hub is out of reach.

`redis` is the distribution's own redis, its libraries, a busybox and an entrypoint that does what
the official one does; `hello-world` is one static program. Both are made without root.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from os import uname
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from chrun.oci.platform import Platform
from tests.support.images import Image, directory, file, image, layer, symlink

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HERE = Path(__file__).resolve().parent

_REDIS_PACKAGES = ("redis-server", "redis-tools", "gosu")
_BASE_PACKAGES = ("busybox-static", "libc6")
# What a package needs besides its libraries serves a whole system: adduser, init scripts, debconf
_LIBRARY = re.compile(r"(lib|lua|zlib)")
_UNUSED = re.compile(r"usr/share/(doc|man|locale|lintian|bug|perl5)(/|$)|etc/(init.d|default)(/|$)")
_MERGED = re.compile(r"^(?:\./)?(bin|sbin|lib|lib64)(?=/|$)")
_APPLETS = ("cat", "chown", "env", "find", "id", "ls", "mkdir", "ps", "rm", "sh", "sleep", "touch")

_ENTRYPOINT = """\
#!/bin/sh
# As in the official image: the server owns its data and is not root
set -e
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    find . \\! -user redis -exec chown redis '{}' +
    exec gosu redis "$0" "$@"
fi
exec "$@"
"""


def hello_world() -> Image:
    """Make the image of one static program."""
    compiler = shutil.which("musl-gcc") or "gcc"
    with TemporaryDirectory() as scratch:
        program = Path(scratch, "hello")
        subprocess.run(
            [compiler, "-Os", "-s", "-static", "-o", program, HERE / "hello.c"], check=True
        )
        only = layer({"hello": file(program.read_bytes(), mode=0o755)})
    return image([only], cmd=["/hello"], platform=_platform())


def redis(packages_dir: Path) -> Image:
    """Make the redis image; what is fetched for it stays in `packages_dir` for the next time."""
    packages = _download(packages_dir)
    base = [name for name in packages if not name.startswith(_REDIS_PACKAGES)]
    system = {
        **{f"usr/{name}": directory() for name in ("bin", "sbin", "lib", "lib64")},
        **{name: symlink(f"usr/{name}") for name in ("bin", "sbin", "lib", "lib64")},
        **{f"usr/bin/{applet}": symlink("busybox") for applet in _APPLETS},
        "usr": directory(),
        "tmp": directory(0o1777),
        "root": directory(0o700),
        "etc": directory(),
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nredis:x:999:999::/data:/bin/sh\n",
        "etc/group": "root:x:0:\nredis:x:999:\n",
    }
    entry = {
        "data": directory(uid=999, gid=999),
        "usr/local/bin/docker-entrypoint.sh": file(_ENTRYPOINT, mode=0o755),
    }
    return image(
        [
            layer(system),
            layer(_joined(packages[name] for name in base), compression="zstd"),
            layer(_joined(packages[name] for name in packages if name not in base)),
            layer(entry),
        ],
        entrypoint=["docker-entrypoint.sh"],
        cmd=["redis-server"],
        env=["PATH=/usr/local/bin:/usr/sbin:/usr/bin"],
        working_dir="/data",
        platform=_platform(),
    )


def _platform() -> str:
    architectures = {"x86_64": "amd64", "aarch64": "arm64"}
    machine = uname().machine
    return str(Platform("linux", architectures.get(machine, machine)))


def _download(packages_dir: Path) -> dict[str, Path]:
    if not packages_dir.is_dir():
        packages_dir.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=packages_dir.parent) as scratch:
            fetched = Path(scratch, "packages")
            fetched.mkdir()
            wanted = _with_libraries((*_BASE_PACKAGES, *_REDIS_PACKAGES))
            # A sandbox of apt's own cannot be had in our directory, which it warns of
            command = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *wanted]
            subprocess.run(command, cwd=fetched, check=True)
            fetched.rename(packages_dir)
    return {path.name.partition("_")[0]: path for path in sorted(packages_dir.glob("*.deb"))}


def _with_libraries(names: Iterable[str]) -> list[str]:
    found: list[str] = []
    waiting = list(names)
    while waiting:
        found += waiting
        needed = dict.fromkeys(_direct_libraries(waiting))
        waiting = [name for name in needed if name not in found]
    return found


def _direct_libraries(names: Iterable[str]) -> Iterator[str]:
    told = subprocess.run(
        ["apt-cache", "depends", *names], check=True, capture_output=True, text=True
    )
    for line in told.stdout.splitlines():
        kind, _, name = line.partition(": ")
        if kind.strip() in {"Depends", "PreDepends"} and _LIBRARY.match(name):
            yield name


def _joined(packages: Iterable[Path]) -> bytes:
    """Give one tar of the files of packages, below /usr as on every current distribution."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as joined:
        for package in packages:
            command = ["dpkg-deb", "--fsys-tarfile", package]
            files = subprocess.run(command, check=True, capture_output=True).stdout
            with tarfile.open(fileobj=io.BytesIO(files)) as archive:
                for member in archive:
                    member.name = _below_usr(member.name)
                    if member.islnk():
                        member.linkname = _below_usr(member.linkname)
                    if member.name not in {"", "."} and not _UNUSED.match(member.name):
                        joined.addfile(member, archive.extractfile(member) if member.size else None)
    return written.getvalue()


def _below_usr(name: str) -> str:
    return _MERGED.sub(r"usr/\1", name).removeprefix("./")
