"""Hostile image configurations: the user, variables, working directory and labels."""

from __future__ import annotations

import gzip
import os
import resource
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chrun.engine.containers import explain
from chrun.engine.engine import Engine
from chrun.engine.progress import Silent
from chrun.engine.request import RunRequest
from tests.support import images
from tests.support.needs import needs
from tests.support.trees import snapshot

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs("busybox", "overlay")

_MEMORY = 400 << 20  # bytes of address space, a few times what a start takes
_CALLERS = dict.fromkeys(("FOO", "ABC", "A"), "the callers own")


def layers(tree):
    """Return busybox and a layer with a tree."""
    _config, busybox = images.busybox().blobs
    return [images.layer(gzip.decompress(busybox)), images.layer(tree)]


@pytest.fixture
def add(registry, request):
    """Return a function that serves an image with a name of the test's, and gives the name."""

    def adding(tree=None, **config):
        name = f"config-{abs(hash(request.node.name))}"
        registry.add(images.image(layers(tree or {"etc/motd": "hi"}), **config), name, "1")
        return f"{registry.host}/{name}:1"

    return adding


@pytest.mark.parametrize("user", ["4294967296:0", "4294967296", "+0", "0x0", "-1", " 0", "\uff10"])
def test_a_number_that_no_id_can_be_is_not_looked_up_as_a_name(chrun, add, user):
    """CVE-2026-46680: an image whose passwd maps its USER to root."""
    accounts = "".join(f"{name}:x:0:0::/:/bin/sh\n" for name in (user.partition(":")[0], "root"))
    tree = {"etc/passwd": accounts, "etc/group": accounts.replace("::/:/bin/sh", "")}
    name = add(tree, user=user)
    for options in ((), ("-u", user), ("-u", f"0:{user.partition(':')[0]}")):
        done = chrun("run", "--pull=always", "-q", *options, name, "id", "-u", status=125)
        assert done.stdout == ""
        assert "ids go from 0 to 2147483647" in done.stderr
    group = user.partition(":")[0]
    done = chrun("run", "-q", "-u", "0", "--group-add", group, name, "id", status=125)
    assert "cannot join group" in done.stderr


def hostile_accounts(content: str, path: Path) -> None:
    """Put something in the place of /etc/passwd or /etc/group."""
    path.unlink(missing_ok=True)
    match content:
        case "2 GB":
            with path.open("wb") as file:
                file.truncate(2 << 30)
        case "lines":
            path.write_bytes(b"x:x:1:1::/:\n" * 10_000_000)
        case "groups":
            path.write_bytes(b"".join(b"g:x:%d:redis\n" % number for number in range(200_000)))
        case "empty lines":
            path.write_bytes(b"\n" * (4 << 20))
        case "one line":
            path.write_bytes(b"redis:x:0:" + b"redis," * (4 << 17))
        case "a pipe":
            os.mkfifo(path)
        case _:
            path.symlink_to(content)


@pytest.mark.parametrize("name", ["passwd", "group"])
@pytest.mark.parametrize(
    "content",
    ["2 GB", "lines", "groups", "empty lines", "one line", "a pipe", "/dev/zero", "/proc/self/mem",
     "/proc/kmsg", "../../../../../../../../etc/passwd"],
)  # fmt: skip
def test_accounts_of_any_size_and_kind_take_little_memory(
    chrun, probe_dir, tmp_path, name, content
):
    """CVE-2024-9676, CVE-2026-47262, -61801, -135844: also where only HOME is looked up."""
    rootfs = tmp_path / "rootfs"
    subprocess.run(["cp", "-a", probe_dir, rootfs], check=True)
    (rootfs / "etc").mkdir(exist_ok=True)
    homes = {"redis": "/", "1000": "/", "0:redis": "/"}
    if name == "group":
        homes |= {"redis": "/data", "0:redis": "/root"}
        accounts = "root:x:0:0::/root:/bin/sh\nredis:x:999:998::/data:/bin/sh\n"
        (rootfs / "etc/passwd").write_text(accounts)
    hostile_accounts(content, rootfs / "etc" / name)
    for user, home in homes.items():
        done = subprocess.run(
            chrun.command("run", "-q", "-u", user, rootfs, "sh", "-c", "echo $HOME"),
            env=chrun.env,
            capture_output=True,
            text=True,
            timeout=60,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY)),
        )
        assert "Traceback" not in done.stderr
        assert "emory" not in done.stderr
        if done.returncode:
            assert done.returncode == 125
            assert done.stderr.startswith("chrun: cannot run as user ")
        else:
            assert done.stdout == f"{home}\n"
    (rootfs / "etc" / name).unlink()


