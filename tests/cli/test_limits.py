"""What a container may use: limits that hold, are seen from inside, and go with the container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.cgroups import HOG, files, first_disk, has_version_1, schedulers_held
from tests.support.needs import needs
from tests.support.running import NAME, running

pytestmark = [needs("busybox", "overlay"), pytest.mark.usefixtures("no_cgroup_left")]
BOMB = "i=0; while [ $i -lt 200 ]; do sleep 5 & i=$((i+1)); done; wait"


@needs("root", "cgroups")
def test_a_memory_hog_is_killed_and_the_reason_is_told(chrun, box):
    done = chrun("run", "--memory", "16m", box, "sh", "-c", HOG, status=137)
    assert done.stderr == "chrun: the container ran out of memory: its limit is 16 MiB\n"


@needs("root", "cgroups")
def test_a_kill_that_was_not_for_memory_is_told_as_none(chrun, box):
    script = "sh -c 'kill -9 $$'; exit $?"  # nobody kills the first process from inside
    done = chrun("run", "--memory", "16m", box, "sh", "-c", script, status=137)
    assert "memory" not in done.stderr


@needs("root", "cgroups")
def test_a_memory_hog_that_the_command_survives_is_told_too(chrun, box):
    done = chrun("run", "-m", "16m", box, "sh", "-c", f"({HOG}); echo survived $?")
    assert done.stdout == "survived 137\n"
    assert "ran out of memory: its limit is 16 MiB" in done.stderr


@needs("root", "cgroups")
def test_a_fork_bomb_stops_at_its_limit_and_the_machine_does_not_notice(chrun, box):
    path = files("pids.current", "pids.current")
    script = f"({BOMB}; echo never); read -r count < {path}; echo $count; read -r line"
    with chrun.start("run", "-i", "--pids-limit", "20", box, "sh", "-c", script) as running:
        assert 1 < int(running.stdout.readline()) <= 20
        subprocess.run(["true"], check=True)  # while nothing more can be started in there
        out, errors = running.communicate("\n", timeout=30)
    assert "can't fork" in errors
    assert out == ""


@needs("root", "cgroups")
def test_the_bomb_goes_off_without_a_limit(chrun, box):
    """So that it is the limit that stops it."""
    script = BOMB.replace("sleep 5", "sleep 0.1")
    assert chrun("run", box, "sh", "-c", f"{script}; echo all").stdout == "all\n"


@needs("root", "cgroups")
def test_processor_time_is_throttled(chrun, box):
    stat = files("cpu.stat", "cpu.stat")
    script = f"until grep -q 'nr_throttled [1-9]' {stat}; do :; done; echo throttled"
    assert chrun("run", "--cpus", "0.5", box, "sh", "-c", script).stdout == "throttled\n"


@needs("root", "cgroups")
@pytest.mark.parametrize(
    ("flags", "version_1", "version_2"),
    [
        (("--memory", "64m"), ("memory.limit_in_bytes", 64 << 20), ("memory.max", 64 << 20)),
        (("-m", "1g"), ("memory.limit_in_bytes", 1 << 30), ("memory.max", 1 << 30)),
        (
            ("--memory", "64m", "--memory-swap", "80m"),
            ("memory.memsw.limit_in_bytes", 80 << 20),
            ("memory.swap.max", 16 << 20),
        ),
        (("--cpus", "1.5"), ("cpu.cfs_quota_us", 150_000), ("cpu.max", "150000 100000")),
        (
            ("--cpu-quota", "5000", "--cpu-period", "20000"),
            ("cpu.cfs_period_us", 20_000),
            ("cpu.max", "5000 20000"),
        ),
        (("--cpu-shares", "512"), ("cpu.shares", 512), ("cpu.weight", 59)),
        (("--cpuset-cpus", "0"), ("cpuset.cpus", 0), ("cpuset.cpus", 0)),
        (("--pids-limit", "33"), ("pids.max", 33), ("pids.max", 33)),
    ],
)  # fmt: skip
def test_a_limit_is_what_the_kernel_shows_inside(chrun, box, flags, version_1, version_2):
    path = files(version_1[0], version_2[0])
    expected = version_2[1] if path.count("/") == 4 else version_1[1]
    assert chrun("run", *flags, box, "cat", path).stdout == f"{expected}\n"


@needs("root", "cgroups", "a disk")
def test_disk_rates_are_what_the_kernel_shows_inside(chrun, box):
    name, number = first_disk()
    flags = ("--device-read-bps", f"{name}:1m", "--device-write-iops", f"{name}:100")
    if has_version_1("blkio"):
        throttle = "/sys/fs/cgroup/blkio/blkio.throttle"
        script = f"cat {throttle}.read_bps_device {throttle}.write_iops_device"
        expected = f"{number} 1048576\n{number} 100\n"
    else:
        script = "cat /sys/fs/cgroup/io.max"
        expected = f"{number} rbps=1048576 wbps=max riops=max wiops=100\n"
    assert chrun("run", *flags, box, "sh", "-c", script).stdout == expected


@pytest.fixture
def weighed_disk():
    """A disk whose scheduler honours weights, as long as a test lasts."""
    scheduler = Path("/sys/block/loop7/queue/scheduler")
    with schedulers_held():
        before = scheduler.read_text().partition("[")[2].partition("]")[0]
        scheduler.write_text("bfq")
        yield
        scheduler.write_text(before)


@needs("root", "cgroups 1", "bfq")
@pytest.mark.usefixtures("weighed_disk")
def test_a_weight_that_a_disk_honours_is_what_the_kernel_shows_inside(chrun, box):
    show = ("sh", "-c", "cat /sys/fs/cgroup/blkio/blkio*.weight")
    assert chrun("run", "--blkio-weight", "100", box, *show).stdout == "100\n"


@needs("root", "cgroups 1", "a disk")
def test_a_receipt_has_the_limits_of_disks_and_the_rules_for_devices(chrun, box, tmp_path):
    disk, number = first_disk()
    flags = ("--device-write-bps", f"{disk}:1m", "--device", "/dev/full:/dev/x")
    chrun("run", *flags, "--receipt", tmp_path / "receipt", box, "true")
    cgroups = json.loads((tmp_path / "receipt").read_text())["limits"]["cgroups"]
    files = {name: text for group in cgroups for name, text in group["files"].items()}
    assert files["blkio.throttle.write_bps_device"] == f"{number} 1048576"
    assert "c 1:7 rwm" in files["devices.list"].splitlines()


@needs("root", "cgroups")
def test_all_limits_hold_at_once_and_stdin_still_comes_in(chrun, box):
    flags = ("--memory=64m", "--memory-swap=-1", "--cpus=1", "-c", "100", "--pids-limit=9", "-i")
    assert chrun("run", *flags, box, "cat", input="in").stdout == "in"


def test_a_plain_run_makes_no_cgroup(chrun, box):
    shown = chrun("explain", box, "true").stdout.replace("hide /sys/fs/cgroup", "")
    assert "limit" not in shown
    assert "cgroup" in shown  # the namespace, which the clone makes
    assert shown.count("cgroup") == 1


@needs("root", "cgroups")
def test_explain_names_every_limit(chrun, box):
    shown = chrun("explain", "-m", "64m", "--pids-limit", "9", "--timeout", "90s", box).stdout
    for words in ("limit memory to 64 MiB", "limit processes and threads to 9",
                  "end the container after 90 s", "remove the container's cgroups"):  # fmt: skip
        assert words in shown


@needs("root", "cgroups")
def test_a_kept_container_tells_its_limits_in_the_runtime_specs_words(chrun, box):
    chrun("run", "--keep", "-m", "64m", "--cpus", "0.5", "--ulimit", "core=0", box, "true")
    (directory,) = (chrun.home / "containers").iterdir()
    spec = json.loads((directory / "config.json").read_text())
    assert spec["linux"]["resources"]["memory"] == {"limit": 64 << 20}
    assert spec["linux"]["resources"]["cpu"] == {"quota": 50_000, "period": 100_000}
    assert spec["process"]["rlimits"] == [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
    assert not (directory / "cgroups").exists()
    os.unlink(directory / "kept")
    chrun("images")


@needs("root", "cgroups")
def test_a_command_that_is_missing_leaves_no_cgroup(chrun, box):
    done = chrun("run", "-m", "64m", box, "/no/such", status=127)
    assert "the image has no such command" in done.stderr


@needs("root", "cgroups")
def test_the_next_command_removes_the_cgroups_of_a_monitor_that_was_killed(chrun, box):
    command = ("run", "-q", "-m", "64m", box, "sh", "-c", "echo up; sleep 1000")
    with chrun.start(*command) as running:
        assert running.stdout.readline() == "up\n"
        (directory,) = (chrun.home / "containers").iterdir()
        listed = (directory / "cgroups").read_text().splitlines()
        assert listed
        assert all(path.endswith(f"/chrun-{directory.name}") for path in listed)
        running.send_signal(signal.SIGKILL)
        running.communicate(timeout=10)
    assert all(Path(path).exists() for path in listed)
    Path(listed[0], "made/by/the-container").mkdir(parents=True)  # who had CAP_SYS_ADMIN, say
    chrun("images")
    assert not any(Path(path).exists() for path in listed)


@needs("root", "cgroups")
def test_what_a_container_leaves_running_ends_with_its_cgroup(chrun, box):
    """With the machine's processes in sight, no pid namespace takes them along."""
    script = "setsid sleep 4242 > /dev/null 2>&1 & echo $!"
    left = chrun("run", "--pid", "host", "-m", "64m", box, "sh", "-c", script).stdout
    assert not Path("/proc", left.strip()).exists()


