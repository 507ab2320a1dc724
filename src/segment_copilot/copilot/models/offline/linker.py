"""From a phrase to what it names in the catalog: event types with their filters, segments. Every word must be explained."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from segment_copilot.catalog import SegmentName
from segment_copilot.copilot.models.offline.index import Index, Known, total
from segment_copilot.copilot.models.offline.lexer import Token, written
from segment_copilot.copilot.models.offline.lexicon import (
    ACTIONS,
    GENERIC,
    LIGHT,
    NOISE,
    REVERSALS,
    VISITS,
    concept,
    stems,
    weight,
)
from segment_copilot.copilot.models.offline.phrases import Quantity
from segment_copilot.copilot.models.offline.values import Item, Test, UnknownValue, tests

ENOUGH = 0.55
"""A link scoring less is none."""
SURE = 0.8
"""A link scoring less is shown as an assumption."""
_CLOSE = 0.04

_VISIT = stems("visit return come browse shop visitor stop drop back")
_ANY = stems("active activity engage interact anything event seen engagement interaction seen")


class Link(Struct, frozen=True):
    """An event phrase linked: the event type, the filters it spells, and the items nobody could explain."""

    event_type: str
    tests: tuple[Test, ...]
    score: float
    known: Known | None = None
    quantities: tuple[Quantity, ...] = ()  # those that no filter used
    unexplained: tuple[Token, ...] = ()
    unknown_values: tuple[UnknownValue, ...] = ()
    note: str = ""


def link_event(items: Sequence[Item], index: Index) -> tuple[Link, ...]:
    """The readings of an event phrase, best first; none when no event type is near enough."""
    visit = _visit(items, index)
    if visit:
        return (visit,)
    links = [link for known in index.events if (link := _link(items, known)) is not None]
    links.sort(key=lambda link: -link.score + 0.5 * len(link.unexplained) + 0.2 * len(link.unknown_values))
    return tuple(links)


def chosen(links: Sequence[Link], phrase: str) -> Link:
    """The best link, with a note that shows the match where it is not plain."""
    best = links[0]
    note = best.note
    near = [link.event_type for link in links[1:] if best.score - link.score < _CLOSE and not link.unexplained]
    if near:
        note = (
            f"{phrase!r} is read as `{best.event_type}`; it could also be {' or '.join(f'`{name}`' for name in near)}"
        )
    elif best.score < SURE and not note:
        note = f"{phrase!r} is read as `{best.event_type}`, the nearest event type"
    return Link(
        best.event_type,
        best.tests,
        best.score,
        best.known,
        best.quantities,
        best.unexplained,
        best.unknown_values,
        note,
    )


def _link(items: Sequence[Item], known: Known) -> Link | None:
    named = frozenset(at for at, item in enumerate(items) if isinstance(item, Token) and _names(item, known))
    read, unknown = tests(items, known.fields, named)
    explained = named.union(*(test.used for test in read), *(value.used for value in unknown))
    rest = [item for at, item in enumerate(items) if at not in explained]
    words = [item for item in rest if isinstance(item, Token) and _content(item)]
    score = _score([items[at] for at in named], words, known)
    strong = any(
        weight(concept(item.stem)) >= 1 or item.kind == "name" for at in named if isinstance(item := items[at], Token)
    )
    left = tuple(word for word in words if not _may_stay(word, strong=strong))
    if score * (0.8 if left else 1) < ENOUGH * (0.6 if left else 1):
        return None
    quantities = tuple(item for item in rest if isinstance(item, Quantity))
    return Link(known.name, tuple(read), score, known, quantities, left, tuple(unknown))


def _names(token: Token, known: Known) -> bool:
    if token.kind == "name":
        return token.lower == known.name.lower()
    return (
        token.kind == "word"
        and (concept(token.stem) in known.concepts or concept(token.stem) in known.meanings)
        and token.stem not in NOISE
    )


def _content(token: Token) -> bool:
    return token.kind not in {"sign"} and token.stem not in NOISE


def _may_stay(token: Token, *, strong: bool) -> bool:
    """Light verbs and general nouns need no explanation once something else names the event."""
    key = concept(token.stem)
    if key in LIGHT or token.stem in LIGHT or key in {"complete", "create", "receive"}:
        return True
    return strong and (token.stem in GENERIC or key in GENERIC or key in {"page", "product", "site", "view", "add"})


def _score(named: Sequence[Item], words: Sequence[Token], known: Known) -> float:
    """How well the words say this event type: what they cover of the phrase, and how much of the name they leave over."""
    if any(isinstance(item, Token) and item.kind == "name" for item in named):
        return 1.0
    matched = {concept(item.stem) for item in named if isinstance(item, Token)}
    asked = {concept(word.stem) for word in words}
    described = {word for word in asked if word in known.described and weight(word) >= 1}
    covered = total(matched) + 0.6 * total(described)
    if covered <= 0:
        return 0.0
    left = {word for word in known.concepts if word not in matched and not known.meanings & matched}
    coverage = covered / (total(matched) + total(asked))
    precision = covered / (covered + total(left))
    return coverage * (0.6 + 0.4 * precision) * _conflicts(asked - described, left, known)


def _conflicts(asked: set[str], left: set[str], known: Known) -> float:
    factor = 1.0
    if (left & REVERSALS) or (asked & REVERSALS):
        factor *= 0.3
    acted = {word for word in left & ACTIONS if word not in known.meanings}
    if asked & ACTIONS and acted:
        factor *= 0.35
    return factor


def _visit(items: Sequence[Item], index: Index) -> Link | None:
    """A visit as such, or any activity: no object is named."""
    words = [item for item in items if isinstance(item, Token) and _content(item)]
    quantities = tuple(item for item in items if isinstance(item, Quantity))
    if words and all(word.stem in _ANY | LIGHT for word in words) and any(word.stem in _ANY for word in words):
        return Link("*", (), 1.0, quantities=quantities, note=f"{written(words)!r} is read as any event")
    if not any(word.stem in _VISIT for word in words) or not all(_is_place(word) for word in words):
        return None
    for wanted in VISITS:
        for known in index.events:
            concepts = {"visit" if wanted == {"visit"} and word == "visit" else word for word in known.concepts}
            if wanted <= concepts and total(concepts - wanted) <= weight("start"):
                return Link(known.name, (), 0.9, known, quantities)
    note = f"no event type here is a visit as such, so {written(words)!r} is read as any event"
    return Link("*", (), 0.9, quantities=quantities, note=note)


def _is_place(word: Token) -> bool:
    return (
        word.stem in _VISIT
        or word.stem in GENERIC - stems("product item article good stuff ticket")
        or concept(word.stem) == "site"
        or word.stem in LIGHT
    )


def link_segment(tokens: Sequence[Token], index: Index) -> tuple[SegmentName, ...]:
    """The segments whose name the words spell, "segment" and the like aside."""
    words = tuple(token.stem for token in tokens if token.kind != "sign" and token.stem not in _AROUND_SEGMENTS)
    if not words:
        return ()
    exact = [
        number
        for number, name in index.segments.items()
        if tuple(word for word in name if word not in _AROUND_SEGMENTS) == words or name == words
    ]
    return tuple(index.catalog.segments[number] for number in exact)


_AROUND_SEGMENTS = (NOISE | stems("segment list group member audience cohort called named belong part")) - stems("us")


def link_named(text: str, index: Index) -> tuple[SegmentName, ...]:
    """The segment of exactly this text, in any case."""
    return tuple(segment for segment in index.catalog.segments.values() if segment.name.lower() == text.lower())
