"""Which of several conditions is meant: one question to the person instead of a guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from segment_copilot.english.edits.spots import Spot
from segment_copilot.english.linking.index import Index
from segment_copilot.english.plan import Option
from segment_copilot.errors import InvalidDefinition
from segment_copilot.language import decode
from segment_copilot.language.describe import describe_condition

_MOST: Final = 4


class Unsure(Exception):
    """More than one condition can be meant. *around* is the edit with `{}` where the one that is meant stands."""

    def __init__(self, question: str, options: Sequence[Option], around: str) -> None:
        super().__init__(question)
        self.question = question
        self.options = tuple(options)
        self.around = around


class Chooser(Protocol):
    """Takes the one spot there is, or raises Unsure."""

    def __call__(self, found: Sequence[Spot], around: str) -> Spot:
        """The one; *around* is the edit with `{}` for it."""
        ...


def one_of(found: Sequence[Spot], around: str, index: Index) -> Spot:
    """The only spot; raises Unsure where there are several, and is not called with none."""
    if len({spot.pointer for spot in found}) == 1:
        return found[0]
    options = [Option(words_of(spot, index), handle(spot), _detail(spot)) for spot in found[:_MOST]]
    raise Unsure("Which of these do you mean?", options, around)


def handle(spot: Spot) -> str:
    """How an edit names exactly this condition."""
    tested = f" {spot.path}" if not spot.whole else ""
    return f"{'exclusion' if spot.excluded else 'condition'} {spot.place}{tested}"


def _detail(spot: Spot) -> str:
    return "leaves people out" if spot.excluded else ""


def words_of(spot: Spot, index: Index) -> str:
    """The condition in words; of a test, its property."""
    said = in_words(spot.condition, index)
    return f"the {spot.path} in: {said}" if not spot.whole else said


def in_words(condition: Mapping[str, Any], index: Index) -> str:
    """A condition as a phrase: "who placed an order at least 3 times"."""
    names = {number: segment.name for number, segment in index.catalog.segments.items()}
    try:
        read = decode({"logic": "AND", "conditions": [condition]})
    except InvalidDefinition:
        return str(condition.get("type", "a condition"))
    return describe_condition(read.conditions[0], names)
