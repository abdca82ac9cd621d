"""Installations of chrun that lack a part, or have it for another machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import chrun as package
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")


@pytest.fixture
def broken(tmp_path):
    """Give a function that makes a copy of chrun with another chrun-init."""

    def install(program):
        copy = tmp_path / "chrun"
        shutil.copytree(Path(package.__file__).parent, copy)
        (copy / "chrun-init").unlink()
        if program:
            (copy / "chrun-init").write_bytes(program)
        return {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}

    return install


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (b"", "this installation of chrun is incomplete"),
        (b"\x7fELF of nobody", "cannot run chrun-init from memory: exec format error"),
    ],
)
@pytest.mark.parametrize("how", ["run", "api"])
def test_no_container_is_left_behind(chrun, box, broken, program, said, how):
    chrun("run", box, "true")  # this machine is known, so nothing is tried before the run
    words = ["-m", "chrun", "run", box, "true"]
    if how == "api":
        words = ["-c", f"import chrun; chrun.run({box!r}, ['true'])"]
    done = subprocess.run(
        [sys.executable, *words],
        env={**chrun.env, **broken(program)},
        capture_output=True,
        text=True,
    )
    assert said in done.stderr
    assert "install it again with pip" in done.stderr
    assert os.listdir(chrun.home / "containers") == []
