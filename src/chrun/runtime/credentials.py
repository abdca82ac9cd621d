"""The last steps before the command: who it is, what it may do, what it may ask the kernel for."""

from __future__ import annotations

from chrun.linux import caps
from chrun.linux.seccomp import pretend_root_filter
from chrun.runtime.steps import Capabilities, NoNewPrivileges, Seccomp, User

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.linux.host import Host
    from chrun.oci.spec import Spec
    from chrun.runtime.steps import Step

_PRETEND_WORDS = "let chown, mknod and setuid succeed without effect"
_PRETEND_REASON = "one id is mapped, and package managers want no more than their success"
_ALLOWLIST_REASON = "what no ordinary program asks the kernel for is where its faults are"


def plan_credentials(spec: Spec, host: Host, program: bytes) -> Iterator[Step]:
    """Who the process is and what it may do: ids, capabilities, no_new_privs, seccomp last.

    Ids come before capabilities, for setuid needs CAP_SETUID; no_new_privs comes before seccomp,
    for without CAP_SYS_ADMIN it is the condition of a filter; and nothing comes behind the filter
    that it might forbid.
    """
    process, user = spec.process, spec.process.user
    single_id = sum(mapping.size for mapping in spec.uid_mappings) == 1
    yield User(user.uid, user.gid, user.additional_gids, bool(spec.uid_mappings))
    if sets := process.capabilities:
        yield Capabilities(
            caps.mask(sets.bounding),
            caps.mask(sets.effective),
            caps.mask(sets.permitted),
            caps.mask(sets.inheritable),
            caps.mask(sets.ambient),
        )
    if process.no_new_privileges:
        yield NoNewPrivileges()
    if spec.sealed:
        from chrun.runtime.landlock import plan_landlock

        yield from plan_landlock(spec)
    asks = host.lack_of("listener") is None
    if single_id and (pretends := pretend_root_filter(host.machine, asks=asks)):
        yield Seccomp(pretends, _PRETEND_WORDS, _PRETEND_REASON, listens=asks)
    if program:  # last: it may forbid what was needed until now
        yield Seccomp(program, "allow only the system calls of a list", _ALLOWLIST_REASON)
