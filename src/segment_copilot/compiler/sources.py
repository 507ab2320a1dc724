"""One source: what is read once for all slots about the same events, or about the same trait.

The rows that matter to any of the slots are read, and each slot looks at its own only: what one slot alone has in its
WHERE becomes a *guard*, the condition of its aggregates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from textwrap import indent
from typing import Final, Literal, cast

import msgspec
from msgspec import Struct

from segment_copilot.compiler.aggregates import TIME_AND_ID, Aggregates, GroupedSlot
from segment_copilot.compiler.params import Params
from segment_copilot.compiler.predicates import render_filter, render_test
from segment_copilot.compiler.sequences import render_sequence
from segment_copilot.compiler.slots import (
    AggregateSlot,
    Choice,
    CountSlot,
    Filter,
    Matching,
    Node,
    OccurrenceSlot,
    PeriodsSlot,
    Range,
    SampleSlot,
    SequenceSlot,
    Slot,
    TimeSlot,
    TraitSlot,
)
from segment_copilot.compiler.tables import Tables, in_range
from segment_copilot.compiler.trees import slots_of
from segment_copilot.language.lengths import EARLIEST, LATEST

TraitTable = Literal["current", "history"]
"""Where traits are read: their newest values (fast when `as_of` is about now), or everything they ever were."""

_AT_LEAST_ONE: Final = {("gte", 1), ("gt", 0), ("neq", 0)}


class Events(Struct, frozen=True):
    """The events of these types."""

    names: tuple[str, ...] | None


class Trait(Struct, frozen=True):
    """The values of a trait."""

    name: str


Places = Sequence[tuple[int, int]]
"""Per slot, its word and its bit there."""

Source = Events | Trait | Slot
"""A slot that cannot be read with others is a source of its own."""


def source_of(slot: Slot) -> Source:
    """Where the slot is read; slots of one source share a read."""
    match slot:
        case TraitSlot():
            return Trait(slot.property)
        case PeriodsSlot() if slot.min_per_period > 1:
            return slot
        case CountSlot() | TimeSlot() | PeriodsSlot() | OccurrenceSlot() | AggregateSlot():
            return Events(slot.matching.event_types)
        case _:
            return slot


class _Need(Struct, frozen=True):
    """A slot, and the rows that matter to it. *exists*: any such row makes the slot hold."""

    slot: GroupedSlot
    matching: Matching
    exists: bool


def _need(slot: GroupedSlot, as_of: datetime) -> _Need:
    match slot:
        case CountSlot():
            return _Need(slot, slot.matching, (slot.comparison.operator, slot.comparison.low) in _AT_LEAST_ONE)
        case OccurrenceSlot(occurrence="any"):
            return _Need(slot, slot.matching, exists=True)
        case TimeSlot():
            narrow = _narrowed(slot, as_of)
            return _Need(narrow, narrow.matching, narrow.when == (Range(),))
        case _:
            return _Need(slot, slot.matching, exists=False)


def _narrowed(slot: TimeSlot, as_of: datetime) -> TimeSlot:
    """When the last event is to lie in one range, only what is not before it can be, or overtake, that event."""
    if not isinstance(slot.when, tuple) or len(slot.when) != 1:
        return slot
    (wanted,) = slot.when
    earliest = None if wanted.earliest == EARLIEST else wanted.earliest
    latest = None if wanted.latest in {as_of, LATEST} else wanted.latest
    rows, left = (
        (Range(earliest, None), Range(None, latest))
        if slot.occurrence == "last"
        else (Range(None, latest), Range(earliest, None))
    )
    return msgspec.structs.replace(slot, matching=msgspec.structs.replace(slot.matching, range=rows), when=(left,))


class Sources:
    """Writes the reads of one query."""

    def __init__(self, tables: Tables, params: Params, as_of: datetime, *, traits: TraitTable) -> None:
        self._tables = tables
        self._params = params
        self._as_of = as_of
        self._traits: TraitTable = traits

    def keys(self, node: Node, narrowed: Sequence[str]) -> str:
        """`SELECT user_key`, perhaps some twice, for a positive tree over one source, of users that pass *narrowed*."""
        slots = slots_of([node])
        source = source_of(slots[0])
        match source:
            case Events():
                return self._event_keys(source, node, slots, narrowed)
            case Trait():
                tests = {slot: self._test(slot) for slot in slots}
                return self._trait_keys(source, narrowed, written(node, tests.__getitem__))
            case _:
                return self._alone(source, narrowed)

    def bits(self, slots: Sequence[Slot], places: Places, words: int) -> str:
        """`SELECT user_key, bits_0, …`: of slots of one source, those that hold for a user.

        A user may come in several rows: the bits of all are to be joined.

        Args:
            slots: Of one source.
            places: Word and bit of each.
            words: How many words a row has.
        """
        source = source_of(slots[0])
        match source:
            case Events():
                return self._event_bits(source, slots, places, words)
            case Trait():
                return self._trait_bits(source, slots, places, words)
            case _:
                columns = _columns(["1"], places, words)
                return f"SELECT user_key, {columns} FROM (\n{indent(self._alone(source, ()), '  ')}\n)"

    # Events

    def _event_keys(self, source: Events, node: Node, slots: Sequence[Slot], narrowed: Sequence[str]) -> str:
        read = self._prepare(slots)
        if all(need.exists for need in read.needs) and is_any(node):
            conditions = [*read.conditions, *_any_of(read.guards), *narrowed]
            return f"SELECT user_key\n{self._tables.events(source.names, conditions)}"
        having = written(node, dict(zip(slots, read.holds(), strict=True)).__getitem__)
        rows = self._tables.events(source.names, [*read.conditions, *narrowed])
        return f"{read.aggregates.prefix}SELECT user_key\n{rows}\nGROUP BY user_key\nHAVING {having}"

    def _event_bits(self, source: Events, slots: Sequence[Slot], places: Places, words: int) -> str:
        read = self._prepare(slots)
        if not all(need.exists for need in read.needs):
            columns = _columns(read.holds(), places, words)
            rows = self._tables.events(source.names, read.conditions)
            return (
                f"{read.aggregates.prefix}SELECT user_key, {columns}\n{rows}\nGROUP BY user_key\nHAVING {_some(places)}"
            )
        if len(slots) == 1:
            rows = self._tables.events(source.names, [*read.conditions, *_any_of(read.guards)])
            return f"SELECT user_key, {_columns(['1'], places, words)}\n{rows}"
        rows = self._tables.events(source.names, [*read.conditions, *([_some(places)] if all(read.guards) else [])])
        return f"SELECT user_key, {_columns([guard or '1' for guard in read.guards], places, words)}\n{rows}"

    def _prepare(self, slots: Sequence[Slot]) -> _Read:
        """What to read for all of the slots, and each one's guard."""
        aggregates = Aggregates(self._params)
        needs = [_need(cast("GroupedSlot", slot), self._as_of) for slot in slots]
        ranges, filters = {need.matching.range for need in needs}, {need.matching.filter for need in needs}
        conditions = in_range(_hull(ranges), self._params)
        if len(filters) == 1:
            conditions += self._filter(needs[0].matching.filter)
        guards = list[str]()
        for need in needs:
            tests = in_range(need.matching.range, self._params) if len(ranges) > 1 else []
            tests += self._filter(need.matching.filter) if len(filters) > 1 else []
            if isinstance(need.slot, OccurrenceSlot) and need.exists:
                tests.append(render_test("payload", need.slot.test, self._params))
            guards.append(" AND ".join(tests))
        return _Read(aggregates, needs, guards, conditions)

    def _filter(self, wanted: Filter | None) -> list[str]:
        return [render_filter("payload", wanted, self._params)] if wanted else []

    # Traits

    def _test(self, slot: Slot) -> str:
        return render_test("value", cast("TraitSlot", slot).test, self._params)

    def _trait_keys(self, source: Trait, narrowed: Sequence[str], test: str) -> str:
        """The newest value decides: of the current ones, or of the history where a newer one is later than `as_of`."""
        name = self._params.bind(source.name, "String")
        decided = f"GROUP BY user_key\nHAVING argMax({test}, {TIME_AND_ID})"
        if self._traits == "history":
            return f"SELECT user_key\n{self._tables.traits(name, narrowed)}\n{decided}"
        current = [f"occurred_at <= {self._tables.as_of}", "is_exact", test]
        rows = (
            f"SELECT user_key\n{self._tables.current_traits(name, current, final=True)}\nUNION ALL\n"
            f"SELECT user_key\n{self._tables.traits(name, [self._changed_since(name)])}\n{decided}"
        )
        if not narrowed:
            return rows
        return f"SELECT user_key FROM (\n{indent(rows, '  ')}\n)\nWHERE " + "\n  AND ".join(narrowed)

    def _trait_bits(self, source: Trait, slots: Sequence[Slot], places: Places, words: int) -> str:
        name = self._params.bind(source.name, "String")
        columns, some = _columns([self._test(slot) for slot in slots], places, words), _some(places)
        newest = ", ".join(f"argMax(rows.bits_{word}, rows.time_and_id) AS bits_{word}" for word in range(words))
        is_current = self._traits == "current"
        history = self._tables.traits(name, [self._changed_since(name)] if is_current else [])
        history = f"SELECT user_key, {columns}, {TIME_AND_ID} AS time_and_id\n{history}"
        decided = (
            f"SELECT user_key, {newest} FROM (\n{indent(history, '  ')}\n) AS rows\nGROUP BY user_key\nHAVING {some}"
        )
        if not is_current:
            return decided
        current = [f"occurred_at <= {self._tables.as_of}", "is_exact", some]
        return f"SELECT user_key, {columns}\n{self._tables.current_traits(name, current, final=True)}\nUNION ALL\n{decided}"

    def _changed_since(self, name: str) -> str:
        """Of whom the newest value is later than `as_of`, or not told from an equally old one by its number alone."""
        conditions = [f"(occurred_at > {self._tables.as_of} OR NOT is_exact)"]
        rows = f"SELECT user_key\n{self._tables.current_traits(name, conditions, final=False)}"
        return f"user_key IN (\n{indent(rows, '    ')}\n  )"

    # What cannot be read with others

    def _alone(self, slot: Slot, narrowed: Sequence[str]) -> str:
        match slot:
            case SequenceSlot():
                return render_sequence(slot, self._tables, self._params, narrowed)
            case SampleSlot():
                share = sample_hash(self._params.bind(slot.salt, "String"))
                low, high = self._params.bind(slot.low, "UInt64"), self._params.bind(slot.high, "UInt64")
                return f"SELECT user_key\n{self._tables.users([f'{share} BETWEEN {low} AND {high}', *narrowed])}"
            case PeriodsSlot():
                return self._periods(slot, narrowed)
            case _:
                raise TypeError(f"{type(slot).__name__} is read with others of its source")

    def _periods(self, slot: PeriodsSlot, narrowed: Sequence[str]) -> str:
        """Periods with several events each: first the periods of a user, then how many there are."""
        aggregates = Aggregates(self._params)
        least = self._params.bind(slot.min_per_period, "UInt64")
        conditions = [*in_range(slot.matching.range, self._params), *self._filter(slot.matching.filter), *narrowed]
        rows = self._tables.events(slot.matching.event_types, conditions)
        active = f"SELECT user_key\n{rows}\nGROUP BY user_key, {aggregates.period(slot)}\nHAVING count() >= {least}"
        passes = aggregates.compare("count()", slot.comparison, "UInt64")
        return f"SELECT user_key FROM (\n{indent(active, '  ')}\n)\nGROUP BY user_key\nHAVING {passes}"


