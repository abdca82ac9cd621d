"""Image configuration + options -> runtime spec: docker's habits."""

from __future__ import annotations

import json

import pytest

from chrun.errors import UsageError
from chrun.oci.config import ImageConfig
from chrun.oci.convert import DEFAULT_PATH, Identity, IdMaps, make_spec
from chrun.oci.options import RunOptions, SecurityOptions
from chrun.oci.spec import Device, IdMapping, SpecMount


def spec(config=None, identity=None, maps=None, rung="confined", **options):
    config = config or ImageConfig((), command=("sh",))
    identity, maps = identity or Identity(), maps or IdMaps()
    return make_spec("img", config, RunOptions(**options), rung, identity, maps)


IMAGE = ImageConfig((), entrypoint=("/entry",), command=("serve",), env=("A=1", "PATH=/x"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ("/entry", "serve")),
        ({"args": ("redis-cli",)}, ("/entry", "redis-cli")),
        ({"entrypoint": ("sh",)}, ("sh",)),
        ({"entrypoint": ("sh",), "args": ("-c", "x")}, ("sh", "-c", "x")),
        ({"entrypoint": (), "args": ("ls",)}, ("ls",)),
    ],
)
def test_entrypoint_and_command_combine_as_docker_combines_them(options, words):
    assert spec(IMAGE, **options).process.args == words


@pytest.mark.parametrize("config", [ImageConfig(()), ImageConfig((), command=("",))])
def test_an_image_without_a_command_is_an_error(config):
    with pytest.raises(UsageError, match="the image names no command"):
        spec(config)


@pytest.mark.parametrize(
    "config",
    [
        ImageConfig((), command=("sh", "a\0b")),
        ImageConfig((), command=("sh",), env=("A=\0",)),
        ImageConfig((), command=("sh",), working_dir="/\0"),
    ],
)
def test_a_nul_character_from_an_image_is_an_error(config):
    with pytest.raises(UsageError, match=r"cannot run img: .* has a NUL character in it"):
        spec(config)


def test_half_a_character_is_an_error_and_a_byte_that_is_no_utf8_is_not():
    with pytest.raises(UsageError, match=r"cannot run img: '\\ud800' is no text"):
        spec(ImageConfig((), command=("\ud800",)))
    assert spec(ImageConfig((), command=("\udcff",))).process.args == ("\udcff",)


def test_an_emptied_entrypoint_without_arguments_is_an_error():
    with pytest.raises(UsageError, match="no command"):
        spec(IMAGE, entrypoint=())


def test_the_environment_is_defaults_then_the_images_then_the_users():
    env = spec(IMAGE, env=("A=2", "B=3=4")).process.env
    assert env == ("PATH=/x", "HOSTNAME=%h", "A=2", "B=3=4", "HOME=/root")


def test_what_defines_nothing_is_left_out_and_the_last_definition_wins():
    """CVE-2026-57231: an entry without "=" is no request for a variable of the caller's."""
    listed = ("FOO", "*", "A*", "PATH", "HOME", "", "=x", "=", "B=1", "B", "B=2", "C=", "*=y")
    env = spec(ImageConfig((), command=("sh",), env=listed)).process.env
    assert env == (f"PATH={DEFAULT_PATH}", "HOSTNAME=%h", "B=2", "C=", "*=y", "HOME=/root")


def test_home_is_the_users_unless_somebody_sets_it():
    assert "HOME=/home/r" in spec(identity=Identity(home="/home/r")).process.env
    assert "HOME=/mine" in spec(env=("HOME=/mine",)).process.env


def test_a_terminal_has_a_type_and_a_path_is_always_there():
    assert spec(terminal=True).process.env[:3] == (
        f"PATH={DEFAULT_PATH}", "HOSTNAME=%h", "TERM=xterm",
    )  # fmt: skip


def test_the_working_directory_is_the_options_then_the_images_then_the_root():
    image = ImageConfig((), command=("sh",), working_dir="/app")
    assert spec(image).process.cwd == "/app"
    assert spec(image, working_dir="/w").process.cwd == "/w"
    assert spec().process.cwd == "/"


@pytest.mark.parametrize(
    "options",
    [
        {"hostname": "h"},
        {"readonly": True},
        {"terminal": True},
        {"init": True},
        {"mounts": (SpecMount("/d", "bind", "/s"),)},
        {"devices": (Device("/dev/x", "c", 1, 3, 0o666, "/dev/null"),)},
    ],
)
def test_the_chroot_rung_refuses_what_needs_a_namespace(options):
    with pytest.raises(UsageError, match="it needs namespaces"):
        spec(rung="chroot", **options)


def test_confined_hides_and_locks_what_docker_does():
    made = spec()
    assert {"/proc/kcore", "/proc/keys", "/sys/firmware"} <= set(made.masked_paths)
    assert "/proc/sys" in made.readonly_paths
    assert made.process.no_new_privileges


def test_namespaces_alone_hide_nothing():
    made = spec(rung="namespaces")
    assert made.masked_paths == made.readonly_paths == ()
    assert made.process.capabilities is None
    assert not made.process.no_new_privileges


def test_a_mapped_id_means_a_user_namespace():
    maps = IdMaps((IdMapping(0, 1000, 1),), (IdMapping(0, 1000, 1),))
    assert spec(maps=maps).namespaces[0] == "user"
    assert "user" not in spec().namespaces


def test_the_spec_is_written_in_the_runtime_specs_words():
    maps = IdMaps((IdMapping(0, 1000, 1),), (IdMapping(0, 1000, 1),))
    written = json.loads(json.dumps(spec(IMAGE, maps=maps, hostname="h").to_json()))
    assert written["ociVersion"] == "1.2.0"
    assert written["process"]["args"] == ["/entry", "serve"]
    assert written["process"]["user"] == {"uid": 0, "gid": 0, "additionalGids": []}
    assert "CAP_CHOWN" in written["process"]["capabilities"]["bounding"]
    assert written["root"] == {"path": "rootfs", "readonly": False}
    assert {"type": "pid"} in written["linux"]["namespaces"]
    assert written["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 1000, "size": 1}]
    assert {"destination", "type", "source", "options"} == set(written["mounts"][0])


@pytest.mark.parametrize(
    ("pattern", "opened"),
    [
        ("/proc/kcore", {"/proc/kcore"}),
        ("/proc/s*", {"/proc/scsi", "/proc/sched_debug", "/proc/sys", "/proc/sysrq-trigger"}),
        ("/sys/devices/virtual/powercap", {"/sys/devices/virtual/powercap"}),
        ("/sys/devices/*/powercap", {"/sys/devices/virtual/powercap"}),
        ("/sys/devices/*", set()),
        ("/sys*", set()),
        ("/*", set()),
        ("*", set()),
        ("/proc", set()),
        ("/proc/kco", set()),
        ("/proc/kcore2", set()),
        ("/proc/keys/x", set()),
    ],
)
def test_what_is_opened_is_compared_component_by_component(pattern, opened):
    """CVE-2026-48785, CVE-2026-47215: a pattern is no beginning of a path."""
    usual = spec()
    made = spec(security=SecurityOptions(unmasked=(pattern,)))
    hidden = {*usual.masked_paths, *usual.readonly_paths}
    assert hidden - {*made.masked_paths, *made.readonly_paths} == opened
