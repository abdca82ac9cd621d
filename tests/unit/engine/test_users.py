"""Whose ids a container gets: which choice for whom, and what an answer is kept for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chrun.engine import subid_trial
from chrun.engine.subordinate import Subordinate, find_subordinate
from chrun.engine.users import Users, choose_for_user, choose_users
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


@pytest.mark.parametrize(("wanted", "kind"), [("", "host"), ("host", "host"), ("auto", "range"),
                                              ("subuid", "range")])  # fmt: skip
def test_root_shares_the_machines_ids_unless_asked(layout, wanted, kind):
    assert choose_users(ROOT, layout, wanted, "confined").kind == kind


def test_root_with_fewer_privileges_has_layers_of_its_own(layout):
    """What it unpacks lacks owners, or the marks of what a layer takes away."""
    less = ROOT.replace(privileged=False, may_chroot=True)
    rooms = {choose_users(less, layout, *asked).room for asked in (("single", "confined"),
                                                                   ("", "chroot"))}  # fmt: skip
    (room,) = rooms
    assert room.startswith("owned/root-")
    for host in (ROOT, USER):
        assert choose_users(host, layout, "", "chroot").room == "layers"
    assert choose_users(USER, layout, "single", "confined").room == "layers"


def test_another_group_of_the_caller_has_layers_of_its_own():
    other = MAPS.replace(gids=(IdMapping(0, 1002, 1), *MAPS.gids[1:]))
    assert WORKING.room != WORKING.replace(maps=other).room


@pytest.mark.parametrize("wanted", ["", "auto", "subuid"])
def test_an_ordinary_user_gets_subordinate_ids_where_they_work(wanted):
    users = choose_for_user(WORKING, wanted)
    assert (users.kind, users.maps, users.programs) == ("subuid", MAPS, ("/bin/u", "/bin/g"))
    assert users.room == "owned/1000x1+100000x65536,1001x1+200000x65536"
    assert bool(users.notices) == (wanted == "auto")


def test_without_any_one_id_is_mapped_and_nobody_is_told_unless_asked():
    assert choose_for_user(NONE, "") == Users("single")
    (notice,) = choose_for_user(NONE, "auto").notices
    assert notice.startswith("only one id is mapped: ")
    with pytest.raises(UnsupportedError, match="cannot use --userns subuid"):
        choose_for_user(NONE, "subuid")


def test_what_was_given_and_does_not_work_is_told():
    users = choose_for_user(BROKEN, "")
    assert users == Users("single", notices=("only one id is mapped: it does not work; mend it",))
    with pytest.raises(UnsupportedError, match="it does not work") as caught:
        choose_for_user(BROKEN, "subuid")
    assert caught.value.hint == "mend it"


def test_one_id_is_mapped_to_who_asks_for_one(layout):
    assert choose_users(USER, layout, "single", "confined") == Users("single")


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
def files(tmp_path):
    """The paths of files in the place of /etc/subuid and /etc/subgid."""
    return str(tmp_path / "subuid"), str(tmp_path / "subgid")


def give(files, lines):
    for path in files:
        Path(path).write_text(lines)


def test_no_file_and_an_empty_one_are_answered_at_a_glance(layout, files):
    assert find_subordinate(layout, files) == NONE  # who asks further says why
    Path(files[0]).touch()
    assert find_subordinate(layout, files) == NONE
    assert not os.path.exists(layout.subids_answer_path)


def test_who_is_given_nothing_is_told_so_until_the_files_change(layout, files):
    give(files, "somebody:1:2\n")
    kept = [find_subordinate(layout, files)]
    assert kept[0].why
    assert not kept[0].expected
    written = os.stat(layout.subids_answer_path)
    kept.append(find_subordinate(layout, files))
    assert kept[0] == kept[1]
    assert os.path.samestat(written, os.stat(layout.subids_answer_path))
    give(files, f"{os.geteuid()}:100000:1000\n")
    assert "only 1000 subordinate ids" in find_subordinate(layout, files).why


def test_an_answer_that_another_python_wrote_is_none(layout, files):
    give(files, "somebody:1:2\n")
    answer = find_subordinate(layout, files)
    for content in (b"", b"\xff\xff", b"i\0\0\0\0"):
        Path(layout.subids_answer_path).write_bytes(content)
        assert find_subordinate(layout, files) == answer
        assert Path(layout.subids_answer_path).read_bytes() != content


def test_few_ids_are_told_with_the_command_that_gives_more(layout, files):
    give(files, f"{os.geteuid()}:100000:1000\n")
    found = subid_trial.ask(layout, files)
    assert found.why == "only 1000 subordinate ids are this user's, expected 65535"
    assert "usermod --add-subuids 524288-589823 --add-subgids 524288-589823 " in found.hint
    assert found.expected
