"""Filter steps: what is made for which container, what is kept, and what is never believed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import chrun
from chrun.engine import filters, seccomp
from chrun.errors import ContentError, UnsupportedError, UsageError
from chrun.linux.host import Host, Lack
from chrun.oci.seccomp.profile import ALLOW, ASK, ERRNO, KILL_PROCESS
from chrun.oci.spec import CapabilitySets, IdMapping, Process, Spec
from chrun.store.layout import Layout
from tests.support.bpf import AUDIT_ARCH, AUDIT_ARCH_I386, run_filter

PACKAGE = Path(chrun.__file__).parent
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
    return make_layout(tmp_path / "data")


@pytest.fixture
def other_layout(tmp_path):
    return make_layout(tmp_path / "other")


def make_layout(root):
    (root / "cache").mkdir(parents=True)
    return Layout(str(root))


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


PLAN_ANEW = """
import sys
from chrun.engine import filters
from chrun.linux.host import Host
from chrun.oci.spec import CapabilitySets, Process, Spec
from chrun.store.layout import Layout

host = Host(uid=0, gid=0, privileged=True, machine="x86_64", release="6.1.0-10")
spec = Spec(Process(("sh",), capabilities=CapabilitySets(("CAP_CHOWN",))), seccomp="default")
layout = Layout(sys.argv[1])
(step,), _notices = filters.plan_filters(layout, host, spec, "amd64", optional=False)
print(step.program.hex(), "chrun.engine.seccomp" in sys.modules)
"""


def plan_anew(layout, package_parent=PACKAGE.parent):
    """Plan as a new process does, with chrun from a directory or an archive.

    Gives the program of the one step, and whether it was made rather than read.
    """
    done = subprocess.run(
        [sys.executable, "-c", PLAN_ANEW, layout.root],
        env={"PYTHONPATH": str(package_parent), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    program, made = done.stdout.split()
    return bytes.fromhex(program), made == "True"


def test_what_was_made_once_is_read_the_next_time(layout):
    (step,) = plan(layout)
    assert plan_anew(layout) == (step.program, False)
    assert len(kept_files(layout)) == 1


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
def test_what_is_kept_for_one_question_is_no_answer_to_another(layout, other_layout, other):
    first, second = plan(layout), plan(other_layout, **other)
    assert second != first or other["spec"].process.capabilities == CapabilitySets()
    ((kept,), (slot,)) = kept_files(layout), kept_files(other_layout)
    shutil.copy(f"{layout.cache_dir}/{kept}", f"{other_layout.cache_dir}/{slot}")  # both meet there
    assert plan(other_layout, **other) == second


def test_a_changed_chrun_asks_anew(layout, tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "chrun", ignore=shutil.ignore_patterns("__pycache__"))
    before, _made = plan_anew(layout, tmp_path)
    source = tmp_path / "chrun/oci/seccomp/default.py"
    refuse = "_REFUSE = ERRNO | errno."
    assert f"{refuse}EPERM" in source.read_text()
    source.write_text(source.read_text().replace(f"{refuse}EPERM", f"{refuse}EIO"))
    after, made = plan_anew(layout, tmp_path)
    assert made
    found = [run_filter(program, MOUNT, AUDIT_ARCH["x86_64"]) for program in (before, after)]
    assert found == [ERRNO | errno.EPERM, ERRNO | errno.EIO]


def test_sources_that_are_no_files_are_never_believed_to_be_the_same(layout, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "chrun"), "zip", PACKAGE.parent, PACKAGE.name)
    for _ in range(2):
        _program, made = plan_anew(layout, Path(archive))
        assert made
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
        content + b"more",
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
