"""Of "with a coupon", "without a coupon": a filter that belongs to the clause before."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from segment_copilot.english.audience.chunks import Chunk
from segment_copilot.english.audience.joining import Joined
from segment_copilot.english.audience.leaves import Leaf, Node, Problem
from segment_copilot.english.linking.index import Field, stems_of
from segment_copilot.english.linking.values import Item, Test, mention, opposite, tests
from segment_copilot.english.times.phrases import Quantity
from segment_copilot.english.words.lexer import Token
from segment_copilot.english.words.lexicon import GENERIC, LIGHT, NOISE, concept, stems


def attach(before: Joined, chunk: Chunk) -> Joined | None:
    """The clause before with this clause as its filter; None when its event has no such property."""
    leaf = before.node
    if not isinstance(leaf, Leaf) or leaf.link is None or leaf.link.known is None:
        return None
    if leaf.condition["type"] not in {"event_count", "monetary", "recency"}:
        return None
    counts = [item for item in chunk.quantities if item.times]
    plain = leaf.condition["type"] == "event_count" and before.chunk is not None and not before.chunk.quantities
    count = counts[0] if len(counts) == 1 and plain and not leaf.negated and not chunk.negated else None
    bare = structs.replace(chunk, items=tuple(item for item in chunk.items if item is not count))
    found = _tests(bare, leaf.link.known.fields, frozenset(leaf.link.known.concepts))
    if not found:
        return None
    where: list[dict[str, Any]] = [*leaf.condition.get("where", []), *(test.json() for test in found)]
    windows = {} if leaf.windowed or chunk.window is None else chunk.window.json()
    counted: dict[str, Any] = {"operator": count.operator, "value": count.value} if count else {}
    condition = {**leaf.condition, **counted, "where": where, **windows}
    notes = (*leaf.notes, *(test.note for test in found if test.note))
    text = f"{leaf.text} {_joint(chunk)}{chunk.text}".replace("with with", "with").replace("without without", "without")
    made = structs.replace(leaf, condition=condition, text=text, notes=notes, windowed=leaf.windowed or bool(windows))
    spans = before.chunk.windows or chunk.windows if before.chunk is not None else ()
    whole = structs.replace(before.chunk, windows=spans) if before.chunk is not None else None
    return structs.replace(before, node=made, chunk=whole)


def another_filter(before: Joined, node: Node | Problem, joint: str) -> Joined | None:
    """Of "refunded this month because it was damaged or arrived late": another value of the filter before, in the same time."""
    leaf = before.node
    if joint != "or" or not isinstance(leaf, Leaf) or not isinstance(node, Leaf) or node.link is None or node.negated:
        return None
    if before.joint == "comma":
        return None  # one of a list: the list is joined as a whole
    once = (node.condition.get("operator"), node.condition.get("value")) == ("gte", 1)
    if leaf.condition["type"] != "event_count" or node.condition["type"] != "event_count" or not once:
        return None
    mine, other = leaf.condition.get("where", []), node.condition.get("where", [])
    if len(other) != 1 or leaf.condition.get("event_type") != node.condition.get("event_type"):
        return None
    span = {name: node.condition[name] for name in ("window", "window_days") if name in node.condition}
    mine_too = {name: leaf.condition[name] for name in ("window", "window_days") if name in leaf.condition}
    if span and mine_too and span != mine_too:
        return None
    beside = [test for test in mine if test["property"] == other[0]["property"] and test["operator"] in {"eq", "in"}]
    if len(beside) != 1 or other[0]["operator"] != "eq":
        return None
    values = beside[0]["value"] if isinstance(beside[0]["value"], list) else [beside[0]["value"]]
    listed = {**beside[0], "operator": "in", "value": [*values, other[0]["value"]]}
    where = [listed if test is beside[0] else test for test in mine]
    condition = {**leaf.condition, "where": where, **span}
    windowed = leaf.windowed or node.windowed
    made = structs.replace(leaf, condition=condition, text=f"{leaf.text} or {node.text}", windowed=windowed)
    return structs.replace(before, node=made)


def _joint(chunk: Chunk) -> str:
    if chunk.tokens and chunk.tokens[0].lower in {"without", "with"}:
        return ""
    return "with " if not chunk.words or chunk.words[0].stem not in LIGHT else "and "


def _tests(chunk: Chunk, fields: tuple[Field, ...], named: frozenset[str]) -> list[Test]:
    found, unknown = tests(chunk.items, fields, frozenset())
    used = frozenset[int]().union(*(test.used for test in found))
    rest = [item for at, item in enumerate(chunk.items) if at not in used]
    if unknown or any(_matters(item) for item in rest):
        set_ = _presence(chunk, fields) or _of_size(chunk, fields, named)
        return [set_] if set_ else []
    return [opposite(test) for test in found] if chunk.negated else found


_AMOUNTS = stems("worth value total amount price")


def _of_size(chunk: Chunk, fields: tuple[Field, ...], named: frozenset[str]) -> Test | None:
    """Of "got to checkout with a cart of at least 100": the one number that is described as the cart's."""
    counts = [item for item in chunk.quantities if not (item.times or item.none)]
    words = {concept(word.stem) for word in chunk.words} - GENERIC - LIGHT - _AMOUNTS
    if words & named:
        return None  # it counts the event itself
    if len(counts) != 1 or len(chunk.quantities) != 1 or not words or chunk.negated:
        return None
    described = [
        field
        for field in fields
        if field.numeric and words <= {concept(word) for word in stems_of(field.known.description)}
    ]
    if len(described) != 1:
        return None
    read, note = counts[0], f"{chunk.text!r} is read as `{described[0].path}`"
    operator = "gte" if read.bare else read.operator
    return Test(described[0], operator, read.value, frozenset(), read.value2, note)


def _presence(chunk: Chunk, fields: tuple[Field, ...]) -> Test | None:
    """A property named alone: it is there, or not."""
    items = tuple(item for item in chunk.items if not (isinstance(item, Quantity) and item.none))
    none = len(items) != len(chunk.items)
    for field in fields:
        for at in range(len(items)):
            length, coverage = mention(items, at, field, set())
            rest = [*items[:at], *items[at + length :]]
            if length and coverage >= 1 and not any(_matters(item) for item in rest):
                if field.numeric and chunk.negated != none:  # "without results": there were 0
                    return Test(field, "eq", 0, frozenset(), named=True)
                return Test(field, "is_not_set" if chunk.negated != none else "is_set", None, frozenset(), named=True)
    return None


def _matters(item: Item) -> bool:
    return not isinstance(item, Token) or (
        item.kind != "sign" and item.stem not in NOISE and item.stem not in LIGHT | GENERIC
    )
