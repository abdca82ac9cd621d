"""--require: what the kernel does not show stops the run before the command's first instruction."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pexpect
import pytest

from tests.support.box import IS_ROOT
from tests.support.needs import IDENTITIES, needs
from tests.support.processes import first_process
from tests.support.waiting import wait_until

pytestmark = needs("busybox", "overlay")

SHOWN = {
    "mountns": (),
    "pidns": (),
    "ipcns": (),
    "utsns": (),
    "cgroupns": (),
    "netns": ("--network", "none"),
    "net=none": ("--network", "none"),
    "net=private": ("--network", "none"),
    "net=host": (),
    "seccomp": (),
    "nnp": (),
    "readonly": ("--read-only",),
    "masked": (),
    "fds": (),
    "caps=none": ("--cap-drop", "ALL"),
    "nocap=SYS_ADMIN": (),
    "nocap=cap_net_raw": (),
    "uid=0": (),
    "uid=77": ("-u", "77"),
    "nonroot": ("-u", "77"),
    "rung=chroot": ("--isolation", "namespaces"),
    "rung=namespaces": ("--isolation", "namespaces"),
    "rung=confined": (),
}
NOT_SHOWN = {
    "pidns": (("--pid", "host"), "the caller's pid namespace"),
    "ipcns": (("--ipc", "host"), "the caller's ipc namespace"),
    "utsns": (("--uts", "host"), "the caller's uts namespace"),
    "cgroupns": (("--cgroupns", "host"), "the caller's cgroup namespace"),
    "netns": ((), "the caller's network namespace"),
    "net=none": ((), "the caller's network namespace"),
    "net=private": ((), "the caller's network namespace"),
    "net=host": (("--network", "none"), "a network namespace of its own"),
    "seccomp": (
        ("--security-opt", "seccomp=unconfined"),
        "no system call filter"
        if not IDENTITIES["single id"]()
        else "only the filter that lets chown succeed, which forbids nothing",
    ),
    "nnp": (("--security-opt", "no-new-privileges=false"), "no_new_privs is not set"),
    "landlock": ((), "a plan without it"),
    "readonly": ((), "a root file system that can be written to"),
    "limits": ((), "no limit of its own for memory and pids"),
    "masked": (("--isolation", "namespaces"), "is visible"),
    "caps=none": ((), "CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER and 8 more"),
    "nocap=chown": ((), "CAP_CHOWN"),
    "nocap=net_raw": (("--cap-add", "NET_RAW"), "CAP_NET_RAW"),
    "uid=77": ((), "uid 0"),
    "nonroot": ((), "user 0"),
    "rung=confined": (("--isolation", "namespaces"), "no_new_privs is not set"),
    "rung=sealed": ((), "a root file system that can be written to"),
    "memory<=1g": ((), "no limit"),
    "pids<=100": ((), "no limit"),
    "cpus<=1.5": ((), "no limit"),
}
if IS_ROOT:
    NOT_SHOWN["userns"] = ((), "the caller's user namespace")
    NOT_SHOWN["mountns"] = (("--isolation", "chroot"), "the caller's mount namespace")
    NOT_SHOWN["rung=namespaces"] = (("--isolation", "chroot"), "the caller's mount namespace")
else:
    SHOWN["userns"] = ()


@pytest.mark.parametrize("fact", SHOWN)
def test_a_fact_that_the_kernel_shows_lets_the_command_run(chrun, box, fact):
    done = chrun("run", *SHOWN[fact], "--require", fact, box, "echo", "ran")
    assert (done.stdout, done.stderr) == ("ran\n", "")


@pytest.mark.parametrize("fact", NOT_SHOWN)
def test_a_fact_that_the_kernel_does_not_show_lets_nothing_run(chrun, box, fact):
    options, found = NOT_SHOWN[fact]
    done = chrun("run", *options, "--require", fact, box, "echo", "ran", status=125)
    assert done.stdout == ""
    said, hint = done.stderr.splitlines()
    assert f"--require {fact} is not met: expected " in said
    assert said.partition(", found ")[2].endswith(found)
    assert hint.startswith("hint: ")


@needs("root")
def test_limits_that_are_set_are_shown(chrun, box):
    options = ("--memory", "64m", "--pids-limit", "50", "--cpus", "0.5")
    facts = "limits,memory<=64m,pids<=50,cpus<=0.5"
    assert chrun("run", *options, "--require", facts, box, "echo", "ran").stdout == "ran\n"


@needs("root")
@pytest.mark.parametrize("fact", ["memory<=63m", "pids<=49", "cpus<=0.4"])
def test_limits_that_are_wider_than_required_are_not_enough(chrun, box, fact):
    options = ("--memory", "64m", "--pids-limit", "50", "--cpus", "0.5")
    done = chrun("run", *options, "--require", fact, box, "echo", "ran", status=125)
    assert "found a limit of " in done.stderr


@needs("root")
def test_sealed_shows_all_that_it_stands_for(chrun, box):
    facts = "rung=sealed,landlock,net=none,caps=none,readonly,limits,nnp,seccomp"
    done = chrun("run", "--isolation", "sealed", "--require", facts, box, "echo", "ran")
    assert done.stdout == "ran\n"


def test_several_facts_go_behind_one_flag_or_behind_several(chrun, box):
    words = ("--require", "pidns, mountns", "--require", "seccomp,nnp")
    assert chrun("run", *words, box, "echo", "ran").stdout == "ran\n"
    done = chrun("run", *words, "--require", "pidns,net=none", box, "echo", status=125)
    assert "--require net=none" in done.stderr


def test_not_one_side_effect_of_the_command_happens(chrun, box, tmp_path):
    """Not even that of an image without a shell, whose interpreter or loader would be first."""
    made = tmp_path / "out"
    made.mkdir()
    for init in ((), ("--init",)):
        chrun("run", *init, "-v", f"{made}:/out", "--security-opt", "seccomp=unconfined",
              "--require", "seccomp", box, "touch", "/out/made", status=125)  # fmt: skip
    assert list(made.iterdir()) == []


def test_the_receipt_of_a_refused_run_says_which_facts_were_missing(chrun, box, tmp_path):
    path = tmp_path / "receipt.json"
    words = ("--receipt", str(path), "--require", "pidns,net=none")
    done = chrun("run", *words, box, "true", status=125)
    assert "hint" not in done.stderr
    assert json.loads(path.read_text())["requirements"] == [
        {"fact": "pidns", "met": True, "expected": "a pid namespace of its own", "found": ""},
        {
            "fact": "net=none",
            "met": False,
            "expected": "a network namespace of its own with nothing but lo",
            "found": "the caller's network namespace",
        },
    ]


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        ("sandbox", "there is no such fact"),
        ("pidns=yes", "there is no such fact"),
        ("memory=64m", "there is no such fact"),
        ("rung=best", "expected chroot, namespaces, confined, sealed"),
        ("net=off", "expected none, private, host"),
        ("caps=few", "expected caps=none"),
        ("nocap=EVERYTHING", "no such capability"),
        ("uid=root", "expected a number"),
        ("pids<=many", "expected a number"),
        ("pids<=nan", "expected a number"),
        ("memory<=lots", "expected a number"),
    ],
)
def test_an_unknown_fact_is_told_before_anything_starts(chrun, fact, said):
    done = chrun("run", "--require", fact, "127.0.0.1:1/no-such-image", status=125)
    assert said in done.stderr
    assert "no-such-image" not in done.stderr


def test_a_misspelt_fact_gets_a_suggestion(chrun):
    done = chrun("run", "--require", "seccmp", "127.0.0.1:1/x", status=125)
    assert "hint: did you mean seccomp?" in done.stderr


def test_explain_knows_the_facts_too(chrun, box):
    assert chrun("explain", "--require", "seccomp", box, "true").stdout
    assert "no such fact" in chrun("explain", "--require", "x", box, status=125).stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_receipt_is_written_ends_the_run(chrun, box, tmp_path, number):
    """A FIFO that nobody reads holds the inspector up; it ends all the same, with the run."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with chrun.start("run", "--receipt", str(fifo), box, "echo", "ran") as process:
        wait_until(lambda: stands_traced(process.pid))
        process.send_signal(number)
        out, err = process.communicate(timeout=20)  # until nobody has standard error open
    assert (process.returncode, out, err) == (128 + number, "", "")


