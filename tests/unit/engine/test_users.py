"""Whose ids a container gets: which choice for whom, and what an answer is kept for."""

from __future__ import annotations

import os

import pytest

from chrun.engine import subid_trial, subordinate
from chrun.engine.subordinate import Subordinate, find_subordinate
from chrun.engine.users import Users, choose_users
from chrun.errors import UnsupportedError, UsageError
from chrun.linux.host import Host
from chrun.oci.convert import Identity, IdMaps
from chrun.oci.spec import IdMapping
from chrun.store.store import open_store

ROOT = Host(uid=0, gid=0, privileged=True, machine="x86_64", release="6.1.0")
USER = Host(uid=1000, gid=1001, privileged=False, machine="x86_64", release="6.1.0")
MAPS = IdMaps(
    (IdMapping(0, 1000, 1), IdMapping(1, 100000, 65536)),
    (IdMapping(0, 1001, 1), IdMapping(1, 200000, 65536)),
)
WORKING = Subordinate(MAPS, ("/bin/u", "/bin/g"))
NONE = Subordinate()
BROKEN = Subordinate(why="it does not work", hint="mend it", expected=True)


@pytest.fixture
def layout(tmp_path):
    return open_store(str(tmp_path / "data"), create=True).layout


@pytest.fixture
def knows(monkeypatch):
    """Say what is known of the caller's subordinate ids, whoever runs the tests."""

    def know(found):
        monkeypatch.setattr(subordinate, "find_subordinate", lambda _layout: found)

    return know


@pytest.mark.parametrize(("wanted", "kind"), [("", "host"), ("host", "host"), ("auto", "range"),
                                              ("subuid", "range")])  # fmt: skip
def test_root_shares_the_machines_ids_unless_asked(layout, wanted, kind):
    assert choose_users(ROOT, layout, wanted, "confined").kind == kind


@pytest.mark.parametrize("wanted", ["", "auto", "subuid"])
def test_an_ordinary_user_gets_subordinate_ids_where_they_work(layout, knows, wanted):
    knows(WORKING)
    users = choose_users(USER, layout, wanted, "confined")
    assert (users.kind, users.maps, users.programs) == ("subuid", MAPS, ("/bin/u", "/bin/g"))
    assert users.room == "owned/100000x65536,200000x65536"
    assert bool(users.notices) == (wanted == "auto")


def test_without_any_one_id_is_mapped_and_nobody_is_told_unless_asked(layout, knows):
    knows(NONE)
    assert choose_users(USER, layout, "", "confined") == Users("single")
    (notice,) = choose_users(USER, layout, "auto", "confined").notices
    assert notice.startswith("only one id is mapped: ")
    with pytest.raises(UnsupportedError, match="cannot use --userns subuid"):
        choose_users(USER, layout, "subuid", "confined")


def test_what_was_given_and_does_not_work_is_told(layout, knows):
    knows(BROKEN)
    users = choose_users(USER, layout, "", "confined")
    assert users == Users("single", notices=("only one id is mapped: it does not work; mend it",))
    with pytest.raises(UnsupportedError, match="it does not work") as caught:
        choose_users(USER, layout, "subuid", "confined")
    assert caught.value.hint == "mend it"


@pytest.mark.parametrize(("host", "wanted"), [(USER, "host"), (ROOT, "single")])
def test_what_cannot_be_is_an_error(layout, host, wanted):
    with pytest.raises(UnsupportedError, match=f"cannot use --userns {wanted}"):
        choose_users(host, layout, wanted, "confined")


def test_a_changed_root_alone_has_the_machines_ids(layout):
    assert choose_users(ROOT, layout, "", "chroot") == Users("host")
    with pytest.raises(UsageError, match="--isolation chroot"):
        choose_users(ROOT, layout, "auto", "chroot")


def test_the_single_id_is_whom_they_asked_for():
    maps = Users("single").maps_for(USER, Identity(77, 78))
    assert maps == IdMaps((IdMapping(77, 1000, 1),), (IdMapping(78, 1001, 1),))


