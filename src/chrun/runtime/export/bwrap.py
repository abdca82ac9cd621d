"""A run as a command line of bubblewrap, bwrap(1) of version 0.8 or newer.

Such a bubblewrap stacks no layers, so unshare(1) and mount(8) do that for it; and it has no word
for "where it exists", which the shell says.
"""

from __future__ import annotations

import base64

from chrun.errors import UnsupportedError
from chrun.linux import caps
from chrun.runtime import namespaces, plan, steps, trees
from chrun.runtime.export import sh_steps
from chrun.runtime.export.sh import around, check_owners, header, root_notes
from chrun.runtime.export.shell import quote, quote_all
from chrun.runtime.export.subject import Export
from chrun.runtime.export.words import below, flag_words, single_ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.runtime.export.subject import Exportable
    from chrun.runtime.steps import Step

_BREAK = " \\\n    "
_FIRST_FILTER_FD = 3  # a shell has single digits for redirections

# What `bwrap --dev` puts into /dev
_DEV = frozenset(
    f"/dev/{name}"
    for name in (
        "null", "zero", "full", "random", "urandom", "tty", "pts", "ptmx", "fd", "stdin", "stdout",
        "stderr",
    )
)  # fmt: skip
_ALWAYS = (
    "all is mounted nosuid and nodev but devices, and what bubblewrap mounts itself never noexec",
    "capabilities are inheritable and ambient, too; the bounding set stays, behind no_new_privs",
    "devices of /dev are bound, and what the machine mounted below /sys is seen there",
)


class _Arguments(sh_steps.Script):
    """The command line as it grows.

    `words` are bwrap's; `lines` are the shell's before it, some of which add to "$@".
    """

    def __init__(self, subject: Exportable) -> None:
        super().__init__(subject)
        self.lines = ["set -eu", "umask 022", "set --"]
        self.words = ["--die-with-parent --new-session", '--bind "$root" /']

    def add(self, *words: str) -> None:
        """Add to what bwrap mounts, behind what is there already."""
        self.lines.append(f'set -- "$@" {" ".join(words)}')


def export_bwrap(subject: Exportable) -> Export:
    """Give a script that ends as bwrap, for the user that `subject.host` is about.

    UnsupportedError for what has no meaning without chrun.
    """
    check_owners(subject, "bwrap")
    script = _Arguments(subject)
    for step in subject.plan.records:
        _translate(step, script)
    fds = list(_write_filters(script))
    # A shell's background commands ignore SIGINT and SIGQUIT, which only env can undo
    words = ["exec env --default-signal bwrap", *script.words, *_namespace_words(script), '"$@"']
    words += [*_privilege_words(script), *(f"--add-seccomp-fd {fd}" for fd in fds)]
    if command := subject.plan.command:
        words += ["--clearenv", *map(_variable_words, command.env)]
        words.append(f"-- {quote_all(command.argv)}")
    redirections = "".join(f" {fd}< filter-{fd}" for fd in fds)
    inside = "\n".join([*script.lines, "", _BREAK.join(words) + redirections])
    notes = (*_ALWAYS, *root_notes(subject), *script.notes)
    text = around(subject, inside, ("mount",))
    return Export(f"{header(subject, 'bubblewrap 0.8 and util-linux', notes)}\n{text}", notes)


def _translate(step: Step, script: _Arguments) -> None:
    lines = sh_steps.base_lines(step, script)
    if lines is not None:
        script.lines += lines
    elif isinstance(step, steps.Seccomp):
        if step.listens:
            script.leave_out("whom a process pretends to be", "nobody answers the filter")
    elif isinstance(step, (*sh_steps.OUTSIDE, plan.Exec, steps.PivotRoot)):
        return
    elif not _add_mount(step, script) and not _add_other(step, script):
        script.leave_out(step.describe(), "bubblewrap has no option for it")


