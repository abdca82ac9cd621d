"""What users get wrong, and machines lack: one clear line, the right exit code, nothing left."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest

from tests.support import images
from tests.support.chrun import Chrun
from tests.support.needs import needs
from tests.support.raw_server import RawServer, once
from tests.support.registry import FakeRegistry, Faults


@pytest.fixture
def fresh(tmp_path):
    """The command with a store of its own."""
    return Chrun(tmp_path / "data")


def one_line(done, *parts):
    """Check an error's form: `chrun: cannot ...` in one line, at most one hint, no traceback."""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("chrun: cannot "), done.stderr
    assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("hint: ")), done.stderr
    assert not lines[0].endswith(".")
    for part in parts:
        assert part in done.stderr
    assert done.stdout == ""


def small(**options):
    return images.image([images.layer({"bin/x": "not a program"})], cmd=["/bin/x"], **options)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["rnu"], ["has no command 'rnu'", "did you mean run?"]),
        (["run"], ["no image was named"]),
        (["run", "--nmae", "x", "busybox"], ["no option --nmae", "did you mean --name?"]),
        (["run", "-name", "x", "busybox"], ["no option -n", "did you mean --name?"]),
        (["run", "--detach", "busybox"], ["no option --detach", 'see "chrun run --help"']),
        (["run", "--require", "memory=1g", "busybox"], ["did you mean memory<=?"]),
        (["run", "--cap-add", "FOO", "busybox"], ["'FOO'", "capabilities(7) lists them"]),
        (["rm", "x"], ["has no command 'rm'", 'see "chrun --help"']),
        (["volume", "creat"], ["volume has no command 'creat'", "did you mean create?"]),
        (["run", "-w", "relative", "busybox"], ["-w must be an absolute path"]),
        (["run", "--hostname", "a b", "busybox"], ["cannot set host name"]),
        (["run", "--platform", "linux//", "busybox"], ["cannot parse platform"]),
        (["run", "--isolation", "total", "busybox"], ["expected auto, chroot"]),
        (["run", "--scratch", "cloud", "busybox"], ["expected disk or tmpfs"]),
        (["run", "--scratch", "tmpfs:", "busybox"], ["cannot read size ''"]),
        (["run", "--keep", "--rm", "busybox"], ["contradict"]),
        (["run", "--receipt", "", "busybox"], ["--receipt is empty"]),
        (["run", "--receipt", "-", "busybox"], ["is the command's", "--receipt /dev/stderr"]),
        (["run", "--require=", "busybox"], ["cannot require ''"]),
        (["run", "--network=", "busybox"], ["expected host, none, container:ID"]),
        (["run", "-h"], ["--hostname needs a NAME"]),
        (["run", "--root", "x", "busybox"], ["chrun --root DIRECTORY run"]),
        (["run", "--platform", "linux/arm64", "/", "ls"], ["--platform with a path"]),
        (["run", "-v", "/data", "busybox"], ["a volume without a name"]),
        (["run", "./nothing", "ls"], ["no such file or directory"]),
        (["run", "Redis"], ["must be lower case"]),
        (["pull"], ["expected one IMAGE"]),
        (["pull", "https://docker.io/redis"], ["it is a URL"]),
        (["pull", "re dis"], ["cannot parse reference"]),
        (["rmi"], []),
        (["--root"], ["--root needs a DIRECTORY"]),
        (["--root", "", "images"], ["--root needs a DIRECTORY"]),
        (["--root=", "images"], ["--root needs a DIRECTORY"]),
        (["explain"], ["no image was named"]),
    ],
)
def test_a_mistyped_command_line_is_told_in_one_line(fresh, words, parts):
    one_line(fresh(*words, status=125), *parts)


@pytest.mark.parametrize(
    "words", [[], ["--help"], ["help"], ["run", "--help"], ["pull", "-h"], ["explain", "--help"],
              ["images", "--help"], ["rmi", "--help"], ["info", "--help"], ["version", "--help"]]
)  # fmt: skip
def test_help_is_on_standard_output(fresh, words):
    done = fresh(*words)
    assert done.stdout.startswith("usage: chrun")
    assert done.stderr == ""


