"""The probe: a small static program that tells what a process in a container sees.

    seen = look(chrun, "--read-only", probe_dir)      # chrun run --read-only probe_dir /probe
    assert seen.capabilities["effective"] == frozenset()
    assert "ro" in seen.mount("/").options

`tests/support/probe_program` asks the kernel. Words behind the image reach it: `path=PATH` adds to
`paths`, `text=PATH` to `texts`, `call=NAME` (or a number, with `:ARGUMENT,...`) to `calls`.
"""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

from chrun.linux import caps
from chrun.values import Value
from tests.support import images
from tests.support.box import unpack_busybox

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from tests.support.chrun import Chrun
    from tests.support.images import Layer

PROBE_PATH = "/probe"
_SOURCES = sorted(Path(__file__).with_name("probe_program").glob("*.c"))
_FLAGS = ("-std=c11", "-Os", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-static")

# setrlimit(2)'s resources in the order of their numbers
LIMITS = (
    "cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "locks",
    "sigpending", "msgqueue", "nice", "rtprio", "rttime",
)  # fmt: skip
# System calls that the probe knows by name, and that few programs need
CALLS = (
    "mount", "umount2", "pivot_root", "unshare", "setns", "clone3", "keyctl", "add_key",
    "request_key", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "open_by_handle_at",
    "name_to_handle_at", "kexec_load", "init_module", "delete_module", "ptrace",
    "process_vm_readv", "personality", "reboot", "swapon", "acct", "settimeofday",
    "clock_settime", "fsopen", "fsmount", "open_tree", "move_mount", "mount_setattr", "quotactl",
    "syslog", "chroot", "sethostname", "mknodat", "fchownat", "getpid",
)  # fmt: skip
_ALL_SIGNALS = range(1, 65)


class SeenMount(Value):
    """One line of mountinfo: `options` are the mount's, `super_options` the file system's.

    `propagation` are words such as "shared", without the number of the peer group.
    """

    target: str
    fstype: str
    source: str
    root: str
    options: frozenset[str]
    super_options: frozenset[str]
    propagation: frozenset[str] = frozenset()


class SeenDevice(Value):
    """One name in /dev: its kind as `ls -l` has it ("f" a file), numbers, mode and owners."""

    kind: str
    major: int
    minor: int
    mode: int
    uid: int
    gid: int


class SeenPath(Value):
    """What can be done to a path that is there.

    `content` is the number of a directory's entries, 1 for a file that has a byte, and -errno for
    what cannot be read; `write_errno` 0 means that writing would be possible.
    """

    kind: str
    content: int
    write_errno: int
    mode: int
    uid: int
    gid: int
    major: int
    minor: int


class Seen(Value):
    """Everything that the probe saw; errnos are 0 for success, -n for an end by signal n."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    hostname: str
    uids: tuple[int, ...]  # real, effective, saved
    gids: tuple[int, ...]
    groups: tuple[int, ...]
    capabilities: Mapping[str, frozenset[str]]
    process: Mapping[str, int]  # pid ppid pgrp session umask no_new_privs dumpable nice terminal
    limits: Mapping[str, tuple[int, int]]  # soft and hard; -1 is no limit
    namespaces: Mapping[str, str]
    descriptors: Mapping[int, str]
    devices: Mapping[str, SeenDevice]
    paths: Mapping[str, SeenPath]
    sockets: Mapping[str, int]
    attempts: Mapping[str, int]
    calls: Mapping[str, int]
    texts: Mapping[str, str]  # files of /proc and /etc, by their path
    mounts: tuple[SeenMount, ...]

    def mount(self, target: str) -> SeenMount:
        """Give what is mounted at a path, the topmost where there are several; LookupError."""
        found = [mount for mount in self.mounts if mount.target == target]
        if not found:
            message = f"nothing is mounted on {target}"
            raise LookupError(message)
        return found[-1]

    def status(self, name: str) -> str:
        """Give a field of /proc/self/status: `seen.status("Seccomp")`."""
        for line in self.texts["/proc/self/status"].splitlines():
            key, _, content = line.partition(":")
            if key == name:
                return content.strip()
        message = f"/proc/self/status has no {name}"
        raise LookupError(message)

    @property
    def seccomp(self) -> tuple[int, int]:
        """The mode (2: filtered) and the number of filters."""
        return int(self.status("Seccomp")), int(self.status("Seccomp_filters"))

    @property
    def interfaces(self) -> tuple[str, ...]:
        """The network interfaces, by name."""
        lines = self.texts["/proc/self/net/dev"].splitlines()[2:]
        return tuple(sorted(line.partition(":")[0].strip() for line in lines))

    @property
    def uid_map(self) -> tuple[tuple[int, ...], ...]:
        """The lines of uid_map: first id inside, first id outside, how many."""
        return _numbers(self.texts["/proc/self/uid_map"])

    @property
    def gid_map(self) -> tuple[tuple[int, ...], ...]:
        """The lines of gid_map."""
        return _numbers(self.texts["/proc/self/gid_map"])

    @property
    def blocked_signals(self) -> frozenset[int]:
        """The signal mask."""
        return _signals(self.status("SigBlk"))

    @property
    def ignored_signals(self) -> frozenset[int]:
        """The signals that are ignored."""
        return _signals(self.status("SigIgn"))


@cache
def probe_program() -> bytes:
    """Give the compiled probe: a static program."""
    compiler = shutil.which("musl-gcc") or "gcc"
    with TemporaryDirectory(prefix="probe-") as scratch:
        program = Path(scratch, "probe")
        subprocess.run([compiler, *_FLAGS, "-s", "-o", program, *_SOURCES], check=True)
        return program.read_bytes()


@cache
def probe_layers() -> tuple[Layer, Layer]:
    """Give layers of busybox, and of the probe, for an image."""
    probe = images.layer({PROBE_PATH[1:]: images.file(probe_program(), 0o755)})
    _config, below = images.busybox().blobs
    return images.layer(gzip.decompress(below)), probe


def make_probe_rootfs(directory: Path) -> Path:
    """Make a root file system with busybox and the probe, to be run as a directory."""
    directory.mkdir()
    unpack_busybox(directory)
    probe = directory / PROBE_PATH[1:]
    probe.write_bytes(probe_program())
    probe.chmod(0o755)
    return directory


def look(
    chrun: Chrun, *flags: str, image: str | os.PathLike[str], words: tuple[str, ...] = ()
) -> Seen:
    """Run the probe in a container with these flags of `chrun run`, and give what it sees."""
    return parse_seen(chrun("run", *flags, str(image), PROBE_PATH, *words).stdout)


def parse_seen(output: str) -> Seen:
    """Read what the probe printed."""
    fields = cast("dict[str, object]", _as_bytes_were(json.loads(output)))
    texts = cast("dict[str, str]", fields["texts"])
    env = cast("list[str]", fields["env"])
    capabilities = cast("dict[str, int]", fields["capabilities"])
    devices = cast("dict[str, list[int]]", fields["devices"])
    paths = cast("dict[str, list[int]]", fields["paths"])
    limits = cast("list[list[int]]", fields["limits"])
    as_they_are = ("cwd", "hostname", "process", "namespaces", "sockets", "attempts", "calls")
    return Seen(
        **{name: fields[name] for name in as_they_are},
        **{name: tuple(cast("list[int]", fields[name])) for name in ("argv", "uids", "gids")},
        groups=tuple(sorted(cast("list[int]", fields["groups"]))),
        env=dict(entry.partition("=")[::2] for entry in env),
        capabilities={name: capability_names(mask) for name, mask in capabilities.items()},
        limits={name: (soft, hard) for name, (soft, hard) in zip(LIMITS, limits, strict=True)},
        descriptors={
            int(number): target
            for number, target in cast("dict[str, str]", fields["descriptors"]).items()
        },
        devices={name: SeenDevice(*facts) for name, facts in devices.items()},
        paths={name: SeenPath(*facts) for name, facts in paths.items()},
        texts=texts,
        mounts=parse_mounts(texts.get("/proc/self/mountinfo", "")),
    )


def parse_mounts(mountinfo: str) -> tuple[SeenMount, ...]:
    """Read /proc/PID/mountinfo (proc_pid_mountinfo(5))."""
    mounts: list[SeenMount] = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        _id, _parent, _device, root, target, options, *tags = left.split(" ")
        fstype, source, super_options = right.split(" ")
        words = frozenset(options.split(",")), frozenset(super_options.split(","))
        propagation = frozenset(tag.partition(":")[0] for tag in tags if tag)
        mounts.append(SeenMount(_unescape(target), fstype, source, root, *words, propagation))
    return tuple(mounts)


def capability_names(mask: int) -> frozenset[str]:
    """Give the names of capabilities(7) in a bit mask; CAP_63 for a number without a name."""
    named = dict(enumerate(caps.NAMES))
    return frozenset(named.get(bit, f"CAP_{bit}") for bit in range(64) if mask >> bit & 1)


def _numbers(lines: str) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(map(int, line.split())) for line in lines.splitlines())


def _signals(mask: str) -> frozenset[int]:
    return frozenset(number for number in _ALL_SIGNALS if int(mask, 16) >> (number - 1) & 1)


def _unescape(text: str) -> str:
    """Undo the octal escapes of mountinfo."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def _as_bytes_were(content: object) -> object:
    """Make of one character for each byte the text that Python has for such bytes."""
    if isinstance(content, str):
        return content.encode("latin-1").decode(errors="surrogateescape")
    if isinstance(content, list):
        return [_as_bytes_were(item) for item in content]
    if isinstance(content, dict):
        return {str(_as_bytes_were(key)): _as_bytes_were(item) for key, item in content.items()}
    return content
