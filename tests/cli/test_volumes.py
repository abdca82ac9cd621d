"""Named volumes, and all that -v, --mount and --tmpfs can say."""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import images
from tests.support.images import directory, file, image, layer, symlink
from tests.support.needs import IDENTITIES, needs

pytestmark = needs("busybox", "overlay")

IS_ROOT = os.geteuid() == 0
KEEPS_OWNERS = IS_ROOT or IDENTITIES["subordinate ids"]()


@pytest.fixture
def volumes(chrun):
    """The command, whose volumes go when the test ends."""
    yield chrun
    for name in chrun("volume", "ls", "-q").stdout.split():
        chrun("volume", "rm", name)


@pytest.fixture(scope="session")
def furnished(registry):
    """The name of an image that has something where volumes are mounted."""
    base = images.busybox()
    tree = {
        "data": directory(0o2750, uid=33, gid=33),
        "data/file": file("from the image", 0o640, uid=33, gid=33),
        "data/deep": directory(0o700),
        "data/deep/link": symlink("../file"),
        "data/gone": "below",
        "data/shut": directory(),
        "data/shut/below": "below",
        "out": symlink("../../../../../../etc"),
        "alias": symlink("data/deep/../../data"),
    }
    upper = {
        "data": directory(0o2750, uid=33, gid=33),
        "data/.wh.gone": "",
        "data/shut": directory(),
        "data/shut/.wh..wh..opq": "",
        "data/shut/above": "above",
    }
    config = json.loads(base.blobs[0])
    below = json.loads(base.content)["layers"]
    made = [layer(tree), layer(upper)]
    config["rootfs"]["diff_ids"] += [str(each.diff_id) for each in made]
    whole = image([], config=config)
    content = json.loads(whole.content)
    content["layers"] = below + [each.descriptor.to_json() for each in made]
    blobs = (*whole.blobs, *base.blobs[1:], *(each.blob for each in made))
    registry.add(whole.replace(content=json.dumps(content).encode(), blobs=blobs), "furnished", "1")
    return f"{registry.host}/furnished:1"


def sh(chrun, box, script, *options, status=0):
    return chrun("run", *options, box, "sh", "-c", script, status=status).stdout


def test_a_volume_outlives_its_containers(volumes, box):
    sh(volumes, box, "echo kept > /data/file", "-v", "cache:/data")
    assert sh(volumes, box, "cat /elsewhere/file", "-v", "cache:/elsewhere") == "kept\n"
    assert volumes("volume", "ls", "-q").stdout == "cache\n"


def test_a_volume_can_be_mounted_by_the_words_of_mount(volumes, box):
    sh(volumes, box, "echo kept > /data/file", "--mount", "src=cache,dst=/data")
    read = "type=volume,source=cache,target=/data,readonly"
    out = sh(volumes, box, "cat /data/file; touch /data/x 2>&1 || true", "--mount", read)
    assert out.splitlines()[0] == "kept"
    assert "Read-only" in out


def test_an_empty_volume_gets_what_the_image_has_there(volumes, furnished):
    script = "cd /data; cat file deep/link; ls -A . shut; stat -c '%a %u' . file"
    out = sh(volumes, furnished, script, "-v", "first:/data")
    owner = "33" if KEEPS_OWNERS else "0"
    assert out.split() == [
        *("from", "the", "imagefrom", "the", "image.:", "deep", "file", "shut", "shut:", "above"),
        *("2750", owner, "640", owner),
    ]
    where = Path(json.loads(volumes("volume", "inspect", "first").stdout)[0]["Mountpoint"])
    if IS_ROOT:
        assert (where / "file").read_text() == "from the image"
        assert (where / "file").stat().st_uid == 33


def test_a_volume_that_has_something_is_left_as_it_is(volumes, box, furnished):
    # CVE-2020-1726
    sh(volumes, box, "echo mine > /data/file", "-v", "mine:/data")
    assert sh(volumes, furnished, "ls /data; cat /data/file", "-v", "mine:/data") == "file\nmine\n"


