"""Writes the shape for few sources: one read drives, and the others narrow it with `IN` and `NOT IN`.

Every node of the tree becomes a SELECT of user keys. Conditions on one source that stand under one group share a read.
A chain has at most so many levels of `IN`, because the server resolves each of them twice: what does not fit begins
another chain beside the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, assert_never

from msgspec import Struct

from segment_copilot.compiler.fragments import Fragment, join, nested, sql
from segment_copilot.compiler.slots import (
    AggregateSlot,
    AtLeastNode,
    CompareSlot,
    CountSlot,
    GroupNode,
    ListedSlot,
    MembersSlot,
    Node,
    OccurrenceSlot,
    PeriodsSlot,
    RankSlot,
    SampleSlot,
    SequenceSlot,
    Slot,
    SlotNode,
    TimeSlot,
    TraitSlot,
)
from segment_copilot.compiler.sources import Source, Sources, are_traits_together, source_of
from segment_copilot.compiler.tables import filtered, is_in
from segment_copilot.compiler.trees import Logic, complement_of, grouped, is_positive, slots_of

LEVELS: Final = 5
"""How deep `IN` nests in the keys of users; the condition on the users that they are among these is a sixth level."""


class Part(Struct, frozen=True):
    """A part is a positive tree and how it is read.

    Attributes:
        node: The tree.
        source: What it is read from; None when it is a group of parts that are read from several.
        logic: Joins the parts.
        parts: The lightest first, when all of them have to hold.
        refused: Whose users are left out.
        least: With AT_LEAST, of how many more *parts* than parts of *against* a user has to be.
        against: Count against the parts: complements of what does not come about by something that happened.
        weight: How much work it is, by its kind: lighter parts narrow heavier ones.
        levels: How deep `IN` nests in it at the least.
        reads: How many reads it has: a source is read once in every group where it stands.
    """

    node: Node
    source: Source | None
    logic: Logic | Literal["AT_LEAST"] = "AND"
    parts: tuple[Part, ...] = ()
    refused: Part | None = None
    least: int = 0
    against: tuple[Part, ...] = ()
    weight: int = 0
    levels: int = 0
    reads: int = 1


class _Keys(Struct, frozen=True):
    """Holds `SELECT user_key`, and how deep `IN` nests in it."""

    rows: Fragment
    levels: int


class _Narrowed(Struct, frozen=True):
    """Holds conditions on `user_key`, and how deep `IN` nests in them."""

    conditions: tuple[Fragment, ...] = ()
    levels: int = 0


def chain_of(node: Node) -> Part:
    """Return how a positive tree is read as a chain."""
    return _part(node, traits_together=are_traits_together(slots_of([node])))


def render_chain(part: Part, sources: Sources) -> Fragment:
    """Write `SELECT user_key`, perhaps some twice, of the users of a tree."""
    return _render(part, sources, _Narrowed(), LEVELS).rows


def _part(node: Node, *, traits_together: bool) -> Part:
    if source := _one_source(node, traits_together=traits_together):
        slots = slots_of([node])
        of_two = isinstance(slots[0], TraitSlot | ListedSlot)  # tables: the newest value may be in another one
        return Part(node, source, weight=max(map(_weight, slots)), levels=int(of_two))
    if isinstance(node, AtLeastNode):
        return _counted(node, traits_together=traits_together)
    assert isinstance(node, GroupNode)  # noqa: S101  # a leaf has one source
    refused, found = list[Node](), list[Part]()
    for group in _by_source(node, traits_together=traits_together):
        if is_positive(group):
            found.append(_part(group, traits_together=traits_together))
        else:
            refused.append(group)
    reads = sum(part.reads for part in found)
    if node.logic == "OR":
        return Part(node, None, "OR", tuple(found), levels=max(part.levels for part in found), reads=reads)
    out = _part(complement_of(grouped("AND", refused)), traits_together=traits_together) if refused else None
    parts = tuple(sorted(found, key=lambda part: part.weight))
    *beside, deepest = sorted(part.levels for part in parts)  # that drives, if need be
    levels = max([deepest, *(1 + levels for levels in beside)])
    if out:
        levels, reads = max(levels, 1 + out.levels), reads + out.reads
    return Part(node, None, "AND", parts, out, levels=levels, reads=reads)


def _counted(node: AtLeastNode, *, traits_together: bool) -> Part:
    """Count, of each user, the children that hold because something happened, less those that something undid."""
    positive = [child for child in node.children if is_positive(child)]
    others = [complement_of(child) for child in node.children if not is_positive(child)]
    parts, against = (
        tuple(_part(child, traits_together=traits_together) for child in children) for children in (positive, others)
    )
    return Part(
        node,
        None,
        "AT_LEAST",
        parts,
        levels=max(part.levels for part in (*parts, *against)),
        reads=sum(part.reads for part in (*parts, *against)),
        least=node.least - len(others),
        against=against,
    )


def _render(part: Part, sources: Sources, narrowed: _Narrowed, most: int) -> _Keys:
    """Write the users of a part that pass *narrowed*, with at most so many levels of `IN` where that can be."""
    if part.source:
        rows = sources.keys(part.source, part.node, narrowed.conditions)
        return _Keys(rows, max(part.levels, narrowed.levels))
    if part.logic == "OR":
        found = [_render(one, sources, _Narrowed(), most) for one in part.parts]
        rows = filtered(join("\nUNION ALL\n", [one.rows for one in found]), narrowed.conditions)
        return _Keys(rows, max(narrowed.levels, *(one.levels for one in found)))
    if part.logic == "AT_LEAST":
        return _render_counted(part, sources, narrowed, most)
    *lighter, driver = _ordered(part.parts, most)
    if part.refused:
        refused = _render(part.refused, sources, _Narrowed(), most - 1)
        refusal = is_in(refused.rows, negated=True)
        narrowed = _Narrowed((*narrowed.conditions, refusal), max(narrowed.levels, 1 + refused.levels))
    beside = list[_Narrowed]()
    for one in lighter:
        if narrowed.conditions and 1 + max(narrowed.levels, one.levels) > most:
            beside.append(narrowed)
            narrowed = _Narrowed()
        found_keys = _render(one, sources, narrowed, most - 1)
        narrowed = _Narrowed((is_in(found_keys.rows),), 1 + found_keys.levels)
    conditions = tuple(condition for chain in (*beside, narrowed) for condition in chain.conditions)
    return _render(driver, sources, _Narrowed(conditions, max(chain.levels for chain in (*beside, narrowed))), most)


def _render_counted(part: Part, sources: Sources, narrowed: _Narrowed, most: int) -> _Keys:
    signed = [*((one, 1) for one in part.parts), *((one, -1) for one in part.against)]
    found = [(_render(one, sources, _Narrowed(), most), sign) for one, sign in signed]
    template = "SELECT DISTINCT user_key, toInt16({}) AS counts FROM {}"
    rows = nested(join("\nUNION ALL\n", [sql(template, sign, nested(one.rows)) for one, sign in found]))
    enough = sql("SELECT user_key FROM {}\nGROUP BY user_key\nHAVING sum(counts) >= {}", rows, part.least)
    return _Keys(filtered(enough, narrowed.conditions), max(narrowed.levels, *(one.levels for one, _ in found)))


def _ordered(parts: Sequence[Part], most: int) -> Sequence[Part]:
    """Return the parts with the one that drives last: the heaviest, or one that is too deep to stand in an `IN`."""
    deepest = max(parts, key=lambda part: part.levels)
    if deepest.levels < most or deepest is parts[-1]:
        return parts
    return [*(part for part in parts if part is not deepest), deepest]


def _one_source(node: Node, *, traits_together: bool) -> Source | None:
    """Return the source that all leaves of a tree are read from; None when there are several."""
    if isinstance(node, SlotNode):
        return source_of(node.slot, traits_together=traits_together)
    first, *others = {source_of(slot, traits_together=traits_together) for slot in slots_of([node])}
    return None if others else first


def _by_source(branch: GroupNode, *, traits_together: bool) -> list[Node]:
    """Return the children of a group, those of one source put together."""
    together = dict[Source | int, list[Node]]()
    for index, child in enumerate(branch.children):
        together.setdefault(_one_source(child, traits_together=traits_together) or index, []).append(child)
    return [grouped(branch.logic, nodes) for nodes in together.values()]


def _weight(slot: Slot) -> int:
    match slot:
        case SampleSlot() | ListedSlot():
            return 1
        case TraitSlot():
            return 2
        case CountSlot() | TimeSlot() | PeriodsSlot():
            return 3
        case AggregateSlot() | OccurrenceSlot() | CompareSlot():
            return 4
        case SequenceSlot() | RankSlot():
            return 5
        case MembersSlot():
            raise TypeError("references are opened before")
        case _:
            assert_never(slot)
