"""chrun's own lists: what is refused, to whom, and how (docs/reference/seccomp.md)."""

from __future__ import annotations

import errno

import pytest

from chrun.linux.caps import NAMES
from chrun.linux.seccomp.numbers import call_numbers
from chrun.oci.convert import DEFAULT_CAPABILITIES
from chrun.oci.seccomp.default import default_profile
from chrun.oci.seccomp.profile import ALLOW, ERRNO, KILL_PROCESS
from tests.support.bpf import read_plainly

REFUSED, UNKNOWN = ERRNO | errno.EPERM, ERRNO | errno.ENOSYS
CONFINED = default_profile(DEFAULT_CAPABILITIES)
SEALED = default_profile((), sealed=True)
HIGH = 1 << 32
FAMILIES = {1, 2, 10, 16, 17}  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET
CALLS = sorted(call_numbers("x86_64").keys() | call_numbers("aarch64").keys())


def answer(profile, name, *arguments):
    return read_plainly(profile, name, arguments)


def allowed_to(*capabilities):
    profile = default_profile(capabilities)
    return {name for name in CALLS if answer(profile, name) == ALLOW}


ADMINISTRATORS = """
    acct add_key bpf delete_module fanotify_init finit_module fsconfig fsmount fsopen fspick
    get_mempolicy init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp
    kexec_file_load kexec_load keyctl lookup_dcookie lsm_list_modules lsm_set_self_attr mbind
    migrate_pages mount mount_setattr move_mount move_pages nfsservctl open_by_handle_at open_tree
    perf_event_open pidfd_getfd pivot_root process_madvise quotactl quotactl_fd reboot request_key
    set_mempolicy setdomainname sethostname setns settimeofday clock_settime swapoff swapon syslog
    umount2 unshare userfaultfd uselib ustat vhangup _sysctl create_module sysfs
"""


@pytest.mark.parametrize("name", ADMINISTRATORS.split())
def test_what_only_an_administrator_or_an_attacker_calls_is_refused(name):
    assert answer(CONFINED, name) == REFUSED
    assert answer(SEALED, name) == REFUSED