# What is seen of cgroups: attacks


@needs("root", "cgroups")
@pytest.mark.parametrize("limits", [(), ("--memory", "64m", "--pids-limit", "50")])
def test_cve_2023_25809_the_cgroups_inside_cannot_be_written_to(chrun, box, limits):
    script = (
        "for f in $(find /sys/fs/cgroup -type f) /sys/fs/cgroup/new; do"
        " (echo 1 > $f) 2> /dev/null && echo wrote $f; done; mkdir /sys/fs/cgroup/new; true"
    )
    done = chrun("run", *limits, "--cap-add", "DAC_OVERRIDE", box, "sh", "-c", script)
    assert done.stdout == ""
    assert "can't create directory" in done.stderr


@needs("ordinary user")
def test_cve_2023_25809_a_users_container_sees_no_cgroup_that_it_could_write_to(chrun, box):
    done = chrun(
        "run", box, "sh", "-c", "find /sys/fs/cgroup -mindepth 1; mkdir /sys/fs/cgroup/x", status=1
    )
    assert done.stdout == ""
    assert "Read-only file system" in done.stderr


@needs("root", "cgroups")
@pytest.mark.parametrize("limits", [(), ("--memory", "64m")])
def test_cve_2022_0492_no_release_agent_is_in_reach(chrun, box, limits):
    """Whose content the machine's kernel runs as root when a cgroup becomes empty."""
    found = chrun("run", *limits, box, "find", "/sys/fs/cgroup", "-name", "release_agent").stdout
    assert found == ""
    for words in (
        ["unshare", "-C", "true"],
        ["mount", "-t", "cgroup", "-o", "memory", "x", "/tmp"],
    ):
        done = chrun("run", *limits, box, *words, status=None)
        assert done.returncode != 0, words


