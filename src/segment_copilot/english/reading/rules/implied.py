"""Tells what a part says that another says already: it is left out of the draft, and its words stand for the other."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, structs

from segment_copilot.english.reading.meanings import Clause, Joined, Tree, join
from segment_copilot.language import EventCount, EventSequence, UserProperty


def needed(tree: Tree | None) -> Tree | None:
    """Return clauses without one that says that something was ever done, where another says when ("of starting one"), or the same."""
    if not isinstance(tree, Joined) or tree.logic != "AND" or tree.least:
        return tree
    parts = list(tree.parts)
    for one in [part for part in parts if isinstance(part, Clause)]:
        for at, other in enumerate(parts):
            if other is not one and isinstance(other, Clause) and _implies(other, one):
                parts[at] = structs.replace(other, used=other.used | one.used)
                parts = [part for part in parts if part is not one]
                break
    return join("AND", *parts)


def _implies(one: Clause, two: Clause) -> bool:
    """Return whether the second of two clauses says nothing more: the same, or that what the first dates was ever done."""
    if one.condition == two.condition:
        return True
    ever = isinstance(two.condition, EventCount) and is_step(two) and (two.window is None or two.window.kind == "ever")
    dated = isinstance(one.condition, EventCount) and is_step(one) and one.window and one.window.kind != "ever"
    return bool(ever and dated) and (one.event, one.where) == (two.event, two.where)


def told_twice(one: Tree | None, two: Tree | None) -> Tree | None:
    """Return what is left of "gold or platinum (loyalty tier)": who has one of these values has a value."""
    for bare, other in ((two, one), (one, two)):
        if not isinstance(bare, Clause) or not isinstance(other, Clause):
            continue
        known, tested = bare.condition, other.condition
        if not isinstance(known, UserProperty) or not isinstance(tested, UserProperty) or known.operator != "is_set":
            continue
        if known.property == tested.property and not known.negate and not tested.negate and tested.operator in _TOLD:
            return structs.replace(other, used=other.used | bare.used)
    return None


_TOLD: Final = frozenset({"eq", "in", "gt", "gte", "lt", "lte", "between", "contains", "contains_any", "contains_all"})


def is_step(part: Clause) -> bool:
    """Return whether a part says that something was done, or several things in turn."""
    if isinstance(part.condition, EventSequence):  # a further step would have to be about the same thing too
        return not part.condition.negate and part.condition.same is UNSET
    return (
        isinstance(part.condition, EventCount)
        and part.positive
        and part.condition.operator == "gte"
        and part.condition.value == 1
        and part.event != "*"
    )
