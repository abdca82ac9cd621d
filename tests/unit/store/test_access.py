"""Users that can replace a store: every component of its path, as root and as another user."""

from __future__ import annotations

import os
import pickle
import stat
import subprocess
import sys
from contextlib import contextmanager

import pytest

from chrun.errors import StoreError
from chrun.oci.digest import Digest
from chrun.store.access import make_directory, open_own, walk
from chrun.store.contents import has_content, note_content
from chrun.store.store import open_store
from tests.support.needs import needs
from tests.support.trees import snapshot

CALLER, OTHER = 61234, 1234


def as_caller(function, *args, **kwargs):
    """Call a function as an ordinary user, in a process of its own, and give what it gives."""
    said, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(CALLER)
            os.setuid(CALLER)
            result = function(*args, **kwargs)
        except BaseException as error:
            result = error
        os.write(tell, pickle.dumps(result))
        os._exit(0)
    os.close(tell)
    with open(said, "rb") as file:
        result = pickle.loads(file.read())
    os.waitpid(pid, 0)
    if isinstance(result, BaseException):
        raise result
    return result


@pytest.fixture
def place(tmp_path):
    """A directory that every user can reach, of a path that is root's alone."""
    for directory in (tmp_path.parent.parent, tmp_path.parent, tmp_path):
        os.chmod(directory, stat.S_IMODE(directory.stat().st_mode) | 0o011)
    return tmp_path


@contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def given_to(directory, uid, mode=0o755):
    directory.mkdir()
    directory.chmod(mode)
    os.chown(directory, uid, uid)
    return directory


@needs("root")
@pytest.mark.parametrize("mode", [0o755, 0o700, 0o1777])
def test_root_uses_no_store_below_a_directory_of_another_user(tmp_path, mode):
    parent = given_to(tmp_path / "project", OTHER, mode)
    before = snapshot(parent)
    for root in (parent / "data", parent / "a" / "b"):
        with pytest.raises(StoreError) as caught:
            open_store(str(root), create=True)
        assert str(caught.value) == (
            f"cannot use the store {root}: {parent} belongs to uid {OTHER}, "
            "who could replace the store"
        )
        assert caught.value.hint == "name another place with --root or CHRUN_HOME"
    assert snapshot(parent) == before  # nothing was made there


@needs("root")
def test_root_uses_no_store_that_is_there_below_a_directory_of_another_user(tmp_path):
    parent = tmp_path / "project"
    root = str(parent / "data")
    open_store(root, create=True)
    os.chown(parent, OTHER, OTHER)
    for create in (False, True):
        with pytest.raises(StoreError, match=f"{parent} belongs to uid {OTHER}"):
            open_store(root, create=create)
    os.chown(parent, 0, 0)
    open_store(root, create=False)


@needs("root")
@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_root_uses_no_store_below_a_directory_that_others_can_write_to(tmp_path, mode):
    parent = given_to(tmp_path / "shared", 0, mode)
    with pytest.raises(StoreError, match=rf"can write to {parent} \(mode 0{mode:o}\)") as caught:
        open_store(str(parent / "data"), create=True)
    assert caught.value.hint == (
        "name another place with --root or CHRUN_HOME, "
        f"or run: chmod go-w {parent}, or if it is shared: chmod +t {parent}"
    )
    assert os.listdir(parent) == []
    parent.chmod(mode | stat.S_ISVTX)
    assert open_store(str(parent / "data"), create=True).warning == ""


