"""Writing profiles as `linux.seccomp` of the runtime spec, for other runtimes to read.

Libseccomp compares an argument with one number, in 64 bits, and says nothing of rules with
different answers that both fit. So what does not fit into one of its comparisons is written as
several, which look at the same bits: exactly the same calls are allowed.
"""

from __future__ import annotations

from itertools import islice

from chrun.errors import UnsupportedError
from chrun.oci.seccomp.documents import ACTIONS, MASKED_EQUAL, OPERATORS
from chrun.oci.seccomp.profile import ALL_BITS, ANSWER_DATA, ERRNO, TRACE, Case

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chrun.oci.seccomp.profile import Condition, Profile

    # What some bits of an argument are: (mask, bits), by the argument's index; all must be so
    Bits = dict[int, tuple[int, int]]

_NAMES = {answer: name for name, answer in ACTIONS.items() if name != "SCMP_ACT_KILL"}
_OPERATOR_NAMES = {operator: name for name, operator in OPERATORS.items()}
_MOST_RULES = 4096
_OPPOSITES = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def profile_json(profile: Profile) -> dict[str, object]:
    """Give `linux.seccomp`; other ABIs than the native one are refused for not being listed.

    UnsupportedError for conditions that take thousands of comparisons of libseccomp's.
    """
    names: dict[tuple[Case, ...], list[str]] = {}
    for name, cases in profile.calls.items():
        names.setdefault(cases, []).append(name)
    action, number = _action(profile.default)
    return {
        "defaultAction": action,
        **({} if number is None else {"defaultErrnoRet": number}),
        "syscalls": [
            entry
            for cases, called in names.items()
            for entry in _entries(sorted(called), cases, profile.default)
        ],
    }


def _action(answer: int) -> tuple[str, int | None]:
    kind = answer & ~ANSWER_DATA
    return _NAMES[kind], answer & ANSWER_DATA if kind in {ERRNO, TRACE} else None


def _entries(
    names: list[str], cases: tuple[Case, ...], default: int
) -> Iterator[dict[str, object]]:
    """Write the cases of some calls as rules of which no two with different answers overlap."""
    for position, case in enumerate(cases):
        earlier = [
            other
            for other in cases[:position]
            if other.answer != case.answer and not _contradict(other, case)
        ]
        if case.answer == default:
            continue
        action, number = _action(case.answer)
        alternatives = list(islice(_alternatives(case, earlier), _MOST_RULES + 1))
        if len(alternatives) > _MOST_RULES:
            raise UnsupportedError(
                f"cannot write the filter of {', '.join(names)} for other runtimes: "
                f"it takes more than {_MOST_RULES} rules"
            )
        for arguments in alternatives:
            yield {
                "names": names,
                "action": action,
                **({} if number is None else {"errnoRet": number}),
                **({"args": arguments} if arguments else {}),
            }


def _alternatives(case: Case, earlier: list[Case]) -> Iterator[list[dict[str, object]]]:
    """Give the argument lists under any of which a case counts, and no earlier one does."""
    indexes = [condition.index for condition in case.conditions]
    if not earlier and len(set(indexes)) == len(indexes) and all(map(_is_plain, case.conditions)):
        yield [_comparison(condition) for condition in case.conditions]
        return
    found: Iterable[Bits] = [{}]
    for condition in case.conditions:
        found = _meet(found, (condition,))
    for other in earlier:
        found = _meet(found, tuple(map(_opposite, other.conditions)))
    for known in found:
        yield [_masked(index, mask, bits) for index, (mask, bits) in sorted(known.items())]


def _contradict(one: Case, other: Case) -> bool:
    """Return whether some bits of an argument must be this in one case and that in the other."""
    return any(
        first.index == second.index
        and first.operator == second.operator == "=="
        and (first.operand ^ second.operand) & first.mask & second.mask
        for first in one.conditions
        for second in other.conditions
    )


def _is_plain(condition: Condition) -> bool:
    return condition.mask == ALL_BITS or condition.operator == "=="


def _opposite(condition: Condition) -> Condition:
    return condition.replace(operator=_OPPOSITES[condition.operator])


def _comparison(condition: Condition) -> dict[str, object]:
    if condition.mask != ALL_BITS:
        return _masked(condition.index, condition.mask, condition.operand)
    operator = _OPERATOR_NAMES[condition.operator]
    return {"index": condition.index, "value": condition.operand, "op": operator}


def _masked(index: int, mask: int, bits: int) -> dict[str, object]:
    return {"index": index, "value": mask, "valueTwo": bits, "op": MASKED_EQUAL}


def _patterns(condition: Condition) -> Iterator[tuple[int, int]]:
    """Give the bit patterns, (mask, bits), that together fit what the condition fits.

    What is not equal to a number, or less, or greater, differs from it first in some bit, counted
    from the left: one pattern for each such bit.
    """
    operator = condition.operator
    known = bits = 0
    for position in reversed(range(64)):
        bit = 1 << position
        expected = condition.operand & bit
        decides = operator == "!=" or operator[0] == ("<" if expected else ">")
        if condition.mask & bit:
            known |= bit
            if decides:
                yield known, bits | (expected ^ bit)
            bits |= expected
        elif expected:  # what the mask hides is 0 and never equal to it
            if decides:
                yield known, bits
            return
    if operator in {"==", "<=", ">="}:
        yield known, bits


def _meet(found: Iterable[Bits], conditions: tuple[Condition, ...]) -> Iterator[Bits]:
    """Give what fits one of each: pairs that contradict each other fit nothing."""
    for known in found:
        for condition in conditions:
            for mask, bits in _patterns(condition):
                met = _with(known, condition.index, mask, bits)
                if met is not None:
                    yield met


def _with(known: Bits, index: int, mask: int, bits: int) -> Bits | None:
    mask_before, bits_before = known.get(index, (0, 0))
    if (bits_before ^ bits) & mask_before & mask:
        return None
    return {**known, index: (mask_before | mask, bits_before | bits)}
