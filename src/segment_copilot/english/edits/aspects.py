"""The sides of a condition that can be set by themselves: when, how many, and which values; and what it tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from msgspec import UNSET, Struct, structs

from segment_copilot.english.linking.fields import Place as Field
from segment_copilot.english.reading.meanings import when
from segment_copilot.english.reading.spans import days_in
from segment_copilot.english.times.phrases import Length, Quantity
from segment_copilot.english.times.windows import Window as Said
from segment_copilot.language import (
    Condition,
    EventCount,
    EventPeriods,
    EventProperty,
    EventSequence,
    EventTime,
    Monetary,
    PropertyTest,
    Recency,
    SegmentMembership,
    UserProperty,
    WhereGroup,
    Window,
)
from segment_copilot.language.nodes import Step

WINDOWED: Final = (EventCount, Monetary, EventProperty)
NUMBERED: Final = (EventCount, Monetary, EventPeriods)
_LISTED: Final = frozenset({"in", "not_in", "contains_any", "contains_all", "contains_none"})
_ONE_OF: Final = {"eq": "in", "neq": "not_in", "contains": "contains_any", "does_not_contain": "contains_none"}
_SINGLE: Final = {many: one for one, many in _ONE_OF.items()} | {"contains_all": "contains"}
_RANGES: Final = frozenset({"between", "not_between"})


class Tested(Struct, frozen=True):
    """A test inside of a condition: of a trait, or (by its place among them) of a property of the events."""

    test: UserProperty | PropertyTest | EventProperty
    at: int | None = None

    @property
    def values(self) -> list[Any]:
        """The values that it names."""
        value = self.test.value
        return [] if value is UNSET else list(value) if isinstance(value, list) else [value]


def events_of(node: Condition) -> tuple[str, ...]:
    """Return the event types of a condition."""
    steps: list[Any] = list(node.events) if isinstance(node, EventSequence) else [node]
    named = [one if isinstance(one, str) else getattr(one, "event_type", ()) for one in steps]
    return tuple(name for one in named for name in ([one] if isinstance(one, str) else one))


def tests_of(node: Condition) -> Iterator[Tested]:
    """Yield the tests inside of a condition."""
    if isinstance(node, UserProperty | EventProperty):
        yield Tested(node)
    for at, test in enumerate(_where(node)):
        yield Tested(test, at)


def _where(node: Condition) -> Sequence[PropertyTest]:
    where = getattr(node, "where", UNSET)
    return () if where is UNSET else where.conditions if isinstance(where, WhereGroup) else where


def retested(node: Condition, tested: Tested, test: Any) -> Condition | None:
    """Return the condition with another test in the place of one; with none, without it: None when it was all."""
    if tested.at is None:
        return cast("Condition | None", test)
    kept = list(_where(node))
    kept[tested.at : tested.at + 1] = [] if test is None else [test]
    where = getattr(node, "where", UNSET)
    made: Any = structs.replace(where, conditions=kept) if isinstance(where, WhereGroup) and kept else kept or UNSET
    return structs.replace(cast("Any", node), where=made)


def with_test(node: Condition, test: PropertyTest) -> Condition | None:
    """Return the condition of fewer events: those that pass one more test. None where it has no room for one."""
    where: Any = getattr(node, "where", None)
    if where is None or (isinstance(where, WhereGroup) and where.logic == "OR" and len(where.conditions) > 1):
        return None
    grouped = isinstance(where, WhereGroup)
    more: Any = (
        structs.replace(where, logic="AND", conditions=[*where.conditions, test]) if grouped else [*(where or ()), test]
    )
    return structs.replace(cast("Any", node), where=more)


def with_own_test(node: Condition, test: PropertyTest) -> Condition | None:
    """Return the condition with a test in the place of the one that it has of the same property, or besides."""
    known = next((one for one in tests_of(node) if one.at is not None and one.test.property == test.property), None)
    return retested(node, known, test) if known else with_test(node, test)


def with_values(test: Any, values: Sequence[Any], operator: str = "") -> Any:
    """Return a test of these values in the place of those it has; none where there are none."""
    if not values:
        return None
    said = operator or (test.operator if test.operator in _ONE_OF or test.operator in _LISTED else "eq")
    many = _ONE_OF.get(said, said) if len(values) > 1 else _SINGLE.get(said, said)
    return structs.replace(test, operator=many, value=list(values) if len(values) > 1 else values[0], value2=UNSET)


def has_window(node: Condition) -> bool:
    """Return whether a condition says when."""
    if isinstance(node, Recency):
        return True
    if isinstance(node, UserProperty | EventTime):
        return isinstance(node.value, str) and node.operator.endswith(("in_last", "in_next"))
    return any(getattr(node, name, UNSET) is not UNSET for name in ("window", "window_days", "search_window"))


def windowless(node: Condition) -> Condition | None:
    """Return the condition of all history; None where it cannot be without its window."""
    if isinstance(node, WINDOWED) or (isinstance(node, EventSequence) and has_window(node)):
        cleared = {"window": UNSET, "window_days": UNSET}
        return structs.replace(cast("Any", node), **cleared)
    return None


def with_window(node: Condition, said: Said) -> Condition | None:
    """Return the condition with another window; None where it cannot have this one."""
    length = said.length
    match node:
        case EventCount() | Monetary() | EventProperty():
            known = (fields := _both_ends(node, when(said))) or said.kind == "ever"
            return structs.replace(node, **{"window": UNSET, "window_days": UNSET, **fields}) if known else None
        case Recency() if said.kind == "between" and (low := days_in(said.near)) and (high := days_in(length)):
            return structs.replace(node, operator="between", window_days=low, value2=high)
        case Recency() if said.kind in {"last", "ago"} and (days := days_in(length)):
            return _since(node, days)
        case EventSequence() if said.kind == "last" and length and (gapped := _gapped(node, length)):
            return gapped
        case EventSequence() if said.kind == "last" and length and (node.search_window is UNSET or has_window(node)):
            return structs.replace(node, window=Window(last=length.json), window_days=UNSET)
        case UserProperty() | EventTime() if has_window(node) and length and said.kind in {"last", "next"}:
            return structs.replace(cast("Any", node), value=length.json)
        case _:
            return None


def with_more(node: Condition, said: Said) -> Condition | None:
    """Return the condition in a time that one more is part of: it has none yet, or one just before or after it."""
    was: Any = getattr(node, "window", UNSET)
    made: Any = with_window(node, said)
    if made is None or not has_window(node):
        return made
    now = made.window
    if not isinstance(was, Window) or UNSET in {was.from_, was.to, now.from_, now.to}:
        return None
    first, last = sorted([was, now], key=lambda one: str(one.from_))
    return structs.replace(made, window=Window(from_=first.from_, to=last.to)) if first.to == last.from_ else None


def _both_ends(node: Any, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a window that says until when with the beginning of the one before it, which said no end."""
    was, now = getattr(node, "window", UNSET), fields.get("window")
    if not isinstance(was, Window) or not isinstance(now, Window) or was.to is not UNSET or now.from_ is not UNSET:
        return fields
    if was.from_ is UNSET or now.to is UNSET or not was.from_ < now.to:
        return fields
    return {**fields, "window": structs.replace(now, from_=was.from_)}


