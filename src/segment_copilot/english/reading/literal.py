"""Tells a name that was said by its own words from one that only means the same: "reading time" is `readTime` before `watchTime`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

from segment_copilot.english.linking.fields import Place, english, stems_of
from segment_copilot.english.linking.names import Names
from segment_copilot.english.reading.anchors import FieldAnchor
from segment_copilot.english.reading.meanings import Tree, clauses
from segment_copilot.english.words.lexer import Token
from segment_copilot.language import EventProperty, MeasureCompare, Monetary, Rank, UserProperty


class Named(Protocol):
    """Says which words are read as an event type, by a name that they may only mean."""

    @property
    def event(self) -> str:
        """Return the event type."""
        ...

    @property
    def mask(self) -> int:
        """Return the positions of the words."""
        ...


def of_event(tokens: Sequence[Token], names: Names, one: Named) -> int:
    """Return the positions of the words that are an event type's own; where it is no English, those of its description."""
    own = stems_of(one.event)
    return _with(tokens, one.mask, own if english(own) else names.described(one.event))


def behind(tokens: Sequence[Token], names: Names, mentions: Sequence[Named]) -> tuple[int, ...]:
    """Return, for each event type, how many of its words are another's own and not its own."""
    own = [of_event(tokens, names, one) for one in mentions]
    return tuple(
        max(((literal & one.mask & ~own[at]).bit_count() for literal in own), default=0)
        for at, one in enumerate(mentions)
    )


def of_fields(tokens: Sequence[Token], fields: Sequence[FieldAnchor], tree: Tree | None, used: int) -> dict[str, float]:
    """Tell how many of the words that name what a tree tests are another field's own, and only mean the same here."""
    count = 0
    for event, path in _tested(tree):
        said = [one for one in fields if (one.place.event, one.place.path) == (event, path) and one.mask & used]
        if said:
            best = max(said, key=lambda one: (one.share, one.mask.bit_count()))
            own = _with(tokens, best.mask, _words(best.place))
            others = (_with(tokens, best.mask, _words(one.place)) for one in fields if one.mask & best.mask)
            count += max(((other & ~own).bit_count() for other in others), default=0)
    return {"field:less_literal": float(min(count, _MOST))} if count else {}


_MOST: Final = 2


def _words(place: Place) -> frozenset[str]:
    return frozenset(stems_of(place.path))


def _with(tokens: Sequence[Token], positions: int, written: Iterable[str]) -> int:
    return sum(1 << at for at, token in enumerate(tokens) if positions >> at & 1 and token.stem in written)


def _tested(tree: Tree | None) -> Iterator[tuple[str, str]]:
    """Yield whose field, and which, each clause of a tree tests or measures."""
    for one in clauses(tree):
        paths: list[Any] = [test.property for test in one.where]
        match one.condition:
            case UserProperty() as node:
                yield "", node.property
            case EventProperty() | Monetary() as node:
                paths.append(node.property)
            case Rank() as node:
                paths.append(node.by.property)
            case MeasureCompare() as node:
                paths += [node.left.property, node.right.property]
            case _:
                pass
        yield from ((one.event, path) for path in paths if isinstance(path, str))
