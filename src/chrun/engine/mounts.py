"""What a user asks to see inside, read into the spec's mounts: -v and --tmpfs; docs/reference."""

from __future__ import annotations

import os
import stat

from chrun.errors import UsageError
from chrun.oci.spec import SpecMount
from chrun.store.layout import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# What -v accepts behind the target, by what it decides: of each row at most one word may be given.
# Nothing is relabelled (z, Z), and no caches lie between host and container (cached, ...).
PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")
_VOLUME_WORDS = (
    ("ro", "rw", "rro", "O"),
    ("nosuid", "suid"),
    ("nodev", "dev"),
    ("noexec", "exec"),
    ("rbind", "bind"),
    PROPAGATIONS,
    ("z", "Z"),
    ("cached", "delegated", "consistent"),
    ("nocopy",),
    ("idmap",),
)
_WITHOUT_EFFECT = frozenset({"z", "Z", "cached", "delegated", "consistent", "rw", "private",
                              "rprivate"})  # fmt: skip
_ONLY_BOUND = frozenset({*PROPAGATIONS, "rbind", "bind", "idmap"})

# mount(8)'s words for tmpfs(5): those alone, and those with a value and how it is written
_TMPFS_WORDS = (
    ("ro", "rw"),
    ("nosuid", "suid"),
    ("nodev", "dev"),
    ("noexec", "exec"),
)
_TMPFS_VALUES = {
    "size": ("0123456789", "kKmMgG%"),
    "nr_blocks": ("0123456789", "kKmMgG"),
    "nr_inodes": ("0123456789", "kKmMgG"),
    "mode": ("01234567", ""),
    "uid": ("0123456789", ""),
    "gid": ("0123456789", ""),
}

# What runc lets somebody mount inside /proc: files that programs read to size themselves
_PROC_FILES = frozenset(
    f"/proc/{name}"
    for name in ("cpuinfo", "diskstats", "loadavg", "meminfo", "net/dev", "slabinfo", "stat",
                 "swaps", "uptime", "sys/crypto/fips_enabled", "sys/kernel/ns_last_pid")
)  # fmt: skip


def parse_mounts(
    tmpfs: Sequence[str], volumes: Sequence[str], mounts: Sequence[str]
) -> tuple[SpecMount, ...]:
    """Read all of --tmpfs, -v and --mount; UsageError also when two want one target."""
    parsed = [*map(parse_tmpfs, tmpfs), *map(parse_volume, volumes)]
    if mounts:
        from chrun.engine.mount_option import parse_mount

        parsed += map(parse_mount, mounts)
    seen: set[str] = set()
    for mount in parsed:
        if mount.destination in seen:
            raise UsageError(f"cannot mount on {mount.destination} twice")
        seen.add(mount.destination)
    return tuple(parsed)


def parse_volume(text: str) -> SpecMount:
    """Read `SOURCE:TARGET[:OPTION,...]` as -v has it; UsageError says what is wrong.

    A source with a slash is a path, any other the name of a volume. A path that does not exist is
    an error: docker makes a directory of it, owned by root, which turns every typing mistake into
    an empty volume.
    """
    parts = text.split(":")
    if len(parts) == 1 and text.startswith("/"):
        raise UsageError(
            f"cannot mount {text!r}: a volume without a name would go with its container",
            hint=f"name it, NAME:{text}, or use --tmpfs {text}",
        )
    if len(parts) not in {2, 3} or not all(parts):
        raise UsageError(
            f"cannot read volume {text!r}: expected SOURCE:TARGET[:OPTION,...]",
            hint="a path with a colon goes with --mount type=bind,source=...,target=..."
            if len(parts) > 3
            else "",
        )
    source, target = parts[0], checked_target(text, parts[1])
    words = _volume_words(text, parts[2] if len(parts) == 3 else "")
    if "/" in source or source in {".", ".."}:
        if "nocopy" in words:
            raise UsageError(f"cannot read volume {text!r}: nocopy is for names, not for paths")
        return bound(source, target, words)
    if wrong := words & _ONLY_BOUND:
        raise UsageError(f"cannot read volume {text!r}: {min(wrong)} is for paths, not for names")
    from chrun.store.volumes import check_volume_name

    check_volume_name(source, hint=f"for a directory write ./{source}:{target}")
    return SpecMount(target, "volume", source, tuple(sorted(words - _WITHOUT_EFFECT)))


