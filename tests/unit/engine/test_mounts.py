"""What users write behind -v, --tmpfs, --mount and --device."""

from __future__ import annotations

import os

import pytest

from chrun.engine.devices import check_access, parse_device, parse_devices
from chrun.engine.mount_option import parse_mount
from chrun.engine.mounts import parse_mounts, parse_tmpfs, parse_volume
from chrun.errors import UnsupportedError, UsageError
from chrun.oci.spec import SpecMount


def test_a_source_without_a_slash_is_the_name_of_a_volume():
    assert parse_volume("cache:/data") == SpecMount("/data", "volume", "cache")
    assert parse_volume("cache:/data:ro,nocopy,z").options == ("nocopy", "ro")


def test_options_of_a_path_are_kept_where_they_mean_something(tmp_path):
    words = "ro,nosuid,nodev,noexec,rslave,Z,cached"
    mount = parse_volume(f"{tmp_path}:/x:{words}")
    assert mount.options == ("nodev", "noexec", "nosuid", "rbind", "ro", "rslave")
    assert parse_volume(f"{tmp_path}:/x:bind,rprivate,rw").options == ("bind",)


def test_what_is_for_volumes_with_a_name_is_refused_to_paths(tmp_path):
    with pytest.raises(UsageError, match="nocopy is for names"):
        parse_volume(f"{tmp_path}:/data:nocopy")


def test_an_overlay_is_asked_for_by_a_capital_o(tmp_path):
    assert parse_volume(f"{tmp_path}:/x:O") == SpecMount("/x", "overlay", str(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="not a directory"):
        parse_volume(f"{tmp_path}/file:/x:O")
    with pytest.raises(UsageError, match="contradict"):
        parse_volume(f"{tmp_path}:/x:O,rslave")


def test_a_target_is_written_in_one_way(tmp_path):
    for target in ("/a/b", "//a/b", "/a//b/", "/a/./b"):
        assert parse_volume(f"{tmp_path}:{target}").destination == "/a/b"


def test_a_tmpfs_keeps_dockers_defaults_unless_told():
    assert parse_tmpfs("/t").options == ("noexec", "nosuid", "nodev")
    assert parse_tmpfs("/t:exec,size=50%,mode=1777,rw").options == (
        "nosuid", "nodev", "exec", "size=50%", "mode=1777", "rw",
    )  # fmt: skip
    assert parse_tmpfs("/t:nosuid,noexec").options.count("nosuid") == 1


@pytest.mark.parametrize(
    "words", ["size=", "size=1x", "mode=8", "uid=-1", "size=1,size=2", "upperdir=/", "ro,rw", "x",
              "size"]
)  # fmt: skip
def test_a_tmpfs_option_that_means_nothing_is_an_error(words):
    with pytest.raises(UsageError):
        parse_tmpfs(f"/t:{words}")


def test_one_target_is_mounted_on_once(tmp_path):
    with pytest.raises(UsageError, match="cannot mount on /t twice"):
        parse_mounts(["/t"], [f"{tmp_path}:/t/"], [])


def test_keys_of_mount_have_aliases_and_any_order(tmp_path):
    expected = SpecMount("/x", "bind", str(tmp_path), ("rbind", "ro"))
    for text in (
        f"type=bind,source={tmp_path},target=/x,readonly",
        f"ro=true,dst=/x,src={tmp_path},type=bind,consistency=cached",
        f"destination=/x,TYPE=bind,Source={tmp_path},readonly=1",
    ):
        assert parse_mount(text) == expected
    assert parse_mount(f"type=bind,src={tmp_path},dst=/x,ro=false").options == ("rbind",)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("bind-recursive=disabled", ("bind",)),
        ("bind-nonrecursive", ("bind",)),
        ("bind-recursive=enabled,ro", ("rbind", "ro")),
        ("bind-recursive=writable,ro", ("rbind", "ro-top")),
        ("bind-recursive=readonly,ro", ("rbind", "rro")),
        ("bind-propagation=rshared", ("rbind", "rshared")),
        ("bind-propagation=rprivate", ("rbind",)),
    ],
)
def test_how_a_path_is_bound_is_said_as_docker_says_it(tmp_path, words, options):
    assert parse_mount(f"type=bind,src={tmp_path},dst=/x,{words}").options == options


