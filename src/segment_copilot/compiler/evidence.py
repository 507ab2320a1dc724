"""One user, condition by condition: what was measured, whether it passes, and the newest events behind it.

The verdicts are the slots' own expressions, those that find the members, over the rows of one user.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from textwrap import indent
from typing import Any, Final

from msgspec import Struct
from msgspec.json import decode as from_json

from segment_copilot.compiler.aggregates import TIME_AND_ID, Aggregates, GroupedSlot
from segment_copilot.compiler.params import Params
from segment_copilot.compiler.predicates import render_filter, render_test, stored
from segment_copilot.compiler.render import CompiledQuery
from segment_copilot.compiler.sequences import render_sequence, step_rows
from segment_copilot.compiler.slots import (
    AggregateSlot,
    Choice,
    CountSlot,
    MembersSlot,
    Node,
    OccurrenceSlot,
    PeriodsSlot,
    Plan,
    SampleSlot,
    SequenceSlot,
    Slot,
    TimeSlot,
    TraitSlot,
    leaves,
)
from segment_copilot.compiler.sources import sample_hash
from segment_copilot.compiler.tables import Tables, in_range
from segment_copilot.compiler.trees import normal, slots_of
from segment_copilot.language.catalog import IDENTIFY

NEWEST: Final = 5
"""How many of the events behind a condition are shown."""


class Contribution(Struct, frozen=True):
    """An event that counted."""

    occurred_at: datetime
    event_type: str
    event_id: str


class Evidence(Struct, frozen=True):
    """What one slot found. *measured* is plain JSON: a number, a text, an instant, …; None where nothing is there."""

    holds: bool
    measured: Any
    contributions: tuple[Contribution, ...]


class Verdict(Struct, frozen=True):
    """One leaf of the plan: whether it is true for the user, and the evidence."""

    pointer: str
    matches: bool
    evidence: Evidence


class UserEvidence(Struct, frozen=True):
    """Everything about one user."""

    in_universe: bool
    is_member: bool
    verdicts: tuple[Verdict, ...]


_UNKNOWN: Final = Evidence(holds=False, measured=None, contributions=())
_EVENT: Final = "(occurred_at, event_id, toString(event_type))"
_NO_EVENTS: Final = "CAST([], 'Array(Tuple(DateTime64(6, \\'UTC\\'), String, String))')"
_UNIVERSE: Final = -1


def render_evidence(plan: Plan, *, user_id: str) -> CompiledQuery:
    """Rows `slot, holds, measured, contributions`; a slot for which the user did nothing has no row."""
    params = Params()
    user = params.name("user", user_id, "String")
    tables = Tables(plan, params, only=f"user_key = sipHash64({user})")
    rendering = _Rendering(tables, params, is_user=f"user_id = {user}")
    columns = f"toInt32({_UNIVERSE}) AS slot, toUInt8(1) AS holds, 'null' AS measured, {_NO_EVENTS} AS contributions"
    parts = [f"SELECT {columns}\n{tables.users([f'user_id = {user}'])}"]
    parts += [rendering.part(index, slot) for index, slot in enumerate(_slots(plan))]
    return CompiledQuery("\nUNION ALL\n".join(parts), params.values)


def read_evidence(plan: Plan, rows: list[tuple[Any, ...]]) -> UserEvidence:
    """What the rows of `render_evidence` say about each leaf."""
    slots = _slots(plan)
    found = dict[Slot, Evidence]()
    in_universe = False
    for number, holds, text, contributions in rows:
        if number == _UNIVERSE:
            in_universe = True
            continue
        slot: Slot = slots[int(number)]
        before = found.get(slot, _UNKNOWN)  # a sequence has two rows: that it was done, and the events of its steps
        events = tuple(Contribution(at, type_, id_) for at, id_, type_ in contributions)
        measured = before.measured if text == "null" else _measured(slot, text)
        found[slot] = Evidence(bool(holds) or before.holds, measured, events or before.contributions)
    verdicts = list[Verdict]()
    for leaf in leaves(plan.root):
        matches = in_universe and _is_true(normal(leaf), found)
        evidence = found.get(leaf.slot, _nothing(leaf.slot))
        if isinstance(leaf.slot, MembersSlot):
            evidence = Evidence(_is_true(normal(leaf.slot.root), found), None, ())
        verdicts.append(Verdict(leaf.pointer, matches, evidence))
    return UserEvidence(in_universe, in_universe and _is_true(normal(plan.root), found), tuple(verdicts))


def _slots(plan: Plan) -> list[Slot]:
    return slots_of([normal(leaf) for leaf in leaves(plan.root)])


def _is_true(node: Node, found: Mapping[Slot, Evidence]) -> bool:
    if isinstance(node, Choice):
        return found.get(node.slot, _UNKNOWN).holds != node.complement
    return (all if node.logic == "AND" else any)(_is_true(child, found) for child in node.children)


def _nothing(slot: Slot) -> Evidence:
    """Of a user who did nothing: counts and sums are 0, everything else is missing."""
    match slot:
        case CountSlot() | PeriodsSlot() | AggregateSlot(metric="sum" | "count_distinct"):
            return Evidence(holds=False, measured=0, contributions=())
        case _:
            return _UNKNOWN


def _measured(slot: Slot, text: str) -> Any:
    if isinstance(slot, TimeSlot):
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(text))
    return from_json(text)


class _Rendering:
    """Writes one SELECT for each slot."""

    def __init__(self, tables: Tables, params: Params, *, is_user: str) -> None:
        self._tables = tables
        self._params = params
        self._is_user = is_user

    def part(self, index: int, slot: Slot) -> str:
        match slot:
            case TraitSlot():
                return self._trait(index, slot)
            case SequenceSlot():
                return self._sequence(index, slot)
            case SampleSlot():
                return self._sample(index, slot)
            case MembersSlot():
                raise TypeError("references are opened before")
            case PeriodsSlot() if slot.min_per_period > 1:
                return self._periods(index, slot)
            case _:
                return self._events(index, slot)

    def _events(self, index: int, slot: GroupedSlot) -> str:
        """Over all matching events, those out of the reach of a time test among them."""
        aggregates = Aggregates(self._params)
        holds, measured = aggregates.holds(slot, ""), aggregates.measured(slot)
        conditions = in_range(slot.matching.range, self._params)
        if slot.matching.filter:
            conditions.append(render_filter("payload", slot.matching.filter, self._params))
        events = f"groupArray({_EVENT})"
        if isinstance(slot, OccurrenceSlot) and slot.occurrence == "any":
            events = f"groupArrayIf({_EVENT}, {render_test('payload', slot.test, self._params)})"
        rows = self._tables.events(slot.matching.event_types, conditions)
        newest = f"arraySlice(arrayReverseSort({events}), 1, {NEWEST})"
        columns = f"toInt32({index}), toUInt8({holds}), {measured}, {newest}"
        return f"{aggregates.prefix}SELECT {columns}\n{rows}\nGROUP BY user_key"

    def _trait(self, index: int, slot: TraitSlot) -> str:
        test = render_test("value", slot.test, self._params)
        value = f"ifNull(toJSONString({stored('value', slot.test.path, self._params).json}), 'null')"
        columns = f"argMax({test}, {TIME_AND_ID}), argMax({value}, {TIME_AND_ID})"
        newest = f"[argMax((occurred_at, event_id, '{IDENTIFY}'), {TIME_AND_ID})]"
        rows = self._tables.traits(self._params.bind(slot.property, "String"))
        return f"SELECT toInt32({index}), {columns}, {newest}\n{rows}\nGROUP BY user_key"

    def _sequence(self, index: int, slot: SequenceSlot) -> str:
        """Whether the steps were done in order; the events are all that could be one of them."""
        keys = render_sequence(slot, self._tables, self._params, ())
        newest = f"arraySlice(arrayReverseSort(groupArray({_EVENT})), 1, {NEWEST})"
        steps = step_rows(slot, self._tables, self._params)
        done = f"SELECT toInt32({index}), toUInt8(1), 'null', {_NO_EVENTS} FROM (\n{indent(keys, '  ')}\n)"
        return f"{done}\nUNION ALL\nSELECT toInt32({index}), toUInt8(0), toString(count()), {newest}\n{steps}\nGROUP BY user_key"

    def _sample(self, index: int, slot: SampleSlot) -> str:
        share = sample_hash(self._params.bind(slot.salt, "String"))
        low, high = self._params.bind(slot.low, "UInt64"), self._params.bind(slot.high, "UInt64")
        measured = f"toString(round({share} / pow(2, 64) * 100, 6))"
        holds = f"{share} BETWEEN {low} AND {high}"
        return f"SELECT toInt32({index}), {holds}, {measured}, {_NO_EVENTS}\n{self._tables.users([self._is_user])}"

    def _periods(self, index: int, slot: PeriodsSlot) -> str:
        """Periods with several events each: first the periods of the user, then how many there are."""
        aggregates = Aggregates(self._params)
        least = self._params.bind(slot.min_per_period, "UInt64")
        conditions = in_range(slot.matching.range, self._params)
        if slot.matching.filter:
            conditions.append(render_filter("payload", slot.matching.filter, self._params))
        rows = self._tables.events(slot.matching.event_types, conditions)
        periods = f"SELECT count() >= {least} AS is_active, groupArray({_EVENT}) AS events\n{rows}\nGROUP BY {aggregates.period(slot)}"
        holds = aggregates.compare("countIf(is_active)", slot.comparison, "UInt64")
        newest = f"arraySlice(arrayReverseSort(arrayFlatten(groupArray(events))), 1, {NEWEST})"
        columns = f"toInt32({index}), toUInt8({holds}), toString(countIf(is_active)), {newest}"
        return f"SELECT {columns} FROM (\n{indent(periods, '  ')}\n)\nHAVING count() > 0"
