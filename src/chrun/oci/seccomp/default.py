"""chrun's own lists: what programs in containers may ask the kernel for.

An allowlist as strong as docker's: what is not here is refused, and what the kernel has learnt
since is not there (docs/reference/seccomp.md). `sealed` takes more away.
"""

from __future__ import annotations

import errno

from chrun.oci.seccomp.profile import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    LOW_WORD,
    Case,
    Condition,
    Rule,
    make_profile,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from chrun.oci.seccomp.profile import Operator, Profile

_REFUSE = ERRNO | errno.EPERM
_NO_PROTOCOL = ERRNO | errno.EPROTONOSUPPORT
_UNKNOWN = ERRNO | errno.ENOSYS

# What every container may call, whatever its arguments
_ALLOWED = """
    access cachestat chdir chmod chown close close_range copy_file_range creat dup dup2 dup3
    faccessat faccessat2 fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown
    fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync
    ftruncate futimesat getcwd getdents getdents64 getxattr getxattrat inotify_add_watch
    inotify_init inotify_init1 inotify_rm_watch lchown lgetxattr link linkat listmount listxattr
    listxattrat llistxattr lremovexattr lseek lsetxattr lstat mkdir mkdirat mknod mknodat
    name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64
    pwritev pwritev2 read readahead readlink readlinkat readv removexattr removexattrat rename
    renameat renameat2 rmdir sendfile setxattr setxattrat splice stat statfs statmount statx symlink
    symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat utimes
    vmsplice write writev

    brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall
    mmap mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
    process_mrelease remap_file_pages

    arch_prctl execve execveat exit exit_group fork get_robust_list get_thread_area getcpu getpgid
    getpgrp getpid getppid getpriority getrlimit getrusage getsid gettid ioprio_get ioprio_set kill
    modify_ldt pidfd_open pidfd_send_signal prctl prlimit64 restart_syscall rseq
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
    sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield set_robust_list set_thread_area set_tid_address setpgid
    setpriority setrlimit setsid sysinfo tgkill times tkill uname uprobe uretprobe vfork wait4
    waitid

    alarm pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_tgsigqueueinfo sigaltstack signalfd signalfd4

    adjtimex clock_adjtime clock_getres clock_gettime clock_nanosleep getitimer gettimeofday
    nanosleep setitimer time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
    timerfd_create timerfd_gettime timerfd_settime

    accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg
    sendmmsg sendmsg sendto setsockopt shutdown

    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
    epoll_wait_old eventfd eventfd2 io_cancel io_destroy io_getevents io_pgetevents io_setup
    io_submit poll ppoll pselect6 select

    futex futex_requeue futex_wait futex_waitv futex_wake mq_getsetattr mq_notify mq_open
    mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop
    semtimedop shmat shmctl shmdt shmget

    capget capset getegid geteuid getgid getgroups getresgid getresuid getuid setfsgid setfsuid
    setgid setgroups setregid setresgid setresuid setreuid setuid

    getrandom landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp
"""

# What only makes sense to who looks into other processes. Before Linux 4.8 a traced process could
# change a system call after the filter had seen it: there it takes CAP_SYS_PTRACE.
_TRACING = "process_vm_readv process_vm_writev ptrace"
_TRACING_IS_SAFE = (4, 8)

