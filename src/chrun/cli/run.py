"""chrun run: a command in a container of its own, in the foreground."""

from __future__ import annotations

import os
import sys

from chrun.cli.options import Command, Option, parse_options
from chrun.engine.request import (
    ISOLATIONS,
    PULL_POLICIES,
    RunRequest,
    parse_hostname,
    parse_size,
    parse_tmpfs,
    parse_volume,
)
from chrun.errors import UsageError
from chrun.oci.convert import RunOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn, TypeVar

    from chrun.cli.options import Parsed
    from chrun.engine.containers import Prepared
    from chrun.engine.engine import Engine
    from chrun.engine.request import RootfsChoice

    Choice = TypeVar("Choice", bound=str)

_ROOTFS_KINDS: tuple[RootfsChoice, ...] = ("auto", "overlay", "copy")
_DEFAULT_SCRATCH_BYTES = 256 << 20  # memory that a container may fill before it sees a full disk

RUN_OPTIONS = (
    Option(("-e", "--env"), "set a variable; without =VALUE the caller's", "NAME[=VALUE]", True),
    Option(("--entrypoint",), "run this instead of the image's entrypoint", "COMMAND"),
    Option(("--hostname",), "the host name inside (default: the container's id)", "NAME"),
    Option(("-i", "--interactive"), "pass standard input on"),
    Option(("--init",), "put a PID 1 before the command that reaps orphans"),
    Option(("--isolation",), "how much is shut out (default: auto)", "RUNG", False, ISOLATIONS),
    Option(("--keep",), "keep the container's files when it ends"),
    Option(("--name",), "give the container a name", "NAME"),
    Option(("--platform",), "the image for another platform", "OS/ARCH[/VARIANT]"),
    Option(("--pull",), "when to ask the registry", "WHEN", False, PULL_POLICIES),
    Option(("-q", "--quiet"), "no word of chrun's own but errors"),
    Option(("--read-only",), "a root file system that cannot be written to"),
    Option(("--rm",), "remove the container when it ends (the default)"),
    Option(("--rootfs",), "how layers become a tree (default: auto)", "KIND", False, _ROOTFS_KINDS),
    Option(("--scratch",), "where changes go: disk, or memory up to SIZE", "disk|tmpfs[:SIZE]"),
    Option(("--tmpfs",), "an empty file system in memory", "TARGET[:OPTION,...]", True),
    Option(("-t", "--tty"), "open a terminal inside"),
    Option(("-u", "--user"), "who runs the command, by name or number", "USER[:GROUP]"),
    Option(("-v", "--volume"), "show a host path inside", "SOURCE:TARGET[:ro]", True),
    Option(("-w", "--workdir"), "where the command starts", "DIRECTORY"),
)

COMMAND = Command(
    "run [OPTION...] IMAGE [COMMAND [ARGUMENT...]]",
    "Run a command in a container of its own. IMAGE is a reference such as redis:7, an image ID,\n"
    "or a path: a root directory (./rootfs) or an archive of one (./redis.tar.gz).",
    RUN_OPTIONS,
    interspersed=False,
)


def parse_run(command: Command, words: Sequence[str]) -> tuple[RunRequest | None, Parsed]:
    """Read the command line of `run` and of `explain`; None instead of a request for --help."""
    parsed = parse_options(command, words)
    if parsed.flag("help"):
        return None, parsed
    if not parsed.operands:
        name = command.usage.split(" ", 1)[0]
        raise UsageError(f"cannot {name}: no image was named", hint=f'see "chrun {name} --help"')
    image, *args = parsed.operands
    entrypoint = parsed.find_text("entrypoint")
    tmpfs, volumes = parsed.texts("tmpfs"), parsed.texts("volume")
    options = RunOptions(
        args=tuple(args),
        entrypoint=None if entrypoint is None else (entrypoint,) if entrypoint else (),
        env=_environment(parsed.texts("env")),
        working_dir=_working_dir(parsed.text("workdir")),
        hostname=parse_hostname(parsed.text("hostname")),
        mounts=(*map(parse_tmpfs, tmpfs), *map(parse_volume, volumes)),
        terminal=parsed.flag("tty"),
        readonly=parsed.flag("read-only"),
        init=parsed.flag("init"),
    )
    request = RunRequest(
        image=image,
        options=options,
        user=parsed.text("user"),
        name=parsed.text("name"),
        isolation=_chosen(ISOLATIONS, parsed.text("isolation")),
        rootfs=_chosen(_ROOTFS_KINDS, parsed.text("rootfs")),
        scratch_bytes=_scratch_bytes(parsed.text("scratch", "disk")),
        keep=parsed.flag("keep"),
        pull=_chosen(PULL_POLICIES, parsed.text("pull")),
        platform=parsed.text("platform"),
    )
    _check_contradictions(request, parsed)
    return request, parsed


