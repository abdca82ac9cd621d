"""How long this user waits for registries, by two variables of the environment."""

from __future__ import annotations

from chrun.engine.limits import parse_duration
from chrun.engine.request import parse_size
from chrun.errors import UsageError
from chrun.registry.patience import Patience

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT, _SPEED = "CHRUN_REGISTRY_TIMEOUT", "CHRUN_LOWEST_SPEED"


def read_patience(environ: Mapping[str, str]) -> Patience:
    """Read them; an empty one is as good as none. UsageError for what cannot be read."""
    patience = Patience()
    if timeout := environ.get(_TIMEOUT):
        patience = patience.replace(request_seconds=parse_duration(timeout, _TIMEOUT) / 1000)
    if speed := environ.get(_SPEED):
        size, slash, duration = speed.partition("/")
        window_bytes = 0 if size == "0" else _size(speed, size)
        seconds = parse_duration(duration, _SPEED) / 1000 if slash else patience.window_seconds
        patience = patience.replace(window_bytes=window_bytes, window_seconds=seconds)
    return patience


def _size(speed: str, size: str) -> int:
    try:
        return parse_size(size)
    except UsageError as error:
        raise UsageError(
            f"cannot read {_SPEED} {speed[:80]!r}: expected SIZE/DURATION such as 30k/30s, or 0"
        ) from error
