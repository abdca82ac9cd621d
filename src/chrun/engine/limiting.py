"""Limits of a spec -> how they are put into force here, and what is said where they cannot be."""

from __future__ import annotations

from chrun.engine.isolation import notice
from chrun.errors import UnsupportedError, UsageError
from chrun.linux.cgroups import read_cgroups
from chrun.oci.spec import Process, Resources, Rlimit, Spec, Throttle
from chrun.runtime.limits import plan_deadline, plan_limits
from chrun.runtime.plan import Limited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.linux.host import Host

_COUNTED_BY_NAMESPACE = 5, 14  # since when a user namespace's processes are counted by themselves


def settle_limits(
    spec: Spec, asked: Resources, host: Host
) -> tuple[Spec, Limited, tuple[str, ...]]:
    """Plan what limits a container: the spec that holds, and what a user should know of it.

    `asked` are the limits asked for by name, which hold or are an UnsupportedError. Those that a
    rung sets by itself are left out where they cannot be had, with a word; so are rules for the use
    of devices, unless one is given for reading or writing alone.
    """
    if spec.timeout_ms and any(joined.type == "pid" for joined in spec.joined):
        raise UsageError(
            "cannot limit the time of a container that joins the pid namespace of another: its "
            "command would be ended, but not what that has started",
            hint="leave --pid out",
        )
    if spec.resources == Resources() and not spec.device_rules:
        return spec, Limited(plan_deadline(spec)), ()
    cgroups = read_cgroups(spec.resources)
    said: list[str] = []
    while True:
        try:
            return spec, plan_limits(spec, cgroups, host), tuple(said)
        except UnsupportedError as error:
            spec, what = _leave_out(spec, asked, host, error)
            said.append(what)


def _leave_out(
    spec: Spec, asked: Resources, host: Host, error: UnsupportedError
) -> tuple[Spec, str]:
    """Give a spec without something that nobody asked for, and the word on it; or the error."""
    reason = str(error).partition(": ")[2]
    if spec.device_rules:
        from chrun.engine.devices import check_access

        for device in spec.devices:
            check_access(device, reason)
        left: Spec = spec.replace(device_rules=())
        return left, f"devices can be used without restriction: {reason}"
    if spec.resources == asked:
        raise error
    left = spec.replace(resources=asked, process=_counted(spec, asked, host))
    return left, notice("limits hold for each process, not for all together", reason, error.hint)


def limits_to_be_had(host: Host) -> tuple[tuple[str, ...], str, str]:
    """Give the limits that could be put into force here, why others could not, and the remedy."""
    cgroups = read_cgroups(Resources(cpus="0"))
    possible: list[str] = []
    why = hint = ""
    samples = {
        "memory": Resources(memory=1 << 30),
        "processes": Resources(pids=100),
        "processor time": Resources(cpu_quota=100_000),
        "processors": Resources(cpus=str(min(cgroups.processors))),
        "disk rates": Resources(throttles=(Throttle("rbps", 0, 0, 1),)),
    }
    for name, resources in samples.items():
        try:
            plan_limits(Spec(Process(()), resources=resources), cgroups, host)
            possible.append(name)
        except UnsupportedError as error:
            why, hint = why or str(error).partition(": ")[2], hint or error.hint
    return tuple(possible), why, hint


def _counted(spec: Spec, asked: Resources, host: Host) -> Process:
    """Limit by setrlimit(2) what it can: the memory of each process, and how many there are.

    The latter only where a user namespace's processes are counted apart from the caller's.
    """
    process, resources = spec.process, spec.resources
    apart = "user" in spec.namespaces and host.kernel >= _COUNTED_BY_NAMESPACE
    wanted = {
        "RLIMIT_DATA": 0 if asked.memory else resources.memory,
        "RLIMIT_NPROC": resources.pids if apart and not asked.pids else 0,
    }
    taken = {limit.name for limit in process.rlimits}
    more = (
        Rlimit(name, amount, amount)
        for name, amount in wanted.items()
        if amount and name not in taken
    )
    return process.replace(rlimits=(*process.rlimits, *more))
