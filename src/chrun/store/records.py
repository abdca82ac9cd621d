"""What is known of an image in the store, kept in a form that is quick to read.

index.json, the manifest and the configuration say everything; but reading JSON costs more than
starting a container, so the answer to a question is kept beside it, for as long as index.json is
the very file that it was drawn from.
"""

from __future__ import annotations

import marshal
import os
import sys

from chrun.oci.config import ImageConfig
from chrun.oci.digest import Digest
from chrun.store.faults import store_error
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.store.layout import Layout

    Signature = tuple[int, int, int]
    Question = tuple[str | None, tuple[str, ...], str, str, Signature]
    Kept = tuple[Question, tuple[str, ...], int, tuple[str, ...], tuple[str | tuple[str, ...], ...]]

_TAG = sys.implementation.cache_tag  # marshal's format is an interpreter's own


class ImageRecord(Value):
    """An image in the store, for one platform.

    `reference` is canonical; `resolved_digest` is what it named in the registry (often an index);
    `layers` are directories, base first; `size` is that of its blobs, in bytes.
    """

    reference: str
    resolved_digest: Digest
    manifest_digest: Digest
    image_id: Digest
    config: ImageConfig
    layers: tuple[str, ...]
    size: int


def index_signature(layout: Layout) -> Signature:
    """Give what changes with every change of index.json, which is only ever replaced."""
    return signature_of(os.stat(layout.index_path))


def signature_of(status: os.stat_result) -> Signature:
    """Give the signature of a file whose status is known."""
    return status.st_mtime_ns, status.st_size, status.st_ino


def find_kept_record(layout: Layout, name: str, platform: str) -> ImageRecord | None:
    """Find the answer to a question that was asked before and that still holds."""
    try:
        signature = index_signature(layout)
        with open(_kept_path(layout, name, platform), "rb", buffering=0) as file:
            # only the caller can have written it: open_store sees to that
            kept: Kept = marshal.loads(file.read())  # noqa: S302
        question, digests, size, diff_ids, process = kept
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, EOFError):  # written by a machine that lost power, or the like
        return None
    except OSError as error:
        raise store_error(f"read the store {layout.root}", error) from error
    if question != _question(name, platform, signature):
        return None
    return _record(layout, digests, size, diff_ids, process)


def keep_record(
    layout: Layout, name: str, platform: str, signature: Signature, record: ImageRecord
) -> None:
    """Keep the answer to a question; without effect where that cannot be."""
    config = record.config
    kept: Kept = (
        _question(name, platform, signature),
        (
            record.reference,
            str(record.resolved_digest),
            str(record.manifest_digest),
            str(record.image_id),
        ),
        record.size,
        tuple(map(str, config.diff_ids)),
        tuple(getattr(config, field) for field in ImageConfig.fields[1:]),
    )
    keep_answer(_kept_path(layout, name, platform), marshal.dumps(kept))


def keep_answer(path: str, answer: bytes) -> None:
    """Keep what was worked out, in one piece; without effect where that cannot be."""
    try:
        with open(f"{path}.{os.getpid()}", "wb") as file:
            file.write(answer)
        os.replace(file.name, path)
    except OSError:  # a full disk or too long a name: the next one works it out again
        return


def _question(name: str, platform: str, signature: Signature) -> Question:
    """Give what an answer must have been kept for: the fields are of this version of chrun."""
    return _TAG, ImageConfig.fields, name, platform, signature


def _kept_path(layout: Layout, name: str, platform: str) -> str:
    """Give the path of an answer; "!" is in no reference, so a name has one file for itself."""
    question = f"{platform} {name}".replace("/", "!")
    return f"{layout.cache_dir}/images/{question}"


def _record(
    layout: Layout,
    digests: tuple[str, ...],
    size: int,
    diff_ids: tuple[str, ...],
    process: tuple[str | tuple[str, ...], ...],
) -> ImageRecord:
    reference, resolved, manifest, image_id = digests
    kept = dict(zip(ImageConfig.fields[1:], process, strict=True))  # as keep_record took it apart
    config = ImageConfig(tuple(map(_digest, diff_ids))).replace(**kept)
    return ImageRecord(
        reference,
        _digest(resolved),
        _digest(manifest),
        _digest(image_id),
        config,
        tuple(map(layout.layer_dir, config.diff_ids)),
        size,
    )


def _digest(text: str) -> Digest:
    """Read a digest that was checked before it was kept."""
    return Digest(*text.split(":"))
