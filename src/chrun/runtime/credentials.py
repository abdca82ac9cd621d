"""The last steps before the command: who it is, what it may do, what it may ask the kernel for."""

from __future__ import annotations

from chrun.linux import caps
from chrun.oci.spec import count_ids
from chrun.runtime.steps import Capabilities, NoNewPrivileges, User

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.oci.spec import Spec
    from chrun.runtime.steps import Seccomp, Step


def plan_credentials(
    spec: Spec, filters: tuple[Seccomp, ...], *, keep_groups: bool = False
) -> Iterator[Step]:
    """Who the process is and what it may do: ids, capabilities, no_new_privs, seccomp last.

    Ids come before capabilities, for setuid needs CAP_SETUID; no_new_privs comes before seccomp,
    for without CAP_SYS_ADMIN it is the condition of a filter; and nothing comes behind the filter
    that it might forbid. Without no_new_privs a filter comes while the capability is there: before
    a change of user, which takes it away, unless only one user exists. A profile must then leave
    what the steps behind it need.

    `keep_groups` where the user namespace that this runs in has setgroups(2) denied.
    """
    process, user = spec.process, spec.process.user
    single_id = count_ids(spec.uid_mappings) == 1
    if not process.no_new_privileges and not single_id:
        yield from filters
    yield User(user.uid, user.gid, user.additional_gids, keep_groups or single_id)
    if not process.no_new_privileges and single_id:
        yield from filters
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
    if process.no_new_privileges:
        yield from filters
