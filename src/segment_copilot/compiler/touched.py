"""Writes what evaluates many plans for some users only: their rows are copied once, and the same SQL runs over the copies.

    touched (ids, put there by the caller) → touched_persons (and whom the clock moves) → touched_keys (all ids of theirs)
    → touched_events, touched_traits, touched_traits_current, touched_users, touched_identity_links → SharedSlots(names=TOUCHED)

All are temporary tables of one session. To add `user_key IN (touched)` to every read instead saves little: keys are hashes,
and lie everywhere (docs/decisions/0021-live-refresh.md).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final, LiteralString, assert_never

from segment_copilot.compiler.fragments import CompiledQuery, Fragment, bind, group, join, nested, query, sql
from segment_copilot.compiler.known import beside
from segment_copilot.compiler.moves import (
    DaysOfEvents,
    EventsIn,
    EventsJudgedAnew,
    Move,
    SeenSince,
    TraitJudgedAnew,
    TraitSince,
    known_of,
    known_of_tests,
    matchings_of,
    together,
)
from segment_copilot.compiler.predicates import render_anniversary, render_filter, render_test
from segment_copilot.compiler.slots import (
    AggregateSlot,
    CompareSlot,
    OccurrenceSlot,
    Plan,
    Range,
    RankSlot,
    SequenceSlot,
    Slot,
    TraitSlot,
)
from segment_copilot.compiler.tables import INSTANT, TableNames, Tables, in_range, of_traits, of_types, where
from segment_copilot.compiler.trees import normal, slots_of
from segment_copilot.language.catalog import IDENTIFY

TOUCHED: Final = TableNames(
    "touched_events", "touched_traits", "touched_traits_current", "touched_users", "touched_identity_links"
)
"""Where the rows of touched users stand, once they are copied."""

CREATE_TOUCHED: Final = "CREATE TEMPORARY TABLE touched (user_id String) ENGINE = Memory"
"""Makes the table of the ids that something arrived for."""

_PERSONS: Final = "CREATE TEMPORARY TABLE touched_persons ENGINE = Memory AS\nSELECT DISTINCT user_key FROM {}"
_RAW: Final = "SELECT sipHash64(user_id) AS user_key FROM touched"
_LINKED: Final = "SELECT person_key AS user_key FROM identity_links FINAL\n{}"
_KEYS: Final = "CREATE TEMPORARY TABLE touched_keys ENGINE = Memory AS\nSELECT user_key FROM touched_persons"
_ALIASES: Final = "{}\nUNION DISTINCT\nSELECT alias_key AS user_key FROM identity_links FINAL\n{}"
_IS_TOUCHED: Final = sql("user_key IN (SELECT user_key FROM touched_keys)")
_EVENT_COLUMNS: Final = "tenant_id, event_type, user_key, occurred_at, event_id"
_CREATE_EVENTS: Final = """\
CREATE TEMPORARY TABLE touched_events ENGINE = MergeTree ORDER BY (tenant_id, event_type, user_key, occurred_at, event_id) AS
SELECT tenant_id, event_type, user_key, occurred_at, event_id, payload FROM events LIMIT 0"""
_CREATE_TRAITS: Final = """\
CREATE TEMPORARY TABLE touched_traits ENGINE = MergeTree ORDER BY (tenant_id, property, user_key, occurred_at, event_id) AS
SELECT tenant_id, property, user_key, occurred_at, event_id, value FROM traits
{}"""
_CREATE_CURRENT: Final = """\
CREATE TEMPORARY TABLE touched_traits_current ENGINE = ReplacingMergeTree(version) ORDER BY (tenant_id, property, user_key) AS
SELECT tenant_id, property, user_key, version, occurred_at, is_exact, value FROM traits_current
{}"""
_CREATE_USERS: Final = """\
CREATE TEMPORARY TABLE touched_users ENGINE = AggregatingMergeTree ORDER BY (tenant_id, user_key) AS
SELECT tenant_id, user_key, user_id, first_seen, last_seen FROM users
{}"""
_CREATE_LINKS: Final = """\
CREATE TEMPORARY TABLE touched_identity_links ENGINE = ReplacingMergeTree(version) ORDER BY (tenant_id, alias_key) AS
SELECT tenant_id, alias_key, person_id, person_key, version FROM identity_links
{}"""


def render_persons(plan: Plan, moves: Iterable[Move], *, since: datetime) -> list[CompiledQuery]:
    """Write whom to evaluate anew at the plan's instant: who is in `touched`, and whom the clock moved *since* then.

    Persons and the ids themselves are among them: an id that became somebody else's is nobody from then on.
    """
    tables = Tables(plan)
    reads = [sql(_RAW)]
    is_tenant = sql("tenant_id = {}", tables.tenant)
    if plan.linked:
        reads.append(sql(_LINKED, where([is_tenant, sql("alias_key IN {}", nested(sql(_RAW)))])))
    reads += [sql("SELECT {}\n{}", tables.key, rows) for rows in _moved(tables, moves, since)]
    keys = sql(_KEYS)
    if plan.linked:
        theirs = where([is_tenant, sql("person_key IN (SELECT user_key FROM touched_persons)")])
        keys = sql(_ALIASES, keys, theirs)
    return [query(sql(_PERSONS, nested(join("\nUNION ALL\n", reads)))), query(keys)]


def _moved(tables: Tables, moves: Iterable[Move], since: datetime) -> list[Fragment]:
    """Read the rows that name who moved."""
    found, ranges, traits = [tables.newcomers(since)], dict[tuple[str, ...] | None, list[EventsIn]](), set[str]()
    for move in sorted(moves, key=repr):  # in an order: the same text for the same question
        match move:
            case EventsIn():
                ranges.setdefault(move.event_types, []).append(move)
            case TraitSince():
                traits.add(move.property)
            case _:
                found.append(read_move(tables, move, since))
    found += [_events_in(tables, names, [move.range for move in some]) for names, some in ranges.items()]
    if traits:
        found.append(_traits_since(tables, traits, since))
    return found


def read_move(tables: Tables, move: Move, since: datetime) -> Fragment:
    """Read the rows that name whom one move of the clock moves."""
    match move:
        case EventsIn():
            return _events_in(tables, move.event_types, [move.range])
        case EventsJudgedAnew():
            judged = [render_filter("payload", wanted) for wanted in (move.earlier, move.later)]
            tables = beside(tables, known_of_tests([*move.earlier.tests, *move.later.tests]))
            return tables.events(move.event_types, [*in_range(move.range), sql("{} != {}", *judged)])
        case DaysOfEvents():
            days = [render_anniversary(sql("occurred_at"), one) for one in (move.earlier, move.later)]
            return tables.events(move.event_types, [sql("{} != {}", *days)])
        case TraitSince():
            return _traits_since(tables, [move.property], since)
        case TraitJudgedAnew():
            tests = [render_test("value", one) for one in (move.earlier, move.later)]
            tables = beside(tables, known_of_tests([move.earlier, move.later]))
            differs = sql("({} != {} OR NOT is_exact)", *tests)
            return tables.current_traits(of_traits([move.property]), [differs], final=False)
        case SeenSince():
            return tables.newcomers(since)
        case _:
            assert_never(move)


def _events_in(tables: Tables, names: tuple[str, ...] | None, ranges: Sequence[Range]) -> Fragment:
    lies = [group("AND", in_range(range_)) for range_ in together(ranges)]
    return tables.events(names, [group("OR", lies)])


def _traits_since(tables: Tables, names: Iterable[str], since: datetime) -> Fragment:
    is_later = sql("occurred_at > {}", bind(since, INSTANT))
    return tables.current_traits(of_traits(sorted(names)), [is_later], final=False)


def render_copies(plans: Sequence[Plan]) -> list[CompiledQuery]:
    """Write the copies of the rows of `touched_keys` that any of the plans looks at, of one tenant at one instant."""
    slots = slots_of([normal(plan.root) for plan in plans])
    tables = Tables(plans[0])
    always = [sql("tenant_id = {}", tables.tenant), _IS_TOUCHED]
    is_past = sql("occurred_at <= {}", tables.as_of)
    asked = {slot.property for slot in slots if isinstance(slot, TraitSlot)}
    traits = sorted(asked | {known.trait for slot in slots for known in known_of(slot)})
    of_asked = [of_traits(traits)] if traits else [sql("0")]
    is_theirs = sql("alias_key IN (SELECT user_key FROM touched_keys)")
    return [
        query(sql(_CREATE_EVENTS)),
        *_copied_events(slots, [*always, is_past]),
        query(sql(_CREATE_TRAITS, where([*always, *of_asked, is_past]))),
        query(sql(_CREATE_CURRENT, where([*always, *of_asked]))),
        query(sql(_CREATE_USERS, where(always))),
        query(sql(_CREATE_LINKS, where([always[0], is_theirs]))),
    ]


def _copied_events(slots: Iterable[Slot], always: Sequence[Fragment]) -> list[CompiledQuery]:
    """Copy each event once, and its payload, which is most of the work, where something of it is tested."""
    whole, bare = set[str](), set[str]()
    is_every_whole = is_every_bare = False
    for slot in slots:
        for matching in matchings_of(slot):
            is_tested = bool(matching.filter and matching.filter.tests) or _looks_at_values(slot)
            (whole if is_tested else bare).update(matching.event_types or ())
            is_every_whole |= is_tested and matching.event_types is None
            is_every_bare |= not is_tested and matching.event_types is None
    copies = list[CompiledQuery]()
    if whole or is_every_whole:
        of_whole = _of(whole, is_every=is_every_whole)
        copies.append(_copy(", payload", [*always, of_whole]))
    if bare - whole or is_every_bare:
        of_bare = [_of(bare, is_every=is_every_bare)]
        if whole or is_every_whole:
            of_bare.append(sql("NOT {}", _of(whole, is_every=is_every_whole)))
        copies.append(_copy("", [*always, *of_bare]))
    return copies


def _looks_at_values(slot: Slot) -> bool:
    """Return whether a slot looks at payloads beside those that its filters test."""
    if isinstance(slot, CompareSlot):
        return bool(slot.left.path or slot.right.path)
    if isinstance(slot, RankSlot):
        return bool(slot.measured.path)
    if isinstance(slot, SequenceSlot):
        return bool(slot.same)
    return isinstance(slot, AggregateSlot | OccurrenceSlot)


def _of(names: Collection[str], *, is_every: bool) -> Fragment:
    if not is_every:
        return sql("({})", of_types(tuple(sorted(names))))
    if IDENTIFY in names:
        return sql("(1)")
    return sql("({})", of_types(None))


def _copy(payload: LiteralString, conditions: Sequence[Fragment]) -> CompiledQuery:
    template = "INSERT INTO touched_events ({}{})\nSELECT {}{} FROM events\n{}"
    return query(sql(template, _EVENT_COLUMNS, payload, _EVENT_COLUMNS, payload, where(conditions)))