@needs("root", "cgroups")
def test_a_container_sees_its_own_cgroup_as_the_root_and_no_other(chrun, box):
    script = "cat /proc/self/cgroup; find /sys/fs/cgroup -type d -name 'chrun*'"
    lines = chrun("run", "-m", "64m", "--cpus=1", box, "sh", "-c", script).stdout.splitlines()
    controllers = ("memory", "cpu") if has_version_1("memory") else ("",)
    own = [line for line in lines if set(line.split(":")[1].split(",")) & set(controllers)]
    assert own
    assert all(line.endswith(":/") for line in own), lines


# Limits that are none of a cgroup's


def test_the_time_limit_ends_a_container_that_ignores_sigterm(chrun, box):
    began = time.monotonic()
    script = "trap '' TERM INT HUP; sleep 1000; sleep 1000"
    done = chrun("run", "--timeout", "700ms", box, "sh", "-c", script, status=124)
    assert done.stderr == "chrun: stopped the container: its time of 700 ms is up\n"
    assert time.monotonic() - began >= 0.7


def test_a_time_limit_that_is_not_reached_changes_nothing(chrun, box):
    done = chrun("run", "--timeout", "1h", box, "sh", "-c", "exit 3", status=3)
    assert done.stderr == ""


def test_the_time_limit_holds_for_what_init_reaps_too(chrun, box):
    chrun("run", "--init", "--timeout", "500ms", box, "sleep", "1000", status=124)


