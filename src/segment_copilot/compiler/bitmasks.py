"""Writes the shape for many sources: each is read once and gives each of its slots a bit; the tree is a test of bits.

    SELECT user_key FROM (source UNION ALL source …) GROUP BY user_key HAVING tree over groupBitOr(bits)

The same rows of bits answer any number of trees, which is how many segments, or all parts of one, are counted at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, Literal

from segment_copilot.compiler.fragments import Fragment, group, join, nested, sql
from segment_copilot.compiler.slots import Choice, Node, Slot
from segment_copilot.compiler.sources import Source, Sources, source_of
from segment_copilot.compiler.trees import slots_of

_WORD: Final = 64


class Bitmasks:
    """Holds the bits of all slots of some normal trees, and writes the trees as tests of them."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._by_source = defaultdict[Source, list[Slot]](list)
        for slot in slots_of(nodes):
            self._by_source[source_of(slot)].append(slot)
        in_order = [slot for slots in self._by_source.values() for slot in slots]
        self._places = {slot: divmod(index, _WORD) for index, slot in enumerate(in_order)}
        self.words = -(-len(in_order) // _WORD)

    @property
    def columns(self) -> Fragment:
        """The names of the words."""
        return join(", ", [sql("bits_{}", word) for word in range(self.words)])

    def rows(self, sources: Sources) -> Fragment:
        """Write `SELECT user_key, bits_0, …`: one row for each user for whom any slot holds, and no other."""
        branches = [
            sources.bits(slots, [self._places[slot] for slot in slots], self.words)
            for slots in self._by_source.values()
        ]
        words = [sql("groupBitOr(rows.bits_{word}) AS bits_{word}", word=word) for word in range(self.words)]
        union = nested(join("\nUNION ALL\n", branches))
        return sql("SELECT user_key, {} FROM {} AS rows\nGROUP BY user_key", join(", ", words), union)

    def test(self, node: Node) -> Fragment:
        """Write a normal tree as a test of the words. Leaves of one group are tested a word at a time."""
        if isinstance(node, Choice):
            word, bit = self._places[node.slot]
            return sql("({})", _masked(word, 1 << bit, "=" if node.complement else "!=", 0))
        set_, clear = [0] * self.words, [0] * self.words
        tests = list[Fragment]()
        for child in node.children:
            if isinstance(child, Choice):
                word, bit = self._places[child.slot]
                (clear if child.complement else set_)[word] |= 1 << bit
        for word, (wanted, refused) in enumerate(zip(set_, clear, strict=True)):
            if node.logic == "AND" and wanted | refused:
                contradicts = wanted & refused
                tests.append(sql("0") if contradicts else _masked(word, wanted | refused, "=", wanted))
            elif node.logic == "OR":
                tests += [_masked(word, wanted, "!=", 0)] if wanted else []
                tests += [_masked(word, refused, "!=", refused)] if refused else []
        tests += [self.test(child) for child in node.children if not isinstance(child, Choice)]
        return group(node.logic, tests)


def _masked(word: int, mask: int, comparison: Literal["=", "!="], bits: int) -> Fragment:
    """Test whether the masked bits of a word are (or are not) these."""
    return sql("bitAnd(bits_{}, {}) {} {}", word, mask, comparison, bits)


def render_bitmasks(node: Node, sources: Sources) -> Fragment:
    """Write `SELECT user_key` of the users of a positive tree, each once."""
    masks = Bitmasks([node])
    rows = nested(masks.rows(sources))
    return sql("SELECT user_key FROM {}\nWHERE {}", rows, masks.test(node))
