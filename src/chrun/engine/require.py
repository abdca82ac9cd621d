"""Facts that `--require` asks for: their grammar, and whether a receipt shows them.

    fact = NAME | NAME "=" WORD | NAME "<=" NUMBER        docs/reference/receipt.md lists them

They mean what the kernel shows of the process that is about to run, not what was asked for.
"""

from __future__ import annotations

import math

from chrun.engine.request import parse_size
from chrun.errors import UsageError
from chrun.linux import caps
from chrun.oci.convert import DEFAULT_CAPABILITIES, RUNGS
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from chrun.oci.convert import Rung
    from chrun.runtime.receipt import Receipt

    Check = Callable[["Receipt"], str]  # what was found instead, "" when the fact is shown
    Reader = Callable[[str], tuple[str, Check]]  # what to expect, and how to look for it

_STDIO = (0, 1, 2)
_MOST_DIGITS = 20
# What the kernel puts into every new network namespace once their modules are loaded. Nothing goes
# through them before an administrator of the namespace gives them an address.
_FALLBACK_INTERFACES = frozenset(
    {
        "erspan0", "gre0", "gretap0", "ip6_vti0", "ip6erspan0", "ip6gre0", "ip6gretap0", "ip6tnl0",
        "ip_vti0", "lo", "sit0", "tunl0",
    }
)  # fmt: skip


class Fact(Value):
    """One fact that is required: its text, what it expects in words, and how to look for it."""

    text: str
    expected: str
    find_fault: Check


class Finding(Value):
    """Whether a receipt shows a fact; `found` says what it shows instead, "" when it does."""

    fact: Fact
    found: str

    @property
    def holds(self) -> bool:
        """Whether the fact is shown."""
        return not self.found


def parse_facts(words: tuple[str, ...]) -> tuple[Fact, ...]:
    """Read the words of --require, with commas between facts; UsageError for an unknown one.

    An empty one is unknown, too: a variable that is not set must not mean that nothing is required.
    """
    return tuple(_parse_fact(text.strip()) for word in words for text in word.split(","))


def check(receipt: Receipt, facts: tuple[Fact, ...]) -> tuple[Finding, ...]:
    """Look for each fact in a receipt."""
    return tuple(Finding(fact, fact.find_fault(receipt)) for fact in facts)


def shown_rung(receipt: Receipt) -> str:
    """Give the highest rung of the isolation ladder that the kernel shows, "none" below chroot."""
    shown = "none"
    for rung in RUNGS:
        if _below_rung(receipt, rung):
            break
        shown = rung
    return shown


def _parse_fact(text: str) -> Fact:
    if text in _PLAIN:
        return Fact(text, *_PLAIN[text])
    for mark, readers in (("<=", _AT_MOST), ("=", _EQUAL)):
        name, found, word = text.partition(mark)
        if found and name in readers:
            return Fact(text, *readers[name](word))
    from chrun.guesses import guess

    known = (*_PLAIN, *(f"{name}=" for name in _EQUAL), *(f"{name}<=" for name in _AT_MOST))
    near = guess(text.replace("<", "=").partition("=")[0], known)
    raise UsageError(
        f"cannot require {text[:80]!r}: there is no such fact",
        hint=f"did you mean {near}?" if near else f"the facts are {', '.join(known)}",
    )


def _own_namespace(name: str) -> tuple[str, Check]:
    def find_fault(receipt: Receipt) -> str:
        if receipt.process.owns(name):
            return f"another container's {name} namespace" if name in receipt.context.joined else ""
        known = any(namespace.type == name for namespace in receipt.process.namespaces)
        return f"the caller's {name} namespace" if known else f"a kernel without {name} namespaces"

    return f"a {name} namespace of its own", find_fault


def _seccomp(receipt: Receipt) -> str:
    if receipt.own_filters > 0:
        return ""
    held = receipt.process.seccomp
    if held.mode != "filter":
        return "no system call filter"
    if held.count is None:
        return "filters that this kernel does not count"
    if receipt.context.pretending:
        return "only the filter that lets chown succeed, which forbids nothing"
    return "only filters that the caller has too"


