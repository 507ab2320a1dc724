"""Asks slots a source or some sequences at a time, by short statements, and keeps each as a set of user numbers: audiences are made of the sets.

    ask      the sets of some slots, of everybody
    renew    the same sets from those of an earlier instant, with the users evaluated anew whom something happened to
    members  the audiences, all at once, as unions, intersections and differences of the sets

Whom something happened to is told by *causes*, each a number: what arrived of an event type, or a move of the clock (`moves`).
A slot of which no cause names anybody is what it was, and is not asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, LiteralString, cast
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from segment_copilot.compiler.fragments import CompiledQuery, Fragment, bind, group, join, nested, query, sql
from segment_copilot.compiler.moves import EventsIn, Move, known_of, matchings_of
from segment_copilot.compiler.render import INTO_STATES, check_alike, numbers_of
from segment_copilot.compiler.slots import (
    AtLeastNode,
    ListedSlot,
    Node,
    Plan,
    Range,
    SampleSlot,
    SequenceSlot,
    Slot,
    SlotNode,
    TraitSlot,
)
from segment_copilot.compiler.sources import Source, Sources, by_source
from segment_copilot.compiler.tables import Tables, in_range, where
from segment_copilot.compiler.touched import read_move
from segment_copilot.compiler.trees import normal, slots_of
from segment_copilot.compiler.words import WORD, words_of
from segment_copilot.language.catalog import IDENTIFY


class Everybody(Struct, frozen=True, tag=True):
    """Everybody is the universe: all users whom somebody has seen."""


Asked = Slot | Everybody
"""What has a set: a slot, or all users whom somebody has seen."""

EVERYBODY: Final = Everybody()
ANY_TYPE: Final = "*"
"""Stands for the type of what arrived where it may be about anything: ids were linked."""

CREATE_ARRIVED: Final = "CREATE TEMPORARY TABLE arrived (cause UInt16, user_id String) ENGINE = Memory"
"""Makes the table of the ids that something arrived for, by cause."""

TOUCHED_BY_CAUSE: Final = "SELECT cause, count() FROM touched_users GROUP BY cause"
"""Counts, of the causes that name anybody, whom."""

_LINKS: Final = "SELECT alias_key, person_key FROM identity_links FINAL WHERE tenant_id = {}"
_PERSONS: Final = "CREATE TEMPORARY TABLE touched_by_cause ENGINE = Memory AS\nSELECT DISTINCT cause, user_key FROM {}"
_RAW: Final = "SELECT cause, sipHash64(user_id) AS user_key FROM arrived"
_OF_RAW: Final = """\
SELECT cause, person_key AS user_key FROM (SELECT cause, sipHash64(user_id) AS alias_key FROM arrived) AS raw
INNER JOIN {} AS links USING (alias_key)"""
_ALIASES: Final = """\
SELECT cause, user_key FROM touched_by_cause
UNION DISTINCT
SELECT cause, alias_key AS user_key FROM (SELECT cause, user_key AS person_key FROM touched_by_cause) AS persons
INNER JOIN {} AS links USING (person_key)"""
_TOUCHED: Final = """\
CREATE TEMPORARY TABLE touched_users ENGINE = Memory AS
SELECT cause, user_key, number FROM {} AS touched INNER JOIN {} AS numbers USING (user_key)"""
_SEQUENCES: Final = 8
"""So many are asked by one statement: each costs little more than to begin a statement does. All their bits are in one word."""

_INTO: Final = "INSERT INTO kept_slots (tenant_id, set_id, place, users)\n"
_FOUND: Final = "SELECT number, toUInt16(place) AS place FROM (\n{}\n) ARRAY JOIN places AS place"
_ASK: Final = (
    _INTO
    + """\
SELECT {tenant}, {set_id}, toUInt16(place - 1), users FROM (
  SELECT [
{sets}
  ] AS sets FROM {happened}
)
ARRAY JOIN sets AS users, arrayEnumerate(sets) AS place"""
)
# A set that is there no more must not be taken for one that nobody was in.
_RENEW: Final = (
    _INTO
    + """\
SELECT {tenant}, {set_id}, place, bitmapOr(
    bitmapAndnot(groupBitmapMergeStateIf(users, is_kept), (SELECT groupBitmapState(number) FROM touched_users WHERE {causes})),
    groupBitmapMergeStateIf(users, NOT is_kept))
