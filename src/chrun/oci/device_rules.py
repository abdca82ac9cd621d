"""Which devices a container may make, read and write: runtime-spec config-linux.md.

Imported only for a container that is given devices or may make some. Pure.
"""

from __future__ import annotations

from chrun.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from chrun.oci.spec import Device

ANY = -1


class Rule(Value):
    """What is allowed with devices of a kind; a number of ANY is all numbers."""

    kind: str
    major: int
    minor: int
    access: str

    def __str__(self) -> str:
        major, minor = (
            "*" if number == ANY else str(number) for number in (self.major, self.minor)
        )
        return f"{self.kind} {major}:{minor} {self.access}"


# As docker: any node may be made, for archives have them in them; what may be used is what every
# container has, and the terminals of its own devpts. Not docker's 5:1, the machine's console: a
# container's is one of its own terminals.
DEFAULT_RULES = (
    Rule("c", ANY, ANY, "m"),
    Rule("b", ANY, ANY, "m"),
    *(Rule("c", 1, minor, "rwm") for minor in (3, 5, 7, 8, 9)),
    *(Rule("c", 5, minor, "rwm") for minor in (0, 2)),
    Rule("c", 136, ANY, "rwm"),
)


def rules_for(devices: Iterable[Device]) -> tuple[Rule, ...]:
    """Give what is allowed in a container that was given devices; what was said of one holds."""
    given = {
        (each.kind, each.major, each.minor): Rule(each.kind, each.major, each.minor, each.access)
        for each in devices
    }
    common = (rule for rule in DEFAULT_RULES if (rule.kind, rule.major, rule.minor) not in given)
    return (*common, *given.values())


def is_everybodys(device: Device) -> bool:
    """Say whether every container may use a device, by whatever name: null and its like."""
    numbers = (device.kind, device.major, device.minor)
    return any((rule.kind, rule.major, rule.minor) == numbers for rule in DEFAULT_RULES)


def rules_json(rules: tuple[Rule, ...]) -> list[dict[str, object]]:
    """Give `linux.resources.devices`: all is denied but what the rules allow; without, nothing."""
    if not rules:
        return [{"allow": True, "access": "rwm"}]
    return [{"allow": False, "access": "rwm"}, *map(_allowed, rules)]


def _allowed(rule: Rule) -> dict[str, object]:
    allowed: dict[str, object] = {"allow": True, "type": rule.kind, "access": rule.access}
    if rule.major != ANY:
        allowed["major"] = rule.major
    if rule.minor != ANY:
        allowed["minor"] = rule.minor
    return allowed
