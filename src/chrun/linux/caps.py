"""Capabilities by name and number: capabilities(7), include/uapi/linux/capability.h."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# In the order of their numbers.
NAMES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
    "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
    "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
)  # fmt: skip


def mask(names: Iterable[str]) -> int:
    """Give the bit mask of capabilities; KeyError-free: names come from chrun's own tables."""
    return sum(1 << NAMES.index(name) for name in names)


def effective_mask() -> int:
    """Give what this process may do now: CapEff of /proc/self/status, 0 where there is no /proc."""
    return _own_mask(b"CapEff:")


def permitted_mask() -> int:
    """Give what this process can hand on without a user namespace: both permitted and bounding."""
    return _own_mask(b"CapPrm:") & _own_mask(b"CapBnd:")


def last_number() -> int:
    """Give the number of this kernel's last capability, as far as chrun knows it."""
    last = len(NAMES) - 1
    try:
        with open("/proc/sys/kernel/cap_last_cap", "rb") as file:
            return min(int(file.read()), last)
    except (OSError, ValueError):
        return last


def _own_mask(field: bytes) -> int:
    try:
        with open("/proc/self/status", "rb") as status:
            for line in status:
                if line.startswith(field):
                    return int(line[len(field) :], 16)
    except OSError:
        return 0
    return 0


def has(effective: int, name: str) -> bool:
    """Say whether a mask holds a capability."""
    return bool(effective >> NAMES.index(name) & 1)
