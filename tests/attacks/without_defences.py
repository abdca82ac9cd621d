"""Take each defence out, and see the tests of its attack fail.

    python -m tests.attacks.without_defences [WORD...]

WORDs choose the defences whose attack has one of them in its name. It works on a copy of the
checkout, with a virtual environment of its own, in which chrun-init is built anew where its source
was changed. At first, nothing is taken out: a test that fails then would prove nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from tests.attacks.defences import DEFENCES
from tests.support.images import TEST_IMAGES
from tests.support.needs import is_for_somebody_else

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.attacks.defences import Defence

_CHECKOUT = Path(__file__).resolve().parents[2]
_COPIED = (
    "LICENSE", "README.md", "meson.build", "meson.options", "native", "pyproject.toml", "src",
    "tests",
)  # fmt: skip
_TEST_SECONDS = 120
_WIDTH = 100
_ALL_PASSED, _SOME_FAILED = 0, 1  # pytest's exit statuses
_COMMAND = """#!{python}
import sys
from chrun.cli.main import main
sys.exit(main())
"""


class Checkout:
    """A copy of the checkout that can be changed, and chrun as it is there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "checkout"
        self._build = directory / "build"
        self._python = directory / "venv" / "bin" / "python"
        self._basetemps = (directory / f"tests-{number}" for number in count())
        self._restore(_COPIED)
        self._make_venv(directory / "venv")
        self._build_init()

    def play_without(self, defence: Defence) -> dict[str, str]:
        """Take a defence out, give how each of its tests failed ("" if not), and put it back."""
        changed = sorted({edit.path for edit in defence.edits})
        for edit in defence.edits:
            path = self._directory / edit.path
            path.write_text(path.read_text().replace(edit.old, edit.new))
        native = any(path.startswith("native/") for path in changed)
        if native:
            self._build_init()
        try:
            return {test: _failure(self.play([test])) for test in defence.tests}
        finally:
            self._restore(changed)
            if native:
                self._build_init()

    def play(self, tests: Iterable[str]) -> subprocess.CompletedProcess[str]:
        """Run tests until one fails."""
        basetemp = next(self._basetemps)  # not one for all: pytest could not empty it
        options = ("-q", "-x", "-p", "no:cacheprovider", f"--timeout={_TEST_SECONDS}",
                   f"--basetemp={basetemp}")  # fmt: skip
        done = subprocess.run(
            [self._python, "-m", "pytest", *options, *tests],
            cwd=self._directory,
            env={**os.environ, "CHRUN_TEST_IMAGES": str(TEST_IMAGES), "PYTHONPATH": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        _remove(basetemp)
        return done

    def _restore(self, paths: Sequence[str]) -> None:
        for path in paths:
            source, target = _CHECKOUT / path, self._directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(source, target)

    def _make_venv(self, directory: Path) -> None:
        """Make one that has this one's packages, but chrun and its command from the copy."""
        venv.create(directory, symlinks=True)
        packages = next(directory.glob("lib/python*/site-packages"))
        own = [path for path in sys.path if path.endswith("site-packages")]
        lines = [str(self._directory / "src"), *own]
        (packages / "checkout.pth").write_text("".join(f"{line}\n" for line in lines))
        command = directory / "bin" / "chrun"
        command.write_text(_COMMAND.format(python=self._python))
        command.chmod(0o755)

    def _build_init(self) -> None:
        if not self._build.exists():
            self._run("meson", "setup", "-Dbuildtype=release", self._build, self._directory)
        self._run("meson", "compile", "-C", self._build)
        program = self._directory / "src" / "chrun" / "chrun-init"
        made = shutil.copy(self._build / "native" / "chrun-init", program.with_suffix(".new"))
        Path(made).rename(program)  # a test that failed may have left the old one running

    def _run(self, *command: str | Path) -> None:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")


def main(words: Sequence[str]) -> int:
    """Play the defences that the words choose, and print how each went."""
    chosen = [
        defence
        for defence in DEFENCES
        if not is_for_somebody_else({defence.who})
        and (not words or any(word in defence.attack for word in words))
    ]
    if not chosen:
        print("without_defences: there are none for this user")
        return 0
    directory = Path(mkdtemp(prefix="chrun-"))
    try:
        return _play(Checkout(directory), chosen)
    finally:
        _remove(directory)


def _play(checkout: Checkout, chosen: Sequence[Defence]) -> int:
    done = checkout.play(dict.fromkeys(test for each in chosen for test in each.tests))
    if done.returncode != _ALL_PASSED:
        print(done.stdout)
        print("without_defences: a test fails with all defences in place")
        return 1
    held = [_show(defence, checkout.play_without(defence)) for defence in chosen]
    return 0 if all(held) else 1


def _remove(directory: Path) -> None:
    """Remove a directory, but for what subordinate ids own in it: that is left to tools/as-user."""
    shutil.rmtree(directory, ignore_errors=True)


def _failure(done: subprocess.CompletedProcess[str]) -> str:
    """Give the line in which pytest says what was not as asserted; "" when no test failed.

    An error before the test, in what it needs, shows nothing of the defence.
    """
    *_, summary = done.stdout.splitlines() or [""]
    if done.returncode != _SOME_FAILED or not ("failed" in summary or "passed" in summary):
        return ""
    said = [line for line in done.stdout.splitlines() if line.startswith("E  ")]
    return said[0][1:].strip() if said else "failed"


def _show(defence: Defence, failures: Mapping[str, str]) -> bool:
    print(f"{defence.attack}\n  without {defence.removed}")
    for test, failure in failures.items():
        said = failure[:_WIDTH] or "PASSES ALL THE SAME"
        print(f"    {test.partition('::')[2]}: {said}", flush=True)
    return all(failures.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