def stands_traced(pid):
    """Return whether the container's first process is held by its monitor."""
    try:
        status = Path(f"/proc/{first_process(pid)}/status").read_text()
    except (FileNotFoundError, ProcessLookupError, ValueError):  # it has not begun
        return False
    return f"TracerPid:\t{pid}\n" in status and "State:\tt" in status


@pytest.fixture
def on_terminal(chrun):
    """Start a command on a terminal of its own."""
    children = []

    def start(*words):
        command, *arguments = chrun.command("run", "-it", *map(str, words))
        child = pexpect.spawn(command, arguments, env=chrun.env, encoding="utf-8", timeout=20)
        children.append(child)
        return child

    yield start
    for child in children:
        child.close(force=True)


def test_a_refusal_is_told_when_the_terminal_is_as_before(on_terminal, box):
    child = on_terminal("-q", "--require", "net=none", box, "sh")
    child.expect(pexpect.EOF)
    child.wait()
    assert child.exitstatus == 125
    said, hint = child.before.removesuffix("\r\n").split("\r\n")  # raw, it would be "\n" alone
    assert said.startswith("chrun: cannot run ")
    assert hint.startswith("hint: ")


def test_interrupt_on_the_terminal_ends_a_run_that_stands_at_the_gate(on_terminal, box, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    child = on_terminal("-q", "--receipt", fifo, box, "echo", "ran")
    wait_until(lambda: stands_traced(child.pid))
    child.sendintr()
    child.expect(pexpect.EOF)
    child.wait()
    assert child.exitstatus == 130
    assert "ran" not in child.before
