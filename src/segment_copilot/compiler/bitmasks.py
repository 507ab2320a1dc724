"""Writes the shape for many sources: each is read once and gives each of its slots a bit; the tree is a test of bits.

    SELECT user_key FROM (source UNION ALL source …) GROUP BY user_key HAVING tree over groupBitOr(bits)

The same rows of bits answer any number of trees, which is how many segments, or all parts of one, are counted at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from segment_copilot.compiler.fragments import Fragment, join, nested, sql
from segment_copilot.compiler.slots import Node, Slot
from segment_copilot.compiler.sources import Sources, by_source
from segment_copilot.compiler.trees import slots_of
from segment_copilot.compiler.words import Words, words_of


class Bitmasks:
    """Holds the bits of all slots of some normal trees, and writes the trees as tests of them."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._by_source = by_source(slots_of(nodes))
        self._words = Words([slot for slots in self._by_source.values() for slot in slots])

    @property
    def columns(self) -> Fragment:
        """The names of the words."""
        return self._words.columns

    def rows(self, sources: Sources) -> Fragment:
        """Write `SELECT user_key, bits_0, …`: one row for each user for whom any slot holds, and no other."""
        reads = dict[tuple[int, ...], list[Fragment]]()  # of the words they give: a read carries no other
        for source, slots in self._by_source.items():
            places = self._words.places(slots)
            reads.setdefault(words_of(places), []).append(sources.bits(source, slots, places))
        whole = [self._words.whole(join("\nUNION ALL\n", some), words) for words, some in reads.items()]
        return self._words.joined(whole)

    def holding(self, bits: Sequence[int]) -> set[Slot]:
        """Return the slots whose bits are set in the words of a row."""
        return self._words.holding(bits)

    def test(self, node: Node) -> Fragment:
        """Write a normal tree as a test of the words."""
        return self._words.test(node)


def render_bitmasks(node: Node, sources: Sources) -> Fragment:
    """Write `SELECT user_key` of the users of a positive tree, each once."""
    masks = Bitmasks([node])
    rows = nested(masks.rows(sources))
    return sql("SELECT user_key FROM {}\nWHERE {}", rows, masks.test(node))
