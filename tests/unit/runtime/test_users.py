"""Plans of containers whose users are many: who writes the maps, and who gives the mounts."""

from __future__ import annotations

import errno

import pytest

from chrun.errors import SandboxError
from chrun.linux.host import Host
from chrun.oci.config import ImageConfig
from chrun.oci.convert import Identity, IdMaps, make_spec
from chrun.oci.options import RunOptions
from chrun.oci.spec import IdMapping
from chrun.rootfs.rootfs import Rootfs
from chrun.runtime import steps
from chrun.runtime.launch import failure
from chrun.runtime.plan import Clone, Plan
from chrun.runtime.planner import plan_container
from chrun.runtime.users import OuterIdMap, OuterTree, plan_mapped_tree

ROOT = Host(uid=0, gid=0, privileged=True, machine="x86_64", release="6.1.0")
USER = Host(uid=1000, gid=1000, privileged=False, machine="x86_64", release="6.1.0")
SUBIDS = IdMaps(
    (IdMapping(0, 1000, 1), IdMapping(1, 100000, 65536)),
    (IdMapping(0, 1000, 1), IdMapping(1, 200000, 65536)),
)
RANGE = IdMaps((IdMapping(0, 524288, 65536),), (IdMapping(0, 524288, 65536),))
PROGRAMS = ("/usr/bin/newuidmap", "/usr/bin/newgidmap")


def plan(host, maps, kind="overlay", programs=("", ""), tmpfs_size=0):
    identity = Identity(5, 6, (7,))
    spec = make_spec(
        "x", ImageConfig((), command=("sh",)), RunOptions(), "confined", identity, maps
    )
    rootfs = Rootfs(kind, ("/s/base", "/s/top"), "/s/base_dir", "/s/points", tmpfs_size)
    return plan_container(spec, host, rootfs, map_programs=programs)


def of_kind(made, kind):
    return [step for step in made.records if type(step) is kind]


def test_subordinate_ids_are_mapped_by_programs_and_first():
    made = plan(USER, SUBIDS, programs=PROGRAMS)
    assert made.steps[0] == OuterIdMap(
        "0 1000 1\n1 100000 65536", "0 1000 1\n1 200000 65536", *PROGRAMS
    )
    assert of_kind(made, steps.IdMap) == of_kind(made, OuterTree) == []
    assert "user" in made.clone.namespaces


def test_a_range_is_mapped_by_root_itself():
    made = plan(ROOT, RANGE)
    assert made.steps[0] == OuterIdMap("0 524288 65536", "0 524288 65536", "", "")


@pytest.mark.parametrize(("host", "maps"), [(USER, SUBIDS), (ROOT, RANGE)])
def test_where_users_are_many_groups_are_those_of_the_image(host, maps):
    (user,) = of_kind(plan(host, maps), steps.User)
    assert (user.uid, user.gid, user.groups, user.keep_groups) == (5, 6, (7,), False)


def test_in_a_range_all_of_the_store_comes_from_outside_and_mapped():
    made = plan(ROOT, RANGE)
    trees = [(tree.source, tree.target) for tree in of_kind(made, OuterTree) if tree.mapped]
    assert trees == [("%", "scratch"), ("/s/top", "0"), ("/s/base", "1"), ("/s/points", "2")]
    assert of_kind(made, steps.Symlink) == []
    (overlay,) = of_kind(made, steps.MountBase)
    assert overlay.options.startswith("lowerdir=0:1:2,upperdir=scratch/upper,")
    assert "userxattr" in overlay.options


def test_in_a_range_what_is_written_to_memory_needs_no_map():
    made = plan(ROOT, RANGE, tmpfs_size=1000)
    assert "%" not in [tree.source for tree in of_kind(made, OuterTree)]


def test_in_a_range_a_copied_root_comes_from_outside_with_owners_of_its_own():
    (tree,) = of_kind(plan(ROOT, RANGE, kind="copy"), OuterTree)
    assert (tree.source, tree.target, tree.mapped) == ("%/rootfs", "root", False)


def test_every_range_is_told_when_the_limit_of_user_namespaces_is_reached():
    notes = plan(ROOT, RANGE).clone.notes
    assert any("max_user_namespaces" in note.hint for note in notes if note.errno == errno.ENOSPC)
    assert plan(ROOT, IdMaps()).clone.notes == ()


def test_a_failed_map_is_told_in_its_programs_words():
    step = OuterIdMap("0 1 1", "0 1 1", *PROGRAMS)
    made = Plan(Clone(("user",)), (step,))
    numbers = (1).to_bytes(4, "little") + errno.EPERM.to_bytes(4, "little")
    error = failure(made, numbers + b"newuidmap: uid range [0-1) -> [1-2) not allowed")
    assert isinstance(error, SandboxError)
    assert str(error) == (
        "cannot map user ids (0 1 1) and group ids (0 1 1): "
        "newuidmap: uid range [0-1) -> [1-2) not allowed"
    )
    assert "operation not permitted" in str(failure(made, numbers))


def test_a_file_system_that_cannot_be_mapped_is_told_with_the_way_out():
    made = Plan(Clone(()), (plan_mapped_tree("/store/layer", "0"),))
    report = (1).to_bytes(4, "little") + errno.EINVAL.to_bytes(4, "little")
    error = failure(made, report)
    assert error
    assert "cannot give /store/layer to 0: this file system" in str(error)
    assert "--rootfs copy" in error.hint
