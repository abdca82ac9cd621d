"""The same flags, the same sights: the probe in chrun beside runc and podman.

Podman is given the very same words; for runc, which has no flags, its own default configuration is
edited as docker would. What may differ is the table of docs/reference/compared-to-docker.md.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from chrun.linux import caps
from tests.support.compare import differences, read_table, stale, unexplained
from tests.support.needs import needs
from tests.support.probe import CALLS, PROBE_PATH, look, parse_seen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.chrun import Chrun

    Config = dict[str, Any]
    Differences = dict[str, tuple[object, object]]

pytestmark = needs("busybox", "overlay")

_DOCUMENT = "reference/compared-to-docker.md"
_TIMEOUT_SECONDS = 60
_IS_ROOT = os.geteuid() == 0
_LIMIT_FILES = ("memory/memory.limit_in_bytes", "pids/pids.max", "memory.max", "pids.max")
_WORDS = (
    *(f"call={name}" for name in CALLS),
    *(f"text=/sys/fs/cgroup/{name}" for name in _LIMIT_FILES),
)
_DEFAULT = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
)  # fmt: skip


def _grant(*names: str) -> Callable[[Config], None]:
    def edit(config: Config) -> None:
        sets = ("bounding", "effective", "permitted")
        config["process"]["capabilities"] = {key: list(names) for key in sets}

    return edit


def _become(uid: int, gid: int) -> Callable[[Config], None]:
    def edit(config: Config) -> None:
        config["process"]["user"] = {"uid": uid, "gid": gid, "additionalGids": [gid]}
        config["process"]["capabilities"] = {"bounding": list(_DEFAULT)}

    return edit


def _set(part: str, **fields: object) -> Callable[[Config], None]:
    return lambda config: config[part].update(fields)


def _mount(target: str, kind: str, source: str, *options: str) -> Callable[[Config], None]:
    entry = {"destination": target, "type": kind, "source": source, "options": list(options)}
    return lambda config: config["mounts"].append(entry)


def _limit(config: Config) -> None:
    config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]


def _limit_resources(config: Config) -> None:
    config["linux"]["resources"].update(memory={"limit": 64 << 20}, pids={"limit": 50})


def _own_network(config: Config) -> None:
    config["linux"]["namespaces"].append({"type": "network"})


def _add_variable(config: Config) -> None:
    config["process"]["env"].append("A=b c")


def _add_device(config: Config) -> None:
    device = {"path": "/dev/nothing", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666}
    config["linux"]["devices"] = [{**device, "uid": 0, "gid": 0}]


def _bind_device(config: Config) -> None:
    _mount("/dev/nothing", "bind", "/dev/zero", "bind")(config)


_PROFILE = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["keyctl", "bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}],
}
# The words for chrun and podman, and the same for runc
CASES: dict[str, tuple[tuple[str, ...], Callable[[Config], None]]] = {
    "plain": ((), lambda _config: None),
    "user": (("-u", "33:44"), _become(33, 44)),
    "add": (("--cap-add", "NET_ADMIN", "--cap-drop", "chown"),
            _grant(*(name for name in (*_DEFAULT, "CAP_NET_ADMIN") if name != "CAP_CHOWN"))),
    "drop all": (("--cap-drop", "ALL"), _grant()),
    "read-only": (("--read-only",), _set("root", readonly=True)),
    "volume": (("-v", "{volume}:/v:ro"), _mount("/v", "bind", "{volume}", "rbind", "rro")),
    "tmpfs": (("--tmpfs", "/t:size=1m,mode=700"),
              _mount("/t", "tmpfs", "tmpfs", "noexec", "nosuid", "nodev", "size=1m", "mode=700")),
    "host name": (("--hostname", "some"), lambda config: config.update(hostname="some")),
    "directory": (("-w", "/etc"), _set("process", cwd="/etc")),
    "variable": (("-e", "A=b c"), _add_variable),
    "ulimit": (("--ulimit", "nofile=100:200"), _limit),
    "no network": (("--network", "none"), _own_network),
    "device": (("--device", "/dev/zero:/dev/nothing"),
               _add_device if _IS_ROOT else _bind_device),
    "resources": (("--memory", "64m", "--pids-limit", "50"), _limit_resources),
    "privileged": (("--privileged",), lambda _config: None),
    "machine's namespaces": (("--pid", "host", "--uts", "host"), lambda _config: None),
    "machine's ipc": (("--ipc", "host"), lambda _config: None),
    "mounts": (("--mount", "type=tmpfs,target=/m,tmpfs-size=1m,tmpfs-mode=700",
                "--mount", "type=bind,source={volume},target=/v,readonly",
                "-v", "{volume}:/w:nosuid,noexec"), lambda _config: None),
    "settings": (("--shm-size", "2m", "--sysctl", "kernel.msgmax=4096"), lambda _config: None),
    "profile": (("--security-opt", "seccomp={profile}"), lambda _config: None),
    "processors": (("--cpus", "0.5", "--cpuset-cpus", "0"), lambda _config: None),
    "groups": (("--group-add", "4711"), lambda _config: None),
    "no new privileges": (("--security-opt", "no-new-privileges"), lambda _config: None),
    "privileges": (("--security-opt", "no-new-privileges=false"),
                   _set("process", noNewPrivileges=False)),
}  # fmt: skip
# What cannot be had here: of runc what its configuration has no one word for; another user, groups,
# the machine's /dev/mqueue and cgroups for an ordinary user; and limits that podman would raise
_PODMANS = {"privileged", "machine's namespaces", "machine's ipc", "mounts", "settings", "profile",
            "processors", "groups"}  # fmt: skip
_OF_ROOT = {"user", "resources", "machine's ipc", "processors", "groups"}
_BEYOND = {"runc": set(CASES) & _PODMANS, "podman": set[str]()}
if not _IS_ROOT:
    _BEYOND = {tool: cases | _OF_ROOT for tool, cases in _BEYOND.items()}
elif not caps.has(caps.effective_mask(), "CAP_SYS_RESOURCE"):
    _BEYOND["podman"].add("ulimit")


class Pairs:
    """Runs in chrun and in its neighbours, each played once."""

    def __init__(self, chrun: Chrun, root: Path, scratch: Path, env: dict[str, str]) -> None:
        self.chrun, self.root, self.scratch, self.env = chrun, root, scratch, env
        self.volume = scratch / "volume"
        self.volume.mkdir()
        self.profile = scratch / "profile"
        self.profile.write_text(json.dumps(_PROFILE))
        self._found: dict[tuple[str, str], Differences] = {}

    def compare(self, tool: str, case: str) -> Differences:
        """Give how what is seen in the other differs from what is seen in chrun."""
        if (tool, case) not in self._found:
            words, edit = CASES[case]
            flags = [
                word.replace("{volume}", str(self.volume)).replace("{profile}", str(self.profile))
                for word in words
            ]
            theirs = self._runc(case, edit) if tool == "runc" else self._podman(flags)
            if tool == "runc":  # which has no filter of its own
                flags += ["--security-opt", "seccomp=unconfined"]
            ours = look(self.chrun, *flags, image=self.root, words=_WORDS)
            self._found[tool, case] = differences(ours, parse_seen(theirs))
        return self._found[tool, case]

    def _runc(self, case: str, edit: Callable[[Config], None]) -> str:
        bundle = self.scratch / "bundles" / case
        bundle.mkdir(parents=True)
        rootless = () if _IS_ROOT else ("--rootless",)
        subprocess.run(["runc", "spec", *rootless, "--bundle", bundle], check=True)
        config = json.loads((bundle / "config.json").read_text())
        config["root"] = {"path": str(self.root), "readonly": False}
        config["process"].update(
            terminal=False,
            args=[PROBE_PATH, *_WORDS],
            env=[entry for entry in config["process"]["env"] if not entry.startswith("TERM=")],
            rlimits=[],
            noNewPrivileges=True,
        )
        _grant(*_DEFAULT)(config)
        namespaces = config["linux"]["namespaces"]
        config["linux"]["namespaces"] = [
            *(each for each in namespaces if each["type"] not in {"network", "cgroup"}),
            {"type": "cgroup"},
        ]
        edit(config)
        text = json.dumps(config).replace("{volume}", str(self.volume))
        (bundle / "config.json").write_text(text)
        state = str(self.scratch / "state")
        return _run(
            ["runc", "--root", state, "run", "--bundle", str(bundle), f"c{os.getpid()}"], os.environ
        )

    def _podman(self, flags: list[str]) -> str:
        own = () if "--network" in flags else ("--network", "host")
        limits = () if "--ulimit" in flags else ("--ulimit", "host")
        command = ["podman", "run", "--rm", "--http-proxy=false", *own, *limits, *flags]
        return _run([*command, "--rootfs", f"{self.root}:O", PROBE_PATH, *_WORDS], self.env)


def _run(command: list[str], env: Any) -> str:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=env,
        timeout=_TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def pairs(
    own_chrun: Chrun,
    probe_dir: Path,
    podman_env: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Pairs:
    return Pairs(own_chrun, probe_dir, tmp_path_factory.mktemp("beside"), podman_env)


def _cases(tool: str) -> list[str]:
    return [case for case in CASES if case not in _BEYOND[tool]]


def _param(tool: str, *more: str) -> object:
    return pytest.param(tool, *more, marks=needs(tool))


@pytest.mark.parametrize(
    ("tool", "case"), [_param(tool, case) for tool in _BEYOND for case in _cases(tool)]
)
def test_the_same_flags_show_the_same(pairs, tool, case):
    found = pairs.compare(tool, case)
    assert unexplained(found, read_table(_DOCUMENT, tool)) == {}


@pytest.mark.parametrize("tool", [_param(tool) for tool in _BEYOND])
def test_no_row_of_the_table_is_about_nothing(pairs, tool):
    found = {name for case in _cases(tool) for name in pairs.compare(tool, case)}
    assert stale(found, read_table(_DOCUMENT, tool)) == []
