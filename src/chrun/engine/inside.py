"""Work on files that belong to subordinate ids, done in a user namespace that maps them.

There the caller is root over them. The work is Python's, in a process of its own
(`engine/worker.py`) that chrun-init starts: one program that enters user namespaces is enough. It
dies with this one, whatever ends it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from chrun.errors import ChrunError, SandboxError, UnsupportedError
from chrun.linux.host import read_host
from chrun.oci.digest import Digest
from chrun.runtime.descriptors import closing, pipe
from chrun.runtime.launch import REPORT_BYTES, failure, init_refused, open_init, open_plan
from chrun.runtime.notes import clone_notes
from chrun.runtime.plan import Clone, Exec, Plan
from chrun.runtime.users import OuterIdMap, map_lines
from chrun.store.answers import Fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Self

    from chrun.oci.convert import IdMaps
    from chrun.store.layout import Layout


# Nothing of the caller's environment decides what runs as root of the namespace but the places
# where this program, too, looked for modules.
_START = """import signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
sys.path[:] = sys.argv.pop(1).split("\\n")
from chrun.engine.worker import main
main()
"""
BUG = "bug"  # instead of the kind of an error
_MOST_BYTES = 1 << 20  # of a result: names and paths, the longest in an error


class Inside:
    """A user namespace of the caller's subordinate ids, for one store."""

    def __init__(self, layout: Layout, maps: IdMaps, programs: tuple[str, str]) -> None:
        self._layout = layout
        self._maps = maps
        self._programs = programs

    def unpack(self, what: str, chunks: Iterable[bytes], directory: str, media_type: str) -> Digest:
        """Unpack a layer, or with media type "" an archive: `layers.unpack`, with all owners.

        Raises what that does, and what reading `chunks` does.
        """
        return Digest.parse(self._carry_out(("unpack", what, directory, media_type), chunks))

    def copy_layers(self, layers: Sequence[str], root: str) -> None:
        """Copy layers over one another, as `rootfs.copy` does, with all owners; its errors."""
        self._carry_out(("copy", root, *layers))

    def copy_subtree(self, layers: Sequence[str], path: str, target: str) -> bool:
        """Copy a directory out of layers, as `rootfs.subtree` does, with all owners; its errors."""
        return bool(self._carry_out(("copy-subtree", path, target, *layers)))

    def empty_trash(self) -> int:
        """Remove what was discarded, as `store.removal` does; its errors."""
        freed = self._carry_out(("empty-trash", self._layout.root))
        try:
            return int(freed)
        except ValueError as error:
            raise _killed() from error

    def _carry_out(self, task: tuple[str, ...], chunks: Iterable[bytes] = ()) -> str:
        with _Worker(self._plan(task)) as worker:
            worker.feed(chunks)
            return worker.result()

    def _plan(self, task: tuple[str, ...]) -> Plan:
        if not sys.executable:
            raise UnsupportedError(f"cannot {task[0]}: this Python does not know its own program")
        maps = self._maps
        step = OuterIdMap(map_lines(maps.uids), map_lines(maps.gids), *self._programs)
        command = (sys.executable, "-I", "-S", "-c", _START, "\n".join(sys.path), *task)
        return Plan(
            Clone(("user",), clone_notes(read_host())),
            (step,),
            Exec(command, ("LC_ALL=C.UTF-8",), init=False),
        )


class _Worker:
    """The process: killed, if it did not end, when the block is left."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        with ExitStack() as passed, ExitStack() as own:
            init_fd = closing(passed, open_init())
            plan_fd = closing(passed, open_plan(plan.encode()))
            self._report_fd, report_end = pipe(own, passed)
            lifeline_end, self._lifeline_fd = pipe(passed, own)
            input_end, self._input_fd = pipe(passed, own)
            self._output_fd, output_end = pipe(own, passed)
            words = (f"plan={plan_fd}", f"report={report_end}", f"lifeline={lifeline_end}")
            try:
                self._process = subprocess.Popen(
                    ["chrun-init", *words],
                    executable=f"/proc/self/fd/{init_fd}",
                    env={},
                    pass_fds=(init_fd, plan_fd, report_end, lifeline_end),
                    stdin=input_end,
                    stdout=output_end,
                )
            except OSError as error:
                raise init_refused(error) from error
            own.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for fd in (self._lifeline_fd, self._report_fd, self._output_fd):
            os.close(fd)
        if self._input_fd >= 0:
            os.close(self._input_fd)
        self._process.wait()

    def feed(self, chunks: Iterable[bytes]) -> None:
        """Write all chunks to its standard input, unless it ends before: `result` says why."""
        try:
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[os.write(self._input_fd, view) :]
        except BrokenPipeError:
            return
        finally:
            os.close(self._input_fd)
            self._input_fd = -1

    def result(self) -> str:
        """Give what the task gave, or raise what it raised; SandboxError when there was none."""
        said = self._read()
        if refused := failure(self._plan, os.read(self._report_fd, REPORT_BYTES)):
            raise refused
        fields = Fields(said)
        try:
            name, result = fields.text(), fields.text()
            hint = fields.text() if name else ""
            fields.end()
        except ValueError as error:
            raise _killed() from error
        if name:
            raise error_from(name, result, hint)
        return result

    def _read(self) -> bytes:
        """Read what the process writes, which hostile files may have made another one."""
        said = b""
        while len(said) <= _MOST_BYTES and (chunk := os.read(self._output_fd, _MOST_BYTES)):
            said += chunk
        return said if len(said) <= _MOST_BYTES else b""


def _killed() -> SandboxError:
    return SandboxError("cannot work in a user namespace: the process was killed")


def error_from(name: str, message: str, hint: str) -> Exception:
    """Make the error that the other process had anew; of a bug there, RuntimeError tells."""
    if name == MemoryError.__name__:
        return MemoryError()
    if name == BUG:
        bug = RuntimeError(f"{message} in a user namespace")
        bug.add_note(hint)
        return bug
    kinds = {kind.__name__: kind for kind in _all_errors(ChrunError)}
    return kinds.get(name, ChrunError)(message, hint=hint)


def _all_errors(kind: type[ChrunError]) -> Iterator[type[ChrunError]]:
    yield kind
    for special in kind.__subclasses__():
        yield from _all_errors(special)
