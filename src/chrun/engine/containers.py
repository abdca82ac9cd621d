"""Running an image: where store, root file system, spec and plan meet.

image -> identity -> spec -> container directory -> root file system -> plan. `prepare` goes that
way and stops before anything runs; the command line then becomes chrun-init, the API starts it.
"""

from __future__ import annotations

import os

from chrun.engine.filters import plan_filters, profile_json
from chrun.engine.isolation import choose_rung, summary_words
from chrun.engine.users import choose_users
from chrun.errors import NoSuchImageError, UnsupportedError, UsageError
from chrun.oci.config import ImageConfig
from chrun.oci.convert import make_spec
from chrun.oci.identity import resolve_identity
from chrun.oci.options import NamespaceOptions, SecurityOptions
from chrun.oci.spec import Resources
from chrun.rootfs.files import machine_files, machine_files_signature
from chrun.rootfs.lookup import read_layer_file, visible_layers
from chrun.rootfs.rootfs import COPY_NAME, Rootfs, choose_rootfs_kind
from chrun.runtime.launch import Launch
from chrun.runtime.plan import UNLIMITED
from chrun.runtime.planner import plan_container
from chrun.store.containers import create_container, save_spec
from chrun.store.layout import absolute
from chrun.store.records import index_signature
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.engine.engine import Engine
    from chrun.engine.ranges import RangeClaim
    from chrun.engine.request import RunRequest
    from chrun.engine.users import Users
    from chrun.linux.host import Host
    from chrun.oci.convert import Identity, IdMaps, Rung
    from chrun.oci.options import RunOptions
    from chrun.oci.spec import Spec
    from chrun.rootfs.rootfs import MachineFile
    from chrun.runtime.plan import Limited, Plan
    from chrun.runtime.steps import Seccomp

_MAX_PASSWD_BYTES = 4 << 20
_NO_RESOURCES = Resources()
_KEPT = 64  # compositions of one program
_PLAIN = (SecurityOptions(), NamespaceOptions())


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
    wrapper: tuple[str, ...] = ()  # what chrun-init is started with


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
    users = _users(engine, request)
    _ensure_image(engine, request, users)
    if users.kind != "range":
        return _prepare(engine, request, users)
    from chrun.engine.ranges import RangeClaim

    with RangeClaim() as claim:
        return _prepare(engine, request, users.replace(maps=claim.maps), claim)


def _prepare(
    engine: Engine, request: RunRequest, users: Users, claim: RangeClaim | None = None
) -> Prepared:
    with engine.store.hold(shared=True):  # no image goes before its container's directory is there
        composed = _recall(engine, request, users)
        container = create_container(
            engine.store.layout,
            composed.source.image_id,
            name=request.name,
            keep=request.keep,
            overlay=composed.rootfs.writes_to_disk,
        )
        if request.options.mounts:
            from chrun.engine.mounting import claim_mounts

            claim_mounts(engine, request, container, users)
    volume_fds: tuple[int, ...] = ()
    try:
        if claim:
            claim.record(container.directory)
        if request.joins and engine.host.privileged and composed.spec.uid_mappings:
            from chrun.engine.ranges import record_joined

            record_joined(container.directory, composed.spec)
        if request.options.mounts:
            from chrun.engine.mounting import open_volumes

            volume_fds = open_volumes(engine, request, composed.rootfs.layers, users)
        if composed.rootfs.kind == "copy":
            from chrun.engine.ownership import copy_for

            root = f"{container.directory}/{COPY_NAME}"
            copy_for(users, engine.store.layout, composed.rootfs.layers, root)
        if request.keep:
            spec = composed.spec.named(container.container_id[:12])
            save_spec(container, spec.to_json(profile_json(engine.host, spec)))
    except BaseException as error:
        for volume_fd in volume_fds:
            os.close(volume_fd)
        engine.abandon(container, error)
        raise
    return Prepared(
        composed,
        Launch(
            container.container_id,
            container.directory,
            container.lock_fd,
            volume_fds,
            composed.wrapper,
        ),
    )


