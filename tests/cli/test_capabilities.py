"""What a process may do, as it was asked for: capabilities, privileges, hidden paths, groups."""

from __future__ import annotations

import subprocess

import pytest

from chrun.linux import caps
from tests.support.needs import needs
from tests.support.probe import capability_names, look

DEFAULT = capability_names(0x800405FB)  # podman's eleven
NOTHING = frozenset[str]()


def test_root_gets_what_was_added_in_the_sets_that_count(chrun, probe_dir):
    seen = look(chrun, "--cap-add", "net_raw,CAP_SYS_NICE", image=probe_dir)
    expected = DEFAULT | {"CAP_NET_RAW", "CAP_SYS_NICE"}
    for name in ("bounding", "effective", "permitted"):
        assert seen.capabilities[name] == expected
    assert seen.capabilities["inheritable"] == seen.capabilities["ambient"] == NOTHING


def test_dropping_all_leaves_nothing_but_what_was_added(chrun, probe_dir):
    seen = look(chrun, "--cap-drop", "ALL", "--cap-add", "chown", image=probe_dir)
    assert seen.capabilities["bounding"] == seen.capabilities["effective"] == {"CAP_CHOWN"}


def test_dropping_one_leaves_the_others(chrun, probe_dir):
    seen = look(chrun, "--cap-drop", "CAP_CHOWN", image=probe_dir)
    assert seen.capabilities["bounding"] == DEFAULT - {"CAP_CHOWN"}


@pytest.mark.parametrize("rung", ["namespaces", "confined"])
def test_another_user_keeps_through_execve_what_was_added_by_name_alone(chrun, probe_dir, rung):
    flags = ("--isolation", rung, "--cap-add", "net_bind_service", "--cap-drop", "kill")
    seen = look(chrun, *flags, "-u", "www-data", image=probe_dir)
    for name in ("effective", "permitted", "inheritable", "ambient"):
        assert seen.capabilities[name] == {"CAP_NET_BIND_SERVICE"}
    assert "CAP_KILL" not in seen.capabilities["bounding"]


def test_another_user_can_use_what_was_added(chrun, box):
    listen = "timeout 1 nc -l -s 127.0.0.1 -p 81; test $? = 143"
    flags = ("run", "--network", "none", "-u", "www-data")
    chrun(*flags, "--cap-add", "net_bind_service", box, "sh", "-c", listen)
    denied = chrun(*flags, box, "sh", "-c", listen, status=1)
    assert "Permission denied" in denied.stderr


def test_dropping_holds_on_a_rung_that_takes_nothing_away_by_itself(chrun, probe_dir):
    seen = look(chrun, "--isolation", "namespaces", "--cap-drop", "sys_admin", image=probe_dir)
    assert "CAP_SYS_ADMIN" not in seen.capabilities["bounding"] | seen.capabilities["effective"]
    assert "CAP_SYS_CHROOT" in seen.capabilities["effective"]


@needs("root")
def test_a_capability_that_the_caller_has_not_is_an_error_by_its_name(chrun, box):
    dropped = ["setpriv", "--bounding-set", "-sys_time"]
    command = [*dropped, *chrun.command("run", "--cap-add", "SYS_TIME", box, "true")]
    done = subprocess.run(command, env=chrun.env, capture_output=True, text=True, check=False)
    assert done.returncode == 125
    assert "cannot grant CAP_SYS_TIME: this process does not have it itself" in done.stderr


def test_a_misspelt_capability_is_an_error_with_a_suggestion(chrun, box):
    done = chrun("run", "--cap-add", "sysadmin", box, "true", status=125)
    assert "cannot find the capability 'sysadmin'" in done.stderr
    assert "hint: did you mean CAP_SYS_ADMIN?" in done.stderr


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), 1),
        (("--security-opt", "no-new-privileges=false"), 0),
        (("--isolation", "namespaces"), 0),
        (("--isolation", "namespaces", "--security-opt", "no-new-privileges"), 1),
    ],
)
def test_no_new_privileges_is_the_rungs_unless_it_was_asked_for(chrun, probe_dir, flags, expected):
    assert look(chrun, *flags, image=probe_dir).process["no_new_privs"] == expected


def test_hidden_paths_can_be_opened_one_by_one_and_all_at_once(chrun, probe_dir):
    def hidden(*flags: str) -> set[str]:
        mounts = look(chrun, *flags, image=probe_dir).mounts
        return {mount.target for mount in mounts if mount.target.startswith("/proc/")}

    usual = hidden()
    assert {"/proc/keys", "/proc/sys"} <= usual
    assert hidden("--security-opt", "unmask=/proc/keys:/proc/b*") == usual - {
        "/proc/keys",
        "/proc/bus",
    }
    assert hidden("--security-opt", "systempaths=unconfined") == set()


