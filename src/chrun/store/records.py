"""What is known of an image in the store, kept in a form that is quick to read.

index.json, the manifest and the configuration say everything; but reading JSON costs more than
starting a container, so the answer to a question is kept beside it, for as long as index.json is
the very file that it was drawn from.
"""

from __future__ import annotations

import os

from chrun.errors import ContentError
from chrun.oci.config import ImageConfig
from chrun.oci.digest import Digest
from chrun.store.answers import find_answer, keep_answer, packed
from chrun.store.faults import store_error
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.store.answers import Fields
    from chrun.store.layout import Layout

    Signature = tuple[int, int, int]


_PROCESS_FIELDS = ImageConfig.fields[1:]  # all texts, or tuples of texts


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
    except FileNotFoundError:
        return None
    except OSError as error:
        raise store_error(f"read the store {layout.root}", error) from error
    question = _question(name, platform, signature)
    answer = find_answer(layout, _kept_path(layout, name, platform), question)
    try:
        return None if answer is None else _record(layout, answer)
    except (ValueError, ContentError):  # of another version of chrun
        return None


def keep_record(
    layout: Layout, name: str, platform: str, signature: Signature, record: ImageRecord
) -> None:
    """Keep the answer to a question; without effect where that cannot be."""
    config = record.config
    answer = packed(
        record.reference,
        str(record.resolved_digest),
        str(record.manifest_digest),
        str(record.image_id),
        record.size,
        tuple(map(str, config.diff_ids)),
        *(getattr(config, field) for field in _PROCESS_FIELDS),
    )
    question = _question(name, platform, signature)
    keep_answer(layout, _kept_path(layout, name, platform), question, answer)


def _question(name: str, platform: str, signature: Signature) -> bytes:
    """Give what an answer must have been kept for: the fields are of this version of chrun."""
    return packed(_PROCESS_FIELDS, name, platform, signature)


def _kept_path(layout: Layout, name: str, platform: str) -> str:
    """Give the path of an answer; "!" is in no reference, so a name has one file for itself."""
    question = f"{platform} {name}".replace("/", "!")
    return f"{layout.cache_dir}/images/{question}"


def _record(layout: Layout, answer: Fields) -> ImageRecord:
    """Read an answer in the order of `keep_record`; ValueError or ContentError if it is none."""
    reference = answer.text()
    resolved, manifest, image_id = (Digest.parse(answer.text()) for _ in range(3))
    size = answer.number()
    config = ImageConfig(tuple(map(Digest.parse, answer.texts())))
    kept = {
        field: answer.texts() if isinstance(getattr(config, field), tuple) else answer.text()
        for field in _PROCESS_FIELDS
    }
    answer.end()
    return ImageRecord(
        reference,
        resolved,
        manifest,
        image_id,
        config.replace(**kept),
        tuple(map(layout.layer_dir, config.diff_ids)),
        size,
    )
