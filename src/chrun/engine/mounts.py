"""What a user asks to see inside, read into the spec's mounts: -v, --tmpfs, --mount."""

from __future__ import annotations

import os

from chrun.errors import UsageError
from chrun.oci.spec import SpecMount
from chrun.store.layout import absolute

# What -v accepts behind the target; SELinux labels and consistency words are docker's, and mean
# nothing where nothing is relabelled.
_VOLUME_OPTIONS = frozenset({"ro", "rw", "nosuid", "nodev", "noexec", "rbind", "bind"})
_VOLUME_IGNORED = frozenset({"z", "Z", "cached", "delegated", "consistent", "U"})


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


def parse_mount(text: str) -> SpecMount:
    """Read what --mount has: `type=KIND,source=SOURCE,target=TARGET`; UsageError otherwise."""
    raise UsageError(f"cannot read mount {text!r}: not supported yet")
