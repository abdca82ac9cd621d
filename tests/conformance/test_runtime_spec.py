"""config.json of kept containers and of bundles: what the runtime specification says it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.compare import differences, read_table, unexplained
from tests.support.needs import needs
from tests.support.probe import PROBE_PATH, look, parse_seen
from tests.support.runtime_spec import faults

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.chrun import Chrun

pytestmark = needs("busybox", "overlay")

_RUNS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "words": ("-e", "A=\u00e9\n", "-w", "/etc", "--hostname", "some"),
    "mounts": ("-v", "{volume}:/v:ro,nosuid", "--tmpfs", "/t:size=1m,mode=700", "--read-only"),
    "limits": ("--ulimit", "nofile=10:20", "--ulimit", "core=-1", "--timeout", "9s"),
    "capabilities": ("--cap-drop", "ALL", "--cap-add", "NET_ADMIN"),
    "namespaces": ("--isolation", "namespaces", "--network", "none", "--init"),
    "sysctl": ("--network", "none", "--sysctl", "net.ipv4.ip_forward=1"),
    "no filter": ("--security-opt", "seccomp=unconfined"),
    "device": ("--device", "/dev/zero:/dev/nothing"),
    "privileged": ("--privileged",),
}
_RUNS_OF_ROOT = {
    "user": ("-u", "33:44", "--group-add", "7"),
    "resources": ("--memory", "64m", "--cpus", "0.5", "--pids-limit", "50", "--cpu-shares", "9"),
    "a range": ("--userns", "auto"),
    "chroot": ("--isolation", "chroot"),
}
_ALL = _RUNS | (_RUNS_OF_ROOT if os.geteuid() == 0 else {})


def test_a_document_that_is_none_has_faults():
    wrong = {
        "root": {"path": 1},
        "process": {"cwd": "/", "user": {"uid": -1}, "rlimits": [{"type": "RLIMIT_CORE"}]},
        "linux": {"namespaces": [{"type": "net"}], "maskedPaths": "/proc", "sysctl": {"a": 1}},
        "extra": 1,
    }
    assert sorted(faults(wrong)) == [
        "config.extra is unknown",
        "config.linux.maskedPaths is no array",
        "config.linux.namespaces[0].type is 'net'",
        "config.linux.sysctl.a is 1",
        "config.ociVersion is missing",
        "config.process.rlimits[0].hard is missing",
        "config.process.rlimits[0].soft is missing",
        "config.process.user.uid is -1, not from 0 to 4294967295",
        "config.root.path is 1",
    ]


@pytest.mark.parametrize("name", _ALL)
def test_a_kept_containers_config_is_of_the_specification(own_chrun, probe_dir, tmp_path, name):
    flags = [flag.replace("{volume}", str(tmp_path)) for flag in _ALL[name]]
    config = json.loads((_keep(own_chrun, *flags, image=probe_dir) / "config.json").read_text())
    assert faults(config) == []
    assert not any("%h" in entry for entry in config["process"]["env"])


@needs("root", "runc")
@pytest.mark.parametrize("name", ["plain", "words", "capabilities", "sysctl", "user"])
def test_runc_runs_a_kept_containers_config(own_chrun, probe_dir, tmp_path, name):
    kept = _keep(own_chrun, *_ALL[name], image=probe_dir)
    shutil.copy(kept / "config.json", tmp_path)
    shutil.copytree(probe_dir, tmp_path / "rootfs", symlinks=True)
    command = ["runc", "--root", f"{tmp_path}/state", "run", "--bundle", tmp_path, "kept"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = differences(look(own_chrun, *_ALL[name], image=probe_dir), parse_seen(done.stdout))
    rows = read_table("reference/exports.md", "oci")
    # What a bundle has beside config.json: the machine's names, and groups of terminals
    beside = {"file /etc/hosts", "file /etc/resolv.conf", "file /etc/hostname"}
    assert unexplained(found, rows).keys() <= beside


def _keep(chrun: Chrun, *flags: str, image: Path) -> Path:
    """Run the probe in a container that is kept, and give its directory."""
    before = set((chrun.home / "containers").glob("*"))
    chrun("run", "--keep", *flags, image, PROBE_PATH)
    (kept,) = set((chrun.home / "containers").glob("*")) - before
    return kept
