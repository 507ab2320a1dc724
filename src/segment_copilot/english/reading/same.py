"""Tells readings that select the same people from readings that do not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final, cast

import msgspec
from msgspec import UNSET, structs

from segment_copilot.english.reading.rules.implied import is_implied
from segment_copilot.english.times.dates import period
from segment_copilot.language import Condition, Definition, EventCount, EventSequence, Group, Recency, UserProperty
from segment_copilot.language.equivalence import Form, form_of
from segment_copilot.language.nodes import Logic, Step, Window
from segment_copilot.language.operators import RecencyOperator

_EDGES: Final[Mapping[str, RecencyOperator]] = {"gte": "gt", "lte": "lt"}
_LISTS: Final[Mapping[str, tuple[Logic, bool]]] = {
    "contains_any": ("OR", False),
    "contains_all": ("AND", False),
    "contains_none": ("OR", True),
}


def members(definition: Definition, today: date | None = None) -> Form:
    """Return what definitions with the same members have in common; the very instant at a window's edge is no difference.

    With *today* neither is whether a calendar period is named or told by its days.
    """
    if today is not None:
        plain = _settled(msgspec.to_builtins(definition), today)
        definition = msgspec.convert(plain, Definition)
    exclude = definition.exclude
    if exclude is not UNSET:
        exclude = structs.replace(exclude, conditions=[_edgeless(one) for one in exclude.conditions])
    conditions = [_edgeless(one) for one in definition.conditions]
    if definition.logic == "AND":
        conditions = [
            one for one in conditions if not any(is_implied(one, other) for other in conditions if other is not one)
        ]
    return form_of(structs.replace(definition, conditions=conditions, exclude=exclude), is_exact=False)


def kin(definition: Definition) -> Form:
    """Return what definitions have in common that differ only by whether who never did something did not do it lately either."""
    exclude = definition.exclude
    if exclude is not UNSET:
        exclude = structs.replace(exclude, conditions=[_lately(one) for one in exclude.conditions])
    conditions = [_lately(one) for one in definition.conditions]
    return members(structs.replace(definition, conditions=conditions, exclude=exclude))


def _lately(condition: Condition) -> Condition:
    if isinstance(condition, Group):
        return structs.replace(condition, conditions=[_lately(one) for one in condition.conditions])
    if not isinstance(condition, Recency) or condition.operator not in {"gt", "gte"} or condition.negate:
        return condition
    days = condition.window_days
    return EventCount(
        event_type=condition.event_type,
        where=condition.where,
        at=condition.at,
        operator="eq",
        value=0,
        window_days=days,
    )


def _settled(plain: Any, today: date) -> Any:
    """Return plain data with calendar periods as days; what happened does not lie ahead, so an end in the future is none."""
    if isinstance(plain, list):
        return [_settled(one, today) for one in cast("list[Any]", plain)]
    if not isinstance(plain, dict):
        return plain
    made: dict[str, Any] = {name: _settled(one, today) for name, one in cast("dict[str, Any]", plain).items()}
    conditions = made.get("conditions")
    if isinstance(conditions, list) and made.get("logic") == "AND":
        made["conditions"] = _needed(cast("list[dict[str, Any]]", conditions))
    value = made.get("value")
    if made.get("operator") == "in_window" and isinstance(value, dict) and "period" in value:
        made = {**made, **_dated(cast("dict[str, str]", value)["period"], today)}
    window = made.get("window")
    if isinstance(window, dict):
        made["window"] = _days(cast("dict[str, Any]", window), today)
    if (
        made.get("type") == "event_time"
        and made.get("operator") == "between"
        and str(made.get("value2")) >= today.isoformat()
    ):
        made = {**made, "operator": "gte"}
        del made["value2"]
    return made


def _needed(conditions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return conditions without those that say of an instant that is long ago that there is one."""
    old = [one for one in conditions if one.get("operator") == "not_in_last"]
    traits = {one.get("property") for one in old if one["type"] == "user_property"}
    events = [(one["event_type"], one.get("where")) for one in old if one["type"] == "event_time"]
    return [
        one
        for one in conditions
        if not (one.get("operator") == "is_set" and one.get("property") in traits)
        and not (
            one["type"] == "event_count" and one.keys() <= _BARE and (one["event_type"], one.get("where")) in events
        )
    ]


_BARE: Final = {"type", "event_type", "where"}  # at least one, in all history


def _dated(name: str, today: date) -> dict[str, str]:
    """Return the test of a date that lies in a calendar period, by its days."""
    first, after = period(name, today)
    last = after - timedelta(days=1)
    if first == last:
        return {"operator": "eq", "value": first.isoformat()}
    return {"operator": "between", "value": first.isoformat(), "value2": last.isoformat()}


def _days(window: dict[str, Any], today: date) -> dict[str, Any]:
    if "period" in window:
        first, after = period(window["period"], today)
        window = {"from": first.isoformat(), "to": after.isoformat()}
    if "from" in window and str(window.get("to", "")) > today.isoformat():
        return {"from": window["from"]}
    return window


def _caseless(value: Any, *, ignore_case: bool) -> Any:
    """Return a text in lower case where capitals do not matter, and a list in one order."""
    if ignore_case and isinstance(value, str):
        return value.lower()
    return sorted(cast("list[Any]", value), key=str) if isinstance(value, list) else value


def _edgeless(condition: Condition) -> Condition:
    if isinstance(condition, Group):
        return structs.replace(condition, conditions=[_edgeless(one) for one in condition.conditions])
    if isinstance(condition, UserProperty) and condition.operator in _LISTS and isinstance(condition.value, list):
        each = [structs.replace(condition, operator="contains", value=one, negate=False) for one in condition.value]
        logic, negate = _LISTS[condition.operator]
        return Group(logic=logic, conditions=list(each), negate=negate != condition.negate)
    if isinstance(condition, UserProperty):
        return structs.replace(condition, value=_caseless(condition.value, ignore_case=condition.ignore_case))
    if isinstance(condition, EventCount) and isinstance(condition.where, list):
        tests = [
            structs.replace(one, value=_caseless(one.value, ignore_case=one.ignore_case)) for one in condition.where
        ]
        return structs.replace(condition, where=tests)
    if isinstance(condition, EventSequence):
        return _spanned(condition)
    if isinstance(condition, Recency) and condition.operator in _EDGES:
        return structs.replace(condition, operator=_EDGES[condition.operator])
    return condition


def _spanned(condition: EventSequence) -> EventSequence:
    """Return a sequence of two steps with how soon the second follows as how long both take together."""
    last = condition.events[-1]
    whole = condition.window_days is UNSET and condition.window is UNSET
    if len(condition.events) != 2 or not isinstance(last, Step) or last.within is UNSET or not whole:  # noqa: PLR2004
        return condition
    events = [condition.events[0], structs.replace(last, within=UNSET)]
    return structs.replace(condition, events=events, window=Window(last=last.within))
