"""The `chrun` command: finds the subcommand, catches errors, chooses the exit code."""

from __future__ import annotations

import errno
import gc
import os
import sys

from chrun.errors import ChrunError, CommandNotExecutableError, CommandNotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

    Runner = Callable[[Sequence[str], str], int]

# Exit codes of chrun itself; a container's own are passed on (design, section 7).
FAILED, NOT_EXECUTABLE, NOT_FOUND, INTERRUPTED = 125, 126, 127, 130

# What a write to standard output fails with, which has no name; most failures of other files have
# their words where these are opened.
_OUTPUT_FAILURES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

_EXHAUSTED = {
    errno.EMFILE: "ulimit -n raises how many one process may have open",
    errno.ENFILE: "as root: sysctl fs.file-max raises how many this machine may have open",
    errno.ENOMEM: "",
}

# Objects between two collections of garbage: a start makes modules and classes, which stay, and
# looking through them a dozen times was a fifteenth of it.
_FEW_COLLECTIONS = 50_000

# Each command is one module of this package with a function `run(words, root)`.
COMMANDS = {
    "run": "run a command in a container of its own",
    "pull": "fetch an image from a registry",
    "images": "list the images that are here",
    "rmi": "remove images",
    "volume": "make, list, look at and remove named volumes",
    "prune": "remove what no image and no container needs",
    "info": "tell what this machine allows, what not, why, and what would mend it",
    "explain": "tell what run would do, step by step, and run nothing",
    "version": "tell the version",
}

_USAGE = """usage: chrun [--root DIRECTORY] COMMAND ...

Runs any container image on any Linux machine with nothing running.

commands:
{commands}

options:
  --root DIRECTORY  where images and containers are kept (or CHRUN_HOME)
  --help, --version

environment:
  CHRUN_HOME                 the same as --root
  CHRUN_INSECURE_REGISTRIES  registries, between commas, that may be asked over plain HTTP
  CHRUN_REGISTRY_TIMEOUT     how long an answer of a registry may take: 120s
  CHRUN_LOWEST_SPEED         how slow a layer may come: 30k/30s, or 0 for any speed
  CHRUN_DEBUG                1 prints the whole of it when chrun itself has a bug

"chrun COMMAND --help" tells more.
"""


def main() -> int:
    """Run the command line in sys.argv and give the exit code."""
    gc.set_threshold(_FEW_COLLECTIONS)
    try:
        _prepare_streams()
        os.umask(0o022)  # the store's modes are chosen; a tighter mask would lock its user out
        status = _main(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _end_by_sigpipe()
    except Exception as error:  # noqa: BLE001 - a bug is told, too: above is nothing but Python
        return _fail(error)
    return status


def _fail(error: Exception) -> int:
    """Print what happened, and give the exit code."""
    told = error if isinstance(error, ChrunError) else _common_failure(error)
    if told is None:
        from chrun.cli.bugs import bug_text, trace_text

        _print_error(trace_text(error) + bug_text(error))
        return FAILED
    from chrun.cli.output import error_text

    _print_error(error_text(told))
    return _exit_code(told)


def _common_failure(error: Exception) -> ChrunError | None:
    """Give the words for what any program runs into; None for what its place should have told."""
    if isinstance(error, MemoryError):
        return ChrunError("cannot go on: not enough memory")
    if not isinstance(error, OSError):
        return None
    reason = (error.strerror or "").lower()
    if error.errno in _EXHAUSTED:
        return ChrunError(f"cannot go on: {reason}", hint=_EXHAUSTED[error.errno])
    if error.errno in _OUTPUT_FAILURES and error.filename:
        return ChrunError(f"cannot use {error.filename}: {reason}")
    if error.errno in _OUTPUT_FAILURES:
        _give_up(sys.stdout)
        return ChrunError(f"cannot write to standard output: {reason}")
    return None


def _prepare_streams() -> None:
    """Open /dev/null for those of 0, 1 and 2 that the caller closed; print whatever there is.

    Or the next file that is opened is called so: a lock, say, which a container would then be given
    as its standard output. Names of files need not be UTF-8, nor a user's locale.
    """
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            setattr(sys, name, open(fd, "r" if fd == 0 else "w", encoding="utf-8"))  # noqa: SIM115 - for good
    whole = sys.stdout.encoding.lower().replace("-", "") == "utf8"
    reconfigure: Callable[..., None] = getattr(sys.stdout, "reconfigure")  # noqa: B009 - of TextIO's only implementation
    reconfigure(errors="surrogateescape" if whole else "backslashreplace")


def _end_by_sigpipe() -> int:
    """End as other programs do when nobody reads on, as in `chrun images | head -1`.

    Python ignores the signal, so as to tell of sockets by an exception. The exit status, for a
    caller who has blocked it, is the one that a shell gives.
    """
    import signal

    _give_up(sys.stdout)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
    return 128 + signal.SIGPIPE


def _give_up(stream: TextIO) -> None:
    """Whoever should take our output does not; a second failure at exit would say so again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _main(words: Sequence[str]) -> int:
    root, words = _split_root(words)
    if not words or words[0] in {"-h", "--help", "help"}:
        sys.stdout.write(usage())
        return 0
    name, *rest = words
    if name == "--version":
        name = "version"
    if name not in COMMANDS:
        raise _unknown_command(name)
    return _runner(name)(rest, root)


def usage() -> str:
    """Give the text of `chrun --help`."""
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items())
    return _USAGE.format(commands=listed)


def _split_root(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Take `--root DIRECTORY` off the front; the default otherwise."""
    from chrun.store.layout import absolute, default_root

    option, equals, directory = words[0].partition("=") if words else ("", "", "")
    if option != "--root":
        return default_root(), words
    if not equals:
        directory, words = "".join(words[1:2]), words[1:]
    if not directory:
        raise UsageError("cannot read the command line: --root needs a DIRECTORY")
    return absolute(directory), words[1:]


def _runner(name: str) -> Runner:
    module = __import__(f"chrun.cli.{name}", fromlist=["run"])
    runner: Runner = module.run
    return runner


def _unknown_command(name: str) -> UsageError:
    from chrun.guesses import guess

    near = guess(name, COMMANDS)
    return UsageError(
        f"cannot read the command line: chrun has no command {name!r}",
        hint=f"did you mean {near}?" if near else 'see "chrun --help"',
    )


def _print_error(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:  # nobody reads it, or the disk is full: the exit code says it all the same
        _give_up(sys.stderr)


def _exit_code(error: ChrunError) -> int:
    if isinstance(error, CommandNotFoundError):
        return NOT_FOUND
    return NOT_EXECUTABLE if isinstance(error, CommandNotExecutableError) else FAILED
