"""chrun.run: subprocess.run, with an image."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import chrun
from chrun.errors import CommandNotExecutableError, CommandNotFoundError, NoSuchImageError
from tests.support import images
from tests.support.needs import needs
from tests.support.registry import FakeRegistry
from tests.support.waiting import wait_until

pytestmark = needs("busybox", "overlay")


def sh(root, box, script, **options):
    return chrun.run(box, ["sh", "-c", script], root=root, **options)


def test_output_is_captured_as_bytes_or_text(root, box):
    assert sh(root, box, "echo hi", capture_output=True).stdout == b"hi\n"
    done = sh(root, box, "echo hi; echo oh >&2", capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("hi\n", "oh\n", 0)
    assert done.args == [box, "sh", "-c", "echo hi; echo oh >&2"]


def test_input_is_fed(root, box):
    done = chrun.run(box, ["tr", "a-z", "A-Z"], root=root, input="loud", text=True,
                     capture_output=True)  # fmt: skip
    assert done.stdout == "LOUD"


def test_streams_can_be_files_and_devnull(root, box, tmp_path):
    with open(tmp_path / "out", "wb") as out:
        sh(root, box, "cat; echo done", stdin=subprocess.DEVNULL, stdout=out)
    assert (tmp_path / "out").read_bytes() == b"done\n"


def test_megabytes_pass_in_both_directions(root, box):
    content = os.urandom(3 << 20)
    assert chrun.run(box, ["cat"], root=root, input=content, capture_output=True).stdout == content


def test_the_exit_status_is_returned_or_raised(root, box):
    assert sh(root, box, "exit 3").returncode == 3
    with pytest.raises(subprocess.CalledProcessError) as caught:
        sh(root, box, "exit 3", check=True)
    assert caught.value.returncode == 3


def test_options_are_those_of_the_command_line(root, box, tmp_path):
    (tmp_path / "f").write_text("volume")
    done = sh(
        root, box, "echo $A; pwd; cat /v/f; touch /x 2>/dev/null || echo ro; hostname",
        env={"A": "1"}, working_dir="/usr", volumes=[f"{tmp_path}:/v:ro"],
        readonly=True, tmpfs=["/run"], hostname="named", capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "1\n/usr\nvolumero\nnamed\n"


def test_no_environment_is_none_of_the_callers(root, box):
    assert sh(root, box, "exit 3", env=None).returncode == 3


def test_a_user_can_be_named(root, box):
    assert sh(root, box, "id -u", user="77", capture_output=True, text=True).stdout == "77\n"


def test_a_missing_command_is_an_error_of_its_own(root, box):
    with pytest.raises(CommandNotFoundError, match="the image has no such command"):
        chrun.run(box, ["nosuch"], root=root)
    with pytest.raises(CommandNotExecutableError):
        chrun.run(box, ["/etc/passwd"], root=root)


def test_127_of_the_command_itself_is_not_taken_for_a_missing_command(root, box):
    assert sh(root, box, "exit 127").returncode == 127


def test_a_missing_image_is_an_error(root, box):
    with pytest.raises(NoSuchImageError):
        chrun.run("no/such", ["true"], root=root, pull="never")


def test_a_time_out_kills_the_container_and_leaves_nothing(root, box):
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        sh(root, box, "trap '' TERM INT; sleep 100 & wait; sleep 100", timeout=0.5)
    assert time.monotonic() - began < 50


def test_threads_run_at_once_without_disturbing_each_other(root, box):
    def task(number):
        done = sh(root, box, f"echo {number} > /f; cat /f", capture_output=True, text=True)
        return done.stdout.strip()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(task, range(40))) == [str(number) for number in range(40)]


def test_a_container_dies_with_the_program_that_started_it(root, box):
    script = (
        f"import chrun, sys; chrun.run({box!r}, ['sh', '-c', 'echo up; sleep 1000'], root={root!r})"
    )
    program = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert program.stdout.readline() == b"up\n"
    program.send_signal(signal.SIGKILL)
    program.communicate(timeout=10)  # the container held the pipe, too
    wait_until(lambda: os.listdir(f"{root}/containers") == [])


def test_an_interrupt_while_waiting_ends_the_container(root, box):
    reader, writer = os.pipe()

    def interrupt():
        if os.read(reader, 3) == b"up\n":
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        sh(root, box, "trap '' INT; echo up; sleep 100", stdout=writer)
    os.close(writer)
    thread.join()
    os.close(reader)
    assert os.listdir(f"{root}/containers") == []


def test_images_lists_what_is_here(root, box):
    listed = chrun.images(root=root)
    assert [image.reference for image in listed] == [box]
    assert listed[0].image_id.startswith("sha256:")
    assert listed[0].size > 1_000_000


def test_importing_chrun_costs_nothing_until_it_is_used():
    script = (
        "import sys; before = set(sys.modules); import chrun; "
        "print(sorted(set(sys.modules) - before)); chrun.run; print('subprocess' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    imported, used = done.stdout.splitlines()
    assert imported in {"['__future__', 'chrun']", "['chrun']"}
    assert used == "True"


def test_the_public_names_are_these():
    assert chrun.__all__ == ["ChrunError", "Image", "images", "pull", "run"]
    assert all(hasattr(chrun, name) for name in chrun.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        chrun.nosuch  # noqa: B018


def test_a_tag_that_moved_is_seen_by_the_next_run(tmp_path):
    _config, blob = images.busybox().blobs
    layer = images.layer(gzip.decompress(blob))
    home = str(tmp_path / "data")
    with FakeRegistry() as registry:
        for word in ("old", "new"):
            registry.add(images.image([layer], cmd=["echo", word]), "moving", "latest")
            name = chrun.pull(f"{registry.host}/moving", root=home).reference
            for _ in range(2):
                done = chrun.run(name, root=home, capture_output=True, text=True)
                assert done.stdout == f"{word}\n"


def test_capabilities_and_namespaces_are_those_of_the_command_line(root, box):
    script = "grep CapBnd /proc/self/status; cat /proc/sys/net/ipv4/ip_forward /etc/hosts"
    done = chrun.run(
        box,
        ["sh", "-c", script],
        cap_drop=["all"],
        cap_add=["chown"],
        network="none",
        sysctl=["net.ipv4.ip_forward=1"],
        add_host=["db:192.0.2.7"],
        capture_output=True,
        text=True,
        root=root,
    )
    bounding, forward, *hosts = done.stdout.splitlines()
    assert int(bounding.split()[1], 16) == 1
    assert forward == "1"
    assert "192.0.2.7\tdb" in hosts


@needs("root")
def test_groups_are_added_as_on_the_command_line(root, box):
    done = chrun.run(
        box, ["id", "-G"], user="www-data", group_add=["audio"], stdout=subprocess.PIPE, root=root
    )
    assert done.stdout == b"33 29\n"
