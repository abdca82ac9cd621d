"""What auto leaves out where a machine lacks it, and what it never leaves out."""

from __future__ import annotations

import pytest

from chrun.engine.descent import descend, without_filters
from chrun.errors import UnsupportedError
from chrun.linux.host import Host, Lack
from chrun.oci.options import NamespaceOptions, RunOptions
from chrun.oci.spec import Process, Spec

USER = Host(uid=1000, gid=1000, privileged=False, machine="x86_64", release="6.1.0-10")
NAMES = ["pid", "ipc", "uts", "cgroup"]


def lacking(what):
    return USER.replace(lacks=(Lack(what, "the kernel has none", "take another one"),))


def namespaces(**fields):
    return RunOptions(namespaces=NamespaceOptions(**fields))


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_namespace_is_shared_and_said_in_one_line(name):
    options, (notice,) = descend(lacking(name), "auto", RunOptions())
    assert options.namespaces == NamespaceOptions(**{name: "host"})
    assert notice.endswith(": the kernel has none; take another one")
    assert " host)" in notice


def test_without_a_proc_of_its_own_a_container_has_no_pid_namespace():
    options, (notice,) = descend(lacking("proc"), "auto", RunOptions())
    assert options.namespaces.pid == "host"
    assert "may signal" in notice


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("isolation", ["namespaces", "confined", "sealed"])
def test_a_rung_asked_for_by_name_does_without_none(name, isolation):
    with pytest.raises(UnsupportedError, match=f"own {name} namespace: the kernel has") as caught:
        descend(lacking(name), isolation, RunOptions())
    assert caught.value.hint == "take another one"


@pytest.mark.parametrize("name", NAMES)
def test_a_namespace_asked_for_by_name_is_never_left_out(name):
    with pytest.raises(UnsupportedError, match=f"own {name} namespace"):
        descend(lacking(name), "auto", namespaces(asked=(name,)))


def test_a_host_name_or_kernel_parameter_never_becomes_the_machines():
    with pytest.raises(UnsupportedError, match="own uts namespace"):
        descend(lacking("uts"), "auto", RunOptions(hostname="mine"))
    for name in ("ipc", "uts"):
        with pytest.raises(UnsupportedError, match=f"own {name} namespace"):
            descend(lacking(name), "auto", namespaces(sysctls=(("kernel/shmmax", "1"),)))


@pytest.mark.parametrize("mode", ["host", "container:x"])
def test_what_is_shared_anyway_is_no_loss(mode):
    asked = namespaces(pid=mode, asked=("pid",))
    assert descend(lacking("pid"), "confined", asked) == (asked, ())


@pytest.mark.parametrize("what", ["overlay", "listener", "seccomp", "namespaces"])
def test_other_lacks_change_no_namespace(what):
    assert descend(lacking(what), "auto", RunOptions()) == (RunOptions(), ())


def test_a_missing_filter_is_said_unless_none_was_wanted():
    lack = Lack("seccomp", "the kernel has none")
    filtered = Spec(process=Process(("true",)), seccomp="default")
    assert without_filters(lack, filtered.replace(seccomp=""), optional=False) == ()
    (notice,) = without_filters(lack, filtered, optional=True)
    assert notice.endswith("seccomp=unconfined): the kernel has none")
    with pytest.raises(UnsupportedError, match="cannot filter system calls: the kernel has none"):
        without_filters(lack, filtered, optional=False)