def test_an_emptied_volume_is_filled_again_and_nocopy_leaves_it_empty(volumes, box, furnished):
    sh(volumes, furnished, "rm -r /data/*", "-v", "v:/data")
    assert sh(volumes, furnished, "ls /data", "-v", "v:/data:nocopy") == ""
    option = "src=v,dst=/data,volume-nocopy"
    assert sh(volumes, furnished, "ls /data", "--mount", option) == ""
    # the image gives /data to its user 33, who as a subordinate id does not let chrun look inside
    closed = KEEPS_OWNERS and not IS_ROOT
    expected = "" if closed else "deep\nfile\nshut\n"
    assert sh(volumes, furnished, "ls /data", "-v", "v:/data") == expected


def test_a_volume_on_an_images_link_gets_what_that_leads_to(volumes, furnished):
    assert sh(volumes, furnished, "ls /alias", "-v", "v:/alias") == "deep\nfile\nshut\n"


def test_a_volume_where_the_image_has_nothing_is_empty(volumes, box):
    assert sh(volumes, box, "ls -A /new/place; stat -c %a /new/place", "-v", "v:/new/place") == (
        "755\n"
    )


def test_containers_that_start_at_once_fill_a_volume_once(volumes, furnished):
    command = ("run", "-v", "both:/data", furnished, "ls", "/data")
    with ExitStack() as ended:
        started = [ended.enter_context(volumes.start(*command)) for _ in range(6)]
        outputs = [running.communicate(timeout=60) for running in started]
    assert outputs == [("deep\nfile\nshut\n", "")] * 6


def test_a_volume_in_use_is_not_removed(volumes, box):
    command = ("run", "-v", "busy:/data", box, "sh", "-c", "echo up; sleep 100")
    with volumes.start(*command) as running:
        assert running.stdout.readline() == "up\n"
        done = volumes("volume", "rm", "busy", status=125)
        assert done.stderr.startswith("chrun: cannot remove volume busy: container ")
        assert volumes("volume", "ls", "-q", "-f", "dangling=true").stdout == ""
        volumes("volume", "prune", "-af")
        assert volumes("volume", "ls", "-q").stdout == "busy\n"
    assert volumes("volume", "ls", "-q", "-f", "dangling=true").stdout == "busy\n"
    assert volumes("volume", "rm", "busy").stdout == "busy\n"


def test_a_kept_container_keeps_its_volumes(volumes, box):
    volumes("run", "--keep", "--name", "kept", "-v", "v:/data", box, "true")
    done = volumes("volume", "rm", "v", status=125)
    assert done.stderr == "chrun: cannot remove volume v: container kept is kept and uses it\n"
    (kept,) = (volumes.home / "containers").iterdir()
    subprocess.run(["rm", "-r", kept], check=True)
    volumes("images")  # which clears the name of the container that ended


def test_a_volume_is_made_named_and_described(volumes):
    assert volumes("volume", "create", "--label", "a=b", "--label", "c", "v").stdout == "v\n"
    assert volumes("volume", "create", "v").stdout == "v\n"  # as it is
    (told,) = json.loads(volumes("volume", "inspect", "v").stdout)
    assert told["Labels"] == {"a": "b", "c": ""}
    assert told["Name"] == "v"
    assert (told["Driver"], told["Scope"]) == ("local", "local")
    assert abs(time.time() - time.mktime(time.strptime(told["CreatedAt"], "%Y-%m-%dT%H:%M:%SZ"))
               + time.timezone) < 60  # fmt: skip
    assert Path(told["Mountpoint"]).is_dir()
    row = json.loads(volumes("volume", "ls", "--format", "json").stdout)
    assert (row["Name"], row["Labels"]) == ("v", "a=b,c=")
    assert volumes("volume", "ls").stdout == "DRIVER   VOLUME NAME\nlocal    v\n"


def test_filters_choose_volumes(volumes):
    volumes("volume", "create", "--label", "a=b", "one")
    volumes("volume", "create", "two")
    for given, names in (
        ("name=w", "two"), ("label=a", "one"), ("label=a=b", "one"), ("label=a=c", ""),
        ("label!=a", "two"), ("dangling=true", "one two"), ("dangling=false", ""),
    ):  # fmt: skip
        assert volumes("volume", "ls", "-q", "--filter", given).stdout.split() == names.split()
    for wrong in ("x=y", "label", "dangling=maybe"):
        volumes("volume", "ls", "--filter", wrong, status=125)


