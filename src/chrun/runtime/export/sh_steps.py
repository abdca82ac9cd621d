"""The steps of a plan as lines of a shell script, for `sh.py`."""

from __future__ import annotations

import stat

from chrun.errors import UnsupportedError
from chrun.rootfs.rootfs import COPY_NAME
from chrun.runtime import limits, namespaces, plan, steps, trees, users
from chrun.runtime.export.shell import comment, quote, quote_named
from chrun.runtime.export.words import below, flag_words, unnamed_flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chrun.runtime.export.subject import Exportable
    from chrun.runtime.steps import Step

_MS_PRIVATE, _MS_REC = 1 << 18, 1 << 14
_CLEARED = {"nosuid": "suid", "nodev": "dev", "noexec": "exec"}

# What scripts do outside: by options of unshare and timeout, and by a trap
OUTSIDE = (
    plan.Clone, plan.RemoveTree, limits.Deadline, limits.RemoveCgroups, steps.IdMap,
    steps.Propagation, users.OuterIdMap,
)  # fmt: skip

_FUNCTIONS = """\
set -eu
umask 022

# Make a place to mount on, like $1; a symlink in the image must not lead out of the root
place() {
    if [ "$(realpath -m "$root$2")" != "$(realpath "$root")$2" ]; then
        echo "cannot mount on $2: it lies behind a symbolic link" >&2
        exit 125
    elif [ -d "$1" ]; then
        mkdir -p "$root$2"
    elif [ ! -e "$root$2" ]; then
        mkdir -p "$(dirname "$root$2")"
        : > "$root$2"
    fi
}

hide() {
    if [ -d "$root$1" ]; then
        mount -t tmpfs -o ro,nosuid,nodev,noexec,mode=555,nr_inodes=1 tmpfs "$root$1"
    elif [ -e "$root$1" ]; then
        mount --bind "$root/dev/null" "$root$1"
    fi
}

lock() {
    [ -e "$root$1" ] || return 0
    mount --bind "$root$1" "$root$1"
    mount -o remount,bind,ro "$root$1"
}

# Set options of the mount on $1 and of all mounts below it; mount(8) of 2.38 has no word for that
restrict() {
    findmnt -lnRo TARGET "$root$1" | while IFS= read -r mounted; do
        mount -o "remount,bind,$2" "$mounted" || exit 125
    done
}
"""

_PIVOT = """\
# From here on this machine's programs have no name any more. Those that are still needed are
# reached from a directory of the old root, which only this process has, with loader and libraries.
needed=$(for program in setpriv env unshare umount mkdir hostname prlimit; do
    command -v $program
done)
loader=$(ldd $needed | sed -n 's|^[^/]*\\(/[^ ]*/ld[-.][^ ]*\\) (.*|\\1|p' | head -n 1)
libraries=$(ldd $needed | sed -n 's|.*=> \\(/.*\\)/[^/]* (.*|\\1|p' | sort -u | xargs realpath |
    sort -u | sed 's|^|..|' | paste -sd:)
programs=$(dirname "$(realpath "$(command -v setpriv)")")
run="..$(realpath "$loader") --library-path $libraries ..$programs"
root=$(realpath "$root")
cd /usr
pivot_root "$root" "$root"
$run/umount -l /"""


class Script:
    """The lines of a script as they grow, what it leaves out, and what its last line will say."""

    def __init__(self, subject: Exportable) -> None:
        self.subject = subject
        self.lines = [_FUNCTIONS]
        self.notes: list[str] = []
        self.run = ""  # what stands before the names of this machine's programs
        self.grabbed: dict[int, trees.Grab] = {}
        self.files = 0
        # for the last line
        self.chroots = False
        self.working_dir = "/"
        self.user = steps.User(0, 0, (), keep_groups=True)
        self.capabilities: steps.Capabilities | None = None
        self.no_new_privileges = False

    def leave_out(self, what: str, why: str) -> list[str]:
        """Take note of something that is not in the script."""
        self.notes.append(f"{what} ({why})")
        return [comment(f"NOT HERE: {what}")]


