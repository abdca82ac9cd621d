"""A plan in words: what will happen, in which order, and why."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chrun.runtime.plan import Plan


def explain_text(plan: Plan) -> Iterator[str]:
    """Give the numbered lines of a plan, each step with its reason below it."""
    for number, step in enumerate(plan.records, 1):
        yield f"{number:3}. {step.describe()}"
        yield f"     {step.why}"


def explain_json(plan: Plan) -> list[dict[str, object]]:
    """Give the plan as data: for each step its name, its words, its reason and its fields."""
    return [
        {
            "number": number,
            "step": type(step).__name__,
            "does": step.describe(),
            "why": step.why,
            "fields": {
                name: _plain(getattr(step, name))
                for name in type(step).fields
                if name not in step.spoken
            },
        }
        for number, step in enumerate(plan.records, 1)
    ]


def _plain(content: object) -> object:
    """Give what JSON can hold: text for bytes, hex for bytes that are none."""
    if isinstance(content, bytes):
        try:
            return content.decode()
        except UnicodeDecodeError:
            return content.hex()
    return content
