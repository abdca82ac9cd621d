"""What is exported, and what comes of it."""

from __future__ import annotations

from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from chrun.linux.host import Host
    from chrun.oci.options import NamespaceOptions
    from chrun.oci.spec import Spec
    from chrun.rootfs.rootfs import Rootfs
    from chrun.runtime.plan import Plan


class Exportable(Value):
    """A container that could run. `image` is its name, `is_reference` whether a registry knows it.

    `directory` is where the export will lie, "" for nowhere; `root_dir` a complete root file system
    that belongs to it, "" where the layers are to be stacked. `filters` are BPF programs that need
    nobody to answer them, `profile` says the same as `linux.seccomp` of the runtime spec; both are
    empty for no filter, or where the format does not want them. `capabilities` are those that the
    caller has, or in a user namespace will have. `asked` are the names and addresses for the files
    of `rootfs`, where they are; `notes` say what of the run no format holds.
    """

    image: str
    is_reference: bool
    spec: Spec
    rootfs: Rootfs
    host: Host
    plan: Plan
    asked: NamespaceOptions
    notes: tuple[str, ...] = ()
    root_dir: str = ""
    filters: tuple[bytes, ...] = ()
    profile: Mapping[str, object] = {}
    directory: str = ""
    capabilities: tuple[str, ...] = ()


class Export(Value):
    """A text to save or run; `notes` say, a line each, what of the run it does not hold.

    `files` belong beside it, by their names, and so do `covers`: directories with the owner and the
    mode of a path, for an overlay to write to, with "work" beside each.
    """

    text: str
    notes: tuple[str, ...]
    files: Mapping[str, bytes] = {}
    covers: Mapping[str, str] = {}
