"""The planner: which steps, in which order, for which spec and host."""

from __future__ import annotations

from chrun.linux.host import Host
from chrun.oci.config import ImageConfig
from chrun.oci.convert import Identity, IdMaps, make_spec
from chrun.oci.options import RunOptions, SecurityOptions
from chrun.oci.spec import IdMapping, SpecMount
from chrun.rootfs.rootfs import MachineFile, Rootfs
from chrun.runtime import steps
from chrun.runtime.plan import Clone, Exec, RemoveTree
from chrun.runtime.planner import plan_container

ROOT = Host(uid=0, gid=0, privileged=True, machine="x86_64", release="6.1.0-10")
USER = Host(uid=1000, gid=1000, privileged=False, machine="x86_64", release="6.1.0-10")
HOSTS = MachineFile("/etc/hosts", b"127.0.0.1\tlocalhost\n", expanded=True)
ROOTFS = Rootfs(
    "overlay", ("/store/base", "/store/top"), "/store/base_dir", "/store/points", files=(HOSTS,)
)
FILTER = steps.Seccomp(bytes(8), "filter system calls", "a test")
CONFIG = ImageConfig((), command=("sh",))


def plan(
    host=ROOT, rootfs=ROOTFS, rung="confined", keep=False, identity=None, filters=(), **options
):
    identity = identity or Identity()
    maps = IdMaps()
    if not host.privileged:
        maps = IdMaps(
            (IdMapping(identity.uid, host.uid, 1),), (IdMapping(identity.gid, host.gid, 1),)
        )
    spec = make_spec("test", CONFIG, RunOptions(**options), rung, identity, maps)
    return plan_container(spec, host, rootfs, keep=keep, filters=filters)


def kinds(plan):
    return [type(step) for step in plan.records]


def position(plan, kind, **fields):
    return next(
        number
        for number, step in enumerate(plan.records)
        if type(step) is kind and all(getattr(step, key) == value for key, value in fields.items())
    )


def test_the_order_is_that_of_the_design():
    made = plan(terminal=True, readonly=True)
    order = [
        steps.Propagation, steps.Base, steps.MountBase, steps.Root, steps.Mount, steps.Mask,
        steps.Terminal, steps.PivotRoot, steps.Hostname, steps.WorkingDirectory, steps.User,
        steps.Capabilities, steps.NoNewPrivileges, Exec, RemoveTree,
    ]  # fmt: skip
    places = [kinds(made).index(kind) for kind in order]
    assert places == sorted(places)
    assert kinds(made)[0] is Clone


def test_a_plan_is_made_of_what_the_host_value_says_and_of_nothing_else():
    told = plan(USER.replace(refusal="a reason", remedy="a remedy")).records[0].notes
    assert ("operation not permitted: a reason", "a remedy") in {
        (note.text, note.hint) for note in told
    }


def test_an_ordinary_user_maps_ids_before_anything_else_and_filters_last():
    made = plan(USER, filters=(FILTER,))
    assert kinds(made)[1] is steps.IdMap
    assert position(made, steps.NoNewPrivileges) < position(made, steps.Seccomp)
    assert position(made, steps.Seccomp) == position(made, Exec) - 1
    assert "user" in made.clone.namespaces


def test_root_has_no_user_namespace():
    made = plan()
    assert steps.IdMap not in kinds(made)
    assert made.clone.namespaces == ("mount", "pid", "ipc", "uts", "cgroup")


def test_the_single_id_is_the_one_the_command_runs_as():
    made = plan(USER, identity=Identity(999, 998))
    id_map = made.records[1]
    assert (id_map.uid_map, id_map.gid_map) == ("999 1000 1", "998 1000 1")
    assert made.records[position(made, steps.User)].keep_groups


def test_layers_are_stacked_topmost_first_under_short_names_and_mount_points_below():
    made = plan()
    links = [step for step in made.steps if isinstance(step, steps.Symlink)]
    assert [(link.source, link.name) for link in links[1:]] == [
        ("/store/top", "0"),
        ("/store/base", "1"),
        ("/store/points", "2"),
    ]
    overlay = made.records[position(made, steps.MountBase)]
    assert overlay.options.startswith("lowerdir=0:1:2,")
    assert "/store" not in overlay.options


def test_nothing_of_one_run_is_in_a_plan_so_that_it_can_be_kept():
    assert plan().encode() == plan().encode()
    assert b"HOSTNAME=%h" in plan().encode()


