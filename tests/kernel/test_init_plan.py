"""Plans that are none: chrun-init refuses them whole, before it does anything."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chrun.runtime.plan import Clone, Exec, Plan, RemoveTree
from chrun.runtime.steps import File, Mask, Note, Propagation, User, encode_field
from tests.support.box import INIT, run_init, start_init

# Every kind of field is in it, and it is never carried out: its first step would fail
PLAN = Plan(
    Clone(("mount",), (Note(1, "no", "yes"),)),
    (
        Mask("/nonexistent"),
        User(1, 2, (3, 4), True),
        File("/x", 0o644, b"a\0b", False, True, ""),
    ),
    Exec(("a", "b"), ("c=d",), False),
    (RemoveTree("%/nonexistent"),),
)
BYTES = PLAN.encode()
_HEADER = 12 + 4 + 8 + 8


def header(records, count):
    return BYTES[:16] + encode_field(len(records)) + encode_field(count) + records


def refused(content):
    done = run_init(content)
    assert done.returncode == 125
    assert done.stdout == ""
    assert done.stderr.startswith("chrun: cannot read the plan: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(BYTES) - 1))
def test_a_plan_that_is_cut_off_anywhere_is_refused(length):
    refused(BYTES[:length])


@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=1, max_size=100))
def test_a_plan_with_something_behind_it_is_refused(more):
    refused(BYTES + more)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_records_are_refused(records):
    refused(header(records, 1))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(_HEADER, len(BYTES) - 5), st.integers(1, 2**32 - 1))
def test_a_length_that_lies_never_ends_in_a_crash(at, wrong):
    changed = BYTES[:at] + wrong.to_bytes(4, "little") + BYTES[at + 4 :]
    done = run_init(changed)
    assert done.returncode in {125, 126, 127}


def test_records_must_be_as_many_as_the_header_says():
    records = BYTES[_HEADER:]
    count = len(PLAN.records)
    for wrong in (0, count - 1, count + 1, 2**64 - 1):
        refused(header(records, wrong))


def test_another_magic_or_version_is_refused():
    assert "another version" in refused(BYTES[:12] + (2).to_bytes(4, "little") + BYTES[16:])
    assert "not a plan" in refused(b"x" + BYTES[1:])


@pytest.mark.parametrize("number", [0, 63, 99, 2**32 - 1])
def test_a_step_of_an_unknown_number_is_refused(number):
    payload = encode_field("words") + bytes(4)
    record = number.to_bytes(4, "little") + len(payload).to_bytes(4, "little") + payload
    clone = PLAN.clone.encode()
    assert "unknown number" in refused(header(clone + record, 2))


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [Propagation()],
        [Propagation(), PLAN.clone],
        [PLAN.clone, PLAN.clone],
        [PLAN.clone, PLAN.command, Propagation()],
        [PLAN.clone, PLAN.command, PLAN.command],
        [PLAN.clone, PLAN.cleanup[0], Propagation()],
        [PLAN.clone, PLAN.cleanup[0], PLAN.command],
    ],
)
def test_steps_in_another_order_are_refused(steps):
    refused(header(b"".join(step.encode() for step in steps), len(steps)))


def test_a_text_with_a_nul_inside_is_refused():
    refused(Plan(PLAN.clone, (Mask("/etc\0/x"),)).encode())


def test_a_plan_must_be_a_file(tmp_path):
    reader, writer = os.pipe()
    os.write(writer, BYTES)
    os.close(writer)
    directory = os.open(tmp_path, os.O_RDONLY)
    for plan_fd in (reader, directory):
        done = run_init(b"", wrapper=("sh", "-c", f'exec "$0" plan={plan_fd}'), fds=(plan_fd,))
        assert done.stderr == "chrun: cannot read the plan: it is not a regular file\n"
        os.close(plan_fd)


def test_a_plan_that_cannot_be_read_is_told():
    done = run_init(b"", wrapper=("sh", "-c", 'exec "$0" plan=999'))
    assert (done.returncode, done.stderr) == (
        125,
        "chrun: cannot read the plan: Bad file descriptor\n",
    )


def test_no_plan_at_all_is_told():
    with start_init(BYTES, wrapper=("sh", "-c", f"exec {INIT}")) as process:
        assert process.communicate()[1].startswith("chrun: cannot read the plan: ")
    assert process.returncode == 125


def test_an_unreadable_plan_is_reported_as_no_steps_failure():
    reader, writer = os.pipe()
    run_init(b"nonsense", f"report={writer}", fds=(writer,))
    os.close(writer)
    with open(reader, "rb") as pipe:
        assert pipe.read(4) == b"\xff\xff\xff\xff"