# What a container may call that was given a capability
_GRANTED = (
    (
        "CAP_SYS_ADMIN",
        """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick listns lookup_dcookie
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
    ("CAP_SYS_MODULE", "delete_module finit_module init_module"),
    ("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("CAP_SYS_PACCT", "acct"),
    ("CAP_SYS_PTRACE", f"kcmp pidfd_getfd process_madvise {_TRACING}"),
    ("CAP_SYS_RAWIO", "ioperm iopl"),
    ("CAP_SYS_TIME", "clock_settime settimeofday"),
    ("CAP_SYS_TTY_CONFIG", "vhangup"),
    ("CAP_SYSLOG", "syslog"),
)

# Refused as if the kernel were too old for them, so that callers do what they did before: what
# clone3 is asked for lies in memory, where no filter can look.
_NOT_YET = "clone3 file_getattr file_setattr listns open_tree_attr rseq_slice_yield"

# What a sealed container may not call either, beside what is left of these calls below
_UNSEALED = frozenset(
    f"""
    {_TRACING} cachestat fanotify_mark modify_ldt name_to_handle_at remap_file_pages
    """.split()
)

_NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK, _AF_PACKET = 1, 2, 10, 16, 17
_SOCK_STREAM, _SOCK_DGRAM, _SOCK_SEQPACKET, _SOCK_PACKET, _SOCK_TYPE_MASK = 1, 2, 5, 10, 0xF
_NETLINK_ROUTE, _NETLINK_SOCK_DIAG, _NETLINK_AUDIT, _NETLINK_CONNECTOR = 0, 4, 9, 11
_NETLINK_NETFILTER, _NETLINK_KOBJECT_UEVENT, _NETLINK_GENERIC = 12, 15, 16
# What lists interfaces and routes (getifaddrs, ip), sockets (ss) and devices (libudev, libusb)
_NETLINK_PROTOCOLS = (_NETLINK_ROUTE, _NETLINK_SOCK_DIAG, _NETLINK_KOBJECT_UEVENT)
_GRANTED_PROTOCOLS = (
    ("CAP_AUDIT_CONTROL", _NETLINK_AUDIT),
    ("CAP_AUDIT_READ", _NETLINK_AUDIT),
    ("CAP_AUDIT_WRITE", _NETLINK_AUDIT),
    ("CAP_NET_ADMIN", _NETLINK_CONNECTOR),
    ("CAP_NET_ADMIN", _NETLINK_GENERIC),
    ("CAP_NET_ADMIN", _NETLINK_NETFILTER),
)
_ANY, _TCP, _UDP, _SCTP = 0, 6, 17, 132  # others load modules of the kernel: MPTCP, SMC, L2TP, ...
_PROTOCOLS = {
    _SOCK_STREAM: (_ANY, _TCP, _SCTP),
    _SOCK_DGRAM: (_ANY, _UDP),
    _SOCK_SEQPACKET: (_ANY, _SCTP),
}
_TIOCSTI, _TIOCLINUX, _TIOCSETD = 0x5412, 0x541C, 0x5423
_PER_LINUX, _PER_LINUX32, _UNAME26, _ASK_ONLY = 0x0, 0x8, 0x20000, 0xFFFFFFFF
_RLIMIT_CORE = 4


def default_profile(
    bounding: Collection[str],
    *,
    sealed: bool = False,
    kernel: tuple[int, int] = _TRACING_IS_SAFE,
) -> Profile:
    """Give chrun's filter for a container that can have no capability but `bounding`.

    `kernel` is the version of the machine's, major and minor.
    """
    rules = _sealed_rules() if sealed else _confined_rules(kernel)
    shared = (*_granted_rules(bounding), *_common_rules())
    return make_profile((*shared, *rules, *_last_rules()), _REFUSE, _UNKNOWN, KILL_PROCESS)


def _confined_rules(kernel: tuple[int, int]) -> Iterator[Rule]:
    yield _allow(_ALLOWED)
    if kernel >= _TRACING_IS_SAFE:
        yield _allow(_TRACING)
    yield _allow("ioctl", *_none_of(1, _TIOCSTI, _TIOCLINUX))
    yield _allow("socket socketpair", _low(0, "==", _AF_UNIX))
    for family in (_AF_INET, _AF_INET6):
        # With this type the kernel makes a packet socket of one of AF_INET
        yield _allow("socket", _low(0, "==", family), _type("!=", _SOCK_PACKET))
    for protocol in _NETLINK_PROTOCOLS:
        yield _netlink(protocol)
    for persona in (_PER_LINUX, _PER_LINUX32, _UNAME26, _UNAME26 | _PER_LINUX32, _ASK_ONLY):
        yield _allow("personality", _low(0, "==", persona))


def _sealed_rules() -> Iterator[Rule]:
    """What is left for code that nobody has read."""
    changed = {"prlimit64", "setrlimit"}
    yield _allow(" ".join(name for name in _ALLOWED.split() if name not in _UNSEALED | changed))
    yield _allow("ioctl", *_none_of(1, _TIOCSTI, _TIOCLINUX, _TIOCSETD))
    yield from _sealed_sockets()
    for persona in (_PER_LINUX, _ASK_ONLY):
        yield _allow("personality", _low(0, "==", persona))
    # No core dump: a handler on the host that core_pattern names would be fed whatever one holds
    yield _allow("setrlimit", *_none_of(0, _RLIMIT_CORE))
    yield _allow("prlimit64", *_none_of(1, _RLIMIT_CORE))
    yield _allow("prlimit64", Condition(2, "==", 0))  # only tells what it is


def _sealed_sockets() -> Iterator[Rule]:
    """Local sockets, TCP, UDP and SCTP, and what lists a network's interfaces: no raw sockets."""
    yield _allow("socket socketpair", _low(0, "==", _AF_UNIX))
    for family in (_AF_INET, _AF_INET6):
        for kind, protocols in _PROTOCOLS.items():
            for protocol in protocols:
                of_protocol = _low(2, "==", protocol)
                yield _allow("socket", _low(0, "==", family), _type("==", kind), of_protocol)
    yield _netlink(_NETLINK_ROUTE)


def _common_rules() -> Iterator[Rule]:
    """What holds in every filter: no new namespaces, and how new calls are refused."""
    yield _allow("clone", Condition(0, "==", 0, _NEW_NAMESPACES))
    yield Rule(tuple(_NOT_YET.split()), Case(_UNKNOWN))


def _last_rules() -> Iterator[Rule]:
    """How what no rule allowed is refused, where EPERM would be misunderstood.

    Programs that report to the audit system (su, sudo, useradd) take EPERM for a failure, and this
    for a kernel without such a system.
    """
    yield Rule(("socket",), Case(_NO_PROTOCOL, (_low(0, "==", _AF_NETLINK),)))


def _granted_rules(bounding: Collection[str]) -> Iterator[Rule]:
    for capability, names in _GRANTED:
        if capability in bounding:
            yield _allow(names)
    for capability, protocol in _GRANTED_PROTOCOLS:
        if capability in bounding:
            yield _netlink(protocol)
    if "CAP_NET_RAW" in bounding:
        yield _allow("socket", _low(0, "==", _AF_PACKET))
        yield _allow("socket", _low(0, "==", _AF_INET), _type("==", _SOCK_PACKET))


def _netlink(protocol: int) -> Rule:
    return _allow("socket", _low(0, "==", _AF_NETLINK), _low(2, "==", protocol))


def _type(operator: Operator, kind: int) -> Condition:
    """Look at the type of a socket without the flags that it is given with."""
    return Condition(1, operator, kind, _SOCK_TYPE_MASK)


def _allow(names: str, *conditions: Condition) -> Rule:
    return Rule(tuple(names.split()), Case(ALLOW, conditions))


def _low(index: int, operator: Operator, operand: int) -> Condition:
    """Look at the half of an argument that the kernel looks at."""
    return Condition(index, operator, operand, LOW_WORD)


def _none_of(index: int, *refused: int) -> tuple[Condition, ...]:
    return tuple(_low(index, "!=", operand) for operand in refused)
