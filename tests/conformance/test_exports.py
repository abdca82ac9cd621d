"""Equivalents of a run for other tools, each played: the probe sees there what it sees in chrun's.

What may differ is the table of docs/reference/exports.md, and nothing else.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from chrun.linux import caps
from tests.support.compare import differences, read_table, stale, unexplained
from tests.support.needs import needs
from tests.support.probe import PROBE_PATH, look, parse_seen

if TYPE_CHECKING:
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
}
# What a tool cannot do here at all, for who I am
_IMPOSSIBLE = {
    "as root": {("bwrap", "another user")},  # an error: bubblewrap becomes nobody else
    "as user": {
        ("oci", "another user"),  # an error: runtimes want root inside
        ("podman", "another user"),  # podman wants subordinate ids for it
    },
}
if os.geteuid() == 0 and not caps.has(caps.effective_mask(), "CAP_SYS_RESOURCE"):
    # Podman would raise limits that were not asked for
    _IMPOSSIBLE["as root"] |= {("podman", "limits"), ("podman", "sealed")}
_WORDS = ("call=mount", "call=unshare:0x10000000", "call=keyctl", "call=bpf", "path=/v w/file")
TOOLS = ("sh", "bwrap", "podman", "oci")


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("a volume")
    (made / "file").write_text("x")
    return made


class Players:
    """Runs of all cases, in chrun and elsewhere, each played once."""

    def __init__(self, chrun: Chrun, root: Path, volume: Path, scratch: Path) -> None:
        self.chrun, self.root, self.volume, self.scratch = chrun, root, volume, scratch
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
        made = self.scratch / f"{tool} {case}"
        flags = ("--export", tool, "--output", str(made), *self._flags(case))
        self.chrun("explain", *flags, str(self.root), PROBE_PATH, *_WORDS)
        command = ["sh", str(made / "run.sh")]
        if tool == "oci":
            state = str(self.scratch / "state")
            command = ["runc", "--root", state, "run", "--bundle", str(made), f"c{os.getpid()}"]
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

    def _flags(self, case: str) -> list[str]:
        return [flag.replace("{volume}", str(self.volume)) for flag in CASES[case]]


@pytest.fixture(scope="module")
def players(
    own_chrun: Chrun, probe_dir: Path, volume: Path, tmp_path_factory: pytest.TempPathFactory
) -> Players:
    return Players(own_chrun, probe_dir, volume, tmp_path_factory.mktemp("exports"))


def _cases(tool: str) -> list[str]:
    impossible = _IMPOSSIBLE["as user" if os.geteuid() else "as root"]
    return [case for case in CASES if (tool, case) not in impossible]


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
