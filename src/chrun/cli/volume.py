"""chrun volume: make, list, look at and remove named volumes."""

from __future__ import annotations

import json
import sys

from chrun.cli.engine import open_engine
from chrun.cli.options import Command, Option, parse_options
from chrun.cli.output import human_size, print_table, printable
from chrun.engine.volumes import (
    delete_volume,
    find_volumes,
    make_volume,
    prune_volumes,
    used_volumes,
)
from chrun.errors import NoSuchVolumeError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chrun.cli.options import Parsed
    from chrun.engine.engine import Engine
    from chrun.store.volumes import Volume

_FILTER = Option(("--filter",), "only those with label=KEY[=VALUE], label!=...", "FILTER", True)

_CREATE = Command(
    "volume create [OPTION...] [NAME]",
    "Make a volume and print its name. Without a NAME chrun chooses one.",
    (
        Option(("-d", "--driver"), "local", "DRIVER", False, ("local",)),
        Option(("--label",), "say something about it", "KEY[=VALUE]", True),
    ),
)
_INSPECT = Command("volume inspect NAME [NAME...]", "Tell what is known of volumes, as JSON.", ())
_LS = Command(
    "volume ls [OPTION...]",
    "List volumes.",
    (
        Option(
            ("-f", "--filter"),
            "only those with dangling=true|false, name=PART, label=KEY[=VALUE], label!=...",
            "FILTER",
            True,
        ),
        Option(("--format",), "how it is printed", "FORMAT", False, ("table", "json")),
        Option(("-q", "--quiet"), "print names only"),
    ),
)
_PRUNE = Command(
    "volume prune [OPTION...]",
    "Remove the volumes without a name of their own that no container uses.",
    (
        Option(("-a", "--all"), "also those with a name"),
        _FILTER,
        Option(("-f", "--force"), "do not ask"),
    ),
)
_RM = Command(
    "volume rm [OPTION...] NAME [NAME...]",
    "Remove volumes and all that is in them. One that a container uses is not removed.",
    (Option(("-f", "--force"), "say nothing of those that are not there"),),
)
_COMMANDS = (_CREATE, _INSPECT, _LS, _PRUNE, _RM)
_HELP = """usage: chrun volume COMMAND ...

Volumes are directories that outlive containers: chrun run -v NAME:/path makes and uses one.

commands:
{commands}

"chrun volume COMMAND --help" tells more.
"""


def run(words: Sequence[str], root: str) -> int:
    """Do what the first word says."""
    runners = {"create": _create, "inspect": _inspect, "ls": _list, "list": _list,
               "prune": _prune, "rm": _remove, "remove": _remove}  # fmt: skip
    if not words or words[0] in {"-h", "--help", "help"}:
        sys.stdout.write(_help_text())
        return 0
    name, *rest = words
    if name not in runners:
        from chrun.guesses import guess

        near = guess(name, runners)
        raise UsageError(
            f"cannot read the command line: volume has no command {name!r}",
            hint=f"did you mean {near}?" if near else 'see "chrun volume --help"',
        )
    by_name = {each.usage.split(" ")[1]: each for each in _COMMANDS}
    command = by_name[{"list": "ls", "remove": "rm"}.get(name, name)]
    parsed = parse_options(command, rest)
    if parsed.flag("help"):
        sys.stdout.write(command.help_text())
        return 0
    return runners[name](parsed, open_engine(root, quiet=True))


def _help_text() -> str:
    rows = [(each.usage.split(" ")[1], each.summary.split(".")[0]) for each in _COMMANDS]
    return _HELP.format(commands="\n".join(f"  {name:<7}  {summary}" for name, summary in rows))


def _create(parsed: Parsed, engine: Engine) -> int:
    if len(parsed.operands) > 1:
        raise UsageError("cannot create a volume: expected one name at most")
    labels = dict(_label(text) for text in parsed.texts("label"))
    print(make_volume(engine.store, "".join(parsed.operands), labels))
    return 0


def _label(text: str) -> tuple[str, str]:
    key, _, content = text.partition("=")
    if not key:
        raise UsageError(f"cannot label a volume with {text!r}: it has no key")
    return key, content


