"""System call filters of `chrun run`: attacks that must fail, profiles of one's own, mistakes.

Each attack's call is made with arguments that do nothing even where it is allowed: then its errno
is another one than the filter's, which the same run without a filter shows.
"""

from __future__ import annotations

import errno
import json
import os
import signal

import pytest

from chrun.linux.seccomp.numbers import call_numbers
from tests.support.calls import PROGRAM_PATH, parse_results
from tests.support.chrun import Chrun
from tests.support.needs import needs
from tests.support.probe import look

pytestmark = needs("busybox", "overlay")

MACHINE = os.uname().machine
NUMBERS = call_numbers(MACHINE)
NEW_USER, NEW_NAMESPACE = 0x10000000, 0x00020000
HIGH = 1 << 32
UNCONFINED = ("--security-opt", "seccomp=unconfined")
SEALED = ("--isolation", "sealed")


def check_refused(attempt, name, *arguments, harmless, sealed=True):
    """See the call refused in both rungs, and where there is no filter fail otherwise."""
    assert attempt(name, *arguments) == errno.EPERM
    if sealed:
        assert attempt(name, *arguments, flags=SEALED) == errno.EPERM
    assert attempt(name, *arguments, flags=UNCONFINED) == harmless


def test_cve_2016_0728_keyctl_is_refused(attempt):
    check_refused(attempt, "keyctl", 0xFFFF, harmless=errno.EOPNOTSUPP)


def test_keyrings_of_the_host_are_neither_added_to_nor_asked(attempt):
    check_refused(attempt, "add_key", 0, harmless=errno.EFAULT)
    check_refused(attempt, "request_key", 0, harmless=errno.EFAULT)


def test_cve_2022_0185_no_user_namespace_is_made(attempt):
    check_refused(attempt, "unshare", NEW_USER | 1, harmless=errno.EINVAL)
    check_refused(attempt, "unshare", HIGH | NEW_USER | 1, harmless=errno.EINVAL)
    check_refused(attempt, "clone", NEW_USER | 0x200, harmless=errno.EINVAL)  # CLONE_FS with it


def test_clone_gets_no_namespace_past_the_filter_in_the_upper_half(attempt):
    arguments = HIGH | NEW_NAMESPACE | 0x200
    check_refused(attempt, "clone", arguments, harmless=errno.EINVAL)


def test_clone3_whose_flags_lie_in_memory_seems_not_to_exist(attempt):
    assert attempt("clone3", 0, 0) == errno.ENOSYS
    assert attempt("clone3", 0, 0, flags=SEALED) == errno.ENOSYS
    assert attempt("clone3", 0, 0, flags=UNCONFINED) == errno.EINVAL


def test_no_namespace_is_entered(attempt):
    check_refused(attempt, "setns", -1 & HIGH - 1, 0, harmless=errno.EBADF)


@pytest.mark.parametrize("name", ["mount", "umount2", "pivot_root"])
def test_nothing_is_mounted_in_the_old_way(attempt, name):
    assert attempt(name, 1, 1, 1, 0, 1) == errno.EPERM
    assert attempt(name, 1, 1, 1, 0, 1, flags=SEALED) == errno.EPERM
    granted = ("--cap-add", "SYS_ADMIN")
    assert attempt(name, 1, 1, 1, 0, 1, flags=granted) == errno.EFAULT


@pytest.mark.parametrize(
    ("name", "harmless"),
    [
        ("open_tree", errno.EBADF),
        ("move_mount", errno.EINVAL),
        ("fsopen", errno.EFAULT),
        ("fsconfig", errno.EINVAL),
        ("fsmount", errno.EBADF),
        ("fspick", errno.EFAULT),
        ("mount_setattr", errno.EINVAL),
    ],
)
def test_nothing_is_mounted_in_the_new_way(attempt, name, harmless):
    arguments = (-1 & (1 << 64) - 1, 0, -1 & HIGH - 1, 0, 0)
    if name == "fsopen":
        arguments = (0, 0)
    assert attempt(name, *arguments) == errno.EPERM
    granted = attempt(name, *arguments, flags=("--cap-add", "SYS_ADMIN"))
    assert granted in {harmless, errno.EFAULT, errno.EINVAL, errno.EBADF}


