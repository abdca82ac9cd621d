"""chrun pull, images, rmi and prune, as a user types them."""

from __future__ import annotations

import json
import os

import pexpect
import pytest

from tests.support.images import image, layer
from tests.support.pulls import chrun, command_line
from tests.support.registry import FakeRegistry


@pytest.fixture
def registry():
    with FakeRegistry() as running:
        made = image(
            [layer({"a": os.urandom(4000)})], config={"created": "2001-02-03T04:05:06.123456789Z"}
        )
        running.add(made, "team/app", "7")
        running.digest = made.digest
        yield running


@pytest.fixture
def run(tmp_path):
    """Run a command to its end and give exit status, stdout and stderr."""

    def run(*words):
        process = chrun(str(tmp_path / "store"), *words)
        output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    return run


def test_pull_prints_name_and_digest_last_and_progress_elsewhere(run, registry):
    name = f"{registry.host}/team/app:7"
    status, output, errors = run("pull", name)
    assert (status, output) == (0, f"{name}@{registry.digest}\n")
    assert errors.startswith("layer 1/1 ")
    assert run("pull", "-q", name) == (0, f"{name}@{registry.digest}\n", "")
    assert run("pull", "-q", f"{name}@{registry.digest}")[1] == f"{name}@{registry.digest}\n"


def test_images_lists_what_was_pulled(run, registry):
    run("pull", f"{registry.host}/team/app:7")
    _, output, _ = run("images", "--digests")
    heading, row = output.splitlines()
    assert heading.split() == [
        "REPOSITORY",
        "TAG",
        "DIGEST",
        "IMAGE",
        "ID",
        "CREATED",
        "PLATFORM",
        "SIZE",
    ]
    assert row.split()[:3] == [f"{registry.host}/team/app", "7", str(registry.digest)]
    assert "years ago   linux/amd64   " in row
    fields = json.loads(run("images", "--format", "json")[1])
    assert fields["Tag"] == "7"
    assert run("images", "-q")[1].strip() == fields["ID"]
    assert run("images", "-q", f"{registry.host}/team/app:8")[1] == ""
    assert run("images", "-q", f"{registry.host}/team/app")[1].strip() == fields["ID"]


def test_rmi_says_what_went(run, registry):
    name = f"{registry.host}/team/app:7"
    run("pull", name)
    status, output, _ = run("rmi", name)
    assert status == 0
    assert output.startswith(f"Untagged: {name}\nDeleted: sha256:")
    assert run("images", "-q") == (0, "", "")
    assert run("rmi", name) == (
        125,
        "",
        f"chrun: cannot remove {name}: no such image\nhint: chrun images lists what is here\n",
    )


def test_prune_says_what_it_gave(run, registry):
    run("pull", f"{registry.host}/team/app:7")
    assert run("prune") == (0, "Total reclaimed space: 0B\n", "")


def test_errors_are_one_line_and_one_hint(run, registry):
    status, output, errors = run("pull", f"{registry.host}/no/such")
    assert (status, output) == (125, "")
    assert errors.startswith(f"chrun: cannot pull {registry.host}/no/such")
    assert len(errors.splitlines()) <= 2
    assert run("pull", "Redis")[2].startswith("chrun: cannot parse reference 'Redis'")
    assert run("pull")[0] == run("rmi")[0] == run("prune", "x")[0] == 125


def test_a_terminal_sees_bars(registry, tmp_path):
    registry.faults.slow_seconds = 0.2
    command, env = command_line(str(tmp_path / "store"), "pull", f"{registry.host}/team/app:7")
    child = pexpect.spawn(command[0], command[1:], env={**env, "TERM": "xterm"}, timeout=30)
    child.expect("layer 1/1 .*fetching")
    child.expect("done")
    child.expect(str(registry.digest))
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