def translate(subject: Exportable) -> Script:
    """Give the script for inside the namespaces, all but its last line.

    Raises UnsupportedError for a step without which there would be no container.
    """
    script = Script(subject)
    reason = ""
    for step in subject.plan.records:
        lines = _translate(step, script)
        if lines and step.why != reason:  # said once for steps that have it in common
            reason = step.why
            lines = ["", comment(reason), *lines]
        script.lines += lines
    return script


def _translate(step: Step, script: Script) -> list[str]:
    if isinstance(step, (*OUTSIDE, plan.Exec)):
        return []
    for translator in (base_lines, _mount_lines, _inside_lines, remember):
        lines = translator(step, script)
        if lines is not None:
            return lines
    return script.leave_out(step.describe(), "util-linux has no program for it")


def base_lines(step: Step, script: Script) -> list[str] | None:
    """Translate what builds the root file system, in the base directory."""
    match step:
        case steps.Base():
            options = quote(f"nosuid,nodev,{step.options}")
            return [f'mount -t tmpfs -o {options} tmpfs "$scratch/base"', 'cd "$scratch/base"']
        case steps.Symlink():
            return [f"ln -s {host_path(step.source)} {quote(step.name)}"]
        case steps.Directory():
            return [f"mkdir -m {step.mode:o} {quote(step.name)}"]
        case trees.Like():
            like = f"--reference={host_path(step.source)} {quote(step.name)}"
            who = f"chown {like}"
            if script.subject.spec.uid_mappings:
                who += " 2> /dev/null || :  # its owner may be nobody inside"
            return [who, f"chmod {like}"]
        case steps.MountBase():
            options = quote(",".join([*flag_words(step.flags), step.options]))
            return [f"mount -t {step.fstype} -o {options} {step.fstype} {quote(step.target)}"]
        case steps.Root():
            made = script.subject.root_dir if step.path.endswith(COPY_NAME) else ""
            root = quote(made) if made else host_path(step.path)
            return [f"root={root}", *(['mount --rbind "$root" "$root"'] if step.bind else [])]
        case _:
            return None


def _mount_lines(step: Step, script: Script) -> list[str] | None:
    """Translate what is mounted and made in the root file system."""
    match step:
        case steps.Mount():
            return _file_system_lines(step, script)
        case steps.Bind():
            words = flag_words(step.flags)
            return _bind_lines(step.source, step.target, words, recursive=step.recursive)
        case trees.Grab():
            script.grabbed[step.slot] = step
            return []
        case trees.Place():
            return _placed_lines(step, script)
        case steps.Node():
            return list(_device_lines(step))
        case steps.Link():
            return [f'ln -s {quote(step.points_to)} "$root"{quote(step.target)}']
        case steps.File():
            return _file_lines(step, script)
        case _:
            return None


def _inside_lines(step: Step, script: Script) -> list[str] | None:
    """Translate what hides, locks and changes the root."""
    match step:
        case steps.Mask():
            return [f"hide {quote(below(step.target))}"]
        case steps.ReadOnly():
            if step.target == "/":
                return ['mount -o remount,bind,ro "$root"']
            return [f"lock {quote(below(step.target))}"]
        case steps.PivotRoot():
            script.run = "$run/"
            return [_PIVOT]
        case steps.Chroot():
            script.chroots = True
            return []
        case namespaces.Sysctl():
            return [f'printf %s {quote(step.text)} > "$root"/proc{quote(step.target)}']
        case steps.Hostname():
            return [f'{script.run}hostname "$name"']
        case steps.WorkingDirectory():
            script.working_dir = step.target
            return [f"{script.run}mkdir -p {quote(step.target)}"] if script.run else []
        case _:
            return None


def remember(step: Step, script: Script) -> list[str] | None:
    """Translate what holds for this shell and what it becomes, at once or in the last line."""
    match step:
        case steps.Rlimit():
            name = step.name_of_limit.removeprefix("RLIMIT_").lower()
            both = f"{_limit(step.soft)}:{_limit(step.hard)}"
            return [f"{script.run}prlimit --pid $$ --{name}={both}"]
        case namespaces.Join():
            raise UnsupportedError("cannot export a container that joins another one's namespaces")
        case namespaces.Loopback():
            return ["ip link set lo up"]
        case steps.User():
            script.user = step
        case steps.Capabilities():
            script.capabilities = step
        case steps.NoNewPrivileges():
            script.no_new_privileges = True
        case _:
            return None
    return []


