"""Timing of commands, interleaved: A B C, C A B, ..., so that a busy moment is everybody's.

Commands are started by a `Runner`, a small process of its own: it may be another user, and
starting a program from it costs the same for every command.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import statistics
import struct
import time
from typing import TYPE_CHECKING

from chrun.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_RESULT = struct.Struct("=dqi")
_WARM_UPS = 2
_END = 255  # instead of a case's number


class Case(Value):
    """One command to be measured; `uid` is who runs it, `before` what is done, untimed, each time.

    `opened` maps descriptors that the command gets to the files they are opened from.
    """

    name: str
    command: Sequence[str]
    uid: int = 0
    environment: Mapping[str, str] = {}
    before: Callable[[], object] | None = None
    opened: Mapping[int, str] = {}
    rounds: int = 0  # fewer than the others', for slow ones; 0: as many
    settle_seconds: float = 0  # how long what it leaves running disturbs the next one


class Sample(Value):
    """One run: from start to the end of the process, and its peak resident memory."""

    seconds: float
    peak_bytes: int
    status: int


class Samples(Value):
    """All runs of one case."""

    seconds: tuple[float, ...]
    peak_bytes: int

    @property
    def median(self) -> float:
        """The median, in seconds."""
        return statistics.median(self.seconds)

    @property
    def least(self) -> float:
        """The minimum, in seconds."""
        return min(self.seconds)


class CaseFailedError(Exception):
    """A command that was to be measured did not succeed."""


class Runner:
    """A process that starts commands for us, as somebody else where that is asked for."""

    def __init__(self, uid: int, cases: Sequence[Case]) -> None:
        asked, self._ask = os.pipe()
        self._answers, answer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._ask)
            os.close(self._answers)
            try:
                _serve(uid, cases, asked, answer)
            finally:
                os._exit(0)
        os.close(asked)
        os.close(answer)

    def run(self, number: int) -> Sample:
        """Run the case of that number to its end."""
        os.write(self._ask, bytes([number]))
        return Sample(*_RESULT.unpack(os.read(self._answers, _RESULT.size)))

    def close(self) -> None:
        """End the process; told so, because runners that started later have this pipe as well."""
        os.write(self._ask, bytes([_END]))
        os.close(self._ask)
        os.close(self._answers)
        os.waitpid(self.pid, 0)


def interleave(cases: Sequence[Case], rounds: int) -> dict[str, Samples]:
    """Measure cases in turns; the first few runs of each warm caches and are not counted.

    Each round has an order of its own, so that nobody always comes behind the one who disturbs.
    """
    order = random.Random(0)
    runners = {uid: Runner(uid, cases) for uid in {case.uid for case in cases}}
    taken: dict[str, list[Sample]] = {case.name: [] for case in cases}
    try:
        for round_number in range(rounds + _WARM_UPS):
            for number, case in order.sample(list(enumerate(cases)), len(cases)):
                if case.rounds and round_number >= case.rounds + _WARM_UPS:
                    continue
                if case.before:
                    case.before()
                sample = runners[case.uid].run(number)
                time.sleep(case.settle_seconds)
                if sample.status:
                    message = f"{case.name}: status {sample.status} of {' '.join(case.command)}"
                    raise CaseFailedError(message)
                if round_number >= _WARM_UPS:
                    taken[case.name].append(sample)
    finally:
        for runner in runners.values():
            runner.close()
    return {name: _samples(of_one) for name, of_one in taken.items()}


def works(case: Case) -> bool:
    """Say whether a rival's command runs on this machine at all."""
    runner = Runner(case.uid, [case])
    try:
        if case.before:
            case.before()
        return runner.run(0).status == 0
    finally:
        runner.close()


def _samples(taken: Iterable[Sample]) -> Samples:
    taken = tuple(taken)
    return Samples(
        tuple(sample.seconds for sample in taken), max(sample.peak_bytes for sample in taken)
    )


def _serve(uid: int, cases: Sequence[Case], asked: int, answer: int) -> None:
    resource.getrusage(resource.RUSAGE_SELF)  # os.wait4 needs this module, out of another's reach
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    quiet = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
    ]
    if not os.environ.get("BENCHMARKS_STDERR"):
        quiet.append((os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0))
    while (number := os.read(asked, 1)[0]) != _END:
        os.write(answer, _RESULT.pack(*_run(cases[number], quiet)))


def _run(case: Case, quiet: Sequence[tuple[object, ...]]) -> tuple[float, int, int]:
    path = shutil.which(case.command[0]) or case.command[0]
    opened = [
        (os.POSIX_SPAWN_OPEN, number, name, os.O_RDONLY, 0) for number, name in case.opened.items()
    ]
    environment = {**os.environ, **case.environment}
    started = time.perf_counter()
    pid = os.posix_spawn(
        path,
        case.command,
        environment,
        file_actions=[*quiet, *opened],
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - started
    return seconds, usage.ru_maxrss * 1024, os.waitstatus_to_exitcode(status)
