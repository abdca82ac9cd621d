"""chrun.run with `receipt` and `require`: the calling program looks at the command itself."""

from __future__ import annotations

import json
import os
import threading

import pytest

import chrun
from chrun.errors import CommandNotFoundError, RequirementError, UsageError
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")


def test_a_fact_that_is_shown_lets_the_command_run(box, root):
    done = chrun.run(
        box, ["sh", "-c", "grep TracerPid /proc/self/status; cat"],
        input="in", require=["pidns,seccomp", "nnp"], capture_output=True, text=True, root=root,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "TracerPid:\t0\nin", "")


def test_a_fact_that_is_not_shown_is_an_error_and_nothing_ran(box, root, tmp_path):
    made = tmp_path / "out"
    made.mkdir()
    with pytest.raises(RequirementError, match="--require net=none is not met") as caught:
        chrun.run(
            box, ["touch", "/out/made"], volumes=[f"{made}:/out"], require=["net=none"], root=root
        )
    assert caught.value.fact == "net=none"
    assert caught.value.found == "the caller's network namespace"
    assert list(made.iterdir()) == []


def test_the_receipt_is_there_when_run_returns(box, root, tmp_path):
    path = tmp_path / "receipt.json"
    chrun.run(box, ["true"], receipt=str(path), root=root)
    receipt = json.loads(path.read_text())
    assert receipt["container"]["image"] == box
    assert receipt["namespaces"]["pid"]["own"]
    ours = os.stat("/proc/self/ns/user").st_ino
    assert receipt["namespaces"]["user"]["own"] == (os.geteuid() != 0)
    assert (receipt["namespaces"]["user"]["inode"] == ours) == (os.geteuid() == 0)


def test_an_unknown_fact_is_told_before_anything_starts(root):
    with pytest.raises(UsageError, match="there is no such fact"):
        chrun.run("127.0.0.1:1/none", require=["sandbox"], root=root)
    with pytest.raises(TypeError, match="require must be a sequence of strings"):
        chrun.run("127.0.0.1:1/none", require="pidns", root=root)


def test_a_command_that_is_not_there_is_told_as_ever(box, root):
    with pytest.raises(CommandNotFoundError):
        chrun.run(box, ["no-such-command"], require=["pidns"], root=root)


def test_a_receipt_that_cannot_be_written_is_an_error(box, root, tmp_path):
    with pytest.raises(UsageError, match="cannot write the receipt"):
        chrun.run(box, ["true"], receipt=str(tmp_path / "no" / "r"), root=root)


def test_threads_look_each_at_their_own_container(box, root, tmp_path):
    def run(number):
        chrun.run(box, ["true"], receipt=str(tmp_path / f"{number}"), hostname=f"h{number}",
                  root=root, require=["pidns"])  # fmt: skip

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pids = {json.loads((tmp_path / str(n)).read_text())["process"]["pid"] for n in range(8)}
    assert len(pids) == 8