def test_values_with_commas_and_quotes_are_quoted(tmp_path):
    odd = tmp_path / 'a,"b'
    odd.mkdir()
    quoted = str(odd).replace('"', '""')
    assert parse_mount(f'type=bind,"src={quoted}",dst=/x').source == str(odd)


def test_the_type_is_a_volume_unless_told():
    assert parse_mount("src=v,dst=/x,volume-nocopy,ro") == SpecMount(
        "/x", "volume", "v", ("nocopy", "ro")
    )
    assert parse_mount("src=v,dst=/x,volume-subpath=a/b").subpath == "a/b"


@pytest.mark.parametrize(
    "text",
    ["src=v,dst=/x,volume-subpath=", "type=image,src=i,dst=/x,image-subpath=",
     "type=tmpfs,dst=/x,tmpfs-size=", "type=bind,src=/,dst=/x,bind-propagation="],
)  # fmt: skip
def test_an_empty_value_is_not_the_lack_of_one(text):
    with pytest.raises(UsageError, match=r"[a-z-]+ is empty"):
        parse_mount(text)


def test_an_image_is_read_only_whatever_is_said():
    mount = parse_mount("type=image,src=redis:7,dst=/x,ro=false,image-subpath=etc")
    assert mount == SpecMount("/x", "image", "redis:7", ("ro",), "etc")


def test_sizes_of_a_tmpfs_are_dockers():
    options = parse_mount("type=tmpfs,dst=/x,tmpfs-size=1g,tmpfs-mode=0700").options
    assert options[-2:] == (f"size={1 << 30}", "mode=0700")


def test_a_device_keeps_its_numbers_and_mode():
    (device,) = parse_device("/dev/null:/dev/nothing:rw")
    status = os.stat("/dev/null")
    assert (device.path, device.kind, device.major, device.minor) == ("/dev/nothing", "c", 1, 3)
    assert (device.mode, device.access) == (status.st_mode & 0o7777, "rw")
    assert parse_device("/dev/null:rw")[0].path == "/dev/null"
    assert parse_device("/dev/null")[0].access == "rwm"


def test_a_link_to_a_device_is_that_device(tmp_path):
    (tmp_path / "link").symlink_to("/dev/zero")
    assert parse_device(f"{tmp_path}/link:/dev/z")[0].minor == 5


def test_a_directory_gives_its_devices_and_only_those(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/dev/null")
    with pytest.raises(UsageError, match="no devices in it"):
        parse_device(f"{tmp_path}:/dev/x")
    paths = {device.path for device in parse_device("/dev:/dev/all")}
    assert "/dev/all/null" in paths
    assert not any("/pts/" in path or path.endswith("/console") for path in paths)


@pytest.mark.parametrize(
    "text",
    ["/etc/passwd", "/dev/no/such", "", ":", "/dev/null:x", "/dev/null:/dev/x:rr", "dev/null",
     "/dev/null:/dev/../x", "/dev/null:/a:/b:r", "nvidia.com/gpu=all"],
)  # fmt: skip
def test_what_is_no_device_is_an_error(text):
    with pytest.raises(UsageError):
        parse_device(text)


@pytest.mark.parametrize("access", ["r", "w", "m", "rm"])
def test_a_use_that_is_not_enforced_is_not_promised(access):
    (device,) = parse_device(f"/dev/null:{access}")
    assert device.access == access
    with pytest.raises(UnsupportedError, match=f"as '{access}': nobody sees to it"):
        check_access(device, "nobody sees to it")


def test_reading_and_writing_both_need_nobody_to_see_to_it():
    for access in ("rw", "rwm"):
        check_access(*parse_device(f"/dev/null:{access}"), reason="nobody sees to it")


def test_null_is_null():
    assert parse_device("/dev/null")[0].path == "/dev/null"
    with pytest.raises(UsageError, match="cannot give /dev/zero at /dev/null"):
        parse_device("/dev/zero:/dev/null")


def test_two_devices_are_not_at_one_path():
    with pytest.raises(UsageError, match="two devices at /dev/x"):
        parse_devices(["/dev/null:/dev/x", "/dev/zero:/dev/x"])
