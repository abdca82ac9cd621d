"""Reading seccomp profiles from JSON: docker's files, and `linux.seccomp` of the runtime spec.

The runtime spec's config-linux.md, "Seccomp". Docker's own: rules that hold only with some
capabilities, processors or kernels (`includes`, `excludes`), `archMap`, `name`; podman's: errno
by name. What chrun does not know is an error: a misspelt word in a fence is a hole.
"""

from __future__ import annotations

import errno

from chrun.errors import ContentError
from chrun.oci.document import Document
from chrun.oci.seccomp.profile import (
    ALL_BITS,
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    TRACE,
    TRAP,
    Case,
    Condition,
    Rule,
    make_profile,
)
from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Final

    from chrun.oci.seccomp.profile import Operator, Profile

ACTIONS: Final = {
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": TRAP,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_TRACE": TRACE,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_ALLOW": ALLOW,
}
OPERATORS: Final[dict[str, Operator]] = {
    "SCMP_CMP_NE": "!=",
    "SCMP_CMP_LT": "<",
    "SCMP_CMP_LE": "<=",
    "SCMP_CMP_EQ": "==",
    "SCMP_CMP_GE": ">=",
    "SCMP_CMP_GT": ">",
}
MASKED_EQUAL = "SCMP_CMP_MASKED_EQ"

# A machine by the name of uname(2): what the runtime spec and docker's `arches` call it
_ARCHITECTURES = {
    "x86_64": ("SCMP_ARCH_X86_64", "amd64"),
    "aarch64": ("SCMP_ARCH_AARCH64", "arm64"),
}
# What docker's `arches` may be: Go's names
_GO_ARCHITECTURES = {
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mips64n32",
    "mips64n32le", "mipsel", "mipsel64", "mipsel64n32", "mipsle", "ppc", "ppc64", "ppc64le",
    "riscv64", "s390", "s390x", "x32", "x86",
}  # fmt: skip
_COMMENTS = {"comment", "$comment", "$schema"}
_TOP_FIELDS = {
    "defaultAction", "defaultErrnoRet", "defaultErrno", "architectures", "archMap", "flags",
    "syscalls", "listenerPath", "listenerMetadata",
}  # fmt: skip
_RULE_FIELDS = {
    "names", "name", "action", "errnoRet", "errno", "args", "includes", "excludes",
}  # fmt: skip
_MAX_ERRNO = 4095  # linux/err.h: what is larger is no errno to a program
_LAST_ARGUMENT = 5
_DIGITS = 20  # of a kernel's version


class Situation(Value):
    """What rules may depend on: the machine by uname(2), its kernel, and the bounding set.

    `known_names` are the system calls of all processors, `known_capabilities` all there are.
    """

    machine: str
    kernel: tuple[int, int]
    bounding: Collection[str]
    known_names: Collection[str]
    known_capabilities: Collection[str]


def read_profile(what: str, content: bytes, situation: Situation) -> Profile:
    """Read a profile for one container; `what` names it in errors, which are ContentError."""
    document = Document.parse(what, content)
    _check_fields(document, _TOP_FIELDS)
    _check_architectures(document, situation.machine)
    _check_listener(document)
    default = _answer(document, "defaultAction", ("defaultErrnoRet", "defaultErrno"))
    rules: list[Rule] = []
    for described in document.documents("syscalls"):
        read = tuple(_rules(described))  # all of it is checked, also what does not hold here
        _check_names(described, read, default, situation.known_names)
        if _holds(described, situation):
            rules += read
    unknown = default if default in {ALLOW, LOG} else ERRNO | errno.ENOSYS
    return make_profile(rules, default, unknown, KILL_PROCESS)


def _check_fields(document: Document, known: set[str]) -> None:
    if unknown := sorted(document.fields.keys() - known - _COMMENTS):
        raise ContentError(f"cannot read {document.what}: unknown field {unknown[0]!r:.80}")


def _check_architectures(document: Document, machine: str) -> None:
    """Other ABIs than the machine's own are refused whatever a profile says of them."""
    listed = document.texts("architectures")
    if listed and "archMap" in document:
        raise ContentError(
            f"cannot read {document.what}: both architectures and archMap, expected one of them"
        )
    for described in document.documents("archMap"):
        _check_fields(described, {"architecture", "subArchitectures"})
        described.text("architecture")
        described.texts("subArchitectures")
    own, _ = _ARCHITECTURES[machine]
    if listed and own not in listed:
        raise ContentError(
            f"cannot read {document.what}: it is for {', '.join(listed)}, this machine is {own}"
        )


