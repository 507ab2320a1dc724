"""A definition on the table while it is edited, and what every kind of change asks of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NoReturn

from segment_copilot.documents import parse
from segment_copilot.english.edits import patches
from segment_copilot.english.edits.patches import Op, Unfit
from segment_copilot.english.edits.spots import Json, Spot, spots
from segment_copilot.english.edits.targets import CONDITION, Target, matching, read_target
from segment_copilot.english.edits.which import in_words, one_of
from segment_copilot.english.linking.index import Index
from segment_copilot.english.words.lexer import Token, written
from segment_copilot.english.words.lexicon import NOISE, PEOPLE


class Sheet:
    """The definition as it stands, the sentence that edits it, and what was assumed. *name* is the new one, if any."""

    def __init__(self, definition: Json, index: Index, today: date, text: str) -> None:
        self.definition: Json = definition
        self.index = index
        self.today = today
        self.text = text
        self.notes: list[str] = []
        self.name = ""

    @property
    def spots(self) -> tuple[Spot, ...]:
        """All that can be edited."""
        return spots(self.definition)

    def choose(self, found: Sequence[Spot], around: str) -> Spot:
        """The one spot that is meant; raises Unsure where there are several."""
        return one_of(found, around, self.index)

    def meant(self, tokens: Sequence[Token]) -> tuple[Target, tuple[Spot, ...]]:
        """A phrase as a target, and the spots that it may mean."""
        target = read_target(tokens)
        return target, matching(target, self.spots, self.index)

    def told(self, spot: Spot) -> str:
        """A condition in words."""
        return in_words(spot.condition, self.index)

    def gone(self, pointers: Sequence[str]) -> list[Op]:
        """Take away what stands at the pointers, the last first."""
        made: list[Op] = []
        now = self.definition
        for pointer in sorted(set(pointers), key=_order, reverse=True):
            more = patches.removed(now, pointer)
            made += more
            now = patches.applied(now, more)
        return made

    def not_there(self, tokens: Sequence[Token]) -> NoReturn:
        """Say that the draft has no such thing, and what it has."""
        raise self.missing(tokens)

    def missing(self, tokens: Sequence[Token]) -> Unfit:
        """The error for a phrase that means nothing in the draft; it says what is there."""
        said = written([token for token in tokens if token.stem not in CONDITION])
        about = f"I find nothing about {said!r} in the draft." if said else "I do not see which condition you mean."
        return Unfit(f"{about} {self.what_is_there()}")

    def what_is_there(self) -> str:
        """The conditions of the draft in one sentence."""
        told = [f"{self.told(spot)}{' (left out)' if spot.excluded else ''}" for spot in self.spots if spot.whole]
        return f"It has: {'; '.join(told)}." if told else "It has no conditions."


def _order(pointer: str) -> tuple[int, ...]:
    """Where a pointer stands among its neighbours: exclusions last."""
    names = {"conditions": 1, "where": 2, "events": 3, "exclude": 4}
    return tuple(int(step) if step.isdecimal() else names.get(step, 0) for step in parse(pointer))


def each(tokens: Sequence[Token]) -> list[tuple[Token, ...]]:
    """Of "the country and the age": each."""
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token.lower in {"and", ",", "&", "or"}:
            parts.append([])
        else:
            parts[-1].append(token)
    return [tuple(part) for part in parts if any(token.stem not in NOISE | PEOPLE for token in part)] or [tuple(tokens)]
