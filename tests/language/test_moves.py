"""Whom the clock moves, and the same question asked over copied rows: both by what all rows say at each instant."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from segment_copilot.access.tenants import Tenants
from segment_copilot.compiler import (
    CREATE_TOUCHED,
    TOUCHED,
    Move,
    Plan,
    SharedSlots,
    moves_between,
    ranks_users,
    render_copies,
    render_persons,
)
from segment_copilot.compiler.moves import EventsIn, differences, together
from segment_copilot.compiler.slots import Range
from segment_copilot.language.lengths import EARLIEST, LATEST, MICROSECOND
from segment_copilot.stores.clickhouse import ClickHouse, Session
from segment_copilot.stores.merging import ALIKE, ROWS
from segment_copilot.stores.postgres import Postgres
from tests.support.language.data_sets import SEGMENT_IDS, DataSet, deliver, draw_world, load_data_set, say
from tests.support.language.reference import IDENTIFY, Event, Said
from tests.support.language.strategies import Draw

Json = dict[str, Any]

STEPS = (MICROSECOND, timedelta(minutes=1), timedelta(hours=3), timedelta(days=1), timedelta(days=40))
DEFINITIONS = 5
RUNS = int(os.environ.get("LIVE_RUNS", "1"))
"""Each is a step of the clock under that many definitions; more of them: a longer search."""


@pytest.fixture(scope="module", params=[False, True], ids=["ids apart", "ids linked"])
async def data(request: pytest.FixtureRequest, module_postgres: Postgres, module_clickhouse: ClickHouse) -> DataSet:
    seed = 90 + request.param
    return await load_data_set(module_postgres, module_clickhouse, seed, linked=request.param, users=70)


class Asked(Struct, frozen=True):
    """Definitions at two instants: their plans at each, and what names those who move."""

    definitions: list[Json]
    earlier: list[Plan]
    later: list[Plan]
    moves: frozenset[Move]


def ask(data: DataSet, definitions: list[Json], since: datetime, as_of: datetime) -> Asked:
    earlier, later = ([data.plan(one, instant) for one in definitions] for instant in (since, as_of))
    named = [moves_between(*plans) for plans in zip(earlier, later, strict=True)]
    return Asked(definitions, earlier, later, frozenset[Move]().union(*(moves for moves in named if moves)))


async def evaluate(
    session: Session, asked: Asked, *, since: datetime, touched: list[str]
) -> tuple[set[int], dict[int, set[str]]]:
    """The keys of who is to be evaluated, and the members among them by the place of the definition."""
    await session.fetch(CREATE_TOUCHED)
    await session.insert("touched", ("user_id",), [(one,) for one in touched], tenant=asked.later[0].tenant_id)
    for query in render_persons(asked.later[0], asked.moves, since=since) + render_copies(asked.later):
        await session.fetch(query.sql, query.params)
    persons = {row[0] for row in (await session.fetch("SELECT user_key FROM touched_persons", merge=ROWS)).rows}
    return persons, await members(session, SharedSlots(asked.later, names=TOUCHED), len(asked.later))


async def members(session: Session, shared: SharedSlots, number: int) -> dict[int, set[str]]:
    """The members by the place of the definition."""
    for query in (shared.create(), shared.create_members(range(number))):
        await session.fetch(query.sql, query.params)
    found = {index: set[str]() for index in range(number)}
    for index, user_id in (await session.fetch("SELECT segment_id, user_id FROM shared_members", merge=ROWS)).rows:
        found[index].add(user_id)
    return found


async def keys_of(clickhouse: ClickHouse, user_ids: list[str]) -> dict[str, int]:
    sql = "SELECT id, sipHash64(id) FROM (SELECT arrayJoin({ids:Array(String)}) AS id)"
    return dict((await clickhouse.fetch(sql, {"ids": user_ids}, purpose="preview", merge=ALIKE)).rows)


async def test_who_moves_is_named_and_evaluated_by_copied_rows_as_by_all(module_clickhouse: ClickHouse, data: DataSet):
    for run in range(RUNS):
        draw = Draw(data.seed * 10_000 + run, data.world)
        step, edge = STEPS[run % len(STEPS)], draw.one(data.world.as_ofs)
        # so that the edges, on which the values of the data set lie, are those of either instant
        since, as_of = draw.one([(edge - step, edge), (edge, edge + step)])
        drawn = [draw.definition(SEGMENT_IDS) for _ in range(DEFINITIONS)]
        of_all = [one for one in drawn if ranks_users(data.plan(one, as_of).root)]
        assert all(moves_between(data.plan(one, since), data.plan(one, as_of)) is None for one in of_all)
        asked = ask(data, [one for one in drawn if one not in of_all], since, as_of)
        universe = data.universe(as_of)
        touched = draw.random.sample(sorted(universe), 3)
        async with module_clickhouse.session(purpose="compute") as session:
            persons, found = await evaluate(session, asked, since=since, touched=touched)
        old, new = [await everybody(module_clickhouse, plans) for plans in (asked.earlier, asked.later)]
        keys = await keys_of(module_clickhouse, sorted(universe.keys() | data.universe(since).keys()))
        assert {keys[one] for one in touched} <= persons
        for index, definition in enumerate(asked.definitions):
            told = (definition, since, as_of)
            assert {user for user in old[index] ^ new[index] if keys[user] not in persons} == set(), told
            assert found[index] == {user for user in new[index] if keys[user] in persons}, told


async def everybody(clickhouse: ClickHouse, plans: list[Plan]) -> dict[int, set[str]]:
    async with clickhouse.session(purpose="compute") as session:
        return await members(session, SharedSlots(plans), len(plans))


SINCE, AS_OF = datetime(2026, 6, 14, 12, tzinfo=UTC), datetime(2026, 6, 15, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def count(event_type: Any = "buy", **fields: Any) -> Json:
    return {"type": "event_count", "event_type": event_type, **fields}


def where(operator: str, value: Any) -> Json:
    return {"property": "due", "operator": operator, "value": value}


def trait(operator: str, **value: Any) -> Json:
    return {"type": "user_property", "property": "born", "operator": operator, **value}


def moment(operator: str, value: Any, **fields: Any) -> Json:
    return {"type": "event_time", "event_type": "buy", "operator": operator, "value": value, **fields}


def bought(when: datetime, event_type: str = "buy", **payload: Any) -> Event:
    return Event("mover", event_type, when, payload)


def born(day: str, when: datetime = AS_OF - 90 * DAY) -> Event:
    return Event("mover", "context_identified", when, {"born": day})


BETWEEN = SINCE + HOUR
LONG_AGO = AS_OF - 90 * DAY
MOVED: dict[str, tuple[Json, list[Event]]] = {
    "an event leaves the window": (count(window_days=7), [bought(AS_OF - 7 * DAY - HOUR)]),
    "an event enters from the near end": (count(window={"between": ["9d", "3d"]}), [bought(AS_OF - 3 * DAY - HOUR)]),
    "an event's time comes": (count(), [bought(BETWEEN)]),
    "another window was without it": (count(window={"period": "this_month"}), [bought(BETWEEN)]),
    "somebody is seen for the first time": (count(negate=True), [bought(BETWEEN, "view")]),
    "the last event grows old": (
        {"type": "recency", "event_type": "buy", "operator": "gt", "window_days": 7},
        [bought(AS_OF - 7 * DAY - HOUR)],
    ),
    "a sum loses an event": (
        {"type": "monetary", "event_type": "buy", "property": "due", "metric": "sum", "operator": "gt", "value": 3}
        | {"window_days": 7},
        [bought(AS_OF - 7 * DAY - HOUR, due=2), bought(AS_OF - DAY, due=2)],
    ),
    "a payload comes near": (count(where=[where("in_next", "7d")]), [bought(LONG_AGO, due="2026-06-22")]),
    "an item comes near": (
        count(where=[{"any_of": "items", "conditions": [where("in_next", "7d")]}]),
        [bought(LONG_AGO, items=[{"due": "2026-06-22"}])],
    ),
    "a latest payload comes near": (
        {"type": "event_property", "event_type": "buy", "occurrence": "latest"} | where("in_next", "7d"),
        [bought(LONG_AGO, due="2026-06-22")],
    ),
    "any payload comes round": (
        {"type": "event_property", "event_type": "buy", "occurrence": "any"} | where("anniversary_in_next", "7d"),
        [bought(LONG_AGO, due="1999-06-22")],
    ),
    "an event grows old": (moment("in_last", "7d"), [bought(AS_OF - 7 * DAY - HOUR)]),
    "an event comes round": (moment("anniversary_in_next", "7d"), [bought(datetime(1999, 6, 22, 12, tzinfo=UTC))]),
    "a trait's time comes": (trait("is_set"), [bought(LONG_AGO), born("1999-01-01", BETWEEN)]),
    "a trait grows old": (trait("in_last", value="7d"), [born("2026-06-08")]),
    "a trait's week begins": (trait("in_window", value={"period": "this_week"}), [born("2026-06-19")]),
    "a trait's next day": (trait("in_window", value={"period": "tomorrow"}), [born("2026-06-16")]),
    "a trait is no longer of the last whole days": (
        trait("not_in_window", value={"last": "2d", "days": "complete"}),
        [born("2026-06-12T08:00:00Z")],
    ),
    "a payload's week is over": (
        count(where=[where("in_window", {"period": "this_week"})]),
        [bought(LONG_AGO, due="2026-06-10")],
    ),
    "a week in which a trait comes round": (
        trait("anniversary_in", value={"period": "this_week"}),
        [born("1999-06-19")],
    ),
    "a trait comes round": (trait("anniversary_in_next", value="7d"), [born("1999-06-22")]),
    "the trait beside an event changes": (
        count(where=[where("gt", {"trait": "limit"}) | {"value_type": "number"}]),
        [bought(LONG_AGO, due=5), Event("mover", "context_identified", BETWEEN, {"limit": 4})],
    ),
    "the trait beside a trait changes": (
        trait("eq", value={"trait": "limit"}, value_type="string"),
        [born("1999-01-01"), Event("mover", "context_identified", BETWEEN, {"limit": "1999-01-01"})],
    ),
    "a day is counted no longer": (
        {"type": "event_periods", "event_type": "buy", "period": "day", "last": 7, "operator": "eq", "value": 2},
        [bought(AS_OF - 7 * DAY), bought(AS_OF - 2 * DAY)],
    ),
    "a day is counted that holds enough": (
        {"type": "event_periods", "event_type": "buy", "period": "day", "last": 7, "operator": "eq", "value": 1}
        | {"min_per_period": 2},
        [bought(AS_OF - 2 * DAY), bought(AS_OF - 2 * DAY), bought(BETWEEN), bought(BETWEEN)],
    ),
    "a step leaves the search": (
        {"type": "event_sequence", "events": ["view", "buy"], "search_window": {"last": "7d"}},
        [bought(AS_OF - 7 * DAY - HOUR, "view"), bought(AS_OF - 2 * DAY)],
    ),
    "a step of the same leaves the search": (
        {"type": "event_sequence", "events": ["view", "buy"], "same": ["sku"], "search_window": {"last": "7d"}},
        [
            bought(AS_OF - 7 * DAY - HOUR, "view", sku="A"),
            bought(AS_OF - 3 * DAY, "view", sku="B"),
            bought(AS_OF - 2 * DAY, sku="A"),
        ],
    ),
    "a step of the same has come": (
        {"type": "event_sequence", "events": ["view", "buy"], "same": ["sku"]},
        [bought(AS_OF - 3 * DAY, "view", sku="A"), bought(BETWEEN, sku="A")],
    ),
    "what is left is blocked": (
        {"type": "event_sequence", "events": ["view", "buy"], "none_between": ["cart"]}
        | {"search_window": {"last": "9d"}},
        [
            bought(AS_OF - 9 * DAY - HOUR, "view"),
            bought(AS_OF - 8 * DAY),
            bought(AS_OF - 3 * DAY, "view"),
            bought(AS_OF - 2 * DAY, "cart"),
            bought(AS_OF - 2 * DAY + HOUR),
        ],
    ),
    "an identify is a step": (
        {"type": "event_sequence", "events": ["context_identified", "buy"], "strict": True},
        [born("1999-01-01", LONG_AGO), bought(BETWEEN)],
    ),
    "two segments away": ({"type": "segment_membership", "segment_id": 1}, [bought(AS_OF - 7 * DAY - HOUR)]),
}
"""What the clock does to somebody between the two instants, by the condition that tells."""
BEHIND = {"logic": "AND", "conditions": [count(window_days=7)]}


@pytest.fixture(scope="module")
async def movers(module_postgres: Postgres, module_clickhouse: ClickHouse) -> DataSet:
    """A tenant with a user for each story, and as many whom the clock does not move."""
    tenant = await Tenants(module_postgres).create("movers")
    stories = [replace(one, user_id=f"mover {i}") for i, (_, events) in enumerate(MOVED.values()) for one in events]
    still = [Event(f"still {i}", "buy", LONG_AGO, {"due": "2026-01-01"}) for i in range(len(MOVED))]
    known = [Event(f"still {i}", "context_identified", LONG_AGO, {"born": "1999-01-01"}) for i in range(len(MOVED))]
    happened = [*stories, *still, *known]
    await deliver(module_postgres, module_clickhouse, tenant, deliveries=happened)
    return DataSet(0, draw_world(0), tenant, tuple(happened), {1: BEHIND})


async def test_whatever_the_clock_does_to_somebody_is_seen(module_clickhouse: ClickHouse, movers: DataSet):
    definitions = [{"logic": "AND", "conditions": [condition]} for condition, _ in MOVED.values()]
    asked = ask(movers, definitions, SINCE, AS_OF)
    old, new = [await everybody(module_clickhouse, plans) for plans in (asked.earlier, asked.later)]
    universe = movers.universe(AS_OF)
    keys = await keys_of(module_clickhouse, sorted(universe))
    for index, story in enumerate(MOVED):
        assert f"mover {index}" in old[index] ^ new[index], story
        alone = ask(movers, definitions[index : index + 1], SINCE, AS_OF)
        async with module_clickhouse.session(purpose="compute") as session:
            persons, found = await evaluate(session, alone, since=SINCE, touched=[])
        named = {user for user in universe if keys[user] in persons}
        assert f"mover {index}" in named, story
        assert not {user for user in named if user.startswith("still")}, story
        assert found[0] == named & new[index], story


@pytest.fixture(scope="module")
async def persons(module_postgres: Postgres, module_clickhouse: ClickHouse) -> DataSet:
    """A tenant with a person of three ids, who bought by one, is known by another, and viewed by a third."""
    tenant = await Tenants(module_postgres).create("persons")
    said = (Said("alias", "anon 1", "person"), Said("alias", "anon 2", "person"))
    happened = (
        Event("anon 1", "buy", LONG_AGO),
        Event("person", IDENTIFY, LONG_AGO, {"born": "1999-01-01"}),
        Event("anon 2", "view", BETWEEN),
        Event("stranger", "buy", LONG_AGO),
    )
    await deliver(module_postgres, module_clickhouse, tenant, deliveries=happened)
    await say(module_postgres, module_clickhouse, tenant, said)
    return DataSet(0, draw_world(0), tenant, happened, {}, said)


@pytest.mark.parametrize("touched", [["person"], ["anon 1"], ["anon 2"], []], ids=["person", "one", "other", "clock"])
async def test_a_person_is_evaluated_by_the_rows_of_all_their_ids(
    module_clickhouse: ClickHouse, persons: DataSet, touched: list[str]
):
    """Something arrived for one of the ids, or an event's time came: what the others did and say counts all the same."""
    conditions = [count(), count("view"), trait("is_set")]
    asked = ask(persons, [{"logic": "AND", "conditions": [one]} for one in conditions], SINCE, AS_OF)
    async with module_clickhouse.session(purpose="compute") as session:
        named, found = await evaluate(session, asked, since=SINCE, touched=touched)
    assert (await keys_of(module_clickhouse, ["person"]))["person"] in named
    assert found == {index: {"person"} for index in range(len(conditions))}