def _add_mount(step: Step, script: _Arguments) -> bool:
    """Add what is mounted, made and hidden; False for any other step."""
    match step:
        case steps.Mount():
            _add_file_system(step, script)
        case steps.Bind():
            _add_bind(step, script)
        case steps.Node() | steps.Link():
            if step.target not in _DEV:
                _add_device(step, script)
        case steps.File():
            _add_file(step, script)
        case steps.Mask():
            path = quote(below(step.target))
            script.lines += [
                f"if [ -d {path} ]; then",
                f'    set -- "$@" --perms 555 --tmpfs {path} --remount-ro {path}',
                f"elif [ -e {path} ]; then",
                f'    set -- "$@" --dev-bind /dev/null {path}',
                "fi",
            ]
        case steps.ReadOnly():
            path = quote(below(step.target))
            if step.target == "/":
                script.add("--remount-ro /")
            elif step.target not in {file.target for file in script.subject.rootfs.files}:
                script.lines.append(f'[ ! -e {path} ] || set -- "$@" --ro-bind {path} {path}')
        case _:
            return _add_tree(step, script)
    return True


def _add_tree(step: Step, script: _Arguments) -> bool:
    """Add what is bound in two steps; False for any other step."""
    match step:
        case trees.Grab():
            script.grabbed[step.slot] = step
        case trees.Place():
            _add_placed(step, script)
        case _:
            return False
    return True


def _add_other(step: Step, script: _Arguments) -> bool:
    """Add what is set, and remember who the command is; False for what bubblewrap cannot do."""
    match step:
        case steps.Hostname():
            script.words.append('--unshare-uts --hostname "$name"')
        case steps.WorkingDirectory():
            directory = quote(step.target)
            if step.target != "/" and not script.subject.spec.root_readonly:
                script.add(f"--dir {directory}")
            script.words.append(f"--chdir {directory}")
        case namespaces.Loopback():
            return True  # bubblewrap does so without being asked
        case steps.Rlimit() | steps.User() | steps.Capabilities() | namespaces.Join():
            script.lines += sh_steps.remember(step, script) or []
        case steps.NoNewPrivileges():
            script.no_new_privileges = True
        case _:
            return False
    return True


def _add_file_system(step: steps.Mount, script: _Arguments) -> None:
    target, options = below(step.target), step.options.split(",")
    if step.fstype == "tmpfs" and target == "/dev":
        script.add("--dev /dev")
    elif step.fstype == "tmpfs":
        script.add(*_tmpfs_words(step, target, script))
    elif step.fstype == "proc":
        script.add("--proc", quote(target))
    elif step.fstype == "mqueue":
        script.add("--mqueue", quote(target))
    elif step.fstype == "sysfs":
        readonly = "ro" in flag_words(step.flags)
        cgroups = f"{target}/fs/cgroup"  # which a sysfs of one's own shows empty
        script.add("--ro-bind" if readonly else "--bind", "/sys", quote(target))
        script.add(f"--perms 555 --tmpfs {cgroups}")
        if readonly:
            script.add(f"--remount-ro {cgroups}")
    elif target not in _DEV:
        script.leave_out(f"{step.describe()} with {','.join(options)}", "bubblewrap mounts none")


def _tmpfs_words(step: steps.Mount, target: str, script: _Arguments) -> Iterator[str]:
    given: dict[str, str] = {}
    for option in filter(None, step.options.split(",")):
        name, _, content = option.partition("=")
        given[name] = content
    size = given.get("size", "")
    if size and not size.endswith("%"):
        yield f"--size {_bytes(given.pop('size'))}"
    yield f"--perms {given.pop('mode', '1777')}"
    yield f"--tmpfs {quote(target)}"
    if given:
        script.leave_out(f"{', '.join(given)} of {target}", "bubblewrap has no such option")
    flags = set(flag_words(step.flags))
    if "ro" in flags:
        yield f"--remount-ro {quote(target)}"
    if "noexec" in flags:
        script.leave_out(f"noexec of {target}", "bubblewrap has no such option")


def _bytes(size: str) -> int:
    units = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
    return int(size[:-1]) * units[size[-1].lower()] if size[-1].lower() in units else int(size)


def _add_bind(step: steps.Bind, script: _Arguments) -> None:
    flags, target = set(flag_words(step.flags)), below(step.target)
    if target in _DEV and target == step.source:
        return
    kind = "--ro-bind" if "ro" in flags else "--bind"
    if target.startswith("/dev/"):
        kind = "--dev-bind"
        _add_directory(target, script)
    if "noexec" in flags:
        script.leave_out(f"noexec of {target}", "bubblewrap has no such option")
    _note_depth(step.source, target, script, recursive=step.recursive)
    script.add(kind, quote(step.source), quote(target))