def test_a_directory_of_images_is_no_root_file_system(fresh, tmp_path):
    (tmp_path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    one_line(fresh("run", tmp_path, "true", status=125), "it holds images", "skopeo copy")


def test_a_terminal_is_refused_to_a_pipe(fresh):
    one_line(fresh("run", "-it", "busybox", status=125), "standard input is not a terminal")


def test_a_registry_that_is_down(fresh):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        one_line(fresh("pull", f"{host}/x", status=125), f"cannot reach {host}", "refused")
    assert fresh.leftovers() == []


def test_an_image_that_does_not_exist(fresh):
    with FakeRegistry() as registry:
        done = fresh("run", f"{registry.host}/rdeis", "true", status=125)
    one_line(done, "rdeis")
    assert fresh.leftovers() == []


def test_a_registry_that_wants_credentials(fresh):
    with FakeRegistry(Faults(basic=True, users={"me": "secret"})) as registry:
        registry.add(small(), "private", "latest")
        done = fresh("pull", f"{registry.host}/private", status=125, DOCKER_CONFIG="/nonexistent")
    one_line(done, "private")


def test_an_image_for_another_platform_only(fresh):
    with FakeRegistry() as registry:
        registry.add(images.index([small(platform="linux/s390x")]), "app", "latest")
        done = fresh("pull", "--platform", "linux/riscv64", f"{registry.host}/app", status=125)
    one_line(done, "no image for linux/riscv64", "it has linux/s390x")


def test_a_registry_that_never_ends_its_answer(fresh):
    pieces = once(b"HTTP/1.1 200 OK\r\nX: ", *[b"y"] * 1000)
    with RawServer(pieces, pause_seconds=0.01) as server:
        done = fresh("pull", f"{server.host}/x", status=125, CHRUN_REGISTRY_TIMEOUT="300ms")
    one_line(done, f"cannot reach {server.host}: no whole answer in 0.3 seconds")
    assert fresh.leftovers() == []


@pytest.mark.parametrize("name", ["CHRUN_REGISTRY_TIMEOUT", "CHRUN_LOWEST_SPEED"])
def test_how_long_to_wait_is_a_time_and_a_speed(fresh, name):
    one_line(fresh("pull", "127.0.0.1:9/x", status=125, **{name: "soon"}), f"cannot read {name}")


@pytest.mark.parametrize("fault", [{"corrupt_blobs": True}, {"truncate_at": 10, "truncations": 99}])
def test_bytes_that_lie_leave_nothing_that_is_wrong(fresh, fault):
    with FakeRegistry(Faults(**fault)) as registry:
        registry.add(small(), "app", "latest")
        done = fresh("pull", f"{registry.host}/app", status=125)
    assert done.stderr.splitlines()[-1].startswith(("chrun: cannot ", "hint: "))
    assert fresh("images", "-q").stdout == ""
    assert os.listdir(fresh.home / "layers") == []


def test_a_layer_that_is_not_one(fresh):
    broken = images.image([images.layer(b"this is no tar" * 100)], cmd=["x"])
    with FakeRegistry() as registry:
        registry.add(broken, "broken", "latest")
        done = fresh("pull", f"{registry.host}/broken", status=125)
    assert "cannot unpack" in done.stderr
    assert os.listdir(fresh.home / "layers") == []


def test_an_image_that_is_never_to_be_pulled_and_is_not_here(fresh):
    done = fresh("run", "--pull", "never", "redis", status=125)
    one_line(done, "cannot run redis: it is not here", "chrun pull redis")


def test_a_store_of_another_version_is_left_alone(fresh):
    fresh("images")
    marker = fresh.home / "chrun-store"
    marker.unlink()
    marker.symlink_to("999")
    one_line(fresh("images", status=125), "it is of version 999, expected ")
    one_line(fresh("run", "busybox", status=125), "version 999")


def test_a_directory_with_somebody_elses_files_does_not_become_a_store(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    one_line(Chrun(tmp_path)("images", status=125), "it has files that are not chrun's")
    assert os.listdir(tmp_path) == ["thesis.tex"]


@needs("ordinary user")
def test_a_home_that_cannot_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    try:
        one_line(Chrun(tmp_path / "data")("images", status=125), "permission denied", "CHRUN_HOME")
    finally:
        tmp_path.chmod(0o700)


@needs("ordinary user")
def test_an_unreadable_store(fresh):
    fresh("images")
    fresh.home.chmod(0o000)
    try:
        one_line(fresh("images", status=125), "permission denied")
    finally:
        fresh.home.chmod(0o700)


@needs("ordinary user")
def test_chroot_alone_is_for_root(fresh, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    done = fresh("run", "--isolation", "chroot", root, "sh", status=125)
    one_line(done, "chroot(2) is for root", "--isolation namespaces")


@needs("busybox", "overlay")
@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["-u", "nosuchuser"], "is not in the image's /etc/passwd"),
        (["-u", "4294967296"], "ids go from 0 to 2147483647"),
        (["-v", "/nonexistent/typo:/x"], "it does not exist"),
        (["--tmpfs", "relative"], "absolute path"),
        (["-w", "/etc/passwd"], "cannot change to /etc/passwd: not a directory"),
    ],
)
def test_what_the_image_does_not_have(chrun, box, options, part):
    one_line(chrun("run", *options, box, "true", status=125), part)


@needs("busybox", "overlay")
def test_an_image_without_a_command(fresh):
    with FakeRegistry() as registry:
        registry.add(images.image([images.layer({"x": "y"})]), "empty", "latest")
        done = fresh("run", "-q", f"{registry.host}/empty", status=125)
    one_line(done, "the image names no command")
    assert fresh.leftovers() == []