def _listed(receipt: Receipt) -> str:
    return _seccomp(receipt) or (
        "" if receipt.context.listed else "a filter that is not chrun's list"
    )


def _no_new_privileges(receipt: Receipt) -> str:
    return "" if receipt.process.no_new_privileges else "no_new_privs is not set"


def _landlock(receipt: Receipt) -> str:
    if receipt.context.landlock:
        return ""
    return "a plan without it" if receipt.kernel.landlock else "a kernel without it"


def _readonly(receipt: Receipt) -> str:
    return "" if receipt.root_readonly else "a root file system that can be written to"


def _limits(receipt: Receipt) -> str:
    own = receipt.own_limits
    missing = [name for name in ("memory", "pids") if getattr(own, name) is None]
    return f"no limit of its own for {' and '.join(missing)}" if missing else ""


def _masked(receipt: Receipt) -> str:
    shut = ("absent", "hidden", "read-only")
    for seen in (*receipt.masked, *receipt.readonly):
        if seen.state not in shut:
            return f"{seen.path} is {seen.state}"
    return ""


def _descriptors(receipt: Receipt) -> str:
    more = [item for item in receipt.process.descriptors if item.number not in _STDIO]
    return ", ".join(f"{item.number} ({item.target})" for item in more)


def _nonroot(receipt: Receipt) -> str:
    process = receipt.process
    if all(process.inside("uid", uid) not in {0, None} for uid in process.uids.all):
        return ""
    return "user 0"


def _may_have(receipt: Receipt) -> frozenset[str]:
    """Give the capabilities that it has, or can still gain by executing a file."""
    process = receipt.process
    sets = process.capabilities
    held = {*sets.effective, *sets.permitted, *sets.inheritable, *sets.ambient}
    return frozenset(held if process.no_new_privileges else {*held, *sets.bounding})


def _capabilities(word: str) -> tuple[str, Check]:
    if word != "none":
        raise UsageError(f"cannot require 'caps={word[:80]}': expected caps=none")
    return "no capability, and none to gain", _no_capability


def _no_capability(receipt: Receipt) -> str:
    return _some(_may_have(receipt))


def _not_capability(word: str) -> tuple[str, Check]:
    name = word.upper() if word.upper().startswith("CAP_") else f"CAP_{word.upper()}"
    if name not in caps.NAMES:
        raise UsageError(f"cannot require 'nocap={word[:80]}': no such capability")

    def find_fault(receipt: Receipt) -> str:
        return name if name in _may_have(receipt) else ""

    return f"no {name}, and no way to gain it", find_fault


def _network(word: str) -> tuple[str, Check]:
    kinds = {
        "none": ("a network namespace of its own with nothing but lo", _no_network),
        "private": _own_namespace("network"),
        "host": ("the caller's network namespace", _hosts_network),
    }
    if word not in kinds:
        raise UsageError(f"cannot require 'net={word[:80]}': expected {', '.join(kinds)}")
    return kinds[word]


def _no_network(receipt: Receipt) -> str:
    process = receipt.process
    if fault := _own_namespace("network")[1](receipt):
        return fault
    return ", ".join(name for name in process.interfaces if name not in _FALLBACK_INTERFACES)


def _hosts_network(receipt: Receipt) -> str:
    return "a network namespace of its own" if receipt.process.owns("network") else ""


def _user(word: str) -> tuple[str, Check]:
    readable = word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS
    number = int(word) if readable else -1
    if number < 0:
        raise UsageError(f"cannot require 'uid={word[:80]}': expected a number")

    def find_fault(receipt: Receipt) -> str:
        process = receipt.process
        inside = {process.inside("uid", uid) for uid in process.uids.all}
        return "" if inside == {number} else "uid " + ", ".join(sorted(map(str, inside)))

    return f"user {number} inside", find_fault


