"""The system call filter of a container, as steps of its plan: kept from the last one like it.

To read a profile and compile it takes longer than to start a container. What came of it is kept in
the store for as long as chrun's own lists are the files that it was made from.
"""

from __future__ import annotations

import os

from chrun.errors import UnsupportedError
from chrun.oci.spec import count_ids
from chrun.runtime.steps import Seccomp
from chrun.store.answers import checksum, find_answer, keep_answer, packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.linux.host import Host
    from chrun.oci.spec import Spec
    from chrun.store.layout import Layout

    Made = tuple[tuple[bytes, str, str, bool], ...]

_PACKAGE_DIR = os.path.dirname(os.path.dirname(__file__))
_SOURCES = (
    "engine/seccomp.py",
    "linux/seccomp/compiler.py",
    "linux/seccomp/numbers.py",
    "linux/seccomp/pretend.py",
    "oci/seccomp/default.py",
    "oci/seccomp/documents.py",
    "oci/seccomp/profile.py",
)
_SLOTS = 64  # files in the store's cache; two questions that meet in one are answered in turn
# Programs of an ABI of the machine that the filter knows no numbers of would be killed at once
_FOREIGN = {("x86_64", "386"), ("aarch64", "arm")}


def plan_filters(
    layout: Layout, host: Host, spec: Spec, architecture: str, *, optional: bool
) -> tuple[tuple[Seccomp, ...], tuple[str, ...]]:
    """Give the filter steps of a container, and what a user should know of them.

    `architecture` is the image's. With `optional` a filter that cannot be had is a notice.
    Raises ContentError for a profile that does not mean anything here, UnsupportedError.
    """
    single_id = count_ids(spec.uid_mappings) == 1
    if not spec.seccomp and not single_id:
        return (), ()
    if spec.seccomp and (host.machine, architecture) in _FOREIGN:
        raise UnsupportedError(
            f"cannot run a program of linux/{architecture}: the system call filter is for "
            f"{host.machine} only",
            hint="run it with --security-opt seccomp=unconfined",
        )
    asks = single_id and host.lack_of("listener") is None
    sets = spec.process.capabilities
    bounding = None if sets is None else sets.bounding
    sources = _signature()
    question = packed(
        sources, host.machine, host.kernel, spec.seccomp, spec.sealed, single_id, asks, bounding,
    )  # fmt: skip
    path = layout.filter_path(checksum(question) % _SLOTS)
    made = _find_kept(layout, path, question)
    if made is None:
        from chrun.engine.seccomp import make_filters

        try:
            made = make_filters(
                host.machine,
                host.kernel,
                spec.seccomp,
                sealed=spec.sealed,
                single_id=single_id,
                asks=asks,
                bounding=bounding,
            )
        except UnsupportedError as error:
            if spec.seccomp and not optional:
                raise
            return (), (str(error),)
        if sources:
            keep_answer(layout, path, question, packed(*made))
    return tuple(Seccomp(*step) for step in made), ()


def profile_json(host: Host, spec: Spec) -> dict[str, object]:
    """Give the filter as `linux.seccomp` of the runtime spec, {} for none.

    What it lets only seem to succeed, where one id is mapped, is not part of it.
    """
    if not spec.seccomp:
        return {}
    from chrun.engine.seccomp import oci_profile

    sets = spec.process.capabilities
    bounding = None if sets is None else sets.bounding
    return oci_profile(
        host.machine, host.kernel, spec.seccomp, sealed=spec.sealed, bounding=bounding
    )


def _signature() -> tuple[int, ...]:
    """Give what changes when chrun does; () where its sources are not files, and nothing is kept.

    Times of change cannot be set, unlike those of modification that packages agree on.
    """
    try:
        statuses = [os.stat(f"{_PACKAGE_DIR}/{name}") for name in _SOURCES]
    except OSError:
        return ()
    return tuple(number for status in statuses for number in (status.st_ctime_ns, status.st_size))


def _find_kept(layout: Layout, path: str, question: bytes) -> Made | None:
    """Find what was kept for exactly this question."""
    answer = find_answer(layout, path, question)
    if answer is None:
        return None
    made: list[tuple[bytes, str, str, bool]] = []
    try:
        while not answer.at_end:
            step = answer.fields()
            made.append((step.data(), step.text(), step.text(), bool(step.number())))
            step.end()
    except ValueError:  # of another version of chrun
        return None
    return tuple(made)