def test_cve_2021_3490_bpf_is_refused(attempt):
    check_refused(attempt, "bpf", 0xFFFF, 0, 0, harmless=errno.EINVAL)
    assert attempt("bpf", 0xFFFF, 0, 0, flags=("--cap-add", "BPF")) == errno.EINVAL


def test_cve_2022_29582_io_uring_is_refused(attempt):
    check_refused(attempt, "io_uring_setup", 0, 0, harmless=errno.EFAULT)
    check_refused(attempt, "io_uring_enter", HIGH - 1, harmless=errno.EBADF)
    check_refused(attempt, "io_uring_register", HIGH - 1, harmless=errno.EINVAL)


def test_cve_2014_9357_shocker_open_by_handle_at_is_refused(attempt):
    check_refused(attempt, "open_by_handle_at", HIGH - 1, 0, 0, harmless=errno.EFAULT)
    granted = ("--cap-add", "DAC_READ_SEARCH")
    assert attempt("open_by_handle_at", HIGH - 1, 0, 0, flags=granted) == errno.EFAULT


def test_userfaultfd_which_wins_races_is_refused(attempt):
    assert attempt("userfaultfd", 0xFFFF) == errno.EPERM
    assert attempt("userfaultfd", 0xFFFF, flags=SEALED) == errno.EPERM


def test_cve_2013_2094_perf_event_open_is_refused(attempt):
    check_refused(attempt, "perf_event_open", 0, harmless=errno.EFAULT)


def test_the_kernel_is_not_replaced_nor_extended(attempt):
    for name in ("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module"):
        assert attempt(name, 0, 0, 0, 0xFFFFFFFF) == errno.EPERM, name
    for name in ("swapon", "swapoff", "reboot", "acct", "quotactl", "iopl", "settimeofday"):
        if name in NUMBERS:
            assert attempt(name, 1, 1, 1, 1) == errno.EPERM, name


def test_cve_2019_2054_ptrace_is_left_where_it_cannot_get_past_the_filter(attempt):
    """Since Linux 4.8 the filter sees what a tracer made of a call; sealed needs no tracer."""
    assert attempt("ptrace", 0xFFFF, 1) != errno.EPERM
    assert attempt("ptrace", 0xFFFF, 1, flags=SEALED) == errno.EPERM
    assert attempt("process_vm_readv", 1, flags=SEALED) == errno.EPERM


@pytest.mark.parametrize("high", [0, HIGH, 0xFFFFFFFF << 32], ids=["plain", "high", "all high"])
def test_cve_2017_5226_tiocsti_types_nothing(attempt, high):
    check_refused(attempt, "ioctl", HIGH - 1, 0x5412 | high, harmless=errno.EBADF)


@pytest.mark.parametrize("high", [0, HIGH])
def test_cve_2023_28100_tioclinux_pastes_nothing(attempt, high):
    check_refused(attempt, "ioctl", HIGH - 1, 0x541C | high, harmless=errno.EBADF)


def test_cve_2019_10063_no_capability_brings_tiocsti_back(attempt):
    granted = ("--cap-add", "ALL")
    assert attempt("ioctl", HIGH - 1, HIGH | 0x5412, flags=granted) == errno.EPERM


def test_tiocsti_is_refused_on_a_real_terminal(chrun, probe_dir):
    assert look(chrun, image=probe_dir).attempts["TIOCSTI"] in {errno.EPERM, errno.ENXIO}


def test_sealed_cannot_ask_for_core_dumps(attempt):
    assert attempt("prlimit64", 0, 4, 1, 0, flags=SEALED) == errno.EPERM
    assert attempt("prlimit64", 0, 4, 1, 0) == errno.EFAULT


