"""What a user asks for in limits, read into LimitOptions: docker's words, and docker's checks."""

from __future__ import annotations

import os
import stat

from chrun.engine.request import parse_size
from chrun.errors import UsageError
from chrun.linux.cgroups import parse_processors
from chrun.oci.options import LimitOptions
from chrun.oci.spec import Resources, Rlimit, Throttle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_MIN_MEMORY_BYTES = 6 << 20  # below, not even a start succeeds
_PERIOD_MICROSECONDS = 100_000
_QUOTA_MICROSECONDS = 1_000, 1 << 44  # of one period; the kernel's own bounds, as the next
_PERIODS_MICROSECONDS = 1_000, 1_000_000
_SHARES = 2, 1 << 18
_WEIGHTS = 10, 1000
_MAX_TASKS = 1 << 22  # no kernel has more process ids: PID_MAX_LIMIT
_MAX_RLIMIT = (1 << 63) - 1
_MAX_DIGITS = 20
_DURATIONS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_RLIMITS = (
    "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc",
    "rss", "rtprio", "rttime", "sigpending", "stack",
)  # fmt: skip
_THROTTLES = {
    "device-read-bps": "rbps",
    "device-write-bps": "wbps",
    "device-read-iops": "riops",
    "device-write-iops": "wiops",
}


def parse_limits(given: Mapping[str, Sequence[str]]) -> LimitOptions:
    """Read what was given by the names of the flags; of one that is not repeated the last counts.

    UsageError for what cannot be read, means nothing, or contradicts something else. Pure but for
    the numbers of the devices that are named, and of this machine's processors.
    """
    words = {name: texts[-1] for name, texts in given.items() if texts}
    resources = _resources(words, tuple(_throttles(given)))
    asked = (("memory", "memory", resources.memory), ("pids-limit", "pids", resources.pids))
    return LimitOptions(
        resources=resources,
        rlimits=_rlimits(given.get("ulimit", ())),
        shm_bytes=_size(words, "shm-size"),
        timeout_ms=parse_duration(words["timeout"]) if "timeout" in words else 0,
        unlimited=tuple(name for flag, name, amount in asked if flag in words and not amount),
    )


def parse_duration(text: str, what: str = "--timeout") -> int:
    """Read 10s, 5m, 1h, 1m30s, 250ms or seconds alone, and give milliseconds; UsageError."""
    total, rest = 0.0, text
    while rest:
        number = _leading(rest, "0123456789.")
        unit = _leading(rest[len(number) :], "mshd") or ("s" if number == text else "")
        if not _is_decimal(number) or unit not in _DURATIONS_MS:
            break
        total += float(number) * _DURATIONS_MS[unit]
        rest = rest[len(number) + len(unit) :]
    if rest or not 1 <= total < _MAX_RLIMIT / 1_000_000:
        raise UsageError(
            f"cannot read {what} {text[:80]!r}: expected a time such as 10s, 5m, 1h or 1m30s"
        )
    return int(total)


def _resources(words: Mapping[str, str], throttles: tuple[Throttle, ...]) -> Resources:
    memory = _memory(words)
    quota, period = _processor_time(words)
    return Resources(
        memory=memory,
        swap=_swap(words, memory),
        cpu_quota=quota,
        cpu_period=period,
        cpu_shares=_number(words, "cpu-shares", *_SHARES, nothing=(0,)),
        cpus=_processors(words),
        pids=_number(words, "pids-limit", 1, _MAX_TASKS, nothing=(0, -1)),
        blkio_weight=_number(words, "blkio-weight", *_WEIGHTS, nothing=(0,)),
        throttles=throttles,
    )


def _memory(words: Mapping[str, str]) -> int:
    memory = _size(words, "memory")
    if memory and memory < _MIN_MEMORY_BYTES:
        raise UsageError(f"cannot limit --memory to {words['memory']}: no less than 6m is possible")
    return memory


def _swap(words: Mapping[str, str], memory: int) -> int:
    """Read the limit of memory and swap together; -1 is none."""
    text = words.get("memory-swap", "0")
    if text == "0":
        return 0
    if not memory:
        raise UsageError(
            "cannot use --memory-swap without --memory: it is memory and swap together"
        )
    if text == "-1":
        return -1
    swap = _size(words, "memory-swap")
    if swap < memory:
        raise UsageError(
            f"cannot limit --memory-swap to {text}: it is memory and swap together, "
            f"and --memory is {words['memory']}"
        )
    return swap