class _Read(Struct, frozen=True):
    """One read for several slots: the conditions of its rows, and each slot's guard."""

    aggregates: Aggregates
    needs: list[_Need]
    guards: list[str]
    conditions: list[str]

    def holds(self) -> list[str]:
        """Per slot, whether it holds for the user."""
        return [
            f"({'countIf(' + guard + ')' if guard else 'count()'} > 0)"
            if need.exists
            else self.aggregates.holds(need.slot, guard)
            for need, guard in zip(self.needs, self.guards, strict=True)
        ]


def sample_hash(salt: str) -> str:
    """Of a user, for a salt: the first eight bytes of a SHA-256, as a number."""
    return f"reinterpretAsUInt64(reverse(substring(SHA256(concat({salt}, '\\0', user_id)), 1, 8)))"


def is_any(node: Node) -> bool:
    """Whether a tree asks for any of some slots, and for no more."""
    return not node.complement if isinstance(node, Choice) else node.logic == "OR" and all(map(is_any, node.children))


def written(node: Node, write: Callable[[Slot], str]) -> str:
    """A normal tree as one expression."""
    if isinstance(node, Choice):
        return f"(NOT {write(node.slot)})" if node.complement else write(node.slot)
    return f"({f' {node.logic} '.join(written(child, write) for child in node.children)})"


