"""The rung `sealed`: defaults for code that nobody has read.

What was asked for by name stands, even where it opens the seal: the user has read that.
"""

from __future__ import annotations

from chrun.oci.spec import Resources, Rlimit, SpecMount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.oci.options import LimitOptions, RunOptions

SCRATCH_BYTES = 64 << 20
_PIDS = 256
_MEMORY_BYTES = 1 << 30
_TIMEOUT_MS = 5 * 60 * 1000
# core(5): a program that core_pattern pipes cores to gets them even at 0; at 1 nobody does.
_NO_CORE = Rlimit("RLIMIT_CORE", 1, 1)
_TMP = SpecMount(
    "/tmp",  # noqa: S108 - inside a container
    "tmpfs",
    "tmpfs",
    ("nosuid", "nodev", "mode=1777", "size=256m"),
)


def seal(options: RunOptions) -> RunOptions:
    """Give the options of a sealed container: what was asked for, and shut where nothing was.

    The root file system is read-only with a /tmp in memory, there is no network, no core dump, and
    at most 256 tasks, 1 GiB of memory without swap, and 5 minutes.
    """
    namespaces = options.namespaces
    taken = {mount.destination for mount in options.mounts}
    return options.replace(
        readonly=True,
        mounts=options.mounts if _TMP.destination in taken else (_TMP, *options.mounts),
        namespaces=namespaces.replace(network=namespaces.network or "none"),
        limits=_limited(options.limits),
    )


def _limited(limits: LimitOptions) -> LimitOptions:
    asked, unlimited = limits.resources, limits.unlimited
    memory = asked.memory or (0 if "memory" in unlimited else _MEMORY_BYTES)
    resources: Resources = asked.replace(
        memory=memory,
        swap=asked.swap or memory,
        pids=asked.pids or (0 if "pids" in unlimited else _PIDS),
    )
    rlimits = limits.rlimits
    if not any(rlimit.name == "RLIMIT_CORE" for rlimit in rlimits):
        rlimits = (*rlimits, _NO_CORE)
    return limits.replace(
        resources=resources, rlimits=rlimits, timeout_ms=limits.timeout_ms or _TIMEOUT_MS
    )
