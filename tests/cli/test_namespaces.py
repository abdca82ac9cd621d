"""Namespaces one by one: own ones, the machine's, and another container's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.needs import needs
from tests.support.probe import look
from tests.support.running import NAME, running
from tests.support.waiting import processes_with

TYPES = {"pid": "pid", "ipc": "ipc", "uts": "uts", "network": "net"}


def outside(file: str) -> str:
    return os.readlink(f"/proc/self/ns/{file}")


def test_all_are_the_containers_own_but_the_network(chrun, probe_dir):
    seen = look(chrun, image=probe_dir).namespaces
    for file in ("mnt", "pid", "ipc", "uts", "cgroup"):
        assert seen[file] != outside(file)
    assert seen["net"] == outside("net")


@pytest.mark.parametrize(
    ("flag", "file"), [*TYPES.items(), ("cgroupns", "cgroup")], ids=lambda word: word
)
def test_each_can_be_the_machines(chrun, probe_dir, flag, file):
    assert look(chrun, f"--{flag}", "host", image=probe_dir).namespaces[file] == outside(file)


@pytest.mark.parametrize(("flag", "file"), TYPES.items())
def test_each_can_be_another_containers(chrun, probe_dir, flag, file):
    with running(chrun, "--network", "none", image=probe_dir):
        (container,) = os.listdir(chrun.home / "containers")
        pid = os.readlink(chrun.home / "containers" / container / "process").split(":")[0]
        theirs = os.readlink(f"/proc/{pid}/ns/{file}")
        seen = look(chrun, f"--{flag}", f"container:{NAME}", image=probe_dir).namespaces
        assert seen[file] == theirs
        others = [other for other in TYPES.values() if other not in {file, "net"}]
        for other in others:
            assert seen[other] != os.readlink(f"/proc/{pid}/ns/{other}")
        by_id = look(chrun, f"--{flag}", f"container:{container[:9]}", image=probe_dir)
        assert by_id.namespaces[file] == theirs


def test_who_joins_the_processes_of_another_sees_and_signals_them(chrun, box):
    with running(chrun, image=box, wait="sleep 60; exit 47") as target:
        script = "ps; kill $(pidof sleep)"
        # the other's end may be this one's, too, before it has ended by itself
        done = chrun("run", "--pid", f"container:{NAME}", box, "sh", "-c", script, status=None)
        assert "sleep 60" in done.stdout
        assert target.wait(20) == 47


def test_who_joins_the_ipc_of_another_has_its_shared_memory(chrun, box):
    with running(chrun, image=box, script="echo shared >/dev/shm/note"):
        script = "cat /dev/shm/note; touch /dev/shm/mine; grep -c ' /dev/shm ' /proc/mounts"
        done = chrun("run", "--ipc", f"container:{NAME}", box, "sh", "-c", script)
        assert done.stdout == "shared\n1\n"
        alone = chrun("run", box, "ls", "/dev/shm")
        assert alone.stdout == ""


def test_who_joins_the_network_of_another_reaches_its_servers(chrun, box):
    serve = "echo hello >/tmp/index.html; httpd -p 127.0.0.1:8099 -h /tmp"
    with running(chrun, "--network", "none", image=box, script=serve):
        fetch = ("wget", "-qO-", "http://127.0.0.1:8099/")
        assert chrun("run", "--network", f"container:{NAME}", box, *fetch).stdout == "hello\n"
        chrun("run", "--network", "none", box, *fetch, status=1)


def test_who_joins_the_uts_of_another_has_its_name(chrun, box):
    with running(chrun, "--hostname", "lighthouse", image=box):
        script = "hostname; cat /etc/hostname; echo $HOSTNAME"
        done = chrun("run", "--uts", f"container:{NAME}", box, "sh", "-c", script)
        assert done.stdout.split() == ["lighthouse"] * 3


@pytest.mark.parametrize("mode", ["container:nobody", "container:../../etc", "container:"])
def test_a_container_that_is_not_there_cannot_be_joined(chrun, box, mode):
    done = chrun("run", "--pid", mode, box, "true", status=125)
    assert "cannot" in done.stderr
    assert done.stderr.count("\n") <= 2


def test_a_container_that_has_ended_cannot_be_joined(chrun, box):
    chrun("run", "--keep", "--name", "ended", box, "true")
    try:
        done = chrun("run", "--pid", "container:ended", box, "true", status=125)
        assert "cannot join container ended: it is not running" in done.stderr
    finally:
        for container in (chrun.home / "containers").iterdir():
            (container / "kept").unlink()
        chrun("prune")


@needs("ordinary user")
def test_a_joined_container_must_know_the_user(chrun, box):
    with running(chrun, "--userns", "single", image=box):
        flags = ("--userns", "single", "-u", "www-data", "--ipc", f"container:{NAME}")
        done = chrun("run", *flags, box, "true", status=125)
        assert "as user 33: it has no such user" in done.stderr
        assert "hint: its only user is 0: -u 0:0" in done.stderr


@needs("ordinary user")
@pytest.mark.parametrize("flag", TYPES)
def test_the_machines_namespace_is_not_joined_by_way_of_a_container(chrun, box, flag):
    with running(chrun, f"--{flag}", "host", image=box):
        done = chrun("run", f"--{flag}", f"container:{NAME}", box, "true", status=125)
    said, hint = done.stderr.splitlines()
    assert said.startswith(f"chrun: cannot join the {flag} namespace of container {NAME}: it has")
    assert hint == f"hint: --{flag} host gives the same"


@needs("root")
def test_a_container_with_ids_of_its_own_is_joined_with_them(chrun, box):
    with running(chrun, "--userns", "auto", image=box, script="echo note >/dev/shm/x"):
        flags = ("--ipc", f"container:{NAME}", "-u", "www-data")
        script = "cat /dev/shm/x; echo mine >/tmp/x; stat -c %u /tmp/x; cat /proc/self/uid_map"
        done = chrun("run", *flags, box, "sh", "-c", script)
        note, owner, mapped = done.stdout.splitlines()
        assert (note, owner) == ("note", "33")
        assert mapped.split()[0] == "0"
        assert int(mapped.split()[1]) > 0
        other = chrun("run", "--userns", "auto", *flags, box, "true", status=125)
        assert "it has other ids of this machine" in other.stderr


@needs("subordinate ids")
def test_a_container_with_subordinate_ids_is_joined_with_them(chrun, box):
    with running(chrun, image=box, script="echo note >/dev/shm/x"):
        flags = ("--pid", f"container:{NAME}", "--ipc", f"container:{NAME}", "-u", "www-data")
        script = "cat /dev/shm/x; echo mine >/tmp/x; stat -c %u /tmp/x; pidof sleep; id -G"
        done = chrun("run", *flags, box, "sh", "-c", script)
        assert done.stdout.splitlines() == ["note", "33", "1", "33"]
        done = chrun("run", "--userns", "single", *flags[:4], box, "true", status=125)
        assert "it has other ids of this machine" in done.stderr


@pytest.mark.parametrize(
    ("flag", "mode"),
    [("network", "private"), ("network", "bridge"), ("pid", "none"), ("uts", "x"),
     ("cgroupns", "container:x"), ("ipc", "")],
)  # fmt: skip
def test_a_mode_that_there_is_not_is_an_error_with_those_that_there_are(chrun, box, flag, mode):
    done = chrun("run", f"--{flag}", mode, box, "true", status=125)
    assert f"cannot read --{flag} {mode!r}: expected " in done.stderr


def test_without_a_network_there_is_a_loopback_and_nothing_else(chrun, probe_dir):
    seen = look(chrun, "--network", "none", image=probe_dir)
    assert seen.interfaces == ("lo",)
    done = chrun("run", "--network", "none", probe_dir, "sh", "-c", "ip addr; ls /sys/class/net")
    assert "127.0.0.1/8" in done.stdout
    assert "LOWER_UP" in done.stdout
    assert done.stdout.splitlines()[-1] == "lo"


def test_without_a_network_names_are_local_and_no_server_is_named(chrun, box):
    hosts, resolver = (
        chrun("run", "--network", "none", "--hostname", "cell", box, "cat", path).stdout
        for path in ("/etc/hosts", "/etc/resolv.conf")
    )
    assert [line.split()[:2] for line in hosts.splitlines()] == [
        ["127.0.0.1", "localhost"], ["::1", "localhost"], ["127.0.1.1", "cell"],
    ]  # fmt: skip
    assert "nameserver" not in resolver


def test_names_and_servers_are_added_as_asked_for(chrun, box):
    flags = (
        "--add-host", "db:192.0.2.7", "--add-host", "six:[2001:db8::1]",
        "--add-host", "here:host-gateway", "--dns", "192.0.2.53", "--dns", "2001:db8::53",
        "--dns-search", "example.org", "--dns-search", "example.com", "--dns-option", "ndots:2",
    )  # fmt: skip
    hosts, resolver = (
        chrun("run", *flags, box, "cat", path).stdout for path in ("/etc/hosts", "/etc/resolv.conf")
    )
    for line in ("192.0.2.7\tdb", "2001:db8::1\tsix", "127.0.0.1\there"):
        assert line in hosts.splitlines()
    servers = [line for line in resolver.splitlines() if line.startswith("nameserver")]
    assert servers == ["nameserver 192.0.2.53", "nameserver 2001:db8::53"]
    assert "search example.org example.com" in resolver.splitlines()
    assert "options ndots:2" in resolver.splitlines()


def test_ipc_none_has_no_shared_memory_and_a_namespace_of_its_own(chrun, probe_dir):
    seen = look(chrun, "--ipc", "none", image=probe_dir)
    assert seen.namespaces["ipc"] != outside("ipc")
    assert not any(mount.target == "/dev/shm" for mount in seen.mounts)


def test_the_machines_ipc_comes_with_its_shared_memory(chrun, box):
    note = Path("/dev/shm") / f"chrun-test-{os.getpid()}"
    note.write_text("from outside\n")
    try:
        assert chrun("run", "--ipc", "host", box, "cat", str(note)).stdout == "from outside\n"
    finally:
        note.unlink()


def test_the_machines_processes_are_seen_and_paths_stay_hidden(chrun, box):
    script = (
        f"tr '\\0' ' ' </proc/{os.getpid()}/cmdline; wc -c </proc/keys; "
        "echo x >/proc/sys/kernel/panic"
    )
    done = chrun("run", "--pid", "host", box, "sh", "-c", script, status=1)
    assert "pytest" in done.stdout
    assert done.stdout.endswith("0\n")
    assert "Read-only file system" in done.stderr


def test_what_is_left_in_the_machines_pid_namespace_ends_with_the_container(chrun, box):
    seconds = f"4{os.getpid()}"
    script = f"""
        (trap '' TERM HUP; exec sleep {seconds}) & (setsid sleep {seconds} &)
        until [ $(ps | grep -c ' sleep {seconds}$') = 2 ]; do :; done; echo both
    """
    assert chrun("run", "--pid", "host", box, "sh", "-c", script).stdout == "both\n"
    assert processes_with(seconds) == []


def test_the_machines_host_name_cannot_be_changed_with_its_uts_namespace(chrun, box):
    done = chrun("run", "--uts", "host", "--hostname", "x", box, "true", status=125)
    assert "cannot use --hostname with --uts host" in done.stderr
    shown = chrun("run", "--uts", "host", box, "sh", "-c", "hostname; cat /etc/hostname")
    assert shown.stdout.split() == [os.uname().nodename] * 2


@pytest.mark.parametrize(
    ("flags", "path", "content"),
    [
        (("--network", "none", "--sysctl", "net.ipv4.ip_unprivileged_port_start=81"),
         "net/ipv4/ip_unprivileged_port_start", "81"),
        (("--network", "none", "--sysctl", "net/ipv4/conf/lo/forwarding=1"),
         "net/ipv4/conf/lo/forwarding", "1"),
        (("--sysctl", "kernel.shmmax=4711"), "kernel/shmmax", "4711"),
        (("--sysctl", "fs.mqueue.msg_max=11"), "fs/mqueue/msg_max", "11"),
    ],
)  # fmt: skip
def test_kernel_parameters_of_own_namespaces_are_set(chrun, box, flags, path, content):
    before = Path("/proc/sys", path).read_text(encoding="ascii")
    assert chrun("run", *flags, box, "cat", f"/proc/sys/{path}").stdout == f"{content}\n"
    assert Path("/proc/sys", path).read_text(encoding="ascii") == before


@needs("root")
def test_the_domain_name_is_the_containers(chrun, box):
    flags = ("--sysctl", "kernel.domainname=example.org")
    shown = chrun("run", *flags, box, "cat", "/proc/sys/kernel/domainname")
    assert shown.stdout == "example.org\n"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--sysctl", "kernel.panic=1"), "it is the whole machine's"),
        (("--sysctl", "net.core.somaxconn=9"), "the network namespace is not the container's own"),
        (("--network", "none", "--sysctl", "net.core.nothing=1"), "this kernel has no such"),
        (("--ipc", "host", "--sysctl", "kernel.shmmax=1"), "the IPC namespace is not"),
        (("--sysctl", "kernel.hostname=x"), "cannot set kernel.hostname by --sysctl"),
        (("--sysctl", "kernel.shmmax"), "expected NAME=VALUE"),
        (("--sysctl", "net/../../kernel/panic=1"), "expected NAME=VALUE"),
        (("--sysctl", "kernel.shmmax=many"), "the kernel does not take that value"),
    ],
)
def test_kernel_parameters_that_cannot_be_set_are_errors(chrun, box, flags, said):
    done = chrun("run", *flags, box, "true", status=125)
    assert said in done.stderr


def test_the_first_process_is_recorded_with_its_start(chrun, box):
    with running(chrun, image=box):
        (container,) = os.listdir(chrun.home / "containers")
        recorded = os.readlink(chrun.home / "containers" / container / "process")
        pid, started = recorded.split(":")
        stat = Path("/proc", pid, "stat").read_text(encoding="ascii")
        assert stat.rpartition(")")[2].split()[19] == started
        assert stat.split()[3] != str(os.getpid())  # the monitor's child, not this one's


@pytest.mark.parametrize(
    "flags", [("--network", "none"), ("--sysctl", "kernel.shmmax=1"), ("--dns", "::1")]
)
@needs("root")
def test_the_chroot_rung_refuses_namespaces(chrun, box, flags):
    done = chrun("run", "--isolation", "chroot", *flags, box, "true", status=125)
    assert "with --isolation chroot: it needs namespaces" in done.stderr
