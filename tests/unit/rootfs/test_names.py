"""Lines of hosts(5) and resolv.conf(5)."""

from __future__ import annotations

import pytest

from chrun.oci.options import NamespaceOptions
from chrun.rootfs.files import machine_files
from chrun.rootfs.names import added_hosts, resolver_of

MACHINE = b"# of this machine\ndomain old.example\nnameserver 10.0.0.1\noptions edns0\n\xff\n"


def test_each_kind_of_line_is_replaced_when_it_was_asked_for():
    asked = NamespaceOptions(dns=("192.0.2.53",), dns_search=("a.example", "b.example"))
    assert resolver_of(MACHINE, asked, shut_in=False).splitlines() == [
        b"# of this machine",
        b"options edns0",
        b"\xff",
        b"search a.example b.example",
        b"nameserver 192.0.2.53",
    ]


def test_what_was_not_asked_for_is_the_machines():
    assert resolver_of(MACHINE, NamespaceOptions(), shut_in=False) == MACHINE


def test_a_dot_is_an_empty_search_list():
    shown = resolver_of(MACHINE, NamespaceOptions(dns_search=(".",)), shut_in=False)
    assert b"search" not in shown
    assert b"domain" not in shown


def test_without_a_network_only_servers_asked_for_are_named():
    assert b"nameserver" not in resolver_of(MACHINE, NamespaceOptions(), shut_in=True)
    asked = NamespaceOptions(dns=("127.0.0.1",))
    assert b"nameserver 127.0.0.1\n" in resolver_of(MACHINE, asked, shut_in=True)


def test_hosts_are_added_one_a_line():
    asked = NamespaceOptions(hosts=(("192.0.2.1", "a"), ("::1", "b")))
    assert added_hosts(asked) == b"192.0.2.1\ta\n::1\tb\n"


@pytest.mark.parametrize("shut_in", [False, True])
def test_a_scope_in_an_address_is_no_host_name(shut_in):
    asked = NamespaceOptions(hosts=(("fe80::1%eth0", "x"),))
    files = machine_files(single_id=False, asked=asked, shut_in=shut_in)
    (hosts,) = (file for file in files if file.target == "/etc/hosts")
    assert b"fe80::1%%eth0\tx\n" in hosts.text
    assert hosts.expanded
