"""What users write behind -v, --tmpfs and --scratch."""

from __future__ import annotations

import pytest

from chrun.engine.mounts import parse_tmpfs, parse_volume
from chrun.engine.request import RunRequest, parse_hostname, parse_size
from chrun.errors import UsageError
from chrun.oci.spec import SpecMount


def test_a_volume_is_bound_recursively_from_an_absolute_path(tmp_path, monkeypatch):
    (tmp_path / "d").mkdir()
    monkeypatch.chdir(tmp_path)
    expected = SpecMount("/x", "bind", str(tmp_path / "d"), ("rbind",))
    assert parse_volume("./d:/x") == parse_volume(f"{tmp_path}/d:/x:rw,z").replace(
        options=("rbind",)
    )
    assert parse_volume("./d:/x") == expected
    assert "ro" in parse_volume("./d:/x:ro").options


@pytest.mark.parametrize(
    "text",
    ["/tmp", ":/x", "/tmp:", "/tmp:/x:ro:rw", "/tmp:x", "/tmp:/a/../..", "/tmp:/", "/tmp:/x:what",
     "/tmp://"],
)  # fmt: skip
def test_a_volume_that_means_nothing_is_an_error(text):
    with pytest.raises(UsageError):
        parse_volume(text)


def test_a_missing_source_is_an_error_and_makes_no_directory(tmp_path):
    with pytest.raises(UsageError, match="it does not exist") as caught:
        parse_volume(f"{tmp_path}/typo:/x")
    assert caught.value.hint == f"mkdir -p {tmp_path}/typo"
    assert not (tmp_path / "typo").exists()


def test_a_source_that_cannot_be_reached_is_not_said_to_be_missing(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="not a directory") as caught:
        parse_volume(f"{tmp_path}/file/below:/x")
    assert caught.value.hint == ""


def test_a_relative_source_needs_a_working_directory(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UsageError, match="the working directory was removed"):
        parse_volume("./d:/x")


@pytest.mark.parametrize("name", ["", "box", "box-1.example.org", "b" * 64])
def test_host_names_that_can_be(name):
    assert parse_hostname(name) == name


@pytest.mark.parametrize("name", ["b" * 65, "a b", "b\xf6x", "box\n10.0.0.1 bank.example"])
def test_host_names_that_would_write_more_than_a_name(name):
    with pytest.raises(UsageError, match="cannot set host name"):
        parse_hostname(name)


def test_what_is_neither_a_path_nor_a_name_says_what_to_write_instead():
    with pytest.raises(UsageError) as caught:
        parse_volume("my data:/x")
    assert "./my data:/x" in caught.value.hint


def test_tmpfs_has_dockers_defaults_unless_they_are_lifted():
    assert parse_tmpfs("/run").options == ("noexec", "nosuid", "nodev")
    assert parse_tmpfs("/run:size=1m,exec,mode=700").options == (
        "nosuid", "nodev", "size=1m", "exec", "mode=700",
    )  # fmt: skip


@pytest.mark.parametrize("text", ["run", "/", "/a/..", "/run:lowerdir=/etc"])
def test_a_tmpfs_that_means_nothing_is_an_error(text):
    with pytest.raises(UsageError):
        parse_tmpfs(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("10b", 10), ("4k", 4096), ("64m", 64 << 20), ("2G", 2 << 30), ("1MiB", 1 << 20),
     ("3kb", 3072), ("1.5g", 3 << 29), (".5g", 1 << 29), ("1.5 GB", 3 << 29), ("2.m", 2 << 20),
     ("0.1k", 102), ("1.9", 1), ("1t", 1 << 40), ("1p", 1 << 50),
     ("9007199254740993", 9007199254740993)],
)  # fmt: skip
def test_sizes_are_read_as_docker_reads_them(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "m", ".", ".g", "0", "0.1", "-1", "1,5g", "1.5.g", "1e3", "1gm", "1bb", "1ib", " 5",
     "1  g", "٣", "9" * 5000],
)  # fmt: skip
def test_what_is_no_size_is_an_error(text):
    with pytest.raises(UsageError):
        parse_size(text)


@pytest.mark.parametrize(
    ("image", "is_path"),
    [("redis", False), ("./redis", True), ("/srv/root", True), ("..", True), ("a/b", False),
     ("../x.tar.gz", True), (".", True)],
)  # fmt: skip
def test_a_path_starts_with_a_slash_or_a_dot(image, is_path):
    assert RunRequest(image).is_path == is_path


@pytest.mark.parametrize("text", ["9" * 5000, "9" * 30 + "p", f"{1 << 63}", "8192p", "1e3", "\xb2"])
def test_a_size_is_one_that_the_kernel_can_count(text):
    with pytest.raises(UsageError, match=r"^cannot (read|use) size"):
        parse_size(text)