def run(words: Sequence[str], root: str) -> int:
    """Become the container's monitor; comes back only with an error, or after --help."""
    request, parsed = parse_run(COMMAND, words)
    if request is None:
        sys.stdout.write(COMMAND.help_text())
        return 0
    quiet = parsed.flag("quiet")
    _check_terminal(request, interactive=parsed.flag("interactive"))

    from chrun.cli.engine import open_engine
    from chrun.engine.containers import prepare

    engine = open_engine(root, quiet=quiet)
    init_fd = engine.init_fd  # before there is a container that a broken installation would leave
    prepared = prepare(engine, request)
    for notice in () if quiet else prepared.composed.notices:
        sys.stderr.write(f"chrun: {notice}\n")
    if not quiet and sys.stderr.isatty():
        sys.stderr.write(f"chrun: {prepared.summary}\n")
    if not parsed.flag("interactive"):
        _close_input()
    sys.stderr.flush()
    return _become(engine, prepared, init_fd)


def _become(engine: Engine, prepared: Prepared, init_fd: int) -> NoReturn:
    from chrun.runtime.launch import become

    try:
        become(prepared.composed.encoded, prepared.launch, init_fd)
    except BaseException:
        os.close(prepared.launch.hold_fd)
        engine.clear_up()  # the container's directory, which is nobody's now
        raise


def _chosen(choices: tuple[Choice, ...], text: str) -> Choice:
    """Give the choice in its own type, the first by default; the parser refused all others."""
    return next((choice for choice in choices if choice == text), choices[0])


def _environment(entries: Sequence[str]) -> tuple[str, ...]:
    """Fill in the caller's value for a NAME alone; a variable the caller has not is left out."""
    filled: list[str] = []
    for entry in entries:
        name, equals, _ = entry.partition("=")
        if not name:
            raise UsageError(f"cannot set variable {entry!r}: it has no name")
        if equals:
            filled.append(entry)
        elif name in os.environ:
            filled.append(f"{name}={os.environ[name]}")
    return tuple(filled)


def _working_dir(path: str) -> str:
    if path and not path.startswith("/"):
        raise UsageError(f"cannot change to {path!r}: -w must be an absolute path")
    return path


def _scratch_bytes(text: str) -> int:
    kind, _, size = text.partition(":")
    if kind == "tmpfs":
        return parse_size(size) if size else _DEFAULT_SCRATCH_BYTES
    if text != "disk":
        raise UsageError(f"cannot read --scratch {text!r}: expected disk or tmpfs[:SIZE]")
    return 0


def _check_contradictions(request: RunRequest, parsed: Parsed) -> None:
    if request.keep and parsed.flag("rm"):
        raise UsageError("cannot use --keep with --rm: they contradict each other")
    if request.keep and request.scratch_bytes:
        raise UsageError("cannot use --keep with --scratch tmpfs: memory does not stay")
    if request.scratch_bytes and request.rootfs == "copy":
        raise UsageError("cannot use --scratch tmpfs with --rootfs copy: the copy lies on disk")


def _check_terminal(request: RunRequest, *, interactive: bool) -> None:
    if request.options.terminal and interactive and not sys.stdin.isatty():
        raise UsageError(
            "cannot use -t: standard input is not a terminal", hint="use -i without -t in a pipe"
        )


def _close_input() -> None:
    """Without -i the command reads an empty input, as with docker."""
    null_fd = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null_fd, 0)
    os.close(null_fd)