FROM (
  SELECT place, groupBitmapState(number) AS users, false AS is_kept FROM {found} GROUP BY place
  UNION ALL
  SELECT toUInt16({place} - 1) AS place, users, true AS is_kept FROM kept_slots WHERE {kept}
)
GROUP BY place
HAVING throwIf(countIf(is_kept) != 1, 'a kept set is gone') = 0"""
)
_MEMBERS: Final = (
    INTO_STATES
    + """\
SELECT {tenant}, {segments}[place], {runs}[place], audience FROM (
  SELECT [
{audiences}
  ] AS audiences FROM (
    SELECT {sets} FROM (SELECT users, {place} AS place FROM kept_slots WHERE {kept})
    HAVING throwIf(count() != {count}, 'a kept set is gone') = 0
  )
)
ARRAY JOIN audiences AS audience, arrayEnumerate(audiences) AS place
WHERE bitmapCardinality(audience) > 0"""
)

# From one set to the next: those in at least one of the sets so far, in at least two, and so on.
_AT_LEAST: Final = """\
arrayFold((some, next) -> arrayMap((enough, fewer) -> bitmapOr(enough, bitmapAnd(fewer, next)),
    some, arrayPushFront(arrayPopBack(some), {everybody})), [{sets}],
    arrayWithConstant({least}, bitmapAndnot({everybody}, {everybody})))[{least}]"""


class Kept(Struct, frozen=True):
    """Says where a set stands: which statement wrote it, and the how manieth of its sets it is."""

    set_id: UUID
    place: int


class SlotSets:
    """Writes the statements about the slots of several plans, of one tenant at one instant.

    Attributes:
        asked: The slots, those together that may be asked together: of one source, or some sequences.

    Raises:
        ValueError: The plans are of several tenants or instants.
    """

    def __init__(self, plans: Sequence[Plan]) -> None:
        check_alike(plans)
        self._plan = replace(plans[0], linked=any(plan.linked for plan in plans))
        self._tables = Tables(self._plan)
        self._trees = [normal(plan.root) for plan in plans]
        of_source = by_source(slots_of(self._trees))
        self._source_of: dict[Asked, Source] = {slot: one for one, slots in of_source.items() for slot in slots}
        alone = [slot for slots in of_source.values() for slot in slots if isinstance(slot, SequenceSlot)]
        others = [tuple(slots) for slots in of_source.values() if not isinstance(slots[0], SequenceSlot)]
        self.asked: list[tuple[Asked, ...]] = [(EVERYBODY,), *others, *_parts(alone, _SEQUENCES)]

    def ask(self, slots: Sequence[Asked], *, set_id: UUID) -> CompiledQuery:
        """Ask for slots that are `asked` together, of everybody, and write their sets in this order."""
        tables, places = self._tables, _places_of(slots)
        happened = self._happened(tables, slots, numbers_of(tables.tenant))
        sets = [sql("groupBitmapStateIf(number, bitTest(bits_{}, {}))", word, bit) for word, bit in places]
        id_ = bind(set_id, "UUID")
        return query(sql(_ASK, tenant=tables.tenant, set_id=id_, sets=join(",\n", sets), happened=nested(happened)))

    def renew(
        self, slots: Sequence[Asked], *, kept: Sequence[Kept], causes: Sequence[int], set_id: UUID
    ) -> CompiledQuery:
        """Write the sets of slots that are `asked` together from those that were *kept* of each; `touched_users` is there.

        Those whom the *causes* name are evaluated anew, and all others are what they were.
        """
        by_cause = sql("cause IN {}", bind(sorted(causes), "Array(UInt16)", name="causes"))
        is_touched = nested(sql("SELECT user_key FROM touched_users\n{}", where([by_cause])))
        only = sql("stored.user_key IN {}" if self._plan.linked else "user_key IN {}", is_touched)
        tables = Tables(self._plan, only=only)
        numbers = nested(sql("SELECT DISTINCT user_key, number FROM touched_users\n{}", where([by_cause])))
        place, is_kept = _places(tables, kept)
        return query(
            sql(
                _RENEW,
                tenant=tables.tenant,
                set_id=bind(set_id, "UUID"),
                causes=by_cause,
                found=self._found(tables, slots, numbers),
                place=place,
                kept=is_kept,
            )
        )

    def members(
        self, kept: Mapping[Asked, Kept], *, segment_ids: Sequence[int], run_ids: Sequence[UUID]
    ) -> CompiledQuery:
        """Write the members of a run of each plan, in their order, from the sets of all slots."""
        rows = list(dict.fromkeys(kept.values()))
        number = {one: index for index, one in enumerate(rows, 1)}
        place, is_kept = _places(self._tables, rows)
        sets = [sql("groupBitmapMergeStateIf(users, place = {i}) AS set_{i}", i=i) for i in number.values()]
        everybody = sql("set_{}", number[kept[EVERYBODY]])

        def set_of(slot: Slot) -> Fragment:
            return sql("set_{}", number[kept[slot]])

        audiences = [sql("bitmapAnd({}, {})", everybody, _audience(tree, set_of, everybody)) for tree in self._trees]
        return query(
            sql(
                _MEMBERS,
                tenant=self._tables.tenant,
                segments=bind(list(segment_ids), "Array(UInt64)"),
                runs=bind(list(run_ids), "Array(UUID)"),
                audiences=join(",\n", audiences),
                sets=join(", ", sets),
                place=place,
                kept=is_kept,
                count=len(rows),
            )
        )

    def causes_of(self, slot: Asked, moves: Iterable[Move], causes: Mapping[str | Move, int]) -> set[int]:
        """Return which causes are about a slot: what arrived of its types, and how the clock moves it."""
        names = _types_of(slot)
        wanted = {ANY_TYPE, *(one for one in causes if isinstance(one, str))} if names is None else {ANY_TYPE, *names}
        return {causes[one] for one in (*wanted, *moves) if one in causes}

    def touched(self, moves: Mapping[Move, int], *, since: datetime) -> list[CompiledQuery]:
        """Write who was touched, by cause, into `touched_users`: those in `arrived`, and whom each move of the clock moved."""
        tables, is_linked = self._tables, self._plan.linked
        links = nested(sql(_LINKS, tables.tenant))
        reads = [sql(_RAW)]
        if is_linked:
            reads.append(sql(_OF_RAW, links))
        windows = dict[tuple[str, ...] | None, dict[int, Range]]()
        for move, cause in moves.items():
            if isinstance(move, EventsIn):
                windows.setdefault(move.event_types, {})[cause] = move.range
                continue
            rows = read_move(tables, move, since)
            reads.append(sql("SELECT toUInt16({}) AS cause, {}\n{}", cause, tables.key, rows))
        reads += [_moved_in(tables, names, ranges) for names, ranges in windows.items()]
        persons = query(sql(_PERSONS, nested(join("\nUNION ALL\n", reads))))
        keys = sql(_ALIASES, links) if is_linked else sql("SELECT cause, user_key FROM touched_by_cause")
        return [persons, query(sql(_TOUCHED, nested(keys), numbers_of(tables.tenant)))]

    def _found(self, tables: Tables, slots: Sequence[Asked], numbers: Fragment) -> Fragment:
        """Write `number, place` of the users of slots: a row for each slot of each user."""
        set_bits = [
            sql("arrayMap(bit -> bit + {}, bitPositionsToArray(bits_{}))", WORD * word, word)
            for word in words_of(_places_of(slots))
        ]
        rows = nested(self._happened(tables, slots, numbers))
        return nested(sql(_FOUND, sql("SELECT number, arrayConcat({}) AS places FROM {}", join(", ", set_bits), rows)))

    def _happened(self, tables: Tables, slots: Sequence[Asked], numbers: Fragment) -> Fragment:
        """Write `number, bits_0, …` of the users of slots; of several sources there may be several rows of a user."""
        places = _places_of(slots)
        if EVERYBODY in slots:
            rows = sql("SELECT user_key, toUInt64(1) AS bits_0\n{}", tables.users())
        else:
            sources, of_source = Sources(tables, self._plan.as_of, traits="current"), dict[Source, list[int]]()
            for index, slot in enumerate(slots):
                of_source.setdefault(self._source_of[slot], []).append(index)
            reads = [
                sources.bits(source, [cast("Slot", slots[one]) for one in some], [places[one] for one in some])
                for source, some in of_source.items()
            ]
            rows = join("\nUNION ALL\n", reads)
        words = join(", ", [sql("bits_{}", word) for word in words_of(places)])
        template = "SELECT number, {}\nFROM {} AS happened INNER JOIN {} AS numbers USING (user_key)"
        return sql(template, words, nested(rows), numbers)


def _parts(slots: Sequence[Asked], size: int) -> list[tuple[Asked, ...]]:
    return [tuple(slots[start : start + size]) for start in range(0, len(slots), size)]


def _places_of(slots: Sequence[Asked]) -> list[tuple[int, int]]:
    return [divmod(index, WORD) for index in range(len(slots))]


def _moved_in(tables: Tables, names: tuple[str, ...] | None, ranges: Mapping[int, Range]) -> Fragment:
    """Read, once for all ranges, whose events lie in which, by the causes that the ranges are of."""
    lies = [group("AND", in_range(range_)) for range_ in ranges.values()]
    causes = bind(list(ranges), "Array(UInt16)")
    template = "SELECT arrayJoin(arrayFilter((cause, lies) -> lies, {}, [{}])) AS cause, {}\n{}"
    rows = tables.events(names, [group("OR", lies)])
    return sql(template, causes, join(", ", [sql("toUInt8({})", test) for test in lies]), tables.key, rows)


def _types_of(slot: Asked) -> set[str] | None:
    """Return the types of events that a slot looks at; None where it is all of them, or who there is."""
    match slot:
        case TraitSlot():
            return {IDENTIFY}
        case Everybody() | SampleSlot() | ListedSlot():
            return None
        case _:
            of_matchings = [matching.event_types for matching in matchings_of(slot)]
            known = {IDENTIFY} if known_of(slot) else set[str]()
            return None if None in of_matchings else known | {name for names in of_matchings for name in names or ()}


def _places(tables: Tables, kept: Sequence[Kept]) -> tuple[Fragment, Fragment]:
    """Write the how manieth of *kept* a row is, from 1 on, and the condition of rows that are any."""
    sets = bind([one.set_id for one in kept], "Array(UUID)", name="sets")
    places = bind([one.place for one in kept], "Array(UInt16)", name="places")
    place = sql("arrayFirstIndex((id, at) -> id = kept_slots.set_id AND at = kept_slots.place, {}, {})", sets, places)
    is_any = [sql("tenant_id = {}", tables.tenant), sql("set_id IN {}", sets), sql("{} > 0", place)]
    return place, join(" AND ", is_any)


def _audience(node: Node, set_of: Callable[[Slot], Fragment], everybody: Fragment) -> Fragment:
    """Write a normal tree as one set of users, perhaps with some who are not among everybody."""
    if isinstance(node, SlotNode):
        return sql("bitmapAndnot({}, {})", everybody, set_of(node.slot)) if node.complement else set_of(node.slot)
    if isinstance(node, AtLeastNode):
        sets = [_audience(child, set_of, everybody) for child in node.children]
        return sql(_AT_LEAST, sets=join(", ", sets), least=node.least, everybody=everybody)
    inside, outside = list[Fragment](), list[Fragment]()
    for child in node.children:
        if isinstance(child, SlotNode) and child.complement:
            outside.append(set_of(child.slot))
        else:
            inside.append(_audience(child, set_of, everybody))
    if node.logic == "AND":
        found = _joined("bitmapAnd", inside) if inside else everybody
        return sql("bitmapAndnot({}, {})", found, _joined("bitmapOr", outside)) if outside else found
    if outside:
        inside.append(sql("bitmapAndnot({}, {})", everybody, _joined("bitmapAnd", outside)))
    return _joined("bitmapOr", inside)


def _joined(function: LiteralString, sets: Sequence[Fragment]) -> Fragment:
    """Join sets by a function of two, as flat a tree as there is: the server reads only so many levels."""
    if len(sets) == 1:
        return sets[0]
    middle = len(sets) // 2
    return sql("{}({}, {})", sql(function), _joined(function, sets[:middle]), _joined(function, sets[middle:]))
