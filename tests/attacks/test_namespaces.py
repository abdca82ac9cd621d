"""Ways out through what a container shares, with the machine or with another container."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from tests.support.needs import needs
from tests.support.probe import look, parse_seen
from tests.support.running import NAME, running

ABSTRACT = "chrun-test-abstract"
PTRACE_SEIZE = 0x4206  # which stops nobody
EPERM, ENOSYS = 1, 38


@pytest.fixture
def abstract_server():
    """A server of the machine's on an abstract unix socket that says hello."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(f"\0{ABSTRACT}")
        server.listen()
        yield server


def sees_socket(chrun, box, *flags: str) -> bool:
    """Say whether a container finds the server's socket in its network namespace."""
    return f"@{ABSTRACT}" in chrun("run", *flags, box, "cat", "/proc/net/unix").stdout


@pytest.mark.usefixtures("abstract_server")
def test_abstract_sockets_of_the_machine_are_in_its_network_alone(chrun, box):
    """CVE-2020-15257: they have no file that a mount namespace could hide."""
    assert sees_socket(chrun, box)  # as documented: the network is the machine's unless asked
    assert not sees_socket(chrun, box, "--network", "none")


def test_the_machines_loopback_is_in_its_network_alone(chrun, box):
    """Services that trust whoever comes from 127.0.0.1 must not meet code that nobody trusts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        threading.Thread(target=greet, args=(server,), daemon=True).start()
        fetch = ("nc", "-w", "3", "127.0.0.1", str(server.getsockname()[1]))
        chrun("run", "--network", "none", box, *fetch, status=1)
        assert chrun("run", box, *fetch).stdout == "hello\n"


def greet(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"hello\n")


@pytest.mark.parametrize("flag", ["pid", "ipc", "uts", "network"])
def test_cve_2024_21626_nothing_is_left_open_of_joining(chrun, probe_dir, flag):
    """CVE-2024-21626: a descriptor of the machine's, or of the other container's, is a way in."""
    with running(chrun, "--network", "none", image=probe_dir):
        seen = look(chrun, f"--{flag}", f"container:{NAME}", image=probe_dir)
        assert set(seen.descriptors) <= {0, 1, 2}
        assert seen.cwd == "/"


@pytest.mark.parametrize("number", range(3, 12))
def test_cve_2024_21626_no_working_directory_through_a_descriptor(chrun, box, number):
    """CVE-2024-21626: also while the other container's namespaces are open to be joined."""
    with running(chrun, image=box):
        flags = ("--ipc", f"container:{NAME}", "-w", f"/proc/self/fd/{number}/../../..")
        done = chrun("run", *flags, box, "cat", "/proc/self/cwd/etc/passwd", status=None)
    assert done.returncode == 125 or "www-data:x:33:33:www-data:/var/www" in done.stdout


def attack_monitor(chrun, probe_dir, *flags: str):
    """Have a container try to trace, and to look into, the process that watches it."""
    script = (
        "read monitor; ls -l /proc/$monitor/root /proc/$monitor/fd /proc/$monitor/mem >&2;"
        "head -c 1 /proc/$monitor/mem >&2;"
        f" exec /probe call=ptrace:{PTRACE_SEIZE},$monitor,0,0"
    )
    with chrun.start("run", "-i", *flags, probe_dir, "sh", "-c", script) as started:
        out, err = started.communicate(f"{started.pid}\n", timeout=30)
    assert started.returncode == 0, err
    return parse_seen(out).calls, err


def test_the_monitor_cannot_be_traced_from_the_machines_pid_namespace(chrun, probe_dir):
    """Whoever traces the monitor is outside, with the caller's rights."""
    calls, said = attack_monitor(chrun, probe_dir, "--pid", "host")
    assert set(calls.values()) <= {EPERM, ENOSYS}
    assert "Permission denied" in said


def test_the_monitor_cannot_be_traced_without_a_filter_either(chrun, probe_dir):
    """Capabilities and the user namespace forbid it; the filter is not what it hangs on."""
    flags = ("--pid", "host", "--security-opt", "seccomp=unconfined")
    calls, said = attack_monitor(chrun, probe_dir, *flags)
    assert set(calls.values()) == {EPERM}
    assert "Permission denied" in said


@needs("root")
def test_a_rung_that_leaves_every_capability_would_let_it_be_traced(chrun, probe_dir):
    """The attack works where nothing defends: it is one."""
    flags = ("--pid", "host", "--isolation", "namespaces")
    calls, _said = attack_monitor(chrun, probe_dir, *flags)
    assert set(calls.values()) == {0}


def test_the_monitors_cannot_be_found_from_another_containers_processes(chrun, probe_dir):
    """Who joins a container's processes sees those, and no monitor of any."""
    with running(chrun, image=probe_dir) as target:
        script = f"ls -d /proc/[0-9]*; ls /proc/{target.pid} /proc/{os.getpid()}"
        joining = ("run", "--pid", f"container:{NAME}", probe_dir, "sh", "-c", script)
        done = chrun(*joining, status=1)
        assert len([line for line in done.stdout.splitlines() if line.startswith("/proc/")]) <= 4
        assert done.stderr.count("No such file or directory") == 2


def test_a_process_of_the_same_number_is_not_joined(chrun, box):
    """A container's record outlives it after kill -9; its number may be anybody's by then."""
    with running(chrun, image=box):
        (container,) = (chrun.home / "containers").iterdir()
        record = container / "process"
        pid, started = os.readlink(record).split(":")
        record.unlink()
        record.symlink_to(f"{pid}:{int(started) - 1}")
        done = chrun("run", "--pid", f"container:{NAME}", box, "true", status=125)
        assert "it is not running" in done.stderr
