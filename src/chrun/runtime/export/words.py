"""Parts of the spec in the words that util-linux, bubblewrap and podman share."""

from __future__ import annotations

import os

from chrun.linux import caps
from chrun.oci.spec import count_ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from chrun.oci.spec import Spec, SpecMount

_MOUNT_FLAGS = (
    (1, "ro"), (2, "nosuid"), (4, "nodev"), (8, "noexec"), (32, "nosymfollow"),
    (1 << 10, "noatime"), (1 << 21, "relatime"), (1 << 24, "strictatime"),
)  # fmt: skip


def flag_words(flags: int) -> list[str]:
    """Give mount(2)'s flags as mount(8) calls them."""
    return [word for bit, word in _MOUNT_FLAGS if flags & bit]


def unnamed_flags(flags: int) -> int:
    """Give the flags that `flag_words` has no word for."""
    return flags & ~sum(bit for bit, _word in _MOUNT_FLAGS)


def capability_words(mask: int) -> list[str]:
    """Give the capabilities in a mask, as setpriv(1) calls them: "chown", "net_admin"."""
    return [name[4:].lower() for number, name in enumerate(caps.NAMES) if mask >> number & 1]


def below(target: str) -> str:
    """Give a path inside as a plain one: one slash between names, none at the end."""
    return "/" + os.path.normpath(target).strip("/")


def is_unicode(text: str) -> bool:
    """Say whether JSON can hold a text: bytes that are no UTF-8 it cannot."""
    return not any("\ud800" <= mark <= "\udfff" for mark in text)


def with_mode(options: Iterable[str]) -> list[str]:
    """Give a tmpfs's options with the mode that the kernel would choose, and other tools do not."""
    words = list(options)
    return words if any(word.startswith("mode=") for word in words) else [*words, "mode=1777"]


def system_mounts(spec: Spec) -> tuple[SpecMount, ...]:
    """Give the mounts that every container has but a mere chroot; the last of them is /sys."""
    names = [mount.destination for mount in spec.mounts]
    return spec.mounts[: names.index("/sys") + 1] if "/sys" in names else ()


def asked_mounts(spec: Spec) -> tuple[SpecMount, ...]:
    """Give the mounts that were asked for, perhaps in the place of one that all have."""
    return spec.mounts[len(system_mounts(spec)) :]


def value_of(name: str, mount: SpecMount) -> str:
    """Give what a mount's option `name=` says, "" without it."""
    words = (word.partition("=") for word in mount.options)
    return next((content for key, _, content in words if key == name), "")


def single_ids(spec: Spec) -> tuple[int, int] | None:
    """Give the ids inside that the caller has, where they are the only ones; None otherwise."""
    uids, gids = spec.uid_mappings, spec.gid_mappings
    if count_ids(uids) == count_ids(gids) == 1:
        return uids[0].container_id, gids[0].container_id
    return None
