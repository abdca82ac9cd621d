"""--receipt: what it says of a container is what a probe inside it sees."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support.box import IS_ROOT
from tests.support.needs import IDENTITIES, needs
from tests.support.probe import parse_seen
from tests.support.processes import children_of, first_process
from tests.support.waiting import wait_until

pytestmark = needs("busybox", "overlay")

# Options whose effect the receipt and the probe must see alike
RUNS = {
    "plain": (),
    "init": ("--init",),
    "namespaces": ("--isolation", "namespaces"),
    "sealed network": ("--network", "none"),
    "read-only": ("--read-only", "--tmpfs", "/tmp"),
    "no capabilities": ("--cap-drop", "ALL"),
    "unconfined": ("--security-opt", "seccomp=unconfined"),
    "working directory": ("-w", "/usr"),
}
if IS_ROOT:
    RUNS["another user"] = (
        "-u",
        "1234:99",
    )


@pytest.fixture
def both(chrun, probe_dir, tmp_path):
    """Run the probe with options, and give the receipt and what it saw."""

    def run(*options):
        path = tmp_path / "receipt.json"
        done = chrun("run", "--receipt", str(path), *options, str(probe_dir), "/probe")
        return json.loads(path.read_text()), parse_seen(done.stdout)

    return run


@pytest.fixture(params=RUNS.values(), ids=RUNS)
def pair(both, request):
    return both(*request.param)


def of_status(seen, name):
    return [int(word) for word in seen.status(name).split()]


def test_every_fact_of_the_receipt_is_what_the_process_sees_of_itself(pair):
    receipt, seen = pair
    process, security = receipt["process"], receipt["security"]
    assert process["pids"][0] == seen.process["pid"]
    assert process["executable"] == "/probe"
    assert process["working_dir"] == seen.cwd
    assert process["uids"]["inside"] == of_status(seen, "Uid")
    assert process["gids"]["inside"] == of_status(seen, "Gid")
    assert int(process["umask"], 8) == seen.process["umask"]
    assert process["oom_score_adj"] == int(seen.texts["/proc/self/oom_score_adj"])
    capabilities = {name: frozenset(held) for name, held in security["capabilities"].items()}
    assert capabilities == seen.capabilities
    assert security["no_new_privs"] == bool(seen.process["no_new_privs"])
    mode = {0: "disabled", 2: "filter"}[seen.seccomp[0]]
    assert (security["seccomp"]["mode"], security["seccomp"]["filters"]) == (mode, seen.seccomp[1])
    limits = {name: tuple(pair) for name, pair in receipt["limits"]["rlimits"].items()}
    assert limits == {f"RLIMIT_{name.upper()}": pair for name, pair in seen.limits.items()}
    assert tuple(receipt["network"]["interfaces"]) == seen.interfaces
    assert receipt["root"]["own"]
    assert receipt["root"]["readonly"] == ("ro" in seen.mount("/").options)


def test_namespaces_are_those_that_the_process_is_in(pair):
    receipt, seen = pair
    files = {"network": "net", "mount": "mnt"}
    for name, namespace in receipt["namespaces"].items():
        file = files.get(name, name)
        assert seen.namespaces[file] == f"{file}:[{namespace['inode']}]"
        ours = os.readlink(f"/proc/self/ns/{file}")
        assert namespace["own"] == (ours != seen.namespaces[file]), name


def root_of(kind, root):
    """Give what of a file system is mounted; of a cgroup's each cgroup namespace says another."""
    return root if not kind.startswith("cgroup") else "a cgroup"


def test_mounts_are_those_that_the_process_sees(pair):
    receipt, seen = pair
    told = [
        (
            mount["target"],
            mount["type"],
            mount["source"],
            root_of(mount["type"], mount["root"]),
            frozenset(mount["options"]),
            frozenset(mount["super_options"]),
        )
        for mount in receipt["mounts"]
    ]
    assert told == [
        (
            mount.target,
            mount.fstype,
            mount.source,
            root_of(mount.fstype, mount.root),
            mount.options,
            mount.super_options,
        )
        for mount in seen.mounts
    ]


def test_only_the_three_standard_descriptors_are_open(pair):
    receipt, _ = pair
    assert sorted(receipt["process"]["descriptors"]) == ["0", "1", "2"]


