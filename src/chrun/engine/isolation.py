"""Which rung of the isolation ladder a run takes here (design, section 6)."""

from __future__ import annotations

from chrun.errors import UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.engine.request import Isolation
    from chrun.linux.host import Host
    from chrun.oci.convert import Rung
    from chrun.rootfs.rootfs import Rootfs


def choose_rung(host: Host, wanted: Isolation) -> tuple[Rung, tuple[str, ...]]:
    """Take the rung asked for, or with `auto` the strongest that works, and say what is missing.

    Raises UnsupportedError when a rung asked for by name is not to be had, or none is.
    """
    lack = host.lack_of("namespaces")
    if wanted == "chroot":
        if not host.may_chroot:
            raise UnsupportedError(
                "cannot use --isolation chroot: chroot(2) is for root",
                hint="as an ordinary user use --isolation namespaces",
            )
        return "chroot", ()
    if lack is None and (host.privileged or wanted != "auto"):
        lack = host.lack_of("proc")  # others do without a pid namespace: engine/descent.py
    if lack is None:
        return ("confined" if wanted == "auto" else wanted), ()
    if wanted != "auto" or not host.may_chroot:
        raise UnsupportedError(f"cannot isolate the container: {lack.why}", hint=lack.hint)
    what = "only the root directory is changed (--isolation chroot)"
    return "chroot", (notice(what, lack.why, lack.hint),)


def notice(what: str, why: str, hint: str) -> str:
    """Give the line that tells of something missing: what, why, and what mends it, if anything."""
    return f"{what}: {why}" + (f"; {hint}" if hint else "")


def summary_words(rung: Rung, rootfs: Rootfs) -> str:
    """Say in a few words how a container is shut in and what its root is made of."""
    layers = f"{len(rootfs.layers)} layer{'s' if len(rootfs.layers) != 1 else ''}"
    return f"{rung}, {rootfs.kind} of {layers}"
