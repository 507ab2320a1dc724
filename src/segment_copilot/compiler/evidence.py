"""Explains one user, condition by condition: what was measured, whether it passes, and the newest events behind it.

The verdicts are the slots' own expressions, those that find the members, over the rows of one user.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, assert_never

from msgspec import Struct
from msgspec.json import decode as from_json

from segment_copilot.compiler.aggregates import (
    TIME_AND_ID,
    GroupedSlot,
    render_comparison,
    render_holds,
    render_measured,
    render_period,
)
from segment_copilot.compiler.fragments import CompiledQuery, Fragment, bind, join, nested, query, sql, with_named
from segment_copilot.compiler.known import beside
from segment_copilot.compiler.measures import NEVER_MISSING, counts_in_any
from segment_copilot.compiler.moves import known_of
from segment_copilot.compiler.predicates import render_test, render_tested
from segment_copilot.compiler.ranks import ranked_rows, render_place
from segment_copilot.compiler.sequences import could_be_step, render_sequence, step_rows
from segment_copilot.compiler.slots import (
    AggregateSlot,
    CompareSlot,
    CountSlot,
    ListedSlot,
    MembersSlot,
    OccurrenceSlot,
    PeriodsSlot,
    Plan,
    RankSlot,
    SampleSlot,
    SequenceSlot,
    Slot,
    TimeSlot,
    TraitSlot,
    leaves,
)
from segment_copilot.compiler.sources import compared_rows, is_sampled, listed, passes, sample_hash
from segment_copilot.compiler.tables import Person, Tables, in_range, of_traits
from segment_copilot.compiler.trees import is_true, normal, slots_of
from segment_copilot.language.catalog import IDENTIFY

NEWEST: Final = 5
"""How many of the events behind a condition are shown."""


class Contribution(Struct, frozen=True):
    """An event that counted."""

    occurred_at: datetime
    event_type: str
    event_id: str


class Evidence(Struct, frozen=True):
    """Holds the findings of one slot. *measured* is plain JSON: a number, a text, …, None where nothing is there.

    *beside* is, likewise, the stored value that it was compared with, where it was compared with one.
    """

    holds: bool
    measured: Any
    contributions: tuple[Contribution, ...]
    beside: Any = None


class Verdict(Struct, frozen=True):
    """Says of one leaf of the plan whether it is true for the user, and on what evidence."""

    pointer: str
    matches: bool
    evidence: Evidence


class UserEvidence(Struct, frozen=True):
    """Holds everything about one user."""

    in_universe: bool
    is_member: bool
    verdicts: tuple[Verdict, ...]


_UNKNOWN: Final = Evidence(holds=False, measured=None, contributions=())
_EVENT: Final = "(occurred_at, event_id, toString(event_type))"
_NO_EVENTS: Final = "CAST([], 'Array(Tuple(DateTime64(6, \\'UTC\\'), String, String))')"
_UNIVERSE: Final = -1


def render_evidence(plan: Plan, *, user_id: str, other_ids: tuple[str, ...] = ()) -> CompiledQuery:
    """Write rows `slot, holds, measured, contributions`; a slot for which the user did nothing has no row.

    *other_ids* are those that are linked to the user's.
    """
    tables = Tables(plan, person=Person(user_id, other_ids))
    is_user = sql("user_id = {}", tables.user)
    template = "SELECT toInt32({}) AS slot, toUInt8(1) AS holds, 'null' AS measured, {} AS contributions\n{}"
    parts = [sql(template, _UNIVERSE, _NO_EVENTS, tables.users([is_user]))]
    rendering = _Rendering(tables, is_user=is_user)
    parts += [rendering.part(index, slot) for index, slot in enumerate(_slots(plan))]
    return query(join("\nUNION ALL\n", parts))


def read_evidence(plan: Plan, rows: list[tuple[Any, ...]]) -> UserEvidence:
    """Read the rows of `render_evidence` as a verdict on each leaf."""
    slots = _slots(plan)
    found = dict[Slot, Evidence]()
    in_universe = False
    for number, holds, text, contributions in rows:
        if number == _UNIVERSE:
            in_universe = True
            continue
        slot: Slot = slots[int(number)]
        before = found.get(slot, _UNKNOWN)  # sequences and ranks have two rows: what is measured, and the events
        events = tuple(Contribution(at, type_, id_) for at, id_, type_ in contributions)
        measured, beside = before.measured, None
        if text != "null":
            measured = _measured(slot, text)
        if _is_beside_another(slot):
            measured, beside = measured
        found[slot] = Evidence(bool(holds) or before.holds, measured, events or before.contributions, beside)
    true = {slot for slot, evidence in found.items() if evidence.holds}
    verdicts = list[Verdict]()
    for leaf in leaves(plan.root):
        matches = in_universe and is_true(normal(leaf), true)
        evidence = found.get(leaf.slot, _nothing(leaf.slot))
        if isinstance(leaf.slot, MembersSlot):
            evidence = Evidence(is_true(normal(leaf.slot.root), true), None, ())
        verdicts.append(Verdict(leaf.pointer, matches, evidence))
    return UserEvidence(in_universe, in_universe and is_true(normal(plan.root), true), tuple(verdicts))


def _slots(plan: Plan) -> list[Slot]:
    return slots_of([normal(leaf) for leaf in leaves(plan.root)])


def _nothing(slot: Slot) -> Evidence:
    """Return the evidence of a user who did nothing: counts and sums are 0, everything else is missing."""
    match slot:
        case CountSlot() | PeriodsSlot() | AggregateSlot(metric="sum" | "count_distinct"):
            return Evidence(holds=False, measured=0, contributions=())
        case CompareSlot():
            nothing = {
                side: 0 if one.metric in NEVER_MISSING else None
                for side, one in (("left", slot.left), ("right", slot.right))
            }
            return Evidence(holds=False, measured=nothing, contributions=())
        case AggregateSlot() | TimeSlot() | OccurrenceSlot() | TraitSlot():
            return _UNKNOWN
        case SequenceSlot() | SampleSlot() | ListedSlot() | MembersSlot() | RankSlot():
            return _UNKNOWN
        case _:
            assert_never(slot)


def _is_beside_another(slot: Slot) -> bool:
    """Return whether two values are measured: one that is stored, and another that it is compared with."""
    if isinstance(slot, OccurrenceSlot):
        return slot.test.other is not None and slot.occurrence in {"latest", "first"}
    return isinstance(slot, TraitSlot) and slot.test.other is not None


def _measured(slot: Slot, text: str) -> Any:
    if isinstance(slot, TimeSlot):
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(text))
    return from_json(text)


class _Rendering:
    """Writes one SELECT for each slot."""

    def __init__(self, tables: Tables, *, is_user: Fragment) -> None:
        self._tables = tables
        self._is_user = is_user

    def part(self, index: int, slot: Slot) -> Fragment:
        match slot:
            case TraitSlot():
                return self._trait(index, slot)
            case SequenceSlot():
                return self._sequence(index, slot)
            case SampleSlot():
                return self._sample(index, slot)
            case ListedSlot():
                return self._listed(index, slot)
            case RankSlot():
                return self._rank(index, slot)
            case MembersSlot():
                raise TypeError("references are opened before")
            case PeriodsSlot() if slot.min_per_period > 1:
                return self._periods(index, slot)
            case CompareSlot():
                return self._grouped(index, slot, compared_rows(slot, self._tables))
            case CountSlot() | TimeSlot() | AggregateSlot() | OccurrenceSlot() | PeriodsSlot():
                conditions = in_range(slot.matching.range) + passes(slot.matching.filter)
                rows = beside(self._tables, known_of(slot)).events(slot.matching.event_types, conditions)
                return self._grouped(index, slot, rows)
            case _:
                assert_never(slot)

    def _grouped(self, index: int, slot: GroupedSlot, rows: Fragment) -> Fragment:
        """Read all matching events, those out of the reach of a time test among them."""
        holds, measured = render_holds(slot, None), render_measured(slot)
        events = sql("groupArray({})", _EVENT)
        if isinstance(slot, OccurrenceSlot) and slot.occurrence == "any":
            events = sql("groupArrayIf({}, {})", _EVENT, render_test("payload", slot.test))
        if isinstance(slot, CompareSlot):
            events = sql("groupArrayIf({}, {})", _EVENT, counts_in_any(slot))
        template = "SELECT toInt32({}), toUInt8({}), {}, {}\n{}\nGROUP BY {}"
        return with_named(sql(template, index, holds, measured, _newest(events), rows, self._tables.person_key))

    def _trait(self, index: int, slot: TraitSlot) -> Fragment:
        test = render_test("value", slot.test)
        value = render_tested("value", slot.test)
        newest = sql("(occurred_at, event_id, '{}')", IDENTIFY)
        rows = beside(self._tables, known_of(slot)).traits(of_traits([slot.property]))
        found = [sql("argMax({}, {})", expression, TIME_AND_ID) for expression in (test, value, newest)]
        template = "SELECT toInt32({}), {}, {}, [{}]\n{}\nGROUP BY {}"
        return sql(template, index, *found, rows, self._tables.person_key)

    def _sequence(self, index: int, slot: SequenceSlot) -> Fragment:
        """Ask whether the steps were done in order; the events are all that could be one of them, by themselves."""
        keys = nested(render_sequence(slot, self._tables, ()))
        done = sql("SELECT toInt32({}), toUInt8(1), 'null', {} FROM {}", index, _NO_EVENTS, keys)
        newest = _newest(sql("groupArrayIf({}, {})", _EVENT, could_be_step(slot)))
        template = "SELECT toInt32({}), toUInt8(0), toString(count()), {}\n{}\nGROUP BY {}"
        events = with_named(sql(template, index, newest, step_rows(slot, self._tables), self._tables.person_key))
        return sql("{}\nUNION ALL\n{}", done, events)

    def _rank(self, index: int, slot: RankSlot) -> Fragment:
        """Find the user's place among all; the events are the user's own."""
        place = render_place(slot, self._tables, index=index, no_events=sql(_NO_EVENTS))
        newest, rows = _newest(sql("groupArray({})", _EVENT)), ranked_rows(slot, self._tables)
        template = "{}\nUNION ALL\nSELECT toInt32({}), toUInt8(0), 'null', {}\n{}\nGROUP BY {}"
        return sql(template, place, index, newest, rows, self._tables.person_key)

    def _sample(self, index: int, slot: SampleSlot) -> Fragment:
        share = sample_hash(slot)
        measured = sql("toString(round({} / pow(2, 64) * 100, 6))", share)
        holds, users = is_sampled(slot, share), self._tables.users([self._is_user])
        return sql("SELECT toInt32({}), {}, {}, {}\n{}", index, holds, measured, _NO_EVENTS, users)

    def _listed(self, index: int, slot: ListedSlot) -> Fragment:
        users = self._tables.users([self._is_user, listed(slot, self._tables)])
        return sql("SELECT toInt32({}), toUInt8(1), 'null', {}\n{}", index, _NO_EVENTS, users)

    def _periods(self, index: int, slot: PeriodsSlot) -> Fragment:
        """Count periods with several events each: first the periods of the user, then how many there are."""
        least = bind(slot.min_per_period, "UInt64")
        conditions = in_range(slot.matching.range) + passes(slot.matching.filter)
        rows = beside(self._tables, known_of(slot)).events(slot.matching.event_types, conditions)
        template = "SELECT count() >= {} AS is_active, groupArray({}) AS events\n{}\nGROUP BY {}"
        periods = nested(sql(template, least, _EVENT, rows, render_period(slot)))
        holds = render_comparison(sql("countIf(is_active)"), slot.comparison, "UInt64")
        newest = _newest(sql("arrayFlatten(groupArray(events))"))
        template = "SELECT toInt32({}), toUInt8({}), toString(countIf(is_active)), {} FROM {}\nHAVING count() > 0"
        return sql(template, index, holds, newest, periods)


def _newest(events: Fragment) -> Fragment:
    return sql("arraySlice(arrayReverseSort({}), 1, {})", events, NEWEST)
