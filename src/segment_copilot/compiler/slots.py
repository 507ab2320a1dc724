"""Defines the parts of a plan: ranges, tests of values, and slots, sets of users for whom something happened."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from msgspec import Struct

from segment_copilot.language.nodes import MeasureName, MeasureOperator, Metric
from segment_copilot.language.operators import OPPOSITE_NUMBER, NumberOperator, PropertyOperator, holds

# Ranges and comparisons


class Range(Struct, frozen=True):
    """A range is the instants from *earliest* to *latest*, both in; None is open. After `as_of` nothing is read."""

    earliest: datetime | None = None
    latest: datetime | None = None


class Comparison(Struct, frozen=True):
    """A comparison is a test of a number: *low* for one operand, *low* and *high* for between."""

    operator: NumberOperator
    low: int | float
    high: int | float | None = None

    def opposite(self) -> Comparison:
        """Return the exact complement."""
        return Comparison(OPPOSITE_NUMBER[self.operator], self.low, self.high)

    def holds(self, number: float) -> bool:
        """Return whether a number passes: the planner asks it of zero."""
        return holds(self.operator, number, self.low, self.high)


class DateRange(Struct, frozen=True):
    """A datetime test as two ranges: of stored instants, and of stored bare dates (whose midnight is local)."""

    earliest: datetime
    latest: datetime
    first_date: date
    last_date: date


class Anniversaries(Struct, frozen=True):
    """Holds the days of the year (month * 100 + day) that come round, each with the last year in which it does."""

    zone: str
    days: tuple[int, ...]
    years: tuple[int, ...]


Kind = Literal["string", "number", "boolean", "datetime", "list", "presence", "containment", "anniversary", "items"]


class Other(Struct, frozen=True):
    """Another stored value: of a trait (its top-level name, the path in its value) or, without one, of the same event.

    Stored bare dates begin in *zone*.
    """

    trait: str | None
    path: tuple[str, ...]
    zone: str


class Known(Struct, frozen=True):
    """A trait's value as it is read for a comparison: rows of other things are joined with it."""

    other: Other
    kind: Kind
    epoch: int

    @property
    def trait(self) -> str:
        """The top-level name of the trait."""
        return self.other.trait or ""


class Test(Struct, frozen=True):
    """A positive test of one stored value, false where the value is missing; *complement* turns it round."""

    path: tuple[str, ...]
    kind: Kind
    operator: PropertyOperator
    values: tuple[Any, ...] = ()
    types: tuple[
        str, ...
    ] = ()  # the JSON types of values that an element is compared with: 1 and true are equal in Python
    ignore_case: bool = False
    complement: bool = False
    epoch: int = 0  # of a datetime: microseconds in the unit of a stored number; 0: no number is one
    other: Other | None = None  # compared with instead of *values*
    tests: tuple[Test, ...] = ()  # of an item of the list: one passes all; the path of the item itself is empty

    @property
    def known(self) -> Known | None:
        """The trait that has to be known beside the value."""
        return None if self.other is None or self.other.trait is None else Known(self.other, self.kind, self.epoch)


class LocalTimes(Struct, frozen=True):
    """Holds weekdays (1 is Monday; all where none are said) and minutes of the local day, the second out."""

    zone: str
    weekdays: tuple[int, ...] = ()
    minutes: tuple[int, int] | None = None


class Filter(Struct, frozen=True):
    """A filter is tests of one event, joined by *logic*; none pass everything. It happened at *at*, if that is said."""

    logic: Literal["AND", "OR"]
    tests: tuple[Test, ...]
    at: LocalTimes | None = None


class Matching(Struct, frozen=True):
    """Says which events: of these types (None: every event but an identify), that pass the filter, in the range."""

    event_types: tuple[str, ...] | None
    filter: Filter | None
    range: Range


class Measured(Struct, frozen=True):
    """Says what is measured of a user's events; *zone* is that of the days, where days are counted."""

    metric: MeasureName
    matching: Matching
    path: tuple[str, ...] = ()
    zone: str = ""


# Slots: each is a set of users


class CountSlot(Struct, frozen=True, tag=True):
    """Users with at least one match, whose number of matches passes."""

    matching: Matching
    comparison: Comparison


class TimeSlot(Struct, frozen=True, tag=True):
    """Users whose first or last match lies in one of the ranges, or comes round."""

    matching: Matching
    occurrence: Literal["first", "last"]
    when: tuple[Range, ...] | Anniversaries


class AggregateSlot(Struct, frozen=True, tag=True):
    """Users with a match, whose aggregate passes; sums and averages compare in whole millionths."""

    matching: Matching
    path: tuple[str, ...]
    metric: Metric
    comparison: Comparison


