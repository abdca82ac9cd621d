"""Which namespaces are made, and what is mounted when some are shared."""

from __future__ import annotations

import pytest

from chrun.oci.namespaces import own_namespaces, shared_mounts
from chrun.oci.options import NamespaceOptions
from chrun.oci.spec import Joined, Process, Spec, SpecMount

MOUNTS = (
    SpecMount("/dev/shm", "tmpfs", "shm", ("size=1m",)),
    SpecMount("/dev/mqueue", "mqueue", "mqueue"),
)


@pytest.mark.parametrize(
    ("options", "own"),
    [
        (NamespaceOptions(), ("mount", "pid", "ipc", "uts", "cgroup")),
        (NamespaceOptions(network="none"), ("mount", "pid", "network", "ipc", "uts", "cgroup")),
        (NamespaceOptions(ipc="none"), ("mount", "pid", "ipc", "uts", "cgroup")),
        (NamespaceOptions(pid="host", uts="container:x"), ("mount", "ipc", "cgroup")),
        (NamespaceOptions(ipc="host", cgroup="host"), ("mount", "pid", "uts")),
    ],
)
def test_what_is_not_shared_is_made(options, own):
    assert own_namespaces(options) == own


def targets(ipc: str, *, user_namespace: bool) -> dict[str, str]:
    options = NamespaceOptions(ipc=ipc)
    mounts = shared_mounts(MOUNTS, options, user_namespace=user_namespace)
    return {mount.destination: mount.type for mount in mounts}


def test_shared_memory_goes_with_ipc():
    assert targets("host", user_namespace=False) == {"/dev/shm": "bind", "/dev/mqueue": "mqueue"}
    assert targets("none", user_namespace=False) == {"/dev/mqueue": "mqueue"}
    assert targets("container:x", user_namespace=False) == {"/dev/mqueue": "mqueue"}


def test_the_machines_message_queues_cannot_be_mounted_in_a_user_namespace():
    assert targets("host", user_namespace=True) == {"/dev/shm": "bind"}
    assert "/dev/mqueue" in targets("container:x", user_namespace=True)


def test_config_json_names_what_is_joined_by_its_path():
    joined = Joined("network", "/proc/47", 11)
    sysctls = (("net/ipv4/conf/eth0.100/forwarding", "1"),)
    spec = Spec(Process(("true",)), namespaces=("mount",), joined=(joined,), sysctls=sysctls)
    linux = spec.to_json()["linux"]
    assert isinstance(linux, dict)
    own, other = {"type": "mount"}, {"type": "network", "path": "/proc/47/ns/net"}
    assert linux["namespaces"] == [own, other]
    assert linux["sysctl"] == {"net.ipv4.conf.eth0/100.forwarding": "1"}