def _rung(word: str) -> tuple[str, Check]:
    rung = next((rung for rung in RUNGS if rung == word), None)
    if rung is None:
        raise UsageError(f"cannot require 'rung={word[:80]}': expected {', '.join(RUNGS)}")

    rungs = RUNGS[: RUNGS.index(rung) + 1]

    def find_fault(receipt: Receipt) -> str:
        return next(filter(None, (_below_rung(receipt, each) for each in rungs)), "")

    return f"all that the rung {rung} stands for", find_fault


def _below_rung(receipt: Receipt, rung: Rung) -> str:
    """Give what a rung adds to the one below and the kernel does not show, "" when it does."""
    return next(filter(None, (find_fault(receipt) for find_fault in _RUNG_FACTS[rung])), "")


def _root_directory(receipt: Receipt) -> str:
    return "" if receipt.process.own_root else "the caller's root directory"


def _no_more_than_default(receipt: Receipt) -> str:
    return _some(_may_have(receipt) - frozenset(DEFAULT_CAPABILITIES))


def _some(names: frozenset[str]) -> str:
    """Name capabilities in their order, at most three."""
    ordered = sorted(names)
    more = len(ordered) - 3
    return ", ".join(ordered[:3]) + (f" and {more} more" if more > 0 else "")


def _memory(word: str) -> tuple[str, Check]:
    return _at_most("memory", parse_size(word), "bytes of memory")


def _pids(word: str) -> tuple[str, Check]:
    return _at_most("pids", _amount("pids", word), "processes")


def _cpus(word: str) -> tuple[str, Check]:
    return _at_most("cpus", _amount("cpus", word), "processors")


def _amount(name: str, word: str) -> float:
    try:
        amount = float(word)
    except ValueError:
        amount = math.nan
    if not 0 < amount < math.inf:
        raise UsageError(f"cannot require '{name}<={word[:80]}': expected a number")
    return amount


def _at_most(name: str, most: float, unit: str) -> tuple[str, Check]:
    def find_fault(receipt: Receipt) -> str:
        limit: float | None = getattr(receipt.limits, name)
        if limit is None:
            return "no limit"
        return "" if limit <= most else f"a limit of {limit:.12g}"

    return f"at most {most:.12g} {unit}", find_fault


_PLAIN: dict[str, tuple[str, Check]] = {
    "userns": _own_namespace("user"),
    "mountns": _own_namespace("mount"),
    "pidns": _own_namespace("pid"),
    "netns": _own_namespace("network"),
    "ipcns": _own_namespace("ipc"),
    "utsns": _own_namespace("uts"),
    "cgroupns": _own_namespace("cgroup"),
    "seccomp": ("a system call filter of its own", _seccomp),
    "nnp": ("no_new_privs", _no_new_privileges),
    "landlock": ("a restriction by Landlock", _landlock),
    "readonly": ("a read-only root file system", _readonly),
    "limits": ("limits of its own for memory and pids", _limits),
    "masked": ("what tells of the machine hidden, what changes it read-only", _masked),
    "fds": ("no descriptor but 0, 1 and 2", _descriptors),
    "nonroot": ("another user than 0 inside", _nonroot),
}
_EQUAL: dict[str, Reader] = {
    "caps": _capabilities,
    "net": _network,
    "nocap": _not_capability,
    "rung": _rung,
    "uid": _user,
}
_AT_MOST: dict[str, Reader] = {"memory": _memory, "pids": _pids, "cpus": _cpus}

# What each rung adds to the one below it.
_RUNG_FACTS: dict[Rung, tuple[Check, ...]] = {
    "chroot": (_root_directory, _descriptors),
    "namespaces": tuple(_own_namespace(name)[1] for name in ("mount", "pid", "ipc", "uts")),
    "confined": (_no_new_privileges, _listed, _no_more_than_default, _masked),
    "sealed": (
        _readonly,
        _no_network,
        _no_capability,
        _landlock,
        _limits,
    ),
}
