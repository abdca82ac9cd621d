"""Make the machine, boot it once for each guise, and exit as its tests did."""

from __future__ import annotations

import os
import shutil
import sys

from tests.vm.guises import GUISES, Guise
from tests.vm.image import CHECKOUT, make_image
from tests.vm.machine import boot
from tests.vm.userland import make_userland

_BUILD = CHECKOUT / "build" / "vm"


def main(words: list[str]) -> int:
    """Play all guises, or the tests that `words` name in the guise that they name."""
    guises = [guise for guise in GUISES if not words or guise.name == words[0]]
    if not guises:
        sys.exit(f"no such guise: {words[0]} (of {', '.join(guise.name for guise in GUISES)})")
    if lack := _lack():
        print(f"make: the tests for a virtual machine are left out: {lack}")
        return 1 if os.environ.get("CI") else 0
    userland, kernel = make_userland(_BUILD)
    image = make_image(userland, _BUILD)
    statuses = []
    for guise in guises:
        chosen = guise.replace(tests=_for_all(guise, tuple(words[1:]))) if words[1:] else guise
        print(f"in a virtual machine: {guise.name}, Linux {kernel.name.partition('-')[2]}")
        statuses.append(boot(kernel, image, chosen.append, seconds=guise.seconds))
    return max(statuses)


def _lack() -> str:
    if os.uname().machine != "x86_64":
        return "it is an amd64"
    return "" if shutil.which("apt-get") else "it is made of Debian's packages, by apt-get"


def _for_all(guise: Guise, tests: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((user, tests) for user, _ in guise.tests)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