def _file_system_lines(step: steps.Mount, script: Script) -> list[str]:
    if unnamed_flags(step.flags):
        return script.leave_out(step.describe(), "mount(8) has no word for its flags")
    options = ",".join([*flag_words(step.flags), *filter(None, [step.options])]) or "rw"
    target = quote(below(step.target))
    return [
        f"place / {target}",
        f'mount -t {step.fstype} -o {quote(options)} {step.fstype} "$root"{target}',
    ]


def _device_lines(step: steps.Node) -> Iterator[str]:
    path, kind = f'"$root"{quote(step.target)}', "b" if stat.S_ISBLK(step.mode) else "c"
    directory = step.target.rpartition("/")[0]
    if directory != "/dev":
        yield f'mkdir -p "$root"{quote(directory)}'
    yield f"mknod -m {stat.S_IMODE(step.mode):o} {path} {kind} {step.major} {step.minor}"
    if (step.uid, step.gid) != (0, 0):
        yield f"chown {step.uid}:{step.gid} {path}"


def _bind_lines(source: str, target: str, words: Sequence[str], *, recursive: bool) -> list[str]:
    from_outside, inside = quote(source), quote(below(target))
    lines = [
        f"place {from_outside} {inside}",
        f'mount --{"rbind" if recursive else "bind"} {from_outside} "$root"{inside}',
    ]
    if words:
        lines.append(f"restrict {inside} {','.join(words)}")
    return lines


def _placed_lines(step: trees.Place, script: Script) -> list[str]:
    recursive = script.grabbed[step.slot].recursive
    cleared = [_CLEARED[word] for word in flag_words(step.clear_flags)]
    words = [*flag_words(step.set_flags), *cleared]
    lines = _bind_lines(placed_source(step, script), step.target, words, recursive=recursive)
    if recursive and words and not step.recursive:
        lines[-1] = f'mount -o remount,bind,{",".join(words)} "$root"{quote(below(step.target))}'
    return lines


def placed_source(step: trees.Place, script: Script) -> str:
    """Give what is put in a place, and take note of what else that means."""
    grabbed = script.grabbed[step.slot]
    source = f"{grabbed.source}/{grabbed.below}" if grabbed.below else grabbed.source
    if step.propagation & ~(_MS_PRIVATE | _MS_REC):
        script.leave_out(f"the propagation of {step.target}", "here mounts do not travel")
    if grabbed.below:
        script.leave_out(f"a check that {source} stays in the volume", "it is only bound")
    return source


def _file_lines(step: steps.File, script: Script) -> list[str]:
    name, lines = write_file(step, script)
    if not name:
        return lines
    target = quote(below(step.target))
    bind = [f"place {name} {target}", f'mount --bind {name} "$root"{target}']
    return [*lines, *(where_it_may_be(step, bind) if step.optional else bind)]


def write_file(step: steps.File, script: Script) -> tuple[str, list[str]]:
    """Give the name of a file in the base directory, and the lines that write it; "" for none."""
    text = step.text.decode(errors="surrogateescape")
    if "\0" in text:
        return "", script.leave_out(step.describe(), "no shell can write a NUL")
    script.files += 1
    name = f"file-{script.files}"
    written = quote_named(text, percents=True) if step.expanded else quote(text)
    return name, [f"printf %s {written} > {name}", f"chmod {step.mode:o} {name}"]


def where_it_may_be(step: steps.File, lines: list[str]) -> list[str]:
    """Make lines hold only for an image that has the file's directory."""
    directory = quote(below(step.target).rpartition("/")[0])
    return [f'if [ -d "$root"{directory} ]; then', *(f"    {line}" for line in lines), "fi"]


def host_path(path: str) -> str:
    """Give a host path of a plan as a shell word: `%` is the scratch directory."""
    if path == "%":
        return '"$scratch"'
    if path.startswith("%/"):
        return f'"$scratch"{quote(path[1:])}'
    return quote(path)


def _limit(number: int) -> str:
    return str(number) if 0 <= number < 1 << 63 else "unlimited"
