"""What is exported, and what comes of it."""

from __future__ import annotations

from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.linux.host import Host
    from chrun.oci.spec import Spec
    from chrun.rootfs.rootfs import Rootfs
    from chrun.runtime.plan import Plan


class Exportable(Value):
    """A container that could run. `image` is its name, `is_reference` whether a registry knows it.

    `root_dir` is a complete root file system that belongs to the export, "" where there is none
    and the layers are to be stacked. `filters` are BPF programs that need nobody to answer them.
    """

    image: str
    is_reference: bool
    spec: Spec
    rootfs: Rootfs
    host: Host
    plan: Plan
    root_dir: str = ""
    filters: tuple[bytes, ...] = ()


class Export(Value):
    """A text to save or run; `notes` say, a line each, what of the run it does not hold."""

    text: str
    notes: tuple[str, ...]
