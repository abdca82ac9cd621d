"""chrun-init itself, driven with plans made by hand: no store, no image, no planner in between."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import chrun
from chrun.runtime.plan import Clone, Exec, Plan
from chrun.runtime.steps import (
    Base,
    Bind,
    Directory,
    IdMap,
    Link,
    Mount,
    MountBase,
    Node,
    PivotRoot,
    Propagation,
    Root,
    Symlink,
)
from tests.support.images import busybox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chrun.runtime.steps import Step

INIT = os.environ.get("CHRUN_TEST_INIT") or str(Path(chrun.__file__).with_name("chrun-init"))
IS_ROOT = os.geteuid() == 0
TIMEOUT_SECONDS = 20
CONTAINER_ID = "0123456789abcdef"
PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
NAMESPACES = ("mount", "pid", "ipc", "uts", "cgroup")
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
_NODES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}

# Leaks of a program that execs or exits are none; and a sanitizer's own status must stand out.
_SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=0:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99",
}


def unpack_busybox(directory: Path) -> None:
    """Unpack the official busybox, whose one layer has no whiteouts."""
    _config, layer = busybox().blobs
    subprocess.run(["tar", "-C", directory, "-xz"], input=layer, check=True)


def init_command(plan_fd: int, *words: str) -> list[str]:
    """Give the command line of chrun-init for a plan."""
    return [INIT, f"plan={plan_fd}", f"id={CONTAINER_ID}", *words]


def open_plan(plan: Plan | bytes) -> int:
    """Give an inheritable descriptor of a plan's bytes."""
    content = plan if isinstance(plan, bytes) else plan.encode()
    plan_fd = os.memfd_create("plan", 0)
    os.write(plan_fd, content)
    return plan_fd


def start_init(
    plan: Plan | bytes,
    *words: str,
    fds: Sequence[int] = (),
    wrapper: Sequence[str] = (),
    **options: object,
) -> subprocess.Popen[str]:
    """Start chrun-init, through a command that ends in its own; `fds` stay open in it."""
    plan_fd = open_plan(plan)
    piped = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        return subprocess.Popen(
            [*wrapper, *init_command(plan_fd, *words)],
            pass_fds=(plan_fd, *fds),
            env={**os.environ, **_SANITIZERS},
            text=True,
            errors="replace",
            **(piped | options),
        )
    finally:
        os.close(plan_fd)


def run_init(
    plan: Plan | bytes, *words: str, input: str | None = None, **options: object
) -> subprocess.CompletedProcess[str]:
    """Run chrun-init to its end."""
    if input is not None:
        options["stdin"] = subprocess.PIPE
    with start_init(plan, *words, **options) as process:
        out, err = process.communicate(input, timeout=TIMEOUT_SECONDS)
    assert "Sanitizer" not in (err or ""), err
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


class Box:
    """A root file system of layers, top first, and the plans of containers in it."""

    def __init__(self, directory: Path, *layers: Path) -> None:
        self.layers = layers
        self.base = directory / "base"
        self.base.mkdir()

    def build(self) -> list[Step]:
        """Give the steps from private mounts to the root directory."""
        steps: list[Step] = []
        if not IS_ROOT:
            steps.append(IdMap(f"0 {os.getuid()} 1", f"0 {os.getgid()} 1", True))
        steps += [Propagation(), Base(str(self.base), "mode=755"), Directory("root", 0o755)]
        steps += [Directory(name, 0o755) for name in ("upper", "work")]
        steps += [Symlink(str(layer), str(number)) for number, layer in enumerate(self.layers)]
        lowers = ":".join(map(str, range(len(self.layers))))
        options = f"lowerdir={lowers},upperdir=upper,workdir=work"
        if not IS_ROOT:
            options += ",userxattr"
        steps.append(MountBase("overlay", "root", 0, options, "mount the overlay", "layers"))
        return [*steps, Root("root", False)]

    def system(self) -> list[Step]:
        """Give the steps that mount /proc, /dev with its devices, and /dev/pts."""
        steps: list[Step] = [
            Mount("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""),
            Mount("tmpfs", "/dev", MS_NOSUID, "mode=755"),
        ]
        for name, minor in _NODES.items():
            if IS_ROOT:
                steps.append(Node(f"/dev/{name}", 0o666, 1, minor))
            else:
                steps.append(Bind(f"/dev/{name}", f"/dev/{name}", False, 0))
        devpts = "newinstance,ptmxmode=0666,mode=0620"
        steps.append(Mount("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, devpts))
        return [*steps, Link("pts/ptmx", "/dev/ptmx"), Link("/proc/self/fd", "/dev/fd")]

    def plan(
        self,
        *argv: str,
        inside: Sequence[Step] = (),
        after: Sequence[Step] = (),
        cleanup: Sequence[Step] = (),
        env: Sequence[str] = (PATH,),
        init: bool = False,
        leave_out: Sequence[str] = (),
    ) -> Plan:
        """Compose a plan: `inside` goes before pivot_root, `after` behind it."""
        namespaces = [name for name in NAMESPACES if name not in leave_out]
        if not IS_ROOT:
            namespaces.insert(0, "user")
        steps = (*self.build(), *self.system(), *inside, PivotRoot(), *after)
        command = Exec(argv, tuple(env), init) if argv else None
        return Plan(Clone(tuple(namespaces)), steps, command, tuple(cleanup))

    def run(self, *argv: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in a new container."""
        return run_init(self.plan(*argv, **options))

    def sh(self, script: str, **options: object) -> str:
        """Run a shell script that must succeed in a new container, and give its output."""
        done = self.run("sh", "-c", script, **options)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout
