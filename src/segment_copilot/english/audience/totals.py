"""Amounts of things added up over events: "bought more than 10 items in the last month"."""

from __future__ import annotations

from msgspec import structs

from segment_copilot.english.audience.chunks import Chunk
from segment_copilot.english.audience.leaves import Leaf
from segment_copilot.english.audience.measures import aggregate
from segment_copilot.english.audience.money import EVENT_NOUNS
from segment_copilot.english.linking.index import Index
from segment_copilot.english.linking.linker import Link, link_event
from segment_copilot.english.linking.values import Test
from segment_copilot.english.words.lexicon import stems

_ADDED_UP = stems("item quantity qty unit piece point pieces units")


def read_total(chunk: Chunk, index: Index) -> Leaf | None:
    """A clause that counts things of which one event holds several; None for any other, and where each event is meant."""
    if len(chunk.quantities) != 1 or any(token.lower in EVENT_NOUNS for token in chunk.tokens):
        return None
    links = link_event(chunk.items, index)
    if not links or links[0].unexplained or links[0].unknown_values:
        return None
    counted = [test for test in links[0].tests if set(test.field.words) & _ADDED_UP and test.field.numeric]
    return _leaf(chunk, links[0], counted[0]) if len(counted) == 1 else None


def _leaf(chunk: Chunk, link: Link, counted: Test) -> Leaf:
    notes = (
        f"`{link.event_type}.{counted.field.path}` is added up over all events",
        *(chunk.window.notes() if chunk.window else ()),
    )
    others = structs.replace(link, tests=tuple(test for test in link.tests if test is not counted))
    condition = aggregate(chunk, others, counted.field, "sum", chunk.quantities[0])
    return Leaf(condition, chunk.text, notes, link, windowed=chunk.window is not None)
