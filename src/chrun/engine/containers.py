"""Running an image: where store, root file system, spec and plan meet.

image -> identity -> spec -> container directory -> root file system -> plan. `prepare` goes that
way and stops before anything runs; the command line then becomes chrun-init, the API starts it.
"""

from __future__ import annotations

import os

from chrun.engine.filters import plan_filters
from chrun.engine.isolation import choose_rung, summary_words
from chrun.errors import NoSuchImageError, UnsupportedError, UsageError
from chrun.oci.config import ImageConfig
from chrun.oci.convert import Identity, IdMaps, make_spec
from chrun.oci.identity import resolve_identity
from chrun.oci.options import SecurityOptions
from chrun.oci.spec import IdMapping
from chrun.rootfs.files import machine_files, machine_files_signature
from chrun.rootfs.lookup import read_layer_file, visible_layers
from chrun.rootfs.rootfs import COPY_NAME, Rootfs, choose_rootfs_kind
from chrun.runtime.launch import Launch
from chrun.runtime.planner import plan_container
from chrun.store.containers import create_container, remove_container, save_spec
from chrun.store.layout import absolute
from chrun.store.records import index_signature
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.engine.engine import Engine
    from chrun.engine.request import RunRequest
    from chrun.linux.host import Host
    from chrun.oci.convert import Rung
    from chrun.oci.options import RunOptions
    from chrun.oci.spec import Spec
    from chrun.runtime.plan import Plan
    from chrun.store.containers import Container
    from chrun.runtime.steps import Seccomp

_MAX_PASSWD_BYTES = 4 << 20
_KEPT = 64  # compositions of one program


class Source(Value):
    """What a container stands on: an image of the store, an archive, or a directory.

    `name` is for people; `image_id` is "" for a directory, which no store keeps.
    """

    name: str
    image_id: str
    config: ImageConfig
    layers: tuple[str, ...]


class Composed(Value):
    """A container that could run: its plan, and what a user should know of it."""

    source: Source
    spec: Spec
    rootfs: Rootfs
    plan: Plan
    encoded: bytes  # the plan, as chrun-init reads it
    rung: Rung
    notices: tuple[str, ...]


class Prepared(Value):
    """A container that is about to run: its directory exists and is locked by `launch.hold_fd`."""

    composed: Composed
    launch: Launch

    @property
    def summary(self) -> str:
        """One line: what runs, where, behind which walls."""
        composed = self.composed
        return (
            f"{composed.source.name} ({summary_words(composed.rung, composed.rootfs)}) "
            f"in {self.launch.scratch_dir}"
        )


def prepare(engine: Engine, request: RunRequest) -> Prepared:
    """Make a container ready to run: the image is here, its directory exists, the plan is made.

    Raises what `pull` raises when the image has to be fetched; UsageError, UnsupportedError,
    NoSuchImageError, ContainerExistsError, RootfsError.
    """
    _ensure_image(engine, request)
    with engine.store.hold(shared=True):  # no image goes before its container's directory is there
        composed = _recall(engine, request)
        container = create_container(
            engine.store.layout,
            composed.source.image_id,
            name=request.name,
            keep=request.keep,
            overlay=composed.rootfs.writes_to_disk,
        )
    try:
        if composed.rootfs.kind == "copy":
            from chrun.rootfs.copy import copy_layers

            copy_layers(composed.rootfs.layers, f"{container.directory}/{COPY_NAME}")
        if request.keep:
            save_spec(container, composed.spec.to_json())
    except BaseException:
        remove_container(engine.store.layout, container)
        raise
    return Prepared(
        composed, Launch(container.container_id, container.directory, container.lock_fd)
    )


def _recall(engine: Engine, request: RunRequest) -> Composed:
    """Give what was composed for the same request before, while all it was made of is the same.

    A plan holds nothing of one run, so a program that starts the same container again and again
    need not compose it again.
    """
    if request.is_path:
        return compose(engine, request)
    ingredients = (index_signature(engine.store.layout), machine_files_signature())
    kept = engine.kept.get(request)
    if kept is None or kept[0] != ingredients:
        if len(engine.kept) >= _KEPT:
            engine.kept.clear()
        kept = engine.kept[request] = (ingredients, compose(engine, request))
    return kept[1]


def compose(engine: Engine, request: RunRequest) -> Composed:
    """Work out what would run, and how; the image must be here. Changes nothing."""
    source = _find_source(engine, request)
    host = engine.host
    rung, notices = choose_rung(host, request.isolation)
    identity = _identity(source, request)
    maps = IdMaps() if rung == "chroot" else _single_id(host, identity)
    options, ungranted = _settle(engine, request, rung, maps)
    spec = make_spec(source.name, source.config, options, rung, identity, maps)
    rootfs, more = _choose_rootfs(engine, request, source, rung)
    filters, unfiltered = _plan_filters(engine, request, source, spec)
    plan = plan_container(spec, host, rootfs, keep=request.keep, filters=filters)
    notices = engine.notices + notices + ungranted + more + unfiltered
    return Composed(source, spec, rootfs, plan, plan.encode(), rung, notices)


