"""Random trees, packed by GNU tar and unpacked by it and by chrun: the same, byte for byte."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.layers import unpack
from tests.support.trees import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

IS_ROOT = os.geteuid() == 0

# Anything but NUL and slash; no `.wh.`, which tar does not know
_names = (
    st.binary(min_size=1, max_size=8)
    .map(lambda raw: raw.replace(b"\0", b"0").replace(b"/", b"_"))
    .flatmap(lambda raw: st.sampled_from([raw, raw * 25, b"-" + raw]))
    .map(lambda raw: raw[:255])
    .filter(lambda raw: raw not in (b".", b"..") and not raw.startswith(b".wh."))
)
# An ordinary user's tar sets attributes last, for which it needs the right to write
_modes = st.integers(0, 0o7777).map(lambda mode: mode | (0 if IS_ROOT else 0o700))
_times = st.one_of(
    st.integers(0, 2**33 * 10**9), st.integers(-(10**9) * 10**9, 0), st.just(1_500_000_000 * 10**9)
)
_owners = st.integers(0, 2**31) if IS_ROOT else st.just(-1)
_attributes = st.dictionaries(
    st.sampled_from([b"user.a", b"user.b c", b"user.\xc3\xa9"]), st.binary(max_size=40), max_size=2
)
_contents = st.one_of(
    st.binary(max_size=50),
    st.sampled_from([b"x" * 511, b"x" * 512, b"x" * 513, b"y" * 300_000]),
    st.builds(lambda at: at, st.integers(1, 40)).map(lambda at: b"S%d" % at),
)
_kinds = st.sampled_from(["file", "file", "directory", "symlink", "hard link", "fifo", "sparse"])
_things = st.tuples(
    _kinds, _names, st.integers(0, 100), _modes, _owners, _owners, _times, _contents, _attributes
)


@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu"],
        ["--format=pax", "--xattrs", "--xattrs-include=*"],
        ["--format=gnu", "--sparse"],
        ["--format=pax", "--sparse", "--sparse-version=0.0"],
        ["--format=pax", "--sparse", "--sparse-version=0.1"],
        ["--format=pax", "--sparse", "--sparse-version=1.0", "--xattrs", "--xattrs-include=*"],
    ],
    ids=" ".join,
)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(things=st.lists(_things, max_size=25))
def test_random_trees_come_out_as_tar_makes_them(options: list[str], things: list[tuple]) -> None:
    for scratch in _scratch():
        source, theirs, ours = (scratch / name for name in ("source", "theirs", "ours"))
        source.mkdir()
        theirs.mkdir()
        _make_tree(os.fsencode(source), things)
        packed = subprocess.run(
            ["tar", "--numeric-owner", *options, "-C", source, "-cf", "-", "."],
            capture_output=True, check=True,
        ).stdout  # fmt: skip
        subprocess.run(
            ["tar", "-xpf", "-", "--numeric-owner", "--delay-directory-restore", "--xattrs",
             "--xattrs-include=*", "-C", theirs],
            input=packed, capture_output=True, check=True,
        )  # fmt: skip
        unpack(packed, ours)
        expected, found = snapshot(theirs), snapshot(ours)
        if not IS_ROOT:  # our own top directory stays writable
            expected["."] = expected["."].replace(mode=expected["."].mode | 0o700)
        assert found == expected


def _scratch() -> Iterator[Path]:
    """Give a directory once, and remove it with whatever modes are in it."""
    made = Path(mkdtemp(prefix="chrun-test-"))
    try:
        yield made
    finally:
        subprocess.run(["chmod", "-R", "u+rwx", made], capture_output=True)
        shutil.rmtree(made)


def _make_tree(top: bytes, things: list[tuple]) -> None:
    directories, files, made = [top], [], []
    for kind, name, place, mode, uid, gid, mtime_ns, content, attributes in things:
        path = directories[place % len(directories)] + b"/" + name
        if os.path.lexists(path) or len(path) > 2000:
            continue
        if kind == "hard link" and files:
            os.link(files[place % len(files)], path)
            continue
        _make(path, kind, content)
        {"directory": directories, "file": files}.get(kind, []).append(path)
        made.append((path, kind, mode, uid, gid, mtime_ns, attributes))
    for described in reversed(made):  # what is in a directory before the directory
        _describe(*described)


def _make(path: bytes, kind: str, content: bytes) -> None:
    if kind == "directory":
        os.mkdir(path)
    elif kind == "symlink":
        os.symlink(content.replace(b"\0", b"0")[:1000] or b"x", path)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        _write(path, content, sparse=kind == "sparse")


def _describe(
    path: bytes,
    kind: str,
    mode: int,
    uid: int,
    gid: int,
    mtime_ns: int,
    attributes: dict[bytes, bytes],
) -> None:
    os.chown(path, uid, gid, follow_symlinks=False)
    if kind not in ("symlink", "fifo"):
        for name, value in attributes.items():
            os.setxattr(path, name, value)
    if kind != "symlink":
        os.chmod(path, mode)
    os.utime(path, ns=(mtime_ns, mtime_ns), follow_symlinks=False)


def _write(path: bytes, content: bytes, *, sparse: bool) -> None:
    with open(path, "wb") as file:
        file.write(content)
        if sparse:
            for hole in range(len(content) % 30):
                file.seek(65_536 * (hole + 1))
                file.write(content[:3])
            file.truncate(65_536 * 40)
