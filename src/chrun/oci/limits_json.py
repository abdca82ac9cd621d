"""Resources and resource limits in the words of config.json: runtime-spec config-linux.md."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.oci.spec import Resources, Rlimit

_UNLIMITED = (1 << 64) - 1
_THROTTLES = {
    "rbps": "throttleReadBpsDevice",
    "wbps": "throttleWriteBpsDevice",
    "riops": "throttleReadIOPSDevice",
    "wiops": "throttleWriteIOPSDevice",
}


def rlimits_json(limits: tuple[Rlimit, ...]) -> list[dict[str, str | int]]:
    """Give `process.rlimits`, in which no limit is the largest number there is."""
    return [
        {
            "type": limit.name,
            "soft": _UNLIMITED if limit.soft == -1 else limit.soft,
            "hard": _UNLIMITED if limit.hard == -1 else limit.hard,
        }
        for limit in limits
    ]


def resources_json(resources: Resources) -> dict[str, object]:
    """Give `linux.resources`: only what is asked for."""
    memory = {"limit": resources.memory, "swap": resources.swap}
    cpu = {
        "shares": resources.cpu_shares,
        "quota": resources.cpu_quota,
        "period": resources.cpu_period,
        "cpus": resources.cpus,
    }
    parts: dict[str, dict[str, object]] = {
        "memory": {name: number for name, number in memory.items() if number},
        "cpu": {name: content for name, content in cpu.items() if content},
        "pids": {"limit": resources.pids} if resources.pids else {},
        "blockIO": _block_io(resources),
    }
    return {name: part for name, part in parts.items() if part}


def _block_io(resources: Resources) -> dict[str, object]:
    part: dict[str, object] = {}
    if resources.blkio_weight:
        part["weight"] = resources.blkio_weight
    for what, name in _THROTTLES.items():
        rates = [
            {"major": throttle.major, "minor": throttle.minor, "rate": throttle.rate}
            for throttle in resources.throttles
            if throttle.what == what
        ]
        if rates:
            part[name] = rates
    return part
