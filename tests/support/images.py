"""Images made in memory, as small or as hostile as a test wants them.

    motd = layer({"etc": directory(), "etc/motd": "hi\n", "motd": symlink("etc/motd")})
    greeter = image([motd], cmd=["/bin/cat", "/motd"])
    greeter.push("http://127.0.0.1:5000", "greeter", "latest")

Nothing is added and nothing is checked: a name like `../x` reaches the tar as it is written here.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

from chrun.oci import media_types
from chrun.oci.digest import Digest
from chrun.oci.manifest import Descriptor
from chrun.oci.platform import Platform
from chrun.values import Value

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SHARED_IMAGES = Path(__file__).resolve().parents[2].parent / "shared" / "images"
TEST_IMAGES = Path(os.environ.get("CHRUN_TEST_IMAGES", _SHARED_IMAGES))

# Who has an account in the official busybox, as far as tests ask for them: name, ids, home, shell
_USERS = (
    ("root", 0, "/root", "/bin/sh"),
    ("www-data", 33, "/var/www", "/bin/false"),
    ("nobody", 65534, "/home", "/bin/false"),
)

_LAYER_TYPES = {
    "oci": {
        "": media_types.OCI_LAYER,
        "gzip": media_types.OCI_LAYER_GZIP,
        "zstd": media_types.OCI_LAYER_ZSTD,
    },
    "docker": {
        "": media_types.DOCKER_LAYER,
        "gzip": media_types.DOCKER_LAYER_GZIP,
        "zstd": media_types.DOCKER_LAYER_ZSTD,
    },
}
_MANIFEST_TYPES = {"oci": media_types.OCI_MANIFEST, "docker": media_types.DOCKER_MANIFEST}
_INDEX_TYPES = {"oci": media_types.OCI_INDEX, "docker": media_types.DOCKER_MANIFEST_LIST}
_CONFIG_TYPES = {"oci": media_types.OCI_CONFIG, "docker": media_types.DOCKER_CONFIG}


def digest_of(content: bytes) -> Digest:
    """Give the sha256 digest of bytes."""
    return Digest("sha256", hashlib.sha256(content).hexdigest())


class Entry(Value):
    """One entry of a tar; xattrs become SCHILY.xattr records, `pax` any others, right or wrong."""

    kind: bytes = tarfile.REGTYPE
    data: bytes = b""
    target: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: float = 0
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()
    pax: tuple[tuple[str, str], ...] = ()

    def header(self, name: str) -> tarfile.TarInfo:
        """Give the tar header under that name."""
        header = tarfile.TarInfo(name)
        header.type, header.size, header.linkname = self.kind, len(self.data), self.target
        header.mode, header.uid, header.gid = self.mode, self.uid, self.gid
        header.mtime = self.mtime
        header.devmajor, header.devminor = self.device
        header.pax_headers = {
            f"SCHILY.xattr.{key}": content.decode(errors="surrogateescape")
            for key, content in self.xattrs
        } | dict(self.pax)
        return header


def file(data: str | bytes = b"", mode: int = 0o644, **others: object) -> Entry:
    """Give a regular file."""
    return Entry(data=_encoded(data), mode=mode, **others)


def directory(mode: int = 0o755, **others: object) -> Entry:
    """Give a directory."""
    return Entry(kind=tarfile.DIRTYPE, mode=mode, **others)


def symlink(target: str, **others: object) -> Entry:
    """Give a symbolic link."""
    return Entry(kind=tarfile.SYMTYPE, target=target, **({"mode": 0o777} | others))


def hardlink(target: str, **others: object) -> Entry:
    """Give another name of an entry of the same layer."""
    return Entry(kind=tarfile.LNKTYPE, target=target, **others)


def device(kind: str, major: int, minor: int, **others: object) -> Entry:
    """Give a device; `kind` is "c" or "b"."""
    types = {"c": tarfile.CHRTYPE, "b": tarfile.BLKTYPE}
    return Entry(kind=types[kind], device=(major, minor), **others)


def fifo(**others: object) -> Entry:
    """Give a named pipe."""
    return Entry(kind=tarfile.FIFOTYPE, **others)


class Layer(Value):
    """A layer as a registry serves it, and the digest of its tar."""

    blob: bytes
    diff_id: Digest
    media_type: str

    @property
    def digest(self) -> Digest:
        """The digest of the blob."""
        return digest_of(self.blob)

    @property
    def descriptor(self) -> Descriptor:
        """What a manifest says about it."""
        return Descriptor(self.media_type, self.digest, len(self.blob))


def tar(
    tree: Mapping[str, Entry | str | bytes] | Iterable[tuple[str, Entry | str | bytes]],
    *,
    tar_format: int = tarfile.PAX_FORMAT,
) -> bytes:
    """Write entries in the order given; pairs instead of a mapping may repeat a name."""
    pairs = tree.items() if hasattr(tree, "items") else tree
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tar_format) as archive:
        for name, given in pairs:
            entry = given if isinstance(given, Entry) else file(given)
            archive.addfile(entry.header(name), io.BytesIO(entry.data))
    return written.getvalue()


def layer(
    tree: Mapping[str, Entry | str | bytes] | Iterable[tuple[str, Entry | str | bytes]] | bytes,
    *,
    compression: str = "gzip",
    style: str = "oci",
    media_type: str = "",
) -> Layer:
    """Make a layer of entries, or of the bytes of a tar.

    `compression` is "gzip", "zstd" or ""; `media_type` overrides what `style` ("oci", "docker")
    says of it.
    """
    plain = tree if isinstance(tree, bytes) else tar(tree)
    packed = {"": _same, "gzip": _gzipped, "zstd": zstd.compress}[compression](plain)
    return Layer(packed, digest_of(plain), media_type or _LAYER_TYPES[style][compression])


class Image(Value):
    """An image or index: its document, and all that has to be in a registry before it."""

    media_type: str
    content: bytes
    blobs: tuple[bytes, ...] = ()
    children: tuple[Image, ...] = ()
    platform: Platform | None = None

    @property
    def digest(self) -> Digest:
        """The digest of the document."""
        return digest_of(self.content)

    @property
    def descriptor(self) -> Descriptor:
        """What an index says about it."""
        return Descriptor(self.media_type, self.digest, len(self.content), self.platform)

    def push(
        self, registry: str, repository: str, *tags: str, headers: Mapping[str, str] | None = None
    ) -> Descriptor:
        """Push to `http://host:port` over the distribution API, under its digest without tags."""
        base = f"{registry}/v2/{repository}"
        for child in self.children:
            child.push(registry, repository, headers=headers)
        for blob in self.blobs:
            _push_blob(base, blob, headers or {})
        for tag in tags or (str(self.digest),):
            announced = {"Content-Type": self.media_type, **(headers or {})}
            _call("PUT", f"{base}/manifests/{tag}", announced, self.content)
        return self.descriptor


def image(
    layers: Iterable[Layer],
    *,
    cmd: Iterable[str] = (),
    entrypoint: Iterable[str] = (),
    env: Iterable[str] = (),
    working_dir: str = "",
    user: str = "",
    platform: str = "linux/amd64",
    style: str = "oci",
    manifest: Mapping[str, object] | None = None,
    config: Mapping[str, object] | None = None,
) -> Image:
    """Make an image of layers, base first.

    `style` is "oci" or "docker" for the manifest's and the config's media types; layers have their
    own, so that they can be mixed. `manifest` and `config` override fields of the documents.
    """
    stack, offered = tuple(layers), Platform.parse(platform)
    process = {
        "Cmd": list(cmd), "Entrypoint": list(entrypoint), "Env": list(env),
        "WorkingDir": working_dir, "User": user,
    }  # fmt: skip
    configuration = _json(
        {
            "os": offered.os,
            "architecture": offered.architecture,
            **({"variant": offered.variant} if offered.variant else {}),
            "config": {key: content for key, content in process.items() if content},
            "rootfs": {"type": "layers", "diff_ids": [str(each.diff_id) for each in stack]},
            **(config or {}),
        }
    )
    described = Descriptor(_CONFIG_TYPES[style], digest_of(configuration), len(configuration))
    fields = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST_TYPES[style],
        "config": described.to_json(),
        "layers": [each.descriptor.to_json() for each in stack],
        **(manifest or {}),
    }
    blobs = (configuration, *(each.blob for each in stack))
    return Image(_MANIFEST_TYPES[style], _json(fields), blobs, platform=offered)


def index(images: Iterable[Image], *, style: str = "oci") -> Image:
    """Make an index (or Docker manifest list) of images and of other indexes."""
    children = tuple(images)
    fields = {
        "schemaVersion": 2,
        "mediaType": _INDEX_TYPES[style],
        "manifests": [child.descriptor.to_json() for child in children],
    }
    return Image(_INDEX_TYPES[style], _json(fields), children=children)


def load_layout(layout: Path) -> Image:
    """Read the first image of an OCI image layout, byte for byte."""
    listed = json.loads((layout / "index.json").read_bytes())["manifests"][0]
    content = _layout_blob(layout, listed)
    fields = json.loads(content)
    blobs = tuple(_layout_blob(layout, each) for each in (fields["config"], *fields["layers"]))
    return Image(listed["mediaType"], content, blobs, platform=Platform("linux", "amd64"))


def official_busybox() -> Image:
    """Give the official busybox image (glibc, amd64); FileNotFoundError where it is not."""
    return load_layout(TEST_IMAGES / "busybox-glibc")


@cache
def busybox() -> Image:
    """Give an image with busybox in it: the official one, or one of this machine's program."""
    return official_busybox() if TEST_IMAGES.is_dir() else _busybox_of(static_busybox())