@pytest.mark.parametrize("persona", [0x0040000, 0x0400000], ids=["no ASLR", "executable data"])
def test_no_personality_takes_a_defence_away(attempt, persona):
    check_refused(attempt, "personality", persona, harmless=0)


@pytest.mark.skipif(MACHINE != "x86_64", reason="the ABIs of another processor")
def test_the_32_bit_abi_is_no_way_past_the_filter(chrun, calls_dir):
    def call(*flags):
        words = ("i386", "310", "0")  # unshare: harmless without a flag
        shown = chrun("run", *flags, calls_dir, PROGRAM_PATH, *words).stdout
        return parse_results(shown)[310]

    assert call() == -signal.SIGSYS
    assert call(*SEALED) == -signal.SIGSYS
    assert call(*UNCONFINED) in {0, errno.ENOSYS, -signal.SIGSEGV}


@pytest.mark.skipif(MACHINE != "x86_64", reason="the ABIs of another processor")
def test_the_x32_abi_is_no_way_past_the_filter(attempt):
    for name, argument in (("unshare", NEW_USER), ("keyctl", 0), ("ptrace", 0)):
        assert attempt(0x40000000 | NUMBERS[name], argument) == errno.ENOSYS
    assert attempt(0x40000000 | 521, 0) == errno.ENOSYS  # ptrace's own x32 number
    assert attempt(521, 0) == errno.ENOSYS


def test_a_container_has_one_filter(chrun, probe_dir):
    assert look(chrun, image=probe_dir).seccomp == (2, 1)
    assert look(chrun, *SEALED, image=probe_dir).seccomp == (2, 1)


@needs("root")
def test_unconfined_and_the_lower_rungs_have_none(chrun, probe_dir):
    for flags in (UNCONFINED, ("--isolation", "namespaces"), ("--privileged",)):
        assert look(chrun, *flags, image=probe_dir).seccomp == (0, 0)


@pytest.mark.parametrize("flags", [("--isolation", "namespaces"), ("--privileged",)])
def test_the_default_filter_holds_wherever_it_is_asked_for(attempt, flags):
    asked = ("--security-opt", "seccomp=default")
    assert attempt("userfaultfd", -1, flags=flags) != errno.EPERM
    assert attempt("userfaultfd", -1, flags=(*flags, *asked)) == errno.EPERM


@needs("single id")
def test_unconfined_leaves_only_the_pretence(attempt):
    assert attempt("unshare", 0, flags=UNCONFINED) == 0
    assert attempt("chown", 0, flags=UNCONFINED) == 0


def write(path, **fields):
    path.write_text(json.dumps(fields))
    return ("--security-opt", f"seccomp={path}")


def rule(name, action, **fields):
    return {"names": [name], "action": f"SCMP_ACT_{action}"} | fields


def test_a_profile_of_ones_own_is_obeyed(attempt, tmp_path):
    flags = write(
        tmp_path / "p.json",
        defaultAction="SCMP_ACT_ALLOW",
        syscalls=[
            rule("sched_yield", "ERRNO", errnoRet=errno.EDOM),
            rule("getpgid", "KILL_PROCESS", args=[{"index": 0, "value": 7, "op": "SCMP_CMP_EQ"}]),
        ],
    )
    assert attempt("sched_yield", flags=flags) == errno.EDOM
    assert attempt("getpgid", 0, flags=flags) == 0
    assert attempt("getpgid", 7, flags=flags) == -signal.SIGSYS
    assert attempt("unshare", 0, flags=flags) == 0  # it takes the place of the default


def test_a_profile_holds_on_the_lower_rungs_too(attempt, tmp_path):
    flags = write(
        tmp_path / "p.json", defaultAction="SCMP_ACT_ALLOW", syscalls=[rule("sched_yield", "ERRNO")]
    )
    namespaces = ("--isolation", "namespaces", *flags)
    assert attempt("sched_yield", flags=namespaces) == errno.EPERM


