"""The rung `sealed`, seen from inside: code that nobody has read finds every door shut."""

from __future__ import annotations

import os
import socket

import pytest

from tests.support.needs import needs

pytestmark = needs("busybox", "overlay", "landlock")


@pytest.fixture
def sealed(chrun, box):
    def run(script, *options, status=0, **more):
        words = ("-q", "--isolation", "sealed", *options, box, "sh", "-c", script)
        return chrun("run", *words, status=status, **more)

    return run


def test_nothing_can_be_changed_but_a_tmp_in_memory(sealed):
    done = sealed(
        "echo a > /tmp/a && cat /tmp/a; for d in / /etc /bin; do touch $d/x; done", status=1
    )
    assert done.stdout == "a\n"
    assert done.stderr.count("Read-only file system") == 3


def test_what_it_wrote_was_never_on_a_disk(sealed):
    shown = sealed("cat /proc/self/mountinfo").stdout
    options = {line.split()[4]: line.split(" - ")[1] for line in shown.splitlines()}
    assert options["/tmp"].startswith("tmpfs ")
    assert options["/"].startswith("overlay ")


def test_the_only_network_is_a_loopback_of_its_own(sealed):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = (
            f"nc -w 1 127.0.0.1 {port} < /dev/null && echo reached;"
            " (echo hello | nc -l -p 7777 127.0.0.1 &) ;"
            " until nc -w 1 127.0.0.1 7777 < /dev/null; do sleep 0.1; done;"
            " tail -n +3 /proc/net/dev"
        )
        shown = sealed(script).stdout
    assert "reached" not in shown
    assert "hello" in shown
    assert [line.split(":")[0].strip() for line in shown.splitlines() if ":" in line] == ["lo"]


def test_an_open_network_is_there_for_who_asks(sealed):
    assert sealed("readlink /proc/self/ns/net", "--network", "host").stdout.strip() == os.readlink(
        "/proc/self/ns/net"
    )


def test_root_inside_has_no_capability(sealed):
    shown = dict(
        line.split(":\t", 1) for line in sealed("cat /proc/self/status").stdout.splitlines()
    )
    assert {shown[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")} == {
        "0" * 16
    }
    assert shown["NoNewPrivs"] == "1"
    assert int(shown["Seccomp_filters"]) >= 1


def test_landlock_forbids_what_the_mounts_allow(chrun, box, sealed):
    script = "echo 500 > /proc/self/oom_score_adj && echo changed"
    assert chrun("run", box, "sh", "-c", script).stdout == "changed\n"
    done = sealed(script, status=1)
    assert done.stdout == ""
    assert "Permission denied" in done.stderr


def test_no_core_is_dumped(sealed):
    # At 0 a core_pattern that pipes cores to a program would still have them: core(5)
    shown = sealed("grep 'core file size' /proc/self/limits").stdout
    assert shown.split()[4:6] == ["1", "1"]


def test_a_writable_volume_is_one_and_a_read_only_one_is_not(sealed, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir(mode=0o777)
    (tmp_path / "in/data").write_text("7")
    volumes = ("-v", f"{tmp_path}/in:/in:ro", "-v", f"{tmp_path}/out:/out")
    done = sealed("cat /in/data > /out/copy; touch /in/data /in/new", *volumes, status=1)
    assert (tmp_path / "out/copy").read_text() == "7"
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["data"]
    assert "/in/new" in done.stderr


def test_only_the_images_and_the_asked_for_environment_is_inside(sealed):
    shown = sealed("env", "-e", "A=b", SECRET_TOKEN="hunter2").stdout
    names = {line.partition("=")[0] for line in shown.splitlines()}
    assert names <= {"PATH", "HOSTNAME", "HOME", "A", "PWD", "SHLVL"}
    assert "hunter2" not in shown


def test_time_is_up_after_as_long_as_was_asked_for(sealed):
    done = sealed("sleep 60", "--timeout", "1s", status=124)
    assert done.stdout == ""


def test_a_sealed_container_keeps_nothing(chrun, box):
    done = chrun("run", "--isolation", "sealed", "--keep", box, "true", status=125)
    assert "cannot use --keep with --isolation sealed" in done.stderr


def test_a_seal_is_not_opened_by_a_flag_without_a_word(chrun, box):
    flags = ("--isolation", "sealed", "--read-only=false")
    assert "contradict" in chrun("run", *flags, box, "true", status=125).stderr
    assert chrun("run", "--read-only", *flags[2:], box, "touch", "/x").stderr == ""


def test_what_contradicts_a_seal_is_an_error(chrun, box):
    words = ("--isolation", "sealed", "--scratch", "disk")
    done = chrun("run", *words, box, "true", status=125)
    assert "its scratch is memory" in done.stderr


@needs("ordinary user", "cgroups 1")
def test_without_cgroups_each_process_has_a_limit_of_memory(sealed):
    assert sealed("grep 'Max data size' /proc/self/limits").stdout.split()[3] == str(1 << 30)


def test_a_size_of_shared_memory_that_is_not_its_own_is_an_error(chrun, box):
    done = chrun("run", "--shm-size", "1m", "--ipc", "none", box, "true", status=125)
    assert "cannot use --shm-size with --ipc none" in done.stderr
