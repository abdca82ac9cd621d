"""Options as a table, from which both the parser and the help text come.

`chrun run` has a budget of three bare starts of Python; importing argparse costs one of them.
Docker's conventions: options end at the first operand, short flags can be bundled (`-it`).
"""

from __future__ import annotations

from chrun.errors import UsageError
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Option(Value):
    """One option: its spellings ("-e", "--env"), and what it means.

    `takes` is the name of its value, "" for a flag; a `repeated` one collects its values;
    `choices` are all that it takes.
    """

    spellings: tuple[str, ...]
    help: str
    takes: str = ""
    repeated: bool = False
    choices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The long spelling without dashes."""
        return self.spellings[-1].lstrip("-")

    @property
    def synopsis(self) -> str:
        """How it is written: `-m, --memory SIZE`."""
        return ", ".join(self.spellings) + (f" {self.takes}" if self.takes else "")

    @property
    def explanation(self) -> str:
        """What it means, and what it can be."""
        return f"{self.help}: {', '.join(self.choices)}" if self.choices else self.help


class Command(Value):
    """A command's usage line, what it does, and its options; `interspersed` as `ls` has them."""

    usage: str
    summary: str
    options: tuple[Option, ...]
    interspersed: bool = True

    def help_text(self) -> str:
        """Give the text of --help."""
        taken = any("-h" in option.spellings for option in self.options)
        help_option = _HELP.replace(spellings=_HELP.spellings[1:]) if taken else _HELP
        rows = [(option.synopsis, option.explanation) for option in (*self.options, help_option)]
        width = max(len(left) for left, _ in rows)
        listed = "\n".join(f"  {left:<{width}}  {right}" for left, right in rows)
        return f"usage: chrun {self.usage}\n\n{self.summary}\n\noptions:\n{listed}\n"


_HELP = Option(("-h", "--help"), "show this text")


class Parsed:
    """What the command line said: options by their long name, and the operands."""

    def __init__(self) -> None:
        self.given: dict[str, list[str]] = {}
        self.refused: set[str] = set()
        self.operands: tuple[str, ...] = ()

    def flag(self, name: str) -> bool:
        """Say whether a flag was given."""
        return name in self.given

    def refuses(self, name: str) -> bool:
        """Say whether a flag was given as `--flag=false`."""
        return name in self.refused

    def text(self, name: str, default: str = "") -> str:
        """Give the last value of an option."""
        return self.given[name][-1] if name in self.given else default

    def find_text(self, name: str) -> str | None:
        """Give the last value of an option, None when it was not given."""
        return self.given[name][-1] if name in self.given else None

    def texts(self, name: str) -> tuple[str, ...]:
        """Give all values of a repeated option."""
        return tuple(self.given.get(name, ()))


def parse_options(command: Command, words: Sequence[str]) -> Parsed:
    """Read a command's words; UsageError for what its table does not have."""
    by_spelling = {
        spelling: option for option in (_HELP, *command.options) for spelling in option.spellings
    }
    parsed = Parsed()
    operands: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            operands += rest
            break
        if len(word) < 2 or word[0] != "-":
            operands.append(word)
            if not command.interspersed:
                operands += rest
                break
            continue
        for option, value in _split_word(command, by_spelling, word):
            _give(parsed, option, value, rest)
    parsed.operands = tuple(operands)
    return parsed


def _split_word(
    command: Command, by_spelling: dict[str, Option], word: str
) -> list[tuple[Option, str | None]]:
    """Give the options in one word: `--name=value`, `--name`, `-it`, `-eNAME=value`."""
    if word.startswith("--"):
        spelling, equals, value = word.partition("=")
        return [(_known(command, by_spelling, spelling), value if equals else None)]
    found: list[tuple[Option, str | None]] = []
    for position, letter in enumerate(word[1:], 2):
        option = _known(command, by_spelling, f"-{letter}", word)
        if option.takes:
            found.append((option, word[position:].removeprefix("=") or None))
            break
        found.append((option, None))
    return found


def _known(
    command: Command, by_spelling: dict[str, Option], spelling: str, word: str = ""
) -> Option:
    """Give the option of a spelling, perhaps a part of a word such as -it; UsageError without."""
    if option := by_spelling.get(spelling):
        return option
    from chrun.guesses import guess

    near = guess(word or spelling, by_spelling)
    name = command.usage.split(" ", 1)[0]
    hint = f"did you mean {near}?" if near else f'see "chrun {name} --help"'
    if spelling == "--root":
        hint = f"it comes before the command: chrun --root DIRECTORY {name} ..."
    raise UsageError(f"cannot read the command line: {name} has no option {spelling}", hint=hint)


def _give(parsed: Parsed, option: Option, value: str | None, rest: list[str]) -> None:
    spelling = option.spellings[-1]
    if not option.takes:
        if value not in {None, "true", "false"}:
            raise UsageError(f"cannot read the command line: {spelling} takes no value")
        if value == "false":
            parsed.given.pop(option.name, None)
            parsed.refused.add(option.name)
        else:
            parsed.given[option.name] = []
            parsed.refused.discard(option.name)
        return
    if value is None:
        if not rest:
            raise UsageError(f"cannot read the command line: {spelling} needs a {option.takes}")
        value = rest.pop(0)
    if option.choices and value not in option.choices:
        raise UsageError(
            f"cannot read the command line: {spelling} is {value!r}, "
            f"expected {', '.join(option.choices)}"
        )
    kept = parsed.given.setdefault(option.name, [])
    if not option.repeated:
        kept.clear()
    kept.append(value)
