"""Readings of a clause that lean on a neighbour: its verb, its object, or what a pronoun stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct, structs

from segment_copilot.english.audience.chunks import Chunk
from segment_copilot.english.audience.clauses import Reading, read_clause
from segment_copilot.english.audience.joining import Joined
from segment_copilot.english.audience.leaves import Leaf, Node
from segment_copilot.english.audience.pieces import Piece
from segment_copilot.english.budget import spend
from segment_copilot.english.linking.index import Index
from segment_copilot.english.linking.linker import SURE
from segment_copilot.english.times.phrases import Quantity
from segment_copilot.english.words.lexer import Token
from segment_copilot.english.words.lexicon import ACTIONS, LIGHT, concept

Sorting = Callable[[tuple[Token, ...]], Chunk]
"""Sorts a clause; the one of a whole sentence sorts each clause once."""


class Candidate(Struct, frozen=True):
    """A reading of a clause: on its own, with the verb of the one before, or with the object of the one after."""

    node: Reading
    chunk: Chunk
    how: Literal["alone", "carried", "raised"] = "alone"


def pronoun(chunk: Chunk, before: Joined | None, index: Index) -> Candidate | None:
    """Of "agreed to emails but never opened one": what "one" stands for is named in the clause before."""
    places = [at for at, item in enumerate(chunk.items) if _stands_for(item)]
    if chunk.negated and any(token.lower in {"none", "nothing"} for token in chunk.tokens):
        places.append(len(chunk.items))  # "booked a class and cancelled none"
    if not places or before is None or before.chunk is None:
        return None
    for noun in reversed(before.chunk.words):
        if concept(noun.stem) in ACTIONS or noun.kind != "word":
            continue
        items = (*chunk.items[: places[-1]], noun, *chunk.items[places[-1] + 1 :])
        whole = structs.replace(chunk, items=items)
        node = read_clause(whole, index)
        if isinstance(node, Leaf) and node.link is not None and score(node) >= SURE:
            return Candidate(node, whole)
    return None


def carried(chunk: Chunk, leaf: Leaf | None, index: Index) -> Candidate | None:
    """The clause with the verb of the one before: "viewed shoes or bags"."""
    if leaf is None or not leaf.verbs or acts(chunk) or not (chunk.words or chunk.quantities):
        return None
    whole = structs.replace(chunk, items=(*leaf.verbs, *chunk.items))
    return Candidate(read_clause(whole, index), whole, "carried")


def raised(chunk: Chunk, following: tuple[Piece, ...], index: Index, sorted_: Sorting) -> Candidate | None:
    """The clause with the object and window of the one after: "opened or clicked an email"."""
    if chunk.quantities and not chunk.words:
        return _counted_noun(chunk, following, index, sorted_)
    if not chunk.words or not all(concept(word.stem) in ACTIONS for word in chunk.words) or chunk.quantities:
        return None
    for piece in following:
        spend(5)
        if piece.joint not in {"or", "and", "comma"}:
            return None
        after = sorted_(piece.tokens)
        things = tuple(word for word in after.words if concept(word.stem) not in ACTIONS and word.stem not in LIGHT)
        if things and acts(after):
            whole = structs.replace(chunk, items=(*chunk.items, *things), windows=chunk.windows or after.windows)
            return Candidate(read_clause(whole, index), whole, "raised")
        if not all(concept(word.stem) in ACTIONS for word in after.words):
            return None
    return None


def _counted_noun(chunk: Chunk, following: tuple[Piece, ...], index: Index, sorted_: Sorting) -> Candidate | None:
    """The number with the noun and window of the one after: "at least 1 but fewer than 4 orders"."""
    after = sorted_(following[0].tokens) if following else None
    if after is None or not after.words or not after.quantities:
        return None
    items = (*chunk.items, *(item for item in after.items if isinstance(item, Token)))
    whole = structs.replace(chunk, items=items, windows=chunk.windows or after.windows)
    return Candidate(read_clause(whole, index), whole, "raised")


def acts(chunk: Chunk) -> bool:
    """Whether the clause has a verb of its own."""
    return any(concept(word.stem) in ACTIONS or word.stem in LIGHT for word in chunk.words)


def _stands_for(item: Token | Quantity) -> bool:
    if isinstance(item, Quantity):
        return item.bare and item.text == "one"
    return item.lower in {"one", "any", "them", "it", "those", "that"}


def score(node: Node) -> float:
    """How sure its link is."""
    return node.link.score if isinstance(node, Leaf) and node.link else 1.0