def test_prune_removes_what_nobody_named_unless_all_is_said(volumes):
    volumes("volume", "create", "named")
    nameless = volumes("volume", "create").stdout
    assert volumes("volume", "prune", input="n\n").stdout.endswith("[y/N] ")
    assert nameless in volumes("volume", "prune", input="y\n").stdout
    assert volumes("volume", "ls", "-q").stdout == "named\n"
    assert "named\n" in volumes("volume", "prune", "--all", "--force").stdout
    assert volumes("volume", "ls", "-q").stdout == ""


def test_a_volume_that_is_missing_is_told_before_others_are_removed(volumes):
    volumes("volume", "create", "here")
    volumes("volume", "rm", "here", "missing", status=125)
    assert volumes("volume", "ls", "-q").stdout == "here\n"


def test_a_missing_volume_is_an_error_unless_that_is_fine(volumes):
    for command in ("rm", "inspect"):
        done = volumes("volume", command, "none", status=125)
        assert done.stderr.startswith("chrun: cannot find volume none: ")
    volumes("volume", "rm", "-f", "none")


def test_a_killed_container_lets_go_of_its_volume(volumes, box):
    command = ("run", "-v", "v:/data", box, "sh", "-c", "echo up; sleep 1000")
    with volumes.start(*command) as running:
        assert running.stdout.readline() == "up\n"
        running.kill()
        running.communicate(timeout=10)
    volumes("volume", "rm", "v")


def test_what_was_half_filled_is_filled_anew(volumes, furnished):
    volumes("volume", "create", "v")
    half = volumes.home / "volumes" / "v" / "filling-0123"
    half.mkdir()
    (half / "file").write_text("half of it")
    assert sh(volumes, furnished, "cat /data/file", "-v", "v:/data") == "from the image"
    assert not half.exists()


def test_a_part_of_a_volume_can_be_shown(volumes, furnished):
    sh(volumes, furnished, "true", "-v", "v:/data")
    option = "src=v,dst=/part,volume-subpath=deep"
    assert sh(volumes, furnished, "ls /part", "--mount", option) == "link\n"


def test_a_tree_is_bound_read_only_with_all_its_options(volumes, box, tmp_path):
    (tmp_path / "in").write_text("seen")
    options = ("ro,nosuid,nodev,noexec,z,rprivate", "rro,Z,consistent", "ro,bind,nosuid")
    for words in options:
        out = sh(volumes, box, "cat /v/in; grep ' /v ' /proc/mounts; touch /v/x 2>&1 || true",
                 "-v", f"{tmp_path}:/v:{words}")  # fmt: skip
        assert out.startswith("seen")
        assert "Read-only" in out
        shown = set(out.splitlines()[0].split()[3].split(","))
        assert set(words.split(",")) & {"nosuid", "nodev", "noexec"} <= shown


def test_changes_to_an_overlaid_volume_stay_in_the_container(volumes, box, tmp_path):
    (tmp_path / "in").write_text("as it was\n")
    tmp_path.chmod(0o751)
    before = sorted(os.listdir(tmp_path))
    script = "stat -c %a /v; echo new > /v/in; echo x > /v/more; rm -f /v/gone; cat /v/in"
    assert sh(volumes, box, script, "-v", f"{tmp_path}:/v:O") == "751\nnew\n"
    assert (tmp_path / "in").read_text() == "as it was\n"
    assert sorted(os.listdir(tmp_path)) == before
    scratch = ("--scratch", "tmpfs")
    assert sh(volumes, box, script, "-v", f"{tmp_path}:/v:O", *scratch) == "751\nnew\n"
    assert sh(volumes, box, script, "-v", f"{tmp_path}:/v:O", "--rootfs", "copy") == "751\nnew\n"