@pytest.mark.parametrize(
    ("capability", "names"),
    [
        (
            "CAP_SYS_ADMIN",
            """
            bpf clone3 fanotify_init fsconfig fsmount fsopen fspick listns lookup_dcookie
            lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount
            open_tree open_tree_attr perf_event_open pivot_root quotactl quotactl_fd setdomainname
            sethostname setns syslog umount2 unshare
            """,
        ),
        ("CAP_BPF", "bpf"),
        ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
        ("CAP_PERFMON", "perf_event_open"),
        ("CAP_SYS_BOOT", "reboot"),
        ("CAP_SYS_CHROOT", "chroot"),
        ("CAP_SYS_MODULE", "init_module finit_module delete_module"),
        ("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
        ("CAP_SYS_PACCT", "acct"),
        ("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
        ("CAP_SYS_RAWIO", "ioperm iopl"),
        ("CAP_SYS_TIME", "clock_settime settimeofday"),
        ("CAP_SYS_TTY_CONFIG", "vhangup"),
        ("CAP_SYSLOG", "syslog"),
    ],
)
def test_a_capability_brings_its_calls_and_no_others(capability, names):
    assert allowed_to(capability) - allowed_to() == set(names.split())


def test_all_other_capabilities_bring_nothing():
    granting = {capability for capability in NAMES if allowed_to(capability) != allowed_to()}
    assert len(granting) == 14
    assert allowed_to(*(set(NAMES) - granting)) == allowed_to()


@pytest.mark.parametrize("flag", [0x20000, 0x2000000, 0x4000000, 0x8000000,
                                  0x10000000, 0x20000000, 0x40000000])  # fmt: skip
def test_clone_makes_no_namespace_without_the_capability(flag):
    assert answer(CONFINED, "clone", 0x11) == ALLOW  # fork
    assert answer(CONFINED, "clone", 0x3D0F00) == ALLOW  # a thread
    assert answer(CONFINED, "clone", flag | 0x11) == REFUSED
    assert answer(SEALED, "clone", flag | HIGH) == REFUSED
    assert answer(default_profile({"CAP_SYS_ADMIN"}), "clone", flag) == ALLOW


def test_what_lies_in_memory_where_no_filter_can_look_seems_not_to_exist():
    assert answer(CONFINED, "clone3") == answer(SEALED, "clone3") == UNKNOWN


def test_calls_newer_than_the_list_seem_not_to_exist():
    assert answer(CONFINED, None) == answer(SEALED, None) == UNKNOWN


def test_other_abis_are_killed():
    assert CONFINED.foreign == SEALED.foreign == KILL_PROCESS


@pytest.mark.parametrize("high", [0, HIGH, 0xFFFFFFFF << 32])
@pytest.mark.parametrize("request_number", [0x5412, 0x541C])
def test_typing_into_a_terminal_is_refused_whatever_the_upper_half_says(request_number, high):
    everything = default_profile(NAMES)
    for profile in (CONFINED, SEALED, everything):
        assert answer(profile, "ioctl", 0, request_number | high) == REFUSED
    assert answer(CONFINED, "ioctl", 0, 0x5401 | high) == ALLOW  # TCGETS


@pytest.mark.parametrize("high", [0, HIGH, 0xFFFFFFFF << 32])
@pytest.mark.parametrize("family", [each for each in range(64) if each not in FAMILIES])
def test_sockets_of_families_that_few_programs_need_are_refused(family, high):
    for profile in (CONFINED, SEALED, default_profile(NAMES)):
        for kind in (1, 2, 3, 5):
            assert answer(profile, "socket", family | high, kind) == REFUSED
            assert answer(profile, "socketpair", family | high, kind) == REFUSED


@pytest.mark.parametrize("high", [0, HIGH])
def test_ordinary_sockets_are_allowed(high):
    for family in (1, 2, 10):
        for kind in (1, 2, 3, 5):
            assert answer(CONFINED, "socket", family | high, kind) == ALLOW
    assert answer(CONFINED, "socketpair", 1 | high, 1) == ALLOW


@pytest.mark.parametrize("high", [0, HIGH])
def test_packets_are_for_those_who_may_send_any(high):
    packet, old_packet = 17, 10  # AF_PACKET; SOCK_PACKET, of which the kernel makes AF_PACKET
    granted = default_profile({"CAP_NET_RAW"})
    for flags in (0, 0x80800):
        assert answer(CONFINED, "socket", packet | high, 3) == REFUSED
        assert answer(CONFINED, "socket", 2 | high, old_packet | flags) == REFUSED
        assert answer(granted, "socket", packet | high, 3) == ALLOW
        assert answer(granted, "socket", 2 | high, old_packet | flags) == ALLOW


@pytest.mark.parametrize(
    ("capability", "protocols"),
    [
        ("CAP_CHOWN", {0, 4, 15}),  # ROUTE, SOCK_DIAG, KOBJECT_UEVENT
        ("CAP_AUDIT_WRITE", {0, 4, 9, 15}),
        ("CAP_NET_ADMIN", {0, 4, 11, 12, 15, 16}),  # CONNECTOR, NETFILTER, GENERIC
    ],
)
def test_netlink_is_for_what_programs_and_capabilities_need(capability, protocols):
    """CVE-2026-43284: NETLINK_XFRM, among others, is for nobody."""
    profile, missing = default_profile({capability}), ERRNO | errno.EPROTONOSUPPORT
    for high in (0, HIGH):
        for protocol in range(32):
            expected = ALLOW if protocol in protocols else missing
            assert answer(profile, "socket", 16 | high, 3, protocol | high) == expected


def test_only_personalities_without_a_hole_can_be_taken():
    for persona in (0, 8, 0x20000, 0x20008, 0xFFFFFFFF, (1 << 64) - 1):
        assert answer(CONFINED, "personality", persona) == ALLOW
    for persona in (0x0040000, 0x0400000, 0x4000000, 6):  # no ASLR, executable data
        assert answer(CONFINED, "personality", persona) == REFUSED
    assert answer(SEALED, "personality", 8) == REFUSED


@pytest.mark.parametrize("name", ["ptrace", "process_vm_readv", "process_vm_writev"])
def test_tracing_is_allowed_where_a_tracer_cannot_get_past_the_filter(name):
    assert answer(default_profile((), kernel=(4, 7)), name) == REFUSED
    assert answer(default_profile((), kernel=(4, 8)), name) == ALLOW
    assert answer(default_profile({"CAP_SYS_PTRACE"}, kernel=(4, 4)), name) == ALLOW
    assert answer(SEALED, name) == REFUSED


def test_sealed_allows_nothing_that_confined_does_not():
    for name in CALLS:
        if answer(SEALED, name) == ALLOW:
            assert answer(default_profile(()), name) == ALLOW, name


def test_sealed_leaves_local_sockets_and_tcp_and_udp():
    stream, dgram, seqpacket, raw, flags = 1, 2, 5, 3, 0x80800
    for family in (2, 10):
        for kind in (stream, dgram, seqpacket):
            assert answer(SEALED, "socket", family, kind | flags) == ALLOW
        for kind in (raw, raw | flags, 10, raw | HIGH):
            assert answer(SEALED, "socket", family, kind) == REFUSED
    assert answer(SEALED, "socket", 1, stream) == answer(SEALED, "socketpair", 1, dgram) == ALLOW
    assert answer(SEALED, "socket", 16, raw, 0) == ALLOW  # NETLINK_ROUTE: getifaddrs(3)
    for protocol in (4, 12, 15):  # SOCK_DIAG, NETFILTER, KOBJECT_UEVENT
        refused = ERRNO | errno.EPROTONOSUPPORT
        assert answer(SEALED, "socket", 16, raw, protocol) == refused
    for family in (17, 21, 29, 30, 31):  # packets, RDS, CAN, TIPC, Bluetooth
        assert answer(SEALED, "socket", family, stream) == REFUSED


def test_sealed_dumps_no_core_whatever_the_program_asks_for():
    core = 4
    assert answer(SEALED, "setrlimit", core | HIGH, 1) == REFUSED
    assert answer(SEALED, "prlimit64", 0, core | HIGH, 1) == REFUSED
    assert answer(SEALED, "prlimit64", 0, core, 0) == ALLOW  # getrlimit(3)
    assert answer(SEALED, "prlimit64", 0, 7, 1) == answer(SEALED, "setrlimit", 7, 1) == ALLOW


def test_sealed_takes_no_line_discipline():
    assert answer(SEALED, "ioctl", 0, 0x5423) == REFUSED
    assert answer(CONFINED, "ioctl", 0, 0x5423) == ALLOW


def test_what_was_granted_by_name_is_granted_to_a_sealed_container_too():
    assert answer(default_profile({"CAP_SYS_CHROOT"}, sealed=True), "chroot") == ALLOW
    assert answer(SEALED, "chroot") == REFUSED


EVERYDAY = """
    read write openat close mmap munmap brk execve exit_group futex clock_gettime rt_sigaction
    getrandom statx newfstatat socket connect wait4 pipe2 epoll_wait memfd_create rseq
    set_robust_list landlock_restrict_self seccomp
"""


@pytest.mark.parametrize("profile", [CONFINED, SEALED])
def test_what_every_program_calls_is_allowed(profile):
    for name in EVERYDAY.split():
        assert answer(profile, name, 1, 1) == ALLOW, name
