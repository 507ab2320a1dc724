"""Says what some words of a message mention, for whoever changes a draft; and which conditions of the draft they are like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache, cached_property
from typing import Final

from msgspec import Struct

from segment_copilot.english import lexicon
from segment_copilot.english.edits import ways
from segment_copilot.english.edits.aspects import (
    events_of,
    has_window,
    is_member,
    length_of,
    numbers_of,
    tests_field,
    tests_of,
)
from segment_copilot.english.edits.tree import Path, Place, places
from segment_copilot.english.linking.fields import concept
from segment_copilot.english.linking.names import Value
from segment_copilot.english.reading.anchors import (
    Anchor,
    Anchors,
    QuantityAnchor,
    SegmentAnchor,
    ValueAnchor,
    WindowAnchor,
    WordAnchor,
)
from segment_copilot.english.reading.audience import Candidate, Understood, understand
from segment_copilot.english.reading.chart import TooLong
from segment_copilot.english.reading.meanings import when
from segment_copilot.english.reading.spans import longest, union
from segment_copilot.english.times import phrases
from segment_copilot.english.times.windows import Window as Said
from segment_copilot.english.words.lexer import read
from segment_copilot.english.words.stems import stem
from segment_copilot.language import Definition, Monetary
from segment_copilot.language.describe import describe_condition

_READ: Final = 10
"""Parts of one message that are read as audiences; more are not looked at."""


_ARTICLES: Final = frozenset({"a", "an", "the", "whole", "full", "entire"})
_BETWEEN: Final = frozenset({"for", "in", "to", "by", "with", "into", "over", "within", "of", "same"})
_ONE: Final = read("1")[0]


class Part(Struct, frozen=True, dict=True):
    """A stretch of a message. *span* are the positions of its words."""

    found: Anchors
    span: int

    @cached_property
    def content(self) -> int:
        """The positions of its words that must be explained."""
        return _told(self.found) & self.span & ~ways.filler(self.found)

    @cached_property
    def windows(self) -> tuple[WindowAnchor, ...]:
        """Return when, as it says; not "in that time", which points elsewhere."""
        whole = tuple(one for one in self.found.windows if self._has(one) and one.window.kind != "same")
        return whole or tuple(self._lengths())

    @cached_property
    def again(self) -> WindowAnchor | None:
        """Return where it points back to a time: "in that time", "the same 30 days"."""
        return next((one for one in self.found.windows if self._has(one) and one.window.kind == "same"), None)

    def _lengths(self) -> Iterator[WindowAnchor]:
        """Yield what is a length of time here though it is no time span by itself: "for 30 days" cut, "a quarter"."""
        tokens = self.found.tokens
        bits = [at for at in range(len(tokens)) if self.span >> at & 1 and tokens[at].lower not in _ARTICLES]
        first = (self.span & -self.span).bit_length() - 1
        held = any(
            one.start < first < one.end and tokens[first - 1].lower not in _BETWEEN for one in self.found.windows
        )
        for start in bits[: 0 if held else 1]:
            read = phrases.length((*tokens[:start], *([] if tokens[start].kind == "number" else [_ONE]), *tokens[start : bits[-1] + 1]), start)  # fmt: skip
            size = 0 if read is None else read[1] - start - (tokens[start].kind != "number")
            if read is not None and size == len(bits):
                yield WindowAnchor(start, start + size, Said("last", rolling=True, length=read[0]))

    @cached_property
    def quantities(self) -> tuple[QuantityAnchor, ...]:
        """Return its numbers; of one that goes on beyond it ("up to 10", "3 to 5"), what is in it. "This one" is none."""
        found: list[QuantityAnchor] = []
        tokens, bits = self.found.tokens, [at for at in range(len(self.found.tokens)) if self.span >> at & 1]
        for one in (one for one in self.found.quantities if not one.mask & union(self.windows)):
            inside = [at for at in bits if one.start <= at < one.end]
            pointing = tokens[one.start].lower == "ones" or (
                tokens[one.start].lower == "one" and tokens[one.start - 1].lower in ways.words("pointed")
            )
            if len(inside) == one.end - one.start and not pointing:
                found.append(one)
            elif inside and not pointing and (plain := phrases.quantity(tokens[: bits[-1] + 1], inside[0])) is not None:
                exact = one.quantity.operator == "eq" and bool({"only", "just", "exactly"} & {*one.words})
                found.append(QuantityAnchor(inside[0], plain[1], one.quantity if exact else plain[0]))
        return tuple(found)

    @cached_property
    def metrics(self) -> tuple[WordAnchor, ...]:
        """Return what is made of several values: "average", "spend"."""
        return tuple(longest(one for one in (*self.found.money_metrics, *self.found.metrics) if self._has(one)))

    @cached_property
    def values(self) -> tuple[ValueAnchor, ...]:
        """The values that it names, the longest of those that overlap."""
        return tuple(longest(one for one in self.found.values if self._has(one)))

    @cached_property
    def segments(self) -> tuple[SegmentAnchor, ...]:
        """The segments that it names."""
        return tuple(longest(one for one in self.found.segments if self._has(one)))

    @cached_property
    def text(self) -> str:
        """The words, as they were typed."""
        return self.found.sentence.said([at for at in range(len(self.found.tokens)) if self.span >> at & 1]).strip(
            " ,.;:!?"
        )

    @property
    def negated(self) -> int:
        """The words in it that say not."""
        return union(one for one in self.found.negations if self._has(one) and not one.mask & union(self.quantities))

    def _has(self, one: Anchor) -> bool:
        return one.mask & self.span == one.mask

    def has(self, name: str) -> bool:
        """Return whether a word of a class is in it: "subject", "people"."""
        return any(ways.is_part(one.stem, name) for at, one in enumerate(self.found.tokens) if self.span >> at & 1)

    def says(self, words: set[str]) -> bool:
        """Return whether one of these words is in it."""
        return any(token.lower in words for at, token in enumerate(self.found.tokens) if self.span >> at & 1)

    def named(self, at: int) -> tuple[str, ...]:
        """Return the event types that a word may mean."""
        return tuple(self.found.names.events[one[0]].name for one in self.found.evidence[at])


def _told(found: Anchors) -> int:
    """Return the words that carry something, also where they only ask for a segment at the head of a new one."""
    light, people = lexicon.words("light"), lexicon.stems("people")
    told = found.content
    for at, token in enumerate(found.tokens):
        asks = token.kind == "sign" or token.lower in light | lexicon.words("commands") or token.stem in people
        told |= 0 if asks else 1 << at
    exact = (one for one in found.values if _is_exactly(one, found))
    return told | union((*found.segments, *exact))


def _is_exactly(one: ValueAnchor, found: Anchors) -> bool:
    """Return whether words are a value as it is written: "guest", not "guests", which are people."""
    said = " ".join(token.lower for token in found.tokens[one.start : one.end])
    return any(str(value.value).lower() == said for value in one.values)


class Desk(Struct, frozen=True, dict=True):
    """A message over a draft: what it mentions, and what is on the table."""

    found: Anchors
    definition: Definition
    as_of: datetime
    timezone: str
    memory: dict[str, Understood | None]
    among: frozenset[Path] | None = None

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """The conditions of the draft, or those *among* them that are spoken of."""
        return tuple(one for one in places(self.definition) if self.among is None or one.path in self.among)

    @cached_property
    def segment_names(self) -> Mapping[int, str]:
        """The names of the segments."""
        return {number: one.name for number, one in self.found.names.catalog.segments.items()}

    def words(self, place: Place) -> str:
        """Return a condition in words."""
        return describe_condition(place.node, self.segment_names)

    def part(self, start: int, end: int) -> Part:
        """Return the stretch from *start* up to *end*."""
        return Part(self.found, (1 << end) - (1 << start))

    def audiences(self, text: str) -> tuple[Candidate, ...]:
        """Return what some words mean by themselves, likeliest first, where they leave nothing over."""
        understood = self.understood(text)
        return tuple(one for one in understood.candidates if not one.left) if understood else ()

    def understood(self, text: str) -> Understood | None:
        """Return all that some words may mean by themselves; none of what is too long, or one part too many."""
        if text not in self.memory and len(self.memory) < _READ:
            try:
                self.memory[text] = understand(text, self.found.names.catalog, self.as_of, self.timezone)
            except TooLong:
                self.memory[text] = None
        return self.memory.get(text)

    def explained(self, part: Part, place: Place) -> int:
        """Return the words of a part that tell of a condition."""
        node, found = place.node, self.found
        used = union(one for one in part.windows if _same_window(one, place))
        length = length_of(node)
        numbers = (*numbers_of(node), *([length.count] if length else []))
        used |= union(one for one in part.quantities if float(one.quantity.value) in numbers)
        used |= union(one for one in part.segments if is_member(node, one.segment))
        used |= union(one for one in part.values if any(self.has_value(place, value) for value in one.values))
        used |= union(
            one
            for one in found.fields
            if one.mask & part.span == one.mask and self._has_field(place, one.place.event, one.place.path)
        )
        if isinstance(node, Monetary):
            used |= union(one for one in part.metrics if one.kind == node.metric)
        events = {*events_of(node)}
        said = self._described(place)
        for at, token in enumerate(found.tokens):
            if part.content >> at & 1 and not used >> at & 1 and token.kind == "word":
                by_kind = ways.names_kind(token.stem, str(node.__struct_config__.tag))
                if events.intersection(part.named(at)) or by_kind or concept(token.stem) in said:
                    used |= 1 << at
        return used

    def has_value(self, place: Place, value: Value) -> bool:
        """Return whether a condition names a value."""
        tested = tests_field(place.node, value.place)
        return tested is not None and value.value in tested.values

    def _has_field(self, place: Place, event: str, path: str) -> bool:
        node = place.node
        mine = event in events_of(node) if event else not events_of(node)
        return mine and (
            any(one.test.property == path for one in tests_of(node)) or getattr(node, "property", None) == path
        )

    def _described(self, place: Place) -> frozenset[str]:
        return _concepts(self.words(place))


@cache
def _concepts(words: str) -> frozenset[str]:
    light = lexicon.words("light")
    return frozenset(concept(stem(word)) for word in "".join(char if char.isalnum() else " " for char in words.lower()).split() if word not in light and not word.isdigit())  # fmt: skip


def _same_window(one: WindowAnchor, place: Place) -> bool:
    node, said = place.node, one.window
    if not has_window(node):
        return False
    mine, length = when(said), length_of(node)
    if said.kind == "last" and said.length is not None and length is not None:
        return (said.length.count, said.length.unit) == (length.count, length.unit) or (
            said.length.days or 0
        ) == length.days
    return bool(mine) and mine.get("window") == getattr(node, "window", None)
