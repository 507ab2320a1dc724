"""Asks in one read what an audience would be if one of its conditions were another one: each of many variations counted.

Variations of a condition look at the same events or values, so that they share its read: only their tests are more.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from segment_copilot.compiler.plan import plan as make_plan
from segment_copilot.compiler.slots import Node, Plan, SlotNode
from segment_copilot.language import Definition, Leaf


def roots_with(plan: Plan, pointer: str, leaves: Sequence[Leaf], *, timezone: str) -> list[Node]:
    """Return the whole of a plan once for each leaf, with it in the place of the condition at *pointer*.

    Args:
        plan: Of the definition that the condition is in.
        pointer: Where the condition stands.
        leaves: Bound as the condition is; none refers to a segment.
        timezone: The definition's, or the tenant's.
    """
    if not leaves:
        return []
    varied = Definition("OR", list(leaves), timezone=timezone)
    planned = make_plan(varied, tenant_id=plan.tenant_id, as_of=plan.as_of, timezone=timezone, references={})
    assert not isinstance(planned.root, SlotNode)  # noqa: S101  # a definition is a group
    return [_with(plan.root, pointer, leaf) for leaf in planned.root.children]


def _with(node: Node, pointer: str, leaf: Node) -> Node:
    if isinstance(node, SlotNode):
        return leaf if node.pointer == pointer else node
    return replace(node, children=tuple(_with(child, pointer, leaf) for child in node.children))