@needs("overlay")
def test_an_image_without_layers_has_no_commands(fresh):
    with FakeRegistry() as registry:
        registry.add(images.image([], cmd=["/x"]), "empty", "latest")
        done = fresh("run", "-q", f"{registry.host}/empty", status=127)
    one_line(done, 'cannot run "/x": the image has no such command')


@needs("busybox", "overlay")
def test_escape_sequences_never_reach_the_terminal(chrun, box):
    evil = "\x1b]0;owned\x07\x9b31m"
    for words in (["run", box, f"/bin/{evil}"], ["run", f"{evil}"], ["rmi", evil], [evil],
                  ["run", "-w", f"/{evil}\n/etc/passwd/x", box, "true"]):  # fmt: skip
        done = chrun(*words, status=None)
        assert done.returncode != 0 or words[1] == "-w"
        assert "\x1b" not in done.stderr
        assert "\x07" not in done.stderr
        assert "\x9b" not in done.stderr


@needs("userns")
@pytest.mark.parametrize("words", [["run", "./root", "true"], ["info"]])
def test_a_machine_without_user_namespaces_is_told_which_switch_forbids_them(
    fresh, tmp_path, words
):
    (tmp_path / "root").mkdir()
    # In a user namespace of its own the switch can be turned; without capabilities its root is
    # as any other user.
    script = (
        "echo 0 > /proc/sys/user/max_user_namespaces && "
        'exec setpriv --bounding-set=-all --inh-caps=-all "$0" "$@"'
    )
    forbidden = ["unshare", "--user", "--map-root-user", "sh", "-ec", script]
    done = subprocess.run(
        [*forbidden, *fresh.command(*words)],
        capture_output=True, text=True, env=fresh.env, cwd=tmp_path,
    )  # fmt: skip
    said = done.stdout if words == ["info"] else done.stderr
    assert "user.max_user_namespaces=0" in said
    assert "sysctl user.max_user_namespaces=10000" in said
    assert done.returncode == (0 if words == ["info"] else 125)


def test_only_a_registry_listed_as_insecure_is_asked_over_plain_http(fresh):
    with FakeRegistry() as registry:
        registry.add(small(), "app", "latest")
        host = f"registry.test:{registry.port}"
        # in lower case, which wins over a proxy of the machine in capitals
        env = {"http_proxy": registry.url, "https_proxy": registry.url, "no_proxy": ""}
        one_line(fresh("pull", f"{host}/app", status=125, **env), f"cannot reach {host}")
        assert registry.requests == []
        fresh("pull", f"{host}/app", CHRUN_INSECURE_REGISTRIES=f"other.test,{host}", **env)
        assert registry.requests
        for request in registry.requests:
            assert request.target.startswith(f"http://{host}/v2/")


@needs("busybox", "overlay")
def test_a_volume_over_dev_is_the_users_own_choice(chrun, box, tmp_path):
    (tmp_path / "mine").touch()
    volume = f"{tmp_path}:/dev" + (":dev" if os.geteuid() == 0 else "")
    assert chrun("run", "-v", volume, box, "ls", "/dev").stdout == "mine\n"
    assert chrun("run", "-v", volume, box, "cat", "/proc/kcore", status=None).stdout == ""


@needs("busybox", "overlay", "root")
def test_roots_volume_over_dev_wants_a_word_for_its_devices(chrun, box, tmp_path):
    done = chrun("run", "-v", f"{tmp_path}:/dev", box, "true", status=125)
    said, hint = done.stderr.splitlines()
    assert said == (
        f"chrun: cannot mount {tmp_path} on /dev: a container opens no device of a directory"
    )
    assert f"-v {tmp_path}:/dev:dev" in hint


@needs("busybox", "overlay")
def test_an_image_whose_proc_is_a_symlink_is_told_so(fresh):
    layers = [images.layer({"proc": images.symlink("/etc"), "etc/x": ""})]
    with FakeRegistry() as registry:
        registry.add(images.image(layers, cmd=["/x"]), "evil", "latest")
        done = fresh("run", "-q", f"{registry.host}/evil", status=125)
    one_line(done, "cannot mount proc on /proc: the image has a symlink there")


@needs("busybox", "overlay")
def test_pid_1_of_a_container_does_not_tell_where_it_lies_outside(chrun, box):
    done = chrun("run", "--init", box, "cat", "/proc/1/cmdline")
    assert "chrun-init" in done.stdout
    assert str(chrun.home) not in done.stdout


@needs("busybox", "overlay")
def test_a_limit_of_file_sizes_below_that_of_chruns_own_program_is_named(chrun, box):
    command = ["sh", "-c", 'ulimit -f 20; exec "$@"', "sh", *chrun.command("run", box, "true")]
    done = subprocess.run(command, env=chrun.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 125
    assert done.stderr.startswith("chrun: cannot start the container: chrun-init has ")
    assert "hint: raise the limit of file sizes: ulimit -f" in done.stderr