def _add_placed(step: trees.Place, script: _Arguments) -> None:
    source, target = sh_steps.placed_source(step, script), below(step.target)
    given, taken = set(flag_words(step.set_flags)), set(flag_words(step.clear_flags))
    _note_depth(source, target, script, recursive=script.grabbed[step.slot].recursive)
    if "noexec" in given:
        script.leave_out(f"noexec of {target}", "bubblewrap has no such option")
    for word in sorted(taken):
        script.leave_out(f"{word[2:]} of {target}", "bubblewrap takes no flag of a mount away")
    script.add("--dev-bind" if "nodev" in taken else "--bind", quote(source), quote(target))
    if "ro" in given:
        script.add("--remount-ro", quote(target))


def _note_depth(source: str, target: str, script: _Arguments, *, recursive: bool) -> None:
    if not recursive and source.startswith("/") and not target.startswith("/dev/"):
        script.leave_out(f"hiding what is mounted below {source}", "bubblewrap shows it")


def _add_device(step: steps.Node | steps.Link, script: _Arguments) -> None:
    if isinstance(step, steps.Link):
        script.add("--symlink", quote(step.points_to), quote(step.target))
        return
    sources = {device.path: device.source for device in script.subject.spec.devices}
    if step.target in sources:
        _add_directory(step.target, script)
        script.add("--dev-bind", quote(sources[step.target]), quote(step.target))
    else:
        script.leave_out(step.describe(), "bubblewrap makes no devices")


def _add_directory(target: str, script: _Arguments) -> None:
    directory = target.rpartition("/")[0]
    if directory != "/dev":
        script.add("--dir", quote(directory))  # or bwrap would make it, with mode 700


def _add_file(step: steps.File, script: _Arguments) -> None:
    name, lines = sh_steps.write_file(step, script)
    script.lines += lines
    if name:
        bind = "--ro-bind" if script.subject.spec.root_readonly else "--bind"
        add = [f'set -- "$@" {bind} {name} {quote(below(step.target))}']
        script.lines += sh_steps.where_it_may_be(step, add) if step.optional else add


def _write_filters(script: _Arguments) -> Iterator[int]:
    """Write the filters beside the root, and give the descriptors that bwrap gets them by."""
    for fd, program in enumerate(script.subject.filters, _FIRST_FILTER_FD):
        text = base64.encodebytes(program).decode()
        script.lines.append(f"base64 -d > filter-{fd} <<'FILTER'\n{text}FILTER")
        yield fd


def _namespace_words(script: _Arguments) -> Iterator[str]:
    spec = script.subject.spec
    flags = {"pid": "--unshare-pid", "ipc": "--unshare-ipc", "network": "--unshare-net",
             "cgroup": "--unshare-cgroup"}  # fmt: skip
    yield from (flags[name] for name in spec.namespaces if name in flags)
    if "pid" in spec.namespaces and not spec.init:
        yield "--as-pid-1"
    ids = single_ids(spec) or (spec.process.user.uid, spec.process.user.gid)
    if ids != (0, 0):
        if single_ids(spec) is None:
            raise UnsupportedError(
                f"cannot export to bwrap: it does not become user {ids[0]}, it only maps one",
                hint="export to sh",
            )
        yield f"--unshare-user --uid {ids[0]} --gid {ids[1]}"
    if spec.process.user.additional_gids:
        script.leave_out("supplementary groups", "bubblewrap keeps the caller's")
    if spec.process.terminal:
        script.leave_out("a terminal of its own", "bubblewrap has the caller's")
    if not any(mount.destination == "/dev/shm" for mount in spec.mounts):  # noqa: S108 - inside
        script.leave_out("a /dev without /dev/shm", "bubblewrap makes one")


def _privilege_words(script: _Arguments) -> Iterator[str]:
    sets = script.capabilities
    if not script.no_new_privileges:
        script.leave_out("programs that gain privileges", "bubblewrap sets no_new_privs")
    if sets is None:
        yield "--cap-add ALL"
        return
    yield "--cap-drop ALL"
    for number, name in enumerate(caps.NAMES):
        if sets.effective >> number & 1:
            yield f"--cap-add {name}"


def _variable_words(entry: str) -> str:
    if entry == "HOSTNAME=%h":
        return '--setenv HOSTNAME "$name"'
    name, _, content = entry.partition("=")
    return f"--setenv {quote(name)} {quote(content)}"
