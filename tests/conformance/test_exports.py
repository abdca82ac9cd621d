"""Equivalents of a run for other tools, each played: the probe sees there what it sees in chrun's.

What may differ is the table of docs/reference/exports.md, and nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from chrun.linux import caps
from tests.support import images
from tests.support.box import unpack_busybox
from tests.support.compare import differences, read_table, stale, unexplained
from tests.support.needs import needs
from tests.support.podman import allow_plain_http
from tests.support.probe import (
    PROBE_PATH,
    look,
    make_probe_rootfs,
    parse_seen,
    probe_layers,
)
from tests.support.registry import FakeRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.support.chrun import Chrun
    from tests.support.probe import Seen

    Differences = dict[str, tuple[object, object]]

pytestmark = needs("busybox", "overlay", "unshare")

_DOCUMENT = "reference/exports.md"
_TIMEOUT_SECONDS = 60
_HOSTILE = "a'b\"c$(touch x)`x`\n\t\\ \u00e9\udcff\x1b[31m"
CASES = {
    "plain": (),
    "another user": ("-u", "33:44"),
    "read-only": ("--read-only", "--tmpfs", "/run:size=1m"),
    "odd words": ("-w", "/etc", "-e", f"ODD={_HOSTILE}", "--hostname", "some.name"),
    "volumes": ("-v", "{volume}:/v w:ro", "-v", "{volume}:/x:noexec", "--tmpfs", "/t:mode=700"),
    "no network": ("--network", "none"),
    "few capabilities": ("--cap-drop", "ALL", "--cap-add", "CHOWN"),
    "limits": ("--ulimit", "nofile=64:128", "--ulimit", "core=0"),
    "namespaces only": ("--isolation", "namespaces"),
    "sealed": ("--isolation", "sealed"),
    "no filter": ("--security-opt", "seccomp=unconfined"),
    "device": ("--device", "/dev/zero:/dev/nothing"),
    "in memory": ("--scratch", "tmpfs"),
    "no setuid": ("-v", "{volume}:/v:nosuid,noexec", "-v", "{volume}:/w:rro,suid,dev,exec"),
    "mounts": ("--mount", "type=tmpfs,target=/m,tmpfs-size=1m,tmpfs-mode=700",
               "--mount", "type=bind,source={volume},target=/b/b,readonly",
               "-v", "named:/v", "-v", "{volume}:/o:O"),
    "part of a volume": ("--mount", "type=volume,source=named,target=/p,volume-subpath=part"),
    "machine's namespaces": ("--pid", "host", "--ipc", "host", "--uts", "host"),
    "no shared memory": ("--ipc", "none"),
    "settings": ("--shm-size", "2m", "--sysctl", "kernel.msgmax=4096"),
    "names": ("--add-host", "db:192.0.2.1", "--dns", "192.0.2.53", "--dns-search", "example.org",
              "--dns-option", "ndots:2"),
    "names without a network": ("--network", "none", "--add-host", "db:192.0.2.1",
                                "--dns", "192.0.2.53"),
    "open": ("--security-opt", "unmask=/proc/*", "--security-opt", "mask=/proc/version"),
    "profile": ("--security-opt", "seccomp={profile}"),
    "reaped": ("--init",),
    "privileged": ("--privileged",),
    "groups": ("--group-add", "7", "--group-add", "4711"),
    "directory of devices": ("--device", "{devices}:/dev/given"),
    "resources": ("--memory", "64m", "--cpus", "0.5", "--cpuset-cpus", "0", "--pids-limit", "50"),
}  # fmt: skip
# What a tool cannot do here at all, for who I am
_IMPOSSIBLE = {
    "as root": {("bwrap", "another user")},  # an error: bubblewrap becomes nobody else
    "as user": {
        ("oci", "another user"),  # an error: runtimes want root inside
        ("podman", "another user"),  # podman wants subordinate ids for it
        ("podman", "machine's namespaces"),  # and a /dev/mqueue
    },
}
if os.geteuid() == 0 and not caps.has(caps.effective_mask(), "CAP_SYS_RESOURCE"):
    # Podman would raise limits that were not asked for
    _IMPOSSIBLE["as root"] |= {("podman", "limits"), ("podman", "sealed")}
_PROFILE = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["keyctl", "bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}],
}
# What only root can be given: groups, devices that a test makes, and cgroups
_OF_ROOT = {"groups", "directory of devices", "resources"}
_WORDS = (
    "call=mount", "call=unshare:0x10000000", "call=keyctl", "call=bpf", "path=/v w/file",
    "path=/v/file", "path=/w/file", "path=/b/b/file", "path=/o/file", "path=/p/file",
    "path=/proc/version", "path=/dev/given/sub/zero", "text=/proc/sys/kernel/msgmax",
)  # fmt: skip
TOOLS = ("sh", "bwrap", "podman", "oci")


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("a volume")
    (made / "file").write_text("x")
    return made


class Players:
    """Runs of all cases, in chrun and elsewhere, each played once."""

    def __init__(self, chrun: Chrun, root: Path, given: dict[str, Path], scratch: Path) -> None:
        self.chrun, self.root, self.given, self.scratch = chrun, root, given, scratch
        self._ours: dict[str, Seen] = {}
        self._found: dict[tuple[str, str], Differences] = {}

    def compare(self, tool: str, case: str, env: dict[str, str]) -> Differences:
        """Give how what the tool's container sees differs from what chrun's does."""
        if (tool, case) not in self._found:
            if case not in self._ours:
                flags = self._flags(case)
                self._ours[case] = look(self.chrun, *flags, image=self.root, words=_WORDS)
            theirs = parse_seen(self._play(tool, case, env))
            self._found[tool, case] = differences(self._ours[case], theirs)
        return self._found[tool, case]

    def _play(self, tool: str, case: str, env: dict[str, str]) -> str:
        words = [*self._flags(case), str(self.root), PROBE_PATH, *_WORDS]
        done = _play(self.chrun, tool, words, self.scratch / f"{tool} {case}", env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _flags(self, case: str) -> list[str]:
        flags = list(CASES[case])
        for name, path in self.given.items():
            flags = [flag.replace(f"{{{name}}}", str(path)) for flag in flags]
        return flags


@pytest.fixture(scope="module")
def players(
    own_chrun: Chrun, probe_dir: Path, volume: Path, tmp_path_factory: pytest.TempPathFactory
) -> Players:
    scratch = tmp_path_factory.mktemp("exports")
    (scratch / "profile").write_text(json.dumps(_PROFILE))
    (scratch / "devices/sub").mkdir(parents=True)
    if os.geteuid() == 0:
        os.mknod(scratch / "devices/sub/zero", 0o640 | stat.S_IFCHR, os.makedev(1, 5))
        os.chown(scratch / "devices/sub/zero", 0, 7)
    fill = "cp /v/file /n && mkdir /n/part && cp /v/file /n/part"
    own_chrun("run", "-v", f"{volume}:/v", "-v", "named:/n", probe_dir, "sh", "-c", fill)
    given = {"volume": volume, "profile": scratch / "profile", "devices": scratch / "devices"}
    return Players(own_chrun, probe_dir, given, scratch)


def _cases(tool: str) -> list[str]:
    impossible = _IMPOSSIBLE["as user" if os.geteuid() else "as root"]
    mine = CASES.keys() - (_OF_ROOT if os.geteuid() else set())
    return [case for case in CASES if case in mine and (tool, case) not in impossible]


def _param(tool: str, *more: str) -> object:
    return pytest.param(tool, *more, marks=needs({"sh": "unshare", "oci": "runc"}.get(tool, tool)))


@pytest.mark.parametrize(
    ("tool", "case"), [_param(tool, case) for tool in TOOLS for case in _cases(tool)]
)
def test_an_export_shows_what_the_container_shows(players, podman_env, tool, case):
    found = players.compare(tool, case, podman_env)
    assert unexplained(found, read_table(_DOCUMENT, tool)) == {}


@pytest.mark.parametrize("tool", [_param(tool) for tool in TOOLS])
def test_no_row_of_the_table_is_about_nothing(players, podman_env, tool):
    found = {name for case in _cases(tool) for name in players.compare(tool, case, podman_env)}
    assert stale(found, read_table(_DOCUMENT, tool)) == []


@pytest.fixture(scope="module")
def layered(own_chrun: Chrun, podman_env: dict[str, str]) -> Iterator[str]:
    """The name of an image of three layers, the last of which takes away from the first."""
    taken = images.layer({"etc/.wh.passwd": "", "made": "by the last layer"})
    made = images.image([*probe_layers(), taken], cmd=[PROBE_PATH], env=["FROM=image"])
    with FakeRegistry() as registry:
        registry.add(made, "layered", "latest")
        allow_plain_http(podman_env, registry.host)
        own_chrun("pull", f"{registry.host}/layered")
        yield f"{registry.host}/layered"


@pytest.mark.parametrize("tool", [_param(tool) for tool in TOOLS])
def test_an_image_of_layers_is_exported_as_a_whole(own_chrun, layered, podman_env, tmp_path, tool):
    words = ("cat", "/made", "/etc/passwd")
    played = _play(own_chrun, tool, [layered, *words], tmp_path / "made", podman_env)
    assert played.stdout == "by the last layer"
    assert "/etc/passwd" in played.stderr


@pytest.mark.parametrize("tool", [_param(tool) for tool in TOOLS])
def test_an_export_writes_to_no_layer(own_chrun, layered, podman_env, tmp_path, tool):
    words = ("sh", "-c", "echo changed > /made && rm /bin/env && cat /made")
    played = _play(own_chrun, tool, [layered, *words], tmp_path / "made", podman_env)
    assert (played.returncode, played.stdout) == (0, "changed\n")
    assert own_chrun("run", layered, "cat", "/made").stdout == "by the last layer"
    assert own_chrun("run", layered, "env", "true").returncode == 0


@pytest.mark.parametrize("tool", [_param(tool) for tool in TOOLS])
def test_an_export_ends_as_its_command_ends(own_chrun, probe_dir, podman_env, tmp_path, tool):
    words = [str(probe_dir), "sh", "-c", "exit 7"]
    assert _play(own_chrun, tool, words, tmp_path / "made", podman_env).returncode == 7


@pytest.mark.parametrize("tool", [_param("sh"), _param("bwrap"), _param("podman")])
def test_copied_layers_lie_beside_the_script(own_chrun, layered, podman_env, tmp_path, tool):
    flags = ["--rootfs", "copy", layered, "sh", "-c", "cat /made; test ! -e /etc/passwd"]
    played = _play(own_chrun, tool, flags, tmp_path / "made", podman_env)
    assert (played.returncode, played.stdout) == (0, "by the last layer")
    assert (tmp_path / "made/rootfs/made").read_text() == "by the last layer"


@needs("root")
def test_the_chroot_rung_is_a_chroot_in_the_script(own_chrun, probe_dir, tmp_path):
    flags = ["--isolation", "chroot", "-u", "33:44"]
    words = [*flags, str(probe_dir), PROBE_PATH]
    played = _play(own_chrun, "sh", words, tmp_path / "made", dict(os.environ))
    found = differences(look(own_chrun, *flags, image=probe_dir), parse_seen(played.stdout))
    assert found.keys() <= {f"process {name}" for name in ("pid", "ppid", "pgrp", "session")}


def test_a_script_leaves_nothing_behind(own_chrun, probe_dir, tmp_path):
    (tmp_path / "tmp").mkdir()
    env = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    words = [str(probe_dir), "sh", "-c", "mkdir -p /a/b && echo x > /a/b/c"]
    assert _play(own_chrun, "sh", words, tmp_path / "made", env).returncode == 0
    assert os.listdir(tmp_path / "tmp") == []


def test_a_script_that_is_ended_ends_its_container(own_chrun, probe_dir, tmp_path):
    (tmp_path / "tmp").mkdir()
    own_chrun(
        "explain", "--export", "sh", "--output", tmp_path / "made", probe_dir,
        "sh", "-c", "echo started; sleep 4711",
    )  # fmt: skip
    env = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    command = ["sh", str(tmp_path / "made/run.sh")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True) as script:
        assert script.stdout.readline() == "started\n"
        script.terminate()
        assert script.stdout.read() == ""  # nobody has it open any more
    assert script.returncode != 0
    assert os.listdir(tmp_path / "tmp") == []


def test_a_script_does_not_mount_through_links_of_the_image(own_chrun, probe_dir, tmp_path):
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    shutil.copytree(probe_dir, root, symlinks=True)
    (root / "link").symlink_to(outside)
    words = ["-v", f"{probe_dir}:/link/deep", str(root), "true"]
    played = _play(own_chrun, "sh", words, tmp_path / "made", dict(os.environ))
    assert played.returncode == 125
    assert "behind a symbolic link" in played.stderr
    assert list(outside.iterdir()) == []


@needs("root", "runc", "cgroups", "a loop device")
@pytest.mark.parametrize(
    ("access", "opened"), [("r", "read"), ("w", "write"), ("rwm", "read write")]
)
def test_a_bundles_device_is_opened_as_it_was_given(own_chrun, tmp_path, access, opened):
    root = tmp_path / "rootfs"
    root.mkdir()
    unpack_busybox(root)
    script = "(: < /dev/x) && echo read; (: >> /dev/x) && echo write; true"
    flags = ["--device", f"/dev/loop0:/dev/x:{access}", str(root), "sh", "-c", script]
    made = _play(own_chrun, "oci", flags, tmp_path / "made", os.environ)
    assert made.stdout == own_chrun("run", *flags).stdout
    assert made.stdout.split() == opened.split()


@pytest.mark.parametrize("tool", [_param("sh"), _param("bwrap"), _param("podman")])
def test_hostile_words_reach_no_shell(own_chrun, podman_env, tmp_path, tool):
    root = tmp_path / "ro'ot $(touch pwned)"
    make_probe_rootfs(root)
    trap = "'; touch pwned; '\n# INSIDE\nINSIDE\nFILTER\nPROFILE\n$(touch pwned)"
    flags = ["--hostname", "h", "-e", f"A={trap}", str(root), PROBE_PATH, trap, "-x", "", "A=b"]
    played = _play(own_chrun, tool, flags, tmp_path / "made", podman_env, cwd=tmp_path)
    seen = parse_seen(played.stdout)
    assert (seen.argv[1:], seen.env["A"]) == ((trap, "-x", "", "A=b"), trap)
    assert not list(tmp_path.rglob("pwned"))


def _play(
    chrun: Chrun,
    tool: str,
    flags: Sequence[str],
    made: Path,
    env: Mapping[str, str],
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Export and run."""
    chrun("explain", "--export", tool, "--output", str(made), *flags)
    command = ["sh", str(made / "run.sh")]
    if tool == "oci":
        state = f"{made}-state"
        command = ["runc", "--root", state, "run", "--bundle", str(made), f"c{os.getpid()}"]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=env,
        cwd=cwd,
        timeout=_TIMEOUT_SECONDS,
    )
