"""Tests when one instant lies: the day a trait holds, or the first or last time of an event, against a time span."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from segment_copilot.english.times.dates import add_months
from segment_copilot.english.times.windows import Window
from segment_copilot.language.nodes import ValueObject
from segment_copilot.language.operators import OPERATORS


def date_tests(window: Window, *, negated: bool) -> tuple[dict[str, Any], ...]:
    """The tests of a date, all of which must hold; none where the language has no words for it."""
    made = _tests(window)
    if not negated:
        return made
    opposite = OPERATORS[made[0]["operator"]].opposite if len(made) == 1 else None
    return ({**made[0], "operator": opposite},) if opposite else ()


def _tests(window: Window) -> tuple[dict[str, Any], ...]:
    match window.kind:
        case "last" if window.length and window.operator in {"gt", "gte"}:  # "for more than a year"
            return ({"operator": "not_in_last", "value": window.length.json},)
        case "last" if window.lead == "for" and not window.rolling:
            return ()
        case "last" if window.length:
            return ({"operator": "in_last", "value": window.length.json},)
        case "next" if window.length:
            return ({"operator": "in_next", "value": window.length.json},)
        case "ago" if window.length and window.operator in {"gt", "gte"}:
            return ({"operator": "not_in_last", "value": window.length.json},)
        case "ago" if window.length and window.operator in {"lt", "lte"}:
            return ({"operator": "in_last", "value": window.length.json},)
        case "between" if window.length and window.near:
            far, near = window.length.json, window.near.json
            return {"operator": "in_last", "value": far}, {"operator": "not_in_last", "value": near}
        case "period":
            return ({"operator": "in_window", "value": ValueObject(period=cast("Any", window.name))},)
        case "range":
            return _days(window)
        case _:
            return ()


def anniversary(window: Window) -> tuple[dict[str, Any], ...]:
    """The test of a day that comes every year: in a calendar period, a month, or a length ahead or back; none for any other time."""
    match window.kind:
        case "period":
            return ({"operator": "anniversary_in", "value": ValueObject(period=cast("Any", window.name))},)
        case "range" if window.first and window.first.day == 1 and window.after == add_months(window.first, 1):
            return ({"operator": "anniversary_in", "value": ValueObject(month=window.first.month)},)
        case "next" if window.length:
            return ({"operator": "anniversary_in_next", "value": window.length.json},)
        case "last" if window.length and window.rolling:
            return ({"operator": "anniversary_in_last", "value": window.length.json},)
        case _:
            return ()


def _days(window: Window) -> tuple[dict[str, Any], ...]:
    first = window.first.isoformat() if window.first else ""
    if window.after is None:
        return ({"operator": "gte", "value": first},) if first else ()
    if not first:
        return ({"operator": "lt", "value": window.after.isoformat()},)
    last = (window.after - timedelta(days=1)).isoformat()
    if last == first:
        return ({"operator": "eq", "value": first},)
    return ({"operator": "between", "value": first, "value2": last},)
