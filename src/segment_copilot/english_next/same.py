"""Tells definitions with the same members apart from others: one normal form for what can be said in several ways.

It looks past spelling and shape ("fewer than 2" is "not at least 2", an exclusion is "and not"). Two forms that differ
may still have the same members; two that are equal always have, but for events on the very edge of a window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from segment_copilot.language import Definition
from segment_copilot.language.canonical import settle

Node = Any
"""`["and" | "or", parts]`, `["not", node]` or a leaf: a mapping."""

_POSITIVE: Final[Mapping[str, str]] = {
    "neq": "eq", "not_in": "in", "not_between": "between", "does_not_contain": "contains", "contains_none": "contains_any",
    "is_not_set": "is_set", "not_in_last": "in_last",
}  # fmt: skip


def members_key(definition: Definition) -> bytes:
    """Return a text that is the same for definitions with the same members, as far as this can tell."""
    fields = settle(msgspec.to_builtins(definition))
    node = _joined(fields["logic"], fields["conditions"])
    if "exclude" in fields:
        node = _and(node, _not(_joined(fields["exclude"]["logic"], fields["exclude"]["conditions"])))
    return msgspec.json.encode(_sorted(_pushed(node, negated=False)))


def _joined(logic: str, conditions: Sequence[Mapping[str, Any]]) -> Node:
    return [logic.lower(), [_condition(one) for one in conditions]]


def _and(*parts: Node) -> Node:
    return ["and", list(parts)]


def _or(*parts: Node) -> Node:
    return ["or", list(parts)]


def _not(part: Node) -> Node:
    return ["not", part]


def _condition(one: Mapping[str, Any]) -> Node:
    plain = {name: value for name, value in one.items() if name != "negate"}
    node = _leaf(plain)
    return _not(node) if one.get("negate") else node


def _leaf(leaf: dict[str, Any]) -> Node:
    match leaf["type"]:
        case "group":
            return _joined(leaf["logic"], leaf["conditions"])
        case "event_count":
            return _counted(_plain_where(leaf))
        case "recency":
            return _recency(_plain_where(leaf))
        case "monetary":
            return _amount(_plain_where(leaf))
        case "event_property":
            return _of_one(_plain_where(leaf))
        case "segment_membership":
            inside = {**leaf, "operator": "in"}
            return _not(inside) if leaf.get("operator") == "not_in" else inside
        case "user_property":
            return _test(leaf)
        case _:
            return _plain_where(leaf)


def _plain_where(leaf: dict[str, Any]) -> dict[str, Any]:
    where = leaf.get("where")
    if not isinstance(where, list):
        return leaf
    tests = [_as_list(test) for test in cast("list[dict[str, Any]]", where)]
    return {**leaf, "where": sorted(tests, key=msgspec.json.encode)}


def _as_list(test: dict[str, Any]) -> dict[str, Any]:
    if isinstance(test.get("value"), list):
        return {**test, "value": sorted(test["value"], key=str)}
    return test


def _at_least(leaf: Mapping[str, Any], least: float) -> Node:
    kept = {name: value for name, value in leaf.items() if name not in {"operator", "value", "value2"}}
    return {**kept, "at_least": least} if least > 0 else ["and", []]


def _counted(leaf: dict[str, Any]) -> Node:
    low, high = leaf.get("value", 1), leaf.get("value2")
    match leaf.get("operator", "gte"):
        case "gte":
            return _at_least(leaf, low)
        case "gt":
            return _at_least(leaf, low + 1)
        case "lt":
            return _not(_at_least(leaf, low))
        case "lte":
            return _not(_at_least(leaf, low + 1))
        case "eq":
            return _and(_at_least(leaf, low), _not(_at_least(leaf, low + 1)))
        case "neq":
            return _not(_and(_at_least(leaf, low), _not(_at_least(leaf, low + 1))))
        case "between":
            return _and(_at_least(leaf, low), _not(_at_least(leaf, cast("float", high) + 1)))
        case _:
            return _not(_and(_at_least(leaf, low), _not(_at_least(leaf, cast("float", high) + 1))))


def _recency(leaf: dict[str, Any]) -> Node:
    ever = {"type": "event_count", **{name: leaf[name] for name in ("event_type", "where") if name in leaf}}
    recent = {**ever, "window": {"last": f"{leaf['window_days']}d"}}
    match leaf["operator"]:
        case "lt" | "lte":
            return _at_least(recent, 1)
        case "gt" | "gte":
            return _and(_at_least(ever, 1), _not(_at_least(recent, 1)))
        case _:
            return leaf


def _amount(leaf: dict[str, Any]) -> Node:
    """The largest is over 100 where any is."""
    if (leaf["metric"], leaf["operator"]) not in {("max", "gt"), ("max", "gte"), ("min", "lt"), ("min", "lte")}:
        return leaf
    test = {"property": leaf["property"], "operator": leaf["operator"], "value": leaf["value"]}
    return _some(leaf, test)


def _some(leaf: Mapping[str, Any], test: dict[str, Any]) -> Node:
    where: list[Any] = list(leaf.get("where", ()))
    kept = {name: leaf[name] for name in ("event_type", "window") if name in leaf}
    return _at_least(_plain_where({"type": "event_count", **kept, "where": [*where, test]}), 1)


def _of_one(leaf: dict[str, Any]) -> Node:
    if leaf.get("occurrence") != "any" or isinstance(leaf.get("where"), dict):
        return leaf
    names = ("property", "operator", "value", "value2", "value_type", "ignore_case")
    return _some(leaf, {name: leaf[name] for name in names if name in leaf})


def _test(leaf: dict[str, Any]) -> Node:
    operator = leaf["operator"]
    if operator in _POSITIVE:
        return _not(_test({**leaf, "operator": _POSITIVE[operator]}))
    if operator == "in":
        return _or(*(_test({**leaf, "operator": "eq", "value": value}) for value in leaf["value"]))
    if operator in {"contains_any", "contains_all"}:
        parts = [_test({**leaf, "operator": "contains", "value": value}) for value in leaf["value"]]
        return _or(*parts) if operator == "contains_any" else _and(*parts)
    return leaf


def _pushed(node: Node, *, negated: bool) -> Node:
    """Return the node with negations at the leaves, and joints of one logic in one."""
    if isinstance(node, dict):
        return _not(cast("Node", node)) if negated else cast("Node", node)
    if node[0] == "not":
        return _pushed(node[1], negated=not negated)
    logic = {"and": "or", "or": "and"}[node[0]] if negated else node[0]
    parts: list[Node] = []
    for part in node[1]:
        pushed = _pushed(part, negated=negated)
        if not isinstance(pushed, dict) and pushed[0] == logic:
            parts += pushed[1]
        else:
            parts.append(pushed)
    return parts[0] if len(parts) == 1 else [logic, parts]


def _sorted(node: Node) -> Node:
    if isinstance(node, dict):
        return dict(sorted(cast("dict[str, Any]", node).items()))
    if node[0] == "not":
        return ["not", _sorted(node[1])]
    unique = {msgspec.json.encode(part): part for part in map(_sorted, node[1])}
    parts = [unique[mark] for mark in sorted(unique)]
    return parts[0] if len(parts) == 1 else [node[0], parts]
