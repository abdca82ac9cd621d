"""From resources to what is written to which files of a cgroup, in both versions.

runtime-spec config-linux.md, "Control groups"; cgroup-v1/ and cgroup-v2.rst of the kernel's
Documentation/admin-guide. Pure.
"""

from __future__ import annotations

import math
import os

from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.oci.spec import Resources, Throttle

_PERIOD_MICROSECONDS = 100_000  # the kernel's own, and docker's
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_V1_THROTTLES = {
    "rbps": "blkio.throttle.read_bps_device",
    "wbps": "blkio.throttle.write_bps_device",
    "riops": "blkio.throttle.read_iops_device",
    "wiops": "blkio.throttle.write_iops_device",
}
_THROTTLE_WORDS = {
    "rbps": ("--device-read-bps", "reading from", "bytes"),
    "wbps": ("--device-write-bps", "writing to", "bytes"),
    "riops": ("--device-read-iops", "reading from", "operations"),
    "wiops": ("--device-write-iops", "writing to", "operations"),
}


class Limit(Value):
    """One limit: the flag that asks for it, what it says, and the files that set it.

    `controller` is version 1's name. An entry of `v1` and `v2` is `file=content`; one that begins
    with `?` is left out where the kernel has no such file. `amount` is what the memory of a
    container is limited to, in words, "" for other limits.
    """

    flag: str
    controller: str
    words: str
    v1: tuple[str, ...]
    v2: tuple[str, ...]
    amount: str = ""


def limits_of(resources: Resources, memory_nodes: str) -> Iterator[Limit]:
    """Give the limits that are asked for, one after the other.

    `memory_nodes` is what version 1's cpuset wants to be told beside processors: the nodes whose
    memory may be used, as they are written in the cgroup around.
    """
    if resources.memory:
        yield _memory(resources)
    if resources.cpu_quota > 0:
        yield _processor_time(resources)
    if resources.cpu_shares:
        weight = weight_of_shares(resources.cpu_shares)
        yield Limit(
            "--cpu-shares",
            "cpu",
            f"give it {resources.cpu_shares} shares of the processors",
            (f"cpu.shares={resources.cpu_shares}",),
            (f"cpu.weight={weight}",),
        )
    if resources.cpus:
        yield Limit(
            "--cpuset-cpus",
            "cpuset",
            f"let it run on processors {resources.cpus}",
            (f"cpuset.mems={memory_nodes}", f"cpuset.cpus={resources.cpus}"),
            (f"cpuset.cpus={resources.cpus}",),
        )
    if resources.pids > 0:
        yield Limit(
            "--pids-limit",
            "pids",
            f"limit processes and threads to {resources.pids}",
            (f"pids.max={resources.pids}",),
            (f"pids.max={resources.pids}",),
        )
    if resources.blkio_weight:
        yield _disk_weight(resources.blkio_weight)
    yield from map(_throttle, resources.throttles)


def weight_of_shares(shares: int) -> int:
    """Convert cpu.shares (2 to 262144) to cpu.weight (1 to 10000), as the OCI runtimes do.

    A curve through both ends on which the two defaults, 1024 and 100, meet.
    """
    if shares <= 2:
        return 1
    if shares >= 1 << 18:
        return 10_000
    power = math.log2(shares)
    return math.ceil(10 ** ((power * power + 125 * power) / 612 - 7 / 34))


def size_words(size: int) -> str:
    """Write a number of bytes in the largest unit that keeps it whole."""
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size and size % (1 << shift) == 0:
            return f"{size >> shift} {unit}"
    return f"{size} bytes"


def _memory(resources: Resources) -> Limit:
    """Limit memory, and swap to as much again unless told otherwise, as docker does.

    Version 1 counts memory and swap together, version 2 swap alone. That swap follows memory is
    nothing that anybody asked for: kernels that do not account for it do without.
    """
    memory = resources.memory // _PAGE_BYTES * _PAGE_BYTES  # what the kernel makes of it
    both = (resources.swap or 2 * memory) // _PAGE_BYTES * _PAGE_BYTES
    maybe = "" if resources.swap else "?"
    v1, v2 = [f"memory.limit_in_bytes={memory}"], [f"memory.max={memory}"]
    words = f"limit memory to {size_words(memory)}"
    if resources.swap != -1:  # else there is no limit, which is how a cgroup begins
        v1.append(f"{maybe}memory.memsw.limit_in_bytes={both}")
        v2.append(f"{maybe}memory.swap.max={both - memory}")
    if resources.swap > 0:
        words += f", and swap to {size_words(both - memory)}"
    return Limit("--memory", "memory", words, tuple(v1), tuple(v2), size_words(memory))


def _processor_time(resources: Resources) -> Limit:
    period = resources.cpu_period or _PERIOD_MICROSECONDS
    quota = resources.cpu_quota
    return Limit(
        "--cpus",
        "cpu",
        f"limit processor time to {quota} of {period} microseconds",
        (f"cpu.cfs_period_us={period}", f"cpu.cfs_quota_us={quota}"),
        (f"cpu.max={quota} {period}",),
    )


def _disk_weight(weight: int) -> Limit:
    """Weigh for whichever part of the kernel honours weights: cfq, bfq, or the cost model."""
    cost = 1 + (weight - 10) * 9999 // 990  # 10 to 1000 -> 1 to 10000, as the OCI runtimes do
    return Limit(
        "--blkio-weight",
        "blkio",
        f"give it a weight of {weight} at the disks",
        (f"?blkio.weight={weight}", f"?blkio.bfq.weight={weight}"),
        (f"?io.bfq.weight={weight}", f"?io.weight=default {cost}"),
    )


def _throttle(throttle: Throttle) -> Limit:
    flag, doing, unit = _THROTTLE_WORDS[throttle.what]
    device = f"{throttle.major}:{throttle.minor}"
    return Limit(
        flag,
        "blkio",
        f"limit {doing} device {device} to {throttle.rate} {unit} a second",
        (f"{_V1_THROTTLES[throttle.what]}={device} {throttle.rate}",),
        (f"io.max={device} {throttle.what}={throttle.rate}",),
    )
