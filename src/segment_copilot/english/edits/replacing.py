"""Puts one thing of a draft in the place of another."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, structs

from segment_copilot.english.edits.aspects import events_of, has_window, tests_of
from segment_copilot.english.edits.meant import Made, Parts, placed, wholes_said
from segment_copilot.english.edits.said import Desk, Part
from segment_copilot.english.edits.setting import set_in
from segment_copilot.english.edits.targets import Target, targets
from segment_copilot.english.edits.tree import Place
from segment_copilot.english.reading.meanings import opposite
from segment_copilot.language import Condition, EventCount, Monetary, SegmentMembership


def swap(desk: Desk, parts: Parts) -> list[Made]:
    """Germany instead of the US; swap 90 days for 30 days; count visits instead of orders."""
    old, new = parts["old"], parts["new"]
    made: list[Made] = []
    for target in targets(desk, old) if not new.negated else ():
        made += set_in(desk, new, target) if not (new.segments or target.open) else []
    if made:
        return made
    for target in targets(desk, old):
        for node, one in wholes_said(desk, new) if not target.side and not target.open else ():
            made += placed(
                desk, target.place, _replaced(desk, target.place, node, old), one.rank + target.rank, sure=one.sure
            )
    return made


def instead(desk: Desk, parts: Parts) -> list[Made]:
    """Count visits instead; spent over $300 instead: of the one condition of that kind."""
    new = parts["new"]
    made = [one for place in desk.places for one in set_in(desk, new, Target(place, open=True))]
    if made:
        return made
    for node, one in wholes_said(desk, new):
        alike = [
            place
            for place in desk.places
            if not place.excluded and bool(events_of(place.node)) == bool(events_of(node))
        ]
        for place in alike:
            made += placed(
                desk,
                place,
                _replaced(desk, place, node, new),
                one.rank + (type(place.node) is type(node)),
                sure=one.sure,
            )
    return made


def _replaced(desk: Desk, place: Place, node: Condition, old: Part) -> Condition:
    """Return what takes the place of a condition: of one that counts, another event, if only that is said."""
    was: Any = place.node
    new: Any = node
    if place.excluded and isinstance(node, SegmentMembership) and node.operator == "not_in":
        return opposite(node)
    plain = isinstance(node, EventCount) and (node.operator, node.value) == ("gte", 1) and not has_window(node)
    if not plain or not isinstance(was, EventCount | Monetary) or old.quantities or old.windows:
        return node
    if isinstance(was, Monetary) and was.metric != "count_distinct":
        return node
    tested = {one.test.property for one in tests_of(was)}
    fits = all(desk.found.names.has(event, tested) for event in events_of(node))
    kept = {name: getattr(was, name) for name in ("operator", "value", "value2", "window", "window_days", "negate")}
    return structs.replace(new, **kept, where=was.where if new.where is UNSET and fits else new.where)