def test_more_paths_can_be_hidden(chrun, box):
    flags = ("--security-opt", "mask=/etc/passwd:/bin:/no/such/path")
    done = chrun("run", *flags, "-e", "PATH=/x", box, "/usr/bin/env", status=127)
    assert "env" in done.stderr  # /usr/bin/env is a link to what lies in /bin
    shown = chrun("run", "--security-opt", "mask=/etc/passwd", box, "cat", "/etc/passwd")
    assert shown.stdout == ""


def test_what_lies_in_a_volume_can_be_hidden(chrun, box, tmp_path):
    (tmp_path / "secret").write_text("a secret")
    flags = ("-v", f"{tmp_path}:/data", "--security-opt", "mask=/data/secret")
    assert chrun("run", *flags, box, "cat", "/data/secret").stdout == ""
    assert chrun("run", *flags[:3], "mask=/data", box, "ls", "/data").stdout == ""


@needs("root")
def test_privileged_gives_all_that_its_caller_has(chrun, probe_dir):
    seen = look(chrun, "--privileged", image=probe_dir)
    own = capability_names(caps.permitted_mask())
    assert seen.capabilities["effective"] == seen.capabilities["bounding"] == own
    assert seen.seccomp[0] == 0
    assert seen.process["no_new_privs"] == 0
    assert "rw" in seen.mount("/sys").options
    assert not any(mount.target.startswith("/proc/") for mount in seen.mounts)


@needs("root")
def test_privileged_has_the_machines_devices_with_their_owners(chrun, box):
    show = (
        "cd /dev; for f in loop* vd* sd* fuse kmsg mem; do "
        "test -e $f && stat -c '%n %t:%T %a %u %g' $f; done; true"
    )
    outside = subprocess.run(["sh", "-c", show], capture_output=True, text=True, check=True)
    assert outside.stdout
    assert chrun("run", "--privileged", box, "sh", "-c", show).stdout == outside.stdout


@needs("ordinary user")
def test_privileged_says_what_it_cannot_give(chrun, probe_dir):
    done = chrun("run", "--privileged", probe_dir, "grep", "CapEff", "/proc/self/status")
    assert capability_names(int(done.stdout.split()[1], 16)) == capability_names((1 << 41) - 1)
    assert "--privileged gives all capabilities over this container, none" in done.stderr


@needs("root")
def test_privileged_says_what_it_cannot_give_to_ids_of_its_own(chrun, probe_dir):
    done = chrun("run", "--privileged", "--userns", "auto", probe_dir, "true")
    assert "--privileged gives all capabilities over this container, none" in done.stderr
    assert "for root without --userns" in done.stderr


def test_privileged_contradicts_sealed(chrun, box):
    done = chrun("run", "--privileged", "--isolation", "sealed", box, "true", status=125)
    assert "cannot use --privileged with --isolation sealed" in done.stderr


@needs("root")
@pytest.mark.parametrize(
    ("flags", "groups"),
    [
        ((), (0, 10)),  # busybox's root is in wheel
        (("--group-add", "audio", "--group-add", "4711"), (0, 10, 29, 4711)),
        (("-u", "1000"), (0,)),
        (("-u", "1000:1000"), (1000,)),
        (("-u", "www-data"), (33,)),
        (("-u", "www-data:audio", "--group-add", "33"), (29, 33)),
    ],
)
def test_supplementary_groups_are_those_that_docker_gives(chrun, probe_dir, flags, groups):
    assert look(chrun, *flags, image=probe_dir).groups == groups


@needs("ordinary user")
def test_a_group_cannot_be_added_where_one_id_is_mapped(chrun, box):
    done = chrun("run", "--userns", "single", "--group-add", "audio", box, "true", status=125)
    assert "cannot join group 'audio': only one id is mapped" in done.stderr


@pytest.mark.parametrize(
    "flags", [("--cap-add", "chown"), ("--privileged",), ("--security-opt", "mask=/etc")]
)
@needs("root")
def test_the_chroot_rung_refuses_what_it_does_not_do(chrun, box, flags):
    done = chrun("run", "--isolation", "chroot", *flags, box, "true", status=125)
    assert flags[0] in done.stderr
    assert "with --isolation chroot" in done.stderr
