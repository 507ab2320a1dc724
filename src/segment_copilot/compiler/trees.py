"""Brings a tree of slots into one form: references opened, complements at the leaves only, groups of one logic flat.

A tree is *positive* when it is false for a user for whom nothing happened: such a tree can be answered from what
happened alone. Of a tree and its complement exactly one is positive, so no other question has to be asked of the store.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from segment_copilot.compiler.slots import AtLeastNode, GroupNode, MembersSlot, Node, Slot, SlotNode

Logic = Literal["AND", "OR"]
_OTHER: dict[Logic, Logic] = {"AND": "OR", "OR": "AND"}


def normal(node: Node, *, complement: bool = False) -> Node:
    """Return the tree (or its complement) in the one form."""
    if isinstance(node, SlotNode):
        is_complement = node.complement != complement
        if isinstance(node.slot, MembersSlot):
            return normal(node.slot.root, complement=is_complement)
        return SlotNode(node.slot, is_complement, node.pointer)
    is_complement = node.complement != complement
    children = [normal(child, complement=is_complement) for child in node.children]
    if isinstance(node, AtLeastNode):  # too few of them hold: enough of their complements do
        return _counted(len(children) - node.least + 1 if is_complement else node.least, children)
    return grouped(_OTHER[node.logic] if is_complement else node.logic, children)


def _counted(least: int, children: Sequence[Node]) -> Node:
    """Ask for at least so many of normal trees; all of them, or any, is what a group says."""
    if least in {1, len(children)}:
        return grouped("OR" if least == 1 else "AND", children)
    return AtLeastNode(least, tuple(children))


def grouped(logic: Logic, nodes: Iterable[Node]) -> Node:
    """Join normal trees under one logic; what says the same twice is said once."""
    children = dict[tuple[object, ...], Node]()
    for node in nodes:
        inside = node.children if isinstance(node, GroupNode) and node.logic == logic else (node,)
        for item in inside:
            children.setdefault(_identity(item), item)
    return next(iter(children.values())) if len(children) == 1 else GroupNode(logic, tuple(children.values()))


def complement_of(node: Node) -> Node:
    """Return the complement of a normal tree."""
    return normal(node, complement=True)


def is_true(node: Node, slots: Collection[Slot]) -> bool:
    """Return whether a normal tree is true for a user who is in these slots and in no other."""
    if isinstance(node, SlotNode):
        return (node.slot in slots) != node.complement
    children = (is_true(child, slots) for child in node.children)
    if isinstance(node, AtLeastNode):
        return sum(children) >= node.least
    return all(children) if node.logic == "AND" else any(children)


def is_positive(node: Node) -> bool:
    """Return whether a normal tree is false when every slot is."""
    return not is_true(node, ())


def slots_of(nodes: Sequence[Node]) -> list[Slot]:
    """Return the distinct slots of normal trees, in the order in which they are met."""
    found = dict[Slot, None]()
    waiting = list(reversed(nodes))
    while waiting:
        node = waiting.pop()
        if isinstance(node, SlotNode):
            found[node.slot] = None
        else:
            waiting.extend(reversed(node.children))
    return list(found)


def _identity(node: Node) -> tuple[object, ...]:
    """Return a key that is equal for nodes that say the same, wherever they were written."""
    return (node.slot, node.complement) if isinstance(node, SlotNode) else (node,)
