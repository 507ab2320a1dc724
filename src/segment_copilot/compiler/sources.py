"""Reads a source: once for all slots about the same events, or about the same trait.

The rows that matter to any of the slots are read, and each slot looks at its own only: what one slot alone has in its
WHERE becomes a *guard*, the condition of its aggregates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, assert_never, cast

import msgspec
from msgspec import Struct

from segment_copilot.compiler.aggregates import (
    NO_ROW,
    GroupedSlot,
    Guard,
    render_any_row,
    render_comparison,
    render_holds,
    render_last_since,
    render_period,
)
from segment_copilot.compiler.fragments import Fragment, apart, at_least, bind, group, join, nested, sql, with_named
from segment_copilot.compiler.known import beside
from segment_copilot.compiler.measures import looks_at_everything, rows_of_both
from segment_copilot.compiler.moves import known_of
from segment_copilot.compiler.predicates import render_filter, render_test
from segment_copilot.compiler.ranks import render_rank
from segment_copilot.compiler.sequences import render_sequence
from segment_copilot.compiler.slots import (
    AggregateSlot,
    AtLeastNode,
    CompareSlot,
    CountSlot,
    Filter,
    GroupNode,
    Known,
    ListedSlot,
    Matching,
    MembersSlot,
    Node,
    OccurrenceSlot,
    PeriodsSlot,
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
from segment_copilot.compiler.tables import Tables, filtered, hull, in_range, is_in
from segment_copilot.compiler.traits import TraitReads, TraitTable, trait_test
from segment_copilot.compiler.trees import is_true, slots_of
from segment_copilot.compiler.words import Places, Words, columns_of_bits, is_any_bit
from segment_copilot.language.lengths import EARLIEST, LATEST

_TRAITS_APART: Final = 6
_AT_LEAST_ONE: Final = {("gte", 1), ("gt", 0), ("neq", 0)}


class Events(Struct, frozen=True):
    """Names the events of these types, with the traits beside them that they are compared with."""

    names: tuple[str, ...] | None
    known: tuple[Known, ...] = ()


class Traits(Struct, frozen=True):
    """Names the values of a trait; None: of all traits that are asked about. They are compared with those beside them."""

    name: str | None
    known: tuple[Known, ...] = ()


class Users(Struct, frozen=True):
    """Names the universe, of which samples are taken."""


Alone = PeriodsSlot | SequenceSlot | ListedSlot | CompareSlot | RankSlot
"""A slot that cannot be read with others."""

Source = Events | Traits | Users | Alone

_ALL_TRAITS: Final = Traits(None)
_USERS: Final = Users()


def are_traits_together(slots: Iterable[Slot]) -> bool:
    """Return whether a question about the slots reads its traits at once: for a few, reads that narrow one another are faster."""
    return len({slot.property for slot in slots if isinstance(slot, TraitSlot)}) > _TRAITS_APART


def source_of(slot: Slot, *, traits_together: bool) -> Source:
    """Return where the slot is read; slots of one source share a read."""
    match slot:
        case TraitSlot():
            known = known_of(slot)
            return _ALL_TRAITS if traits_together and not known else Traits(slot.property, known)
        case PeriodsSlot() if slot.min_per_period > 1:
            return slot
        case CountSlot() | TimeSlot() | PeriodsSlot() | OccurrenceSlot() | AggregateSlot():
            return Events(slot.matching.event_types, known_of(slot))
        case CompareSlot() if slot.left.matching.event_types == slot.right.matching.event_types:
            return Events(slot.left.matching.event_types, known_of(slot))
        case SequenceSlot() | ListedSlot() | CompareSlot() | RankSlot():
            return slot
        case SampleSlot():
            return _USERS
        case MembersSlot():
            raise TypeError("references are opened before")
        case _:
            assert_never(slot)


def by_source(slots: Sequence[Slot]) -> dict[Source, list[Slot]]:
    """Return the slots of a question, those of one source together."""
    together, found = are_traits_together(slots), dict[Source, list[Slot]]()
    for slot in slots:
        found.setdefault(source_of(slot, traits_together=together), []).append(slot)
    return found


class _Need(Struct, frozen=True):
    """Holds a slot, and the rows that matter to it. *exists*: any such row makes the slot hold."""

    slot: GroupedSlot
    matching: Matching
    exists: bool

    @property
    def since(self) -> datetime | None:
        """The instant such that only the last row of all matters to the slot, and that only if it is not before it.

        None where there is no such instant. The last row is then one for all slots, whatever their windows.
        """
        window, slot = self.matching.range, self.slot
        is_last = isinstance(slot, TimeSlot | OccurrenceSlot) and slot.occurrence in {"last", "latest"}
        if not (self.exists or is_last) or window.latest is not None or window.earliest is None:
            return None
        return window.earliest if window.earliest > NO_ROW else None

    @property
    def row(self) -> object:
        """Say which one row the slot tests, if it tests one; for two slots that test the same row it is equal."""
        window = self.matching.range if self.since is None else None
        return isinstance(self.slot, OccurrenceSlot) and (self.slot.occurrence, window, self.matching.filter)


def _need(slot: GroupedSlot, as_of: datetime) -> _Need:
    match slot:
        case CountSlot():
            return _Need(slot, slot.matching, (slot.comparison.operator, slot.comparison.low) in _AT_LEAST_ONE)
        case OccurrenceSlot(occurrence="any"):
            return _Need(slot, slot.matching, exists=True)
        case TimeSlot():
            narrow = _narrowed(slot, as_of)
            return _Need(narrow, narrow.matching, narrow.when == (Range(),))
        case OccurrenceSlot() | AggregateSlot() | PeriodsSlot():
            return _Need(slot, slot.matching, exists=False)
        case CompareSlot():
            return _Need(slot, rows_of_both(slot), exists=False)
        case _:
            assert_never(slot)


def _narrowed(slot: TimeSlot, as_of: datetime) -> TimeSlot:
    """Narrow the rows: if the last event is to lie in one range, only what is not before it can be, or overtake, it."""
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

    def __init__(self, tables: Tables, as_of: datetime, *, traits: TraitTable) -> None:
        self._tables = tables
        self._as_of = as_of
        self._trait_table: TraitTable = traits

    def keys(self, source: Source, node: Node, narrowed: Sequence[Fragment]) -> Fragment:
        """Write `SELECT user_key`, perhaps some twice, for a positive tree over one source, of users that pass *narrowed*."""
        slots = slots_of([node])
        match source:
            case Events():
                return self._event_keys(source, node, slots, narrowed)
            case Traits():
                return self._trait_keys(source, node, slots, narrowed)
            case Users():
                sampled = {slot: is_sampled(slot, sample_hash(slot)) for slot in cast("list[SampleSlot]", slots)}
                rows = self._tables.users([written(node, cast("Any", sampled).__getitem__), *narrowed])
                return sql("SELECT user_key\n{}", rows)
            case (
                PeriodsSlot() | SequenceSlot() | ListedSlot() | CompareSlot() | RankSlot()
            ):  # positive, so the slot or, as it and its complement, nobody
                return self._alone(source, narrowed if is_true(node, slots) else [*narrowed, sql("0")])
            case _:
                assert_never(source)

    def bits(self, source: Source, slots: Sequence[Slot], places: Places) -> Fragment:
        """Write `SELECT user_key, bits_0, …`: of slots of one source, those that hold for a user, in the words of the places.

        A user may come in several rows: the bits of all are to be joined.
        """
        match source:
            case Events():
                return self._event_bits(source, slots, places)
            case Traits():
                return self._traits(source).bits(slots, places)
            case Users():
                tests = [is_sampled(slot, sample_hash(slot)) for slot in cast("list[SampleSlot]", slots)]
                rows = self._tables.users([is_any_bit(places)])
                return sql("SELECT user_key, {}\n{}", columns_of_bits(tests, places), rows)
            case PeriodsSlot() | SequenceSlot() | ListedSlot() | CompareSlot() | RankSlot():
                columns, rows = columns_of_bits([None], places), self._alone(source, ())
                return sql("SELECT user_key, {} FROM {}", columns, nested(rows))
            case _:
                assert_never(source)

    # Events

    def _event_keys(self, source: Events, node: Node, slots: Sequence[Slot], narrowed: Sequence[Fragment]) -> Fragment:
        read = self._prepare(slots)
        if all(need.exists for need in read.needs) and is_any(node):
            conditions = [*read.conditions, *_any_of(read.guards), *narrowed]
            return sql("SELECT {}\n{}", self._tables.key, self._events(source, conditions))
        having = written(node, dict(zip(slots, read.holds(), strict=True)).__getitem__)
        rows = self._events(source, [*read.conditions, *narrowed])
        template = "SELECT {}\n{}\nGROUP BY user_key\nHAVING {}"
        return with_named(sql(template, self._tables.key, rows, having))

    def _event_bits(self, source: Events, slots: Sequence[Slot], places: Places) -> Fragment:
        read = self._prepare(slots)
        some, conditions = is_any_bit(places), read.conditions
        if not all(need.exists for need in read.needs):
            columns = columns_of_bits(read.holds(), places)
            rows = self._events(source, conditions)
            if len(slots) == 1:
                template = "SELECT {key}, {columns}\n{rows}\nGROUP BY user_key\nHAVING {some}"
                return with_named(sql(template, key=self._tables.key, columns=columns, rows=rows, some=some))
            # Many slots share few aggregates; the server would resolve each of them wherever it stands.
            bits, aggregates = apart(columns)
            template = "SELECT {key}, {aggregates}\n{rows}\nGROUP BY user_key"
            of_users = with_named(sql(template, key=self._tables.key, aggregates=aggregates, rows=rows))
            return sql("SELECT user_key, {} FROM {}\nWHERE {}", bits, nested(of_users), some)
        guards: Sequence[Guard] = read.guards
        if len(slots) == 1:
            conditions, guards = [*conditions, *_any_of(guards)], [None]
        elif None not in guards:
            conditions = [*conditions, some]
        rows = self._events(source, conditions)
        return sql("SELECT {}, {}\n{}", self._tables.key, columns_of_bits(guards, places), rows)

    def _events(self, source: Events, conditions: Sequence[Fragment]) -> Fragment:
        return beside(self._tables, source.known).events(source.names, conditions)

    def _prepare(self, slots: Sequence[Slot]) -> _Read:
        """Say what to read for all of the slots, and each one's guard."""
        needs = [_need(cast("GroupedSlot", slot), self._as_of) for slot in slots]
        ranges, filters = {need.matching.range for need in needs}, {need.matching.filter for need in needs}
        conditions = in_range(hull(ranges))
        if len(filters) == 1:
            conditions += passes(needs[0].matching.filter)
        of_windows, of_rows = list[list[Fragment]](), list[list[Fragment]]()
        for need in needs:
            of_windows.append(in_range(need.matching.range) if len(ranges) > 1 else [])
            tests = passes(need.matching.filter) if len(filters) > 1 else []
            if isinstance(need.slot, OccurrenceSlot) and need.exists:
                tests.append(render_test("payload", need.slot.test))
            of_rows.append(tests)
        return _Read(needs, of_windows, of_rows, conditions)

    # Traits

    def _traits(self, source: Traits) -> TraitReads:
        return TraitReads(self._tables, self._trait_table, known=source.known)

    def _trait_keys(self, source: Traits, node: Node, slots: Sequence[Slot], narrowed: Sequence[Fragment]) -> Fragment:
        names = {cast("TraitSlot", slot).property for slot in slots}
        if len(names) == 1:
            tests = {slot: trait_test(slot) for slot in slots}
            return self._traits(source).keys(names.pop(), written(node, tests.__getitem__), narrowed)
        words = Words(slots)
        rows = words.joined([self._traits(source).bits(slots, words.places(slots))])
        return filtered(sql("SELECT user_key FROM {}\nWHERE {}", nested(rows), words.test(node)), narrowed)

    # What cannot be read with others

    def _alone(self, slot: Alone, narrowed: Sequence[Fragment]) -> Fragment:
        match slot:
            case SequenceSlot():
                return render_sequence(slot, self._tables, narrowed)
            case PeriodsSlot():
                return self._periods(slot, narrowed)
            case CompareSlot():
                return self._compared(slot, narrowed)
            case RankSlot():
                return filtered(render_rank(slot, self._tables), [*self._tables.of_asked, *narrowed])
            case ListedSlot():
                return sql("SELECT user_key\n{}", self._tables.users([listed(slot, self._tables), *narrowed]))
            case _:
                assert_never(slot)

    def _compared(self, slot: CompareSlot, narrowed: Sequence[Fragment]) -> Fragment:
        """Compare measures of events of different types, which are read once for both."""
        template = "SELECT {}\n{}\nGROUP BY user_key\nHAVING {}"
        rows = compared_rows(slot, self._tables, narrowed)
        return with_named(sql(template, self._tables.key, rows, render_holds(slot, None)))

    def _periods(self, slot: PeriodsSlot, narrowed: Sequence[Fragment]) -> Fragment:
        """Count periods with several events each: first the periods of a user, then how many there are."""
        least = bind(slot.min_per_period, "UInt64")
        conditions = [*in_range(slot.matching.range), *passes(slot.matching.filter), *narrowed]
        rows = beside(self._tables, known_of(slot)).events(slot.matching.event_types, conditions)
        template = "SELECT {}\n{}\nGROUP BY user_key, {}\nHAVING count() >= {}"
        active = nested(sql(template, self._tables.key, rows, render_period(slot), least))
        enough = render_comparison(sql("count()"), slot.comparison, "UInt64")
        return sql("SELECT user_key FROM {}\nGROUP BY user_key\nHAVING {}", active, enough)