def _recall(engine: Engine, request: RunRequest, users: Users) -> Composed:
    """Give what was composed for the same request before, while all it was made of is the same.

    A plan holds nothing of one run, so a program that starts the same container again and again
    need not compose it again.
    """
    shown = request.options.security.privileged  # the machine's devices as they are at the moment
    believed = engine.store.layout.keeps_answers
    if request.is_path or users.kind == "range" or request.joins or shown or not believed:
        return compose(engine, request, users)
    sources = tuple(os.path.isdir(mount.source) for mount in request.options.mounts)
    place = _place(request)
    ingredients = (
        index_signature(engine.store.layout),
        machine_files_signature(),
        place,
        users,
        sources,
    )
    kept = engine.kept.get(request)
    if kept is None or kept[0] != ingredients:
        if len(engine.kept) >= _KEPT:
            engine.kept.clear()
        kept = engine.kept[request] = (ingredients, compose(engine, request, users))
    return kept[1]


def _place(request: RunRequest) -> str:
    """Tell where this process is among cgroups, which limits are planned for; "" without any."""
    options = request.options
    is_limited = options.limits.resources != _NO_RESOURCES or request.isolation == "sealed"
    if not is_limited and not options.devices and not options.security.cap_add:
        return ""
    from chrun.linux.cgroups import own_place

    return own_place()


def _users(engine: Engine, request: RunRequest) -> Users:
    rung, _notices = choose_rung(engine.host, request.isolation)
    return choose_users(engine.host, engine.store.layout, request.userns, rung)


def compose(engine: Engine, request: RunRequest, users: Users | None = None) -> Composed:
    """Work out what would run, and how; the image must be here. Changes nothing.

    `users` are those that the request asks for; a range among them must be claimed.
    """
    users = users or _users(engine, request)
    source = _find_source(engine, request, users)
    host = engine.host
    rung, options, notices = _choose_isolation(host, request)
    identity = _identity(source, request)
    maps = users.maps_for(host, identity)
    options, maps, ungranted = _settle(engine, options, rung, identity, maps)
    if options.mounts:
        from chrun.engine.mounting import resolve_mounts

        options = options.replace(mounts=resolve_mounts(engine, request, users))
    spec = make_spec(source.name, source.config, options, rung, identity, maps)
    rootfs, more = _choose_rootfs(engine, request, source, rung, users)
    filters, unfiltered = _plan_filters(engine, request, source, spec)
    spec, limited, unlimited = _limit(request, spec, host)
    plan = plan_container(
        spec,
        host,
        rootfs,
        keep=request.keep,
        filters=filters,
        map_programs=users.programs,
        limited=limited,
    )
    notices = engine.notices + notices + users.notices + ungranted + more + unfiltered + unlimited
    return Composed(source, spec, rootfs, plan, plan.encode(), rung, notices, limited.wrapper)


def _choose_isolation(host: Host, request: RunRequest) -> tuple[Rung, RunOptions, tuple[str, ...]]:
    """Leave out what this machine lacks and nobody asked for; most machines lack nothing."""
    rung, notices = choose_rung(host, request.isolation)
    if not host.lacks or rung == "chroot":
        return rung, request.options, notices
    from chrun.engine.descent import descend

    options, missing = descend(host, request.isolation, request.options)
    return rung, options, notices + missing


def _limit(request: RunRequest, spec: Spec, host: Host) -> tuple[Spec, Limited, tuple[str, ...]]:
    """Work out how the container's limits are put into force, if there are any."""
    if not spec.timeout_ms and spec.resources == _NO_RESOURCES and not spec.device_rules:
        return spec, UNLIMITED, ()
    from chrun.engine.limiting import settle_limits

    return settle_limits(spec, request.options.limits.resources, host)


def _plan_filters(
    engine: Engine, request: RunRequest, source: Source, spec: Spec
) -> tuple[tuple[Seccomp, ...], tuple[str, ...]]:
    """Give the filter steps; one that nobody asked for by name may be missing, with a word."""
    optional = request.isolation == "auto" and not request.options.security.seccomp
    architecture = source.config.architecture
    if lack := engine.host.lack_of("seccomp"):
        from chrun.engine.descent import without_filters

        return (), without_filters(lack, spec, optional=optional)
    return plan_filters(engine.store.layout, engine.host, spec, architecture, optional=optional)