def test_the_maps_of_a_user_namespace_are_told_with_the_callers_ids(both):
    receipt, seen = both()
    user_namespace = receipt["user_namespace"]
    inside = [(line["inside"], line["count"]) for line in user_namespace["uid_map"]]
    assert inside == [(line[0], line[2]) for line in seen.uid_map]
    assert receipt["process"]["uids"]["outside"] == [os.geteuid()] * 4
    if not IS_ROOT:
        own, *subordinate = user_namespace["uid_map"]
        assert own == {"inside": 0, "outside": os.geteuid(), "count": 1}
        assert user_namespace["setgroups"] is bool(subordinate)


def test_what_is_hidden_shows_nothing_and_what_is_locked_cannot_be_written(both):
    receipt, seen = both()
    for path, state in receipt["security"]["masked_paths"].items():
        assert state in {"absent", "hidden"}
        assert (state == "absent") == (path not in seen.paths)
        if path in seen.paths:
            assert seen.paths[path].content in {0, -13}
    for path, state in receipt["security"]["readonly_paths"].items():
        assert state in {"absent", "read-only"}
        assert (state == "absent") == (path not in seen.paths)


def test_what_is_not_hidden_is_said_to_be_visible(both):
    receipt, seen = both("--isolation", "namespaces")
    states = receipt["security"]["masked_paths"]
    assert states["/proc/interrupts"] == "visible"
    assert "hidden" not in {states[path] for path in ("/proc/interrupts", "/proc/keys")}
    assert set(receipt["security"]["readonly_paths"].values()) == {"writable"} | (
        {"absent"} if "/proc/sysrq-trigger" not in seen.paths else set()
    )


def test_a_filter_that_only_pretends_is_not_counted_as_one_that_shuts(both):
    receipt, _ = both("--security-opt", "seccomp=unconfined")
    seccomp = receipt["security"]["seccomp"]
    assert seccomp["own_filters"] == 0
    assert seccomp["pretending_filters"] == int(IDENTITIES["single id"]())
    confined, _ = both()
    assert confined["security"]["seccomp"]["own_filters"] == 1


def test_the_receipt_names_container_image_kernel_and_rung(both, probe_dir):
    receipt, seen = both()
    assert receipt["receipt"] == 1
    assert receipt["container"]["image"] == str(probe_dir)
    assert receipt["container"]["rung"] == "confined"
    assert receipt["container"]["id"].startswith(seen.hostname)
    assert receipt["kernel"]["release"] == os.uname().release
    assert receipt["requirements"] == []
    assert receipt["shown_rung"] == "confined"


def test_an_image_goes_by_its_id(chrun, box, tmp_path):
    path = tmp_path / "receipt.json"
    chrun("run", "--receipt", str(path), box, "true")
    container = json.loads(path.read_text())["container"]
    assert container["image"] == f"{box}:latest"
    assert container["image_id"].startswith("sha256:")


def test_keys_come_in_one_order_that_readers_can_rely_on(both):
    receipt, _ = both()
    assert list(receipt) == [
        "receipt", "chrun", "container", "kernel", "process", "namespaces", "user_namespace",
        "security", "root", "mounts", "limits", "network", "shown_rung", "requirements",
    ]  # fmt: skip


def test_a_receipt_appears_whole_with_the_callers_mask(chrun, box, tmp_path):
    path = tmp_path / "receipt.json"
    path.write_text("an older one")
    path.chmod(0o600)
    done = chrun("run", "--receipt", str(path), "-v", f"{tmp_path}:/seen:ro", box,
                 "cat", "/seen/receipt.json")  # fmt: skip
    assert json.loads(done.stdout) == json.loads(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["receipt.json"]


@pytest.mark.parametrize("name", ["no/such/directory/r", ".", "file/r"])
def test_a_receipt_that_cannot_be_written_stops_the_run_before_its_command(
    chrun, box, tmp_path, name
):
    (tmp_path / "file").touch()
    made = tmp_path / "out"
    made.mkdir()
    done = chrun("run", "-v", f"{made}:/out", "--receipt", str(tmp_path / name), box,
                 "touch", "/out/made", status=125)  # fmt: skip
    assert done.stderr.startswith("chrun: cannot write the receipt ")
    assert len(done.stderr.splitlines()) == 1
    assert list(made.iterdir()) == []
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "out"]


def test_standard_error_takes_a_receipt_and_is_not_replaced(chrun, box, tmp_path):
    log = tmp_path / "log"
    with log.open("w") as stderr:
        stderr.write("before\n")
        stderr.flush()
        words = ("run", "--receipt", "/dev/stderr", box, "sh", "-c", "echo after >&2")
        command = chrun.command(*words)
        subprocess.run(command, stderr=stderr, check=True, env=chrun.env, timeout=60)
    first, *middle, last = log.read_text().splitlines()
    assert (first, last) == ("before", "after")
    assert json.loads("\n".join(middle))["receipt"] == 1
    assert Path("/dev/stderr").is_symlink()


