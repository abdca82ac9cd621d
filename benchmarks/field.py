"""What is compared on: one image in a registry, its root file system, and everybody's command.

All contestants run the same static program in the same root file system, with own mount, pid,
ipc, uts and cgroup namespaces and the host's network. What else they do differs: bwrap binds the
root (no overlay) and masks nothing; runc and crun use their default configuration (no overlay, no
seccomp) without the network namespace; podman and docker do all that they do.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.measure import Case, works
from chrun.values import Value
from tests.support.docker_registry import docker_registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ORDINARY_UID = 61234
_HERE = Path(__file__).resolve().parent
_BWRAP = (
    "bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup",
    "--proc", "/proc", "--dev", "/dev", "--ro-bind", "/sys", "/sys",
)  # fmt: skip
# podman's own defaults are more than a root without CAP_SYS_RESOURCE may set
_PODMAN_LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
_SETTLE_SECONDS = 0.3  # both clean up behind their own end
_RIVALS_VERSIONS = ("bwrap", "runc", "crun", "podman", "docker")


class Field(Value):
    """Where everything lies: `image` is in the registry and, pulled, in both users' stores."""

    scratch: Path
    registry: str
    image: str

    @property
    def rootfs(self) -> Path:
        """The root file system that rivals without images run in."""
        return self.scratch / "bundle" / "rootfs"

    def home(self, uid: int) -> dict[str, str]:
        """Give the environment in which chrun uses the store of that user."""
        home = self.scratch / f"home-{uid}"
        return {"HOME": str(home), "CHRUN_HOME": str(home / "data"), "XDG_RUNTIME_DIR": str(home)}

    def chrun(self, name: str, *words: str, uid: int = 0) -> Case:
        """Give a case of chrun's command line."""
        return Case(name, ("chrun", *words), uid=uid, environment=self.home(uid))

    def bwrap(self, *words: str, uid: int = 0) -> list[str]:
        """Give bwrap's command line; an ordinary user needs a user namespace as well."""
        identity = ("--unshare-user", "--uid", "0", "--gid", "0") if uid else ()
        return [_BWRAP[0], *identity, "--bind", str(self.rootfs), "/", *_BWRAP[1:], *words]

    def podman(self, *words: str) -> list[str]:
        """Give podman's command line, with a storage of its own."""
        storage = self.scratch / "podman"
        return [
            "podman", "--root", str(storage), "--runroot", str(self.scratch / "podman-run"),
            "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs",
            "--events-backend", "none", *words,
        ]  # fmt: skip


@contextmanager
def open_field() -> Iterator[Field]:
    """Make the image, serve it and pull it into both users' stores."""
    with TemporaryDirectory(prefix="chrun-bench-") as name, docker_registry() as registry:
        scratch = Path(name)
        scratch.chmod(0o755)
        field = Field(scratch, registry.host, f"{registry.host}/probe")
        _make_bundle(field)
        # By another process: a large one would count as the peak memory of what it starts
        make_image = ["-m", "benchmarks.images", "probe", registry.url, str(field.rootfs)]
        subprocess.run([sys.executable, *make_image], check=True)
        for uid in (0, ORDINARY_UID):
            home = Path(field.home(uid)["HOME"])
            home.mkdir()
            os.chown(home, uid, uid)
            if not works(field.chrun("pull", "pull", field.image, uid=uid)):
                message = f"chrun pull {field.image} failed for uid {uid}"
                raise RuntimeError(message)
        try:
            yield field
        finally:
            _unmount_below(scratch)


def runtime_cases(field: Field) -> tuple[list[Case], list[str]]:
    """Give the cases, as root, of runtimes that get a root file system; the names of the others."""
    run_runc = ["--root", str(field.scratch / "runc"), "run", "--bundle", str(field.rootfs.parent)]
    run_crun = ["--root", str(field.scratch / "crun"), "run", "--bundle", str(field.rootfs.parent)]
    return sort_out(
        [
            Case("bwrap", field.bwrap("/bin/true")),
            Case("crun run", ["crun", *run_crun, "bench-crun"]),
            Case("runc run", ["runc", *run_runc, "bench-runc"]),
        ]
    )


def engine_cases(field: Field) -> tuple[list[Case], list[str]]:
    """Give the cases of the engines that run here, and the names of the others."""
    candidates = [
        Case(
            "podman run",
            field.podman(
                "run", "--rm", "--network", "host", "--log-driver", "none", *_PODMAN_LIMITS,
                "--rootfs", str(field.rootfs), "/bin/true",
            ),
            rounds=15,
            settle_seconds=_SETTLE_SECONDS,
        ),
        Case(
            "docker run", ["docker", "run", "--rm", "--network", "host", field.image],
            rounds=15,
            settle_seconds=_SETTLE_SECONDS,
        ),
    ]  # fmt: skip
    return sort_out(candidates)


def sort_out(candidates: Sequence[Case]) -> tuple[list[Case], list[str]]:
    """Give the cases that run here, and of the others the names."""
    running: list[Case] = []
    others: list[str] = []
    for case in candidates:
        if shutil.which(case.command[0]) is None:
            others.append(f"{case.name} (not installed)")
        elif not works(case):
            others.append(f"{case.name} (does not run here)")
        else:
            running.append(case)
    return running, others


def describe_machine() -> dict[str, str]:
    """Give what the figures depend on."""
    uname = os.uname()
    facts = {
        "kernel": f"{uname.sysname} {uname.release} {uname.machine}",
        "processors": str(os.cpu_count()),
        "python": f"{sys.version.split()[0]} ({os.path.realpath(sys.executable)})",
    }
    for name in _RIVALS_VERSIONS:
        if shutil.which(name):
            told = subprocess.run([name, "--version"], capture_output=True, text=True)
            facts[name] = told.stdout.partition("\n")[0].removeprefix(f"{name} ")
    return facts


def _make_bundle(field: Field) -> None:
    binaries = field.rootfs / "bin"
    binaries.mkdir(parents=True)
    for mount_point in ("proc", "dev", "sys", "tmp"):
        (field.rootfs / mount_point).mkdir()
    compiler = shutil.which("musl-gcc") or "gcc"
    probe = binaries / "true"
    subprocess.run([compiler, "-Os", "-s", "-static", "-o", probe, _HERE / "probe.c"], check=True)
    (binaries / "idle").hardlink_to(probe)
    if shutil.which("runc"):
        bundle = field.rootfs.parent
        subprocess.run(["runc", "spec", "--bundle", bundle], check=True)
        _adapt_spec(bundle / "config.json")


def _adapt_spec(path: Path) -> None:
    spec = json.loads(path.read_text())
    spec["process"]["terminal"] = False
    spec["process"]["args"] = ["/bin/true"]
    linux = spec["linux"]
    linux["namespaces"] = [each for each in linux["namespaces"] if each["type"] != "network"]
    linux["namespaces"].append({"type": "cgroup"})
    path.write_text(json.dumps(spec))


def _unmount_below(scratch: Path) -> None:
    for line in Path("/proc/mounts").read_text().splitlines():
        target = line.split(" ")[1]
        if target.startswith(f"{scratch}/"):
            subprocess.run(["umount", "--lazy", target])
