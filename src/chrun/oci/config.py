"""The image configuration: image-spec, config.md."""

from __future__ import annotations

from chrun.errors import ContentError
from chrun.oci.digest import Digest
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.oci.platform import Platform


class ImageConfig(Value):
    """What an image says about the process to run in it, and its layers' diff IDs, base first.

    `env` is a tuple of NAME=value. Only what chrun uses; the whole document stays in the store.
    """

    diff_ids: tuple[Digest, ...]
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    os: str = "linux"
    architecture: str = ""
    variant: str = ""
    created: str = ""

    @property
    def platform(self) -> Platform:
        """The platform that the image was made for."""
        from chrun.oci.platform import Platform, normalized

        return normalized(Platform(self.os, self.architecture, self.variant))


def parse_config(what: str, content: bytes) -> ImageConfig:
    """Read an image configuration; ContentError names the field that is wrong."""
    from chrun.oci.document import Document  # json is too slow to import for a mere start

    document = Document.parse(what, content)
    rootfs, process = document.document("rootfs"), document.document("config")
    if (kind := rootfs.text("type", "layers")) != "layers":
        raise ContentError(f"cannot read {what}: rootfs type is {kind!r}, expected 'layers'")
    return ImageConfig(
        diff_ids=tuple(map(Digest.parse, rootfs.texts("diff_ids"))),
        entrypoint=process.texts("Entrypoint"),
        command=process.texts("Cmd"),
        env=process.texts("Env"),
        working_dir=process.text("WorkingDir", ""),
        user=process.text("User", ""),
        os=document.text("os", "linux"),
        architecture=document.text("architecture", ""),
        variant=document.text("variant", ""),
        created=document.text("created", ""),
    )