def test_a_profile_opens_no_seal(attempt, tmp_path):
    path = tmp_path / "all.json"
    path.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    flags = ("--security-opt", f"seccomp={path}")
    assert attempt("userfaultfd", -1, flags=flags) != errno.EPERM
    assert attempt("userfaultfd", -1, flags=(*flags, *SEALED)) == errno.EPERM


def test_what_a_profile_includes_depends_on_the_capabilities(attempt, tmp_path):
    flags = write(
        tmp_path / "p.json",
        defaultAction="SCMP_ACT_ALLOW",
        syscalls=[rule("sched_yield", "ERRNO", excludes={"caps": ["CAP_SYS_NICE"]})],
    )
    assert attempt("sched_yield", flags=flags) == errno.EPERM
    assert attempt("sched_yield", flags=(*flags, "--cap-add", "SYS_NICE")) == 0


def test_a_profile_of_another_tool_runs_a_shell(chrun, box, tmp_path):
    """The list of calls that a shell needs, written as docker's documentation does."""
    names = """
        access arch_prctl brk clone close dup2 dup3 execve exit exit_group faccessat faccessat2
        fcntl fstat getcwd getegid geteuid getgid getpgid getpgrp getpid getppid getrandom getuid
        ioctl lseek mmap mprotect munmap newfstatat openat pipe2 poll ppoll pread64 prctl prlimit64
        read rseq rt_sigaction rt_sigprocmask rt_sigreturn sendmsg set_robust_list set_tid_address
        setpgid stat statx umask uname vfork wait4 write writev
    """
    flags = write(
        tmp_path / "p.json",
        defaultAction="SCMP_ACT_ERRNO",
        archMap=[
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        ],
        syscalls=[{"names": names.split(), "action": "SCMP_ACT_ALLOW"}],
    )
    script = "echo $(echo works); mkdir /new || echo refused"
    done = chrun("run", *flags, box, "sh", "-c", script)
    assert done.stdout == "works\nrefused\n"


def test_a_profile_under_which_no_program_can_start_says_so(chrun, box, tmp_path):
    flags = write(tmp_path / "p.json", defaultAction="SCMP_ACT_ERRNO", syscalls=[])
    done = chrun("run", *flags, box, "true", status=125)
    assert "lets no program start" in done.stderr


def test_a_profile_under_which_nothing_can_end_ends_all_the_same(chrun, box, tmp_path):
    names = ["execve", "access"]
    flags = write(
        tmp_path / "p.json",
        defaultAction="SCMP_ACT_ERRNO",
        syscalls=[{"names": names, "action": "SCMP_ACT_ALLOW"}],
    )
    for init in ((), ("--init",)):
        done = chrun("run", *flags, *init, box, "/no/such/program", status=None)
        assert done.returncode not in {0, 124}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "defaultAction is missing"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "no listener"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "syscals": []}, "unknown field 'syscals'"),
        (
            {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule("chmood", "ERRNO")]},
            "no system call 'chmood'",
        ),
    ],
)
def test_a_profile_with_a_mistake_runs_nothing_and_names_it(chrun, box, tmp_path, fields, words):
    flags = write(tmp_path / "p.json", **fields)
    done = chrun("run", *flags, box, "echo", "ran", status=125)
    assert done.stdout == ""
    assert done.stderr.startswith(f"chrun: cannot read seccomp profile {tmp_path}/p.json")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_profile_that_is_not_there_is_an_error(chrun, box):
    done = chrun("run", "--security-opt", "seccomp=/no/such", box, "true", status=125)
    assert done.stderr == (
        "chrun: cannot read seccomp profile /no/such: no such file or directory\n"
    )


def test_the_spec_of_a_kept_container_has_the_profile(calls_dir, tmp_path):
    fresh = Chrun(tmp_path / "data")
    fresh("run", "--keep", calls_dir, "true")
    (container,) = (fresh.home / "containers").iterdir()
    profile = json.loads((container / "config.json").read_text())["linux"]["seccomp"]
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert any("openat" in entry["names"] for entry in profile["syscalls"])
