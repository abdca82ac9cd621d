"""A run as an OCI bundle, for runc, crun and the like: runtime-spec's bundle.md and config.md.

The bundle is the spec that chrun itself composed, completed by what runtimes do not know of
themselves: files of the machine, devices, and what a user namespace may not mount.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, cast

from chrun.errors import UnsupportedError
from chrun.oci.mounts_json import escaped, mount_json
from chrun.oci.spec import SpecMount
from chrun.rootfs.rootfs import COPY_NAME
from chrun.runtime.export.subject import Export
from chrun.runtime.export.words import below, is_unicode, single_ids, with_mode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chrun.oci.spec import Spec
    from chrun.rootfs.rootfs import MachineFile
    from chrun.runtime.export.subject import Exportable

    Document = dict[str, object]

_VERSION = "1.0.2"  # all that is in it is of this version, which every runtime takes
_TTY_GROUP = 5
_CGROUPS = "/sys/fs/cgroup"
_SHARED = {"proc": "pid", "sysfs": "network"}  # file systems that show a namespace


def export_oci(subject: Exportable, host_name: str) -> Export:
    """Give config.json for a bundle in `subject.directory`, with `host_name` where none was asked.

    Its root file system is expected beside it.
    """
    spec = subject.spec.named(host_name)
    notes = [*subject.notes, *_notes(spec)]
    if single_ids(spec) not in {None, (0, 0)}:
        raise UnsupportedError(
            f"cannot export to oci: runtimes want root inside, beside user {spec.process.user.uid}",
            hint="use -u 0, or run chrun as root or with subordinate ids",
        )
    files = {f"file-{number}": file for number, file in enumerate(_files(subject), 1)}
    fields = spec.to_json()
    fields["ociVersion"] = _VERSION
    fields["root"] = {"path": COPY_NAME, "readonly": spec.root_readonly}
    fields["process"] = _process(spec, _part(fields, "process"), subject.capabilities)
    how = ("rbind", "ro") if spec.root_readonly else ("rbind",)
    fields["mounts"] = [
        *_mounts(subject, spec, notes),
        *(
            mount_json(SpecMount(file.target, "bind", os.path.join(subject.directory, path), how))
            for path, file in files.items()
        ),
    ]
    fields["linux"] = _linux(spec, _part(fields, "linux"), subject.profile)
    text = json.dumps(fields, indent=2) + "\n"
    texts = {path: _text(file, spec.hostname or host_name) for path, file in files.items()}
    covered = {f"{name}/upper": mount.source for mount, name in _covers(spec).items()}
    return Export(text, tuple(notes), texts, covered)


def _files(subject: Exportable) -> Iterator[MachineFile]:
    """Give the files that the planner would write, too."""
    covered = tuple(
        f"{below(mount.destination)}/"
        for mount in subject.spec.mounts
        if mount.type in {"bind", "overlay", "tmpfs"}
    )
    for file in subject.rootfs.files:
        has_directory = os.path.isdir(subject.root_dir + os.path.dirname(file.target))
        if not file.target.startswith(covered) and (has_directory or not file.optional):
            yield file


def _part(fields: Document, name: str) -> Document:
    return cast("Document", fields[name])


def _notes(spec: Spec) -> Iterator[str]:
    if spec.sealed:
        yield "the fence of Landlock (the runtime spec has no word for it)"
    if spec.timeout_ms:
        yield "the time limit (the runtime spec has no word for it)"
    if spec.init:
        yield "a PID 1 that reaps (the runtime spec has no word for it)"
    for name in (entry.partition("=")[0] for entry in spec.process.env if not is_unicode(entry)):
        yield f"{name} as it is (JSON knows Unicode only)"
    for mount in spec.mounts:
        if mount.subpath and mount.type == "bind":
            part = f"{mount.source}/{mount.subpath}"
            yield f"a check that {part} stays in the volume (it is only bound)"
        if words := sorted({"suid", "dev", "exec"}.intersection(mount.options)):
            what = f"{', '.join(words)} of {mount.destination}"
            yield f"{what}, perhaps (there are runtimes that take no flag of a mount away)"
    if any(joined.type == "uts" for joined in spec.joined):
        yield "the other container's name in /etc/hosts (nobody knows it here)"
    if single_ids(spec):
        yield "chown, mknod and setuid that only seem to succeed (nobody answers for them)"


def _process(spec: Spec, process: Document, everything: Sequence[str]) -> Document:
    """Complete the process; a user namespace of one id knows no other group."""
    user = spec.process.user
    groups = () if single_ids(spec) else user.additional_gids
    ids: Document = {"uid": user.uid, "gid": user.gid, "additionalGids": list(groups)}
    completed = {**process, "user": ids}
    if spec.process.capabilities is None:  # of which a runtime would make none
        names = ("bounding", "effective", "permitted")
        completed["capabilities"] = {name: list(everything) for name in names}
    return completed


def _mounts(subject: Exportable, spec: Spec, notes: list[str]) -> Iterator[Document]:
    """Give the mounts as a runtime can make them, with these ids and namespaces."""
    covers = _covers(spec)
    for mount in spec.mounts:
        if spec.uid_mappings and _shows_the_machine(spec, mount):
            options = (*mount.options, "rbind")
            path = below(mount.destination)
            yield mount_json(mount.replace(type="bind", source=path, options=options))
        elif mount.type == "tmpfs":
            yield mount_json(mount.replace(options=tuple(with_mode(mount.options))))
        elif mount.type == "devpts" and _has_tty_group(spec):
            options = (*mount.options, "mode=0620", f"gid={_TTY_GROUP}")
            yield mount_json(mount.replace(options=options))
        elif mount in covers:
            yield _cover_json(subject, mount, covers[mount])
        elif len(mount.layers) > 1 and mount.subpath:
            why = "the runtime spec has no word for a part of an overlay"
            notes.append(f"what is mounted on {mount.destination} ({why})")
        else:
            yield mount_json(mount)
    if spec.uid_mappings:
        for device in spec.devices:
            yield mount_json(SpecMount(device.path, "bind", device.source, ("bind",)))


def _covers(spec: Spec) -> dict[SpecMount, str]:
    """Give the overlays that keep changes off a directory, and where in the bundle these go."""
    covers = (mount for mount in spec.mounts if mount.type == "overlay" and not mount.layers)
    return {mount: f"changes-{number}" for number, mount in enumerate(covers, 1)}


def _cover_json(subject: Exportable, mount: SpecMount, name: str) -> Document:
    changes = escaped(os.path.join(subject.directory, name))
    options = [*mount.options, f"lowerdir={escaped(mount.source)}"]
    options += [f"upperdir={changes}/upper", f"workdir={changes}/work"]
    if subject.spec.uid_mappings:
        options.append("userxattr")
    return {**mount_json(mount), "options": options}


def _shows_the_machine(spec: Spec, mount: SpecMount) -> bool:
    return _SHARED.get(mount.type, "mount") not in spec.namespaces


def _has_tty_group(spec: Spec) -> bool:
    """Say whether the group of terminals exists inside; without a user namespace all groups do."""
    return not spec.gid_mappings or any(_TTY_GROUP in mapping for mapping in spec.gid_mappings)


def _linux(spec: Spec, linux: Document, profile: Mapping[str, object]) -> Document:
    completed = {**linux}
    if profile:
        completed["seccomp"] = dict(profile)
    if spec.uid_mappings and spec.masked_paths:
        completed["maskedPaths"] = [*spec.masked_paths, _CGROUPS]  # the machine's, as is its sysfs
    if spec.uid_mappings:
        completed["devices"] = []  # they are bound: a user namespace makes none
    return completed


def _text(file: MachineFile, name: str) -> bytes:
    if not file.expanded:
        return file.text
    pieces = file.text.split(b"%%")
    return b"%".join(piece.replace(b"%h", name.encode()) for piece in pieces)