def _check_listener(document: Document) -> None:
    for name in ("listenerPath", "listenerMetadata"):
        if name in document:
            raise ContentError(
                f"cannot read {document.what}: {name} wants a listener, and chrun has none"
            )
    for flag in document.texts("flags"):
        if flag != "SECCOMP_FILTER_FLAG_TSYNC":  # a container starts with a single thread
            raise ContentError(f"cannot read {document.what}: chrun does not set {flag!r:.80}")


def _answer(document: Document, field: str, errno_fields: tuple[str, str]) -> int:
    """Read an action with its errno, which is EPERM where none is given."""
    name = document.text(field)
    if name not in ACTIONS:
        what = "chrun has no listener for it" if name == "SCMP_ACT_NOTIFY" else "unknown action"
        raise ContentError(f"cannot read {document.what}: {field} is {name!r:.80}: {what}")
    answer = ACTIONS[name]
    number = _errno(document, errno_fields)
    if answer in {ERRNO, TRACE}:
        return answer | (errno.EPERM if number is None else number)
    if number is not None:
        raise ContentError(f"cannot read {document.what}: {name} has no errno")
    return answer


def _errno(document: Document, fields: tuple[str, str]) -> int | None:
    """Read an errno by number, else by name; podman's profiles have both."""
    by_number, by_name = fields
    if by_number in document:
        number = document.integer(by_number, most=_MAX_ERRNO)
    elif by_name in document:
        name = document.text(by_name)
        found: object = getattr(errno, name, None) if name.startswith("E") else None
        if not isinstance(found, int):
            raise ContentError(f"cannot read {document.what}: {by_name} is {name!r:.80}")
        number = found
    else:
        return None
    return number


def _rules(described: Document) -> Iterator[Rule]:
    """Read one entry of `syscalls`.

    Conditions on several arguments must all hold. Several on the same argument are alternatives:
    so runc reads them, because libseccomp has only one comparison an argument.
    """
    _check_fields(described, _RULE_FIELDS)
    names = described.texts("names")
    if "name" in described:
        if names:
            raise ContentError(f"cannot read {described.what}: both name and names")
        names = (described.text("name"),)
    answer = _answer(described, "action", ("errnoRet", "errno"))
    conditions = tuple(map(_condition, described.documents("args")))
    if len({condition.index for condition in conditions}) == len(conditions):
        yield Rule(names, Case(answer, conditions))
        return
    for condition in conditions:
        yield Rule(names, Case(answer, (condition,)))


def _condition(described: Document) -> Condition:
    _check_fields(described, {"index", "value", "valueTwo", "op"})
    index = described.integer("index", most=_LAST_ARGUMENT)
    value = described.integer("value", 0, most=ALL_BITS)
    second = described.integer("valueTwo", 0, most=ALL_BITS)
    operator = described.text("op")
    if operator == MASKED_EQUAL:
        return Condition(index, "==", second, value)
    if operator not in OPERATORS:
        raise ContentError(f"cannot read {described.what}: op is {operator!r:.80}")
    return Condition(index, OPERATORS[operator], value)


def _check_names(
    described: Document, rules: tuple[Rule, ...], default: int, known: Collection[str]
) -> None:
    """A name that exists nowhere allows nothing, but would also refuse nothing."""
    if default not in {ALLOW, LOG}:
        return
    for name in (name for rule in rules for name in rule.names):
        if name not in known:
            raise ContentError(
                f"cannot read {described.what}: chrun knows no system call {name!r:.80}, "
                "and cannot refuse it"
            )


def _holds(described: Document, situation: Situation) -> bool:
    """Say whether a rule holds here: docker's `includes` and `excludes`."""
    included = _facts(described.document("includes"), situation)
    excluded = _facts(described.document("excludes"), situation)
    return all(included) and not any(excluded)


def _facts(conditions: Document, situation: Situation) -> tuple[bool, ...]:
    """Say of each condition that is given whether it is so here."""
    _check_fields(conditions, {"caps", "arches", "minKernel"})
    needed, arches = conditions.texts("caps"), conditions.texts("arches")
    for names, known, what in (
        (needed, situation.known_capabilities, "capability"),
        (arches, _GO_ARCHITECTURES, "architecture"),
    ):
        for name in names:
            if name not in known:
                raise ContentError(f"cannot read {conditions.what}: {name!r:.80} is no {what}")
    facts = [name in situation.bounding for name in needed]
    _, own = _ARCHITECTURES[situation.machine]
    if arches:
        facts.append(own in arches)
    if text := conditions.text("minKernel", ""):
        facts.append(situation.kernel >= _kernel(conditions, text))
    return tuple(facts)


def _kernel(conditions: Document, text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    digits = major + minor
    if not (major and minor and digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS):
        raise ContentError(
            f"cannot read {conditions.what}: minKernel is {text!r:.80}, expected such as 4.8"
        )
    return int(major), int(minor)
