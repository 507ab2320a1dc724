"""Whom the clock moves, and the same question asked over copied rows: both by what all rows say at each instant."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec import Struct

from segment_copilot.compiler import (
    CREATE_TOUCHED,
    TOUCHED,
    Move,
    Plan,
    SharedSlots,
    moves_between,
    render_copies,
    render_persons,
)
from segment_copilot.compiler.moves import EventsIn, differences, together
from segment_copilot.compiler.slots import Range
from segment_copilot.language.lengths import EARLIEST, LATEST, MICROSECOND
from segment_copilot.stores.clickhouse import ClickHouse, Session
from segment_copilot.stores.postgres import Postgres
from tests.support.language.data_sets import SEGMENT_IDS, DataSet, load_data_set
from tests.support.language.strategies import Draw

Json = dict[str, Any]

STEPS = (MICROSECOND, timedelta(minutes=1), timedelta(hours=3), timedelta(days=1), timedelta(days=40))
DEFINITIONS = 5
RUNS = int(os.environ.get("LIVE_RUNS", "3"))
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
    await session.insert("touched", ("user_id",), [(one,) for one in touched])
    for query in render_persons(asked.later[0], asked.moves, since=since) + render_copies(asked.later):
        await session.fetch(query.sql, query.params)
    persons = {row[0] for row in (await session.fetch("SELECT user_key FROM touched_persons")).rows}
    return persons, await members(session, SharedSlots(asked.later, names=TOUCHED), len(asked.later))


async def members(session: Session, shared: SharedSlots, number: int) -> dict[int, set[str]]:
    """The members by the place of the definition."""
    for query in (shared.create(), shared.create_members(range(number))):
        await session.fetch(query.sql, query.params)
    found = {index: set[str]() for index in range(number)}
    for index, user_id in (await session.fetch("SELECT segment_id, user_id FROM shared_members")).rows:
        found[index].add(user_id)
    return found


async def keys_of(clickhouse: ClickHouse, user_ids: list[str]) -> dict[str, int]:
    sql = "SELECT id, sipHash64(id) FROM (SELECT arrayJoin({ids:Array(String)}) AS id)"
    return dict((await clickhouse.fetch(sql, {"ids": user_ids}, purpose="preview")).rows)


async def test_who_moves_is_named_and_evaluated_by_copied_rows_as_by_all(module_clickhouse: ClickHouse, data: DataSet):
    for run in range(RUNS):
        draw = Draw(data.seed * 10_000 + run, data.world)
        step, edge = STEPS[run % len(STEPS)], draw.one(data.world.as_ofs)
        # so that the edges, on which the values of the data set lie, are those of either instant
        since, as_of = draw.one([(edge - step, edge), (edge, edge + step)])
        asked = ask(data, [draw.definition(SEGMENT_IDS) for _ in range(DEFINITIONS)], since, as_of)
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


async def test_few_are_named_where_few_move(module_clickhouse: ClickHouse, data: DataSet):
    """Not everybody, which would be as true."""
    as_of = data.world.as_ofs[0]
    draw = Draw(data.seed, data.world)
    definitions = [draw.event_count() | {"window": {"last": "1h"}} for _ in range(20)]
    for one in definitions:
        one.pop("window_days", None)
    plain = [{"logic": "AND", "conditions": [one | {"where": []}]} for one in definitions]
    for one in plain:
        del one["conditions"][0]["where"]
    asked = ask(data, plain, as_of - timedelta(minutes=1), as_of)
    async with module_clickhouse.session(purpose="compute") as session:
        persons, _ = await evaluate(session, asked, since=as_of - timedelta(minutes=1), touched=[])
    assert 0 < len(persons) < len(data.universe(as_of)) / 2


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