def test_the_chroot_rung_changes_the_root_and_nothing_else():
    made = plan(rung="chroot")
    assert kinds(made) == [
        Clone, steps.Root, steps.Chroot, steps.WorkingDirectory, steps.User, Exec, RemoveTree,
    ]  # fmt: skip
    assert made.clone.namespaces == ()


def test_the_namespaces_rung_takes_no_capabilities_and_hides_nothing():
    made = plan(rung="namespaces")
    for kind in (steps.Capabilities, steps.NoNewPrivileges, steps.Mask, steps.ReadOnly):
        assert kind not in kinds(made)


def test_confined_root_keeps_podmans_capabilities_and_another_user_none():
    podman = 0x00000000800405FB  # CapBnd in a container of podman's
    root = plan().records[position(plan(), steps.Capabilities)]
    assert root.bounding == root.effective == root.permitted == podman
    assert root.inheritable == root.ambient == 0
    other = plan(identity=Identity(999))
    dropped = other.records[position(other, steps.Capabilities)]
    assert (dropped.bounding, dropped.effective, dropped.permitted) == (podman, 0, 0)


def test_devices_are_made_by_root_and_bound_by_an_ordinary_user():
    assert kinds(plan()).count(steps.Node) == 6
    assert steps.Node not in kinds(plan(USER))
    bound = [step.target for step in plan(USER).steps if isinstance(step, steps.Bind)]
    assert {"/dev/null", "/dev/tty", "/sys"} <= set(bound)


def test_the_tty_group_is_named_only_where_it_is_mapped():
    root, user = plan(), plan(USER)
    assert "gid=5" in root.records[position(root, steps.Mount, fstype="devpts")].options
    assert "gid=5" not in user.records[position(user, steps.Mount, fstype="devpts")].options


def test_volumes_come_after_the_machines_files_and_parents_before_children():
    inner = SpecMount("/data/sub", "bind", "/b", ("rbind", "ro"))
    outer = SpecMount("/data", "bind", "/a", ("rbind",))
    made = plan(mounts=(inner, outer))
    first, second = (position(made, steps.Bind, target=path) for path in ("/data", "/data/sub"))
    assert position(made, steps.File, target="/etc/hosts") < first < second
    assert made.records[second].flags == 1


def test_a_volume_over_etc_keeps_the_machines_files_out_of_it():
    made = plan(mounts=(SpecMount("/etc", "bind", "/my/etc", ("rbind",)),))
    assert steps.File not in kinds(made)


def test_keeping_leaves_the_scratch_directory():
    assert plan(keep=True).cleanup == (RemoveTree("%/work"),)
    assert plan().cleanup == (RemoveTree("%"),)


def test_scratch_in_memory_is_part_of_the_private_tmpfs():
    made = plan(rootfs=ROOTFS.replace(tmpfs_size=1 << 20))
    assert made.records[position(made, steps.Base)].options == "mode=755,size=1048576"
    assert position(made, steps.Directory, name="scratch/upper")


def test_a_copy_is_bound_because_pivot_root_wants_a_mount_point():
    made = plan(rootfs=ROOTFS.replace(kind="copy"))
    assert made.records[position(made, steps.Root)].bind
    assert steps.MountBase not in kinds(made)


def test_an_overlay_of_a_user_reads_user_xattrs():
    assert "userxattr" in plan(USER).records[position(plan(USER), steps.MountBase)].options
    assert "userxattr" not in plan().records[position(plan(), steps.MountBase)].options


def test_every_step_has_words_and_a_reason():
    mounts = (SpecMount("/d", "bind", "/a", ("rbind",)), SpecMount("/t", "tmpfs", "tmpfs"))
    for host in (ROOT, USER):
        for step in plan(host, terminal=True, readonly=True, mounts=mounts).records:
            assert step.describe()
            assert step.why
            assert "\n" not in step.describe()


def test_filters_come_last_where_no_new_privs_allows_them():
    made = plan(filters=(FILTER, FILTER.replace(listens=True)))
    assert kinds(made)[-5:-2] == [steps.NoNewPrivileges, steps.Seccomp, steps.Seccomp]


def test_without_no_new_privs_filters_come_while_the_capability_is_there():
    security = SecurityOptions(no_new_privileges=False)
    root = plan(identity=Identity(999), filters=(FILTER,), security=security)
    assert position(root, steps.Seccomp) < position(root, steps.User)
    user = plan(USER, filters=(FILTER,), security=security)  # one id: nothing changes with it
    order = [position(user, kind) for kind in (steps.User, steps.Seccomp, steps.Capabilities)]
    assert order == sorted(order)
