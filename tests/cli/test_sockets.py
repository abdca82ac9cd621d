"""Which sockets a container's filter leaves it, by raw system calls on every rung with a filter.

The kernel takes family, type and protocol as ints. CVE-2026-123876, CVE-2019-10063: what a caller
puts into the upper half of the register must change nothing.
"""

from __future__ import annotations

import errno
import platform

import pytest

from chrun.linux.seccomp.numbers import call_numbers
from tests.support.calls import PROGRAM_PATH, parse_results
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")

NUMBERS = call_numbers(platform.machine())
HIGH = 1 << 32
UNCONFINED = ("--security-opt", "seccomp=unconfined")
SEALED = ("--isolation", "sealed")
RUNGS = {
    "confined": (),
    "sealed": SEALED,
    "namespaces": (
        *("--isolation", "namespaces", "--security-opt", "seccomp=default"),
        *("--cap-drop", "ALL"),
    ),
}
UNIX, INET, INET6, NETLINK, PACKET = 1, 2, 10, 16, 17
STREAM, DGRAM, RAW, SEQPACKET, OLD_PACKET = 1, 2, 3, 5, 10
AUDIT, NETFILTER, XFRM, KOBJECT_UEVENT, GENERIC, CRYPTO = 9, 12, 6, 15, 16, 21


@pytest.fixture(params=RUNGS.values(), ids=RUNGS)
def rung(request):
    return request.param


@pytest.mark.parametrize("high", [0, HIGH])
def test_cve_2026_31431_af_alg_reaches_no_cipher_of_the_kernel(attempt, rung, high):
    assert attempt("socket", 38 | high, SEQPACKET, 0, flags=rung) == errno.EPERM
    assert attempt("socketpair", 38 | high, SEQPACKET, 0, flags=rung) == errno.EPERM
    assert attempt("socket", 38 | high, SEQPACKET, 0, flags=UNCONFINED) != errno.EPERM


@pytest.mark.parametrize("high", [0, HIGH])
def test_cve_2026_123876_af_vsock_reaches_no_hypervisor(attempt, rung, high):
    assert attempt("socket", 40 | high, STREAM, 0, flags=rung) == errno.EPERM
    assert attempt("socketpair", 40 | high, STREAM, 0, flags=rung) == errno.EPERM
    assert attempt("socket", 40 | high, STREAM, 0, flags=UNCONFINED) != errno.EPERM


@pytest.mark.parametrize("family", [15, 33], ids=["AF_KEY", "AF_RXRPC"])
def test_cve_2026_43284_no_family_that_few_programs_need_is_there(attempt, rung, family):
    for high in (0, HIGH):
        assert attempt("socket", family | high, RAW, 2, flags=rung) == errno.EPERM


@pytest.mark.parametrize("high", [0, HIGH])
@pytest.mark.parametrize("protocol", [XFRM, AUDIT, NETFILTER, GENERIC, CRYPTO])
def test_cve_2026_43500_netlink_reaches_no_part_of_the_kernel_but_a_few(
    attempt, rung, protocol, high
):
    arguments = (NETLINK | high, RAW, protocol | high)
    assert attempt("socket", *arguments, flags=rung) == errno.EPROTONOSUPPORT


@pytest.mark.parametrize("high", [0, HIGH])
def test_packets_take_a_capability(attempt, rung, high):
    """SOCK_PACKET: of one of AF_INET the kernel makes a packet socket."""
    assert attempt("socket", PACKET | high, RAW, 0, flags=rung) == errno.EPERM
    assert attempt("socket", INET | high, OLD_PACKET | high, 0, flags=rung) == errno.EPERM


@needs("root")
def test_packets_come_with_their_capability(attempt):
    granted = ("--cap-add", "NET_RAW")
    assert attempt("socket", PACKET, RAW, 0, flags=granted) == 0
    assert attempt("socket", PACKET, RAW, 0, flags=(*granted, *SEALED)) == 0


def test_sealed_makes_no_raw_sockets(attempt):
    assert attempt("socket", INET, RAW, 1, flags=SEALED) == errno.EPERM
    uevents = (NETLINK, RAW, KOBJECT_UEVENT)
    assert attempt("socket", *uevents, flags=SEALED) == errno.EPROTONOSUPPORT
    assert attempt("socket", *uevents) == 0


def test_ordinary_sockets_are_there(attempt, rung):
    for arguments in ((UNIX, STREAM, 0), (INET, STREAM, 0), (INET, DGRAM, 0), (NETLINK, RAW, 0)):
        assert attempt("socket", *arguments, flags=rung) == 0, arguments


def test_programs_list_interfaces(chrun, box, rung):
    assert "LOOPBACK" in chrun("run", *rung, box, "ip", "link").stdout


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the ABIs of another processor")
def test_cve_2026_31431_no_socket_is_made_through_the_32_bit_abi(chrun, calls_dir, rung):
    """socketcall(2) has its arguments in memory, where no filter can look."""
    words = (PROGRAM_PATH, "i386", "102", "1")
    assert parse_results(chrun("run", *rung, calls_dir, *words).stdout) == {102: -31}
    x32_socket = 0x40000000 | NUMBERS["socket"]
    words = (PROGRAM_PATH, str(x32_socket), "38", "5")
    shown = parse_results(chrun("run", *rung, calls_dir, *words).stdout)
    assert shown == {x32_socket: errno.ENOSYS}
