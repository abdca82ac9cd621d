"""chrun explain: the plan in words and as data; nothing is executed."""

from __future__ import annotations

import json

from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")


def test_every_step_is_numbered_and_has_its_reason(chrun, box):
    lines = chrun("explain", box, "true").stdout.splitlines()
    assert len(lines) % 2 == 0
    for number, (step, reason) in enumerate(zip(lines[::2], lines[1::2], strict=True), 1):
        assert step.startswith(f"{number:3}. ")
        assert reason.startswith("     ")
        assert reason.strip()
    assert "start a process in new namespaces" in lines[0]
    assert 'run "true"' in "\n".join(lines)


def test_nothing_is_executed_or_made(chrun, box, tmp_path):
    chrun("explain", "-v", f"{tmp_path}:/v", box, "touch", "/v/made")
    assert list(tmp_path.iterdir()) == []


def test_the_options_of_run_change_the_plan(chrun, box):
    plain = chrun("explain", box, "true").stdout
    assert "make / read-only" in chrun("explain", "--read-only", box, "true").stdout
    assert "make / read-only" not in plain
    assert "keep 11 capabilities" in plain
    weaker = chrun("explain", "--isolation", "namespaces", box, "true").stdout
    assert "keep 11 capabilities" not in weaker


def test_a_requirement_is_not_lost_in_an_export(chrun, box):
    flags = ("--export", "sh", "--require", "seccomp")
    assert "cannot export --require" in chrun("explain", *flags, box, "true", status=125).stderr


def test_json_has_the_same_steps_as_data(chrun, box):
    steps = json.loads(chrun("explain", "--format", "json", box, "true").stdout)
    assert [step["number"] for step in steps] == list(range(1, len(steps) + 1))
    assert steps[0]["step"] == "Clone"
    overlay = next(step for step in steps if step["step"] == "MountBase")
    assert overlay["fields"]["options"].startswith("lowerdir=0:1,")
    assert all(step["does"] and step["why"] for step in steps)


def test_a_hostile_name_is_printed_harmlessly(chrun, box):
    done = chrun("explain", box, "\x1b[31mred")
    assert "\x1b" not in done.stdout


def test_info_names_what_this_machine_allows(chrun):
    facts = json.loads(chrun("info", "--format", "json").stdout)
    assert facts["isolation"]["state"] == "confined"
    assert facts["root file system"]["state"] == "overlay"
    assert "isolation" in chrun("info").stdout


def test_version_names_chrun_python_and_linux(chrun):
    words = chrun("version").stdout.split()
    assert words[0::2][:2] == ["chrun", "python"]
    assert chrun("--version").stdout == chrun("version").stdout
