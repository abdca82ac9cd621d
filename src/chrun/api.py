"""The Python API: what the command line uses, in the shape of `subprocess`.

Everything here is safe to call from several threads at once.
"""

from __future__ import annotations

import os
import subprocess
from subprocess import CompletedProcess
from typing import TYPE_CHECKING, Literal, TypedDict, TypeVar, cast, overload

from chrun.api_options import (
    check_kinds,
    to_choice,
    to_limit,
    to_path,
    to_receipt,
    to_variables,
    to_words,
)
from chrun.engine.containers import prepare
from chrun.engine.devices import parse_devices
from chrun.engine.engine import Engine
from chrun.engine.mounts import parse_mounts
from chrun.engine.request import (
    ISOLATIONS,
    PULL_POLICIES,
    USERNS_MODES,
    RunRequest,
    parse_hostname,
)
from chrun.engine.running import Running, Streams
from chrun.oci import options as oci
from chrun.store.layout import absolute, default_root
from chrun.values import Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike
    from typing import Unpack

    from chrun.engine.progress import Progress
    from chrun.engine.request import Isolation, PullPolicy, UserNamespace
    from chrun.engine.running import Stream
    from chrun.store.records import ImageRecord

_engines: dict[str, Engine] = {}  # one for each data directory: opening one reads the machine


class Image(Value):
    """An image in the store.

    `reference` is canonical; `digest` the manifest's; `image_id` the configuration's; `platform`
    such as linux/amd64; `size` in bytes, as the registry serves it.
    """

    reference: str
    digest: str
    image_id: str
    platform: str
    size: int


Output = TypeVar("Output")


class Completed(CompletedProcess[Output]):
    """What `run` gives: `out_of_memory` says that the kernel killed a process for the lack of it.

    It had used up what `memory` allowed; the exit status alone, 137, does not tell.
    """

    out_of_memory: bool = False


class Limits(TypedDict, total=False):
    """What a container may use: as the command line's flags of these names have it.

    Sizes are bytes, or texts such as "512m".
    """

    memory: str | int
    memory_swap: str | int
    cpus: float
    cpu_quota: int
    cpu_period: int
    cpu_shares: int
    cpuset_cpus: str
    pids_limit: int
    ulimit: Sequence[str]
    shm_size: str | int
    blkio_weight: int
    device_read_bps: Sequence[str]
    device_write_bps: Sequence[str]
    device_read_iops: Sequence[str]
    device_write_iops: Sequence[str]


class Walls(TypedDict, total=False):
    """What a container may do and what it shares: as the flags of these names have it."""

    cap_add: Sequence[str]
    cap_drop: Sequence[str]
    privileged: bool
    security_opt: Sequence[str]
    network: str
    pid: str
    ipc: str
    uts: str
    cgroupns: str
    sysctl: Sequence[str]
    add_host: Sequence[str]
    dns: Sequence[str]
    dns_search: Sequence[str]
    dns_option: Sequence[str]
    group_add: Sequence[str]
    userns: UserNamespace


class RunOptions(Limits, Walls, total=False):
    """The options of `run`; those that subprocess has not are named as on the command line.

    `volumes` are "source:target[:ro]", `tmpfs` "target[:options]", `mounts` "type=bind,source=...",
    `devices` "source[:target[:rwm]]"; `scratch_bytes` keeps what the
    container writes in memory, up to so many bytes; `root` is the data directory. `receipt` is a
    file for what the kernel enforces, `require` the facts that it must show.
    """

    stdin: Stream
    stdout: Stream
    stderr: Stream
    capture_output: bool
    timeout: float | None
    check: bool
    env: Mapping[str, str] | None
    working_dir: str | PathLike[str]
    user: str
    hostname: str
    entrypoint: Sequence[str]
    volumes: Sequence[str]
    tmpfs: Sequence[str]
    mounts: Sequence[str]
    devices: Sequence[str]
    readonly: bool
    init: bool
    isolation: Isolation
    receipt: str | PathLike[str]
    require: Sequence[str]
    scratch_bytes: int
    pull: PullPolicy
    platform: str
    root: str | PathLike[str]


