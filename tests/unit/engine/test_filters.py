"""Filter steps: what is made for which container, what is kept, and what is never believed."""

from __future__ import annotations

import json
import marshal
import os

import pytest

from chrun.engine import filters, seccomp
from chrun.errors import ContentError, UnsupportedError, UsageError
from chrun.linux.host import Host, Lack
from chrun.oci.seccomp.profile import ALLOW, ASK, ERRNO, KILL_PROCESS
from chrun.oci.spec import CapabilitySets, IdMapping, Process, Spec
from chrun.store.layout import Layout
from tests.support.bpf import AUDIT_ARCH, AUDIT_ARCH_I386, run_filter

HOST = Host(uid=0, gid=0, privileged=True, machine="x86_64", release="6.1.0-10")
SPEC = Spec(Process(("sh",), capabilities=CapabilitySets(("CAP_CHOWN",))), seccomp="default")
ONE_ID = (IdMapping(0, 1000, 1),)
READ, CHOWN, SETUID, MOUNT, CHROOT = 0, 92, 105, 165, 161
REFUSED = ERRNO | 1
PROFILE = json.dumps(
    {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["chroot"], "action": "SCMP_ACT_ERRNO"}],
    }
)


@pytest.fixture
def layout(tmp_path):
    (tmp_path / "cache").mkdir()
    return Layout(str(tmp_path))


def plan(layout, spec=SPEC, host=HOST, architecture="amd64", optional=False):
    steps, notices = filters.plan_filters(layout, host, spec, architecture, optional=optional)
    assert notices == ()
    return steps


def answers(step, *numbers):
    return [run_filter(step.program, number, AUDIT_ARCH["x86_64"]) for number in numbers]


def kept_files(layout):
    return sorted(os.listdir(layout.cache_dir))


def test_nothing_is_filtered_where_nothing_was_asked_for(layout):
    assert plan(layout, SPEC.replace(seccomp="")) == ()
    assert kept_files(layout) == []


def test_a_container_of_roots_has_one_filter(layout):
    (step,) = plan(layout)
    assert answers(step, READ, CHOWN, MOUNT) == [ALLOW, ALLOW, REFUSED]
    assert not step.listens


def test_what_is_granted_is_what_the_bounding_set_has(layout):
    sets = CapabilitySets(("CAP_SYS_CHROOT",))
    (step,) = plan(layout, SPEC.replace(process=SPEC.process.replace(capabilities=sets)))
    assert answers(step, CHROOT) == [ALLOW]
    assert answers(plan(layout)[0], CHROOT) == [REFUSED]


def test_where_one_id_is_mapped_the_same_filter_pretends(layout):
    (step,) = plan(layout, SPEC.replace(uid_mappings=ONE_ID))
    assert answers(step, READ, CHOWN, SETUID, MOUNT) == [ALLOW, ERRNO, ASK, REFUSED]
    assert step.listens
    assert run_filter(step.program, READ, AUDIT_ARCH_I386) == KILL_PROCESS


def test_a_kernel_without_listeners_gets_a_filter_that_needs_none(layout):
    old = HOST.replace(lacks=(Lack("listener", "too old"),))
    (step,) = plan(layout, SPEC.replace(uid_mappings=ONE_ID), old)
    assert answers(step, CHOWN, SETUID, MOUNT) == [ERRNO, ERRNO, REFUSED]
    assert not step.listens


def test_without_a_profile_one_id_still_needs_the_pretence(layout):
    (step,) = plan(layout, SPEC.replace(seccomp="", uid_mappings=ONE_ID))
    assert answers(step, CHOWN, MOUNT) == [ERRNO, ALLOW]
    assert run_filter(step.program, READ, AUDIT_ARCH_I386) == ALLOW


def test_many_ids_need_no_pretence(layout):
    (step,) = plan(layout, SPEC.replace(uid_mappings=(IdMapping(0, 1000, 1), IdMapping(1, 9, 99))))
    assert answers(step, CHOWN) == [ALLOW]


def test_a_profile_of_ones_own_comes_last_in_a_filter_of_its_own(layout):
    own = SPEC.replace(seccomp=PROFILE, uid_mappings=ONE_ID)
    pretending, obeying = plan(layout, own)
    assert (pretending.listens, obeying.listens) == (True, False)
    assert answers(pretending, CHOWN, CHROOT) == [ERRNO, ALLOW]
    assert answers(obeying, CHOWN, CHROOT) == [ALLOW, REFUSED]


def test_sealed_has_a_filter_of_its_own(layout):
    (step,) = plan(layout, SPEC.replace(sealed=True))
    assert answers(step, READ, 101) == [ALLOW, REFUSED]  # ptrace
    assert answers(plan(layout)[0], 101) == [ALLOW]