def _since(node: Recency, days: int) -> Recency:
    operator = "gt" if node.operator == "between" else node.operator
    return structs.replace(node, window_days=days, value2=UNSET, operator=operator)


def _gapped(node: EventSequence, length: Length) -> Condition | None:
    """Return a sequence with another bound of the one gap that has one; None where it bounds all or none of them."""
    bound = [at for at, one in enumerate(node.events) if isinstance(one, Step) and one.within is not UNSET]
    if has_window(node) or len(bound) != 1:
        return None
    events: list[Any] = [
        structs.replace(one, within=length.json) if at in bound and isinstance(one, Step) else one
        for at, one in enumerate(node.events)
    ]
    return structs.replace(node, events=events)


def length_of(node: Condition) -> Length | None:
    """Return how long the window of a condition is; None where it is no length."""
    days: Any = getattr(node, "window_days", UNSET)
    if isinstance(days, int):
        return Length(days, "d")
    window: Any = getattr(node, "window", UNSET)
    text: Any = node.value if isinstance(node, UserProperty | EventTime) else getattr(window, "last", UNSET)
    if not isinstance(text, str) or not text[:1].isdigit():
        return None
    digits = "".join(char for char in text if char.isdigit())
    return Length(int(digits), cast("Any", text[len(digits) :]))


def with_number(node: Condition, said: Quantity) -> Condition | None:
    """Return the condition with another number to compare with; None where it has none, or none of that kind."""
    if isinstance(node, Recency) and said.bare and not said.currency and not said.times and said.value > 0:
        return _since(node, int(said.value))
    if isinstance(node, EventCount) and (said.currency or not float(said.value).is_integer()):
        return None
    if (isinstance(node, NUMBERED) or is_number(node)) and not (said.times and not isinstance(node, EventCount)):
        return cast("Condition", compared(node, said))
    return None


def is_number(test: Any) -> bool:
    """Return whether a test compares a number."""
    value: Any = getattr(test, "value", UNSET)
    many: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value]
    first: Any = many[0] if many else None
    return isinstance(first, int | float) and not isinstance(first, bool)


def compared(test: Any, said: Quantity) -> Any:
    """Return a comparison with another number; how it compares stays where only a number is said."""
    low = whole(said.value)
    operator = said.operator
    if said.bare:
        operator = "gte" if test.operator in _RANGES or test.value == 0 else test.operator
    if isinstance(test, EventCount) and operator == "lt" and low == 1:
        operator, low = "eq", 0
    return structs.replace(
        test, operator=operator, value=low, value2=UNSET if said.value2 is None else whole(said.value2)
    )


def whole(value: float) -> int | float:
    """Return a number without a fraction of zero."""
    return int(value) if float(value).is_integer() else value


def numbers_of(node: Condition) -> tuple[float, ...]:
    """Return the numbers that a condition compares with."""
    sides: list[Any] = [
        *(getattr(node, name, UNSET) for name in ("value", "value2")),
        *(one.value for one in _where(node)),
    ]
    flat: list[Any] = [one for side in sides for one in (cast("list[Any]", side) if isinstance(side, list) else [side])]
    return tuple(float(one) for one in flat if isinstance(one, int | float) and not isinstance(one, bool))


def tests_field(node: Condition, field: Field) -> Tested | None:
    """Return the test of a field in a condition, where it has one."""
    of_events = field.event in events_of(node) if field.event else isinstance(node, UserProperty)
    return next((one for one in tests_of(node) if of_events and one.test.property == field.path), None)


def is_member(node: Condition, segment: int) -> bool:
    """Return whether a condition is about a segment's members."""
    return isinstance(node, SegmentMembership) and node.segment_id == segment


Change = Callable[[Condition], Condition | None]
