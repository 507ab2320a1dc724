"""Puts a step into a sequence of events, or takes one out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET, structs

from segment_copilot.english.edits.aspects import has_window
from segment_copilot.english.edits.meant import LEAST, Change, Made, Parts, leaves_said, placed
from segment_copilot.english.edits.said import Desk
from segment_copilot.english.edits.targets import spoken
from segment_copilot.english.edits.tree import Place, Unfit
from segment_copilot.language import EventCount, EventSequence
from segment_copilot.language.nodes import Step


def step_in(at: int) -> Change:
    """Return the change that puts a step into a sequence, *at* a place counted from its end: 1 is before the last step."""

    def change(desk: Desk, parts: Parts) -> list[Made]:
        made: list[Made] = []
        for place, node in _sequences(desk):
            for said in leaves_said(desk, parts["new"], LEAST):
                if isinstance(said, EventCount) and (said.operator, said.value) == ("gte", 1) and not has_window(said):
                    plain = said.where is UNSET and isinstance(said.event_type, str)
                    step: Any = said.event_type if plain else Step(said.event_type, where=said.where)
                    behind = len(node.events) - at
                    events = [*node.events[:behind], step, *node.events[behind:]]
                    made += placed(desk, place, structs.replace(node, events=events), 0.0)
        return made

    return change


def step_out(desk: Desk, parts: Parts) -> list[Made]:
    """Drop the middle step; strip off the last step."""
    made: list[Made] = []
    for place, node in _sequences(desk):
        last = len(node.events) - 1
        middle = parts["place"].says({"middle"}) and last == 2  # noqa: PLR2004  # of three
        said = 2 if middle else spoken(parts["place"]).place
        at = said - 1 if said > 0 else last + 1 + said
        if not said or not 0 <= at <= last or last < 2:  # noqa: PLR2004  # two must be left
            raise Unfit(f"The sequence has {last + 1} steps, and must keep two.")
        events = [one for number, one in enumerate(node.events) if number != at]
        made += placed(desk, place, structs.replace(node, events=events), 0.0)
    return made


def _sequences(desk: Desk) -> Iterator[tuple[Place, EventSequence]]:
    for place in desk.places:
        if isinstance(place.node, EventSequence) and not place.excluded:
            yield place, place.node