def test_who_is_not_mapped_cannot_run_anything():
    users = Users("subuid", MAPS)
    assert users.maps_for(USER, Identity(65536, 65536)) == MAPS
    with pytest.raises(UsageError, match="user 65537"):
        users.maps_for(USER, Identity(65537, 0))
    with pytest.raises(UsageError, match="group 65537"):
        users.maps_for(USER, Identity(0, 65537))
    assert Users("host").maps_for(ROOT, Identity(1 << 30, 1)) == IdMaps()


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Files in the place of /etc/subuid and /etc/subgid."""
    for name in ("SUBUID_PATH", "SUBGID_PATH"):
        path = tmp_path / name
        for module in (subordinate, subid_trial):
            monkeypatch.setattr(module, name, str(path))
    return tmp_path / "SUBUID_PATH", tmp_path / "SUBGID_PATH"


def test_no_file_and_an_empty_one_are_answered_at_a_glance(layout, files, monkeypatch):
    monkeypatch.setattr(subid_trial, "ask", lambda _layout: pytest.fail("asked"))
    assert find_subordinate(layout) == NONE
    files[0].touch()
    assert find_subordinate(layout) == NONE
    assert not os.path.exists(layout.subids_answer_path)


def test_an_answer_is_kept_while_files_and_programs_are_the_same(
    layout, files, monkeypatch, tmp_path
):
    programs = [tmp_path / "u", tmp_path / "g"]
    for path in programs:
        path.touch()
    found = Subordinate(MAPS, (str(programs[0]), str(programs[1])))
    asked = []

    def ask(_layout):
        asked.append(1)
        return found

    monkeypatch.setattr(subid_trial, "ask", ask)
    files[0].write_text("somebody:1:2\n")
    assert find_subordinate(layout) == find_subordinate(layout) == found
    assert len(asked) == 1
    for changed in (*files, *programs):
        changed.write_text(f"changed:{len(asked)}:2\n" + changed.name)
        assert find_subordinate(layout) == find_subordinate(layout) == found
        assert len(asked) == 2
        asked.pop()


def test_what_does_not_work_is_tried_each_time(layout, files, monkeypatch):
    asked = []

    def ask(_layout):
        asked.append(1)
        return BROKEN

    monkeypatch.setattr(subid_trial, "ask", ask)
    files[0].write_text("somebody:1:2\n")
    assert find_subordinate(layout) == find_subordinate(layout) == BROKEN
    assert len(asked) == 2


def test_an_answer_that_another_python_wrote_is_none(layout, files, monkeypatch):
    monkeypatch.setattr(subid_trial, "ask", lambda _layout: WORKING)
    files[0].write_text("somebody:1:2\n")
    for content in (b"", b"\xff\xff", b"i\0\0\0\0"):
        with open(layout.subids_answer_path, "wb") as file:
            file.write(content)
        assert find_subordinate(layout) == WORKING


def test_few_ids_are_told_with_the_command_that_gives_more(layout, files, monkeypatch):
    monkeypatch.setattr(subid_trial, "login_name", lambda: "alice")
    for path in files:
        path.write_text("alice:100000:1000\n")
    found = subid_trial.ask(layout)
    assert found.why == "only 1000 subordinate ids are this user's, expected 65535"
    assert "usermod --add-subuids 524288-589823 --add-subgids 524288-589823 alice" in found.hint
    assert found.expected


def test_ids_without_the_programs_are_told_with_their_package(layout, files, monkeypatch):
    monkeypatch.setattr(subid_trial, "login_name", lambda: "alice")
    monkeypatch.setattr(subid_trial, "_PROGRAM_DIRS", ())
    monkeypatch.setenv("PATH", "relative:/nonexistent")
    for path in files:
        path.write_text("alice:100000:65536\n")
    found = subid_trial.ask(layout)
    assert (found.why, found.maps.uids) == ("newuidmap and newgidmap are not installed", ())
    assert "apt install uidmap" in found.hint