def _inspect(parsed: Parsed, engine: Engine) -> int:
    _check_named(parsed, "inspect")
    found = find_volumes(engine.store, parsed.operands)
    print(json.dumps([_details(volume) for volume in found], indent=4))
    return 0


def _list(parsed: Parsed, engine: Engine) -> int:
    if parsed.operands:
        raise UsageError("cannot list volumes: expected no arguments")
    used = used_volumes(engine.store)
    wanted = _matcher(parsed.texts("filter"), used, ("dangling", "name", "label", "label!"))
    volumes = [volume for volume in find_volumes(engine.store) if wanted(volume)]
    if parsed.flag("quiet"):
        for volume in volumes:
            print(volume.name)
    elif parsed.text("format") == "json":
        for volume in volumes:
            print(json.dumps(_row(volume)))
    else:
        print_table([("DRIVER", "VOLUME NAME"), *(("local", volume.name) for volume in volumes)])
    return 0


def _prune(parsed: Parsed, engine: Engine) -> int:
    if parsed.operands:
        raise UsageError("cannot prune volumes: expected no arguments")
    chosen = _matcher(parsed.texts("filter"), frozenset(), ("label", "label!"))
    every = parsed.flag("all")
    if not parsed.flag("force") and not _is_sure(every=every):
        return 0
    pruned = prune_volumes(engine.store, lambda each: (every or each.anonymous) and chosen(each))
    if pruned.names:
        print("Deleted Volumes:", *pruned.names, sep="\n", end="\n\n")
    print(f"Total reclaimed space: {human_size(pruned.size)}")
    return 0


def _is_sure(*, every: bool) -> bool:
    """Ask, as docker does; no answer is a no."""
    which = "all volumes" if every else "volumes without a name of their own"
    sys.stdout.write(f"This will remove {which} that no container uses. Continue? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _remove(parsed: Parsed, engine: Engine) -> int:
    _check_named(parsed, "remove")
    if not parsed.flag("force"):
        find_volumes(engine.store, parsed.operands)  # one that is missing is told before any goes
    for name in parsed.operands:
        try:
            delete_volume(engine.store, name)
        except NoSuchVolumeError:
            if not parsed.flag("force"):
                raise
        print(name)
    return 0


def _check_named(parsed: Parsed, verb: str) -> None:
    if not parsed.operands:
        raise UsageError(f"cannot {verb}: no volume was named", hint='see "chrun volume --help"')


def _matcher(
    filters: Sequence[str], used: frozenset[str], keys: Sequence[str]
) -> Callable[[Volume], bool]:
    """Give what says whether a volume passes all filters."""
    parted = [text.partition("=") for text in filters]
    for text, (key, equals, content) in zip(filters, parted, strict=True):
        if key not in keys or not equals or (key == "dangling" and content not in _DANGLING):
            raise UsageError(f"cannot filter by {text!r}: expected {'=..., '.join(keys)}=...")

    def matches(volume: Volume) -> bool:
        return all(_passes(volume, key, content, used) for key, _, content in parted)

    return matches


_DANGLING = {"true": True, "1": True, "false": False, "0": False}


def _passes(volume: Volume, key: str, content: str, used: frozenset[str]) -> bool:
    if key == "dangling":
        return _DANGLING[content] != (volume.name in used)
    if key == "name":
        return content in volume.name
    name, equals, wanted = content.partition("=")
    labels = dict(volume.labels)
    has = name in labels and (not equals or labels[name] == wanted)
    return has if key == "label" else not has


def _details(volume: Volume) -> Mapping[str, object]:
    """Give a volume as docker's inspect does."""
    return {
        "CreatedAt": volume.created,
        "Driver": "local",
        "Labels": dict(volume.labels),
        "Mountpoint": volume.data_dir,
        "Name": volume.name,
        "Options": {},
        "Scope": "local",
    }


def _row(volume: Volume) -> Mapping[str, str]:
    """Give a volume's fields, by the names that docker's --format has."""
    return {
        "Driver": "local",
        "Labels": ",".join(f"{key}={content}" for key, content in volume.labels),
        "Mountpoint": printable(volume.data_dir),
        "Name": volume.name,
        "Scope": "local",
    }