class OccurrenceSlot(Struct, frozen=True, tag=True):
    """Users for whom one occurrence, any, or every match passes the test."""

    matching: Matching
    test: Test
    occurrence: Literal["latest", "first", "any", "every"]


class PeriodsSlot(Struct, frozen=True, tag=True):
    """Users with a match, whose number of active periods passes; *starts* are the first instants of the periods."""

    matching: Matching
    starts: tuple[datetime, ...]
    min_per_period: int
    comparison: Comparison


class CompareSlot(Struct, frozen=True, tag=True):
    """Users with an event of one of two measures, of which *left* compares with *factor* millionths of *right*."""

    left: Measured
    operator: MeasureOperator
    right: Measured
    factor: int


class Bounds(Struct, frozen=True):
    """The bounds of a rank are where it ends among all users, whichever shard they are on.

    Attributes:
        ranked: How many users are ranked.
        places: How many of them are in.
        border: The amount of the last who is in, as text; None where nobody is ranked.
        last_id: Of those at the border, the last id that is in; None: all of them are.
        place: The place of the one user that a question is about; None for one who is not ranked.
    """

    ranked: int
    places: int
    border: str | None = None
    last_id: str | None = None
    place: int | None = None


class RankSlot(Struct, frozen=True, tag=True):
    """Users who are among the first *count* of all, or *share* thousandths of a per cent of them, by a measure; with *is_bottom* by the smallest.

    Where all users are on one server, it finds the *bounds* itself.
    """

    measured: Measured
    is_bottom: bool
    count: int | None = None
    share: int | None = None
    bounds: Bounds | None = None


class TraitSlot(Struct, frozen=True, tag=True):
    """Users whose trait passes the test, as it stood at *as_of*."""

    property: str
    test: Test
    as_of: datetime


class SequenceStep(Struct, frozen=True):
    """A step, and at most how many microseconds after the one before."""

    matching: Matching
    within: int | None = None


class SequenceSlot(Struct, frozen=True, tag=True):
    """Users with the steps in order, first to last within *span* microseconds, none of *blockers* between two.

    The steps' events have the same value at each path of *same*.
    """

    steps: tuple[SequenceStep, ...]
    span: int | None
    blockers: tuple[Matching, ...]
    same: tuple[tuple[str, ...], ...] = ()


class SampleSlot(Struct, frozen=True, tag=True):
    """Users whose hash for this salt lies from *low* to *high*, both in."""

    salt: str
    low: int
    high: int


class ListedSlot(Struct, frozen=True, tag=True):
    """Users in the universe who are in a static segment, as one run stored its members."""

    segment_id: int
    run_id: UUID


class MembersSlot(Struct, frozen=True, tag=True):
    """The members of another segment, or of any of several, at the same instant."""

    segment_ids: tuple[int, ...]
    root: Node


Slot = (
    CountSlot
    | TimeSlot
    | AggregateSlot
    | OccurrenceSlot
    | PeriodsSlot
    | CompareSlot
    | RankSlot
    | TraitSlot
    | SequenceSlot
    | SampleSlot
    | ListedSlot
    | MembersSlot
)


class SlotNode(Struct, frozen=True, tag=True):
    """A leaf is the users in the slot, or (complement) in the universe and not in the slot."""

    slot: Slot
    complement: bool
    pointer: str


class GroupNode(Struct, frozen=True, tag=True):
    """A group is children joined by *logic*, then turned round if *complement*."""

    logic: Literal["AND", "OR"]
    children: tuple[Node, ...]
    complement: bool = False


class AtLeastNode(Struct, frozen=True, tag=True):
    """Holds for the users for whom at least so many of *children* hold, counted as often as they stand there."""

    least: int
    children: tuple[Node, ...]
    complement: bool = False


Node = SlotNode | GroupNode | AtLeastNode


class Plan(Struct, frozen=True):
    """A plan is a question about one tenant at one instant; *linked* if some ids of its users are one person's.

    Of one that is *spread* each shard is asked about its own users: a rank is written with bounds only.
    """

    tenant_id: int
    as_of: datetime
    root: Node
    linked: bool = False
    spread: bool = False


def conjunction(first: Node, second: Node) -> Node:
    """Return the node that is true where both are."""
    return GroupNode("AND", (first, second))


def leaves(node: Node) -> list[SlotNode]:
    """Return the leaves of a plan in reading order, those of referenced segments left out."""
    if isinstance(node, SlotNode):
        return [node]
    return [leaf for child in node.children for leaf in leaves(child)]
