"""Finds what some words mean in a draft: a condition, its window, its number, one of its values, a test inside of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from segment_copilot.english.edits import ways
from segment_copilot.english.edits.aspects import Tested, has_window, length_of, numbers_of, tests_field, tests_of
from segment_copilot.english.edits.said import Desk, Part
from segment_copilot.english.edits.tree import Place, Unfit
from segment_copilot.language import UserProperty

Side = Literal["", "window", "number", "value", "test"]


class Target(Struct, frozen=True):
    """A place in a draft and which side of it; *tested* and *values* of a test or its values. *rank* says how like it is."""

    place: Place
    side: Side = ""
    tested: Tested | None = None
    values: tuple[Any, ...] = ()
    rank: float = 0
    open: bool = False  # the words name none: "it"


class Spoken(Struct, frozen=True):
    """The words of a part by what they are to it: its sides, an ordinal, whether all are meant."""

    words: int
    window: bool = False
    number: bool = False
    condition: bool = False
    exclusion: bool = False
    all: bool = False
    place: int = 0

    @property
    def says(self) -> bool:
        """True when it says which, though it names nothing."""
        return self.condition or self.exclusion or self.all or self.place != 0 or self.window or self.number


def spoken(part: Part) -> Spoken:
    """Sort the words of a part that name no thing, but a side of one."""
    words, told, place = 0, set[str](), 0
    taken = union_of(part)
    for at, token in enumerate(part.found.tokens):
        if not part.span >> at & 1 or (taken >> at & 1 and token.kind != "number"):
            continue
        if ordinal := ways.place_of(token.lower):
            place, words = ordinal, words | 1 << at
        for name in ("window", "number", "condition", "exclusion", "all"):
            if ways.is_part(token.stem, name) and token.kind == "word" and not _only_time(part, token.lower):
                told.add(name)
                words |= 1 << at
        if token.kind == "number" and told & {"condition"} and not place:
            place, words = int(token.value), words | 1 << at
    return Spoken(
        words, "window" in told, "number" in told, "condition" in told, "exclusion" in told, "all" in told, place
    )


def _only_time(part: Part, word: str) -> bool:
    """Return whether "time" stands without another word for a window: "in this time" names none."""
    return word == "time" and not part.says({"limit", "frame", "window", "period", "span", "range", "restriction"})


def targets(desk: Desk, part: Part) -> tuple[Target, ...]:
    """Return what the words of a part may mean, those that are most alike.

    Raises:
        Unfit: They name something that the draft does not have.
    """
    said = spoken(part)
    among = [place for place in desk.places if place.excluded or not said.exclusion]
    among = [place for place in among if place.excluded] if said.exclusion else among
    named = part.content & ~said.words
    if not part.content or not (named or union_of(part) or said.says):
        return tuple(Target(place, open=True) for place in among)
    if said.place and not named:
        place = _ordinal(among, said)
        return (Target(place, "window" if said.window else "number" if said.number and not said.condition else ""),)
    found = [made for place in among for made in _alike(desk, part, place, said)]
    best = max((one.rank for one in found), default=-1.0)
    if best < 0 or not found:
        raise Unfit(
            f"I find nothing about “{part.text}” in the draft. It has: {', '.join(desk.words(place) for place in desk.places[:4])}."
        )
    return tuple(one for one in found if one.rank == best)


def union_of(part: Part) -> int:
    """Return the words that name a window, a number, a value or a segment."""
    made = 0
    for one in (*part.windows, *part.quantities, *part.values, *part.segments):
        made |= one.mask
    return made


def _ordinal(among: Sequence[Place], said: Spoken) -> Place:
    counted = [place for place in among if not place.excluded] or list(among)
    at = said.place - 1 if said.place > 0 else len(counted) + said.place
    if not 0 <= at < len(counted):
        raise Unfit(f"The draft has {len(counted)} {'condition' if len(counted) == 1 else 'conditions'}.", final=True)
    return counted[at]


def _alike(desk: Desk, part: Part, place: Place, said: Spoken) -> list[Target]:
    told = desk.explained(part, place)
    if part.content & ~told & ~said.words:
        return []
    strong = (
        (part.content & told & ~said.words).bit_count() + 0.5 * (told & said.words).bit_count() - 0.25 * place.excluded
    )
    if said.exclusion or (said.condition and not said.number):
        strong += 0.1
    sides = [] if said.condition and not part.values else list(_sides(desk, part, place))
    if sides:
        return [Target(place, side, tested, values, strong) for side, tested, values in sides]
    if said.window and not said.condition:
        return [Target(place, "window", rank=strong)] if has_window(place.node) else []
    if said.number and not said.condition:
        return [Target(place, "number", rank=strong)]
    named = part.content & ~said.words
    if not named and not (said.condition or said.exclusion or said.all):
        return []
    return [Target(place, rank=strong)]


def _sides(desk: Desk, part: Part, place: Place) -> list[tuple[Side, Tested | None, tuple[Any, ...]]]:
    node = place.node
    chosen: dict[int | None, tuple[Tested, list[Any]]] = {}
    for anchor in part.values:
        for value in anchor.values:
            tested = tests_field(node, value.place)
            if tested is not None and value.value in tested.values:
                chosen.setdefault(tested.at, (tested, []))[1].append(value.value)
    if chosen:
        return [("value", tested, tuple(dict.fromkeys(values))) for tested, values in chosen.values()]
    if part.windows:
        return [("window", None, ())] if has_window(node) else []
    if part.quantities:
        length, value = length_of(node), float(part.quantities[0].quantity.value)
        return [
            ("window" if length and length.count == value and value not in numbers_of(node) else "number", None, ())
        ]
    fields = {one.place.path for one in part.found.fields if one.mask & part.span == one.mask and one.share == 1}
    inner = [tested for tested in tests_of(node) if tested.at is not None and tested.test.property in fields]
    if inner and not isinstance(node, UserProperty):
        return [("test", tested, ()) for tested in inner]
    del desk
    return []
