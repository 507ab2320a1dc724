"""What an edit does to a definition, as RFC 6902 operations that touch nothing but what changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import jsonpatch

from segment_copilot.documents import parse
from segment_copilot.english.edits.spots import Json, Spot
from segment_copilot.english.times.date_tests import date_tests
from segment_copilot.english.times.phrases import Length, Operator, Quantity
from segment_copilot.english.times.windows import Window
from segment_copilot.language.operators import OPERATORS, RANGES

Op = dict[str, Any]

_MANY: Final = {row.name: row.several for row in OPERATORS.values() if row.several is not None}
_ONE: Final = {many: one for one, many in _MANY.items()}
_DAYS: Final = {"d": 1, "w": 7, "mo": 30, "y": 365}


class Unfit(Exception):
    """An edit that cannot be made, and why; the sentence is for the person."""


def applied(definition: Json, operations: Sequence[Op]) -> dict[str, Any]:
    """The definition with the operations done, in order; the argument stays as it is."""
    return cast("dict[str, Any]", jsonpatch.apply_patch(definition, list(operations)))  # pyright: ignore[reportUnknownMemberType]


def put(node: Json, pointer: str, fields: Mapping[str, Any]) -> list[Op]:
    """Set fields of the node at *pointer*; None takes one away. What is already so is left alone."""
    made: list[Op] = []
    for name, value in fields.items():
        path = f"{pointer}/{name}"
        if value is None:
            made += [{"op": "remove", "path": path}] if name in node else []
        elif name not in node:
            made.append({"op": "add", "path": path, "value": value})
        elif node[name] != value:
            made.append({"op": "replace", "path": path, "value": value})
    return made


# Numbers


def set_number(spot: Spot, number: Quantity) -> list[Op]:
    """Compare with another number; the comparison stays unless one was said."""
    node = spot.node
    old = node.get("operator", "gte")
    if number.bare and old in RANGES:
        raise Unfit(
            "That is a range: say both ends, for example 'between 2 and 5', or how to compare, for example 'at least 5'."
        )
    operator = number.operator
    if number.bare:
        operator = "gte" if spot.slot == "count" and spot.negative else old
    name = "window_days" if spot.slot == "days" else "value"
    fields: dict[str, Any] = {"operator": operator, name: _whole(number.value), "value2": number.value2}
    if operator == old and "operator" not in node:
        del fields["operator"]
    return put(node, spot.pointer, fields)


def set_operator(spot: Spot, operator: Operator) -> list[Op]:
    """Compare with the same number in another way."""
    if spot.node.get("operator", "gte") in RANGES or operator in RANGES:
        raise Unfit("A range has two ends: say both numbers, for example 'between 2 and 5'.")
    return put(spot.node, spot.pointer, {"operator": operator})


def scaled(spot: Spot, factor: float, plus: float) -> list[Op]:
    """The number times *factor* plus *plus*; both ends of a range."""
    name = "window_days" if spot.slot == "days" else "value"
    old = spot.node.get(name, 1)
    ends = cast("list[float]", old) if isinstance(old, list) else [cast("float", old)]
    new = [_whole(end * factor + plus) for end in ends]
    if min(new) < 0 or (spot.slot == "count" and any(not float(end).is_integer() for end in new)):
        raise Unfit(f"That would make it {new[0]:g}; please say the number itself.")
    fields: dict[str, Any] = {name: new if isinstance(old, list) else new[0]}
    if "value2" in spot.node:
        fields["value2"] = _whole(spot.node["value2"] * factor + plus)
    return put(spot.node, spot.pointer, fields)


def _whole(number: float) -> float:
    rounded = round(number, 6)
    return int(rounded) if float(rounded).is_integer() else rounded


# Time spans


def set_span(spot: Spot, window: Window) -> list[Op]:
    """Look at another time span; `ever` takes the old one away."""
    match spot.kind:
        case "recency":
            return _set_days(spot, window)
        case "user_property" | "event_time":
            return _set_date(spot, window)
        case "event_sequence":
            return _set_steps(spot, window)
        case "event_periods":
            return _set_periods(spot, window)
        case _:
            pass
    if window.kind in {"ago", "next", "same"}:
        raise Unfit(
            f"{window.text!r} is no stretch of time that events can be counted in; say for example 'in the last 30 days'."
        )
    new = window.json()
    return put(spot.condition, spot.home, {"window_days": new.get("window_days"), "window": new.get("window")})


def _set_days(spot: Spot, window: Window) -> list[Op]:
    length = window.length
    if window.kind not in {"last", "ago"} or length is None or length.unit not in _DAYS:
        raise Unfit("The last time is compared with a number of days, for example '60 days'.")
    fields: dict[str, Any] = {"window_days": days_of(length), "value2": None}
    if window.operator:
        fields = {"operator": window.operator, **fields}
    elif spot.node.get("operator") == "between":
        raise Unfit("That is a stretch with two ends: say both, for example 'between 30 and 90 days ago'.")
    return put(spot.condition, spot.home, fields)


def days_of(length: Length) -> int:
    """In days; a month is 30 of them and a year 365."""
    return length.count * _DAYS[length.unit]


def _set_date(spot: Spot, window: Window) -> list[Op]:
    found = date_tests(window, negated=spot.negative)
    if len(found) != 1:
        raise Unfit("A date is compared with one span, for example 'in the last 30 days' or 'since 2026-01-01'.")
    return put(spot.condition, spot.home, {"value2": None, **found[0]})


def _set_steps(spot: Spot, window: Window) -> list[Op]:
    new = window.json()
    if window.kind == "ever":
        return put(spot.condition, spot.home, dict.fromkeys(("window_days", "window", "search_window")))
    if window.kind != "last" or window.rolling or ("search_window" in spot.node and "window" not in spot.node):
        return put(
            spot.condition, spot.home, {"search_window": new.get("window", {"last": f"{new.get('window_days')}d"})}
        )
    return put(spot.condition, spot.home, {"window_days": new.get("window_days"), "window": new.get("window")})


def _set_periods(spot: Spot, window: Window) -> list[Op]:
    unit = {"day": "d", "week": "w", "month": "mo"}[str(spot.node["period"])]
    if window.kind != "last" or window.length is None or window.length.unit != unit:
        raise Unfit(f"It counts {spot.node['period']}s: say how many of the last {spot.node['period']}s to look at.")
    return put(spot.condition, spot.home, {"last": window.length.count})


# Values


def set_values(spot: Spot, values: Sequence[Any]) -> list[Op]:
    """Test for other values."""
    one = _ONE.get(str(spot.node["operator"]), str(spot.node["operator"]))
    if len(values) == 1:
        return put(spot.node, spot.pointer, {"operator": one, "value": values[0]})
    return put(spot.node, spot.pointer, {"operator": _MANY[one], "value": list(values)})


def add_values(spot: Spot, values: Sequence[Any]) -> list[Op]:
    """Test for more values; those that are there already change nothing."""
    more = [value for value in values if value not in spot.values]
    if isinstance(spot.node["value"], list):
        return [{"op": "add", "path": f"{spot.pointer}/value/-", "value": value} for value in more]
    return set_values(spot, [*spot.values, *more]) if more else []


def drop_values(spot: Spot, values: Sequence[Any]) -> list[Op]:
    """Test for fewer values; at least one is left."""
    gone = [at for at, value in enumerate(spot.values) if value in values]
    left = [value for value in spot.values if value not in values]
    if len(left) == 1:
        return set_values(spot, left)
    return [{"op": "remove", "path": f"{spot.pointer}/value/{at}"} for at in reversed(gone)]


# Conditions


def at(definition: Json, pointer: str) -> Any:
    """What stands at *pointer*."""
    found: Any = definition
    for step in parse(pointer):
        found = cast("list[Any]", found)[int(step)] if isinstance(found, list) else found[step]
    return found


def removed(definition: Json, pointer: str) -> list[Op]:
    """Take away what stands at *pointer*; what is empty then goes too."""
    parent, _, _ = pointer.rpartition("/")
    holder = at(definition, parent) if parent else definition
    if isinstance(holder, list) and len(cast("list[Any]", holder)) == 1:
        above = parent.rpartition("/")[0]
        if parent == "/conditions":
            raise Unfit(
                "That is the only condition of the draft; without it nothing would be left to test. Say what should take its place."
            )
        return removed(definition, parent if parent.endswith("/where") else above)
    return [{"op": "remove", "path": pointer}]


def joined(definition: Json, condition: Json, logic: str) -> list[Op]:
    """One more condition: AND with the audience, or OR as another way into it."""
    existing = cast("list[Any]", definition["conditions"])
    if len(existing) == 1 or definition["logic"] == logic:
        return [*put(definition, "", {"logic": logic}), {"op": "add", "path": "/conditions/-", "value": condition}]
    group = {"type": "group", "logic": definition["logic"], "conditions": existing}
    return [
        *put(definition, "", {"logic": logic}),
        {"op": "replace", "path": "/conditions", "value": [group, condition]},
    ]


def beside(definition: Json, spot: Spot, condition: Json) -> list[Op]:
    """Another way to satisfy one condition."""
    parent = spot.home.rpartition("/")[0]
    holder: Json = at(definition, parent.rpartition("/")[0])
    if holder["logic"] == "OR" or len(holder["conditions"]) == 1:
        return [
            *put(holder, parent.rpartition("/")[0], {"logic": "OR"}),
            {"op": "add", "path": f"{parent}/-", "value": condition},
        ]
    group = {"type": "group", "logic": "OR", "conditions": [spot.condition, condition]}
    return [{"op": "replace", "path": spot.home, "value": group}]


def excluded(definition: Json, conditions: Sequence[Json]) -> list[Op]:
    """Leave out whoever any of the conditions holds for."""
    known = definition.get("exclude")
    if known is None:
        logic = "OR" if len(conditions) > 1 else "AND"
        return [{"op": "add", "path": "/exclude", "value": {"logic": logic, "conditions": list(conditions)}}]
    made: list[Op] = []
    if len(known["conditions"]) > 1 and known["logic"] == "AND":
        group = {"type": "group", "logic": "AND", "conditions": known["conditions"]}
        made.append({"op": "replace", "path": "/exclude/conditions", "value": [group]})
    made += put(known, "/exclude", {"logic": "OR"})
    return [*made, *({"op": "add", "path": "/exclude/conditions/-", "value": one} for one in conditions)]


def turned(spot: Spot) -> list[Op]:
    """The opposite of a condition or test: by its operator where there is one, else by `negate`."""
    node = spot.node
    if node.get("negate"):
        return put(node, spot.pointer, {"negate": None})
    operator = str(node.get("operator", "gte"))
    if spot.kind == "event_count" and spot.whole and spot.negative:
        return put(node, spot.pointer, {"operator": "gte", "value": 1})
    if spot.kind == "event_count" and spot.whole and (operator, node.get("value", 1)) == ("gte", 1):
        return put(node, spot.pointer, {"operator": "eq", "value": 0})
    if spot.kind == "segment_membership":
        return put(node, spot.pointer, {"operator": "in" if spot.negative else "not_in"})
    opposite = "is_false" if operator == "is_true" else OPERATORS[operator].complement
    if opposite and spot.path:
        return put(node, spot.pointer, {"operator": opposite})
    return put(node, spot.pointer, {"negate": True})