def test_what_was_made_once_is_read_the_next_time(layout, monkeypatch):
    made = plan(layout)
    assert len(kept_files(layout)) == 1
    monkeypatch.setattr(seccomp, "make_filters", None)  # as would be noticed
    assert plan(layout) == made


@pytest.mark.parametrize(
    "other",
    [
        {"host": HOST.replace(release="4.4.0")},
        {"host": HOST.replace(machine="aarch64"), "architecture": "arm64"},
        {"spec": SPEC.replace(sealed=True)},
        {"spec": SPEC.replace(seccomp=PROFILE)},
        {"spec": SPEC.replace(uid_mappings=ONE_ID)},
        {"spec": SPEC.replace(process=Process(("sh",), capabilities=CapabilitySets()))},
        {"spec": SPEC.replace(process=Process(("sh",)))},
    ],
)
def test_what_is_kept_for_one_question_is_no_answer_to_another(layout, monkeypatch, other):
    monkeypatch.setattr(filters, "_SLOTS", 1)  # so that both meet in one file
    first, second = plan(layout), plan(layout, **other)
    assert len(kept_files(layout)) == 1
    assert plan(layout) == first
    assert plan(layout, **other) == second
    assert second != first or other["spec"].process.capabilities == CapabilitySets()


def test_another_version_of_chrun_asks_anew(layout, monkeypatch):
    monkeypatch.setattr(filters, "_signature", lambda: (1,))
    monkeypatch.setattr(filters, "_SLOTS", 1)
    made = plan(layout)
    with open(layout.filter_path(0), "rb") as file:
        assert marshal.loads(file.read())[0][0] == (1,)
    monkeypatch.setattr(filters, "_signature", lambda: (2,))
    assert plan(layout) == made
    with open(layout.filter_path(0), "rb") as file:
        assert marshal.loads(file.read())[0][0] == (2,)


def test_sources_that_are_no_files_are_never_believed_to_be_the_same(layout, monkeypatch):
    monkeypatch.setattr(filters, "_SOURCES", ("no/such.py",))
    plan(layout)
    assert kept_files(layout) == []


def test_damage_in_the_cache_is_never_run(layout):
    (good,) = plan(layout)
    (name,) = kept_files(layout)
    path = os.path.join(layout.cache_dir, name)
    with open(path, "rb") as file:
        content = file.read()
    at = content.index(good.program)
    end = at + len(good.program)
    for damaged in (
        b"",
        content[: len(content) // 2],
        bytes(len(content)),
        content[:at] + bytes(end - at) + content[end:],  # what a lost page leaves
        content[:at] + bytes(8) + content[at + 8 :],
        marshal.dumps(None),
        marshal.dumps((1, 2, 3)),
        marshal.dumps((marshal.loads(content)[0], ((b"", "", "", 0),), 7)),
    ):
        with open(path, "wb") as file:
            file.write(damaged)
        assert plan(layout) == (good,)
        with open(path, "rb") as file:
            assert file.read() == content


def test_a_machine_without_a_table_is_told_or_is_an_error_where_a_filter_was_asked_for(layout):
    strange = HOST.replace(machine="riscv64")
    steps, notices = filters.plan_filters(layout, strange, SPEC, "riscv64", optional=True)
    assert (steps, notices) == ((), ("cannot filter system calls: chrun knows none of riscv64",))
    with pytest.raises(UnsupportedError, match="riscv64"):
        plan(layout, host=strange)
    with pytest.raises(UnsupportedError, match="riscv64"):
        plan(layout, SPEC.replace(seccomp=PROFILE), strange)


@pytest.mark.parametrize(("machine", "architecture"), [("x86_64", "386"), ("aarch64", "arm")])
def test_programs_that_the_filter_would_kill_are_refused_with_the_way_out(
    layout, machine, architecture
):
    host = HOST.replace(machine=machine)
    with pytest.raises(UnsupportedError, match=f"linux/{architecture}") as caught:
        plan(layout, host=host, architecture=architecture)
    assert "seccomp=unconfined" in caught.value.hint
    assert plan(layout, SPEC.replace(seccomp=""), host, architecture) == ()


def test_a_profile_is_read_with_its_name_in_every_error(tmp_path):
    path = tmp_path / "profile.json"
    path.write_text(PROFILE)
    assert seccomp.read_profile(str(path)) == PROFILE
    path.write_text("{}")
    with pytest.raises(ContentError, match=r"cannot read seccomp profile .*profile\.json: def"):
        seccomp.read_profile(str(path))
    path.write_text(f"{PROFILE}{' ' * (1 << 20)}")
    with pytest.raises(ContentError, match="larger than"):
        seccomp.read_profile(str(path))
    path.write_bytes(b"\xff")
    with pytest.raises(ContentError, match="not UTF-8"):
        seccomp.read_profile(str(path))
    for missing, words in ((tmp_path / "none", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(UsageError, match=words):
            seccomp.read_profile(str(missing))