def static_busybox() -> str:
    """Give the path of this machine's busybox; "" unless it needs no library."""
    program = shutil.which("busybox") or ""
    has_libraries = (
        program
        and not subprocess.run(["ldd", program], capture_output=True, check=False).returncode
    )
    return "" if has_libraries else program


def _busybox_of(program: str) -> Image:
    listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True)
    applets = [name for name in listed.stdout.split() if name != "busybox"]
    tree = {
        **{name: directory() for name in ("bin", "dev", "etc", "home", "lib", "usr", "usr/bin")},
        "root": directory(0o700),
        "tmp": directory(0o1777),
        "bin/busybox": file(Path(program).read_bytes(), 0o755),
        **{f"bin/{name}": hardlink("bin/busybox") for name in applets},
        "lib64": symlink("lib"),
        "usr/bin/env": symlink("../../bin/env"),
        "etc/passwd": "".join(
            f"{name}:x:{uid}:{uid}:{name}:{home}:{shell}\n" for name, uid, home, shell in _USERS
        ),
        "etc/group": "".join(f"{name}:x:{uid}:\n" for name, uid, _home, _shell in _USERS),
    }
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return image([layer(tree)], cmd=["sh"], env=[path])


def _layout_blob(layout: Path, descriptor: Mapping[str, str]) -> bytes:
    return (layout / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()


def _push_blob(base: str, blob: bytes, headers: Mapping[str, str]) -> None:
    digest = digest_of(blob)
    try:
        _call("HEAD", f"{base}/blobs/{digest}", headers)
    except urllib.error.HTTPError as error:
        error.close()
        upload = urljoin(base, _call("POST", f"{base}/blobs/uploads/", headers, b""))
        mark = "&" if "?" in upload else "?"
        binary = {"Content-Type": "application/octet-stream", **headers}
        _call("PUT", f"{upload}{mark}digest={quote(str(digest))}", binary, blob)


def _call(method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> str:
    request = urllib.request.Request(url, body, dict(headers), method=method)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=30) as response:
        return response.headers.get("Location", "")


def _json(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, indent=2).encode()


def _encoded(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _same(plain: bytes) -> bytes:
    return plain


def _gzipped(plain: bytes) -> bytes:
    return gzip.compress(plain, mtime=0)
