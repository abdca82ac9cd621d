"""The last line of the script: who the command is, what it may do, and the command itself."""

from __future__ import annotations

from chrun.errors import UnsupportedError
from chrun.runtime.export.shell import quote, quote_all, quote_named
from chrun.runtime.export.words import capability_words, single_ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chrun.runtime.export.sh_steps import Script
    from chrun.runtime.plan import Exec

_BREAK = " \\\n    "


def last_line(script: Script, command: Exec) -> str:
    """Give the line that the script ends in: it becomes the command.

    Raises UnsupportedError for a command that env(1) would take for a variable.
    """
    if "=" in command.argv[0]:
        raise UnsupportedError(
            f"cannot export to sh: env(1) takes {command.argv[0]!r} for a variable"
        )
    if command.init:
        script.leave_out("a PID 1 that reaps", "the command is PID 1 itself")
    environment = _BREAK.join(variable(entry) for entry in command.env)
    words = quote_all(command.argv)
    if script.chroots:
        return _BREAK.join(["exec env -i --default-signal", environment, _chroot(script), words])
    directory = quote(f"--chdir={script.working_dir}")
    # A shell's background commands ignore SIGINT and SIGQUIT, which only env can undo
    env = f"{script.run}env -i --default-signal {directory}"
    first, *others = [*_privileges(script), env, environment, words]
    return _BREAK.join([f"exec {first}", *others])


def variable(entry: str) -> str:
    """Give NAME=value as a word; %h is the host name in this one variable alone."""
    return quote_named(entry, percents=False) if entry == "HOSTNAME=%h" else quote(entry)


def _chroot(script: Script) -> str:
    """Give the chroot command: it can change users, too, and starts in the root directory."""
    user = script.user
    if script.working_dir != "/":
        script.leave_out(f"the working directory {script.working_dir}", "chroot(1) starts in /")
    groups = ",".join(map(str, user.groups))
    return f'"$(command -v chroot)" --userspec={user.uid}:{user.gid} --groups={groups} "$root"'


def _privileges(script: Script) -> list[str]:
    """Give the programs that change ids and capabilities, in front of what they run."""
    user, single = script.user, single_ids(script.subject.spec)
    options: list[str] = []
    words: list[str] = []
    if single and single != (0, 0):
        # mount(8) works for uid 0 only, so the id that was asked for is of a namespace within
        uid, gid = single
        ids = f"--map-user={uid} --map-group={gid}"
        words.append(f"{script.run}unshare --user {ids} --keep-caps")
        script.leave_out("one user namespace", "the command's lies in another one")
    else:
        groups = f"--groups={','.join(map(str, user.groups))}" if user.groups else "--clear-groups"
        options += [f"--reuid={user.uid}", f"--regid={user.gid}"]
        options.append("--keep-groups" if user.keep_groups else groups)
    options += _capability_options(script)
    if script.no_new_privileges:
        options.append("--no-new-privs")
    return [*words, f"{script.run}setpriv {' '.join(options)}"] if options else words


def _capability_options(script: Script) -> list[str]:
    sets = script.capabilities
    if sets is None:
        return []
    if sets.effective != (sets.bounding if script.user.uid == 0 else sets.ambient):
        script.leave_out(
            "the effective capabilities", "they are those of the bounding set, or the ambient one"
        )
    named = {"bounding-set": sets.bounding, "inh-caps": sets.inheritable,
             "ambient-caps": sets.ambient}  # fmt: skip
    return [
        f"--{option} {','.join(['-all', *(f'+{name}' for name in capability_words(mask))])}"
        for option, mask in named.items()
    ]
