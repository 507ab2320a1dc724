"""Gives each slot of a question a bit in one of some words, and writes trees as tests of them.

A read gives the words in which its slots are, and what is joined of several reads has all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from segment_copilot.compiler.fragments import Fragment, at_least, group, join, nested, sql
from segment_copilot.compiler.slots import AtLeastNode, Node, Slot, SlotNode

WORD: Final = 64
"""Bits in one."""

Places = Sequence[tuple[int, int]]
"""Per slot, its word and its bit there."""


class Words:
    """Holds a bit for each of some slots, in this order."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._places = {slot: divmod(index, WORD) for index, slot in enumerate(slots)}
        self.count = -(-len(slots) // WORD)

    @property
    def columns(self) -> Fragment:
        """The names of the words."""
        return join(", ", [sql("bits_{}", word) for word in range(self.count)])

    def places(self, slots: Sequence[Slot]) -> Places:
        """Return the places of these slots."""
        return [self._places[slot] for slot in slots]

    def holding(self, bits: Sequence[int]) -> set[Slot]:
        """Return the slots whose bits are set in these words."""
        return {slot for slot, (word, bit) in self._places.items() if bits[word] >> bit & 1}

    def whole(self, rows: Fragment, words: Sequence[int]) -> Fragment:
        """Write rows that have some of the words with all of them."""
        if len(words) == self.count:
            return rows
        columns = [sql("bits_{}" if word in words else "toUInt64(0) AS bits_{}", word) for word in range(self.count)]
        return sql("SELECT user_key, {} FROM {}", join(", ", columns), nested(rows))

    def joined(self, rows: Sequence[Fragment]) -> Fragment:
        """Write `SELECT user_key, bits_0, …`: a row for each user in any of the rows, with the bits of all."""
        words = [sql("groupBitOr(rows.bits_{word}) AS bits_{word}", word=word) for word in range(self.count)]
        union = nested(join("\nUNION ALL\n", rows))
        return sql("SELECT user_key, {} FROM {} AS rows\nGROUP BY user_key", join(", ", words), union)

    def test(self, node: Node) -> Fragment:
        """Write a normal tree as a test of the words. Leaves of one group are tested a word at a time."""
        if isinstance(node, SlotNode):
            word, bit = self._places[node.slot]
            return sql("({})", _masked(word, 1 << bit, "=" if node.complement else "!=", 0))
        if isinstance(node, AtLeastNode):
            return at_least(node.least, [self.test(child) for child in node.children])
        set_, clear = [0] * self.count, [0] * self.count
        tests = list[Fragment]()
        for child in node.children:
            if isinstance(child, SlotNode):
                word, bit = self._places[child.slot]
                (clear if child.complement else set_)[word] |= 1 << bit
        for word, (wanted, refused) in enumerate(zip(set_, clear, strict=True)):
            if node.logic == "AND" and wanted | refused:
                contradicts = wanted & refused
                tests.append(sql("0") if contradicts else _masked(word, wanted | refused, "=", wanted))
            elif node.logic == "OR":
                tests += [_masked(word, wanted, "!=", 0)] if wanted else []
                tests += [_masked(word, refused, "!=", refused)] if refused else []
        tests += [self.test(child) for child in node.children if not isinstance(child, SlotNode)]
        return group(node.logic, tests)


def _masked(word: int, mask: int, comparison: Literal["=", "!="], bits: int) -> Fragment:
    """Test whether the masked bits of a word are (or are not) these."""
    return sql("bitAnd(bits_{}, {}) {} {}", word, mask, comparison, bits)


def words_of(places: Places) -> tuple[int, ...]:
    """Return the words that the places are in."""
    return tuple(sorted({word for word, _ in places}))


def columns_of_bits(tests: Sequence[Fragment | None], places: Places) -> Fragment:
    """Write the words of the places, each the sum of the bits whose test holds; None always does."""
    columns = list[Fragment]()
    for word in words_of(places):
        bits = [
            sql("{}", 1 << bit) if test is None else sql("if({}, {}, 0)", test, 1 << bit)
            for test, (in_word, bit) in zip(tests, places, strict=True)
            if in_word == word
        ]
        columns.append(sql("toUInt64({}) AS bits_{}", join(" + ", bits), word))
    return join(", ", columns)


def is_any_bit(places: Places) -> Fragment:
    """Write whether any bit is set."""
    tests = [sql("bits_{} != 0", word) for word in words_of(places)]
    return tests[0] if len(tests) == 1 else group("OR", tests)
