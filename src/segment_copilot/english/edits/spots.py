"""A definition as places that can be edited: its conditions, and the tests of their events, each with what names it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, cast

from msgspec import Struct

from segment_copilot.english.linking.index import Field, Index
from segment_copilot.english.times.windows import Window
from segment_copilot.language.operators import LENGTHS, OPERATORS, POSITIVE_OF

Json = Mapping[str, Any]
Slot = Literal["count", "amount", "number", "days"]

_VALUED: Final = frozenset(row.name for row in OPERATORS.values() if row.seeks in {"whole", "part"})
_WINDOWED: Final = {"event_count", "monetary", "event_property"}
_FILTERED: Final = {"event_count", "monetary", "event_property", "recency", "event_time", "event_periods"}


class Spot(Struct, frozen=True):
    """A condition, or one test of its events. *pointer* is where *node* stands; *home* the pointer of its condition."""

    pointer: str
    node: Json
    home: str
    condition: Json
    excluded: bool
    place: int  # which condition of the audience (or of the exclusions), from 1

    @property
    def whole(self) -> bool:
        """Whether it is the condition itself."""
        return self.pointer == self.home

    @property
    def kind(self) -> str:
        """The type of its condition."""
        return str(self.condition["type"])

    @property
    def event_types(self) -> tuple[str, ...]:
        """The event types that its condition looks at."""
        return event_types(self.condition)

    @property
    def path(self) -> str:
        """The property that the node tests or adds up; "" for none."""
        return str(self.node.get("property", ""))

    @property
    def values(self) -> tuple[Any, ...]:
        """The values that the node tests for; none where it compares or tests something else."""
        summed = self.kind == "monetary" and self.whole
        if not self.path or summed or self.node.get("operator") not in _VALUED:
            return ()
        value = self.node.get("value")
        return tuple(cast("list[Any]", value)) if isinstance(value, list) else (value,)

    @property
    def slot(self) -> Slot | None:
        """What its number is; None where it has none."""
        match self.node.get("type", "test"):
            case "event_count" | "event_periods":
                return "count"
            case "monetary":
                return "count" if self.node["metric"] == "count_distinct" else "amount"
            case "recency":
                return "days"
            case "test" | "user_property" | "event_property":
                return "number" if _number(self.node.get("value")) else None
            case _:
                return None

    @property
    def negative(self) -> bool:
        """Whether it asks that something is not there."""
        negated = bool(self.node.get("negate"))
        if self.kind == "event_count" and self.whole:
            none = self.node.get("operator", "gte") in {"eq", "lte"} and self.node.get("value", 1) == 0
            return (none or (self.node.get("operator"), self.node.get("value")) == ("lt", 1)) != negated
        if self.kind == "segment_membership":
            return (self.node.get("operator", "in") == "not_in") != negated
        return (str(self.node.get("operator")) in _NEGATIVE) != negated

    @property
    def told(self) -> bool:
        """Whether somebody said its number: "at least once" and "never" are no thresholds."""
        if self.slot != "count" or self.kind != "event_count":
            return self.slot is not None
        return not self.negative and (self.node.get("operator", "gte"), self.node.get("value", 1)) != ("gte", 1)

    @property
    def span(self) -> Json | None:
        """Its time span as the language writes it; None where it looks at all history."""
        node = self.condition
        if self.kind == "recency":
            return {"window_days": node["window_days"]}
        if self.kind in {"user_property", "event_time"}:
            return {"window": {"last": node["value"]}} if node.get("operator") in LENGTHS else None
        names = [name for name in ("window_days", "window", "search_window") if name in node]
        return {names[0]: node[names[0]]} if names else None

    @property
    def may_span(self) -> bool:
        """Whether a time span can be put on it."""
        return self.kind in _WINDOWED


_NEGATIVE: Final = {*POSITIVE_OF, "is_false"}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def event_types(condition: Json) -> tuple[str, ...]:
    """The event types that a condition names."""
    named = condition.get("event_type")
    if named is not None:
        return tuple(cast("list[str]", named)) if isinstance(named, list) else (str(named),)
    steps = cast("list[str | Json]", condition.get("events", []))
    return tuple(name for step in steps for name in ((step,) if isinstance(step, str) else event_types(step)))


def spots(definition: Json) -> tuple[Spot, ...]:
    """Every condition with its tests, in order, those that leave people out last."""
    found = list(_walk(definition.get("conditions", []), "/conditions", excluded=False))
    if isinstance(excluded := definition.get("exclude"), Mapping):
        found += _walk(cast("Json", excluded).get("conditions", []), "/exclude/conditions", excluded=True)
    return tuple(found)


def _walk(conditions: Sequence[Json], pointer: str, *, excluded: bool) -> Iterator[Spot]:
    for place, (at, condition) in enumerate(_leaves(conditions, pointer), 1):
        yield Spot(at, condition, at, condition, excluded, place)
        for where, test in _tests(condition, at):
            yield Spot(where, test, at, condition, excluded, place)


def _leaves(conditions: Sequence[Json], pointer: str) -> Iterator[tuple[str, Json]]:
    for at, condition in enumerate(conditions):
        here = f"{pointer}/{at}"
        if condition.get("type") == "group":
            yield from _leaves(condition.get("conditions", []), f"{here}/conditions")
        else:
            yield here, condition


def _tests(condition: Json, pointer: str) -> Iterator[tuple[str, Json]]:
    """The tests of a condition's events, and of its steps' events."""
    where = condition.get("where")
    if isinstance(where, Mapping):
        tests = cast("list[Json]", cast("Json", where)["conditions"])
        yield from ((f"{pointer}/where/conditions/{at}", test) for at, test in enumerate(tests))
    elif isinstance(where, list):
        yield from ((f"{pointer}/where/{at}", test) for at, test in enumerate(cast("list[Json]", where)))
    for at, step in enumerate(cast("list[str | Json]", condition.get("events", []))):
        if not isinstance(step, str):
            yield from _tests(step, f"{pointer}/events/{at}")


def fields_of(spot: Spot, index: Index) -> tuple[Field, ...]:
    """The catalog's fields that the node tests, one for each way of naming it; none for one that it does not know."""
    if spot.kind == "user_property":
        return tuple(field for field in index.traits if field.path == spot.path)
    fields = (field for known in index.events if known.name in spot.event_types for field in known.fields)
    return tuple(field for field in fields if field.path == spot.path)


def same_span(span: Json | None, window: Window) -> bool:
    """Whether a condition's time span is what a person calls *window*."""
    return span is not None and _plain(span) == _plain(window.json())


def _plain(span: Json) -> Any:
    """A time span in one spelling: `window_days: 7` is `{"last": "7d"}` and, but for clocks, a week."""
    if "window_days" in span:
        return f"{span['window_days']}d"
    told = cast("Json", next(iter(span.values()), None) or {})
    last = str(told.get("last", ""))
    if last.endswith("w") and last[:-1].isdecimal():
        return f"{7 * int(last[:-1])}d"
    return last or told


def filterable(condition: Json) -> bool:
    """Whether its events can be filtered."""
    return condition["type"] in _FILTERED
