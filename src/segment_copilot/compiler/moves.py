"""Says whom the clock alone can bring into an audience or out of it, between two instants.

A definition is planned at both instants, and slot by slot what is different names the users: those with an event that lies
in a window at one of them and not at the other, or with a value that passes a moving test at one of them only. What the
same rows say at both instants moves nobody. More users may be named than move, and none of those who move is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Final, assert_never

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from segment_copilot.compiler.slots import (
    AggregateSlot,
    Anniversaries,
    CompareSlot,
    CountSlot,
    Filter,
    Known,
    ListedSlot,
    Matching,
    MembersSlot,
    Node,
    OccurrenceSlot,
    PeriodsSlot,
    Plan,
    Range,
    RankSlot,
    SampleSlot,
    SequenceSlot,
    Slot,
    SlotNode,
    Test,
    TimeSlot,
    TraitSlot,
)
from segment_copilot.language.lengths import EARLIEST, LATEST, MICROSECOND

_NOWHERE: Final = Range(LATEST, EARLIEST)
_MOVING: Final = {"datetime", "anniversary"}


class EventsIn(Struct, frozen=True):
    """Names the users with an event of these types in the range."""

    event_types: tuple[str, ...] | None
    range: Range


class EventsJudgedAnew(Struct, frozen=True):
    """Names the users with an event in the range that passes one of two filters and not the other."""

    event_types: tuple[str, ...] | None
    range: Range
    earlier: Filter
    later: Filter


class DaysOfEvents(Struct, frozen=True):
    """Names the users with an event whose day comes round by one of the two and not by the other."""

    event_types: tuple[str, ...] | None
    earlier: Anniversaries
    later: Anniversaries


class TraitSince(Struct, frozen=True):
    """Names the users whose trait has a value of after the earlier instant."""

    property: str


class TraitJudgedAnew(Struct, frozen=True):
    """Names the users whose trait passes one of two tests and not the other."""

    property: str
    earlier: Test
    later: Test


class SeenSince(Struct, frozen=True):
    """Names the users whom nobody had seen at the earlier instant."""


Move = EventsIn | EventsJudgedAnew | DaysOfEvents | TraitSince | TraitJudgedAnew | SeenSince


def moves_between(earlier: Plan, later: Plan) -> frozenset[Move] | None:
    """Return what names everybody whom the clock can move from one instant to the other; None where only everybody can be.

    That is where the plans, which are of one definition, ask different things, rank users, or count periods that were cut anew. Users
    whom nobody had seen at the earlier instant are not among those that are named.
    """
    found = set[Move]()
    for before, after in zip_longest(_slots(earlier.root), _slots(later.root)):
        if before is None or after is None or not _is_same(before, after):
            return None
        found.update(_moves(before, after, (earlier.as_of, later.as_of)))
    return frozenset(found)


def slots_between(earlier: Plan, later: Plan) -> Iterator[tuple[Slot, Slot, frozenset[Move]]]:
    """Yield each slot as it was and as it is, and what names all whom the clock can bring into it or out of it.

    The plans are of one definition. Slots of which only everybody can be named are left out.
    """
    for before, after in zip(_slots(earlier.root), _slots(later.root), strict=False):
        if _is_same(before, after):
            moves = frozenset(_moves(before, after, (earlier.as_of, later.as_of)))
            yield before, after, moves | {SeenSince()} if isinstance(after, SampleSlot | ListedSlot) else moves


def _is_same(before: Slot, after: Slot) -> bool:
    """Return whether a slot asks the same at both instants, of each user alone, and does not count what was cut anew."""
    if isinstance(after, RankSlot):  # one user's event moves others
        return False
    if isinstance(before, PeriodsSlot) and isinstance(after, PeriodsSlot) and not _go_on(before, after):
        return False
    return _question(before) == _question(after)


def question_of(plan: Plan) -> bytes:
    """Return a hash of what a plan asks, and at which instant: of the definition, and of all that stands behind it."""
    return question_at(plan.as_of, plan.root)


def question_at(as_of: datetime, asked: object) -> bytes:
    """Return a hash of a part of a plan, and the instant at which it is asked."""
    return hashlib.sha256(msgspec.json.encode((as_of, asked))).digest()


def _slots(node: Node) -> Iterator[Slot]:
    """Return every slot of a plan as it was planned, twice what stands there twice: so those of two plans are in step."""
    if not isinstance(node, SlotNode):
        for child in node.children:
            yield from _slots(child)
    elif isinstance(node.slot, MembersSlot):
        yield from _slots(node.slot.root)
    else:
        yield node.slot


def matchings_of(slot: Slot) -> tuple[Matching, ...]:
    """Return which events a slot looks at; none for one that looks at no events."""
    match slot:
        case CountSlot() | TimeSlot() | AggregateSlot() | OccurrenceSlot() | PeriodsSlot():
            return (slot.matching,)
        case CompareSlot():
            return slot.left.matching, slot.right.matching
        case RankSlot():
            return (slot.measured.matching,)
        case SequenceSlot():
            return (*(step.matching for step in slot.steps), *slot.blockers)
        case TraitSlot() | SampleSlot() | ListedSlot():
            return ()
        case MembersSlot():
            raise TypeError("references are opened before")
        case _:
            assert_never(slot)


def known_of(slot: Slot) -> tuple[Known, ...]:
    """Return the traits that the values a slot looks at are compared with, each once and in one order."""
    tests = [test for matching in matchings_of(slot) if matching.filter is not None for test in matching.filter.tests]
    if isinstance(slot, OccurrenceSlot | TraitSlot):
        tests.append(slot.test)
    return known_of_tests(tests)


def known_of_tests(tests: Iterable[Test]) -> tuple[Known, ...]:
    """Return the traits that some tests compare with."""
    each = [one for test in tests for one in (test, *test.tests)]
    return tuple(sorted({test.known for test in each if test.known is not None}, key=repr))


# What is asked, without the instant at which it is


def _question(slot: Slot) -> Slot:
    match slot:
        case TimeSlot():
            return replace(slot, matching=_of_no_instant(slot.matching), when=())
        case PeriodsSlot():
            return replace(slot, matching=_of_no_instant(slot.matching), starts=())
        case OccurrenceSlot():
            return replace(slot, matching=_of_no_instant(slot.matching), test=_of_no_values(slot.test))
        case CountSlot() | AggregateSlot():
            return replace(slot, matching=_of_no_instant(slot.matching))
        case CompareSlot():
            left, right = (replace(one, matching=_of_no_instant(one.matching)) for one in (slot.left, slot.right))
            return replace(slot, left=left, right=right)
        case TraitSlot():
            return replace(slot, test=_of_no_values(slot.test), as_of=EARLIEST)
        case SequenceSlot():
            steps = tuple(replace(step, matching=_of_no_instant(step.matching)) for step in slot.steps)
            return replace(slot, steps=steps, blockers=tuple(map(_of_no_instant, slot.blockers)))
        case SampleSlot() | ListedSlot() | MembersSlot() | RankSlot():
            return slot
        case _:
            assert_never(slot)


def _of_no_instant(matching: Matching) -> Matching:
    wanted = matching.filter
    if wanted is not None:
        wanted = replace(wanted, tests=tuple(map(_of_no_values, wanted.tests)))
    return replace(matching, filter=wanted, range=Range())


def _of_no_values(test: Test) -> Test:
    if test.tests:
        return replace(test, tests=tuple(map(_of_no_values, test.tests)))
    return replace(test, values=()) if test.kind in _MOVING else test


def _go_on(before: PeriodsSlot, after: PeriodsSlot) -> bool:
    """Return whether periods that are counted at both instants begin and end as they did."""
    first, last = after.starts[0], before.starts[-1]
    kept = [start for start in after.starts if first < start <= last]
    return before.starts[0] <= first and [start for start in before.starts if start > first] == kept


# Who moves

_Instants = tuple[datetime, datetime]


def _moves(before: Slot, after: Slot, instants: _Instants) -> Iterator[Move]:
    for one, other in zip(matchings_of(before), matchings_of(after), strict=True):
        yield from _moves_of_events(one, other, instants)
    for known in known_of(after):
        yield TraitSince(known.trait)
    match before, after:
        case TimeSlot(), TimeSlot():
            yield from _moves_of_when(before, after)
        case OccurrenceSlot(), OccurrenceSlot() if before.test != after.test:
            tests = Filter("AND", (before.test,)), Filter("AND", (after.test,))
            yield EventsJudgedAnew(after.matching.event_types, _of_both(before.matching, after.matching), *tests)
        case TraitSlot(), TraitSlot():
            yield TraitSince(after.property)
            if before.test != after.test:
                yield TraitJudgedAnew(after.property, before.test, after.test)
        case _:
            pass


def _moves_of_events(before: Matching, after: Matching, instants: _Instants) -> Iterator[Move]:
    ranges = _until(before.range, instants[0]), _until(after.range, instants[1])
    for range_ in differences(*ranges):
        yield EventsIn(after.event_types, range_)
    if before.filter and after.filter and before.filter != after.filter:
        yield EventsJudgedAnew(after.event_types, _of_both(before, after), before.filter, after.filter)


def _moves_of_when(before: TimeSlot, after: TimeSlot) -> Iterator[Move]:
    """Name users of whom some event, perhaps the first or last, is wanted at one of the instants only."""
    names, old, new = after.matching.event_types, before.when, after.when
    if isinstance(old, Anniversaries) and isinstance(new, Anniversaries):
        if old != new:
            yield DaysOfEvents(names, old, new)
    elif isinstance(old, tuple) and isinstance(new, tuple):
        for one, other in zip_longest(old, new, fillvalue=_NOWHERE):
            yield from (EventsIn(names, range_) for range_ in differences(one, other))


def _until(range_: Range, instant: datetime) -> Range:
    """Cut what is later than the instant, of which nothing is read."""
    return Range(range_.earliest, min(range_.latest or LATEST, instant))


def _of_both(before: Matching, after: Matching) -> Range:
    earliest, latest = zip(_ends(before.range), _ends(after.range), strict=True)
    return Range(min(earliest), max(latest))


def _ends(range_: Range) -> tuple[datetime, datetime]:
    return range_.earliest or EARLIEST, range_.latest or LATEST


def differences(one: Range, other: Range) -> list[Range]:
    """Return the ranges of the instants that lie in one of two ranges and not in the other."""
    (first, last), (begin, end) = _ends(one), _ends(other)
    if max(first, begin) > min(last, end):  # they have nothing in common, or one of them is empty
        found = [(first, last), (begin, end)]
    else:
        found = [
            (min(first, begin), max(first, begin) - MICROSECOND),
            (min(last, end) + MICROSECOND, max(last, end)),
        ]
    return [Range(*ends) for ends in found if ends[0] <= ends[1]]


def together(ranges: Iterable[Range]) -> Sequence[Range]:
    """Return as few ranges of the same instants, in order; each of the given ones has both ends."""
    found = list[tuple[datetime, datetime]]()
    for first, last in sorted(map(_ends, ranges)):
        if found and first <= found[-1][1] + MICROSECOND:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return [Range(*ends) for ends in found]