def parse_tmpfs(text: str) -> SpecMount:
    """Read `TARGET[:OPTION,...]` as --tmpfs has it, with docker's defaults."""
    target, _, words = text.partition(":")
    target = checked_target(text, target)
    options = [word for word in words.split(",") if word]
    names = {word.partition("=")[0] for word in options}
    if len(names) < len(options):
        raise UsageError(f"cannot read tmpfs {text!r}: an option is given twice")
    plain = {word for word in options if "=" not in word}
    _check_words(f"tmpfs {text!r}", plain, _TMPFS_WORDS)
    for word in options:
        name, equals, content = word.partition("=")
        if equals:
            check_tmpfs_value(text, name, content)
    return tmpfs_mount(target, tuple(options))


def tmpfs_mount(target: str, options: tuple[str, ...]) -> SpecMount:
    """Give a tmpfs that has docker's defaults where the options say nothing else."""
    defaults = [word for word in ("noexec", "nosuid", "nodev") if word[2:] not in options]
    kept = [word for word in options if word not in defaults]
    return SpecMount(target, "tmpfs", "tmpfs", (*defaults, *kept))


def check_tmpfs_value(text: str, name: str, content: str) -> None:
    """Check one of tmpfs(5)'s options that have a value: numbers, with a unit where sizes are."""
    if name not in _TMPFS_VALUES:
        raise UsageError(f"cannot read tmpfs {text!r}: unknown option {name!r}")
    digits, units = _TMPFS_VALUES[name]
    number = content[:-1] if content[-1:] in set(units) else content
    if not number or not set(number) <= set(digits):
        raise UsageError(f"cannot read tmpfs {text!r}: {name} is {content!r}")


def bound(source: str, target: str, words: Iterable[str] = ()) -> SpecMount:
    """Give the mount of a host path, which must exist; `O` puts an overlay over a directory."""
    path, asked = absolute(source), set(words) - _WITHOUT_EFFECT
    if "\0" in path:
        raise UsageError(f"cannot mount {path!r} on {target}: it has a NUL character in it")
    try:
        is_directory = stat.S_ISDIR(os.stat(path).st_mode)
    except FileNotFoundError as error:
        raise UsageError(
            f"cannot mount {path} on {target}: it does not exist", hint=f"mkdir -p {path}"
        ) from error
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise UsageError(f"cannot mount {path} on {target}: {reason}") from error
    if "O" in asked:
        return _overlaid(path, target, asked, is_directory=is_directory)
    if "bind" not in asked:
        asked.add("rbind")
    return SpecMount(target, "bind", path, tuple(sorted(asked)))


def checked_target(text: str, target: str) -> str:
    """Give a target as it is mounted on; UsageError for what must not or cannot be one."""
    if not target.startswith("/") or ".." in target.split("/"):
        raise UsageError(f"cannot mount {text!r}: the target must be an absolute path without '..'")
    if "\0" in target:
        raise UsageError(f"cannot mount {text!r}: it has a NUL character in it")
    target = "/" + os.path.normpath(target).strip("/")
    if target == "/":
        raise UsageError(f"cannot mount {text!r}: the target must not be /")
    if target.split("/")[1] == "proc" and target not in _PROC_FILES:
        # what chrun and programs read and write there means more than its bytes: CVE-2019-16884
        raise UsageError(
            f"cannot mount {text!r}: in /proc only files such as /proc/meminfo can be replaced",
            hint="mount it elsewhere: /host/proc, say",
        )
    return target


def _overlaid(path: str, target: str, asked: set[str], *, is_directory: bool) -> SpecMount:
    if not is_directory:
        raise UsageError(f"cannot mount {path} on {target} with O: it is not a directory")
    if wrong := asked & _ONLY_BOUND:
        raise UsageError(f"cannot mount {path} on {target}: O and {min(wrong)} contradict")
    return SpecMount(target, "overlay", path, tuple(sorted(asked - {"O"})))


def _volume_words(text: str, given: str) -> set[str]:
    """Read the words behind the target. CVE-2024-9407: none of them is passed on unread."""
    words = given.split(",") if given else []
    if "U" in words:
        raise UsageError(
            f"cannot read volume {text!r}: chrun gives no files to another user",
            hint="chown them, or use a named volume, which gets its owner from the image",
        )
    if len(set(words)) < len(words):
        raise UsageError(f"cannot read volume {text!r}: an option is given twice")
    _check_words(f"volume {text!r}", set(words), _VOLUME_WORDS)
    return set(words)


def _check_words(what: str, words: set[str], rows: Iterable[tuple[str, ...]]) -> None:
    """Refuse unknown words, and two of one row."""
    unknown = set(words)
    for row in rows:
        given = sorted(words.intersection(row))
        unknown -= set(given)
        if len(given) > 1:
            raise UsageError(f"cannot read {what}: {given[0]} and {given[1]} contradict")
    if unknown:
        raise UsageError(f"cannot read {what}: unknown option {min(unknown)!r}")
