"""Users who own, or can write to, a directory above the store: they could replace it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from chrun.store.layout import Layout
from chrun.store.records import find_kept_record, index_signature, keep_record
from tests.support.chrun import Chrun
from tests.support.hosts import Host, make_rootfs
from tests.support.needs import needs
from tests.support.trees import snapshot

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs("busybox", "overlay", "userns")

OTHER = 1234
COMMANDS = (
    ("run", "--pull", "never", "no-such-image"),
    ("pull", "no-such-image"),
    ("images",),
    ("rmi", "no-such-image"),
    ("prune",),
    ("volume", "ls"),
    ("explain", "--pull", "never", "no-such-image"),
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory above a store."""
    directory = tmp_path / "project"
    directory.mkdir(mode=0o755)
    return directory


@needs("root")
@pytest.mark.parametrize("words", [*COMMANDS[:-1], ("run", "--pull=never", "a"), ("volume", "ls")])
def test_roots_store_is_in_no_directory_of_another_user(project, words):
    os.chown(project, OTHER, OTHER)
    before = snapshot(project)
    done = Chrun(project / "data")(*words, status=125)
    expected = f"chrun: cannot use the store {project}/data: {project} belongs to uid {OTHER}"
    assert done.stderr.startswith(expected)
    assert done.stderr.count("\n") == 2  # with the hint
    assert snapshot(project) == before


@needs("root")
def test_neither_option_nor_variable_leads_root_there(project, tmp_path):
    os.chown(project, OTHER, OTHER)
    done = Chrun(tmp_path / "data")("--root", project / "data", "images", status=125)
    assert f"{project} belongs to uid {OTHER}" in done.stderr
    (tmp_path / "link").symlink_to(project)
    done = Chrun(tmp_path / "link" / "data")("images", status=125)
    assert f"{project} belongs to uid {OTHER}" in done.stderr
    assert os.listdir(project) == []


@needs("root")
def test_the_default_place_is_no_exception(tmp_path):
    host = Host(f"mount -t tmpfs -o uid={OTHER},mode=755 none /var/lib")
    done = host.run(tmp_path, "images", CHRUN_HOME="")
    assert done.returncode == 125
    assert f"/var/lib/chrun: /var/lib belongs to uid {OTHER}" in done.stderr


@needs("root")
def test_info_tells_why_the_store_is_refused(project):
    os.chown(project, OTHER, OTHER)
    done = Chrun(project / "data")("info")
    assert f"{project} belongs to uid {OTHER}" in done.stdout


@needs("ordinary user")
@pytest.mark.parametrize("words", COMMANDS)
def test_a_user_is_told_once_by_every_command(project, words):
    project.chmod(0o777)
    warning = (
        f"chrun: nothing that is cached in the store {project}/data is used: users other than "
        f"uid {os.geteuid()} can write to {project} (mode 0777)\n"
    )
    chrun = Chrun(project / "data")
    expected = int(words[0] not in {"run", "explain"})  # those fail before they print warnings
    assert chrun(*words, status=None).stderr.count(warning) == expected
    rootfs = make_rootfs(project / "rootfs")
    assert chrun("run", rootfs, "true").stderr == warning
    assert chrun("explain", rootfs, "true").stderr == warning
    project.chmod(0o755)
    assert chrun("run", rootfs, "true").stderr == ""


@needs("ordinary user")
def test_nothing_cached_is_used_where_others_could_have_put_it(project, registry, box):
    chrun = Chrun(project / "data")
    chrun("pull", box)
    chrun("run", box, "true")
    layout = Layout(str(project / "data"))
    record = find_kept_record(layout, box, "linux/amd64")
    planted = record.replace(config=record.config.replace(command=("echo", "planted")))
    keep_record(layout, box, "linux/amd64", index_signature(layout), planted)
    assert chrun("run", box).stdout == "planted\n"  # where the cache is the user's alone
    before = snapshot(project / "data" / "cache")
    project.chmod(0o777)
    assert chrun("run", box, input="echo from the image\n").stdout == ""  # a shell without -i
    assert snapshot(project / "data" / "cache") == before
    project.chmod(0o755)
    assert chrun("run", box).stdout == "planted\n"


@pytest.mark.parametrize("mode", [0o755, 0o1777])
def test_in_a_user_namespace_unknown_owners_are_neither_believed_nor_an_error(tmp_path, mode):
    """Which user owns a directory that is not mapped there, nothing says: /tmp and /home, say."""
    rootfs = make_rootfs(tmp_path / "rootfs")
    project = tmp_path / "project"
    project.mkdir()
    project.chmod(mode)
    if os.geteuid() == 0:
        (project / "data").mkdir(mode=0o700)
        os.chown(project, OTHER, OTHER)
    home = Chrun(project / "data")
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", *home.command("run", rootfs, "echo", "works")],
        env=home.env,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("works\n", "", 0)
    assert os.listdir(home.home / "cache") == ["images"]