def explain(engine: Engine, request: RunRequest) -> Composed:
    """Give what a run would be, without making anything but, if it is missing, the image."""
    users = _users(engine, request)
    _ensure_image(engine, request, users)
    if users.kind == "range":
        from chrun.engine.ranges import example_maps

        users = users.replace(maps=example_maps())
    with engine.store.hold(shared=True):
        return compose(engine, request, users)


def _ensure_image(engine: Engine, request: RunRequest, users: Users) -> None:
    """Pull what is missing, as --pull says; a pull locks for itself what it needs."""
    for mount in request.options.mounts:
        if mount.type == "image":
            _ensure_pulled(engine, request, mount.source, users)
    if request.is_path:
        if os.path.isfile(request.image):
            engine.open_archive(os.path.realpath(absolute(request.image)), users)
        return
    _ensure_pulled(engine, request, request.image, users)


def _ensure_pulled(engine: Engine, request: RunRequest, name: str, users: Users) -> None:
    if request.pull != "always":
        record = engine.find_image(name, request.platform, users.room)
        if record:
            engine.complete(record, users)  # it may have been pulled for other ids or privileges
        if record or request.pull == "never":
            return
    engine.pull(name, request.platform, users)


def _find_source(engine: Engine, request: RunRequest, users: Users) -> Source:
    if request.is_path:
        if request.platform:
            raise UsageError("cannot use --platform with a path: nothing tells which it is for")
        return _open_path(engine, request.image, users)
    record = engine.find_image(request.image, request.platform, users.room)
    if record is None:
        raise NoSuchImageError(
            f"cannot run {request.image}: it is not here",
            hint=f"chrun pull {request.image}",
        )
    layers = visible_layers(record.layers)
    return Source(record.reference, str(record.image_id), record.config, layers)


def _open_path(engine: Engine, path: str, users: Users) -> Source:
    if not os.path.exists(path):
        raise UsageError(f"cannot run {path}: no such file or directory")
    path = os.path.realpath(absolute(path))
    image_id, directory = "", path
    if not os.path.isdir(path):
        layer = engine.open_archive(path, users)
        image_id, directory = layer.image_id, layer.directory
    if os.path.isfile(f"{directory}/oci-layout"):
        raise UsageError(
            f"cannot run {path}: it holds images, expected a root file system",
            hint="a registry takes them: skopeo copy oci:DIRECTORY docker://HOST/NAME",
        )
    return Source(path, image_id, ImageConfig(()), (directory,))


def _identity(source: Source, request: RunRequest) -> Identity:
    passwd, group = (
        read_layer_file(source.layers, "etc", name, _MAX_PASSWD_BYTES)
        for name in ("passwd", "group")
    )
    user = request.user or source.config.user
    return resolve_identity(user, passwd, group, request.options.groups)


def _settle(
    engine: Engine, options: RunOptions, rung: Rung, identity: Identity, maps: IdMaps
) -> tuple[RunOptions, IdMaps, tuple[str, ...]]:
    """Work out what of the options depends on this machine, which few runs ask for."""
    plain = (options.security, options.namespaces) == _PLAIN
    if plain and not options.groups and not options.devices:
        return options, maps, ()
    from chrun.engine.settle import settle

    return settle(engine, options, rung, identity, maps)


def _choose_rootfs(
    engine: Engine, request: RunRequest, source: Source, rung: Rung, users: Users
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
    files = _files(request, rung, users) if rung != "chroot" else ()
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


def _files(request: RunRequest, rung: Rung, users: Users) -> tuple[MachineFile, ...]:
    single_id, asked = users.kind == "single", request.options.namespaces
    if asked == NamespaceOptions() and rung != "sealed":
        return machine_files(single_id=single_id)
    shut_in = asked.network == "none" or (rung == "sealed" and not asked.network)
    return machine_files(single_id=single_id, asked=asked, shut_in=shut_in)