def test_entries_without_a_value_bring_nothing_of_the_callers_in(chrun, add):
    """CVE-2026-57231: `FOO`, `*` and `A*` were requests for variables of the host."""
    listed = ["FOO", "*", "A*", "=x", "", "DUP=1", "DUP=2", "P=%h %%", "HOME"]
    name = add(env=listed, cmd=["env"])
    done = chrun("run", name, **_CALLERS)
    assert "callers" not in done.stdout
    seen = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert (seen["DUP"], seen["P"], seen["HOME"]) == ("2", "%h %%", "/root")
    assert set(seen) <= {"DUP", "P", "HOME", "HOSTNAME", "PATH", "PWD", "SHLVL", "container"}
    for tool in ("sh", "bwrap", "podman", "oci"):
        exported = chrun("explain", "--export", tool, name, status=None, **_CALLERS)
        assert "callers" not in exported.stdout + exported.stderr


_WAYS = {
    "overlay": (),
    "copy": ("--rootfs", "copy"),
    "namespaces": ("--isolation", "namespaces"),
    "sealed": ("--isolation", "sealed"),
    "tmpfs": ("--scratch", "tmpfs"),
    "read-only": ("--read-only",),
    "user": ("-u", "33:33"),
    "copied user": ("-u", "33:33", "--rootfs", "copy"),
}
_ROOTS_WAYS = {
    "chroot": ("--isolation", "chroot"),
    "chrooted user": ("--isolation", "chroot", "-u", "33:33"),
    "range": ("--userns", "auto"),
    "copied range": ("--userns", "auto", "--rootfs", "copy"),
}
_LINKS = ("absolute", "relative", "descriptor", "root")
_PLACES = (
    *(f"/{link}{rest}" for link in _LINKS for rest in ("", "/new/deep")),
    "/absolute/../new",
    *(f"/volume/{link}{rest}" for link in ("out", "up") for rest in ("", "/new")),
)


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """A directory of the host's that images have links to."""
    directory = tmp_path_factory.mktemp("outside")
    (directory / "secret").write_text("the host's own")
    directory.chmod(0o777)
    return directory


@pytest.fixture(scope="module")
def working_dirs(registry, outside):
    """Names of images, by their working directories."""
    targets = (outside, relative(outside), "/proc/self/fd/3", f"/proc/1/root{outside}")
    links = zip(_LINKS, map(str, targets), strict=True)
    stack = layers({name: images.symlink(target) for name, target in links})
    names = {}
    for number, place in enumerate(_PLACES):
        command = ["sh", "-c", "touch made; ls; pwd -P"]
        registry.add(images.image(stack, working_dir=place, cmd=command), "cwd", str(number))
        names[place] = f"{registry.host}/cwd:{number}"
    return names


def relative(path):
    return "../" * 12 + str(path).lstrip("/")


@pytest.mark.parametrize("way", [*_WAYS, *(_ROOTS_WAYS if os.geteuid() == 0 else ())])
def test_a_working_directory_behind_a_link_is_not_made_on_the_host(
    chrun, working_dirs, outside, tmp_path, way
):
    """CVE-2026-55686: an image's WORKDIR led to a directory that was made or given away there."""
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "out").symlink_to(outside)
    (shared / "up").symlink_to(relative(outside))
    shared.chmod(0o777)
    options = {**_WAYS, **_ROOTS_WAYS}[way]
    with_volume = way not in {"chroot", "chrooted user"}
    if with_volume:
        options = (*options, "-v", f"{shared}:/volume")
    before = snapshot(shared), snapshot(outside)
    for place, name in working_dirs.items():
        if with_volume or not place.startswith("/volume/"):
            done = chrun("run", "-q", *options, name, status=None)
            assert done.returncode in {0, 1, 125, 126}, (place, done.stderr)
            assert "secret" not in done.stdout
            assert (snapshot(shared), snapshot(outside)) == before