def pull(image: str, *, platform: str = "", root: str | PathLike[str] = "") -> Image:
    """Fetch an image from its registry and give what is in the store now.

    `root` is the data directory, "" the user's own. Raises InvalidReferenceError, RegistryError,
    ContentError, StoreError. Distribution-spec, section "Pull".
    """
    check_kinds({"image": image, "platform": platform})
    return _image(_engine(root).pull(image, platform))


def images(*, root: str | PathLike[str] = "") -> tuple[Image, ...]:
    """Give the images in the store, in the order of their names."""
    from chrun.engine.images import list_images

    return tuple(map(_image, list_images(_engine(root).store)))


@overload
def run(
    image: str,
    args: Sequence[str] = (),
    *,
    text: Literal[True],
    input: str | None = None,
    **options: Unpack[RunOptions],
) -> Completed[str]: ...
@overload
def run(
    image: str,
    args: Sequence[str] = (),
    *,
    text: Literal[False] = False,
    input: bytes | None = None,
    **options: Unpack[RunOptions],
) -> Completed[bytes]: ...
def run(
    image: str,
    args: Sequence[str] = (),
    *,
    text: bool = False,
    input: str | bytes | None = None,  # noqa: A002 - the name that subprocess.run has
    **options: Unpack[RunOptions],
) -> Completed[str] | Completed[bytes]:
    """Run a command in a container of its own and wait for it, as `subprocess.run` does.

    `image` is what `chrun run` takes: a reference, an image ID, or a path. `stdin`, `stdout`,
    `stderr`, `capture_output`, `input`, `text`, `timeout` (seconds) and `check` mean what they
    mean for subprocess; the other options are `chrun run`'s, `env` is added to the image's
    environment. The container is gone, with all that it wrote outside volumes, when this returns
    or raises.

    Raises CommandNotFoundError, CommandNotExecutableError, SandboxError, RequirementError (the
    kernel does not show what `require` names, and nothing was run) and other ChrunErrors;
    subprocess.TimeoutExpired; subprocess.CalledProcessError with `check`.
    """
    check_kinds({"image": image, "text": text, **options})
    request = _request(image, args, options)
    streams = _streams(options, has_input=input is not None, text=text)
    engine = _engine(options.get("root", ""))
    command = [image, *args]
    try:
        with _start(engine, request, streams) as running:
            running.look(request)
            output, errors = running.communicate(input, options.get("timeout"))
    except subprocess.TimeoutExpired as error:
        # what the caller said, not how chrun-init was called and what was left of the time
        error.cmd, error.timeout = command, options.get("timeout") or 0
        raise
    completed = Completed(command, running.exit_status(), output, errors)
    if running.expired_seconds is not None:  # a limit of the rung's, not of this call
        raise subprocess.TimeoutExpired(command, running.expired_seconds, output, errors)
    completed.out_of_memory = running.out_of_memory
    if options.get("check"):
        completed.check_returncode()
    return cast("Completed[bytes]", completed)  # or of str: `text` tells, as overloaded


def _start(engine: Engine, request: RunRequest, streams: Streams) -> Running:
    streams.check()
    init_fd = engine.open_init()
    try:
        prepared = prepare(engine, request)
        try:
            gated = bool(request.receipt or request.require)
            return Running(prepared, init_fd, streams, gated=gated)
        except BaseException:
            engine.clear_up()  # the container's directory, which is nobody's now
            raise
    finally:
        os.close(init_fd)


def _streams(options: RunOptions, *, has_input: bool, text: bool) -> Streams:
    """Give the standard streams; ValueError for contradictions, as subprocess.run has it."""
    stdin, stdout, stderr = options.get("stdin"), options.get("stdout"), options.get("stderr")
    if has_input:
        if stdin is not None:
            raise ValueError("stdin and input arguments may not both be used")
        stdin = subprocess.PIPE
    if options.get("capture_output"):
        if stdout is not None or stderr is not None:
            raise ValueError("stdout and stderr arguments may not be used with capture_output")
        stdout = stderr = subprocess.PIPE
    return Streams(stdin, stdout, stderr, text)