def test_a_time_limit_is_refused_where_a_pid_namespace_is_joined(chrun, box):
    with running(chrun, image=box):
        words = ("run", "--timeout", "1s", "--pid", f"container:{NAME}", box, "true")
        done = chrun(*words, status=125)
    assert "cannot limit the time of a container that joins the pid namespace" in done.stderr


def test_resource_limits_are_set(chrun, box):
    flags = ("--ulimit", "nofile=100:200", "--ulimit", "core=0")
    shown = chrun("run", *flags, box, "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c").stdout
    assert shown == "100\n200\n0\n"


@needs("ordinary user")
def test_a_resource_limit_that_may_not_be_raised_is_an_error(chrun, box):
    done = chrun("run", "--ulimit", "nofile=99999999", box, "true", status=125)
    assert "cannot set the limit NOFILE to 99999999: only CAP_SYS_RESOURCE may" in done.stderr
    assert "hint: " in done.stderr


def test_shared_memory_has_the_size_that_is_asked_for(chrun, box):
    shown = chrun("run", "--shm-size", "3m", box, "df", "-k", "/dev/shm").stdout
    assert shown.splitlines()[1].split()[1] == "3072"


# What cannot be had


@needs("ordinary user", "cgroups 1")
@pytest.mark.parametrize("flags", [("-m", "64m"), ("--pids-limit", "9"), ("--cpus", "1")])
def test_a_limit_that_cannot_be_put_into_force_is_an_error_with_a_way_out(chrun, box, flags):
    done = chrun("run", *flags, box, "echo", "ran", status=125)
    assert done.stdout == ""
    assert "is not this user's to change" in done.stderr
    assert "hint: run it as root, or boot into cgroup version 2" in done.stderr


@needs("no weights")
def test_a_weight_that_no_disk_honours_is_an_error(chrun, box):
    with schedulers_held():
        done = chrun("run", "--blkio-weight", "100", box, "true", status=125)
    assert "cannot use --blkio-weight: no disk here has a scheduler" in done.stderr


def test_processors_that_are_not_there_are_an_error(chrun, box):
    done = chrun("run", "--cpuset-cpus", "4000", box, "true", status=125)
    assert "cannot use --cpuset-cpus 4000: this process may run on processors 0" in done.stderr


@pytest.mark.parametrize("flags", [("-m", "64m"), ("--timeout", "9s"), ("--ulimit", "core=0")])
def test_the_chroot_rung_has_no_limits(chrun, box, flags):
    done = chrun("run", "--isolation", "chroot", *flags, box, "true", status=125)
    assert "chroot" in done.stderr


@needs("ordinary user", "cgroups 1")
def test_a_sealed_container_without_cgroups_has_a_limit_of_processes_all_the_same(chrun, box):
    script = "grep processes /proc/self/limits; " + BOMB.replace("200", "400")
    done = chrun("run", "--isolation", "sealed", box, "sh", "-c", script, status=None)
    assert done.stdout.split()[2:4] == ["256", "256"]
    assert "chrun: limits hold for each process, not for all together: " in done.stderr
    assert "can't fork" in done.stderr
