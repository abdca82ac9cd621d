"""Words of the command line and of the Python API: options, sizes, mounts, limits, facts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chrun.api_options import check_kinds, to_limit, to_path, to_variables, to_words
from chrun.cli.run import COMMAND
from chrun.cli.run_options import RUN_OPTIONS, parse_run
from chrun.engine.limits import parse_duration, parse_limits
from chrun.engine.mount_option import parse_mount
from chrun.engine.mounts import parse_tmpfs, parse_volume
from chrun.engine.request import parse_hostname, parse_size
from chrun.engine.require import parse_facts
from chrun.engine.waiting import read_patience
from chrun.linux.cgroups import parse_processors
from chrun.oci.config import ImageConfig
from chrun.oci.convert import Identity, IdMaps, make_spec
from chrun.oci.options import RunOptions
from tests.fuzz.harness import Quiet, fuzz
from tests.fuzz.inputs import Draw

if TYPE_CHECKING:
    from collections.abc import Callable

_PARTS = (
    "=", ":", ",", "/", "-", "--", ".", "..", "1", "0", "-1", "64", "k", "m", "g", "p", "ib", "s",
    "ms", "h",
    "d", "ro", "rw", "rro", "size=", "mode=", "uid=", "type=", "bind", "tmpfs", "volume", "image",
    "source=",
    "target=", "/tmp", "/x", "/dev/null", "/dev/zero", "/proc", "nofile", "nproc=", "CAP_CHOWN",
    "ALL", "all",
    "seccomp=", "unconfined", "no-new-privileges", "container:", "host", "none", "private",
    "memory<=",
    "pids<=", "cpus<=", "uid=", "rung=", "caps=", "nocap=", "seccomp", "sealed",
    "net.core.somaxconn",
    "kernel.shmmax", "192.0.2.1", "::1", "host-gateway", "tmpfs-size=", "tmpfs-mode=", "readonly",
    "bind-propagation=", "volume-subpath=", '"', "image-subpath=", "idmap", "rwm", "r", "linux/",
    "0-3", "6",
)  # fmt: skip
_SPELLINGS = [spelling for option in RUN_OPTIONS for spelling in option.spellings]


def _part(draw: Draw) -> str:
    return draw.one(_PARTS)


def _word(draw: Draw) -> str:
    """Put parts together."""
    return "".join(draw.list(lambda draw: draw.of(_part, _part, _part, Draw.word, Draw.number), 7))


def _line(draw: Draw) -> list[str]:
    """Make the words behind `chrun run`; those of a real command line are a kernel's."""
    words: list[str] = []
    for _ in range(draw.integer(1, 5)):
        option = draw.one(_SPELLINGS)
        value = _word(draw)
        words += [f"{option}={value}"] if draw.chance(2) else [option, value]
    return [_argument(word) for word in (*words, "busybox", *draw.list(_word, 2))]


def _argument(word: str) -> str:
    """Return a word as Python gives one of execve(2)'s: any bytes but NUL."""
    return os.fsdecode(word.encode(errors="surrogatepass").replace(b"\0", b""))


def _run(words: list[str]) -> None:
    with Quiet():
        request, _parsed = parse_run(COMMAND, words)
        if request is not None:
            config = ImageConfig((), command=("true",))
            spec = make_spec("it", config, request.options, "confined", Identity(), IdMaps())
            for word in (*spec.process.args, *spec.process.env, spec.process.cwd):
                assert b"\0" not in os.fsencode(word)


def _each(word: str) -> None:
    parsers: tuple[Callable[[str], object], ...] = (
        parse_size, parse_duration, parse_mount, parse_tmpfs, parse_volume, parse_hostname,
        lambda word: parse_facts((word,)),
        lambda word: read_patience({"CHRUN_LOWEST_SPEED": word}),
        lambda word: read_patience({"CHRUN_REGISTRY_TIMEOUT": word}),
    )  # fmt: skip
    for parse in parsers:
        with Quiet():
            parse(_argument(word))
    with Quiet(ValueError):
        assert max(parse_processors(word)) < 1 << 16
    with Quiet():
        _as_api(word)


def _as_api(word: str) -> None:
    """Use a word as the Python API does, where it may have anything in it."""
    check_kinds({"network": word, "image": word})
    (mount,) = to_words("mounts", [word])
    with Quiet():
        parse_mount(mount)
    options = RunOptions(
        args=to_words("args", [word]),
        env=to_variables({"A": word}),
        working_dir=to_path("working_dir", word),
    )
    spec = make_spec("it", ImageConfig(()), options, "sealed", Identity(), IdMaps())
    for each in (*spec.process.args, *spec.process.env, spec.process.cwd):
        os.fsencode(each)


def _limits(draw: Draw) -> dict[str, tuple[str, ...]]:
    """Make limits by the names of their flags, most of them numbers."""
    names = ("memory", "memory-swap", "cpus", "cpu-period", "cpu-quota", "cpu-shares",
    "cpuset-cpus",
             "pids-limit", "blkio-weight", "shm-size", "timeout", "ulimit", "device-read-bps",
             "device-write-iops")  # fmt: skip
    given: dict[str, tuple[str, ...]] = {}
    for name in draw.list(lambda draw: draw.one(names), 3):
        number = draw.of(Draw.number, Draw.number, _word)
        prefix = {"ulimit": "nofile=", "device-read-bps": "/dev/null:"}.get(name, "")
        given[name] = (f"{prefix}{number}",)
    return given


def _limit(given: dict[str, tuple[str, ...]]) -> None:
    with Quiet():
        limits = parse_limits({name: to_limit("ulimit", words) for name, words in given.items()})
        for limit in (limits.shm_bytes, limits.timeout_ms, limits.resources.memory):
            assert -1 <= limit < 1 << 63


def run(seconds: float, seed: int | None = None) -> None:
    """Fuzz whole command lines, then words and limits alone."""
    fuzz(_run, _line, seconds / 2, seed)
    fuzz(_each, _word, seconds / 4, seed)
    fuzz(_limit, _limits, seconds / 4, seed)
