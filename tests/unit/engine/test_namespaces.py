"""Words of the command line about namespaces, names and kernel parameters."""

from __future__ import annotations

import pytest

from chrun.engine.namespaces import check_options, parse_namespaces
from chrun.errors import UsageError
from chrun.oci.options import NamespaceOptions, RunOptions

MODES = ("network", "pid", "ipc", "uts", "cgroup")


def read(**given: object) -> NamespaceOptions:
    modes = {name: str(given.pop(name)) for name in MODES if name in given}
    nothing = dict.fromkeys(("sysctls", "add_host", "dns", "dns_search", "dns_option"), ())
    return parse_namespaces(modes=modes, **(nothing | given))


def test_nothing_asked_for_is_the_default():
    assert read() == NamespaceOptions()


@pytest.mark.parametrize(
    ("name", "word"),
    [("network", "host"), ("network", "none"), ("network", "container:web"), ("pid", "host"),
     ("pid", "container:web"), ("ipc", "none"), ("uts", "host"), ("cgroup", "host")],
)  # fmt: skip
def test_a_mode_is_kept_as_it_was_written(name, word):
    assert getattr(read(**{name: word}), name) == word


def test_every_containers_ipc_is_shareable():
    assert read(ipc="shareable").ipc == "private"


@pytest.mark.parametrize(
    ("name", "word"),
    [("network", "private"), ("network", "container:"), ("pid", "none"), ("uts", "none"),
     ("cgroup", "container:web"), ("ipc", "Host"), ("network", ""), ("pid", "")],
)  # fmt: skip
def test_a_mode_that_there_is_not_is_an_error(name, word):
    with pytest.raises(UsageError, match=rf"cannot read --{name}.* '{word}': expected "):
        read(**{name: word})


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("net.core.somaxconn=1", ("net/core/somaxconn", "1")),
        ("net/core/somaxconn = 1", ("net/core/somaxconn", "1")),
        ("net/ipv4/conf/eth0.100/forwarding=1", ("net/ipv4/conf/eth0.100/forwarding", "1")),
        ("net.ipv4.conf.eth0/100.forwarding=1", ("net/ipv4/conf/eth0.100/forwarding", "1")),
        ("net.ipv4.ping_group_range=0 99", ("net/ipv4/ping_group_range", "0 99")),
        ("kernel.sem=1 2 3 4", ("kernel/sem", "1 2 3 4")),
        ("fs.mqueue.msg_max=", ("fs/mqueue/msg_max", "")),
        ("kernel.domainname=a=b", ("kernel/domainname", "a=b")),
    ],
)
def test_a_parameter_is_a_path_whichever_separator_comes_first(text, setting):
    assert read(network="none", sysctls=(text,)).sysctls == (setting,)


def test_the_last_of_two_values_counts():
    asked = read(sysctls=("kernel.shmmax=1", "kernel.shmmni=2", "kernel.shmmax=3"))
    assert asked.sysctls == (("kernel/shmmax", "3"), ("kernel/shmmni", "2"))


@pytest.mark.parametrize(
    "text",
    ["", "=1", "net", "net.core.somaxconn", "net..core=1", "net/../kernel/panic=1", ".net.x=1",
     "net.x.=1", "net/./x=1", "/net/core=1", "net.x\0=1"],
)  # fmt: skip
def test_a_name_that_is_no_path_is_an_error(text):
    with pytest.raises(UsageError, match="expected NAME=VALUE"):
        read(network="none", sysctls=(text,))


@pytest.mark.parametrize(
    "name",
    ["kernel.panic", "vm.swappiness", "kernel.shmmaximum", "fs.mqueuex.y", "netx.y", "user.x",
     "kernel.core_pattern", "fs.binfmt_misc.register"],
)  # fmt: skip
def test_a_parameter_of_the_whole_machine_is_refused(name):
    with pytest.raises(UsageError, match="it is the whole machine's"):
        read(network="none", sysctls=(f"{name}=1",))


@pytest.mark.parametrize(
    ("modes", "name"),
    [
        ({}, "net.core.somaxconn"),
        ({"network": "host"}, "net.core.somaxconn"),
        ({"network": "container:web"}, "net.core.somaxconn"),
        ({"ipc": "host"}, "kernel.msgmax"),
        ({"ipc": "container:web"}, "fs.mqueue.msg_max"),
        ({"uts": "host"}, "kernel.domainname"),
    ],
)
def test_a_parameter_of_somebody_elses_namespace_is_refused(modes, name):
    with pytest.raises(UsageError, match="namespace is not the container's own"):
        read(sysctls=(f"{name}=1",), **modes)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("db:192.0.2.7", ("192.0.2.7", "db")),
        ("db=192.0.2.7", ("192.0.2.7", "db")),
        ("six:2001:db8::1", ("2001:db8::1", "six")),
        ("six:[2001:db8::1]", ("2001:db8::1", "six")),
        ("six=[2001:db8::1]", ("2001:db8::1", "six")),
        ("a-b.c_d:192.0.2.7", ("192.0.2.7", "a-b.c_d")),
        ("here:host-gateway", ("127.0.0.1", "here")),
    ],
)
def test_a_host_is_a_name_and_an_address(text, line):
    assert read(add_host=(text,)).hosts == (line,)


@pytest.mark.parametrize(
    "text", ["", "db", "db:", ":192.0.2.7", "a b:192.0.2.7", "db:nowhere", "db:1.2.3.4\n5.6.7.8 x"]
)
def test_what_is_no_host_is_an_error(text):
    with pytest.raises(UsageError, match="cannot read --add-host"):
        read(add_host=(text,))


@pytest.mark.parametrize("text", ["db", "db:", ":", "db="])
def test_half_a_host_is_told_its_whole_form(text):
    with pytest.raises(UsageError) as caught:
        read(add_host=(text,))
    assert str(caught.value) == f"cannot read --add-host {text!r}: expected NAME:ADDRESS"
    assert caught.value.hint == "--add-host db:192.0.2.1, say"


def test_this_machine_is_out_of_reach_without_a_network():
    with pytest.raises(UsageError, match="there is no way"):
        read(network="none", add_host=("here:host-gateway",))


@pytest.mark.parametrize(
    "given",
    [{"dns": ("example.org",)}, {"dns": ("",)}, {"dns": ("1.2.3.4%a\nb",)},
     {"dns_search": ("a b",)}, {"dns_search": ("a\nnameserver 6.6.6.6",)}, {"dns_option": ("",)}],
)  # fmt: skip
def test_a_word_of_the_resolver_has_one_line_and_one_meaning(given):
    with pytest.raises(UsageError, match="cannot read --dns"):
        read(**given)


def test_a_host_name_wants_a_namespace_of_its_own():
    check_options(RunOptions(hostname="x"))
    for mode in ("host", "container:web"):
        with pytest.raises(UsageError, match=f"cannot use --hostname with --uts {mode}"):
            check_options(RunOptions(hostname="x", namespaces=NamespaceOptions(uts=mode)))


@pytest.mark.parametrize("address", ["\udcff", "\0", "192.0.2.1\0", "::1\udcff"])
@pytest.mark.parametrize("flag", ["dns", "add_host"])
def test_an_address_is_no_other_bytes(flag, address):
    word = address if flag == "dns" else f"name={address}"
    with pytest.raises(UsageError, match=r"^cannot read --"):
        read(**{flag: (word,)})
