"""How many different values: "bought from at least 2 different categories"."""

from __future__ import annotations

import itertools
from typing import Any

from segment_copilot.english.audience.chunks import Chunk
from segment_copilot.english.audience.leaves import Leaf
from segment_copilot.english.linking.index import Field, Index
from segment_copilot.english.linking.linker import Link, link_event
from segment_copilot.english.linking.values import Item, mention
from segment_copilot.english.times.phrases import Quantity
from segment_copilot.english.words.lexer import Token
from segment_copilot.english.words.lexicon import concept, stems
from segment_copilot.language.operators import OPPOSITE_NUMBER

_DIFFERENT = stems("different distinct unique various")


def read_distinct(chunk: Chunk, index: Index) -> Leaf | None:
    """A clause that counts different values of a property; None for any other."""
    said = any(word.stem in _DIFFERENT for word in chunk.words)
    if len(chunk.quantities) != 1 or chunk.quantities[0].none or chunk.quantities[0].times:
        return None
    if not said and not _counts_values(chunk, index):
        return None
    items = tuple(item for item in chunk.items if not (isinstance(item, Token) and item.stem in _DIFFERENT))
    for at in range(len(items)):
        rest = tuple(item for place, item in enumerate(items) if place != at and not isinstance(item, Quantity))
        links = [link for link in link_event(rest or items, index) if not link.unexplained] or list(
            link_event(items, index)
        )
        for link in links[:1]:
            field = _field(items, at, link)
            if (
                field is not None
                and not link.unknown_values
                and (said or _several(items, at, field, link))
                and not [word for word in link.unexplained if word is not items[at]]
            ):
                return _leaf(chunk, link, field)
    return None


def _counts_values(chunk: Chunk, index: Index) -> bool:
    """Whether a number stands right before a word that names a property."""
    for number, following in itertools.pairwise(chunk.items):
        if (
            isinstance(number, Quantity)
            and isinstance(following, Token)
            and concept(following.stem) in index.field_words
        ):
            return True
    return False


def _several(items: tuple[Item, ...], at: int, field: Field, link: Link) -> bool:
    """Of "bought in more than 2 categories": a number of something that cannot be added up."""
    named = (
        link.known is not None and isinstance(item := items[at], Token) and concept(item.stem) in link.known.concepts
    )
    counted = at > 0 and isinstance(items[at - 1], Quantity)
    return counted and not named and not field.numeric and len(field.words) == 1


def _field(items: tuple[Item, ...], at: int, link: Link) -> Field | None:
    item = items[at]
    if link.known is None or not isinstance(item, Token):
        return None
    ids = [field for field in link.known.fields if set(field.words) == {concept(item.stem), "id"}]
    named = [field for field in link.known.fields if mention(items, at, field, set())[0]]
    pages = [
        field for field in link.known.fields if concept(item.stem) == "page" and {"path", "url"} & set(field.words)
    ]
    return (ids or named or pages or [None])[0]


def _leaf(chunk: Chunk, link: Link, field: Field) -> Leaf:
    count = chunk.quantities[0]
    operator = OPPOSITE_NUMBER[count.operator] if chunk.negated else count.operator
    condition: dict[str, Any] = {
        "type": "monetary",
        "event_type": link.event_type,
        "property": field.path,
        "metric": "count_distinct",
        "operator": operator,
        "value": count.value,
    }
    if count.value2 is not None:
        condition["value2"] = count.value2
    if link.tests:
        condition["where"] = [test.json() for test in link.tests]
    condition |= chunk.window.json() if chunk.window else {}
    notes = (
        f"different values of `{link.event_type}.{field.path}` are counted",
        *(chunk.window.notes() if chunk.window else ()),
    )
    return Leaf(condition, chunk.text, notes, link, windowed=chunk.window is not None)
