"""Writes the shape for few sources: one read drives, and the others narrow it with `IN` and `NOT IN`.

Every node of the tree becomes a SELECT of user keys. Conditions on one source that stand under one group share a read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from segment_copilot.compiler.fragments import Fragment, join
from segment_copilot.compiler.slots import (
    AggregateSlot,
    Branch,
    Choice,
    CountSlot,
    MembersSlot,
    Node,
    OccurrenceSlot,
    PeriodsSlot,
    SampleSlot,
    SequenceSlot,
    Slot,
    TimeSlot,
    TraitSlot,
)
from segment_copilot.compiler.sources import Source, Sources, filtered, source_of
from segment_copilot.compiler.tables import is_in
from segment_copilot.compiler.trees import is_positive, joined, slots_of, turned


def render_chain(node: Node, sources: Sources, narrowed: Sequence[Fragment] = ()) -> Fragment:
    """Write `SELECT user_key`, perhaps some twice, of the users of a positive tree that pass *narrowed*."""
    if one_source(node):
        return sources.keys(node, narrowed)
    assert isinstance(node, Branch)  # noqa: S101  # a leaf has one source
    parts = _by_source(node)
    if node.logic == "OR":
        return filtered(join("\nUNION ALL\n", [render_chain(part, sources) for part in parts]), narrowed)
    conditions = list(narrowed)
    if refused := [part for part in parts if not is_positive(part)]:
        conditions.append(is_in(render_chain(turned(joined("AND", refused)), sources), negated=True))
    *lighter, heaviest = sorted((part for part in parts if is_positive(part)), key=_weight)
    for part in lighter:
        conditions = [is_in(render_chain(part, sources, conditions))]
    return render_chain(heaviest, sources, conditions)


def count_reads(node: Node) -> int:
    """Count the reads in the chain of a positive tree: a source is read once in every group where it stands."""
    if isinstance(node, Choice) or one_source(node):
        return 1
    return sum(map(count_reads, _by_source(node)))


def one_source(node: Node) -> Source | None:
    """Return the source that all leaves of a tree are read from; None when there are several."""
    if isinstance(node, Choice):
        return source_of(node.slot)
    found = {source_of(slot) for slot in slots_of([node])}
    return found.pop() if len(found) == 1 else None


def _by_source(branch: Branch) -> list[Node]:
    """Return the children of a group, those of one source put together."""
    together = dict[Source | int, list[Node]]()
    for index, child in enumerate(branch.children):
        together.setdefault(one_source(child) or index, []).append(child)
    return [joined(branch.logic, nodes) for nodes in together.values()]


def _weight(node: Node) -> int:
    """Weigh a part by how much work its kind is: the lighter ones narrow the heavier."""
    return max(map(_slot_weight, slots_of([node]))) if one_source(node) else 0


def _slot_weight(slot: Slot) -> int:
    match slot:
        case SampleSlot():
            return 1
        case TraitSlot():
            return 2
        case CountSlot() | TimeSlot() | PeriodsSlot():
            return 3
        case AggregateSlot() | OccurrenceSlot():
            return 4
        case SequenceSlot():
            return 5
        case MembersSlot():
            raise TypeError("references are opened before")
        case _:
            assert_never(slot)
