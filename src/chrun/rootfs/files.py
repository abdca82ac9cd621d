"""The files of a root file system that belong to the machine: names, addresses, resolver."""

from __future__ import annotations

import os

from chrun.rootfs.rootfs import MachineFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.oci.options import NamespaceOptions

_HOSTS_PATH, _RESOLVER_PATH = "/etc/hosts", "/etc/resolv.conf"
_MAX_BYTES = 64 << 10  # a resolver or hosts file that is larger is not one
_LOCALHOST = b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"


def machine_files(
    *, single_id: bool, asked: NamespaceOptions | None = None, shut_in: bool = False
) -> tuple[MachineFile, ...]:
    """Compose the files for a container on the machine's network, or `shut_in` without it.

    `asked` are names and addresses that the user wants in them. With a single id mapped apt must be
    told not to change to a user that does not exist there; the file is harmless to, and absent
    from, images without apt.
    """
    hosts, resolver = _read(_HOSTS_PATH) or _LOCALHOST, _read(_RESOLVER_PATH)
    if not hosts.endswith(b"\n"):
        hosts += b"\n"
    if asked:
        from chrun.rootfs.names import added_hosts, resolver_of

        hosts = (_LOCALHOST if shut_in else hosts) + added_hosts(asked)
        resolver = resolver_of(resolver, asked, shut_in=shut_in)
    files = [
        MachineFile("/etc/hostname", b"%h\n", expanded=True),
        MachineFile("/etc/hosts", hosts.replace(b"%", b"%%") + b"127.0.1.1\t%h\n", expanded=True),
    ]
    if resolver or asked:
        files.append(MachineFile(_RESOLVER_PATH, resolver))
    if single_id:
        files.append(
            MachineFile(
                "/etc/apt/apt.conf.d/00chrun",
                b'APT::Sandbox::User "root";\n',
                optional=True,
                reason="apt would drop to a user that is not mapped here, and check that it did",
            )
        )
    return tuple(files)


def machine_files_signature() -> tuple[tuple[int, int, int], ...]:
    """Give what changes when one of the files changes that `machine_files` reads."""
    return tuple(map(_signature, (_HOSTS_PATH, _RESOLVER_PATH)))


def _signature(path: str) -> tuple[int, int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0, 0
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_BYTES)
    except OSError:
        return b""