class _Read(Struct, frozen=True):
    """Holds one read for several slots: the conditions of its rows; and what each slot asks of them, by window and else."""

    needs: list[_Need]
    of_windows: list[list[Fragment]]
    of_rows: list[list[Fragment]]
    conditions: list[Fragment]

    @property
    def guards(self) -> list[Guard]:
        """Each slot's guard."""
        return [_guard([*window, *rows]) for window, rows in zip(self.of_windows, self.of_rows, strict=True)]

    def holds(self) -> list[Fragment]:
        """Write, per slot, whether it holds for the user."""
        of_one_row = dict[object, dict[Test, None]]()
        for need in self.needs:
            if isinstance(need.slot, OccurrenceSlot):
                of_one_row.setdefault(need.row, {})[need.slot.test] = None
        return [
            _holds(need, window, rows, list(of_one_row.get(need.row, ())))
            for need, window, rows in zip(self.needs, self.of_windows, self.of_rows, strict=True)
        ]


def _holds(need: _Need, window: list[Fragment], rows: list[Fragment], tests: Sequence[Test]) -> Fragment:
    if window and need.since is not None:
        is_since, guard = render_last_since(need.since, _guard(rows)), _guard(rows)
        return is_since if need.exists else group("AND", [is_since, render_holds(need.slot, guard, tests)])
    guard = _guard([*window, *rows])
    return render_any_row(guard) if need.exists else render_holds(need.slot, guard, tests)


