"""Profiles that users name, and what becomes of any profile: programs, with words for the plan."""

from __future__ import annotations

import os

from chrun.errors import ContentError, UsageError
from chrun.linux import caps
from chrun.linux.seccomp.compiler import check_machine, compile_profile
from chrun.linux.seccomp.numbers import known_names
from chrun.linux.seccomp.pretend import pretend_root_profile
from chrun.oci.seccomp import documents
from chrun.oci.seccomp.default import default_profile
from chrun.oci.seccomp.profile import ALLOW, ANSWER_DATA, LOG, TRACE, Case, combine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.oci.seccomp.profile import Profile

    Fields = tuple[bytes, str, str, bool]  # of runtime.steps.Seccomp

_MAX_BYTES = 1 << 20
_STARTING = {ALLOW, LOG, TRACE}
PRETENDS = "let chown, mknod and setuid succeed without effect"
_PRETEND_REASON = "one id is mapped, and package managers want no more than their success"
_ALLOWS = "allow only the system calls of a list"
_ALLOW_REASON = "what no ordinary program asks the kernel for is where its faults are"
_OBEYS = "answer system calls as the profile says"
_OBEY_REASON = "--security-opt seccomp names it"


def read_profile(path: str) -> str:
    """Give the text of a profile, docker's or OCI's, that means something on this machine.

    Raises UsageError when it cannot be read, ContentError for what is wrong in it.
    """
    what = f"seccomp profile {path}"
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {what}: {(error.strerror or '').lower()}") from error
    if len(content) > _MAX_BYTES:
        raise ContentError(f"cannot read {what}: it is larger than {_MAX_BYTES} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ContentError(f"cannot read {what}: it is not UTF-8") from error
    uname = os.uname()
    profile = _read(what, content, uname.machine, (0, 0), ())
    compile_profile(profile, uname.machine)
    return text


def make_filters(
    machine: str,
    kernel: tuple[int, int],
    seccomp: str,
    *,
    sealed: bool,
    single_id: bool,
    asks: bool,
    bounding: tuple[str, ...] | None,
) -> tuple[Fields, ...]:
    """Give the fields of the filter steps of one container, in the order of the plan.

    `seccomp` and `sealed` are the spec's; with `single_id` a user namespace has one id, and
    chrun-init answers what the filter `asks`; `bounding` None is every capability. Raises
    UnsupportedError where the machine's system calls are unknown.
    """
    if not seccomp:
        return _pretending(machine, asks=asks)
    granted = caps.NAMES if bounding is None else bounding
    if seccomp != "default":
        own = _own_profile(machine, kernel, seccomp, granted, sealed=sealed)
        _check_start(own)
        last = (compile_profile(own, machine), _OBEYS, _OBEY_REASON, False)
        # In a filter of its own: what a profile forbids, chrun-init needs to hand over a listener
        return (*_pretending(machine, asks=asks), last) if single_id else (last,)
    profile = default_profile(granted, sealed=sealed, kernel=kernel)
    if not single_id:
        return ((compile_profile(profile, machine), _ALLOWS, _ALLOW_REASON, False),)
    program = compile_profile(combine(profile, pretend_root_profile(asks=asks)), machine)
    return ((program, f"{_ALLOWS}; {PRETENDS}", f"{_ALLOW_REASON}; {_PRETEND_REASON}", asks),)


def oci_profile(
    machine: str,
    kernel: tuple[int, int],
    seccomp: str,
    *,
    sealed: bool,
    bounding: tuple[str, ...] | None,
) -> dict[str, object]:
    """Give the spec's profile as `linux.seccomp` for other runtimes, on this machine.

    Raises UnsupportedError where the machine's system calls are unknown.
    """
    from chrun.oci.seccomp.export import profile_json

    granted = caps.NAMES if bounding is None else bounding
    if seccomp == "default":
        return profile_json(default_profile(granted, sealed=sealed, kernel=kernel))
    return profile_json(_own_profile(machine, kernel, seccomp, granted, sealed=sealed))


def _own_profile(
    machine: str, kernel: tuple[int, int], seccomp: str, granted: tuple[str, ...], *, sealed: bool
) -> Profile:
    """Read a profile of the user's own; a seal's list holds under it as well."""
    own = _read("seccomp profile", seccomp.encode(), machine, kernel, granted)
    if not sealed:
        return own
    return combine(own, default_profile(granted, sealed=True, kernel=kernel))


def _pretending(machine: str, *, asks: bool) -> tuple[Fields, ...]:
    program = compile_profile(pretend_root_profile(asks=asks), machine)
    return ((program, PRETENDS, _PRETEND_REASON, asks),)


def _check_start(profile: Profile) -> None:
    """Refuse a profile under which nothing would ever run, not even far enough to say why."""
    cases = profile.calls.get("execve", (Case(profile.default),))
    if not any(case.answer & ~ANSWER_DATA in _STARTING for case in cases):
        raise ContentError(
            "cannot use the seccomp profile: it lets no program start, for it refuses execve"
        )


def _read(
    what: str, content: bytes, machine: str, kernel: tuple[int, int], bounding: tuple[str, ...]
) -> Profile:
    check_machine(machine)
    situation = documents.Situation(machine, kernel, bounding, known_names(), caps.NAMES)
    return documents.read_profile(what, content, situation)
