"""A run as a shell script of util-linux: unshare(1), mount(8), pivot_root(8), setpriv(1).

The script follows the plan, step by step and with the plan's own reasons. A step that has no
translation here becomes a note, so that nothing is left out in silence.
"""

from __future__ import annotations

from chrun.errors import UnsupportedError
from chrun.oci.spec import count_ids
from chrun.runtime.export.sh_command import last_line
from chrun.runtime.export.sh_steps import translate
from chrun.runtime.export.shell import comment, quote
from chrun.runtime.export.subject import Export
from chrun.runtime.export.words import single_ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from chrun.oci.spec import Spec
    from chrun.runtime.export.subject import Exportable

_UNSHARE = {
    "mount": "--mount", "pid": "--pid --fork --kill-child", "network": "--net", "ipc": "--ipc",
    "uts": "--uts", "cgroup": "--cgroup",
}  # fmt: skip

_RANGE = 1 << 16
_DESCRIPTORS = "descriptors above 2 that the caller left open are not closed"
_AROUND = """\
set -eu
PATH=$PATH:/usr/sbin:/sbin
name={name}
scratch=$(realpath "$(mktemp -d)")
trap 'chmod -R u+rwX "$scratch"; rm -rf "$scratch"' EXIT
mkdir -m 755 "$scratch/base" "$scratch/upper" "$scratch/work"

cat > "$scratch/inside" <<'{mark}'
{inside}
{mark}

export name scratch
{unshare}setsid sh "$scratch/inside" <&0 &
container=$!
# What ends this script ends the container: its first process dies with unshare
trap 'kill -KILL $container' INT TERM HUP
wait $container
"""


def export_sh(subject: Exportable) -> Export:
    """Give a script for sh(1), for the user that `subject.host` is about; it needs util-linux 2.38.

    Its exit status is the command's. The image's layers are those of chrun's store, where there is
    no `root_dir`. UnsupportedError for what has no meaning without chrun.
    """
    check_owners(subject, "sh")
    script = translate(subject)
    if subject.plan.command:
        script.lines.append(last_line(script, subject.plan.command))
    notes = (_DESCRIPTORS, *root_notes(subject), *script.notes)
    text = around(subject, "\n".join(script.lines), subject.spec.namespaces)
    return Export(f"{header(subject, 'util-linux 2.38', notes)}\n{text}", notes)


def check_owners(subject: Exportable, tool: str) -> None:
    """Raise UnsupportedError where all files are root's, and root inside is another id."""
    if subject.host.privileged and subject.spec.uid_mappings:
        raise UnsupportedError(
            f"cannot export to {tool}: this container needs idmapped mounts",
            hint="without --userns it does not",
        )


def around(subject: Exportable, inside: str, namespaces: Iterable[str]) -> str:
    """Give the script that makes a scratch directory and runs `inside` in these new namespaces."""
    spec = subject.spec
    unshare = _unshare(spec, namespaces)
    return _AROUND.format(
        name=host_name(spec),
        inside=inside,
        mark=_unused_mark(inside),
        unshare=_deadline(spec) + unshare,
    )


def header(subject: Exportable, needs: str, notes: Iterable[str]) -> str:
    """Give the first lines of a script: what it runs, what it needs, what it has not."""
    user = "root" if subject.host.privileged else f"user {subject.host.uid}"
    lines = [
        "#!/bin/sh",
        comment(f"{subject.image} in a container, without chrun: made for {user}, by {needs}."),
    ]
    if notes := tuple(notes):
        lines += ["#", "# What chrun does and this does not:"]
        lines += [comment(f"- {note}") for note in notes]
    return "\n".join(lines)


def root_notes(subject: Exportable) -> list[str]:
    """Say what is in no export, and what becomes of the root file system and its owners."""
    notes = [*subject.notes]
    if subject.root_dir:
        notes.append(f"what the command changes stays in {subject.root_dir}")
    if count_ids(subject.spec.uid_mappings) > _RANGE:
        notes.append(f"ids from {_RANGE} on (unshare maps one range)")
    return notes


def _unshare(spec: Spec, namespaces: Iterable[str]) -> str:
    """Give the unshare command in front of the inner script, "" where no namespace is new."""
    words = [_UNSHARE[name] for name in namespaces if name != "user"]
    if spec.uid_mappings:
        words.insert(0, _user_words(spec))
    return f"unshare {' '.join(words)} " if words else ""


def _deadline(spec: Spec) -> str:
    seconds = spec.timeout_ms / 1000
    return f"timeout --signal=KILL {seconds:g} " if seconds else ""


def _user_words(spec: Spec) -> str:
    """Give unshare's flags for a user namespace; mount(8) works for uid 0 of it only."""
    return "--user --map-root-user" + ("" if single_ids(spec) else " --map-auto")


def host_name(spec: Spec) -> str:
    """Give the host name as a shell word: the machine's, or one that is random like an id."""
    if "uts" not in spec.namespaces:
        return "$(uname -n)"
    return quote(spec.hostname) if spec.hostname else "$(od -An -N6 -tx1 /dev/urandom | tr -d ' ')"


def _unused_mark(text: str) -> str:
    """Give an end mark for a here-document that is no line of it."""
    mark = "INSIDE"
    while mark in text:
        mark += "_"
    return mark
