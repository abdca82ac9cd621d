"""A run for other tools: what was composed, and a root file system for those that need one."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from chrun.engine.filters import profile_json
from chrun.errors import UnsupportedError, UsageError
from chrun.linux import caps
from chrun.rootfs.copy import copy_layers
from chrun.rootfs.rootfs import COPY_NAME
from chrun.runtime.export.bwrap import export_bwrap
from chrun.runtime.export.oci import export_oci
from chrun.runtime.export.podman import export_podman
from chrun.runtime.export.sh import export_sh
from chrun.runtime.export.subject import Exportable
from chrun.runtime.export.words import single_ids
from chrun.runtime.steps import Seccomp
from chrun.store.layout import absolute
from chrun.store.volumes import has_volume, is_empty_volume

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chrun.engine.containers import Composed
    from chrun.engine.engine import Engine
    from chrun.engine.request import RunRequest
    from chrun.linux.host import Host
    from chrun.oci.spec import Spec
    from chrun.runtime.export.subject import Export
    from chrun.store.layout import Layout

_EXPORTERS: dict[str, Callable[[Exportable], Export]] = {
    "sh": export_sh,
    "bwrap": export_bwrap,
    "podman": export_podman,
    "oci": lambda subject: export_oci(subject, _host_name(subject.spec)),
}
_NEEDING_ROOT = frozenset({"oci"})
_NAMES = {"oci": "config.json"}  # the file in the output directory; run.sh for scripts


def export(
    engine: Engine, request: RunRequest, composed: Composed, kind: str, output: str
) -> Export:
    """Give a stand-alone equivalent of a run; with `output`, also write it to that new directory.

    Raises UsageError for an output directory that is needed and missing, or not empty, and for a
    volume that is not there yet; UnsupportedError for a run that the format has no words for at
    all; RootfsError.
    """
    host = engine.host
    notes = tuple(_unfilled(engine.store.layout, request, composed.rootfs.layers))
    directory = _make_directory(output) if output else ""
    subject = Exportable(
        composed.source.name,
        not composed.source.name.startswith("/"),  # what a directory or an archive is called
        composed.spec,
        composed.rootfs,
        host,
        composed.plan,
        request.options.namespaces,
        notes,
        _make_root(composed, kind, directory),
        _filters(composed, host) if kind == "bwrap" else (),
        profile_json(host, composed.spec) if kind in {"podman", "oci"} else {},
        directory,
        tuple(name for name in caps.NAMES if _may_have(name, composed.spec)),
    )
    exported = _EXPORTERS[kind](subject)
    if directory:
        name = _NAMES.get(kind, "run.sh")
        content = exported.text.encode(errors="surrogateescape")
        for path, text in {name: content, **exported.files}.items():
            _write(os.path.join(directory, path), text)
        for path, covered in exported.covers.items():
            _make_cover(os.path.join(directory, path), covered)
    return exported


def _unfilled(layout: Layout, request: RunRequest, layers: Sequence[str]) -> Iterator[str]:
    """Say which volumes a run would fill first; UsageError for one that it would make."""
    for mount in request.options.mounts:
        if mount.type != "volume":
            continue
        name, target = mount.source, mount.destination
        if not has_volume(layout, name):
            raise UsageError(
                f"cannot export the volume {name}: there is none",
                hint=f"chrun volume create {name}",
            )
        fills = "nocopy" not in mount.options and not mount.subpath
        has_content = any(os.path.lexists(f"{layer}{target}") for layer in layers)
        if fills and has_content and is_empty_volume(layout, name):
            yield f"filling the empty volume {name} with what the image has in {target}"


def _host_name(spec: Spec) -> str:
    return os.urandom(6).hex() if "uts" in spec.namespaces else os.uname().nodename


def _may_have(capability: str, spec: Spec) -> bool:
    return bool(spec.uid_mappings) or caps.has(caps.effective_mask(), capability)


def _filters(composed: Composed, host: Host) -> tuple[bytes, ...]:
    """Compile the filters anew, as they are where nobody answers what they ask."""
    from chrun.engine.seccomp import make_filters

    spec = composed.spec
    if not any(isinstance(step, Seccomp) for step in composed.plan.steps):
        return ()
    sets = spec.process.capabilities
    fields = make_filters(
        host.machine,
        host.kernel,
        spec.seccomp,
        sealed=spec.sealed,
        single_id=single_ids(spec) is not None,
        asks=False,
        bounding=None if sets is None else sets.bounding,
    )
    return tuple(program for program, *_ in fields)


def _make_directory(output: str) -> str:
    directory = absolute(output)
    try:
        os.makedirs(directory, exist_ok=True)
        if os.listdir(directory):
            raise UsageError(f"cannot export to {directory}: it is not empty")
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise UsageError(f"cannot export to {directory}: {reason}") from error
    return directory


def _make_root(composed: Composed, kind: str, directory: str) -> str:
    """Copy the layers together where the format, or this run, cannot stack them."""
    if kind not in _NEEDING_ROOT and composed.rootfs.kind == "overlay":
        return ""
    if not directory:
        raise UsageError(
            f"cannot export to {kind}: it needs a root file system of its own",
            hint="name a new directory for it: --output DIRECTORY",
        )
    if composed.spec.uid_mappings and single_ids(composed.spec) is None:
        raise UnsupportedError(
            f"cannot export to {kind}: a copied root file system has one owner, this run has many",
            hint="use --userns host as root, --userns single as another user",
        )
    root_dir = os.path.join(directory, COPY_NAME)
    copy_layers(composed.source.layers, root_dir)
    return root_dir


def _write(path: str, content: bytes) -> None:
    mode = 0o755 if path.endswith(".sh") else 0o644
    with open(path, "xb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)


def _make_cover(upper: str, covered: str) -> None:
    """Make the directories for changes to another one: the top of an overlay is its upper one."""
    status = os.stat(covered)
    for directory in (os.path.dirname(upper), upper, f"{os.path.dirname(upper)}/work"):
        os.mkdir(directory)
    with suppress(PermissionError):  # another's directory, of whom only root can make one
        os.chown(upper, status.st_uid, status.st_gid)
    os.chmod(upper, stat.S_IMODE(status.st_mode))
