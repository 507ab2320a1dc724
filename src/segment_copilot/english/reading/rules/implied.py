"""Tells what a part says that another says already: it is left out of the draft, and its words stand for the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType, structs

from segment_copilot.english.reading.meanings import Clause, Joined, Tree, join
from segment_copilot.language import (
    Condition,
    EventCount,
    EventSequence,
    EventTime,
    Group,
    Monetary,
    Recency,
    UserProperty,
)
from segment_copilot.language.nodes import EventTypes, Where


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
    return two.positive and is_implied(two.condition, one.condition)


def is_implied(two: Condition, one: Condition) -> bool:
    """Return whether a condition says no more than that something was done, which another says more exactly, of all time or the same."""
    if isinstance(two, UserProperty) and isinstance(one, UserProperty):
        return _is_known_anyway(two, one)
    if (
        not isinstance(two, EventCount)
        or two.negate
        or (two.operator, two.value) != ("gte", 1)
        or two.event_type == "*"
    ):
        return False
    timed = [getattr(two, name) for name in _WHEN]
    if any(timed) and (not isinstance(one, EventCount | Monetary) or timed != [getattr(one, name) for name in _WHEN]):
        return False
    wanted = _tests(two.where)
    return wanted is not None and any(
        event == two.event_type and tests is not None and wanted <= tests for event, tests in _done(one)
    )


_WHEN: Final = ("window", "window_days", "at")


def _done(condition: Condition) -> Iterator[tuple[EventTypes, frozenset[bytes] | None]]:
    """Yield the events, with their tests, that somebody surely has of whom a condition is true."""
    if isinstance(condition, Group) or condition.negate:
        return
    match condition:
        case EventSequence(events=events):
            for step in events:
                yield (step, _tests(UNSET)) if isinstance(step, str) else (step.event_type, _tests(step.where))
        case EventCount(operator="gte" | "eq" | "between" as operator, value=int() | float() as value) if value >= 1:
            del operator
            yield condition.event_type, _tests(condition.where)
        case Monetary(operator="gt" | "gte" | "between", value=int() | float() as value) if value > 0:
            yield condition.event_type, _tests(condition.where)
        case EventCount(operator="gt") | Recency():
            yield condition.event_type, _tests(condition.where)
        case EventTime(operator=operator) if operator not in {"not_in_last", "not_in_window", "neq"}:
            yield condition.event_type, _tests(condition.where)
        case _:
            pass


def _tests(where: Where | UnsetType) -> frozenset[bytes] | None:
    """Return the tests of events, each of which must hold; none where one of several is enough."""
    if where is UNSET:
        return frozenset()
    return frozenset(msgspec.json.encode(one) for one in where) if isinstance(where, list) else None


def told_twice(one: Tree | None, two: Tree | None) -> Tree | None:
    """Return what is left of "gold or platinum (loyalty tier)": who has one of these values has a value."""
    for bare, other in ((two, one), (one, two)):
        if not isinstance(bare, Clause) or not isinstance(other, Clause):
            continue
        known, tested = bare.condition, other.condition
        if isinstance(known, UserProperty) and isinstance(tested, UserProperty) and _is_known_anyway(known, tested):
            return structs.replace(other, used=other.used | bare.used)
    return None


def _is_known_anyway(known: UserProperty, tested: UserProperty) -> bool:
    """Return whether a test says that there is a value, of which another says which."""
    bare = known.operator in {"is_set", "is_not_empty"} and not known.negate
    return bare and known.property == tested.property and not tested.negate and tested.operator in _TOLD


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
