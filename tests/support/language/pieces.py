"""The pieces of the language that are looked for in drawn definitions, and definitions drawn about one of them.

A piece stands *alone* (it is the whole definition), *negated*, *beside its complement*, *nested* in a group, or in a segment
that is *referred* to; one may stand in several of these ways at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from tests.support.language.strategies import Draw, complement

Json = dict[str, Any]

_TO_COME = ("tomorrow", "next_")
_LISTS_OF_TESTS = ("where", "conditions", "events", "none_between")


def _value_has(*keys: str) -> Callable[[Json], bool]:
    return lambda node: isinstance(node.get("value"), dict) and any(key in node["value"] for key in keys)


def _operator(*names: str) -> Callable[[Json], bool]:
    return lambda node: node.get("operator") in names


def _dates(*, to_come: bool) -> Callable[[Json], bool]:
    def has(node: Json) -> bool:
        if node.get("operator") not in {"in_window", "not_in_window"}:
            return False
        return node["value"].get("period", "").startswith(_TO_COME) == to_come

    return has


def _days(which: str) -> Callable[[Json], bool]:
    return lambda node: any(
        isinstance(window := node.get(name), dict) and window.get("days") == which
        for name in ("window", "search_window", "value")
    )


def _segments(operator: str) -> Callable[[Json], bool]:
    return lambda node: "segment_ids" in node and node.get("operator", "in") == operator


PIECES: Final[Mapping[str, Callable[[Json], bool]]] = {
    "rank": lambda node: node.get("type") == "rank",
    "measure_compare": lambda node: node.get("type") == "measure_compare",
    "same": lambda node: "same" in node,
    "at": lambda node: isinstance(node.get("at"), dict),
    "any_of": lambda node: "any_of" in node,
    "equals_set": _operator("equals_set"),
    "at_least": lambda node: "at_least" in node,
    "another property": _value_has("property"),
    "another trait": _value_has("trait"),
    "is_empty": _operator("is_empty"),
    "is_not_empty": _operator("is_not_empty"),
    "in_window of what was": _dates(to_come=False),
    "in_window of what is to come": _dates(to_come=True),
    "anniversary_in_next": _operator("anniversary_in_next"),
    "anniversary_in_last": _operator("anniversary_in_last"),
    "anniversary_in": _operator("anniversary_in"),
    "days complete": _days("complete"),
    "days with_today": _days("with_today"),
    "segment_ids in": _segments("in"),
    "segment_ids not_in": _segments("not_in"),
}
"""Name → whether a node (a condition, a step, a measure or a test) is one, by itself."""

POSITIONS: Final = ("alone", "negated", "beside its complement", "nested", "referred")


def pieces_of(node: Json) -> set[str]:
    """The pieces in a condition, in what is inside of it too; those of a group's conditions are theirs, not its."""
    found = {name for name, has in PIECES.items() if has(node)}
    for inner in _inside(node):
        found |= pieces_of(inner)
    return found


def _inside(node: Json) -> Iterator[Json]:
    for name in ("left", "right", "by"):
        if name in node:
            yield node[name]
    for name in _LISTS_OF_TESTS:
        if name == "conditions" and node.get("type") == "group":
            continue
        inside = node.get(name, [])
        yield from (
            one for one in (inside["conditions"] if isinstance(inside, dict) else inside) if isinstance(one, dict)
        )


def placed(definition: Json, references: Mapping[int, Json]) -> Counter[tuple[str, str]]:
    """How often each piece stands in each way; under "" in any, once a condition."""
    found: Counter[tuple[str, str]] = Counter()
    groups = [definition, *([definition["exclude"]] if "exclude" in definition else [])]
    is_alone = len(groups) == 1 and len(definition["conditions"]) == 1
    for group in groups:
        _count(group["conditions"], 1, found, is_alone=is_alone)
    for segment_id in {one for group in groups for one in _segments_in(group)}:
        of_other: Counter[tuple[str, str]] = Counter()
        other = references[segment_id]
        for group in [other, *([other["exclude"]] if "exclude" in other else [])]:
            _count(group["conditions"], 1, of_other, is_alone=False)
        found.update({(name, "referred"): 1 for name, position in of_other if position == ""})
    return found


def _count(conditions: Sequence[Json], depth: int, found: Counter[tuple[str, str]], *, is_alone: bool) -> None:
    for condition in conditions:
        ways = ["", *(["alone"] if is_alone else []), *(["nested"] if depth > 1 else [])]
        if condition.get("negate"):
            ways.append("negated")
        if complement(condition) in [_plain(one) for one in conditions]:
            ways.append("beside its complement")
        found.update({(name, way): 1 for name in pieces_of(condition) for way in ways})
        if condition["type"] == "group":
            _count(condition["conditions"], depth + 1, found, is_alone=False)


def _plain(condition: Json) -> Json:
    return condition | {"negate": condition.get("negate", False)}


def _segments_in(node: Json) -> Iterator[int]:
    for condition in node["conditions"]:
        if condition["type"] == "group":
            yield from _segments_in(condition)
        elif condition["type"] == "segment_membership":
            yield from condition.get("segment_ids") or [condition["segment_id"]]


# Drawing


_TURNS: Final = ("alone", "negated", "alone", "beside its complement", "nested")
"""Alone is only what nothing else is drawn with, so that it takes two turns."""


def definition_about(draw: Draw, number: int, segment_ids: Sequence[int] = ()) -> Json:
    """The *number*th of a series in which the pieces stand in turns, each in one way after the other."""
    names = [name for name in PIECES if segment_ids or not name.startswith("segment_ids")]
    condition = condition_with(draw, names[number % len(names)], segment_ids)
    definition = draw.definition(segment_ids)
    zone = {"timezone": definition["timezone"]} if "timezone" in definition else {}
    match _TURNS[number // len(names) % len(_TURNS)]:
        case "alone":
            return {"logic": "AND", "conditions": [condition]} | zone
        case "negated":
            definition["conditions"].append(condition | {"negate": True})
        case "beside its complement":
            definition["conditions"] += [condition, complement(condition)]
        case _:
            group = draw.nested_group(segment_ids, 2)
            group["conditions"].insert(draw.random.randint(0, len(group["conditions"])), condition)
            definition["conditions"].append(group)
    if segment_ids and draw.chance(2):
        definition["conditions"].append(draw.membership(segment_ids))
    return definition


def condition_with(draw: Draw, piece: str, segment_ids: Sequence[int] = ()) -> Json:
    """A drawn condition that has the piece: the first that has."""
    while True:
        if piece == "at_least":
            condition = draw.nested_group(segment_ids, 2)
        elif piece.startswith("segment_ids"):
            condition = draw.membership(segment_ids) | draw.negate()
        else:
            condition = draw.leaf()
        if piece in pieces_of(condition):
            return condition