@needs("root")
def test_root_follows_no_symlink_of_another_user(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    sticky = given_to(tmp_path / "sticky", 0, 0o1777)
    link = sticky / "link"
    link.symlink_to(tmp_path / "real")
    os.lchown(link, OTHER, OTHER)
    for root in (link, link / "data"):
        with pytest.raises(StoreError, match=f"{link} belongs to uid {OTHER}") as caught:
            open_store(str(root), create=True)
        assert caught.value.hint == "name another place with --root or CHRUN_HOME"
    assert os.listdir(tmp_path / "real") == []
    os.lchown(link, 0, 0)
    assert open_store(str(link / "data"), create=True).warning == ""
    assert os.listdir(tmp_path / "real") == ["data"]


@needs("root")
@pytest.mark.parametrize("target", ["{}/project/inner", "../{}/project/inner", "up/inner"])
def test_root_looks_at_what_symlinks_lead_through(tmp_path, target):
    """A link of root's may lead through a directory of another user's; so may a link in it."""
    parent = given_to(tmp_path / "project", OTHER)
    (parent / "inner").mkdir(mode=0o700)
    (tmp_path / "up").symlink_to("./project/../project")
    depth = "../" * len(tmp_path.parts) if target.startswith("..") else ""
    (tmp_path / "link").symlink_to(depth + target.removeprefix("../").format(tmp_path))
    with pytest.raises(StoreError, match=f"{parent} belongs to uid {OTHER}"):
        open_store(str(tmp_path / "link" / "data"), create=True)
    assert os.listdir(parent / "inner") == []


@needs("root")
def test_a_component_that_another_user_makes_first_is_refused(tmp_path):
    """In a directory like /tmp, another user may make what root is about to make."""
    sticky = given_to(tmp_path / "sticky", 0, 0o1777)
    given_to(sticky / "chrun", OTHER)
    with pytest.raises(StoreError, match=f"{sticky}/chrun belongs to uid {OTHER}"):
        open_store(str(sticky / "chrun" / "data"), create=True)


@pytest.mark.parametrize("loop", ["loop", "./loop/x"])
def test_a_loop_of_symlinks_is_one_line(tmp_path, loop):
    (tmp_path / "loop").symlink_to(loop)
    with pytest.raises(StoreError, match="too many levels of symbolic links"):
        open_store(str(tmp_path / "loop" / "data"), create=True)


def test_a_file_on_the_way_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(StoreError, match="not a directory"):
            open_store(str(root), create=True)


def test_a_path_that_leads_elsewhere_than_its_text_says_is_refused(tmp_path):
    """The kernel follows a link of /proc to what it stands for, not to what its text says."""
    (tmp_path / "gone").mkdir(mode=0o700)
    fd = os.open(tmp_path / "gone", os.O_PATH)
    try:
        assert walk(f"/proc/self/fd/{fd}", make=False).safe
        (tmp_path / "gone").rmdir()
        (tmp_path / "gone (deleted)").mkdir(mode=0o700)
        with pytest.raises(StoreError, match=r"leads elsewhere than to .*/gone \(deleted\)"):
            walk(f"/proc/self/fd/{fd}", make=False)
    finally:
        os.close(fd)


_TELL_FLAGS = """
import os, sys
from chrun.store.access import walk
flags = {}
def note(event, args):
    if event == "open" and isinstance(args[2], int):
        flags[args[0]] = args[2]
sys.addaudithook(note)
walk(sys.argv[1], make=False)
print(*(name for name in sys.argv[1].split("/")[1:] if not flags[name] & os.O_DIRECTORY))
"""


def test_every_directory_is_opened_as_one(tmp_path):
    """Otherwise the kernel would not mount what autofs has there: path_openat and O_PATH."""
    (tmp_path / "data").mkdir(mode=0o700)
    done = subprocess.run(
        [sys.executable, "-c", _TELL_FLAGS, tmp_path / "data"], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("\n", "")


@pytest.mark.parametrize("mask", [0, 0o077, 0o777])
def test_what_is_made_on_the_way_is_the_callers_alone_whatever_the_umask(tmp_path, mask):
    """CVE-2024-25621: also the parents, which decide who can replace the store."""
    root = tmp_path / "a" / "b" / "data"
    with umask(mask):
        store = open_store(str(root), create=True)
    for directory in (*root.parents[:2], root, *map(type(root), store.layout.directories)):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for path in (f"{root}/images/oci-layout", store.layout.index_path):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    below = store.layout.mount_points_dir
    assert stat.S_IMODE(os.stat(f"{below}/etc").st_mode) == 0o755
    assert stat.S_IMODE(os.stat(f"{below}/etc/hosts").st_mode) == 0o644


@pytest.mark.parametrize("mask", [0, 0o777])
def test_modes_are_those_asked_for_whatever_the_umask(tmp_path, mask):
    with umask(mask):
        make_directory(f"{tmp_path}/directory", 0o750)
        open_own(f"{tmp_path}/file", 0o640).close()
    assert stat.S_IMODE(os.stat(tmp_path / "directory").st_mode) == 0o750
    assert stat.S_IMODE(os.stat(tmp_path / "file").st_mode) == 0o640


@pytest.mark.parametrize("mask", [0, 0o777])
def test_the_directory_of_what_blobs_contain_is_the_callers_alone(tmp_path, mask):
    store = open_store(str(tmp_path / "data"), create=True)
    digest = Digest.of(b"")
    with umask(mask):
        note_content(store.layout, digest, digest)
    assert stat.S_IMODE(os.stat(store.layout.contents_dir).st_mode) == 0o700
    assert has_content(store.layout, digest, digest)


def test_a_directory_that_is_there_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o711)
    make_directory(str(tmp_path))
    assert stat.S_IMODE(os.stat(tmp_path).st_mode) == 0o711


def test_a_file_is_never_opened_through_a_symlink(tmp_path):
    (tmp_path / "victim").write_text("as it was")
    (tmp_path / "link").symlink_to("victim")
    with pytest.raises(OSError, match="symbolic links"):
        open_own(str(tmp_path / "link"))
    assert (tmp_path / "victim").read_text() == "as it was"


@needs("root")
def test_a_user_may_have_a_store_in_a_directory_of_another_and_is_told(place):
    project = given_to(place / "project", OTHER, 0o777)
    mine = given_to(place / "mine", CALLER, 0o700)
    store = as_caller(open_store, f"{mine}/data", create=True)
    assert (store.warning, store.layout.keeps_answers) == ("", True)
    root = f"{project}/data"
    for _ in range(2):  # when it is made, and when it is there
        store = as_caller(open_store, root, create=True)
        assert store.warning == (
            f"nothing that is cached in the store {root} is used: "
            f"{project} belongs to uid {OTHER}, who could replace the store"
        )
        assert not store.layout.keeps_answers
        assert not store.with_room("owned/1").layout.keeps_answers


@needs("root")
def test_a_users_symlink_may_be_the_users_or_roots_alone(place):
    mine = given_to(place / "mine", CALLER, 0o700)
    sticky = given_to(place / "sticky", 0, 0o1777)
    for uid, is_safe in ((CALLER, True), (0, True), (OTHER, False)):
        link = sticky / f"link-{uid}"
        link.symlink_to(mine)
        os.lchown(link, uid, uid)
        access = as_caller(walk, f"{link}/data", make=True)
        assert access.safe is is_safe
        assert (f"{link} belongs to uid {uid}" in access.warning) is not is_safe


@needs("root")
@pytest.mark.parametrize(
    ("mode", "gid", "is_safe"),
    [
        (0o775, CALLER, False),  # a number that no name stands for
        (0o775, 100, False),
        (0o757, CALLER, False),
        (0o1777, 100, True),
    ],
)
def test_a_directory_of_a_users_own_may_be_for_others_if_it_is_sticky(place, mode, gid, is_safe):
    mine = given_to(place / "mine", CALLER, mode)
    os.chown(mine, CALLER, gid)
    mine.chmod(mode)
    access = as_caller(walk, f"{mine}/data", make=True)
    assert access.safe is is_safe
    assert ("can write to" in access.warning) is not is_safe


_IS_SAFE = """
import os, sys
from chrun.store.access import walk
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[3]))
print(walk(sys.argv[1], make=False).safe)
"""
_MY_ACCOUNTS = 'mount --bind "$1" /etc/passwd; mount --bind "$2" /etc/group; shift 2; exec "$@"'


@needs("root")
@pytest.mark.parametrize(
    ("passwd", "group", "is_safe"),
    [
        (f"alice:x:{CALLER}:{CALLER}::/:/bin/sh\n", f"alice:x:{CALLER}:\n", True),
        (f"alice:x:{CALLER}:{CALLER}::/:/bin/sh\n", f"alice:x:{CALLER}:alice\n", True),
        (f"alice:x:{CALLER}:5000::/:/bin/sh\n", "alice:x:5000:\n", True),
        (f"alice:x:{CALLER}:{CALLER}::/:/bin/sh\n", f"alice:x:{CALLER}:alice,bob\n", False),
        (f"alice:x:{CALLER}:{CALLER}::/:/bin/sh\n", f"staff:x:{CALLER}:\n", False),
        (f"alice:x:{CALLER}:{CALLER}::/:/bin/sh\n", "", False),
        (f"alice:x:{CALLER}:100::/:/bin/sh\n", f"alice:x:{CALLER}:\n", False),
        ("", f"alice:x:{CALLER}:\n", False),
        (
            f"alice:x:{CALLER}:{CALLER}::/:/bin/sh\nbob:x:{OTHER}:{CALLER}::/:/bin/sh\n",
            f"alice:x:{CALLER}:\n",
            False,
        ),
    ],
    ids=[
        "no member", "its user", "another number", "another member", "another name", "no name",
        "not primary", "no account", "another's primary",
    ],
)  # fmt: skip
def test_a_group_may_write_if_it_is_the_users_alone(place, passwd, group, is_safe):
    gid = 5000 if "5000" in group else CALLER
    mine = given_to(place / "mine", CALLER, 0o775)
    os.chown(mine, CALLER, gid)
    os.chown(given_to(mine / "data", CALLER, 0o700), CALLER, gid)
    (place / "passwd").write_text("root:x:0:0::/:/bin/sh\n" + passwd)
    (place / "group").write_text("root:x:0:\n" + group)
    accounts = ("sh", "-ec", _MY_ACCOUNTS, "sh", place / "passwd", place / "group")
    program = (sys.executable, "-c", _IS_SAFE, mine / "data", str(gid), str(CALLER))
    done = subprocess.run(
        ["unshare", "--mount", *accounts, *program], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == (f"{is_safe}\n", "")


@needs("root")
def test_nobody_is_no_other_name_of_root(tmp_path):
    """Only a user namespace shows as 65534 whom it does not map; everywhere else it is a user."""
    parent = given_to(tmp_path / "nobodys", 65534)
    with pytest.raises(StoreError, match="belongs to uid 65534"):
        open_store(str(parent / "data"), create=True)
