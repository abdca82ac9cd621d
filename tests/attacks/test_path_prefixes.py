"""CVE-2026-48785, CVE-2026-47215: what holds for /scratch holds for nothing in /scratch2."""

from __future__ import annotations

import os

import pytest

from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")


@pytest.fixture
def twins(tmp_path):
    """Two directories, of whose names one begins with the other."""
    for name in ("scratch", "scratch2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(f"{name}\n")
        for path in (tmp_path / name, tmp_path / name / "file"):
            path.chmod(0o777)
    return tmp_path / "scratch", tmp_path / "scratch2"


@pytest.mark.parametrize("read_only", [0, 1])
def test_a_read_only_volume_makes_no_other_read_only(chrun, box, twins, read_only):
    modes = [":ro" if number == read_only else "" for number in (0, 1)]
    volumes = [f"-v{path}:/{path.name}{mode}" for path, mode in zip(twins, modes, strict=True)]
    script = "for d in /scratch /scratch2; do touch $d/new 2>/dev/null && echo $d; done; :"
    done = chrun("run", *volumes, box, "sh", "-c", script)
    assert done.stdout.split() == [f"/{twins[1 - read_only].name}"]
    assert not os.path.exists(twins[read_only] / "new")


@pytest.mark.parametrize("hidden", [0, 1])
def test_a_hidden_path_hides_no_other(chrun, box, twins, hidden):
    volumes = [f"-v{path}:/{path.name}" for path in twins]
    mask = ("--security-opt", f"mask=/{twins[hidden].name}")
    done = chrun("run", *mask, *volumes, box, "sh", "-c", "cat /scratch*/file 2>/dev/null; :")
    assert done.stdout.split() == [twins[1 - hidden].name]


@pytest.mark.parametrize("target", ["/procedures", "/sys2", "/dev2", "/etc2", "/e"])
def test_a_volume_beside_a_system_directory_is_like_any_other(chrun, box, twins, target):
    """It is neither refused as one below /proc nor does it stand for the machine's files."""
    script = f"cat {target}/file; test -e /etc/hosts; mount | grep -c ' /etc/hosts '; ls /proc/self"
    done = chrun("run", f"-v{twins[0]}:{target}", box, "sh", "-c", script)
    assert done.stdout.split()[:2] == ["scratch", "1"]


def test_a_file_beside_one_of_the_machines_does_not_stand_for_it(chrun, box, twins):
    script = "cat /etc/hosts2; grep -c localhost /etc/hosts"
    done = chrun("run", f"-v{twins[0]}/file:/etc/hosts2", box, "sh", "-c", script)
    name, count = done.stdout.split()
    assert name == "scratch"
    assert int(count) >= 1


@pytest.mark.parametrize("pattern", ["/sys*", "/*", "/proc/kco", "/pro?/kcor"])
def test_a_pattern_opens_no_more_than_it_names(chrun, box, pattern):
    script = "for f in /proc/kcore /proc/keys; do [ -c $f ] && echo hidden; done; :"
    usual = chrun("run", "-q", box, "sh", "-c", script).stdout
    assert "hidden" in usual
    opened = ("--security-opt", f"unmask={pattern}")
    assert chrun("run", "-q", *opened, box, "sh", "-c", script).stdout == usual
