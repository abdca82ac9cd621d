"""Installing packages without set-up: what package managers want of root, as anybody."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile

import pytest

from tests.support import images
from tests.support.needs import needs

pytestmark = needs("images", "overlay")
ALPINE = images.TEST_IMAGES / "alpine-minirootfs-3.20.3-x86_64.tar.gz"


def segment(entries, *, last):
    """Write one gzip segment of an Alpine package; only the last one ends its tar."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content, owner, mode, kind in entries:
            header = tarfile.TarInfo(name)
            header.uid = header.gid = owner
            header.mode, header.type, header.size = mode, kind, len(content)
            if kind == tarfile.REGTYPE and last:
                header.pax_headers["APK-TOOLS.checksum.SHA1"] = hashlib.sha1(content).hexdigest()
            archive.addfile(header, io.BytesIO(content))
        size = archive.offset
    return gzip.compress(written.getvalue() if last else written.getvalue()[:size])


@pytest.fixture
def package(tmp_path):
    """An Alpine package with a service user, files of its own, and a setuid program."""
    data = segment(
        [
            *((name, b"", 0, 0o755, tarfile.DIRTYPE) for name in ("srv", "usr", "usr/bin")),
            ("srv/testd", b"", 100, 0o750, tarfile.DIRTYPE),
            ("srv/testd/state", b"kept\n", 100, 0o600, tarfile.REGTYPE),
            ("usr/bin/testd-su", b"#!/bin/sh\n", 0, 0o4755, tarfile.REGTYPE),
        ],
        last=True,
    )
    info = (
        "pkgname = testd\npkgver = 1.0-r0\npkgdesc = a test\narch = noarch\nsize = 100\n"
        f"datahash = {hashlib.sha256(data).hexdigest()}\n"
    )
    install = b"#!/bin/sh\naddgroup -S testd\nadduser -S -D -H -G testd testd\n"
    control = segment(
        [
            (".PKGINFO", info.encode(), 0, 0o644, tarfile.REGTYPE),
            (".pre-install", install, 0, 0o755, tarfile.REGTYPE),
        ],
        last=False,
    )
    path = tmp_path / "testd-1.0-r0.apk"
    path.write_bytes(control + data)
    return path


def alpine(chrun, script, *options):
    return chrun("run", *options, ALPINE, "sh", "-ec", script).stdout


def test_apk_installs_a_package_with_users_owners_and_setuid_bits(chrun, package):
    script = """
        apk add --no-network --allow-untrusted /testd.apk >&2
        id -u testd; cat /srv/testd/state; stat -c %a /usr/bin/testd-su /srv/testd
        apk info -e testd
    """
    out = alpine(chrun, script, "-v", f"{package}:/testd.apk:ro")
    assert out.split() == ["100", "kept", "4755", "750", "testd"]


def test_what_daemons_do_to_drop_root_does_not_stop_them(chrun):
    script = (
        "touch /f; chown 100:101 /f; chown -R nobody /tmp; chgrp tty /f; su nobody -s /bin/true"
    )
    alpine(chrun, script)


def test_an_archive_on_this_machine_is_unpacked_once(chrun):
    before = len(chrun.layers())
    assert alpine(chrun, "cat /etc/alpine-release") == "3.20.3\n"
    assert len(chrun.layers()) == max(before, 2)


@needs("single id")
def test_devices_that_cannot_be_made_are_pretended_and_fifos_are_real(chrun):
    out = alpine(chrun, "mknod /dev-null c 1 3; ls /dev-null 2>&1 | wc -l; mkfifo /p; test -p /p")
    assert out == "1\n"  # only the complaint of ls: nothing was made


@needs("root")
def test_root_makes_no_pretence(chrun):
    out = alpine(chrun, "touch /f; chown 100:101 /f; stat -c %u:%g /f; su nobody -s /bin/sh -c id")
    assert out.splitlines()[0] == "100:101"
    assert "uid=65534" in out


ENTRYPOINT = """#!/bin/sh
set -e
if [ "$1" = server ] && [ "$(id -u)" = 0 ]; then
    chown -R nobody .
    exec su nobody -s /bin/sh -c "$0 $*"
fi
echo "$* as $(id -u):$(id -g)"
"""


def test_an_entrypoint_that_runs_itself_again_as_its_user_comes_to_an_end(chrun, tmp_path):
    # what the official images of redis, postgres and many others do
    script = tmp_path / "entrypoint"
    script.write_text(ENTRYPOINT)
    script.chmod(0o755)
    options = ("-v", f"{script}:/entrypoint:ro", "-w", "/data", "--entrypoint", "/entrypoint")
    assert chrun("run", *options, ALPINE, "server").stdout == "server as 65534:65534\n"
    assert chrun("run", *options, ALPINE, "other").stdout == "other as 0:0\n"


def test_who_a_process_became_holds_for_its_children_and_nobody_else(chrun):
    script = """
        id -u; su nobody -s /bin/sh -c 'id -u; id -g; (id -u; sh -c "id -u") | cat; id -u & wait'
        id -u; id -g
    """
    ids = alpine(chrun, script).split()
    assert ids == ["0", "65534", "65534", "65534", "65534", "65534", "0", "0"]


@needs("single id")
def test_the_user_asked_for_is_who_the_process_is_told_it_is(chrun):
    script = "id -u; id -g; su root -s /bin/true 2>&1 | wc -l"
    assert alpine(chrun, script, "-u", "77:78").split()[:2] == ["77", "78"]