def test_instants_of_one_of_two_ranges():
    at = [EARLIEST + step * timedelta(days=1) for step in range(4)]
    micro = MICROSECOND
    assert differences(Range(at[0], at[2]), Range(at[1], at[3])) == [
        Range(at[0], at[1] - micro),
        Range(at[2] + micro, at[3]),
    ]
    assert differences(Range(at[0], at[1]), Range(at[2], at[3])) == [Range(at[0], at[1]), Range(at[2], at[3])]
    assert differences(Range(at[0], at[3]), Range(at[1], at[2])) == [
        Range(at[0], at[1] - micro),
        Range(at[2] + micro, at[3]),
    ]
    assert differences(Range(), Range()) == differences(Range(at[1], at[2]), Range(at[1], at[2])) == []
    assert differences(Range(LATEST, EARLIEST), Range(at[1], at[1])) == [Range(at[1], at[1])]
    ranges = [Range(at[2], at[3]), Range(at[0], at[1]), Range(at[1] + micro, at[1] + micro)]
    assert together(ranges) == [Range(at[0], at[1] + micro), Range(at[2], at[3])]


def test_other_questions_name_nobody_short_of_everybody(data: DataSet):
    as_of = data.world.as_ofs[0]

    def planned(window: str, value: int = 1, at: datetime = as_of) -> Plan:
        leaf = {"type": "event_count", "event_type": "view", "window": {"last": window}, "value": value}
        return data.plan({"logic": "AND", "conditions": [leaf]}, at)

    assert moves_between(planned("1d"), planned("1d", 2)) is None
    moves = moves_between(planned("1d"), planned("1d", at=as_of + timedelta(minutes=1)))
    assert moves
    assert all(isinstance(move, EventsIn) for move in moves)
    assert len(moves) == 2