def _hull(ranges: Iterable[Range]) -> Range:
    """The range that holds all of them."""
    earliest, latest = [item.earliest for item in ranges], [item.latest for item in ranges]
    return Range(
        None if None in earliest else min(cast("list[datetime]", earliest)),
        None if None in latest else max(cast("list[datetime]", latest)),
    )


def _any_of(guards: Sequence[str]) -> list[str]:
    """As a condition of rows; none when some slot takes every row."""
    if not all(guards):
        return []
    return [guards[0]] if len(guards) == 1 else [f"({' OR '.join(f'({guard})' for guard in guards)})"]


def _columns(tests: Sequence[str], places: Places, words: int) -> str:
    """The words, each the sum of the bits whose test holds."""
    columns = list[str]()
    for word in range(words):
        bits = [
            f"{1 << bit}" if test == "1" else f"if({test}, {1 << bit}, 0)"
            for test, (in_word, bit) in zip(tests, places, strict=True)
            if in_word == word
        ]
        columns.append(f"toUInt64({' + '.join(bits) or '0'}) AS bits_{word}")
    return ", ".join(columns)


def _some(places: Places) -> str:
    """Whether any bit is set."""
    tests = [f"bits_{word} != 0" for word in sorted({word for word, _ in places})]
    return tests[0] if len(tests) == 1 else f"({' OR '.join(tests)})"
