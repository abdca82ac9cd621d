"""What a user asks for when a container is to run: the words of the command line, as a value."""

from __future__ import annotations

import os

from chrun.errors import UsageError
from chrun.oci.convert import RUNGS, RunOptions
from chrun.oci.spec import SpecMount
from chrun.store.layout import absolute
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from chrun.oci.convert import Rung
    from chrun.rootfs.rootfs import RootfsKind

    Isolation = Literal["auto"] | Rung
    RootfsChoice = Literal["auto"] | RootfsKind
    PullPolicy = Literal["missing", "always", "never"]

ISOLATIONS: tuple[Isolation, ...] = ("auto", *RUNGS)
PULL_POLICIES: tuple[PullPolicy, ...] = ("missing", "always", "never")

# What -v accepts behind the target; SELinux labels and consistency words are docker's, and mean
# nothing where nothing is relabelled.
_VOLUME_OPTIONS = frozenset({"ro", "rw", "nosuid", "nodev", "noexec", "rbind", "bind"})
_VOLUME_IGNORED = frozenset({"z", "Z", "cached", "delegated", "consistent", "U"})


class RunRequest(Value):
    """One run. `image` is a reference, an image ID, or a path that starts with / or a dot.

    `user` "" is the image's; `name` and `keep` make a container that others can find, and one that
    stays; `scratch_bytes` puts its changes into memory, up to that size.
    """

    image: str
    options: RunOptions = RunOptions()
    user: str = ""
    name: str = ""
    isolation: Isolation = "auto"
    rootfs: RootfsChoice = "auto"
    scratch_bytes: int = 0
    keep: bool = False
    pull: PullPolicy = "missing"
    platform: str = ""

    @property
    def is_path(self) -> bool:
        """Whether the image is a directory or an archive of this machine (the article's form)."""
        return self.image.startswith(("/", "./", "../")) or self.image in {".", ".."}


def parse_hostname(name: str) -> str:
    """Check against hostname(7): 64 bytes of letters, digits, hyphens and dots; "" is allowed.

    It becomes part of /etc/hosts, which has a meaning for more than names.
    """
    plain = name.replace("-", "").replace(".", "")
    if len(name) > 64 or (name and not (plain.isascii() and plain.isalnum())):
        raise UsageError(f"cannot set host name {name[:80]!r}: see hostname(7)")
    return name


def parse_volume(text: str) -> SpecMount:
    """Read `SOURCE:TARGET[:OPTION,...]` as -v has it; UsageError says what is wrong.

    A source that does not exist is an error: docker makes a directory of it, owned by root, which
    turns every typing mistake into an empty volume.
    """
    parts = text.split(":")
    if len(parts) not in {2, 3} or not all(parts):
        raise UsageError(f"cannot read volume {text!r}: expected SOURCE:TARGET[:OPTION,...]")
    source, target = parts[0], parts[1]
    options = set(parts[2].split(",") if len(parts) == 3 else ())
    if unknown := options - _VOLUME_OPTIONS - _VOLUME_IGNORED:
        raise UsageError(f"cannot read volume {text!r}: unknown option {min(unknown)!r}")
    if "/" not in source and source not in {".", ".."}:
        raise UsageError(
            f"cannot mount {source} on {target}: named volumes are not supported",
            hint=f"for a directory write ./{source}:{target}",
        )
    _check_target(text, target)
    path = absolute(source)
    try:
        os.stat(path)
    except FileNotFoundError as error:
        raise UsageError(
            f"cannot mount {path} on {target}: it does not exist", hint=f"mkdir -p {path}"
        ) from error
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise UsageError(f"cannot mount {path} on {target}: {reason}") from error
    return SpecMount(target, "bind", path, ("rbind", *sorted(options & _VOLUME_OPTIONS)))


def parse_tmpfs(text: str) -> SpecMount:
    """Read `TARGET[:OPTION,...]` as --tmpfs has it, with docker's defaults."""
    target, _, words = text.partition(":")
    _check_target(text, target)
    options = [word for word in words.split(",") if word]
    for option in options:
        name = option.partition("=")[0]
        if name not in {"size", "mode", "uid", "gid", "nr_inodes", "rw", "ro", "exec", "noexec",
                        "suid", "nosuid", "dev", "nodev"}:  # fmt: skip
            raise UsageError(f"cannot read tmpfs {text!r}: unknown option {name!r}")
    defaults = [word for word in ("noexec", "nosuid", "nodev") if word[2:] not in options]
    return SpecMount(target, "tmpfs", "tmpfs", (*defaults, *options))


def _check_target(text: str, target: str) -> None:
    if not target.startswith("/") or ".." in target.split("/"):
        raise UsageError(f"cannot mount {text!r}: the target must be an absolute path without '..'")
    if not os.path.normpath(target).strip("/"):
        raise UsageError(f"cannot mount {text!r}: the target must not be /")


def parse_size(text: str) -> int:
    """Read a size as docker has it: bytes, or with b, k, m, g behind; UsageError otherwise."""
    units = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
    digits = text.lower().removesuffix("ib").rstrip("bkmg")
    unit = text.lower().removesuffix("ib")[len(digits) :]
    unit = unit[:1] if unit in {"kb", "mb", "gb"} else unit
    if not digits.isascii() or not digits.isdigit() or unit not in units or not int(digits):
        raise UsageError(
            f"cannot read size {text!r}: expected a number with b, k, m or g behind it"
        )
    return int(digits) * units[unit]
