"""Makes and pushes one image: python -m benchmarks.images NAME REGISTRY-URL DIRECTORY [FILES].

Run as a program of its own, because the kernel counts the memory of whoever starts a process as
that process's first peak.
"""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from chrun.oci.platform import machine_platform, normalized
from tests.support.images import image, layer

if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> None:
    """Push the tree below a directory, up to so many files, as an image of one layer."""
    name, registry, directory, *rest = sys.argv[1:]
    most = int(rest[0]) if rest else sys.maxsize
    only = layer(_packed(Path(directory), most))
    platform = str(normalized(machine_platform()))
    image([only], cmd=["/bin/true"], platform=platform).push(registry, name, "latest")


def _packed(root: Path, most: int) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for number, path in enumerate(_entries(root)):
            if number >= most:
                break
            archive.add(path, arcname=str(path.relative_to(root)), recursive=False)
    return written.getvalue()


def _entries(root: Path) -> Iterator[Path]:
    """Give everything that can lie in a layer, parents first."""
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or path.is_dir() or path.is_file():
            yield path


if __name__ == "__main__":
    main()