def test_a_pipe_takes_a_receipt(chrun, box, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with chrun.start("run", "--receipt", str(fifo), box, "true") as process:
        assert json.loads(fifo.read_text())["receipt"] == 1
        assert process.wait(20) == 0


def test_a_symlink_is_written_through_and_stays(chrun, box, tmp_path):
    link = tmp_path / "link"
    link.symlink_to("target")
    chrun("run", "--receipt", str(link), box, "true")
    assert link.is_symlink()
    assert json.loads((tmp_path / "target").read_text())["receipt"] == 1


@needs("root")
def test_somebody_elses_link_in_a_directory_for_all_leads_nowhere(chrun, box, tmp_path):
    shared, victim = tmp_path / "shared", tmp_path / "victim"
    shared.mkdir()
    shared.chmod(0o1777)
    victim.write_text("precious")
    (shared / "r").symlink_to(victim)
    os.chown(shared / "r", 12345, 12345, follow_symlinks=False)
    done = chrun("run", "--receipt", str(shared / "r"), box, "echo", "ran", status=125)
    assert "it is somebody else's link" in done.stderr
    assert (done.stdout, victim.read_text()) == ("", "precious")
    os.chown(shared / "r", 0, 0, follow_symlinks=False)
    chrun("run", "--receipt", str(shared / "r"), box, "true")
    assert json.loads(victim.read_text())["receipt"] == 1


def test_a_command_that_is_not_there_fails_as_ever_and_leaves_no_receipt(chrun, box, tmp_path):
    path = tmp_path / "receipt.json"
    done = chrun("run", "--receipt", str(path), box, "no-such-command", status=127)
    assert "no-such-command" in done.stderr
    assert not path.exists()


def test_the_exit_status_and_the_streams_are_the_commands(chrun, box, tmp_path):
    path = tmp_path / "receipt.json"
    done = chrun("run", "-i", "--receipt", str(path), box, "sh", "-c", "cat; exit 7",
                 input="through", status=7)  # fmt: skip
    assert (done.stdout, done.stderr) == ("through", "")


def test_no_other_process_is_left_while_the_command_runs(chrun, box, tmp_path):
    """Above it are the reaper and the monitor, which have no other child, and this program."""
    path = tmp_path / "receipt.json"
    command = ("run", "-i", "--receipt", str(path), box, "sh", "-c", "echo on; read line")
    with chrun.start(*command) as process:
        assert process.stdout.readline() == "on\n"
        monitor = Path(f"/proc/{process.pid}")
        assert monitor.joinpath("cmdline").read_bytes().startswith(b"chrun-init\0")
        pid = json.loads(path.read_text())["process"]["pid"]
        wait_until(lambda: len(children_of(process.pid)) == 1)
        assert first_process(process.pid) == pid
        assert "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text()
        process.communicate("\n", timeout=20)
    assert process.returncode == 0


def test_names_that_look_like_the_end_of_a_line_are_names(chrun, box, tmp_path):
    path = tmp_path / "receipt.json"
    chrun("run", "--tmpfs", "/a\rb\fc", "--receipt", str(path), box, "true")
    assert "/a\rb\fc" in {mount["target"] for mount in json.loads(path.read_text())["mounts"]}


def test_a_receipt_of_a_container_with_a_terminal_names_it(chrun, box, tmp_path):
    path = tmp_path / "receipt.json"
    done = chrun("run", "-t", "--receipt", str(path), box, "tty")
    assert done.stdout.strip() == "/dev/pts/0"
    process = json.loads(path.read_text())["process"]
    assert set(process["descriptors"].values()) == {"/dev/pts/0"}
    assert os.major(process["terminal"]) == 136


@needs("root")
def test_the_chroot_rung_shows_that_it_shuts_out_nothing_but_the_root(chrun, box, tmp_path):
    path = tmp_path / "receipt.json"
    chrun("run", "--isolation", "chroot", "--receipt", str(path), box, "true")
    receipt = json.loads(path.read_text())
    assert receipt["root"]["own"]
    assert not any(namespace["own"] for namespace in receipt["namespaces"].values())
    assert receipt["shown_rung"] == "chroot"
    assert receipt["security"]["seccomp"]["own_filters"] == 0