def _processor_time(words: Mapping[str, str]) -> tuple[int, int]:
    """Give quota and period in microseconds; 0 for each that is not asked for."""
    period = _number(words, "cpu-period", *_PERIODS_MICROSECONDS, nothing=(0,))
    quota = _number(words, "cpu-quota", *_QUOTA_MICROSECONDS, nothing=(0, -1))
    if "cpus" not in words:
        if period and "cpu-quota" not in words:
            raise UsageError("cannot use --cpu-period without --cpu-quota: it is what that is of")
        return quota, period if quota else 0
    if quota or period:
        raise UsageError(
            "cannot use --cpus with --cpu-quota or --cpu-period: they say the same thing"
        )
    text, present = words["cpus"], os.cpu_count() or 1
    if not _is_decimal(text):
        raise UsageError(f"cannot read --cpus {text[:80]!r}: expected a number such as 1.5")
    quota = round(float(text) * _PERIOD_MICROSECONDS)
    if quota and not _QUOTA_MICROSECONDS[0] <= quota <= present * _PERIOD_MICROSECONDS:
        raise UsageError(
            f"cannot use --cpus {text}: expected 0.01 to {present}, as many as there are here"
        )
    return quota, _PERIOD_MICROSECONDS if quota else 0


def _processors(words: Mapping[str, str]) -> str:
    """Read a list of processors, and write it as the kernel does."""
    if "cpuset-cpus" not in words:
        return ""
    text = words["cpuset-cpus"]
    try:
        numbers = sorted(parse_processors(text))
    except ValueError as error:
        raise UsageError(
            f"cannot read --cpuset-cpus {text[:80]!r}: expected a list such as 0-3,6"
        ) from error
    ranges: list[str] = []
    while numbers:
        length = sum(number - numbers[0] == place for place, number in enumerate(numbers))
        last = numbers[length - 1]
        ranges.append(f"{numbers[0]}-{last}" if length > 1 else str(last))
        numbers = numbers[length:]
    return ",".join(ranges)


def _throttles(given: Mapping[str, Sequence[str]]) -> Iterator[Throttle]:
    for name, what in _THROTTLES.items():
        for text in given.get(name, ()):
            path, _, rate = text.rpartition(":")
            if not path.startswith("/dev/"):
                raise UsageError(f"cannot read --{name} {text!r}: expected /dev/DISK:RATE")
            major, minor = _disk(name, path)
            number = parse_size(rate) if what.endswith("bps") else _integer(name, rate)
            if number < 1:
                raise UsageError(f"cannot use --{name} {text!r}: nothing could be done at all")
            if number > _MAX_RLIMIT:
                raise UsageError(f"cannot use --{name} {text!r}: the kernel cannot count that far")
            yield Throttle(what, major, minor, number)


def _disk(name: str, path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot use --{name} {path}: {reason}") from error
    if not stat.S_ISBLK(status.st_mode):
        raise UsageError(f"cannot use --{name} {path}: it is no disk")
    return os.major(status.st_rdev), os.minor(status.st_rdev)


def _rlimits(texts: Sequence[str]) -> tuple[Rlimit, ...]:
    """Read NAME=SOFT[:HARD]; of one name the last counts, as with docker."""
    limits: dict[str, Rlimit] = {}
    for text in texts:
        name, equals, numbers = text.partition("=")
        if name not in _RLIMITS or not equals:
            raise UsageError(
                f"cannot read --ulimit {text[:80]!r}: expected NAME=SOFT[:HARD]",
                hint=f"names are {', '.join(_RLIMITS)}",
            )
        soft_text, colon, hard_text = numbers.partition(":")
        soft = _rlimit_number(text, soft_text)
        hard = _rlimit_number(text, hard_text) if colon else soft
        if hard != -1 and not 0 <= soft <= hard:
            raise UsageError(f"cannot use --ulimit {text}: soft is more than hard")
        limits[name] = Rlimit(f"RLIMIT_{name.upper()}", soft, hard)
    return tuple(limits.values())


def _rlimit_number(whole: str, text: str) -> int:
    digits = "1" if text == "-1" else text
    readable = digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS
    if not readable or int(digits) > _MAX_RLIMIT:
        raise UsageError(
            f"cannot read --ulimit {whole[:80]!r}: expected numbers, or -1 for no limit"
        )
    return int(text)


def _size(words: Mapping[str, str], name: str) -> int:
    """Read a size of bytes; 0 when it is not asked for."""
    text = words.get(name, "0")
    if text == "0":
        return 0
    try:
        return parse_size(text)
    except UsageError as error:
        raise UsageError(
            f"cannot read --{name} {text[:80]!r}: expected a size such as 64m or 1.5g"
        ) from error


def _number(
    words: Mapping[str, str], name: str, low: int, high: int, *, nothing: tuple[int, ...]
) -> int:
    """Read an integer; 0 when it is not asked for, or by one of `nothing`."""
    if name not in words:
        return 0
    number = _integer(name, words[name])
    if number in nothing:
        return 0
    if not low <= number <= high:
        raise UsageError(f"cannot use --{name} {number}: expected {low} to {high}")
    return number


def _integer(name: str, text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _MAX_DIGITS:
        raise UsageError(f"cannot read --{name} {text[:80]!r}: expected a whole number")
    return int(text)


def _is_decimal(text: str) -> bool:
    digits = text.replace(".", "", 1)
    return digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS


def _leading(text: str, letters: str) -> str:
    return text[: len(text) - len(text.lstrip(letters))]
