"""Says what an audience would be at other values of its conditions: at those near the number or length of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from segment_copilot import compiler
from segment_copilot.compiler import Plan, leaves
from segment_copilot.compiler.slots import Node, SlotNode
from segment_copilot.language import (
    Condition,
    Definition,
    EventProperty,
    Group,
    Leaf,
    Monetary,
    UserProperty,
)
from segment_copilot.language.catalog import Catalog, Property
from segment_copilot.language.describe import describe_value
from segment_copilot.language.neighbours import Variation, chosen, length_variations, number_variations

VARIED: Final = 20
"""Of so many conditions other values are tried, the first that have any: each is asked of the whole definition."""


class Neighbour(Struct, frozen=True):
    """A value that a condition could have in the place of its own, and how many users the definition would match then."""

    value: float | str
    words: str
    matched_users: int


class ConditionCount(Struct, frozen=True, omit_defaults=True):
    """How many users one condition matches by itself.

    *neighbours* are of its number, or of its length of time where it has no number; *window_neighbours* of the length
    that it has beside a number. The condition's own value is one of them.
    """

    pointer: str
    words: str
    matched_users: int
    neighbours: tuple[Neighbour, ...] | UnsetType = UNSET
    window_neighbours: tuple[Neighbour, ...] | UnsetType = UNSET


class _Varied(Struct, frozen=True):
    """A condition, the variations of one of its values, and the place of the first of them among the nodes."""

    pointer: str
    own: Leaf
    variations: tuple[Variation, ...]
    first: int
    is_length: bool


class Sensitivity:
    """Holds the variations of a bound definition: *nodes* are to be counted, each the whole definition with one other value."""

    def __init__(self, definition: Definition, plan: Plan, catalog: Catalog) -> None:
        self.nodes = list[Node]()
        self._varied = dict[str, list[_Varied]]()
        timezone = definition.timezone or catalog.timezone
        for node, leaf in _planned(definition, plan):
            found = {False: number_variations(leaf, _stored(leaf, catalog)), True: length_variations(leaf)}
            if not any(found.values()) or len(self._varied) == VARIED:
                continue
            for is_length, variations in found.items():
                if not variations:
                    continue
                one = _Varied(node.pointer, leaf, variations, len(self.nodes), is_length)
                self._varied.setdefault(node.pointer, []).append(one)
                varied = [variation.leaf for variation in variations]
                self.nodes += compiler.roots_with(plan, node.pointer, varied, timezone=timezone)

    def told(self, condition: ConditionCount, counts: Sequence[int]) -> ConditionCount:
        """Return the condition with its neighbours, from the number of users of each node."""
        found = [_neighbours(varied, counts) for varied in self._varied.get(condition.pointer, ())]
        first, second = (*found, UNSET, UNSET)[:2]
        return ConditionCount(condition.pointer, condition.words, condition.matched_users, first, second)


def _neighbours(varied: _Varied, counts: Sequence[int]) -> tuple[Neighbour, ...]:
    of_these = counts[varied.first : varied.first + len(varied.variations)]
    own = next(place for place, variation in enumerate(varied.variations) if variation.leaf == varied.own)
    told = [(varied.variations[place].value, of_these[place]) for place in chosen(own, of_these)]
    return tuple(
        Neighbour(value, describe_value(varied.own, value, is_length=varied.is_length), count) for value, count in told
    )


def _planned(definition: Definition, plan: Plan) -> Iterator[tuple[SlotNode, Leaf]]:
    """Yield each condition that is no group beside what it became in the plan."""
    yield from zip(leaves(plan.root), leaves_of(compiler.all_conditions(definition)), strict=True)


def leaves_of(conditions: Iterable[Condition]) -> Iterator[Leaf]:
    """Yield the conditions that are no groups, in order, however deep they are."""
    for condition in conditions:
        if isinstance(condition, Group):
            yield from leaves_of(condition.conditions)
        else:
            yield condition


def _stored(leaf: Leaf, catalog: Catalog) -> list[float]:
    """Return the numbers that are known of the property that a condition compares one of with its number."""
    match leaf:
        case UserProperty():
            owners: list[Mapping[str, Property]] = [catalog.traits]
        case EventProperty() | Monetary(metric="min" | "max"):
            names = [leaf.event_type] if isinstance(leaf.event_type, str) else leaf.event_type
            owners = [catalog.event_types[name].properties for name in names if name in catalog.event_types]
        case _:
            return []
    known = [owner[leaf.property] for owner in owners if leaf.property in owner]
    numbers = {one for each in known for one in each.samples if isinstance(one, int | float)}
    return sorted(number for number in numbers if not isinstance(number, bool))