@pytest.mark.parametrize("options", [(), ("--rootfs", "copy")])
def test_a_working_directory_behind_a_link_is_made_where_the_link_leads_inside(
    chrun, working_dirs, outside, options
):
    """The links above do lead to the directory outside, where a volume shows it there."""
    volume = ("-v", f"{outside}:{outside}")
    done = chrun("run", "-q", *options, *volume, working_dirs["/absolute/new/deep"])
    assert done.stdout.split() == ["made", f"{outside}/new/deep"]
    assert (outside / "new/deep/made").exists()
    shutil.rmtree(outside / "new")


# Labels and annotations by which other programs were told to do something
_KNOWN = (
    "io.podman.annotations.privileged", "io.podman.annotations.seccomp", "run.oci.handler",
    "io.podman.annotations.label", "run.oci.keep_original_groups", "io.katacontainers.config",
    "io.kubernetes.cri-o.userns-mode", "com.docker.security.seccomp", "org.systemd.property.User",
    "org.opencontainers.image.ref.name", "org.opencontainers.image.stopSignal",
    "chrun.resolved-digest", "chrun.wanted-platform", "chrun.isolation", "RUN", "INSTALL",
    "io.containers.capabilities", "io.containers.autoupdate", "cdi.k8s.io/x", "nvidia.com/gpu",
)  # fmt: skip
_WORDS = ("TRUE", "true", "1", "unconfined", "krun", "ALL", "host", "/etc/passwd", "{}",
          "sha256:" + "0" * 64, "podman run --privileged IMAGE", "\n", "%h", "../..")  # fmt: skip
# A document with a NUL in it is refused
_texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
_names = st.sampled_from(_KNOWN) | _texts
_pairs = st.dictionaries(_names, st.sampled_from(_WORDS) | _texts, max_size=8)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(labels=_pairs, annotations=_pairs)
def test_no_label_or_annotation_changes_what_would_run(registry, tmp_path, labels, annotations):
    """CVE-2026-94603: an annotation of an image turned its sandbox off."""
    root = str(tmp_path / "data")
    stack = [images.layer({"etc/passwd": "redis:x:999:998::/data:/bin/sh\n"})]
    plain = {"Cmd": ["sh"], "User": "redis", "Env": ["A=1"], "WorkingDir": "/data"}
    hostile = plain | {"Labels": labels, "Annotations": annotations}
    marked = [each.descriptor.to_json() | {"annotations": annotations} for each in stack]
    made = {
        "plain": images.image(stack, config={"config": plain}),
        "labelled": images.image(
            stack,
            config={"config": hostile, "container_config": {"Labels": labels}, "labels": labels},
            manifest={"annotations": annotations, "layers": marked},
        ),
        "other": images.image(stack, config={"config": plain | {"Env": ["A=2"]}}),
    }
    engine = Engine(root, Silent)
    composed = {}
    for name, image in made.items():
        registry.add(image, f"labels-{name}", "1")
        request = RunRequest(f"{registry.host}/labels-{name}:1", pull="always")
        composed[name] = explain(engine, request)
    plans = {name: (each.encoded, each.spec, each.rung) for name, each in composed.items()}
    assert plans["labelled"] == plans["plain"] != plans["other"]
    notices = {name: each.notices for name, each in composed.items()}
    assert notices["labelled"] == notices["plain"]


def test_hostile_labels_are_not_printed_as_they_are(chrun, add):
    escape = "\x1b]0;from-a-label\x07\n"
    name = add(config={"config": {"Cmd": ["true"], "Labels": {escape: escape}}})
    for words in (("run", name), ("explain", name), ("explain", "--format", "json", name)):
        done = chrun(*words)
        assert "from-a-label" not in done.stdout + done.stderr
    assert "from-a-label" not in chrun("images").stdout
