"""The machine's kernel, keys and terminals: what every process of it could reach."""

from __future__ import annotations

import ctypes  # noqa: TID251 - a key of the machine's user is made by a system call only
import errno
import os
import platform

import pexpect
import pytest

from chrun.linux.seccomp.numbers import call_numbers
from chrun.oci.convert import MASKED_PATHS, READONLY_PATHS
from tests.support.calls import PROGRAM_PATH, parse_results
from tests.support.needs import needs

pytestmark = needs("busybox", "overlay")

NUMBERS = call_numbers(platform.machine())
UNCONFINED = ("--security-opt", "seccomp=unconfined")
EVERYTHING = ("--cap-add", "ALL")
TIOCSTI, TIOCSCTTY = 0x5412, 0x540E
KEYCTL_DESCRIBE, KEYCTL_READ = 6, 11
SESSION_KEYRING = -3


def there(paths):
    """Give those of the paths that the machine has and this user could see."""
    return [path for path in paths if os.path.exists(path)]


@pytest.mark.parametrize("path", there(MASKED_PATHS))
def test_what_tells_of_kernel_memory_and_of_others_is_hidden(chrun, box, path):
    """CVE-2015-3630: /proc/kcore, /proc/keys and their like, whatever capabilities were added."""
    script = f"[ -d {path} ] && ls -A {path} || stat -c '%F %t:%T' {path}"
    shown = chrun("run", *EVERYTHING, box, "sh", "-c", script).stdout
    assert shown in {"", "character special file 1:3\n"}


@pytest.mark.parametrize("path", there(READONLY_PATHS))
def test_what_would_change_the_machine_is_locked(chrun, box, path):
    """CVE-2015-3630: /proc/sysrq-trigger, /proc/sys, whatever capabilities were added."""
    script = f"if [ -d {path} ]; then touch -c {path}; else : >> {path}; fi"
    done = chrun("run", *EVERYTHING, box, "sh", "-c", script, status=1)
    assert "Read-only file system" in done.stderr


@pytest.mark.parametrize("path", ["/dev/mem", "/dev/kmsg", "/dev/port", "/dev/sda", "/dev/vda"])
def test_no_device_of_the_machine_is_there(chrun, box, path):
    chrun("run", *EVERYTHING, box, "ls", path, status=1)


@pytest.fixture
def host_key():
    """A secret in the session keyring of whoever runs chrun: its number."""
    libc, secret = ctypes.CDLL(None, use_errno=True), b"the host's own"
    number = libc.syscall(NUMBERS["add_key"], b"user", b"chrun-test", secret, len(secret),
                          SESSION_KEYRING)  # fmt: skip
    if number < 0:
        pytest.fail(os.strerror(ctypes.get_errno()))
    yield number
    libc.syscall(NUMBERS["keyctl"], 3, number)  # KEYCTL_REVOKE


@pytest.mark.parametrize("flags", [(), EVERYTHING, ("--isolation", "sealed")])
def test_keyrings_of_the_host_are_out_of_reach(chrun, calls_dir, host_key, flags):
    """No namespace holds keys: a container of the same user would own the user's."""
    for operation in (KEYCTL_DESCRIBE, KEYCTL_READ):
        assert call(chrun, calls_dir, flags, "keyctl", operation, host_key) == errno.EPERM
    assert "chrun-test" not in chrun("run", *flags, calls_dir, "cat", "/proc/keys").stdout


def test_a_keyring_would_be_in_reach_without_the_filter(chrun, calls_dir, host_key):
    """The attack works where nothing defends: it is one."""
    assert call(chrun, calls_dir, UNCONFINED, "keyctl", KEYCTL_READ, host_key) == 0


def call(chrun, root, flags, name, *arguments):
    """Make a system call in a container and give its errno."""
    words = (str(NUMBERS[name]), *map(str, arguments))
    shown = chrun("run", "-q", *flags, root, PROGRAM_PATH, *words).stdout
    return parse_results(shown)[NUMBERS[name]]


def control_terminal(chrun, root, request, *flags):
    """Make an ioctl(2) of a container that was started on a terminal, and give its errno.

    Without an argument: where nothing forbids TIOCSTI it is EFAULT, and nothing is typed.
    """
    words = (PROGRAM_PATH, str(NUMBERS["ioctl"]), "0", str(request), "0")
    program, *arguments = chrun.command("run", "-q", *flags, root, *words)
    shown, status = pexpect.run(
        " ".join([program, *arguments]), env=chrun.env, timeout=30, withexitstatus=True
    )
    assert status == 0, shown
    return parse_results(shown.decode())[NUMBERS["ioctl"]]


@pytest.mark.parametrize("terminal", ["-i", "-it"])
def test_nothing_is_typed_into_the_callers_terminal(chrun, calls_dir, terminal):
    """CVE-2016-9962, CVE-2017-5226: TIOCSTI, on the caller's own terminal and on another."""
    assert control_terminal(chrun, calls_dir, TIOCSTI, terminal) == errno.EPERM


@pytest.mark.parametrize("flags", [(), ("--init",), ("--isolation", "namespaces")])
def test_the_callers_terminal_is_not_the_containers_to_control(chrun, calls_dir, flags):
    """CVE-2017-5226: without a filter, too, its input is a pipe and not the terminal."""
    flags = ("-i", *flags, *UNCONFINED)
    assert control_terminal(chrun, calls_dir, TIOCSTI, *flags) == errno.ENOTTY
    assert control_terminal(chrun, calls_dir, TIOCSCTTY, *flags) == errno.ENOTTY


def test_a_terminal_of_its_own_is_the_containers(chrun, calls_dir):
    """With -t the one that it may type into is a new one: the attack reaches itself."""
    typed = control_terminal(chrun, calls_dir, TIOCSTI, "-it", *UNCONFINED)
    assert typed in {errno.EFAULT, errno.EIO}  # EIO: the kernel was told to refuse it everywhere
