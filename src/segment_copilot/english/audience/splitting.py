"""A clause that says two things without a word between: "visited twice in Germany", "older than 40 living in Madrid"."""

from __future__ import annotations

from datetime import date
from typing import Final

from msgspec import Struct, structs

from segment_copilot.english.audience.chunks import Chunk, sort
from segment_copilot.english.audience.clauses import Reading, read_clause
from segment_copilot.english.audience.leaves import Leaf, Node, Problem, joined, leaves
from segment_copilot.english.linking.index import Index
from segment_copilot.english.words.lexicon import stems

_STARTS: Final = stems(
    "in from on living live based located aged with tagged using at older younger over under between of who age paying"
)
"""Words that may begin the second half, without a joint before them."""


class Split(Struct, frozen=True):
    """Both halves as one node; *chunk* is the half that says what was done."""

    node: Node
    chunk: Chunk


def split(chunk: Chunk, index: Index, today: date) -> Split | None:
    """The clause as two halves that can both be read, one of them about what somebody is; None where there is no such cut."""
    if chunk.negated:
        return None
    found: list[tuple[float, Split]] = []
    for at in range(1, len(chunk.tokens)):
        if chunk.tokens[at].stem not in _STARTS:
            continue
        first, second = (sort(half, today) for half in (chunk.tokens[:at], chunk.tokens[at:]))
        nodes = [read_clause(half, index) for half in (first, second)]
        if not all(_plain(node, half) for node, half in zip(nodes, (first, second), strict=True)):
            continue
        deed = first if not _is_trait(nodes[0]) else second
        if not any(_is_trait(node) for node in nodes) or any(_is_presence(node) for node in nodes):
            continue
        whole = joined("AND", tuple(node for node in nodes if not isinstance(node, Problem)))
        found.append((_score(nodes), Split(whole, structs.replace(deed, windows=deed.windows or chunk.windows))))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _plain(node: Reading, half: Chunk) -> bool:
    return not isinstance(node, Problem) and bool(half.words or half.quantities) and not half.negated


def _is_trait(node: Reading) -> bool:
    return not isinstance(node, Problem) and all(
        leaf.condition["type"] in {"user_property", "segment_membership"} for leaf in leaves(node)
    )


def _is_presence(node: Reading) -> bool:
    """Of "interested in boxing" the first half alone says only that an interest is known."""
    return not isinstance(node, Problem) and any(
        leaf.condition.get("operator") in {"is_set", "is_not_set"} for leaf in leaves(node)
    )


def _score(nodes: list[Reading]) -> float:
    links = [leaf.link.score for node in nodes if isinstance(node, Leaf) for leaf in (node,) if leaf.link]
    return min(links, default=1.0)
