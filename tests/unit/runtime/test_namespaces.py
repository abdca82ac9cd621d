"""Where in a plan namespaces are joined, and what is set in them."""

from __future__ import annotations

from chrun.oci.options import NamespaceOptions, SecurityOptions
from chrun.oci.spec import Joined
from chrun.runtime import steps
from chrun.runtime.namespaces import Join, Loopback, SharedMemory, Sysctl
from chrun.runtime.trees import Place
from tests.unit.runtime.test_planner import USER, kinds, plan, position

WEB, CACHE = ("/proc/47", 11), ("/proc/48", 12)


def joined(*pairs: tuple[str, tuple[str, int]], **modes: str) -> NamespaceOptions:
    made = tuple(Joined(kind, *process) for kind, process in pairs)
    return NamespaceOptions(**{kind: "container:x" for kind, _ in pairs if kind != "user"} | modes,
                            joined=made)  # fmt: skip


def test_namespaces_of_one_process_are_joined_by_one_step_and_not_made():
    made = plan(namespaces=joined(("pid", WEB), ("uts", WEB), ("network", CACHE)))
    first, second = (step for step in made.steps if isinstance(step, Join))
    assert (first.process, first.started, first.flags) == (*WEB, 0x20000000 | 0x04000000)
    assert (second.process, second.flags) == (CACHE[0], 0x40000000)
    assert not {"pid", "uts", "network"} & set(made.clone.namespaces)


def test_who_joins_a_user_namespace_maps_nothing():
    made = plan(USER, namespaces=joined(("user", WEB), ("ipc", WEB)))
    assert steps.IdMap not in kinds(made)
    assert "user" not in made.clone.namespaces
    assert made.steps[0].flags == 0x10000000 | 0x08000000


def test_shared_memory_is_fetched_behind_the_base_and_placed_in_the_new_dev():
    made = plan(namespaces=joined(("ipc", WEB)))
    place = position(made, Place, target="/dev/shm")
    assert position(made, steps.Base) < position(made, SharedMemory) < place
    assert position(made, steps.Mount, target="/dev") < place < position(made, steps.PivotRoot)
    assert not any(
        isinstance(step, steps.Mount) and step.target == "/dev/shm" for step in made.steps
    )


def test_settings_are_made_in_the_new_proc_before_it_is_locked_and_rights_are_given_up():
    options = NamespaceOptions(network="none", sysctls=(("net/core/somaxconn", "9"),))
    made = plan(namespaces=options)
    setting = position(made, Sysctl, target="/sys/net/core/somaxconn", text="9")
    assert position(made, steps.Mount, target="/proc") < setting
    assert setting < position(made, steps.ReadOnly, target="/proc/sys")
    assert position(made, Loopback) < position(made, steps.Capabilities)


def test_a_host_name_is_set_in_an_own_namespace_alone():
    assert steps.Hostname not in kinds(plan(namespaces=NamespaceOptions(uts="host")))
    assert steps.Hostname not in kinds(plan(namespaces=joined(("uts", WEB))))


def test_in_a_user_namespace_what_shows_the_machine_is_bound_and_what_is_own_is_mounted():
    def bound(**modes: str) -> set[str]:
        made = plan(USER, namespaces=NamespaceOptions(**modes))
        return {step.target for step in made.steps if isinstance(step, steps.Bind)} & {
            "/proc", "/sys",
        }  # fmt: skip

    assert bound() == {"/sys"}
    assert bound(pid="host") == {"/proc", "/sys"}
    assert bound(network="none") == set()


def test_privileged_hides_and_locks_nothing():
    security = SecurityOptions(privileged=True, available=("CAP_CHOWN", "CAP_SYS_ADMIN"))
    made = plan(security=security)
    assert not {steps.Mask, steps.ReadOnly, steps.NoNewPrivileges} & set(kinds(made))
    (sets,) = (step for step in made.steps if isinstance(step, steps.Capabilities))
    assert sets.effective == sets.bounding == 1 | 1 << 21
    (sysfs,) = (step for step in made.steps if getattr(step, "target", "") == "/sys")
    assert not sysfs.flags & 1  # MS_RDONLY


def test_sealed_has_no_capability_at_all():
    made = plan(rung="sealed")
    (sets,) = (step for step in made.steps if isinstance(step, steps.Capabilities))
    assert sets.content() == (0, 0, 0, 0, 0)
