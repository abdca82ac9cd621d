"""What a caller left set for the processes that it starts."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.support import images
from tests.support.chrun import Chrun
from tests.support.needs import needs
from tests.support.registry import FakeRegistry

pytestmark = needs("busybox", "overlay")


@pytest.fixture(scope="module")
def box():
    with FakeRegistry() as registry:
        registry.add(images.busybox(), "busybox", "latest")
        yield f"{registry.host}/busybox"


def ignoring_children(command, **options):
    """Run as a daemon would that wants no zombies: what it starts cannot ask how children end."""
    return subprocess.run(
        command,
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
        capture_output=True,
        text=True,
        **options,
    )


def test_an_ignored_sigchld_hinders_neither_run_nor_info(tmp_path, box):
    chrun = Chrun(tmp_path / "data")
    run = chrun.command("run", "-q", box, "sh", "-c", "true & wait $! && exit 3")
    done = ignoring_children(run, env=chrun.env)
    assert (done.returncode, done.stderr) == (3, "")
    done = ignoring_children(chrun.command("info"), env=chrun.env)
    assert (done.returncode, done.stderr) == (0, "")
    assert chrun.leftovers() == []


def test_the_api_works_in_a_program_that_ignores_sigchld(tmp_path, box):
    script = (
        "import chrun, sys; box, root = sys.argv[1:]; chrun.pull(box, root=root);"
        "print(chrun.run(box, ['echo', 'up'], root=root, capture_output=True).stdout)"
    )
    done = ignoring_children([sys.executable, "-c", script, box, str(tmp_path / "data")])
    assert (done.stdout, done.stderr) == ("b'up\\n'\n", "")