def test_overlaid_and_named_volumes_go_together(volumes, box, tmp_path):
    """The changes to the one are not in the place of the other's name."""
    options = ("-v", f"{tmp_path}:/a:O", "-v", "v:/b", "-v", "v:/c:O")
    script = "echo a > /a/x; echo b > /b/x; echo c > /c/x; cat /a/x /b/x /c/x"
    assert sh(volumes, box, script, *options) == "a\nb\nc\n"
    assert sh(volumes, box, "cat /v/x", "-v", "v:/v") == "b\n"


def test_an_overlaid_volume_keeps_its_changes_with_a_kept_container(volumes, box, tmp_path):
    volumes("run", "--keep", "-v", f"{tmp_path}:/v:O", box, "sh", "-c", "echo new > /v/in")
    (kept,) = (volumes.home / "containers").iterdir()
    assert (kept / "changes-0" / "upper" / "in").read_text() == "new\n"
    assert not (kept / "changes-0" / "work").exists()
    subprocess.run(["rm", "-r", kept], check=True)


def test_an_image_is_mounted_read_only_and_held(volumes, box, furnished):
    option = f"type=image,source={furnished},target=/other"
    out = sh(volumes, box, "cat /other/data/file; ls /other/data/shut; touch /other/x 2>&1 || true",
             "--mount", option)  # fmt: skip
    assert out.startswith("from the imageabove\n")
    assert "Read-only" in out
    part = f"{option},image-subpath=data/deep"
    assert sh(volumes, box, "ls /other", "--mount", part) == "link\n"
    command = ("run", "--mount", option, box, "sh", "-c", "echo up; sleep 100")
    with volumes.start(*command) as running:
        assert running.stdout.readline() == "up\n"
        assert "container " in volumes("rmi", furnished, status=125).stderr


def test_a_tmpfs_has_the_size_and_mode_asked_for(volumes, box):
    option = "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1750"
    out = sh(volumes, box, "df -k /t | tail -1; stat -c %a /t; grep ' /t ' /proc/mounts",
             "--mount", option)  # fmt: skip
    assert out.split()[:2] == ["tmpfs", "1024"]
    assert "1750" in out.split()
    assert {"nosuid", "nodev", "noexec"} <= set(out.splitlines()[-1].split()[3].split(","))
    out = sh(volumes, box, "grep ' /t ' /proc/mounts", "--tmpfs", "/t:exec,mode=700")
    assert "noexec" not in out


def test_paths_with_commas_colons_and_newlines_are_mounted(volumes, box, tmp_path):
    odd = tmp_path / 'a,b:c "d"\nnew'
    odd.mkdir()
    (odd / "file").write_text("seen")
    quoted = str(odd).replace('"', '""')
    option = f'type=bind,"source={quoted}",target=/v'
    assert sh(volumes, box, "cat /v/file", "--mount", option) == "seen"


def test_volumes_are_mounted_in_the_order_of_their_depth(volumes, box, tmp_path):
    for name in ("outer", "inner"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "name").write_text(f"{name} ")
    options = ("-v", f"{tmp_path}/inner:/v/a/b", "-v", f"{tmp_path}/outer:/v")
    assert sh(volumes, box, "cat /v/name /v/a/b/name", *options) == "outer inner "


def test_the_roots_own_tmp_is_read_only_with_it_and_shm_is_not(volumes, box):
    script = "touch /tmp/x 2>&1; touch /dev/shm/x /dev/x && echo fine"
    assert sh(volumes, box, script, "--read-only").endswith("fine\n")


