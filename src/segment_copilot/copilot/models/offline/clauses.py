"""One clause to conditions: what was done how often and when, never done, traits, segments."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from segment_copilot.copilot.models.offline import money, recency, refusals
from segment_copilot.copilot.models.offline.chunks import Chunk
from segment_copilot.copilot.models.offline.index import Index
from segment_copilot.copilot.models.offline.leaves import Leaf, Node, Problem, joined
from segment_copilot.copilot.models.offline.lexer import Token
from segment_copilot.copilot.models.offline.lexicon import ACTIONS, LIGHT, VAGUE, concept
from segment_copilot.copilot.models.offline.linker import Link, chosen, link_event, link_segment
from segment_copilot.copilot.models.offline.phrases import OPPOSITES, Quantity
from segment_copilot.copilot.models.offline.traits import read_traits
from segment_copilot.copilot.models.offline.windows import Window

Reading = Node | Problem


def read_clause(chunk: Chunk, index: Index) -> Reading:
    """The conditions of a clause, or why it has none."""
    if not chunk.words and not chunk.quantities:
        return Problem("unknown", chunk.text, "it says nothing that I can test")
    for reader in (_segment, money.read_money, recency.read_recency):
        read = reader(chunk, index)
        if read is not None:
            return read
    return _best(chunk, index)


def _best(chunk: Chunk, index: Index) -> Reading:
    """Traits or events, whichever explains every word."""
    traits = read_traits(chunk, index)
    links = link_event(chunk.items, index)
    event = _event(chunk, links, index) if links else None
    if isinstance(traits, Problem) and (event is None or isinstance(event, Problem)):
        return traits
    if _is_node(traits) and (
        event is None or isinstance(event, Problem) or _describes(chunk) or links[0].score < _TRAIT_FIRST
    ):
        return traits  # type: ignore[return-value]
    if event is not None:
        return event
    return refusals.unexplained(chunk, index)


_TRAIT_FIRST = 0.7


def _is_node(read: Reading | None) -> bool:
    return read is not None and not isinstance(read, Problem)


def _describes(chunk: Chunk) -> bool:
    """Whether the clause says what somebody is, not what they did."""
    return chunk.lead in {"in", "from", "on", "are", "is", "aged", "living", "live", "based", "located", "tagged", "at"}


def _segment(chunk: Chunk, index: Index) -> Reading | None:
    if chunk.quantities or chunk.window:
        return None
    words = [item for item in chunk.items if isinstance(item, Token)]
    found = link_segment(words, index)
    if not found:
        return refusals.unknown_segment(chunk, index) if any(word.stem == "segment" for word in words) else None
    if len(found) > 1:
        names = " or ".join(f"{segment.name} ({segment.id})" for segment in found)
        return Problem("ambiguous", chunk.text, f"which segment is meant: {names}?")
    condition = {
        "type": "segment_membership",
        "segment_id": found[0].id,
        "operator": "not_in" if chunk.negated else "in",
    }
    return Leaf(condition, chunk.text, negated=chunk.negated)


def _event(chunk: Chunk, links: tuple[Link, ...], index: Index) -> Reading:
    link = chosen(links, chunk.text)
    if link.unknown_values:
        return refusals.unknown_value(link.unknown_values[0])
    extra: Node | None = None
    if link.unexplained:
        rest = read_traits(_only(chunk, link.unexplained), index)
        if rest is None or isinstance(rest, Problem) or chunk.negated:
            return refusals.partly(chunk, link, index)
        extra = rest
    counts = [read for read in link.quantities]
    if len(counts) > 1:
        return Problem("unknown", chunk.text, "it has more numbers than I can place")
    leaf = event_leaf(chunk, link, counts[0] if counts else None)
    if isinstance(leaf, Problem) or extra is None:
        return leaf
    return joined("AND", (leaf, extra))


def _only(chunk: Chunk, words: tuple[Token, ...]) -> Chunk:
    return Chunk(words, words)


class _Counted(Struct, frozen=True):
    operator: str
    value: float
    value2: float | None = None
    notes: tuple[str, ...] = ()


def event_leaf(chunk: Chunk, link: Link, count: Quantity | None) -> Leaf | Problem:
    """How often it was done in the window; or, of a negated perfect with a rolling window, how long ago the last time was."""
    if any(word.stem in VAGUE for word in link.unexplained):
        return refusals.vague(chunk)
    negated = chunk.negated != bool(count and count.none)
    window = chunk.window
    if window and window.kind == "ago":
        return recency.from_age(chunk, link, window)
    if (
        negated
        and window
        and chunk.perfect
        and not chunk.never
        and recency.rolls(window)
        and (count is None or count.none)
    ):
        return recency.not_for(chunk, link, window)
    if len([item for item in chunk.windows if item.kind != "ever"]) > 1:
        return Problem("unknown", chunk.text, "it has more than one time span")
    counted = _counted(chunk, count, negated=negated)
    condition: dict[str, Any] = {"type": "event_count", "event_type": link.event_type}
    if link.tests:
        condition["where"] = [test.json() for test in link.tests]
    condition |= {"operator": counted.operator, "value": counted.value}
    if counted.value2 is not None:
        condition["value2"] = counted.value2
    condition |= window.json() if window else {}
    return Leaf(
        condition,
        chunk.text,
        _notes(link, counted, window),
        link,
        verbs_of(chunk),
        negated=counted.value == 0,
        windowed=window is not None,
    )


def _notes(link: Link, counted: _Counted, window: Window | None) -> tuple[str, ...]:
    tests = tuple(test.note for test in link.tests if test.note)
    return tuple(note for note in (link.note, *tests, *counted.notes, *window_notes(window)) if note)


def window_notes(window: Window | None) -> tuple[str, ...]:
    """What a window leaves to be said."""
    if window and window.kind == "last" and window.operator in {"gt", "gte"}:
        return (f"{window.text!r} is read as the last {window.length.words if window.length else ''}",)
    return ()


def _counted(chunk: Chunk, count: Quantity | None, *, negated: bool) -> _Counted:
    if count is None or count.none:
        return _Counted("eq", 0) if negated else _Counted("gte", 1)
    operator = "eq" if count.bare and chunk.only else count.operator
    notes: tuple[str, ...] = ()
    if count.bare and not chunk.only:
        notes = (f"{count.text!r} is read as at least {count.value}",)
    if count.operator == "eq" and count.text == "once":
        notes = ("'once' is read as exactly once",)
    if count.text == "twice":
        notes = ("'twice' is read as at least 2 times",)
    if negated:
        operator = OPPOSITES[operator]  # type: ignore[index]
    if operator in {"lt", "lte"}:
        notes = (*notes, "people who never did it are included, because they did it 0 times")
    return _Counted(operator, count.value, count.value2, notes)


def verbs_of(chunk: Chunk) -> tuple[Token, ...]:
    """The words of a clause that a following one may share: what was done, without its object."""
    return tuple(word for word in chunk.words if concept(word.stem) in ACTIONS or word.stem in LIGHT)