def _request(image: str, args: Sequence[str], options: RunOptions) -> RunRequest:
    if unknown := options.keys() - RunOptions.__annotations__.keys():
        raise TypeError(f"run() got an unexpected keyword argument {min(unknown)!r}")
    entrypoint = options.get("entrypoint")
    tmpfs = to_words("tmpfs", options.get("tmpfs", ()))
    volumes = to_words("volumes", options.get("volumes", ()))
    asked = oci.RunOptions(
        args=to_words("args", args),
        entrypoint=None if entrypoint is None else to_words("entrypoint", entrypoint),
        env=to_variables(options.get("env")),
        working_dir=to_path("working_dir", options.get("working_dir", "")),
        hostname=parse_hostname(options.get("hostname", "")),
        groups=to_words("group_add", options.get("group_add", ())),
        mounts=parse_mounts(tmpfs, volumes, to_words("mounts", options.get("mounts", ()))),
        devices=parse_devices(to_words("devices", options.get("devices", ()))),
        readonly=options.get("readonly", False),
        init=options.get("init", False),
        security=_security(options),
        namespaces=_namespaces(options),
        limits=_limits(options),
    )
    return RunRequest(
        image=image,
        options=asked,
        user=options.get("user", ""),
        isolation=to_choice("isolation", options.get("isolation", "auto"), ISOLATIONS),
        scratch_bytes=options.get("scratch_bytes", 0),
        pull=to_choice("pull", options.get("pull", "missing"), PULL_POLICIES),
        platform=options.get("platform", ""),
        userns=_users(options),
        receipt=to_receipt(options["receipt"]) if "receipt" in options else "",
        require=_facts(options.get("require", ())),
    )


def _security(options: RunOptions) -> oci.SecurityOptions:
    if not options.keys() & {"cap_add", "cap_drop", "privileged", "security_opt"}:
        return oci.SecurityOptions()
    from chrun.engine.security import parse_security

    return parse_security(
        cap_add=to_words("cap_add", options.get("cap_add", ())),
        cap_drop=to_words("cap_drop", options.get("cap_drop", ())),
        privileged=options.get("privileged", False),
        security_opt=to_words("security_opt", options.get("security_opt", ())),
    )


def _namespaces(options: RunOptions) -> oci.NamespaceOptions:
    if not options.keys() & Walls.__annotations__.keys():
        return oci.NamespaceOptions()
    from chrun.engine.namespaces import parse_namespaces

    modes = {
        "network": options.get("network"),
        "pid": options.get("pid"),
        "ipc": options.get("ipc"),
        "uts": options.get("uts"),
        "cgroup": options.get("cgroupns"),
    }
    return parse_namespaces(
        modes={name: mode for name, mode in modes.items() if mode is not None},
        sysctls=to_words("sysctl", options.get("sysctl", ())),
        add_host=to_words("add_host", options.get("add_host", ())),
        dns=to_words("dns", options.get("dns", ())),
        dns_search=to_words("dns_search", options.get("dns_search", ())),
        dns_option=to_words("dns_option", options.get("dns_option", ())),
    )


def _limits(options: RunOptions) -> oci.LimitOptions:
    given = {name: content for name, content in options.items() if name in Limits.__annotations__}
    if not given:
        return oci.LimitOptions()
    from chrun.engine.limits import parse_limits

    return parse_limits({name.replace("_", "-"): to_limit(name, given[name]) for name in given})


def _facts(given: Sequence[str]) -> tuple[str, ...]:
    """Refuse an unknown fact before anything is started."""
    words = to_words("require", given)
    if words:
        from chrun.engine.require import parse_facts

        parse_facts(words)
    return words


def _users(options: RunOptions) -> UserNamespace | Literal[""]:
    given = options.get("userns")
    return "" if given is None else to_choice("userns", given, USERNS_MODES)


def _engine(given: str | PathLike[str]) -> Engine:
    path = to_path("root", given)
    root = absolute(path) if path else default_root()
    engine = _engines.get(root)
    if engine is None:
        return _engines.setdefault(root, Engine(root, _no_progress))
    engine.reopen()
    return engine


def _no_progress() -> Progress:
    from chrun.engine.progress import Silent

    return Silent()


def _image(record: ImageRecord) -> Image:
    return Image(
        record.reference,
        str(record.manifest_digest),
        str(record.image_id),
        str(record.config.platform),
        record.size,
    )