def _plan_filters(
    engine: Engine, request: RunRequest, source: Source, spec: Spec
) -> tuple[tuple[Seccomp, ...], tuple[str, ...]]:
    """Give the filter steps; one that nobody asked for by name may be missing, with a word."""
    optional = request.isolation == "auto" and request.options.security.seccomp == "default"
    architecture = source.config.architecture
    return plan_filters(engine.store.layout, engine.host, spec, architecture, optional=optional)


def explain(engine: Engine, request: RunRequest) -> Composed:
    """Give what a run would be, without making anything but, if it is missing, the image."""
    _ensure_image(engine, request)
    with engine.store.hold(shared=True):
        return compose(engine, request)


def _ensure_image(engine: Engine, request: RunRequest) -> None:
    """Pull what is missing, as --pull says; a pull locks for itself what it needs."""
    if request.is_path:
        if os.path.isfile(request.image):
            engine.open_archive(os.path.realpath(absolute(request.image)))
        return
    if request.pull == "missing" and engine.find_image(request.image, request.platform):
        return
    if request.pull != "never":
        engine.pull(request.image, request.platform)


def _find_source(engine: Engine, request: RunRequest) -> Source:
    if request.is_path:
        return _open_path(engine, request.image)
    record = engine.find_image(request.image, request.platform)
    if record is None:
        raise NoSuchImageError(
            f"cannot run {request.image}: it is not here",
            hint=f"chrun pull {request.image}",
        )
    layers = visible_layers(record.layers)
    return Source(record.reference, str(record.image_id), record.config, layers)


def _open_path(engine: Engine, path: str) -> Source:
    if not os.path.exists(path):
        raise UsageError(f"cannot run {path}: no such file or directory")
    path = os.path.realpath(absolute(path))
    if os.path.isdir(path):
        return Source(path, "", ImageConfig(()), (path,))
    layer = engine.open_archive(path)
    return Source(path, layer.image_id, ImageConfig(()), (layer.directory,))


def _identity(source: Source, request: RunRequest) -> Identity:
    passwd, group = (
        read_layer_file(source.layers, "etc", name, _MAX_PASSWD_BYTES)
        for name in ("passwd", "group")
    )
    user = request.user or source.config.user
    return resolve_identity(user, passwd, group, request.options.groups)


def _settle(
    engine: Engine, request: RunRequest, rung: Rung, maps: IdMaps
) -> tuple[RunOptions, tuple[str, ...]]:
    """Work out what of the options depends on this machine, and give notices of what it lacks."""
    options = request.options
    notices: tuple[str, ...] = ()
    if options.groups and maps.uids and sum(mapping.size for mapping in maps.gids) == 1:
        raise UnsupportedError(
            f"cannot join group {options.groups[0]!r}: only one id is mapped",
            hint="run as root, or with subordinate ids (--userns subuid)",
        )
    if options.security != SecurityOptions():
        from chrun.engine.security import grant

        options, notices = grant(options, rung, engine.host, maps)
    return options, notices


def _single_id(host: Host, identity: Identity) -> IdMaps:
    """Map the one id that an ordinary user may map: inside, the caller is whom they asked for."""
    if host.privileged:
        return IdMaps()
    return IdMaps((IdMapping(identity.uid, host.uid, 1),), (IdMapping(identity.gid, host.gid, 1),))


def _choose_rootfs(
    engine: Engine, request: RunRequest, source: Source, rung: Rung
) -> tuple[Rootfs, tuple[str, ...]]:
    host = engine.host
    wanted = None if request.rootfs == "auto" else request.rootfs
    if rung == "chroot":
        if wanted == "overlay":
            raise UsageError("cannot use --rootfs overlay with --isolation chroot: it mounts")
        wanted = "copy"
    kind = choose_rootfs_kind(host, wanted)
    lack = host.lack_of("overlay")
    notices = (
        (f"copying the image, for lack of an overlay: {lack.why}",) if lack and not wanted else ()
    )
    if kind == "copy" and request.scratch_bytes:
        raise UnsupportedError(
            "cannot use --scratch tmpfs: it needs an overlay, or --rootfs overlay"
        )
    scratch_bytes = request.scratch_bytes
    if rung == "sealed" and kind == "overlay":
        from chrun.oci.sealed import SCRATCH_BYTES

        scratch_bytes = scratch_bytes or SCRATCH_BYTES
    files = machine_files(single_id=not host.privileged) if rung != "chroot" else ()
    layout = engine.store.layout
    return (
        Rootfs(
            kind,
            source.layers,
            layout.base_dir,
            layout.mount_points_dir,
            scratch_bytes,
            files,
        ),
        notices,
    )
