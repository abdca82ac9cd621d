"""A store with the official busybox in it, pulled from a registry on loopback."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from chrun.linux.seccomp.numbers import call_numbers
from tests.support import images
from tests.support.calls import PROGRAM_PATH, make_calls_rootfs, parse_results
from tests.support.cgroups import left_behind
from tests.support.chrun import Chrun
from tests.support.probe import make_probe_rootfs
from tests.support.registry import FakeRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


@pytest.fixture(scope="session")
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as serving:
        serving.add(images.busybox(), "busybox", "latest")
        yield serving


@pytest.fixture(scope="session")
def _pulled(tmp_path_factory: pytest.TempPathFactory, registry: FakeRegistry) -> Chrun:
    chrun = Chrun(tmp_path_factory.mktemp("store") / "data")
    chrun("pull", f"{registry.host}/busybox")
    return chrun


@pytest.fixture
def chrun(_pulled: Chrun) -> Iterator[Chrun]:
    """The command with busybox in its store; every test must leave the store as it found it."""
    before = _pulled.leftovers()
    yield _pulled
    left = [path for path in _pulled.leftovers() if path not in before]
    try:
        assert left == []
    finally:
        if left:
            _pulled.clear_up()  # or the tests that follow would find it, too


@pytest.fixture
def box(registry: FakeRegistry) -> str:
    """The name of the busybox image."""
    return f"{registry.host}/busybox"


@pytest.fixture(scope="session")
def probe_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system with busybox and /probe in it, to look around with (support/probe.py)."""
    return make_probe_rootfs(tmp_path_factory.mktemp("probe") / "rootfs")


@pytest.fixture(scope="session")
def calls_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system with busybox and a program that makes system calls (support/calls.py)."""
    return make_calls_rootfs(tmp_path_factory.mktemp("calls") / "rootfs")


@pytest.fixture
def attempt(chrun: Chrun, calls_dir: Path) -> Callable[..., int]:
    """A function that makes a system call in a container and gives its errno."""

    def call(name: str | int, *arguments: int, flags: Sequence[str] = ()) -> int:
        number = call_numbers(os.uname().machine)[name] if isinstance(name, str) else name
        words = [str(number), *map(str, arguments)]
        shown = chrun("run", *flags, calls_dir, PROGRAM_PATH, *words).stdout
        return parse_results(shown)[number]

    return call


@pytest.fixture
def no_cgroup_left() -> Iterator[None]:
    """See that a test leaves no cgroup of chrun's that was not there before."""
    before = left_behind(seconds=0)
    yield
    assert left_behind(before) == []
