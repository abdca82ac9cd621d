"""chrun explain --export: what is written, what is said, and what is refused.

That the exports do what the container does is played in tests/conformance/test_exports.py.
"""

from __future__ import annotations

import json
import os

import pytest

from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")


def test_a_script_is_printed_with_the_plans_reasons(chrun, probe_dir):
    script = chrun("explain", "--export", "sh", probe_dir, "true").stdout
    assert script.startswith("#!/bin/sh\n")
    assert "pivot_root" in script
    reasons = {step["why"] for step in _steps(chrun, probe_dir) if step["step"] == "Mask"}
    assert reasons
    assert all(f"# {reason}\n" in script for reason in reasons)


def test_what_is_left_out_is_said_twice(chrun, probe_dir):
    done = chrun("explain", "--export", "sh", "--isolation", "sealed", probe_dir, "true")
    said = [line for line in done.stderr.splitlines() if "not in the export: " in line]
    assert any("system calls" in line for line in said)
    assert any("Landlock" in line or "paths" in line for line in said)
    for line in said:
        assert line.partition("not in the export: ")[2] in done.stdout


def test_quiet_leaves_it_to_the_script(chrun, probe_dir):
    done = chrun("explain", "-q", "--export", "sh", probe_dir, "true")
    assert done.stderr == ""
    assert "system calls" in done.stdout


def test_every_step_of_the_plan_is_in_the_script_or_left_out_aloud(chrun, probe_dir):
    flags = ("--init", "--memory", "64m", "--ulimit", "nofile=10:10", "--timeout", "5s")
    flags = flags if os.geteuid() == 0 else flags[:1]
    done = chrun("explain", "--export", "sh", *flags, probe_dir, "true")
    notes = [line.partition("export: ")[2] for line in done.stderr.splitlines()]
    assert any("PID 1" in note for note in notes)
    if os.geteuid() == 0:
        assert any("memory" in note for note in notes)
        assert "--nofile=10:10" in done.stdout
        assert "timeout --signal=KILL 5 " in done.stdout


def test_a_part_of_all_memory_is_no_size_for_bubblewrap(chrun, probe_dir):
    flags = ("--export", "bwrap", "--tmpfs", "/x:size=50%")
    done = chrun("explain", *flags, probe_dir, "true")
    assert "not in the export: size of /x" in done.stderr


def test_a_bundle_is_written_whole(chrun, probe_dir, tmp_path):
    made = tmp_path / "bundle"
    one_id = () if os.geteuid() == 0 else ("--userns", "single")  # a copied root has one owner
    words = ("explain", "-q", *one_id, "--export", "oci", "--output", made, probe_dir, "true")
    done = chrun(*words)
    assert done.stdout == ""
    config = json.loads((made / "config.json").read_text())
    assert config["process"]["args"] == ["true"]
    assert (made / config["root"]["path"] / "probe").is_file()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--export", "oci"), "it needs a root file system of its own"),
        (("--export", "sh", "--rootfs", "copy"), "it needs a root file system of its own"),
        (("--export", "sh", "--output", "{full}"), "it is not empty"),
        (("--export", "sh", "--output", "{full}/file"), "file exists"),
        (("--export", "docker"), "expected sh, bwrap, podman, oci"),
        (("--output", "{full}"), "without --export"),
    ],
)
def test_what_cannot_be_exported_is_an_error(chrun, probe_dir, tmp_path, flags, words):
    (tmp_path / "file").touch()
    given = [flag.replace("{full}", str(tmp_path)) for flag in flags]
    done = chrun("explain", *given, probe_dir, "true", status=125)
    assert words in done.stderr
    assert done.stdout == ""
    assert os.listdir(tmp_path) == ["file"]


def test_a_command_that_env_would_take_for_a_variable_is_an_error(chrun, probe_dir):
    done = chrun("explain", "--export", "sh", probe_dir, "a=b", status=125)
    assert "env(1) takes 'a=b' for a variable" in done.stderr


def test_nothing_is_exported_from_a_store_that_cannot_be_opened(chrun, probe_dir, tmp_path):
    (tmp_path / "file").touch()
    home = str(tmp_path / "file/store")
    done = chrun("explain", "--export", "sh", probe_dir, "true", status=125, CHRUN_HOME=home)
    assert "cannot export from a temporary store" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("tool", ["sh", "bwrap", "podman", "oci"])
def test_a_volume_that_a_run_would_make_is_an_error(chrun, probe_dir, tmp_path, tool):
    words = ("explain", "--export", tool, "--output", tmp_path / "made", "-v", "some:/v", probe_dir)
    done = chrun(*words, "true", status=125)
    assert "cannot export the volume some: there is none\nhint: chrun volume create" in done.stderr
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("tool", ["sh", "bwrap", "podman"])
def test_what_would_fill_a_volume_is_told(chrun, probe_dir, tool):
    chrun("volume", "create", "filled")
    words = ("explain", "--export", tool, "-v", "filled:/bin", probe_dir, "true")
    told = "filling the empty volume filled with what the image has in /bin"
    assert told in chrun(*words).stderr
    assert told in chrun(*words).stdout
    chrun("run", "-v", "filled:/bin", probe_dir, "true")
    assert told not in chrun(*words).stderr
    chrun("volume", "rm", "filled")


@needs("root")
@pytest.mark.parametrize("tool", ["sh", "bwrap", "podman"])
def test_ids_of_a_range_are_an_error(chrun, probe_dir, tool):
    done = chrun("explain", "--export", tool, "--userns", "auto", probe_dir, "true", status=125)
    assert f"cannot export to {tool}: this container needs idmapped mounts" in done.stderr
    assert done.stdout == ""


@needs("root")
def test_a_bundle_of_a_range_is_an_error(chrun, probe_dir, tmp_path):
    flags = ("--userns", "auto", "--output", tmp_path / "made")
    done = chrun("explain", "--export", "oci", *flags, probe_dir, "true", status=125)
    assert "one owner" in done.stderr


def _steps(chrun, image):
    return json.loads(chrun("explain", "--format", "json", image, "true").stdout)