def _guard(tests: Sequence[Fragment]) -> Guard:
    return join(" AND ", tests) if tests else None


def passes(wanted: Filter | None) -> list[Fragment]:
    """Write the condition of events that pass a filter; none without one."""
    return [render_filter("payload", wanted)] if wanted else []


def compared_rows(slot: CompareSlot, tables: Tables, narrowed: Sequence[Fragment] = ()) -> Fragment:
    """Read the events that any of two measures looks at (FROM and WHERE)."""
    both, tables = rows_of_both(slot), beside(tables, known_of(slot))
    conditions = [*in_range(both.range), *passes(both.filter), *narrowed]
    return tables.everything(conditions) if looks_at_everything(slot) else tables.events(both.event_types, conditions)


def sample_hash(slot: SampleSlot) -> Fragment:
    """Write the hash of a user for a salt: the first eight bytes of a SHA-256, as a number."""
    template = "reinterpretAsUInt64(reverse(substring(SHA256(concat({salt}, '\\0', user_id)), 1, 8)))"
    return sql(template, salt=bind(slot.salt, "String"))


def listed(slot: ListedSlot, tables: Tables) -> Fragment:
    """Write the condition of users who are in a static segment; some of its members nobody may have seen yet."""
    return is_in(sql("SELECT {}\n{}", tables.key, tables.members(slot.segment_id, slot.run_id)))


def is_sampled(slot: SampleSlot, share: Fragment) -> Fragment:
    """Write whether the hash of a user lies in the slot."""
    return sql("{} BETWEEN {} AND {}", share, bind(slot.low, "UInt64"), bind(slot.high, "UInt64"))


def is_any(node: Node) -> bool:
    """Return whether a tree asks for any of some slots, and for no more."""
    if isinstance(node, SlotNode):
        return not node.complement
    return isinstance(node, GroupNode) and node.logic == "OR" and all(map(is_any, node.children))


def written(node: Node, write: Callable[[Slot], Fragment]) -> Fragment:
    """Write a normal tree as one expression."""
    if isinstance(node, SlotNode):
        return sql("(NOT {})", write(node.slot)) if node.complement else write(node.slot)
    children = [written(child, write) for child in node.children]
    return at_least(node.least, children) if isinstance(node, AtLeastNode) else group(node.logic, children)


def _any_of(guards: Sequence[Guard]) -> list[Fragment]:
    """Return the guards as a condition of rows; none when some slot takes every row."""
    given = [guard for guard in guards if guard is not None]
    if len(given) < len(guards):
        return []
    return given if len(given) == 1 else [group("OR", [sql("({})", guard) for guard in given])]
