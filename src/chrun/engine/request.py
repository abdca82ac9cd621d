"""What a user asks for when a container is to run: the words of the command line, as a value."""

from __future__ import annotations

from chrun.errors import UsageError
from chrun.oci.convert import RUNGS
from chrun.oci.options import RunOptions
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from chrun.oci.convert import Rung
    from chrun.rootfs.rootfs import RootfsKind

    Isolation = Literal["auto"] | Rung
    RootfsChoice = Literal["auto"] | RootfsKind
    PullPolicy = Literal["missing", "always", "never"]
    UserNamespace = Literal["auto", "host", "single", "subuid"]

ISOLATIONS: tuple[Isolation, ...] = ("auto", *RUNGS)
PULL_POLICIES: tuple[PullPolicy, ...] = ("missing", "always", "never")
USERNS_MODES: tuple[UserNamespace, ...] = ("auto", "host", "single", "subuid")
_FACTORS = {"": 1, "b": 1} | {
    f"{letter}{rest}": 1 << 10 * power
    for power, letter in enumerate("kmgtp", 1)
    for rest in ("", "b", "ib")
}
_MAX_DIGITS = 40
_MAX_SIZE = (1 << 63) - 1


class RunRequest(Value):
    """One run. `image` is a reference, an image ID, or a path that starts with / or a dot.

    `user` "" is the image's; `name` and `keep` make a container that others can find, and one that
    stays; `scratch_bytes` puts its changes into memory, up to that size; `userns` "" is the best
    that works without being asked; `receipt` is a file for what the kernel enforces, `require`
    facts that it must show.
    """

    image: str
    options: RunOptions = RunOptions()
    user: str = ""
    name: str = ""
    isolation: Isolation = "auto"
    rootfs: RootfsChoice = "auto"
    scratch_bytes: int = 0
    keep: bool = False
    pull: PullPolicy = "missing"
    platform: str = ""
    userns: UserNamespace | Literal[""] = ""
    receipt: str = ""
    require: tuple[str, ...] = ()

    @property
    def is_path(self) -> bool:
        """Whether the image is a directory or an archive of this machine (the article's form)."""
        return self.image.startswith(("/", "./", "../")) or self.image in {".", ".."}

    @property
    def joins(self) -> bool:
        """Whether namespaces of other containers are joined, which are others every time."""
        asked = self.options.namespaces
        modes = (asked.network, asked.pid, asked.ipc, asked.uts)
        return any(mode.startswith("container:") for mode in modes)


def parse_hostname(name: str) -> str:
    """Check against hostname(7): 64 bytes of letters, digits, hyphens and dots; "" is allowed.

    It becomes part of /etc/hosts, which has a meaning for more than names.
    """
    plain = name.replace("-", "").replace(".", "")
    if len(name) > 64 or (name and not (plain.isascii() and plain.isalnum())):
        raise UsageError(f"cannot set host name {name[:80]!r}: see hostname(7)")
    return name


def parse_size(text: str) -> int:
    """Read a size as docker has it (go-units, RAMInBytes): 1.5g, 64m, 2GiB; bytes without a unit.

    UsageError for anything else, for what is less than a byte, and more than the kernel can count.
    """
    lowered = text.lower()
    number = lowered.rstrip("bikmgtp")
    factor = _FACTORS.get(lowered[len(number) :], 0)
    whole, _, part = number.removesuffix(" ").partition(".")
    digits = whole + part
    size = 0
    if digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS:
        size = int(digits) * factor // 10 ** len(part)
    if not size:
        raise UsageError(
            f"cannot read size {text[:80]!r}: expected a number with b, k, m, g, t or p behind it"
        )
    if size > _MAX_SIZE:
        raise UsageError(f"cannot use size {text[:80]!r}: the kernel cannot count that far")
    return size