@pytest.mark.parametrize(
    "words",
    [
        ("-v", "v:/data:ro,rw"), ("-v", "v:/data:rslave"), ("-v", "v:/data:bind"),
        ("-v", "/data"), ("-v", ".:/data:U"), ("-v", ".:/data:ro,ro"), ("-v", ".:/data:what"),
        ("-v", ".:/proc"), ("-v", ".:/proc/self"), ("-v", ".:/proc/sys/kernel"), ("-v", ".:/"),
        ("-v", ".:/a/../b"), ("-v", "../x y:/data:slave,shared"), ("--tmpfs", "/proc/x"),
        ("--tmpfs", "/t:size=x"), ("--tmpfs", "/t:mode=9"), ("--tmpfs", "/t:lowerdir=/"),
        ("--tmpfs", "/t", "-v", ".:/t"), ("--mount", "type=bind,source=.,target=/x,what=1"),
        ("--mount", "type=bind,source=/,source=/,target=/x"), ("--mount", "type=nfs,target=/x"),
        ("--mount", "type=bind,target=/x"), ("--mount", "type=bind,source=/"), ("--mount", ""),
        ("--mount", "type=tmpfs,target=/x,source=/"), ("--mount", "type=bind,src=/,dst=x"),
        ("--mount", "type=bind,src=/,dst=/x,tmpfs-size=1"), ("--mount", "src=v,dst=/x,ro=maybe"),
        ("--mount", "src=../v,dst=/x"), ("--mount", "src=v,dst=/x,volume-subpath=../y"),
        ("--mount", "type=bind,src=/,dst=/x,bind-recursive=readonly"),
        ("--mount", "type=bind,src=/,dst=/x,bind-propagation=shared\\,suid"),
        ("--mount", "src=v,dst=/x,volume-driver=nfs"), ("--mount", 'type=bind,"source=/'),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_before_anything_is_made(volumes, box, words):
    done = volumes("run", *words, box, "true", status=125)
    assert done.stderr.startswith("chrun: cannot ")
    assert done.stderr.count("\n") <= 2
    assert volumes("volume", "ls", "-q").stdout == ""


@needs("root")
def test_slave_and_shared_really_propagate(volumes, box, tmp_path):
    """In a mount namespace of its own, a mount made after the start is seen on the other side."""
    (tmp_path / "v").mkdir()
    script = f"""
cd {tmp_path}
mount --bind v v && mount --make-shared v
rm -f out err
mkfifo go
"$@" <go >out 2>err &
exec 6>go
until [ -s out ] || [ -s err ]; do sleep 0.02; done
mkdir -p v/late && mount -t tmpfs none v/late && echo there >v/late/file
echo >&6
wait $!
cat out err
grep -c ' {tmp_path}/v/inside ' /proc/self/mountinfo
"""
    inside = "echo; read x; cat /v/late/file; mkdir /v/inside; mount -t tmpfs none /v/inside"
    for word, heard, told in (("rslave", 1, 0), ("rshared", 1, 1), ("rprivate", 0, 0)):
        command = volumes.command("run", "-i", "--isolation", "namespaces", "-v",
                                  f"{tmp_path}/v:/v:{word}", box, "sh", "-c", inside)  # fmt: skip
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *command],
            env=volumes.env, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        (tmp_path / "go").unlink()
        for name in ("late", "inside"):
            if (tmp_path / "v" / name).exists():
                (tmp_path / "v" / name).rmdir()
        assert ("there" in done.stdout, done.stdout.split()[-1]) == (bool(heard), str(told)), word


@needs("root")
def test_a_volume_of_a_container_with_ids_of_its_own_belongs_to_the_images_users(
    volumes, furnished
):
    own = ("--userns", "auto")
    out = sh(volumes, furnished, "stat -c %u /data/file; touch /data/new", "-v", "v:/data", *own)
    assert out == "33\n"
    where = volumes.home / "volumes" / "v" / "_data"
    assert [(where / name).stat().st_uid for name in ("file", "new")] == [33, 0]
    assert sh(volumes, furnished, "stat -c %u /v/new", "-v", "v:/v", *own) == "0\n"


@needs("root")
def test_a_path_belongs_to_nobody_inside_unless_ids_are_mapped(volumes, box, tmp_path):
    (tmp_path / "file").touch()
    tmp_path.chmod(0o755)
    script, own = "stat -c %u /v/file; touch /v/new 2>&1 || :", ("--userns", "auto")
    assert sh(volumes, box, script, "-v", f"{tmp_path}:/v", *own).startswith("65534\ntouch: ")
    assert sh(volumes, box, script, "-v", f"{tmp_path}:/v:idmap", *own) == "0\n"
    assert (tmp_path / "new").stat().st_uid == 0
    done = volumes("run", "-v", f"{tmp_path}:/v:idmap", box, "true", status=125)
    assert "hint: use --userns auto" in done.stderr
